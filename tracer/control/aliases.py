"""Which names show one array before, in and after a traced loop, and what may not be written because of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...ir.errors import UnsupportedSyntax
from ...ir.program import Var
from ...ir.types import Dim
from ..session import Session
from ..snapshot import RUN_OVER, Frame, MaybeUnbound, Slot, State
from ..values.symbol import Array, Cell
from ..values.view import Run, Strided
from .branches import live_slot

if TYPE_CHECKING:
    from .carried import Carried


@dataclass(eq=False)
class Name:
    """Part `k` of a variable or place that shows an array: on entry (if bound there), at the head, at the end."""

    slot: Slot
    k: int
    carried: bool
    entry: Array | None
    head: Array
    end: Array


class CellsAfter:
    """The cells that carried names have after a loop.

    Names that show one array on entry and at the end share a cell; one without a value on entry joins them.
    """

    def __init__(self, session: Session):
        self.session = session
        self.shown: dict[Cell, dict[Cell, None]] = {}
        self._cells: dict[Any, Cell] = {}
        self._tokens: dict[Any, Any] = {}

    def cell(self, exit_var: Var, name: str, end: Array, entry: Array | None) -> Cell:
        at_last = end.cell, end.maps
        token = self._tokens.get(at_last, at_last) if entry is None else (*at_last, entry.cell, entry.maps)
        self._tokens.setdefault(at_last, token)
        if token not in self._cells:
            self._cells[token] = Cell(self.session, exit_var, name)
        return self._cells[token]

    def settle(self) -> None:
        for cell, bases in self.shown.items():
            cell.show(bases)


class AliasChecks:
    """What a LoopTracer finds out when a body has settled."""

    session: Session
    frame: Frame
    after: tuple[str, ...]
    head: tuple[str, ...]
    before: State
    depth: int
    slots: dict[tuple[Slot, int], Carried]
    runs: Callable[[], bool]
    parted: set[tuple[Slot, int]]
    leaves_of: Callable[[Slot, State], list[Any]]
    shown: dict[tuple[Slot, int], dict[Cell, None]]
    unwritable: dict[tuple[Slot, int], str]
    _name: Callable[[Slot], str]
    _entry: Callable[[Slot], Any]
    _maybe_bound: Callable[[Slot], bool]
    _heads: dict[Cell, list[tuple[Slot, int]]]
    _held: list[tuple[Slot, Cell]]

    def _check_aliases(self, at_head: State, at_end: State) -> None:
        """Which names show one array must be the same on entry, at the head and at the end (up to renaming).

        A carried name gets a cell of its own at the head and after the loop. If it may be a view of an array whose
        name stays bound, that cell knows it (`Cell.shows`). Where names that are one array in Python are parted, or
        joined, otherwise, nothing may be written: not here, and not later.
        """
        self._frozen: dict[Cell, str] = {}
        written = set(at_head.written(at_end))
        names = self._names(at_head, at_end)
        for name in names:
            if name.end.cell.frozen is None or name.entry is None:
                continue
            if {name.entry.cell, name.head.cell, name.end.cell} & written and name.carried:
                raise self.session.error(UnsupportedSyntax, name.end.cell.frozen)
            self._frozen[name.end.cell] = name.end.cell.frozen
        for cell in written:
            if cell.frozen is not None:
                raise self.session.error(UnsupportedSyntax, cell.frozen)
        ever, after, origins = _may_be_one(names)
        self._origins = {(name.slot, name.k): found for name, found in zip(names, origins)}
        for i, one in enumerate(names):
            for j, two in enumerate(names[:i]):
                if (
                    not ever[i][j]
                    or not (one.carried or two.carried)
                    or one.entry is None
                    or two.entry is None
                    or _followed(one, two, after[i][j])
                ):
                    continue
                pairs = (one.entry, two.entry), (one.head, two.head), (one.end, two.end)
                if all(_relation(a, b) == "one" for a, b in pairs):
                    continue
                involved = {array.cell for pair in pairs for array in pair}
                shown = f"{one.slot[1]!r} and {two.slot[1]!r}"
                if involved & written:
                    raise self.session.error(
                        UnsupportedSyntax,
                        f"{shown} are one array in some iterations of this loop and two in others, and the loop "
                        "writes to it. Write `.copy()` where one is bound to the other",
                    )
                live = all(
                    live_slot(name.slot, self.frame, self.after)
                    and not str(name.slot[1]).startswith(RUN_OVER)
                    for name in (one, two)
                )
                if live and (after[i][j] or not self.runs()):
                    self._freeze(involved, f"{shown} were made one array inside a traced loop")
        for i, one in enumerate(names):
            for j, two in enumerate(names):
                followed = not two.carried and _followed(one, two, True)
                if one.entry is None and i != j and after[i][j] and one.end.cell is not two.end.cell and not followed:
                    what = f"{one.slot[1]!r} may show memory of {two.slot[1]!r} since a traced loop"
                    self._freeze({one.end.cell, two.end.cell}, what)
        self._check_names_of_the_body(at_head, at_end, written)

    def _freeze(self, cells: set[Cell], what: str) -> None:
        reason = f"{what}: a write to one cannot be followed. Write `.copy()` where it is bound"
        for cell in cells:
            self._frozen[cell] = cell.frozen = reason

    def _names(self, at_head: State, at_end: State) -> list[Name]:
        """What is live at the head and shows an array there and at the end."""
        known = {slot for slot, _ in at_head.slots()}
        found: list[Name] = []
        for slot, _ in at_end.slots():
            if not live_slot(slot, self.frame, self.head) or slot not in known:
                continue
            entries = self.leaves_of(slot, self.before)
            heads, ends = self.leaves_of(slot, at_head), self.leaves_of(slot, at_end)
            for k, (head, end) in enumerate(zip(heads, ends)):
                entry = entries[k] if k < len(entries) and isinstance(entries[k], Array) else None
                bound = (slot, k) not in self.slots or self.slots[slot, k].bound
                if isinstance(head, Array) and isinstance(end, Array) and (entry is not None or not bound):
                    found.append(Name(slot, k, (slot, k) in self.slots, entry, head, end))
        return found

    def _part(self, at_head: State, at_end: State) -> bool:
        """Names that are one array on entry share a cell at the head; those that part in the body must not."""
        names = [name for name in self._names(at_head, at_end) if name.carried]
        before = len(self.parted)
        for i, one in enumerate(names):
            for two in names[:i]:
                if one.head.cell is two.head.cell and _relation(one.end, two.end) != "one":
                    self.parted.add((one.slot, one.k))
        return len(self.parted) > before

    def _show_at_head(self, at_head: State) -> None:
        """The cell that a carried name has at the head may be a view of what it shows on entry or at the end."""
        self._held = [
            (slot, leaf.cell)
            for slot, _ in at_head.slots()
            if (slot, 0) not in self.slots and live_slot(slot, self.frame, self.head)
            for leaf in self.leaves_of(slot, at_head)
            if isinstance(leaf, Array) and leaf.cell in self.before.cells
        ]
        for cell, keys in self._heads.items():
            for slot, k in keys:
                entries = self.leaves_of(slot, self.before)
                if self.slots[slot, k].bound and k < len(entries) and isinstance(entries[k], Array):
                    self.shown.setdefault((slot, k), {}).update(self._shown_by(entries[k]))
            cell.show(dict.fromkeys(base for key in keys for base in self.shown.get(key, ())))

    def _shown_by(self, array: Array) -> dict[Cell, None]:
        """What an array is or may be a view of, among cells from before the loop that other names stay bound to."""
        bases = {base: None for base, _ in array.cell.shows if base in self.before.cells}
        return bases | ({array.cell: None} if any(cell is array.cell for _, cell in self._held) else {})

    def _find_shown(self, at_head: State, at_end: State) -> bool:
        """What carried names show at the end they may show at the head, too."""
        found = False
        for slot, k in [key for keys in self._heads.values() for key in keys]:
            end = self.leaves_of(slot, at_end)[k]
            known = self.shown.setdefault((slot, k), {})
            new = self._shown_by(end) if isinstance(end, Array) else {}
            found = found or not new.keys() <= known.keys()
            known.update(new)
        return found

    def _shown_after(self, slot: Slot, k: int, end: Array) -> dict[Cell, None]:
        """What a carried name may be a view of after the loop."""
        if not live_slot(slot, self.frame, self.after):
            return {}
        later = {
            cell
            for other, cell in self._held
            if live_slot(other, self.frame, self.after) and not str(other[1]).startswith(RUN_OVER)
        }
        shown = {base: None for base, _ in end.cell.shows if base in self.before.cells}
        shown |= {end.cell: None} if end.cell in later else {}
        entry = {cell: None for cell in self.shown.get((slot, k), {}) if cell in later}
        return shown if entry.keys() <= shown.keys() or self.runs() else {**shown, **entry}

    def _freeze_heads(self, at_head: State, at_end: State) -> bool:
        """What may not be written on entry or at the end may not be at the head either, nor what it becomes later."""
        names = [name for name in self._names(at_head, at_end) if name.carried]
        heads = {name.head.cell.number: name for name in names}
        found = True
        before = len(self.unwritable)
        while found:
            found = False
            for name in names:
                came_from = [heads[c] for c in name.end.cell.origins if c in heads]
                reasons = [name.end.cell.frozen, name.entry.cell.frozen if name.entry is not None else None]
                reasons += [self.unwritable.get((other.slot, other.k)) for other in came_from]
                reason = next(filter(None, reasons), None)
                if reason is not None and (name.slot, name.k) not in self.unwritable:
                    self.unwritable[name.slot, name.k] = reason
                    found = True
        return len(self.unwritable) > before

    def _array_after(self, slot: Slot, k: int, exit_var: Var, at_end: State, after: CellsAfter) -> Array:
        """What a carried name shows after the loop."""
        end = self.leaves_of(slot, at_end)[k]
        entry = self._entry(slot)[k] if self.slots[slot, k].bound or self._maybe_bound(slot) else None
        cell = after.cell(exit_var, self._name(slot), end, entry)
        cell.frozen = cell.frozen or self._frozen_after(slot, k, end)
        after.shown.setdefault(cell, {}).update(self._shown_after(slot, k, end))
        cell.origins |= self._origins.get((slot, k), frozenset())
        return Array(self.session, cell)

    def _frozen_after(self, slot: Slot, k: int, end: Array) -> str | None:
        """Why what a name shows after the loop may not be written: because of the end, or of the entry."""
        reason = self._frozen.get(end.cell) or end.cell.frozen
        entries = self.leaves_of(slot, self.before)
        if reason is None and k < len(entries) and isinstance(entries[k], Array) and entries[k].cell.frozen:
            reason = None if self.runs() else entries[k].cell.frozen
        return reason

    def _check_names_of_the_body(self, at_head: State, at_end: State, written: set[Cell]) -> None:
        """A name that only the body binds holds what it showed, as a new array after the loop.

        Where the loop surely runs and it shows an array from before, it is that array; else nothing that
        shows the same memory may be written any more.
        """
        self._exact: dict[tuple[Slot, int], Array] = {}
        surely = {slot for slot, value in at_end.slots() if not isinstance(value, MaybeUnbound)}
        alive = [
            (slot, k, array)
            for slot, _ in at_end.slots()
            if live_slot(slot, self.frame, self.after)
            for k, array in enumerate(self.leaves_of(slot, at_end))
            if isinstance(array, Array)
        ]
        for slot, k, array in alive:
            if (slot, k) not in self.slots or self.slots[slot, k].bound:
                continue
            others = [
                (other, that)
                for other, j, that in alive
                if that.cell is array.cell and (other, j) != (slot, k)
            ]
            # A name that is carried gets a cell of its own after the loop, so it would not see a write to this one.
            carried = any(
                that.cell is array.cell and (other, j) in self.slots and self.slots[other, j].bound
                for other, j, that in alive
            )
            outside = array.cell in self.before.cells and slot in surely and self._outside_only(array)
            if outside and others and not carried and self.runs():
                self._exact[slot, k] = array
            elif any(array.maps or that.maps or (other, 0) not in self.slots for other, that in others):
                reason = (
                    f"{slot[1]!r} shows memory of {others[0][0][1]!r} since a traced loop: a write to one cannot be "
                    "followed. Write `.copy()` where it is bound"
                )
                self._frozen[array.cell] = array.cell.frozen = reason

    def _outside_only(self, array: Array) -> bool:
        """Is the part that it shows the same after the loop?"""
        names: set[Dim] = set()
        for part in array.maps:
            if not isinstance(part, Strided):
                return False
            for item in part.items:
                place = item.start if isinstance(item, Run) else item.at
                names |= {place.name} if isinstance(place, Var) else set()
                names |= {item.size} if isinstance(item, Run) else set()
        builder = self.session.builder
        return all(isinstance(n, int) or builder.in_scope(n, self.depth) for n in names)


def _followed(one: Name, two: Name, after: bool) -> bool:
    """Does the cell of the name that is carried know that it may be a view of the other's?"""
    shown = [{base for base, _ in name.head.cell.shows} for name in (one, two)]
    if one.carried and two.carried:
        assert one.entry is not None and two.entry is not None
        return not after and one.entry.cell is two.entry.cell and all(one.entry.cell in bases for bases in shown)
    return (two.head.cell in shown[0]) if one.carried else (one.head.cell in shown[1])


def _relation(a: Array, b: Array) -> str:
    if a.cell is not b.cell:
        return "apart"
    return "one" if a.maps == b.maps else "overlapping"


def _may_be_one(names: list[Name]) -> tuple[list[list[bool]], list[list[bool]], list[frozenset[int]]]:
    """Which names may show one array at the head of some iteration, which ones after at least one iteration, and which
    arrays from before each name may show after the loop.

    What a name shows at the end is what another one showed at the head, or an array of the body.
    """
    at_head = {name.head.cell.number: k for k, name in reversed(list(enumerate(names)))}
    came_from = [[at_head[c] for c in sorted(name.end.cell.origins) if c in at_head] for name in names]
    every = range(len(names))
    after = [[_both(a.end, b.end) for b in names] for a in names]
    ever = [
        [_both(a.entry, b.entry) or after[i][j] for j, b in enumerate(names)] for i, a in enumerate(names)
    ]
    origins = [n.end.cell.origins | (n.entry.cell.origins if n.entry is not None else set()) for n in names]
    found = True
    while found:
        found = False
        for i in every:
            for k in came_from[i]:
                if not origins[k] <= origins[i]:
                    origins[i] |= origins[k]
                    found = True
            for j in every:
                if after[i][j]:
                    continue
                if any(a != b and ever[a][b] for a in came_from[i] for b in came_from[j]):
                    after[i][j] = ever[i][j] = found = True
    return ever, after, origins


def _both(a: Array | None, b: Array | None) -> bool:
    """May the two show memory of one cell?"""
    if a is None or b is None:
        return False
    one, two = ({array.cell, *(base for base, _ in array.cell.shows)} for array in (a, b))
    return not one.isdisjoint(two)
