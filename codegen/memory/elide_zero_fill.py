"""What a loop adds to an array of zeros, it stores: the array is not filled before, and not read.

The adjoint makes a cotangent of zeros and adds to it. Where the first loop that does so adds once to each element of
a part, that part need not be zero before; the rest of the array is filled by itself. Only cotangents: 0.0 + v is v but
for the sign of a zero, and a user's own sum keeps it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.affine import Affine, Facts
from ...ir.build import Builder, dim_atom, literal
from ...ir.ops.array import empty, zeros
from ...ir.ops.index import at_add, at_set
from ...ir.program import Exit, For, Index, Let, Node, Phi, Program, Var
from ...ir.sizes import TRACED, facts_of
from ...ir.types import I64
from ..analysis.loop_facts import Inside, learn
from ..index_maps import form_of

FEW = 4
"""So many places are filled one by one."""


def elide_zero_fill(program: Program) -> Program:
    """Dead store elimination: first additions to vectors of zeros become stores, and the zeros are not written.

    >>> from ...ir.text import parse
    >>> print(elide_zero_fill(parse('''
    ... def f(y: f64[m], n: i64) -> f64[n]:
    ...     m: i64 = dim(y, 0)
    ...     x: f64[n] = zeros((n,), f64)
    ...     for i in range(m):
    ...         x_1: f64[n] = phi(x, x_bar)
    ...         t: f64 = y[i]
    ...         x_bar: f64[n] = x_1.at[i].add(t)
    ...     x_3: f64[n] = last(x_1)
    ...     return x_3''', {"x_bar"})))
    def f(y: f64[m], n: i64) -> f64[n]:
        m: i64 = dim(y, 0)
        x: f64[n] = empty((n,), f64)
        for i in range(m):
            x_1: f64[n] = phi(x, x_bar)
            t: f64 = y[i]
            x_bar: f64[n] = x_1.at[i].set(t)
        x_2: f64[n] = last(x_1)
        for i_1 in range(m, n):
            x_4: f64[n] = phi(x_2, x_5)
            x_5: f64[n] = x_4.at[i_1].set(0.0)
        x_3: f64[n] = last(x_4)
        return x_3
    """
    found = _Stored(program)
    body = found.region(program.body)
    return found.builder.names.written(program, body=body)


class _Stored:
    def __init__(self, program: Program):
        self.builder = Builder()
        self.builder.names = walk.names_of(program)
        self.forms: dict[str, Affine] = {}
        self.uses: Counter[str] = Counter(r.name for r in program.results if isinstance(r, Var))
        for node in walk.walk(program.body):
            self.uses.update(walk.used_here(node))
            if isinstance(node, Let):
                learn(node, self.forms)
        self.single: set[str] = set()  # zeros stored in one place, each for the next name only
        self.facts: Facts = facts_of(program, self.form, TRACED)

    def form(self, atom: object) -> Affine:
        form = form_of(atom)  # type: ignore[arg-type]
        return self.forms.get(atom.name, form) if isinstance(atom, Var) else form

    def region(self, nodes: Sequence[Node]) -> tuple[Node, ...]:
        """The nodes outside of all loops."""
        made = {n.var.name: n for n in nodes if isinstance(n, Let) and n.op is zeros and self.uses[n.var.name] == 1}
        new: dict[int, tuple[Node, ...]] = {}
        for node in nodes:
            if isinstance(node, For):
                for phi in node.phis:
                    let = made.get(phi.first.name) if isinstance(phi.first, Var) else None
                    loop = new[id(node)][0] if id(node) in new else node
                    assert isinstance(loop, For)
                    found = None if let is None else self.loop(loop, phi)
                    if found is not None and let is not None:
                        new[id(let)] = (replace(let, op=empty),)
                        new[id(node)] = (found[0], *new.get(id(node), ())[1:], *found[1:])
        return self.joined([written for node in nodes for written in new.get(id(node), (node,))])

    def joined(self, nodes: list[Node]) -> tuple[Node, ...]:
        """The nodes without zeros that are added to at once."""
        zeros_at = {n.var.name: n for n in nodes if isinstance(n, Let) and n.var.name in self.single}
        gone: set[str] = set()
        written: list[Node] = []
        for node in nodes:
            if isinstance(node, Let):
                learn(node, self.forms)
                zero = zeros_at.get(getattr(node.args[0], "name", "")) if node.op is at_add else None
                alone = zero is not None and self.uses[zero.var.name] <= 1 and self.builder.names.is_cotangent(node.var)
                if zero is not None and alone and self.place(zero) == self.place(node):
                    gone.add(zero.var.name)
                    node = replace(node, op=at_set, args=(zero.args[0], *node.args[1:]))
            written.append(node)
        return tuple(n for n in written if not (isinstance(n, Let) and n.var.name in gone))

    def place(self, let: Let) -> tuple[Affine, ...]:
        return tuple(map(self.form, let.args[1].items))  # type: ignore[union-attr]

    def loop(self, node: For, phi: Phi) -> list[Node] | None:
        """The loop, storing, and the loops that fill the rest of the array; None if that is not the same."""
        end = next((e for e in node.exits if e.phi == phi.var), None)
        add = next((n for n in node.body if isinstance(n, Let) and n.var == phi.second), None)
        if end is None or add is None or add.op is not at_add or add.args[0] != phi.var:
            return None
        if not self.builder.names.is_cotangent(add.var):
            return None
        if phi.var.type.rank != 1 or self.uses[phi.var.name] != 1 + 1 or self.uses[add.var.name] != 1:
            return None  # the addition and the exit
        places = Inside(node, self.forms, self.uses).places(add.args[1])
        if places is None:
            return None
        first = places[0].substitute(node.index.name, self.form(node.start))
        last = places[0].substitute(node.index.name, self.form(node.stop))
        size = self.form(dim_atom(phi.var.type.dims[0]))
        step = last - first - (self.form(node.stop) - self.form(node.start))
        inside = {v.name for v in walk.bound(node.body)} | {node.index.name} | {p.var.name for p in node.phis}
        if step != Affine() or inside & {*first.names, *last.names, *size.names}:
            return None  # not every element of the part, or a part that is not known here
        proves = self.facts.proves
        # Subscripts are in range (tracing has seen to that): a loop that surely runs writes inside of the array.
        if not (proves(last - first - 1) or (proves(first) and proves(last - first) and proves(size - last))):
            return None
        value = add.args[2]
        body = tuple(Let(add.var, at_set, (*add.args[:2], value), add.span) if n is add else n for n in node.body)
        between = end.var
        parts = [(a, b) for a, b in ((Affine(), first), (last, size)) if not proves(a - b)]
        names = [self.builder.again(between) for _ in parts] + [between]
        written: list[Node] = []
        for k, (start, stop) in enumerate(parts):
            written += self.filled(names[k], names[k + 1], start, stop)
        exits = tuple(replace(e, var=names[0]) if e is end else e for e in node.exits)
        return [replace(node, body=body, exits=exits), *written]

    def filled(self, before: Var, after: Var, start: Affine, stop: Affine) -> list[Node]:
        """Zeros in a part of an array."""
        b = self.builder
        zero = literal(0, after.type.dtype)
        with b.open() as written:
            if not (stop - start).terms and (stop - start).constant <= FEW:
                for k in range((stop - start).constant):
                    final = start + (k + 1) == stop
                    here = after if final else b.again(after)
                    b.add(Let(here, at_set, (before, Index((b.integer(start + k),)), zero)))
                    self.single.add(here.name)
                    before = here
            else:
                index, carried, here = b.var("i", I64), b.again(after), b.again(after)
                bounds = b.integer(start), b.integer(stop)
                with b.open() as body:
                    b.add(Let(here, at_set, (carried, Index((index,)), zero)))
                b.add(For(index, *bounds, False, (Phi(carried, before, here),), tuple(body), (Exit(after, carried),)))
        return list(written)
