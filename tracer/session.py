"""`Session`: one run of a user's function on symbols: what is assumed of the inputs, and where we are.

Sizes and integers of the inputs are symbols. A question that only a concrete value can answer either adds
a guard (the answer for the present call, checked at entry) or raises `NeedStatic`: then tracing starts
again with those inputs static.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ..ir.affine import Affine
from ..ir.build import Builder
from ..ir.errors import PullbackError, ShapeMismatch, TypeMismatch
from ..ir.primitive import REGISTRY, Trait
from ..ir.program import Atom, Let, Lit, Span, Var
from ..ir.types import I64, Dim
from ..ir.walk import defined
from .memory_order import MemoryOrder

Interval = tuple[Affine | None, Affine | None]
"""A lower and an upper bound, None where none is known."""


class NeedStatic(Exception):  # noqa: N818  (control flow, never seen by a user)
    """Tracing must start again with these input sizes or integers static."""

    def __init__(self, names: frozenset[str]):
        super().__init__(", ".join(sorted(names)))
        self.names = names


class NeedEqual(Exception):  # noqa: N818
    """Tracing must start again with example sizes for which this form is 0."""

    def __init__(self, form: Affine, error: ShapeMismatch):
        super().__init__(str(form))
        self.form = form
        self.error = error


class NeedConcrete(Exception):  # noqa: N818
    """Python needs the number that a traced integer stands for (a list index, `[0] * n`).

    origins  what it was computed from: names of inputs, of loop indices, of what loops carry, of other values
    """

    def __init__(
        self, atom: Var, what: str, span: Span | None, advice: str = "", origins: frozenset[str] = frozenset()
    ):
        super().__init__(what)
        self.advice = advice or (
            "a traced integer cannot index a list, size a tuple or repeat a string. Use an array instead of the list"
        )
        self.atom = atom
        self.what = what
        self.span = span
        self.origins = origins or frozenset((atom.name,))


class NeedUnrolled(NeedConcrete):
    """Something happens anew in every iteration, so that the loop must run as Python does."""

    def __init__(self, what: str, advice: str, span: Span | None):
        super().__init__(Var("every", I64), what, span)
        self.advice = advice


@dataclass(eq=False)
class Session:
    """The state of one trace.

    present   value of every symbolic input size and integer in the present call
    guards    forms that must be >= 0 (equalities: both signs) for the program to be right
    intervals between what the elements of an integer array lie, by its name
    parameters, loop_variables   names in scope that no node of an open region binds
    examples  names in `present` whose value is an example, because only the input's type is given
    derived   integers that the inputs determine, as Python expressions; `roots`: the inputs they come from
    exact     names of Python's integers, which must not wrap; `limits`: between what some integers surely lie
    order     what depends on the order in memory that arguments have
    made_of   truth values that are "not", "and" or "or" of others
    numbers   names in `present` of integers that are no sizes: is it a number of Python's?
    opaque    calls and names whose answer nothing can check later: such a trace is not kept on disk
    open      the conditions and trip counts under which the present line is: the inputs that alone decide each, or None
    foreign   the functions that are running and that are neither traced nor known
    calls     the calls of the user's functions that are being traced; `recursions`: how many were recursive
    reports   how many calls that only show their arguments (print, an error's message) are open
    binding   the loops that are traced: whose variables, and which of them the loop binds
    unbound   (frame, variable) that no earlier iteration binds: reading it ends the path
    short_loops  how many loops are open that could be written out instead, if a number is needed
    open_bodies  frames whose code runs inside of a generator's loops: the names that are live there
    stops     flags of loops that consume the generators that run now: once set, nothing more is asked for
    callers   the staged functions that are calling, the innermost last
    rules     functions with derivative rules that are being traced, for rules that call their own function
    seeded, drawn_from  generators of random numbers: made here with a seed; of others, what they were before
    states    snapshots that somebody may go back to
    shadows   stand for containers that live on after the call: what is done to them is done to these
    captures  how many functions are being differentiated inside of the traced one
    pure      for each of them what it is that may change nothing outside, if it may not
    unmade    changes of functions that transforms took, which these have yet to make
    attempts  the try blocks that are traced, the innermost last: what they do where one of their exceptions is raised;
              None where what is run as the block ends keeps them from doing so
    quiet     results of operations that raise nothing here, as a condition says
    handling  the exceptions whose handlers are traced, the innermost last
    raised    the classes of exceptions that Checks stand for, by the Checks' texts
    written_out  loops that run as Python's own, and for how many iterations
    frames    the variables of every staged function call, and `cells` the content of every array
    """

    present: dict[str, int]
    builder: Builder = field(init=False)
    guards: list[Affine] = field(default_factory=list)
    frames: list[Any] = field(default_factory=list)
    short_loops: int = 0
    open_bodies: dict[int, frozenset[str]] = field(default_factory=dict)
    callers: list[Any] = field(default_factory=list)
    stops: list[tuple[Any, str]] = field(default_factory=list)
    cells: list[Any] = field(default_factory=list)
    written_out: dict[Span, int] = field(default_factory=dict)
    hidden: Any = None
    states: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    shadows: list[Any] = field(default_factory=list)
    captures: int = 0
    pure: list[str] = field(default_factory=list)
    unmade: list[Any] = field(default_factory=list)
    printed: set[Span | None] = field(default_factory=set)
    reports: int = 0
    open: list[frozenset[str] | None] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)
    recursions: int = 0
    unstaged: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    loops: dict[Any, Any] = field(default_factory=dict)
    binding: list[tuple[Any, tuple[str, ...]]] = field(default_factory=list)
    unbound: set[tuple[int, str]] = field(default_factory=set)
    raised: dict[str, list[type[BaseException]]] = field(default_factory=dict)
    handling: list[BaseException] = field(default_factory=list)
    attempts: list[Any] = field(default_factory=list)
    quiet: set[str] = field(default_factory=set)
    conditions: dict[str, tuple[list[Affine], list[Affine], frozenset[str] | None]] = field(
        default_factory=dict
    )
    order: MemoryOrder = field(default_factory=MemoryOrder)
    made_of: dict[str, tuple[str, tuple[Atom, ...]]] = field(default_factory=dict)
    parameters: list[Any] = field(default_factory=list)
    loop_variables: list[Any] = field(default_factory=list)
    intervals: dict[str, Interval] = field(default_factory=dict)
    examples: set[str] = field(default_factory=set)
    derived: dict[str, str] = field(default_factory=dict)
    roots: dict[str, frozenset[str]] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)
    numbers: dict[str, bool] = field(default_factory=dict)
    rules: dict[Any, Any] = field(default_factory=dict)
    seeded: dict[int, Any] = field(default_factory=dict)
    drawn_from: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.builder = Builder(self._decide)

    @property
    def span(self) -> Span | None:
        return self.builder.span

    def from_inputs(self, form: Affine) -> bool:
        """Do the inputs alone determine the form?"""
        return all(name in self.present for name in form.names)

    def _decide(self, form: Affine) -> bool | None:
        if not self.from_inputs(form):
            return None
        answer = form.value(self.present) >= 0
        self._guard(form if answer else form.scaled(-1) - 1)
        return answer

    def ensure(self, form: Affine) -> bool:
        """Is form >= 0 in every run, if need be under a guard on the inputs that holds in the present call?

        Where a loop index is in the form its bounds are put in, so a subscript is checked once at entry.
        """
        builder = self.builder
        if builder.holds(form):
            return True
        for candidate in self._residuals(builder._resolve(form), 4):
            if self.from_inputs(candidate) and candidate.value(self.present) >= 0:
                self._guard(candidate)
                return True
        return False

    def _residuals(self, form: Affine, depth: int) -> Iterator[Affine]:
        """Forms whose being >= 0 makes `form` so, with fewer loop indices in them."""
        inner = [(n, c) for n, c in form.terms if n not in self.present]
        if not inner:
            yield form
        elif depth:
            facts = self.builder.facts
            name, coefficient = inner[0]
            for bound in (facts.lower if coefficient > 0 else facts.upper).get(name, ()):
                yield from self._residuals(form.substitute(name, bound), depth - 1)

    def integer(self, op: str, a: Atom, b: Atom, hint: str = "t") -> Atom:
        """An i64 value; if the inputs determine it, it counts as one of them in guards."""
        result = self.builder.emit(op, a, b, hint=hint)
        if isinstance(result, Var) and result.name not in self.present:
            forms = [self.builder.affine(v) for v in (a, b)]
            own = self.builder.affine(result) == Affine.name(result.name)
            declared = REGISTRY[op]
            if own and all(self.from_inputs(f) for f in forms) and declared.guard is not None:
                values = [f.value(self.present) for f in forms]
                if declared.has(Trait.DIVIDES) and values[1] == 0:
                    return result
                self.present[result.name] = eval(declared.guard.format(*values))
                self.derived[result.name] = declared.guard.format(*forms)
                self.roots[result.name] = frozenset().union(*(self.root_names(f) for f in forms))
        return result

    def root_names(self, form: Affine) -> frozenset[str]:
        """The sizes and integers of the inputs behind a form."""
        return frozenset().union(*(self.roots.get(n, frozenset((n,))) for n in form.names))

    def from_example(self, form: Affine) -> bool:
        """Does the form's value come from example sizes, so that it tells nothing of a call?"""
        return not self.examples.isdisjoint(self.root_names(form))

    def _guard(self, form: Affine) -> None:
        self.guards.append(form)
        self.builder.facts.assume(form)

    @contextmanager
    def under(self, sources: frozenset[str] | None) -> Iterator[None]:
        """What is traced here happens under a condition, or as often as a number says."""
        self.open.append(sources)
        try:
            yield
        finally:
            self.open.pop()

    def pin(self, names: frozenset[str]) -> NoReturn:
        """Start again with these sizes and integers static."""
        raise NeedStatic(frozenset().union(*(self.roots.get(n, frozenset((n,))) for n in names)))

    def concrete(self, atom: Atom, what: str, advice: str = "") -> int:
        """The number a traced integer stands for, by making the inputs it comes from static."""
        if isinstance(atom, Lit):
            return int(atom.text)
        form = self.builder.affine(atom)
        if self.from_inputs(form) and form.terms:
            raise NeedStatic(self.root_names(form))
        if not form.terms:
            return form.constant
        sources = self._sources(atom)
        if sources <= self.present.keys():
            raise NeedStatic(frozenset().union(*(self.roots.get(n, frozenset((n,))) for n in sources)))
        raise NeedConcrete(atom, what, self.span, advice, sources)

    def make_static(self, length: Atom) -> None:
        """Start again with the inputs static that a trip count comes from, if it comes from inputs alone."""
        with suppress(NeedConcrete):
            self.concrete(length, "a trip count")

    def known_names(self, loop_variables: int) -> frozenset[str]:
        """The values that are in scope here, where loops had so many variables."""
        variables = (*self.parameters, *self.loop_variables[:loop_variables])
        bound = (v for region in self.builder._regions for node in region for v in defined(node))
        return frozenset((*self.present, *(v.name for v in (*variables, *bound))))

    def _sources(self, atom: Var) -> frozenset[str]:
        """What an integer was computed from: names of inputs, and of values that are not made of integers only."""
        found: set[str] = set()
        todo = [atom.name]
        definitions = self.definitions()
        while todo:
            name = todo.pop()
            if name in definitions and name not in self.present:
                todo.extend(definitions[name])
            else:
                found.add(name)
        return frozenset(found)

    def definitions(self) -> dict[str, list[str]]:
        """Integer values of the open regions by the names of the values they were computed from."""
        return {
            node.var.name: [a.name for a in node.args if isinstance(a, Var)]
            for region in self.builder._regions
            for node in region
            if isinstance(node, Let) and node.var.type == I64
        }

    def assume(self, cond: Atom, answer: bool) -> None:
        """Inside an arm the condition is known."""
        if isinstance(cond, Var) and cond.name in self.conditions:
            yes, no, _ = self.conditions[cond.name]
            for form in yes if answer else no:
                self.builder.facts.assume(form)
        self._settle(cond, answer)

    def _settle(self, cond: Atom, answer: bool) -> None:
        """A truth value is known, and with it some of those that it was made of (one of them may be itself)."""
        known: dict[str, bool] = {}
        todo = [(cond, answer)]
        while todo:
            atom, answer = todo.pop()
            if not isinstance(atom, Var) or atom.name in known:
                continue
            self.builder.facts.truths[atom.name] = known[atom.name] = answer
            op, parts = self.made_of.get(atom.name, ("", ()))
            if op == "not" or (op == "and") == answer:
                todo += [(part, not answer if op == "not" else answer) for part in parts]

    def truth_of(self, cond: Atom) -> bool | None:
        """What a truth value is here, None if only a run can tell."""
        return cond.text == "True" if isinstance(cond, Lit) else self.builder.facts.truths.get(cond.name)

    def condition_sources(self, cond: Atom) -> frozenset[str] | None:
        """The inputs' sizes and integers that alone decide a condition, None if anything else does."""
        known = self.conditions.get(cond.name) if isinstance(cond, Var) else None
        return known[2] if known else None

    def decide(self, cond: Atom) -> bool | None:
        """What a condition on sizes and integers of the inputs is in the present call, guarded at entry.

        None if something else has a part in it; where no guard can say it, tracing starts again with them static.
        """
        known = self.conditions.get(cond.name) if isinstance(cond, Var) else None
        if known is None or not known[2] or self.examples.intersection(known[2]):
            return None
        for forms, answer in ((known[0], False), (known[1], True)):
            for form in forms:  # one of them does not hold, so the answer is the other one
                if self.from_inputs(form) and form.value(self.present) < 0:
                    self._guard(form.scaled(-1) - 1)
                    return answer
        raise NeedStatic(known[2])

    def equal_dims(self, a: Dim, b: Dim, shapes: tuple[Any, Any], what: str) -> bool:
        """Make sure two sizes are equal: known, or true now and guarded. False if only a run can tell.

        Raises ShapeMismatch where they differ.
        """
        builder = self.builder
        if builder.same_dim(a, b):
            return True
        form = builder.affine(a) - builder.affine(b)
        if not form.terms:
            raise self.mismatch(shapes, what)
        if not self.from_inputs(form):
            return False
        if form.value(self.present) != 0:
            if self.examples.intersection(form.names):  # a size of which only the name is known
                for name in set(form.names) - self.examples:
                    form = form.substitute(name, Affine(self.present[name]))
                raise NeedEqual(form, self.mismatch(shapes, what))
            values = [builder.affine(d).value(self.present) for d in (a, b)]
            if 1 in values:
                raise NeedStatic(self.root_names(form))
            raise self.mismatch(shapes, what)
        unit = [n for n, c in form.terms if abs(c) == 1]
        if not unit:
            raise NeedStatic(self.root_names(form))
        self._guard(form)
        self._guard(form.scaled(-1))
        # The later name gives way to the earlier one.
        order = list(self.present)
        name = max(unit, key=order.index)
        sign = dict(form.terms)[name]
        rest = form.substitute(name, Affine())
        builder.unify(name, rest.scaled(-sign))
        return True

    def same_now(self, a: Dim, b: Dim) -> bool:
        """Are two sizes equal: known, or true of the inputs in the present call, which is then guarded?"""
        form = self.builder.affine(a) - self.builder.affine(b)
        if not form.terms or not self.from_inputs(form):
            return self.builder.same_dim(a, b)
        unit = any(abs(coefficient) == 1 for _, coefficient in form.terms)
        return unit and form.value(self.present) == 0 and self.equal_dims(a, b, ((a,), (b,)), "sizes")

    def mismatch(self, shapes: tuple[Any, Any], what: str) -> ShapeMismatch:
        return ShapeMismatch(
            f"{what}: shapes {self.shown(shapes[0])} and {self.shown(shapes[1])} do not go together",
            self.span,
        )

    def shown(self, dims: Any) -> str:
        """A shape with the sizes of the present call."""
        values = []
        for dim in dims:
            form = self.builder.affine(dim)
            known = self.from_inputs(form)
            values.append(str(form.value(self.present)) if known else str(dim))
        return f"({', '.join(values)}{',' if len(values) == 1 else ''})"

    def check(self, cond: Atom, message: str) -> None:
        """An effect; the message gets the user's line, which is all that a compiled function can say."""
        attempt = self.attempts[-1] if self.attempts else None
        if attempt is not None:
            kind = message.partition(":")[0]
            # Of NumPy's integers a quotient by zero is no exception: the operators of Python's have asked before.
            if attempt.settles(kind, cond, splits=kind != "ZeroDivisionError"):
                return
        span = self.builder.span
        self.builder.check(cond, message if span is None else f"{message} (line {span.line}: {span.text})")

    def marks(self) -> tuple[int, dict[Any, Any], dict[str, bool]]:
        """Where the open region stands, to go back to."""
        return len(self.builder.region), dict(self.builder._known[-1]), dict(self.builder.facts.truths)

    def reset(self, marks: tuple[int, dict[Any, Any], dict[str, bool]]) -> None:
        del self.builder.region[marks[0] :]
        self.builder._known[-1] = dict(marks[1])
        self.builder.facts.truths = dict(marks[2])

    def error(self, kind: type[PullbackError], message: str) -> PullbackError:
        return kind(message, self.span)

    def dtype_error(self, what: str, dtype: Any) -> PullbackError:
        """Operands of this dtype of NumPy's are not supported."""
        why = f"arrays of dtype {dtype} are not supported"
        if dtype.kind == "c":
            why = (
                "complex numbers cannot be traced. Write the real and the imaginary part as values of their own: "
                "np.hypot(re, im) for abs(z), np.arctan2(im, re) for its angle"
            )
        return self.error(TypeMismatch, f"{what}: {why}")

    @contextmanager
    def at(self, span: Span | None) -> Iterator[None]:
        before = self.builder.span
        self.builder.span = span
        try:
            yield
        finally:
            self.builder.span = before


_STATE = threading.local()


def current() -> Session | None:
    return getattr(_STATE, "session", None)


@contextmanager
def tracing(session: Session) -> Iterator[Session]:
    before = current()
    _STATE.session = session
    try:
        yield session
    finally:
        _STATE.session = before
