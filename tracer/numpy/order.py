"""Sorting, order statistics, and places among sorted numbers.

What is sorted is read by its places in ascending order, so that a derivative follows each number to where it
went. Equal numbers stay in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom
from ...ir.errors import UnsupportedFunction
from ...ir.types import Dim
from ..session import Session
from ..values.subscripts import scatter_add
from ..values.symbol import FUNCTIONS, Symbol, implements, require_session, wrap
from .arguments import (
    axis_argument,
    dims_of,
    integer_argument,
    integer_atom,
    iota,
    operand,
    refuse,
    refuse_options,
    require_elements,
    size_symbol,
)
from .bounds import note
from .conditions import flatnonzero
from .elementwise import store_out
from .reduce import flat
from .select import searchsorted, take_along_axis
from .shape import moveaxis

# -- sorting -------------------------------------------------------------------------------------------


def _sorted_places(x: Any, axis: int) -> Any:
    """The places of the elements along an axis in ascending order."""
    session = x.session
    moved = moveaxis(x, axis, -1)
    atom = session.builder.emit("argsort", moved.read())
    note(session, atom, Affine(), session.builder.affine(dims_of(moved)[-1]) - 1)
    return moveaxis(wrap(session, atom), -1, axis)


def _along(a: Any, axis: Any, what: str) -> tuple[Any, int]:
    x = operand(a, what)
    if axis is None:
        return flat(x), 0
    return x, axis_argument(axis, x.type.rank, what)


def _sorted(x: Any, axis: int) -> Any:
    return take_along_axis(x, _sorted_places(x, axis), axis)


@implements(np.argsort, method="argsort")
def argsort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    refuse_options("np.argsort", {"order": order})
    return _sorted_places(*_along(a, axis, "np.argsort"))


@implements(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    refuse_options("np.sort", {"order": order})
    return _sorted(*_along(a, axis, "np.sort"))


@implements(method="sort")
def sort_in_place(x: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
    x[...] = sort(x, axis, kind, order)


def _require_places(x: Any, kth: Any, axis: int) -> None:
    """`kth=` of a partition lies within the axis."""
    (dim,) = dims_of(x)[axis : axis + 1]
    for k in kth if isinstance(kth, (tuple, list)) or np.ndim(kth) else (kth,):
        place = integer_argument(k, "kth")
        least = place + 1 if place >= 0 else -place
        require_elements(x.session, (dim,), f"kth(={place}) out of bounds ({dim})", least)


@implements(np.argpartition, method="argpartition")
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    refuse_options("np.argpartition", {"order": order})
    x, place = _along(a, axis, "np.argpartition")
    _require_places(x, kth, place)
    return _sorted_places(x, place)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    refuse_options("np.partition", {"order": order})
    x, place = _along(a, axis, "np.partition")
    _require_places(x, kth, place)
    return _sorted(x, place)


@implements(method="partition")
def partition_in_place(x: Any, kth: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> None:
    x[...] = partition(x, kth, axis, kind, order)


@implements(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Any:
    """Sorted by the last key; where it is equal, by the one before."""
    rows = [operand(key, "np.lexsort") for key in keys]
    if not rows:
        raise TypeError("need sequence of keys with len > 0 in lexsort")
    place = axis_argument(axis, rows[0].type.rank, "np.lexsort")
    places = _sorted_places(rows[0], place)
    for key in rows[1:]:
        places = take_along_axis(places, _sorted_places(take_along_axis(key, places, place), place), place)
    return places


@implements(np.unique)
def unique(
    ar: Any, return_index: Any = False, return_inverse: Any = False, return_counts: Any = False, axis: Any = None,
    *, equal_nan: Any = True, sorted: Any = True,
) -> Any:  # fmt: skip
    x = operand(ar, "np.unique")
    session = x.session
    if axis is not None:
        raise session.error(UnsupportedFunction, "np.unique(axis=...) cannot be traced")
    row = flat(x)
    places = _sorted_places(row, 0)
    values = row[places]
    differs = values[1:] != values[:-1]
    if x.type.is_float and equal_nan:
        differs = differs & ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
    n = size_symbol(session, dim_atom(dims_of(row)[0]))
    first = np.concatenate([FUNCTIONS[np.ones](np.minimum(n, 1), bool), differs])
    starts = flatnonzero(first)
    results = [values[starts]]
    if return_index:
        results.append(places[starts])
    if return_inverse:
        inverse = zeros(session, n, "i64")
        inverse[places] = np.cumsum(first) - 1
        results.append(np.reshape(inverse, np.shape(x)))
    if return_counts:
        results.append(np.diff(np.append(starts, n)))
    return tuple(results) if len(results) > 1 else results[0]


def zeros(session: Session, n: Any, dtype: str) -> Any:
    """A row of zeros of a size that only a run may know."""
    return wrap(session, session.builder.emit("zeros", (integer_atom(n, "a size"),), dtype))


# -- order statistics ----------------------------------------------------------------------------------


def _sample(a: Any, axis: Any, what: str) -> tuple[Any, tuple[int, ...]]:
    """The operand with the axes of the sample joined into a first one, and these axes."""
    x = operand(a, what)
    rank = x.type.rank
    if axis is None:
        return flat(x), tuple(range(rank))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [axis_argument(k, rank, what) for k in given]
    if len(set(axes)) != len(axes):
        raise ValueError("repeated axis")
    if len(axes) == 1:
        return moveaxis(x, axes[0], 0), tuple(axes)
    moved = moveaxis(x, sorted_axes := tuple(sorted(axes)), tuple(range(len(axes))))
    return np.reshape(moved, (-1, *np.shape(moved)[len(axes) :])), sorted_axes


def _kept(result: Any, keepdims: Any, axes: Sequence[int], lead: int) -> Any:
    """The result with the axes of the sample as axes of size 1, behind those of the quantiles."""
    return np.expand_dims(result, tuple(lead + k for k in axes)) if keepdims and axes else result


def _require_sample(x: Any, what: str) -> Any:
    require_elements(x.session, dims_of(x)[:1], f"{what} of an empty array")
    return size_symbol(x.session, dim_atom(dims_of(x)[0]))


def _numbers(x: Any) -> Any:
    """How many elements are numbers, for each sample: in the sorted sample they stand first."""
    return np.sum(~np.isnan(x), axis=0)


def _at(ordered: Any, places: Any, each: bool) -> Any:
    """An element of every sample; with `each` the places end with the axes of the samples, and each has its own."""
    rest = dims_of(ordered)[1:] if each else ()
    return ordered[(places, *(_grid(ordered.session, dim, k, len(rest)) for k, dim in enumerate(rest)))]


def _grid(session: Session, dim: Dim, axis: int, rank: int) -> Any:
    return iota(session, dim)[tuple(slice(None) if k == axis else None for k in range(rank))]


def _median(a: Any, axis: Any, keepdims: Any, what: str, skip: bool) -> Any:
    x, axes = _sample(a, axis, what)
    skip = skip and x.type.is_float
    n = _require_sample(x, what)
    ordered = _sorted(x, 0)
    if not x.type.is_float:
        ordered = ordered.astype(np.float64)  # the mean of two, where short integers would wrap and booleans join
    number = _numbers(x) if skip else n
    high, low = number // 2, (number - 1) // 2
    if skip:
        low = np.maximum(low, 0)
    elif isinstance(low, Symbol):
        note(x.session, low.read(), Affine(), x.session.builder.affine(n.read()) - 1)
    upper, lower = (_at(ordered, k, skip) for k in (high, low))
    even = number % 2 == 0
    result = np.where(even, (lower + upper) / 2, upper / 1) if isinstance(even, Symbol) else (
        (lower + upper) / 2 if even else upper / 1
    )  # fmt: skip
    if x.type.is_float and not skip:
        last = ordered[-1]
        result = np.where(np.isnan(last), last, result)
    return _kept(result, keepdims, axes, 0)


@implements(np.median)
def median(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    return store_out(_median(a, axis, keepdims, "np.median", False), out)


@implements(np.nanmedian)
def nanmedian(a: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, keepdims: Any = False) -> Any:
    return store_out(_median(a, axis, keepdims is True, "np.nanmedian", True), out)


_CONTINUOUS = {
    "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3.0, 1 / 3.0), "normal_unbiased": (3 / 8.0, 3 / 8.0),
}  # fmt: skip
"""alpha and beta of Hyndman and Fan, Sample quantiles in statistical packages, The American Statistician 50 (1996)."""
_DISCRETE = ("inverted_cdf", "closest_observation", "lower", "higher", "nearest")


def _virtual(n: Any, q: Any, method: str) -> Any:
    """Where the quantile lies between the places of the sorted sample: a whole number for the discrete methods."""
    match method:
        case "linear":
            return (n - 1) * q
        case "lower":
            return np.floor((n - 1) * q)
        case "higher":
            return np.ceil((n - 1) * q)
        case "nearest":
            return np.around((n - 1) * q)
        case "midpoint":
            return 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q))
        case "averaged_inverted_cdf":
            return n * q - 1
        case "inverted_cdf":
            place = n * q - 1
            return np.maximum(np.where(place == np.floor(place), place, np.floor(place) + 1), 0)
        case "closest_observation":
            place = n * q - 1 - 0.5
            down = (place == np.floor(place)) & (np.floor(place) % 2 == 1)
            return np.maximum(np.where(down, np.floor(place), np.floor(place) + 1), 0)
    alpha, beta = _CONTINUOUS[method]
    return n * q + (alpha + q * (1 - alpha - beta)) - 1


def _share(place: Any, below: Any, method: str) -> Any:
    """Which share the upper neighbour has."""
    share = place - below
    if method == "averaged_inverted_cdf":
        return np.where(share == 0, 0.5, 1.0)
    if method == "midpoint":
        return np.where(place % 1 == 0, 0.0, 0.5)
    return share


def _quantile(a: Any, q: Any, axis: Any, method: str, keepdims: Any, what: str, skip: bool, weak: bool) -> Any:
    x, axes = _sample(a, axis, what)
    skip, weak = skip and x.type.is_float, weak and x.type.is_float
    if method not in ("linear", "midpoint", "averaged_inverted_cdf", *_CONTINUOUS, *_DISCRETE):
        raise ValueError(f"{method!r} is not a valid method")
    n = _require_sample(x, what)
    ordered = _sorted(x, 0)
    lead, rest = q.type.rank, ordered.type.rank - 1
    wide = q[(*(slice(None),) * lead, *(None,) * rest)] if skip and lead and rest else q
    number = _numbers(x) if skip else n
    place = _virtual(number, wide, method)
    last = number - 1
    below = np.clip(np.floor(place), 0, np.maximum(last, 0)).astype(np.int64)
    above = np.minimum(below + np.where(place < 0, 0, 1), np.maximum(last, 0))
    lower = _at(ordered, below, skip)
    if method in _DISCRETE:
        result = lower
    else:
        upper = _at(ordered, above, skip)
        share = _share(place, np.where(place >= last, place * 0 + last, np.floor(place)), method)
        if not skip and lead and rest:
            share = share[(*(slice(None),) * lead, *(None,) * rest)]
        step = upper - lower
        near, far = (operand(v, what, x.dtype if weak else None) for v in (share, 1 - share))
        result = np.where(share >= 0.5, upper - step * far, lower + step * near)
    if x.type.is_float:
        highest = ordered[-1]
        missing = np.isnan(highest) if not skip else number == 0
        result = np.where(missing, np.nan, result)
    return _kept(result, keepdims, axes, lead)


def _shares(q: Any, what: str, percent: bool) -> Any:
    """`q` as floats from 0 to 1."""
    values = operand(q, what, at_least="float")
    if percent:
        values = operand(values / 100, what)
    message = f"{'Percentiles' if percent else 'Quantiles'} must be in the range [0, {100 if percent else 1}]"
    inside = FUNCTIONS[np.all]((values >= 0) & (values <= 1))
    if isinstance(inside, Symbol):
        values.session.check(inside.read(), f"ValueError: {message}")
    return values


def _quantiles(function: Any, percent: bool, skip: bool) -> None:
    what = f"np.{function.__name__}"

    @implements(function)
    def quantile(
        a: Any, q: Any, axis: Any = None, out: Any = None, overwrite_input: Any = False, method: str = "linear",
        keepdims: Any = False, *, weights: Any = None,
    ) -> Any:  # fmt: skip
        refuse_options(what, {"weights": weights})
        weak = isinstance(q, (int, float)) or getattr(q, "weak", False)
        shares = _shares(q, what, percent)
        return store_out(_quantile(a, shares, axis, method, keepdims is True, what, skip, weak), out)


for _function, _percent, _skip in (
    (np.quantile, False, False), (np.percentile, True, False), (np.nanquantile, False, True),
    (np.nanpercentile, True, True),
):  # fmt: skip
    _quantiles(_function, _percent, _skip)


# -- bins ----------------------------------------------------------------------------------------------


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: Any = False) -> Any:
    """The bin of each number; the edges may fall as well as rise."""
    values, edges = operand(x, "np.digitize"), operand(bins, "np.digitize")
    if edges.type.rank != 1:
        raise ValueError("object of too small depth for desired array")
    n = _require_sample(edges, "np.digitize")
    falls = edges[0] > edges[n - 1]
    upwards = np.where(falls, edges[::-1], edges)
    found = searchsorted(upwards, values, "left" if right else "right")
    return np.where(falls, n - found, found)


def _edges(values: Any, bins: Any, range: Any) -> Any:
    if isinstance(bins, str):
        raise values.session.error(
            UnsupportedFunction, "np.histogram with a rule for its bins cannot be traced: write their number"
        )
    if np.ndim(bins):
        edges = operand(bins, "np.histogram")
        if edges.type.rank != 1:
            raise ValueError("`bins` must be 1d, when an array")
        return edges
    dtype = values.dtype if values.type.is_float else np.float64
    if range is None:
        require_elements(values.session, dims_of(values), "np.histogram of an empty array needs `range`")
        low, high = np.min(values), np.max(values)
        if values.type.is_float:
            finite = operand(np.isfinite(low) & np.isfinite(high), "np.histogram")
            values.session.check(finite.read(), "ValueError: autodetected range is not finite")
    else:
        low, high = range
    wide = operand(np.where(low == high, 0.5, 0.0), "np.histogram", dtype if range is None else None)
    return operand(np.linspace(low - wide, high + wide, bins + 1), "np.histogram", dtype)


@implements(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Counts, which have no derivative, or sums of weights, which have one; and the edges."""
    values = flat(operand(a, "np.histogram"))
    session = require_session()
    edges = _edges(values, bins, range)
    n = size_symbol(session, dim_atom(dims_of(edges)[0])) - 1
    inside = (values >= edges[0]) & (values <= edges[n])
    places = np.clip(searchsorted(edges, values, "right") - 1, 0, n - 1)
    amounts = inside.astype(np.int64)
    if weights is not None:
        given = flat(operand(weights, "np.histogram"))
        amounts = operand(np.where(inside, given, given * 0), "np.histogram")
    counts = zeros(session, n, amounts.type.dtype)
    scatter_add(counts, places, amounts)
    if density:
        counts = counts / np.diff(edges) / np.sum(counts)
    return counts, edges


refuse("it counts, and has no derivative. Use np.searchsorted and np.add.at", np.histogram2d)
