"""Small arrays of known size live in registers: positions of particles, the state of an equation.

A loop over a known few elements of such an array is written out, and the array becomes one scalar per
element, through loops and branches. Arrays whose subscripts are computed stay in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.build import Builder, literal
from ...ir.ops import arith
from ...ir.primitive import REGISTRY, Kind
from ...ir.program import Atom, Check, Exit, For, If, Index, Let, Lit, Node, Phi, Program, Var, While, atoms
from ...ir.types import I64, Type
from ..analysis.versions import Versions
from ..primitives import radd

ELEMENTS = 9
"""Arrays of more elements stay in memory."""
TRIPS = 4
"""Loops over more than this are not written out."""
LINES = 60
"""Nor loops that would become more lines than this."""


def is_small(type: Type) -> bool:
    sizes = [d for d in type.dims if isinstance(d, int)]
    return type.rank > 0 and len(sizes) == type.rank and 0 < math.prod(sizes) <= ELEMENTS


# -- loops -----------------------------------------------------------------------------------------------


def unroll(program: Program) -> Program:
    """Loop unrolling: short loops that run over small arrays, or inside of other loops, are written out."""
    params = {p.name for p in program.params}
    builder = Builder()
    builder.names = walk.names_of(program)
    body, values = _unrolled(program.body, builder, params, False)
    atom, _, _ = walk.substitution(values)
    return builder.names.written(program, body=body, results=tuple(map(atom, program.results)))


def _unrolled(
    nodes: Iterable[Node], builder: Builder, params: set[str], inside: bool
) -> tuple[tuple[Node, ...], dict[str, Atom]]:
    """The region without the loops that are written out, and what their exits are."""
    written: list[Node] = []
    values: dict[str, Atom] = {}
    for node in nodes:
        (node,) = walk.substitute([node], values)
        node = _within(node, builder, params, inside)
        if isinstance(node, For) and _worth_writing_out(node, params, inside):
            written += _written_out(node, builder, values)
        else:
            written.append(node)
    return tuple(written), values


def _within(node: Node, builder: Builder, params: set[str], inside: bool) -> Node:
    """The node with its regions rewritten, and with what their exits are in its phis."""
    parts = {"For": ("body",), "While": ("test", "body"), "If": ("then", "orelse")}.get(
        type(node).__name__, ()
    )
    exits: dict[str, Atom] = {}
    for part in parts:
        region = walk.substitute(getattr(node, part), exits)
        written, values = _unrolled(region, builder, params, inside or not isinstance(node, If))
        exits |= values
        node = replace(node, **{part: written})  # type: ignore[arg-type]
    return walk.substitute([node], exits)[0]


def _worth_writing_out(node: For, params: set[str], inside: bool) -> bool:
    if not (isinstance(node.start, Lit) and isinstance(node.stop, Lit)):
        return False
    trips = int(node.stop.text) - int(node.start.text)
    size = sum(1 for _ in walk.walk(node.body))
    if not 0 <= trips <= TRIPS or trips * size > LINES:
        return False
    if inside and all(isinstance(inner, Let) for inner in node.body):
        return True
    for inner in walk.walk(node.body):
        if isinstance(inner, Let) and inner.op.accesses:
            base = inner.args[0]
            assert isinstance(base, Var)
            indexed = node.index in list(atoms(inner.args[1]))
            if indexed and base.name not in params and is_small(base.type):
                return True
    return False


def _written_out(node: For, builder: Builder, values: dict[str, Atom]) -> list[Node]:
    """The iterations one after the other; `values` learns what the exits are."""
    assert isinstance(node.start, Lit) and isinstance(node.stop, Lit)
    trips = range(int(node.start.text), int(node.stop.text))
    state: dict[str, Atom] = {p.var.name: p.first for p in node.phis}
    bound = [v.name for v in walk.bound(node.body)]
    written: list[Node] = []
    for k in reversed(trips) if node.reverse else trips:
        names = {name: builder.fresh(name, name) for name in bound}
        inner = {**state, node.index.name: Lit(str(k), I64)}
        copy = walk.substitute(walk.rename(node.body, names), inner)
        now: dict[str, Atom] = dict(inner)
        for old, var in zip(bound, walk.bound(copy)):
            now[old] = var
        sums = {}
        for let in copy:
            if isinstance(let, Let) and let.op is radd:
                # Written out it is a sum as any other, and 0 + x is x.
                first = isinstance(let.args[0], Lit) and let.args[0].text == "0.0"
                if first:
                    sums[let.var.name] = let.value(1)
                else:
                    written.append(replace(let, op=arith.add))
            else:
                written.append(let)
        written = list(walk.substitute(written, sums))
        state = {p.var.name: _value(_value(p.second, now), sums) for p in node.phis}
    values.update({e.var.name: state[e.phi.name] for e in node.exits})
    return written


def _value(atom: Atom, values: Mapping[str, Atom]) -> Atom:
    return values.get(atom.name, atom) if isinstance(atom, Var) else atom


# -- arrays ----------------------------------------------------------------------------------------------


def scalar_replacement(program: Program) -> Program:
    """Scalar replacement of aggregates: small arrays of known size become scalars.

    >>> from ...ir.text import parse
    >>> print(scalar_replacement(parse('''
    ... def f(x: f64) -> f64:
    ...     d: f64[2] = empty((2,), f64)
    ...     d1: f64[2] = d.at[0].set(x)
    ...     d2: f64[2] = d1.at[1].set(1.0)
    ...     a: f64 = d2[0]
    ...     b: f64 = d2[1]
    ...     y: f64 = a * b
    ...     return y''')))
    def f(x: f64) -> f64:
        y: f64 = x * 1.0
        return y
    """
    kept = _replaceable(program)
    return Registers(program, kept).program() if kept else program


def _replaceable(program: Program) -> set[str]:
    """Names of small arrays of which only elements at known places are read and written."""
    params = {p.name for p in program.params}
    small = {v.name for v in walk.bound(program.body) if is_small(v.type)}
    versions = Versions(program, copies=True, apart=params)
    refused = {name for group in versions.groups() if group - small for name in group}
    for node in walk.walk(program.body):
        if not isinstance(node, Let):
            continue
        var, op, args = node.var, node.op, node.args
        known = op.accesses and _fixed(args[1], args[0].type)  # type: ignore[union-attr]
        if known and op.name == "getitem" and not var.type.rank:
            continue
        if op.name == "copy" or (known and not args[2].type.rank):  # type: ignore[union-attr]
            continue
        refused |= {a.name for a in atoms(args) if isinstance(a, Var)} & small
        if var.name in small and op.kind is not Kind.ALLOCATE:
            refused.add(var.name)
    arrays = {versions.array(name) for name in refused}
    return {name for name in small if versions.array(name) not in arrays}


def _fixed(index: object, type_: Type) -> bool:
    """Is it a known place of the array? Behind a check that fails there may be others."""
    return (
        isinstance(index, Index)
        and len(index.items) == type_.rank
        and all(
            isinstance(item, Lit) and isinstance(dim, int) and 0 <= int(item.text) < dim
            for item, dim in zip(index.items, type_.dims)
        )
    )


def _places(type: Type) -> list[tuple[int, ...]]:
    """All subscripts of an array, in order."""
    places: list[tuple[int, ...]] = [()]
    for dim in type.dims:
        places = [(*p, k) for p in places for k in range(int(dim))]
    return places


class Registers:
    """Rewrites a program: each array that is kept becomes what it consists of, through loops and branches."""

    def __init__(self, program: Program, kept: set[str]):
        self.source = program
        self.kept = kept
        self.builder = Builder()
        self.builder.names = walk.names_of(program)
        self.elements: dict[str, tuple[Atom, ...]] = {}  # what a replaced array consists of
        self.scalars: dict[str, Atom] = {}  # elements that were read

    def program(self) -> Program:
        old = self.source
        with self.builder.open() as body:
            self.region(old.body)
            results = tuple(self.whole(r) if self.is_kept(r) else self.now(r) for r in old.results)
        return self.builder.names.written(old, body=tuple(body), results=results)

    def is_kept(self, atom: Atom) -> bool:
        return isinstance(atom, Var) and atom.name in self.kept

    def now(self, atom: Atom) -> Atom:
        return self.scalars.get(atom.name, atom) if isinstance(atom, Var) else atom

    def fresh(self, var: Var) -> tuple[Var, ...]:
        type = var.type.with_dims(())
        return tuple(
            self.builder.var(var.name + "".join(map(str, place)), type, var.name) for place in _places(var.type)
        )

    def parts(self, atom: Atom) -> tuple[Atom, ...]:
        """The elements of an array; those of one in memory are read here."""
        assert isinstance(atom, Var)
        if atom.name in self.elements:
            return self.elements[atom.name]
        found: list[Atom] = []
        for place, var in zip(_places(atom.type), self.fresh(atom)):
            index = Index(tuple(Lit(str(k), I64) for k in place))
            self.builder.add(Let(var, REGISTRY["getitem"], (atom, index), self.builder.span))
            found.append(var)
        return tuple(found)

    def whole(self, atom: Atom) -> Var:
        """The array in memory again."""
        assert isinstance(atom, Var)
        shape = tuple(Lit(str(d), I64) for d in atom.type.dims)
        here = self.builder.again(atom)
        self.builder.add(Let(here, REGISTRY["empty"], (shape, atom.type.dtype)))
        for place, value in zip(_places(atom.type), self.parts(atom)):
            after = self.builder.again(atom)
            index = Index(tuple(Lit(str(k), I64) for k in place))
            self.builder.add(Let(after, REGISTRY["at_set"], (here, index, value)))
            here = after
        return here

    # -- nodes -----------------------------------------------------------------------------------------

    def region(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.builder.span = node.span or self.builder.span
            match node:
                case Let():
                    self.let(node)
                case Check():
                    self.builder.add(replace(node, cond=self.now(node.cond)))
                case For() | While():
                    self.loop(node)
                case If():
                    self.branch(node)

    def let(self, let: Let) -> None:
        name, op, args = let.var.name, let.op.name, let.args
        if op == "getitem" and self.is_kept(args[0]):  # type: ignore[arg-type]
            self.scalars[name] = self.parts(args[0])[self.position(args[0], args[1])]  # type: ignore[arg-type]
            return
        if name not in self.kept:
            substituted = walk.substitute([let], self.scalars)
            self.builder.add(substituted[0])
            return
        if let.op.kind is Kind.ALLOCATE:
            zero = literal(0, let.var.type.dtype)
            self.elements[name] = (zero,) * len(_places(let.var.type))
            return
        elements = list(self.parts(args[0]))  # type: ignore[arg-type]
        if op != "copy":
            k = self.position(args[0], args[1])  # type: ignore[arg-type]
            value = self.now(args[2])  # type: ignore[arg-type]
            if op == "at_add":
                var = self.builder.var(name, value.type, name)
                self.builder.add(Let(var, REGISTRY["add"], (elements[k], value), let.span))
                value = var
            elements[k] = value
        self.elements[name] = tuple(elements)

    def position(self, array: Var, index: Index) -> int:
        place = tuple(int(item.text) for item in index.items)  # type: ignore[union-attr]
        return _places(array.type).index(place)

    def heads(self, phis: Sequence[Phi]) -> Iterator[tuple[Phi, tuple[Var, ...], tuple[Atom, ...]]]:
        """Per phi: the scalars in its place, and their values on entry."""
        for p in phis:
            if self.is_kept(p.var):
                firsts = self.parts(p.first)
                variables = self.fresh(p.var)
                yield p, variables, firsts
            else:
                yield p, (p.var,), (self.now(p.first),)

    def seconds(self, heads: Iterable[tuple[Phi, tuple[Var, ...], tuple[Atom, ...]]]) -> tuple[Phi, ...]:
        result: list[Phi] = []
        for p, variables, firsts in heads:
            values = self.parts(p.second) if self.is_kept(p.var) else (self.now(p.second),)
            result += [Phi(v, a, b) for v, a, b in zip(variables, firsts, values)]
        return tuple(result)

    def loop(self, node: For | While) -> None:
        heads = list(self.heads(node.phis))
        for p, variables, _ in heads:
            if self.is_kept(p.var):
                self.elements[p.var.name] = variables
        exits: list[Exit] = []
        for e in node.exits:
            if self.is_kept(e.phi):
                ends = self.fresh(e.var)
                exits += [Exit(v, p) for v, p in zip(ends, self.elements[e.phi.name])]  # type: ignore[arg-type]
                self.elements[e.var.name] = ends
            else:
                exits.append(e)
        with self.builder.open() as written:
            if isinstance(node, While):
                self.region(node.test)
                split = len(written)
                cond = self.now(node.cond)
            self.region(node.body)
            phis = self.seconds(heads)
        if isinstance(node, While):
            parts = tuple(written[:split]), cond, tuple(written[split:])
            self.builder.add(While(phis, *parts, tuple(exits), node.span))
        else:
            bounds = self.now(node.start), self.now(node.stop)
            self.builder.add(
                replace(
                    node, start=bounds[0], stop=bounds[1], phis=phis, body=tuple(written), exits=tuple(exits)
                )
            )

    def branch(self, node: If) -> None:
        arms: list[tuple[Node, ...]] = []
        values: list[list[tuple[Atom, ...]]] = []
        for k, nodes in enumerate((node.then, node.orelse)):
            with self.builder.open() as written:
                self.region(nodes)
                ends = [p.second if k else p.first for p in node.phis]
                values.append(
                    [
                        self.parts(e) if self.is_kept(p.var) else (self.now(e),)
                        for p, e in zip(node.phis, ends)
                    ]
                )
            arms.append(tuple(written))
        phis: list[Phi] = []
        for p, firsts, seconds in zip(node.phis, *values):
            variables = self.fresh(p.var) if self.is_kept(p.var) else (p.var,)
            if self.is_kept(p.var):
                self.elements[p.var.name] = variables
            phis += [Phi(v, a, b) for v, a, b in zip(variables, firsts, seconds)]
        self.builder.add(
            replace(node, cond=self.now(node.cond), then=arms[0], orelse=arms[1], phis=tuple(phis))
        )
