"""Loop invariants: what an iteration would compute again is computed once, before the loop.

Sizes leave loops, so that buffers of these sizes can leave them too, and so does what costs much. Cheap numbers stay on
the line where the user has them (LLVM moves them), and so do cheap arrays, which are read as fast as they are computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..primitive import Trait
from ..program import For, Index, Let, Node, Program, While
from ..sizes import TRACED, Sizes, facts_of
from ..types import I64
from ..walk import Nodes, bound, rebuilt, used_here, walk

HEAVY = 10
"""The cost of a transcendental function."""


def invariant(program: Program) -> Program:
    """Loop-invariant code motion: heavy invariants, sizes, and what they are computed from, leave loops.

    >>> from ..text import parse
    >>> print(invariant(parse('''
    ... def f(x: f64[n], c: f64, k: i64) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     for i in range(k):
    ...         s: f64 = phi(0.0, b)
    ...         t: f64 = c * 2.0
    ...         d: f64 = exp(t)
    ...         v: f64 = x[i]
    ...         a: f64 = d * v
    ...         b: f64 = s + a
    ...     y: f64 = last(s)
    ...     return y''')))
    def f(x: f64[n], c: f64, k: i64) -> f64:
        n: i64 = dim(x, 0)
        t: f64 = c * 2.0
        d: f64 = exp(t)
        for i in range(k):
            s: f64 = phi(0.0, b)
            v: f64 = x[i]
            a: f64 = d * v
            b: f64 = s + a
        y: f64 = last(s)
        return y
    """
    sizes = Sizes()
    for node in walk(program.body):
        if isinstance(node, Let):
            sizes.let(node)
    facts = facts_of(program, sizes.form, TRACED)
    return replace(program, body=_hoisted(program.body, lambda size: facts.proves(sizes.form(size))))


def _hoisted(nodes: Nodes, possible: Callable[[str], bool]) -> Nodes:
    written: list[Node] = []
    for node in nodes:
        node = rebuilt(node, lambda body: _hoisted(body, possible))
        if isinstance(node, (For, While)):
            moved = _movable(node, possible)
            written += [n for n in node.body if id(n) in moved]
            node = replace(node, body=tuple(n for n in node.body if id(n) not in moved))
        written.append(node)
    return tuple(written)


def _movable(loop: For | While, possible: Callable[[str], bool]) -> set[int]:
    """The lines of a loop's body, by identity, that are the same in every iteration and worth moving.

    A size that may be negative where the loop does not run stays, with what depends on it.
    """
    local = {p.var.name for p in loop.phis} | {v.name for v in bound(loop.body)}
    if isinstance(loop, For):
        local.add(loop.index.name)
    else:
        local |= {v.name for v in bound(loop.test)}
    sizes = {d for v in bound(loop.body) for d in v.type.dims if isinstance(d, str)}
    invariants: dict[str, Let] = {}
    for node in loop.body:
        if isinstance(node, Let) and _total(node) and not set(used_here(node)) & local:
            name = node.var.name
            if name not in sizes or possible(name):
                invariants[name] = node
                local.remove(name)
    wanted = [v for v, let in invariants.items() if v in sizes or let.op.cost >= HEAVY]
    moved: dict[str, Let] = {}
    while wanted:
        name = wanted.pop()
        if name in invariants and name not in moved:
            moved[name] = invariants[name]
            wanted += used_here(moved[name])
    return {id(let) for let in moved.values()}


def _total(let: Let) -> bool:
    """May it run where the loop would not have run? Subscripts and integer division may only behind their checks."""
    if let.op.allocates or let.op.has(Trait.RAISES) or any(isinstance(a, Index) for a in let.args):
        return False
    return not (let.var.type == I64 and let.op.has(Trait.DIVIDES))

