"""Sums, extremes and truth over axes, as NumPy has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom
from ...ir.primitive import REGISTRY
from ..values.convert import cast
from ..values.symbol import Array, Scalar, implements, wrap
from .arguments import (
    array_operand,
    atom_dims,
    axes_argument,
    axis_argument,
    count,
    dims_of,
    emit_reshape,
    operand,
    product,
    reduction_axes,
    refuse_options,
    require_elements,
    with_axes,
)
from .bounds import note
from .elementwise import store_out
from .logic import truth_of


def reduced(op: str, x: Scalar | Array, axes: tuple[int, ...], keepdims: Any) -> Any:
    """A reducing primitive over these axes."""
    if not axes:
        return x
    result = wrap(x.session, x.session.builder.emit(op, x.read(), axes))
    return with_axes(result, axes) if keepdims else result


def flat(x: Scalar | Array) -> Any:
    """The elements in C order, as a new 1-D array."""
    return emit_reshape(x, atom_dims([product(x.session, dims_of(x))]))


# -- sums and means ------------------------------------------------------------------------------------


@implements(np.sum, method="sum")
def sum_(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    refuse_options("np.sum", options)
    x = operand(a, "np.sum", dtype, at_least="i64")
    return store_out(reduced("sum", x, reduction_axes(axis, x.type.rank, "np.sum"), keepdims), out)


@implements((np.add, "reduce"))
def add_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return sum_(a, axis, dtype, out, keepdims, **options)


@implements(np.mean, method="mean")
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    refuse_options("np.mean", options)
    x = operand(a, "np.mean", dtype, at_least="float")
    axes = axes_argument(axis, x.type.rank, "np.mean")
    number = count(x.session, [dims_of(x)[k] for k in axes], x.type.dtype)
    return store_out(reduced("sum", x, axes, keepdims) / number, out)


def variance(a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: Any, what: str) -> Any:
    x = operand(a, what, dtype, at_least="float")
    axes = axes_argument(axis, x.type.rank, what)
    deviation = operand(x - mean(x, axes, keepdims=True), what)
    number = _freedom(x, axes, ddof)
    return reduced("sum", operand(deviation * deviation, what), axes, keepdims) / number


def _freedom(x: Any, axes: tuple[int, ...], ddof: Any) -> Any:
    """The number of elements less `ddof`, but not less than 0."""
    session = x.session
    number = product(session, [dims_of(x)[k] for k in axes])
    if not isinstance(ddof, int):
        return np.maximum(Scalar(session, cast(session, number, x.type.dtype)) - ddof, 0)
    form = session.builder.affine(number) - ddof
    atom = session.builder.integer(form)
    if not session.builder.facts.proves(form):
        atom = session.integer("maximum", atom, dim_atom(0))
    return Scalar(session, cast(session, atom, x.type.dtype))


@implements(np.var, method="var")
def var(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False,
    *, mean: Any = None, correction: Any = None, **options: Any,
) -> Any:  # fmt: skip
    refuse_options("np.var", {**options, "mean": mean})
    ddof = ddof if correction in (None, np._NoValue) else correction
    return store_out(variance(a, axis, dtype, ddof, keepdims, "np.var"), out)


@implements(np.std, method="std")
def std(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False,
    *, mean: Any = None, correction: Any = None, **options: Any,
) -> Any:  # fmt: skip
    refuse_options("np.std", {**options, "mean": mean})
    ddof = ddof if correction in (None, np._NoValue) else correction
    return store_out(safe_sqrt(variance(a, axis, dtype, ddof, keepdims, "np.std")), out)


def safe_sqrt(x: Any) -> Any:
    """sqrt whose derivative at 0 is 0: the convention for `std` of equal values and `norm` of zeros."""
    x = operand(x, "a square root")
    zero = x == 0.0
    return np.where(zero, 0.0, np.sqrt(np.where(zero, 1.0, x)))


@implements(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: Any = False, *, keepdims: Any = False
) -> Any:
    keepdims = False if keepdims is getattr(np, "_NoValue", None) else keepdims
    x = operand(a, "np.average", at_least="float")
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        total: Any = count(
            x.session, [dims_of(x)[k] for k in axes_argument(axis, x.type.rank, "np.average")], x.type.dtype
        )
    else:
        w = operand(weights, "np.average", at_least="i64")
        if w.type.rank != x.type.rank or w.type.rank == 0:
            # One weight for each place on one axis.
            place = axis_argument(axis, x.type.rank, "np.average")
            w = with_axes(w, [k for k in range(x.type.rank) if k != place])
        total = np.sum(w * np.ones_like(x), axis=axis, keepdims=keepdims)
        _refuse_zero(total)
        result = np.sum(x * w, axis=axis, keepdims=keepdims) / total
    if not returned:
        return result
    return result, np.broadcast_to(total, result.shape).copy() if result.type.rank else total


def _refuse_zero(total: Any) -> None:
    x = operand(total, "np.average")
    builder = x.session.builder
    good = builder.emit("ne", x.read(), 0)
    if good.type.rank:
        good = builder.emit("all", good, tuple(range(good.type.rank)))
    builder.check(good, "ZeroDivisionError: Weights sum to zero, can't be normalized")


# -- extremes ------------------------------------------------------------------------------------------


def _extreme(op: str, a: Any, axis: Any, out: Any, keepdims: Any, options: dict[str, Any]) -> Any:
    name, full = f"np.{op}", REGISTRY[op].step
    refuse_options(name, options)
    x = operand(a, name)
    axes = reduction_axes(axis, x.type.rank, name)
    message = f"zero-size array to reduction operation {full} which has no identity"
    require_elements(x.session, [dims_of(x)[k] for k in axes], message)
    if x.type.dtype == "bool":
        return store_out(reduced("any" if op == "max" else "all", x, axes, keepdims), out)
    return store_out(reduced(op, x, axes, keepdims), out)


@implements(np.max, np.amax, method="max")
def max_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _extreme("max", a, axis, out, keepdims, options)


@implements(np.min, np.amin, method="min")
def min_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _extreme("min", a, axis, out, keepdims, options)


@implements((np.maximum, "reduce"))
def maximum_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return max_(a, axis, out, keepdims, dtype=dtype, **options)


@implements((np.minimum, "reduce"))
def minimum_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return min_(a, axis, out, keepdims, dtype=dtype, **options)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
    x = operand(a, "np.ptp")
    return store_out(max_(x, axis, keepdims=keepdims) - min_(x, axis, keepdims=keepdims), out)


def _place(op: str, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    name = f"np.{op}"
    x = operand(a, name, at_least="i64")
    rank = x.type.rank
    message = f"attempt to get {op} of an empty sequence"
    if axis is None:
        require_elements(x.session, dims_of(x), message)
        place, x = 0, flat(x)
    else:
        x = x if rank else flat(x)  # a number has an axis 0 here
        place = axis_argument(axis, max(rank, 1), name)
        require_elements(x.session, dims_of(x)[place : place + 1], message)
    atom = x.session.builder.emit(op, x.read(), place)
    note(x.session, atom, Affine(), x.session.builder.affine(dims_of(x)[place]) - 1)
    result = wrap(x.session, atom)
    if keepdims is True:
        result = with_axes(result, range(rank) if axis is None or not rank else (place,))
    return store_out(result, out)


@implements(np.argmax, method="argmax")
def argmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _place("argmax", a, axis, out, keepdims)


@implements(np.argmin, method="argmin")
def argmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _place("argmin", a, axis, out, keepdims)


# -- truth ---------------------------------------------------------------------------------------------


def _truth(op: str, a: Any, axis: Any, out: Any, keepdims: Any, options: dict[str, Any]) -> Any:
    refuse_options(f"np.{op}", options)
    x = truth_of(array_operand(a, f"np.{op}"))
    return store_out(reduced(op, x, reduction_axes(axis, x.type.rank, f"np.{op}"), keepdims), out)


@implements(np.any, method="any")
def any_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _truth("any", a, axis, out, keepdims, options)


@implements(np.all, method="all")
def all_(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _truth("all", a, axis, out, keepdims, options)


@implements((np.logical_or, "reduce"))
def or_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return any_(a, axis, out, keepdims, **options)


@implements((np.logical_and, "reduce"))
def and_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return all_(a, axis, out, keepdims, **options)


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> Any:
    return sum_(truth_of(array_operand(a, "np.count_nonzero")), axis, keepdims=keepdims)


# -- without nan ---------------------------------------------------------------------------------------


def _without_nan(a: Any, neutral: float, what: str) -> tuple[Any, Any]:
    """The operand with nan replaced, and where it was nan."""
    x = operand(a, what)
    missing = np.isnan(x)
    return operand(np.where(missing, neutral, x), what) if x.type.is_float else x, missing


@implements(np.nansum)
def nansum(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return sum_(_without_nan(a, 0.0, "np.nansum")[0], axis, dtype, out, keepdims, **options)


@implements(np.nanprod)
def nanprod(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    return np.prod(_without_nan(a, 1.0, "np.nanprod")[0], axis, dtype, out, bool(keepdims is True), **options)


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return np.cumsum(_without_nan(a, 0.0, "np.nancumsum")[0], axis, dtype, out)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    return np.cumprod(_without_nan(a, 1.0, "np.nancumprod")[0], axis, dtype, out)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    refuse_options("np.nanmean", options)
    x, missing = _without_nan(operand(a, "np.nanmean", dtype, at_least="float"), 0.0, "np.nanmean")
    number = np.sum(~missing, axis, keepdims=keepdims).astype(x.type.numpy)
    return store_out(sum_(x, axis, keepdims=keepdims) / number, out)


@implements(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    **options: Any,
) -> Any:
    refuse_options("np.nanvar", options)
    x, missing = _without_nan(operand(a, "np.nanvar", dtype, at_least="float"), 0.0, "np.nanvar")
    number = np.sum(~missing, axis, keepdims=True).astype(x.type.numpy)
    deviation = operand(np.where(missing, 0.0, x - sum_(x, axis, keepdims=True) / number), "np.nanvar")
    freedom = number - ddof
    if not keepdims:
        freedom = sum_(freedom, axis)  # one number for each result: drops the axes
    total = sum_(deviation * deviation, axis, keepdims=keepdims)
    return store_out(np.where(freedom > 0, total / np.where(freedom > 0, freedom, 1.0), np.nan), out)


@implements(np.nanstd)
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: Any = False,
    **options: Any,
) -> Any:
    return store_out(safe_sqrt(nanvar(a, axis, dtype, None, ddof, keepdims, **options)), out)


def _nan_extreme(
    op: Any, worst: float, a: Any, axis: Any, out: Any, keepdims: Any, options: dict[str, Any]
) -> Any:
    x, missing = _without_nan(a, worst, "np.nanmax")
    none_left = np.all(missing, axis=axis, keepdims=keepdims)
    result = op(x, axis, None, keepdims, **options)
    return store_out(np.where(none_left, np.nan, result) if x.type.is_float else result, out)


def _nan_place(op: Any, worst: float, a: Any, axis: Any, out: Any, keepdims: Any) -> Any:
    x, missing = _without_nan(a, worst, f"np.nan{op.__name__}")
    builder = x.session.builder
    alone = np.any(np.all(missing, axis=axis))
    builder.check((~operand(alone, "np.nanargmax")).read(), "ValueError: All-NaN slice encountered")
    return op(x, axis, out, keepdims=keepdims)


@implements(np.nanargmax)
def nanargmax(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _nan_place(argmax, -np.inf, a, axis, out, keepdims)


@implements(np.nanargmin)
def nanargmin(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
    return _nan_place(argmin, np.inf, a, axis, out, keepdims)


@implements(np.nanmax)
def nanmax(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _nan_extreme(max_, -np.inf, a, axis, out, keepdims is True, options)


@implements(np.nanmin)
def nanmin(a: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
    return _nan_extreme(min_, np.inf, a, axis, out, keepdims is True, options)
