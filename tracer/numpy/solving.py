"""Linear systems: what np.linalg and scipy.linalg solve, invert and factor, in terms of a few operations.

An LU factor is computed once for a matrix, whoever asks for it, and kept for the derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...ir.build import atom_dim
from ...ir.errors import ShapeMismatch
from ...ir.ops.declare import broadcast_dims
from ...ir.types import Dim
from ..session import Session
from ..values.convert import renamed
from ..values.symbol import FUNCTIONS, implements, wrap
from .arguments import (
    dims_of,
    emit_broadcast,
    emit_reshape,
    emit_transpose,
    integer_argument,
    operand,
    product,
    same_size,
)
from .linalg import pair
from .shape import expand_dims


def of_scipy(module: str, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register what a function of scipy.linalg means, by name: SciPy is imported only by who uses it."""
    return implements((f"scipy.linalg.{module}", name))


def square_operand(a: Any, what: str) -> Any:
    """A matrix, or a stack, whose last two sizes are from here on known to be equal; integers become floats."""
    x = operand(a, what, at_least="float")
    session = x.session
    if x.type.rank < 2:
        raise session.error(
            ShapeMismatch, f"{what}: {x.type.rank}-dimensional array given. Array must be at least two-dimensional"
        )
    dims = dims_of(x)
    return wrap(session, same_size(session, x.read(), x.type.rank - 1, dims[-2], (dims, dims), what))


def turned(x: Any) -> Any:
    """The transposes of the matrices."""
    rank = x.type.rank
    return emit_transpose(x, (*range(rank - 2), rank - 1, rank - 2))


def diagonal(x: Any) -> Any:
    return FUNCTIONS[np.diagonal](x, axis1=-2, axis2=-1)


def identity(x: Any) -> Any:
    """The identity for each of the matrices."""
    eye = FUNCTIONS[np.eye](x.shape[-1], dtype=x.type.numpy)
    return emit_broadcast(eye, dims_of(x)) if x.type.rank > 2 else eye


def check(session: Session, good: Any, error: str) -> None:
    """A check that fails with this error unless all of `good` is true."""
    session.check(operand(np.all(good), "np.linalg").read(), error)


def require_finite(check_finite: Any, *arrays: Any) -> None:
    """SciPy's check of its arguments."""
    for x in arrays if check_finite else ():
        check(x.session, np.isfinite(x), "ValueError: array must not contain infs or NaNs")


def with_right_side(
    a: Any, b: Any, what: str, solve: Callable[[Any, Any], Any], vector: bool | None = None
) -> Any:
    """solve(a, b) of matrices, or of stacks of one shape, for right sides that may be vectors or broadcast.

    `vector` says whether the right side is one; None: if it has one axis.
    """
    x, y = pair(a, b, what)
    session = x.session
    x = square_operand(x, what)
    if not y.type.rank:
        raise session.error(ShapeMismatch, f"{what}: 0-dimensional array given. Array must be at least one-dimensional")
    vector = y.type.rank == 1 if vector is None else vector
    if vector:
        y = expand_dims(y, -1)
    shapes = dims_of(x), dims_of(y)
    y = wrap(session, same_size(session, y.read(), y.type.rank - 2, dims_of(x)[-1], shapes, what))
    if x.type.rank == 2 and y.type.rank > 2:
        # One matrix for all: more columns.
        *lead, n, k = dims_of(y)
        rank = y.type.rank
        first = emit_transpose(y, (rank - 2, *range(rank - 2), rank - 1))
        columns = atom_dim(product(session, [*lead, k]))
        solved = emit_reshape(solve(x, emit_reshape(first, (n, columns))), (n, *lead, k))
        result = emit_transpose(solved, (*range(1, rank - 1), 0, rank - 1))
    else:
        for back in range(3, min(x.type.rank, y.type.rank) + 1):
            size, other = dims_of(x)[-back], dims_of(y)[-back]
            if 1 not in (size, other) and not session.equal_dims(size, other, shapes, what):
                y = wrap(session, renamed(session, y.read(), y.type.rank - back, size, what))
        stack = broadcast_dims(dims_of(x)[:-2], dims_of(y)[:-2])
        result = solve(*(_stacked(v, stack) for v in (x, y)))
    return result[..., 0] if vector else result


def _stacked(x: Any, lead: Sequence[Dim]) -> Any:
    dims = (*lead, *dims_of(x)[-2:])
    return x if dims == dims_of(x) else emit_broadcast(x, dims)


# -- LU ------------------------------------------------------------------------------------------------


def lu(x: Any) -> Any:
    """The factors of square matrices; they have no derivative."""
    builder = x.session.builder
    rows = builder.integer(builder.affine(dims_of(x)[-1]) + 1, hint="n")
    return wrap(x.session, builder.emit("lu", x.read(), rows, hint="lu"))


def _regular(x: Any, error: str = "LinAlgError: Singular matrix") -> Any:
    """The factors of matrices that have an inverse."""
    factors = lu(x)
    check(x.session, diagonal(factors[..., 1:, :]) != 0.0, error)
    return factors


def lu_solve(factors: Any, x: Any, b: Any, transposed: int = 0) -> Any:
    return wrap(x.session, x.session.builder.emit("lu_solve", factors.read(), x.read(), b.read(), transposed))


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    return with_right_side(a, b, "np.linalg.solve", lambda x, y: lu_solve(_regular(x), x, y))


@implements(np.linalg.inv)
def inv(a: Any) -> Any:
    x = square_operand(a, "np.linalg.inv")
    return lu_solve(_regular(x), x, identity(x))


def _sign_and_log(x: Any) -> tuple[Any, Any]:
    factors = lu(x)
    exchanged = factors[..., 0, :] != FUNCTIONS[np.arange](x.shape[-1])
    turns = np.where(exchanged, -1.0, 1.0).astype(x.type.numpy)
    sign = np.prod(np.sign(diagonal(factors[..., 1:, :])) * turns, axis=-1)
    builder = x.session.builder
    return sign, wrap(x.session, builder.emit("lu_logdet", factors.read(), x.read()))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    sign, logarithm = _sign_and_log(square_operand(a, "np.linalg.slogdet"))
    return type(np.linalg.slogdet(np.eye(1)))(sign, logarithm)


@implements(np.linalg.det)
def det(a: Any) -> Any:
    sign, logarithm = _sign_and_log(square_operand(a, "np.linalg.det"))
    return sign * np.exp(logarithm)


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    what = "np.linalg.tensorsolve"
    x, y = pair(a, b, what)
    if axes is not None:
        moved = [integer_argument(k, what) % x.type.rank for k in axes]
        x = emit_transpose(x, [*(k for k in range(x.type.rank) if k not in moved), *moved])
    kept = dims_of(x)[y.type.rank :]
    columns = atom_dim(product(x.session, kept))
    rows = atom_dim(product(x.session, dims_of(x)[: y.type.rank]))
    flat = emit_reshape(y, (atom_dim(product(y.session, dims_of(y))),))
    return emit_reshape(operand(solve(emit_reshape(x, (rows, columns)), flat), what), kept)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: Any = 2) -> Any:
    what = "np.linalg.tensorinv"
    x = operand(a, what, at_least="float")
    first = integer_argument(ind, what)
    if first <= 0:
        raise ValueError("Invalid ind argument.")
    dims = dims_of(x)
    sizes = [atom_dim(product(x.session, part)) for part in (dims[:first], dims[first:])]
    return emit_reshape(inv(emit_reshape(x, sizes)), (*dims[first:], *dims[:first]))


# -- triangles -----------------------------------------------------------------------------------------


def triangular(a: Any, b: Any, lower: int, transposed: int = 0, unit: int = 0) -> Any:
    builder = a.session.builder
    return wrap(a.session, builder.emit("solve_triangular", a.read(), b.read(), lower, transposed, unit))


@of_scipy("_basic", "solve_triangular")
def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: Any = False,
    unit_diagonal: Any = False,
    overwrite_b: Any = False,
    check_finite: Any = True,
) -> Any:
    what = "scipy.linalg.solve_triangular"
    transposed = int({"N": 0, "T": 1, "C": 1}.get(trans, trans) != 0)

    def solved(x: Any, y: Any) -> Any:
        require_finite(check_finite, x, y)
        if not unit_diagonal:
            check(x.session, diagonal(x) != 0.0, "LinAlgError: singular matrix: resolution failed")
        return triangular(x, y, int(bool(lower)), transposed, int(bool(unit_diagonal)))

    return with_right_side(a, b, what, solved)


# -- Cholesky ------------------------------------------------------------------------------------------

NOT_DEFINITE = "LinAlgError: Matrix is not positive definite"


def _cholesky(x: Any, error: str) -> Any:
    result = wrap(x.session, x.session.builder.emit("cholesky", x.read(), hint="L"))
    check(x.session, ~(diagonal(result) < 0.0), error)
    return result


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: Any = False) -> Any:
    x = square_operand(a, "np.linalg.cholesky")
    return turned(_cholesky(turned(x), NOT_DEFINITE)) if upper else _cholesky(x, NOT_DEFINITE)


@of_scipy("_decomp_cholesky", "cholesky")
def scipy_cholesky(a: Any, lower: Any = False, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    x = square_operand(a, "scipy.linalg.cholesky")
    require_finite(check_finite, x)
    error = "LinAlgError: the matrix is not positive definite"
    return _cholesky(x, error) if lower else turned(_cholesky(turned(x), error))


@of_scipy("_decomp_cholesky", "cho_factor")
def cho_factor(a: Any, lower: Any = False, overwrite_a: Any = False, check_finite: Any = True) -> Any:
    x = square_operand(a, "scipy.linalg.cho_factor")
    factor = scipy_cholesky(x, lower, check_finite=check_finite)
    # In the other triangle is what was there.
    rest = FUNCTIONS[np.triu](x, 1) if lower else FUNCTIONS[np.tril](x, -1)
    return factor + rest, bool(lower)


@of_scipy("_decomp_cholesky", "cho_solve")
def cho_solve(c_and_lower: Any, b: Any, overwrite_b: Any = False, check_finite: Any = True) -> Any:
    c, lower = c_and_lower
    low = int(bool(lower))

    def solved(x: Any, y: Any) -> Any:
        require_finite(check_finite, x, y)
        half = triangular(x, y, low, 1 - low)
        return triangular(x, half, low, low)

    return with_right_side(c, b, "scipy.linalg.cho_solve", solved)
