"""A cotangent that was kept apart from the array it belongs to goes back into it.

What `B[1:-1] = v` stored and a later line read at the same place is `v` itself: so the cotangent of `v` is the sum of
what that line gives and of what lies in `B_bar[1:-1]`. If the line adds to other parts of `B_bar` anyway (a stencil
with its centre), adding there too is free, and the first term needs no memory of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from ...ir import walk
from ...ir.build import Builder
from ...ir.ops import arith
from ...ir.ops.index import at_add, at_set, getitem
from ...ir.program import Let, Lit, Node, Program, Var


def merge_cotangents(program: Program) -> Program:
    """A cotangent that was kept apart from the array it belongs to is added up in it (store forwarding).

    >>> from ...ir.text import parse
    >>> print(merge_cotangents(parse('''
    ... def f(x: f64[n], a: f64[m]) -> (f64[n], f64[m]):
    ...     n: i64 = dim(x, 0)
    ...     m: i64 = n - 2
    ...     k: i64 = n - 1
    ...     y: f64[n] = x.at[2:n].add(a)
    ...     t: f64[m] = y[1:k]
    ...     z: f64[n] = y.at[1:k].set(0.0)
    ...     s: f64[m] = a + t
    ...     return z, s''')))
    def f(x: f64[n], a: f64[m]) -> (f64[n], f64[m]):
        n: i64 = dim(x, 0)
        m: i64 = n - 2
        k: i64 = n - 1
        y: f64[n] = x.at[2:n].add(a)
        y_1: f64[n] = y.at[1:k].add(a)
        s: f64[m] = y_1[1:k]
        z: f64[n] = y_1.at[1:k].set(0.0)
        return z, s
    """
    uses = Counter(r.name for r in program.results if isinstance(r, Var))
    for node in walk.walk(program.body):
        uses.update(walk.used_here(node))
    builder = Builder()
    builder.names = walk.names_of(program)
    body = _region(program.body, uses, builder)
    return builder.names.written(program, body=body)


def _region(nodes: walk.Nodes, uses: Counter[str], builder: Builder) -> walk.Nodes:
    nodes = tuple(walk.rebuilt(node, lambda body: _region(body, uses, builder)) for node in nodes)
    lets = {node.var.name: node for node in nodes if isinstance(node, Let)}
    new: dict[int, tuple[Node, ...]] = {}
    for node in nodes:
        for a, read in _sums(node, lets, uses):
            x = read.args[0]
            zero = next((z for z in lets.values() if z.op is at_set and z.args[0] == x), None)
            if zero is None or zero.args[1] != read.args[1] or zero.args[2] != Lit("0.0", read.var.type.with_dims(())):
                continue
            if uses[x.name] != 2 or id(zero) in new or a not in _added(x, lets):  # type: ignore[union-attr]
                continue
            assert isinstance(node, Let) and isinstance(x, Var)
            joined = builder.again(x)
            first, second = sorted((read, zero), key=nodes.index)
            new[id(node)] = ()
            for let in (first, second):
                new[id(let)] = (replace(let, args=(joined, *let.args[1:]), var=node.var if let is read else let.var),)
            new[id(first)] = (Let(joined, at_add, (x, read.args[1], a), node.span), *new[id(first)])
            break
    return tuple(written for node in nodes for written in new.get(id(node), (node,)))


def _sums(node: Node, lets: dict[str, Let], uses: Counter[str]) -> Iterator[tuple[Var, Let]]:
    """A term, and the reading of a part of an array that is the other one and is used for nothing else."""
    if not (isinstance(node, Let) and node.op is arith.add and node.var.type.rank):
        return
    for a, t in (node.args, node.args[::-1]):
        read = lets.get(t.name) if isinstance(t, Var) and uses[t.name] == 1 else None
        if read is not None and read.op is getitem and isinstance(a, Var) and a.type == t.type:  # type: ignore[union-attr]
            yield a, read


def _added(x: object, lets: dict[str, Let]) -> Iterator[Var]:
    """What was added to this array just before."""
    while isinstance(x, Var) and x.name in lets and lets[x.name].op is at_add:
        yield lets[x.name].args[2]  # type: ignore[misc]
        x = lets[x.name].args[0]
