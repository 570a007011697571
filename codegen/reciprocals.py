"""Divisions in the adjoint's own arithmetic become multiplications, where the reciprocal is there already.

`y = x / w` has the derivatives `1 / w` and `-y / w`. Where w is smaller than y, as the scales of columns are, the
second is a division for each element, and takes longer than all else that is done with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from ..ir import walk
from ..ir.ops import arith
from ..ir.program import Let, Lit, Node, Program, Var

PRODUCTS = ("mul", "strong_mul")


def reciprocals(program: Program) -> Program:
    """The program with products by 1 / w for quotients by w that only cotangents are multiplied by.

    >>> from ..ir.text import parse
    >>> print(reciprocals(parse('''
    ... def f(y: f64[n, m], w: f64[m], y_bar: f64[n, m]) -> (f64[n, m], f64[m]):
    ...     n: i64 = dim(y, 0)
    ...     m: i64 = dim(y, 1)
    ...     r: f64[m] = 1.0 / w
    ...     x_bar: f64[n, m] = y_bar * r
    ...     a: f64[n, m] = -y
    ...     b: f64[n, m] = a / w
    ...     c: f64[n, m] = y_bar * b
    ...     w_bar: f64[m] = sum(c, axis=(0,))
    ...     return x_bar, w_bar''', {"y_bar"})))
    def f(y: f64[n, m], w: f64[m], y_bar: f64[n, m]) -> (f64[n, m], f64[m]):
        n: i64 = dim(y, 0)
        m: i64 = dim(y, 1)
        r: f64[m] = 1.0 / w
        x_bar: f64[n, m] = y_bar * r
        a: f64[n, m] = -y
        b: f64[n, m] = a * r
        c: f64[n, m] = y_bar * b
        w_bar: f64[m] = sum(c, axis=(0,))
        return x_bar, w_bar
    """
    quotients = {
        node.var.name
        for node in walk.walk(program.body)
        if isinstance(node, Let) and node.op is arith.div and _larger(node) and not _users(node)
    }
    if not quotients:
        return program
    for node in walk.walk(program.body):
        quotients -= {name for name in walk.used_here(node) if not _by_cotangent(node, name, program.cotangents)}
    quotients -= {r.name for r in program.results if isinstance(r, Var)}
    return replace(program, body=_region(program.body, quotients, {}))


def _users(let: Let) -> bool:
    """Is it the user's own arithmetic, as far as is known?"""
    return let.span is not None and let.span.sweep in ("", "count", "again")


def _larger(let: Let) -> bool:
    """Is there more than one quotient for each divisor?"""
    divisor = let.args[1]
    return isinstance(divisor, Var) and let.var.type.rank > 0 and divisor.type.dims != let.var.type.dims


def _by_cotangent(node: Node, name: str, cotangents: Collection[str]) -> bool:
    """Does this node nothing with that value but multiply a cotangent by it?"""
    if not isinstance(node, Let) or node.op.name not in PRODUCTS:
        return False
    others = [a.name for a in node.args if isinstance(a, Var) and a.name != name]
    return len(others) == 1 and others[0] in cotangents


def _region(nodes: Iterable[Node], quotients: Collection[str], known: Mapping[str, Var]) -> tuple[Node, ...]:
    known = dict(known)
    written: list[Node] = []
    for node in nodes:
        if not isinstance(node, Let):
            written.append(walk.rebuilt(node, lambda inner: _region(inner, quotients, known)))
            continue
        if node.op is arith.div:
            above, below = node.args
            if isinstance(below, Var) and isinstance(above, Lit) and float(above.text) == 1.0:
                known[below.name] = node.var
            elif isinstance(below, Var) and below.name in known and node.var.name in quotients:
                node = replace(node, op=arith.mul, args=(above, known[below.name]))
        written.append(node)
    return tuple(written)
