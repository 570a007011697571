"""Loops over rows are cut where scalars are expensive, so that exp, log and the like vectorise.

A row's dot product, a function of it and an update with the row (a logistic regression) are one loop in the
program: the function is then computed once per row, between two inner loops, by scalar code. Here the rows are
taken in blocks that stay in the cache: a loop over the block's dot products, one over the function, which
vectorises, and one over the updates, which takes four rows at a time (`unroll_and_jam`). The order of all other
sums stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.build import Builder, dim_atom
from ...ir.ops.index import at_set, getitem
from ...ir.primitive import REGISTRY, Kind
from ...ir.program import Atom, Exit, For, If, Index, Let, Lit, Node, Phi, Program, Var, While, dim_names
from ...ir.types import I64, Type
from .unroll_and_jam import unroll_and_jam

EXPENSIVE = 10
"""The cost of an operation that is worth it."""
ELEMENTS = 8192
"""How many elements of a matrix a block has: 64 KB."""
FEW = 64
"""Loops known to be shorter than this stay whole."""
KEPT = 3
"""How many values per row may be kept for a loop behind."""


def strip_mine_rows(program: Program, reassociate: bool = True) -> Program:
    """Loop distribution by strips of rows, with scalar expansion: expensive scalars between inner loops vectorise.

    Without `reassociate` sums of the user's keep their order.

    >>> from ...ir.text import parse
    >>> print(strip_mine_rows(parse('''
    ... def f(X: f64[m, n], w: f64[n]) -> f64:
    ...     m: i64 = dim(X, 0)
    ...     n: i64 = dim(X, 1)
    ...     for i in range(m):
    ...         s: f64 = phi(0.0, s_1)
    ...         for j in range(n):
    ...             z: f64 = phi(0.0, z_1)
    ...             x: f64 = X[i, j]
    ...             v: f64 = w[j]
    ...             p: f64 = x * v
    ...             z_1: f64 = z + p
    ...         y: f64 = last(z)
    ...         e: f64 = exp(y)
    ...         s_1: f64 = s + e
    ...     s_end: f64 = last(s)
    ...     return s_end''')))
    def f(X: f64[m, n], w: f64[n]) -> f64:
        m: i64 = dim(X, 0)
        n: i64 = dim(X, 1)
        t: i64 = maximum(n, 1)
        t_1: i64 = 8192 // t
        rows: i64 = maximum(t_1, 1)
        t_2: i64 = m + rows
        t_3: i64 = t_2 - 1
        t_4: i64 = t_3 // rows
        for block in range(t_4):
            s_2: f64 = phi(0.0, s_3)
            y_1: f64[rows] = empty((rows,), f64)
            first: i64 = block * rows
            t_5: i64 = first + rows
            stop: i64 = minimum(t_5, m)
            for i_1 in range(first, stop):
                y_2: f64[rows] = phi(y_1, y_3)
                for j in range(n):
                    z: f64 = phi(0.0, z_1)
                    x: f64 = X[i_1, j]
                    v: f64 = w[j]
                    p: f64 = x * v
                    z_1: f64 = z + p
                y: f64 = last(z)
                t_6: i64 = i_1 - first
                y_3: f64[rows] = y_2.at[t_6].set(y)
            y_4: f64[rows] = last(y_2)
            for i_2 in range(first, stop):
                s: f64 = phi(s_2, s_1)
                t_7: i64 = i_2 - first
                y_5: f64 = y_4[t_7]
                e: f64 = exp(y_5)
                s_1: f64 = s + e
            s_3: f64 = last(s)
        s_end: f64 = last(s_2)
        return s_end
    """
    builder = Builder()
    builder.names = walk.names_of(program)
    body = _region(program.body, builder, reassociate)
    return builder.names.written(program, body=body)


def _region(nodes: Iterable[Node], builder: Builder, reassociate: bool) -> tuple[Node, ...]:
    def inside(nodes: Iterable[Node]) -> tuple[Node, ...]:
        return _region(nodes, builder, reassociate)

    written: list[Node] = []
    for node in nodes:
        match node:
            case For():
                parts = _parts(node)
                if parts is not None:
                    written += _Cut(node, parts, builder, reassociate).nodes()
                    continue
                written.append(replace(node, body=inside(node.body)))
            case While(test=test, body=body):
                written.append(replace(node, test=inside(test), body=inside(body)))
            case If(then=then, orelse=orelse):
                written.append(replace(node, then=inside(then), orelse=inside(orelse)))
            case _:
                written.append(node)
    return tuple(written)


def _parts(loop: For) -> list[tuple[Node, ...]] | None:
    """The loop's body in two or three parts, one of which has the expensive scalars; None if it stays whole."""
    if loop.reverse or loop.start != Lit("0", I64):
        return None
    if isinstance(loop.stop, Lit) and int(loop.stop.text) < FEW:
        return None
    inner = [k for k, node in enumerate(loop.body) if isinstance(node, For)]
    if not inner or not all(_simple(node) for node in loop.body):
        return None
    dear = [k for k, n in enumerate(loop.body) if isinstance(n, Let) and n.op.cost >= EXPENSIVE and n.op.elementwise]
    if not dear:
        return None
    first = max((k + 1 for k in inner if k < dear[0]), default=0)
    last = min((k for k in inner if k > dear[-1]), default=len(loop.body))
    if any(first <= k < last for k in inner) or (first, last) == (0, len(loop.body)):
        return None
    parts = [list(loop.body[:first]), list(loop.body[first:last]), list(loop.body[last:])]
    # What only the last part needs, and can have by itself, goes there.
    for node in reversed(parts[1]):
        assert isinstance(node, Let)
        made = {v.name for part in parts[:2] for v in walk.bound(part)}
        needed = {name for n in parts[1] for name in walk.used_here(n)} | {
            getattr(p.second, "name", "") for p in loop.phis
        }
        alone = not set(walk.used_here(node)) & (made | {p.var.name for p in loop.phis})
        if node.var.name not in needed and alone and parts[2]:
            parts[1].remove(node)
            parts[2].insert(0, node)
    cut = [tuple(part) for part in parts if part]
    return cut if _apart(loop, cut) else None


def _simple(node: Node) -> bool:
    """An operation on scalars, or a loop of such."""
    if isinstance(node, For):
        return all(isinstance(n, Let) and _simple(n) for n in node.body)
    return isinstance(node, Let) and node.op.kind not in (Kind.ALLOCATE, Kind.UPDATE, Kind.KERNEL)


def _apart(loop: For, parts: Sequence[tuple[Node, ...]]) -> bool:
    """Does each part hand on no more than a few scalars, and keep what it carries to itself?"""
    bound = [{v.name for v in walk.bound(part)} for part in parts]
    used = [walk.free(part) for part in parts]
    crossing: set[str] = set()
    for k, names in enumerate(bound):
        crossing |= {n for n in names for later in used[k + 1 :] if n in later}
    types = {v.name: v.type for part in parts for v in walk.bound(part)}
    if len(crossing) > KEPT or any(types[n].rank for n in crossing):
        return False
    if any(d in types for v in walk.bound(loop.body) for d in dim_names(v)):
        return False  # a size that changes from row to row
    return None not in _homes(loop, bound, used).values()


def _homes(loop: For, bound: Sequence[set[str]], used: Sequence[set[str]]) -> dict[str, int | None]:
    """Per phi the one part that uses and makes what it carries; None if there are several.

    Phis that hand values to each other (`before, here = here, z`) advance together: they are all in one part.
    """
    phis = {phi.var.name: phi for phi in loop.phis}
    together = {name: {name} for name in phis}
    for name, phi in phis.items():
        other = getattr(phi.second, "name", "")
        if other in phis:
            both = together[name] | together[other]
            together |= dict.fromkeys(both, both)
    homes: dict[str, int | None] = {}
    for name, others in together.items():
        places = {k for k, names in enumerate(used) if others & names}
        places |= {k for k, names in enumerate(bound) for n in others if getattr(phis[n].second, "name", "") in names}
        homes[name] = places.pop() if len(places) == 1 else None
    return homes


class _Cut:
    """Writes the loops over blocks."""

    def __init__(
        self, loop: For, parts: Sequence[tuple[Node, ...]], builder: Builder, reassociate: bool
    ) -> None:
        self.loop = loop
        self.reassociate = reassociate
        self.parts = parts
        self.builder = builder
        self.bound = [{v.name for v in walk.bound(part)} for part in parts]
        self.used = [walk.free(part) for part in parts]
        self.homes = _homes(loop, self.bound, self.used)

    def nodes(self) -> list[Node]:
        builder, loop = self.builder, self.loop
        builder.span = loop.span
        with builder.open() as written:
            rows = self.rows()
            total = builder.emit("sub", builder.emit("add", loop.stop, rows), 1)
            count = builder.emit("floordiv", total, rows)
            heads = {phi.var.name: builder.again(phi.var) for phi in loop.phis}
            with builder.open() as body:
                phis = self.body(rows, heads)
            ends = tuple(Exit(e.var, heads[e.phi.name]) for e in loop.exits)
            block = Var(self.block, I64)
            builder.add(For(block, Lit("0", I64), count, False, phis, tuple(body), ends, loop.span))
        return list(written)

    def rows(self) -> Atom:
        """How many rows a block has."""
        made = {v.name for v in walk.bound([self.loop])}
        lengths = [n.stop for part in self.parts for n in part if isinstance(n, For)]
        length = next((a for a in lengths if isinstance(a, Lit) or a.name not in made), Lit("64", I64))
        if isinstance(length, Lit):
            return Lit(str(max(ELEMENTS // max(int(length.text), 1), 1)), I64)
        many = self.builder.emit("floordiv", Lit(str(ELEMENTS), I64), self.builder.emit("maximum", length, 1))
        return self.builder.emit("maximum", many, 1, hint="rows")

    def allocated(self, name: str, type: Type, rows: Atom) -> Var:
        memory = self.builder.var(name, type.with_dims((rows.name if isinstance(rows, Var) else int(rows.text),)), name)
        self.builder.add(Let(memory, REGISTRY["empty"], ((dim_atom(memory.type.dims[0]),), type.dtype), self.loop.span))
        return memory

    def body(self, rows: Atom, heads: dict[str, Var]) -> tuple[Phi, ...]:
        """The parts of one block; the phis of the loop over blocks."""
        builder, loop = self.builder, self.loop
        types = {v.name: v.type for part in self.parts for v in walk.bound(part)}
        kept: dict[str, Var] = {}  # per value that a later part needs: its memory
        for k, names in enumerate(self.bound):
            for name in sorted(n for n in names if any(n in later for later in self.used[k + 1 :])):
                kept[name] = self.allocated(name, types[name], rows)
        self.block = builder.fresh("block")
        first = builder.emit("mul", Var(self.block, I64), rows, hint="first")
        stop = builder.emit("minimum", builder.emit("add", first, rows), loop.stop, hint="stop")
        after: dict[str, Atom] = {}
        filled: dict[str, Var] = {}
        for k, part in enumerate(self.parts):
            index = builder.var(loop.index.name, I64)
            values: dict[str, Atom] = {loop.index.name: index}
            mine = [p for p in loop.phis if self.homes[p.var.name] == k]
            stores = [name for name in kept if name in self.bound[k]]
            with builder.open() as inside:
                place: Atom | None = None
                for name in filled:
                    if name in self.used[k]:
                        place = place or builder.emit("sub", index, first)
                        values[name] = builder.emit(getitem, filled[name], Index((place,)), hint=name, of=name)
                for node in walk.substitute(part, values):
                    builder.add(node)
                carried = []
                for name in stores:
                    place = place or builder.emit("sub", index, first)
                    old = builder.var(name, kept[name].type, name)
                    value = next(v for v in walk.bound(part) if v.name == name)
                    new = builder.emit(at_set, old, Index((place,)), value, hint=name, of=name)
                    carried.append((name, old, new))
            phis = [Phi(p.var, heads[p.var.name], walk.substitution(values)[0](p.second)) for p in mine]
            exits = []
            for p in mine:
                end = builder.again(p.var)
                after[p.var.name] = end
                exits.append(Exit(end, p.var))
            for name, old, new in carried:
                phis.append(Phi(old, kept[name], new))
                filled[name] = builder.var(name, old.type, name)
                exits.append(Exit(filled[name], old))
            rows_of = For(index, first, stop, False, tuple(phis), tuple(inside), tuple(exits), loop.span)
            for node in unroll_and_jam(rows_of, builder, self.reassociate) or [rows_of]:
                builder.add(node)
        return tuple(Phi(heads[p.var.name], p.first, after[p.var.name]) for p in loop.phis)
