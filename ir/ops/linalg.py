"""Matrix products."""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Kind, Primitive, Trait
from ..types import Type
from .array import expand, sum_over, transpose, unbroadcast
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


def _left(a_dot, a, b):
    """a_dot @ b, where a_dot may have one more axis at the end, as the result has then."""
    if a_dot.type.rank == a.type.rank:
        return matmul(a_dot, b)
    match a.type.rank, b.type.rank:
        case 1, 1:
            return matmul(b, a_dot)
        case 2, 1:
            return sum_over(a_dot * expand(b, (1,)), (1,))
        case 1, 2:
            return matmul(transpose(b, (1, 0)), a_dot)
    return _last_again(matmul(_first(a_dot, a, b), b))


def _right(a, b_dot, b):
    """a @ b_dot, where b_dot may have one more axis at the end."""
    if b_dot.type.rank == b.type.rank or b.type.rank == 1:
        return matmul(a, b_dot)
    if a.type.rank == 1:
        return sum_over(expand(a, (1, 2)) * b_dot, (0,))
    return _last_again(matmul(a, _first(b_dot, b, a)))


def _first(dot, x, other):
    """A stack of matrices for each direction: the last axis of `dot` in front, with axes for the stack of `other`."""
    rank = dot.type.rank
    moved = transpose(dot, (rank - 1, *range(rank - 1)))
    return expand(moved, tuple(range(1, 1 + max(0, other.type.rank - x.type.rank))))


def _last_again(y):
    return transpose(y, (*range(1, y.type.rank), 0))


def _matmul_jvp(x_dots, y, a, b):
    a_dot, b_dot = x_dots
    terms = ([] if a_dot is None else [_left(a_dot, a, b)]) + ([] if b_dot is None else [_right(a, b_dot, b)])
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


matmul = Primitive(
    "matmul", "{0} @ {1}", _product, np.matmul, vjp=_matmul_vjp, jvp=_matmul_jvp, cost=100,
    samples=(
        "f64[3], f64[3]", "f64[4, 3], f64[3]", "f64[4], f64[4, 3]", "f64[4, 3], f64[3, 2]",
        "f64[5, 4, 3], f64[5, 3, 2]", "f64[4, 3], f64[5, 3, 2]", "f64[5, 1, 4, 3], f64[2, 3, 2]",
        "f32[4, 3], f32[3, 2]",
    ),
    kind=Kind.KERNEL, traits=Trait.OVERFLOWS | Trait.CONTIGUOUS,
)  # fmt: skip
