"""Linear systems: factors of matrices, and what is solved by them.

Matrices are the last two axes, axes before them are stacks. A factor has no derivative of its own: what is computed
from it takes the matrix as one more operand, which a run does not read (`reads`), and states the derivative by that
matrix. So a factor is computed once, is kept, and serves the derivatives of every order.
"""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Primitive, nondifferentiable
from ..program import Index, Lit, Slice
from ..types import I64, Type
from .array import broadcast_to, dims_of, expand, full_slice, lifted, reshape, sum_over, transpose
from .declare import constant
from .index import getitem
from .linalg import matmul, swap_last


def square(a: Type) -> Type:
    if a.rank < 2 or a.dims[-1] != a.dims[-2] or not a.is_float:
        raise IRError(f"{a} is no square matrix of floats")
    return a


# -- what rules are written with -----------------------------------------------------------------------


def swapped(x, rank: int):
    """x, an array of this rank with or without one more axis at its end, with its matrices transposed."""
    axes = [*range(rank - 2), rank - 1, rank - 2, *range(rank, x.type.rank)]
    return transpose(x, tuple(axes))


def places(x, rank: int):
    """The row and the column of each element of the matrices of x, an array of this rank or with one more axis."""
    rows, columns = (x._apply("iota", x.shape[axis]) for axis in (rank - 2, rank - 1))
    more = tuple(range(2, 2 + x.type.rank - rank))
    return expand(rows, (1, *more)), expand(columns, (0, *more))


def triangle(x, rank: int, lower: int, strict: int = 0):
    """A triangle of each matrix, zeros elsewhere."""
    rows, columns = places(x, rank)
    low, high = (columns, rows) if lower else (rows, columns)
    return x._apply("where", low < high if strict else low <= high, x, 0.0)


def half_diagonal(x, rank: int):
    """The lower triangle of each matrix, half of the diagonal."""
    rows, columns = places(x, rank)
    low = x._apply("where", columns < rows, x, 0.0)
    return x._apply("where", rows == columns, x * 0.5, low)


def symmetric(x, rank: int):
    return (x + swapped(x, rank)) * 0.5


def identity(a):
    """The identity for each matrix of a."""
    rows, columns = places(a, a.type.rank)
    one = a._apply("where", rows == columns, constant(a, 1.0), 0.0)
    return broadcast_to(one, a.shape) if a.type.rank > 2 else one


def by_columns(function, x, rank: int):
    """function(x), which works on columns: an axis for directions at the end becomes more columns."""
    if x.type.rank == rank:
        return function(x)
    *lead, columns, size = x.shape
    many = x._apply("mul", columns, size)
    y = function(reshape(x, (*lead, many)))
    return reshape(y, (*y.shape[:-1], columns, size))


def product_dot(a_dot, x, transposed: int = 0):
    """a_dot @ x, or its transpose @ x, where a_dot may have one more axis, as the result has then."""
    rank = x.type.rank
    a_dot = swapped(a_dot, rank) if transposed else a_dot
    assert matmul.jvp is not None
    return matmul.jvp((a_dot, None), None, x, x)


def added(terms):
    terms = [t for t in terms if t is not None]
    return sum(terms[1:], terms[0])


# -- LU ------------------------------------------------------------------------------------------------


def _lu_type(a: Type, rows) -> Type:
    square(a)
    return a.with_dims((*a.dims[:-2], *dims_of((rows,)), a.dims[-1]))


def _lu(a, rows=None):
    *lead, n, _ = a.shape
    result = np.empty((*lead, n + 1, n), a.dtype)
    for at in np.ndindex(*lead):
        m = np.array(a[at])
        for k in range(n):
            best = k + int(np.argmax(np.abs(m[k:, k])))
            m[[k, best]] = m[[best, k]]
            result[at][0, k] = best
            if m[k, k] != 0.0:
                m[k + 1 :, k] /= m[k, k]
            m[k + 1 :, k + 1 :] -= np.outer(m[k + 1 :, k], m[k, k + 1 :])
        result[at][1:] = m.T
    return result


# Row 0 has, for each row of the matrix, the row that it was exchanged with; the others are the columns of L and U
# in one matrix, so that they lie in memory as LAPACK has them.
lu = Primitive(
    "lu", "lu({0}, rows={1})", _lu_type, _lu, vjp=nondifferentiable, sizes=(1,), reads=(0,), cost=1000,
    samples=("f64[3, 3], 4", "f64[2, 4, 4], 5", "f32[3, 3], 4"),
)  # fmt: skip


def _substituted(m, x, lower, unit):
    """The solution of a triangular system, in the place of x."""
    n = len(m)
    for k in range(n) if lower else range(n - 1, -1, -1):
        before = slice(0, k) if lower else slice(k + 1, n)
        x[k] -= m[k, before] @ x[before]
        if not unit:
            x[k] /= m[k, k]


def _lu_solve(f, a, b, transposed):
    result = np.array(b)
    for at in np.ndindex(*b.shape[:-2]):
        m, x = f[at][1:].T, result[at]
        swaps = list(enumerate(f[at][0].astype(int)))
        if transposed:
            _substituted(m.T, x, True, False)
            _substituted(m.T, x, False, True)
        for k, other in reversed(swaps) if transposed else swaps:
            x[[k, other]] = x[[other, k]]
        if not transposed:
            _substituted(m, x, True, True)
            _substituted(m, x, False, False)
    return result


def _right_side(f: Type, b: Type) -> Type:
    if f.dtype != b.dtype or f.dims[:-2] != b.dims[:-2] or f.dims[-1] != b.dims[-2]:
        raise IRError(f"no solution of {b} by {f}: shapes or dtypes do not go together")
    return b


def _lu_solve_vjp(y_bar, y, f, a, b, transposed):
    b_bar = lu_solve(f, a, y_bar, 1 - transposed)
    pair = (y, b_bar) if transposed else (b_bar, y)
    return None, -matmul(pair[0], swap_last(pair[1])), b_bar, None


def _lu_solve_jvp(x_dots, y, f, a, b, transposed):
    _, a_dot, b_dot, _ = x_dots
    right = added([b_dot, None if a_dot is None else -product_dot(a_dot, y, transposed)])
    return by_columns(lambda x: lu_solve(f, a, x, transposed), right, b.type.rank)


# The solution of a @ x = b, or a.T @ x = b, by the factors of a.
lu_solve = Primitive(
    "lu_solve", "lu_solve({0}, {1}, {2}, transposed={3})", lambda f, a, b, transposed: _right_side(f, b), _lu_solve,
    vjp=_lu_solve_vjp, jvp=_lu_solve_jvp, static=(3,), reads=(0, 2, 3), cost=100,
    programs=(
        ("a: f64[3, 3], b: f64[3, 2]", "f64[3, 2]",
         "lu_solve(f, a, b, transposed=0)", "f: f64[4, 3] = lu(a, rows=4)"),
        ("a: f64[2, 3, 3], b: f64[2, 3, 2]", "f64[2, 3, 2]",
         "lu_solve(f, a, b, transposed=1)", "f: f64[2, 4, 3] = lu(a, rows=4)"),
    ),
)  # fmt: skip


def _lu_logdet(f, a):
    diagonal = np.diagonal(f[..., 1:, :], axis1=-2, axis2=-1)
    return np.sum(np.log(np.abs(diagonal)), axis=-1)


def _lu_logdet_means(f, a):
    column = f._apply("iota", f.shape[-1])
    lead = [full_slice(d) for d in f.type.dims[:-2]]
    diagonal = getitem(f, Index((*lead, (column + 1).atom, column.atom)))
    return sum_over(f._apply("log", f._apply("abs", diagonal)), (f.type.rank - 2,))


def _lu_logdet_vjp(y_bar, y, f, a):
    rank = a.type.rank
    return None, expand(y_bar, (rank - 2, rank - 1)) * lu_solve(f, a, identity(a), 1)


def _lu_logdet_jvp(x_dots, y, f, a):
    a_dot, rank = x_dots[1], a.type.rank
    inverse = lifted(lu_solve(f, a, identity(a), 1), a_dot, a)
    return sum_over(inverse * a_dot, (rank - 2, rank - 1))


# The logarithm of the absolute value of a's determinant, from the factors of a.
lu_logdet = Primitive(
    "lu_logdet", "lu_logdet({0}, {1})", lambda f, a: f.with_dims(f.dims[:-2]), _lu_logdet,
    vjp=_lu_logdet_vjp, jvp=_lu_logdet_jvp, means=_lu_logdet_means, cost=100,
    programs=(
        ("a: f64[3, 3]", "f64", "lu_logdet(f, a)", "f: f64[4, 3] = lu(a, rows=4)"),
        ("a: f64[2, 3, 3]", "f64[2]", "lu_logdet(f, a)", "f: f64[2, 4, 3] = lu(a, rows=4)"),
    ),
)  # fmt: skip


def _lu_inner(x, f, a):
    """inverse(L) @ P @ x @ inverse(U), of the matrix or a tangent, and L and U."""
    rank = a.type.rank
    both = lu_matrix(f, a)
    low = triangle(both, rank, 1, 1) + identity(a)
    high = triangle(both, rank, 0)
    solved = by_columns(lambda b: matmul(high, lu_solve(f, a, b, 0)), x, rank)
    over = swapped(by_columns(lambda b: solve_triangular(both, b, 0, 1, 0), swapped(solved, rank), rank), rank)
    return over, low, high


def _lu_matrix_vjp(y_bar, y, f, a):
    rank = a.type.rank
    low = triangle(y, rank, 1, 1) + identity(a)
    high = triangle(y, rank, 0)
    inner = triangle(matmul(swap_last(low), triangle(y_bar, rank, 1, 1)), rank, 1, 1)
    inner = inner + triangle(matmul(triangle(y_bar, rank, 0), swap_last(high)), rank, 0)
    left = swap_last(solve_triangular(y, swap_last(inner), 0, 0, 0))  # inner @ inverse(U).T
    return None, lu_solve(f, a, matmul(swap_last(high), left), 1)


def _lu_matrix_jvp(x_dots, y, f, a):
    rank = a.type.rank
    inner, low, high = _lu_inner(x_dots[1], f, a)
    lower = by_columns(lambda b: matmul(low, b), triangle(inner, rank, 1, 1), rank)
    return lower + product_dot(triangle(inner, rank, 0), high)


# L below the diagonal and U, of a's rows in the order of the exchanges.
lu_matrix = Primitive(
    "lu_matrix", "lu_matrix({0}, {1})", lambda f, a: a, lambda f, a: np.swapaxes(f[..., 1:, :], -1, -2),
    vjp=_lu_matrix_vjp, jvp=_lu_matrix_jvp, cost=1,
    means=lambda f, a: swap_last(getitem(f, Index((
        *map(full_slice, f.type.dims[:-2]), Slice(Lit("1", I64), f.shape[-2], 1, f.type.dims[-1]),
        full_slice(f.type.dims[-1]),
    )))),
    programs=(
        ("a: f64[3, 3]", "f64[3, 3]", "lu_matrix(f, a)", "f: f64[4, 3] = lu(a, rows=4)"),
        ("a: f64[2, 3, 3]", "f64[2, 3, 3]", "lu_matrix(f, a)", "f: f64[2, 4, 3] = lu(a, rows=4)"),
    ),
)  # fmt: skip


# -- triangles -----------------------------------------------------------------------------------------


def _solve_triangular(a, b, lower, transposed, unit):
    result = np.array(b)
    for at in np.ndindex(*b.shape[:-2]):
        m = a[at].T if transposed else a[at]
        _substituted(m, result[at], bool(lower) != bool(transposed), unit)
    return result


def _triangular_vjp(y_bar, y, a, b, lower, transposed, unit):
    b_bar = solve_triangular(a, y_bar, lower, 1 - transposed, unit)
    left, right = (y, b_bar) if transposed else (b_bar, y)
    return triangle(-matmul(left, swap_last(right)), a.type.rank, lower, unit), b_bar, None, None, None


def _triangular_jvp(x_dots, y, a, b, lower, transposed, unit):
    a_dot, b_dot = x_dots[:2]
    if a_dot is not None:
        a_dot = -product_dot(triangle(a_dot, a.type.rank, lower, unit), y, transposed)
    right = added([b_dot, a_dot])
    return by_columns(lambda x: solve_triangular(a, x, lower, transposed, unit), right, b.type.rank)


# The solution of a @ x = b, or a.T @ x = b, where only one triangle of a is read, without its diagonal if that is 1.
solve_triangular = Primitive(
    "solve_triangular", "solve_triangular({0}, {1}, lower={2}, transposed={3}, unit={4})",
    lambda a, b, *_: _right_side(square(a), b), _solve_triangular,
    vjp=_triangular_vjp, jvp=_triangular_jvp, static=(2, 3, 4), reads=(0, 1, 2, 3, 4), cost=100, domain=(0.5, 2.0),
    samples=(
        "f64[3, 3], f64[3, 2], 1, 0, 0", "f64[3, 3], f64[3, 2], 0, 0, 0", "f64[2, 3, 3], f64[2, 3, 2], 1, 1, 0",
        "f64[3, 3], f64[3, 1], 0, 1, 1", "f32[3, 3], f32[3, 2], 1, 0, 1",
    ),
)  # fmt: skip


# -- Cholesky ------------------------------------------------------------------------------------------


def _cholesky(a):
    result = np.empty_like(a)
    for at in np.ndindex(*a.shape[:-2]):
        try:
            result[at] = np.linalg.cholesky(a[at])
        except np.linalg.LinAlgError:
            result[at] = -1.0
    return result


def _cholesky_vjp(y_bar, y, a):
    rank = a.type.rank
    inner = half_diagonal(matmul(swap_last(y), triangle(y_bar, rank, 1)), rank)
    left = solve_triangular(y, inner, 1, 1, 0)
    return (symmetric(solve_triangular(y, swap_last(left), 1, 1, 0), rank),)


def _cholesky_jvp(x_dots, y, a):
    rank = a.type.rank

    def halves(x):
        return by_columns(lambda b: solve_triangular(y, b, 1, 0, 0), x, rank)

    inner = half_diagonal(halves(swapped(halves(symmetric(x_dots[0], rank)), rank)), rank)
    return matmul.jvp((None, inner), None, y, y)


# The lower triangle L with L @ L.T == a, where the lower triangle of a is read; -1 in the place of its last element if
# there is none. The derivative is that by a symmetric matrix: half of it in each triangle.
cholesky = Primitive(
    "cholesky", "cholesky({0})", square, _cholesky, vjp=_cholesky_vjp, jvp=_cholesky_jvp, reads=(0,), cost=1000,
    programs=(
        ("b: f64[3, 3]", "f64[3, 3]", "cholesky(a)",
         "t: f64[3, 3] = transpose(b, (1, 0))", "s: f64[3, 3] = b @ t", "e: i64[3] = iota(3)",
         "r: i64[3, 1] = e[:, None]", "d: bool[3, 3] = r == e", "i: f64[3, 3] = where(d, 2.0, 0.0)",
         "a: f64[3, 3] = s + i"),
        ("b: f64[2, 2, 2]", "f64[2, 2, 2]", "cholesky(a)",
         "t: f64[2, 2, 2] = transpose(b, (0, 2, 1))", "s: f64[2, 2, 2] = b @ t", "e: i64[2] = iota(2)",
         "r: i64[2, 1] = e[:, None]", "d: bool[2, 2] = r == e", "i: f64[2, 2] = where(d, 2.0, 0.0)",
         "a: f64[2, 2, 2] = s + i"),
    ),
)  # fmt: skip
