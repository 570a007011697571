"""What user code computes with while it is traced: `Scalar` (immutable) and `Array` (a view of a cell).

An array is a cell, whose IR value every write replaces, and maps that say which part of the cell it
shows. Two names for one array share the cell, so writes are seen through both, as in NumPy. NumPy's own
functions find their way here by NumPy's protocols; what they mean is in `tracer.numpy`.
"""

from __future__ import annotations

import itertools
import operator
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ...ir.build import dim_atom, literal, number
from ...ir.errors import TracedValueError, TypeMismatch, UnsupportedFunction
from ...ir.program import Atom, Lit, Var
from ...ir.types import I64, Dim, Type, dtype_name
from ..session import NeedStatic, Session, current
from .applied import apply
from .foreign import refusal, title
from .staged_list import Numbers, Optional, StagedList
from .text import may_show
from .view import Strided, with_stops

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What a NumPy, SciPy, math or built-in function means on symbols; `implements` fills it."""
METHODS: dict[str, Any] = {}
"""What an array's methods and attributes (`sum`, `T`) mean on symbols."""


def implements(
    *functions: Any, method: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what these functions (and an array method) mean on symbols."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            FUNCTIONS[function] = implementation
        if method is not None:
            METHODS[method] = implementation
        return implementation

    return register


_PYTHON = {"b": bool, "i": int, "u": int, "f": float}


class Symbol:
    """What scalars and arrays share: Python's operators, NumPy's protocols and methods."""

    __slots__ = ()
    __array_priority__ = 1000.0
    session: Session

    def read(self) -> Atom:
        """The IR value at this moment."""
        raise NotImplementedError

    @property
    def type(self) -> Type:
        raise NotImplementedError

    # -- NumPy's protocols ---------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        key: Any = ufunc if method == "__call__" else (ufunc, method)
        return call_function(
            key, f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}"), inputs, kwargs
        )

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        module = function.__module__.replace("numpy", "np", 1)
        return call_function(function, f"{module}.{function.__name__}", args, kwargs)

    def __array__(self, *_: Any, **__: Any) -> Any:
        asked = self.session.foreign[-1] if self.session.foreign else "a function"
        raise self.session.error(
            UnsupportedFunction,
            f"{asked}, which pullback does not know, asked for the numbers of a traced value: while it is traced it "
            "has none. Write this part with NumPy functions, or pass its result as an argument",
        )

    def __getattr__(self, name: str) -> Any:
        method = METHODS.get(name)
        if method is None:
            if name.startswith("_"):
                raise AttributeError(name)
            if hasattr(np.ndarray, name):
                raise self.session.error(
                    UnsupportedFunction, f"the array attribute or method .{name} cannot be traced"
                )
            if isinstance(self, Scalar) and hasattr(_PYTHON[self.type.numpy.kind], name):
                raise self.session.error(
                    UnsupportedFunction, f"the method or attribute .{name} of a traced number cannot be traced"
                )
            raise AttributeError(f"{type_name(self)!r} object has no attribute {name!r}")
        if isinstance(method, property):
            return method.fget(self)  # type: ignore[misc]
        return method.__get__(self)

    # -- questions only a number can answer ----------------------------------------------------------

    def __bool__(self) -> bool:
        raise self._refuse(
            "bool()", "a branch on a traced value outside of staged code. Use np.where, or write the branch "
            "as an `if` in a function whose source pullback can read",
        )  # fmt: skip

    def __float__(self) -> float:
        raise self._refuse("float()", "call float(x) in the traced function itself, or leave it out")

    def __int__(self) -> int:
        raise self._refuse("int()", "call int(x) in the traced function itself")

    def __index__(self) -> int:
        raise self._refuse("an index", "only integers can be indices")

    def _refuse(self, what: str, advice: str) -> TracedValueError:
        if self.session.unstaged:
            advice = (
                f"the source of {self.session.unstaged[-1]!r} cannot be read (it was typed at a plain prompt, or made "
                "by exec), so its loops and branches cannot be traced. Put it in a file or a notebook"
            )
        return self.session.error(  # type: ignore[return-value]
            TracedValueError, f"{what} of a traced value ({self.type}) has no answer while tracing: {advice}"
        )

    def __getitem__(self, key: Any) -> Any:
        return FUNCTIONS["getitem"](self, key)  # tracer/values/subscripts.py

    def __setitem__(self, key: Any, value: Any) -> None:
        FUNCTIONS["setitem"](self, key, value)

    def __delitem__(self, key: Any) -> None:
        if isinstance(self, Array):
            raise ValueError("cannot delete array elements")
        raise TypeError(f"{type_name(self)!r} object doesn't support item deletion")

    def __hash__(self) -> int:
        if self.type.rank:
            raise TypeError("unhashable type: 'numpy.ndarray'")
        text = "a traced value as an element of a set or a key of a dict: which are equal, only a run knows. Use a list"
        raise self.session.error(UnsupportedFunction, text)

    def __copy__(self, memo: Any = None) -> Any:
        return FUNCTIONS[np.copy](self) if isinstance(self, Array) else self

    __deepcopy__ = __copy__

    def __repr__(self) -> str:
        return self._shown() if may_show(self.session) else repr(self._known())

    def __str__(self) -> str:
        return self._shown() if may_show(self.session) else str(self._known())

    def __format__(self, spec: str) -> str:
        return self._shown() if may_show(self.session) else format(self._known(), spec)

    def _shown(self) -> str:
        atom = self.read()
        name = atom.text if isinstance(atom, Lit) else atom.name
        return f"<traced {name}: {self.type}>"

    def _known(self) -> Any:
        """The number, for its text: where it is not known, nothing may be computed from a symbol's name."""
        advice = (
            "what is computed from it would be computed from a name. Text of traced values can be printed, logged, "
            "or be the message of an assert or a raise, written there; leave it out elsewhere"
        )
        if self.session.unstaged:
            advice = (
                f"the source of {self.session.unstaged[-1]!r} cannot be read (it was typed at a plain prompt, or made "
                "by exec), so where the text goes cannot be seen. Put it in a file or a notebook, or leave the text out"
            )
        raise self.session.error(
            TracedValueError, f"the text of a traced value ({self.type}) is not known while tracing: {advice}"
        )


def type_name(value: Any) -> str:
    """The name of the type that the value has for the user, as Python's messages give it."""
    kind = FUNCTIONS[type](value)
    return f"numpy.{kind.__name__}" if kind.__module__ == "numpy" else str(kind.__name__)


class Scalar(Symbol):
    """A traced number. `weak` numbers come from Python and take the dtype of what they meet (NEP 50)."""

    __slots__ = ("session", "atom", "weak")

    def __init__(self, session: Session, atom: Atom, weak: bool = False):
        self.session = session
        self.atom = atom
        self.weak = weak

    def read(self) -> Atom:
        return self.atom

    @property
    def type(self) -> Type:
        return self.atom.type

    def __bool__(self) -> bool:
        if isinstance(self.atom, Lit):
            return bool(number(self.atom))
        sources = self.session.condition_sources(self.atom)
        if sources:
            raise NeedStatic(sources)  # sizes alone decide it
        return super().__bool__()

    def __iter__(self) -> Iterator[Any]:
        raise TypeError(f"a traced number ({self.type}) is not iterable")

    def __index__(self) -> int:
        if self.type != I64:
            return super().__index__()
        return self.session.concrete(self.atom, "the number itself")

    def __hash__(self) -> int:
        return hash(self.__index__()) if self.type == I64 else super().__hash__()

    def __int__(self) -> int:
        return self.__index__() if self.type == I64 else super().__int__()

    def _known(self) -> Any:
        if self.type != I64:
            return super()._known()
        known = self.session.concrete(self.atom, "the text of a number")
        return known if self.weak else np.int64(known)


_NUMBERS = itertools.count()


class Cell:
    """The content of an array: its IR value now. `frozen` says why it may not be written any more.

    `shows` are cells that it may be a view of, with their values: it holds what the view shows while they have them.
    """

    __slots__ = ("value", "frozen", "name", "number", "origins", "shows", "__weakref__")

    def __init__(self, session: Session, value: Atom, name: str = "t"):
        self.value = value
        self.name = name
        self.frozen: str | None = None
        self.number = next(_NUMBERS)
        self.origins = frozenset((self.number,))  # what it may be the array of, after a join or loop
        self.shows: tuple[tuple[Cell, Atom], ...] = ()
        session.cells.append(weakref.ref(self))

    def show(self, bases: Iterable[Cell]) -> None:
        """It may be a view of these, whose content it has now: it may not be written, nor read after they are."""
        self.shows = tuple((cell, cell.value) for cell in bases)
        if self.shows and self.frozen is None:
            self.frozen = (
                f"{self.name!r} may show memory of {self.shows[0][0].name!r} or be an array of its own: a write to it "
                "cannot be followed. Write `.copy()` where it is bound"
            )

    def freeze(self, reason: str) -> None:
        """Its content is held elsewhere, too: neither it nor what it may show may be written."""
        for cell in (self, *(base for base, _ in self.shows)):
            cell.frozen = cell.frozen or reason


class Array(Symbol):
    """A view of a cell through maps: `Strided` subscripts, or a new shape (a tuple of sizes)."""

    __slots__ = ("session", "cell", "maps")

    def __init__(self, session: Session, cell: Cell, maps: tuple[Strided | tuple[Dim, ...], ...] = ()):
        self.session = session
        self.cell = cell
        self.maps = maps

    @property
    def dims(self) -> tuple[Dim, ...]:
        if not self.maps:
            return self.cell.value.type.dims
        last = self.maps[-1]
        return last.dims if isinstance(last, Strided) else last

    @property
    def type(self) -> Type:
        return self.cell.value.type.with_dims(self.dims)

    def read(self) -> Atom:
        for base, value in self.cell.shows:
            if base.value is not value:
                raise self.session.error(
                    UnsupportedFunction,
                    f"{self.cell.name!r} may be an array of its own or show memory of {base.name!r}, which has been "
                    "written since. Write `.copy()` where it is bound",
                )
        return self.content()

    def content(self) -> Atom:
        """The value of the cell through the maps, whatever it may show."""
        value = self.cell.value
        for step in self.maps:
            value = read_map(self.session, value, step)
        return value

    def write(self, value: Atom) -> None:
        """Make this view show `value` (of exactly its shape, or a scalar)."""
        if self.cell.frozen:
            raise self.session.error(UnsupportedFunction, self.cell.frozen)
        self.session.order.write(self.cell)
        self.cell.value = write_maps(self.session, self.cell.value, self.maps, value, self.cell.name)

    def mapped(self, step: Strided | tuple[Dim, ...]) -> Array:
        return Array(self.session, self.cell, (*self.maps, step))

    def strided(self, change: Callable[[Strided], Strided]) -> Array:
        """The view of this view that `change` makes of its index map."""
        if self.maps and isinstance(self.maps[-1], Strided):
            return Array(self.session, self.cell, (*self.maps[:-1], change(self.maps[-1])))
        return self.mapped(change(Strided.whole(self.dims)))

    @property
    def contiguous(self) -> bool:
        """Does the view surely show a contiguous stretch of memory, in order?"""
        return all(_contiguous(step) for step in self.maps if isinstance(step, Strided))

    def __bool__(self) -> bool:
        if self.type.rank == 0:
            return bool(Scalar(self.session, self.read()))
        return super().__bool__()

    def __index__(self) -> int:
        if self.type == I64:
            return Scalar(self.session, self.read()).__index__()
        return super().__index__()

    def __len__(self) -> int:
        if not self.dims:
            raise TypeError("len() of unsized object")
        return operator.index(size(self.session, self.dims[0]))

    def __iter__(self) -> Iterator[Any]:
        for k in range(len(self)):
            yield self[k]


def _contiguous(step: Strided) -> bool:
    """Leading fixed axes, at most one partial run, then whole axes, in order: whole-ness is not provable
    without the base's sizes, so only what every base allows counts: fixed axes first, then one run."""
    runs = [i for i in step.items if not hasattr(i, "at")]
    outs = [i.out for i in runs]
    lead = len(step.items) - len(runs)
    fixed_first = all(hasattr(i, "at") for i in step.items[:lead])
    return fixed_first and outs == sorted(outs) and len(runs) == 1 and runs[0].step == 1


def read_map(session: Session, value: Atom, step: Strided | tuple[Dim, ...]) -> Atom:
    builder = session.builder
    if not isinstance(step, Strided):
        return builder.emit("reshape", value, tuple(map(dim_atom, step)))
    base, axes, new = step.split()
    value = builder.emit("getitem", value, with_stops(builder, base))
    if axes is not None:
        value = builder.emit("transpose", value, axes)
    return value if new is None else builder.emit("getitem", value, new)


def write_maps(session: Session, base: Atom, maps: tuple[Any, ...], value: Atom, name: str) -> Atom:
    """The base with the part that the maps show replaced."""
    builder = session.builder
    if not maps:
        if value.type.dims != base.type.dims:
            shape = tuple(map(dim_atom, base.type.dims))
            return builder.emit("broadcast_to", value, shape, hint=name)
        return value
    step, rest = maps[0], maps[1:]
    if rest:
        value = write_maps(session, read_map(session, base, step), rest, value, "t")
    if not isinstance(step, Strided):
        return builder.emit(
            "reshape", _whole(session, value, step), tuple(map(dim_atom, base.type.dims)), hint=name
        )
    index, axes, new = step.split()
    if value.type.dims and new is not None:
        kept = tuple(d for d, item in zip(value.type.dims, new.items) if item is not None)
        value = builder.emit("reshape", value, tuple(map(dim_atom, kept)))
    if value.type.dims and axes is not None:
        value = builder.emit("transpose", value, tuple(axes.index(k) for k in range(len(axes))))
    return builder.emit("at_set", base, with_stops(builder, index), value, hint=name)


def _whole(session: Session, value: Atom, dims: tuple[Dim, ...]) -> Atom:
    if value.type.dims == dims:
        return value
    return session.builder.emit("broadcast_to", value, tuple(map(dim_atom, dims)))


# -- making symbols of values and the other way round ------------------------------------------------


def require_session() -> Session:
    session = current()
    if session is None:
        raise TracedValueError(
            "a traced value was used outside of the call that traced it. Return it from the function instead of "
            "keeping it in a global, an attribute or a closure"
        )
    return session


def wrap(session: Session, atom: Atom, *, weak: bool = False, name: str | None = None) -> Scalar | Array:
    """The symbol of an IR value; an array gets a cell of its own."""
    if atom.type.rank == 0:
        return Scalar(session, atom, weak)
    hint = name or (atom.name if isinstance(atom, Var) else "t")
    return Array(session, Cell(session, atom, hint))


def size(session: Session, dim: Dim) -> int | Scalar:
    """A size as user code sees it: a number, or a traced integer."""
    dim = session.builder.canonical_dim(dim)
    return dim if isinstance(dim, int) else Scalar(session, Var(dim, I64), weak=True)


def is_symbol(value: Any) -> bool:
    return isinstance(value, Symbol)


def has_symbol(value: Any) -> bool:
    """Is the value a symbol, or a container with one?"""
    if isinstance(value, (Symbol, Optional)) or (isinstance(value, StagedList) and value.rows is not None):
        return True
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, Numbers) or any(map(has_symbol, items))


PythonNumber = (bool, int, float)


def as_value(session: Session, value: Any, what: str = "this operation") -> tuple[Atom, bool]:
    """The IR value of an operand and whether it is weak: symbols, numbers, arrays, nested lists."""
    if isinstance(value, Scalar):
        return value.atom, value.weak
    if isinstance(value, Array):
        return value.read(), False
    if isinstance(value, PythonNumber) and not isinstance(value, np.generic):  # np.float64 is a float, but not weak
        dtype = "bool" if isinstance(value, bool) else "i64" if isinstance(value, int) else "f64"
        if dtype == "i64" and not -(2**63) <= value < 2**63:
            raise session.error(TypeMismatch, f"{what}: the integer {value} does not fit 64 bits")
        return literal(value, dtype), True
    if isinstance(value, complex):  # NumPy's complex128 is one
        raise session.dtype_error(what, np.dtype(complex))
    if isinstance(value, (np.number, np.bool_)):
        dtype_ = _dtype(session, value.dtype, what)
        return literal(value, dtype_), False
    why = refusal(value)
    if why is not None:
        raise session.error(TypeMismatch, f"{what} of {title(value)}: {why}")
    if isinstance(value, (np.ndarray, list, tuple)):
        return session.hidden.constant(session, value, what), False
    if isinstance(value, Numbers):
        return value.numbers().read(), False
    raise session.error(TypeMismatch, f"{what} of a {type(value).__name__}: expected an array or a number")


def _dtype(session: Session, dtype: Any, what: str) -> str:
    from_numpy = dtype_name(dtype)
    if from_numpy is None:
        raise session.dtype_error(what, np.dtype(dtype))
    return from_numpy


def refused_dtype(name: str, dtype: Any) -> str:
    kind = np.dtype(dtype).kind
    advice = {
        "c": "complex numbers cannot be differentiated: pass the real and the imaginary part",
        "O": "an array of objects: convert it with np.asarray(x, dtype=float)",
        "U": "an array of strings: encode it as integers",
        "S": "an array of bytes: encode it as integers",
        "M": "an array of dates: convert it to numbers, e.g. (x - x[0]) / np.timedelta64(1, 's')",
        "m": "an array of time differences: convert it to numbers, e.g. x / np.timedelta64(1, 's')",
    }.get(kind, "use float64 or float32")
    return f"argument {name} has dtype {dtype}: {advice}"


def call_function(key: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call what a function means on symbols, or refuse it by name."""
    implementation = FUNCTIONS.get(key) or FUNCTIONS["scipy.special"](key) or FUNCTIONS["declared"](key)
    session = require_session()
    if implementation is None:
        raise session.error(UnsupportedFunction, f"{name} cannot be traced: pullback has no rule for it")
    function = getattr(key[0], key[1]) if isinstance(key, tuple) else key
    return apply(session, function, name, implementation, args, kwargs)
