"""Loops cut into segments, for checkpointing: a program that does the same, with one more loop around.

A loop of n trips becomes a loop over segments of about sqrt(n) trips. What it carries is, at the head of a segment, a
phi of the loop around, so that it is saved once for each segment, as any phi is; the loop inside is done again by the
reverse sweep (recompute.py), so that what it would save lives for one segment alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..build import Builder
from ..ops.arith import CONVERT, add, floordiv, maximum, minimum, mul, sub
from ..ops.math import sqrt
from ..passes.dead_code import dead_code
from ..program import Atom, Exit, For, If, Lit, Phi, Program, Var, While
from ..types import I64
from ..walk import Nodes, bound, in_sweep, map_type, names_of, rebuilt, rename
from .scopes import Loop

ZERO = Lit("0", I64)

def with_loops(p: Program, loops: Sequence[Loop], rewrite: Callable[[Builder, Loop], None]) -> Program:
    """The program with these loops, which are in no other loop, written again by `rewrite`."""
    builder = Builder()
    builder.names = names_of(p)
    chosen = {id(loop) for loop in loops}

    def nodes(body: Nodes) -> Nodes:
        with builder.open() as written:
            for node in body:
                if isinstance(node, (For, While)) and id(node) in chosen:
                    builder.span = node.span
                    rewrite(builder, node)
                else:
                    builder.add(rebuilt(node, nodes) if isinstance(node, If) else node)
        return tuple(written)

    return Program(p.name, p.params, nodes(p.body), p.results, p.origins, p.cotangents, p.computed)


def segmented(b: Builder, loop: For) -> For:
    """Write a loop as one over its segments; gives the loop over the trips of a segment."""
    trips = trips_of(b, loop)
    # At least one, and about the root: for n trips n / sqrt(n) values are kept, and sqrt(n) are at a time done again.
    root = b.emit(CONVERT["i64"], b.emit(sqrt, b.emit(CONVERT["f64"], trips)))
    length = b.emit(add, root, 1, hint="length")
    count = b.emit(floordiv, b.emit(add, trips, root), length, hint="segments")
    around = {phi.var.name: b.fresh(phi.var.name, phi.var.name) for phi in loop.phis}
    after = {phi.var.name: b.fresh(phi.var.name, phi.var.name) for phi in loop.phis}
    index = b.var("segment", I64)
    with b.open() as body:
        first = b.emit(mul, index, length)
        last = b.emit(minimum, b.emit(add, first, length), trips)
        ends = (loop.stop, last, first) if loop.reverse else (loop.start, first, last)
        op = sub if loop.reverse else add
        start, stop = b.emit(op, ends[0], ends[1]), b.emit(op, ends[0], ends[2])
        inner = For(
            loop.index, start, stop, loop.reverse,
            tuple(Phi(phi.var, _named(phi.var, around), phi.second) for phi in loop.phis),
            loop.body, tuple(Exit(_named(phi.var, after), phi.var) for phi in loop.phis), loop.span,
        )  # fmt: skip
        b.add(inner)
    phis = tuple(Phi(_named(phi.var, around), phi.first, _named(phi.var, after)) for phi in loop.phis)
    exits = tuple(Exit(exit.var, _named(exit.phi, around)) for exit in loop.exits)
    b.add(For(index, ZERO, count, False, phis, tuple(body), exits, loop.span))
    return inner


def trips_of(b: Builder, loop: For) -> Atom:
    """How often a loop runs."""
    return b.emit(maximum, b.emit(sub, loop.stop, loop.start), 0, hint="trips")


def _named(var: Var, names: dict[str, str]) -> Var:
    """The variable of another loop that stands for a phi; its sizes may be phis too."""
    return Var(names[var.name], map_type(var.type, lambda d: names.get(d, d) if isinstance(d, str) else d))


def counted(b: Builder, loop: While) -> For:
    """A while loop as a for loop over its trips, not written yet; a copy counts them, which is written.

    The copy has all checks of the loop, those of the test that ends it too.
    """
    counter, trips = b.var("trip", I64), b.var("trips", I64)
    (again,) = rename((loop,), {v.name: b.fresh(v.name, v.name) for v in bound((loop,))})
    assert isinstance(again, While)
    with b.open() as written:
        following = b.emit(add, counter, 1)
    body = (*again.body, *written)
    phis = (*again.phis, Phi(counter, ZERO, following))
    counting = While(phis, again.test, again.cond, body, (Exit(trips, counter),), loop.span)
    for node in in_sweep(dead_code(Program("count", (), (counting,), (trips,))).body, "count"):
        b.add(node)
    index = b.var("trip", I64)
    return For(index, ZERO, trips, False, loop.phis, (*loop.test, *loop.body), loop.exits, loop.span)
