"""The product that the adjoint pass uses behind a `where`: zero wins over inf and nan."""

from __future__ import annotations

import numpy as np

from ..primitive import Kind, Primitive
from .declare import float_dtype


def _product(a, b):
    return np.where(np.equal(a, 0.0), a, np.multiply(a, b))[()]


def _strong_vjp(y_bar, y, a, b):
    # Not by partials: where a is zero, the cotangent of b must be zero whatever y_bar is.
    return strong_mul(y_bar, b), strong_mul(a, y_bar)


# An arm of `where` that is not taken has the cotangent 0, and the derivative there may be inf: 0 * inf must
# be 0. Its own derivative is that of the product, so second derivatives are right where `a` just happens
# to be 0; `where(a == 0, 0, a * b)` would lose them.
strong_mul = Primitive(
    "strong_mul", "strong_mul({0}, {1})", float_dtype, _product, kind=Kind.ELEMENTWISE,
    vjp=_strong_vjp, sympy="{0} * {1}",
    samples=("f64, f64", "f64[4, 3], f64[3]", "f32[3], f32"),
)  # fmt: skip
