"""Functions of single values that are compositions: special points, nan, comparisons with a tolerance."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.types import NARROW
from ..values.arithmetic import is_python
from ..values.convert import common
from ..values.symbol import FUNCTIONS, METHODS, Array, Scalar, as_value, implements, require_session, wrap
from .arguments import array_operand, names, operand, refuse, refuse_options
from .elementwise import apply, store_out
from .pynumbers import weakened


def composed(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a composition of ufuncs as a ufunc: `out=` is honoured, other options are refused."""

    def register(implementation: Callable[..., Any]) -> Callable[..., Any]:
        name = f"np.{functions[0].__name__}"
        arity = implementation.__code__.co_argcount

        def ufunc(*args: Any, out: Any = None, **options: Any) -> Any:
            refuse_options(name, options)
            if len(args) == arity + 1 and out is None:
                *args, out = args  # type: ignore[assignment]
            return store_out(implementation(*args), out)

        implements(*functions)(ufunc)
        return implementation

    return register


def pair(a: Any, b: Any, what: str) -> tuple[Any, Any]:
    return operand(a, what), operand(b, what)


def floats(what: str, *values: Any) -> Any:
    """Operands as a float function of NumPy computes them."""
    session = require_session()
    return [wrap(session, atom) for atom in common(session, list(values), what, at_least="float")[0]]


def _together(a: Any, b: Any, what: str) -> tuple[Any, Any]:
    """Operands in their common dtype."""
    session = require_session()
    one, two = common(session, [a, b], what)[0]
    return wrap(session, one), wrap(session, two)


@composed(np.heaviside)
def heaviside(x1: Any, x2: Any) -> Any:
    x, x2 = floats("np.heaviside", x1, x2)
    step = np.where(x > 0.0, 1.0, 0.0).astype(x.type.numpy)
    return np.where(x == 0.0, x2, np.where(np.isnan(x), x, step))


@implements(np.sinc)
def sinc(x: Any) -> Any:
    y = operand(operand(x, "np.sinc", at_least="float") * math.pi, "np.sinc")
    small = np.abs(y) < 0.1
    # sin(y) / y loses its derivatives at 0; the series is exact to rounding, for a few derivatives, too.
    s = y * y
    series = 1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0))))
    away = np.where(small, 1.0, y)
    return np.where(small, series, np.sin(away) / away)


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: Any = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    v = operand(x, "np.nan_to_num")
    if not v.type.is_float:
        return v
    limits = np.finfo(v.type.numpy)
    high = float(limits.max) if posinf is None else posinf
    low = float(limits.min) if neginf is None else neginf
    result = np.where(np.isnan(v), nan, np.where(v == np.inf, high, np.where(v == -np.inf, low, v)))
    if copy is False:
        return store_out(result, x)
    return result


@composed(np.fmax)
def fmax(a: Any, b: Any) -> Any:
    x, y = _together(a, b, "np.fmax")
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.maximum(x, y)))


@composed(np.fmin)
def fmin(a: Any, b: Any) -> Any:
    x, y = _together(a, b, "np.fmin")
    return np.where(np.isnan(x), y, np.where(np.isnan(y), x, np.minimum(x, y)))


def _float64(x: Any) -> Any:
    v = operand(x, "np.float_power")
    return v if v.type.dtype == "f64" else v.astype(np.float64)


@composed(np.float_power)
def float_power(a: Any, b: Any) -> Any:
    return np.power(_float64(a), _float64(b))


@implements(math.pow)
def math_pow(a: Any, b: Any) -> Any:
    return Scalar(require_session(), float_power(a, b).read(), weak=True)


@composed(np.ldexp)
def ldexp(x: Any, i: Any) -> Any:
    places = operand(i, "np.ldexp")
    if is_python(x) and not is_python(i) and not as_value(places.session, x)[0].type.is_float:
        raise places.session.error(TypeMismatch, "np.ldexp of a Python integer cannot be traced. Write float(x)")
    (v,) = floats("np.ldexp", x)
    if places.type.is_float:
        raise v.session.error(TypeMismatch, "np.ldexp: the exponent must be an integer")
    # In two halves, each of which is a float where the product is one.
    half = np.trunc(places.astype(v.type.numpy) * 0.5)
    scaled = v * np.exp2(half) * np.exp2(places.astype(v.type.numpy) - half)
    return np.where((v == 0.0) | np.isinf(v), v, scaled)


@implements(math.ldexp)
def math_ldexp(x: Any, i: Any) -> Any:
    return weakened(ldexp(FUNCTIONS[float](x), i))


@implements(math.modf)
def math_modf(x: Any) -> tuple[Any, ...]:
    return tuple(map(weakened, modf(FUNCTIONS[float](x))))


@implements(np.modf)
def modf(x: Any) -> tuple[Any, Any]:
    (v,) = floats("np.modf", x)
    whole = np.trunc(v)
    return np.where(np.isinf(v), 0.0, v - np.where(np.isinf(v), 0.0, whole)), whole


@composed(np.signbit)
def signbit(x: Any) -> Any:
    v = operand(x, "np.signbit")
    return np.copysign(1.0, v) < 0 if v.type.is_float else v < 0


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    x, y = (operand(v, "np.isclose", at_least="float") for v in (a, b))
    near = (np.abs(x - y) <= atol + rtol * np.abs(y)) & np.isfinite(y)
    result = near | (x == y)
    return result | (np.isnan(x) & np.isnan(y)) if equal_nan else result


@implements(math.isclose)
def math_isclose(a: Any, b: Any, *, rel_tol: Any = 1e-09, abs_tol: Any = 0.0) -> Any:
    x, y = (FUNCTIONS[float](v) for v in (a, b))
    limit = np.maximum(rel_tol * np.maximum(np.abs(x), np.abs(y)), abs_tol)
    return weakened((x == y) | ((np.abs(x - y) <= limit) & np.isfinite(x) & np.isfinite(y)))


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: Any = False) -> Any:
    return weakened(np.all(isclose(a, b, rtol, atol, equal_nan)))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: Any = False) -> Any:
    x, y = pair(a1, a2, "np.array_equal")
    if not _same_shape(x, y):
        return False
    same = x == y
    return weakened(np.all(same | (np.isnan(x) & np.isnan(y)) if equal_nan else same))


def _same_shape(x: Any, y: Any) -> bool:
    if x.type.rank != y.type.rank:
        return False
    builder = x.session.builder
    for a, b in zip(x.type.dims, y.type.dims):
        form = builder.affine(a) - builder.affine(b)
        answers = [builder.holds(form), builder.holds(form.scaled(-1))]
        if None in answers:
            raise x.session.error(UnsupportedFunction, "np.array_equal of shapes that only a run can compare")
        if not all(answers):
            return False
    return True


@composed(np.isposinf)
def isposinf(x: Any) -> Any:
    return operand(x, "np.isposinf", at_least="float") == np.inf


@composed(np.isneginf)
def isneginf(x: Any) -> Any:
    return operand(x, "np.isneginf", at_least="float") == -np.inf


@implements(np.iscomplex)
def iscomplex(x: Any) -> Any:
    return np.zeros_like(operand(x, "np.iscomplex"), dtype=bool)


@implements(np.isreal)
def isreal(x: Any) -> Any:
    if is_python(x):
        return True
    return np.ones_like(operand(x, "np.isreal"), dtype=bool)


for _function in (np.iscomplexobj,):
    implements(_function)(lambda x: False)
for _function in (np.isrealobj,):
    implements(_function)(lambda x: True)


@implements(np.real, np.real_if_close)
def real(x: Any, **options: Any) -> Any:
    """Traced numbers are real."""
    refuse_options("np.real", options)
    return x if is_python(x) else array_operand(x, "np.real")


@implements(np.conjugate, method="conj")
def conjugate(x: Any) -> Any:
    value = array_operand(x, "np.conjugate")
    return value.astype(np.int8) if value.type.dtype == "bool" else value


METHODS["conjugate"] = conjugate
METHODS["real"] = property(real)


@implements(np.imag)
def imag(val: Any) -> Any:
    if is_python(val):
        return 0.0 if val.type.is_float else 0
    return np.zeros_like(operand(val, "np.imag"))


METHODS["imag"] = property(imag)


@implements(np.angle)
def angle(z: Any, deg: Any = False) -> Any:
    (x,) = floats("np.angle", z)
    half_turn = np.where(np.signbit(x), 180.0 if deg else math.pi, 0.0).astype(x.type.numpy)
    return np.where(np.isnan(x), x, half_turn)


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 2 * np.pi) -> Any:
    refuse_options("np.unwrap", {"discont": discont})
    x = operand(p, "np.unwrap", at_least="float")
    step = operand(np.diff(operand(p, "np.unwrap"), axis=axis), "np.unwrap", at_least="float")
    half = period / 2
    wrapped = np.mod(step + half, period) - half
    wrapped = np.where((wrapped == -half) & (step > 0), half, wrapped)
    turns = np.where(np.abs(step) < half, 0.0, wrapped - step)
    place = axis % x.type.rank
    rest = np.cumsum(turns, axis=place)
    first = x[(*(slice(None),) * place, slice(0, 1))]
    later = x[(*(slice(None),) * place, slice(1, None))]
    return np.concatenate([first, later + rest], axis=place)


# -- outer products of ufuncs --------------------------------------------------------------------------


def _outer(ufunc: Any) -> None:
    def outer(a: Any, b: Any, out: Any = None) -> Any:
        x, y = pair(a, b, f"np.{ufunc.__name__}.outer")
        wide = x[(*(slice(None),) * x.type.rank, *(None,) * y.type.rank)] if x.type.rank else x
        return store_out(FUNCTIONS[ufunc](wide, y), out)

    implements((ufunc, "outer"))(outer)


for _ufunc in (np.add, np.subtract, np.multiply, np.true_divide, np.maximum, np.minimum, np.power, np.less,
               np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal, np.arctan2, np.hypot,
               np.logaddexp):  # fmt: skip
    _outer(_ufunc)

# -- the math module on sequences ----------------------------------------------------------------------


@implements(math.fsum)
def fsum(values: Any) -> Any:
    if isinstance(values, Array):
        values = values.astype(np.float64)
    return FUNCTIONS[float](FUNCTIONS[builtins.sum](values, 0.0))


@implements(math.prod)
def math_prod(values: Any, *, start: Any = 1) -> Any:
    if isinstance(values, Array):
        if not values.dims or values.dims[0] == 0:
            return start
        # Python multiplies element by element: short integers stay short.
        short = values.type.dtype in NARROW
        return np.prod(values, axis=0, dtype=values.type.numpy if short else None) * start
    result = start
    for value in values:
        result = result * value
    return result


@implements(math.dist)
def dist(p: Any, q: Any) -> Any:
    one, two = (operand(v, "math.dist").astype(np.float64) for v in (p, q))
    apart = operand(one - two, "math.dist")
    return weakened(np.where(np.any(np.isinf(apart)), np.inf, np.linalg.norm(apart)))


@implements(*names(math, "sumprod"))
def sumprod(p: Any, q: Any) -> Any:
    return np.vdot(operand(p, "math.sumprod"), operand(q, "math.sumprod"))


@implements(math.gamma)
def math_gamma(x: Any) -> Any:
    return weakened(gamma(FUNCTIONS[float](x)))


def gamma(x: Any) -> Any:
    """The gamma function: exp(gammaln(x)) with its sign."""
    return gamma_sign(x) * np.exp(apply("gammaln", [x], "gamma"))


def gamma_sign(x: Any, at_poles: float = np.nan) -> Any:
    """The sign of the gamma function, which alternates between the negative integers."""
    whole = np.floor(x)
    sign = np.where(np.mod(whole, 2.0) == 1.0, -1.0, 1.0)
    beside = np.where(x < 0.0, np.where(whole == x, at_poles, sign), np.where(np.isnan(x), np.nan, 1.0))
    return np.where(x == 0.0, np.copysign(np.ones_like(x), x), beside.astype(x.type.numpy))


refuse("it does not depend smoothly on its argument", np.nextafter, np.spacing, np.frexp)
