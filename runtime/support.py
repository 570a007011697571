"""Functions that generated code calls besides NumPy's: each runs compiled by numba and as plain Python.

One call is one scalar. Integers wrap and floats give inf or nan, as NumPy has it; nothing raises.
"""

from __future__ import annotations

import math

import llvmlite.ir as ll
import numpy as np
from numba import types
from numba.extending import intrinsic, lower_builtin, overload, register_jitable, type_callable

from .intrinsics import lapack as _lapack  # noqa: F401  (numba knows the functions of linalg)
from .intrinsics import special
from .intrinsics.blas import add_matmul, matmul
from .intrinsics.external import external
from .intrinsics.linalg import cholesky, eigh, lu, lu_solve, qr, solve_triangular, svd
from .intrinsics.order import argsort, search_left, search_right
from .intrinsics.threads import (
    add_all,
    in_two_turns,
    largest,
    on_all_cores,
    own_zeros,
    parts,
    share,
    smallest,
    total,
)

__all__ = [
    "add_all", "add_matmul", "argsort", "cholesky", "eigh", "external", "in_two_turns", "largest", "lu", "lu_solve",
    "matmul", "on_all_cores", "own_zeros", "parts", "qr", "search_left", "search_right", "share", "smallest",
    "solve_triangular", "svd", "total",
]  # fmt: skip
jitable = register_jitable(error_model="numpy")


def __getattr__(name):
    """The functions of scipy.special that are one call."""
    if name.startswith("_"):
        raise AttributeError(name)
    globals()[name] = found = special.function(name)
    return found


# -- steps of reductions, which the compiler may reorder -----------------------------------------------


def _extremum(name):
    @intrinsic
    def call(context, a, b):
        def generate(context, builder, signature, args):
            kind = args[0].type
            function = builder.module.declare_intrinsic(name, [kind], ll.FunctionType(kind, [kind, kind]))
            return builder.call(function, args)

        return a(a, b), generate

    return call


# LLVM's maximum propagates nan, as NumPy's does, and vectorises.
_maximum, _minimum = _extremum("llvm.maximum"), _extremum("llvm.minimum")


def radd(a, b):
    """a + b in a sum whose order is free."""
    return a + b


def rmax(a, b):
    """np.maximum(a, b) in a reduction."""
    return np.maximum(a, b)


def rmin(a, b):
    """np.minimum(a, b) in a reduction."""
    return np.minimum(a, b)


@type_callable(radd)
def _radd_type(context):
    return lambda a, b: a if isinstance(a, types.Float) and a == b else None


@lower_builtin(radd, types.Float, types.Float)
def _radd_of_floats(context, builder, signature, args):
    """One addition that may be reordered; the arithmetic around it is left alone.

    Lowered by itself: numba compiles an overload as a function first, a tenth of the time of a small gradient.
    """
    return builder.fadd(*args, flags=("reassoc",))


@overload(radd)
def _radd(a, b):
    if not (isinstance(a, types.Float) and a == b):
        return lambda a, b: a + b
    return None


@overload(rmax)
def _rmax(a, b):
    if isinstance(a, types.Float) and a == b:
        return lambda a, b: _maximum(a, b)
    return lambda a, b: np.maximum(a, b)


@overload(rmin)
def _rmin(a, b):
    if isinstance(a, types.Float) and a == b:
        return lambda a, b: _minimum(a, b)
    return lambda a, b: np.minimum(a, b)


# -- functions -----------------------------------------------------------------------------------------


@jitable
def int_power(base, exponent):
    """base ** exponent of integers, by squaring; wraps as int64 does."""
    result = np.int64(1)
    square = np.int64(base)
    while exponent > 0:
        if exponent & 1:
            result = result * square
        square = square * square
        exponent = exponent >> 1
    return result


@jitable
def factorial(n):
    """n!, or -1 where it does not fit 64 bits."""
    if n < 0 or n > 20:
        return np.int64(-1)
    result = np.int64(1)
    for k in range(2, n + 1):
        result = result * np.int64(k)
    return result


@jitable
def binomial(n, k):
    """The number of choices of k out of n, or -1 where it does not fit 64 bits."""
    if n < 0 or k < 0:
        return np.int64(-1)
    if k > n:
        return np.int64(0)
    count = min(np.int64(k), np.int64(n - k))
    result = np.int64(1)
    for j in range(1, count + 1):
        # result * (n - count + j) // j, whose factors are made smaller first.
        factor, divisor = np.int64(n - count + j), np.int64(j)
        common = gcd(result, divisor)
        result, divisor = result // common, divisor // common
        factor = factor // divisor
        if float(result) * float(factor) > 9.2e18:
            return np.int64(-1)
        result = result * factor
    return result


@jitable
def gcd(a, b):
    """The greatest common divisor."""
    a, b = np.int64(abs(a)), np.int64(abs(b))
    while b:
        a, b = b, a % b
    return a


@jitable
def isqrt(n):
    """The largest integer whose square is not above n, or -1."""
    if n < 0:
        return np.int64(-1)
    root = np.int64(math.sqrt(float(n)))
    while root * root > n or root > 3037000499:
        root = root - 1
    while root < 3037000499 and (root + 1) * (root + 1) <= n:
        root = root + 1
    return root


@jitable
def floor_divide(a, b):
    """np.floor_divide(a, b) of floats; numba's own has -inf for inf // -2 where NumPy has nan."""
    if b == 0.0:
        return a / b
    rest = np.fmod(a, b)
    quotient = (a - rest) / b
    if rest != 0.0 and (b < 0.0) != (rest < 0.0):
        quotient = quotient - np.sign(b) * np.sign(b)  # 1 in the precision of b
    if quotient == 0.0:
        return np.copysign(quotient, a / b)
    whole = np.floor(quotient)
    return np.ceil(quotient) if quotient - whole > 0.5 else whole


@jitable
def cbrt(x):
    return np.cbrt(x)


def expit_with(exp):
    """1 / (1 + exp(-x)) in terms of this exp, without overflow; one path, so that loops are vectorised."""

    def expit(x):
        e = exp(-abs(x))
        return (np.float32(1.0) if x >= 0.0 else e) / (np.float32(1.0) + e)

    return expit


def logaddexp_with(exp, log1p):
    """log(exp(a) + exp(b)) without overflow, on one path; right for infinities and nan too."""

    def logaddexp(a, b):
        top, e = a if a > b else b, exp(-abs(a - b))
        result = top + log1p(e)
        return top if (a == b) & (e != e) else result  # of equal infinities, whose distance is nan

    return logaddexp


# float32 constants are exact here and change the type of neither float32 nor float64.
expit = jitable(expit_with(np.exp))
logaddexp = jitable(logaddexp_with(np.exp, np.log1p))


@jitable
def gammaln(x):
    """The logarithm of |gamma(x)|."""
    if x <= 0.0 and x == np.floor(x):
        return np.inf
    if x > 2.5e305:
        return np.inf
    return math.lgamma(x)


# Bernoulli numbers: (2k)! / B(2k), for the sum of Euler and Maclaurin in `zeta`.
_ZETA = (
    12.0, -720.0, 30240.0, -1209600.0, 47900160.0, -1.8924375803183791606e9, 7.47242496e10,
    -2.950130727918164224e12, 1.1646782814350067249e14, -4.5979787224074726105e15,
    1.8152105401943546773e17, -7.1661652561756670113e18,
)  # fmt: skip
# Coefficients of the asymptotic series of digamma, in 1/x**2, highest power first.
_DIGAMMA = (
    8.33333333333333333333e-2, -2.10927960927960927961e-2, 7.57575757575757575758e-3,
    -4.16666666666666666667e-3, 3.96825396825396825397e-3, -8.33333333333333333333e-3,
    8.33333333333333333333e-2,
)  # fmt: skip


@jitable
def zeta(s, x):
    """Hurwitz's zeta function: the sum of 1 / (x + k)**s over k >= 0, for an integer s > 1."""
    if x <= 0.0 and x == np.floor(x):
        return np.inf
    total = x ** (-s)
    k = 0
    while k < 9 or x <= 9.0:
        k += 1
        x = x + 1.0
        term = x ** (-s)
        total += term
        if abs(term) < 1e-17 * abs(total):
            return total
    total += term * x / (s - 1.0) - 0.5 * term
    factor = 1.0
    j = 0.0
    for coefficient in _ZETA:
        factor *= s + j
        term /= x
        more = factor * term / coefficient
        total += more
        if abs(more) < 1e-17 * abs(total):
            break
        j += 1.0
        factor *= s + j
        term /= x
        j += 1.0
    return total


@jitable
def digamma(x):
    """The logarithmic derivative of gamma."""
    reflected = 0.0
    if x <= 0.0:
        if x == np.floor(x):
            return np.nan if x < 0.0 else -np.copysign(np.inf, x)
        # psi(1 - x) - pi / tan(pi * x), the angle reduced first.
        rest = x - np.floor(x)
        if rest != 0.5:
            reflected = math.pi / np.tan(math.pi * rest)
        x = 1.0 - x
    shift = 0.0
    while x < 10.0:
        shift += 1.0 / x
        x = x + 1.0
    series = 0.0
    if x < 1e17:
        z = 1.0 / (x * x)
        for coefficient in _DIGAMMA:
            series = series * z + coefficient
        series *= z
    return np.log(x) - 0.5 / x - series - shift - reflected


@jitable
def polygamma(order, x):
    """The derivative of digamma, `order` times."""
    if order == 0:
        return digamma(x)
    factorial = 1.0
    for k in range(2, order + 1):
        factorial *= k
    sign = 1.0 if order % 2 else -1.0
    return sign * factorial * zeta(order + 1.0, x)
