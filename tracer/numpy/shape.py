"""Other shapes of the same elements: views where NumPy gives views, copies where it copies."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.ops.array import full_slice
from ...ir.program import Atom, Index, Lit, Var
from ...ir.types import Dim
from ..session import NeedStatic, Session
from ..values.symbol import METHODS, Array, Scalar, Symbol, as_value, implements, require_session
from .arguments import (
    array_operand,
    axes_argument,
    axis_argument,
    dims_of,
    emit_broadcast,
    emit_reshape,
    integer_argument,
    names,
    product,
    refuse_options,
)
from .create import shape_argument
from .layout import divided, monomial, note_reshape, reshape_gives
from .reduce import flat

# -- reshape -------------------------------------------------------------------------------------------


def _entries(shape: Any) -> tuple[Any, ...]:
    return tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)


def new_dims(session: Session, old: tuple[Dim, ...], shape: Any) -> tuple[Dim, ...]:
    """The sizes that a user's shape stands for, -1 resolved; they are shown to fit, or checked."""
    entries = _entries(shape)
    for entry in entries:
        if isinstance(entry, Scalar) and isinstance(entry.atom, Var):
            form = session.builder.affine(entry.atom)
            if session.from_inputs(form) and form.value(session.present) == -1:
                raise NeedStatic(session.root_names(form))
    unknown = [
        k for k, entry in enumerate(entries) if not isinstance(entry, Symbol) and operator.index(entry) == -1
    ]
    if len(unknown) > 1:
        raise session.error(ShapeMismatch, "can only specify one unknown dimension")
    given = tuple(
        map(atom_dim, shape_argument(session, [e for k, e in enumerate(entries) if k not in unknown]))
    )
    if not unknown:
        require_size(session, old, given)
        return given
    rest = divided(monomial(session, old), monomial(session, given))
    if rest is not None:
        constant, factors = rest
        missing = product(session, (constant, *factors))
    else:
        parts = product(session, given)
        if parts == dim_atom(0):
            raise _does_not_fit(session, old, given)
        missing = session.integer("floordiv", product(session, old), parts, hint="n")
        if not session.builder.facts.proves(session.builder.affine(missing)) and not isinstance(missing, Lit):
            session.builder.facts.bound(missing.name, lower=Affine(0))
    dims = (*given[: unknown[0]], atom_dim(missing), *given[unknown[0] :])
    if rest is None:
        require_size(session, old, dims)
    return dims


def require_size(session: Session, old: tuple[Dim, ...], new: tuple[Dim, ...]) -> None:
    """Make sure that both shapes have equally many elements: known, guarded or checked at run time."""
    if monomial(session, old) == monomial(session, new):
        return
    builder = session.builder
    total, wanted = product(session, old), product(session, new)
    form = builder.affine(total) - builder.affine(wanted)
    if not form.terms:
        if form.constant:
            raise _does_not_fit(session, old, new)
        return
    if builder.facts.proves(form) and builder.facts.proves(form.scaled(-1)):
        return
    if session.from_inputs(form):
        if form.value(session.present):
            raise _does_not_fit(session, old, new)
        session.ensure(form)
        session.ensure(form.scaled(-1))
        return
    message = f"cannot reshape array of shape {session.shown(old)} into shape {session.shown(new)}"
    builder.check(builder.emit("eq", total, wanted), f"ValueError: {message}")


def _does_not_fit(session: Session, old: tuple[Dim, ...], new: tuple[Dim, ...]) -> Exception:
    message = f"cannot reshape array of shape {session.shown(old)} into shape {session.shown(new)}"
    return session.error(ShapeMismatch, message)


def reshaped(x: Scalar | Array, dims: tuple[Dim, ...], copy: Any = None) -> Any:
    """The array in another shape that fits: a view of it if NumPy would give one."""
    session = x.session
    if isinstance(x, Scalar) or copy is True:
        return emit_reshape(x, dims)
    outcome = reshape_gives(session, x, dims)
    if outcome == "view":
        note_reshape(session, x)
        return x.mapped(dims)
    if copy is False:
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    result = emit_reshape(x, dims)
    note_reshape(session, x, result)
    if outcome == "unknown" and isinstance(result, Array):
        reason = (
            "whether NumPy's reshape gave a view or a copy here depends on sizes, so a write to the array or to the "
            "reshaped one cannot be followed. Write `.copy()` before the reshape"
        )
        result.cell.freeze(reason)
        x.cell.freeze(reason)
    return result


@implements(np.reshape)
def reshape(a: Any, /, shape: Any = None, order: Any = "C", *, newshape: Any = None, copy: Any = None) -> Any:
    x = array_operand(a, "np.reshape")
    shape = newshape if shape is None else shape
    if order == "F":
        backwards = reshape(transpose(x), tuple(reversed(_entries(shape))), copy=copy)
        return transpose(backwards)
    _refuse_order("np.reshape", order)
    return reshaped(x, new_dims(x.session, dims_of(x), shape), copy)


def _refuse_order(what: str, order: Any) -> None:
    if order != "C":
        raise require_session().error(
            UnsupportedFunction, f"{what}(order={order!r}) cannot be traced. Use order='C' or transpose first"
        )


def _reshape_method(x: Any, *shape: Any, order: Any = "C", copy: Any = None) -> Any:
    if shape == (None,):  # the shape that it has
        return reshaped(array_operand(x, "reshape"), dims_of(x), copy)
    return reshape(x, shape[0] if len(shape) == 1 else shape, order, copy=copy)


METHODS["reshape"] = _reshape_method


@implements(np.ravel, method="ravel")
def ravel(a: Any, order: Any = "C") -> Any:
    return reshape(a, -1, order)


@implements(method="flatten")
def flatten(a: Any, order: Any = "C") -> Any:
    if order == "F":
        a = transpose(a)
    else:
        _refuse_order("flatten", order)
    return flat(a)


# -- axes in another order -----------------------------------------------------------------------------


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Any:
    x = array_operand(a, "np.transpose")
    rank = x.type.rank
    if axes is None:
        order = tuple(reversed(range(rank)))
    else:
        order = tuple(axis_argument(k, rank, "np.transpose") for k in _entries(axes))
    if sorted(order) != list(range(rank)):
        raise x.session.error(ShapeMismatch, f"np.transpose: axes {axes} don't match an array of {rank} axes")
    if isinstance(x, Scalar) or order == tuple(range(rank)):
        return x
    return x.strided(lambda view: view.permuted(order))


def _transpose_method(x: Any, *axes: Any) -> Any:
    return transpose(x, axes[0] if len(axes) == 1 else axes or None)


METHODS["transpose"] = _transpose_method
METHODS["T"] = property(transpose)


@implements(np.swapaxes, method="swapaxes")
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Any:
    x = array_operand(a, "np.swapaxes")
    order = list(range(x.type.rank))
    one, two = (axis_argument(k, x.type.rank, "np.swapaxes") for k in (axis1, axis2))
    order[one], order[two] = two, one
    return transpose(x, order)


@implements(*names(np, "matrix_transpose"), *names(np.linalg, "matrix_transpose"))
def matrix_transpose(x: Any, /) -> Any:
    return swapaxes(x, -1, -2)


METHODS["mT"] = property(matrix_transpose)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Any:
    x = array_operand(a, "np.moveaxis")
    rank = x.type.rank
    origins = [axis_argument(k, rank, "np.moveaxis") for k in _entries(source)]
    places = [axis_argument(k, rank, "np.moveaxis") for k in _entries(destination)]
    if len(origins) != len(places):
        raise x.session.error(
            ShapeMismatch, "`source` and `destination` arguments must have the same number of elements"
        )
    order = [k for k in range(rank) if k not in origins]
    for place, origin in sorted(zip(places, origins)):
        order.insert(place, origin)
    return transpose(x, order)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Any:
    x = array_operand(a, "np.rollaxis")
    rank = x.type.rank
    place, start = axis_argument(axis, rank, "np.rollaxis"), integer_argument(start, "np.rollaxis")
    start = start + rank if start < 0 else start
    return moveaxis(x, place, start - 1 if place < start else start)


# -- axes of size 1 ------------------------------------------------------------------------------------


def indexed(x: Array, items: Sequence[Any]) -> Any:
    """The view x[items], where the items are slices of the IR, atoms and None."""
    index = Index(tuple(items))
    return x.strided(lambda view: view.subscript(x.session.builder, index))


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Any:
    x = array_operand(a, "np.expand_dims")
    new = _entries(axis)
    rank = x.type.rank + len(new)
    places = axes_argument(new, rank, "np.expand_dims")
    if isinstance(x, Scalar):
        return emit_reshape(x, (1,) * rank)
    dims = iter(dims_of(x))
    return indexed(x, [None if k in places else full_slice(next(dims)) for k in range(rank)])


@implements(np.squeeze, method="squeeze")
def squeeze(a: Any, axis: Any = None) -> Any:
    x = array_operand(a, "np.squeeze")
    if isinstance(x, Scalar):
        return x
    session = x.session
    dims = dims_of(x)
    if axis is None:
        for dim in dims:
            if dim != 1 and not session.builder.facts.proves(session.builder.affine(dim) - 2):
                _settle_one(session, dim)
        places = tuple(k for k, d in enumerate(dims) if d == 1)
    else:
        places = axes_argument(axis, len(dims), "np.squeeze")
        for k in places:
            if dims[k] != 1:
                _settle_one(session, dims[k])
                message = f"cannot select an axis to squeeze out which has size not equal to one: {session.shown(dims)}"
                raise session.error(ShapeMismatch, message)
    return indexed(x, [dim_atom(0) if k in places else full_slice(d) for k, d in enumerate(dims)])


def _settle_one(session: Session, dim: Dim) -> None:
    """Find out whether a size is 1: raise if only a run can tell, or trace again with it static."""
    form = session.builder.affine(dim)
    if form.terms and not session.from_inputs(form):
        raise session.error(
            UnsupportedFunction,
            "np.squeeze of an array whose size depends on data. Use x[0] or reshape instead",
        )
    if form.terms and form.value(session.present) == 1:
        raise NeedStatic(session.root_names(form))


def _atleast(rank: int, function: Any) -> None:
    @implements(function)
    def atleast(*arrays: Any) -> Any:
        results = [_with_rank(array_operand(a, function.__name__), rank) for a in arrays]
        return results[0] if len(results) == 1 else tuple(results)


def _with_rank(x: Any, rank: int) -> Any:
    have = x.type.rank
    if have >= rank:
        return x
    if have == 0:
        return expand_dims(x, tuple(range(rank)))
    if rank == 2:
        return expand_dims(x, 0)
    return expand_dims(x, (0, 2) if have == 1 else 2)


for _rank, _function in enumerate((np.atleast_1d, np.atleast_2d, np.atleast_3d), start=1):
    _atleast(_rank, _function)


# -- broadcasting --------------------------------------------------------------------------------------


def broadcast(x: Scalar | Array, dims: tuple[Dim, ...], what: str) -> Any:
    """x in a larger shape, as a value of its own."""
    session = x.session
    have = dims_of(x)
    if len(have) > len(dims):
        raise session.mismatch((have, dims), what)
    wanted = list(dims)
    for k in range(1, len(have) + 1):
        if have[-k] != 1 and not session.equal_dims(wanted[-k], have[-k], (have, dims), what):
            raise session.error(
                UnsupportedFunction,
                f"{what}: sizes {have} and {dims} are not known to agree before the program runs",
            )
    return emit_broadcast(x, tuple(map(session.builder.canonical_dim, wanted)))


_READ_ONLY = (
    "np.broadcast_to and np.broadcast_arrays give read-only views: a write to the array or to what was broadcast "
    "cannot be followed. Broadcast a `.copy()`, and copy the result if it is written"
)


def _read_only(source: Any, result: Any) -> Any:
    if isinstance(result, Array):
        result.cell.frozen = _READ_ONLY
        if isinstance(source, Array):
            source.cell.freeze(_READ_ONLY)
    return result


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: Any = False) -> Any:
    x = array_operand(array, "np.broadcast_to")
    dims = tuple(map(atom_dim, shape_argument(x.session, shape)))
    return _read_only(x, broadcast(x, dims, "np.broadcast_to"))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: Any = False) -> Any:
    operands = [array_operand(a, "np.broadcast_arrays") for a in args]
    dims = common_shape(operands, "np.broadcast_arrays")
    return tuple(_read_only(x, broadcast(x, dims, "np.broadcast_arrays")) for x in operands)


def common_shape(operands: Sequence[Any], what: str) -> tuple[Dim, ...]:
    """The shape to which all operands broadcast."""
    session = operands[0].session
    dims: list[Dim] = [1] * max(x.type.rank for x in operands)
    for x in operands:
        have = dims_of(x)
        for k in range(1, len(have) + 1):
            dim = session.builder.canonical_dim(dims[-k])
            if dim == 1:
                dims[-k] = have[-k]
            elif have[-k] != 1:
                session.equal_dims(dim, have[-k], (tuple(dims), have), what)
    return tuple(map(session.builder.canonical_dim, dims))


# -- parts and single elements -------------------------------------------------------------------------


@implements(method="item")
def item(x: Any, *place: Any) -> Any:
    if place:
        where = place[0] if isinstance(place[0], tuple) else place
        return item(x[where] if x.type.rank == len(where) else flat(x)[where[0]])
    session = x.session
    dims = dims_of(x)
    for dim in dims:
        if dim != 1:
            _settle_one(session, dim)
            raise session.error(ShapeMismatch, "can only convert an array of size 1 to a Python scalar")
    atom = as_value(session, x)[0]
    zero: Atom = dim_atom(0)
    if dims:
        atom = session.builder.emit("getitem", atom, Index((zero,) * len(dims)))
    return Scalar(session, atom, weak=True)


@implements(method="fill")
def fill(x: Any, value: Any) -> None:
    x[...] = value


@implements(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    refuse_options("np.copyto", {"casting": casting})
    if not isinstance(dst, Array):
        raise require_session().error(
            UnsupportedFunction, "np.copyto into an array that is not traced: make it in the traced function"
        )
    dst[...] = src if where is True else np.where(where, src, dst)
