"""Means, variances and higher moments of Python's `statistics` and of scipy.stats, found by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..calls import SPECIAL
from ..values.symbol import FUNCTIONS, Symbol, as_value, implements, require_session
from .arguments import dims_of, operand, require_elements
from .pynumbers import weakened
from .reduce import flat, mean, variance
from .shape import expand_dims

_SCIPY = "scipy.stats._stats_py"


# -- Python's statistics ---------------------------------------------------------------------------------


def _data(data: Any, name: str, least: int = 1) -> Any:
    x = operand(data, f"statistics.{name}", at_least="f64")
    if x.type.rank != 1:
        raise TypeError("can't convert type 'ndarray' to numerator/denominator")
    (size,) = dims_of(x)
    if least == 1:
        require_elements(x.session, (size,), f"{name} requires at least one data point")
    elif isinstance(size, int) and size < least:
        raise ValueError(f"{name} requires at least two data points")
    return x


@implements(("statistics", "mean"), ("statistics", "fmean"))
def mean_(data: Any) -> Any:
    return weakened(mean(_data(data, "mean")))


@implements(("statistics", "geometric_mean"))
def geometric_mean(data: Any) -> Any:
    return weakened(np.exp(mean(np.log(_data(data, "geometric_mean")))))


@implements(("statistics", "harmonic_mean"))
def harmonic_mean(data: Any) -> Any:
    return weakened(1.0 / mean(1.0 / _data(data, "harmonic_mean")))


def _spread(name: str, center: str, ddof: int, root: bool) -> None:
    def function(data: Any, given: Any = None) -> Any:
        x = _data(data, name, 1 + ddof)
        if given is None:
            result = variance(x, None, None, ddof, False, f"statistics.{name}")
        else:
            count = FUNCTIONS[len](x) - ddof
            result = FUNCTIONS[np.sum]((x - given) ** 2) / count
        return weakened(np.sqrt(result) if root else result)

    def named(data: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.keys() - {center}:
            raise TypeError(f"{name}() got an unexpected keyword argument {min(kwargs)!r}")
        return function(data, *args, *kwargs.values())

    implements(("statistics", name))(named)


for _name, _center, _ddof, _root in (
    ("variance", "xbar", 1, False), ("stdev", "xbar", 1, True),
    ("pvariance", "mu", 0, False), ("pstdev", "mu", 0, True),
):  # fmt: skip
    _spread(_name, _center, _ddof, _root)


# -- scipy.stats -----------------------------------------------------------------------------------------


def _central(a: Any, axis: Any, what: str) -> tuple[Any, Any, Any, Any]:
    """The deviations from the mean, their variance, where that is 0 up to rounding, and how many there are."""
    x = operand(a, what, at_least="float")
    if axis is None:
        x, axis = flat(x), 0
    center = mean(x, axis)
    deviation = x - expand_dims(center, axis)
    square = mean(deviation**2, axis)
    zero = square <= (np.finfo(x.type.dtype.replace("f", "float")).eps * center) ** 2
    return deviation, square, zero, FUNCTIONS[np.size](x, axis)


def _plain(what: str, nan_policy: Any, keepdims: Any) -> None:
    if nan_policy != "propagate" or keepdims:
        raise require_session().error(
            UnsupportedFunction, f"{what} is traced with nan_policy='propagate' and keepdims=False only"
        )


@implements((_SCIPY, "skew"))
def skew(a: Any, axis: Any = 0, bias: Any = True, nan_policy: Any = "propagate", *, keepdims: Any = False) -> Any:
    _plain("scipy.stats.skew", nan_policy, keepdims)
    deviation, square, zero, n = _central(a, axis, "scipy.stats.skew")
    third = mean(deviation**3, 0 if axis is None else axis)
    result = np.where(zero, np.nan, third / np.where(zero, 1.0, square) ** 1.5)[()]
    if bias:
        return result
    _at_least(n, 3, "scipy.stats.skew(bias=False)")
    return np.sqrt((n - 1.0) * n) / (n - 2.0) * result


@implements((_SCIPY, "kurtosis"))
def kurtosis(
    a: Any, axis: Any = 0, fisher: Any = True, bias: Any = True, nan_policy: Any = "propagate", *, keepdims: Any = False
) -> Any:
    _plain("scipy.stats.kurtosis", nan_policy, keepdims)
    deviation, square, zero, n = _central(a, axis, "scipy.stats.kurtosis")
    fourth = mean(deviation**4, 0 if axis is None else axis)
    result = np.where(zero, np.nan, fourth / np.where(zero, 1.0, square) ** 2)[()]
    if not bias:
        _at_least(n, 4, "scipy.stats.kurtosis(bias=False)")
        result = ((n**2 - 1.0) * result - 3.0 * (n - 1.0) ** 2) / (n - 2.0) / (n - 3.0) + 3.0
    return result - 3 if fisher else result


def _at_least(n: Any, least: int, what: str) -> None:
    """SciPy has another formula for less."""
    session = require_session()
    form = session.builder.affine(as_value(session, n)[0]) - least
    if not session.ensure(form):
        raise session.error(UnsupportedFunction, f"{what} is traced for {least} values or more")


def _averaged(a: Any, axis: Any, what: str, nan_policy: Any, keepdims: Any) -> tuple[Any, Any]:
    _plain(what, nan_policy, keepdims)
    x = operand(a, what, at_least="float")
    return (flat(x), 0) if axis is None else (x, axis)


@implements((_SCIPY, "gmean"))
def gmean(
    a: Any, axis: Any = 0, dtype: Any = None, weights: Any = None, *, nan_policy: Any = "propagate",
    keepdims: Any = False,
) -> Any:  # fmt: skip
    _plain("scipy.stats.gmean", nan_policy, keepdims)
    x = operand(a, "scipy.stats.gmean", dtype, at_least="float")
    return np.exp(FUNCTIONS[np.average](np.log(x), axis, weights))


@implements((_SCIPY, "hmean"))
def hmean(
    a: Any, axis: Any = 0, dtype: Any = None, *, weights: Any = None, nan_policy: Any = "propagate",
    keepdims: Any = False,
) -> Any:  # fmt: skip
    _plain("scipy.stats.hmean", nan_policy, keepdims)
    x = operand(a, "scipy.stats.hmean", dtype, at_least="float")
    return 1.0 / FUNCTIONS[np.average](1.0 / np.where(x < 0.0, np.nan, x), axis, weights)


@implements((_SCIPY, "zscore"))
def zscore(a: Any, axis: Any = 0, ddof: Any = 0, nan_policy: Any = "propagate") -> Any:
    _plain("scipy.stats.zscore", nan_policy, False)
    x = operand(a, "scipy.stats.zscore", at_least="float")
    one = flat(x) if axis is None else x
    place = 0 if axis is None else axis
    z = (one - expand_dims(mean(one, place), place)) / expand_dims(FUNCTIONS[np.std](one, place, ddof=ddof), place)
    return FUNCTIONS[np.reshape](z, FUNCTIONS["shape"](x)) if axis is None else z


@implements((_SCIPY, "sem"))
def sem(a: Any, axis: Any = 0, ddof: Any = 1, nan_policy: Any = "propagate", *, keepdims: Any = False) -> Any:
    x, axis = _averaged(a, axis, "scipy.stats.sem", nan_policy, keepdims)
    return FUNCTIONS[np.std](x, axis, ddof=ddof) / np.sqrt(FUNCTIONS[np.size](x, axis))


@implements(("scipy.stats._variation", "variation"))
def variation(
    a: Any, axis: Any = 0, nan_policy: Any = "propagate", ddof: Any = 0, *, keepdims: Any = False
) -> Any:
    x, axis = _averaged(a, axis, "scipy.stats.variation", nan_policy, keepdims)
    return FUNCTIONS[np.std](x, axis, ddof=ddof) / mean(x, axis)


@implements(("scipy.stats._entropy", "entropy"))
def entropy(
    pk: Any, qk: Any = None, base: Any = None, axis: Any = 0, *, nan_policy: Any = "propagate", keepdims: Any = False
) -> Any:
    _plain("scipy.stats.entropy", nan_policy, keepdims)
    p = operand(pk, "scipy.stats.entropy", at_least="float")
    p = p / FUNCTIONS[np.sum](p, axis, keepdims=True)
    if qk is None:
        terms = SPECIAL["entr"](p)
    else:
        q = operand(qk, "scipy.stats.entropy", at_least="float")
        terms = SPECIAL["rel_entr"](p, q / FUNCTIONS[np.sum](q, axis, keepdims=True))
    total = FUNCTIONS[np.sum](terms, axis)
    return total if base is None else total / np.log(base)


# -- questions that have the answer of an array -----------------------------------------------------------


@implements(
    ("scipy._lib._sparse", "issparse"), ("scipy.sparse._base", "issparse"), ("scipy.sparse._base", "isspmatrix")
)
def issparse(x: Any) -> bool:
    return False


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    found = [np.empty(0, a.type.numpy if isinstance(a, Symbol) else np.asarray(a).dtype) for a in arrays]
    return np.common_type(*found)
