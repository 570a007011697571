"""Matrix products."""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Kind, Primitive, Trait
from ..types import Type
from .array import expand, transpose, unbroadcast
from .declare import broadcast_dims


def _product(a: Type, b: Type) -> Type:
    """Vector or matrix times vector or matrix, or stacks of matrices (both of rank 2 or more)."""
    inner = b.dims[0] if b.rank == 1 else b.dims[-2] if b.rank else None
    vector = 1 in (a.rank, b.rank)
    if not a.rank or inner != a.dims[-1] or a.dtype != b.dtype or (vector and max(a.rank, b.rank) > 2):
        raise IRError(f"no matrix product of {a} and {b}")
    rows = a.dims[-2:-1] if a.rank > 1 else ()
    columns = b.dims[-1:] if b.rank > 1 else ()
    return a.with_dims(broadcast_dims(a.dims[:-2], b.dims[:-2]) + rows + columns)


def swap_last(x):
    rank = x.type.rank
    return transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def _matmul_vjp(y_bar, y, a, b):
    match a.type.rank, b.type.rank:
        case 1, 1:
            return y_bar * b, y_bar * a
        case 2, 1:
            return expand(y_bar, (1,)) * expand(b, (0,)), matmul(y_bar, a)
        case 1, 2:
            return matmul(b, y_bar), expand(a, (1,)) * expand(y_bar, (0,))
    a_bar = matmul(y_bar, swap_last(b))
    b_bar = matmul(swap_last(a), y_bar)
    return unbroadcast(a_bar, a.type), unbroadcast(b_bar, b.type)


matmul = Primitive(
    "matmul", "{0} @ {1}", _product, np.matmul, vjp=_matmul_vjp, cost=100,
    samples=(
        "f64[3], f64[3]", "f64[4, 3], f64[3]", "f64[4], f64[4, 3]", "f64[4, 3], f64[3, 2]",
        "f64[5, 4, 3], f64[5, 3, 2]", "f64[4, 3], f64[5, 3, 2]", "f64[5, 1, 4, 3], f64[2, 3, 2]",
        "f32[4, 3], f32[3, 2]",
    ),
    kind=Kind.KERNEL, traits=Trait.OVERFLOWS | Trait.CONTIGUOUS,
)  # fmt: skip
