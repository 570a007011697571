"""Choosing elements: by places, by conditions, on diagonals, in triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom, literal
from ...ir.errors import ShapeMismatch, TypeMismatch, UnsupportedFunction
from ...ir.ops.array import full_slice
from ...ir.program import Atom, Index, Var
from ...ir.types import Dim
from ..session import Session
from ..values.convert import common
from ..values.subscripts import clamp, scatter_add, whole
from ..values.symbol import FUNCTIONS, Array, Scalar, Symbol, as_value, implements, require_session, wrap
from .arguments import (
    array_operand,
    atom_dims,
    axis_argument,
    concrete_size,
    dims_of,
    emit_broadcast,
    emit_transpose,
    integer_atom,
    iota,
    names,
    operand,
    product,
    refuse_options,
    size_symbol,
)
from .bounds import note
from .conditions import flatnonzero
from .elementwise import store_out
from .join import along
from .layout import reshape_gives
from .reduce import flat
from .shape import broadcast

# -- places --------------------------------------------------------------------------------------------


def _indices(value: Any, what: str) -> Any:
    """Places as an integer or an array of integers."""
    if isinstance(value, (int, np.integer)) or (isinstance(value, Scalar) and value.type.dtype == "i64"):
        return value
    x = whole(require_session(), operand(value, what))
    if x.type.dtype != "i64":
        raise x.session.error(TypeMismatch, f"{what}: the indices must be integers, not {x.type}")
    return x


@implements(np.take, method="take")
def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: Any = "raise") -> Any:
    x = array_operand(a, "np.take")
    places = _indices(indices, "np.take")
    if axis is None:
        x, axis = flat(x), 0
    place = axis_argument(axis, x.type.rank, "np.take")
    n = size_symbol(x.session, dim_atom(dims_of(x)[place]))
    if mode == "wrap":
        places = places % n
    elif mode == "clip":
        places = np.clip(places, 0, n - 1)
    elif mode != "raise":
        raise ValueError("clipmode must be one of 'clip', 'raise', or 'wrap'")
    return store_out(x[along(place, places)].copy(), out)


def _aligned(x: Any, places: Any, axis: int, what: str) -> tuple[Any, ...]:
    """The subscript of take_along_axis: the places on one axis, each place itself on the others."""
    session = x.session
    rank = x.type.rank
    if places.type.rank != rank:
        raise session.error(
            ShapeMismatch, f"{what}: `indices` and `arr` must have the same number of dimensions"
        )
    key = []
    for k in range(rank):
        if k == axis:
            key.append(places)
            continue
        if not session.equal_dims(dims_of(x)[k], dims_of(places)[k], (x.type.dims, places.type.dims), what):
            raise session.error(UnsupportedFunction, f"{what}: shapes that only a run can compare")
        grid = iota(session, dims_of(x)[k])
        key.append(grid[tuple(slice(None) if j == k else None for j in range(rank))])
    return tuple(key)


@implements(np.put)
def put(a: Any, ind: Any, v: Any, mode: Any = "raise") -> None:
    refuse_options("np.put", {"mode": None if mode == "raise" else mode})
    if (
        not isinstance(a, Array)
        or reshape_gives(a.session, a, tuple(atom_dims([product(a.session, a.dims)]))) != "view"
    ):
        raise require_session().error(
            UnsupportedFunction, "np.put into an array that is not traced and contiguous. Write a[ind] = v"
        )
    np.ravel(a)[_indices(ind, "np.put")] = v


@implements(method="put")
def _put_method(x: Any, indices: Any, values: Any, mode: Any = "raise") -> None:
    put(x, indices, values, mode)


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    x, places = operand(arr, "np.take_along_axis"), _indices(indices, "np.take_along_axis")
    if axis is None:
        x, axis = flat(x), 0
    place = axis_argument(axis, x.type.rank, "np.take_along_axis")
    return x[_aligned(x, places, place, "np.take_along_axis")]


@implements(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    places = _indices(indices, "np.put_along_axis")
    place = axis_argument(axis, arr.type.rank, "np.put_along_axis")
    arr[_aligned(arr, places, place, "np.put_along_axis")] = values


@implements(np.choose, method="choose")
def choose(a: Any, choices: Any, out: Any = None, mode: Any = "raise") -> Any:
    """From each of several arrays the elements whose place in `a` is its number."""
    places = _indices(a, "np.choose")
    if isinstance(choices, Array):
        choices = [choices[k] for k in range(concrete_size(choices.session, dims_of(choices)[0], "np.choose"))]
    last = len(choices) - 1
    if mode == "wrap":
        places = places % (last + 1)
    elif mode == "raise":
        ok = FUNCTIONS[np.all]((places >= 0) & (places <= last))
        if isinstance(ok, Symbol):
            require_session().check(ok.read(), "ValueError: invalid entry in choice array")
    result = choices[last]
    for k in range(last - 1, -1, -1):
        result = np.where(places <= k, choices[k], result)
    return store_out(result, out)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: Any = "C") -> Any:
    """The place in the array read row by row, of the place on each axis."""
    parts = [_indices(part, "np.ravel_multi_index") for part in multi_index]
    sizes = list(dims) if np.ndim(dims) else [dims]
    if len(parts) != len(sizes) or mode != "raise":
        raise ValueError("parameter multi_index must be a sequence of the length of dims, and mode 'raise'")
    total: Any = 0
    for part, size in zip(parts, sizes) if order == "C" else zip(parts[::-1], sizes[::-1]):
        ok = FUNCTIONS[np.all]((part >= 0) & (part < size))
        if isinstance(ok, Symbol):
            require_session().check(ok.read(), "ValueError: invalid entry in coordinates array")
        total = total * size + part
    return total


def _accumulate_at(sign: int) -> Any:
    def at(a: Any, indices: Any, b: Any = None) -> None:
        if not isinstance(a, Array):
            raise require_session().error(
                UnsupportedFunction, "ufunc.at on an array that is not traced: make it in the traced function"
            )
        scatter_add(a, indices, b if sign > 0 else -operand(b, "np.subtract.at"))

    return at


implements((np.add, "at"))(_accumulate_at(1))
implements((np.subtract, "at"))(_accumulate_at(-1))


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    results = []
    for k, places in enumerate(args):
        x = operand(places, "np.ix_")
        if x.type.rank != 1:
            raise ValueError("Cross index must be 1 dimensional")
        x = flatnonzero(x) if x.type.dtype == "bool" else _indices(x, "np.ix_")
        results.append(x[tuple(slice(None) if j == k else None for j in range(len(args)))])
    return tuple(results)


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0) -> Any:
    places = _indices(operand(x, "np.bincount"), "np.bincount")
    session = places.session
    builder = session.builder
    (dim,) = dims_of(places)
    atom = places.read()
    good = builder.emit("all", builder.emit("ge", atom, 0), (0,))
    builder.check(good, "ValueError: 'list' argument must have no negative elements")
    # One more element in front, so that there is a largest one also if the array is empty.
    longer = FUNCTIONS[np.concatenate]([np.array([-1]), places]) if not _some(session, dim) else places
    size = builder.emit("add", builder.emit("max", longer.read(), (0,)), 1)
    size = builder.emit("maximum", size, as_value(session, minlength)[0], hint="n")
    if isinstance(size, Var):
        builder.facts.bound(size.name, lower=Affine(0))
    values = operand(1 if weights is None else weights, "np.bincount", None if weights is None else float)
    blank: Any = wrap(session, builder.emit("zeros", (size,), values.type.dtype))
    scatter_add(blank, places, values)
    return blank


def _some(session: Session, dim: Dim) -> bool:
    """Is there at least one element?"""
    return session.builder.facts.proves(session.builder.affine(dim) - 1)


# -- diagonals -----------------------------------------------------------------------------------------


def diagonal_places(session: Session, rows: Dim, columns: Dim, offset: Any) -> tuple[Atom, Any, Any]:
    """The length of a diagonal and where it starts."""
    builder = session.builder
    k = builder.affine(integer_atom(offset, "the number of a diagonal"))
    down = clamp(session, k.scaled(-1), Affine(0), None)
    right = k + down
    length = clamp(session, builder.affine(rows) - down, Affine(0), None)
    width = clamp(session, builder.affine(columns) - right, Affine(0), None)
    shorter = builder.holds(width - length)
    if shorter is None:
        size = session.integer("minimum", builder.integer(length), builder.integer(width), hint="n")
        if isinstance(size, Var):
            builder.facts.bound(size.name, lower=Affine(0))
    else:
        size = builder.integer(length if shorter else width, hint="n")
    return size, builder.integer(down), builder.integer(right)


def _shifted(session: Session, size: Atom, start: Atom) -> Atom:
    """start, start + 1, ..., as index array of a length."""
    places = iota(session, size).read()
    return places if start == dim_atom(0) else session.builder.emit("add", places, start)


def diagonal_of(x: Any, offset: Any, axis1: int, axis2: int) -> Any:
    """The diagonal of two axes, as the last axis of a new array."""
    session = x.session
    order = [k for k in range(x.type.rank) if k not in (axis1, axis2)]
    dims = dims_of(x)
    moved = emit_transpose(x, (axis1, axis2, *order))
    size, down, right = diagonal_places(session, dims[axis1], dims[axis2], offset)
    rest = [full_slice(dims[k]) for k in order]
    index = Index((_shifted(session, size, down), _shifted(session, size, right), *rest))
    taken = wrap(session, session.builder.emit("getitem", moved.read(), index))
    return emit_transpose(taken, (*range(1, len(order) + 1), 0))


@implements(np.diagonal, method="diagonal")
def diagonal(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any:
    x = operand(a, "np.diagonal")
    if x.type.rank < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    one, two = (axis_argument(k, x.type.rank, "np.diagonal") for k in (axis1, axis2))
    if one == two:
        raise ValueError("axis1 and axis2 cannot be the same")
    result = diagonal_of(x, offset, one, two)
    result.cell.frozen = "np.diagonal gives a read-only view: write `.copy()` before changing it"
    if isinstance(a, Array):
        result.cell.show([a.cell])
    return result


@implements(*names(np.linalg, "diagonal"))
def linalg_diagonal(x: Any, /, *, offset: Any = 0) -> Any:
    return diagonal(x, offset, -2, -1)


@implements(np.trace, method="trace")
def trace(a: Any, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: Any = None) -> Any:
    return store_out(np.sum(diagonal(operand(a, "np.trace", dtype), offset, axis1, axis2), axis=-1), out)


@implements(*names(np.linalg, "trace"))
def linalg_trace(x: Any, /, *, offset: Any = 0, dtype: Any = None) -> Any:
    return trace(x, offset, -2, -1, dtype)


@implements(np.diag)
def diag(v: Any, k: Any = 0) -> Any:
    x = operand(v, "np.diag")
    if x.type.rank == 2:
        return diagonal(v, k)
    if x.type.rank != 1:
        raise ValueError("Input must be 1- or 2-d.")
    session = x.session
    builder = session.builder
    offset = builder.affine(integer_atom(k, "the number of a diagonal"))
    down = clamp(session, offset.scaled(-1), Affine(0), None)
    right = offset + down
    (dim,) = dims_of(x)
    size = builder.integer(builder.affine(dim) + down + right, hint="n")
    places = [_shifted(session, dim_atom(dim), builder.integer(start)) for start in (down, right)]
    blank = builder.emit("zeros", (size, size), x.type.dtype)
    return wrap(session, builder.emit("at_add", blank, Index(tuple(places)), x.read()))


@implements(np.diagflat)
def diagflat(v: Any, k: Any = 0) -> Any:
    return diag(flat(operand(v, "np.diagflat")), k)


@implements(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: Any = False) -> None:
    if not isinstance(a, Array) or a.type.rank != 2 or wrap:
        raise require_session().error(
            UnsupportedFunction, "np.fill_diagonal of an array that is not a traced matrix, or with wrap=True"
        )
    session = a.session
    rows, columns = dims_of(a)
    size, _, _ = diagonal_places(session, rows, columns, 0)
    places = iota(session, size)
    a[places, places] = val


# -- triangles -----------------------------------------------------------------------------------------


def below_diagonal(session: Session, rows: Dim, columns: Dim, k: Any) -> Any:
    """A mask of what lies on and below the k-th diagonal."""
    down, right = iota(session, rows), iota(session, columns)
    return right[None, :] <= down[:, None] + k


def _below(x: Any, k: Any) -> Any:
    rows, columns = dims_of(x)[-2:]
    return below_diagonal(x.session, rows, columns, k)


@implements(np.tril)
def tril(m: Any, k: Any = 0) -> Any:
    x = operand(m, "np.tril")
    if x.type.rank == 1:
        x = emit_broadcast(x, (dims_of(x)[0], dims_of(x)[0]))
    return np.where(_below(x, k), x, _zero(x))


@implements(np.triu)
def triu(m: Any, k: Any = 0) -> Any:
    x = operand(m, "np.triu")
    if x.type.rank == 1:
        x = emit_broadcast(x, (dims_of(x)[0], dims_of(x)[0]))
    return np.where(_below(x, k - 1), _zero(x), x)


def _zero(x: Any) -> Scalar:
    """0 of the operand's dtype: a Python 0 would make integers of booleans."""
    return Scalar(x.session, literal(0, x.type.dtype))


# -- sorted arrays -------------------------------------------------------------------------------------


@implements(np.searchsorted, method="searchsorted")
def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Any:
    """How many elements of a sorted array lie below each value."""
    x, values = operand(a, "np.searchsorted"), operand(v, "np.searchsorted")
    session = x.session
    if x.type.rank != 1:
        raise ValueError("object too deep for desired array")
    if sorter is not None:
        x = x[_indices(sorter, "np.searchsorted")]
    _require_sorted(x)
    row, wanted = common(session, [x, values], "np.searchsorted")[0]
    found = session.builder.emit("search_left" if side == "left" else "search_right", row, wanted)
    note(session, found, Affine(), session.builder.affine(dims_of(x)[0]))
    return wrap(session, found)


def _require_sorted(x: Array) -> None:
    """What a bisection finds in an array that is not sorted depends on its steps: a check that it is, nan last."""
    if x.dims[0] in (0, 1):
        return
    session = x.session
    falls = x[1:] < x[:-1]
    if x.type.is_float:
        falls = falls | (np.isnan(x[:-1]) & ~np.isnan(x[1:]))
    session.check(FUNCTIONS["not"](np.any(falls)).atom, "TypeError: np.searchsorted of an array that is not sorted")


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    refuse_options("np.interp", {"period": period})
    values, grid, heights = (operand(a, "np.interp", float) for a in (x, xp, fp))
    session = values.session
    if grid.type.rank != 1 or heights.type.rank != 1:
        raise ValueError("object too deep for desired array")
    (dim,) = dims_of(grid)
    heights = broadcast(heights, (dim,), "np.interp")
    n = size_symbol(session, dim_atom(dim))
    if isinstance(n, int) and n == 1:
        inside = heights[0]
    else:
        upper = np.clip(searchsorted(grid, values, "right"), 1, n - 1)
        x0, x1, y0, y1 = grid[upper - 1], grid[upper], heights[upper - 1], heights[upper]
        inside = y0 + (y1 - y0) / (x1 - x0) * (values - x0)
    below = heights[0] if left is None else left
    above = heights[n - 1] if right is None else right
    result = np.where(values < grid[0], below, np.where(values > grid[n - 1], above, inside))
    return result if isinstance(n, int) and n == 1 else np.where(np.isnan(values), values, result)

