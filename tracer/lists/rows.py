"""The storage of a list of staged code: a Python list, or arrays whose rows are its elements."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...ir.affine import Affine
from ...ir.build import atom_dim, dim_atom, literal
from ...ir.errors import UnsupportedFunction
from ...ir.ops.array import full_slice
from ...ir.program import Atom, Index, Lit
from ..session import Session
from ..snapshot import ContainerChange
from ..values.convert import cast
from ..values.staged_list import LENGTH, TEMPLATE, StagedList
from ..values.subscripts import resolve_place
from ..values.symbol import FUNCTIONS, Array, Cell, Scalar, as_value, require_session
from .elements import Template, Unlike, as_array, atoms_of, build, describe, fields, fitted, freeze, join

FIRST_ROOM = 8


class Rows(StagedList):
    """What a list of staged code holds.

    rows     None for an ordinary list; else LENGTH, TEMPLATE and one array for each part of an element
    frozen   why it may not be changed any more
    room     how many elements an iteration of the loop that is being traced adds at most: there is room for them
    outside  what it is in Python: a list, or a tuple
    shrinks  elements are taken away somewhere, so that no room can be reserved by what is added
    """

    __slots__ = ("frozen", "name", "outside", "room", "rows", "shrinks")

    def __init__(self, items: Iterable[Any] = ()):
        super().__init__(items)
        self.rows: dict[str, Any] | None = None
        self.frozen: str | None = None
        self.outside: type = list
        self.room: tuple[int, Affine] | None = None
        self.shrinks = False
        self.name = "items"

    # -- what a snapshot sees ------------------------------------------------------------------------------

    def content(self) -> dict[Any, Any]:
        return dict(enumerate(list.__iter__(self))) if self.rows is None else dict(self.rows)

    def restore(self, content: dict[Any, Any]) -> None:
        self.rows = dict(content) if TEMPLATE in content else None
        list.__setitem__(self, slice(None), [] if self.rows is not None else list(content.values()))

    # -- the elements as arrays ----------------------------------------------------------------------------

    @property
    def stacked(self) -> bool:
        return self.rows is not None

    @property
    def size(self) -> Atom:
        """The number of elements."""
        if self.rows is None:
            return literal(list.__len__(self), "i64")
        return as_value(require_session(), self.rows[LENGTH])[0]

    def template(self) -> Template:
        assert self.rows is not None
        return self.rows[TEMPLATE]

    def parts(self) -> list[Array]:
        assert self.rows is not None
        return [v for k, v in self.rows.items() if k not in (LENGTH, TEMPLATE)]

    def stack(self, session: Session, template: Template, room: Atom | None = None) -> None:
        """From now on the elements are in arrays, with room for so many."""
        items = list(list.__iter__(self))
        for item in items:
            template = join(session, template, describe(session, item))
        capacity = literal(len(items), "i64") if room is None else room
        self.rows = {TEMPLATE: template, LENGTH: Scalar(session, literal(0, "i64"), weak=True)}
        list.clear(self)
        for k, (dtype, dims) in enumerate(fields(template)):
            shape = tuple(map(dim_atom, (atom_dim(capacity), *dims)))
            empty = session.builder.emit("zeros", shape, dtype, hint=self.name)
            self.rows[f"{self.name}{k or ''}"] = Array(session, Cell(session, empty, self.name))
        for item in items:
            self._put(session, literal(self._count(), "i64"), item)
            self._set_length(session, Affine(self._count() + 1))

    def _count(self) -> int:
        size = self.size
        assert isinstance(size, Lit)
        return int(size.text)

    def retype(self, session: Session, template: Template) -> None:
        """Elements of a wider type."""
        assert self.rows is not None
        for (key, part), (dtype, _) in zip(self._named_parts(), fields(template)):
            if part.type.dtype != dtype:
                value = cast(session, part.read(), dtype)
                self.rows[key] = Array(session, Cell(session, value, self.name))
        self.rows[TEMPLATE] = template

    def _named_parts(self) -> list[tuple[str, Array]]:
        assert self.rows is not None
        return [(k, v) for k, v in self.rows.items() if k not in (LENGTH, TEMPLATE)]

    def _set_length(self, session: Session, form: Affine) -> None:
        assert self.rows is not None
        self.rows[LENGTH] = Scalar(session, session.builder.integer(form), weak=True)

    def fit(self) -> None:
        """Length and template from arrays that have just been put in, exactly as long as the list."""
        session = require_session()
        assert self.rows is not None
        parts = self.parts()
        self.rows[LENGTH] = Scalar(session, dim_atom(session.builder.canonical_dim(parts[0].dims[0])), weak=True)
        self.rows[TEMPLATE] = fitted(self.rows[TEMPLATE], iter(parts))

    def fit_exactly(self) -> None:
        """Give memory back that no element needs."""
        if self.rows is not None:
            session = require_session()
            for (key, _), part in zip(self._named_parts(), self.shown()):
                if part.maps:
                    self.rows[key] = Array(session, Cell(session, part.read(), self.name))

    def shown(self) -> list[Array]:
        """Each part, as far as there are elements."""
        session = require_session()
        return [part if _whole(session, part, self.size) else part[: self.rows[LENGTH]] for part in self.parts()]  # type: ignore[index]

    def array(self) -> Array:
        """The elements as one new array."""
        session = require_session()
        atoms = [part.read() for part in self.shown()]
        return as_array(session, self.template(), iter(atoms), self.size)

    def place(self, k: Atom) -> Atom:
        """A subscript of an element, made nonnegative and checked."""
        return resolve_place(require_session(), k, atom_dim(self.size), 0)

    def at(self, k: Atom) -> Any:
        """The element at a place that is in range."""
        session = require_session()
        if self.rows is None:
            assert isinstance(k, Lit)
            return list.__getitem__(self, int(k.text))
        atoms = iter([_row(session, part, k).read() for part in self.parts()])
        return build(session, self.template(), atoms, self.name, type(self))

    def _put(self, session: Session, place: Atom, value: Any) -> None:
        """Write an element at a place that there is room for."""
        assert self.rows is not None
        template = join(session, self.template(), describe(session, value))
        if template != self.template():
            self.retype(session, template)
        freeze(value, self.name)
        for part, atom in zip(self.parts(), atoms_of(session, template, value)):
            _row(session, part, place).write(atom)

    def _writable(self) -> None:
        if self.frozen:
            raise require_session().error(UnsupportedFunction, self.frozen)

    def _attempt(self, change: Callable[[Session], Any]) -> Any:
        """A change of the arrays; elements that do not go together are an error of the list."""
        session = require_session()
        try:
            return change(session)
        except Unlike as unlike:
            error = session.error(
                ContainerChange,
                f"the elements of the list {self.name!r} differ ({unlike}), and how many there are is only known when "
                "the program runs: they must have one type and shape. Use a list for each kind, or np.zeros(...)",
            )  # fmt: skip
            raise error from None

    def _like(self, parts: list[Any], template: Template | None = None) -> Any:
        """A list of such elements, from arrays of exactly its length."""
        session = require_session()
        new = type(self)()
        new.name = self.name
        new.rows = {TEMPLATE: template or self.template(), LENGTH: None}
        size: Atom = literal(0, "i64")
        for (key, _), part in zip(self._named_parts(), parts):
            atom = as_value(session, part)[0]
            size = dim_atom(session.builder.canonical_dim(atom.type.dims[0]))
            new.rows[key] = Array(session, Cell(session, atom, self.name))
        new.rows[LENGTH] = Scalar(session, size, weak=True)
        return new

    def _make_room(self, session: Session) -> None:
        """Twice the memory where what there is is full."""
        assert self.rows is not None
        capacity = self.parts()[0].dims[0] if self.parts() else 0
        builder = session.builder
        free = builder.affine(capacity) - builder.affine(self.size) - 1
        if not self.parts() or builder.facts.proves(free):
            return
        if builder.facts.proves(free.scaled(-1) - 1):
            self._enlarge(session)
            return
        full = builder.emit("le", dim_atom(capacity), self.size)
        FUNCTIONS["if"](full, lambda: self._enlarge(session), lambda: None)

    def _enlarge(self, session: Session) -> None:
        capacity = dim_atom(self.parts()[0].dims[0])
        more = session.integer("maximum", capacity, literal(FIRST_ROOM, "i64"))
        self._add_room(session, self.parts(), more)

    def reserve(self, session: Session, more: Affine) -> None:
        """Exactly so much room behind the elements that there are."""
        self._add_room(session, self.shown(), session.builder.integer(more))

    def _add_room(self, session: Session, parts: list[Array], more: Atom) -> None:
        assert self.rows is not None
        builder = session.builder
        for (key, _), part in zip(self._named_parts(), parts):
            dims = part.dims
            empty = builder.emit("zeros", (more, *map(dim_atom, dims[1:])), part.type.dtype)
            total = builder.integer(builder.affine(dims[0]) + builder.affine(more))
            value = builder.emit("concatenate", (part.read(), empty), 0, total)
            self.rows[key] = Array(session, Cell(session, value, self.name))


def _whole(session: Session, part: Array, size: Atom) -> bool:
    return session.builder.same_dim(part.dims[0], atom_dim(size))


def _row(session: Session, part: Array, k: Atom) -> Array:
    index = Index((k, *map(full_slice, part.dims[1:])))
    return part.strided(lambda view: view.subscript(session.builder, index))
