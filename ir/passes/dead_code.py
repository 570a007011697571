"""Dead code: what no result and no check depends on is not computed.

Rules of derivatives and the tracer write freely and leave the cleaning to this pass. Checks are effects
and stay, with all they need. A loop without checks whose exits nobody uses goes, a `while` too: it is taken
for granted that it ends, since the user's call would not have returned otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ..program import Atom, Call, Check, For, If, Let, Node, Phi, Program, Var, While, atoms, dim_names
from ..walk import may_fail

Key = str | int
"""A name, or the id of a node that has regions."""


def dead_code(program: Program) -> Program:
    """Dead code elimination: drop every binding, phi, exit and region that nothing needs.

    >>> from ..text import parse
    >>> print(dead_code(parse('''
    ... def f(x: f64) -> f64:
    ...     a: f64 = sin(x)
    ...     y: f64 = x * x
    ...     return y''')))
    def f(x: f64) -> f64:
        y: f64 = x * x
        return y
    """
    demands: dict[Key, set[Key]] = {}
    roots: set[Key] = {a.name for a in program.results if isinstance(a, Var)}
    for var in (*program.params, *(r for r in program.results if isinstance(r, Var))):
        roots.update(dim_names(var))
    _collect(program.body, None, demands, roots)
    needed: set[Key] = set()
    while roots:
        key = roots.pop()
        if key not in needed:
            needed.add(key)
            roots |= demands.get(key, set())
    return replace(program, body=_sweep(program.body, needed))


def _collect(nodes: Iterable[Node], owner: int | None, demands: dict[Key, set[Key]], roots: set[Key]) -> None:
    """What each name needs. Inside a region it also needs the node around it, by its id."""
    around: set[Key] = set() if owner is None else {owner}

    def bind(var: Var, *operands: object, inside: set[Key] = around) -> None:
        demands[var.name] = {*dim_names(var), *inside}
        for operand in operands:
            demands[var.name].update(dim_names(operand))
            demands[var.name].update(a.name for a in atoms(operand) if isinstance(a, Var))

    for node in nodes:
        here: set[Key] = {id(node)}
        match node:
            case Let(var, _, args):
                bind(var, *args)
            case Call(results, function, args):
                for result in results:
                    bind(result, inside=here)
                own = {result.name for result in results}
                sizes = {name for value in (*args, *results) for name in dim_names(value)} - own
                demands[id(node)] = _names(*args) | sizes | around
                if may_fail(function.program.body):
                    roots |= here
            case Check(cond):
                roots |= _names(cond) | around
            case For(index, start, stop, _, phis, body, exits):
                demands[id(node)] = _names(start, stop) | around
                bind(index, inside=here)
                for phi in phis:
                    bind(phi.var, phi.first, phi.second, inside=here)
                _collect(body, id(node), demands, roots)
                for exit in exits:
                    bind(exit.var, exit.phi)
            case While(phis, test, cond, body, exits):
                demands[id(node)] = _names(cond) | around
                for phi in phis:
                    bind(phi.var, phi.first, phi.second, inside=here)
                _collect(test, id(node), demands, roots)
                _collect(body, id(node), demands, roots)
                for exit in exits:
                    bind(exit.var, exit.phi)
            case If(cond, then, orelse, phis):
                demands[id(node)] = _names(cond) | around
                _collect(then, id(node), demands, roots)
                _collect(orelse, id(node), demands, roots)
                for phi in phis:
                    bind(phi.var, phi.first, phi.second, inside=here)


def _names(*values: Atom) -> set[Key]:
    return {v.name for v in values if isinstance(v, Var)}


def _sweep(nodes: Iterable[Node], needed: set[Key]) -> tuple[Node, ...]:
    return tuple(_swept(nodes, needed))


def _swept(nodes: Iterable[Node], needed: set[Key]) -> Iterator[Node]:
    def phis_of(phis: Iterable[Phi]) -> tuple[Phi, ...]:
        return tuple(p for p in phis if p.var.name in needed)

    for node in nodes:
        match node:
            case Let(var):
                if var.name in needed:
                    yield node
            case Check():
                yield node
            case _ if id(node) not in needed:
                pass
            case Call():
                yield node
            case For(phis=phis, body=body, exits=exits):
                left = tuple(e for e in exits if e.var.name in needed)
                yield replace(node, phis=phis_of(phis), body=_sweep(body, needed), exits=left)
            case While(phis=phis, test=test, body=body, exits=exits):
                left = tuple(e for e in exits if e.var.name in needed)
                inner = _sweep(test, needed), _sweep(body, needed)
                yield replace(node, phis=phis_of(phis), test=inner[0], body=inner[1], exits=left)
            case If(then=then, orelse=orelse, phis=phis):
                arms = _sweep(then, needed), _sweep(orelse, needed)
                yield replace(node, phis=phis_of(phis), then=arms[0], orelse=arms[1])
