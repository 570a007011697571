"""Repeating, tiling and padding arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.build import dim_atom
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.types import Dim
from ..session import Session
from ..values.symbol import Symbol, as_value, implements, require_session
from .arguments import (
    atom_dims,
    axis_argument,
    dims_of,
    emit_broadcast,
    emit_reshape,
    integer_argument,
    integer_atom,
    operand,
    product,
    refuse_options,
    size_symbol,
)
from .join import along, flip, joined
from .reduce import flat
from .shape import expand_dims

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
    (size,) = atom_dims([product(session, (dims[place], times))])
    return emit_reshape(wide, (*dims[:place], size, *dims[place + 1 :]))


def _counts(session: Session, counts: Sequence[Any]) -> list[Dim]:
    from_user = [
        c if isinstance(c, Symbol) else integer_argument(c, "a number of repetitions") for c in counts
    ]
    result = []
    for c in from_user:
        atom = integer_atom(c, "a number of repetitions")
        if session.builder.holds(session.builder.affine(atom)) is False:
            raise ValueError("repeats may not contain negative values.")
        result += atom_dims([atom])
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
    sizes = atom_dims([product(session, pair) for pair in zip(counts, dims)])
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
    result = emit_broadcast(fill, atom_dims([as_value(x.session, s)[0] for s in shape]))
    result[tuple(slice(before, before + n) for (before, _), n in zip(widths, sizes))] = x
    return result


def _padded(x: Any, axis: int, before: Any, after: Any, mode: Any, values: tuple[Any, Any]) -> Any:
    n = size_symbol(x.session, dim_atom(dims_of(x)[axis]))

    def part(start: Any, stop: Any, step: int = 1) -> Any:
        return x[along(axis, slice(start, stop, step))]

    def copies(edge: Any, width: Any) -> Any:
        dims = list(dims_of(edge))
        (dims[axis],) = atom_dims([as_value(x.session, width)[0]])
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
