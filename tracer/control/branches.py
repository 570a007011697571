"""Tracing an if into one node of the IR: both arms from one snapshot, what they changed joined by phis.

Loops are in tracer/control/loops.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import PullbackError, TypeMismatch, UnsupportedSyntax
from ...ir.program import Atom, Check, If, Lit, Node, Phi, Span, Var
from ...ir.types import I64, Dim, Type
from ..depth import deeper
from ..lists.containers import is_container, joined_containers
from ..outside.effects import DELETED, MISSING, Choice, Writes
from ..raising import PathEnds, effects, run_path, settled
from ..session import NeedStatic, Session
from ..snapshot import (
    ContainerChange,
    Frame,
    MaybeUnbound,
    Pending,
    Slot,
    State,
    assign,
    is_record,
    leaves,
    rebuild,
    same,
    session_of,
    unassign,
)
from ..staging.jumps import RETURNED, is_flag
from ..values import optional
from ..values.convert import cast, joins, result_dtype
from ..values.optional import MaybeNone, can_be_optional, shown
from ..values.staged_list import StagedList
from ..values.symbol import (
    FUNCTIONS,
    Array,
    PythonNumber,
    Scalar,
    as_value,
    implements,
    require_session,
    wrap,
)
from .sharing import Sharing

RESULT = "_result_"


def is_number(value: Any) -> bool:
    return isinstance(value, (Scalar, *PythonNumber)) or (
        hasattr(value, "dtype") and not getattr(value, "shape", 1)
    )


@contextmanager
def region(session: Session) -> Iterator[list[Node]]:
    """An open region; facts found in it do not hold after it."""
    builder = session.builder
    outer = builder.facts
    builder.facts = outer.copy()
    try:
        with builder.open() as nodes, deeper():
            yield nodes
    finally:
        builder.facts = outer


def live_slot(slot: Slot, frame: Frame, live: tuple[str, ...]) -> bool:
    """Variables of the running function are live by analysis, also of one whose body a generator runs; whatever else
    can be reached always is."""
    if slot[0] == id(frame):
        return slot[1] in live
    known = session_of(frame).open_bodies.get(slot[0])
    return known is None or slot[1] in known


# -- if ------------------------------------------------------------------------------------------------


Arm = tuple[State, list[Node]]


def trace_if(
    session: Session,
    cond: Atom,
    then: Callable[[], None],
    orelse: Callable[[], None],
    frame: Frame,
    live: tuple[str, ...],
    *,
    keep: bool = False,
) -> None:
    """`keep`: what is not live afterwards keeps its old value, for what follows only if neither arm changed it."""
    builder = session.builder
    before = State(session)
    span = session.span
    arms = _trace_arms(session, before, cond, then, orelse)
    if arms is None:
        return
    (first, then_nodes), (second, else_nodes) = arms
    try:
        changed = dict.fromkeys([*before.changed(first, second), *before.changed(second, first)])
    except ContainerChange as change:
        before.restore()
        change.restored = True
        raise
    join = _Join(session, cond, arms, before)
    gone = _returned(before, first, second, frame)
    new_values: dict[Slot, Any] = {}
    for slot in changed:
        if live_slot(slot, frame, live):
            new_values[slot] = join.variable(slot, frame, gone)
        else:
            new_values[slot] = before.get(slot, MISSING) if keep else MISSING
    for cell in dict.fromkeys([*before.written(first), *before.written(second)]):
        cell.value = join.atom(cell.name, first.cells[cell], second.cells[cell])
    join.sharing.settle()
    for slot, value in new_values.items():
        holder = before.holder(slot)
        if value is MISSING:
            unassign(holder, slot[1])
        else:
            assign(holder, slot[1], value)
    builder.add(If(cond, tuple(then_nodes), tuple(else_nodes), tuple(join.phis), span))


def _trace_arms(
    session: Session, before: State, cond: Atom, then: Callable[[], None], orelse: Callable[[], None]
) -> list[Arm] | None:
    """Both arms, each traced from the same state; None if one of them turns out to be all there is."""
    builder, span = session.builder, session.span
    arms: list[Arm] = []
    for taken, arm in ((True, then), (False, orelse)):
        answer, end = None, None
        truths: dict[str, bool] = {}
        try:
            with region(session) as nodes, session.under(session.condition_sources(cond)):
                session.assume(cond, taken)
                end = run_path(session, arm)
                truths = builder.facts.truths
        except (PullbackError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
            answer = session.decide(cond)
            if answer is None:
                raise
        if end is not None and end.by_python:
            answer = session.decide(cond)
        state = State(session)
        state.truths = truths
        before.restore()
        builder.span = span
        if answer is not None:
            # The arm cannot be traced, and sizes alone decide it: what holds in this call is what is traced.
            (then if answer else orelse)()
            return None
        if end is None:
            arms.append((state, nodes))
            continue
        # The arm raises: a check, and then the other arm is all there is.
        if not settled(session, end.kind, lambda: _other(session, cond, taken), then if taken else orelse):  # noqa: B023
            _fail(session, cond, taken, nodes, end, span)
        session.assume(cond, not taken)
        if taken:
            orelse()
        else:
            arms[0][0].restore()
            builder.region.extend(arms[0][1])
        return None
    return arms


def refuse_deleted(session: Session, at_head: State, at_end: State, slot: Slot) -> None:
    missing = object()
    if isinstance(at_head.holder(slot), Frame) and at_end.get(slot, missing) is missing:
        raise session.error(
            UnsupportedSyntax, f"this loop deletes {slot[1]!r}, which has a value before it. Leave the del out"
        )


def _returned(before: State, first: State, second: State, frame: Frame) -> int | None:
    """Which of two arms (0 or 1) ends with the function having returned, if one does."""
    slot = id(frame), RETURNED
    ends = [state.get(slot) is True for state in (first, second)]
    return ends.index(True) if ends[0] != ends[1] and before.get(slot) is not True else None


def _fail(session: Session, cond: Atom, taken: bool, nodes: list[Node], end: PathEnds, span: Span | None) -> None:
    """The arm of a condition that ends with an exception: a check, where nothing in the arm may fail before."""
    builder = session.builder
    if not effects(nodes):
        end.check(session, _other(session, cond, taken))
        return
    arm = (*nodes, Check(literal(False, "bool"), end.message(session), end.span))
    builder.add(If(cond, arm if taken else (), () if taken else arm, (), span))


def _other(session: Session, cond: Atom, taken: bool) -> Atom:
    """The condition of the other arm."""
    return FUNCTIONS["not"](Scalar(session, cond)).atom if taken else cond


@implements("if")
def if_(cond: Atom, then: Callable[[], None], orelse: Callable[[], None]) -> None:
    """A branch of the tracer's own, which binds no variables."""
    session = require_session()
    trace_if(session, cond, then, orelse, Frame(session, "a branch", {}), ())


def choose(session: Session, cond: Atom, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """One of two values, by a condition of the program."""
    if isinstance(cond, Lit):
        return then() if cond.text == "True" else orelse()
    frame = Frame(session, "a value that was stored on some paths", {})

    def store(thunk: Callable[[], Any]) -> Callable[[], None]:
        return lambda: setattr(frame, "value", thunk())

    trace_if(session, cond, store(then), store(orelse), frame, ("value",))
    return frame.value


class _Join:
    """Joins what two arms left behind."""

    def __init__(self, session: Session, cond: Atom, arms: list[Arm], before: State):
        self.session = session
        self.before = before
        self.made: dict[int, tuple[Any, Any]] = {}  # containers of one arm as they are known after both
        self.cond = cond
        self.states = [state for state, _ in arms]
        self.nodes = [nodes for _, nodes in arms]
        self.phis: list[Phi] = []
        self.sharing = Sharing(self.states)

    def refuse(self, name: str, a: Any, b: Any) -> Exception:
        sources = self.session.condition_sources(self.cond)
        if sources:
            return NeedStatic(sources)
        what = "the function returns" if name == RESULT else f"{name!r} is"
        return self.session.error(
            TypeMismatch,
            f"after this branch {what} {shown(a)} on one path and {shown(b)} on the other; "
            "a traced branch needs one type. Give both paths the same kind of value",
        )

    def variable(self, slot: Slot, frame: Frame, gone: int | None) -> Any:
        """What a variable or place holds after both arms, of which arm `gone` may have returned."""
        holder = self.before.holder(slot)
        a, b = (state.get(slot, MISSING) for state in self.states)
        name = str(slot[1]) if isinstance(holder, Frame) else "t"
        if isinstance(holder, (Writes, Pending)):
            return self.write(name, a, b, isinstance(holder, Writes))
        if gone is not None and holder is frame and not is_flag(name) and name != RESULT:
            # Nobody reads it on the path that has returned.
            return self.either(name, a, b, gone, MISSING)
        if a is MISSING and b is MISSING:
            return MISSING
        if a is MISSING or b is MISSING:
            return self.partial(name, a, b, a is MISSING)
        return self.value(name, a, b)

    def value(self, name: str, a: Any, b: Any) -> Any:
        if same(a, b):
            return a
        if isinstance(a, MaybeUnbound) or isinstance(b, MaybeUnbound):
            return self._maybe(name, a, b)
        if type(a) is MaybeNone or type(b) is MaybeNone or (a is None) != (b is None):
            return self._optional(name, a, b)
        if isinstance(a, tuple) and isinstance(b, tuple):
            one, two = leaves(a), leaves(b)
            if len(one) != len(two) or type(a) is not type(b):
                raise self.refuse(name, a, b)
            return rebuild(a, iter([self.value(name, x, y) for x, y in zip(one, two)]))
        if is_number(a) and is_number(b):
            values = [as_value(self.session, v) for v in (a, b)]
            if not joins(*values):
                raise self.refuse(name, a, b)
            dtype, weak = result_dtype(values)
            return Scalar(self.session, self.atom(name, *(v for v, _ in values), dtype=dtype), weak)
        if isinstance(a, Array) and isinstance(b, Array) and a.type.rank == b.type.rank:
            differ = a.type.dtype != b.type.dtype and self.session.condition_sources(self.cond)
            if differ or not joins((Var("", a.type), False), (Var("", b.type), False)):
                raise self.refuse(name, a, b)
            return self._array(name, a, b)
        if is_container(a) and is_container(b):
            joined = joined_containers(self.session, self.states, name, a, b, self.value)
            if joined is not None:
                return joined
        raise self.refuse(name, a, b)

    def either(self, name: str, a: Any, b: Any, gone: int, missing: object) -> Any:
        """A name that is read after one arm only: arm `gone` has anything of its type."""
        value, other = (b, a) if gone == 0 else (a, b)
        if value is missing:
            return missing
        bound = None
        if isinstance(value, MaybeUnbound):
            value, bound = value.value, value.bound
        if isinstance(other, MaybeUnbound):
            other = other.value
        if not _alike(value, other):
            other = self.stand_in(value, gone)
        joined = self.value(name, other, value) if gone == 0 else self.value(name, value, other)
        if bound is None:
            return joined
        bounds = [literal(True, "bool"), bound] if gone == 0 else [bound, literal(True, "bool")]
        return MaybeUnbound(self.session, joined, self.atom(f"{name}_bound".lstrip("_"), *bounds))

    def _optional(self, name: str, a: Any, b: Any) -> Any:
        if not all(v is None or can_be_optional(v) for v in (a, b)):
            raise self.refuse(name, a, b)
        sources = self.session.condition_sources(self.cond)
        if sources and type(a) is not MaybeNone and type(b) is not MaybeNone:
            raise NeedStatic(sources)
        return optional.joined(self, name, a, b)

    def _maybe(self, name: str, a: Any, b: Any) -> Any:
        values, bounds = [], []
        for v in (a, b):
            values.append(v.value if isinstance(v, MaybeUnbound) else v)
            bounds.append(v.bound if isinstance(v, MaybeUnbound) else literal(True, "bool"))
        bound = self.atom(f"{name}_bound".lstrip("_"), *bounds)
        return MaybeUnbound(self.session, self.value(name, *values), bound)

    def partial(self, name: str, a: Any, b: Any, first_missing: bool) -> Any:
        """A name that one arm does not bind."""
        value, bound_there = (b if first_missing else a), literal(True, "bool")
        if isinstance(value, MaybeUnbound):
            value, bound_there = value.value, value.bound
        other = self.stand_in(value, 0 if first_missing else 1)
        bounds = [literal(False, "bool"), bound_there]
        bound = self.atom(f"{name}_bound".lstrip("_"), *(bounds if first_missing else reversed(bounds)))
        joined = self.value(name, other, value) if first_missing else self.value(name, value, other)
        return MaybeUnbound(self.session, joined, bound)

    def stand_in(self, value: Any, arm: int) -> Any:
        """Something of the value's kind, for an arm after which nobody reads it."""
        if isinstance(value, tuple):
            return rebuild(value, iter([self.stand_in(leaf, arm) for leaf in leaves(value)]))
        if type(value) is MaybeNone:
            return MaybeNone(self.session, self.stand_in(value.value, arm), literal(False, "bool"))
        if isinstance(value, Array):
            return self._blank(value, arm)
        return self._zero(value) if isinstance(value, Scalar) else value

    def write(self, name: str, a: Any, b: Any, lives_on: bool) -> Any:
        """Something that outlives the call: where an arm does not write, nothing is stored."""
        if a is MISSING or b is MISSING:
            value = b if a is MISSING else a
            entry = self.session.hidden.effects.entry(name) if lives_on else MISSING
            if isinstance(entry, Scalar) and isinstance(value, Scalar) and _alike(entry, value) and _as_given(entry):
                return self.value(name, *((entry, value) if a is MISSING else (value, entry)))
            return self._conditional(name, value, int(a is MISSING))
        if same(a, b):
            return a
        held = [v.value if isinstance(v, MaybeUnbound) else v for v in (a, b)]
        if _alike(*held) or not lives_on:
            return self.value(name, a, b)
        if not isinstance(a, MaybeUnbound) and not isinstance(b, MaybeUnbound):
            return Choice(self.cond, self._visible(name, a, 0), self._visible(name, b, 1))
        pairs = [(v.value, v.bound) if isinstance(v, MaybeUnbound) else (v, literal(True, "bool")) for v in (a, b)]
        bound = self.atom(f"{name}_bound", pairs[0][1], pairs[1][1])
        both = (self._visible(name, v, arm) for arm, (v, _) in enumerate(pairs))
        return MaybeUnbound(self.session, Choice(self.cond, *both), bound)

    def _conditional(self, name: str, value: Any, arm: int) -> MaybeUnbound:
        inner: Atom = literal(True, "bool")
        if isinstance(value, MaybeUnbound):
            value, inner = value.value, value.bound
        bounds: list[Atom] = [literal(False, "bool"), literal(False, "bool")]
        bounds[arm] = inner
        bound = self.atom(f"{name}_bound".lstrip("_"), *bounds)
        return MaybeUnbound(self.session, self._visible(name, value, arm), bound)

    def _visible(self, name: str, value: Any, arm: int) -> Any:
        """A value of one arm as one that is known after both; what it is if the other one is taken does not matter."""

        def inside(inner: Any) -> Any:
            return self._visible(name, inner, arm)

        if id(value) in self.made:
            return self.made[id(value)][1]

        if isinstance(value, Scalar):
            zero = self._zero(value)
            return self.value(name, *((zero, value) if arm else (value, zero)))
        if isinstance(value, Array):
            if not value.maps and value.cell in self.before.cells:
                return value  # the same array, whatever is written to it
            pair = (self._blank(value, 0), value) if arm else (value, self._blank(value, 1))
            return self._array(name, *pair)
        if isinstance(value, Choice):
            bounds = [value.cond, literal(False, "bool")]
            cond = self.atom("t", *(reversed(bounds) if arm else bounds))
            return Choice(cond, inside(value.then), inside(value.orelse))
        if isinstance(value, tuple):
            items = [inside(v) for v in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if value is DELETED or self.session.hidden.lives_on(value):
            return value
        if type(value) is list or (isinstance(value, StagedList) and value.rows is None):
            return self.made.setdefault(id(value), (value, [inside(v) for v in value]))[1]
        if type(value) is dict:
            return self.made.setdefault(id(value), (value, {k: inside(v) for k, v in value.items()}))[1]
        if is_record(value) or isinstance(value, (list, dict, set, deque)):
            raise self.session.error(
                TypeMismatch,
                f"{name!r} is set to a {type(value).__name__} on one path of a traced branch only. Store numbers and "
                "arrays there, or make the object before the branch",
            )
        return value

    def _zero(self, value: Any) -> Scalar:
        atom, weak = as_value(self.session, value)
        return Scalar(self.session, literal(0, atom.type.dtype), weak)

    def _blank(self, value: Array, arm: int) -> Array:
        with self.session.builder.reopen(self.nodes[arm]):
            depth = len(self.session.builder._regions) - 1
            outside = [isinstance(d, int) or self.session.builder.in_scope(d, depth) for d in value.dims]
            shape = tuple(dim_atom(d if known else 0) for d, known in zip(value.dims, outside))
            return wrap(self.session, self.session.builder.emit("zeros", shape, value.type.dtype))  # type: ignore[return-value]

    def _array(self, name: str, a: Array, b: Array) -> Array:
        builder = self.session.builder
        atoms = []
        for k, array in enumerate((a, b)):
            with builder.reopen(self.nodes[k]):
                content = self.states[k].cells.get(array.cell, array.cell.value)
                now, array.cell.value = array.cell.value, content
                atoms.append(array.content())
                array.cell.value = now
        dtype, _ = result_dtype([(atom, False) for atom in atoms])
        dims: list[Dim] = []
        for da, db in zip(atoms[0].type.dims, atoms[1].type.dims):
            if self.session.same_now(da, db):
                # Written before the branch: a name of one arm is not known after it.
                dims.append(atom_dim(builder.integer(builder.affine(da))))
                continue
            sources = self.session.condition_sources(self.cond)
            if sources and 1 in (builder.canonical_dim(da), builder.canonical_dim(db)):
                raise NeedStatic(sources)  # an operation has to know whether it stretches this axis
            size = self.atom("n", dim_atom(da), dim_atom(db))
            dims.append(size.name if isinstance(size, Var) else int(size.text))
        joined = wrap(self.session, self.atom(name, *atoms, dtype=dtype, dims=tuple(dims)), name=name)
        assert isinstance(joined, Array)
        self.sharing.join(name, joined.cell, (a, b))
        return joined

    def atom(
        self, name: str, a: Atom, b: Atom, *, dtype: str | None = None, dims: tuple[Dim, ...] | None = None
    ) -> Atom:
        """phi(a, b), in a common dtype."""
        builder = self.session.builder
        dtype = dtype or result_dtype([(a, False), (b, False)])[0]
        atoms = []
        for k, atom in enumerate((a, b)):
            with builder.reopen(self.nodes[k]):
                atoms.append(cast(self.session, atom, dtype))
        if atoms[0] == atoms[1]:
            return atoms[0]
        var = builder.var(name.strip("_") or "t", Type(dtype, a.type.dims if dims is None else dims))
        if var.type == I64:
            forms = [builder.affine(atom) for atom in atoms]
            apart = forms[1] - forms[0]
            if not apart.terms:
                low, high = forms if apart.constant >= 0 else reversed(forms)
                builder.facts.bound(var.name, lower=low, upper=high)
        self.phis.append(Phi(var, *atoms))
        return var


def _alike(a: Any, b: Any) -> bool:
    """Are they numbers or arrays of one type, sizes aside?"""
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        return a.type == b.type and a.weak == b.weak
    return isinstance(a, Array) and isinstance(b, Array) and (a.type.dtype, a.type.rank) == (b.type.dtype, b.type.rank)


def _as_given(entry: Scalar) -> bool:
    """Is storing the number again what was there?"""
    return entry.weak or entry.type.is_float
