"""What the forward sweep saves for the reverse sweep, and where.

The reverse sweep (reverse.py) uses the forward sweep's names freely. Those of loop bodies and arms are not
visible to it, so each is computed again from what is at hand, or saved: a minimum cut (cut.py) finds the
cheapest set to save. What is saved in a loop goes into an array that is allocated before the outermost loop
of the nest. See Note [Layout of save arrays].
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..affine import Affine, Facts
from ..build import Builder, atom_dim, dim_atom
from ..errors import UnsupportedSyntax
from ..ops.arith import add, maximum, minimum, mul, neg, sub
from ..ops.array import full_slice, reshape
from ..ops.index import at_add, at_set, getitem
from ..program import Atom, For, If, Index, Let, Lit, Node, Phi, Slice, Var, While, atoms
from ..types import I64, Dim
from ..walk import used_here, walk
from .min_cut import minimum_cut
from .recipes import Recipe, Recipes, product_of, uses
from .reverse_sweep import Reverse
from .scopes import Loop, Region, Scopes

USUAL_TRIPS = 64
FLAT_BOUND, DEEP_BOUND = 2**20, 2**12
"""For no more trips than this a While's save arrays are allocated without counting, if they have one axis
or more."""


@dataclass(eq=False)
class Base:
    """How many elements of a packed save array lie before: an i64 that runs through the loops of a nest."""

    var: Var
    loops: tuple[Loop, ...]
    step: Loop | None
    """The loop inside the innermost of `loops` whose trips it counts; None: see `trigger`."""
    suffix: tuple[Loop, ...]
    """The loops inside `step`; their trip counts are known there."""
    dims: tuple[Dim, ...]
    trigger: str | None = None
    """Without `step`: the value after which it advances."""

    def where(self) -> tuple[Any, ...]:
        return self.loops, self.step, self.suffix, self.dims, self.trigger


@dataclass(eq=False)
class Save:
    """A value that is saved at every execution; `array` is what the nest leaves behind."""

    var: Var
    loops: tuple[Loop, ...]
    base: Base | None
    counters: dict[int, Var]
    """By the id of a While among the loops: its trip counter."""
    array: Var | None = None


@dataclass(eq=False)
class Export:
    """A value of an arm that leaves it through a phi: `result`, next to the If."""

    var: Var
    arm: int
    result: Var


@dataclass
class Plan:
    saves: list[Save] = field(default_factory=list)
    exports: dict[int, list[Export]] = field(default_factory=dict)
    """By the id of an If."""
    again: dict[str, Recipe] = field(default_factory=dict)
    """How values are computed again in the reverse sweep."""
    known: dict[str, str] = field(default_factory=dict)
    """Local names whose value leaves its arm, and the name it has outside."""
    loaded: dict[str, Save] = field(default_factory=dict)
    bounds: dict[int, tuple[Affine | None, int]] = field(default_factory=dict)
    """By the id of an outermost While: what its trips do not exceed, where that is positive; and up to
    which number that is small."""

    def threads(self) -> tuple[Save | Base, ...]:
        """What runs through the loops of the forward sweep."""
        bases = {id(s.base): s.base for s in self.saves if s.base is not None}
        return (*bases.values(), *self.saves)


class Planner:
    def __init__(self, scopes: Scopes, reverse: Reverse, builder: Builder, facts: Facts):
        self.scopes = scopes
        self.reverse = reverse
        self.builder = builder
        self.plan = Plan()
        self.bases: dict[Hashable, Base] = {}
        self.recipes = Recipes(scopes, reverse, builder, facts)
        self.superseded = _superseded(scopes)

    def run(self, nodes: Iterable[Node]) -> Plan:
        """Decide for every forward name that the reverse sweep mentions and cannot see."""
        mentioned = {name for node in walk(nodes) for name in used_here(node)}
        needed = [n for n in self.scopes.order if n in mentioned and self.scopes.is_local(n)]
        cut = minimum_cut(needed, self.recipes.operands, self.weight)
        front, again = list(needed), set()
        while front:
            name = front.pop()
            if name not in cut and name not in again:
                again.add(name)
                front.extend(self.recipes.operands(name) or ())
        self.recipes.add_exits(cut)
        for name in self.scopes.order:
            recipe = self.recipes.recipe(name) if name in again - self.reverse.at_hand.keys() else None
            if recipe is not None:
                self.plan.again[name] = recipe
                self.recipes.add_exits(uses(recipe))
        for name in [n for n in self.scopes.order if n in cut]:
            self.keep(name)
        return self.plan

    def weight(self, name: str) -> int:
        """About how many elements it takes to save a value."""
        loops = self.scopes.region[name].loops
        trips = [_usual_trips(loop) for loop in loops]
        dims = self.scopes.var[name].type.dims
        sizes = [d if isinstance(d, int) else USUAL_TRIPS for d in dims]
        # A version of an array that is updated in place differs from the next in one part: the last resort.
        return product_of((*trips, *sizes)) * (8 if name in self.superseded else 1)

    # -- saving ----------------------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        """Save a value, or hand it out of its arm."""
        var, region = self.scopes.var[name], self.scopes.region[name]
        if region is self.scopes.top:
            return
        if not region.loops:
            self.plan.known[name] = self.export(var, region).name
            return
        if not var.type.dims:
            var = self.export(var, region)
            region = self.scopes.region[var.name]
        self.plan.loaded[name] = self.save(var, region)

    def export(self, var: Var, region: Region) -> Var:
        """The value's name outside the arms of Ifs, up to the next loop."""
        while isinstance(region.node, If):
            assert region.parent is not None
            exports = self.plan.exports.setdefault(id(region.node), [])
            result = next((e.result for e in exports if e.var.name == var.name), None)
            if result is None:
                arm = self.scopes.body[id(region.node)].index(region)
                result = self.builder.var(f"{var.name}_saved", var.type)
                exports.append(Export(var, arm, result))
                self.scopes.bind(result, region.parent, Phi(result, var, var), region.node)
            var, region = result, region.parent
        return var

    def save(self, var: Var, region: Region) -> Save:
        for save in self.plan.saves:
            if save.var.name == var.name:
                return save
        for loop in region.loops:
            if isinstance(loop, While) and self.within_test(var.name, loop):
                raise UnsupportedSyntax(
                    "a loop in the test of a `while` cannot be differentiated: let it stand in the body, before an "
                    "`if` with a `break`", loop.span,
                )  # fmt: skip
        counters = {id(n): self.reverse.trips[id(n)][0] for n in region.loops if isinstance(n, While)}
        save = Save(var, region.loops, self.base(var, region), counters)
        self.plan.saves.append(save)
        outermost = region.loops[0]
        if isinstance(outermost, While):
            flat = len(region.loops) == 1 and not var.type.dims
            _, limit = self.plan.bounds.get(id(outermost), (None, FLAT_BOUND))
            bound = self.recipes.trip_bound(outermost)
            self.plan.bounds[id(outermost)] = bound, limit if flat else min(limit, DEEP_BOUND)
        if save.base is not None:
            outer = save.base.var
            self.plan.loaded[outer.name] = self.save(outer, self.scopes.region[outer.name])
        return save

    def within_test(self, name: str, loop: While) -> bool:
        """Is it bound in a loop that stands in the test of another?"""
        region = self.scopes.region[name]
        tests = {id(n) for n in walk(loop.test)}
        return any(id(r.node) in tests for r in region.ancestors() if isinstance(r.node, (For, While)))

    def base(self, var: Var, region: Region) -> Base | None:
        """None if the save array can be rectangular, see Note [Layout of save arrays]."""
        loops, dims = region.loops, var.type.dims
        before = self.scopes.around[id(loops[0])]
        if self.known_at(before, loops[1:], dims):
            return None
        for k in range(1, len(loops)):
            if self.known_at(self.scopes.around[id(loops[k])], loops[k + 1 :], dims):
                key = (id(loops[k]), len(loops), id(loops[-1]), dims)
                return self.make_base(key, loops[:k], loops[k], loops[k + 1 :], dims, None)
        return self.make_base((id(region), dims), loops, None, (), dims, var.name)

    def make_base(self, key: Hashable, loops: tuple[Loop, ...], *rest: Any) -> Base:
        if key not in self.bases:
            var = self.builder.var("base", I64)
            self.scopes.bind(var, self.scopes.body[id(loops[-1])][0], None)
            self.bases[key] = Base(var, loops, *rest)
        return self.bases[key]

    def known_at(self, region: Region, loops: tuple[Loop, ...], dims: tuple[Dim, ...]) -> bool:
        """Are the trip counts of these loops and these sizes known in a region around them?"""
        bounds = [b for loop in loops if isinstance(loop, For) for b in (loop.start, loop.stop)]
        names = [*(b.name for b in bounds if isinstance(b, Var)), *(d for d in dims if isinstance(d, str))]
        return not any(isinstance(loop, While) for loop in loops) and all(
            movable(self.scopes, name, region) for name in names
        )


def movable(scopes: Scopes, name: str, region: Region) -> bool:
    """Can an i64 be computed in a region around the one that it is bound in?"""
    if scopes.region[name].encloses(region):
        return True
    definition = scopes.definition[name]
    return (
        isinstance(definition, Let)
        and definition.var.type == I64
        and definition.op in (add, sub, mul, neg, maximum, minimum)
        and all(isinstance(a, Lit) or movable(scopes, a.name, region) for a in atoms(definition.args))
    )


def _usual_trips(loop: Loop) -> int:
    if isinstance(loop, For) and isinstance(loop.start, Lit) and isinstance(loop.stop, Lit):
        return max(1, int(loop.stop.text) - int(loop.start.text))
    return USUAL_TRIPS


def _superseded(scopes: Scopes) -> set[str]:
    """Versions of arrays that an update in place follows, directly or through phis."""
    found: set[str] = set()
    front: list[str] = []
    before: dict[str, list[str]] = {}
    for name, definition in scopes.definition.items():
        match definition:
            case Let(_, op, (Var(array, _), *_)) if op in (at_set, at_add):
                front.append(array)
            case Phi(_, first, second):
                before[name] = [a.name for a in (first, second) if isinstance(a, Var) and a.type.dims]
    while front:
        name = front.pop()
        if name not in found:
            found.add(name)
            front.extend(before.get(name, ()))
    return found


# -- where a value stands in its save array ---------------------------------------------------------------


def place(b: Builder, save: Save, value: Atom | None = None) -> tuple[Index, Atom | None]:
    """The subscript of a save array, in the names of the loop nest, and the value as it is stored there."""
    dims = save.var.type.dims
    base = save.base
    if base is None:
        ordinals: list[Any] = [_ordinal(b, loop, save) for loop in save.loops]
        return Index((*ordinals, *map(full_slice, dims))), value
    inner = save.loops[len(base.loops) :]
    position: Atom = Lit("0", I64)
    for loop in inner:
        if loop is not inner[0]:
            assert isinstance(loop, For)
            position = b.emit(mul, position, b.emit(sub, loop.stop, loop.start))
        position = b.emit(add, position, _ordinal(b, loop, save))
    if not dims:
        return Index((b.emit(add, base.var, position),)), value
    size = elements(b, dims)
    start = b.emit(add, base.var, b.emit(mul, position, size))
    if value is not None and len(dims) > 1:
        value = b.emit(reshape, value, (size,))
    return Index((Slice(start, b.emit(add, start, size), 1, atom_dim(size)),)), value


def elements(b: Builder, dims: tuple[Dim, ...]) -> Atom:
    return product(b, map(dim_atom, dims))


def product(b: Builder, factors: Iterable[Atom]) -> Atom:
    result: Atom | None = None
    for factor in factors:
        result = factor if result is None else b.emit(mul, result, factor)
    return Lit("1", I64) if result is None else result


def _ordinal(b: Builder, loop: Loop, save: Save) -> Atom:
    return b.emit(sub, loop.index, loop.start) if isinstance(loop, For) else save.counters[id(loop)]


def load(b: Builder, save: Save, array: Var, hint: str) -> Atom:
    """The saved value, in the reverse of the loop nest."""
    dims = save.var.type.dims
    index, _ = place(b, save)
    if save.base is None or len(dims) < 2:
        return b.emit(getitem, array, index, hint=hint)
    return b.emit(reshape, b.emit(getitem, array, index), tuple(map(dim_atom, dims)), hint=hint)


# Note [Layout of save arrays]
# A value that is executed in a nest of loops gets one array, allocated before the outermost of them.
# - Rectangular: the trip counts of the inner loops are known before the nest. The array has one axis per
#   loop and is indexed by the ordinals (index - start). If the outermost loop is a While its trips are not
#   known: the nest is run once before, stripped to what its trip count depends on (dead_code does that).
# - Packed: an inner trip count changes (triangular nests, a While in a loop). The array has one axis and is
#   indexed by base + ordinal; `base` advances by the inner trip count and is itself saved, one integer per
#   execution of the inner loop. The total comes from the stripped nest too.
# Counting is spared where the test says `k < n` of a counter, and n is small: that many are allocated.
# Counting first costs a run of the stripped nest, which is next to nothing where the trip counts come from
# indices, and up to one more forward run where a While is steered by floats. The alternative, a stack that
# grows, needs a type of its own in every stage, and leaves the adjoint with values that are no arrays.
