"""np.insert and np.delete, at one place or at several."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.build import dim_atom
from ..values.symbol import FUNCTIONS, implements
from .arguments import axis_argument, dims_of, operand, size_symbol
from .conditions import flatnonzero
from .join import along, delete_at, insert_at, is_place
from .order import zeros
from .reduce import flat


def _on_axis(arr: Any, axis: Any, what: str) -> tuple[Any, int, Any]:
    x = operand(arr, what)
    if axis is None:
        x, axis = flat(x), 0
    place = axis_argument(axis, x.type.rank, what)
    return x, place, size_symbol(x.session, dim_atom(dims_of(x)[place]))


def _places(obj: Any, n: Any, what: str) -> Any:
    """What is meant by a slice, a mask, or numbers that may count from the end."""
    if isinstance(obj, slice):
        return FUNCTIONS[np.arange](*obj.indices(n)) if isinstance(n, int) else FUNCTIONS[np.arange](n)[obj]
    places = operand(obj, what)
    if places.type.dtype == "bool":
        return flatnonzero(places)
    if places.type.rank > 1:
        raise ValueError("index array argument obj to insert must be one dimensional or scalar")
    return places


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Any:
    if is_place(obj):
        return delete_at(arr, obj, axis)
    x, place, n = _on_axis(arr, axis, "np.delete")
    keep = zeros(x.session, n, "bool") == zeros(x.session, n, "bool")
    keep[_places(obj, n, "np.delete")] = False
    return x[along(place, flatnonzero(keep))]


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Any:
    """Each value goes where its place is among the old elements, behind those that were given the same one before."""
    if is_place(obj):
        return insert_at(arr, obj, values, axis)
    x, place, n = _on_axis(arr, axis, "np.insert")
    session = x.session
    places = _places(obj, n, "np.insert")
    places = operand(np.where(places < 0, places + n, places), "np.insert")
    number = size_symbol(session, dim_atom(dims_of(places)[0]))
    order = np.argsort(places)
    ascending = places[order]
    new = zeros(session, number, "i64")
    new[order] = ascending + np.arange(number)
    old = FUNCTIONS[np.arange](n)
    old = old + np.searchsorted(ascending, old, side="right")
    shape = tuple(n + number if k == place else s for k, s in enumerate(np.shape(x)))
    result = FUNCTIONS[np.zeros](shape, x.type.numpy)
    given = operand(values, "np.insert", x.type.numpy)
    result[along(place, old)] = x
    result[along(place, new)] = given
    return result
