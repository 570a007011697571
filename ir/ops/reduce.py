"""Reductions over static axes (a sorted tuple) and scans along one axis."""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Kind, Primitive, Trait, nondifferentiable
from ..program import Index, Slice
from ..types import Type
from .array import broadcast_to, expand, full_slice, lifted
from .declare import constant
from .index import getitem


def _reduced(x: Type, axes: tuple[int, ...]) -> Type:
    if tuple(sorted(set(axes))) != axes or not all(0 <= a < x.rank for a in axes):
        raise IRError(f"axes {axes} of {x}: must be sorted, different and within the rank")
    return x.with_dims(tuple(d for k, d in enumerate(x.dims) if k not in axes))


def _sum_vjp(y_bar, y, x, axes):
    return broadcast_to(expand(y_bar, axes), x.shape), None


sum_ = Primitive(
    "sum", "sum({0}, axis={1})", _reduced, lambda x, axes: np.sum(x, axis=axes), linear=(0,),
    vjp=_sum_vjp, static=(1,), cost=100, samples=("f64[4, 3], (0,)", "f64[4, 3], (0, 1)", "f64[2, 3, 4], (1,)", "i64[3], (0,)"),
    kind=Kind.REDUCE, step="add", traits=Trait.OVERFLOWS,
)  # fmt: skip


def _extremum_vjp(y_bar, y, x, axes):
    # Ties share the cotangent equally. The number of ties is never 0, except for a nan.
    ties = x._apply("where", x == expand(y, axes), constant(x, 1.0), 0.0)
    return ties * expand(y_bar / ties._apply("sum", ties, axes), axes), None


def _extremum_jvp(x_dots, y, x, axes):
    (x_dot, _) = x_dots
    x, y = lifted(x, x_dot, x), lifted(y, x_dot, x)
    is_tie = x == expand(y, axes)
    ties = x._apply("where", is_tie, constant(x, 1.0), 0.0)
    # A tangent that is not at the extremum does not count, be it inf or nan.
    chosen = x._apply("where", is_tie, x_dot, 0.0)
    return x._apply("sum", chosen, axes) / x._apply("sum", ties, axes)


max_ = Primitive(
    "max", "max({0}, axis={1})", _reduced, lambda x, axes: np.max(x, axis=axes), vjp=_extremum_vjp, jvp=_extremum_jvp,
    static=(1,), cost=100, samples=("f64[4, 3], (0,)", "f64[5], (0,)", "i64[3], (0,)"),
    kind=Kind.REDUCE, step="maximum", traits=Trait.QUIET,
)  # fmt: skip
min_ = Primitive(
    "min", "min({0}, axis={1})", _reduced, lambda x, axes: np.min(x, axis=axes), vjp=_extremum_vjp, jvp=_extremum_jvp,
    static=(1,), cost=100, samples=("f64[4, 3], (1,)", "f64[5], (0,)", "i64[3], (0,)"),
    kind=Kind.REDUCE, step="minimum", traits=Trait.QUIET,
)  # fmt: skip


def _place(x: Type, axis: int) -> Type:
    return _reduced(x, (axis,)).with_dtype("i64")


argmax = Primitive(
    "argmax", "argmax({0}, axis={1})", _place, lambda x, axis: np.argmax(x, axis=axis),
    vjp=nondifferentiable, static=(1,), cost=100, samples=("f64[4, 3], 0", "f64[5], 0"),
    kind=Kind.REDUCE, step="maximum", traits=Trait.QUIET | Trait.PLACES,
)  # fmt: skip
argmin = Primitive(
    "argmin", "argmin({0}, axis={1})", _place, lambda x, axis: np.argmin(x, axis=axis),
    vjp=nondifferentiable, static=(1,), cost=100, samples=("f64[4, 3], 1", "f64[5], 0"),
    kind=Kind.REDUCE, step="minimum", traits=Trait.QUIET | Trait.PLACES,
)  # fmt: skip
any_ = Primitive(
    "any", "any({0}, axis={1})", _reduced, lambda x, axes: np.any(x, axis=axes),
    vjp=nondifferentiable, static=(1,), cost=100, samples=("bool[4, 3], (0,)", "bool[3], (0,)"),
    kind=Kind.REDUCE, step="or", traits=Trait.QUIET,
)  # fmt: skip
all_ = Primitive(
    "all", "all({0}, axis={1})", _reduced, lambda x, axes: np.all(x, axis=axes),
    vjp=nondifferentiable, static=(1,), cost=100, samples=("bool[4, 3], (0, 1)", "bool[3], (0,)"),
    kind=Kind.REDUCE, step="and", traits=Trait.QUIET,
)  # fmt: skip


def reversed_along(x, axis):
    """x with one axis backwards."""
    items = [full_slice(d) for d in x.type.dims]
    last = x._apply("sub", x.shape[axis], 1)
    items[axis] = Slice(last.atom, None, -1, x.type.dims[axis])
    return getitem(x, Index(tuple(items)))


def _cumsum_vjp(y_bar, y, x, axis):
    return reversed_along(cumsum(reversed_along(y_bar, axis), axis), axis), None


cumsum = Primitive(
    "cumsum", "cumsum({0}, axis={1})", lambda x, axis: x, lambda x, axis: np.cumsum(x, axis=axis),
    linear=(0,), vjp=_cumsum_vjp, static=(1,), cost=100, samples=("f64[5], 0", "f64[4, 3], 1", "f64[4, 3], 0"),
    kind=Kind.SCAN, step="add", traits=Trait.OVERFLOWS,
)  # fmt: skip
