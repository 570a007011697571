"""Operations that only generated code uses: steps of reductions, and products into arrays that are there.

The steps mean what `+`, `maximum` and `minimum` mean, but their order may be changed by the compiler, which
vectorises the loop. The user's own loops keep the operations they were written with.
"""

from __future__ import annotations

import numpy as np

from ..ir.errors import IRError
from ..ir.ops import arith
from ..ir.ops.array import lifted, transpose, zeros
from ..ir.ops.declare import elementwise, same_dtype
from ..ir.ops.index import at_add, at_set, getitem, index_dims
from ..ir.ops.linalg import matmul
from ..ir.ops.reduce import sum_
from ..ir.primitive import REGISTRY, Kind, Primitive, Ref, Trait, nondifferentiable
from ..ir.program import Index, Lit
from ..ir.types import Type

radd = elementwise(
    "radd", "radd({0}, {1})", np.add, arith.add.partials or (),
    linear=(0, 1), sympy="{0} + {1}", traits=Trait.OVERFLOWS, accumulates="total",
)  # fmt: skip
rmax = elementwise(
    "rmax", "rmax({0}, {1})", np.maximum, arith.maximum.partials or (),
    result=same_dtype, traits=Trait.QUIET, accumulates="largest", sympy="Max({0}, {1})",
)  # fmt: skip
rmin = elementwise(
    "rmin", "rmin({0}, {1})", np.minimum, arith.minimum.partials or (),
    result=same_dtype, traits=Trait.QUIET, accumulates="smallest", sympy="Min({0}, {1})",
)  # fmt: skip
IN_ANY_ORDER = {arith.add: radd, arith.maximum: rmax, arith.minimum: rmin}
"""The same steps, in an order that the compiler may change."""


def _into(x: Type, index: Index, alpha: Type, a: Type, b: Type) -> Type:
    part = x.with_dims(index_dims(x.dims, index))
    if matmul.result(a, b) != part or part.rank != 2 or alpha != x.with_dims(()):
        raise IRError(f"{part} has no room for {alpha} times the product of {a} and {b}")
    return x


def _set_matmul(x, index, alpha, a, b):
    return at_set.numpy(x, index, alpha * np.matmul(a, b))


def _add_matmul(x, index, alpha, a, b):
    return at_add.numpy(x, index, alpha * np.matmul(a, b))


def _products_vjp(part, alpha, a, b):
    """The cotangents of alpha, a and b in alpha * (a @ b), from that of the part it goes into."""
    scaled = part * alpha
    left, right = transpose(a, (1, 0)), transpose(b, (1, 0))
    return sum_(part * matmul(a, b), (0, 1)), matmul(scaled, right), matmul(left, scaled)


def _set_matmul_vjp(y_bar, y, x, index, alpha, a, b):
    part = getitem(y_bar, index)  # read before it is overwritten
    return at_set(y_bar, index, 0.0), None, *_products_vjp(part, alpha, a, b)


def _add_matmul_vjp(y_bar, y, x, index, alpha, a, b):
    return y_bar, None, *_products_vjp(getitem(y_bar, index), alpha, a, b)


def _into_jvp(write):
    """The rule of an update that writes alpha * (a @ b) into a part of x by `write`."""

    def jvp(x_dots, y, x, index, alpha, a, b):
        x_dot, _, alpha_dot, *factors = x_dots
        terms = []
        if any(dot is not None for dot in factors):
            terms.append(alpha * matmul.jvp(factors, y, a, b))
        if alpha_dot is not None:
            terms.append(alpha_dot * lifted(matmul(a, b), alpha_dot, alpha))
        some, of = next((dot, v) for dot, v in zip(x_dots, (x, index, alpha, a, b)) if dot is not None)
        size = some.shape[of.type.rank :]  # of the axis for many directions, if there is one
        into = zeros((*x.shape, *size), x.type.dtype) if x_dot is None else x_dot
        part = sum(terms[1:], terms[0]) if terms else Ref(x.builder, Lit("0.0", Type(x.type.dtype)))
        return write(*(write.batched(*size, into, index, part) if size else (into, index, part)))

    return jvp


# A part of an array becomes alpha times the product of two matrices, or that is added to it.
set_matmul = Primitive(
    "set_matmul", "{0}.at[{1}].set_matmul({2}, {3}, {4})", _into, _set_matmul,
    kind=Kind.UPDATE, vjp=_set_matmul_vjp, jvp=_into_jvp(at_set), cost=100,
    programs=(
        ("x: f64[4, 2], a: f64[4, 3], b: f64[3, 2]", "f64[4, 2]", "x.at[:, :].set_matmul(1.0, a, b)"),
        ("x: f64[3, 6, 4], i: i64, a: f64[3, 2], b: f64[2, 2], c: f64", "f64[3, 6, 4]",
         "x.at[i, 1:6:2, 1:3].set_matmul(c, a, b)"),
    ),
)  # fmt: skip
add_matmul = Primitive(
    "add_matmul", "{0}.at[{1}].add_matmul({2}, {3}, {4})", _into, _add_matmul,
    kind=Kind.UPDATE, vjp=_add_matmul_vjp, jvp=_into_jvp(at_add), cost=100,
    programs=(
        ("x: f64[4, 2], a: f64[4, 3], b: f64[3, 2], c: f64", "f64[4, 2]", "x.at[:, :].add_matmul(c, a, b)"),
        ("x: f64[5, 4], a: f64[3, 2], b: f64[2, 2]", "f64[5, 4]", "x.at[2:5, 1:3].add_matmul(-1.0, a, b)"),
    ),
)  # fmt: skip


def _called(x: Type, index: Index, name: str, args: tuple[object, ...]) -> Type:
    index_dims(x.dims, index)
    if REGISTRY[name].reads is None:
        raise IRError(f"{name} is no call into memory")
    return x


def _set_call(x, index, name, args):
    op = REGISTRY[name]
    given = dict(zip(op.reads or (), args))
    operands = [given.get(k) for k in range(op.text.count("{"))]
    return at_set.numpy(x, index, op.numpy(*operands))


# A part of an array becomes what a call of this operation gives for the operands that it reads.
set_call = Primitive(
    "set_call", "{0}.at[{1}].set_call({2}, {3})", _called, _set_call,
    kind=Kind.UPDATE, vjp=nondifferentiable, static=(2,), cost=1000,
    programs=(
        ("x: f64[4, 3], a: f64[3, 3]", "f64[4, 3]", "x.at[:, :].set_call(lu, (a,))"),
        ("x: f64[2, 3, 2], a: f64[3, 3], b: f64[3, 2]", "f64[2, 3, 2]",
         "x.at[1, :, :].set_call(solve_triangular, (a, b, 1, 0, 0))"),
    ),
)  # fmt: skip
