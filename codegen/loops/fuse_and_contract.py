"""Loops of the same range become one where that spares an array of values that the first hands to the others.

An adjoint of rows and columns (`C[i, i + 1:] = C[i + 1:, i]`) is a loop for each of them, and a vector between. In one
loop that is a scalar. Other arrays must allow it: no iteration of a later loop may touch what another iteration
of an earlier one does. Loops stay apart that add up something or call functions, which vectorise better alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.affine import Affine, Facts
from ...ir.build import literal
from ...ir.ops import arith
from ...ir.ops.index import at_add, at_set, getitem
from ...ir.passes import dead_code
from ...ir.primitive import Kind
from ...ir.program import Atom, Exit, For, If, Index, Let, Lit, Node, Phi, Program, Var, While
from ...ir.sizes import TRACED, facts_of
from .reorder import Orders

CHEAP = 4
"""The cost of operations, as primitives declare it, up to which loops become one."""


def fuse_and_contract(program: Program) -> Program:
    """Loop fusion with array contraction: arrays that only loops of one range hand on become scalars.

    >>> from ...ir.text import parse
    >>> print(fuse_and_contract(parse('''
    ... def f(x: f64[n], y: f64[n]) -> f64[n]:
    ...     n: i64 = dim(x, 0)
    ...     t: f64[n] = empty((n,), f64)
    ...     for i in range(n):
    ...         t1: f64[n] = phi(t, t2)
    ...         a: f64 = x[i]
    ...         b: f64 = a * 2.0
    ...         t2: f64[n] = t1.at[i].set(b)
    ...     t3: f64[n] = last(t1)
    ...     for j in range(n):
    ...         y1: f64[n] = phi(y, y2)
    ...         c: f64 = t3[j]
    ...         y2: f64[n] = y1.at[j].add(c)
    ...     z: f64[n] = last(y1)
    ...     return z''')))
    def f(x: f64[n], y: f64[n]) -> f64[n]:
        n: i64 = dim(x, 0)
        for i in range(n):
            y1: f64[n] = phi(y, y2)
            a: f64 = x[i]
            b: f64 = a * 2.0
            y2: f64[n] = y1.at[i].add(b)
        z: f64[n] = last(y1)
        return z
    """
    while True:
        found = _Contracting(program)
        body = found.region(program.body, facts_of(program, found.orders.deps.form, TRACED))
        if not found.done:
            return program
        program = dead_code(found.orders.builder.names.written(program, body=body))


class _Contracting:
    """Looks for one array at a time: the next one counts anew what is used where."""

    def __init__(self, program: Program):
        self.done = False
        self.orders = Orders(program)
        self.uses = self.orders.uses

    def region(self, nodes: Iterable[Node], facts: Facts) -> tuple[Node, ...]:
        nodes = tuple(nodes)
        for node in nodes:
            if isinstance(node, Let):
                self.orders.deps.learn(node)
        where: dict[str, list[int]] = {}  # which nodes mention a name
        for k, node in enumerate(nodes):
            for name in dict.fromkeys(_mentioned(node)):
                where.setdefault(name, []).append(k)
        written: list[Node] = []
        place, done = 0, False
        while place < len(nodes):
            node = nodes[place]
            if isinstance(node, Let) and node.op.kind is Kind.ALLOCATE and node.var.type.rank == 1:
                parts = self.parts(nodes, place, where)
                fewer = None if parts is None else self.without(nodes, place, parts, facts)
                if parts is not None and fewer is not None:
                    written += fewer
                    place, done = parts[-1] + 1, True
                    continue
            written.append(node)
            place += 1
        if done:
            self.done = True
            return tuple(written)
        for k, node in enumerate(written):
            match node:
                case For() if any(isinstance(inner, (For, If, While)) for inner in node.body):
                    inside = self.orders.deps.inside(facts, (node,))
                    written[k] = replace(node, body=self.region(node.body, inside))
                case While() | If():
                    written[k] = walk.rebuilt(node, lambda inner: self.region(inner, facts))
        return tuple(written)

    def parts(self, nodes: Sequence[Node], place: int, where: Mapping[str, list[int]]) -> list[int] | None:
        """Which nodes are the loops that use the array allocated here; None if something else does."""
        allocation = nodes[place]
        assert isinstance(allocation, Let)
        versions = {allocation.var.name}
        found: list[int] = []
        counted: Counter[str] = Counter()
        places = {k for k in where.get(allocation.var.name, ()) if k > place}
        while places:
            k = min(places)
            places.remove(k)
            node = nodes[k]
            if not isinstance(node, For) or not _plain(node):
                return None
            found.append(k)
            counted.update(_mentioned(node))
            inside = {p.var for p in node.phis if getattr(p.first, "name", "") in versions}
            new = {e.var.name for e in node.exits if e.phi in inside}
            places |= {k_ for name in new for k_ in where.get(name, ()) if k_ > k}
            versions |= new
        if len(found) < 2 or any(self.uses[v] != counted[v] for v in versions):
            return None
        return found

    def without(self, nodes: Sequence[Node], place: int, parts: list[int], facts: Facts) -> list[Node] | None:
        """What stands for the nodes from `place` to the last part: one loop, and no array."""
        allocation = nodes[place]
        assert isinstance(allocation, Let)
        loops = [node for k in parts if isinstance(node := nodes[k], For)]
        between = [nodes[k] for k in range(parts[0], parts[-1]) if k not in parts]
        made = {v.name for loop in loops for v in walk.defined(loop)}
        if any(not isinstance(node, Let) or made & set(_mentioned(node)) for node in between):
            return None
        one = self.fused(loops)
        if one is None or not self.allowed(one, loops, allocation.var, facts):
            return None
        done = self.scalars(one, allocation)
        if done is None:
            return None
        return [*nodes[place + 1 : parts[0]], *between, done]

    def fused(self, loops: Sequence[For]) -> For | None:
        """One loop that does in each iteration what all of these do in theirs."""
        first, *others = loops
        form = self.orders.deps.form
        phis, body, exits = list(first.phis), list(first.body), list(first.exits)
        for loop in others:
            same = form(loop.start) == form(first.start) and form(loop.stop) == form(first.stop)
            if not same or loop.reverse != first.reverse:
                return None
            old = {getattr(p.first, "name", "") for p in phis}
            ended = {e.var.name: e for e in exits}
            now = {p.var.name: p for p in phis}
            values: dict[str, Atom] = {loop.index.name: first.index}
            joined: dict[str, str] = {}  # phis of this loop that go on with one of a loop before
            for phi in loop.phis:
                name = getattr(phi.first, "name", "")
                if name in ended:
                    joined[phi.var.name] = ended[name].phi.name
                elif name in old:
                    return None  # an array from before what the loops before did to it
            reads = {n for node in loop.body for n in _mentioned(node)}
            if reads & old:
                return None
            for name, end in ended.items():
                if name in reads:
                    values[name] = now[end.phi.name].second
                    if any(getattr(p.first, "name", "") == name for p in loop.phis):
                        return None
            values |= {name: now[home].second for name, home in joined.items()}
            if any(self.uses[n] != 1 for n in (getattr(p.first, "name", "") for p in loop.phis) if n in ended):
                return None
            before = {p.first.name: p.var for p in loop.phis if isinstance(p.first, Var) and p.var.name not in joined}
            body = list(walk.substitute(body, before))
            body += walk.substitute(loop.body, values)
            for phi in loop.phis:
                (second,) = (values.get(getattr(phi.second, "name", ""), phi.second),)
                if phi.var.name in joined:
                    k = next(k for k, p in enumerate(phis) if p.var.name == joined[phi.var.name])
                    exits = [e for e in exits if e.phi != phis[k].var]
                    exits += [Exit(e.var, phis[k].var) for e in loop.exits if e.phi == phi.var]
                    phis[k] = Phi(phis[k].var, phis[k].first, second)
                else:
                    phis.append(Phi(phi.var, phi.first, second))
                    exits += [e for e in loop.exits if e.phi == phi.var]
        return replace(first, phis=tuple(phis), body=tuple(body), exits=tuple(exits))

    def allowed(self, one: For, loops: Sequence[For], array: Var, facts: Facts) -> bool:
        """Does no iteration disturb another one of the loop, as it was not before?"""
        deps = self.orders.deps
        part = {v.name: k for k, loop in enumerate(loops) for v in walk.bound(loop.body)}
        arrays = {p.var.name: p for p in one.phis}
        found = deps.accesses(one, arrays)
        if found is None:
            return False
        for name, accesses in found.items():
            if arrays[name].first == array:
                continue
            for k, a in enumerate(accesses):
                for b in accesses[:k]:
                    apart = part[a.let.var.name] != part[b.let.var.name] and {a.kind, b.kind} != {"getitem"}
                    if apart and not deps.never_meet(a, b, one, facts):
                        return False
        return True

    def scalars(self, one: For, allocation: Let) -> For | None:
        """The loop with a scalar for the element of the array that each iteration writes and reads."""
        array = allocation.var
        phi = next((p for p in one.phis if p.first == array), None)
        if phi is None:
            return None
        here = (Affine.name(one.index.name),)
        versions = {phi.var.name}
        zero = literal(0.0, array.type.dtype) if array.type.is_float else None
        value: Atom | None = zero if allocation.op.name == "zeros" else None
        values: dict[str, Atom] = {}
        written: list[Node] = []
        for let in one.body:
            (let,) = walk.substitute([let], values)
            assert isinstance(let, Let)
            base = let.args[0] if let.args else None
            if not isinstance(base, Var) or base.name not in versions:
                written.append(let)
                continue
            index = let.args[1]
            assert isinstance(index, Index)
            if tuple(self.orders.deps.form(i) for i in index.items) != here:  # type: ignore[arg-type]
                return None
            if let.op is getitem:
                if value is None:
                    return None
                values[let.var.name] = value
                continue
            term = let.args[2]
            assert isinstance(term, (Var, Lit))
            if let.op is at_add and value is None:
                return None
            if let.op is at_add and not (value == zero and self.orders.builder.names.is_cotangent(let.var)):
                total = self.orders.builder.again(array, term.type)
                written.append(Let(total, arith.add, (value, term), let.span))
                term = total
            value = term
            versions.add(let.var.name)
        exits = tuple(e for e in one.exits if e.phi != phi.var)
        return replace(one, phis=tuple(p for p in one.phis if p != phi), body=tuple(written), exits=exits)


def _plain(loop: For) -> bool:
    """Nothing but cheap operations on elements, and no sums?"""
    if not all(p.var.type.rank for p in loop.phis):
        return False
    for let in loop.body:
        if not isinstance(let, Let) or let.op.cost > CHEAP:
            return False
        if let.op not in (at_set, at_add):
            if let.var.type.rank:
                return False
        elif let.stored.type.rank:
            return False
    return True


def _mentioned(node: Node) -> Iterable[str]:
    for inner in walk.walk([node]):
        yield from walk.used_here(inner)
