"""The product that the adjoint pass uses behind a `where`: zero wins over inf and nan."""

from __future__ import annotations

import numpy as np

from ..primitive import Kind, Primitive
from .array import lifted
from .declare import float_dtype


def _product(a, b):
    return np.where(np.equal(a, 0.0), a, np.multiply(a, b))[()]


def _strong_vjp(y_bar, y, a, b):
    # Not by partials: where a is zero, the cotangent of b must be zero whatever y_bar is.
    return strong_mul(y_bar, b), strong_mul(a, y_bar)


def _strong_jvp(x_dots, y, a, b):
    # A zero of either factor wins over inf and nan in the other, as in the product itself.
    a_dot, b_dot = x_dots
    terms = [] if a_dot is None else [strong_mul(a_dot, lifted(b, a_dot, a))]
    terms += [] if b_dot is None else [strong_mul(lifted(a, b_dot, b), b_dot)]
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


# An arm of `where` that is not taken has the cotangent 0, and the derivative there may be inf: 0 * inf must
# be 0. Its own derivative is that of the product, so second derivatives are right where `a` just happens
# to be 0; `where(a == 0, 0, a * b)` would lose them.
strong_mul = Primitive(
    "strong_mul", "strong_mul({0}, {1})", float_dtype, _product, kind=Kind.ELEMENTWISE,
    vjp=_strong_vjp, jvp=_strong_jvp, sympy="{0} * {1}",
    samples=("f64, f64", "f64[4, 3], f64[3]", "f32[3], f32"),
)  # fmt: skip
