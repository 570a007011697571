"""From array operations to loops over scalars, in the same IR.

Each straight line of array operations becomes items (loops.py), those become groups (fuse.py), and each group
one `For` whose body is again a line of items with one loop less (nest.py); without loops they are scalar
operations. An array that is only read inside the group that makes it never gets memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...ir import walk
from ...ir.build import Builder, dim_atom
from ...ir.primitive import REGISTRY
from ...ir.program import (
    Atom,
    Check,
    For,
    If,
    Index,
    Let,
    Lit,
    Node,
    Phi,
    Program,
    Var,
    While,
    dim_names,
    map_operand,
)
from ...ir.types import I64
from .. import index_maps
from ..analysis.liveness import Live, live_before
from ..emit.out_of_ssa import stem
from ..index_maps import Along, Counted, Fixed, Place, Read, Source, Taken
from .build_loops import Nest
from .fuse import schedule
from .items import Item, Op, Plain
from .matrix_products import accumulated
from .operations import Loops
from .rematerialise_elements import recomputed
from .views import pinned_views


def scalarise(program: Program) -> Program:
    """Scalarisation: loops over scalars instead of array operations, fused where they run over the same elements.

    >>> from ...ir.text import parse
    >>> print(scalarise(parse('''
    ... def f(x: f64[n]) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     y: f64[n] = sin(x)
    ...     s: f64 = sum(y, axis=(0,))
    ...     return s''')))
    def f(x: f64[n]) -> f64:
        n: i64 = dim(x, 0)
        for i in range(n):
            s_2: f64 = phi(0.0, s_1)
            x_i: f64 = x[i]
            y: f64 = sin(x_i)
            s_1: f64 = radd(s_2, y)
        s: f64 = last(s_2)
        return s
    """
    return Scalarise(program).program()


class Scalarise:
    """Writes the new program, region by region."""

    def __init__(self, program: Program):
        self.source = program
        self.params = frozenset(p.name for p in program.params)
        self.builder = Builder()
        self.builder.names = walk.names_of(program)
        self.loops = Loops(self.builder, pinned_views(program))
        self.values: dict[str, Atom] = {}  # names that stand for a scalar
        self.memo: list[dict[Any, Atom]] = [{}]
        self.depth = 0
        self.live: dict[int, frozenset[str]] = {}  # after each straight line, by its last node
        self.kept: frozenset[str] = frozenset()  # after the present line of operations
        results = frozenset(a.name for a in program.results if isinstance(a, Var))
        ends = _line_ends(program.body)

        def keep(node: Node, after: Live) -> None:
            if id(node) in ends:
                self.live[id(node)] = frozenset(after)

        live_before(program.body, results, keep)
        self.uses: Counter[str] = Counter(a.name for a in program.results if isinstance(a, Var))
        self.sizes: set[str] = {d for v in program.params for d in dim_names(v)}
        for node in walk.walk(program.body):
            self.uses.update(walk.used_here(node))
            for var in (*walk.defined(node), *(p.var for p in getattr(node, "phis", ()))):
                self.sizes.update(dim_names(var))

    def program(self) -> Program:
        old = self.source
        body = self.body(lambda: self.region(old.body))
        results = tuple(self.renamed(r) for r in old.results)
        return self.builder.names.written(old, body=body, results=results)

    # -- regions and control flow --------------------------------------------------------------------

    def body(self, write: Callable[[], None]) -> tuple[Node, ...]:
        """What `write` writes, as a region."""
        with self.builder.open() as written:
            self.memo.append({})
            write()
            self.memo.pop()
        return tuple(written)

    def region(self, nodes: Iterable[Node]) -> None:
        line: list[Let | Check] = []
        for node in nodes:
            if isinstance(node, (Let, Check)):
                line.append(node)
            else:
                assert isinstance(node, (For, While, If))  # calls are written out before
                self.straight_line(line)
                line = []
                self.control(node)
        self.straight_line(line)

    def straight_line(self, nodes: Sequence[Let | Check]) -> None:
        items: list[Item] = []
        for node in nodes:
            items += self.loops.items(node) if isinstance(node, Let) else [Plain(node)]
        inside = Counter(name for node in nodes for name in walk.used_here(node))
        needed: set[str] = {d for p in self.source.params for d in dim_names(p)}
        for node in nodes:
            if isinstance(node, Let) and self.uses[node.var.name] > inside[node.var.name]:
                needed.add(node.var.name)
                if node.var.name in self.loops.views:
                    needed.update(index_maps.names(self.loops.views[node.var.name]))
        if nodes:
            after = self.live[id(nodes[-1])]
            self.kept = after.union(
                *(index_maps.names(self.loops.views[n]) for n in after if n in self.loops.views)
            )
        self.lower(accumulated(live(items, needed), self.uses, self.spent), needed)

    def spent(self, x: Var) -> bool:
        """Is this an array of ours that nobody needs after this line of operations?"""
        return self.depth == 0 and x.name not in self.kept and x.name not in self.params

    def control(self, node: For | While | If) -> None:
        match node:
            case For(index, start, stop, reverse, phis, body, exits, span):
                bounds = self.renamed(start), self.renamed(stop)
                inner = self.body(lambda: self.region(body))
                self.builder.add(For(index, *bounds, reverse, self.phis(phis), inner, exits, span))
            case While(phis, test, cond, body, exits, span):
                # The body sees what the test has bound.
                with self.builder.open() as written:
                    self.memo.append({})
                    self.region(test)
                    split = len(written)
                    leave = self.renamed(cond)
                    self.region(body)
                    self.memo.pop()
                parts = tuple(written[:split]), leave, tuple(written[split:])
                self.builder.add(While(self.phis(phis), *parts, exits, span))
            case If(cond, then, orelse, phis, span):
                arms = self.body(lambda: self.region(then)), self.body(lambda: self.region(orelse))
                self.builder.add(If(self.renamed(cond), *arms, self.phis(phis), span))

    def phis(self, phis: Iterable[Phi]) -> tuple[Phi, ...]:
        return tuple(Phi(p.var, self.renamed(p.first), self.renamed(p.second)) for p in phis)

    def renamed(self, atom: Atom) -> Atom:
        """A scalar by the name it has now; arrays keep theirs."""
        return self.values.get(atom.name, atom) if isinstance(atom, Var) and not atom.type.rank else atom

    # -- groups and scalars --------------------------------------------------------------------------

    def lower(self, items: Sequence[Item], needed: set[str]) -> None:
        """Write the items; arrays that are needed afterwards get memory."""
        groups = schedule(items, needed)
        for _ in range(2):
            again = recomputed(items, groups, needed, self.builder) if len(groups) > 1 else None
            if again is None:
                break
            items = live(again, needed)
            groups = schedule(items, needed)
        home = {item.var.name: k for k, g in enumerate(groups) for item in g.items if item.var is not None}
        outside = set(needed)
        for k, group in enumerate(groups):
            for item in group.items:
                outside |= {n for n in item.names() if isinstance(item, Plain) or home.get(n, k) != k}
                if item.target is not None:  # what is stored into is memory, also beside its maker
                    outside.add(item.target.name)
        last = {n: k for k, g in enumerate(groups) for item in g.items for n in item.names()}
        for k, group in enumerate(groups):
            if group.size is not None:
                Nest(self, group, outside, lambda name, k=k: last.get(name, k) > k).write()  # type: ignore[misc]
                continue
            for item in group.items:
                self.straight(item, outside)

    def straight(self, item: Item, needed: set[str]) -> None:
        self.builder.span = item.span if isinstance(item, Op) else item.node.span
        if isinstance(item, Plain):
            self.plain(item.node)
        elif item.target is not None:
            self.store(item)
        else:
            self.named(item.var, self.computed(item, needed), needed)

    def named(self, var: Var, value: Atom, needed: set[str]) -> None:
        """From now on `var` stands for this scalar; where an array is needed, it is one of one element."""
        self.values[var.name] = value
        if value == var:
            return
        if var.type.rank and var.name in needed:
            memory = self.builder.again(var)
            self.allocate(memory)
            first = Index(tuple(Lit("0", I64) for _ in var.type.dims))
            self.builder.add(Let(var, REGISTRY["at_set"], (memory, first, value), self.builder.span))
        elif not var.type.rank and var.name in self.sizes:
            # Types mention a size by its name.
            self.builder.add(Let(var, REGISTRY["to_i64"], (value,), self.builder.span))
            self.values[var.name] = var

    def computed(self, op: Op, needed: set[str]) -> Atom:
        args = tuple(self.value(a) if isinstance(a, (Read, Counted)) else a for a in op.args)
        if op.prim is None:
            return args[0]
        known = self.known((op.prim, args))
        if known is not None:
            return known
        type = op.var.type.with_dims(())
        taken = op.var.type.rank and op.var.name in needed
        var = self.builder.again(op.var, type) if taken else Var(op.var.name, type)
        self.builder.add(Let(var, op.prim, args, op.span))
        self.memo[-1][op.prim, args] = var
        return var

    def known(self, key: Any) -> Atom | None:
        return next((m[key] for m in reversed(self.memo) if key in m), None)

    def plain(self, node: Let | Check) -> None:
        if isinstance(node, Check):
            self.builder.add(Check(self.renamed(node.cond), node.message, node.span))
            return
        args = tuple(
            a if k in node.op.static else map_operand(a, self.renamed) for k, a in enumerate(node.args)
        )
        let = Let(node.var, node.op, args, node.span)
        self.builder.add(let)
        self.builder.know(let)

    def store(self, op: Op) -> None:
        value = self.value(op.args[0])
        index = Index(tuple(self.position(p) for p in op.places))
        name = "at_add" if op.add else "at_set"
        assert op.target is not None
        self.builder.add(Let(op.var, REGISTRY[name], (op.target, index, value), op.span))

    def allocate(self, var: Var, op: str = "empty") -> None:
        shape = tuple(self.renamed(dim_atom(d)) for d in var.type.dims)
        self.builder.add(Let(var, REGISTRY[op], (shape, var.type.dtype), self.builder.span))

    # -- reading -------------------------------------------------------------------------------------

    def value(self, source: Source) -> Atom:
        """The scalar that is read, written where it is needed first."""
        if isinstance(source, Counted):
            return self.position(source.place)
        base = source.base
        if isinstance(base, Lit):
            return base
        if base.name in self.values:
            return self.values[base.name]
        if not base.type.rank:
            return base
        index = Index(tuple(self.position(p) for p in source.places))
        key = "getitem", base, index
        known = self.known(key)
        if known is None:
            known = self.builder.var(self.element_name(base, index), base.type.with_dims(()), base.name)
            self.builder.add(Let(known, REGISTRY["getitem"], (base, index), self.builder.span))
            self.memo[-1][key] = known
        return known

    def element_name(self, base: Var, index: Index) -> str:
        """`x_i` for x[i]; emission knows by it that the name is not the user's."""
        names = [
            stem(a.name) if isinstance(a, Var) else a.text for a in index.items if isinstance(a, (Var, Lit))
        ]
        name = "_".join([stem(base.name), *names])
        return name if len(name) <= 12 else "t"

    def position(self, place: Place) -> Atom:
        match place:
            case Fixed(at):
                form = at
            case Taken(source, start, step):
                form = start + index_maps.form_of(self.value(source)).scaled(step)
            case Along():
                raise AssertionError("a loop without its index")
        for name in form.names:
            form = form.substitute(name, index_maps.form_of(self.renamed(Var(name, I64))))
        return self.builder.integer(form)


def _line_ends(nodes: Sequence[Node]) -> set[int]:
    """The last nodes of all straight lines of operations."""
    found: set[int] = set()
    for node, behind in zip(nodes, (*nodes[1:], None)):
        if isinstance(node, (Let, Check)) and not isinstance(behind, (Let, Check)):
            found.add(id(node))
        for region in walk.regions(node):
            found |= _line_ends(region)
    return found


def live(items: Sequence[Item], needed: set[str]) -> list[Item]:
    """The items that somebody needs."""
    wanted = set(needed)
    kept = []
    for item in reversed(items):
        if item.var is None or item.var.name in wanted:
            kept.append(item)
            wanted.update(item.names())
    return kept[::-1]
