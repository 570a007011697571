"""Matrix products and norms. What solves, inverts or decomposes is not here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.build import atom_dim
from ...ir.errors import ShapeMismatch, TypeMismatch, UnsupportedFunction
from ...ir.types import Dim
from ..values.convert import common, renamed
from ..values.symbol import FUNCTIONS, Symbol, implements, require_session, wrap
from .arguments import (
    axes_argument,
    axis_argument,
    concrete_size,
    dims_of,
    emit_reshape,
    emit_transpose,
    integer_argument,
    names,
    operand,
    product,
    refuse_options,
    same_size,
)
from .elementwise import store_out
from .join import joined
from .reduce import flat, safe_sqrt
from .shape import expand_dims, moveaxis


def pair(a: Any, b: Any, what: str) -> tuple[Any, Any]:
    """Two operands in their common dtype; a Python number counts as an array of float64 here."""
    session = require_session()
    (one, two), _ = common(session, [operand(a, what), operand(b, what)], what)
    return wrap(session, one), wrap(session, two)


# -- products ------------------------------------------------------------------------------------------


@implements(np.matmul)
def matmul(a: Any, b: Any, out: Any = None, **options: Any) -> Any:
    refuse_options("np.matmul", options)
    x, y = pair(a, b, "np.matmul")
    if 0 in (x.type.rank, y.type.rank):
        raise x.session.error(ShapeMismatch, "np.matmul: scalar operands are not allowed, use * instead")
    return store_out(product_of(x, y, "np.matmul"), out)


def product_of(x: Any, y: Any, what: str) -> Any:
    """The matrix product of two operands of one dtype, as np.matmul has it."""
    if x.type.dtype == "bool":
        counts = product_of(operand(x, what, int), operand(y, what, int), what)
        return counts != 0
    session = x.session
    shapes = (x.type.dims, y.type.dims)
    inner = y.type.rank - 1 if y.type.rank == 1 else y.type.rank - 2
    two = same_size(session, y.read(), inner, dims_of(x)[-1], shapes, what)
    one = x.read()
    vector = (one.type.rank == 1, two.type.rank == 1)
    if max(one.type.rank, two.type.rank) > 2 and any(vector):
        # A stack of matrices and a vector: the vector becomes a matrix for the product.
        wide = [expand_dims(wrap(session, v), axis) if flag else wrap(session, v)
                for v, flag, axis in ((one, vector[0], 0), (two, vector[1], 1))]  # fmt: skip
        result = product_of(wide[0], wide[1], what)
        axis = result.type.rank - (1 if vector[1] else 2)
        dims = [d for k, d in enumerate(dims_of(result)) if k != axis]
        return emit_reshape(result, dims)
    if one.type.rank > 2 or two.type.rank > 2:
        lead = min(one.type.rank, two.type.rank) - 2
        for back in range(3, lead + 3):
            da, db = (session.builder.canonical_dim(v.type.dims[-back]) for v in (one, two))
            if 1 in (da, db) or session.equal_dims(da, db, shapes, what):
                continue
            two = renamed(session, two, two.type.rank - back, da, what)
    return wrap(session, session.builder.emit("matmul", one, two))


@implements(np.dot, method="dot")
def dot(a: Any, b: Any, out: Any = None) -> Any:
    x, y = pair(a, b, "np.dot")
    if 0 in (x.type.rank, y.type.rank):
        return store_out(np.multiply(x, y), out)
    if x.type.rank > 2 or (y.type.rank > 2):
        return store_out(tensordot(x, y, ([-1], [-1 if y.type.rank == 1 else -2])), out)
    return store_out(product_of(x, y, "np.dot"), out)


@implements(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    x, y = pair(a, b, "np.vdot")
    return product_of(flat(x), flat(y), "np.vdot")


@implements(np.inner)
def inner(a: Any, b: Any) -> Any:
    x, y = pair(a, b, "np.inner")
    if 0 in (x.type.rank, y.type.rank):
        return np.multiply(x, y)
    return tensordot(x, y, ([-1], [-1]))


@implements(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    x, y = flat(operand(a, "np.outer")), flat(operand(b, "np.outer"))
    return store_out(x[:, None] * y[None, :], out)


@implements(*names(np.linalg, "outer"))
def linalg_outer(x1: Any, x2: Any, /) -> Any:
    return outer(x1, x2)


@implements(np.kron)
def kron(a: Any, b: Any) -> Any:
    x, y = operand(a, "np.kron"), operand(b, "np.kron")
    rank = max(x.type.rank, y.type.rank)
    rows, columns = ((*(1,) * (rank - v.type.rank), *dims_of(v)) for v in (x, y))
    left = emit_reshape(x, [d for dim in rows for d in (dim, 1)])
    right = emit_reshape(y, [d for dim in columns for d in (1, dim)])
    sizes = [atom_dim(product(x.session, both)) for both in zip(rows, columns)]
    return emit_reshape(operand(left * right, "np.kron"), sizes)


@implements(np.tensordot, *names(np.linalg, "tensordot"))
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    x, y = pair(a, b, "np.tensordot")
    if isinstance(axes, (tuple, list)):
        first, second = axes
    else:
        number = integer_argument(axes, "np.tensordot")
        first, second = range(-number, 0), range(number)
    left = [axis_argument(k, x.type.rank, "np.tensordot") for k in _sequence(first)]
    right = [axis_argument(k, y.type.rank, "np.tensordot") for k in _sequence(second)]
    if len(left) != len(right):
        raise x.session.error(
            ShapeMismatch, "np.tensordot: shape-mismatch for sum (axes of different number)"
        )
    return contracted(x, y, left, right, "np.tensordot")


def _sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (tuple, list, range)) else [value]


def contracted(x: Any, y: Any, left: Sequence[int], right: Sequence[int], what: str) -> Any:
    """The sum of products over pairs of axes; the free axes of x, then those of y, remain."""
    session = x.session
    shapes = (x.type.dims, y.type.dims)
    atom = y.read()
    for k, j in zip(left, right):
        atom = same_size(session, atom, j, dims_of(x)[k], shapes, what)
    y = wrap(session, atom)
    free_x = [k for k in range(x.type.rank) if k not in left]
    free_y = [k for k in range(y.type.rank) if k not in right]
    kept = (*(dims_of(x)[k] for k in free_x), *(dims_of(y)[k] for k in free_y))
    if not left:
        wide = (*(slice(None),) * x.type.rank, *(None,) * y.type.rank)
        return (x[wide] if y.type.rank else x) * y
    if x.type.rank <= 2 and y.type.rank <= 2 and len(left) == 1:
        one = x if left[0] == x.type.rank - 1 else emit_transpose(x, (1, 0))
        two = y if right[0] == 0 else emit_transpose(y, (1, 0))
        return product_of(one, two, what)
    inner_dim = atom_dim(product(session, [dims_of(x)[k] for k in left]))
    one = _matrix(x, [free_x, list(left)], inner_dim, last=True)
    two = _matrix(y, [list(right), free_y], inner_dim, last=False)
    return emit_reshape(product_of(one, two, what), kept)


def _matrix(x: Any, order: list[list[int]], inner_dim: Dim, last: bool) -> Any:
    """The axes in this order and joined to a matrix; a vector if there is no free axis."""
    dims = dims_of(x)
    moved = emit_transpose(x, order[0] + order[1])
    free = order[0] if last else order[1]
    if not free:
        return emit_reshape(moved, (inner_dim,))
    outer_dim = atom_dim(product(x.session, [dims[k] for k in free]))
    return emit_reshape(moved, (outer_dim, inner_dim) if last else (inner_dim, outer_dim))


@implements(*names(np, "vecdot"), *names(np.linalg, "vecdot"))
def vecdot(x1: Any, x2: Any, /, *, axis: Any = -1) -> Any:
    x, y = pair(x1, x2, "np.vecdot")
    place = axis_argument(axis, x.type.rank, "np.vecdot") - x.type.rank
    return np.sum(x * y, axis=place)


@implements(*names(np, "matvec"))
def matvec(x1: Any, x2: Any, /) -> Any:
    x, y = pair(x1, x2, "np.matvec")
    return product_of(x, expand_dims(y, -1), "np.matvec")[..., 0].copy()


@implements(*names(np, "vecmat"))
def vecmat(x1: Any, x2: Any, /) -> Any:
    x, y = pair(x1, x2, "np.vecmat")
    return product_of(expand_dims(x, -2), y, "np.vecmat")[..., 0, :].copy()


@implements(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    first, *rest = arrays
    result = operand(first, "np.linalg.multi_dot")
    for factor in rest:
        result = dot(result, factor)
    return store_out(result, out)


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Any:
    x = operand(a, "np.linalg.matrix_power")
    power = integer_argument(n, "np.linalg.matrix_power")
    if power < 0:
        x, power = FUNCTIONS[np.linalg.inv](x), -power
    if power == 0:
        return np.zeros_like(x) + FUNCTIONS[np.eye](x.shape[-1], dtype=x.type.numpy)
    result, square = None, x
    while power:
        if power % 2:
            result = square if result is None else product_of(result, square, "np.linalg.matrix_power")
        power //= 2
        if power:
            square = product_of(square, square, "np.linalg.matrix_power")
    return operand(result, "np.linalg.matrix_power")


@implements(np.cross)
def cross(a: Any, b: Any, axisa: Any = -1, axisb: Any = -1, axisc: Any = -1, axis: Any = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = pair(a, b, "np.cross")
    session = x.session
    x = operand(moveaxis(x, axisa, -1), "np.cross")
    y = operand(moveaxis(y, axisb, -1), "np.cross")
    for v in (x, y):
        size = concrete_size(session, dims_of(v)[-1], "the number of components of np.cross")
        if size != 3:
            raise session.error(
                ShapeMismatch, f"np.cross: vectors of 3 components can be multiplied, not of {size}"
            )
    one, two = ([v[..., k] for k in range(3)] for v in (x, y))
    parts = [one[k - 2] * two[k - 1] - one[k - 1] * two[k - 2] for k in range(3)]
    rank = parts[0].type.rank + 1
    last = joined([expand_dims(p, rank - 1) for p in parts], rank - 1, "np.cross")
    return operand(moveaxis(last, -1, axisc), "np.cross") if rank > 1 else last


@implements(*names(np.linalg, "cross"))
def linalg_cross(x1: Any, x2: Any, /, *, axis: Any = -1) -> Any:
    return cross(x1, x2, axis=axis)


@implements(*names(np.linalg, "matmul"))
def linalg_matmul(x1: Any, x2: Any, /) -> Any:
    return matmul(x1, x2)


# -- norms ---------------------------------------------------------------------------------------------


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: Any = False) -> Any:
    v = operand(x, "np.linalg.norm", at_least="float")
    rank = v.type.rank
    if axis is None and ord is None:
        return _euclidean(v, tuple(range(rank)), keepdims)
    axes = [
        axis_argument(k, rank, "np.linalg.norm") for k in _sequence(range(rank) if axis is None else axis)
    ]
    if isinstance(ord, (list, tuple, np.ndarray)) or (isinstance(ord, Symbol) and ord.type.rank):
        raise v.session.error(TypeMismatch, "np.linalg.norm: the order must be a number, not an array")
    if isinstance(ord, Symbol):
        ord = _order(v, ord)
    if len(axes) == 1:
        return _vector_norm(v, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(v, ord, axes, keepdims)
    raise v.session.error(ShapeMismatch, "np.linalg.norm: improper number of dimensions to norm")


def _euclidean(v: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    return safe_sqrt(np.sum(v * v, axis=axes, keepdims=keepdims)) if axes else np.abs(v)


def _order(v: Any, ord: Any) -> Any:
    """An order that is a global or an argument: an integer is needed as a number, a float must be positive."""
    if ord.type.dtype == "i64":
        return integer_argument(ord, "np.linalg.norm: the order")
    builder = v.session.builder
    regular = np.isfinite(ord) & (ord > 0.0)
    builder.check(regular.read(), "ValueError: np.linalg.norm: a traced order must be positive and finite")
    return ord


def _vector_norm(v: Any, ord: Any, axis: int, keepdims: Any) -> Any:
    if isinstance(ord, Symbol):
        return _power_norm(v, operand(ord, "np.linalg.norm").astype(v.type.numpy), axis, keepdims)
    if ord is None or ord == 2:
        return _euclidean(v, (axis,), keepdims)
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order '{ord}' for vectors")
    if ord == np.inf:
        return np.max(np.abs(v), axis=axis, keepdims=keepdims)
    if ord == -np.inf:
        return np.min(np.abs(v), axis=axis, keepdims=keepdims)
    if ord == 0:
        return np.sum(v != 0, axis=axis, keepdims=keepdims).astype(v.type.numpy)
    if ord == 1:
        return np.sum(np.abs(v), axis=axis, keepdims=keepdims)
    return _power_norm(v, float(ord), axis, keepdims)


def _power_norm(v: Any, power: Any, axis: int, keepdims: Any) -> Any:
    total = operand(np.sum(np.abs(v) ** power, axis=axis, keepdims=keepdims), "np.linalg.norm")
    if isinstance(power, float) and power < 0:
        return total ** (1.0 / power)
    return np.where(total == 0.0, 0.0, np.where(total == 0.0, 1.0, total) ** (1.0 / power))


def _matrix_norm(v: Any, ord: Any, axes: list[int], keepdims: Any) -> Any:
    rows, columns = axes
    if isinstance(ord, Symbol):
        raise v.session.error(UnsupportedFunction, "np.linalg.norm of a matrix with a traced order")
    if ord in (None, "fro", "f"):
        return _euclidean(v, axes_argument(tuple(axes), v.type.rank, "np.linalg.norm"), keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        summed, rest = (rows, columns) if abs(ord) == 1 else (columns, rows)
        extreme = np.max if ord > 0 else np.min
        return extreme(np.sum(np.abs(v), axis=summed, keepdims=True), axis=rest, keepdims=True)[
            tuple(slice(None) if keepdims or k not in axes else 0 for k in range(v.type.rank))
        ]
    if ord in (2, -2, "nuc"):
        return FUNCTIONS["singular values"](v, ord, axes, keepdims)
    raise ValueError("Invalid norm order for matrices.")


@implements(*names(np.linalg, "vector_norm"))
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: Any = False, ord: Any = 2) -> Any:
    v = operand(x, "np.linalg.vector_norm", at_least="float")
    if axis is None:
        result = _vector_norm(flat(v), ord, 0, False)
        return emit_reshape(operand(result, "norm"), (1,) * v.type.rank) if keepdims else result
    axes = axes_argument(axis, v.type.rank, "np.linalg.vector_norm")
    if len(axes) == 1:
        return _vector_norm(v, ord, axes[0], keepdims)
    if ord == 2:
        return _euclidean(v, axes, keepdims)
    raise v.session.error(
        UnsupportedFunction, "np.linalg.vector_norm over several axes cannot be traced, but for ord=2"
    )


@implements(*names(np.linalg, "matrix_norm"))
def matrix_norm(x: Any, /, *, keepdims: Any = False, ord: Any = "fro") -> Any:
    v = operand(x, "np.linalg.matrix_norm", at_least="float")
    return _matrix_norm(v, ord, [v.type.rank - 2, v.type.rank - 1], keepdims)
