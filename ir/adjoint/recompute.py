"""The reverse sweep of what is done again: a part of the program is run once more with saving, and then reversed.

What is saved in it lives no longer than that. The part is taken as a program of its own, whose parameters are the
values from around that it uses; for the program around, these are values that its reverse sweep mentions, as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..affine import Facts
from ..build import Builder, dim_atom
from ..names import Names
from ..ops.arith import add, eq, sub, where
from ..ops.array import again
from ..ops.index import getitem
from ..passes.dead_code import dead_code
from ..primitive import Ref
from ..program import Atom, Call, Check, Exit, For, Index, Let, Lit, Node, Phi, Program, Var
from ..types import F64, I64
from ..walk import Nodes, bound, free, inline, rebuilt, rename, used_atoms, walk
from .activity import Activity, activity, touched
from .forward_sweep import Forward
from .restore import restored
from .reverse_sweep import Bars, Cotangent, Reverse, pruned
from .rules import Split, with_halves
from .save import Planner, Save
from .scopes import scopes_of
from .segments import ZERO
from .slots import Slotted, Stack, next_mark, popped, pushed, variable


@dataclass
class Around:
    """What the parts that are done again need to know of the program that they are in."""

    knowing: Callable[[Names], Builder]
    """A builder that knows the integers of the program."""
    facts: Facts
    reread: Mapping[str, Let]
    """How some elements are read again, from an array outside of the part."""
    split: Split
    """split_adjoint, for rules."""
    saved: list[tuple[Save, Forward]] = field(default_factory=list)
    """What parts save."""


def copied(
    outer: Reverse, nodes: Iterable[Node], values: Mapping[str, str] | None = None
) -> tuple[Nodes, dict[str, str]]:
    """The nodes under new names, without checks, which have held before; and the names.

    `values` are names of what is put in place of values that the nodes use.
    """
    nodes = _without_checks(nodes)
    names = {**(values or {}), **{v.name: outer.builder.fresh(v.name, v.name) for v in bound(nodes)}}
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
    begin: Callable[[Reverse], None] = lambda reverse: None,
    flow: Activity | None = None,
) -> None:
    """Write the nodes, which are a copy, with what they save, and their reverse sweep.

    ends     called when their cotangents have been pulled back: what is read of them afterwards
    begin    called before: gives what the nodes compute the cotangents that come from outside
    flow     what is active in the nodes; None: what is so in the nodes that they are a copy of
    """
    b = outer.builder
    instead = {
        names[name]: let
        for name, old in around.reread.items() if name in names
        for let in rename((old,), names) if isinstance(let, Let)
    }  # fmt: skip
    used = (free(nodes) | free(instead.values())) - {v.name for v in bound(nodes)}
    uses = {a.name: a for n in walk((*nodes, *instead.values())) for a in used_atoms(n) if isinstance(a, Var)}
    params = tuple(uses.get(name) or Var(name, I64) for name in sorted(used))  # else it is a size
    scopes = scopes_of(Program("again", params, nodes, ()))
    for node in walk(nodes):
        if isinstance(node, Let):
            b.know(node, in_scope=False)
    flow = flow or activity_of(outer.flow, names)
    reverse = Reverse(scopes, flow, b, outer.hints, special=calls_again(around, nodes))
    with b.open() as written:
        begin(reverse)
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
        reversed_again(outer, self.around, nodes, names, bars, lambda reverse: _totals(reverse, bars))


def _totals(reverse: Reverse, bars: Bars) -> list[Atom]:
    return [bar.value.atom for bar in bars.values() if bar.value is not None]


@dataclass
class Binomial:
    """The reverse of a loop that keeps its state in slots."""

    around: Around
    slotted: Slotted

    def __call__(self, outer: Reverse, loop: For, bars: Bars) -> None:
        b, flat = outer.builder, self.slotted.flat
        active = outer.flow.active
        exits = {e.phi.name: e.var for e in flat.exits}
        phis = [p for p in flat.phis if p.var.name in active]
        if not any(p.var.name in exits and exits[p.var.name].name in bars for p in phis):
            return
        used = list(touched(flat, active).values())
        entry = [outer.entry(bars, p.var, exits, {}) for p in phis]
        first = [outer.total_or_zero(bars, u) for u in used]
        sums, carried = [outer.fresh_bar(u) for u in used], [outer.fresh_bar(p.var) for p in phis]
        index = b.var(flat.index.name, I64)
        stack = tuple(variable(b, v) for v in self.slotted.left)
        with b.open() as written:
            state, after = self.state_at(b, index, stack)
            inner: Bars = {u.name: Cotangent(Ref(b, v)) for u, v in zip(used, sums)}
            names = dict(zip((p.var.name for p in flat.phis), (v.name for v in state)))
            nodes, names = copied(outer, flat.body, {**names, flat.index.name: index.name})
            renamed = {p.var.name: _renamed(p.second, names) for p in phis}
            seconds: list[Atom] = []

            def begin(reverse: Reverse) -> None:
                for phi, bar in zip(phis, carried):
                    reverse.add(inner, renamed[phi.var.name], Ref(b, bar))

            def ends(reverse: Reverse) -> list[Atom]:
                at = [*used, *(Var(names[p.var.name], p.var.type) for p in phis)]
                seconds.extend(reverse.total_or_zero(inner, u).atom for u in at)
                return seconds

            reversed_again(outer, self.around, nodes, names, inner, ends, begin)
        joined = [Phi(v, f.atom, s) for v, f, s in zip((*sums, *carried), (*first, *entry), seconds)]
        stacked = [Phi(v, f, s) for v, f, s in zip(stack, self.slotted.left, after)]
        targets = [*used, *(p.first for p in phis)]
        left = [
            (target, Exit(outer.fresh_bar(target), phi.var))
            for target, phi in zip(targets, joined)
            if isinstance(target, Var) and target.name in active
        ]
        body, results = tuple(written), tuple(e for _, e in left)
        whole = For(index, ZERO, flat.stop, True, (*joined, *stacked), body, results, loop.span)
        b.region.extend(dead_code(Program("again", (), (whole,), tuple(e.var for e in results))).body)
        for u in used:
            bars.pop(u.name, None)
        for target, exit in left:
            outer.add(bars, target, Ref(b, exit.var))

    def state_at(self, b: Builder, index: Var, left: tuple[Var, ...]) -> tuple[list[Var], list[Atom]]:
        """Run from the latest slot to the trip `index`: the state before it, and the stack afterwards."""
        flat, slots = self.slotted.flat, self.slotted.slots
        *snapshots, places, top = left
        last = b.emit(sub, top, 1)
        start = b.emit(getitem, places, Index((last,)))
        values = popped(b, snapshots, last, flat.phis)
        end = b.emit(add, index, 1)
        mark = next_mark(b, start, b.emit(sub, end, start), b.emit(sub, slots, last))
        entry = Stack((*snapshots,), places, top, mark)
        stack = Stack.of(tuple(variable(b, atom) for atom in entry.atoms))
        state = [b.again(phi.var) for phi in flat.phis]
        trip = b.var(flat.index.name, I64)
        names = {phi.var.name: v.name for phi, v in zip(flat.phis, state)} | {flat.index.name: trip.name}
        with b.open() as body:
            after = pushed(b, b.emit(eq, trip, stack.mark), stack, state, trip, end, slots)
            copy = _replaced(_without_checks(flat.body), self.around.reread)
            names |= {v.name: b.fresh(v.name, v.name) for v in bound(copy)}
            body += rename(copy, names)
        phis = [Phi(v, f, _renamed(p.second, names)) for v, f, p in zip(state, values, flat.phis)]
        phis += [Phi(v, f, s) for v, f, s in zip(stack.atoms, entry.atoms, after.atoms)]  # type: ignore[arg-type]
        exits = [Exit(b.again(phi.var), phi.var) for phi in phis]
        b.add(For(trip, start, index, False, tuple(phis), tuple(body), tuple(exits), flat.span))
        here = [e.var for e in exits[: len(state)]]
        *parts, top, _ = (e.var for e in exits[len(state) :])
        done = b.emit(eq, start, index)  # then that slot has served
        return here, [*parts, b.emit(where, done, b.emit(sub, top, 1), top)]


def _replaced(nodes: Iterable[Node], instead: Mapping[str, Let]) -> Nodes:
    return tuple(
        instead.get(node.var.name, node) if isinstance(node, Let) else rebuilt(node, lambda n: _replaced(n, instead))
        for node in nodes
    )


def _renamed(atom: Atom, names: Mapping[str, str]) -> Atom:
    return Var(names.get(atom.name, atom.name), atom.type) if isinstance(atom, Var) else atom


@dataclass
class Again:
    """The reverse of a call of a function that is done again."""

    around: Around

    def __call__(self, outer: Reverse, node: Call, bars: Bars) -> None:
        b, active = outer.builder, outer.flow.active
        totals = [(k, outer.total(bars, v)) for k, v in enumerate(node.vars) if v.name in active and v.name in bars]
        for v in node.vars:
            bars.pop(v.name, None)
        if not totals:
            return
        b.span = node.span
        first = next((total.atom for _, total in totals if total is not None), Lit("1.0", F64))
        stand: dict[str, Atom] = {}
        for arg in node.args:
            if isinstance(arg, Var):
                anew = arg.type.dims and arg.name not in stand
                stand.setdefault(arg.name, b.emit(again, arg, first, hint=arg.name, type=arg.type) if anew else arg)
        with b.open() as written:
            results = inline(b, node.function.program, [stand.get(getattr(a, "name", ""), a) for a in node.args])
            written[:] = _without_checks(written)
            for before, result in zip(node.vars, results):
                _equal_sizes(b, before, result)
        sources = [v.name for name, v in stand.items() if name in active and isinstance(v, Var)]
        ends_at = [r.name for k, _ in totals if isinstance(r := results[k], Var)]
        program = Program("again", (), tuple(written), ())
        program = with_halves(program, sources, ends_at, self.around.split, b.names)
        masked = not outer.flow.strong.isdisjoint(node.vars[k].name for k, _ in totals)
        flow = activity(program, sources, ends_at, masked)
        inner: Bars = {v.name: bars.pop(n) for n, v in stand.items() if n in bars and isinstance(v, Var)}

        def begin(reverse: Reverse) -> None:
            for k, total in totals:
                if total is not None:
                    reverse.add(inner, results[k], total)

        def ends(reverse: Reverse) -> list[Atom]:
            found = [reverse.total(inner, v) for v in stand.values() if isinstance(v, Var)]
            return [ref.atom for ref in found if ref is not None]

        reversed_again(outer, self.around, program.body, {}, inner, ends, begin, flow)
        bars.update({n: inner[v.name] for n, v in stand.items() if isinstance(v, Var) and v.name in inner})


def _equal_sizes(b: Builder, before: Var, now: Atom) -> None:
    """What a function computes again has the sizes that it had: said by a check, which holds."""
    for size, same in zip(before.type.dims, now.type.dims):
        if isinstance(same, str) and not b.same_dim(size, same):
            b.check(b.emit(eq, dim_atom(size), dim_atom(same)), "guard: what is computed again has the same size")
            b.unify(same, b.affine(size))


def calls_again(around: Around, nodes: Iterable[Node]) -> dict[int, Again]:
    """How calls of functions that are done again are reversed, by the identity of the calls."""
    calls = (node for node in walk(nodes) if isinstance(node, Call) and node.function.rule is not None)
    return {id(call): Again(around) for call in calls if call.function.rule is not None and call.function.rule.again}
