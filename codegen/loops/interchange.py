"""Two loops change places where that makes the inner one run along rows instead of down columns.

`for j: for k: y[j] += A[k, j] * x[k]` reads A down its columns, one cache line for each number. With the loops the
other way round it reads rows, and vectorises. What else the outer loop does before and behind the inner one gets a
loop of its own. It is done where both loops may run in any order, by the test of `reorder`, and where the ends of
the inner loop do not depend on the outer one. Each element is still added to in the order of the inner loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ...ir import walk
from ...ir.affine import Facts
from ...ir.passes import dead_code
from ...ir.primitive import Kind
from ...ir.program import (
    Atom,
    Exit,
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
)
from ...ir.sizes import TRACED, facts_of
from ...ir.types import I64
from .distribution_plan import EXPENSIVE, SHORT
from .reorder import Orders

LINE = 8
"""What one access to another cache line in each trip costs, next to one that moves on by one element."""
GAIN = 2
"""Loops change places if accesses then cost at most this part."""
SUNK = 6
"""How many operations between the loops the inner one may repeat."""


def interchange(program: Program, reassociate: bool = True) -> Program:
    """Loop interchange: innermost loops run along rows, where that changes no result.

    Without `reassociate` only sums of cotangents lose their order.

    >>> from ...ir.text import parse
    >>> print(interchange(parse('''
    ... def f(A: f64[n, m], x: f64[n], y: f64[m]) -> f64[m]:
    ...     n: i64 = dim(A, 0)
    ...     m: i64 = dim(A, 1)
    ...     for j in range(m):
    ...         y1: f64[m] = phi(y, y3)
    ...         for k in range(n):
    ...             y2: f64[m] = phi(y1, y4)
    ...             a: f64 = A[k, j]
    ...             b: f64 = x[k]
    ...             p: f64 = a * b
    ...             y4: f64[m] = y2.at[j].add(p)
    ...         y3: f64[m] = last(y2)
    ...     z: f64[m] = last(y1)
    ...     return z''')))
    def f(A: f64[n, m], x: f64[n], y: f64[m]) -> f64[m]:
        n: i64 = dim(A, 0)
        m: i64 = dim(A, 1)
        for k in range(n):
            y1_1: f64[m] = phi(y, y1_2)
            for j_1 in range(m):
                y2: f64[m] = phi(y1_1, y4)
                a: f64 = A[k, j_1]
                b: f64 = x[k]
                p: f64 = a * b
                y4: f64[m] = y2.at[j_1].add(p)
            y1_2: f64[m] = last(y2)
        z: f64[m] = last(y1_1)
        return z
    """
    found = _Interchange(program, reassociate)
    body = found.region(program.body, facts_of(program, found.orders.deps.form, TRACED))
    return dead_code(found.orders.builder.names.written(program, body=body)) if found.any else program


@dataclass(frozen=True)
class _Part:
    """A piece of the outer loop's body: an inner loop, or the lines between two."""

    nodes: tuple[Node, ...]
    turned: bool = False  # the inner loop goes outside

    @property
    def loop(self) -> For | None:
        (node,) = self.nodes if len(self.nodes) == 1 else (None,)
        return node if isinstance(node, For) else None


class _Interchange:
    def __init__(self, program: Program, reassociate: bool):
        self.orders = Orders(program, reassociate)
        self.any = False  # has a loop changed?

    def region(self, nodes: Iterable[Node], facts: Facts) -> tuple[Node, ...]:
        orders = self.orders
        written: list[Node] = []
        for node in nodes:
            match node:
                case Let():
                    orders.deps.learn(node)
                    written.append(node)
                case For():
                    node = replace(node, body=self.region(node.body, orders.deps.inside(facts, (node,))))
                    parts = self.parts(node, facts)
                    new = None if parts is None else _Pieces(orders, node).nodes(parts)
                    self.any |= new is not None
                    written += [node] if new is None else new
                case While(test=test, body=body):
                    written.append(replace(node, test=self.region(test, facts), body=self.region(body, facts)))
                case If(then=then, orelse=orelse):
                    written.append(replace(node, then=self.region(then, facts), orelse=self.region(orelse, facts)))
                case _:
                    written.append(node)
        return tuple(written)

    # -- may they, and is it worth it? -----------------------------------------------------------------

    def parts(self, outer: For, facts: Facts) -> list[_Part] | None:
        """The pieces that the loop is cut into; None if it stays."""
        orders = self.orders
        inner = [n for n in outer.body if isinstance(n, For)]
        plain = all(isinstance(n, (Let, For)) for n in outer.body)
        if not inner or not plain or not all(isinstance(n, Let) for loop in inner for n in loop.body):
            return None
        length = orders.deps.length(outer)
        if not all(p.var.type.rank for p in outer.phis) or not length.terms and length.constant <= SHORT:
            return None
        bound = {v.name for v in walk.bound([outer])}
        if any(d in bound for v in walk.bound([outer]) for d in dim_names(v)):
            return None
        turned = [loop for loop in inner if self.worthwhile(outer, loop, bound)]
        if not turned or not self.free(outer, facts, self.orders.may_move):
            return None
        for loop in turned:
            if not self.free(loop, orders.deps.inside(facts, (outer,)), lambda name: True):  # its own order stays
                return None
        parts: list[_Part] = []
        lines: list[Node] = []
        for node in outer.body:
            if isinstance(node, For):
                parts += [_Part(tuple(lines)), _Part((node,), node in turned)]
                lines = []
            else:
                lines.append(node)
        return [p for p in (*parts, _Part(tuple(lines))) if p.nodes]

    def worthwhile(self, outer: For, inner: For, bound: set[str]) -> bool:
        """Does the inner loop step over rows, and the outer one not? And do the inner one's ends stay the same?"""
        length = self.orders.deps.length(inner)
        if not length.terms and length.constant <= SHORT:
            return False
        ends = {n for end in (inner.start, inner.stop) for n in self.orders.deps.form(end).names}
        if ends & bound or not all(p.var.type.rank for p in inner.phis):
            return False
        now, then = (self.cost(inner, loop.index.name) for loop in (inner, outer))
        return now >= LINE and then * GAIN <= now

    def cost(self, inner: For, index: str) -> int:
        """What the accesses of a loop cost if this index is the innermost."""
        made = {v.name for v in walk.bound(inner.body)}
        total = 0
        for let in inner.body:
            if not isinstance(let, Let) or not let.op.accesses:
                continue
            items = let.args[1].items if isinstance(let.args[1], Index) else ()
            forms = [self.orders.deps.form(i) for i in items if isinstance(i, (Var, Lit)) and not i.type.rank]
            moves = [dict(f.terms).get(index, 0) for f in forms]
            if len(forms) < len(items) or any(made & set(f.names) for f in forms) or any(moves[:-1]):
                step = LINE
            else:
                step = min(abs(moves[-1]), LINE) if moves else 0
            total += step * (2 if let.op.writes else 1)
        return total

    def free(self, loop: For, facts: Facts, may_move: Callable[[Var], bool]) -> bool:
        """May the iterations run in any order? Additions to one element only where `may_move` says so."""
        deps = self.orders.deps
        found = deps.accesses(loop, [p.var.name for p in loop.phis])
        return found is not None and deps.independent(loop, found, facts, lambda access: may_move(access.let.var))


class _HandedOn(Exception):
    """A piece needs what it cannot have by itself."""


class _Pieces:
    """Writes the pieces of a loop as loops, one behind the other."""

    def __init__(self, orders: Orders, outer: For) -> None:
        self.orders = orders
        self.builder = orders.builder
        self.outer = outer
        self.lines = [n for n in outer.body if isinstance(n, Let)]
        self.bound = {v.name for v in walk.bound([outer])}
        self.roots = {p.var.name: p.var.name for p in outer.phis}  # per version of an array: the phi it comes from
        self.tips = dict(self.roots)  # per phi: the newest version, as the body is read
        self.newest = dict(self.roots)  # per phi: the version that the next piece finds
        self.current = {p.var.name: p.first for p in outer.phis}  # and what it is called between the pieces
        self.last: dict[str, int] = {}  # per phi: the last piece that writes the array

    def nodes(self, parts: Sequence[_Part]) -> list[Node] | None:
        """The loops; None if a piece would need what another one has computed."""
        names = self.builder.names.copy()
        try:
            for number, part in enumerate(parts):
                for root in self.written(part):
                    self.last[root] = number
            for phi in self.outer.phis:
                if phi.var.name not in self.last or getattr(phi.second, "name", "") != self.tips[phi.var.name]:
                    raise _HandedOn
            return [node for number, part in enumerate(parts) for node in self.piece(number, part)]
        except _HandedOn:
            self.builder.names = names
            return None

    def written(self, part: _Part) -> set[str]:
        """The phis whose arrays a piece writes; `roots` learns the versions that it makes.

        Each version must follow the newest one: nothing goes on from an older one.
        """
        found: set[str] = set()

        def root(base: object) -> str:
            known = self.roots.get(getattr(base, "name", ""))
            if known is None or self.tips[known] != getattr(base, "name", ""):
                raise _HandedOn
            found.add(known)
            return known

        for node in part.nodes:
            if isinstance(node, For):
                ends = {e.phi.name: e.var.name for e in node.exits}
                within = {p.var.name: root(p.first) for p in node.phis}
                if len(set(within.values())) < len(within) or set(ends) != set(within):
                    raise _HandedOn
                self.roots |= within | {ends[name]: r for name, r in within.items()}
                self.tips |= {r: ends[name] for name, r in within.items()}
            elif isinstance(node, Let) and node.var.type.rank:
                if node.op.kind is not Kind.WRITE:
                    raise _HandedOn
                name = root(node.args[0])
                self.roots[node.var.name] = name
                self.tips[name] = node.var.name
        return found

    def piece(self, number: int, part: _Part) -> list[Node]:
        """What stands for a piece: nothing if it only computes numbers, which those who need them compute again."""
        builder, loop = self.builder, part.loop
        versions = {v.name: self.roots[v.name] for v in walk.bound(part.nodes) if v.name in self.roots}
        roots = [r for r in self.newest if r in versions.values()]
        if not roots:
            return []
        index = builder.var(self.outer.index.name, I64)
        sunk = self.sunk(part)
        copies = {n.var.name: builder.again(n.var) for n in sunk}
        heads = {r: builder.var(r, self.current[r].type, r) for r in roots}
        values: dict[str, Atom] = {**copies, self.outer.index.name: index}
        values |= {newest: heads.get(r, self.current[r]) for r, newest in self.newest.items()}
        if walk.free([*sunk, *part.nodes]) & self.bound - set(values):
            raise _HandedOn
        lines = [replace(n, var=copies[n.var.name]) for n in sunk]
        body = walk.substitute([*lines, *part.nodes], values)
        self.newest |= {root: name for name, root in versions.items()}
        if loop is None:
            phis = tuple(Phi(heads[r], self.current[r], Var(self.newest[r], heads[r].type)) for r in roots)
            new: list[Node] = [replace(self.outer, index=index, reverse=False, phis=phis, body=body)]
        else:
            # Both loops carry the same arrays, in whichever order they stand.
            *lines_, inner = body
            assert isinstance(inner, For)
            ends = {r: builder.var(r, heads[r].type, r) for r in roots}
            phis = tuple(Phi(heads[r], self.current[r], ends[r]) for r in roots)
            exits = tuple(Exit(ends[versions[p.var.name]], p.var) for p in inner.phis)
            self.newest |= {versions[e.var.name]: e.var.name for e in loop.exits}
            if part.turned:
                with builder.open() as written:
                    start, stop = (builder.integer(self.orders.deps.form(end)) for end in (loop.start, loop.stop))
                within = replace(
                    self.outer, index=index, reverse=False, phis=inner.phis, body=(*lines_, *inner.body), exits=exits
                )
                new = [*written, replace(inner, start=start, stop=stop, phis=phis, body=(within,))]
            else:
                within = replace(inner, exits=exits)
                new = [replace(self.outer, index=index, reverse=False, phis=phis, body=(*lines_, within))]
        for root in roots:
            end = next((e.var for e in self.outer.exits if e.phi.name == root), None)
            here = self.last[root] == number and end is not None
            self.current[root] = end if here and end is not None else builder.var(root, heads[root].type, root)
        left = tuple(Exit(self.current[r], heads[r]) for r in roots)  # type: ignore[arg-type]
        return [*new[:-1], replace(new[-1], exits=left)]  # type: ignore[arg-type]

    def sunk(self, part: _Part) -> list[Let]:
        """The lines between the loops that a piece repeats because it needs what they compute."""
        mine = {id(n) for n in part.nodes}
        needed = walk.free(part.nodes)
        found: list[Let] = []
        for let in reversed(self.lines):
            if let.var.name in needed and let.var.name not in self.roots and id(let) not in mine:
                simple = let.op.elementwise and let.op.cost < EXPENSIVE or let.op.name == "getitem"
                if not simple or let.var.type.rank or set(walk.used_here(let)) & set(self.roots):
                    raise _HandedOn
                found.append(let)
                needed |= set(walk.used_here(let))
        if len(found) > SUNK:
            raise _HandedOn
        return found[::-1]
