"""The lengths of lists that are filled in a loop: what each iteration adds is a number that does not change."""

from __future__ import annotations

from typing import Any

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.program import Atom
from ..session import Session
from ..snapshot import Slot, State, container_change
from ..values.staged_list import LENGTH, TEMPLATE, StagedList
from ..values.symbol import Scalar, as_value


class Lengths:
    """What a LoopTracer knows of lists: with it, an element's place is a form of the loop's index."""

    session: Session
    before: State
    depth: int
    ordinal: Affine | None
    trips: Atom | None
    advancing: dict[Slot, Affine]
    irregular: set[Slot]
    slots: dict[Any, Any]

    def _form(self, state: State, slot: Slot) -> Affine:
        return self.session.builder.affine(as_value(self.session, state.get(slot))[0])

    def _lists(self) -> list[tuple[StagedList, Slot]]:
        return [
            (holder, (key, LENGTH))
            for key, (holder, content) in self.before.holders.items()
            if isinstance(holder, StagedList) and TEMPLATE in content
        ]

    def advances(self, slot: Slot, at_head: State, at_end: State) -> bool:
        """Does the slot look like a length to which each iteration adds the same?"""
        holder = self.before.holder(slot)
        if self.ordinal is None or slot in self.irregular or slot[1] != LENGTH or (slot, 0) in self.slots:
            return False
        if not isinstance(holder, StagedList) or TEMPLATE not in self.before.holders[slot[0]][1]:
            return False
        step = self._form(at_end, slot) - self._form(at_head, slot)
        if not all(self.session.builder.in_scope(name, self.depth) for name in step.names):
            self.irregular.add(slot)
            return False
        self.advancing[slot] = step
        if holder.room is None and not holder.shrinks and self.session.builder.facts.proves(step):
            error = container_change(self.session, holder, dict(self.before.holders[slot[0]][1]), holder.content())
            error.step = step
            raise error
        return True

    def set_lengths(self) -> None:
        """At the head of an iteration."""
        builder = self.session.builder
        self.heads: dict[Slot, Affine] = {}
        for slot, step in self.advancing.items():
            assert self.ordinal is not None
            added = self._times(builder.integer(self.ordinal), step)
            self.heads[slot] = self._form(self.before, slot) + added
            self._assign(slot, self.heads[slot])

    def _times(self, count: Atom, step: Affine) -> Affine:
        builder = self.session.builder
        if not step.terms:
            return builder.affine(count).scaled(step.constant)
        return builder.affine(self.session.integer("mul", count, builder.integer(step)))

    def _assign(self, slot: Slot, form: Affine) -> None:
        holder = self.before.holder(slot)
        length = Scalar(self.session, self.session.builder.integer(form), weak=True)
        holder.restore({**holder.content(), LENGTH: length})

    def lengths_settled(self, at_head: State, at_end: State) -> bool:
        """Did each iteration add what was assumed, and no more than there is room for?"""
        settled = True
        builder = self.session.builder
        for slot, step in list(self.advancing.items()):
            if slot in self.heads and self._form(at_end, slot) - self.heads[slot] != step:
                del self.advancing[slot]
                self.irregular.add(slot)
                settled = False
        for holder, slot in self._lists():
            if holder.room is None or holder.room[0] != self.depth or slot in self.advancing:
                continue
            if (slot, 0) in self.slots:
                added = self._form(at_end, slot) - self._form(at_head, slot)
                if not builder.facts.proves(holder.room[1] - added):
                    holder.shrinks = True  # room is made where it is needed then
                    raise container_change(self.session, holder, self.before.holders[slot[0]][1], holder.content())
        return settled

    def final_lengths(self) -> None:
        for slot, step in self.advancing.items():
            trips = literal(0, "i64") if self.trips is None else self.trips
            self._assign(slot, self._form(self.before, slot) + self._times(trips, step))
