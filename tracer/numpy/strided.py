"""Strides, and views by them: windows over an array.

What such a view shows is read at once, element by element, out of the array's content in C order. Where the array
lies in another order than its content here, its strides are others: they are refused, and arguments must be in C
order (memory_order.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom
from ...ir.errors import ShapeMismatch, UnsupportedFunction
from ...ir.program import Atom
from ...ir.types import Dim
from ..session import Session
from ..values.symbol import METHODS, Array, Cell, Scalar, implements, wrap
from ..values.view import Fixed, Strided
from .arguments import (
    array_operand,
    axis_argument,
    dims_of,
    integer_atom,
    iota,
    product,
    size_symbol,
)
from .create import shape_argument
from .layout import Monomial, keeps_order, order_from, strides_of
from .reduce import flat

_NOT_WRITTEN = (
    "np.lib.stride_tricks gives views whose elements overlap: a write to the array or to such a view cannot be "
    "followed. Make the view of a `.copy()`, and copy the view if it is written"
)


def _strides(x: Array) -> list[Monomial]:
    """The strides of an array, counted in elements; arguments that decide them must be in C order."""
    session, cell = x.session, x.cell
    order = session.order
    turned = cell.number not in order.in_order and cell.value.type.rank > 1 and keeps_order(session, cell.value)
    strides = None if turned or cell.number in order.unknown else strides_of(session, x)
    if strides is None or any(session.builder.canonical_dim(d) == 0 for d in x.dims):
        raise session.error(
            UnsupportedFunction,
            "the strides of this array depend on its order in memory, or on sizes that only a run knows. Take "
            "windows with np.lib.stride_tricks.sliding_window_view or index arrays, or the strides of x.copy()",
        )
    order.matters |= order_from(session, x)
    return strides


def strides(x: Any) -> tuple[Any, ...]:
    if isinstance(x, Scalar):
        return ()
    session, size = x.session, x.type.numpy.itemsize
    return tuple(size_symbol(session, product(session, (m[0] * size, *m[1]))) for m in _strides(x))


METHODS["strides"] = property(strides)


@implements(np.lib.stride_tricks.as_strided)
def as_strided(
    x: Any, shape: Any = None, strides: Any = None, subok: Any = False, writeable: Any = True
) -> Any:
    array = array_operand(x, "np.lib.stride_tricks.as_strided")
    session = array.session
    if isinstance(array, Scalar):
        array = Array(session, Cell(session, array.atom))
    own = _strides(array)
    dims = array.dims if shape is None else tuple(map(atom_dim, shape_argument(session, shape)))
    if strides is None:
        steps = [product(session, (m[0], *m[1])) for m in own]
    else:
        given = strides if isinstance(strides, (tuple, list)) else list(strides)
        steps = [_elements(session, s, array.type.numpy.itemsize) for s in given]
    if len(steps) != len(dims):
        raise ValueError("mismatch in length of strides and shape")
    places = _grid(session, dims, steps, _offset(session, array))
    content = flat(wrap(session, array.cell.value))
    return _view(array, content[places] if dims else content[places].reshape(()))


def _elements(session: Session, stride: Any, size: int) -> Atom:
    """A stride in elements, of one in bytes."""
    atom = integer_atom(stride, "a stride")
    form = session.builder.affine(atom)
    if all(c % size == 0 for _, c in form.terms) and form.constant % size == 0:
        parts = Affine(form.constant // size)
        for name, c in form.terms:
            parts = parts + Affine.name(name).scaled(c // size)
        return session.builder.integer(parts, hint="stride")
    rest = session.integer("mod", atom, dim_atom(size), hint="rest")
    refusal = f"np.lib.stride_tricks.as_strided: the strides must be multiples of the {size} bytes of an element"
    session.check(session.builder.emit("eq", rest, 0), f"ValueError: {refusal}")
    return session.integer("floordiv", atom, dim_atom(size), hint="stride")


def _offset(session: Session, x: Array) -> Any:
    """The place of a view's first element in its cell."""
    whole = Array(session, x.cell)
    start: Any = 0
    for step in x.maps:
        if isinstance(step, Strided):
            for item, stride in zip(step.items, strides_of(session, whole) or ()):
                at = item.at if isinstance(item, Fixed) else item.start
                step_size = size_symbol(session, product(session, (stride[0], *stride[1])))
                start = start + size_symbol(session, at) * step_size
        whole = whole.mapped(step)
    return start


def _grid(session: Session, dims: Sequence[Dim], steps: Sequence[Atom], start: Any) -> Any:
    """The places start + sum of i_k * step_k, one axis for each k."""
    places: Any = start
    for k, (dim, step) in enumerate(zip(dims, steps)):
        axis = iota(session, dim) * size_symbol(session, step)
        places = places + axis[(slice(None), *(None,) * (len(dims) - 1 - k))]
    return places


def _view(x: Array, result: Any) -> Any:
    x.cell.freeze(_NOT_WRITTEN)
    if isinstance(result, Array):
        result.cell.freeze(_NOT_WRITTEN)
    return result


@implements(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: Any = False, writeable: Any = False
) -> Any:
    what = "np.lib.stride_tricks.sliding_window_view"
    array = array_operand(x, what)
    session, rank = array.session, array.type.rank
    widths = [integer_atom(w, what) for w in _entries(window_shape)]
    axes = list(range(rank)) if axis is None else [axis_argument(a, rank, what) for a in _entries(axis)]
    if len(widths) != len(axes):
        raise session.error(
            ShapeMismatch, f"{what}: {len(widths)} window sizes for {len(axes)} axes. Give a size for each axis"
        )
    if len(set(axes)) != len(axes):
        raise session.error(UnsupportedFunction, f"{what} of one axis twice: make the windows one after the other")
    total = rank + len(axes)
    key = [_along(iota(session, d), k, total) for k, d in enumerate(dims_of(array))]
    for place, (k, width) in enumerate(zip(axes, widths)):
        count = _windows(session, dim_atom(dims_of(array)[k]), width)
        key[k] = _along(iota(session, count), k, total) + _along(iota(session, width), rank + place, total)
    return _view(array, array[tuple(key)])


def _entries(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _along(places: Any, axis: int, rank: int) -> Any:
    return places[tuple(slice(None) if k == axis else None for k in range(rank))]


def _windows(session: Session, size: Atom, width: Atom) -> Atom:
    """How many windows of this width there are; ValueError if none fits."""
    builder = session.builder
    for form, message in (
        (builder.affine(width), "`window_shape` cannot contain negative values"),
        (builder.affine(size) - builder.affine(width), "window shape cannot be larger than input array shape"),
    ):
        if not form.terms and form.constant < 0:
            raise session.error(ShapeMismatch, message)
        if not session.ensure(form):
            session.check(builder.emit("ge", builder.integer(form), 0), f"ValueError: {message}")
            builder.facts.assume(form)
    return builder.integer(builder.affine(size) - builder.affine(width) + 1, hint="windows")
