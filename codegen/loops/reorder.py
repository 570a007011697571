"""Innermost loops whose iterations may run in any order: upwards, with sums that vectorise.

The reverse sweep runs loops backwards, and adds to several elements of one array per iteration. Where no
iteration reads what another writes, the loop runs forwards instead; sums become `radd`; a
sum in one element is a scalar until the loop ends; and several additions to neighbours in one array (a stencil's
adjoint) become one (`carry_neighbours`), or get loops of their own in which the elements are all different
(`distribution_plan`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.affine import Affine, Facts
from ...ir.build import Builder
from ...ir.ops import arith
from ...ir.program import For, If, Let, Node, Phi, Program, Var, While
from ...ir.sizes import TRACED, facts_of
from ..analysis.dependence import Access, Dependence
from ..primitives import radd
from .distribute import distribute
from .distribution_plan import planned


def reorder(program: Program, reassociate: bool = True, carry: bool = True) -> Program:
    """Loop reversal and distribution: innermost loops run upwards, are split, and their sums vectorise.

    Without `reassociate` only sums of cotangents lose their order. Without `carry` no
    outermost loop carries values to the next iterations, so that its iterations can run on several cores.

    >>> from ...ir.text import parse
    >>> print(reorder(parse('''
    ... def f(x: f64[n], y_bar: f64[n]) -> f64[n]:
    ...     n: i64 = dim(x, 0)
    ...     for i in reversed(range(n)):
    ...         x_bar: f64[n] = phi(y_bar, x_bar_1)
    ...         t: f64 = x_bar[i]
    ...         t_1: f64 = t * 2.0
    ...         x_bar_1: f64[n] = x_bar.at[i].set(t_1)
    ...     x_end: f64[n] = last(x_bar)
    ...     return x_end''')))
    def f(x: f64[n], y_bar: f64[n]) -> f64[n]:
        n: i64 = dim(x, 0)
        for i in range(n):
            x_bar: f64[n] = phi(y_bar, x_bar_1)
            t: f64 = x_bar[i]
            t_1: f64 = t * 2.0
            x_bar_1: f64[n] = x_bar.at[i].set(t_1)
        x_end: f64[n] = last(x_bar)
        return x_end
    """
    orders = Orders(program, reassociate, carry)
    body = orders.region(program.body, facts_of(program, orders.deps.form, TRACED))
    return orders.builder.names.written(program, body=body)


class Orders:
    def __init__(self, program: Program, reassociate: bool = True, carry: bool = True):
        self.reassociate = reassociate
        self.carry = carry
        self.depth = 0
        self.builder = Builder()
        self.builder.names = walk.names_of(program)
        self.deps = Dependence()
        self.uses: Counter[str] = Counter(r.name for r in program.results if isinstance(r, Var))
        for node in walk.walk(program.body):
            self.uses.update(walk.used_here(node))
        self.there: set[tuple[Affine, Affine]] = set()  # subscripts known to be less than a size, and >= 0

    def region(self, nodes: Sequence[Node], facts: Facts) -> tuple[Node, ...]:
        written: list[Node] = []
        around = self.there
        self.there = around | self.deps.reached(nodes)
        for node in nodes:
            match node:
                case Let():
                    self.deps.learn(node)
                    written.append(node)
                case For():
                    self.depth += 1
                    node = replace(node, body=self.region(node.body, self.deps.inside(facts, (node,))))
                    self.depth -= 1
                    written += self.loop(node, facts)
                case While():
                    parts = self.region(node.test, facts), self.region(node.body, facts)
                    written.append(replace(node, test=parts[0], body=parts[1]))
                case If():
                    arms = self.region(node.then, facts), self.region(node.orelse, facts)
                    written.append(replace(node, then=arms[0], orelse=arms[1]))
                case _:
                    written.append(node)
        self.there = around
        return tuple(written)

    # -- one loop --------------------------------------------------------------------------------------

    def loop(self, node: For, facts: Facts) -> list[Node]:
        innermost = all(isinstance(inner, Let) for inner in node.body)
        if not (innermost or node.reverse):
            return [node]
        found = self.deps.accesses(node, [p.var.name for p in node.phis if p.var.type.rank])
        if found is None or not all(p.var.type.rank or self.is_sum(p, node) for p in node.phis):
            return [node]

        def commute(access: Access) -> bool:
            return not node.reverse or self.may_move(access.let.var)

        if not self.deps.independent(node, found, facts, commute):
            return [node]
        upwards = self.reassociated(replace(node, reverse=False))
        if not innermost:
            return [upwards]
        plan, certain = planned(self, node, found, facts)
        pieces = distribute(upwards, plan, self.builder, self.deps.form)
        return pieces if certain else self.if_any(upwards, pieces)

    def if_any(self, loop: For, instead: Sequence[Node]) -> list[Node]:
        """What stands for a loop, only if the loop has an iteration."""
        with self.builder.open() as written:
            some = self.builder.emit("lt", loop.start, loop.stop)
            ends = {e.var.name: self.builder.fresh(e.var.name, e.var.name) for e in loop.exits}
            firsts = {p.var: p.first for p in loop.phis}
            phis = tuple(Phi(e.var, Var(ends[e.var.name], e.var.type), firsts[e.phi]) for e in loop.exits)
            self.builder.add(If(some, walk.rename(instead, ends), (), phis, loop.span))
        return list(written)

    def is_sum(self, phi: Phi, node: For) -> bool:
        """Is a scalar that the loop carries a sum, of which nothing is read before the loop has ended?"""
        used = self.uses[phi.var.name] - sum(e.phi == phi.var for e in node.exits)
        if used != 1 or not phi.var.type.is_float or not isinstance(phi.second, Var):
            return False
        if self.uses[phi.second.name] != 1:
            return False  # what has come together so far is read: that depends on the order
        for inner in node.body:
            if isinstance(inner, Let) and inner.var == phi.second:
                if inner.op is not radd and not self.may_move(phi.var):
                    return False
                places = {radd: (0, 1), arith.add: (0, 1), arith.sub: (0,)}.get(inner.op, ())
                return any(inner.args[k] == phi.var for k in places)
            if isinstance(inner, For):
                end = next((e for e in inner.exits if e.var == phi.second), None)
                start = next((p for p in inner.phis if end is not None and p.var == end.phi), None)
                if start is not None:
                    return start.first == phi.var and self.is_sum(start, inner)
        return False

    def may_move(self, var: Var) -> bool:
        """Is the order of this sum free?"""
        return self.reassociate or self.builder.names.is_cotangent(var)

    def reassociated(self, node: For) -> For:
        sums = {p.second.name for p in node.phis if isinstance(p.second, Var) and not p.var.type.rank}
        body: list[Node] = []
        for let in node.body:
            if isinstance(let, Let) and let.var.name in sums:
                if let.op is arith.sub:
                    negative = self.builder.again(let.var)
                    body.append(Let(negative, arith.neg, (let.args[1],), let.span))
                    let = replace(let, args=(let.args[0], negative))
                let = replace(let, op=radd)
            body.append(let)
        return replace(node, body=tuple(body))
