"""Functions of one or two floats: `partial(x, y)` is dy/dx at x, where y is the result.

The conventions at kinks and singular points are tabulated in docs/design.md.
"""

from __future__ import annotations

import math

import numpy as np

from ..primitive import Kind, Primitive, Trait
from ..program import Lit
from .arith import abs_sign, where
from .array import lifted
from .declare import elementwise, float_dtype, same_dtype, unary

exp = unary("exp", np.exp, lambda x, y: y, also=("math.exp",))
exp2 = unary("exp2", np.exp2, lambda x, y: y * math.log(2.0), sympy="2 ** {0}", also=("math.exp2", "scipy.special.exp2"))
expm1 = unary("expm1", np.expm1, lambda x, y: y + 1.0, sympy="exp({0}) - 1", also=("math.expm1", "scipy.special.expm1"))
log = unary("log", np.log, lambda x, y: 1.0 / x, domain=(0.1, 4.0))
log2 = unary("log2", np.log2, lambda x, y: 1.0 / (x * math.log(2.0)), sympy="log({0}) / log(2)", domain=(0.1, 4.0), also=("math.log2",))
log10 = unary("log10", np.log10, lambda x, y: 1.0 / (x * math.log(10.0)), sympy="log({0}) / log(10)", domain=(0.1, 4.0), also=("math.log10",))
log1p = unary("log1p", np.log1p, lambda x, y: 1.0 / (x + 1.0), sympy="log(1 + {0})", domain=(-0.9, 4.0), also=("math.log1p", "scipy.special.log1p"))
sqrt = unary("sqrt", np.sqrt, lambda x, y: 0.5 / y, domain=(0.1, 4.0), cost=4, also=("math.sqrt",))
cbrt = unary("cbrt", np.cbrt, lambda x, y: 1.0 / (3.0 * y * y), domain=(0.1, 4.0), sympy="{0} ** Rational(1, 3)", also=("math.cbrt", "scipy.special.cbrt"))
sin = unary("sin", np.sin, lambda x, y: cos(x), also=("math.sin",), traits=Trait.TAME)
cos: Primitive = unary("cos", np.cos, lambda x, y: -sin(x), also=("math.cos",), traits=Trait.TAME)
tan = unary("tan", np.tan, lambda x, y: 1.0 + y * y, domain=(-1.2, 1.2), also=("math.tan",), traits=Trait.TAME)
arcsin = unary("arcsin", np.arcsin, lambda x, y: 1.0 / sqrt(1.0 - x * x), domain=(-0.9, 0.9), sympy="asin({0})", also=("math.asin",))
arccos = unary("arccos", np.arccos, lambda x, y: -1.0 / sqrt(1.0 - x * x), domain=(-0.9, 0.9), sympy="acos({0})", also=("math.acos",))
arctan = unary("arctan", np.arctan, lambda x, y: 1.0 / (1.0 + x * x), sympy="atan({0})", also=("math.atan",), traits=Trait.TAME)
sinh = unary("sinh", np.sinh, lambda x, y: cosh(x), also=("math.sinh",))
cosh: Primitive = unary("cosh", np.cosh, lambda x, y: sinh(x), also=("math.cosh",))
tanh = unary("tanh", np.tanh, lambda x, y: 1.0 - y * y, also=("math.tanh",), traits=Trait.TAME)
arcsinh = unary("arcsinh", np.arcsinh, lambda x, y: 1.0 / sqrt(x * x + 1.0), sympy="asinh({0})", also=("math.asinh",), traits=Trait.TAME)
arccosh = unary("arccosh", np.arccosh, lambda x, y: 1.0 / (sqrt(x - 1.0) * sqrt(x + 1.0)), domain=(1.2, 4.0), sympy="acosh({0})", also=("math.acosh",))
arctanh = unary("arctanh", np.arctanh, lambda x, y: 1.0 / (1.0 - x * x), domain=(-0.9, 0.9), sympy="atanh({0})", also=("math.atanh",))
floor = unary("floor", np.floor, None, cost=1)
ceil = unary("ceil", np.ceil, None, cost=1, sympy="ceiling({0})")
trunc = unary("trunc", np.trunc, None, cost=1, sympy="sign({0}) * floor(Abs({0}))")
rint = unary("rint", np.rint, None, cost=1, sympy="floor({0} + Rational(1, 2))")
sign = unary("sign", np.sign, None, result=same_dtype, cost=1, traits=Trait.QUIET)
abs_ = unary(
    "abs", np.abs, lambda x, y: abs_sign(x), result=same_dtype, cost=1, sympy="Abs({0})",
    traits=Trait.QUIET | Trait.GROWS, also=("math.fabs",),
)  # fmt: skip

isnan = unary("isnan", np.isnan, None, result=lambda x: x.with_dtype("bool"), cost=1, samples=("f64", "f64[4]"), sympy="false", traits=Trait.QUIET, also=("math.isnan",))
isinf = unary("isinf", np.isinf, None, result=lambda x: x.with_dtype("bool"), cost=1, samples=("f64", "f64[4]"), sympy="false", traits=Trait.QUIET, also=("math.isinf",))
isfinite = unary("isfinite", np.isfinite, None, result=lambda x: x.with_dtype("bool"), cost=1, samples=("f64", "f64[4]"), sympy="true", traits=Trait.QUIET, also=("math.isfinite",))

arctan2 = elementwise(
    "arctan2", "arctan2({0}, {1})", np.arctan2,
    (lambda a, b, y: b / (a * a + b * b), lambda a, b, y: -a / (a * a + b * b)),
    cost=20, sympy="atan2({0}, {1})", also=("math.atan2",), domain=(0.2, 2.0),
)  # fmt: skip
hypot = elementwise(
    "hypot", "hypot({0}, {1})", np.hypot, (lambda a, b, y: _ratio(a, y), lambda a, b, y: _ratio(b, y)),
    cost=8, sympy="sqrt({0} ** 2 + {1} ** 2)",
)  # fmt: skip


def _ratio(a, y):
    # hypot(0, 0) has the subgradient 0, as norm(0) has.
    return where(y == 0.0, 0.0, a / where(y == 0.0, 1.0, y))


def _logaddexp_partial(a, b):
    # exp(a - y), but without a nan for a = b = -inf or +inf: there the two share the derivative. Finite ties
    # go the general way, or their second derivative would be lost.
    known = b if isinstance(b.atom, Lit) else a  # of a number it is known now
    return where((a == b) & isinf(known), 0.5, expit(a - b))


logaddexp = elementwise(
    "logaddexp", "logaddexp({0}, {1})", np.logaddexp,
    (lambda a, b, y: _logaddexp_partial(a, b), lambda a, b, y: _logaddexp_partial(b, a)),
    cost=20, sympy="log(exp({0}) + exp({1}))", traits=Trait.TAME,
)  # fmt: skip
expit = unary("expit", "scipy.special.expit", lambda x, y: y * (1.0 - y), sympy="1 / (1 + exp(-{0}))", traits=Trait.TAME)
erf = unary("erf", "scipy.special.erf", lambda x, y: exp(-(x * x)) * (2.0 / math.sqrt(math.pi)), also=("math.erf",), traits=Trait.TAME)
erfc = unary("erfc", "scipy.special.erfc", lambda x, y: exp(-(x * x)) * (-2.0 / math.sqrt(math.pi)), also=("math.erfc",), traits=Trait.TAME)
gammaln = unary(
    "gammaln", "scipy.special.gammaln", lambda x, y: polygamma(0, x),
    sympy="loggamma({0})", domain=(0.3, 4.0), cost=30, also=("math.lgamma",),
)  # fmt: skip


def _polygamma_vjp(y_bar, y, n, x):
    return None, y_bar * polygamma(n + 1, x)


def _polygamma_jvp(x_dots, y, n, x):
    return x_dots[1] * lifted(polygamma(n + 1, x), x_dots[1], x)


polygamma: Primitive = Primitive(
    "polygamma", "polygamma({0}, {1})", lambda n, x: float_dtype(x), "scipy.special.polygamma",
    kind=Kind.ELEMENTWISE, vjp=_polygamma_vjp, jvp=_polygamma_jvp, static=(0,), cost=50,
    sympy="polygamma({0}, {1})", samples=("0, f64", "1, f64[4]", "2, f64"), domain=(0.3, 4.0),
)  # fmt: skip
