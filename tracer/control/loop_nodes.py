"""A loop that has been traced, written into the program as a For or a While."""

from __future__ import annotations

from collections.abc import Callable

from ...ir.program import Atom, For, Lit, Var, While
from ...ir.types import I64
from ..session import Session
from .loops import LoopTracer


def trace_for(
    session: Session,
    tracer: LoopTracer,
    index: str,
    start: Atom,
    stop: Atom,
    reverse: bool,
    body: Callable[[Var], None],
    trips: Atom,
) -> None:
    builder = session.builder
    span = session.span
    var = builder.var(index, I64)
    session.loop_variables.append(var)
    low, high = builder.affine(start), builder.affine(stop)
    tracer.ordinal = high - builder.affine(var) - 1 if reverse else builder.affine(var) - low
    tracer.trips = trips
    count = high - low

    def run() -> None:
        builder.facts.bound(var.name, lower=low, upper=high - 1)
        builder.facts.assume(high - low - 1)
        if not count.terms:
            return body(var)
        with session.under(session.root_names(count) if session.from_inputs(count) else None):
            return body(var)

    tracer.runs = lambda: session.ensure(high - low - 1)
    phis, _, nodes, _, exits = tracer.trace(run)
    builder.add(For(var, start, stop, reverse, tuple(phis), tuple(nodes), tuple(exits), span))


def trace_while(
    session: Session, tracer: LoopTracer, test: Callable[[], Atom], body: Callable[[], None]
) -> Atom | None:
    """Returns the condition if it turned out not to depend on what the loop changes."""
    builder = session.builder
    span = session.span

    def run() -> None:
        with session.under(None):
            body()

    phis, test_nodes, nodes, cond, exits = tracer.trace(run, test)
    if cond is None or isinstance(cond, Lit):
        tracer.before.restore()
        return cond
    builder.add(While(tuple(phis), tuple(test_nodes), cond, tuple(nodes), tuple(exits), span))
    return None
