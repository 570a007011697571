"""Arrays that are made of numbers: ranges, grids, identity matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom
from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.program import Atom, Lit, Var
from ...ir.types import DTYPES, I64, promote
from ..lists.sequences import Range
from ..session import Session
from ..values.convert import cast
from ..values.symbol import FUNCTIONS, METHODS, Scalar, Symbol, as_value, implements, require_session, wrap
from .arguments import (
    dims_of,
    emit_broadcast,
    iota,
    operand,
    refuse_options,
    size_symbol,
)
from .conditions import nonzero
from .create import creates, shape_argument, shape_of
from .elementwise import dtype_argument
from .join import joined
from .select import below_diagonal
from .shape import broadcast, common_shape, expand_dims, moveaxis

METHODS["itemsize"] = property(lambda x: x.type.numpy.itemsize)
METHODS["nbytes"] = property(
    lambda x: math.prod(shape_of(x)) * x.type.numpy.itemsize if x.type.rank else x.type.numpy.itemsize
)


# -- ranges --------------------------------------------------------------------------------------------


@creates(np.arange)
def arange(*limits: Any, dtype: Any = None, **options: Any) -> Any:
    refuse_options("np.arange", {k: v for k, v in options.items() if k not in ("start", "stop", "step")})
    if len(limits) == 4:
        *limits, dtype = limits  # type: ignore[assignment]
    given = _limits(limits, options)
    start, stop, step = (int(v) if isinstance(v, (bool, np.bool_)) else v for v in given)
    session = require_session()
    atoms = [as_value(session, v, "np.arange")[0] for v in (start, stop, step)]
    if any(a.type.rank for a in atoms):
        raise session.error(TypeMismatch, "np.arange: the limits must be numbers")
    floats = any(a.type.is_float for a in atoms)
    count = _float_count(session, atoms) if floats else _count(session, atoms, step)
    places = iota(session, count)
    name = dtype_argument(session, dtype) if dtype is not None else "f64" if floats else "i64"
    first, stride = (Scalar(session, cast(session, a, name)) for a in (atoms[0], atoms[2]))
    values: Any = wrap(session, cast(session, places.read(), name))
    if not (isinstance(step, int) and step == 1):
        values = values * stride
    return values + first if not (isinstance(start, int) and start == 0) else values


def _limits(limits: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any, Any]:
    """start, stop and step, of which one alone is the stop."""
    if len(limits) == 1 and "stop" not in options:
        limits = (options.get("start", 0), limits[0])
    given = {**options, **dict(zip(("start", "stop", "step"), limits))}
    start, stop, step = (given.get(name) for name in ("start", "stop", "step"))
    if stop is None:
        raise TypeError("arange() requires stop to be specified.")
    return 0 if start is None else start, stop, 1 if step is None else step


def _count(session: Session, atoms: list[Atom], step: Any) -> Atom:
    """How many integers the range has."""
    stride = session.concrete(atoms[2], "the step of np.arange")
    if stride == 0:
        raise ZeroDivisionError("division by zero")
    return Range(session, atoms[0], atoms[1], stride).length


def _float_count(session: Session, atoms: list[Atom]) -> Atom:
    """ceil((stop - start) / step), and not less than 0."""
    literals = [a for a in atoms if isinstance(a, Lit)]
    if len(literals) == len(atoms):
        start, stop, step = (float(a.text) for a in literals)
        return dim_atom(max(0, math.ceil((stop - start) / step)))
    limits: list[Any] = [Scalar(session, cast(session, a, "f64")) for a in atoms]
    builder = session.builder
    number = builder.emit("to_i64", np.ceil((limits[1] - limits[0]) / limits[2]).read())
    size = builder.emit("maximum", number, 0, hint="n")
    if isinstance(size, Var):
        builder.facts.bound(size.name, lower=Affine(0))
    return size


@creates(np.linspace)
def linspace(
    start: Any, stop: Any, num: Any = 50, endpoint: Any = True, retstep: Any = False, dtype: Any = None,
    axis: Any = 0, **options: Any,
) -> Any:  # fmt: skip
    refuse_options("np.linspace", options)
    session = require_session()
    first, last = (operand(v, "np.linspace", at_least="float") for v in (start, stop))
    size, computed = _number_of_points(session, num)
    n = size_symbol(session, size)
    points: Any = wrap(session, cast(session, iota(session, size).read(), "f64"))
    rank = max(first.type.rank, last.type.rank)
    key = (slice(None), *(None,) * rank)
    intervals = n - 1 if endpoint else n
    if isinstance(intervals, int) and intervals == 0:
        step: Any = operand(np.nan, "np.linspace")
        result = first + points[key] * (last - first)
    elif computed:  # perhaps one point or none
        step = operand(np.where(intervals > 0, (last - first) / np.maximum(intervals, 1), np.nan), "np.linspace")
        result = first + points[key] * ((last - first) / np.maximum(intervals, 1))
        if endpoint:
            result = np.where(points[key] == np.maximum(intervals, 1), last, result)
    else:
        step = operand((last - first) / intervals, "np.linspace")
        result = operand(first + points[key] * step, "np.linspace")
        if endpoint and not (isinstance(n, int) and n == 0):
            result[n - 1] = last
    result = operand(result, "np.linspace")
    if rank:
        result = operand(moveaxis(result, 0, axis), "np.linspace")
    if dtype is not None:
        integers = dtype_argument(session, dtype) == "i64"
        result = (np.floor(result) if integers else result).astype(dtype)
    elif first.type.dtype == last.type.dtype == "f32":
        result = result.astype(np.float32)
    return (result, step) if retstep else result


def _number_of_points(session: Session, num: Any) -> tuple[Atom, bool]:
    """How many, and whether only a run knows if these are two at least."""
    if not isinstance(num, Symbol):
        if num < 0:
            raise ValueError(f"Number of samples, {num}, must be non-negative.")
        return dim_atom(int(num)), False
    atom = as_value(session, num)[0]
    if atom.type != I64:
        raise TypeError("'float' object cannot be interpreted as an integer")
    form = session.builder.affine(atom)
    if session.ensure(form - 2):
        return atom, False
    if session.from_inputs(form):
        return dim_atom(session.concrete(atom, "the number of points of np.linspace")), False
    if not session.builder.facts.proves(form):
        session.check(session.builder.emit("ge", atom, 0), "ValueError: Number of samples must be non-negative.")
    return atom, True


@creates(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: Any = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: Any = 0,
) -> Any:
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    result = np.power(base, exponents)
    return result if dtype is None else result.astype(dtype)


@creates(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: Any = 50, endpoint: Any = True, dtype: Any = None, axis: Any = 0
) -> Any:
    first, last = (operand(v, "np.geomspace", at_least="float") for v in (start, stop))
    sign = np.sign(first)
    exponents = linspace(np.log10(first * sign), np.log10(last * sign), num, endpoint, axis=axis)
    result = operand(np.power(10.0, exponents), "np.geomspace")
    if isinstance(num, Symbol) or num > 0:
        result[0] = first * sign
        if endpoint and (isinstance(num, Symbol) or num > 1):
            result[-1] = last * sign
    result = result * sign
    return result if dtype is None else result.astype(dtype)


# -- matrices ------------------------------------------------------------------------------------------


@creates(np.eye)
def eye(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, order: Any = "C", **options: Any) -> Any:  # noqa: N803
    refuse_options("np.eye", options)
    session = require_session()
    rows, columns = (atom_dim(a) for a in shape_argument(session, (N, N if M is None else M)))
    down, right = iota(session, rows), iota(session, columns)
    mask = right[None, :] == down[:, None] + k
    return mask.astype(dtype)


@creates(np.identity)
def identity(n: Any, dtype: Any = None, **options: Any) -> Any:
    return eye(n, dtype=dtype, **options)


@creates(np.tri)
def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = float, **options: Any) -> Any:  # noqa: N803
    refuse_options("np.tri", options)
    session = require_session()
    rows, columns = (atom_dim(a) for a in shape_argument(session, (N, N if M is None else M)))
    return below_diagonal(session, rows, columns, k).astype(dtype)


@creates(np.tril_indices)
def tril_indices(n: Any, k: Any = 0, m: Any = None) -> tuple[Any, Any]:
    return nonzero(tri(n, n if m is None else m, k, dtype=bool))


@creates(np.triu_indices)
def triu_indices(n: Any, k: Any = 0, m: Any = None) -> tuple[Any, Any]:
    return nonzero(~tri(n, n if m is None else m, k - 1, dtype=bool))


@creates(np.diag_indices)
def diag_indices(n: Any, ndim: Any = 2) -> tuple[Any, ...]:
    session = require_session()
    (size,) = shape_argument(session, n)
    return (iota(session, size),) * ndim


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: Any = 0) -> tuple[Any, Any]:
    return tril_indices(arr.shape[-2], k, arr.shape[-1])


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: Any = 0) -> tuple[Any, Any]:
    return triu_indices(arr.shape[-2], k, arr.shape[-1])


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    return diag_indices(arr.shape[0], arr.ndim)


@creates(np.indices)
def indices(dimensions: Any, dtype: Any = int, sparse: Any = False) -> Any:
    session = require_session()
    dims = tuple(map(atom_dim, shape_argument(session, dimensions)))
    if sparse or dtype_argument(session, dtype) != "i64":
        raise session.error(UnsupportedFunction, "np.indices with sparse= or dtype= cannot be traced")
    grids = [_placed(iota(session, d), k, len(dims)) for k, d in enumerate(dims)]
    return joined([expand_dims(emit_broadcast(g, dims), 0) for g in grids], 0, "np.indices")


def _placed(x: Any, axis: int, rank: int) -> Any:
    """A 1-D array along one of `rank` axes."""
    return x[tuple(slice(None) if k == axis else None for k in range(rank))]


@creates(np.vander)
def vander(x: Any, N: Any = None, increasing: Any = False) -> Any:  # noqa: N803
    v = operand(x, "np.vander")
    v = v.astype(DTYPES[promote(v.type.dtype, "i64")].numpy)
    session = v.session
    (dim,) = dims_of(v)
    size = dim_atom(dim) if N is None else shape_argument(session, N)[0]
    powers = iota(session, size)
    if not increasing:
        powers = powers[::-1]
    exponents = powers.astype(v.type.numpy) if v.type.is_float else powers
    return np.power(v[:, None], exponents[None, :])


# -- grids ---------------------------------------------------------------------------------------------


@creates(np.meshgrid)
def meshgrid(*xi: Any, copy: Any = True, sparse: Any = False, indexing: Any = "xy") -> Any:
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    arrays: list[Any] = [np.atleast_1d(operand(x, "np.meshgrid")) for x in xi]
    arrays = [x if x.type.rank == 1 else FUNCTIONS[np.ravel](x) for x in arrays]
    order = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        order[:2] = 1, 0
    grids = [_placed(x, axis, len(arrays)) for x, axis in zip(arrays, order)]
    if not sparse:
        dims = common_shape(grids, "np.meshgrid")
        grids = [broadcast(g, dims, "np.meshgrid") for g in grids]
    return tuple(grids)
