"""How a local value of the forward sweep can be had again in the reverse sweep without being saved.

By its own operation if that is cheap, by reading an array again (reread.py), by arithmetic if it is a
counter, or because it is what a phi is one trip later, which a reverse loop has just seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..affine import Affine, Facts
from ..build import Builder
from ..ops.arith import and_, ge, gt, le, lt
from ..ops.array import dim
from ..ops.index import at_add, at_set
from ..ops.linalg import matmul
from ..ops.reduce import sum_
from ..program import Atom, Exit, For, If, Let, Phi, Var, While
from ..types import I64, Dim
from ..walk import defined, free, used_here
from .reread import Rereader
from .reverse_sweep import Reverse
from .scopes import Loop, Scopes

CHEAP = 4
"""Operations that cost no more are computed again rather than saved."""
SMALL = 16
"""Arrays of no more elements are rebuilt by `at`, or summed again, rather than saved."""
BRIEF = 8
"""Ifs of no more operations are decided again."""


@dataclass(frozen=True)
class Counter:
    """A phi that grows by the same number each trip: first + step * ordinal."""

    phi: Phi
    loop: Loop
    step: int


@dataclass(frozen=True)
class Following:
    """The value that a phi has one trip later, and `exit` after the last trip."""

    var: Var
    phi: Phi
    loop: Loop
    exit: Var


@dataclass(frozen=True)
class Choice:
    """An If again, stripped to what one of its phis needs."""

    node: If


Recipe = Let | Counter | Following | Choice


class Recipes:
    def __init__(self, scopes: Scopes, reverse: Reverse, builder: Builder, facts: Facts):
        self.scopes = scopes
        self.reverse = reverse
        self.builder = builder
        self.reread = Rereader(scopes, builder, self.exit_of, facts)
        self.found: dict[str, Recipe | None] = {}
        self.new_exits: dict[str, tuple[Loop, Exit]] = {}

    def operands(self, name: str) -> list[str] | None:
        """The local values from which a local value can be had again; None if it has to be saved."""
        if name in self.reverse.at_hand:
            return []
        recipe = self.recipe(name)
        if recipe is None:
            return None
        return [n for n in uses(recipe) if self.scopes.is_local(n) and n != name]

    def recipe(self, name: str) -> Recipe | None:
        if name not in self.found:
            self.found[name] = self.find(name)
        return self.found[name]

    def find(self, name: str) -> Recipe | None:
        definition = self.scopes.definition[name]
        cheap = isinstance(definition, Let) and self.is_cheap(definition)
        other = self.reread.again(name)
        if other is not None and not (cheap and self.scopes.is_local(_array(other))):
            return other
        if isinstance(definition, Let) and cheap:
            return definition
        owner = self.scopes.owner.get(name)
        if isinstance(definition, Phi) and isinstance(owner, (For, While)):
            step = self.step(definition)
            if step is not None and not (isinstance(owner, For) and owner.reverse):
                return Counter(definition, owner, step)
        if isinstance(definition, Phi) and isinstance(owner, If):
            return self.choice(definition, owner)
        return self.following(name)

    def is_cheap(self, let: Let) -> bool:
        if let.op in (at_set, at_add):
            dims = let.var.type.dims
            return all(isinstance(d, int) for d in dims) and product_of(dims) <= SMALL
        if let.op is dim:
            return not any(isinstance(a, Var) and self.scopes.is_local(a.name) for a in let.args)
        if let.op is sum_ or let.op is matmul:  # a few additions, where the operands are small
            sizes = [d for a in let.args if isinstance(a, Var) for d in a.type.dims]
            return all(isinstance(d, int) for d in sizes) and product_of(sizes) <= SMALL
        return let.op.cost <= CHEAP

    def step(self, phi: Phi) -> int | None:
        """By how much an i64 phi grows each trip, if that is always the same."""
        if phi.var.type != I64:
            return None
        growth = self.builder.affine(phi.second) - Affine.name(phi.var.name)
        return None if growth.terms else growth.constant

    def choice(self, phi: Phi, node: If) -> Choice | None:
        """The If with what the phi needs, if that is little."""
        arms = []
        for nodes, value in ((node.then, phi.first), (node.orelse, phi.second)):
            needed = {value.name} if isinstance(value, Var) else set()
            kept: list[Let] = []
            for inner in reversed(nodes):
                names = {v.name for v in defined(inner)}
                if needed.isdisjoint(names):
                    continue
                if not isinstance(inner, Let) or not self.is_cheap(inner):
                    return None
                again = self.scopes.definition[inner.var.name]
                assert isinstance(again, Let)
                needed.update(used_here(again))
                kept.append(again)
            arms.append(tuple(reversed(kept)))
        if len(arms[0]) + len(arms[1]) > BRIEF:
            return None
        return Choice(If(node.cond, arms[0], arms[1], (phi,), node.span))

    def following(self, name: str) -> Following | None:
        region, var = self.scopes.region[name], self.scopes.var[name]
        loop = region.node
        if not isinstance(loop, (For, While)):
            return None
        around = self.scopes.around[id(loop)]
        for phi in loop.phis:
            sizes = (d for d in phi.var.type.dims if isinstance(d, str))
            visible = all(self.scopes.region[d].encloses(around) for d in sizes)
            if phi.second == var and phi.var.name != name and phi.var.type == var.type and visible:
                return Following(var, phi, loop, self.exit_of(loop, phi))
        return None

    # -- exits -----------------------------------------------------------------------------------------

    def exit_of(self, loop: Loop, phi: Phi) -> Var:
        """What a loop leaves of a phi. It gets a name if the program has none, see `add_exits`."""
        there = [*loop.exits, *self.reverse.extra_exits.get(id(loop), ())]
        there += [exit for other, exit in self.new_exits.values() if other is loop]
        for exit in there:
            if exit.phi == phi.var:
                return exit.var
        exit = Exit(self.builder.again(phi.var), phi.var)
        self.scopes.bind(exit.var, self.scopes.around[id(loop)], exit, loop)
        self.new_exits[exit.var.name] = loop, exit
        return exit.var

    def add_exits(self, used: Iterable[str]) -> None:
        """Ask the forward sweep for those of the new exits that are used."""
        for name in used:
            if name in self.new_exits:
                loop, exit = self.new_exits.pop(name)
                self.reverse.extra_exits.setdefault(id(loop), []).append(exit)

    # -- bounds ----------------------------------------------------------------------------------------

    def trip_bound(self, loop: While) -> Affine | None:
        """A form of outer integers that the trips do not exceed, where it is positive."""
        counters = {p.var.name: p for p in loop.phis if (self.step(p) or 0) >= 1}
        around = self.scopes.around[id(loop)]
        front = [loop.cond]
        while front:
            atom = front.pop()
            definition = self.scopes.definition[atom.name] if isinstance(atom, Var) else None
            if not isinstance(definition, Let):
                continue
            if definition.op is and_:
                front += definition.values
            elif definition.op in (lt, le, gt, ge) and definition.value(0).type == I64:
                left, right = (self.builder.affine(a) for a in definition.values)
                room = right - left if definition.op in (lt, le) else left - right
                if definition.op in (le, ge):
                    room = room + 1
                for name, phi in counters.items():
                    start = room.substitute(name, self.builder.affine(phi.first))
                    outer = all(self.scopes.region[n].encloses(around) for n in start.names)
                    if dict(room.terms).get(name) == -1 and outer:
                        return start
        return None


def uses(recipe: Recipe) -> list[str]:
    match recipe:
        case Let():
            return list(dict.fromkeys(used_here(recipe)))
        case Counter(phi, loop):
            atoms: list[Atom] = [phi.first, *([loop.start] if isinstance(loop, For) else [])]
            return [a.name for a in atoms if isinstance(a, Var)]
        case Following(_, phi, _, exit):
            return [phi.var.name, exit.name]
        case Choice(node):
            return sorted(free((node,)))


def _array(let: Let) -> str:
    array = let.args[0]
    assert isinstance(array, Var)
    return array.name


def product_of(sizes: Iterable[Dim]) -> int:
    result = 1
    for size in sizes:
        result *= int(size)
    return result
