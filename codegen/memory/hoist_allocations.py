"""Allocations leave loops: a buffer that lives for one iteration is made once, before the loop.

The loop carries it through all iterations; what is in it at the start of one does not matter, since every
element is written before it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.build import Builder
from ...ir.primitive import Kind
from ...ir.program import Exit, For, If, Let, Node, Phi, Program, Var, While, atoms


def hoist_allocations(program: Program) -> Program:
    """Hoisting of allocations: a buffer that lives for one iteration is made once, before the loop.

    >>> from ...ir.text import parse
    >>> print(hoist_allocations(parse('''
    ... def f(n: i64, k: i64) -> f64:
    ...     for i in range(k):
    ...         s: f64 = phi(0.0, b)
    ...         t: f64[n] = empty((n,), f64)
    ...         t1: f64[n] = t.at[0].set(s)
    ...         b: f64 = t1[0]
    ...     s_end: f64 = last(s)
    ...     return s_end''')))
    def f(n: i64, k: i64) -> f64:
        t: f64[n] = empty((n,), f64)
        for i in range(k):
            s: f64 = phi(0.0, b)
            t_1: f64[n] = phi(t, t1)
            t1: f64[n] = t_1.at[0].set(s)
            b: f64 = t1[0]
        s_end: f64 = last(s)
        return s_end
    """
    hoister = _Hoister(program)
    body = tuple(hoister.region(program.body))
    return hoister.builder.names.written(program, body=body)


class _Hoister:
    def __init__(self, program: Program):
        self.builder = Builder()
        self.builder.names = walk.names_of(program)
        self.consumed = Counter(r.name for r in program.results if isinstance(r, Var))
        for node in walk.walk(program.body):
            if isinstance(node, Let) and (node.op.writes or node.op.kind in (Kind.VIEW, Kind.COPY)):
                self.consumed[node.array.name] += 1
            if isinstance(node, (For, While, If)):
                self.consumed.update(
                    a.name for p in node.phis for a in (p.first, p.second) if isinstance(a, Var)
                )

    def region(self, nodes: Sequence[Node]) -> list[Node]:
        written: list[Node] = []
        for node in nodes:
            match node:
                case For():
                    written += self.loop(replace(node, body=tuple(self.region(node.body))))
                case While():
                    test, body = tuple(self.region(node.test)), tuple(self.region(node.body))
                    written.append(replace(node, test=test, body=body))
                case If():
                    arms = tuple(self.region(node.then)), tuple(self.region(node.orelse))
                    written.append(replace(node, then=arms[0], orelse=arms[1]))
                case _:
                    written.append(node)
        return written

    def loop(self, node: For) -> list[Node]:
        """The loop, after the allocations that leave it."""
        before: list[Node] = []
        bound = {v.name for v in walk.bound(node.body)} | {p.var.name for p in node.phis} | {node.index.name}
        for let in node.body:
            if isinstance(let, Let) and let.op.name == "empty":
                sizes = {a.name for a in atoms(let.args) if isinstance(a, Var)}
                found = None if sizes & bound else self.followed(node.body, let)
                if found is not None:
                    body, last = found
                    carried = self.builder.again(let.var)
                    body = walk.substitute(body, {let.var.name: carried})
                    node = replace(node, body=body, phis=(*node.phis, Phi(carried, let.var, last)))
                    self.consumed[let.var.name] = self.consumed[last.name] = 1
                    before.append(let)
        return [*before, node]

    def followed(self, nodes: Sequence[Node], let: Let) -> tuple[tuple[Node, ...], Var] | None:
        """The body without the allocation, and the buffer's name at its end; None if it does not stay in it."""
        here = let.var
        written: list[Node] = []
        started = False
        for node in nodes:
            if isinstance(node, Let) and node.var == let.var:
                started = True
                continue
            if started and self.uses(node, here):
                if isinstance(node, Let) and node.op.writes and node.args[0] == here:
                    if self.consumed[here.name] != 1:
                        return None
                    here = node.var
                elif isinstance(node, For) and any(p.first == here for p in node.phis):
                    if self.consumed[here.name] != 1:
                        return None
                    phi = next(p for p in node.phis if p.first == here)
                    end = next((e for e in node.exits if e.phi == phi.var), None)
                    if end is None:
                        end = Exit(self.builder.again(phi.var), phi.var)
                        node = replace(node, exits=(*node.exits, end))
                    here = end.var
            written.append(node)
        return (tuple(written), here) if not self.consumed[here.name] else None

    def uses(self, node: Node, var: Var) -> bool:
        return var.name in walk.free([node])
