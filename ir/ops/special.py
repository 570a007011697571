"""Functions of scipy.special that are one call of SciPy's own compiled function.

Their derivatives are other functions of this file, so that all orders exist. NotImplemented stands where none is known:
by the order of a Bessel function, or by the shape of an incomplete integral. Sources: F. W. J. Olver et al., NIST
Digital Library of Mathematical Functions, chapters 6 to 8, 10, 13, 15, 16 and 19.
"""

from __future__ import annotations

import math

from ..primitive import Primitive, Ref
from .arith import where
from .declare import constant, elementwise, unary
from .math import erf, exp, gammaln, log, log1p, polygamma, sign, sqrt

SQRT_PI, SQRT_2PI = math.sqrt(math.pi), math.sqrt(2.0 * math.pi)


def _several(name: str, *partials, sympy: str | None = None, domain=(0.3, 2.0), **options) -> Primitive:
    """A function of several numbers. What there is no derivative by is a number in its samples."""
    places = ", ".join(f"{{{k}}}" for k in range(len(partials)))
    samples = tuple(
        ", ".join("0.7" if p is NotImplemented else type for p in partials) for type in ("f64", "f64[4, 3]")
    )
    return elementwise(
        name, f"{name}({places})", f"scipy.special.{name}", partials, cost=50, sympy=sympy, domain=domain,
        samples=samples, **options,
    )  # fmt: skip


def _unary(name: str, partial, sympy: str, domain: tuple[float, float] = (-2.0, 2.0), **options) -> Primitive:
    return unary(name, f"scipy.special.{name}", partial, cost=30, sympy=sympy, domain=domain, **options)


# -- Bessel functions ----------------------------------------------------------------------------------

jv: Primitive = _several(
    "jv", NotImplemented, lambda v, x, y: (jv(v - 1.0, x) - jv(v + 1.0, x)) * 0.5, sympy="besselj({0}, {1})",
    also=("scipy.special.jn",),
)  # fmt: skip
yv: Primitive = _several(
    "yv", NotImplemented, lambda v, x, y: (yv(v - 1.0, x) - yv(v + 1.0, x)) * 0.5, sympy="bessely({0}, {1})",
    also=("scipy.special.yn",),
)  # fmt: skip
iv: Primitive = _several(
    "iv", NotImplemented, lambda v, x, y: (iv(v - 1.0, x) + iv(v + 1.0, x)) * 0.5, sympy="besseli({0}, {1})"
)  # fmt: skip
kv: Primitive = _several(
    "kv", NotImplemented, lambda v, x, y: (kv(v - 1.0, x) + kv(v + 1.0, x)) * -0.5, sympy="besselk({0}, {1})",
    also=("scipy.special.kn",),
)  # fmt: skip
ive: Primitive = _several(
    "ive", NotImplemented, lambda v, x, y: (ive(v - 1.0, x) + ive(v + 1.0, x)) * 0.5 - sign(x) * y,
    sympy="besseli({0}, {1}) * exp(-Abs({1}))",
)  # fmt: skip
kve: Primitive = _several(
    "kve", NotImplemented, lambda v, x, y: y - (kve(v - 1.0, x) + kve(v + 1.0, x)) * 0.5,
    sympy="besselk({0}, {1}) * exp({1})",
)  # fmt: skip


def _of_order(function: Primitive, order: float, x: Ref) -> Ref:
    return function(constant(x, order), x)


j0: Primitive = _unary("j0", lambda x, y: -j1(x), "besselj(0, {0})")
j1: Primitive = _unary("j1", lambda x, y: (j0(x) - _of_order(jv, 2.0, x)) * 0.5, "besselj(1, {0})")
y0: Primitive = _unary("y0", lambda x, y: -y1(x), "bessely(0, {0})", (0.3, 3.0))
y1: Primitive = _unary("y1", lambda x, y: (y0(x) - _of_order(yv, 2.0, x)) * 0.5, "bessely(1, {0})", (0.3, 3.0))
i0: Primitive = _unary("i0", lambda x, y: i1(x), "besseli(0, {0})")
i1: Primitive = _unary("i1", lambda x, y: (i0(x) + _of_order(iv, 2.0, x)) * 0.5, "besseli(1, {0})")
k0: Primitive = _unary("k0", lambda x, y: -k1(x), "besselk(0, {0})", (0.3, 3.0))
k1: Primitive = _unary("k1", lambda x, y: (k0(x) + _of_order(kv, 2.0, x)) * -0.5, "besselk(1, {0})", (0.3, 3.0))
i0e: Primitive = _unary("i0e", lambda x, y: i1e(x) - sign(x) * y, "besseli(0, {0}) * exp(-Abs({0}))")
i1e: Primitive = _unary(
    "i1e",
    lambda x, y: (i0e(x) + _of_order(ive, 2.0, x)) * 0.5 - sign(x) * y,
    "besseli(1, {0}) * exp(-Abs({0}))",
)
k0e: Primitive = _unary("k0e", lambda x, y: y - k1e(x), "besselk(0, {0}) * exp({0})", (0.3, 3.0))
k1e: Primitive = _unary(
    "k1e", lambda x, y: y - (k0e(x) + _of_order(kve, 2.0, x)) * 0.5, "besselk(1, {0}) * exp({0})", (0.3, 3.0)
)

# -- error functions and exponential integrals -----------------------------------------------------------

erfi = _unary("erfi", lambda x, y: exp(x * x) * (2.0 / SQRT_PI), "erfi({0})")
erfcx = _unary("erfcx", lambda x, y: x * y * 2.0 - 2.0 / SQRT_PI, "exp({0} ** 2) * erfc({0})")
dawsn = _unary("dawsn", lambda x, y: 1.0 - x * y * 2.0, "exp(-{0} ** 2) * erfi({0}) * sqrt(pi) / 2")
erfinv = _unary("erfinv", lambda x, y: exp(y * y) * (SQRT_PI / 2.0), "erfinv({0})", (-0.9, 0.9))
erfcinv = _unary("erfcinv", lambda x, y: exp(y * y) * (-SQRT_PI / 2.0), "erfinv(1 - {0})", (0.2, 1.8))
ndtri = _unary("ndtri", lambda x, y: exp(y * y * 0.5) * SQRT_2PI, "sqrt(2) * erfinv(2 * {0} - 1)", (0.1, 0.9))
exp1 = _unary("exp1", lambda x, y: -exp(-x) / x, "expint(1, {0})", (0.3, 3.0))
expi = _unary("expi", lambda x, y: exp(x) / x, "Ei({0})", (0.3, 3.0))
spence = _unary("spence", lambda x, y: _spence_partial(x), "polylog(2, 1 - {0})", (0.1, 0.9))
owens_t = _several(
    "owens_t", lambda h, a, y: exp(h * h * -0.5) * erf(a * h * math.sqrt(0.5)) * (-0.5 / SQRT_2PI),
    lambda h, a, y: exp(h * h * (a * a + 1.0) * -0.5) / (a * a + 1.0) * (0.5 / math.pi),
    sympy="Integral(exp(-{0} ** 2 * (1 + Symbol('t') ** 2) / 2) / (1 + Symbol('t') ** 2), (Symbol('t'), 0, {1})) / (2 * pi)",
)  # fmt: skip


def _spence_partial(x):
    # log(x) / (1 - x), whose limit at 1 is -1
    away = where(x == 1.0, 2.0, x)
    return where(x == 1.0, -1.0, log(away) / (1.0 - away))


# -- gamma and its relatives -----------------------------------------------------------------------------


def _psi(x: Ref) -> Ref:
    return polygamma(0, x)


rgamma = _unary("rgamma", lambda x, y: -y * _psi(x), "1 / gamma({0})", (0.3, 3.0))
poch = _several(
    "poch",
    lambda z, m, y: y * (_psi(z + m) - _psi(z)),
    lambda z, m, y: y * _psi(z + m),
    sympy="gamma({0} + {1}) / gamma({0})",
)
binom = _several(
    "binom", lambda n, k, y: y * (_psi(n + 1.0) - _psi(n - k + 1.0)),
    lambda n, k, y: y * (_psi(n - k + 1.0) - _psi(k + 1.0)), sympy="binomial({0}, {1})",
)  # fmt: skip


def _gamma_density(a: Ref, x: Ref) -> Ref:
    return exp((a - 1.0) * log(x) - x - gammaln(a))


def _beta_density(a: Ref, b: Ref, x: Ref) -> Ref:
    return exp((a - 1.0) * log(x) + (b - 1.0) * log1p(-x) - (gammaln(a) + gammaln(b) - gammaln(a + b)))


gammainc = _several(
    "gammainc",
    NotImplemented,
    lambda a, x, y: _gamma_density(a, x),
    sympy="lowergamma({0}, {1}) / gamma({0})",
)
gammaincc = _several(
    "gammaincc",
    NotImplemented,
    lambda a, x, y: -_gamma_density(a, x),
    sympy="uppergamma({0}, {1}) / gamma({0})",
)
gammaincinv = _several(
    "gammaincinv", NotImplemented, lambda a, p, y: 1.0 / _gamma_density(a, y),
    domain=(0.3, 0.9),
)  # fmt: skip
gammainccinv = _several(
    "gammainccinv", NotImplemented, lambda a, p, y: -1.0 / _gamma_density(a, y),
    domain=(0.3, 0.9),
)  # fmt: skip
betainc = _several(
    "betainc", NotImplemented, NotImplemented, lambda a, b, x, y: _beta_density(a, b, x), domain=(0.2, 0.8),
    sympy="betainc_regularized({0}, {1}, 0, {2})",
)  # fmt: skip
betaincinv = _several(
    "betaincinv", NotImplemented, NotImplemented, lambda a, b, p, y: 1.0 / _beta_density(a, b, y), domain=(0.2, 0.8),
)  # fmt: skip


def _t_density(n: Ref, t: Ref) -> Ref:
    scale = gammaln((n + 1.0) * 0.5) - gammaln(n * 0.5)
    return exp(scale - log1p(t * t / n) * ((n + 1.0) * 0.5)) / sqrt(n * math.pi)


stdtr = _several(
    "stdtr",
    NotImplemented,
    lambda n, t, y: _t_density(n, t),
    sympy="Rational(1, 2) + {1} * gamma(({0} + 1) / 2) * hyper([Rational(1, 2), ({0} + 1) / 2], [Rational(3, 2)], "
    "-{1} ** 2 / {0}) / (sqrt(pi * {0}) * gamma({0} / 2))",
)
stdtrit = _several("stdtrit", NotImplemented, lambda n, p, y: 1.0 / _t_density(n, y), domain=(0.3, 0.9))

# -- elliptic integrals ----------------------------------------------------------------------------------


def _over_m(difference: Ref, m: Ref, at_zero: float) -> Ref:
    """A difference that vanishes with m, over 2 m."""
    return where(m == 0.0, at_zero, difference / where(m == 0.0, 1.0, m) * 0.5)


ellipk: Primitive = _unary(
    "ellipk", lambda m, y: _over_m(ellipe(m) / (1.0 - m) - y, m, math.pi / 8.0), "elliptic_k({0})", (0.1, 0.9)
)
ellipe: Primitive = _unary(
    "ellipe", lambda m, y: _over_m(y - ellipk(m), m, -math.pi / 8.0), "elliptic_e({0})", (0.1, 0.9)
)

# -- hypergeometric functions ----------------------------------------------------------------------------

hyp0f1: Primitive = _several(
    "hyp0f1", NotImplemented, lambda b, z, y: hyp0f1(b + 1.0, z) / b, sympy="hyper([], [{0}], {1})"
)
hyp1f1: Primitive = _several(
    "hyp1f1", NotImplemented, NotImplemented, lambda a, b, z, y: hyp1f1(a + 1.0, b + 1.0, z) * a / b,
    sympy="hyper([{0}], [{1}], {2})",
)  # fmt: skip
hyp2f1: Primitive = _several(
    "hyp2f1", NotImplemented, NotImplemented, NotImplemented,
    lambda a, b, c, z, y: hyp2f1(a + 1.0, b + 1.0, c + 1.0, z) * a * b / c, domain=(0.2, 0.6),
    sympy="hyper([{0}, {1}], [{2}], {3})",
)  # fmt: skip
