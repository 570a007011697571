"""What the function of a transform changes outside of itself: variables, attributes, containers that live on.

Such a function is traced in a region of its own, and what it computes is written into the program around under other
names, once for its value and again for its derivatives. So its changes are taken back when it has been traced, and
made where its value is computed: once, with what the values that it computed are there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..ir.errors import TracedValueError
from ..ir.program import Atom, Lit, Var
from .outside.effects import DELETED, Choice, Writes
from .returned import holds_traced
from .session import Session
from .snapshot import Frame, MaybeUnbound, Pending, State, content_of, is_record, refill, same
from .values.optional import MaybeNone
from .values.staged_list import StagedList
from .values.symbol import Array, Cell, Scalar, Symbol

SHARED = "{!r} is held by what the function of a transform has stored, too. Write `.copy()` where it is stored"


class Changes:
    """The changes between two states.

    atoms   the values that were computed in the region, and that are stored: results of the function's program
    """

    def __init__(self, session: Session, before: State, after: State, given: Sequence[tuple[Any, Any]]):
        """given   the arguments as the function got them, and as its caller has them"""
        self.session, self.before = session, before
        self.given = {one.cell: (one.cell.value, outer) for one, outer in given if isinstance(one, Array)}
        self.atoms: list[Atom] = []
        self.places: dict[Any, int] = {}
        self.made: list[Any] = []
        self.seen: set[int] = set()
        self.arrays: dict[Cell, set[Any]] = {}
        self.new: dict[Any, Any] = {}
        self.known = {*before.holders, *(id(value) for _, value in before.slots())}
        self.all = list(self._changed(after))
        for holder, content in self.all:
            old = before.holders[id(holder)][1]
            for name, value in content.items():
                if name not in old or old[name] is not value:
                    self._meet(value, name if isinstance(holder, Frame) else None)

    def __bool__(self) -> bool:
        return bool(self.all)

    def _changed(self, after: State) -> Iterator[tuple[Any, dict[Any, Any]]]:
        for key, (holder, content) in after.holders.items():
            if key in self.before.holders:
                old = self.before.holders[key][1]
                if list(old) != list(content) or not all(same(old[n], value) for n, value in content.items()):
                    if isinstance(holder, StagedList) and holder.rows is not None:
                        raise self.error(None, "more elements")
                    yield holder, content

    def refuse(self) -> None:
        """Refuse any change, in the words of what is changed."""
        for holder, content in self.all:
            old = self.before.holders[id(holder)][1]
            name = next((n for n, v in content.items() if n not in old or not same(old[n], v)), None)
            shown = repr(name) if isinstance(holder, Frame) and name else f"a {type(holder).__name__}"
            self.session.hidden.effects.refuse_inside(self.session.hidden.shadows.shown(holder) or shown)

    def error(self, name: Any, what: str) -> Exception:
        where = repr(name) if name else "a container"
        return self.session.error(
            TracedValueError, f"a function that is differentiated inside another one stores {what} in {where}, which "
            "lives outside of it. Return the values that it is made of, and make it outside",
        )  # fmt: skip

    def unread(self, used: set[str]) -> bool:
        """Is the function's value, computed from outer values of these names, not made of what it changes?"""
        effects = self.session.hidden.effects
        for holder, content in self.all:
            if isinstance(holder, Pending):
                continue
            if not isinstance(holder, Writes):
                self.session.hidden.shadows.open_up(holder)  # a list that is only appended to is not read
                return False
            for key in content:
                place = effects.places[key]
                entry = effects.entries.get((id(place.holder), place.name))
                if entry is not None and not (isinstance(entry, Scalar) and _is_unused(entry.atom, used)):
                    return False
        return True

    # -- while the region is open --------------------------------------------------------------------------

    def _meet(self, value: Any, name: Any) -> None:
        """Find the values in something that is stored."""
        if isinstance(value, Array):
            self._array(value)
        elif isinstance(value, Scalar):
            self._atom(value, value.atom)
        elif isinstance(value, tuple):
            self._all(value, name)
        elif isinstance(value, MaybeUnbound):
            self._atom(value, value.bound)
            self._meet(value.value, name)
        elif isinstance(value, Choice):
            self._atom(value, value.cond)
            self._all((value.then, value.orelse), name)
        elif isinstance(value, MaybeNone):
            self._atom(value, value.flag)
            self._meet(value.value, name)
        elif value is DELETED or id(value) in self.seen or id(value) in self.known:
            return
        elif _is_open(value) and not self.session.hidden.lives_on(value):
            self.seen.add(id(value))
            self.made.append(value)
            self._all(content_of(value).values(), name)
        elif holds_traced(value):
            raise self.error(name, f"a {type(value).__name__}")

    def _all(self, values: Iterable[Any], name: Any) -> None:
        for value in values:
            self._meet(value, name)

    def _atom(self, owner: Any, atom: Atom) -> None:
        self.places[id(owner)] = len(self.atoms)
        self.atoms.append(atom)
        self.seen.add(id(owner))
        self.made.append(owner)  # it lives as long as its id is used

    def _array(self, value: Array) -> None:
        self.arrays.setdefault(value.cell, set()).add(value.maps)
        self._atom(value, value.read())

    def shares(self, value: Any) -> bool:
        """Is it an array whose memory something that is stored shows?"""
        return isinstance(value, Array) and value.cell in self.arrays

    # -- after it ----------------------------------------------------------------------------------------------

    def take_back(self) -> None:
        """Everything is as it was, until a transform makes the changes, or says that it does not."""
        if self:
            self.session.unmade.append(self)
        for holder, _ in self.all:
            refill(holder, self.before.holders[id(holder)][1])

    def settled(self) -> None:
        self.session.unmade[:] = [changes for changes in self.session.unmade if changes is not self]

    def make(self, atoms: Sequence[Atom]) -> None:
        """The changes, with these values in place of `self.atoms`."""
        self.settled()
        for made in self.made:
            if id(made) not in self.places:
                refill(made, {name: self._outside(value, atoms) for name, value in content_of(made).items()})
        for holder, content in self.all:
            old = self.before.holders[id(holder)][1]
            kept = {id(value) for value in old.values()}
            refill(holder, {n: v if id(v) in kept else self._outside(v, atoms) for n, v in content.items()})

    def _outside(self, value: Any, atoms: Sequence[Atom]) -> Any:
        """Something that is stored, in the program around."""
        place = self.places.get(id(value))
        if isinstance(value, tuple):
            items = [self._outside(item, atoms) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if place is None:
            return value
        atom = atoms[place]
        if isinstance(value, MaybeUnbound):
            return MaybeUnbound(self.session, self._outside(value.value, atoms), atom)
        if isinstance(value, Choice):
            return Choice(atom, self._outside(value.then, atoms), self._outside(value.orelse, atoms))
        if isinstance(value, MaybeNone):
            return MaybeNone(self.session, self._outside(value.value, atoms), atom)
        if isinstance(value, Scalar):
            return value if value.atom == atom else Scalar(self.session, atom, value.weak)
        key = value.cell, value.maps
        if key not in self.new:
            self.new[key] = self._new_array(value, atom)
        return self.new[key]

    def _new_array(self, value: Array, atom: Atom) -> Any:
        cell, outer = value.cell, None
        if cell in self.before.cells:
            if not value.maps:
                return value
            outer = cell
        elif cell in self.given and cell.value == self.given[cell][0]:
            leaf = self.given[cell][1]
            if not value.maps:
                return leaf
            outer = leaf.cell if isinstance(leaf, Array) else None
        new = Cell(self.session, atom, cell.name)
        if outer is not None:
            new.show([outer])
        elif len(self.arrays[cell]) > 1:
            new.freeze(SHARED.format(cell.name))
        return Array(self.session, new)


def _is_open(value: Any) -> bool:
    """A container or an object whose content can be replaced."""
    if isinstance(value, StagedList):
        return value.rows is None
    if isinstance(value, (list, dict, set, deque)):
        return True
    return is_record(value) and not callable(value) and not isinstance(value, (np.ndarray, Symbol))


def _is_unused(atom: Atom, used: set[str]) -> bool:
    return isinstance(atom, Lit) or (isinstance(atom, Var) and atom.name not in used)
