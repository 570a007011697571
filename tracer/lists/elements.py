"""What the elements of a list in arrays have in common: a nest of tuples and lists of numbers and arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import TypeMismatch
from ...ir.program import Atom
from ...ir.types import Dim, Type
from ..session import Session
from ..values.convert import cast, joins, result_dtype
from ..values.staged_list import LENGTH, TEMPLATE, StagedList
from ..values.symbol import FUNCTIONS, Array, Cell, Scalar, as_value

Template = Any  # Leaf | Same | Nest | Run


class Unlike(Exception):  # noqa: N818
    """Elements that cannot be rows of one array; the text says why."""


@dataclass(frozen=True)
class Leaf:
    """A number (dims None) or an array."""

    dtype: str
    weak: bool
    dims: tuple[Dim, ...] | None

    def mapped(self, size: Callable[[Dim], Dim]) -> Leaf:
        return self if self.dims is None else replace(self, dims=tuple(map(size, self.dims)))

    def unsized(self) -> Leaf:
        """What is left without the dtype and the sizes, which a loop carries."""
        return Leaf("", False, None if self.dims is None else (0,) * len(self.dims))


@dataclass(frozen=True)
class Same:
    """One value for all elements: None, a string."""

    value: Any

    def mapped(self, size: Callable[[Dim], Dim]) -> Same:
        return self

    def unsized(self) -> Same:
        return self


@dataclass(frozen=True)
class Nest:
    """A tuple or list of always so many parts."""

    kind: type
    items: tuple[Template, ...]

    def mapped(self, size: Callable[[Dim], Dim]) -> Nest:
        return replace(self, items=tuple(item.mapped(size) for item in self.items))

    def unsized(self) -> Nest:
        return replace(self, items=tuple(item.unsized() for item in self.items))


@dataclass(frozen=True)
class Run:
    """A list in arrays, of one length."""

    length: Dim
    item: Template

    def mapped(self, size: Callable[[Dim], Dim]) -> Run:
        return Run(size(self.length), self.item.mapped(size))

    def unsized(self) -> Run:
        return Run(0, self.item.unsized())


def fitted(template: Template, parts: Iterator[Any]) -> Template:
    """The template for elements in these arrays (the first axis counts the elements)."""
    match template:
        case Leaf(_, weak, dims):
            part = next(parts)
            return Leaf(part.type.dtype, weak, None if dims is None else part.dims[1:])
        case Nest(kind, items):
            return Nest(kind, tuple(fitted(item, parts) for item in items))
        case Run(_, item):
            shapes = list(parts)[: len(fields(item))]
            return Run(shapes[0].dims[1], item)
    return template


def describe(session: Session, value: Any) -> Template:
    """The template that fits the value; raises Unlike if none does."""
    if isinstance(value, StagedList) and value.rows is not None:
        return Run(session.builder.canonical_dim(atom_dim(value.size)), value.template())
    if isinstance(value, (tuple, list)):
        kind = list if isinstance(value, list) else type(value)
        return Nest(kind, tuple(describe(session, item) for item in value))
    if value is None or isinstance(value, str):
        return Same(value)
    if isinstance(value, (Array, np.ndarray)):
        # Not read here: this may be outside of the loop that its subscripts come from.
        of = value.type if isinstance(value, Array) else as_value(session, value)[0].type
        return Leaf(of.dtype, False, tuple(map(session.builder.canonical_dim, of.dims)))
    if isinstance(value, (Scalar, bool, int, float, np.number, np.bool_)):
        atom, weak = as_value(session, value)
        return Leaf(atom.type.dtype, weak, None)
    raise Unlike(f"a {type(value).__name__} among them")


def join(session: Session, a: Template, b: Template) -> Template:
    """The template that fits what fits either; raises Unlike if none does."""
    if isinstance(a, Leaf) and isinstance(b, Leaf):
        if (a.dims is None) != (b.dims is None) or len(a.dims or ()) != len(b.dims or ()):
            raise Unlike(f"{_shown(session, a)} and {_shown(session, b)}")
        if not all(session.same_now(x, y) for x, y in zip(a.dims or (), b.dims or ())):
            raise Unlike(f"{_shown(session, a)} and {_shown(session, b)}")
        values = [(literal(0, t.dtype), t.weak) for t in (a, b)]
        if not joins(*values):
            raise Unlike(f"{_shown(session, a)} and {_shown(session, b)}")
        return Leaf(*result_dtype(values), a.dims)
    if isinstance(a, Same) and isinstance(b, Same) and type(a.value) is type(b.value) and a.value == b.value:
        return a
    if isinstance(a, Nest) and isinstance(b, Nest) and a.kind is b.kind and len(a.items) == len(b.items):
        return Nest(a.kind, tuple(join(session, x, y) for x, y in zip(a.items, b.items)))
    if isinstance(a, Run) and isinstance(b, Run) and session.same_now(a.length, b.length):
        return Run(a.length, join(session, a.item, b.item))
    raise Unlike(f"{_shown(session, a)} and {_shown(session, b)}")


def _shown(session: Session, template: Template) -> str:
    match template:
        case Leaf(dtype, _, dims):
            return f"a number ({dtype})" if dims is None else f"an array {dtype} of shape {session.shown(dims)}"
        case Same(value):
            return repr(value)
        case Nest(kind, items):
            return f"a {kind.__name__} of {len(items)}"
    return f"a list of {session.shown((template.length,))[1:-2]}"


def fields(template: Template) -> list[tuple[str, tuple[Dim, ...]]]:
    """dtype and shape of each part of an element."""
    match template:
        case Leaf(dtype, _, dims):
            return [(dtype, dims or ())]
        case Nest(_, items):
            return [field for item in items for field in fields(item)]
        case Run(length, item):
            return [(dtype, (length, *dims)) for dtype, dims in fields(item)]
    return []


def has_list(template: Template) -> bool:
    """Is a list in arrays among the parts of an element?"""
    return isinstance(template, Run) or (isinstance(template, Nest) and any(map(has_list, template.items)))


def columns(template: Template, arrays: Iterator[Any]) -> Iterable[Any]:
    """The elements, of arrays that have been computed; endless where none of them says how many there are."""
    match template:
        case Leaf(_, weak, dims):
            array = next(arrays)
            if array is None:
                return repeat(None)
            return array.tolist() if weak and dims is None else list(array)
        case Nest(kind, items):
            rows = zip(*(columns(item, arrays) for item in items)) if items else repeat(())
            return (kind(*row) if hasattr(kind, "_fields") else kind(row) for row in rows)
    return repeat(template.value)


def arrays_of(template: Template, values: list[Any]) -> list[Any]:
    """The arrays whose rows are the parts of these elements: numbers, arrays, None."""
    match template:
        case Leaf(dtype, _, dims):
            if any(value is None for value in values):
                return [None]
            rank = 1 + len(dims or ())
            return [np.array(values) if values else np.zeros((0,) * rank, Type(dtype).numpy)]
        case Nest(_, items):
            if any(not isinstance(value, (tuple, list)) or len(value) != len(items) for value in values):
                raise ValueError(f"each element should have {len(items)} parts")
            return [a for k, item in enumerate(items) for a in arrays_of(item, [value[k] for value in values])]
    return []


def atoms_of(session: Session, template: Template, value: Any) -> list[Atom]:
    """The parts of an element, as the template has them."""
    match template:
        case Leaf(dtype, _, dims):
            atom = cast(session, as_value(session, value)[0], dtype)
            if dims and atom.type.dims != dims:
                atom = session.builder.emit("reshape", atom, tuple(map(dim_atom, dims)))
            return [atom]
        case Nest(_, items):
            return [atom for item, part in zip(items, value) for atom in atoms_of(session, item, part)]
        case Run():
            parts = zip(value.shown(), fields(template))
            return [cast(session, part.read(), dtype) for part, (dtype, _) in parts]
    return []


def build(session: Session, template: Template, atoms: Iterator[Atom], name: str, new: type[StagedList]) -> Any:
    """The element that has these parts."""
    match template:
        case Leaf(_, weak, dims):
            atom = next(atoms)
            if dims is None:
                return Scalar(session, atom, weak)
            cell = Cell(session, atom)
            cell.frozen = _reason(name)
            return Array(session, cell)
        case Nest(kind, items):
            parts = [build(session, item, atoms, name, new) for item in items]
            if kind is not list:
                return kind(*parts) if hasattr(kind, "_fields") else kind(parts)
            found = new(parts)
        case Run(length, item):
            found = new()
            found.rows = {TEMPLATE: item, LENGTH: Scalar(session, dim_atom(length), weak=True)}
            for k, _ in enumerate(fields(item)):
                found.rows[f"items{k or ''}"] = Array(session, Cell(session, next(atoms)))
        case _:
            return template.value
    found.frozen = _reason(name)
    return found


def freeze(value: Any, name: str) -> None:
    """What was put in a list in arrays may not be written any more."""
    if isinstance(value, Array):
        value.cell.freeze(_reason(name))
    elif isinstance(value, (tuple, list)):
        if isinstance(value, StagedList):
            value.frozen = value.frozen or _reason(name)
            if value.rows is not None:
                return
        for item in value:
            freeze(item, name)


def _reason(name: str) -> str:
    return (
        f"this is an element of the list {name!r}, whose length is only known when the program runs, and a write to it "
        "cannot be followed there. Write `.copy()` where it is put in or taken out, or set the element anew"
    )


def as_array(session: Session, template: Template, atoms: Iterator[Atom], length: Atom) -> Array:
    """The elements as one array; the first axis counts them."""
    match template:
        case Leaf():
            return Array(session, Cell(session, next(atoms)))
        case Run(_, item):
            return as_array(session, item, atoms, length)
        case Nest(_, items) if items:
            parts = [as_array(session, item, atoms, length) for item in items]
            return FUNCTIONS[np.stack](parts, axis=1)
    raise session.error(TypeMismatch, "a list of things that are no numbers cannot be made an array")
