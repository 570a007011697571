"""Between what the elements of integer arrays lie, so that subscripts known to be in range are not checked."""

from __future__ import annotations

from ...ir.affine import Affine
from ...ir.ops import arith
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Var
from ...ir.types import I64
from ..session import Interval, Session


def note(session: Session, value: Atom, low: Affine | None, high: Affine | None) -> None:
    """Record low <= every element <= high; for a single integer it becomes a fact."""
    if not isinstance(value, Var) or value.type.dtype != "i64":
        return
    if value.type == I64:
        session.builder.facts.bound(value.name, low, high)
    elif low is not None or high is not None:
        session.intervals[value.name] = low, high


def note_result(session: Session, op: str, operands: list[Atom], result: Atom) -> None:
    """Record what an operation on integer arrays keeps of the bounds of its operands."""
    if result.type.dtype != "i64" or not result.type.rank or REGISTRY[op] not in _RULES or len(operands) != 2:
        return
    one, two = (_interval(session, o) for o in operands)
    note(session, result, *_RULES[REGISTRY[op]](session, one, two))


def _interval(session: Session, value: Atom) -> Interval:
    if value.type == I64:
        form = session.builder.affine(value)
        return form, form
    return session.intervals.get(value.name, (None, None)) if isinstance(value, Var) else (None, None)


def _add(session: Session, a: Interval, b: Interval) -> Interval:
    low, high = (None if x is None or y is None else x + y for x, y in zip(a, b))
    return low, high


def _sub(session: Session, a: Interval, b: Interval) -> Interval:
    low, high = (None if x is None or y is None else x - y for x, y in zip(a, reversed(b)))
    return low, high


def _mul(session: Session, a: Interval, b: Interval) -> Interval:
    for (low, high), (factor, other) in ((a, b), (b, a)):
        if factor is not None and factor == other and not factor.terms:
            ends = [None if end is None else end.scaled(factor.constant) for end in (low, high)]
            return (ends[0], ends[1]) if factor.constant >= 0 else (ends[1], ends[0])
    return None, None


def _mod(session: Session, a: Interval, b: Interval) -> Interval:
    low, high = b
    if low is None or high is None or not session.builder.facts.proves(low - 1):
        return None, None
    return Affine(), high - 1


def _smaller(session: Session, a: Affine | None, b: Affine | None) -> Affine | None:
    """A lower end of both."""
    if a is None or b is None:
        return None
    facts = session.builder.facts
    return a if facts.proves(b - a) else b if facts.proves(a - b) else None


def _larger(session: Session, a: Affine | None, b: Affine | None) -> Affine | None:
    if a is None or b is None:
        return None
    facts = session.builder.facts
    return a if facts.proves(a - b) else b if facts.proves(b - a) else None


def _maximum(session: Session, a: Interval, b: Interval) -> Interval:
    low = _larger(session, a[0], b[0]) or (b[0] if a[0] is None else a[0])
    return low, _larger(session, a[1], b[1])


def _minimum(session: Session, a: Interval, b: Interval) -> Interval:
    high = _smaller(session, a[1], b[1]) or (b[1] if a[1] is None else a[1])
    return _smaller(session, a[0], b[0]), high


_RULES = {
    arith.add: _add, arith.sub: _sub, arith.mul: _mul, arith.mod: _mod, arith.maximum: _maximum,
    arith.minimum: _minimum,
}  # fmt: skip
