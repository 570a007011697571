"""Unroll tiny loops: three components of a vector need no loop, and no array to save their values in."""

from __future__ import annotations

from collections.abc import Iterable

from ..build import Builder
from ..program import Atom, For, Let, Lit, Node, Program
from ..types import I64
from ..walk import Nodes, bound, copy_nodes, map_node, names_of, rebuilt, substitution, walk

TRIPS = 8
OPERATIONS = 160
"""A loop of at most so many iterations, and of so many operations when it is unrolled."""


def unroll(program: Program) -> Program:
    """Write out the iterations of loops with few of them.

    >>> from ..text import parse
    >>> print(unroll(parse('''
    ... def f(x: f64[2]) -> f64:
    ...     for i in range(2):
    ...         s: f64 = phi(0.0, s_1)
    ...         t: f64 = x[i]
    ...         s_1: f64 = s + t
    ...     s_end: f64 = last(s)
    ...     return s_end''')))
    def f(x: f64[2]) -> f64:
        t: f64 = x[0]
        s_1: f64 = 0.0 + t
        t_1: f64 = x[1]
        s_2: f64 = s_1 + t_1
        return s_2
    """
    if not any(_is_tiny(node) for node in walk(program.body)):
        return program
    pass_ = _Unroller(program)
    env: dict[str, Atom] = {}
    body = pass_.region(program.body, env)
    results = tuple(substitution(env)[0](r) for r in program.results)
    return pass_.used.written(program, body=body, results=results)


def _is_tiny(node: Node) -> bool:
    if not isinstance(node, For) or not isinstance(node.start, Lit) or not isinstance(node.stop, Lit):
        return False
    trips = int(node.stop.text) - int(node.start.text)
    if trips > TRIPS:
        return False
    return max(trips, 0) * _operations(node.body) <= OPERATIONS


def _operations(nodes: Iterable[Node]) -> int:
    """Operations in a body, those of tiny loops in it as often as they will be written."""
    total = 0
    for node in nodes:
        if isinstance(node, Let):
            total += 1
        elif isinstance(node, For) and _is_tiny(node):
            total += max(0, _trips(node)) * _operations(node.body)
        else:
            total += 1 + sum(1 for inner in walk([node]) if isinstance(inner, Let))
    return total


def _trips(loop: For) -> int:
    assert isinstance(loop.start, Lit) and isinstance(loop.stop, Lit)
    return int(loop.stop.text) - int(loop.start.text)


class _Unroller:
    def __init__(self, program: Program):
        self.used = names_of(program)

    def region(self, nodes: Nodes, env: dict[str, Atom]) -> Nodes:
        """The nodes with their tiny loops written out; `env` learns what the loops' exits stand for."""
        result: list[Node] = []
        for node in nodes:
            if _is_tiny(node):
                assert isinstance(node, For)
                result += self.unrolled(node, env)
                continue
            inside = rebuilt(node, lambda inner: self.region(inner, env))
            atom, var, dim = substitution(env)  # the phis mention what the regions ended with
            result.append(map_node(inside, atom, var, dim, lambda inner: inner))
        return tuple(result)

    def unrolled(self, loop: For, env: dict[str, Atom]) -> Nodes:
        builder = Builder()
        builder.names = self.used
        # Names of the loop may be used again, but not those of exits: `env` still says what they stand for.
        exits = {e.var.name for node in walk([loop]) for e in getattr(node, "exits", ())}
        self.used -= {v.name for v in bound([loop])} - exits
        atom = substitution(env)[0]
        values = {p.var.name: atom(p.first) for p in loop.phis}
        start, trips = int(loop.start.text), max(0, _trips(loop))  # type: ignore[union-attr]
        order = range(start + trips - 1, start - 1, -1) if loop.reverse else range(start, start + trips)
        written: list[Node] = []
        for k in order:
            inner = {**env, **values, loop.index.name: Lit(str(k), I64)}
            with builder.open() as nodes:
                copy_nodes(builder, loop.body, inner)
            written += self.region(tuple(nodes), env)
            step, outer = substitution(inner)[0], substitution(env)[0]  # inner exits may have gone into env
            values = {p.var.name: outer(step(p.second)) for p in loop.phis}
        for exit in loop.exits:
            env[exit.var.name] = values[exit.phi.name]
        return tuple(written)
