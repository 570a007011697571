"""Which sizes are worth a program of their own: those of 3-vectors and their like.

Of a loop over 3 coordinates inside one over particles or time steps, the code generator makes scalars, if it knows that
there are 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...ir.program import For, Index, Let, Lit, Node, Program, Var, While
from ...ir.walk import defined, walk
from ..session import Session

SMALL = 4
"""Sizes up to this are made static."""


def small_sizes(session: Session, program: Program) -> set[str]:
    """Sizes of the inputs that are small in this call and that the program runs over inside a loop, with their equals.

    A number as a subscript counts too: `x[i, 0]`, `x[i, 1]`, `x[i, 2]`. The number of rows of a matrix does not: small
    matrices are examples of large ones, whose programs shall stay readable.
    """
    inputs = {d for p in program.params for d in p.type.dims if isinstance(d, str)}
    small = {n for n in inputs - session.examples if 2 <= session.present[n] <= SMALL}
    found: set[str] = set()
    for loop in walk(program.body) if small else ():
        if isinstance(loop, (For, While)):
            for node in walk(loop.body):
                found |= set(_run_over(node))
    guards = set(session.guards)
    equal = [g.names for g in guards if len(g.names) == 2 and not g.constant and g.scaled(-1) in guards]
    rows = {p.type.dims[0] for p in program.params if p.type.rank > 1}
    for among in (found, rows):
        before = -1
        while before != len(among):
            before = len(among)
            among.update(*(names for names in equal if not among.isdisjoint(names)))
    return found & small - rows


def _run_over(node: Node) -> Iterator[str]:
    for var in defined(node):
        yield from (d for d in var.type.dims if isinstance(d, str))
    match node:
        case For(stop=Var(name)):
            yield name
        case Let(args=(Var() as array, *rest)):
            for index in rest:
                if isinstance(index, Index):
                    for item, size in zip(index.items, array.type.dims):
                        if isinstance(item, Lit) and item.text != "0" and isinstance(size, str):
                            yield size
