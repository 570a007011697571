"""Means, variances and higher moments of Python's `statistics` and of scipy.stats, found by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..values.symbol import FUNCTIONS, implements, require_session
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


def _central(a: Any, axis: Any, what: str) -> tuple[Any, Any, Any]:
    """The deviations from the mean, their variance, and where that is 0 up to rounding."""
    x = operand(a, what, at_least="float")
    if axis is None:
        x, axis = flat(x), 0
    center = mean(x, axis)
    deviation = x - expand_dims(center, axis)
    square = mean(deviation**2, axis)
    return deviation, square, square <= (np.finfo(x.type.dtype.replace("f", "float")).eps * center) ** 2


def _plain(what: str, bias: Any, nan_policy: Any, keepdims: Any) -> None:
    if bias is not True or nan_policy != "propagate" or keepdims:
        raise require_session().error(
            UnsupportedFunction, f"{what} is traced with bias=True, nan_policy='propagate' and keepdims=False only"
        )


@implements((_SCIPY, "skew"))
def skew(a: Any, axis: Any = 0, bias: Any = True, nan_policy: Any = "propagate", *, keepdims: Any = False) -> Any:
    _plain("scipy.stats.skew", bias, nan_policy, keepdims)
    deviation, square, zero = _central(a, axis, "scipy.stats.skew")
    third = mean(deviation**3, 0 if axis is None else axis)
    return np.where(zero, np.nan, third / np.where(zero, 1.0, square) ** 1.5)[()]


@implements((_SCIPY, "kurtosis"))
def kurtosis(
    a: Any, axis: Any = 0, fisher: Any = True, bias: Any = True, nan_policy: Any = "propagate", *, keepdims: Any = False
) -> Any:
    _plain("scipy.stats.kurtosis", bias, nan_policy, keepdims)
    deviation, square, zero = _central(a, axis, "scipy.stats.kurtosis")
    fourth = mean(deviation**4, 0 if axis is None else axis)
    result = np.where(zero, np.nan, fourth / np.where(zero, 1.0, square) ** 2)[()]
    return result - 3 if fisher else result
