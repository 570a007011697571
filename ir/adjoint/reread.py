"""Reading an element again in the reverse sweep, from the array as a loop nest got it or left it.

`a = A[i, k]` need not be saved if no write after it can touch that element: then the array that the nest
leaves behind still has it. If no write before it could, the array that the nest started from has it. A
dependence test on affine subscripts and loop bounds tells. See Note [The dependence test].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ..affine import Affine, Facts
from ..build import Builder, dim_atom
from ..ops.index import at_add, at_set, getitem
from ..program import Atom, Exit, For, If, Index, Let, Phi, Slice, Var
from .scopes import Loop, Region, Scopes


@dataclass(frozen=True)
class Cell:
    """An array that a loop updates in place: all its versions in the loop, and the writes between them."""

    phi: Phi
    loop: Loop
    versions: frozenset[str]
    writes: tuple[Let, ...]


@dataclass
class Rereader:
    scopes: Scopes
    builder: Builder
    """Knows the integers of the program as affine forms."""
    exit_of: Callable[[Loop, Phi], Var]
    """What a loop leaves of a phi."""
    facts: Facts = field(default_factory=Facts)
    """What is known of integers outside all loops."""
    cells: dict[str, Cell | None] = field(default_factory=dict)
    assumptions: dict[tuple[int, int, int, int, bool], Facts] = field(default_factory=dict)
    known_spans: dict[tuple[int, int | None], list[tuple[Affine, Affine] | None]] = field(default_factory=dict)
    patience: int = 20_000
    """How many pairs of a read and a write are looked at before all others are taken to meet."""
    stores: dict[str, Let] = field(default_factory=dict)
    """By a value: the write that stores it, in the region where it is bound."""

    def __post_init__(self) -> None:
        for let in self.scopes.definition.values():
            if isinstance(let, Let) and let.op is at_set and isinstance(let.args[2], Var):
                stored: Var = let.args[2]
                if self.scopes.region[stored.name] is self.scopes.region[let.var.name]:
                    self.stores.setdefault(stored.name, let)

    def again(self, name: str) -> Let | None:
        """How to read a local value again, from an array outside its loops; None if that is not safe."""
        definition = self.scopes.definition[name]
        if isinstance(definition, Let) and definition.op is getitem and isinstance(definition.args[0], Var):
            found = self.element(definition.array.name, definition.subscript, self.scopes.region[name])
            if found is not None:
                return Let(definition.var, getitem, (found, definition.args[1]), definition.span)
        store = self.stores.get(name)
        if store is not None and self.is_whole(store):
            found = self.element(store.var.name, store.subscript, self.scopes.region[name], stored=True)
            if found is not None:
                return Let(self.scopes.var[name], getitem, (found, store.args[1]), store.span)
        return None

    def is_whole(self, store: Let) -> bool:
        """Is each element of what is stored in one place?"""
        items = store.subscript.items
        sliced = sum(isinstance(item, Slice) for item in items)
        arrays = any(isinstance(item, Var) and item.type.dims for item in items)
        return not arrays and store.stored.type.rank == sliced + items.count(None)

    def element(self, version: str, index: Index, region: Region, stored: bool = False) -> Var | None:
        """An array outside that has the elements `version[index]`."""
        for loop in self.scopes.region[version].loops:
            for phi in loop.phis:
                cell = self.cell(phi, loop) if phi.var.type.dims else None
                if cell is None or version not in cell.versions:
                    continue
                if not any(self.meets(w, version, cell, index, region, later=True) for w in cell.writes):
                    return self.exit_of(loop, phi)
                if stored or not isinstance(phi.first, Var):
                    continue
                if not any(self.meets(w, version, cell, index, region, later=False) for w in cell.writes):
                    return phi.first
        return None

    # -- versions --------------------------------------------------------------------------------------

    def cell(self, phi: Phi, loop: Loop) -> Cell | None:
        """The cell of a loop's phi; None if the phi is ever anything but an update of itself."""
        name = phi.var.name
        if name not in self.cells:
            versions: set[str] = {name}
            whole = isinstance(phi.second, Var) and self.leads(phi.second.name, name, versions)
            definitions = (self.scopes.definition[v] for v in versions)
            writes = tuple(d for d in definitions if isinstance(d, Let))
            self.cells[name] = Cell(phi, loop, frozenset(versions), writes) if whole else None
        return self.cells[name]

    def leads(self, name: str, goal: str, versions: set[str]) -> bool:
        """Is this version made of `goal` by updates only? Collects the versions between."""
        while name != goal:
            versions.add(name)
            match self.scopes.definition[name]:
                case Let(_, op, (Var(before), *_)) if op in (at_set, at_add):
                    name = before
                case Phi(_, Var(then), Var(orelse)) if isinstance(self.scopes.owner[name], If):
                    return self.leads(then, goal, versions) and self.leads(orelse, goal, versions)
                case Exit(_, Var(inner)):
                    versions.add(inner)
                    match self.scopes.definition[inner]:
                        case Phi(_, Var(first), Var(second)) if self.leads(second, inner, versions):
                            name = first
                        case _:
                            return False
                case _:
                    return False
        return True

    # -- the dependence test -----------------------------------------------------------------------------

    def meets(self, write: Let, version: str, cell: Cell, index: Index, region: Region, later: bool) -> bool:
        """May the write, at a time after (or before) the version was made, touch an element of `index`?"""
        self.patience -= 1
        if self.patience < 0:
            return True
        at_write, at_version = self.scopes.region[write.var.name], self.scopes.region[version]
        shared = [a for a, b in zip(at_write.loops, at_version.loops) if a is b]
        order = self.scopes.order[write.var.name] - self.scopes.order[version]
        start = next(k for k, loop in enumerate(at_write.loops) if loop is cell.loop)
        cases: list[tuple[int, Loop | None]] = [(k, shared[k]) for k in range(start, len(shared))]
        if (order > 0) if later else (order <= 0):
            cases.append((len(shared), None))
        return not all(self.apart(write, index, region, depth, loop, later) for depth, loop in cases)

    def apart(
        self, write: Let, index: Index, region: Region, depth: int, moved: Loop | None, later: bool
    ) -> bool:
        """Are the subscripts different where the outermost `depth` loops are at the same trip for both?

        The loop `moved` is at a later (or earlier) trip for the write; loops inside it are at any.
        """
        facts = self.assumed(region, self.scopes.region[write.var.name], depth, moved, later)
        for read, written in zip(self.spans(index, None), self.spans(write.subscript, depth)):
            if read is not None and written is not None:
                (low, high), (first, last) = read, written
                if facts.proves(low - last - 1) or facts.proves(first - high - 1):
                    return True
        return False

    def assumed(self, region: Region, at_write: Region, depth: int, moved: Loop | None, later: bool) -> Facts:
        """What is known of the indices of a read and of a write, those of the write's own trips primed."""
        key = id(region), id(at_write), depth, id(moved), later
        if key in self.assumptions:
            return self.assumptions[key]
        facts = self.assumptions[key] = self.facts.copy()
        for loop in region.loops:
            self.bound(facts, loop, lambda form: form, "")
        for k, loop in enumerate(at_write.loops):
            self.bound(facts, loop, lambda form: self.primed(form, depth), "'" if k >= depth else "")
        if isinstance(moved, For):
            here, there = moved.index.name, moved.index.name + "'"
            if later == moved.reverse:
                here, there = there, here
            facts.bound(there, lower=Affine.name(here) + 1)
            facts.bound(here, upper=Affine.name(there) - 1)
        return facts

    def primed(self, form: Affine, depth: int) -> Affine:
        """The form with a prime at the names that are bound in more than `depth` loops."""
        regions = self.scopes.region
        local = {n for n in form.names if n in regions and len(regions[n].loops) > depth}
        return Affine.of(form.constant, {n + "'" if n in local else n: c for n, c in form.terms})

    def bound(self, facts: Facts, loop: Loop, form: Callable[[Affine], Affine], mark: str) -> None:
        if isinstance(loop, For):
            lower, upper = (form(self.builder.affine(a)) for a in (loop.start, loop.stop))
            facts.bound(loop.index.name + mark, lower, upper - 1)

    def spans(self, index: Index, depth: int | None) -> list[tuple[Affine, Affine] | None]:
        """The first and the last place of a subscript along each axis; None if it is an index array."""
        key = id(index), depth
        if key not in self.known_spans:
            self.known_spans[key] = list(self.find_spans(index, depth))
        return self.known_spans[key]

    def find_spans(self, index: Index, depth: int | None) -> Iterator[tuple[Affine, Affine] | None]:
        def affine(atom: Atom) -> Affine:
            form = self.builder.affine(atom)
            return form if depth is None else self.primed(form, depth)

        for item in index.items:
            if isinstance(item, Slice):
                start = affine(item.start)
                end = start + (affine(dim_atom(item.size)) - 1).scaled(item.step)
                yield (start, end) if item.step > 0 else (end, start)
            elif item is not None:
                yield None if item.type.dims else (affine(item), affine(item))


# Note [The dependence test]
# The versions of an array between a loop's phi and what the phi gets next are one cell of memory, if each is
# an update of the one before. A version stands for a time: the trips of the loops around it and its place in
# the body. A write is later than the version if it is at a later trip of some loop around both, the loops
# outside that one being at the same trip, or at the same trips and further down. For each of these cases the
# subscripts must differ along some axis, by more than nothing, for all values of the indices within their
# bounds; names that belong to the write's own trip are marked with a prime. What is not affine is not known,
# and the answer is then that they may meet.
