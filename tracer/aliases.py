"""Which names show one array before, in and after a traced loop, and what may not be written because of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..ir.errors import UnsupportedSyntax
from ..ir.program import Var
from ..ir.types import Dim
from .regions import live_slot
from .session import Session
from .state import RUN_OVER, Frame, MaybeUnbound, Slot, State, leaves
from .symbol import Array, Cell
from .view import Run, Strided

if TYPE_CHECKING:
    from .loops import Carried


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

    def _check_aliases(self, at_head: State, at_end: State) -> None:
        """Which names show one array must be the same on entry, at the head and at the end (up to renaming).

        A carried name gets a cell of its own at the head and after the loop. Where that parts names that are
        one array in Python, or joins them, nothing may be written: not here, and not later.
        """
        self._frozen: dict[Cell, str] = {}
        written = set(at_head.written(at_end))
        shown = [
            (slot, k, arrays)
            for slot, value in at_end.slots()
            if live_slot(slot, self.frame, self.head) and slot in self._known_slots(at_head)
            for k, arrays in enumerate(
                zip(
                    numbers_and_arrays(self.before.get(slot)),
                    numbers_and_arrays(at_head.get(slot)),
                    numbers_and_arrays(value),
                )
            )
            if all(isinstance(array, Array) for array in arrays)
        ]
        for slot, k, (entry, head, end) in shown:
            if end.cell.frozen is None:
                continue
            if {entry.cell, head.cell, end.cell} & written and (slot, k) in self.slots:
                raise self.session.error(UnsupportedSyntax, end.cell.frozen)
            self._frozen[end.cell] = end.cell.frozen
        for cell in written:
            if cell.frozen is not None:
                raise self.session.error(UnsupportedSyntax, cell.frozen)
        for i, (slot, k, arrays) in enumerate(shown):
            for other, j, others in shown[:i]:
                carried = (slot, k) in self.slots or (other, j) in self.slots
                relations = {_relation(a, b) for a, b in zip(arrays, others)}
                if relations == {"apart"} or relations == {"one"} or not carried:
                    continue
                involved = {array.cell for array in (*arrays, *others)}
                names = f"{slot[1]!r} and {other[1]!r}"
                if involved & written:
                    raise self.session.error(
                        UnsupportedSyntax,
                        f"{names} are one array in some iterations of this loop and two in others, and the loop "
                        "writes to it. Write `.copy()` where one is bound to the other",
                    )
                live = all(
                    live_slot(name, self.frame, self.after) and not str(name[1]).startswith(RUN_OVER)
                    for name in (slot, other)
                )
                if not live or (_relation(arrays[2], others[2]) == "apart" and self.runs()):
                    continue
                reason = (
                    f"{names} were made one array inside a traced loop: a write to one cannot be followed. "
                    "Write `.copy()`"
                )
                for cell in involved:
                    self._frozen[cell] = reason
                    cell.frozen = reason

        self._check_names_of_the_body(at_head, at_end, written)

    def _check_names_of_the_body(self, at_head: State, at_end: State, written: set[Cell]) -> None:
        """A name that only the body binds holds what it showed, as a new array after the loop.

        Where the loop surely runs and it shows an array from before, it is that array; else nothing that
        shows the same memory may be written any more.
        """
        self._exact: dict[tuple[Slot, int], Array] = {}
        alive = [
            (slot, k, array)
            for slot, value in at_end.slots()
            if live_slot(slot, self.frame, self.after)
            for k, array in enumerate(numbers_and_arrays(value))
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
            if array.cell in self.before.cells and others and self._outside_only(array) and self.runs():
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

    def _known_slots(self, state: State) -> set[Slot]:
        return {slot for slot, _ in state.slots()}


def numbers_and_arrays(value: Any) -> list[Any]:
    """The leaves of a variable's value, bound on every path or not."""
    return leaves(value.value if isinstance(value, MaybeUnbound) else value)


def _relation(a: Array, b: Array) -> str:
    if a.cell is not b.cell:
        return "apart"
    return "one" if a.maps == b.maps else "overlapping"
