"""Making arrays, and the attributes that describe them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.build import dim_atom
from ...ir.program import Atom
from ...ir.types import I64
from ..calls import ALWAYS
from ..lists.lists import is_stacked
from ..session import Session
from ..values.convert import broadcast_value, cast
from ..values.subscripts import session_int, whole
from ..values.symbol import (
    FUNCTIONS,
    METHODS,
    Array,
    Cell,
    Symbol,
    as_value,
    dtype_name,
    implements,
    require_session,
    size,
    wrap,
)
from .elementwise import dtype_argument
from .layout import keeps_order, note_reshape, order_from


def creates(*functions: Any) -> Any:
    """Register functions that are traced even without a symbol among the arguments."""
    ALWAYS.update(functions)
    return implements(*functions)


def shape_argument(session: Session, shape: Any) -> tuple[Atom, ...]:
    """A shape that the user wrote, as sizes."""
    if isinstance(shape, (Symbol, int, np.integer)):
        shape = (shape,)
    sizes: list[Atom] = []
    for entry in shape:
        if isinstance(entry, Symbol):
            atom = whole(session, entry).read()
            if atom.type.dtype != "i64" or atom.type.rank:
                raise TypeError("sizes must be integers")
            if not session.ensure(session.builder.affine(atom)):
                nonnegative = session.builder.emit("ge", atom, 0)
                session.check(nonnegative, "ValueError: negative dimensions are not allowed")
            sizes.append(atom)
        else:
            number = session_int(session, entry, "a size")
            if number < 0:
                raise ValueError("negative dimensions are not allowed")
            sizes.append(dim_atom(number))
    return tuple(sizes)


@creates(np.zeros)
def zeros(shape: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    session = require_session()
    return wrap_array(
        session, session.builder.emit("zeros", shape_argument(session, shape), dtype_argument(session, dtype))
    )


def wrap_array(session: Session, atom: Atom) -> Any:
    """A new array: of rank 0 too, which is no number because it can be written to."""
    return wrap(session, atom) if atom.type.rank else Array(session, Cell(session, atom))


@creates(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    session = require_session()
    atom, _weak = as_value(session, fill_value, "np.full")
    if dtype is not None:
        atom = cast(session, atom, dtype_argument(session, dtype))
    sizes = shape_argument(session, shape)
    dims = tuple(int(s.text) if not hasattr(s, "name") else s.name for s in sizes)
    if atom.type.rank:
        atom = broadcast_value(session, atom, dims)
        return wrap(session, atom)
    return wrap_array(session, session.builder.emit("broadcast_to", atom, sizes))


@creates(np.ones)
def ones(shape: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    return full(shape, 1, dtype or float)


@creates(np.empty)
def empty(shape: Any, dtype: Any = None, order: str = "C", **_: Any) -> Any:
    # NumPy leaves the content open; zeros are one choice, and the derivative of what is never written is 0.
    return zeros(shape, dtype)


def _dtype_like(x: Any, dtype: Any) -> Any:
    if dtype is not None:
        return dtype
    if isinstance(x, Symbol):
        return x.type.numpy
    return np.asarray(x).dtype if dtype_name(np.asarray(x).dtype) else None


def _shape_like(x: Any, shape: Any) -> Any:
    return shape_of(x) if shape is None else shape


@creates(np.zeros_like, np.empty_like)
def zeros_like(
    x: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    return _ordered_like(x, order, zeros(_shape_like(x, shape), _dtype_like(x, dtype)))


def _ordered_like(x: Any, order: str, made: Any) -> Any:
    """What `zeros_like` and the others make has the order in memory of their argument."""
    if isinstance(x, Array) and isinstance(made, Array) and x.type.rank > 1 and order != "C":
        found = x.session.order
        found.follows[made.cell.number] = order_from(x.session, x)
        if order == "F" or keeps_order(x.session, x.read()):
            found.unknown.add(made.cell.number)
    return made


@creates(np.ones_like)
def ones_like(
    x: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, **_: Any
) -> Any:
    return _ordered_like(x, order, full(_shape_like(x, shape), 1, _dtype_like(x, dtype)))


@creates(np.full_like)
def full_like(
    x: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    **_: Any,
) -> Any:
    return _ordered_like(x, order, full(_shape_like(x, shape), fill_value, _dtype_like(x, dtype)))


@implements("shape", np.shape)
def shape_of(x: Any) -> tuple[Any, ...]:
    if not isinstance(x, Symbol):
        return np.shape(x)
    return tuple(size(x.session, d) for d in (x.dims if isinstance(x, Array) else ()))


@implements(np.ndim)
def ndim_of(x: Any) -> int:
    return x.type.rank if isinstance(x, Symbol) else np.ndim(x)


@implements(np.size)
def size_of(x: Any, axis: int | None = None) -> Any:
    shape = shape_of(x)
    if axis is not None:
        return shape[axis]
    total: Any = 1
    for entry in shape:
        total = entry * total if isinstance(entry, Symbol) else total * entry
    return total


METHODS["shape"] = property(shape_of)
METHODS["ndim"] = property(ndim_of)
METHODS["size"] = property(size_of)
METHODS["dtype"] = property(lambda x: x.type.numpy)


def _is_text(value: Any) -> bool:
    while isinstance(value, (list, tuple)) and not is_stacked(value) and value:
        value = value[0]
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind in "USMm")


@creates(np.array)
def array(value: Any, dtype: Any = None, copy: Any = True, ndmin: int = 0, order: Any = None, **_: Any) -> Any:
    session = require_session()
    if _is_text(value) and dtype is None:  # decides what is computed, and is not computed with
        text = np.array(value)
        text.flags.writeable = False
        return text
    atom, _weak = as_value(session, value, "np.array")
    if dtype is not None:
        atom = cast(session, atom, dtype_argument(session, dtype))
    if ndmin > atom.type.rank:
        sizes = (*(dim_atom(1) for _ in range(ndmin - atom.type.rank)), *map(dim_atom, atom.type.dims))
        atom = session.builder.emit("reshape", atom, sizes)
    result = wrap(session, atom)
    if isinstance(result, Array) and order == "F" and result.type.rank > 1:
        return in_fortran_order(result)
    if isinstance(result, Array) and (order == "C" or not isinstance(value, Array)):
        session.order.in_order.add(result.cell.number)
    return result


@creates(np.asarray, np.asanyarray)
def asarray(value: Any, dtype: Any = None, order: Any = None, **_: Any) -> Any:
    if isinstance(value, Array) and (dtype is None or value.type.numpy == np.dtype(dtype)):
        if order not in (None, "K", "A") and value.type.rank:
            return _in_order(value, order)
        return value
    return array(value, dtype, order=order)


def _in_order(x: Array, order: str) -> Array:
    """The array itself if it lies in this order, else a copy that does."""
    session = x.session
    if order == "F" and x.type.rank > 1:
        return in_fortran_order(x)
    note_reshape(session, x)
    if x.maps or keeps_order(session, x.cell.value):  # of other sizes it may be in order as it is
        reason = (
            "whether this gives a copy depends on sizes, so a write to the array or to what it gives cannot be "
            "followed. Write `.copy()` instead"
        )
        result = FUNCTIONS[np.copy](x)
        result.cell.freeze(reason)
        x.cell.freeze(reason)
        return result
    return x


def in_fortran_order(x: Array) -> Array:
    """A copy in Fortran's order; the array itself may not be written any more, for it may be in that order."""
    session = x.session
    axes = tuple(reversed(range(x.type.rank)))
    turned = session.builder.emit("copy", session.builder.emit("transpose", x.read(), axes))
    back = session.builder.emit("transpose", turned, axes)
    result = Array(session, Cell(session, back))
    note_reshape(session, x, result)
    return result


@creates(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None, **_: Any) -> Any:
    result = asarray(a, dtype, "C")
    return result if getattr(result, "type", I64).rank else FUNCTIONS[np.reshape](result, (1,))


@creates(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None, **_: Any) -> Any:
    result = asarray(a, dtype)
    if not result.type.rank:
        return FUNCTIONS[np.reshape](result, (1,))
    return _in_order(result, "F")


@creates(np.require)
def require(a: Any, dtype: Any = None, requirements: Any = None, **_: Any) -> Any:
    """How an array lies in memory makes no difference to what is computed."""
    return asarray(a, dtype)


@implements(np.copy)
def copy(x: Any, *_: Any, **__: Any) -> Any:
    session = require_session()
    return wrap(session, as_value(session, x)[0])


@implements(method="copy")
def copy_in_order(x: Any, order: str = "C") -> Any:
    """The method gives an array in C order, which np.copy does not."""
    atom = x.read()
    if atom.type.rank > 1 and order == "C" and keeps_order(x.session, atom):
        atom = x.session.builder.emit("copy", atom)
    result = wrap(x.session, atom)
    if isinstance(result, Array) and order == "C":
        x.session.order.in_order.add(result.cell.number)
    return result
