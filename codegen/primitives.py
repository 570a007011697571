"""Operations that only generated code uses: steps of reductions, and products into arrays that are there.

The steps mean what `+`, `maximum` and `minimum` mean, but their order may be changed by the compiler, which
vectorises the loop. The user's own loops keep the operations they were written with.
"""

from __future__ import annotations

import numpy as np

from ..ir.errors import IRError
from ..ir.ops import arith
from ..ir.ops.declare import elementwise, same_dtype
from ..ir.ops.linalg import matmul
from ..ir.primitive import Primitive, nondifferentiable
from ..ir.types import Type

WRITES = ("at_set", "at_add", "set_matmul", "add_matmul")
"""Operations whose result takes the place of their first operand."""

radd = elementwise(
    "radd", "radd({0}, {1})", np.add, arith.add.partials or (), source="support.radd({0}, {1})",
    linear=(0, 1), sympy="{0} + {1}",
)  # fmt: skip
rmax = elementwise(
    "rmax", "rmax({0}, {1})", np.maximum, arith.maximum.partials or (), source="support.rmax({0}, {1})",
    result=same_dtype, sympy="Max({0}, {1})",
)  # fmt: skip
rmin = elementwise(
    "rmin", "rmin({0}, {1})", np.minimum, arith.minimum.partials or (), source="support.rmin({0}, {1})",
    result=same_dtype, sympy="Min({0}, {1})",
)  # fmt: skip


def _into(out: Type, a: Type, b: Type) -> Type:
    if matmul.result(a, b) != out or out.rank != 2:
        raise IRError(f"{out} has no room for the product of {a} and {b}")
    return out


set_matmul = Primitive(
    "set_matmul", "set_matmul({0}, {1}, {2})", _into, lambda out, a, b: np.matmul(a, b),
    source="support.matmul({1}, {2}, {0})", vjp=nondifferentiable, cost=100,
    samples=("f64[4, 2], f64[4, 3], f64[3, 2]", "f32[2, 2], f32[2, 5], f32[5, 2]"),
)  # fmt: skip
add_matmul = Primitive(
    "add_matmul", "add_matmul({0}, {1}, {2})", _into, lambda out, a, b: out + np.matmul(a, b),
    source="support.add_matmul({1}, {2}, {0})", vjp=nondifferentiable, cost=100,
    samples=("f64[4, 2], f64[4, 3], f64[3, 2]", "f32[2, 2], f32[2, 5], f32[5, 2]"),
)  # fmt: skip
