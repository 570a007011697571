"""Products, and running sums, products and extremes along an axis.

A product is a loop: its derivative is right where elements are zero, and so are all higher ones, which
`prod / x` would not be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir.build import atom_dim, dim_atom, literal
from ...ir.program import Atom, Index, Lit, Var
from ...ir.types import Dim
from ..values.symbol import Array, Scalar, implements, wrap
from .arguments import (
    axis_argument,
    dims_of,
    emit_reshape,
    emit_transpose,
    names,
    operand,
    product,
    reduction_axes,
    refuse_options,
    with_axes,
)
from .elementwise import store_out
from .loops import filled, for_loop
from .reduce import flat

UNROLLED = 4
"""A product of at most this many elements, when their number is known, is written out."""


def _rows(x: Scalar | Array, axes: Sequence[int]) -> tuple[Atom, Dim, Dim | None, tuple[Dim, ...]]:
    """The axes joined into a last one, and the others into a first one (none if there are no others).

    Returns the array, the size of the last axis, the size of the first, and the sizes of the others.
    """
    session = x.session
    dims = dims_of(x)
    others = [k for k in range(len(dims)) if k not in axes]
    rest = tuple(dims[k] for k in others)
    moved = emit_transpose(x, (*others, *axes))
    length = atom_dim(product(session, [dims[k] for k in axes]))
    if not rest:
        return emit_reshape(moved, (length,)).read(), length, None, ()
    rows = atom_dim(product(session, rest))
    return emit_reshape(moved, (rows, length)).read(), length, rows, rest


@implements(np.prod, method="prod")
def prod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    refuse_options("np.prod", options)
    x = operand(a, "np.prod", dtype, at_least="i64")
    axes = reduction_axes(axis, x.type.rank, "np.prod")
    if not axes:
        return store_out(x, out)
    result = _product(x, axes)
    return store_out(with_axes(result, axes) if keepdims else result, out)


def _product(x: Any, axes: tuple[int, ...]) -> Any:
    session = x.session
    builder = session.builder
    sizes = [dims_of(x)[k] for k in axes]
    if len(axes) == 1 and isinstance(sizes[0], int) and 1 <= sizes[0] <= UNROLLED:
        place = (slice(None),) * axes[0]
        result = x[(*place, 0)]
        for k in range(1, sizes[0]):
            result = result * x[(*place, k)]
        return operand(result, "np.prod")
    atom, length, rows, rest = _rows(x, axes)
    one = literal(1, atom.type.dtype)

    def multiply(*lead: Atom) -> Atom:
        def body(k: Var, carried: list[Var]) -> list[Atom]:
            element = builder.emit("getitem", atom, Index((*lead, k)))
            return [builder.emit("mul", carried[0], element)]

        return for_loop(session, dim_atom(length), [("product", one)], body)[0]

    if rows is None:
        return wrap(session, multiply())

    return emit_reshape(filled(session, dim_atom(rows), atom.type.dtype, multiply), rest)


@implements((np.multiply, "reduce"))
def multiply_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return prod(a, axis, dtype, out, keepdims, **options)


# -- scans ---------------------------------------------------------------------------------------------


def _scanned(x: Scalar | Array, axis: int, start: Lit, step: Callable[[Any, Any], Any]) -> Any:
    """y[k] = step(y[k - 1], x[k]) along an axis, where y[-1] is `start`."""
    session = x.session
    builder = session.builder
    dims = dims_of(x)
    atom, length, rows, rest = _rows(x, (axis,))
    size = dim_atom(length)

    def scan(entry: Atom, *lead: Atom) -> Atom:
        def body(k: Var, carried: list[Var]) -> list[Atom]:
            index = Index((*lead, k))
            element = Scalar(session, builder.emit("getitem", atom, index))
            value = step(Scalar(session, carried[0]), element).read()
            return [value, builder.emit("at_set", carried[1], index, value, hint="scanned")]

        return for_loop(session, size, [("running", start), ("scanned", entry)], body)[1]

    entry = builder.emit("zeros", tuple(map(dim_atom, atom.type.dims)), atom.type.dtype, hint="scanned")
    if rows is None:
        return wrap(session, scan(entry))

    def each(row: Var, carried: list[Var]) -> list[Atom]:
        return [scan(carried[0], row)]

    (scanned,) = for_loop(session, dim_atom(rows), [("scanned", entry)], each)
    moved = emit_reshape(wrap(session, scanned), (*rest, length))
    order = [k for k in range(len(dims)) if k != axis]
    return emit_transpose(moved, [order.index(k) if k != axis else len(order) for k in range(len(dims))])


def _along(x: Scalar | Array, axis: Any, what: str) -> tuple[Scalar | Array, int]:
    """The operand and the axis of a scan; without an axis the array is flattened."""
    if axis is None or not x.type.rank:  # a number has an axis 0
        return flat(x), axis_argument(0 if axis is None else axis, 1, what)
    return x, axis_argument(axis, x.type.rank, what)


@implements(np.cumsum, method="cumsum")
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x, place = _along(operand(a, "np.cumsum", dtype, at_least="i64"), axis, "np.cumsum")
    return store_out(wrap(x.session, x.session.builder.emit("cumsum", x.read(), place)), out)


@implements(np.cumprod, method="cumprod")
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    x, place = _along(operand(a, "np.cumprod", dtype, at_least="i64"), axis, "np.cumprod")
    return store_out(_scanned(x, place, literal(1, x.type.dtype), lambda y, v: y * v), out)


@implements((np.add, "accumulate"))
def add_accumulate(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return cumsum(a, axis, dtype, out)


@implements((np.multiply, "accumulate"))
def multiply_accumulate(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return cumprod(a, axis, dtype, out)


def _extreme_accumulate(function: Any, worst: float, a: Any, axis: Any, out: Any) -> Any:
    x = operand(a, f"np.{function.__name__}.accumulate", at_least="i64")
    place = axis_argument(axis, x.type.rank, f"np.{function.__name__}.accumulate")
    lowest = int(np.copysign(2.0**62, worst)) * 2 - (worst > 0) if not x.type.is_float else worst
    return store_out(_scanned(x, place, literal(lowest, x.type.dtype), function), out)


@implements((np.maximum, "accumulate"))
def maximum_accumulate(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return _extreme_accumulate(np.maximum, -np.inf, a, axis, out)


@implements((np.minimum, "accumulate"))
def minimum_accumulate(a: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> Any:
    return _extreme_accumulate(np.minimum, np.inf, a, axis, out)


def _cumulative(scan: Any, neutral: int) -> Any:
    def cumulative(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: Any = False
    ) -> Any:
        x = operand(x, "np.cumulative_sum")
        if axis is None and x.type.rank != 1:
            raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
        place = axis_argument(0 if axis is None else axis, x.type.rank, "np.cumulative_sum")
        result = scan(x, place, dtype)
        if include_initial:
            first = result[(slice(None),) * place + (slice(0, 1),)]
            result = np.concatenate([np.full_like(first, neutral), result], axis=place)
        return store_out(result, out)

    return cumulative


implements(*names(np, "cumulative_sum"))(_cumulative(cumsum, 0))
implements(*names(np, "cumulative_prod"))(_cumulative(cumprod, 1))
