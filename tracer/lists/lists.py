"""Lists of staged code: Python lists that can also hold their elements in arrays.

A list whose length is only known when the program runs (it is filled in a loop over an array) has its elements, of one
type and shape, as rows of arrays. Elements are then values: an array that was put in may not be written any more, nor
one that was taken out, since nobody could follow a write from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import TypeMismatch, UnsupportedFunction, UnsupportedSyntax
from ...ir.program import Atom, Lit
from ...ir.types import I64
from ..session import NeedConcrete, Session
from ..snapshot import container_change
from ..values.staged_list import LENGTH, TEMPLATE
from ..values.subscripts import resolve_slice
from ..values.symbol import FUNCTIONS, Array, Cell, Scalar, Symbol, as_value, require_session
from .elements import Template, Unlike, describe, has_list, join
from .rows import Rows


class List(Rows):
    """A list made by staged code, with Python's methods."""

    __slots__ = ()

    # -- reading -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self.rows is None:
            return list.__len__(self)
        return require_session().concrete(self.size, "the length of a list")

    def returned(self) -> tuple[Template, list[Array]] | None:
        if self.rows is None:
            return None
        template = self.template().mapped(lambda dim: 0)
        try:
            require_session().concrete(self.size, "the length of a list")
        except NeedConcrete:
            if not self.parts() or has_list(template):
                raise
            return template, self.shown()
        return None

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Any]:
        if self.rows is None:
            return list.__iter__(self)
        return iter([self.at(literal(k, "i64")) for k in range(len(self))])

    def __reversed__(self) -> Iterator[Any]:
        return iter([*self][::-1])

    def __getitem__(self, key: Any) -> Any:
        if self.rows is None:
            if isinstance(key, slice):
                return List(list.__getitem__(self, key))
            return element(self, key)
        if isinstance(key, slice):
            return self._sliced(key)
        return self.at(self.place(_integer(key)))

    def _sliced(self, key: slice) -> List:
        session = require_session()
        found = resolve_slice(session, key, atom_dim(self.size))
        new = self._like([part[key] for part in self.shown()])
        assert new.rows is not None
        new.rows[LENGTH] = Scalar(session, dim_atom(found.size), weak=True)
        return new

    def copy(self) -> List:
        if self.rows is None:
            return List(self)
        return self._like(self.shown())

    def _equal(self, value: Any) -> Any:
        """For each element: is it equal to the value?"""
        array = self.array() if self.rows is not None else FUNCTIONS[np.asarray](list(self))
        if array.type.rank != 1:
            raise require_session().error(
                TypeMismatch, "elements of a list that are arrays cannot be compared with a value: write the loop"
            )
        return array == value

    def __contains__(self, value: Any) -> bool:
        if self.rows is None and not _any_symbol([value, *self]):
            return list.__contains__(self, value)
        return self.contains(value)

    def contains(self, value: Any) -> Any:
        if self.rows is None and not _any_symbol([value, *self]):
            return list.__contains__(self, value)
        if self.rows is None and not self:
            return False
        return FUNCTIONS[np.any](self._equal(value))

    def index(self, value: Any, *bounds: Any) -> Any:
        if self.rows is None and not _any_symbol([value, *self]):
            return list.index(self, value, *bounds)
        session = require_session()
        if bounds:
            raise session.error(UnsupportedFunction, "index() of traced values with a start. Write the loop")
        equal = self._equal(value)
        found, _ = as_value(session, FUNCTIONS[np.any](equal))
        session.check(found, "ValueError: the value is not in the list")
        return FUNCTIONS[np.argmax](equal)

    def count(self, value: Any) -> Any:
        if self.rows is None and not _any_symbol([value, *self]):
            return list.count(self, value)
        return FUNCTIONS[np.sum](self._equal(value))

    # -- changing ------------------------------------------------------------------------------------------

    def append(self, value: Any) -> None:
        self._writable()
        if self.rows is None:
            list.append(self, value)
        else:
            self._attempt(lambda session: self._append(session, value))

    def _append(self, session: Session, value: Any) -> None:
        assert self.rows is not None
        if self.room is None:
            self._make_room(session)
        size = self.size
        self._put(session, size, value)
        self._set_length(session, session.builder.affine(size) + 1)

    def extend(self, values: Any) -> None:
        self._writable()
        if self.rows is None and not is_stacked(values):
            list.extend(self, values)
        elif not is_stacked(values):
            for value in list(values):
                self.append(value)
        else:
            self._attempt(lambda session: self._become(self + values))

    def _become(self, other: List) -> None:
        self.restore(other.content())
        self.shrinks = True  # nothing can be said of its room any more

    def __setitem__(self, key: Any, value: Any) -> None:
        self._writable()
        if self.rows is None and isinstance(key, Scalar):
            found = known_place(key)
            if found is None:
                self._attempt(lambda session: self.stack(session, describe(session, value)))
            else:
                key = found
        if self.rows is None:
            if isinstance(key, slice) and is_stacked(value):
                value = list(value)
            list.__setitem__(self, key, value)
        elif isinstance(key, slice):
            self._attempt(lambda session: self._set_slice(session, key, value))
        else:
            place = self.place(_integer(key))
            self._attempt(lambda session: self._put(session, place, value))

    def _set_slice(self, session: Session, key: slice, value: Any) -> None:
        new = value if is_stacked(value) else stacked_copy(session, value)
        found = resolve_slice(session, key, atom_dim(self.size))
        if not session.same_now(found.size, atom_dim(new.size)):
            raise session.error(
                UnsupportedSyntax, "a slice of a list whose length is not known is set to elements of another number"
            )
        template = join(session, self.template(), new.template())
        if template != self.template():
            self.retype(session, template)
        for part, other in zip(self.parts(), new.shown()):
            part[: self.rows[LENGTH]][key] = other  # type: ignore[index]

    def __delitem__(self, key: Any) -> None:
        self._writable()
        if self.rows is None:
            list.__delitem__(self, _plain_key(key))
        elif isinstance(key, slice):
            raise require_session().error(
                UnsupportedSyntax, "del of a slice of a list whose length is not known. Write the list that stays"
            )
        else:
            self.pop(key)

    def pop(self, k: Any = -1) -> Any:
        self._writable()
        if self.rows is None:
            return list.pop(self, _plain_key(k))
        session = require_session()
        place = self.place(_integer(k))
        value = self.at(place)
        self._shrink(session)
        size = session.builder.affine(self.size)
        if session.builder.affine(place) != size - 1:
            rest = session.builder.integer(session.builder.affine(place) + 1)
            at, after = Scalar(session, place, weak=True), Scalar(session, rest, weak=True)
            self._become(self[:at] + self[after:])
        else:
            self._set_length(session, size - 1)
        return value

    def _shrink(self, session: Session) -> None:
        reserved, self.room, self.shrinks = self.room, None, True
        if reserved is not None:
            raise container_change(session, self, self.content(), self.content())

    def insert(self, k: Any, value: Any) -> None:
        self._writable()
        if self.rows is None:
            list.insert(self, _plain_key(k), value)
            return
        self._shrink(require_session())
        self._attempt(lambda session: self._become(self[:k] + [value] + self[k:]))

    def remove(self, value: Any) -> None:
        self._writable()
        if self.rows is None and not _any_symbol([value, *self]):
            list.remove(self, value)
        else:
            self.pop(self.index(value))

    def clear(self) -> None:
        self._writable()
        if self.rows is not None:
            self._shrink(require_session())
            self._set_length(require_session(), Affine(0))
        else:
            list.clear(self)

    def reverse(self) -> None:
        self._writable()
        if self.rows is None:
            list.reverse(self)
        else:
            self._become(self[::-1])

    def sort(self, *, key: Any = None, reverse: Any = False) -> None:
        self._writable()
        result = FUNCTIONS[sorted](self, key=key, reverse=reverse)
        self.restore(List.content(result))

    # -- operators -----------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, list):
            return NotImplemented
        return _joined(self, other)

    def __radd__(self, other: Any) -> Any:
        return _joined(other, self) if isinstance(other, list) else NotImplemented

    def __iadd__(self, other: Any) -> List:
        self.extend(other)
        return self

    def __mul__(self, count: Any) -> Any:
        if isinstance(count, Symbol) and not isinstance(count, Scalar):
            return NotImplemented
        unknown = isinstance(count, Scalar) and not isinstance(count.atom, Lit)
        if unknown and not self.stacked and list.__len__(self) == 1:
            return self._repeated(count)
        if self.rows is not None:
            raise require_session().error(
                UnsupportedSyntax, "a list whose length is not known cannot be repeated. Use np.tile of an array"
            )
        return List(list.__mul__(self, count.__index__() if isinstance(count, Scalar) else count))

    __rmul__ = __mul__

    def _repeated(self, count: Scalar) -> List:
        """[value] * n: the value may not be an object that could change."""
        session = require_session()
        (value,) = list.__iter__(self)
        number = isinstance(value, (Scalar, bool, int, float, np.number, np.bool_))
        if not number or count.type != I64:
            return List(list.__mul__(self, count.__index__()))
        form = session.builder.affine(count.atom)
        size = count.atom
        if not session.builder.holds(form):
            size = session.integer("maximum", count.atom, literal(0, "i64"))
            if not isinstance(size, Lit):
                session.builder.facts.bound(size.name, lower=Affine(0))
        atom, _ = as_value(session, value)
        new = List()
        content = session.builder.emit("broadcast_to", atom, (size,))
        new.rows = {
            TEMPLATE: describe(session, value), LENGTH: Scalar(session, size, weak=True),
            "items": Array(session, Cell(session, content)),
        }  # fmt: skip
        return new

    def __eq__(self, other: Any) -> Any:
        if self.rows is not None or is_stacked(other):
            raise require_session().error(
                UnsupportedSyntax, "lists whose length is not known cannot be compared. Use np.array_equal"
            )
        return list.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]


def is_stacked(value: Any) -> bool:
    return isinstance(value, List) and value.rows is not None


def list_of(template: Template, arrays: Iterable[Array], size: Atom | None = None) -> List:
    """A list with these arrays, one for each part of an element; without any, of this size."""
    new = List()
    length = None if size is None else Scalar(require_session(), size, weak=True)
    new.rows = {TEMPLATE: template, LENGTH: length, **{f"{new.name}{k or ''}": a for k, a in enumerate(arrays)}}
    if new.parts():
        new.fit()
    return new


FUNCTIONS["list of rows"] = list_of


def _joined(first: Any, second: Any) -> Any:
    if not is_stacked(first) and not is_stacked(second):
        return List([*first, *second])
    session = require_session()
    like = second if is_stacked(second) else first
    parts: list[Any] = [v if is_stacked(v) else stacked_copy(session, v, like) for v in (first, second)]
    try:
        template = join(session, parts[0].template(), parts[1].template())
    except Unlike as unlike:
        raise session.error(
            UnsupportedSyntax,
            f"lists whose length is not known are put together, and their elements differ: {unlike}. Keep them apart",
        ) from None
    copies = [v.copy() for v in parts]
    for part in copies:
        part.retype(session, template)
    arrays = [FUNCTIONS[np.concatenate](pair) for pair in zip(copies[0].shown(), copies[1].shown())]
    new = copies[0]._like(arrays, template)
    total = session.builder.affine(parts[0].size) + session.builder.affine(parts[1].size)
    assert new.rows is not None
    new.rows[LENGTH] = Scalar(session, session.builder.integer(total), weak=True)
    return new


def stacked_copy(session: Session, values: Any, like: Any = None) -> Any:
    """The elements of a Python sequence in arrays."""
    new = List(values)
    if is_stacked(values):
        return values.copy()
    items = list(list.__iter__(new))
    template = like.template() if like is not None else describe(session, items[0])
    new.stack(session, template)
    return new


def element(values: Any, key: Any) -> Any:
    """`values[key]` of a Python list or tuple; the place may be known only when the program runs."""
    if not isinstance(key, Symbol):
        return list.__getitem__(values, key) if isinstance(values, list) else values[key]
    place = known_place(key)
    if place is None:
        session = require_session()
        try:
            return stacked_copy(session, values)[key]
        except Unlike as unlike:
            atom: Any = key.read()
            raise NeedConcrete(atom, f"the number itself (elements differ: {unlike})", session.span) from None
    return list.__getitem__(values, place) if isinstance(values, list) else values[place]


def known_place(key: Any) -> int | None:
    """The number of a subscript, None if only the program's run will tell.

    Raises NeedStatic where making inputs static helps, NeedConcrete where writing out a short loop does.
    """
    session = require_session()
    if key.type != I64:
        return key.__index__()
    try:
        return key.__index__()
    except NeedConcrete:
        if session.short_loops:
            raise
        return None


def _plain_key(key: Any) -> Any:
    return key.__index__() if isinstance(key, Symbol) else key


def _integer(key: Any) -> Atom:
    session = require_session()
    atom, _ = as_value(session, key)
    if atom.type != I64:
        raise TypeError(f"list indices must be integers or slices, not {atom.type}")
    return atom


def _any_symbol(values: Iterable[Any]) -> bool:
    return any(isinstance(v, Symbol) for v in values)
