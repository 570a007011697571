"""Joining, splitting, repeating and padding arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.build import dim_atom
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.types import Dim
from ..convert import cast, result_dtype
from ..session import Session
from ..symbol import Array, Symbol, as_value, implements, require_session, wrap
from .arguments import (
    array_operand,
    axes_argument,
    axis_argument,
    dims_of,
    emit_broadcast,
    emit_reshape,
    integer_argument,
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
    sizes: list[Dim] = [*dims[:place], *_dims([merged]), *dims[place + 2 :]]
    return emit_reshape(moved, sizes)


def _dims(atoms: Sequence[Any]) -> list[Dim]:
    return [a.name if hasattr(a, "name") else int(a.text) for a in atoms]


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
    (whole,) = _dims([size])
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
    if isinstance(shift, (int, np.integer)) and session.builder.holds(
        session.builder.affine(dim) - 1 - abs(int(shift))
    ):
        back = int(shift) if shift >= 0 else n + int(shift)
    else:
        back = shift % n
    if isinstance(back, int) and back == 0:
        return x
    parts = [x[along(axis, slice(n - back, None))], x[along(axis, slice(None, n - back))]]
    return joined(parts, axis, "np.roll")


# -- repeating -----------------------------------------------------------------------------------------


@implements(np.repeat, method="repeat")
def repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    x = operand(a, "np.repeat")
    if isinstance(repeats, (list, tuple, np.ndarray)) or (isinstance(repeats, Symbol) and repeats.type.rank):
        raise x.session.error(
            UnsupportedFunction,
            "np.repeat with a count for each element cannot be traced. Index with an array of places instead",
        )
    if axis is None:
        x, axis = flat(x), 0
    place = axis_argument(axis, x.type.rank, "np.repeat")
    session, dims = x.session, dims_of(x)
    (times,) = _counts(session, (repeats,))
    wide = emit_broadcast(expand_dims(x, place + 1), (*dims[: place + 1], times, *dims[place + 1 :]))
    (size,) = _dims([product(session, (dims[place], times))])
    return emit_reshape(wide, (*dims[:place], size, *dims[place + 1 :]))


def _counts(session: Session, counts: Sequence[Any]) -> list[Dim]:
    from_user = [
        c if isinstance(c, Symbol) else integer_argument(c, "a number of repetitions") for c in counts
    ]
    result = []
    for c in from_user:
        atom = as_value(session, c)[0]
        if session.builder.holds(session.builder.affine(atom)) is False:
            raise ValueError("repeats may not contain negative values.")
        result += _dims([atom])
    return result


@implements(np.tile)
def tile(A: Any, reps: Any) -> Any:  # noqa: N803  (NumPy's name)
    x = operand(A, "np.tile")
    session = x.session
    counts = _counts(session, reps if isinstance(reps, (tuple, list)) else (reps,))
    rank = max(len(counts), x.type.rank)
    dims: list[Dim] = [*(1,) * (rank - x.type.rank), *dims_of(x)]
    counts = [*(1,) * (rank - len(counts)), *counts]
    pairs = emit_reshape(x, [d for dim in dims for d in (1, dim)])
    wide = emit_broadcast(pairs, [d for pair in zip(counts, dims) for d in pair])
    sizes = _dims([product(session, pair) for pair in zip(counts, dims)])
    return emit_reshape(wide, sizes)


# -- padding -------------------------------------------------------------------------------------------


def _pairs(value: Any, rank: int, what: str) -> list[tuple[Any, Any]]:
    """NumPy's forms of one (before, after) for each axis."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (tuple, list)):
        return [(value, value)] * rank
    if len(value) == 1 and not isinstance(value[0], (tuple, list)):
        return [(value[0], value[0])] * rank
    if not any(isinstance(v, (tuple, list)) for v in value):
        if len(value) != 2:
            raise require_session().error(ShapeMismatch, f"np.pad: {what} {value!r} does not fit {rank} axes")
        return [(value[0], value[1])] * rank
    pairs = [(v[0], v[-1]) for v in value]
    if len(pairs) not in (1, rank):
        raise require_session().error(ShapeMismatch, f"np.pad: {what} {value!r} does not fit {rank} axes")
    return pairs * rank if len(pairs) == 1 else pairs


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    x = operand(array, "np.pad")
    rank = x.type.rank
    widths = _pairs(pad_width, rank, "pad_width")
    constants = options.pop("constant_values", 0) if mode == "constant" else 0
    refuse_options("np.pad", options)
    if mode == "constant" and not isinstance(constants, (tuple, list, np.ndarray)):
        return _padded_with(x, widths, constants)
    values = _pairs(constants, rank, "constant_values")
    for axis, (before, after) in enumerate(widths):
        if isinstance(before, int) and isinstance(after, int) and before == after == 0:
            continue
        x = _padded(x, axis, before, after, mode, values[axis])
    return x


def _padded_with(x: Any, widths: list[tuple[Any, Any]], constant: Any) -> Any:
    sizes = tuple(size_symbol(x.session, dim_atom(d)) for d in dims_of(x))
    shape = tuple(before + n + after for (before, after), n in zip(widths, sizes))
    fill = operand(constant, "np.pad", x.type.numpy)
    result = emit_broadcast(fill, _dims([as_value(x.session, s)[0] for s in shape]))
    result[tuple(slice(before, before + n) for (before, _), n in zip(widths, sizes))] = x
    return result


def _padded(x: Any, axis: int, before: Any, after: Any, mode: Any, values: tuple[Any, Any]) -> Any:
    n = size_symbol(x.session, dim_atom(dims_of(x)[axis]))

    def part(start: Any, stop: Any, step: int = 1) -> Any:
        return x[along(axis, slice(start, stop, step))]

    def copies(edge: Any, width: Any) -> Any:
        dims = list(dims_of(edge))
        (dims[axis],) = _dims([as_value(x.session, width)[0]])
        return emit_broadcast(edge, dims)

    first, last = part(0, 1), part(n - 1, n)
    match mode:
        case "constant":
            left, right = (copies(_constant(first, v), w) for v, w in zip(values, (before, after)))
        case "edge":
            left, right = copies(first, before), copies(last, after)
        case "wrap":
            _within(x, axis, before, after, n)
            left, right = part(n - before, n), part(0, after)
        case "reflect":
            _within(x, axis, before, after, n - 1)
            left, right = flip(part(1, before + 1), axis), flip(part(n - 1 - after, n - 1), axis)
        case "symmetric":
            _within(x, axis, before, after, n)
            left, right = flip(part(0, before), axis), flip(part(n - after, n), axis)
        case _:
            raise x.session.error(
                UnsupportedFunction,
                f"np.pad(mode={mode!r}) cannot be traced. Modes: constant, edge, reflect, symmetric, wrap",
            )
    return joined([left, x, right], axis, "np.pad")


def _constant(like: Any, value: Any) -> Any:
    return emit_broadcast(operand(value, "np.pad", like.type.numpy), dims_of(like))


def _within(x: Any, axis: int, before: Any, after: Any, limit: Any) -> None:
    """NumPy repeats the array where the padding is longer; that is refused."""
    session = x.session
    for width in (before, after):
        atom = as_value(session, limit - width)[0]
        if not session.ensure(session.builder.affine(atom)):
            raise session.error(
                UnsupportedFunction,
                f"np.pad: the padding of axis {axis} is not known to be shorter than the array",
            )
