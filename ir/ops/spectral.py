"""Eigenvalues of symmetric matrices, singular values, and orthogonal factors, of stacks of matrices too.

A decomposition is one array without a derivative, whose parts are its results. The operations that give a part take the
matrix as one more operand, which they do not read, and state the derivative by it: see `solving`.

Where eigenvalues are equal, their eigenvectors are any basis of a space. What depends on the eigenvalues alone, or on
vectors of other ones, has its derivative there. What depends on the basis has none, or one that the vectors do not tell
(that of exp(A) is not that of a projection, though both know the space alone): it is nan, never a guess.
"""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Primitive, nondifferentiable
from ..program import Index, Lit, Slice
from ..types import I64, Type
from .array import dims_of, expand, full_slice, lifted, sum_over
from .declare import constant
from .index import getitem
from .linalg import matmul, swap_last
from .solving import (
    added,
    by_columns,
    places,
    product_dot,
    solve_triangular,
    square,
    swapped,
    symmetric,
    triangle,
)


def row(p, k):
    """Row k of each matrix of p."""
    lead = [full_slice(d) for d in p.type.dims[:-2]]
    return getitem(p, Index((*lead, k, full_slice(p.type.dims[-1]))))


def rows(p, start, stop, size):
    """Some rows of each matrix of p."""
    items = [full_slice(d) for d in p.type.dims]
    items[-2] = Slice(start, stop, 1, size)
    return getitem(p, Index(tuple(items)))


def _divided(x, by, size):
    """x / by, where what is small against `size` is 0: there, 0 is 0 and all else nan. x may have one more axis."""
    small = by._apply("abs", by) <= size * float(np.finfo(by.type.numpy).eps)
    safe = lifted(by._apply("where", small, constant(by, 1.0), by), x, by)
    nothing = x._apply("where", x == 0.0, constant(x, 0.0), float("nan"))
    return x._apply("where", lifted(small, x, by), nothing, x / safe)


def _over_gaps(x, w, sign: int):
    """x[i, j] / (w[j] - w[i]), or by the sum for sign 1; 0 on the diagonal."""
    rank = w.type.rank + 1
    one, other = expand(w, (rank - 2,)), expand(w, (rank - 1,))
    size = expand(sum_of_absolutes(w), (rank - 2, rank - 1))
    if sign > 0:
        return _divided(x, one + other, size)
    row_of, column_of = places(x, rank)
    return _divided(x._apply("where", row_of == column_of, 0.0, x), one - other, size)


def sum_of_absolutes(w):
    """How large the values of each matrix are."""
    return sum_over(w._apply("abs", w), (w.type.rank - 1,))


# -- symmetric eigenvalue problems ---------------------------------------------------------------------


def _eigh_type(a: Type, size) -> Type:
    square(a)
    return a.with_dims((*a.dims[:-2], *dims_of((size,)), a.dims[-1]))


def _eigh(a, size=None):
    *lead, n, _ = a.shape
    result = np.empty((*lead, n + 1, n), a.dtype)
    for at in np.ndindex(*lead):
        try:
            values, vectors = np.linalg.eigh(a[at])
            result[at][0], result[at][1:] = values, vectors.T
        except np.linalg.LinAlgError:
            result[at] = np.inf
            result[at][0, -1] = -np.inf
    return result


# Row 0 has the eigenvalues, ascending, the other rows the eigenvectors; of a the lower triangle is read. If there is no
# result, the first eigenvalue is inf and the last one -inf.
eigh = Primitive(
    "eigh", "eigh({0}, rows={1})", _eigh_type, _eigh, vjp=nondifferentiable, sizes=(1,), reads=(0,), cost=3000,
    samples=("f64[3, 3], 4", "f64[2, 4, 4], 5", "f32[3, 3], 4"),
)  # fmt: skip


def _eigenvalues_vjp(y_bar, y, p, a):
    v = eigenvectors(p, a)
    return None, matmul(v * expand(y_bar, (y.type.rank - 1,)), swap_last(v))


def _eigenvalues_jvp(x_dots, y, p, a):
    a_dot, v, rank = x_dots[1], eigenvectors(p, a), a.type.rank
    return sum_over(lifted(v, a_dot, a) * product_dot(a_dot, v), (rank - 2,))


_EIGH = ("t: f64[3, 3] = transpose(b, (1, 0))", "a: f64[3, 3] = b + t", "p: f64[4, 3] = eigh(a, rows=4)")
_STACK = (
    "t: f64[2, 3, 3] = transpose(b, (0, 2, 1))", "a: f64[2, 3, 3] = b + t", "p: f64[2, 4, 3] = eigh(a, rows=4)",
)  # fmt: skip
# The derivative is that by a symmetric matrix: half of it in each triangle.
eigenvalues = Primitive(
    "eigenvalues", "eigenvalues({0}, {1})", lambda p, a: p.with_dims((*p.dims[:-2], p.dims[-1])),
    lambda p, a: p[..., 0, :], vjp=_eigenvalues_vjp, jvp=_eigenvalues_jvp, cost=1,
    means=lambda p, a: row(p, Lit("0", I64)),
    programs=(
        ("b: f64[3, 3]", "f64[3]", "eigenvalues(p, a)", *_EIGH),
        ("b: f64[2, 3, 3]", "f64[2, 3]", "eigenvalues(p, a)", *_STACK),
    ),
)  # fmt: skip


def _eigenvectors_vjp(y_bar, y, p, a):
    inner = _over_gaps(matmul(swap_last(y), y_bar), eigenvalues(p, a), -1)
    return None, symmetric(matmul(matmul(y, inner), swap_last(y)), a.type.rank)


def _eigenvectors_jvp(x_dots, y, p, a):
    a_dot, rank = x_dots[1], a.type.rank
    right = product_dot(symmetric(a_dot, rank), y)
    inner = by_columns(lambda x: matmul(swap_last(y), x), right, rank)
    turns = _over_gaps(inner, eigenvalues(p, a), -1)
    return by_columns(lambda x: matmul(y, x), turns, rank)


eigenvectors = Primitive(
    "eigenvectors", "eigenvectors({0}, {1})", lambda p, a: p.with_dims((*p.dims[:-2], p.dims[-1], p.dims[-1])),
    lambda p, a: np.swapaxes(p[..., 1:, :], -1, -2), vjp=_eigenvectors_vjp, jvp=_eigenvectors_jvp, cost=1,
    means=lambda p, a: swap_last(rows(p, Lit("1", I64), p.shape[-2], p.type.dims[-1])),
    programs=(
        ("b: f64[3, 3]", "f64[3, 3]", "eigenvectors(p, a)", *_EIGH),
        ("b: f64[2, 3, 3]", "f64[2, 3, 3]", "eigenvectors(p, a)", *_STACK),
    ),
)  # fmt: skip


# -- singular values -----------------------------------------------------------------------------------


def _svd_type(a: Type, size, least) -> Type:
    if a.rank < 2 or not a.is_float:
        raise IRError(f"{a} is no matrix of floats")
    return a.with_dims((*a.dims[:-2], *dims_of((size, least))))


def _svd(a, size=None, least=None):
    *lead, m, n = a.shape
    k = min(m, n)
    result = np.empty((*lead, m + 1 + n, k), a.dtype)
    for at in np.ndindex(*lead):
        try:
            u, s, vt = np.linalg.svd(a[at], full_matrices=False)
            result[at][:m], result[at][m], result[at][m + 1 :] = u, s, vt.T
        except np.linalg.LinAlgError:
            result[at] = -1.0
    return result


# The rows of U, then the singular values, descending, then the rows of V: the reduced factors. If there is no result,
# the first singular value is -1.
svd = Primitive(
    "svd", "svd({0}, rows={1}, least={2})", _svd_type, _svd, vjp=nondifferentiable, sizes=(1, 2), reads=(0,), cost=5000,
    samples=("f64[3, 2], 6, 2", "f64[2, 2, 3], 6, 2", "f32[3, 3], 7, 3"),
)  # fmt: skip


def _spread(a, s_bar, p):
    """U @ s_bar @ V.T: what comes back to a from U.T @ a @ V."""
    return matmul(matmul(left_vectors(p, a), s_bar), swap_last(right_vectors(p, a)))


def _inner_dot(a_dot, p, a):
    """U.T @ a_dot @ V, and a_dot @ V."""
    rank = a.type.rank
    u, v = left_vectors(p, a), right_vectors(p, a)
    right = product_dot(a_dot, v)
    return by_columns(lambda x: matmul(swap_last(u), x), right, rank), right


def _values_vjp(y_bar, y, p, a):
    scaled = left_vectors(p, a) * expand(y_bar, (y.type.rank - 1,))
    return None, matmul(scaled, swap_last(right_vectors(p, a)))


def _values_jvp(x_dots, y, p, a):
    a_dot, rank = x_dots[1], a.type.rank
    u = lifted(left_vectors(p, a), a_dot, a)
    return sum_over(u * product_dot(a_dot, right_vectors(p, a)), (rank - 2,))


def _vectors_bar(x, s, sign: int):
    """The cotangent of U.T @ a @ V from U.T @ U_bar (sign 1) or V.T @ V_bar (sign -1)."""
    rank = x.type.rank
    even, odd = _over_gaps(x, s, -1), _over_gaps(x, s, 1)
    return ((even + swapped(even, rank)) + (odd - swapped(odd, rank)) * float(sign)) * 0.5


def _vectors_dot(inner, s, rank: int, sign: int):
    """How much of each singular vector comes to another, from the tangent of U.T @ a @ V."""
    turned = swapped(inner, rank)
    return (_over_gaps(inner + turned, s, -1) + _over_gaps(inner - turned, s, 1) * float(sign)) * 0.5


def _over_values(x, s):
    """x, whose columns go with singular values, divided by them."""
    rank = s.type.rank + 1
    return _divided(x, expand(s, (rank - 2,)), expand(sum_of_absolutes(s), (rank - 2, rank - 1)))


def _outside(x, basis, rank: int):
    """What of the columns of x does not lie in the space of an orthonormal basis."""
    inner = by_columns(lambda b: matmul(swap_last(basis), b), x, rank)
    return x - by_columns(lambda b: matmul(basis, b), inner, rank)


def _left_vjp(y_bar, y, p, a):
    s = singular_values(p, a)
    bar = _spread(a, _vectors_bar(matmul(swap_last(y), y_bar), s, 1), p)
    if a.type.dims[-2] != y.type.dims[-1]:
        rest = _over_values(_outside(y_bar, y, a.type.rank), s)
        bar = bar + matmul(rest, swap_last(right_vectors(p, a)))
    return None, bar


def _left_jvp(x_dots, y, p, a):
    a_dot, rank, s = x_dots[1], a.type.rank, singular_values(p, a)
    inner, right = _inner_dot(a_dot, p, a)
    turns = _vectors_dot(inner, s, rank, 1)
    dot = by_columns(lambda x: matmul(y, x), turns, rank)
    if a.type.dims[-2] != y.type.dims[-1]:
        dot = dot + _over_values(_outside(right, y, rank), s)
    return dot


def _right_vjp(y_bar, y, p, a):
    s = singular_values(p, a)
    bar = _spread(a, _vectors_bar(matmul(swap_last(y), y_bar), s, -1), p)
    if a.type.dims[-1] != y.type.dims[-1]:
        rest = _over_values(_outside(y_bar, y, a.type.rank), s)
        bar = bar + matmul(left_vectors(p, a), swap_last(rest))
    return None, bar


def _right_jvp(x_dots, y, p, a):
    a_dot, rank, s = x_dots[1], a.type.rank, singular_values(p, a)
    inner, _ = _inner_dot(a_dot, p, a)
    turns = _vectors_dot(inner, s, rank, -1)
    dot = by_columns(lambda x: matmul(y, x), turns, rank)
    if a.type.dims[-1] != y.type.dims[-1]:
        left = product_dot(a_dot, left_vectors(p, a), 1)
        dot = dot + _over_values(_outside(left, y, rank), s)
    return dot


_SVD = {
    (3, 2): ("a: f64[3, 2]", "p: f64[6, 2] = svd(a, rows=6, least=2)"),
    (2, 3): ("a: f64[2, 3]", "p: f64[6, 2] = svd(a, rows=6, least=2)"),
    (3, 3): ("a: f64[3, 3]", "p: f64[7, 3] = svd(a, rows=7, least=3)"),
    (2, 4, 2): ("a: f64[2, 4, 2]", "p: f64[2, 7, 2] = svd(a, rows=7, least=2)"),
}


def _of_svd(name: str, shape) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (params, str(Type("f64", shape(*dims))), f"{name}(p, a)", line) for dims, (params, line) in _SVD.items()
    )


singular_values = Primitive(
    "singular_values", "singular_values({0}, {1})", lambda p, a: p.with_dims((*p.dims[:-2], p.dims[-1])),
    lambda p, a: p[..., a.shape[-2], :], vjp=_values_vjp, jvp=_values_jvp, cost=1,
    means=lambda p, a: row(p, a.shape[-2]),
    programs=_of_svd("singular_values", lambda *d: (*d[:-2], min(d[-2:]))),
)  # fmt: skip
left_vectors = Primitive(
    "left_vectors", "left_vectors({0}, {1})", lambda p, a: p.with_dims((*a.dims[:-1], p.dims[-1])),
    lambda p, a: p[..., : a.shape[-2], :], vjp=_left_vjp, jvp=_left_jvp, cost=1,
    means=lambda p, a: rows(p, Lit("0", I64), a.shape[-2], a.type.dims[-2]),
    programs=_of_svd("left_vectors", lambda *d: (*d[:-1], min(d[-2:]))),
)  # fmt: skip
right_vectors = Primitive(
    "right_vectors", "right_vectors({0}, {1})", lambda p, a: p.with_dims((*p.dims[:-2], a.dims[-1], p.dims[-1])),
    lambda p, a: p[..., a.shape[-2] + 1 :, :], vjp=_right_vjp, jvp=_right_jvp, cost=1,
    means=lambda p, a: rows(p, p._apply("add", a.shape[-2], 1).atom, p.shape[-2], a.type.dims[-1]),
    programs=_of_svd("right_vectors", lambda *d: (*d[:-2], d[-1], min(d[-2:]))),
)  # fmt: skip


# -- the pseudoinverse ---------------------------------------------------------------------------------


def _pinv_parts(p, m):
    return p[..., :m, :], p[..., m + 1 :, :]


def _pinv_solve(p, inverse, a, b, transposed):
    u, v = _pinv_parts(p, a.shape[-2])
    first, second = (v, u) if transposed else (u, v)
    return second @ (inverse[..., None] * (np.swapaxes(first, -1, -2) @ b))


def _pinv_means(p, inverse, a, b, transposed):
    u, v = left_vectors.means(p, a), right_vectors.means(p, a)
    first, second = (v, u) if transposed else (u, v)
    return matmul(second, expand(inverse, (inverse.type.rank,)) * matmul(swap_last(first), b))


def _pinv_type(p, inverse, a, b, transposed):
    if b.dims[-2] != a.dims[-1 if transposed else -2] or b.dims[:-2] != a.dims[:-2]:
        raise IRError(f"no solution of {b} by {a}: shapes do not go together")
    return b.with_dims((*b.dims[:-2], a.dims[-2 if transposed else -1], b.dims[-1]))


def _pinv_vjp(y_bar, y, p, inverse, a, b, transposed):
    """For x = pinv(a) @ b by Golub and Pereyra; transposed, that of the transpose of a, in terms of a."""

    def solve(x, other=0):
        return pinv_solve(p, inverse, a, x, transposed if not other else 1 - transposed)

    def product(x, other=0):
        return matmul(swap_last(a) if bool(transposed) != bool(other) else a, x)

    z = solve(y_bar, 1)
    bar = matmul(b - product(y), swap_last(solve(z))) - matmul(z, swap_last(y))
    bar = bar + matmul(solve(y, 1), swap_last(y_bar - product(z, 1)))
    return None, None, swap_last(bar) if transposed else bar, z, None


def _pinv_jvp(x_dots, y, p, inverse, a, b, transposed):
    _, _, a_dot, b_dot, _ = x_dots
    rank = b.type.rank

    def solve(x, other=0):
        return by_columns(
            lambda x: pinv_solve(p, inverse, a, x, transposed if not other else 1 - transposed), x, rank
        )

    def times(matrix, x):
        return by_columns(lambda b: matmul(matrix, b), x, rank)

    terms = [None if b_dot is None else solve(b_dot)]
    if a_dot is not None:
        plain = swap_last(a) if transposed else a
        inner = product_dot(a_dot, b - matmul(plain, y), 1 - transposed)  # a_dot.T @ residual
        along = product_dot(a_dot, pinv_solve(p, inverse, a, y, 1 - transposed), 1 - transposed)
        rest = along - times(swap_last(plain), solve(along, 1))
        terms += [-solve(product_dot(a_dot, y, transposed)), solve(solve(inner, 1)), rest]
    return added(terms)


def _of_pinv():
    for (m, n), t in (((3, 2), 0), ((2, 3), 0), ((3, 2), 1), ((3, 3), 0)):
        k, size = min(m, n), m + n + 1
        given, wanted = (n, m) if t else (m, n)
        yield (
            f"a: f64[{m}, {n}], b: f64[{given}, 2]", f"f64[{wanted}, 2]",
            f"pinv_solve(p, i, a, b, transposed={t})", f"p: f64[{size}, {k}] = svd(a, rows={size}, least={k})",
            f"s: f64[{k}] = p[{m}, :]", f"i: f64[{k}] = 1.0 / s",
        )  # fmt: skip


# pinv(a) @ b, or pinv(a.T) @ b: the solution of least squares of smallest norm. `inverse` has 1 / s for the singular
# values of a that count, 0 for the others, and no derivative: the rank is taken to be the same nearby.
pinv_solve = Primitive(
    "pinv_solve", "pinv_solve({0}, {1}, {2}, {3}, transposed={4})", _pinv_type, _pinv_solve,
    vjp=_pinv_vjp, jvp=_pinv_jvp, static=(4,), cost=200, means=_pinv_means, programs=tuple(_of_pinv()),
)  # fmt: skip


# -- QR ------------------------------------------------------------------------------------------------


def _qr_type(a: Type, size) -> Type:
    if a.rank < 2 or not a.is_float:
        raise IRError(f"{a} is no matrix of floats")
    return a.with_dims((*a.dims[:-2], *dims_of((size,)), a.dims[-1]))


def _qr(a, size=None):
    *lead, m, n = a.shape
    result = np.empty((*lead, m + n, n), a.dtype)
    for at in np.ndindex(*lead):
        result[at][:m], result[at][m:] = np.linalg.qr(a[at])
    return result


# The rows of Q, then those of R, of a matrix that has as many rows as columns or more.
qr = Primitive(
    "qr", "qr({0}, rows={1})", _qr_type, _qr, vjp=nondifferentiable, sizes=(1,), reads=(0,), cost=2000,
    samples=("f64[3, 2], 5", "f64[2, 3, 3], 6", "f32[3, 3], 6"),
)  # fmt: skip


def _over_r(p, a, x, rank: int):
    """x @ inverse(R).T, or x @ inverse(R) of a tangent."""
    turned = swapped(x, rank)
    return swapped(by_columns(lambda b: solve_triangular(upper(p, a), b, 0, 0, 0), turned, rank), rank)


def _mirrored(x):
    rank = x.type.rank
    low = triangle(x, rank, 1)
    return low + swapped(triangle(x, rank, 1, 1), rank)


def _orthogonal_vjp(y_bar, y, p, a):
    inner = _mirrored(-matmul(swap_last(y_bar), y))
    return None, _over_r(p, a, y_bar + matmul(y, inner), a.type.rank)


def _upper_vjp(y_bar, y, p, a):
    inner = _mirrored(matmul(y, swap_last(triangle(y_bar, a.type.rank, 0))))
    return None, _over_r(p, a, matmul(orthogonal(p, a), inner), a.type.rank)


def _qr_turn(a_dot, p, a):
    """a_dot @ inverse(R), Q.T of it, and how much of each column of Q comes to another."""
    rank, q, r = a.type.rank, orthogonal(p, a), upper(p, a)
    turned = swapped(a_dot, rank)
    x = swapped(by_columns(lambda b: solve_triangular(r, b, 0, 1, 0), turned, rank), rank)
    inner = by_columns(lambda b: matmul(swap_last(q), b), x, rank)
    low = triangle(inner, rank, 1, 1)
    return x, inner, low - swapped(low, rank)


def _orthogonal_jvp(x_dots, y, p, a):
    x, inner, turn = _qr_turn(x_dots[1], p, a)
    return x + by_columns(lambda b: matmul(y, b), turn - inner, a.type.rank)


def _upper_jvp(x_dots, y, p, a):
    x, inner, turn = _qr_turn(x_dots[1], p, a)
    return product_dot(inner - turn, y)


_QR = {
    (3, 2): ("a: f64[3, 2]", "p: f64[5, 2] = qr(a, rows=5)"),
    (3, 3): ("a: f64[3, 3]", "p: f64[6, 3] = qr(a, rows=6)"),
    (2, 3, 2): ("a: f64[2, 3, 2]", "p: f64[2, 5, 2] = qr(a, rows=5)"),
}


def _of_qr(name: str, shape) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (params, str(Type("f64", shape(*dims))), f"{name}(p, a)", line) for dims, (params, line) in _QR.items()
    )


orthogonal = Primitive(
    "orthogonal", "orthogonal({0}, {1})", lambda p, a: a, lambda p, a: p[..., : a.shape[-2], :],
    vjp=_orthogonal_vjp, jvp=_orthogonal_jvp, cost=1,
    means=lambda p, a: rows(p, Lit("0", I64), a.shape[-2], a.type.dims[-2]), programs=_of_qr("orthogonal", lambda *d: d),
)  # fmt: skip
upper = Primitive(
    "upper", "upper({0}, {1})", lambda p, a: p.with_dims((*p.dims[:-2], p.dims[-1], p.dims[-1])),
    lambda p, a: p[..., a.shape[-2] :, :], vjp=_upper_vjp, jvp=_upper_jvp, cost=1,
    means=lambda p, a: rows(p, a.shape[-2], p.shape[-2], p.type.dims[-1]),
    programs=_of_qr("upper", lambda *d: (*d[:-2], d[-1], d[-1])),
)  # fmt: skip
