"""scipy.stats: densities, probabilities and distribution functions, by their formulas in standard form.

A distribution is a row of a table: where its density is, what its parameters must satisfy, and what is known of it.
Place and scale mean the same for all. Values outside of the support and of wrong parameters are SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..calls import SPECIAL
from ..values.symbol import implements, require_session
from .arguments import operand

Formula = Callable[..., Any]
_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


@dataclass(frozen=True)
class Law:
    """A distribution in standard form: functions of the place z and of its shape parameters.

    `low` and `high` bound the support; `open_low` if the lower end has no density. `good` is what the parameters must
    satisfy. `inner` is a place inside of the support that stands in for places outside.
    """

    log_density: Formula
    low: Formula | float = -math.inf
    high: Formula | float = math.inf
    inner: float = 0.5
    good: Formula | None = None
    open_low: bool = False
    discrete: bool = False
    known: dict[str, Formula] = field(default_factory=dict)


def _special(name: str) -> Callable[..., Any]:
    return lambda *args: SPECIAL[name](*args)


ndtr, log_ndtr, expit, gammaln = map(_special, ("ndtr", "log_ndtr", "expit", "gammaln"))
xlogy, xlog1py, betaln, erf = map(_special, ("xlogy", "xlog1py", "betaln", "erf"))
ndtri, gammainc, gammaincc, gammaincinv, gammainccinv = map(
    _special, ("ndtri", "gammainc", "gammaincc", "gammaincinv", "gammainccinv")
)
betainc, betaincinv, stdtr, stdtrit = map(_special, ("betainc", "betaincinv", "stdtr", "stdtrit"))


def _log_binomial(n: Any, k: Any) -> Any:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)


def _of_tail(sf: Formula, log_sf: Formula | None = None) -> dict[str, Formula]:
    """What follows from the upper tail exp(-h), where -h is `log_sf`."""
    if log_sf is None:
        return {"sf": sf, "cdf": lambda z, *s: 1.0 - sf(z, *s)}
    return {"sf": sf, "logsf": log_sf, "cdf": lambda z, *s: -np.expm1(log_sf(z, *s))}


def _positive(*shapes: Any) -> Any:
    good: Any = True
    for shape in shapes:
        good = good & (shape > 0.0)
    return good


_QUANTILES = ("ppf", "isf")
_NORM = {
    "cdf": ndtr, "sf": lambda z: ndtr(-z), "logcdf": log_ndtr, "logsf": lambda z: log_ndtr(-z),
    "ppf": ndtri, "isf": lambda q: -ndtri(q),
}  # fmt: skip
LAWS: dict[str, Law] = {
    "norm": Law(lambda z: -0.5 * z * z - _LOG_2PI, known=_NORM),
    "expon": Law(lambda z: -z, 0.0, known=_of_tail(lambda z: np.exp(-z), lambda z: -z) | {
        "ppf": lambda q: -np.log1p(-q), "isf": lambda q: -np.log(q),
    }),
    "uniform": Law(lambda z: 0.0 * z, 0.0, 1.0, known={
        "cdf": lambda z: z, "sf": lambda z: 1.0 - z, "ppf": lambda q: q, "isf": lambda q: 1.0 - q,
    }),
    "laplace": Law(
        lambda z: -np.abs(z) - math.log(2.0),
        known={
            "cdf": lambda z: np.where(z > 0.0, 1.0 - 0.5 * np.exp(-np.abs(z)), 0.5 * np.exp(-np.abs(z))),
            "sf": lambda z: np.where(z > 0.0, 0.5 * np.exp(-np.abs(z)), 1.0 - 0.5 * np.exp(-np.abs(z))),
        },
    ),
    "cauchy": Law(
        lambda z: -np.log1p(z * z) - math.log(math.pi),
        known={"cdf": lambda z: 0.5 + np.arctan(z) / math.pi, "sf": lambda z: 0.5 - np.arctan(z) / math.pi,
               "ppf": lambda q: np.tan(math.pi * q - math.pi / 2.0)},
    ),
    "logistic": Law(
        lambda z: -np.abs(z) - 2.0 * np.log1p(np.exp(-np.abs(z))),
        known={"cdf": expit, "sf": lambda z: expit(-z), "logcdf": _special("log_expit"),
               "logsf": lambda z: SPECIAL["log_expit"](-z),
               "ppf": _special("logit"), "isf": lambda q: -SPECIAL["logit"](q)},
    ),
    "gumbel_r": Law(lambda z: -z - np.exp(-z), known={
        "cdf": lambda z: np.exp(-np.exp(-z)), "logcdf": lambda z: -np.exp(-z), "sf": lambda z: -np.expm1(-np.exp(-z)),
        "ppf": lambda q: -np.log(-np.log(q)),
    }),
    "gumbel_l": Law(lambda z: z - np.exp(z), known={
        "sf": lambda z: np.exp(-np.exp(z)), "logsf": lambda z: -np.exp(z), "cdf": lambda z: -np.expm1(-np.exp(z)),
    }),
    "halfnorm": Law(
        lambda z: 0.5 * math.log(2.0 / math.pi) - 0.5 * z * z, 0.0,
        known={"cdf": lambda z: erf(z / math.sqrt(2.0)), "sf": lambda z: SPECIAL["erfc"](z / math.sqrt(2.0))},
    ),
    "rayleigh": Law(
        lambda z: np.where(z < math.inf, np.log(z) - 0.5 * z * z, -math.inf), 0.0, open_low=True,
        known=_of_tail(lambda z: np.exp(-0.5 * z * z), lambda z: -0.5 * z * z),
    ),
    "gamma": Law(lambda z, a: xlogy(a - 1.0, z) - z - gammaln(a), 0.0, good=_positive, known={
        "cdf": lambda z, a: gammainc(a, z), "sf": lambda z, a: gammaincc(a, z),
        "ppf": lambda q, a: gammaincinv(a, q), "isf": lambda q, a: gammainccinv(a, q),
    }),
    "chi2": Law(
        lambda z, df: xlogy(df / 2.0 - 1.0, z) - z / 2.0 - gammaln(df / 2.0) - math.log(2.0) * df / 2.0, 0.0,
        good=_positive, known={
            "cdf": lambda z, df: gammainc(df / 2.0, z / 2.0), "sf": lambda z, df: gammaincc(df / 2.0, z / 2.0),
            "ppf": lambda q, df: 2.0 * gammaincinv(df / 2.0, q), "isf": lambda q, df: 2.0 * gammainccinv(df / 2.0, q),
        },
    ),
    "invgamma": Law(
        lambda z, a: -(a + 1.0) * np.log(z) - gammaln(a) - 1.0 / z, 0.0, good=_positive, open_low=True,
        known={"cdf": lambda z, a: gammaincc(a, 1.0 / z), "sf": lambda z, a: gammainc(a, 1.0 / z),
               "ppf": lambda q, a: 1.0 / gammainccinv(a, q), "isf": lambda q, a: 1.0 / gammaincinv(a, q)},
    ),
    "beta": Law(
        lambda z, a, b: xlog1py(b - 1.0, -z) + xlogy(a - 1.0, z) - betaln(a, b), 0.0, 1.0, good=_positive,
        known={"cdf": lambda z, a, b: betainc(a, b, z), "sf": lambda z, a, b: betainc(b, a, 1.0 - z),
               "ppf": lambda q, a, b: betaincinv(a, b, q)},
    ),
    "t": Law(
        lambda z, df: gammaln((df + 1.0) / 2.0) - gammaln(df / 2.0) - 0.5 * np.log(df * math.pi)
        - (df + 1.0) / 2.0 * np.log1p(z * z / df), good=_positive,
        known={"cdf": lambda z, df: stdtr(df, z), "sf": lambda z, df: stdtr(df, -z),
               "ppf": lambda q, df: stdtrit(df, q), "isf": lambda q, df: -stdtrit(df, q)},
    ),
    "lognorm": Law(
        lambda z, s: -np.log(z) ** 2 / (2.0 * s * s) - np.log(s * z) - _LOG_2PI, 0.0, good=_positive, open_low=True,
        known={name: lambda z, s, f=_NORM[name]: f(np.log(z) / s) for name in _NORM if name not in _QUANTILES}
        | {name: lambda q, s, f=_NORM[name]: np.exp(s * f(q)) for name in _QUANTILES},
    ),
    "weibull_min": Law(
        lambda z, c: np.log(c) + xlogy(c - 1.0, z) - z**c, 0.0, good=_positive,
        known=_of_tail(lambda z, c: np.exp(-(z**c)), lambda z, c: -(z**c)) | {
            "ppf": lambda q, c: (-np.log1p(-q)) ** (1.0 / c), "isf": lambda q, c: (-np.log(q)) ** (1.0 / c),
        },
    ),
    "pareto": Law(
        lambda z, b: np.log(b) - (b + 1.0) * np.log(z), 1.0, inner=2.0, good=_positive,
        known=_of_tail(lambda z, b: z ** (-b), lambda z, b: -b * np.log(z)),
    ),
    "skewnorm": Law(lambda z, a: math.log(2.0) - 0.5 * z * z - _LOG_2PI + log_ndtr(a * z)),
    "poisson": Law(
        lambda k, mu: xlogy(k, mu) - gammaln(k + 1.0) - mu, 0.0, inner=1.0, good=lambda mu: mu >= 0.0, discrete=True,
    ),
    "bernoulli": Law(
        lambda k, p: xlogy(k, p) + xlog1py(1.0 - k, -p), 0.0, 1.0, inner=1.0,
        good=lambda p: (p >= 0.0) & (p <= 1.0), discrete=True,
    ),
    "binom": Law(
        lambda k, n, p: _log_binomial(n, k) + xlogy(k, p) + xlog1py(n - k, -p), 0.0, lambda n, p: n, inner=0.0,
        good=lambda n, p: (n >= 0.0) & (n == np.floor(n)) & (p >= 0.0) & (p <= 1.0), discrete=True,
    ),
    "geom": Law(
        lambda k, p: xlog1py(k - 1.0, -p) + np.log(p), 1.0, inner=1.0, good=lambda p: (p <= 1.0) & (p > 0.0),
        discrete=True,
    ),
    "nbinom": Law(
        lambda k, n, p: gammaln(n + k) - gammaln(k + 1.0) - gammaln(n) + n * np.log(p) + xlog1py(k, -p), 0.0, inner=1.0,
        good=lambda n, p: (n > 0.0) & (p > 0.0) & (p <= 1.0), discrete=True,
    ),
}  # fmt: skip
_DENSITIES = ("pdf", "logpdf", "pmf", "logpmf")
_TAILS = ("cdf", "sf", "logcdf", "logsf")


class Frozen:
    """`norm(mu, sigma)` with traced parameters."""

    def __init__(self, law: Any, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self._law, self._args, self._kwargs = law, args, kwargs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda x: evaluate(self._law, name, (x, *self._args), self._kwargs)


@implements("scipy.stats")
def of_distribution(function: Any) -> Callable[..., Any] | None:
    """What a method of a distribution, or a distribution that is called, means on symbols; None for anything else."""
    if _is_distribution(function):
        return lambda *args, **kwargs: Frozen(function, args, kwargs)
    owner: Any = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if _is_distribution(owner):
        return lambda *args, **kwargs: evaluate(owner, name, args, kwargs)
    if _is_distribution(getattr(owner, "dist", None)) and type(owner).__module__.startswith("scipy.stats"):
        return lambda *args: evaluate(owner.dist, name, (*args, *owner.args), owner.kwds)
    return None


def _is_distribution(value: Any) -> bool:
    return type(value).__module__.startswith("scipy.stats") and hasattr(value, "logcdf") and hasattr(value, "shapes")


def evaluate(law: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A method of a SciPy distribution at a place, with shape parameters, place and scale."""
    session = require_session()
    table = LAWS.get(law.name)
    what = f"scipy.stats.{law.name}.{name}"
    known = table is not None and (
        (name in _DENSITIES and name.endswith("pmf") == table.discrete) or _from(table, name) is not None
    )
    if table is None or not known:
        raise session.error(UnsupportedFunction, f"{what} cannot be traced: pullback has no rule for it")
    names = [*(law.shapes.replace(" ", "").split(",") if law.shapes else ()), "loc"]
    names += [] if table.discrete else ["scale"]
    given = {"loc": 0.0, "scale": 1.0, **dict(zip(names, args[1:])), **kwargs}
    missing = [n for n in names if n not in given]
    if missing or len(args) > len(names) + 1 or set(given) - {*names, "scale"}:
        raise TypeError(f"{law.name}.{name}() takes a place and {', '.join(names)}")
    x = operand(args[0], what, float)
    loc, scale = operand(given["loc"], what, float), operand(given["scale"], what, float)
    shapes = [operand(given[n], what, float) for n in names if n not in ("loc", "scale")]
    z = (x - loc) / scale if not table.discrete else x - loc
    if name in _QUANTILES:
        return _quantile(table, name, x, loc, scale, shapes)
    good = (scale > 0.0) if table.good is None else (scale > 0.0) & table.good(*shapes)
    result = _density(table, name, z, scale, shapes) if name in _DENSITIES else _tail(table, name, z, shapes)
    return np.where(good, result, np.nan)


def _quantile(law: Law, name: str, q: Any, loc: Any, scale: Any, shapes: list[Any]) -> Any:
    """The place below (`isf`: above) which the share q of the distribution lies; at 0 and 1 the ends of the support."""
    good = (scale > 0.0) if law.good is None else (scale > 0.0) & law.good(*shapes)
    inside = (q > 0.0) & (q < 1.0)
    z = law.known[name](np.where(inside, q, 0.5), *shapes)
    low, high = _bound(law.low, shapes), _bound(law.high, shapes)
    low, high = (low, high) if name == "ppf" else (high, low)
    ends = np.where(q == 0.0, low * scale + loc, np.where(q == 1.0, high * scale + loc, np.nan))
    return np.where(good, np.where(inside, z * scale + loc, ends), np.nan)


def _bound(value: Formula | float, shapes: list[Any]) -> Any:
    return value(*shapes) if callable(value) else value


def _density(law: Law, name: str, z: Any, scale: Any, shapes: list[Any]) -> Any:
    low, high = _bound(law.low, shapes), _bound(law.high, shapes)
    inside = ((z > low) if law.open_low else (z >= low)) & (z <= high)
    if law.discrete:
        inside = inside & (z == np.floor(z))
    value = law.log_density(np.where(inside, z, law.inner), *shapes)
    if not law.discrete:
        value = value - np.log(scale)
    outside = np.where(np.isnan(z), np.nan, -np.inf if name.startswith("log") else 0.0)
    return np.where(inside, value if name.startswith("log") else np.exp(value), outside)


def _from(law: Law, name: str) -> Formula | None:
    """A tail function, if need be by way of another one."""
    if name in law.known:
        return law.known[name]
    if name not in _TAILS or law.discrete:
        return None
    plain = law.known.get(name.removeprefix("log"))
    return None if plain is None else lambda z, *s: np.log(plain(z, *s))


def _tail(law: Law, name: str, z: Any, shapes: list[Any]) -> Any:
    low, high = _bound(law.low, shapes), _bound(law.high, shapes)
    formula = _from(law, name)
    assert formula is not None
    inside = (z > low) & (z < high)
    below, above = (0.0, 1.0) if name.endswith("cdf") else (1.0, 0.0)
    if name.startswith("log"):
        below, above = (-math.inf if b == 0.0 else 0.0 for b in (below, above))
    value = formula(np.where(inside, z, law.inner), *shapes)
    return np.where(inside, value, np.where(np.isnan(z), np.nan, np.where(z <= low, below, above)))


