"""Python's integers do not wrap: checks for those of a traced program that might not fit 64 bits.

Ranges are found on the finished program. A loop's phi that is only added to stays small, since no program runs
`EXECUTED` operations; what no range shows to fit becomes a guard on the inputs where they alone determine it, else a
check in the program.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...ir.affine import Affine
from ...ir.primitive import Trait
from ...ir.program import Atom, For, If, Let, Lit, Node, Phi, Var, While
from ...ir.types import I64
from ...ir.walk import walk
from ..session import Session

LOW, HIGH = -(2**63), 2**63 - 1
EXECUTED = 2**50
SIZE = 2**47
SMALL = 2**31
"""What integers among the arguments are taken to stay below, under a guard."""
SAFE = 9.22e18
"""Floats whose integers surely fit 64 bits, rounding included."""


@dataclass(frozen=True, slots=True)
class Range:
    low: int
    high: int

    def hull(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))

    @property
    def fits(self) -> bool:
        return self.low >= LOW and self.high <= HIGH

    def clipped(self) -> Range:
        return Range(min(max(self.low, LOW), HIGH), max(min(self.high, HIGH), LOW))

    @property
    def size(self) -> int:
        return max(abs(self.low), abs(self.high))


ALL = Range(LOW, HIGH)
Definition = Let | Phi | tuple[Atom, ...] | Range
"""What a name is: an operation, a value on entry and one afterwards, one of several values, or a range."""


def with_checks(session: Session, body: list[Node], around: Iterable[list[Node]] = ()) -> list[Node]:
    """The program's body, in which no integer of Python's wraps; `around` are the regions that it stands in."""
    if not any(isinstance(n, Let) and n.var.name in session.exact for n in walk(body)):
        return body
    weak = {name for name, value in session.present.items() if session.numbers.get(name) and abs(value) < SMALL}
    whole = [*itertools.chain(*around), *body]
    plain, assumed = (_Ranges(session, whole, limits) for limits in ({}, dict.fromkeys(weak, SMALL)))
    return _Writer(session, plain, assumed, weak).nodes(body)


class _Ranges:
    """Between what the i64 numbers of a program lie."""

    def __init__(self, session: Session, body: list[Node], limits: dict[str, int]):
        self.session = session
        self.definitions: dict[str, Definition] = {}
        self.found: dict[str, Range] = {}
        facts = session.builder.facts
        for name in session.present:
            if name not in session.derived:
                bound = limits.get(name)
                own = Range(-bound, bound) if bound else ALL if name in session.numbers else Range(0, SIZE)
                least = max((f.constant for f in facts.lower.get(name, ()) if not f.terms), default=own.low)
                self.definitions[name] = Range(min(max(least, own.low), own.high), own.high)
        self._define(body)
        for names in _components(self.definitions):
            self._settle(names)

    def of(self, atom: Atom) -> Range:
        if isinstance(atom, Lit):
            return Range(int(atom.text), int(atom.text))
        return self.found.get(atom.name, ALL)

    def _define(self, nodes: Iterable[Node]) -> None:
        for node in walk(nodes):
            match node:
                case Let(var):
                    if var.type == I64:
                        self.definitions[var.name] = node
                case For(index, start, stop, _, phis, _, exits):
                    self.definitions[index.name] = (start, stop)
                    self._phis(phis)
                    for exit in exits:
                        self.definitions[exit.var.name] = (exit.phi,)
                case While(phis, _, _, _, exits):
                    self._phis(phis)
                    for exit in exits:
                        self.definitions[exit.var.name] = (exit.phi,)
                case If(_, _, _, phis):
                    self._phis(phis)

    def _phis(self, phis: tuple[Phi, ...]) -> None:
        for phi in phis:
            if phi.var.type == I64:
                self.definitions[phi.var.name] = phi

    def _settle(self, names: list[str]) -> None:
        """The ranges of names that depend on each other."""
        if len(names) == 1 and names[0] not in uses(self.definitions[names[0]]):
            self.found[names[0]] = self._range(self.definitions[names[0]]).clipped()
            return
        start = self._entries(names)
        for name in names:
            self.found[name] = start
        for _ in range(4):  # a cycle may be closed: `sign = -sign`
            now = {name: self.found[name].hull(self._range(self.definitions[name])) for name in names}
            if now == {name: self.found[name] for name in names}:
                return
            self.found |= now
        grown = self._accumulated(set(names), start)
        for name in names:
            self.found[name] = grown if grown is not None and grown.fits else ALL

    def _entries(self, names: list[str]) -> Range:
        """What the names are before they depend on themselves."""
        own = set(names)
        given = [a for name in names for a in joined(self.definitions[name])]
        values = [self.of(a) for a in given if isinstance(a, Lit) or a.name not in own]
        found = values[0] if values else Range(0, 0)
        for value in values[1:]:
            found = found.hull(value)
        return found

    def _accumulated(self, own: set[str], start: Range) -> Range | None:
        """The range of a cycle that only adds to what it carries, None if it does something else."""
        low, high = 0, 0
        for name in own:
            node = self.definitions[name]
            if not isinstance(node, Let):
                continue
            inside = [isinstance(a, Var) and a.name in own for a in node.args]
            match node.op.name:
                case "add" if inside.count(True) == 1:
                    step = self.of(node.value(inside.index(False)))
                case "sub" if inside == [True, False]:
                    other = self.of(node.value(1))
                    step = Range(-other.high, -other.low)
                case _ if node.op.has(Trait.SELECTS):
                    continue
                case "floordiv" | "shift_right" if inside == [True, False] and self.of(node.value(1)).low >= 0:
                    start = start.hull(Range(-1, 0))
                    continue
                case _:
                    return None
            low, high = min(low, step.low), max(high, step.high)
        return Range(start.low + EXECUTED * low, start.high + EXECUTED * high)

    def _range(self, definition: Definition) -> Range:
        match definition:
            case Range():
                return definition
            case Let():
                return self.result(definition)
            case (start, stop):  # a loop's index
                low, high = self.of(start), self.of(stop)
                return Range(low.low, max(high.high - 1, low.low))
        values = [self.of(a) for a in joined(definition)]
        found = values[0]
        for value in values[1:]:
            found = found.hull(value)
        return found

    def result(self, let: Let) -> Range:
        """The range of an integer operation, which need not fit."""
        limits = self.session.limits.get(let.var.name)
        if limits is not None:
            return Range(*limits)
        operands = [self.of(a) for a in let.args if isinstance(a, (Var, Lit)) and a.type == I64]
        match let.op.name, operands:
            case "add", [a, b]:
                return Range(a.low + b.low, a.high + b.high)
            case "sub", [a, b]:
                return Range(a.low - b.high, a.high - b.low)
            case "mul", [a, b]:
                return _over(x * y for x in (a.low, a.high) for y in (b.low, b.high))
            case "neg", [a]:
                return Range(-a.high, -a.low)
            case "abs", [a]:
                return Range(0, a.size)
            case "floordiv", [a, b]:
                if b.low >= 1:
                    return _over(x // y for x in (a.low, a.high) for y in (b.low, b.high))
                return Range(-a.size - (b.low >= 0), a.size)
            case "mod", [a, b]:
                if b.low >= 1:
                    return Range(0, min(b.high - 1, a.high) if a.low >= 0 else b.high - 1)
                return Range(min(b.low + 1, 0), max(b.high - 1, 0))
            case "minimum", [a, b]:
                return Range(min(a.low, b.low), min(a.high, b.high))
            case "maximum", [a, b]:
                return Range(max(a.low, b.low), max(a.high, b.high))
            case "where", [a, b]:
                return a.hull(b)
            case _ if let.op.has(Trait.PLACES):
                return Range(0, SIZE)
            case "to_i64", _:
                given = let.value(0).type
                if given.dtype == "bool":
                    return Range(0, 1)
                if given.is_integer:
                    widest = np.iinfo(given.numpy)
                    return Range(int(widest.min), int(widest.max)).clipped()
        return _of_bits(let.op.name, operands)


def _of_bits(name: str, operands: list[Range]) -> Range:
    """The range of an integer operation that is no arithmetic of intervals."""
    match name, operands:
        case "int_power", [a, b]:
            most = 1 if a.size <= 1 else a.size ** min(max(b.high, 0), 64)
            return Range(0 if a.low >= 0 else -most, most)
        case "shift_right", [a, _]:
            return Range(min(a.low, 0), max(a.high, 0))
        case "and", [a, b] if a.low >= 0 or b.low >= 0:
            return Range(0, min(r.high for r in (a, b) if r.low >= 0))
        case "and" | "or" | "xor", [a, b]:
            bits = max(r.size.bit_length() for r in (a, b))
            return Range(0 if min(a.low, b.low) >= 0 else -(2**bits), 2**bits)
        case "invert", [a]:
            return Range(-a.high - 1, -a.low - 1)
        case "gcd", [a, b]:
            return Range(0, max(a.size, b.size))
        case "isqrt", [a]:
            return Range(0, 2**32)
    return ALL


def _over(values: Iterator[int]) -> Range:
    found = list(values)
    return Range(min(found), max(found))


def joined(definition: Definition) -> tuple[Atom, ...]:
    """The values that a name may have, where it is one of others."""
    match definition:
        case Phi(_, first, second):
            return first, second
        case Let(_, op) if op.has(Trait.SELECTS):
            return tuple(a for a in definition.values if a.type == I64)
        case (only,):
            return (only,)
    return ()


def uses(definition: Definition) -> list[str]:
    """The i64 numbers that a name's range comes from."""
    match definition:
        case Let():
            values: Iterable[Atom] = definition.values
        case Phi(_, first, second):
            values = (first, second)
        case tuple():
            values = definition
        case _:
            return []
    return [a.name for a in values if isinstance(a, Var) and a.type == I64]


def _components(definitions: dict[str, Definition]) -> Iterator[list[str]]:
    """Names that depend on each other, together, after all that they depend on (Tarjan's algorithm)."""
    number: dict[str, int] = {}
    least: dict[str, int] = {}
    stack: list[str] = []
    waiting: set[str] = set()
    for root in definitions:
        if root in number:
            continue
        work = [(root, iter(uses(definitions[root])))]
        number[root] = least[root] = len(number)
        stack.append(root)
        waiting.add(root)
        while work:
            name, rest = work[-1]
            for other in rest:
                if other not in definitions:
                    continue
                if other not in number:
                    number[other] = least[other] = len(number)
                    stack.append(other)
                    waiting.add(other)
                    work.append((other, iter(uses(definitions[other]))))
                    break
                if other in waiting:
                    least[name] = min(least[name], number[other])
            else:
                work.pop()
                if work:
                    least[work[-1][0]] = min(least[work[-1][0]], least[name])
                if least[name] == number[name]:
                    at = stack.index(name)
                    component = stack[at:]
                    del stack[at:]
                    waiting.difference_update(component)
                    yield component


class _Writer:
    """Puts checks in front of operations that may not fit, and guards at entry."""

    def __init__(self, session: Session, plain: _Ranges, assumed: _Ranges, weak: set[str]):
        self.session = session
        self.plain = plain
        self.assumed = assumed
        self.weak = weak

    def nodes(self, nodes: Iterable[Node]) -> list[Node]:
        result: list[Node] = []
        for node in nodes:
            match node:
                case Let(var, op) if var.name in self.session.exact and op.has(Trait.GROWS):
                    result += self.needed(node)
                case For():
                    node = replace(node, body=tuple(self.nodes(node.body)))
                case While():
                    node = replace(node, test=tuple(self.nodes(node.test)), body=tuple(self.nodes(node.body)))
                case If():
                    node = replace(node, then=tuple(self.nodes(node.then)), orelse=tuple(self.nodes(node.orelse)))
            result.append(node)
        return result

    def needed(self, let: Let) -> list[Node]:
        """The check of one operation; none if it surely fits."""
        if self.fits(self.plain, let):
            return []
        if self.fits(self.assumed, let):
            for name in sorted(self.roots(let)):
                self.guard(Affine.name(name) + SMALL)
                self.guard(Affine.name(name).scaled(-1) + SMALL)
            return []
        session = self.session
        form = session.builder.affine(let.var if let.var.type == I64 else let.value(0))
        if session.from_inputs(form):
            most = 2**53 if let.op.name == "to_f64" else 2**62
            if abs(form.value(session.present)) <= most:
                self.guard(form + most)
                self.guard(form.scaled(-1) + most)
                return []
        return self.check(let)

    def fits(self, ranges: _Ranges, let: Let) -> bool:
        if let.op.name == "to_f64":
            return ranges.of(let.value(0)).size < 2**53
        return ranges.result(let).fits

    def guard(self, form: Affine) -> None:
        if not self.session.builder.facts.proves(form):
            self.session._guard(form)

    def roots(self, let: Let) -> set[str]:
        """The arguments that an operation's range comes from."""
        found: set[str] = set()
        todo, seen = uses(let), set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.weak:
                found.add(name)
            elif name in self.plain.definitions:
                todo += uses(self.plain.definitions[name])
        return found

    def check(self, let: Let) -> list[Node]:
        with self.session.builder.open() as nodes, self.session.at(let.span):
            builder = self.session.builder
            floats = [builder.emit("to_f64", a) for a in let.args]
            message, most, value = _DOES_NOT_FIT, SAFE, floats[0]
            match let.op.name:
                case "to_f64":
                    message, most = _NOT_EXACT, 2.0**53
                case "int_power":
                    message, value = _POWER_DOES_NOT_FIT, builder.emit("power", *floats)
                case "floordiv":
                    value = builder.emit("div", *floats)
                case _ if len(floats) > 1:
                    value = builder.emit(let.op, *floats)
            good = builder.emit("lt", builder.emit("abs", value), most)
            self.session.check(good, f"OverflowError: {message}")
        return list(nodes)


_NOT_EXACT = "an integer beyond 2**53 is not exact as a float. Write float(n) if that is meant"
_POWER_DOES_NOT_FIT = "an integer power does not fit 64 bits. Compute with floats: 2.0 ** k instead of 2 ** k"
_DOES_NOT_FIT = "an integer does not fit 64 bits. Compute with floats: start with 1.0, or write float(n)"
