"""The reverse sweep of what is done again: a part of the program is run once more with saving, and then reversed.

What is saved in it lives no longer than that. The part is taken as a program of its own, whose parameters are the
values from around that it uses; for the program around, these are values that its reverse sweep mentions, as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..affine import Facts
from ..build import Builder
from ..names import Names
from ..passes.dead_code import dead_code
from ..program import Atom, Check, For, Let, Node, Program, Var
from ..walk import Nodes, bound, free, rebuilt, rename, walk
from .activity import Activity
from .forward_sweep import Forward
from .restore import restored
from .reverse_sweep import Bars, Reverse, pruned
from .save import Planner, Save
from .scopes import scopes_of


@dataclass
class Around:
    """What the parts that are done again need to know of the program that they are in."""

    knowing: Callable[[Names], Builder]
    """A builder that knows the integers of the program."""
    facts: Facts
    reread: Mapping[str, Let]
    """How some elements are read again, from an array outside of the part."""
    saved: list[tuple[Save, Forward]] = field(default_factory=list)
    """What parts save."""


def copied(outer: Reverse, nodes: Iterable[Node]) -> tuple[Nodes, dict[str, str]]:
    """The nodes under new names, without checks, which have held before; and the names."""
    nodes = _without_checks(nodes)
    names = {v.name: outer.builder.fresh(v.name, v.name) for v in bound(nodes)}
    return rename(nodes, names), names


def _without_checks(nodes: Iterable[Node]) -> Nodes:
    return tuple(rebuilt(node, _without_checks) for node in nodes if not isinstance(node, Check))


def activity_of(flow: Activity, names: Mapping[str, str]) -> Activity:
    """The same for a copy under new names."""
    active = flow.active | {names[n] for n in flow.active if n in names}
    return Activity(active, flow.strong | {names[n] for n in flow.strong if n in names})


def reversed_again(
    outer: Reverse,
    around: Around,
    nodes: Nodes,
    names: Mapping[str, str],
    bars: Bars,
    ends: Callable[[Reverse], Sequence[Atom]],
    others: Mapping[str, Var],
) -> None:
    """Write the nodes, which are a copy, with what they save, and their reverse sweep.

    ends     called when their cotangents have been pulled back: what is read of them afterwards
    others   the types of values that the nodes use, besides those of the program around
    """
    b = outer.builder
    instead = {names[n]: let for n, old in around.reread.items() if n in names for let in rename((old,), names)}
    used = (free(nodes) | free(instead.values())) - {v.name for v in bound(nodes)}
    params = tuple(others[n] if n in others else outer.scopes.var[n] for n in sorted(used))
    scopes = scopes_of(Program("again", params, nodes, ()))
    for node in walk(nodes):
        if isinstance(node, Let):
            b.know(node, in_scope=False)
    reverse = Reverse(scopes, activity_of(outer.flow, names), b, outer.hints)
    with b.open() as written:
        reverse.nodes(nodes, bars)
        results = tuple(ends(reverse))
    live = {a.name for a in results if isinstance(a, Var)}
    pulled = pruned(written, live)
    # Cotangents go to what the program reads; its values are read where they are at hand.
    scopes.definition.update(instead)
    facts = around.facts.copy()
    plan = Planner(scopes, reverse, b, facts).run(pulled)
    builder = around.knowing(b.names)
    builder.facts = facts
    forward = Forward(scopes, builder, plan, plan.threads(), reverse.trips, reverse.extra_exits, instead)
    forward.nodes(nodes)
    restoring = around.knowing(b.names)
    for node in walk(nodes):
        if isinstance(node, Let):
            restoring.know(node, in_scope=scopes.region[node.var.name] is scopes.top)
    pulled = restored(pulled, reverse, forward, restoring)
    around.saved += ((save, forward) for save in plan.saves)
    b.region.extend(dead_code(Program("again", params, (*builder.region, *pulled), results)).body)


@dataclass
class Segment:
    """The reverse of a loop over a segment: the loop again, and then its reverse."""

    around: Around

    def __call__(self, outer: Reverse, loop: For, bars: Bars) -> None:
        exits = [e for e in loop.exits if e.var.name in bars]
        if not exits:
            return
        nodes, names = copied(outer, (loop,))
        bars.update({names[e.var.name]: bars.pop(e.var.name) for e in exits})
        reversed_again(outer, self.around, nodes, names, bars, lambda reverse: _totals(reverse, bars), {})


def _totals(reverse: Reverse, bars: Bars) -> list[Atom]:
    return [bar.value.atom for bar in bars.values() if bar.value is not None]
