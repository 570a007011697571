"""A loop with free order, divided: what is the same in every iteration leaves it, additions get loops of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...ir import walk
from ...ir.affine import Affine
from ...ir.build import Builder, literal
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Exit, For, If, Index, Let, Lit, Node, Operand, Phi, Var
from ...ir.types import BOOL, I64
from ..primitives import radd
from .carry_neighbours import Line

Form = Callable[[Atom], Affine]


@dataclass(frozen=True)
class Plan:
    """What to take out of an innermost loop.

    lifted   reads of one element, which are done before the loop, and what is computed of them alone
    summed   additions to one element: the loop sums a scalar, which is added behind it
    moved    additions that get a loop of their own
    again    those of them whose loops compute the values themselves; the values of others are kept in an array
    lines    additions to elements side by side, which become one
    runs     does the loop surely run?
    """

    lifted: tuple[Let, ...] = ()
    summed: tuple[Let, ...] = ()
    moved: tuple[Let, ...] = ()
    again: tuple[Let, ...] = ()
    lines: tuple[Line, ...] = ()
    runs: bool = False


def slice_of(value: Var, nodes: Sequence[Node]) -> list[Let]:
    """The operations of a straight line that a value is computed by."""
    needed = {value.name}
    found: list[Let] = []
    for let in reversed(nodes):
        if isinstance(let, Let) and let.var.name in needed:
            found.append(let)
            needed.update(walk.used_here(let))
    return found[::-1]


def distribute(node: For, plan: Plan, builder: Builder, form: Form) -> list[Node]:
    """The nodes that do what the loop does."""
    if not (plan.lifted or plan.summed or plan.moved or plan.lines):
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
            let.var.name: let.args[0] for let in node.body if isinstance(let, Let) and let.op.writes
        }
        self.phis = {p.var.name: p for p in node.phis}
        self.exits = list(node.exits)
        self.values: dict[Atom, Var] = {}  # per value of a moved addition: the array that keeps it
        self.sums: dict[str, Var] = {}  # per summed addition: the sum
        # Per value that is carried, and what it starts from: what it was one, two, ... trips ago.
        self.before_now: dict[tuple[Atom, Lit], list[Var]] = {}
        self.carrying: list[Phi] = []
        self.ends: dict[Var, Var] = {}  # what is carried, when the loop has ended
        position = {n.var.name: k for k, n in enumerate(node.body) if isinstance(n, Let)}
        # The last addition of a line stands for all of it.
        last = [max((let.var.name for let, _ in line.lets), key=position.__getitem__) for line in plan.lines]
        self.whole = dict(zip(last, plan.lines))
        self.gone = {let.var.name for let in (*plan.summed, *plan.moved)}
        self.gone |= {let.var.name for line in plan.lines for let, _ in line.lets} - self.whole.keys()

    def write(self) -> None:
        node, plan = self.node, self.plan
        for let in plan.lifted:
            if let.op.name == "getitem":
                let = replace(let, args=(self.before(let.args[0]), self.outside(let.args[1])))  # type: ignore[arg-type]
            self.builder.add(let)
        gone = self.gone | {let.var.name for let in plan.lifted}
        behind = self.behind()
        body: list[Node] = []
        for n in node.body:
            if isinstance(n, Let) and n.var.name in self.whole:
                body += self.at_once(n, self.whole[n.var.name])
            elif not (isinstance(n, Let) and n.var.name in gone):
                body.append(n)
        body = list(walk.substitute(body, {n: self.current(Var(n, I64)) for n in gone if n in self.bases}))
        phis = [replace(p, second=self.current(p.second)) for p in node.phis] + self.carrying
        body += self.summing(phis) + self.keeping(phis, body)
        body = self.needed(body, phis)
        self.builder.add(replace(node, phis=tuple(phis), body=tuple(body), exits=tuple(self.exits)))
        for name, (here, steps, final) in behind.items():
            for step in steps:
                after = final if step is steps[-1] else self.builder.var(name, final.type, name)
                if isinstance(step, Line):
                    self.rest(step, here, after)
                else:
                    self.added(step, here, after)
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
        while isinstance(atom, Var) and atom.name in self.gone:
            atom = self.bases[atom.name]  # type: ignore[assignment]
        return atom

    def behind(self) -> dict[str, tuple[Var, list[Let | Line], Var]]:
        """Per array that is added to behind the loop: its name there, the additions, its final name."""
        result: dict[str, tuple[Var, list[Let | Line], Var]] = {}
        steps: list[Let | Line] = [*self.plan.lines, *self.plan.summed, *self.plan.moved]
        for step in steps:
            phi = self.origin(step.lets[0][0].var if isinstance(step, Line) else step.var)
            assert isinstance(phi, Var)
            if phi.name not in result:
                between = self.builder.again(phi)
                position = next((k for k, e in enumerate(self.exits) if e.phi == phi), None)
                if position is None:
                    final = self.builder.again(phi)
                    self.exits.append(Exit(between, phi))
                else:
                    final = self.exits[position].var
                    self.exits[position] = Exit(between, phi)
                result[phi.name] = between, [], final
            result[phi.name][1].append(step)
        return result

    # -- additions side by side ------------------------------------------------------------------------

    def at_once(self, last: Let, line: Line) -> tuple[Node, ...]:
        """All that one element gets, added where the last of it is known."""
        with self.builder.open() as written:
            self.builder.span = last.span
            values = [self.carried(let, lag) if lag else let.args[2] for let, lag in line.lets]
            total = self.sum_of(values)  # type: ignore[arg-type]
            self.builder.add(replace(last, args=(last.args[0], line.lets[0][0].args[1], total)))
        return tuple(written)

    def sum_of(self, values: Sequence[Atom]) -> Atom:
        total, *others = values
        for value in others:
            total = self.builder.emit("add", total, value)
        return total

    def carried(self, let: Let, lag: int) -> Var:
        """What this addition added some trips before; nothing if there were none, which is -0.0 in a user's own sum."""
        value: Atom = let.args[2]  # type: ignore[assignment]
        nothing = self.nothing(let)
        chain = self.before_now.setdefault((value, nothing), [])
        while len(chain) < lag:
            hint = value.name if isinstance(value, Var) else "t"
            var = self.builder.var(f"{hint}_before", value.type)
            end = self.builder.var(f"{hint}_before", value.type)
            self.carrying.append(Phi(var, nothing, chain[-1] if chain else value))
            self.exits.append(Exit(end, var))
            self.ends[var] = end
            chain.append(var)
        return chain[lag - 1]

    def nothing(self, let: Let) -> Lit:
        """What an addition may start from: -0.0 + v is v, whatever its sign. Of cotangents that does not matter."""
        type = let.stored.type
        minus = type.is_float and not self.builder.names.is_cotangent(let.var)
        return literal(-0.0 if minus else 0, type.dtype)

    def rest(self, line: Line, before: Var, after: Var) -> None:
        """What the last trips of the loop have not added yet."""
        builder, node = self.builder, self.node
        runs = Lit("True", BOOL) if self.plan.runs else builder.emit("lt", node.start, node.stop)
        with builder.open() as body:
            here = before
            items = line.lets[0][0].args[1].items  # type: ignore[union-attr]
            for k in range(1, line.longest + 1):
                trip = self.form(node.stop) + (k - 1)
                place = (self.form(i).substitute(node.index.name, trip) for i in items)  # type: ignore[arg-type]
                index = Index(tuple(builder.integer(form) for form in place))
                ends = [self.ends[self.carried(let, lag - k + 1)] for let, lag in line.lets if lag >= k]
                value = self.sum_of(ends)
                last = self.plan.runs and k == line.longest
                now = after if last else builder.again(after)
                builder.add(Let(now, line.lets[0][0].op, (here, index, value), node.span))
                here = now
        if self.plan.runs:
            for inner in body:
                builder.add(inner)
        else:
            builder.add(If(runs, tuple(body), (), (Phi(after, here, before),), node.span))

    # -- sums, and loops of their own --------------------------------------------------------------------

    def summing(self, phis: list[Phi]) -> list[Node]:
        """The sums that the loop carries instead of adding to an element."""
        body: list[Node] = []
        for let in self.plan.summed:
            value = let.args[2]
            assert isinstance(value, (Var, Lit))
            carried, after, end = (self.builder.var(f"{let.var.name}_sum", value.type, let.var.name) for _ in range(3))
            op = radd if value.type.is_float else REGISTRY["add"]
            body.append(Let(after, op, (carried, value), let.span))
            phis.append(Phi(carried, self.nothing(let), after))
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
            first, carried, after, end = (builder.again(value, type) for _ in range(4))
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
        carried, stored = builder.again(before), builder.again(before)
        with builder.open() as body:
            if let in self.plan.again:
                names = {n.var.name: builder.fresh(n.var.name, n.var.name) for n in self.again(let)}
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
