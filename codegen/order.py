"""Innermost loops whose iterations may run in any order: upwards, with sums that vectorise.

The reverse sweep runs loops backwards, and adds to several elements of one array per iteration. Where no
iteration reads what another writes, the loop runs forwards instead; sums become `radd`; a
sum in one element is a scalar until the loop ends; and several additions to neighbours in one array (a stencil's
adjoint) become one (`lines`), or get loops of their own in which the elements are all different (`plan`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from ..ir import walk
from ..ir.affine import Affine, Facts
from ..ir.build import Builder, dim_atom
from ..ir.ops import arith
from ..ir.program import Atom, Check, For, If, Index, Let, Lit, Node, Phi, Program, Var, While, atoms
from ..ir.sizes import TRACED, facts_of
from ..ir.types import I64
from .access import form_of
from .plan import planned
from .primitives import radd
from .split import split

WRITES = ("at_set", "at_add")
PAIRS = 2000
"""Loops with more pairs of accesses than this stay as they are."""


def free_order(program: Program, own: Collection[str] | None = None, carry: bool = True) -> Program:
    """The program whose innermost loops run upwards and are split where that changes no more than rounding.

    With `own`, the names of the user's own program, only sums of cotangents lose their order. Without `carry` no
    outermost loop carries values to the next iterations, so that its iterations can run on several cores.

    >>> from ..ir.text import parse
    >>> print(free_order(parse('''
    ... def f(x: f64[n], y_bar: f64[n]) -> f64[n]:
    ...     n: i64 = dim(x, 0)
    ...     for i in reversed(range(n)):
    ...         x_bar: f64[n] = phi(y_bar, x_bar_1)
    ...         t: f64 = x_bar[i]
    ...         t_1: f64 = t * 2.0
    ...         x_bar_1: f64[n] = x_bar.at[i].set(t_1)
    ...     x_end: f64[n] = last(x_bar)
    ...     return x_end''')))
    def f(x: f64[n], y_bar: f64[n]) -> f64[n]:
        n: i64 = dim(x, 0)
        for i in range(n):
            x_bar: f64[n] = phi(y_bar, x_bar_1)
            t: f64 = x_bar[i]
            t_1: f64 = t * 2.0
            x_bar_1: f64[n] = x_bar.at[i].set(t_1)
        x_end: f64[n] = last(x_bar)
        return x_end
    """
    orders = Orders(program, own, carry)
    return replace(program, body=orders.region(program.body, facts_of(program.body, orders.form, TRACED)))


@dataclass(frozen=True, slots=True)
class Access:
    """One read or write of an array that the loop updates."""

    kind: str  # getitem, at_set or at_add
    places: tuple[Affine, ...]
    let: Let
    loops: tuple[For, ...]  # around it, inside the loop in question


def primed(form: Affine, names: Iterable[str]) -> Affine:
    """The form in another iteration: with the indices marked."""
    for name in names:
        form = form.substitute(name, Affine.name(name + "'"))
    return form


class Orders:
    def __init__(self, program: Program, own: Collection[str] | None, carry: bool = True):
        self.own = own
        self.carry = carry
        self.depth = 0
        self.builder = Builder()
        self.builder.names = {v.name for v in program.params} | {v.name for v in walk.bound(program.body)}
        self.builder.names |= {d for v in program.params for d in v.type.dims if isinstance(d, str)}
        self.forms: dict[str, Affine] = {}
        self.uses: Counter[str] = Counter(r.name for r in program.results if isinstance(r, Var))
        for node in walk.walk(program.body):
            self.uses.update(walk.used_here(node))
        self.there: set[tuple[Affine, Affine]] = set()  # subscripts known to be less than a size, and >= 0

    def region(self, nodes: Sequence[Node], facts: Facts) -> tuple[Node, ...]:
        written: list[Node] = []
        around = self.there
        self.there = around | self.reached(nodes)
        for node in nodes:
            match node:
                case Let():
                    self.learn(node)
                    self.limit(node, facts)
                    written.append(node)
                case For():
                    inside = deepcopy(facts)
                    first, stop = self.form(node.start), self.form(node.stop)
                    if first is not None and stop is not None:
                        inside.bound(node.index.name, first, stop - 1)
                    self.depth += 1
                    node = replace(node, body=self.region(node.body, inside))
                    self.depth -= 1
                    written += self.loop(node, inside)
                case While():
                    parts = self.region(node.test, facts), self.region(node.body, facts)
                    written.append(replace(node, test=parts[0], body=parts[1]))
                case If():
                    arms = self.region(node.then, facts), self.region(node.orelse, facts)
                    written.append(replace(node, then=arms[0], orelse=arms[1]))
                case _:
                    written.append(node)
        self.there = around
        return tuple(written)

    def reached(self, nodes: Iterable[Node]) -> set[tuple[Affine, Affine]]:
        """The subscripts of elements that these nodes surely read or write, each with the size of its axis.

        What comes behind something that may end the run is not sure to be reached.
        """
        found: set[tuple[Affine, Affine]] = set()
        for node in nodes:
            if not isinstance(node, Let):
                if any(isinstance(n, (Check, While)) for n in walk.walk([node])):
                    break
                continue
            self.learn(node)
            if node.op.name in ("getitem", *WRITES) and isinstance(node.args[1], Index):
                base, items = node.args[0], node.args[1].items
                assert isinstance(base, (Var, Lit))
                if all(isinstance(item, (Var, Lit)) and not item.type.rank for item in items):
                    sizes = [self.form(dim_atom(dim)) for dim in base.type.dims]
                    found.update(zip(map(self.form, items), sizes))  # type: ignore[arg-type]
        return found

    # -- index arithmetic ------------------------------------------------------------------------------

    def learn(self, let: Let) -> None:
        if let.var.type != I64 or let.op.name not in ("add", "sub", "mul", "neg"):
            return
        first, *rest = (self.form(a) for a in let.args)  # type: ignore[arg-type]
        form = None
        match let.op.name:
            case "add":
                form = first + rest[0]
            case "sub":
                form = first - rest[0]
            case "neg":
                form = first.scaled(-1)
            case "mul" if not first.terms:
                form = rest[0].scaled(first.constant)
            case "mul" if not rest[0].terms:
                form = first.scaled(rest[0].constant)
        if form is not None:
            self.forms[let.var.name] = form

    def limit(self, let: Let, facts: Facts) -> None:
        """What a maximum or minimum is not below or above: save arrays have `maximum(steps, 0)` rows."""
        if let.var.type == I64 and let.op.name in ("maximum", "minimum"):
            for atom in atoms(let.args):
                bound = self.form(atom)
                if let.op.name == "maximum":
                    facts.bound(let.var.name, lower=bound)
                else:
                    facts.bound(let.var.name, upper=bound)

    def form(self, atom: Atom) -> Affine:
        form = form_of(atom)
        return self.forms.get(atom.name, form) if isinstance(atom, Var) else form

    # -- one loop --------------------------------------------------------------------------------------

    def loop(self, node: For, facts: Facts) -> list[Node]:
        innermost = all(isinstance(inner, Let) for inner in node.body)
        if not (innermost or node.reverse):
            return [node]
        found = self.accesses(node, [p.var.name for p in node.phis if p.var.type.rank])
        if found is None or not all(p.var.type.rank or self.is_sum(p, node) for p in node.phis):
            return [node]
        pairs = [(a, b) for every in found.values() for k, a in enumerate(every) for b in every[: k + 1]]
        if len(pairs) > PAIRS or not all(self.apart(a, b, node, facts) for a, b in pairs):
            return [node]
        upwards = self.reassociated(replace(node, reverse=False))
        if not innermost:
            return [upwards]
        plan, certain = planned(self, node, found, facts)
        pieces = split(upwards, plan, self.builder, self.form)
        return pieces if certain else self.if_any(upwards, pieces)

    def if_any(self, loop: For, instead: Sequence[Node]) -> list[Node]:
        """What stands for a loop, only if the loop has an iteration."""
        with self.builder.open() as written:
            some = self.builder.emit("lt", loop.start, loop.stop)
            ends = {e.var.name: self.builder.fresh(e.var.name) for e in loop.exits}
            firsts = {p.var: p.first for p in loop.phis}
            phis = tuple(Phi(e.var, Var(ends[e.var.name], e.var.type), firsts[e.phi]) for e in loop.exits)
            self.builder.add(If(some, walk.rename(instead, ends), (), phis, loop.span))
        return list(written)

    def accesses(self, node: For, arrays: Iterable[str]) -> dict[str, list[Access]] | None:
        """What happens to each array that the loop updates; None if it is more than elements."""
        found: dict[str, list[Access]] = {name: [] for name in arrays}
        home = {name: name for name in found}
        if not self.collect(node.body, home, found, {}):
            return None
        for phi in node.phis:
            if phi.var.type.rank and home.get(getattr(phi.second, "name", "")) != phi.var.name:
                return None  # arrays change places
        return found

    def collect(
        self,
        nodes: Iterable[Node],
        home: dict[str, str],
        found: dict[str, list[Access]],
        inner: dict[str, For],
    ) -> bool:
        """Record all accesses; `home` tells the array of each of its versions, `inner` the loops around."""
        for node in nodes:
            match node:
                case Let(var, op, args):
                    used = {a.name for a in atoms(args) if isinstance(a, Var)} & set(home)
                    if not used:
                        continue
                    base, index = args[0], args[1] if len(args) > 1 else None
                    if (
                        op.name not in ("getitem", *WRITES)
                        or used != {base.name}
                        or not isinstance(index, Index)
                    ):  # type: ignore[union-attr]
                        return False
                    if not all(isinstance(item, (Var, Lit)) for item in index.items):
                        return False
                    places = tuple(self.form(item) for item in index.items)  # type: ignore[arg-type]
                    array = home[base.name]  # type: ignore[union-attr]
                    found[array].append(Access(op.name, places, node, tuple(inner.values())))
                    if op.name in WRITES:
                        home[var.name] = array
                case For(index=index_var, phis=phis, body=body, exits=exits):
                    self.enter(phis, home)
                    if not self.collect(body, home, found, inner | {index_var.name: node}):
                        return False
                    if not all(self.stays(p.var, p.second, home) for p in phis):
                        return False
                    home.update({e.var.name: home[e.phi.name] for e in exits if e.phi.name in home})
                case If(then=then, orelse=orelse, phis=phis):
                    if not (
                        self.collect(then, home, found, inner) and self.collect(orelse, home, found, inner)
                    ):
                        return False
                    for p in phis:
                        first = home.get(getattr(p.first, "name", ""))
                        if first != home.get(getattr(p.second, "name", "")):
                            return False
                        if first is not None:
                            home[p.var.name] = first
                case _:
                    return False
        return True

    def enter(self, phis: Iterable[Phi], home: dict[str, str]) -> None:
        for p in phis:
            if isinstance(p.first, Var) and p.first.name in home:
                home[p.var.name] = home[p.first.name]

    def stays(self, var: Var, value: Atom, home: Mapping[str, str]) -> bool:
        return home.get(var.name) == home.get(getattr(value, "name", ""))

    def is_sum(self, phi: Phi, node: For) -> bool:
        """Is a scalar that the loop carries a sum, of which nothing is read before the loop has ended?"""
        name = phi.var.name
        used = self.uses[name] - sum(e.phi == phi.var for e in node.exits)
        if used != 1 or not phi.var.type.is_float or not isinstance(phi.second, Var):
            return False
        if self.uses[phi.second.name] != 1:
            return False  # what has come together so far is read: that depends on the order
        for inner in node.body:
            if isinstance(inner, Let) and inner.var == phi.second:
                if inner.op is not radd and not self.may_move(name):
                    return False
                places = {radd: (0, 1), arith.add: (0, 1), arith.sub: (0,)}.get(inner.op, ())
                return any(inner.args[k] == phi.var for k in places)
            if isinstance(inner, For):
                end = next((e for e in inner.exits if e.var == phi.second), None)
                start = next((p for p in inner.phis if end is not None and p.var == end.phi), None)
                if start is not None:
                    return start.first == phi.var and self.is_sum(start, inner)
        return False

    def may_move(self, name: str) -> bool:
        """Is the order of this sum free?"""
        return self.own is None or ("_bar" in name and name not in self.own)

    def apart(self, a: Access, b: Access, node: For, facts: Facts) -> bool:
        """Can no iteration disturb another through these two?"""
        if a.kind == b.kind and a.kind in ("getitem", "at_add"):
            return True
        return self.never_meet(a, b, node, facts)

    def never_meet(self, a: Access, b: Access, node: For, facts: Facts) -> bool:
        """Are the elements of the two different in any two iterations?"""
        index = node.index.name
        local = {v.name for v in walk.bound(node.body)} - {n.index.name for n in (*a.loops, *b.loops)}
        both = self.bounded(self.bounded(facts, a.loops, ""), (node, *b.loops), "'")
        renamed = {n.index.name for n in (node, *b.loops)}
        for first, second in zip(a.places, b.places):
            if local & {*first.names, *second.names}:
                continue
            fixed = not {n.index.name for n in a.loops} & set(first.names)
            if first == second and index in first.names and fixed:
                return True
            difference = first - primed(second, renamed)
            if both.proves(difference - 1) or both.proves(difference.scaled(-1) - 1):
                return True
        return False

    def bounded(self, facts: Facts, loops: Iterable[For], mark: str) -> Facts:
        """The facts with the ranges of loops, whose indices (and theirs in each other's ranges) are marked."""
        result = deepcopy(facts)
        loops = tuple(loops)
        marked = {n.index.name for n in loops} if mark else set()
        for n in loops:
            lower, upper = (primed(self.form(end), marked) for end in (n.start, n.stop))
            result.bound(n.index.name + mark, lower, upper - 1)
        return result

    def reassociated(self, node: For) -> For:
        sums = {p.second.name for p in node.phis if isinstance(p.second, Var) and not p.var.type.rank}
        body: list[Node] = []
        for let in node.body:
            if isinstance(let, Let) and let.var.name in sums:
                if let.op is arith.sub:
                    negative = self.builder.var(let.var.name, let.var.type)
                    body.append(Let(negative, arith.neg, (let.args[1],), let.span))
                    let = replace(let, args=(let.args[0], negative))
                let = replace(let, op=radd)
            body.append(let)
        return replace(node, body=tuple(body))
