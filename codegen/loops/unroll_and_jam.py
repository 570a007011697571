"""Rows that a loop adds to one vector, four at a time: the vector is read and written once for four of them.

`for i: for j: y_bar[j] += v[i] * X[i, j]` stores as much as it computes. Four rows share one sweep over the vector, as
in BLAS; what is left over goes row by row.
"""

from __future__ import annotations

from ...ir import walk
from ...ir.build import Builder
from ...ir.ops.index import at_add
from ...ir.program import Atom, Exit, For, Let, Lit, Node, Phi, Var, atoms
from ...ir.types import I64

ROWS = 4


def unroll_and_jam(loop: For, builder: Builder, reassociate: bool = True) -> list[Node] | None:
    """The loop over rows as one over fours and one over the rest; None if it does more than add to a vector.

    Without `reassociate` only cotangents lose the order of their terms.
    """
    inner = [n for n in loop.body if isinstance(n, For)]
    lets = [n for n in loop.body if isinstance(n, Let)]
    if loop.reverse or len(inner) != 1 or len(inner) + len(lets) != len(loop.body) or len(loop.phis) != 1:
        return None
    (row,), (carried,) = inner, loop.phis
    add = _only_addition(row, carried)
    if add is None or len(loop.exits) != 1 or add.args[2].type.rank:  # type: ignore[union-attr]
        return None
    if not reassociate and not builder.names.is_cotangent(add.var):
        return None
    own = {loop.index.name, carried.var.name} | {n.var.name for n in lets}
    fixed = {a.name for a in (row.start, row.stop, *atoms(add.args[1])) if isinstance(a, Var)}
    if fixed & (own | {v.name for v in walk.bound(row.body)}) or any(a.type.rank for a in atoms(add.args[1])):
        return None  # the element must be the same for all four
    if any(carried.var.name in walk.used_here(n) or n.var.type.rank for n in lets) or loop.body[-1] is not row:
        return None
    return _written(loop, row, lets, add, builder)


def _only_addition(row: For, carried: Phi) -> Let | None:
    """The addition to the vector, if the loop along a row does nothing else with it and carries nothing else."""
    if len(row.phis) != 1 or len(row.exits) != 1 or not all(isinstance(n, Let) for n in row.body):
        return None
    phi, end = row.phis[0], row.exits[0]
    uses = [n for n in row.body if phi.var.name in walk.used_here(n)]
    if len(uses) != 1 or phi.first != carried.var or carried.second != end.var or row.reverse:
        return None
    (add,) = uses
    right = isinstance(add, Let) and add.op is at_add and add.args[0] == phi.var and add.var == phi.second
    again = any(add.var.name in walk.used_here(n) for n in row.body)  # type: ignore[union-attr]
    arrays = any(isinstance(n, Let) and n is not add and n.var.type.rank for n in row.body)
    names = {carried.var.name} & {name for n in row.body for name in walk.used_here(n)}
    return add if right and not again and not arrays and not names else None  # type: ignore[return-value]


def _written(loop: For, row: For, lets: list[Let], add: Let, builder: Builder) -> list[Node]:
    (carried,) = loop.phis
    (phi,) = row.phis
    type = carried.var.type
    with builder.open() as written:
        builder.span = loop.span
        count = builder.emit("floordiv", builder.emit("sub", loop.stop, loop.start), Lit(str(ROWS), I64))
        many = builder.emit("maximum", count, 0)
        done = builder.emit("add", loop.start, builder.emit("mul", many, ROWS))
        index, along = builder.var("four", I64), builder.var(row.index.name, I64)
        outside, inside, after = (builder.again(carried.var, type) for _ in range(3))
        end, between = builder.again(carried.var, type), builder.again(carried.var, type)
        with builder.open() as body:
            base = builder.emit("add", builder.emit("mul", index, ROWS), loop.start)
            copies = []
            for k in range(ROWS):
                here = base if k == 0 else builder.emit("add", base, k)
                names = {n.var.name: builder.fresh(n.var.name, n.var.name) for n in lets}
                for n in walk.substitute(walk.rename(lets, names), {loop.index.name: here}):
                    builder.add(n)
                copies.append((here, {n: Var(names[n], v.type) for n, v in ((n.var.name, n.var) for n in lets)}))
            with builder.open() as sweep:
                total: Atom | None = None
                for here, known in copies:
                    rest = [n for n in row.body if n is not add]
                    names = {n.var.name: builder.fresh(n.var.name, n.var.name) for n in rest}  # type: ignore[union-attr]
                    values: dict[str, Atom] = {loop.index.name: here, row.index.name: along, **known}
                    for n in walk.substitute(walk.rename(rest, names), values):
                        builder.add(n)
                    value: Atom = add.args[2]  # type: ignore[assignment]
                    if isinstance(value, Var):
                        values |= {n.var.name: Var(names[n.var.name], n.var.type) for n in rest}  # type: ignore[union-attr]
                        value = values.get(value.name, value)
                    total = value if total is None else builder.emit("add", total, value)
                place = walk.substitute([add], {row.index.name: along})[0].args[1]  # type: ignore[union-attr]
                builder.add(Let(after, at_add, (inside, place, total), add.span))
            phis = (Phi(inside, outside, after),)
            builder.add(For(along, row.start, row.stop, False, phis, tuple(sweep), (Exit(end, inside),), row.span))
        fours = (Phi(outside, carried.first, end),)
        exits = (Exit(between, outside),)
        builder.add(For(index, Lit("0", I64), many, False, fours, tuple(body), exits, loop.span))
        left = Phi(carried.var, between, carried.second)
        builder.add(For(loop.index, done, loop.stop, False, (left,), loop.body, loop.exits, loop.span))
    return list(written)
