"""Functions of NumPy's that call a function of the user's for each element or row: written as loops, and staged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..calls import ALWAYS, CALLED, call, own
from ..values.symbol import FUNCTIONS, implements, require_session
from .arguments import array_operand, axis_argument, require_elements


def _each(f, shape, columns, otypes):
    found = [f(*values) for values in zip(*columns)]
    if isinstance(found[0], tuple):
        return tuple(
            np.array([one[k] for one in found], None if otypes is None else otypes[k]).reshape(shape)
            for k in range(len(found[0]))
        )
    return np.array(found, None if otypes is None else otypes[0]).reshape(shape)


def _each_of_one(f, shape, column, otypes):
    found = [f(value) for value in column]
    if isinstance(found[0], tuple):
        return tuple(
            np.array([one[k] for one in found], None if otypes is None else otypes[k]).reshape(shape)
            for k in range(len(found[0]))
        )
    return np.array(found, None if otypes is None else otypes[0]).reshape(shape)


def _along(f, axis, array, args, kwargs):
    moved = np.moveaxis(array, axis, -1)
    found = np.array([f(row, *args, **kwargs) for row in moved.reshape((-1, moved.shape[-1]))])
    inner = found.ndim - 1
    result = found.reshape((*moved.shape[:-1], *found.shape[1:]))
    for k in range(inner):
        result = np.moveaxis(result, result.ndim - inner + k, axis + k)
    return result


def _from_iterable(iterable, dtype):
    return np.array([value for value in iterable], dtype)  # noqa: C416  (what a comprehension runs over is staged)


def _floats(x):
    return [float(value) for value in x]


def _integers(x):
    return [int(value) for value in x]


def _booleans(x):
    return [bool(value) for value in x]


def _rows(x):
    return [row.tolist() for row in x]


def _run(function: Callable[..., Any], *args: Any) -> Any:
    return own(function)(*args)


def _vectorized(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of an np.vectorize object."""
    session = require_session()
    if kwargs or function.excluded or function.signature is not None:
        raise session.error(
            UnsupportedFunction,
            "np.vectorize with excluded=, signature= or arguments by name cannot be traced. Write a loop over the "
            "elements",
        )
    otypes = None if function.otypes is None else tuple(np.dtype(t) for t in function.otypes)
    arrays = [array_operand(a, "np.vectorize") for a in args]
    if all(a.type.rank == 0 for a in arrays):
        return FUNCTIONS[np.array](call(function.pyfunc, args, {}))
    if len(arrays) > 1:
        arrays = list(FUNCTIONS[np.broadcast_arrays](*arrays))
    shape = FUNCTIONS["shape"](arrays[0])
    if otypes is None:
        message = "cannot call `vectorize` on size 0 inputs unless `otypes` is set"
        require_elements(session, arrays[0].type.dims, message)
    elif 0 in arrays[0].type.dims:
        empty = tuple(FUNCTIONS[np.zeros](shape, t) for t in otypes)
        return empty if len(empty) > 1 else empty[0]
    columns = [FUNCTIONS[np.ravel](a) for a in arrays]
    if len(columns) == 1:
        return _run(_each_of_one, function.pyfunc, shape, columns[0], otypes)
    return _run(_each, function.pyfunc, shape, columns, otypes)


CALLED[np.vectorize] = _vectorized


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Any, axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Any:
    array = array_operand(arr, "np.apply_along_axis")
    place = axis_argument(axis, array.type.rank, "np.apply_along_axis")
    return _run(_along, func1d, place, array, args, kwargs)


@implements(np.apply_over_axes)
def apply_over_axes(func: Any, a: Any, axes: Any) -> Any:
    x = array_operand(a, "np.apply_over_axes")
    for axis in axes if isinstance(axes, (tuple, list)) else (axes,):
        place = axis_argument(axis, x.type.rank, "np.apply_over_axes")
        found = call(func, (x, place), {})
        x = found if found.type.rank == x.type.rank else FUNCTIONS[np.expand_dims](found, place)
    return x


@implements(np.fromiter)
def fromiter(iter: Any, dtype: Any, count: Any = -1, **_: Any) -> Any:  # noqa: A002  (NumPy's name)
    found = _run(_from_iterable, iter, dtype)
    return found if isinstance(count, int) and count == -1 else found[:count]


ALWAYS.add(np.fromiter)


@implements(method="tolist")
def tolist(x: Any) -> Any:
    """A list of Python's numbers, of lists for more than one axis; of a number the number."""
    if x.type.rank == 0:
        kinds: dict[str, Callable[[Any], Any]] = {"f": float, "b": bool}
        return FUNCTIONS[kinds.get(x.type.numpy.kind, int)](x)
    if x.type.rank > 1:
        return _run(_rows, x)
    return _run({"f": _floats, "b": _booleans}.get(x.type.numpy.kind, _integers), x)


