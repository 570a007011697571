"""`trace`: run a function once on symbols, out comes a `Traced` program and what it assumed.

Sizes and integers of the inputs are symbols named in the program; where Python needs one of them as a
number the function is traced again with that one static.
"""

from __future__ import annotations

import enum
import functools
import keyword
import re
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.affine import Affine
from ..ir.build import dim_atom
from ..ir.errors import ShapeMismatch, TracedValueError, TypeMismatch, UnsupportedSyntax
from ..ir.primitive import REGISTRY
from ..ir.program import Atom, Let, Node, Program, Span, Var
from ..ir.types import I64, Dim, Type
from ..ir.walk import map_type, substitute
from . import drawn
from . import numpy as _numpy  # noqa: F401
from .calls import call_given
from .control import iterators as _iterators  # noqa: F401  (fills the tables of functions)
from .control.branches import choose
from .depth import deeper
from .naming import equal_sizes, identifier, program_name, tidy_names
from .outside.captures import Found, Hidden
from .outside.examples import INTEGER, Examples
from .outside.paths import Guard, Path
from .outside.shadows import NeedAppend, NeedContent
from .outside.small_sizes import small_sizes
from .outside.stores import Stores, collected
from .raising import PathEnds
from .returned import taken_apart
from .session import NeedConcrete, NeedEqual, NeedStatic, NeedUnrolled, Session, tracing
from .staged_code import Control
from .staging.source import span_of
from .values.exact import with_checks
from .values.foreign import described, is_iterator, refusal
from .values.symbol import Array, Cell, Scalar, Symbol, as_value, dtype_name, refused_dtype, wrap

SIZE_NAMES = ("n", "m", "p", "q", "r", "l", "h", "d")
MAX_RESTARTS = 10_000

Slot = tuple[str, Any, int]
"""An input size or integer: ("leaf", number, axis) or ("hidden", name, axis); axis -1 is the value itself."""


@dataclass(frozen=True)
class Abstract:
    """An input known by type only; sizes are names or numbers, `example` stands in for the names."""

    dtype: str
    dims: tuple[Dim, ...] = ()
    example: int = 5


@dataclass
class Input:
    """One parameter of the traced program: dtype, and per axis the static size or None."""

    name: str
    type: Type
    sizes: tuple[int | None, ...]
    weak: bool
    zero_dim: bool = False  # an array of rank 0, not a scalar


@dataclass
class Traced:
    """A traced function.

    program    the forward program; parameters: the array and number leaves, then the hidden inputs
    inputs     what each parameter was traced for (a static integer has no parameter: `param` is None)
    leaves     for each leaf of the arguments: position among the parameters, or None if it is static
    static     leaves that are no arrays or numbers, or were made static: position -> expected value
    hidden     hidden inputs, in order of the parameters after the leaves
    guards, guarded   Python expression over sizes and integers that must be true, "" if there is none
    size_slots names in `guards` -> (parameter position, axis), axis -1: the value of the integer
    hidden_guards  what else was looked at outside
    results    flat results: the symbol's position, or the static value; `out` has them in the user's structure
    """

    program: Program
    inputs: list[Input]
    leaves: list[int | None]
    static: dict[int, Any]
    hidden: list[Found]
    guards: str
    size_slots: dict[str, tuple[int, int]]
    hidden_guards: list[Guard]
    out: Any
    out_leaves: list[tuple[str, Any, bool]] = field(default_factory=list)
    code: list[types.CodeType] = field(default_factory=list)
    guarded: frozenset[Slot] = frozenset()
    written: frozenset[int] = frozenset()  # parameters that the function writes to
    opaque: tuple[str, ...] = ()  # what nothing can check in another process
    stores: Stores | None = None  # what the call does to things that live on after it
    written_out: tuple[tuple[Span, int], ...] = ()  # loops that the program has once for each iteration, and how many
    ordered: frozenset[int] = frozenset()  # parameters that must be in C order, not only be passed on so


class _Result:
    """Stands for result k of the program in the structure that the user's function returned."""

    __slots__ = ("k", "weak")

    def __init__(self, k: int, weak: bool):
        self.k = k
        self.weak = weak


def trace(
    function: Callable[..., Any],
    leaves: list[Any],
    names: list[str],
    rebuild: Callable[[list[Any]], tuple[tuple[Any, ...], dict[str, Any]]],
    *,
    pins: frozenset[Slot] = frozenset(),
    burn: bool = True,
    flatten: Callable[[Any], tuple[list[Any], Any]],
) -> Traced:
    """Trace function(*args, **kwargs), where rebuild(leaves) gives (args, kwargs).

    leaves   arrays, numbers, `Abstract` types, and other objects (those are static)
    names    a name for each leaf, for the program's parameters
    pins     input sizes and integers to treat as static from the start
    burn     make small sizes static if the program runs over them inside a loop
    """
    known = _Known(pins)
    for _ in range(MAX_RESTARTS):
        run = _Run(function, known.pins, known.examples)
        run.session.hidden.shadows.open = known.appended - known.read
        run.session.hidden.shadows.read = known.read
        try:
            with deeper():
                traced = run.trace(leaves, names, rebuild, flatten)
            small = {run.slots[n] for n in small_sizes(run.session, traced.program)} - known.pins if burn else set()
            if not small:
                return traced
            known.pins |= small
        except (NeedStatic, NeedAppend, NeedContent, NeedEqual, ShapeMismatch) as need:
            known.add(need, run)
        except RecursionError:
            raise UnsupportedSyntax(
                "functions call each other too deep to be traced. Write a loop instead of the recursion",
                run.session.span,
            ) from None
        except NeedUnrolled as need:
            raise TracedValueError(need.advice, need.span) from None
        except NeedConcrete as need:
            raise TracedValueError(
                f"Python needs {need.what}, but it is only known when the program runs: {need.advice}", need.span,
            ) from None  # fmt: skip
    raise AssertionError("each attempt makes more sizes static, and there are finitely many")


class _Known:
    """What attempts so far have found out that the next one must know from its start."""

    def __init__(self, pins: frozenset[Slot]):
        self.pins = pins
        self.examples = Examples()
        self.appended: frozenset[Any] = frozenset()
        self.read: frozenset[Any] = frozenset()

    def add(self, need: Exception, run: _Run) -> None:
        """What an attempt ended with; raises it where it was known already."""
        match need:
            case NeedStatic():
                slots = frozenset(run.slots[n] for n in need.names if n in run.slots)
                if not slots - self.pins:
                    sizes = ", ".join(sorted(need.names))
                    raise TracedValueError(
                        f"Python needs {sizes} as a number here: give it as one (f64[5] instead of f64[n], an int "
                        "instead of i64)", run.session.span,
                    ) from None  # fmt: skip
                self.pins |= slots
            case NeedAppend():
                self.appended |= need.keys
            case NeedContent():
                self.read |= {need.key}
            case NeedEqual():
                if not self.examples.require(need.form):
                    raise need.error.with_traceback(None) from None
            case ShapeMismatch():
                if not run.session.examples or not self.examples.divisible(need):
                    raise (self.examples.failed or need) from None


class _Run:
    """One attempt at tracing."""

    def __init__(self, function: Callable[..., Any], pins: frozenset[Slot], examples: Examples):
        self.function = function
        self.pins = pins
        self.examples = examples
        self.session = Session({})
        self.session.hidden = Hidden(self.session, self.hidden_input, self.drawn_input, self.control)
        self.session.hidden.effects.choose = functools.partial(choose, self.session)
        self.slots: dict[str, Slot] = {}
        self.params: list[Var] = self.session.parameters
        self.origins: list[str] = []
        self.inputs: list[Input] = []
        self.code: list[types.CodeType] = []
        self.argument_cells: dict[int, Cell] = {}
        builder = self.session.builder
        code = getattr(function, "__code__", None)
        if code is not None:
            # The user's names stay free for the user's values.
            builder.names |= set(keyword.kwlist) | {"np", "support", "math"}
        self.taken = set(code.co_varnames) | set(code.co_names) if code is not None else set()
        self.sizes = 1  # where to look for a free name of a size

    def control(self, file: str, function: types.FunctionType) -> Control:
        if function.__code__ not in self.code:
            self.code.append(function.__code__)
        self.session.hidden.staged(function)
        return Control(file, function)

    def trace(self, leaves: list[Any], names: list[str], rebuild: Any, flatten: Any) -> Traced:
        session = self.session
        positions: list[int | None] = []
        static: dict[int, Any] = {}
        symbols: list[Any] = []
        with tracing(session):
            for k, (leaf, name) in enumerate(zip(leaves, names)):
                symbol = self.leaf(k, leaf, name)
                if isinstance(symbol, Symbol):
                    positions.append(len(self.params) - 1)
                else:
                    positions.append(None)
                    static[k] = symbol
                symbols.append(symbol)
            for k, leaf in static.items():  # when all arguments have their parameters
                if leaf is leaves[k]:
                    symbols[k] = session.hidden.object(names[k], leaf, Path("leaf", k))
            args, kwargs = rebuild(symbols)
            session.hidden.object("self", self.function, Path("object", self.function))
            try:
                result = self.call(args, kwargs)
            except PathEnds as end:
                error = end.final()
                raise error.with_traceback(error.__traceback__ or end.__traceback__) from None
            finally:
                changed = session.hidden.restore_outside()
                drawn.restore(session)
            if changed is not None:
                raise UnsupportedSyntax(
                    f"the traced function changes {changed!r}, which lives outside of it: that happens while tracing, "
                    "not at each call. Return the new value instead", function_span(self.function),
                )  # fmt: skip
            session.hidden.shadows.settle()
            return self.finish(result, positions, static, flatten)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return call_given(self.function, args, kwargs)

    # -- inputs --------------------------------------------------------------------------------------

    def leaf(self, k: int, leaf: Any, name: str) -> Any:
        if isinstance(leaf, (str, bytes, bool, type(None))) or callable(leaf):
            return leaf
        why = refusal(leaf, name)
        if why is not None or is_iterator(leaf):
            raise TypeMismatch(f"argument {name} is {described(leaf, why)}")
        return leaf if isinstance(leaf, enum.Enum) else self.input(("leaf", k), name, "", leaf)

    def hidden_input(self, name: str, origin: str, value: Any) -> Any:
        return self.input(("hidden", name), name, origin, value)

    def drawn_input(self, name: str, origin: str, value: Any) -> Any:
        """A number that is another one at each call: nothing may be assumed of it."""
        return self.input(("drawn", name), name, origin, value)

    def input(self, key: tuple[str, Any], name: str, origin: str, value: Any) -> Any:
        dtype, dims, weak, example = self._described(value, name)
        if dtype is None:
            return value
        builder = self.session.builder
        var_name = builder.fresh(identifier(name))
        if dtype == "i64" and not dims and not isinstance(value, Abstract) and (*key, -1) in self.pins:
            builder.names.discard(var_name)
            return int(value) if weak else np.int64(value)
        sizes: list[Dim] = []
        for axis, dim in enumerate(dims):
            slot = (*key, axis)
            if isinstance(dim, int) and (
                dim < 2 or slot in self.pins or key[0] == "drawn" or isinstance(value, Abstract)
            ):
                sizes.append(dim)
                continue
            size_name = dim if isinstance(dim, str) else self._size_name()
            if isinstance(dim, str) and dim in self.slots:
                sizes.append(dim)
                continue
            builder.names.add(size_name)
            self.slots[size_name] = slot
            self._set_present(size_name, dim if isinstance(dim, int) else None, example[axis] if example else 0)
            builder.inputs.add(size_name)
            builder.facts.bound(size_name, lower=Affine(2))
            sizes.append(size_name)
        type_ = Type(dtype, tuple(sizes))
        var = Var(var_name, type_)
        self.params.append(var)
        self.origins.append(origin)
        fixed = tuple(d if isinstance(d, int) else None for d in sizes)
        zero_dim = isinstance(value, np.ndarray) and not dims
        self.inputs.append(Input(var_name, type_, fixed, weak, zero_dim))
        if type_ == I64 and key[0] != "drawn":
            self.slots[var_name] = (*key, -1)
            self._set_present(var_name, None if isinstance(value, Abstract) else int(value), INTEGER)
            builder.inputs.add(var_name)
            self.session.numbers[var_name] = weak
        symbol = self._symbol(value, var, var_name, weak)
        if isinstance(symbol, Array) and key[0] == "leaf":
            self.argument_cells[len(self.params) - 1] = symbol.cell
        return symbol

    def _set_present(self, name: str, value: int | None, example: int) -> None:
        """The value of a size or an integer in this call; if it has none, one that stands in for it."""
        if value is None:
            self.session.examples.add(name)
            value = self.examples.value(name, example)
        self.session.present[name] = value

    def _symbol(self, value: Any, var: Var, var_name: str, weak: bool) -> Any:
        if isinstance(value, np.ndarray) or var.type.dims:
            from_cell = wrap(self.session, var, name=var_name)
            if isinstance(from_cell, Scalar):  # a 0-d array
                return Array(self.session, Cell(self.session, var, var_name))
            return from_cell
        return Scalar(self.session, var, weak)

    def _described(self, value: Any, name: str) -> tuple[str | None, tuple[Dim, ...], bool, tuple[int, ...]]:
        if isinstance(value, Abstract):
            return value.dtype, value.dims, False, tuple(value.example + k for k in range(len(value.dims)))
        if isinstance(value, (int, float)) and not isinstance(value, np.generic):
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise TypeMismatch(f"{name}: the integer {value} does not fit 64 bits")
            return ("i64" if isinstance(value, int) else "f64"), (), True, ()
        if isinstance(value, (np.ndarray, np.generic)):
            dtype = dtype_name(value.dtype)
            if dtype is None:
                raise TypeMismatch(refused_dtype(name, value.dtype))
            return dtype, tuple(value.shape), False, ()
        return None, (), False, ()

    def _size_name(self) -> str:
        names = self.session.builder.names
        for name in SIZE_NAMES:
            if name not in names and name not in self.taken:
                return name
        while f"n{self.sizes}" in names or f"n{self.sizes}" in self.taken:
            self.sizes += 1
        return f"n{self.sizes}"

    # -- the finished program ------------------------------------------------------------------------

    def finish(
        self, result: Any, positions: list[int | None], static: dict[int, Any], flatten: Any
    ) -> Traced:
        session = self.session
        flat, out = taken_apart(session, result, flatten, static)
        atoms, placed = self._placed(flat)
        shared = {entry.k: value for value, entry in zip(flat, placed) if isinstance(entry, _Result)}
        assert not session.unmade, "a transform loses what its function changes"
        stores = collected(session, self.params, positions, shared, atoms)
        program = self._program(atoms)
        return Traced(
            program, self._inputs_of(program), positions, static, session.hidden.inputs, self._guard_expression(),
            self._size_slots(), session.hidden.guards, out, [("", p, isinstance(p, _Result)) for p in placed],
            self.code, self._guarded(),
            frozenset(k for k, cell in self.argument_cells.items() if cell.value != self.params[k]),
            (*session.opaque, *session.unstaged, *["print"][: len(session.printed)], *["stores"][: stores is not None]),
            stores, tuple(session.written_out.items()),
            frozenset(k for k, param in enumerate(self.params) if param.name in session.order.matters),
        )  # fmt: skip

    def _placed(self, flat: list[Any]) -> tuple[list[Atom], list[Any]]:
        """The values that the program returns, and the leaves of the result: for those values their places."""
        session = self.session
        atoms: list[Atom] = []
        placed: list[Any] = []
        for value in flat:
            if isinstance(value, (np.ndarray, np.generic)) or (
                isinstance(value, (float, int)) and not isinstance(value, bool)
            ):
                atom, weak = as_value(session, value, "the result")
                atoms.append(atom)
                placed.append(_Result(len(atoms) - 1, weak))
            elif isinstance(value, Symbol):
                weak = isinstance(value, Scalar) and value.weak
                atoms.append(value.read())
                placed.append(_Result(len(atoms) - 1, weak))
            else:
                placed.append(value)
        return atoms, placed

    def _program(self, atoms: list[Atom]) -> Program:
        """The program: its head, checks of integers, one name for sizes that are equal, names for people."""
        session = self.session
        head = self._head()
        session.builder.region[:] = with_checks(session, session.builder.region)
        name = getattr(self.function, "__name__", "f")
        equal = equal_sizes(session.builder, session.builder.region, self.slots)
        params = tuple(Var(v.name, map_type(v.type, lambda d: equal_dim(equal, d))) for v in self.params)
        body = (*head, *session.builder.region)
        values = {old: dim_atom(new) for old, new in equal.items()}
        body = substitute(body, values)
        results = tuple(_substituted(a, values, equal) for a in atoms)
        program = Program(
            "f" if name == "<lambda>" else program_name(name),
            params,
            tuple(body),
            results,
            tuple(self.origins),
            frozenset(session.builder.names.cotangents),
        )
        return tidy_names(program, frozenset(self.slots), session.builder.wishes)

    def _inputs_of(self, program: Program) -> list[Input]:
        """The inputs, with the sizes that the trace has found to be equal or known."""
        return [
            Input(i.name, v.type, tuple(d if isinstance(d, int) else None for d in v.type.dims), i.weak, i.zero_dim)
            for i, v in zip(self.inputs, program.params)
        ]

    def _head(self) -> list[Node]:
        """The sizes of the inputs, and the guards."""
        nodes: list[Node] = []
        bound: set[str] = set()
        for var in self.params:
            for axis, size in enumerate(var.type.dims):
                if isinstance(size, str) and size not in bound:
                    bound.add(size)
                    nodes.append(Let(Var(size, I64), REGISTRY["dim"], (var, axis)))
        return nodes

    def _guard_expression(self) -> str:
        text = " and ".join(f"{guard} >= 0" for guard in dict.fromkeys(self.session.guards))
        for _ in range(len(self.session.derived)):
            for name, expression in self.session.derived.items():
                text = _replaced(text, name, f"({expression})")
        return text

    def _guarded(self) -> frozenset[Slot]:
        """The sizes and integers that the guards are about."""
        session = self.session
        names = frozenset().union(*(session.root_names(guard) for guard in session.guards))
        return frozenset(self.slots[n] for n in names if n in self.slots)

    def _size_slots(self) -> dict[str, tuple[int, int]]:
        slots: dict[str, tuple[int, int]] = {}
        for k, var in enumerate(self.params):
            if var.type == I64:
                slots[var.name] = (k, -1)
            for axis, size in enumerate(var.type.dims):
                if isinstance(size, str):
                    slots.setdefault(size, (k, axis))
        return slots


def function_span(function: Any) -> Span | None:
    """Where a function is written."""
    code = getattr(function, "__code__", None)
    return None if code is None else span_of(code.co_filename, code.co_firstlineno)


def equal_dim(equal: dict[str, Dim], dim: Dim) -> Dim:
    return equal.get(dim, dim) if isinstance(dim, str) else dim


def _substituted(atom: Atom, values: dict[str, Atom], equal: dict[str, Dim]) -> Atom:
    if isinstance(atom, Var):
        return values.get(atom.name, Var(atom.name, map_type(atom.type, lambda d: equal_dim(equal, d))))
    return atom


def _replaced(text: str, name: str, value: str) -> str:
    return re.sub(rf"\b{name}\b", value, text)
