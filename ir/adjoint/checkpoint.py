"""Checkpointing: which loops are done again by the reverse sweep, in parts, instead of saving what they compute.

The adjoint is planned twice: as always, which tells the loops whose save arrays grow with their trips; and for the
program in which those are cut (segments.py). A loop stays as it is if what it carries would take about as much memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..build import Builder
from ..ops.index import getitem
from ..program import Exit, For, Let, Node, Program, Var, While
from ..walk import used_here, walk
from .recipes import product_of
from .recompute import Around, Binomial, Segment
from .reverse_sweep import Bars, Reverse
from .save import USUAL_TRIPS, Planner
from .scopes import Loop
from .segments import counted, segmented, with_loops
from .slots import slotted

Schedule = str | int | None
"""None, "sqrt", "binomial", or a number of slots."""

ROOT = int(USUAL_TRIPS**0.5)

Reversal = Callable[[Reverse, For, Bars], None]


@dataclass
class Part:
    """A loop that is cut."""

    loop: Loop
    inner: For
    """What is reversed in another way."""
    carried: Mapping[str, int]
    """By the names of what is kept of its state, about how many elements that are in all."""
    saved: int
    """About how many elements are saved at a time, besides."""
    kept: int
    """About how many it would save without being cut."""
    make: Callable[[Around], Reversal]
    slots: tuple[tuple[Var, Var], ...] = ()
    """What it carries that is kept in slots: the value, and its array."""


@dataclass
class Cut:
    """A program with the loops that are cut, and how these are reversed."""

    program: Program
    parts: list[Part] = field(default_factory=list)
    reread: dict[str, Let] = field(default_factory=dict)

    def reversals(self, around: Around) -> Mapping[int, Reversal]:
        return {id(part.inner): part.make(around) for part in self.parts}

    def wasted(self, nodes: Iterable[Node]) -> set[int]:
        """The loops, by identity, for which a reverse sweep of these nodes needs too much of what they carry."""
        used = {name for node in walk(nodes) for name in used_here(node)}
        return {
            id(part.loop)
            for part in self.parts
            if part.saved + sum(size for name, size in part.carried.items() if name in used) >= part.kept
        }


def checkpointed(p: Program, planner: Planner, schedule: str | int, left: set[int]) -> Cut:
    """The program with its outermost loops cut that save something in arrays, but for those `left`, by identity."""
    kept: dict[int, int] = {}
    loops: dict[int, Loop] = {}
    for save in planner.plan.saves:
        loop = save.loops[0]
        if id(loop) not in left:
            loops[id(loop)] = loop
            kept[id(loop)] = kept.get(id(loop), 0) + planner.weight(save.var.name)
    cut = Cut(p)
    exits = {key: _reread(planner, loop, cut.reread) for key, loop in loops.items()}

    def rewrite(b: Builder, loop: Loop) -> None:
        whole: Loop = replace(loop, exits=(*loop.exits, *exits[id(loop)]))
        flat = counted(b, whole) if isinstance(whole, While) else whole
        least = kept[id(loop)]
        if schedule == "sqrt":
            inner = segmented(b, flat)
            starts = [phi.first for phi in inner.phis if isinstance(phi.first, Var)]
            carried = {v.name: ROOT * _elements(v) for v in starts}
            cut.parts.append(Part(loop, inner, carried, least // ROOT, least, Segment))
        else:
            found = slotted(b, flat, schedule)
            count = ROOT if isinstance(schedule, str) else min(schedule, ROOT)
            carried = {v.name: count * _elements(p.var) for v, p in zip(found.left, found.flat.phis)}
            make = functools.partial(Binomial, slotted=found)
            slots = tuple(zip((phi.var for phi in found.flat.phis), found.left))
            cut.parts.append(Part(loop, found.loop, carried, least // USUAL_TRIPS, least, make, slots))

    if loops:
        cut.program = with_loops(p, list(loops.values()), rewrite)
    return cut


def _elements(var: Var) -> int:
    """About how many elements it has."""
    return product_of(d if isinstance(d, int) else USUAL_TRIPS for d in var.type.dims)


def _reread(planner: Planner, loop: Loop, found: dict[str, Let]) -> list[Exit]:
    """Note which elements of arrays the loop done again can read from an array outside; gives exits that this needs."""
    scopes, recipes = planner.scopes, planner.recipes
    outside = scopes.around[id(loop)]
    exits: dict[str, Exit] = {}
    for node in walk((loop,)):
        if not isinstance(node, Let) or node.op is not getitem or not isinstance(node.args[0], Var):
            continue
        array = recipes.reread.element(node.array.name, node.subscript, scopes.region[node.var.name])
        if array is None or not scopes.region[array.name].encloses(outside):
            continue
        if any(isinstance(d, str) and not scopes.region[d].encloses(outside) for d in array.type.dims):
            continue
        found[node.var.name] = replace(node, args=(array, *node.args[1:]))
        if array.name in recipes.new_exits:
            exits[array.name] = recipes.new_exits[array.name][1]
    return list(exits.values())
