"""scipy.linalg, where it is not np.linalg under another name, and the multivariate normal distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.ops.solving import lu_matrix
from ..calls import own
from ..values.symbol import FUNCTIONS, implements, require_session, wrap
from .arguments import dims_of, operand
from .linalg import product_of
from .solving import (
    check,
    cholesky,
    identity,
    lu,
    lu_solve,
    of_scipy,
    require_finite,
    scipy_cholesky,
    square_operand,
    triangular,
    turned,
    with_right_side,
)
from .spectral import eigvalsh, pinv_by
from .stats import of_distribution as univariate

SINGULAR = "LinAlgError: singular matrix"
_LOG_2PI = math.log(2.0 * math.pi)


def _regular(x: Any, error: str) -> Any:
    factors = lu(x)
    check(x.session, FUNCTIONS[np.diagonal](factors[..., 1:, :], axis1=-2, axis2=-1) != 0.0, error)
    return factors


@of_scipy("_basic", "inv")
def inv(a: Any, overwrite_a: Any = False, check_finite: Any = True, assume_a: Any = None, lower: Any = False) -> Any:
    x = square_operand(a, "scipy.linalg.inv")
    require_finite(check_finite, x)
    x = _as_assumed(x, assume_a, lower, "scipy.linalg.inv")
    return lu_solve(_regular(x, SINGULAR), x, identity(x))


@of_scipy("_basic", "det")
def det(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    x = square_operand(a, "scipy.linalg.det")
    require_finite(check_finite, x)
    return FUNCTIONS[np.linalg.det](x)


@of_scipy("_basic", "pinv")
def pinv(a: Any, *, atol: Any = None, rtol: Any = None, return_rank: Any = False, check_finite: Any = True) -> Any:
    x = operand(a, "scipy.linalg.pinv", at_least="float")
    require_finite(check_finite, x)
    if return_rank:
        raise x.session.error(
            UnsupportedFunction, "scipy.linalg.pinv(return_rank=True) cannot be traced. Use np.linalg.matrix_rank"
        )
    if rtol is None:
        rtol = 0.0 if atol is not None else np.maximum(x.shape[-2], x.shape[-1]) * float(np.finfo(x.type.numpy).eps)
    return pinv_by(x, rtol, 0.0 if atol is None else atol, "scipy.linalg.pinv")


@of_scipy("_misc", "norm")
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: Any = False, check_finite: Any = True) -> Any:
    x = operand(a, "scipy.linalg.norm", at_least="float")
    require_finite(check_finite, x)
    return FUNCTIONS[np.linalg.norm](x, ord, axis, keepdims)


@of_scipy("_decomp", "eigvalsh")
def scipy_eigvalsh(
    a: Any, b: Any = None, *, lower: Any = True, overwrite_a: Any = False, overwrite_b: Any = False, type: Any = 1,
    check_finite: Any = True, subset_by_index: Any = None, subset_by_value: Any = None, driver: Any = None,
) -> Any:  # fmt: skip
    x = square_operand(a, "scipy.linalg.eigvalsh")
    if b is not None or subset_by_index is not None or subset_by_value is not None:
        raise x.session.error(
            UnsupportedFunction,
            "scipy.linalg.eigvalsh with options cannot be traced. Take all eigenvalues of one matrix",
        )
    require_finite(check_finite, x)
    return eigvalsh(x, "L" if lower else "U")


# -- solve with what is known of the matrix ------------------------------------------------------------


def _as_assumed(x: Any, assume_a: Any, lower: Any, what: str) -> Any:
    """The matrix that is meant where one triangle is read."""
    if assume_a in (None, "gen", "general"):
        return x
    if assume_a in ("sym", "symmetric", "her", "hermitian", "pos", "positive definite"):
        one = FUNCTIONS[np.tril](x) if lower else FUNCTIONS[np.triu](x)
        rest = FUNCTIONS[np.tril](x, -1) if lower else FUNCTIONS[np.triu](x, 1)
        return operand(one + turned(operand(rest, what)), what)
    if assume_a in ("upper triangular", "lower triangular"):
        return operand((FUNCTIONS[np.tril] if assume_a[0] == "l" else FUNCTIONS[np.triu])(x), what)
    if assume_a == "diagonal":
        return operand(np.where(identity(x) != 0.0, x, 0.0), what)
    raise x.session.error(UnsupportedFunction, f"{what}(assume_a={assume_a!r}) cannot be traced. Leave it out")


@of_scipy("_basic", "solve")
def solve(
    a: Any, b: Any, lower: Any = False, overwrite_a: Any = False, overwrite_b: Any = False, check_finite: Any = True,
    assume_a: Any = None, transposed: Any = False,
) -> Any:  # fmt: skip
    what = "scipy.linalg.solve"

    def solved(x: Any, y: Any) -> Any:
        require_finite(check_finite, x, y)
        if assume_a in ("pos", "positive definite"):
            low = scipy_cholesky(x, lower=lower, check_finite=False)
            flag = int(bool(lower))
            return triangular(low, triangular(low, y, flag, 1 - flag), flag, flag)
        x = _as_assumed(x, assume_a, lower, what)
        return lu_solve(_regular(x, "LinAlgError: A singular matrix detected."), x, y, int(bool(transposed)))

    return with_right_side(a, b, what, solved)


# -- the factors themselves ----------------------------------------------------------------------------


@of_scipy("_decomp_lu", "lu_factor")
def lu_factor(a: Any, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    x = square_operand(a, "scipy.linalg.lu_factor")
    require_finite(check_finite, x)
    if x.type.rank > 2:
        raise x.session.error(UnsupportedFunction, "scipy.linalg.lu_factor of stacks cannot be traced. Write a loop")
    factors = lu(x)
    both = wrap(x.session, x.session.builder.emit(lu_matrix, factors.read(), x.read()))
    return both, operand(factors[0], "scipy.linalg.lu_factor").astype(np.int32)


def _exchanged(pivots: Any, rows: Any, order: Any) -> Any:
    for k in order:
        other = pivots[k]
        kept = rows[k].copy()
        rows[k] = rows[other]
        rows[other] = kept
    return rows


@of_scipy("_decomp_lu", "lu_solve")
def scipy_lu_solve(
    lu_and_piv: Any, b: Any, trans: Any = 0, overwrite_b: Any = False, check_finite: Any = True
) -> Any:
    both, pivots = lu_and_piv
    places = operand(pivots, "scipy.linalg.lu_solve").astype(np.int64)

    def solved(x: Any, y: Any) -> Any:
        require_finite(check_finite, x, y)
        size = x.shape[-1]
        if trans:
            half = triangular(x, y, 0, 1)
            inner = triangular(x, half, 1, 1, 1)
            return own(_exchanged)(places, inner.copy(), reversed(range(size)))
        return triangular(x, triangular(x, own(_exchanged)(places, y.copy(), range(size)), 1, 0, 1), 0, 0)

    return with_right_side(both, b, "scipy.linalg.lu_solve", solved)


# -- matrices from parts -------------------------------------------------------------------------------


@of_scipy("_special_matrices", "block_diag")
def block_diag(*arrs: Any) -> Any:
    what = "scipy.linalg.block_diag"
    blocks = [FUNCTIONS[np.atleast_2d](operand(a, what)) for a in arrs]
    session = require_session()
    for block in blocks:
        if block.type.rank > 2:
            raise session.error(ShapeMismatch, f"{what}: arguments must have at most two axes")
    rows = []
    for k, block in enumerate(blocks):
        parts = [
            block if j == k else np.zeros((block.shape[0], other.shape[1]), block.type.numpy)
            for j, other in enumerate(blocks)
        ]
        rows.append(np.concatenate(parts, axis=1))
    return np.concatenate(rows, axis=0)


@of_scipy("_special_matrices", "toeplitz")
def toeplitz(c: Any, r: Any = None) -> Any:
    what = "scipy.linalg.toeplitz"
    column = operand(c, what)
    row = column if r is None else operand(r, what)
    if column.type.rank != 1 or row.type.rank != 1:
        raise column.session.error(ShapeMismatch, f"{what}: the first column and the first row must have one axis")
    values = np.concatenate([column[::-1], row[1:]])
    n, m = column.shape[0], row.shape[0]
    arange = FUNCTIONS[np.arange]
    return values[(n - 1) - arange(n)[:, None] + arange(m)[None, :]]


PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
"""Coefficients of the Pade approximant of exp of degree 13."""


def _squared(x: Any, times: Any) -> Any:
    for _ in range(times):
        x = x @ x
    return x


@of_scipy("_matfuncs", "expm")
def expm(A: Any) -> Any:  # noqa: N803  (SciPy's name)
    """Scaling and squaring around the approximant of degree 13 (Higham 2005)."""
    what = "scipy.linalg.expm"
    x = square_operand(A, what)
    if x.type.rank > 2:
        raise x.session.error(UnsupportedFunction, f"{what} of stacks cannot be traced. Use pullback.vmap, or a loop")
    if 0 in dims_of(x):
        return x

    def times(a: Any, b: Any) -> Any:
        return operand(product_of(operand(a, what), operand(b, what), what), what)

    size = np.max(np.sum(np.abs(x), axis=0))
    squarings = np.maximum(np.ceil(np.log2(np.maximum(size, 1e-300) / 5.371920351148152)), 0.0)
    x = operand(x / 2.0**squarings, what)
    one, x2 = identity(x), times(x, x)
    x4 = times(x2, x2)
    x6 = times(x4, x2)
    b = PADE
    odd = times(x6, b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one
    even = times(x6, b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
    u = times(x, odd)
    below = operand(even - u, what)
    result = lu_solve(lu(below), below, operand(even + u, what))
    return own(_squared)(result, operand(squarings, what).astype(np.int64))


# -- the multivariate normal ---------------------------------------------------------------------------


def _log_density(name: str, x: Any, mean: Any = None, cov: Any = 1, allow_singular: Any = False) -> Any:
    what = f"scipy.stats.multivariate_normal.{name}"
    session = require_session()
    covariance = operand(cov, what, at_least="float")
    if allow_singular or covariance.type.rank != 2:
        raise session.error(
            UnsupportedFunction, f"{what}: the covariance must be a matrix that has an inverse"
        )
    point = operand(x, what, at_least="float")
    apart = operand(point if mean is None else point - operand(mean, what), what)
    low = cholesky(covariance)
    columns = turned(apart) if apart.type.rank == 2 else apart
    if apart.type.rank > 2:
        raise session.error(
            UnsupportedFunction, f"{what} of points in more than two axes cannot be traced. Reshape them to two"
        )
    half = with_right_side(low, columns, what, lambda m, b: triangular(m, b, 1))
    distance = np.sum(half * half, axis=0)
    logarithm = 2.0 * np.sum(np.log(FUNCTIONS[np.diagonal](low)))
    result = -0.5 * (covariance.shape[0] * _LOG_2PI + logarithm + distance)
    return result if name == "logpdf" else np.exp(result)


class FrozenNormal:
    """`multivariate_normal(mean, cov)` with traced parameters."""

    def __init__(self, *args: Any, **kwargs: Any):
        self._args, self._kwargs = args, kwargs

    def logpdf(self, x: Any) -> Any:
        return _log_density("logpdf", x, *self._args, **self._kwargs)

    def pdf(self, x: Any) -> Any:
        return _log_density("pdf", x, *self._args, **self._kwargs)


@implements("scipy.stats")
def of_distribution(function: Any) -> Callable[..., Any] | None:
    """What a method of a distribution means on symbols, the multivariate normal's too."""
    if type(function).__name__ == "multivariate_normal_gen":
        return FrozenNormal
    owner: Any = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if name in ("logpdf", "pdf") and type(owner).__name__ == "multivariate_normal_gen":
        return lambda *args, **kwargs: _log_density(name, *args, **kwargs)
    if name in ("logpdf", "pdf") and type(owner).__name__ == "multivariate_normal_frozen":
        return lambda x: _log_density(name, x, owner.mean, owner.cov_object.covariance)
    return univariate(function)
