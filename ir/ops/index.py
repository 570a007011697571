"""Reading and writing parts of arrays, with NumPy's meaning of a subscript.

`x.at[i].set(v)` is a copy of x in which one part differs; codegen writes in place where x is dead.
"""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Kind, Primitive, Ref, Trait, nondifferentiable
from ..program import Index, Lit, Slice, Var
from ..types import Dim, Type
from .array import broadcast_to, dims_of, full_slice
from .declare import broadcast_dims


def arrays_of(index: Index) -> tuple[tuple[Dim, ...], int, int] | None:
    """The broadcast shape of the index arrays, where it stands in the result, and how many items it replaces.

    Integers beside index arrays count as arrays, and arrays that are not neighbours put their shape first:
    NumPy's rules. None if there is no index array.
    """
    advanced = [k for k, item in enumerate(index.items) if isinstance(item, (Var, Lit))]
    shapes = [index.items[k].type.dims for k in advanced]  # type: ignore[union-attr]
    if not any(shapes):
        return None
    together = advanced[-1] - advanced[0] + 1 == len(advanced)
    return broadcast_dims(*shapes), advanced[0] if together else 0, len(advanced)


def index_dims(dims: tuple[Dim, ...], index: Index) -> tuple[Dim, ...]:
    """The shape of `x[index]`."""
    if sum(item is not None for item in index.items) != len(dims):
        raise IRError(f"a subscript needs one item per axis: {len(dims)} axes")
    arrays = arrays_of(index)
    result: list[Dim] = []
    for k, item in enumerate(index.items):
        if arrays is not None and k == arrays[1] and arrays[1] > 0:
            result.extend(arrays[0])
        if item is None:
            result.append(1)
        elif isinstance(item, Slice):
            result.append(item.size)
    if arrays is not None and arrays[1] == 0:
        result[:0] = arrays[0]
    elif arrays is not None and arrays[1] >= len(index.items):
        result.extend(arrays[0])
    return tuple(result)


def numpy_index(index):
    """The subscript as NumPy takes it, once its atoms and sizes are numbers."""
    items = []
    for item in index.items:
        if isinstance(item, Slice):
            start, size = int(item.start), int(item.size)
            stop = start + item.step * size
            # Where nothing is shown, start may lie before the axis.
            items.append(slice(start, None if stop < 0 else stop, item.step) if size else slice(0, 0))
        else:
            items.append(item)
    return tuple(items)


def _get(x, index):
    return np.asarray(x)[numpy_index(index)].copy()[()]


def _set(x, index, v):
    result = np.array(x)
    result[numpy_index(index)] = v
    return result


def _add(x, index, v):
    result = np.array(x)
    np.add.at(result, numpy_index(index), v)
    return result


def _updated(x: Type, index: Index, v: Type) -> Type:
    part = index_dims(x.dims, index)
    if v.dtype != x.dtype:
        raise IRError(f"cannot store {v} in {x}")
    if v.dims and v.dims != part:
        raise IRError(f"cannot store {v} in a part of shape {part}")
    return x


def _getitem_vjp(y_bar, y, x, index):
    if _is_expanded(x.type, index):
        return y_bar._apply("reshape", y_bar, x.shape), None
    return lambda x_bar: at_add(x_bar, index, y_bar), None


def _is_expanded(x: Type, index: Index) -> bool:
    """Does `x[:, None]` show all of x, with new axes of size 1?"""
    places = [item for item in index.items if item is not None]
    return len(places) == len(x.dims) and all(
        isinstance(item, Slice) and item.step == 1 and item.size == dim and _starts(item.start)
        for item, dim in zip(places, x.dims)
    )


def _starts(start: object) -> bool:
    return isinstance(start, Lit) and start.text == "0"


def _part_bar(y_bar: Ref, index: Index, v: Ref) -> Ref:
    """The cotangent of a value stored in a part: the part, summed if a scalar was stored in many places."""
    part = getitem(y_bar, index)
    if v.type.rank == 0 and part.type.rank:
        return part._apply("sum", part, tuple(range(part.type.rank)))
    return part


def _set_vjp(y_bar, y, x, index, v):
    # The part is read before it is overwritten, so that y_bar can be updated in place.
    if arrays_of(index) is None:
        v_bar = _part_bar(y_bar, index, v)
        return at_set(y_bar, index, 0.0), None, v_bar
    # With duplicates in an index array the last one wins, and only it gets the cotangent: number the
    # places, store the numbers the same way, and see which number is found again.
    part = getitem(y_bar, index)
    numbers = _number(part)
    winners = at_set(y_bar._apply("zeros", x.shape, "i64"), index, numbers)
    won = part._apply("eq", getitem(winners, index), numbers)
    v_bar = part._apply("where", won, part, 0.0)
    if v.type.rank == 0:
        v_bar = part._apply("sum", v_bar, tuple(range(part.type.rank)))
    return at_set(y_bar, index, 0.0), None, v_bar


def _number(x: Ref) -> Ref:
    """An i64 array of the shape of x that numbers its elements in C order."""
    total = None
    for size in x.shape:
        total = Ref(x.builder, size) if total is None else total * Ref(x.builder, size)
    return x._apply("reshape", x._apply("iota", total), x.shape)


def _all_behind(size, index: Index) -> Index:
    """The subscript where there is one more axis at the end, of which all is taken."""
    return Index((*index.items, full_slice(*dims_of((size,)))))


def _batched_write(size, x, index, v):
    """One number for many places has a row of numbers now: it is written out, row by row."""
    if v.type.dims == dims_of((size,)):
        part = Ref(x.builder, Var("", x.type.with_dims(index_dims(x.type.dims[:-1], index)))).shape
        v = broadcast_to(v, (*part, size)) if part else v
    return x, _all_behind(size, index), v


getitem = Primitive(
    "getitem", "{0}[{1}]", lambda x, index: x.with_dims(index_dims(x.dims, index)), _get,
    linear=(0,), vjp=_getitem_vjp, cost=1,
    batched=lambda size, x, index: (x, _all_behind(size, index)),
    kind=Kind.READ, traits=Trait.QUIET,
    programs=(
        ("x: f64[4], i: i64", "f64", "x[i]"),
        ("x: f64[4, 3], i: i64", "f64[3]", "x[i, :]"),
        ("x: f64[5, 3]", "f64[2, 3]", "x[1:4:2, :]"),
        ("x: f64[5]", "f64[5]", "x[4::-1]"),
        ("x: f64[5]", "f64[2]", "x[3:0:-2]"),
        ("x: f64[5]", "f64[5, 1]", "x[:, None]"),
        ("x: f64[4], k: i64[3]", "f64[3]", "x[k]"),
        ("x: f64[4, 3], k: i64[2, 1], j: i64[3]", "f64[2, 3]", "x[k, j]"),
        ("x: f64[4, 3, 2], k: i64[5], i: i64", "f64[5, 3]", "x[k, :, i]"),
        ("x: f64[3, 4], k: i64[5], i: i64", "f64[2, 5]", "x[1:3, k]"),
    ),
)  # fmt: skip
at_set = Primitive(
    "at_set", "{0}.at[{1}].set({2})", _updated, _set, linear=(0, 2), vjp=_set_vjp, cost=1,
    batched=_batched_write, kind=Kind.WRITE, traits=Trait.QUIET,
    programs=(
        ("x: f64[4], i: i64, v: f64", "f64[4]", "x.at[i].set(v)"),
        ("x: f64[5], v: f64[2]", "f64[5]", "x.at[1:3].set(v)"),
        ("x: f64[5], v: f64", "f64[5]", "x.at[4:1:-1].set(v)"),
        ("x: f64[4, 3], i: i64, v: f64[3]", "f64[4, 3]", "x.at[i, :].set(v)"),
        ("x: f64[4], k: i64[6], v: f64[6]", "f64[4]", "x.at[k].set(v)"),
        ("x: f64[4], k: i64[6], v: f64", "f64[4]", "x.at[k].set(v)"),
    ),
)  # fmt: skip
at_add = Primitive(
    "at_add", "{0}.at[{1}].add({2})", _updated, _add, linear=(0, 2),
    vjp=lambda y_bar, y, x, index, v: (y_bar, None, _part_bar(y_bar, index, v)), cost=1,
    batched=_batched_write, kind=Kind.WRITE, traits=Trait.OVERFLOWS,
    programs=(
        ("x: f64[4], i: i64, v: f64", "f64[4]", "x.at[i].add(v)"),
        ("x: f64[5], v: f64[2]", "f64[5]", "x.at[1:4:2].add(v)"),
        ("x: f64[4, 3], v: f64", "f64[4, 3]", "x.at[:, 1:3].add(v)"),
        ("x: f64[4], k: i64[6], v: f64[6]", "f64[4]", "x.at[k].add(v)"),
    ),
)  # fmt: skip

nonzero = Primitive(
    "nonzero", "nonzero({0}, {1})",
    lambda mask, k: Type("i64", (int(k.text) if isinstance(k, Lit) else k.name,)),
    lambda mask, k: np.nonzero(mask)[0], vjp=nondifferentiable, sizes=(1,), cost=100,
    kind=Kind.KERNEL, traits=Trait.QUIET,
)  # fmt: skip

