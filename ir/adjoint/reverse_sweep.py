"""The reverse sweep: for every node of the forward sweep, backwards, what its derivative rule says.

Comes in: a program and what is active in it. Goes out: nodes that still use the forward sweep's names
freely, those of loop bodies too; save.py decides how the values get there. Loops become loops over the same
range in the other direction that carry the cotangents of their phis, and one accumulator for each outer
value that is used inside. An update in place (`x_bar.at[i].add(v)`) goes straight into the accumulator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..build import Builder, atom_dim
from ..calls import called_again, require_own
from ..errors import UnsupportedFunction
from ..ops.arith import CONVERT
from ..ops.array import full_slice, unbroadcast, zeros
from ..ops.index import getitem
from ..ops.masked import strong_mul
from ..primitive import Ref
from ..program import Atom, Call, Check, Exit, For, If, Index, Let, Lit, Node, Phi, Var, While
from ..types import I64, Dim, Type
from ..walk import free, map_type, used_here
from .activity import Activity, differentiated, operands, touched
from .scopes import Loop, Scopes

Update = Callable[[Ref], Ref]
"""Adds to a cotangent in place: the cotangent so far -> the new one."""


@dataclass
class Cotangent:
    """What has come in for a value so far: a sum, and updates that wait for a sum they can go into."""

    value: Ref | None = None
    later: list[Update] = field(default_factory=list)


Bars = dict[str, Cotangent]


@dataclass
class Reverse:
    """Writes the reverse sweep into `builder`."""

    scopes: Scopes
    flow: Activity
    builder: Builder
    hints: dict[str, str] = field(default_factory=dict)
    """What the values written here should be called in the end."""
    reversed: list[tuple[Node, Node]] = field(default_factory=list)
    """Reverse loops and Ifs, each with the forward node it reverses."""
    trips: dict[int, tuple[Var, Var]] = field(default_factory=dict)
    """By the id of a While: its trip counter inside, and the number of trips behind it."""
    at_hand: dict[str, Var] = field(default_factory=dict)
    """Local integers of the forward sweep that the reverse sweep has anyway: indices, counters, sizes."""
    extra_exits: dict[int, list[Exit]] = field(default_factory=dict)
    """By the id of a loop: exits that the reverse sweep needs and the forward sweep does not have yet."""
    special: Mapping[int, Callable[[Reverse, Any, Bars], None]] = field(default_factory=dict)
    """By the id of a loop or a call: how it is reversed, if not as others are."""

    # -- cotangents ------------------------------------------------------------------------------------

    def add(self, bars: Bars, target: Atom, bar: Ref | Update) -> None:
        """Add a contribution to a value's cotangent."""
        if not isinstance(target, Var) or target.name not in self.flow.active:
            return
        total = bars.setdefault(target.name, Cotangent())
        if not isinstance(bar, Ref):
            if total.value is None:
                total.later.append(bar)
            else:
                total.value = self.updated(target, total.value, bar)
        elif total.value is None:
            total.value = bar
            for update in total.later:
                total.value = self.updated(target, total.value, update)
            total.later.clear()
        else:
            total.value = self.called(target, total.value + bar)

    def updated(self, target: Var, value: Ref, update: Update) -> Ref:
        return self.called(target, update(value))

    def called(self, target: Var, bar: Ref) -> Ref:
        """Name a value just written after the value whose cotangent it is."""
        if isinstance(bar.atom, Var) and bar.type != I64:
            self.hints.setdefault(bar.atom.name, f"{target.name}_bar")
            self.builder.names.cotangents.add(bar.atom.name)
        return bar

    def total(self, bars: Bars, target: Var) -> Ref | None:
        """The cotangent of a value, None if nothing came in."""
        cotangent = bars.get(target.name)
        if cotangent is None:
            return None
        if cotangent.value is None:
            self.add(bars, target, self.zero(target))
        return cotangent.value

    def zero(self, target: Var) -> Ref:
        """A zero cotangent; an array is made here and now."""
        if not target.type.dims:
            return self.builder.ref(0, target.type.dtype)
        shape = Ref(self.builder, target).shape
        return self.called(target, Ref(self.builder, self.builder.emit(zeros, shape, target.type.dtype)))

    def total_or_zero(self, bars: Bars, target: Var) -> Ref:
        total = self.total(bars, target)
        return self.zero(target) if total is None else total

    def fresh_bar(self, target: Var, type: Type | None = None) -> Var:
        bar = self.builder.var(f"{target.name}_bar", type or target.type)
        self.builder.names.cotangents.add(bar.name)
        return bar

    # -- nodes -----------------------------------------------------------------------------------------

    def nodes(self, nodes: Sequence[Node], bars: Bars) -> None:
        for node in reversed(nodes):
            self.builder.span = getattr(node, "span", None)
            match node:
                case Let():
                    self.let(node, bars)
                case Call():
                    self.special.get(id(node), Reverse.call)(self, node, bars)
                case For() | While():
                    self.special.get(id(node), Reverse.loop)(self, node, bars)
                case If():
                    self.branch(node, bars)
                case Check():
                    pass  # what it guards has happened

    def let(self, let: Let, bars: Bars) -> None:
        y_bar = self.total(bars, let.var) if let.var.name in self.flow.active else None
        bars.pop(let.var.name, None)
        if y_bar is None:
            return
        before = len(self.builder.region)
        if let.span is not None:
            self.builder.span = replace(let.span, sweep=let.op.name)
        try:
            pulled = self.pull(let, y_bar)
        except UnsupportedFunction as error:
            raise UnsupportedFunction(error.bare_message, error.span or let.span) from None
        written = {n.var.name for n in self.builder.region[before:] if isinstance(n, Let)}
        for operand, bar in pulled:
            if isinstance(bar, Ref) and isinstance(bar.atom, Var) and bar.atom.name in written:
                self.called(operand, bar)
            self.add(bars, operand, bar)

    def pull(self, let: Let, y_bar: Ref) -> list[tuple[Var, Ref | Update]]:
        """The contributions to the active operands, in the operands' dtypes and shapes."""
        op = let.op
        wanted = [u for u in operands(let) if u.name in self.flow.active]
        if not wanted:
            return []
        refs = [o if k in op.static or k in op.sizes else self.reference(o) for k, o in enumerate(let.args)]
        y = Ref(self.builder, let.var)
        pulled: list[tuple[Var, Ref | Update]] = []
        if op.partials is not None:
            for operand, partial in zip(let.args, op.partials):
                if partial is NotImplemented and operand in wanted:
                    raise op.no_derivative(operand)
                if partial is not None and operand in wanted:
                    bar = self.times(y_bar, partial(*refs, y), let.var.name in self.flow.strong)
                    pulled.append((operand, self.fitted(bar, operand, True)))
            return pulled
        assert op.vjp is not None
        for operand, bar in _pairs(let.args, op.vjp(y_bar, y, *refs)):
            if operand not in wanted or bar is None:
                continue
            if bar is NotImplemented:
                raise op.no_derivative(operand)
            pulled.append((operand, self.fitted(bar, operand, op.elementwise)))
        return pulled

    def call(self, node: Call, bars: Bars) -> None:
        """A call of the backward half of a rule, which takes what the forward half kept."""
        function, results = node.function, differentiated(node)
        totals = [self.total(bars, v) if v.name in self.flow.active else None for v in results]
        for v in results:
            bars.pop(v.name, None)
        if all(total is None for total in totals):
            return
        assert function.pull is not None, "a rule has its halves before it is used"
        require_own(node, self.flow.active)
        if node.span is not None:
            self.builder.span = replace(node.span, sweep=function.name)
        seeds = [self.zero(v) if total is None else total for v, total in zip(results, totals)]
        values = [*node.args, *node.vars, *(seed.atom for seed in seeds)]
        pulled = called_again(self.builder, function.pull, values)
        for operand, bar in zip(node.args[: function.count], pulled):
            if isinstance(operand, Var) and operand.name in self.flow.active:
                self.add(bars, operand, self.called(operand, Ref(self.builder, bar)))

    def reference(self, operand: Any) -> Any:
        if isinstance(operand, (Var, Lit)):
            return Ref(self.builder, operand)
        return tuple(map(self.reference, operand)) if isinstance(operand, tuple) else operand

    def times(self, y_bar: Ref, partial: Ref | float, strong: bool) -> Ref:
        if isinstance(partial, (int, float)):
            if partial in (1.0, -1.0):
                return y_bar if partial == 1.0 else -y_bar
            return y_bar * partial
        return strong_mul(y_bar, partial) if strong else y_bar * partial

    def fitted(self, bar: Ref | Update, operand: Var, broadcast: bool) -> Ref | Update:
        """A contribution in the dtype of the operand, and where the operation broadcasts, in its shape."""
        if not isinstance(bar, Ref):
            return bar
        ref: Ref = bar
        if ref.type.dtype != operand.type.dtype:
            ref = CONVERT[operand.type.dtype](ref)
        dims, wanted = ref.type.dims, operand.type.dims
        same = len(dims) == len(wanted) and all(map(self.builder.same_dim, dims, wanted))
        return unbroadcast(ref, operand.type) if broadcast and not same else ref

    def resized(self, bar: Ref, operand: Atom) -> Ref:
        """The cotangent of a phi whose sizes differ between its operands, with the sizes of this one."""
        if all(map(self.builder.same_dim, bar.type.dims, operand.type.dims)):
            return bar
        part = Index(tuple(map(full_slice, operand.type.dims)))
        return Ref(self.builder, self.builder.emit(getitem, bar, part, type=operand.type))

    # -- regions ---------------------------------------------------------------------------------------

    def loop(self, node: Loop, bars: Bars) -> None:
        """For: the same range in the other direction. While: over its trips, which are counted."""
        b = self.builder
        exits = {e.phi.name: e.var for e in node.exits}
        phis = [p for p in node.phis if p.var.name in self.flow.active]
        if not any(p.var.name in exits and exits[p.var.name].name in bars for p in phis):
            return
        outer = list(touched(node, self.flow.active).values())
        sizes = self.sizes(node, phis, exits)
        entry = [self.entry(bars, p.var, exits, sizes) for p in phis]
        first = [self.total_or_zero(bars, u) for u in outer]
        here = {name: size.var.name for name, size in sizes.items()}
        carried = [self.fresh_bar(p.var, renamed_type(p.var.type, here)) for p in phis]
        sums = [self.fresh_bar(u) for u in outer]
        index, start, stop, backwards = self.range_of(node)
        with b.open() as written:
            inner = {u.name: Cotangent(Ref(b, v)) for u, v in zip(outer, sums)}
            for phi, bar in zip(phis, carried):
                self.add(inner, phi.second, self.resized(Ref(b, bar), phi.second))
            self.nodes(node.body, inner)
            if isinstance(node, While):
                self.nodes(node.test, inner)
            seconds = [self.total_or_zero(inner, u).atom for u in (*outer, *(p.var for p in phis))]
            body = pruned(written, {a.name for a in seconds if isinstance(a, Var)})
        joined = [Phi(v, f.atom, s) for v, f, s in zip((*sums, *carried), (*first, *entry), seconds)]
        targets = [*outer, *(p.first for p in phis)]
        ends = [
            (target, Exit(self.fresh_bar(target), phi.var))
            for target, phi in zip(targets, joined)
            if isinstance(target, Var) and target.name in self.flow.active
        ]
        b.span = node.span
        loop_phis = (*sizes.values(), *joined)
        loop = For(index, start, stop, backwards, loop_phis, body, tuple(e for _, e in ends), node.span)
        self.place(loop, node)
        for u in outer:
            bars.pop(u.name, None)
        for target, end in ends:
            self.add(bars, target, Ref(b, end.var))

    def entry(self, bars: Bars, phi: Var, exits: dict[str, Var], sizes: dict[str, Phi]) -> Ref:
        """What the cotangent of a phi starts from: the cotangent of its exit."""
        exit = exits.get(phi.name)
        total = self.total(bars, exit) if exit is not None else None
        if exit is not None:
            bars.pop(exit.name, None)
        if total is not None:
            return total
        ends = {name: atom_dim(size.first) for name, size in sizes.items()}
        return self.zero(Var(phi.name, renamed_type(phi.type, ends)))

    def sizes(self, node: Loop, phis: list[Phi], exits: dict[str, Var]) -> dict[str, Phi]:
        """Sizes that change from trip to trip (phis of this loop in the types of others), run backwards."""
        b = self.builder
        own = {p.var.name: p for p in node.phis if p.var.type == I64}
        result: dict[str, Phi] = {}
        for dim in dict.fromkeys(d for p in phis for d in p.var.type.dims if d in own):
            assert isinstance(dim, str)
            if dim not in exits:
                exits[dim] = b.var(dim, I64)
                exit = Exit(exits[dim], own[dim].var)
                self.extra_exits.setdefault(id(node), []).append(exit)
                self.scopes.bind(exit.var, self.scopes.around[id(node)], exit, node)
            size = Phi(b.var(dim, I64), exits[dim], own[dim].var)
            after = own[dim].second
            if isinstance(after, Var) and self.scopes.region[after.name] is self.scopes.region[dim]:
                self.at_hand.setdefault(after.name, size.var)
                b.unify(size.var.name, b.affine(after))
            result[dim] = size
        return result

    def range_of(self, node: Loop) -> tuple[Var, Atom, Atom, bool]:
        b = self.builder
        if isinstance(node, For):
            index = b.var(node.index.name, I64)
            self.at_hand[node.index.name] = index
            return index, node.start, node.stop, not node.reverse
        counter, trips = b.var("trip", I64), b.var("trips", I64)
        self.trips[id(node)] = counter, trips
        self.scopes.bind(counter, self.scopes.body[id(node)][0], node)
        self.scopes.bind(trips, self.scopes.around[id(node)], Exit(trips, counter), node)
        index = b.var("trip", I64)
        self.at_hand[counter.name] = index
        return index, Lit("0", I64), trips, True

    def place(self, node: Node, forward: Node) -> None:
        self.builder.add(node)
        self.reversed.append((node, forward))

    def branch(self, node: If, bars: Bars) -> None:
        """Both arms reversed. The cotangents of outer values go through both and are joined behind."""
        b = self.builder
        incoming = []
        for phi in node.phis:
            bar = self.total(bars, phi.var) if phi.var.name in self.flow.active else None
            bars.pop(phi.var.name, None)
            if bar is not None:
                incoming.append((phi, bar))
        if not incoming:
            return
        outer = list(touched(node, self.flow.active).values())
        arms: list[tuple[Node, ...]] = []
        ends: list[list[Atom]] = []
        for k, nodes in enumerate((node.then, node.orelse)):
            with b.open() as written:
                inner: Bars = {}
                for u in outer:
                    if u.name in bars and bars[u.name].value is not None:
                        inner[u.name] = Cotangent(bars[u.name].value)
                for phi, bar in incoming:
                    operand = (phi.first, phi.second)[k]
                    self.add(inner, operand, self.resized(bar, operand))
                self.nodes(nodes, inner)
                ends.append([self.total_or_zero(inner, u).atom for u in outer])
                arms.append(pruned(written, {a.name for a in ends[-1] if isinstance(a, Var)}))
        b.span = node.span
        for u, then, orelse in zip(outer, *ends):
            # Both arms passed the same on (`s + a` and `s - a` give s the cotangent of the phi).
            if then == orelse and (then != Lit("0.0", then.type) or u.name in bars):
                bars.setdefault(u.name, Cotangent()).value = None
                self.add(bars, u, Ref(b, then))
        changed = [(u, then, orelse) for u, then, orelse in zip(outer, *ends) if then != orelse]
        if not changed:
            return
        joined = [Phi(self.fresh_bar(u), then, orelse) for u, then, orelse in changed]
        self.place(If(node.cond, arms[0], arms[1], tuple(joined), node.span), node)
        for (u, _, _), phi in zip(changed, joined):
            bars.setdefault(u.name, Cotangent()).value = None
            self.add(bars, u, Ref(b, phi.var))


def renamed_type(type: Type, dims: Mapping[str, Dim]) -> Type:
    return map_type(type, lambda d: dims.get(d, d) if isinstance(d, str) else d)


def _pairs(args: Any, bars: Any) -> list[tuple[Var, Any]]:
    """Operands with their cotangents, those in tuples too."""
    pairs: list[tuple[Var, Any]] = []
    for arg, bar in zip(args, bars):
        if isinstance(arg, Var):
            pairs.append((arg, bar))
        elif isinstance(arg, tuple) and bar is not None and not isinstance(arg, Index):
            pairs.extend(_pairs(arg, bar))
    return pairs


def pruned(nodes: list[Node], live: set[str]) -> tuple[Node, ...]:
    """The nodes of one region without operations that nothing uses. Loops and Ifs stay."""
    live = set(live)
    kept: list[Node] = []
    for node in reversed(nodes):
        if isinstance(node, Let):
            if node.var.name not in live:
                continue
            live.update(used_here(node))
        elif isinstance(node, Call):
            if live.isdisjoint(v.name for v in node.vars):
                continue
            live.update(used_here(node))
        else:
            live |= free((node,))
        kept.append(node)
    return tuple(reversed(kept))
