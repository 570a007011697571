"""A loop with free order, divided: what is the same in every iteration leaves it, additions get loops of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..ir import walk
from ..ir.affine import Affine
from ..ir.build import Builder, literal
from ..ir.primitive import REGISTRY
from ..ir.program import Atom, Exit, For, Index, Let, Lit, Node, Operand, Phi, Var
from ..ir.types import I64
from .primitives import radd

WRITES = ("at_set", "at_add")
Form = Callable[[Atom], Affine]


@dataclass(frozen=True)
class Plan:
    """What to take out of an innermost loop.

    lifted   reads of one element, which are done before the loop, and what is computed of them alone
    summed   additions to one element: the loop sums a scalar, which is added behind it
    moved    additions that get a loop of their own
    again    those of them whose loops compute the values themselves; the values of others are kept in an array
    """

    lifted: tuple[Let, ...] = ()
    summed: tuple[Let, ...] = ()
    moved: tuple[Let, ...] = ()
    again: tuple[Let, ...] = ()


def slice_of(value: Var, nodes: Sequence[Node]) -> list[Let]:
    """The operations of a straight line that a value is computed by."""
    needed = {value.name}
    found: list[Let] = []
    for let in reversed(nodes):
        if isinstance(let, Let) and let.var.name in needed:
            found.append(let)
            needed.update(walk.used_here(let))
    return found[::-1]


def split(node: For, plan: Plan, builder: Builder, form: Form) -> list[Node]:
    """The nodes that do what the loop does."""
    if not (plan.lifted or plan.summed or plan.moved):
        return [node]
    with builder.open() as written:
        _Split(node, plan, builder, form).write()
    return list(written)


class _Split:
    def __init__(self, node: For, plan: Plan, builder: Builder, form: Form):
        self.node = node
        self.plan = plan
        self.builder = builder
        self.form = form
        self.bases = {
            let.var.name: let.args[0] for let in node.body if isinstance(let, Let) and let.op.name in WRITES
        }
        self.phis = {p.var.name: p for p in node.phis}
        self.exits = list(node.exits)
        self.values: dict[Atom, Var] = {}  # per value of a moved addition: the array that keeps it
        self.sums: dict[str, Var] = {}  # per summed addition: the sum

    def write(self) -> None:
        node, plan = self.node, self.plan
        for let in plan.lifted:
            if let.op.name == "getitem":
                let = replace(let, args=(self.before(let.args[0]), self.outside(let.args[1])))  # type: ignore[arg-type]
            self.builder.add(let)
        gone = {let.var.name for let in (*plan.lifted, *plan.summed, *plan.moved)}
        behind = self.behind()
        kept = [n for n in node.body if not (isinstance(n, Let) and n.var.name in gone)]
        body = list(walk.substitute(kept, {n: self.current(Var(n, I64)) for n in gone if n in self.bases}))
        phis = [replace(p, second=self.current(p.second)) for p in node.phis]
        body += self.summing(phis) + self.keeping(phis, body)
        body = self.needed(body, phis)
        self.builder.add(replace(node, phis=tuple(phis), body=tuple(body), exits=tuple(self.exits)))
        for name, (here, lets, final) in behind.items():
            for let in lets:
                after = final if let is lets[-1] else self.builder.var(name, final.type)
                self.added(let, here, after)
                here = after

    def needed(self, body: list[Node], phis: list[Phi]) -> list[Node]:
        """The body without what only loops behind use, which compute it themselves."""
        theirs = {n.var.name for let in self.plan.again for n in self.again(let)}
        used = {p.second.name for p in phis if isinstance(p.second, Var)}
        kept: list[Node] = []
        for let in reversed(body):
            if isinstance(let, Let) and let.var.name in theirs - used:
                continue
            kept.append(let)
            used.update(walk.used_here(let))
        return kept[::-1]

    def again(self, let: Let) -> list[Let]:
        """What a loop behind does to compute the value that it adds."""
        assert isinstance(let.args[2], Var)
        return slice_of(let.args[2], [n for n in self.node.body if n not in self.plan.lifted])

    def origin(self, atom: Atom) -> Atom:
        """The phi that a version of an array comes from; other arrays are themselves."""
        while isinstance(atom, Var) and atom.name in self.bases:
            atom = self.bases[atom.name]  # type: ignore[assignment]
        return atom

    def before(self, atom: Atom) -> Atom:
        """What an array is before the loop."""
        atom = self.origin(atom)
        return self.phis[atom.name].first if isinstance(atom, Var) and atom.name in self.phis else atom

    def outside(self, index: Operand) -> Index:
        """A subscript that does not depend on the loop, in terms of names from outside."""
        assert isinstance(index, Index)
        return Index(tuple(self.builder.integer(self.form(item)) for item in index.items))  # type: ignore[arg-type]

    def current(self, atom: Atom) -> Atom:
        """A version of an array without the writes that are gone."""
        gone = {let.var.name for let in (*self.plan.summed, *self.plan.moved)}
        while isinstance(atom, Var) and atom.name in gone:
            atom = self.bases[atom.name]  # type: ignore[assignment]
        return atom

    def behind(self) -> dict[str, tuple[Var, list[Let], Var]]:
        """Per array that is added to behind the loop: its name there, the additions, its final name."""
        result: dict[str, tuple[Var, list[Let], Var]] = {}
        for let in (*self.plan.summed, *self.plan.moved):
            phi = self.origin(let.var)
            assert isinstance(phi, Var)
            if phi.name not in result:
                between = self.builder.var(phi.name, phi.type)
                position = next((k for k, e in enumerate(self.exits) if e.phi == phi), None)
                if position is None:
                    final = self.builder.var(phi.name, phi.type)
                    self.exits.append(Exit(between, phi))
                else:
                    final = self.exits[position].var
                    self.exits[position] = Exit(between, phi)
                result[phi.name] = between, [], final
            result[phi.name][1].append(let)
        return result

    def summing(self, phis: list[Phi]) -> list[Node]:
        """The sums that the loop carries instead of adding to an element."""
        body: list[Node] = []
        for let in self.plan.summed:
            value = let.args[2]
            assert isinstance(value, (Var, Lit))
            carried, after, end = (self.builder.var(f"{let.var.name}_sum", value.type) for _ in range(3))
            op = radd if value.type.is_float else REGISTRY["add"]
            body.append(Let(after, op, (carried, value), let.span))
            phis.append(Phi(carried, literal(0, value.type.dtype), after))
            self.exits.append(Exit(end, carried))
            self.sums[let.var.name] = end
        return body

    def keeping(self, phis: list[Phi], body: list[Node]) -> list[Node]:
        """Stores of the values that loops behind add, one place per iteration."""
        builder, node = self.builder, self.node
        local = {v.name for v in walk.bound(body)}
        size: Atom | None = None
        stores: list[Node] = []
        for let in self.plan.moved:
            value = let.args[2]
            if not isinstance(value, Var) or value.name not in local or value in self.values or let in self.plan.again:
                continue
            if size is None:
                size = builder.integer(self.form(node.stop) - self.form(node.start))
                size = builder.emit("maximum", size, Lit("0", I64)) if isinstance(size, Var) else size
                with builder.open() as position:
                    here = builder.integer(Affine.name(node.index.name) - self.form(node.start))
                stores += position
            dims = (size.name if isinstance(size, Var) else int(size.text),)
            type = value.type.with_dims(dims)
            first, carried, after, end = (builder.var(value.name, type) for _ in range(4))
            builder.add(Let(first, REGISTRY["empty"], ((size,), type.dtype), node.span))
            stores.append(Let(after, REGISTRY["at_set"], (carried, Index((here,)), value), node.span))
            phis.append(Phi(carried, first, after))
            self.exits.append(Exit(end, carried))
            self.values[value] = end
        return stores

    def added(self, let: Let, before: Var, after: Var) -> None:
        """One addition behind the loop."""
        builder, node = self.builder, self.node
        op, index, value = let.op, let.args[1], let.args[2]
        assert isinstance(index, Index) and isinstance(value, (Var, Lit))
        if let.var.name in self.sums:
            builder.add(Let(after, op, (before, self.outside(index), self.sums[let.var.name]), let.span))
            return
        counter = builder.var(node.index.name, I64)
        here = Affine.name(counter.name)
        carried, stored = builder.var(before.name, before.type), builder.var(before.name, before.type)
        with builder.open() as body:
            if let in self.plan.again:
                names = {n.var.name: builder.fresh(n.var.name) for n in self.again(let)}
                for n in walk.rename(self.again(let), names | {node.index.name: counter.name}):
                    builder.add(n)
                value = Var(names.get(value.name, value.name), value.type)  # type: ignore[union-attr]
            elif value in self.values:
                place = builder.integer(here - self.form(node.start))
                read = builder.var("t", value.type)
                builder.add(Let(read, REGISTRY["getitem"], (self.values[value], Index((place,))), let.span))
                value = read
            items = tuple(
                builder.integer(self.form(item).substitute(node.index.name, here))  # type: ignore[arg-type]
                for item in index.items
            )
            builder.add(Let(stored, op, (carried, Index(items), value), let.span))
        phis = (Phi(carried, before, stored),)
        exits = (Exit(after, carried),)
        builder.add(For(counter, node.start, node.stop, False, phis, tuple(body), exits, let.span))
