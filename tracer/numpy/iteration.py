"""Running over all elements of an array: np.nditer, np.ndenumerate, np.ndindex and the attribute `flat`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom
from ...ir.errors import UnsupportedFunction
from ...ir.program import Atom, Lit, Var
from ...ir.types import Dim
from ..calls import ALWAYS
from ..lists.sequences import Sequence
from ..session import Session
from ..values.symbol import FUNCTIONS, METHODS, Array, Scalar, Symbol, implements, require_session
from .arguments import array_operand, atom_dims, dims_of, product, require_elements
from .create import shape_argument
from .layout import order_from


class Flat(Array):
    """`x.flat`: all elements in C order. Elements are written through; a slice is a copy, as NumPy's is."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return FUNCTIONS[np.copy](found) if isinstance(found, Array) else found


def flat(x: Array) -> Flat:
    total = product(x.session, x.dims)
    return Flat(x.session, x.cell, (*x.maps, tuple(atom_dims([total]))))


METHODS["flat"] = property(flat)


def _elements(x: Any, what: str) -> tuple[Atom, Array]:
    array = array_operand(x, what)
    elements = flat(array) if isinstance(array, Array) else FUNCTIONS[np.reshape](array, (1,))
    return dim_atom(array.session.builder.canonical_dim(elements.dims[0])), elements


def _places(session: Session, k: Atom, dims: tuple[Dim, ...]) -> tuple[Any, ...]:
    """The subscripts of element k, in C order, of an array of these sizes."""
    builder = session.builder
    places: list[Any] = []
    for axis in range(len(dims) - 1, 0, -1):
        size = dim_atom(dims[axis])
        places.append(_number(session, k, "mod", size, dims[axis]))
        k = session.integer("floordiv", k, size)
        if isinstance(k, Var):
            builder.facts.bound(k.name, lower=Affine(0))
    if isinstance(k, Var) and dims:
        builder.facts.bound(k.name, lower=Affine(0), upper=builder.affine(dims[0]) - 1)
    places.append(_plain(session, k))
    return tuple(reversed(places)) if dims else ()


def _number(session: Session, k: Atom, op: str, size: Atom, dim: Dim) -> Any:
    place = session.integer(op, k, size)
    if isinstance(place, Var):
        session.builder.facts.bound(place.name, lower=Affine(0), upper=session.builder.affine(dim) - 1)
    return _plain(session, place)


def _plain(session: Session, k: Atom) -> Any:
    return int(k.text) if isinstance(k, Lit) else Scalar(session, k, weak=True)


@implements(np.ndenumerate)
def ndenumerate(arr: Any) -> Sequence:
    session = require_session()
    length, elements = _elements(arr, "np.ndenumerate")
    dims = dims_of(array_operand(arr, "np.ndenumerate"))
    return Sequence(length, lambda k: (_places(session, k, dims), elements[_plain(session, k)]), [elements])


@implements(np.ndindex)
def ndindex(*shape: Any) -> Any:
    session = require_session()
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    if not shape:
        return np.ndindex()
    dims = tuple(atom_dims(shape_argument(session, shape)))
    length = product(session, dims)
    return Sequence(length, lambda k: _places(session, k, dims))


ALWAYS.add(np.ndindex)


@implements(np.nditer)
def nditer(op: Any, flags: Any = None, op_flags: Any = None, *_: Any, **options: Any) -> Sequence:
    session = require_session()
    given = (*(flags or ()), *(str(f) for f in _flattened(op_flags or ())), *options)
    if any(f not in ("readonly", "refs_ok", "zerosize_ok") for f in given):
        raise session.error(
            UnsupportedFunction,
            "np.nditer with flags cannot be traced. Use `for index in np.ndindex(*x.shape)` to write elements or for "
            "their places, `for v in x.flat` to read them",
        )
    operands = list(op) if isinstance(op, (list, tuple)) else [op]
    arrays = [array_operand(x, "np.nditer") for x in operands]
    if any(isinstance(a, Array) and a.type.rank > 1 and not a.contiguous for a in arrays):
        raise session.error(
            UnsupportedFunction,
            "np.nditer over a view goes in the order of memory, which a traced array does not have. Use x.flat",
        )
    for array in arrays:
        if isinstance(array, Array):
            session.order.matters |= order_from(session, array)
    if len(arrays) > 1:
        arrays = [a.copy() for a in FUNCTIONS[np.broadcast_arrays](*arrays)]
    if "zerosize_ok" not in given:
        require_elements(session, arrays[0].type.dims, "Iteration of zero-sized operands is not enabled")
    pairs = [_elements(a, "np.nditer") for a in arrays]
    item = [elements for _, elements in pairs]

    def element(k: Atom) -> Any:
        values = tuple(e[_plain(session, k)] for e in item)
        return values[0] if len(values) == 1 else values

    return Sequence(pairs[0][0], element, item)


def _flattened(flags: Any) -> list[Any]:
    return [f for entry in flags for f in (entry if isinstance(entry, (list, tuple)) else [entry])]


@implements(np.argwhere)
def argwhere(a: Any) -> Any:
    return FUNCTIONS[np.stack](list(FUNCTIONS[np.nonzero](a)), axis=-1)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    session = require_session()
    x = array_operand(a, "np.resize")
    sizes = shape_argument(session, new_shape)
    total = product(session, atom_dims(sizes))
    if _plain(session, total) == 0:
        return FUNCTIONS[np.zeros](tuple(_plain(session, s) for s in sizes), x.type.numpy)
    elements = FUNCTIONS[np.ravel](x)
    places = FUNCTIONS[np.arange](_plain(session, total)) % FUNCTIONS[np.size](x)
    return FUNCTIONS[np.reshape](elements[places], tuple(_plain(session, s) for s in sizes))


@implements(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    values = FUNCTIONS[np.ravel](array_operand(vals, "np.place"))
    if not isinstance(arr, Symbol):
        raise require_session().error(
            UnsupportedFunction, "np.place into an array that is not traced. Make it with np.array in the function"
        )
    chosen = array_operand(mask, "np.place").astype(bool)
    if values.type.dims[0] == 0:
        none = FUNCTIONS["not"](np.any(chosen))
        arr.session.check(none.atom, "ValueError: Cannot insert from an empty array!")
        return
    count = FUNCTIONS[np.count_nonzero](chosen)
    places = FUNCTIONS[np.arange](count) % FUNCTIONS[np.size](values)
    arr[chosen] = values[places]

