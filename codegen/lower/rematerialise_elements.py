"""What is cheaper to compute again than to keep: arrays that only later loops read.

An array that one loop makes and another reads costs memory. Where it is a few operations on arrays that are
in memory anyway, or where nobody but one later loop reads it, that loop computes it instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...ir.build import Builder
from ...ir.program import Var
from .. import index_maps
from ..index_maps import Along, Counted, Fixed, Place, Read, Source, Taken
from .fuse import Group
from .items import Item, Op, Plain, distinct

Change = Callable[[Read], Source]

CHEAP = 6
"""The cost of operations, as primitives declare it, up to which an array is made twice."""
LEAVES = 2
"""Arrays that may be read to make another again: more would cost as much as keeping it."""


def recomputed(
    items: Sequence[Item], groups: Sequence[Group], needed: set[str], builder: Builder
) -> list[Item] | None:
    """The items with copies of what later groups compute for themselves; None if there is nothing to do."""
    plan = _Plan(items, groups, needed)
    result: list[Item] = []
    changed = False
    for position, item in enumerate(items):
        if isinstance(item, Op):
            group = plan.home[id(item)]
            for name in sorted({n for n in item.names() if n in plan.makers}):
                stored = plan.stored_elsewhere(plan.makers[name], group, position)
                if stored is not None:
                    item = _redirected(item, name, stored)
                    changed = True
                    continue
                tree = plan.worth(plan.makers[name], item, group)
                if tree:
                    before, item = _inlined(item, plan.makers[name], tree, builder)
                    result += before
                    changed = True
        result.append(item)
    return result if changed else None


class _Plan:
    def __init__(self, items: Sequence[Item], groups: Sequence[Group], needed: set[str]):
        self.home = {id(item): k for k, g in enumerate(groups) for item in g.items}
        self.places = {id(item): k for k, item in enumerate(items)}
        self.makers: dict[str, Op] = {}
        self.readers: dict[str, list[Item]] = {}
        self.needed = set(needed)
        self.written_at = {i.target.name: k for k, i in enumerate(items) if i.target is not None}
        self.overwritten = {item.target.name for item in items if item.target is not None}
        for item in items:
            for name in set(item.names()):
                self.readers.setdefault(name, []).append(item)
                if isinstance(item, Plain):
                    self.needed.add(name)
            if isinstance(item, Op) and not item.fold and item.target is None and item.var.type.rank:
                self.makers[item.var.name] = item
        self.made = {item.var.name for item in items if item.var is not None}
        self.crossing = {
            name
            for name, op in self.makers.items()
            if any(self.home[id(r)] != self.home[id(op)] for r in self.readers.get(name, ()))
        }

    def in_memory(self, name: str) -> bool:
        return (
            name not in self.made or name not in self.makers or name in self.needed or name in self.crossing
        )

    def stored_elsewhere(self, op: Op, group: int, position: int) -> Op | None:
        """A store of all that `op` makes into a part of an array that still has it at this position."""
        if op.var.name in self.needed or self.home[id(op)] == group:
            return None
        for store in self.readers.get(op.var.name, ()):
            if not isinstance(store, Op) or store.target is None or store.add or not distinct(store.places):
                continue
            if self.home[id(store)] != self.home[id(op)] or self.home[id(store)] >= group:
                continue
            if self.places[id(store)] > position:
                continue  # in the order of the program it is not there yet
            (value,) = store.args
            places = value.places if isinstance(value, Read) else ()
            if any(not isinstance(p, Along) and p != Fixed() for p in places):
                continue
            loops = [p.loop for p in places if isinstance(p, Along)]
            if value.base != op.var or sorted(loops) != list(range(len(store.space))):
                continue
            later = self.written_at.get(store.var.name, position + 1)
            if later > position:
                return store
        return None

    def worth(self, op: Op, reader: Op, group: int) -> list[Op] | None:
        """The operations that the reader should do itself instead of reading what `op` makes."""
        name = op.var.name
        if name in self.needed or self.home[id(op)] == group:
            return None
        if sorted(map(str, op.space)) != sorted(map(str, reader.space)):
            return None  # it would be computed more often than once per element
        groups = {self.home[id(r)] for r in self.readers[name]}
        alone = len(groups) == 1 and len(self.readers[name]) == 1
        leaves: set[str] = set()
        tree = self.tree(op, leaves, alone, root=True)
        if tree is None or len(leaves) > LEAVES:
            return None
        return tree if sum(o.prim.cost for o in tree if o.prim is not None) <= CHEAP or alone else None

    def tree(self, op: Op, leaves: set[str], alone: bool, root: bool = False) -> list[Op] | None:
        """`op` and what it needs that is not in memory, first things first; None if that is impossible."""
        if op.prim is not None and op.prim.cost > CHEAP and not (alone and root):
            return None
        result: list[Op] = []
        for read in op.reads():
            if not isinstance(read.base, Var) or not read.places:
                continue
            name = read.base.name
            if name in self.overwritten:
                return None
            if self.in_memory(name):
                leaves.add(name)
                continue
            inner = self.tree(self.makers[name], leaves, False)
            if inner is None or sorted(map(str, self.makers[name].space)) != sorted(map(str, op.space)):
                return None
            result += [o for o in inner if o not in result]
        return [*result, op] if len(result) < 6 else None


def _redirected(reader: Op, name: str, store: Op) -> Op:
    """The reader, reading where an array was stored instead of the array."""
    (value,) = store.args

    def change(read: Read) -> Source:
        if not isinstance(read.base, Var) or read.base.name != name:
            return read
        loops: list[Place] = [Fixed()] * len(store.space)
        for axis, place in enumerate(value.places):
            if isinstance(place, Along):
                loops[place.loop] = read.places[axis]
        return Read(store.var, tuple(index_maps.replaced(p, loops) for p in store.places))

    return _changed(reader, change)


def _changed(reader: Op, change: Change) -> Op:
    args = tuple(swapped(a, change) if isinstance(a, (Read, Counted)) else a for a in reader.args)
    return replace(reader, args=args, places=tuple(_place(p, change) for p in reader.places))


def _inlined(reader: Op, op: Op, tree: Sequence[Op], builder: Builder) -> tuple[list[Item], Op]:
    """Copies of the tree's operations in the loops of the reader, and the reader that uses them."""
    name = op.var.name
    before: list[Item] = []

    def again(made: Op, places: tuple[Place, ...], names: dict[tuple[str, tuple[Place, ...]], Var]) -> Var:
        """What `made` has at these places, in the loops of the reader."""
        key = made.var.name, places
        if key in names:
            return names[key]
        loops: list[Place] = [Along(0)] * len(made.space)
        for axis, loop in enumerate(made.out):
            if loop is not None:
                loops[loop] = places[axis]
        args = []
        for arg in made.args:
            if isinstance(arg, (Read, Counted)):
                arg = swapped(index_maps.through(arg, loops), lambda r: inner(r, names))
            args.append(arg)
        var = builder.again(made.var, made.var.type.with_dims(reader.space))
        names[key] = var
        every = tuple(range(len(reader.space)))
        before.append(replace(made, var=var, space=reader.space, out=every, args=tuple(args), late=True))
        return var

    makers = {o.var.name: o for o in tree}

    def inner(read: Read, names: dict[tuple[str, tuple[Place, ...]], Var]) -> Source:
        made = makers.get(getattr(read.base, "name", ""))
        if made is None or not read.places:
            return read
        return Read(again(made, read.places, names), index_maps.whole(len(reader.space)))

    names: dict[tuple[str, tuple[Place, ...]], Var] = {}

    def outer(read: Read) -> Source:
        if isinstance(read.base, Var) and read.base.name == name:
            return Read(again(op, read.places, names), index_maps.whole(len(reader.space)))
        return read

    return before, _changed(reader, outer)


def swapped(source: Source, change: Change) -> Source:
    """The source with each read replaced, those of index arrays first."""
    match source:
        case Read(base, places):
            return change(Read(base, tuple(_place(p, change) for p in places)))
        case Counted(place):
            return Counted(_place(place, change))


def _place(place: Place, change: Change) -> Place:
    if isinstance(place, Taken):
        return Taken(swapped(place.source, change), place.start, place.step)
    return place
