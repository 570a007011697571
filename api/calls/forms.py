"""What `grad`, `value_and_grad` and `jit` have in common: find the form that fits a call, or make it."""

from __future__ import annotations

import inspect
import linecache
import pickle
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir.adjoint.checkpoint import Schedule
from ..ir.errors import PullbackError, TracedValueError, TypeMismatch
from ..ir.once import once
from ..ir.passes import optimise
from ..ir.passes.unroll import unroll
from ..ir.program import Program, Span
from ..ir.text import lines
from ..ir.types import DTYPES
from ..runtime import cache, locks, options, timings
from ..runtime.compile import compile_source
from ..stages import IN_SOURCE, Compilation
from ..tracer.trace import Slot, Traced, function_span, trace
from . import kept_traces
from .dispatch import Forms
from .fast_call import Call, no_call
from .frames import as_refusal
from .guards import canonical, guards_fail, matcher, refuse_orders, refuse_overlaps
from .nonfinite import checked_run
from .plain_run import for_user, python_error
from .retraces import Streak
from .tree import Tree, flatten
from .typetext import abstracts

MAX_PINNED = 8
MANY = 20
"""Iterations from which on `timings` mentions that a loop was written out."""
_ARRAY_TYPES = frozenset((np.ndarray, float, int, bool, *(row.numpy.type for row in DTYPES.values())))


class Specialisation:
    """One traced form of a function: its programs, and the compiled code once it was called.

    `kept` is what the disk cache has of it: then the programs are made only when somebody asks for them.
    """

    def __init__(self, traced: Traced, out: Tree, tree: Tree, kept: kept_traces.Kept | None = None):
        self.traced = traced
        self._kept = kept
        self._program = None if kept else _optimised(traced)
        self.out = out
        self.tree = tree
        self.match = matcher(traced)
        self.results = [entry[1] for entry in traced.out_leaves]
        self.lock = locks.make()
        self._compiled: dict[Any, Callable[..., Any]] = {}
        self._programs: dict[tuple[str, Schedule], Program] = {}
        self._sources: dict[str, str] = {}
        self.entries: dict[Any, Any] = {}

    @property
    def program(self) -> Program:
        """The traced program."""
        if self._program is None:
            self._program = pickle.loads(self._kept.program)  # type: ignore[union-attr]
        return self._program

    @once
    def digest(self) -> str:
        """Stands for the program and its lines in keys of the disk cache."""
        if self._kept:
            return self._kept.digest
        written = (f"{line.text}  # {line.span.text if line.span else ''}" for line in lines(self.program))
        return cache.key("\n".join(written))

    def pair(
        self, wrt: tuple[int, ...], split: Callable[..., tuple[Program, Program]]
    ) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """The compiled forward and backward programs."""
        made: list[Program] = []

        def half(k: int) -> Callable[[Program], Program]:
            def make(program: Program) -> Program:
                if not made:
                    made.extend(split(program, wrt))
                return made[k]

            return make

        forward = self.compiled(f"forward {wrt}", half(0), outside=True)
        return forward, self.compiled(f"backward {wrt}", half(1), outside=True)

    def derived(self, kind: str, make: Callable[[Program], Program]) -> Program:
        """The program of this kind (the gradient, ...), made when it is first asked for."""
        key = kind, options.current().checkpoint
        if key not in self._programs:
            with timings.stage("differentiate"):
                program = make(self.program)
            with timings.stage("optimise"):
                self._programs[key] = optimise(program)
        return self._programs[key]

    def source(self, kind: str, make: Callable[[Program], Program]) -> str:
        """The generated Python; from the disk cache if this program was generated before."""
        name = f"{kind} {[(n, getattr(options.current(), n)) for n in IN_SOURCE]}"
        if name not in self._sources:
            key = cache.key(self.digest, name)
            entry = cache.lookup(key)
            if entry is None or not isinstance(entry.get("source"), str):
                derived = self.derived(kind, make)
                with timings.stage("generate"):
                    entry = {"source": Compilation(derived).source}
                cache.store(key, entry)
            self._sources[name] = entry["source"]
        return self._sources[name]

    def compiled(
        self, kind: str, make: Callable[[Program], Program], *, outside: bool = False
    ) -> Callable[..., Any]:
        """The compiled program; with `outside`, to be called from Python only, NumPy allocates its results."""
        settings = options.current()
        key = (kind, settings, outside)
        with self.lock:
            if key not in self._compiled and settings.check_nan:
                self._compiled[key] = self._checked(kind, make)
            if key not in self._compiled:
                source = self.source(kind, make)
                names = re.findall(r"^def (\w+)", source, re.MULTILINE)
                self._compiled[key] = compile_source(
                    source, names[-1], jit=settings.jit, cache_dir=settings.cache_dir, outside=outside
                )
            return self._compiled[key]

    def _checked(self, kind: str, make: Callable[[Program], Program]) -> Callable[..., Any]:
        """The program interpreted, with a look at every value."""
        program = self.derived(kind, make)
        sweep = kind.partition(" ")[0]
        if sweep in ("jit", "forward"):  # the function itself; behind its results is what backward reads
            return checked_run(program, len(self.program.results))
        if sweep == "backward":
            return checked_run(program, len(program.results), takes="saved value")
        return checked_run(program, len(program.results), self.program)


def _optimised(traced: Traced) -> Program:
    with timings.stage("optimise"):
        return optimise(unroll(traced.program))


class Raised(Exception):  # noqa: N818
    """Tracing ended with an exception that is none of ours: the function raises it."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class Traceable:
    """A user's function with its traced forms; the transforms share it."""

    def __init__(self, function: Callable[..., Any]):
        if not callable(function):
            raise TypeMismatch(
                f"expected a function, not {type(function).__name__}: give the function itself, not its value"
            )
        self.function = function
        # By the schedule of checkpoints too, which gradients inside of the function go by.
        self.forms: dict[tuple[Tree, Schedule], Forms] = {}
        self.plain: dict[tuple[int, Schedule], tuple[Tree, Forms]] = {}  # calls with so many positional leaves only
        self.pins: frozenset[Slot] = frozenset()
        self.traces = 0
        self.recalled = 0  # forms that came from the disk instead
        self.hot_vjp: Call = no_call
        self.streak = Streak()
        self._lock = locks.make()
        try:
            self.signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self.signature = None

    @property
    def span(self) -> Span | None:
        """Where the function is written."""
        code = getattr(self.function, "__code__", None)
        if code is None:
            return None
        return Span(
            code.co_filename,
            code.co_firstlineno,
            linecache.getline(code.co_filename, code.co_firstlineno).strip(),
        )

    def find(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        check: Callable[[list[Any], Tree], None] | None = None,
    ) -> tuple[Specialisation, tuple[Any, ...], Sequence[Any], Tree]:
        """The form that fits, the parameters of its program, the leaves and their tree.

        `check` may refuse the leaves before they are traced.
        """
        try:
            return self._find(args, kwargs, check)
        except Raised as raised:
            error = raised.error
        refusal = as_refusal(error)
        own = python_error(self.function, args, kwargs, error)
        raise for_user(refusal) if own is None else own

    def _find(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], check: Callable[[list[Any], Tree], None] | None
    ) -> tuple[Specialisation, tuple[Any, ...], Sequence[Any], Tree]:
        schedule = options.current().checkpoint
        if not kwargs and (len(args), schedule) in self.plain:
            tree, plain = self.plain[len(args), schedule]
            found = plain.match(args)  # a container is of another type than any leaf
            if found is not None:
                return *found, args, tree
        leaves, tree = flatten((args, kwargs))
        forms = self.forms.get((tree, schedule))
        found = None if forms is None else forms.match(leaves)
        if found is not None:
            return *found, leaves, tree
        given = leaves
        leaves = [canonical(leaf) for leaf in leaves]
        found = None if forms is None else forms.match(leaves)
        form, params = found or self._find_or_trace(leaves, tree, check)
        if form.traced.written:  # strided arguments were copied: do they overlap as they were given?
            refuse_overlaps(form.traced, given)
        if form.traced.ordered:
            refuse_orders(form.traced, given, function_span(self.function))
        return form, params, leaves, tree

    def _find_or_trace(
        self, leaves: list[Any], tree: Tree, check: Callable[[list[Any], Tree], None] | None
    ) -> tuple[Specialisation, tuple[Any, ...]]:
        with self._lock:
            schedule = options.current().checkpoint
            forms = self.forms.setdefault((tree, schedule), Forms())
            if not tree.children[1].children and all(c.is_leaf for c in tree.children[0].children):
                self.plain[tree.count, schedule] = tree, forms
            found = forms.match(leaves)
            if found is not None:  # another thread was faster
                return found
            self._check_leaves(leaves, tree)
            if check is not None:
                check(leaves, tree)
            name = kept_traces.key(self.function, leaves, tree)
            form = self._recalled(name, leaves, tree) if name else None
            fresh = form is None
            if form is None:
                pins = self._pins(forms.all, leaves)
                try:
                    form = self.trace(leaves, tree, pins, burn=len(forms.all) < MAX_PINNED)
                except PullbackError:
                    raise
                except Exception as error:
                    raise Raised(error) from None
            params = form.match(leaves)
            if params is None:
                raise TracedValueError(
                    "the call that was traced does not fit its own trace: a hidden input changes while it is read, "
                    "or a property gives another value each time",
                    function_span(self.function),
                )
            if fresh and forms.all and self.streak.traced_again(self.function, forms.all[0].traced, leaves):
                forms.forget(forms.all[0])  # nor would it fit the next call
            forms.add(form, leaves)
            if fresh and name:
                kept_traces.keep(name, self.function, form.traced, form.out, form.program, form.digest)
            return form, params

    def _recalled(self, name: str, leaves: list[Any], tree: Tree) -> Specialisation | None:
        """The form that another process kept on disk, if it is still right and fits."""
        with timings.stage("recall"):
            found = kept_traces.recalled(name, self.function, leaves)
        for traced, kept in found:
            form = Specialisation(traced, kept.out, tree, kept)
            if form.match(leaves) is not None:
                self.recalled += 1
                return form
        return None

    def _pins(self, forms: list[Specialisation], leaves: list[Any]) -> frozenset[Slot]:
        """Sizes to make static: those whose guard failed for this call in a form of the same types."""
        pins: set[Slot] = set()
        for form in forms:
            if form.traced.guards and _fits_but_for_guards(form, leaves):
                # A counter is left alone where it is not its guard that fails: each call would be a trace of its own.
                numbers = {slot for slot in form.traced.guarded if slot[0] == "hidden" and slot[2] < 0}
                pins |= set(form.traced.guarded - numbers)
                if numbers and guards_fail(form.traced, leaves):
                    pins |= numbers
        return frozenset(pins) if len(forms) <= MAX_PINNED else frozenset()

    def trace(
        self, leaves: list[Any], tree: Tree, pins: frozenset[Slot] = frozenset(), *, burn: bool = True
    ) -> Specialisation:
        self.traces += 1
        out: list[Tree] = []

        def flatten_result(value: Any) -> tuple[list[Any], Any]:
            flat, form = flatten(value)
            out.append(form)
            return flat, form

        def rebuild(values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return tree.unflatten(values, construct=False)

        try:
            with timings.stage("trace"):
                traced = trace(
                    self.function, leaves, self.names(tree), rebuild, pins=pins, burn=burn, flatten=flatten_result
                )
        except PullbackError as error:
            raise error.with_traceback(None) from None
        for span, trips in traced.written_out:
            if trips >= MANY:
                timings.note(f"written out {trips} times: line {span.line}, {span.text.strip()}")
        return Specialisation(traced, out[-1], tree)

    def names(self, tree: Tree) -> list[str]:
        """A name for every leaf: the parameter's, and the path inside of it."""
        positional, keywords = tree.children
        roots: list[str] = []
        params = list(self.signature.parameters.values()) if self.signature else []
        plain = [p.name for p in params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        rest = next((p.name for p in params if p.kind is p.VAR_POSITIONAL), "x")
        for k in range(len(positional.children)):
            roots.append(plain[k] if k < len(plain) else f"{rest}_{k - len(plain)}")
        roots += [str(key) for key in keywords.keys]
        children = (*positional.children, *keywords.children)
        paths = [path for root, child in zip(roots, children) for path in child.paths(root)]
        return [re.sub(r"\W+", "_", path).strip("_") for path in paths]

    def _check_leaves(self, leaves: list[Any], tree: Tree) -> None:
        for leaf, name in zip(leaves, tree.paths()):
            if isinstance(leaf, complex):
                raise TypeMismatch(
                    f"argument {_shown_path(name)} is complex: pass the real and the imaginary part"
                )

    def lowered_leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], Tree]:
        """Leaves for `lower`: arrays as they are, type texts such as "f64[n, 3]" as types."""
        leaves, tree = flatten((args, kwargs))
        types = iter(abstracts(leaf for leaf in leaves if isinstance(leaf, str)))
        return [next(types) if isinstance(leaf, str) else canonical(leaf) for leaf in leaves], tree


def _shown_path(path: str) -> str:
    return path.removeprefix("[0]") or path


def _fits_but_for_guards(form: Specialisation, leaves: list[Any]) -> bool:
    for leaf, position in zip(leaves, form.traced.leaves):
        if position is None:
            continue
        given = form.traced.inputs[position].type
        if isinstance(leaf, np.ndarray) and leaf.ndim != given.rank:
            return False
    return True
