"""`x[key]` and `x[key] = v`: Python's and NumPy's subscripts, resolved to what the IR has.

Negative places are made positive, slices are clamped, masks become index arrays. What cannot be shown
to be in range is checked when the program runs.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import BoundsError, TypeMismatch, UnsupportedFunction
from ...ir.ops.index import index_dims
from ...ir.program import Atom, Index, Lit, Slice, Var
from ...ir.types import I64, NARROW, Dim
from ..session import Session
from .convert import broadcast_value, cast, cast_value
from .staged_list import Numbers
from .symbol import Array, Cell, Scalar, Symbol, as_value, has_symbol, implements, type_name, wrap
from .view import Run, Strided, with_stops

Item = Any


def _integer_atom(session: Session, value: Any) -> Atom | None:
    """A scalar integer subscript as an atom, None if it is something else."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, Symbol):
        value = whole(session, value)
        return value.read() if value.type == I64 else None
    if isinstance(value, (np.ndarray, float, np.floating, list, tuple, slice)):
        return None
    try:
        return literal(operator.index(value), "i64")
    except TypeError:
        return None


def whole(session: Session, value: Any) -> Any:
    """Integers of any width as i64, which sizes and places are."""
    if isinstance(value, Symbol) and value.type.dtype in NARROW:
        return wrap(session, cast(session, value.read(), "i64"))
    return value


def expand_key(session: Session, x: Symbol, key: Any) -> list[Item]:
    """The subscript as one entry per axis (and None for new axes): tuples opened, `...` filled in."""
    entries = list(key) if isinstance(key, tuple) else [key]
    entries = [_as_array(session, e) for e in entries]
    consumed = sum(_consumes(e) for e in entries)
    rank = x.type.rank
    dots = [k for k, e in enumerate(entries) if e is Ellipsis]
    if len(dots) > 1:
        raise session.error(BoundsError, "a subscript can have only one ellipsis ('...')")
    if consumed > rank:
        raise session.error(
            BoundsError, f"too many indices: the array has {rank} axes, {consumed} were indexed"
        )
    at = dots[0] if dots else len(entries)
    entries[at : at + len(dots)] = [slice(None)] * (rank - consumed)
    return entries


def _as_array(session: Session, entry: Any) -> Any:
    """Index arrays in all their forms become array symbols; the rest stays."""
    if isinstance(entry, (list, tuple, Numbers)) and has_symbol(entry):
        return wrap(session, as_value(session, entry, "an index list")[0])
    if isinstance(entry, (list, tuple, np.ndarray)):
        array = np.asarray(entry)
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if array.ndim == 0 and array.dtype.kind in "iu":
            return int(array)
        return whole(session, wrap(session, session.hidden.constant(session, array, "an index array")))
    return whole(session, entry)


def _is_truth(entry: Any) -> bool:
    if isinstance(entry, Symbol):
        return entry.type.dtype == "bool" and not entry.type.rank
    return isinstance(entry, (bool, np.bool_)) or (
        isinstance(entry, np.ndarray) and entry.ndim == 0 and entry.dtype.kind == "b"
    )


def _with_axes_for_truths(session: Session, x: Array, key: Any) -> tuple[Array, Any]:
    """A truth value among the subscripts is the mask of a new axis of size 1: the view with such axes, and the key."""
    entries = list(key) if isinstance(key, tuple) else [key]
    if not any(map(_is_truth, entries)):
        return x, key
    axes: list[Any] = []
    masked: list[Any] = []
    for entry in entries:
        if _is_truth(entry):
            axes.append(None)
            if isinstance(entry, Symbol):
                one = literal(1, "i64")
                masked.append(wrap(session, session.builder.emit("reshape", entry.read(), (one,))))
            else:
                masked.append(slice(None) if entry else slice(0, 0))
            continue
        masked.append(entry)
        if entry is not None:
            axes += [entry] if entry is Ellipsis else [slice(None)] * _consumes(_as_array(session, entry))
    index = basic_index(session, x.dims, expand_key(session, x, tuple(axes)))
    assert index is not None
    return _basic_view(session, x, index), tuple(masked)


def _consumes(entry: Any) -> int:
    if entry is None or entry is Ellipsis:
        return 0
    if isinstance(entry, Array) and entry.type.dtype == "bool":
        return entry.type.rank
    return 1


def resolve_place(session: Session, k: Atom, dim: Dim, axis: int) -> Atom:
    """A scalar subscript as a nonnegative place that is in range, or is checked to be."""
    builder = session.builder
    form, size = builder.affine(k), builder.affine(dim)
    if not form.terms and form.constant < 0:
        return resolve_known(session, form + size, size, axis, form)
    if session.ensure(form):
        return resolve_known(session, form, size, axis, form)
    if builder.holds(form.scaled(-1) - 1):
        return resolve_known(session, form + size, size, axis, form)
    wrapped = builder.emit("add", k, dim_atom(dim))
    negative = builder.emit("lt", k, 0)
    place = builder.emit("where", negative, wrapped, k, hint="k")
    _check_range(session, place, dim, axis)
    return place


def resolve_known(session: Session, place: Affine, size: Affine, axis: int, given: Affine) -> Atom:
    builder = session.builder
    below = session.ensure(size - place - 1)
    above = session.ensure(place)
    atom = builder.integer(place, hint="k")
    known = not session.from_example(size - place)
    if known and (not below and builder.holds(size - place - 1) is False or builder.holds(place) is False):
        raise session.error(
            BoundsError,
            f"index {given} is out of bounds for axis {axis} with size {session.shown([_dim(builder, size)])[1:-2]}",
        )
    if not (below and above):
        _check_range(session, atom, atom_dim(builder.integer(size)), axis, above)
    return atom


def _dim(builder: Any, form: Affine) -> Dim:
    return atom_dim(builder.integer(form))


def _check_range(session: Session, place: Atom, dim: Dim, axis: int, nonnegative: bool = False) -> None:
    builder = session.builder
    inside = builder.emit("lt", place, dim_atom(dim))
    if not nonnegative:
        inside = builder.emit("and", builder.emit("ge", place, 0), inside)
    session.check(inside, f"IndexError: index out of bounds for axis {axis}")
    if isinstance(place, Var):
        builder.facts.assume(builder.affine(dim) - builder.affine(place) - 1)
        builder.facts.assume(builder.affine(place))


def resolve_slice(session: Session, entry: slice, dim: Dim) -> Slice:
    """A slice as start, step and size, with Python's clamping."""
    builder = session.builder
    step = 1 if entry.step is None else session_int(session, entry.step, "the step of a slice")
    if step == 0:
        raise session.error(BoundsError, "slice step cannot be zero")
    n = builder.affine(dim)

    def end(value: Any, default: Affine, low: Affine, high: Affine) -> Affine:
        if value is None:
            return default
        atom = _integer_atom(session, value)
        if atom is None:
            raise session.error(TypeMismatch, f"slice indices must be integers or None, not {value!r}")
        form = builder.affine(atom)
        negative = builder.holds(form.scaled(-1) - 1)
        if negative is None:
            shifted = builder.integer(form + n)
            form = builder.affine(builder.emit("where", builder.emit("lt", atom, 0), shifted, atom))
        elif negative:
            form = form + n
        return clamp(session, form, low, high)

    zero = Affine(0)
    if step > 0:
        start = end(entry.start, zero, zero, n)
        stop = end(entry.stop, n, zero, n)
        length = clamp(session, stop - start, zero, None)
        count = _divided(session, length, step)
    else:
        start = end(entry.start, n - 1, zero - 1, n - 1)
        stop = end(entry.stop, zero - 1, zero - 1, n - 1)
        length = clamp(session, start - stop, zero, None)
        count = _divided(session, length, -step)
    size = builder.integer(count, hint="n")
    if isinstance(size, Var):
        builder.facts.bound(size.name, lower=Affine(0))
    first = builder.integer(start, hint="k")
    return Slice(first, None, step, atom_dim(size))


def _divided(session: Session, length: Affine, step: int) -> Affine:
    """ceil(length / step)"""
    if step == 1:
        return length
    if not length.terms:
        return Affine(-(-length.constant // step))
    builder = session.builder
    rounded = builder.integer(length + (step - 1))
    return builder.affine(session.integer("floordiv", rounded, literal(step, "i64"), hint="n"))


def clamp(session: Session, form: Affine, low: Affine, high: Affine | None) -> Affine:
    """min(max(form, low), high), with what is known left out."""
    builder = session.builder
    above = builder.holds(form - low)
    if above is False:
        form = low
    elif above is None:
        atom = session.integer("maximum", builder.integer(form), builder.integer(low))
        form = builder.affine(atom)
        _bound(builder, form, lower=low)
    if high is None:
        return form
    below = builder.holds(high - form)
    if below is False:
        return high
    if below is None:
        atom = session.integer("minimum", builder.integer(form), builder.integer(high))
        form = builder.affine(atom)
        _bound(builder, form, upper=high)
        _bound(builder, form, lower=low)
    return form


def _bound(builder: Any, form: Affine, lower: Affine | None = None, upper: Affine | None = None) -> None:
    if len(form.terms) == 1 and form.terms[0][1] == 1 and not form.constant:
        builder.facts.bound(form.terms[0][0], lower, upper)


def session_int(session: Session, value: Any, what: str) -> int:
    """A number that has to be concrete; a traced one makes its inputs static."""
    if isinstance(value, Symbol):
        atom = whole(session, value).read()
        if atom.type == I64:
            return session.concrete(atom, what, "write the number, or pass it as an argument of its own")
        return operator.index(whole(session, value))
    try:
        return operator.index(value)
    except TypeError:
        raise session.error(TypeMismatch, f"{what} must be an integer, not {value!r}") from None


def basic_index(session: Session, dims: tuple[Dim, ...], entries: list[Item]) -> Index | None:
    """The subscript of a view; None where the entries need index arrays."""
    items: list[Atom | Slice | None] = []
    axis = 0
    for entry in entries:
        if entry is None:
            items.append(None)
            continue
        if isinstance(entry, slice):
            items.append(resolve_slice(session, entry, dims[axis]))
        else:
            atom = _integer_atom(session, entry)
            if atom is None or atom.type.rank:
                return None
            items.append(resolve_place(session, atom, dims[axis], axis))
        axis += 1
    return Index(tuple(items))


def advanced_index(session: Session, x: Array, entries: list[Item]) -> tuple[Array, Index]:
    """The array (its axes under a mask of rank > 1 joined into one) and the subscript with index arrays."""
    items: list[Atom | Slice | None] = []
    axis = 0
    for entry in entries:
        if entry is None:
            items.append(None)
            continue
        if isinstance(entry, Array) and entry.type.dtype == "bool":
            x = _join_axes(session, x, axis, entry)
            items.append(_positions(session, entry))
        elif isinstance(entry, slice):
            items.append(resolve_slice(session, entry, x.dims[axis]))
        elif isinstance(entry, Array) and entry.type.dtype == "i64":
            items.append(_places(session, entry, x.dims[axis], axis))
        else:
            atom = _integer_atom(session, entry)
            if atom is None:
                raise session.error(
                    BoundsError,
                    "only integers, slices (`:`), ellipsis (`...`), None and integer or boolean arrays are valid "
                    f"indices, not {_described(entry)}",
                )
            items.append(resolve_place(session, atom, x.dims[axis], axis))
        axis += 1
    arrays = [k for k, item in enumerate(items) if isinstance(item, Var) and item.type.rank]
    for first, second in zip(arrays, arrays[1:]):
        _agree(session, items, first, second)
    return x, with_stops(session.builder, Index(tuple(items)))


def _agree(session: Session, items: list[Any], first: int, second: int) -> None:
    """Index arrays of equal length get one name for it."""
    a, b = items[first], items[second]
    for da, db in zip(reversed(a.type.dims), reversed(b.type.dims)):
        if da == 1 or db == 1:
            continue
        if not session.equal_dims(da, db, (a.type.dims, b.type.dims), "index arrays"):
            raise session.error(
                UnsupportedFunction,
                "index arrays whose sizes are not known to be equal before the program runs",
            )


def _described(entry: Any) -> str:
    return repr(entry.type) if isinstance(entry, Symbol) else type(entry).__name__


def _join_axes(session: Session, x: Array, axis: int, mask: Array) -> Array:
    for k, dim in enumerate(mask.dims):
        if not session.equal_dims(x.dims[axis + k], dim, (x.dims, mask.dims), "a mask"):
            _check_mask(session, axis + k, x.dims[axis + k], dim)
    if mask.type.rank == 1:
        return x
    total: Atom = dim_atom(1)
    for dim in x.dims[axis : axis + mask.type.rank]:
        total = session.integer("mul", total, dim_atom(dim))
    dims = (*x.dims[:axis], atom_dim(total), *x.dims[axis + mask.type.rank :])
    return x.mapped(dims)


def _positions(session: Session, mask: Array) -> Atom:
    """The places where a mask is true; their number is a size computed from data."""
    builder = session.builder
    value = mask.read()
    key = "positions", value
    known = builder.known(key)
    if known is not None:
        return known
    if mask.type.rank > 1:
        total: Atom = dim_atom(1)
        for dim in mask.dims:
            total = session.integer("mul", total, dim_atom(dim))
        value = builder.emit("reshape", value, (total,))
    count = builder.emit("sum", builder.emit("to_i64", value), (0,), hint="k")
    if isinstance(count, Var):
        builder.facts.bound(count.name, lower=Affine(0), upper=builder.affine(value.type.dims[0]))
    positions = builder.emit("nonzero", value, count)
    builder.remember(key, positions)
    return positions


def _places(session: Session, entry: Array, dim: Dim, axis: int) -> Atom:
    """An index array with negative places made positive, checked to be in range."""
    builder = session.builder
    k = entry.read()
    low, high = session.intervals.get(getattr(entry.cell.value, "name", ""), (None, None))
    above = low is not None and session.ensure(low)
    if above and high is not None and session.ensure(builder.affine(dim) - 1 - high):
        return k
    wrapped = builder.emit("add", k, dim_atom(dim))
    places = builder.emit("where", builder.emit("lt", k, 0), wrapped, k)
    inside = builder.emit("and", builder.emit("ge", places, 0), builder.emit("lt", places, dim_atom(dim)))
    if places.type.rank:
        inside = builder.emit("all", inside, tuple(range(places.type.rank)))
    session.check(inside, f"IndexError: index out of bounds for axis {axis}")
    return places


def _basic_view(session: Session, x: Array, index: Index) -> Array:
    """The view; a slice that takes nothing of a new axis, which no index map can say, leaves an array of size 0."""
    last = x.maps[-1] if _is_strided(x) else None
    shown = (
        {run.out for run in last.items if isinstance(run, Run)} if isinstance(last, Strided) else range(x.type.rank)
    )
    places = [item for item in index.items if item is not None]
    for axis, item in enumerate(places):
        if not isinstance(item, Slice) or axis in shown or session.builder.canonical_dim(item.size) == 1:
            continue
        if session.concrete(dim_atom(item.size), "the size of a slice of a new axis") == 0:
            shape = tuple(map(dim_atom, index_dims(x.dims, index)))
            return Array(session, Cell(session, session.builder.emit("zeros", shape, x.type.dtype)))
    return x.strided(lambda strided: strided.subscript(session.builder, index))


def _is_strided(x: Array) -> bool:
    return bool(x.maps) and isinstance(x.maps[-1], Strided)


@implements("getitem")
def getitem(x: Symbol, key: Any) -> Scalar | Array:
    session = x.session
    if isinstance(x, Scalar):
        if x.weak:
            raise TypeError(f"{type_name(x)!r} object is not subscriptable")
        if any(_consumes(_as_array(session, e)) and not _is_truth(e) for e in (key if type(key) is tuple else (key,))):
            raise IndexError("invalid index to scalar variable.")
        x = Array(session, Cell(session, x.atom, "t"))  # NumPy's numbers are indexed as arrays without axes
    assert isinstance(x, Array)
    whole_array = x
    x, key = _with_axes_for_truths(session, x, key)
    entries = expand_key(session, x, key)
    index = basic_index(session, x.dims, entries)
    if index is not None:
        view = _basic_view(session, x, index)
        # With an ellipsis NumPy gives a view even of one element.
        if x is not whole_array:
            return wrap(session, session.builder.emit("copy", view.content()))
        dots = key is Ellipsis or (isinstance(key, tuple) and any(k is Ellipsis for k in key))
        return view if view.type.rank or dots else Scalar(session, view.read())
    base, index = advanced_index(session, x, entries)
    return wrap(session, session.builder.emit("getitem", base.read(), index))


@implements("setitem")
def setitem(x: Symbol, key: Any, value: Any) -> None:
    if not isinstance(x, Array):
        raise TypeError(f"{type_name(x)!r} object does not support item assignment")
    session = x.session
    builder = session.builder
    x, key = _with_axes_for_truths(session, x, key)
    entries = expand_key(session, x, key)
    atom, weak = as_value(session, value, "storing into an array")
    atom = cast_value(session, atom, x.type.dtype, "storing into an array", weak)
    index = basic_index(session, x.dims, entries)
    if index is not None:
        view = _basic_view(session, x, index)
        view.write(broadcast_value(session, atom, view.dims))
        return
    only_mask = isinstance(entries[0], Array) and entries[0].type.dtype == "bool" and atom.type.rank == 0
    if (
        only_mask
        and all(e == slice(None) for e in entries[1:] if isinstance(e, slice))
        and not any(not isinstance(e, slice) for e in entries[1:])
    ):
        mask = entries[0]
        selected = _of_one_shape(session, x, mask)
        shape = (*selected.type.dims, *(1 for _ in range(x.type.rank - mask.type.rank)))
        if len(shape) != mask.type.rank:
            selected = builder.emit("reshape", selected, tuple(map(dim_atom, shape)))
        x.write(builder.emit("where", selected, atom, x.read()))
        return
    base, index = advanced_index(session, x, entries)
    part = index_dims(base.dims, index)
    atom = broadcast_value(session, atom, part)
    new = builder.emit("at_set", base.read(), index, atom, hint=x.cell.name)
    base.write(new)


def _of_one_shape(session: Session, x: Array, mask: Array) -> Atom:
    """A mask over the first axes of x, whose sizes are from here on those of x."""
    selected = mask.read()
    for k, (dim, wanted) in enumerate(zip(mask.dims, x.dims)):
        if not session.equal_dims(wanted, dim, (x.dims, mask.dims), "a mask"):
            _check_mask(session, k, wanted, dim)
            dims = (*x.dims[: k + 1], *mask.dims[k + 1 :])
            selected = session.builder.emit("reshape", selected, tuple(map(dim_atom, dims)))
    return selected


def _check_mask(session: Session, axis: int, wanted: Dim, dim: Dim) -> None:
    same = session.builder.emit("eq", dim_atom(wanted), dim_atom(dim))
    session.check(
        same,
        f"IndexError: boolean index did not match indexed array along axis {axis}; size of axis is {wanted} but "
        f"size of corresponding boolean axis is {dim}",
    )


def scatter_add(x: Array, key: Any, value: Any) -> None:
    """`np.add.at(x, key, value)`: repeated places accumulate."""
    session = x.session
    x, key = _with_axes_for_truths(session, x, key)
    entries = expand_key(session, x, key)
    atom, weak = as_value(session, value, "np.add.at")
    atom = cast_value(session, atom, x.type.dtype, "np.add.at", weak, inplace=True)
    base, index = advanced_index(session, x, entries)
    atom = broadcast_value(session, atom, index_dims(base.dims, index))
    base.write(session.builder.emit("at_add", base.read(), index, atom, hint=x.cell.name))


__all__ = ["Lit", "getitem", "scatter_add", "session_int", "setitem"]
