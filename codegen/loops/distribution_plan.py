"""What an innermost loop with free order need not do itself: what leaves it, and what gets a loop of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...ir import walk
from ...ir.affine import Affine, Facts
from ...ir.build import dim_atom
from ...ir.program import For, Index, Let, Lit, Var, atoms
from ..analysis.dependence import Access
from .carry_neighbours import CHECKS, Line, chosen, key_of, lines_of, overlap_tests
from .distribute import Plan, slice_of

if TYPE_CHECKING:
    from .reorder import Orders

SHORT = 16
"""Loops known to be at most this long are not split."""
EXPENSIVE = 10
"""The cost of an operation that is not made in one more place."""
AGAIN = 6
"""How many operations a loop split off may repeat to have its values."""
VALUES = 3
"""How many different values per iteration a split loop may keep for the loops split off."""


def planned(orders: Orders, node: For, found: Mapping[str, Sequence[Access]], facts: Facts) -> tuple[Plan, bool]:
    """What to take out of a loop; and whether that is right even if there is no iteration.

    Where an element is read in front of the loop, or written behind it, it must be there. In an iteration it surely
    is; if nothing shows that there is one, what is gained by a test decides.
    """
    plan = _Planner(orders, node, facts).plan(found)
    inside = _within(orders, node, facts)
    if inside is None:
        return plan, True
    wider = _Planner(orders, node, inside).plan(found)
    if orders.deps.proves(facts, orders.deps.length(node) - 1):
        return wider, True
    gained = len(wider.summed) + len(wider.moved) > len(plan.summed) + len(plan.moved)
    return (replace(wider, runs=True), False) if gained else (plan, True)


def _within(orders: Orders, node: For, facts: Facts) -> Facts | None:
    """What is known in an iteration: elements that it reads or writes are there. None if that is nothing new."""
    local = {v.name for v in walk.bound([node])}
    inside: Facts | None = None
    for form, size in sorted(orders.deps.reached(node.body), key=str):
        if not local & set(form.names) and not _in_range(orders, form, size, facts):
            inside = inside or facts.copy()
            inside.assume(form)
            inside.assume(size - form - 1)
    return inside


def _in_range(orders: Orders, form: Affine, size: Affine, facts: Facts) -> bool:
    if (form, size) in orders.there:
        return True
    return all(orders.deps.proves(facts, bound) for bound in (form, size - form - 1))


class _Planner:
    def __init__(self, orders: Orders, node: For, facts: Facts):
        self.orders = orders
        self.node = node
        self.facts = facts
        self.carried = {p.var.name for p in node.phis}
        self.bound = {v.name for v in walk.bound([node])}
        self.lets = [n for n in node.body if isinstance(n, Let)]

    def plan(self, found: Mapping[str, Sequence[Access]]) -> Plan:
        orders, node = self.orders, self.node
        lifted = self.lifted(found)
        summed: list[Let] = []
        moved: list[Let] = []
        lines: list[Line] = []
        local = self.bound - {node.index.name}
        length = orders.deps.length(node)
        short = not length.terms and length.constant <= SHORT
        for accesses in found.values():
            left = [a for a in accesses if a.let not in lifted]
            adds = [a for a in left if a.kind == "at_add"]
            summed += [a.let for a in adds if orders.may_move(a.let.var) and self.fixed(a.let)]
            rest = [a for a in adds if a.let not in summed]
            plain = all(not local & set(p.names) for a in rest for p in a.places)
            plain &= all(orders.may_move(a.let.var) for a in rest)
            if len(adds) == len(left) and len(rest) > 1 and plain and not short:
                together, alone = self.side_by_side(rest)
                lines += together
                moved += alone
        again = [let for let in moved if self.made_again(let, lifted)]
        if len({let.args[2] for let in moved if let not in again}) > VALUES:
            moved, again = [], []
        runs = orders.deps.proves(self.facts, length - 1)
        return Plan(tuple(lifted), tuple(summed), tuple(moved), tuple(again), tuple(lines), runs)

    def side_by_side(self, adds: Sequence[Access]) -> tuple[list[Line], list[Let]]:
        """Additions to one array: those that become one, and those that get loops of their own."""
        orders, node = self.orders, self.node
        access = {id(a.let): a for a in adds}
        carry = orders.carry or orders.depth > 0
        if carry:
            lines = lines_of([(a.let, a.places) for a in adds], node.index.name)
        else:
            lines = [Line(((a.let, 0),)) for a in adds]

        def apart(line: Line, other: Line) -> bool:
            """Are they columns of one row? They lie side by side; rows LLVM would have to test for overlaps."""
            pairs = [(access[id(a)], access[id(b)]) for a, _ in line.lets for b, _ in other.lets]
            return all(
                not a.places[-1].terms and not b.places[-1].terms and orders.deps.never_meet(a, b, node, self.facts)
                for a, b in pairs
            )

        def fits(stay: list[Line]) -> bool:
            if all(apart(stay[-1], line) for line in stay[:-1]):
                return True
            left = {id(let) for line in lines if line not in stay for let, _ in line.lets}
            return carry and self.tests(left) <= CHECKS

        stay = chosen(lines, fits)
        moved = [let for line in lines if line not in stay for let, _ in line.lets]
        return [line for line in stay if line.longest], sorted(moved, key=self.lets.index)

    def tests(self, left: Collection[int]) -> int:
        """How many tests for overlaps LLVM needs to vectorise the loop without these additions."""
        made: dict[str, str] = {}
        writes: list[object] = []
        reads: list[object] = []
        for let in self.lets:
            if not (let.op.accesses or let.op.writes):
                continue
            base, index = let.args[0], let.args[1]
            if not isinstance(base, Var) or not isinstance(index, Index):
                continue
            root = made.get(base.name, base.name)
            if let.op.writes:
                made[let.var.name] = root
            items = [self.orders.deps.form(item) for item in index.items if isinstance(item, (Var, Lit))]
            line = root, key_of(tuple(items), self.node.index.name)
            if id(let) not in left:
                (reads if let.op.name == "getitem" else writes).append(line)
        return overlap_tests(writes, reads)

    def lifted(self, found: Mapping[str, Sequence[Access]]) -> list[Let]:
        """Reads of one element, and what is computed of them and of nothing that changes."""
        made = {n.var.name: n.args[0] for n in self.lets if n.op.writes}
        taken: list[Let] = []
        names: set[str] = set()
        for let in self.lets:
            if let.op.name == "getitem" and not let.var.type.rank and self.fixed(let):
                root = let.args[0]
                while isinstance(root, Var) and root.name in made:
                    root = made[root.name]
                # Not of an array that the loop itself makes (a version of an outer one that each iteration writes
                # anew is one), or of an element that it writes.
                same = isinstance(root, Var) and (
                    root.name in self.carried or (root == let.args[0] and root.name not in self.bound)
                )
                same = same and all(self.untouched(let, every) for every in found.values())
            else:
                used = {a.name for a in atoms(let.args) if isinstance(a, Var)}
                same = bool(used & names) and not used & (self.bound - names)
                same &= let.op.elementwise and let.op.cost < EXPENSIVE and let.var.type.is_float
            if same:
                taken.append(let)
                names.add(let.var.name)
        return taken

    def untouched(self, let: Let, every: Sequence[Access]) -> bool:
        """Does no iteration write the element that this line reads, not even its own?"""
        return all(
            self.orders.deps.all_differ(a, b, self.node, self.facts)
            for a in every
            if a.let is let
            for b in every
            if b.kind != "getitem"
        )

    def made_again(self, let: Let, lifted: Sequence[Let]) -> bool:
        """May a loop behind compute the value it adds itself: by little, of what this loop leaves alone?"""
        value = let.args[2]
        if not isinstance(value, Var) or self.orders.uses[value.name] != 1:
            return False
        needed = slice_of(value, [n for n in self.lets if n not in lifted])
        reads = [n for n in needed if n.op.name == "getitem"]
        simple = all(n.op.elementwise and n.op.cost < EXPENSIVE for n in needed if n not in reads)
        alone = not any(isinstance(n.args[0], Var) and n.args[0].name in self.bound for n in reads)
        return len(needed) <= AGAIN and simple and alone

    def fixed(self, let: Let) -> bool:
        """Is it the same element in every iteration, one that is there even if there is no iteration?"""
        base, index = let.args[0], let.args[1]
        assert isinstance(base, Var) and isinstance(index, Index)
        for item, dim in zip(index.items, base.type.dims):
            if not isinstance(item, (Var, Lit)):
                return False
            form, size = self.orders.deps.form(item), self.orders.deps.form(dim_atom(dim))
            if self.bound & {*form.names, *size.names} or not _in_range(self.orders, form, size, self.facts):
                return False
        return True
