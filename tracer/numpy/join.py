"""Joining, splitting, repeating and padding arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.program import Var
from ...ir.types import I64, Dim
from ..values.convert import cast, result_dtype
from ..values.subscripts import resolve_place
from ..values.symbol import Array, Symbol, as_value, implements, require_session, wrap
from .arguments import (
    array_operand,
    atom_dims,
    axes_argument,
    axis_argument,
    dims_of,
    emit_reshape,
    holds_now,
    integer_argument,
    integer_atom,
    names,
    operand,
    product,
    refuse_options,
    same_size,
    size_symbol,
    sum_of_sizes,
)
from .elementwise import dtype_argument, store_out
from .reduce import flat
from .shape import expand_dims, moveaxis, swapaxes, transpose


def along(axis: int, part: Any) -> tuple[Any, ...]:
    """The subscript that applies `part` on one axis."""
    return (*(slice(None),) * axis, part)


# -- joining -------------------------------------------------------------------------------------------


def joined(parts: Sequence[Any], axis: int, what: str, dtype: Any = None) -> Any:
    """The parts, which have one rank, one after the other along an axis."""
    session = require_session()
    builder = session.builder
    values = [as_value(session, p, what) for p in parts]
    name = result_dtype(values)[0] if dtype is None else dtype_argument(session, dtype)
    atoms = [cast(session, atom, name) for atom, _ in values]
    first = atoms[0].type
    for k, atom in enumerate(atoms):
        if atom.type.rank != first.rank:
            raise session.error(
                ShapeMismatch,
                f"{what}: all arrays must have the same number of dimensions, not {first.rank} and {atom.type.rank}",
            )
        shapes = (first.dims, atom.type.dims)
        for other in range(first.rank):
            if other != axis:
                atoms[k] = same_size(session, atoms[k], other, first.dims[other], shapes, what)
    size = sum_of_sizes(session, [a.type.dims[axis] for a in atoms])
    return wrap(session, builder.emit("concatenate", tuple(atoms), axis, dim_atom(size)))


@implements(np.concatenate)
def concatenate(
    arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = None
) -> Any:
    refuse_options("np.concatenate", {"casting": casting})
    if isinstance(arrays, Array):
        return store_out(_merged_rows(arrays, axis, dtype), out)
    parts = [operand(a, "np.concatenate") for a in arrays]
    if not parts:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        parts, axis = [flat(p) for p in parts], 0
    if parts[0].type.rank == 0:
        raise require_session().error(ShapeMismatch, "zero-dimensional arrays cannot be concatenated")
    place = axis_argument(axis, parts[0].type.rank, "np.concatenate")
    return store_out(joined(parts, place, "np.concatenate", dtype), out)


def _merged_rows(x: Array, axis: Any, dtype: Any) -> Any:
    """np.concatenate of one array: its first axis and the one after it become one."""
    if axis is None:
        return operand(flat(x), "np.concatenate", dtype)
    place = axis_argument(axis, x.type.rank - 1, "np.concatenate")
    moved = operand(moveaxis(x, 0, place), "np.concatenate", dtype)
    dims = dims_of(moved)
    merged = product(x.session, dims[place : place + 2])
    sizes: list[Dim] = [*dims[:place], *atom_dims([merged]), *dims[place + 2 :]]
    return emit_reshape(moved, sizes)


@implements(np.stack)
def stack(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: Any = None) -> Any:
    refuse_options("np.stack", {"casting": casting})
    if isinstance(arrays, Array):
        place = axis_argument(axis, arrays.type.rank, "np.stack")
        return store_out(operand(moveaxis(arrays, 0, place), "np.stack", dtype), out)
    parts = [operand(a, "np.stack") for a in arrays]
    if not parts:
        raise ValueError("need at least one array to stack")
    place = axis_argument(axis, parts[0].type.rank + 1, "np.stack")
    for part in parts:
        if part.type.rank != parts[0].type.rank:
            raise require_session().mismatch((parts[0].type.dims, part.type.dims), "np.stack")
    return store_out(joined([expand_dims(p, place) for p in parts], place, "np.stack", dtype), out)


def _parts(arrays: Any, what: str) -> list[Any]:
    return [operand(a, what) for a in arrays]


@implements(*names(np, "vstack", "row_stack"))
def vstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    return concatenate([np.atleast_2d(p) for p in _parts(tup, "np.vstack")], 0, dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    parts = [np.atleast_1d(p) for p in _parts(tup, "np.hstack")]
    return concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup: Any) -> Any:
    return concatenate([np.atleast_3d(p) for p in _parts(tup, "np.dstack")], 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Any:
    parts = _parts(tup, "np.column_stack")
    return concatenate([p if p.ndim > 1 else transpose(np.atleast_2d(p)) for p in parts], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Any:
    parts = [operand(arr, "np.append"), operand(values, "np.append")]
    return concatenate(parts, axis)


def insert_at(arr: Any, obj: Any, values: Any, axis: Any) -> Any:
    """np.insert at one place."""
    x, place, at = _one_place(arr, obj, axis, 1, "np.insert")
    value = operand(values, "np.insert", x.type.numpy)
    if value.type.rank == 0:
        value = np.broadcast_to(value, tuple(1 if k == place else s for k, s in enumerate(x.shape)))
    elif value.type.rank == x.type.rank - 1:
        value = expand_dims(value, place)
    elif x.type.rank != 1:
        raise x.session.error(
            UnsupportedFunction, "np.insert of several slices cannot be traced. Use np.concatenate"
        )
    parts = [x[along(place, slice(None, at))], value, x[along(place, slice(at, None))]]
    return joined(parts, place, "np.insert")


def delete_at(arr: Any, obj: Any, axis: Any) -> Any:
    """np.delete of one place."""
    x, place, at = _one_place(arr, obj, axis, 0, "np.delete")
    parts = [x[along(place, slice(None, at))], x[along(place, slice(at + 1, None))]]
    return joined(parts, place, "np.delete")


def is_place(obj: Any) -> bool:
    return isinstance(obj, (int, np.integer)) or (isinstance(obj, Symbol) and obj.type == I64)


def _one_place(arr: Any, obj: Any, axis: Any, more: int, what: str) -> tuple[Any, int, Any]:
    """The array, the axis, and a place on it that is less than its size + more, counted from the start."""
    x = operand(arr, what)
    session = x.session
    if axis is None:
        x, axis = flat(x), 0
    place = axis_argument(axis, x.type.rank, what)
    length = session.builder.affine(dims_of(x)[place])
    size = atom_dim(session.builder.integer(length + more))
    # np.insert counts negative places from the end of the array, not from where one more would be.
    atom = as_value(session, obj)[0]
    negative = session.builder.affine(atom)
    if more and not negative.terms and negative.constant < 0:
        atom = session.builder.integer(negative + length)
    elif more and not session.builder.facts.proves(negative):
        wrapped = session.builder.integer(negative + length)
        atom = session.builder.emit("where", session.builder.emit("lt", atom, 0), wrapped, atom)
    return x, place, size_symbol(session, resolve_place(session, atom, size, place))


@implements(np.block)
def block(arrays: Any) -> Any:
    def depth(value: Any) -> int:
        return 1 + max(map(depth, value)) if isinstance(value, list) else 0

    levels = depth(arrays)
    rank = max(levels, *(p.type.rank for p in _leaves(arrays)))

    def build(value: Any, level: int) -> Any:
        if not isinstance(value, list):
            x = operand(value, "np.block")
            return emit_reshape(x, (*(1,) * (rank - x.type.rank), *dims_of(x)))
        return joined([build(v, level + 1) for v in value], rank - levels + level, "np.block")

    return build(arrays, 0)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [operand(value, "np.block")]


# -- splitting -----------------------------------------------------------------------------------------


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    x = array_operand(ary, "np.array_split")
    place = axis_argument(axis, x.type.rank, "np.array_split")
    n = size_symbol(x.session, dim_atom(dims_of(x)[place]))
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        ends = [0, *indices_or_sections, n]
    else:
        sections = integer_argument(indices_or_sections, "np.array_split")
        if sections <= 0:
            raise ValueError("number sections must be larger than 0.")
        # The first n % sections parts are one longer than the others.
        ends = [0]
        for k in range(sections):
            ends.append(ends[-1] + (n + (sections - 1 - k)) // sections)
    return [x[along(place, slice(start, end))] for start, end in zip(ends, ends[1:])]


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Any]:
    x = array_operand(ary, "np.split")
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        return array_split(x, indices_or_sections, axis)
    session = x.session
    sections = integer_argument(indices_or_sections, "np.split")
    place = axis_argument(axis, x.type.rank, "np.split")
    dim = dims_of(x)[place]
    part = session.integer("floordiv", dim_atom(dim), dim_atom(sections), hint="n")
    size = session.builder.integer(session.builder.affine(part).scaled(sections))
    (whole,) = atom_dims([size])
    form = session.builder.affine(whole) - session.builder.affine(dim)
    message = "array split does not result in an equal division"
    if session.from_inputs(form):
        if form.value(session.present):
            raise session.error(ShapeMismatch, message)
        session.ensure(form)
        session.ensure(form.scaled(-1))
    else:
        session.builder.check(session.builder.emit("eq", size, dim_atom(dim)), f"ValueError: {message}")
    length = size_symbol(session, part)
    return [x[along(place, slice(k * length, (k + 1) * length))] for k in range(sections)]


def _split_on(axis: int, function: Any) -> None:
    @implements(function)
    def split_on(ary: Any, indices_or_sections: Any) -> list[Any]:
        x = array_operand(ary, function.__name__)
        place = 0 if axis == 1 and x.type.rank == 1 else axis
        return split(x, indices_or_sections, place)


for _axis, _function in enumerate((np.vsplit, np.hsplit, np.dsplit)):
    _split_on(_axis, _function)


def unstack(x: Any, /, *, axis: Any = 0) -> tuple[Any, ...]:
    x = array_operand(x, "np.unstack")
    place = axis_argument(axis, x.type.rank, "np.unstack")
    return tuple(moveaxis(x, place, 0))


implements(*names(np, "unstack"))(unstack)

# -- turning around ------------------------------------------------------------------------------------


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Any:
    x = array_operand(m, "np.flip")
    axes = axes_argument(axis, x.type.rank, "np.flip")
    return x[tuple(slice(None, None, -1) if k in axes else slice(None) for k in range(x.type.rank))]


@implements(np.flipud)
def flipud(m: Any) -> Any:
    return flip(m, 0)


@implements(np.fliplr)
def fliplr(m: Any) -> Any:
    return flip(m, 1)


@implements(np.rot90)
def rot90(m: Any, k: Any = 1, axes: Any = (0, 1)) -> Any:
    x = array_operand(m, "np.rot90")
    one, two = (axis_argument(a, x.type.rank, "np.rot90") for a in axes)
    turns = integer_argument(k, "np.rot90") % 4
    if turns == 0:
        return x[...]
    if turns == 2:
        return flip(flip(x, one), two)
    if turns == 1:
        return swapaxes(flip(x, two), one, two)
    return flip(swapaxes(x, one, two), two)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Any:
    x = operand(a, "np.roll")
    if axis is None:
        if isinstance(shift, (tuple, list)):
            shift = sum(shift)
        return emit_reshape(_rolled(flat(x), shift, 0), dims_of(x))
    axes = [
        axis_argument(k, x.type.rank, "np.roll")
        for k in (axis if isinstance(axis, (tuple, list)) else (axis,))
    ]
    shifts = list(shift) if isinstance(shift, (tuple, list)) else [shift] * len(axes)
    if len(axes) == 1:
        axes *= len(shifts)
    if len(shifts) == 1:
        shifts *= len(axes)
    for one, place in zip(shifts, axes):
        x = _rolled(x, one, place)
    return x


def _rolled(x: Any, shift: Any, axis: int) -> Any:
    session = x.session
    dim = dims_of(x)[axis]
    n = size_symbol(session, dim_atom(dim))
    if isinstance(n, int) and n == 0:
        return x
    if isinstance(shift, (int, np.integer)) and holds_now(
        session, session.builder.affine(dim) - 1 - abs(int(shift))
    ):
        back = int(shift) if shift >= 0 else n + int(shift)
    else:
        # An empty array may be rolled, too.
        atom = integer_atom(shift, "np.roll: shift")
        known = session.builder.facts.proves(session.builder.affine(dim) - 1)
        size = dim_atom(dim) if known else session.integer("maximum", dim_atom(dim), dim_atom(1))
        rest = session.integer("mod", atom, size)
        if isinstance(rest, Var):
            session.builder.facts.bound(rest.name, lower=Affine(0), upper=session.builder.affine(dim))
        back = size_symbol(session, rest)
    if isinstance(back, int) and back == 0:
        return x
    parts = [x[along(axis, slice(n - back, None))], x[along(axis, slice(None, n - back))]]
    return joined(parts, axis, "np.roll")
