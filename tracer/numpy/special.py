"""scipy.special, by name, so that SciPy is imported only by who uses it.

Conventions where a derivative is infinite or undefined: xlogy(0, 0) and entr(0) are 0 with derivative 0;
xlogy(0, y) has the derivative log(y) with respect to its first argument.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.ops.declare import float_dtype
from ...ir.primitive import REGISTRY, Primitive
from ...ir.program import Atom
from ...ir.types import DTYPES
from ..calls import SPECIAL
from ..values.convert import cast, common, float_of
from ..values.symbol import FUNCTIONS, as_value, implements, require_session, wrap
from .arguments import axes_argument, integer_argument, operand, refuse_options, require_elements
from .elementwise import apply, store_out
from .reduce import reduced
from .values import gamma, gamma_sign

Function = Callable[..., Any]


def special(*names: str, arity: int | None = None) -> Callable[[Function], Function]:
    """Register functions of floats under their names in scipy.special."""

    def register(implementation: Function) -> Function:
        arguments = implementation.__code__.co_argcount if arity is None else arity

        def function(*args: Any, out: Any = None, **options: Any) -> Any:
            refuse_options(f"scipy.special.{names[0]}", options)
            if len(args) == arguments + 1 and out is None:
                *args, out = args  # type: ignore[assignment]
            if len(args) != arguments:
                raise TypeError(f"{names[0]}() takes {arguments} arguments, not {len(args)}")
            atoms = _operands(names[0], list(args))
            result = operand(implementation(*(wrap(require_session(), a) for a in atoms)), names[0])
            return store_out(result.astype(atoms[0].type.numpy), out)

        for name in names:
            SPECIAL[name] = function
        return implementation

    return register


def _operands(name: str, args: list[Any]) -> list[Atom]:
    """The arguments in the dtype in which SciPy's ufunc of that name computes.

    It is not NumPy's rule: all integers go to float64, and a Python float beside a float32 array, in some of them.
    """
    session, what = require_session(), f"scipy.special.{name}"
    ufunc = getattr(sys.modules.get("scipy.special"), name, None)
    if not isinstance(ufunc, np.ufunc):
        return common(session, args, what, at_least="float")[0]
    values = [as_value(session, v, what) for v in args]
    given = [(float if a.type.is_float else int) if weak else a.type.numpy for a, weak in values]
    dtype = "f32" if ufunc.resolve_dtypes((*given, None))[-1] == np.float32 else "f64"
    return [cast(session, atom, dtype) for atom, _ in values]


def _primitive(op: Primitive, name: str) -> None:
    special(name, arity=len(op.partials or ()))(
        lambda *args: apply(op.name, list(args), f"scipy.special.{name}", at_least="float")
    )


for _op in REGISTRY.values():
    for _name in (_op.numpy, *_op.also):
        if isinstance(_name, str) and _name.startswith("scipy.special.") and _op.result is float_dtype:
            _primitive(_op, _name.removeprefix("scipy.special."))
SPECIAL["sinc"] = FUNCTIONS[np.sinc]


@implements("scipy.special")
def special_function(function: Any) -> Function | None:
    """What a ufunc of scipy.special means on symbols, None if nothing is registered."""
    name: str = getattr(function, "__name__", "")
    return SPECIAL.get(name) if isinstance(function, np.ufunc) and getattr(np, name, None) is not function else None


# -- gamma and its relatives ---------------------------------------------------------------------------


def _polygamma(n: int, x: Any) -> Any:
    return wrap(x.session, x.session.builder.emit("polygamma", n, x.read()))


@special("psi", "digamma")
def digamma(x: Any) -> Any:
    return _polygamma(0, x)


def polygamma(n: Any, x: Any) -> Any:
    order = integer_argument(n, "scipy.special.polygamma: the order")
    if order < 0:
        raise ValueError("polygamma is defined for orders n >= 0")
    return _polygamma(order, operand(x, "scipy.special.polygamma", float))


SPECIAL["polygamma"] = polygamma


@special("loggamma")
def loggamma(x: Any) -> Any:
    return np.where(x < 0.0, np.nan, apply("gammaln", [np.where(x < 0.0, 1.0, x)], "scipy.special.loggamma"))


special("gamma")(lambda x: gamma(x))


@special("gammasgn")
def gammasgn(x: Any) -> Any:
    return gamma_sign(x)


def _gammaln(x: Any) -> Any:
    x = operand(x, "scipy.special.gammaln")
    return np.where(x == -np.inf, -np.inf, apply("gammaln", [x], "scipy.special.gammaln"))


def comb(N: Any, k: Any, *, exact: Any = False, repetition: Any = False) -> Any:
    _refuse_exact("comb", exact or repetition)
    n, chosen = operand(N, "scipy.special.comb", float), operand(k, "scipy.special.comb", float)
    outside = ~((n >= 0) & (chosen >= 0) & (chosen <= n))
    inside = [np.where(outside, 1.0, n), np.where(outside, 1.0, chosen)]
    return np.where(outside, 0.0, apply("binom", inside, "scipy.special.comb"))[()]


def factorial(n: Any, exact: Any = False, extend: Any = "zero") -> Any:
    _refuse_exact("factorial", exact or extend != "zero")
    x = operand(n, "scipy.special.factorial", float)
    return np.where(x < 0.0, 0.0, gamma(operand(np.where(x < 0.0, 1.0, x + 1.0), "scipy.special.factorial")))[()]


def _refuse_exact(name: str, option: Any) -> None:
    if option:
        raise require_session().error(
            UnsupportedFunction,
            f"scipy.special.{name} with whole numbers of any size, or other conventions, cannot be traced: leave its "
            "options out",
        )


SPECIAL["comb"], SPECIAL["factorial"] = comb, factorial
implements(np.i0)(lambda x: apply("i0", [x], "np.i0", at_least="float"))


@special("betaln")
def betaln(a: Any, b: Any) -> Any:
    total = np.where((a == 0.0) & (b == 0.0), 1.0, a + b)  # at (0, 0) it is inf, not inf - inf
    return _gammaln(a) + _gammaln(b) - _gammaln(total)


@special("beta")
def beta(a: Any, b: Any) -> Any:
    total = operand(a + b, "scipy.special.beta")
    return gamma_sign(a) * gamma_sign(b) * gamma_sign(total, at_poles=1.0) * np.exp(betaln(a, b))


def multigammaln(a: Any, d: Any) -> Any:
    x = operand(a, "scipy.special.multigammaln", float)
    size = integer_argument(d, "scipy.special.multigammaln: d")
    result = 0.25 * size * (size - 1) * math.log(math.pi)
    for j in range(size):
        result = result + _gammaln(x - 0.5 * j)
    return result


SPECIAL["multigammaln"] = multigammaln


@special("exprel")
def exprel(x: Any) -> Any:
    """(exp(x) - 1) / x; near 0 by its series, whose derivatives are right, too."""
    small = np.abs(x) < 0.05
    series: Any = 1.0
    for k in range(9, 1, -1):
        series = 1.0 + x / k * series
    away = np.where(small | (x == np.inf), 1.0, x)
    return np.where(small, series, np.where(x == np.inf, np.inf, np.expm1(away) / away))


@special("boxcox")
def boxcox(x: Any, lmbda: Any) -> Any:
    return _boxcox(x, np.log(np.where(x == 0.0, 1.0, x)), lmbda)


@special("boxcox1p")
def boxcox1p(x: Any, lmbda: Any) -> Any:
    return _boxcox(x + 1.0, np.log1p(np.where(x == -1.0, 0.0, x)), lmbda)


def _boxcox(base: Any, logarithm: Any, lmbda: Any) -> Any:
    """(base**lmbda - 1) / lmbda; `logarithm` is that of the base, 0 where the base is 0."""
    away = logarithm * exprel(operand(lmbda * logarithm, "scipy.special.boxcox"))
    positive = np.where(lmbda <= 0.0, 1.0, lmbda)
    at_zero = (np.power(np.where(base == 0.0, base, 1.0), positive) - 1.0) / positive
    at_zero = np.where(lmbda == -np.inf, np.nan, np.where(lmbda <= 0.0, -np.inf, at_zero))
    negative = -1.0 / np.where(lmbda < 0.0, lmbda, -1.0)
    at_infinity = np.where(lmbda < 0.0, negative, np.where(lmbda < np.inf, np.inf, np.nan))
    return np.where(base == 0.0, at_zero, np.where(base == np.inf, at_infinity, away))


@special("exp10")
def exp10(x: Any) -> Any:
    return np.power(10.0, x)


@special("cosm1")
def cosm1(x: Any) -> Any:
    half = operand(np.sin(0.5 * x), "scipy.special.cosm1")
    return -2.0 * half * half


# -- logarithms with a factor --------------------------------------------------------------------------


@special("xlogy")
def xlogy(x: Any, y: Any) -> Any:
    vanishes = (x == 0.0) & ((y <= 0.0) | (y == np.inf))
    return x * np.log(np.where(vanishes, 1.0, y))


@special("xlog1py")
def xlog1py(x: Any, y: Any) -> Any:
    vanishes = (x == 0.0) & ((y <= -1.0) | (y == np.inf))
    return x * np.log1p(np.where(vanishes, 0.0, y))


@special("entr")
def entr(x: Any) -> Any:
    return np.where(x < 0.0, -np.inf, -xlogy(x, x))


@special("rel_entr")
def rel_entr(x: Any, y: Any) -> Any:
    both = (x > 0.0) & (y > 0.0)
    inside = x * np.log(np.where(both, x, 1.0) / np.where(both, y, 1.0))
    result = np.where(both, inside, np.where((x == 0.0) & (y >= 0.0), 0.0, np.inf))
    return np.where(np.isnan(x) | np.isnan(y), x + y, result)


@special("kl_div")
def kl_div(x: Any, y: Any) -> Any:
    inside = ((x > 0.0) & (y > 0.0)) | ((x == 0.0) & (y >= 0.0))
    difference = np.where(inside, y - x, 0.0)
    return rel_entr(x, y) + difference


@special("logit")
def logit(p: Any) -> Any:
    return np.log(p) - np.log1p(-p)


@special("log_expit")
def log_expit(x: Any) -> Any:
    return -np.logaddexp(0.0, -x)


@special("huber")
def huber(delta: Any, r: Any) -> Any:
    size = np.abs(r)
    value = np.where(size <= delta, 0.5 * r * r, delta * (size - 0.5 * delta))
    return np.where(delta < 0.0, np.inf, value)


@special("pseudo_huber")
def pseudo_huber(delta: Any, r: Any) -> Any:
    safe = np.where(delta == 0.0, 1.0, delta)
    ratio = r / safe
    value = delta * delta * (np.sqrt(1.0 + ratio * ratio) - 1.0)
    return np.where(delta < 0.0, np.inf, np.where((delta == 0.0) | (r == 0.0), 0.0, value))


# -- the normal distribution ---------------------------------------------------------------------------


@special("ndtr")
def ndtr(x: Any) -> Any:
    return 0.5 * apply("erfc", [x * -math.sqrt(0.5)], "scipy.special.ndtr")


@special("log_ndtr")
def log_ndtr(x: Any) -> Any:
    """log of the normal distribution function, accurate in both tails."""
    v = x if x.type.dtype == "f64" else x.astype(np.float64)
    tail, right = v < -20.0, v > 0.0
    middle = np.where(tail | right, 0.0, v)
    upper = np.where(right, v, 0.0)
    far = np.where(tail, v, -20.0)
    inverse = 1.0 / (far * far)
    # The asymptotic series of Mills' ratio; its tenth term is below rounding from -20 on.
    series: Any = 1.0
    for k in range(17, 0, -2):
        series = 1.0 - k * inverse * series
    lower = -0.5 * far * far - np.log(-far) - 0.5 * math.log(2.0 * math.pi) + np.log(series)
    half = math.sqrt(0.5)
    near = np.log(0.5 * apply("erfc", [middle * -half], "log_ndtr"))
    above = np.log1p(-0.5 * apply("erfc", [upper * half], "log_ndtr"))
    result = np.where(tail, lower, np.where(right, above, near))
    result = np.where(np.isnan(v), v, result)
    return result if x.type.dtype == "f64" else result.astype(x.type.numpy)


# -- sums of exponentials ------------------------------------------------------------------------------


def _shift(x: Any, axes: tuple[int, ...], mask: Any = None) -> Any:
    """A number near the maximum, so that exp(x - shift) does not overflow. Any such number gives the same
    result, so rounding it costs nothing and makes it a constant to differentiation."""
    shown = operand(x if mask is None else np.where(mask, x, -np.inf), "logsumexp")
    top = reduced("max", shown, axes, True)
    return operand(np.rint(np.where(np.isfinite(top), top, 0.0)), "logsumexp")


def _prepared(a: Any, axis: Any, what: str) -> tuple[Any, tuple[int, ...]]:
    x = operand(a, what, at_least="float")
    axes = axes_argument(axis, x.type.rank, what)
    message = "zero-size array to reduction operation maximum which has no identity"
    require_elements(x.session, [x.type.dims[k] for k in axes], message)
    return x, axes


def _without_axes(value: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    v = operand(value, "logsumexp")
    if keepdims or not v.type.rank:
        return v
    return v[tuple(0 if k in axes else slice(None) for k in range(v.type.rank))]


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: Any = False, return_sign: Any = False
) -> Any:
    if return_sign:
        raise operand(a, "scipy.special.logsumexp").session.error(
            UnsupportedFunction, "scipy.special.logsumexp(return_sign=True) cannot be traced"
        )
    x, axes = _prepared(a, axis, "scipy.special.logsumexp")
    if b is None:
        shift = _shift(x, axes)
        total = np.sum(np.exp(x - shift), axis=axes, keepdims=keepdims)
    else:
        weights = operand(b, "scipy.special.logsumexp", at_least="float")
        x = operand(x + np.zeros_like(weights), "scipy.special.logsumexp")
        shift = _shift(x, axes, weights != 0)
        # Where a weight is 0 the exponent may be large: it is cut off, so that 0 * inf does not occur.
        limit = math.log(float(np.finfo(x.type.numpy).max))
        total = np.sum(weights * np.exp(np.minimum(x - shift, limit)), axis=axes, keepdims=keepdims)
    return np.log(total) + _without_axes(shift, axes, keepdims)


def _as_numpy(x: Any, what: str) -> Any:
    """The operand in the dtype of np.exp of it."""
    v = operand(x, what)
    if v.type.numpy.kind == "u":
        advice = "Convert first: x.astype(np.float64)"
        raise v.session.error(TypeMismatch, f"{what} of {v.type.numpy} wraps around where it subtracts. {advice}")
    return operand(v, what, DTYPES[float_of(v.session, v.type.dtype, what)].numpy)


def softmax(x: Any, axis: Any = None) -> Any:
    v, axes = _prepared(_as_numpy(x, "scipy.special.softmax"), axis, "scipy.special.softmax")
    scaled = operand(np.exp(v - _shift(v, axes)), "scipy.special.softmax")
    return scaled / np.sum(scaled, axis=axes, keepdims=True)


def log_softmax(x: Any, axis: Any = None) -> Any:
    v, axes = _prepared(_as_numpy(x, "scipy.special.log_softmax"), axis, "scipy.special.log_softmax")
    shifted = operand(v - _shift(v, axes), "scipy.special.log_softmax")
    return shifted - np.log(np.sum(np.exp(shifted), axis=axes, keepdims=True))


SPECIAL.update(logsumexp=logsumexp, softmax=softmax, log_softmax=log_softmax)


@implements((np.logaddexp, "reduce"))
def logaddexp_reduce(
    a: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
) -> Any:
    refuse_options("np.logaddexp.reduce", {**options, "dtype": dtype})
    return store_out(logsumexp(a, axis, keepdims=keepdims), out)
