"""What is cheaper to compute again behind the loops than to keep: `data - mean` in a reverse sweep.

`rematerialise_elements` does this for what one line of array operations makes and reads. Here the reader is behind
a loop or branch of the program, where an array that takes one operation on an array that is in memory anyway would
have to be kept.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ...ir import walk
from ...ir.build import Builder
from ...ir.program import Check, Let, Node, Program, Var

CHEAP = 1
"""The cost of an operation, as primitives declare it, up to which it is done again."""


def rematerialise(program: Program) -> Program:
    """Rematerialisation: arrays are computed again behind loops and branches, instead of living through them.

    >>> from ...ir.text import parse
    >>> print(rematerialise(parse('''
    ... def f(x: f64[n, m], w: f64[m], k: i64) -> (f64[m], f64[n, m]):
    ...     n: i64 = dim(x, 0)
    ...     m: i64 = dim(x, 1)
    ...     y: f64[n, m] = x - w
    ...     s: f64[m] = sum(y, axis=(0,))
    ...     for i in range(k):
    ...         a: f64[m] = phi(s, b)
    ...         b: f64[m] = sin(a)
    ...     c: f64[m] = last(a)
    ...     z: f64[n, m] = y * c
    ...     return c, z''')))
    def f(x: f64[n, m], w: f64[m], k: i64) -> (f64[m], f64[n, m]):
        n: i64 = dim(x, 0)
        m: i64 = dim(x, 1)
        y: f64[n, m] = x - w
        s: f64[m] = sum(y, axis=(0,))
        for i in range(k):
            a: f64[m] = phi(s, b)
            b: f64[m] = sin(a)
        c: f64[m] = last(a)
        y_1: f64[n, m] = x - w
        z: f64[n, m] = y_1 * c
        return c, z
    """
    nodes = program.body
    lines = _lines(nodes)
    if len(set(lines)) < 2:
        return program
    readers: dict[str, list[int]] = {}
    results = {r.name for r in program.results if isinstance(r, Var)}
    for k, node in enumerate(nodes):
        for name in {n for inner in walk.walk([node]) for n in walk.used_here(inner)}:
            readers.setdefault(name, []).append(k)
    inputs = {p.name for p in program.params}
    builder = Builder()
    builder.names = walk.names_of(program)
    copies: dict[int, list[Node]] = {}
    names: dict[int, dict[str, str]] = {}  # per node that reads a copy
    for place, let in enumerate(nodes):
        if not isinstance(let, Let) or let.var.name in results or not _cheap(let):
            continue
        at = readers.get(let.var.name, [])
        later = [k for k in at if lines[k] != lines[place]]
        if not later or len(later) == len(at) or len({lines[k] for k in later}) > 1:
            continue
        if not all(isinstance(nodes[k], Let) for k in later):
            continue
        whole = [a for a in let.args if isinstance(a, Var) and Counter(a.type.dims) == Counter(let.var.type.dims)]
        if len(whole) == 1 and (whole[0].name in inputs or max(readers[whole[0].name]) >= later[0]):
            var = builder.again(let.var)
            span = getattr(nodes[later[0]], "span", None)
            again = walk.in_sweep([replace(let, var=var)], "again") if span is not None and span.sweep else ()
            copies.setdefault(later[0], []).extend(again or (replace(let, var=var),))
            for k in later:
                names.setdefault(k, {})[let.var.name] = var.name
    if not copies:
        return program
    body: list[Node] = []
    for k, node in enumerate(nodes):
        body += copies.get(k, [])
        body += walk.rename([node], names[k]) if k in names else [node]
    return builder.names.written(program, body=tuple(body))


def _lines(nodes: tuple[Node, ...]) -> list[int]:
    """In which straight line of operations each node is, counted by the loops and branches before it."""
    result, line = [], 0
    for node in nodes:
        if not isinstance(node, (Let, Check)):
            line += 1
        result.append(line)
    return result


def _cheap(let: Let) -> bool:
    return let.op.elementwise and let.op.cost <= CHEAP and let.var.type.rank > 0 and let.var.type.is_float
