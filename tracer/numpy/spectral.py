"""Decompositions of matrices, and what follows from their singular values: np.linalg and scipy.linalg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.build import dim_atom
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.ops import spectral as ops
from ...ir.primitive import Primitive
from ...ir.types import Dim
from ..values.symbol import FUNCTIONS, implements, wrap
from .arguments import dims_of, holds_now, names, operand, refuse
from .linalg import pair, product_of
from .shape import expand_dims
from .solving import check, inv, of_scipy, require_finite, square_operand, turned


def _emit(op: Primitive, x: Any, *args: Any, hint: str = "t") -> Any:
    return wrap(x.session, x.session.builder.emit(op, *args, hint=hint))


def _size(x: Any, *terms: Dim | int) -> Any:
    """The sum of sizes, as an operand."""
    builder = x.session.builder
    return builder.integer(sum((builder.affine(t) for t in terms[1:]), builder.affine(terms[0])), hint="n")


def matrix_operand(a: Any, what: str) -> Any:
    """A matrix, or a stack; integers become floats."""
    x = operand(a, what, at_least="float")
    if x.type.rank < 2:
        raise x.session.error(
            ShapeMismatch, f"{what}: {x.type.rank}-dimensional array given. Array must be at least two-dimensional"
        )
    return x


# -- symmetric matrices --------------------------------------------------------------------------------


def _symmetric(a: Any, uplo: Any, what: str) -> tuple[Any, Any]:
    """A matrix of which the lower triangle is read, and its decomposition."""
    x = square_operand(a, what)
    if str(uplo).upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    x = turned(x) if str(uplo).upper() == "U" else x
    parts = _emit(ops.eigh, x, x.read(), _size(x, dims_of(x)[-1], 1), hint="eigh")
    first, last = parts[..., 0, :1], parts[..., 0, -1:]
    check(x.session, ~(first > last), "LinAlgError: Eigenvalues did not converge")
    return x, parts


def _has_none(x: Any) -> bool:
    return 0 in dims_of(x)[-2:]


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> Any:  # noqa: N803  (NumPy's name)
    if _has_none(square_operand(a, "np.linalg.eigh")):
        x = square_operand(a, "np.linalg.eigh")
        return type(np.linalg.eigh(np.eye(1)))(np.sum(x, axis=-1), x)
    x, parts = _symmetric(a, UPLO, "np.linalg.eigh")
    values, vectors = (_emit(op, x, parts.read(), x.read()) for op in (ops.eigenvalues, ops.eigenvectors))
    return type(np.linalg.eigh(np.eye(1)))(values, vectors)


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Any:  # noqa: N803
    if _has_none(square_operand(a, "np.linalg.eigvalsh")):
        return np.sum(square_operand(a, "np.linalg.eigvalsh"), axis=-1)
    x, parts = _symmetric(a, UPLO, "np.linalg.eigvalsh")
    return _emit(ops.eigenvalues, x, parts.read(), x.read())


@of_scipy("_decomp", "eigh")
def scipy_eigh(
    a: Any, b: Any = None, *, lower: Any = True, eigvals_only: Any = False, overwrite_a: Any = False,
    overwrite_b: Any = False, type: Any = 1, check_finite: Any = True, subset_by_index: Any = None,
    subset_by_value: Any = None, driver: Any = None,
) -> Any:  # fmt: skip
    x = square_operand(a, "scipy.linalg.eigh")
    given = {"b": b, "subset_by_index": subset_by_index, "subset_by_value": subset_by_value}
    if not eigvals_only and driver != "evd":
        raise x.session.error(
            UnsupportedFunction,
            "scipy.linalg.eigh: eigenvectors with other signs than NumPy's. Use driver='evd', or np.linalg.eigh",
        )
    for name, value in given.items():
        if value is not None:
            raise x.session.error(
                UnsupportedFunction,
                f"scipy.linalg.eigh({name}=...) cannot be traced. Take all eigenvalues of one matrix",
            )
    require_finite(check_finite, x)
    uplo = "L" if lower else "U"
    return eigvalsh(x, uplo) if eigvals_only else tuple(eigh(x, uplo))


refuse(
    "eigenvalues of a matrix that is not symmetric are complex numbers. Use np.linalg.eigh of a symmetric one",
    np.linalg.eig,
    np.linalg.eigvals,
)


# -- singular values -----------------------------------------------------------------------------------


def _singular(a: Any, what: str) -> tuple[Any, Any]:
    """A matrix and its decomposition; which of its sizes is smaller is found out."""
    x = matrix_operand(a, what)
    session = x.session
    m, n = dims_of(x)[-2:]
    difference = session.builder.affine(m) - session.builder.affine(n)
    if holds_now(session, difference):
        least = n
    elif holds_now(session, difference.scaled(-1)):
        least = m
    else:
        raise session.error(
            UnsupportedFunction, f"{what} of a matrix whose sizes only a run knows: say which is smaller by slicing it"
        )
    parts = _emit(ops.svd, x, x.read(), _size(x, m, n, 1), dim_atom(least), hint="svd")
    if least != 0:
        check(session, ~(_of_svd(ops.singular_values, x, parts)[..., 0] < 0.0), "LinAlgError: SVD did not converge")
    return x, parts


def _of_svd(op: Primitive, x: Any, parts: Any) -> Any:
    return _emit(op, x, parts.read(), x.read())


def singular_values(a: Any, what: str) -> Any:
    return _of_svd(ops.singular_values, *_singular(a, what))


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: Any = True, compute_uv: Any = True, hermitian: Any = False) -> Any:
    what = "np.linalg.svd"
    if not compute_uv:
        return singular_values(a, what)
    x, parts = _singular(a, what)
    if full_matrices and not x.session.same_now(*dims_of(x)[-2:]):
        raise x.session.error(
            UnsupportedFunction,
            f"{what} with all vectors of a matrix that is not square: some have no derivative. "
            "Use np.linalg.svd(a, full_matrices=False)",
        )
    u, s, v = (_of_svd(op, x, parts) for op in (ops.left_vectors, ops.singular_values, ops.right_vectors))
    return type(np.linalg.svd(np.eye(1)))(u, s, turned(v))


@of_scipy("_decomp_svd", "svd")
def scipy_svd(
    a: Any, full_matrices: Any = True, compute_uv: Any = True, overwrite_a: Any = False, check_finite: Any = True,
    lapack_driver: Any = "gesdd",
) -> Any:  # fmt: skip
    x = matrix_operand(a, "scipy.linalg.svd")
    require_finite(check_finite, x)
    found = svd(x, full_matrices, compute_uv)
    return tuple(found) if compute_uv else found


@implements(*names(np.linalg, "svdvals"))
def svdvals(x: Any, /) -> Any:
    return singular_values(x, "np.linalg.svdvals")


@of_scipy("_decomp_svd", "svdvals")
def scipy_svdvals(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    x = matrix_operand(a, "scipy.linalg.svdvals")
    require_finite(check_finite, x)
    return singular_values(x, "scipy.linalg.svdvals")


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: Any = False, *, rtol: Any = None) -> Any:  # noqa: N803
    what = "np.linalg.matrix_rank"
    x = operand(A, what, at_least="float")
    if x.type.rank < 2:
        return np.any(x != 0.0).astype(np.int64)
    s = singular_values(x, what)
    if tol is None:
        relative = np.maximum(x.shape[-2], x.shape[-1]) * np.finfo(x.type.numpy).eps if rtol is None else rtol
        tol = np.max(s, axis=-1, keepdims=True) * (relative if rtol is None else np.asarray(rtol)[..., None])
    else:
        tol = np.asarray(tol)[..., None]
    return np.sum(s > tol, axis=-1)


def _cutoff(x: Any, s: Any, relative: Any, absolute: Any = 0.0) -> Any:
    """1 / s for the singular values that count, 0 for the others; without a derivative."""
    limit = absolute + relative * np.max(s, axis=-1, keepdims=True)
    large = s > limit
    return np.where(large, 1.0 / np.where(large, s, 1.0), 0.0).astype(x.type.numpy)


def _plain_values(x: Any, parts: Any) -> Any:
    """The singular values without a derivative."""
    return parts[..., x.shape[-2], :]


def pinv_of(x: Any, parts: Any, inverse: Any, b: Any) -> Any:
    builder = x.session.builder
    return wrap(x.session, builder.emit(ops.pinv_solve, parts.read(), inverse.read(), x.read(), b.read(), 0))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: Any = False, *, rtol: Any = "NumPy's own") -> Any:
    what = "np.linalg.pinv"
    if rcond is None:
        x = matrix_operand(a, what)
        rcond = 1e-15 if rtol == "NumPy's own" else _default_cutoff(x) if rtol is None else rtol
    return pinv_by(a, rcond, 0.0, what)


def pinv_by(a: Any, relative: Any, absolute: Any, what: str) -> Any:
    """The pseudoinverse, without the singular values up to this limit."""
    x, parts = _singular(a, what)
    if _has_none(x):
        return np.zeros_like(turned(x))
    inverse = _cutoff(x, _plain_values(x, parts), relative, absolute)
    rows = FUNCTIONS[np.eye](x.shape[-2], dtype=x.type.numpy)
    return pinv_of(x, parts, inverse, operand(rows + np.zeros_like(x[..., :1, :1]), what))


def _default_cutoff(x: Any) -> Any:
    return np.maximum(x.shape[-2], x.shape[-1]) * float(np.finfo(x.type.numpy).eps)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    what = "np.linalg.lstsq"
    x, y = pair(a, b, what)
    x, y = matrix_operand(x, what), operand(y, what, at_least="float")
    session = x.session
    if x.type.rank != 2 or y.type.rank not in (1, 2):
        rank = x.type.rank if x.type.rank != 2 else y.type.rank
        raise session.error(ShapeMismatch, f"{what}: {rank}-dimensional array given. Array must be two-dimensional")
    x, parts = _singular(x, what)
    vector = y.type.rank == 1
    y = expand_dims(y, -1) if vector else y
    session.equal_dims(dims_of(x)[0], dims_of(y)[0], (dims_of(x), dims_of(y)), what)
    limit = _default_cutoff(x) if rcond is None else float(np.finfo(x.type.numpy).eps) if rcond == -1 else rcond
    values = _plain_values(x, parts)
    inverse = _cutoff(x, values, limit)
    solution = pinv_of(x, parts, inverse, y)
    rank = np.sum(inverse != 0.0)
    m, n = dims_of(x)
    # Residuals are there for a matrix of full rank that has more rows than columns.
    squares = np.sum((y - product_of(x, solution, what)) ** 2, axis=0)
    full = (rank == x.shape[1]) & (x.shape[0] > x.shape[1])
    residuals = squares[np.broadcast_to(full, squares.shape)]
    s = _of_svd(ops.singular_values, x, parts)
    return (solution[:, 0] if vector else solution), residuals, rank, s


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    what = "np.linalg.cond"
    v = matrix_operand(x, what)
    if p is None or p in (2, -2):
        s = singular_values(v, what)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    norm = FUNCTIONS[np.linalg.norm]
    return norm(v, p, axis=(-2, -1)) * norm(inv(v), p, axis=(-2, -1))


@implements("singular values")
def spectral_norm(v: Any, ord: Any, axes: Sequence[int], keepdims: Any) -> Any:
    """The norms of a matrix that its singular values give."""
    moved = operand(np.moveaxis(v, axes, (-2, -1)), "np.linalg.norm")
    s = singular_values(moved, "np.linalg.norm")
    reduce: Any = {2: np.max, -2: np.min, "nuc": np.sum}[ord]
    found = reduce(s, axis=-1)
    return np.expand_dims(found, tuple(axes)) if keepdims else found


# -- QR ------------------------------------------------------------------------------------------------


@implements(np.linalg.qr)
def qr(a: Any, mode: Any = "reduced") -> Any:
    what = "np.linalg.qr"
    x = matrix_operand(a, what)
    session = x.session
    m, n = dims_of(x)[-2:]
    tall = holds_now(session, session.builder.affine(m) - session.builder.affine(n))
    square = tall and session.same_now(m, n)
    if mode not in ("reduced", "r") and not (mode == "complete" and (square or not tall)):
        raise session.error(
            UnsupportedFunction, f"{what}(mode={mode!r}) cannot be traced: use mode='reduced', or 'r' for R alone"
        )
    left = x if tall else x[..., : x.shape[-2]]
    left = operand(left, what)
    parts = _emit(ops.qr, left, left.read(), _size(left, *dims_of(left)[-2:]), hint="qr")
    q, r = (_emit(op, left, parts.read(), left.read()) for op in (ops.orthogonal, ops.upper))
    if not tall:
        rest = product_of(turned(q), operand(x[..., x.shape[-2] :], what), what)
        r = np.concatenate([r, rest], axis=-1)
    return r if mode == "r" else type(np.linalg.qr(np.eye(1)))(q, r)


@of_scipy("_decomp_qr", "qr")
def scipy_qr(
    a: Any, overwrite_a: Any = False, lwork: Any = None, mode: Any = "full", pivoting: Any = False,
    check_finite: Any = True,
) -> Any:  # fmt: skip
    x = matrix_operand(a, "scipy.linalg.qr")
    if pivoting:
        raise x.session.error(
            UnsupportedFunction, "scipy.linalg.qr with pivoting cannot be traced: use pivoting=False"
        )
    require_finite(check_finite, x)
    found = qr(x, {"full": "complete", "economic": "reduced"}.get(mode, mode))
    return (found,) if mode == "r" else tuple(found)
