"""Expensive functions that do not wait for what a loop carries are computed ahead of it, where they vectorise.

A recurrence keeps a loop from being vectorised, and with it functions of values that are there before: the cosines in
the reverse sweep of a pendulum's steps. The loop is taken in blocks: a loop of its own computes these functions for a
block, then the recurrence goes through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ...ir import walk
from ...ir.build import Builder
from ...ir.names import Names
from ...ir.ops.index import at_set, getitem
from ...ir.primitive import REGISTRY, Kind
from ...ir.program import Atom, Exit, For, Index, Let, Lit, Node, Phi, Var
from ...ir.types import I64

EXPENSIVE = 10
"""The cost of an operation that is worth it."""
BLOCK = 128
"""How many iterations are computed ahead."""
KEPT = 8
"""How many values per iteration may be."""


def strip_mine_recurrence(loop: For, names: Names, write: Callable[[For], list[Node]]) -> list[Node] | None:
    """The loop in blocks, if there is something to compute ahead; `write` gives the loop over the rest of a block.

    >>> from ...ir.text import parse, show
    >>> p = parse('''
    ... def f(a: f64[n]) -> f64:
    ...     n: i64 = dim(a, 0)
    ...     for i in reversed(range(n)):
    ...         x_bar: f64 = phi(1.0, x_bar_1)
    ...         t: f64 = a[i]
    ...         u: f64 = cos(t)
    ...         x_bar_1: f64 = x_bar * u
    ...     x_bar_2: f64 = last(x_bar)
    ...     return x_bar_2''')
    >>> nodes = strip_mine_recurrence(p.body[1], walk.names_of(p), lambda rest: [rest])
    >>> print(show(replace(p, body=(p.body[0], *nodes))))
    def f(a: f64[n]) -> f64:
        n: i64 = dim(a, 0)
        t_1: i64 = n + 127
        t_2: i64 = t_1 // 128
        for block in reversed(range(t_2)):
            x_bar_3: f64 = phi(1.0, x_bar_4)
            t_3: i64 = block * 128
            t_4: i64 = t_3 + 128
            stop: i64 = minimum(t_4, n)
            u_1: f64[128] = empty((128,), f64)
            for i_1 in range(t_3, stop):
                u_2: f64[128] = phi(u_1, u_5)
                t_5: i64 = i_1 - t_3
                t_6: f64 = a[i_1]
                u_4: f64 = cos(t_6)
                u_5: f64[128] = u_2.at[t_5].set(u_4)
            u_3: f64[128] = last(u_2)
            for i in reversed(range(t_3, stop)):
                x_bar: f64 = phi(x_bar_3, x_bar_1)
                t_7: i64 = i - t_3
                u: f64 = u_3[t_7]
                x_bar_1: f64 = x_bar * u
            x_bar_4: f64 = last(x_bar)
        x_bar_2: f64 = last(x_bar_3)
        return x_bar_2
    """
    known = isinstance(loop.start, Lit) and isinstance(loop.stop, Lit)
    if known and int(loop.stop.text) - int(loop.start.text) < BLOCK:  # type: ignore[union-attr]
        return None
    early = _early(loop)
    if not early:
        return None
    b = Builder()
    b.names = names
    b.span = loop.span
    with b.open() as written:
        length = b.emit("sub", loop.stop, loop.start)
        count = b.emit("floordiv", b.emit("add", length, BLOCK - 1), BLOCK)
        heads = {p.var.name: b.again(p.var) for p in loop.phis}
        ends = {p.var.name: b.again(p.var) for p in loop.phis}
        block = b.var("block", I64)
        with b.open() as body:
            first = b.emit("add", loop.start, b.emit("mul", block, BLOCK), hint="first")
            stop = b.emit("minimum", b.emit("add", first, BLOCK), loop.stop, hint="stop")
            memory = _first_loop(b, loop, early, first, stop)
            rest: list[Node] = []
            with b.open() as reads:
                place = b.emit("sub", loop.index, first)
            rest += reads
            for node in loop.body:
                assert isinstance(node, Let)
                if node in early:
                    node = Let(node.var, getitem, (memory[node.var.name], Index((place,))), node.span)
                rest.append(node)
            phis = tuple(replace(p, first=heads[p.var.name]) for p in loop.phis)
            exits = tuple(Exit(ends[p.var.name], p.var) for p in loop.phis)
            for node in write(
                For(loop.index, first, stop, loop.reverse, phis, _alive(rest, phis), exits, loop.span)
            ):
                b.add(node)
        outer = tuple(Phi(heads[p.var.name], p.first, ends[p.var.name]) for p in loop.phis)
        last = tuple(Exit(e.var, heads[e.phi.name]) for e in loop.exits)
        b.add(For(block, Lit("0", I64), count, loop.reverse, outer, tuple(body), last, loop.span))
    return list(written)


def _first_loop(b: Builder, loop: For, early: list[Let], first: Atom, stop: Atom) -> dict[str, Var]:
    """The loop that computes the values of a block; the arrays that have them."""
    index = b.var(loop.index.name, I64)
    env: dict[str, Atom] = {loop.index.name: index}
    needed = {let.var.name for let in early}
    kept: list[Node] = []
    for node in reversed(loop.body):
        assert isinstance(node, Let)
        if node.var.name in needed:
            needed.update(walk.used_here(node))
            kept.append(node)
    phis, exits = [], []
    memory: dict[str, Var] = {}
    fresh = []
    for let in early:
        type = let.var.type.with_dims((BLOCK,))
        start, carried, end = (b.again(let.var, type) for _ in range(3))
        b.add(Let(start, REGISTRY["empty"], ((Lit(str(BLOCK), I64),), type.dtype), loop.span))
        fresh.append((start, carried))
        memory[let.var.name] = end
        exits.append(Exit(end, carried))
    with b.open() as body:
        place = b.emit("sub", index, first)
        walk.copy_nodes(b, reversed(kept), env)
        for let, (start, carried) in zip(early, fresh):
            stored = b.emit(at_set, carried, Index((place,)), env[let.var.name], hint=carried.name, of=carried.name)
            phis.append(Phi(carried, start, stored))
    b.span = loop.span
    b.add(For(index, first, stop, False, tuple(phis), tuple(body), tuple(exits), loop.span))
    return memory


def _alive(nodes: list[Node], phis: tuple[Phi, ...]) -> tuple[Node, ...]:
    """What the loop still needs."""
    needed = {p.second.name for p in phis if isinstance(p.second, Var)}
    kept: list[Node] = []
    for node in reversed(nodes):
        assert isinstance(node, Let)
        if node.var.name in needed:
            needed.update(walk.used_here(node))
            kept.append(node)
    return tuple(reversed(kept))


def _early(loop: For) -> list[Let]:
    """The expensive operations that do not depend on what the loop carries, and that what does depend on it uses."""
    if not all(isinstance(n, Let) and not n.var.type.rank or _writes(n) for n in loop.body):
        return []
    if not any(_waits(p, loop) for p in loop.phis):
        return []
    moving = {p.var.name for p in loop.phis}
    early: dict[str, Let] = {}
    for node in loop.body:
        assert isinstance(node, Let)
        if moving & set(walk.used_here(node)):
            moving.add(node.var.name)
        elif node.op.cost >= EXPENSIVE and node.op.elementwise and node.var.type.is_float:
            early[node.var.name] = node
    needed = {p.second.name for p in loop.phis if isinstance(p.second, Var)}
    found: list[Let] = []
    for node in reversed(loop.body):
        assert isinstance(node, Let)
        if node.var.name in needed:
            if node.var.name in early:
                found.append(node)
            else:
                needed.update(walk.used_here(node))
    return found[::-1] if len(found) <= KEPT else []


def _writes(node: Node) -> bool:
    return isinstance(node, Let) and node.op.kind is Kind.WRITE and not node.stored.type.rank


def _waits(phi: Phi, loop: For) -> bool:
    """Is it a number that each iteration needs from the one before, not a sum?"""
    if phi.var.type.rank or not phi.var.type.is_float:
        return False
    uses = Counter(name for n in loop.body for name in walk.used_here(n))
    last = next((n for n in loop.body if isinstance(n, Let) and n.var == phi.second), None)
    summed = last is not None and (last.op.name == "add" or last.op.name == "sub" and last.args[0] == phi.var)
    return not (summed and last is not None and phi.var in last.args and uses[phi.var.name] == 1)
