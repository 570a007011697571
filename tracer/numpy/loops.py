"""Loops that functions of this folder write themselves, where no primitive is exact (products, scans)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.program import Atom, Exit, For, Index, Phi, Var
from ...ir.types import I64
from ..control.branches import region
from ..session import Session
from ..values.symbol import wrap


def for_loop(
    session: Session,
    stop: Atom,
    entries: Sequence[tuple[str, Atom]],
    body: Callable[[Var, list[Var]], list[Atom]],
) -> list[Var]:
    """`for i in range(stop)`: `body(i, carried)` writes an iteration and returns the carried values after it.

    `entries` are names and values on entry; the result are the values at the end.
    """
    builder = session.builder
    index = builder.var("i", I64)
    carried = [builder.var(name, entry.type) for name, entry in entries]
    with region(session) as nodes:
        last = builder.affine(stop) - 1
        builder.facts.bound(index.name, lower=Affine(0), upper=last)
        builder.facts.assume(last)
        after = body(index, carried)
    phis = tuple(Phi(var, entry, value) for var, (_, entry), value in zip(carried, entries, after))
    exits = tuple(Exit(builder.var(name, entry.type), var) for var, (name, entry) in zip(carried, entries))
    builder.add(For(index, literal(0, "i64"), stop, False, phis, tuple(nodes), exits, builder.span))
    return [e.var for e in exits]


def filled(session: Session, size: Atom, dtype: str, element: Callable[[Var], Atom]) -> Any:
    """A new 1-D array whose element i is what `element(i)` computes."""
    builder = session.builder
    blank = builder.emit("zeros", (size,), dtype, hint="filled")

    def body(i: Var, carried: list[Var]) -> list[Atom]:
        return [builder.emit("at_set", carried[0], Index((i,)), element(i), hint="filled")]

    return wrap(session, for_loop(session, size, [("filled", blank)], body)[0])
