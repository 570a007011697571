"""Which loops run together: array operations of one straight line of code, grouped by their outermost loop.

The groups are a schedule: each runs after those before it. Inside a group's loop the operations have one
loop less, and are grouped again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from ...ir.program import Check
from ...ir.types import Dim
from ..index_maps import Along, Fixed, Place, Read
from ..loops.carry_neighbours import LAGS
from .items import Item, Op, Plain, distinct

ROOM, MOST = 40, 200
"""Items of a loop from which on it takes only those that read what it makes, and from which on none: what is
written out many times would give loops over hundreds of arrays, which take the compiler long."""


@dataclass
class Group:
    """Items that share their outermost loop of this size; without a size, straight-line code."""

    size: Dim | None
    items: list[Item] = field(default_factory=list)


def row_axis(op: Op) -> int | None:
    """The axis of the result along which the outermost loop runs; None if it reduces or stores."""
    if op.target is not None or not op.space or op.fold == "cumsum":
        return op.out.index(0) if op.fold == "cumsum" and 0 in op.out else None
    return op.out.index(0) if 0 in op.out else None


def together(producer: Item, read: Read) -> bool:
    """Is what is read at an iteration of the outermost loop made in that same iteration?"""
    if not isinstance(producer, Op):
        return False
    axis = row_axis(producer)
    return axis is not None and read.places[axis] == Along(0)


class _Schedule:
    def __init__(self, items: Sequence[Item], needed: Set[str]) -> None:
        self.uses = Counter(name for item in items for name in item.names())
        self.uses.update(needed)
        self.groups: list[Group] = []
        self.made: dict[str, tuple[int, Item]] = {}
        self.readers: dict[str, list[tuple[int, Item]]] = {}
        self.open: dict[Dim | None, list[int]] = {}  # groups of a size that anything may join, in order
        self.floor = 0
        self.late: dict[str, Item] = {}  # what waits for its only reader

    def add(self, item: Item) -> None:
        if item.late and item.var is not None:
            self.late[item.var.name] = item
            return
        together = [*self.taken_along(item), item]
        first = max(self.floor, *(max(self.after_operands(i), self.after_readers(i)) for i in together))
        k = self.with_room(first, item)
        if k is None:
            k = len(self.groups)
            self.groups.append(Group(item.size))
            self.open.setdefault(item.size, []).append(k)
        for placed in together:
            self.place(placed, k)
        if item.size is not None and len(self.groups[k].items) >= ROOM and k in self.open[item.size]:
            self.open[item.size].remove(k)

    def with_room(self, first: int, item: Item) -> int | None:
        """The first group from this one on that the item may join."""
        open_ = self.open.get(item.size, [])
        at = bisect_left(open_, first)
        found = open_[at : at + 1]
        if item.size is not None:  # what it reads may be made in a long loop
            makers = {self.made[name][0] for name in item.names() if name in self.made}
            found += [
                k for k in makers
                if k >= first and self.groups[k].size == item.size and len(self.groups[k].items) < MOST
            ]  # fmt: skip
        return min(found, default=None)

    def taken_along(self, item: Item) -> list[Item]:
        """What waited for this item, first things first."""
        found: list[Item] = []
        for name in item.names():
            if name in self.late:
                waited = self.late.pop(name)
                found += [*self.taken_along(waited), waited]
        return found

    def place(self, item: Item, k: int) -> None:
        self.groups[k].items.append(item)
        if item.var is not None:
            self.made[item.var.name] = k, item
        if isinstance(item, Plain) and isinstance(item.node, Check):
            self.floor = k  # nothing that comes after a check may run before it
        for name in arrays_read(item):
            self.readers.setdefault(name, []).append((k, item))

    def after_operands(self, item: Item) -> int:
        first = 0
        for name in item.names():
            if name in self.made:
                k, producer = self.made[name]
                first = max(first, k if self.joins(item, name, producer) else k + 1)
        return first

    def joins(self, item: Item, name: str, producer: Item) -> bool:
        """May the item be in the group that makes this operand?"""
        if item.size is None and producer.size is None:
            return True
        if not isinstance(item, Op) or item.size != producer.size:
            return False
        if item.target is not None and item.target.name == name:
            return self.continues(item, name, producer)
        found = [r for r in item.reads() if getattr(r.base, "name", None) == name]
        return bool(found) and all(together(producer, r) for r in found)

    def continues(self, item: Op, name: str, producer: Item) -> bool:
        """May two additions to parts of one array share their loop?

        An innermost loop only if the parts are next to each other: `reorder` then makes one addition of the two.
        Else each runs over its own elements, and vectorises.
        """
        assert isinstance(producer, Op)
        k = self.made[name][0]
        readers = self.readers.get(producer.target.name, ()) if producer.target is not None else ()
        return (
            item.add and producer.add and self.uses[name] == 1
            and (min(len(item.space), len(producer.space)) > 1 or beside(item.places, producer.places))
            and all(place != k for place, _ in readers)
        )  # fmt: skip

    def after_readers(self, item: Item) -> int:
        """A store waits for those who still read the old elements."""
        if item.target is None:
            return 0
        first = 0
        for k, reader in self.readers.get(item.target.name, ()):
            same = isinstance(item, Op) and isinstance(reader, Op) and reads_where_written(reader, item)
            straight = item.size is None and reader.size is None
            first = max(first, k if same or straight else k + 1)
        return first


def beside(places: Sequence[Place], others: Sequence[Place]) -> bool:
    """Are the elements of two stores the same, but for a few places along the loop?"""
    for a, b in zip(places, others, strict=True):
        if isinstance(a, Along) and isinstance(b, Along):
            shift = a.start - b.start
            if a.step != 1 or b.step != 1 or shift.terms or abs(shift.constant) > LAGS:
                return False
        elif not (isinstance(a, Fixed) and isinstance(b, Fixed)):
            return False
    return True


def arrays_read(item: Item) -> set[str]:
    if isinstance(item, Plain):
        return set(item.arrays())
    return {r.base.name for r in item.reads() if r.places}  # type: ignore[union-attr]


def reads_where_written(reader: Op, store: Op) -> bool:
    """Does the reader read, at each point, just the element that the store then writes there?"""
    assert store.target is not None
    return (
        distinct(store.places)
        and reader.target != store.target
        and reader.space == store.space
        and set(_loops(store)) == set(range(len(store.space)))
        and all(r.places == store.places for r in reader.reads() if r.base == store.target)
    )


def _loops(store: Op) -> Iterable[int]:
    return (p.loop for p in store.places if isinstance(p, Along))


def schedule(items: Sequence[Item], needed: Set[str]) -> list[Group]:
    """The items in groups, in an order that respects what each needs; `needed` is used afterwards."""
    if all(item.size is None for item in items):
        return [Group(None, list(items))] if items else []
    plan = _Schedule(items, needed)
    for item in items:
        plan.add(item)
    return plan.groups
