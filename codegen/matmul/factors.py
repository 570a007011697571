"""What is summed up in a loop, as a product of two matrices: `C[i, j] += 2.0 * A[i, k] * B[j, k]`.

A factor is an element of an array that the loop leaves alone, or a value that depends on two of the indices:
the loop then keeps those values in a matrix of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...ir.affine import Affine
from ...ir.ops import arith
from ...ir.ops.index import at_set, getitem
from ...ir.program import Atom, For, Lit, Var
from ..analysis.loop_facts import Inside, Path, Sum


@dataclass(frozen=True)
class Factor:
    """An element of an array, or (without places) a value known in an inner loop."""

    value: Var  # the array, or the value
    places: tuple[Affine, ...]
    indices: frozenset[str]  # the loop indices that it depends on
    ours: bool  # is the array made or changed by the loop?
    at: int  # the node of the loop's body in which it is read
    within: For | None = None  # the inner loop that knows the value


@dataclass
class Product:
    """factors * scales, summed over `loops` besides the loops around."""

    sign: int = 1
    scales: list[Atom] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    loops: dict[str, For] = field(default_factory=dict)

    def times(self, other: Product) -> Product:
        return Product(
            self.sign * other.sign, self.scales + other.scales, self.factors + other.factors,
            self.loops | other.loops,
        )  # fmt: skip


@dataclass(frozen=True)
class Range:
    """From where to where an index runs in the matrices; `shift` is what they add to the loop's own index."""

    loop: For
    shift: Affine
    start: Affine
    stop: Affine
    ragged: bool  # do the ends depend on the outer loop?


class Factors:
    """Takes values apart into factors."""

    def __init__(self, inside: Inside) -> None:
        self.inside = inside

    def of(self, total: Sum) -> Product | None:
        found = self.resolved(total.value, total.path, {})
        if found is not None:
            found.sign *= total.sign
            found.loops = {f.index.name: f for f in total.path} | found.loops
        return found

    def resolved(self, atom: Atom, path: Path, names: Mapping[str, str]) -> Product | None:
        """The value as a product; `names` says what indices of loops it went through are called here."""
        inside = self.inside
        if isinstance(atom, Lit) or atom.name not in inside.home:
            return Product(scales=[atom])
        home = inside.home[atom.name]
        if home is None:
            return None
        found = self.split(atom, path, names)
        if found is not None:
            simple = len(found.factors) < 2 and all(not f.ours and len(f.indices) == 2 for f in found.factors)
            if simple or len(home) > 2 or len(found.loops) > 0:
                return found
        if len(home) == 2 and atom.type.is_float:
            (outer, inner) = home
            indices = frozenset((outer.index.name, names.get(inner.index.name, inner.index.name)))
            at = next(k for k, node in enumerate(inside.loop.body) if node is inner)
            return Product(factors=[Factor(atom, (), indices, True, at, inner)])
        return found

    def split(self, atom: Var, path: Path, names: Mapping[str, str]) -> Product | None:
        inside = self.inside
        let = inside.made.get(atom.name)
        if let is None:
            return self.inner_sum(atom, path, names)
        if let.op is arith.mul:
            parts = [self.resolved(a, path, names) for a in let.args]  # type: ignore[arg-type]
            return None if parts[0] is None or parts[1] is None else parts[0].times(parts[1])
        if let.op is arith.neg:
            part = self.resolved(let.args[0], path, names)  # type: ignore[arg-type]
            return None if part is None else Product(sign=-1).times(part)
        if let.op is not getitem:
            return None
        base, places = let.args[0], inside.places(let.args[1])
        if places is None or not isinstance(base, Var):
            return None
        if base.name in inside.home and inside.home[base.name] != (inside.loop,):
            return None
        through = self.stored(base, places, path, names)
        if through is not None:
            return through
        renamed = tuple(self.renamed(p, names) for p in places)
        indices = frozenset(n for p in renamed for n in p.names if self.is_index(n))
        ours = base.name in inside.home
        indices |= {inside.loop.index.name} if ours else set()
        return Product(factors=[Factor(base, renamed, indices, ours, inside.top[id(let)])])

    def inner_sum(self, atom: Var, path: Path, names: Mapping[str, str]) -> Product | None:
        """The value of a sum that a loop has made."""
        if atom.name not in self.inside.exits:
            return None
        loop, end = self.inside.exits[atom.name]
        phi = next(p for p in loop.phis if p.var == end.phi)
        total = next((s for s in self.inside.sums if s.let.var == phi.second and not s.places), None)
        if total is None or not (isinstance(phi.first, Lit) and float(phi.first.text) == 0.0):
            return None
        found = self.resolved(total.value, total.path, names)
        if found is None or loop.index.name in found.loops:
            return None
        return Product(total.sign, loops={loop.index.name: loop}).times(found)

    def stored(
        self, base: Var, places: tuple[Affine, ...], path: Path, names: Mapping[str, str]
    ) -> Product | None:
        """What is read of an array that an inner loop before has filled, one element per trip."""
        inside = self.inside
        if base.name not in inside.exits or len(places) != 1 or len(places[0].terms) != 1:
            return None
        loop, end = inside.exits[base.name]
        phi = next(p for p in loop.phis if p.var == end.phi)
        store = inside.made.get(getattr(phi.second, "name", ""))
        first = inside.made.get(getattr(phi.first, "name", ""))
        if store is None or store.op is not at_set or store.args[0] != phi.var or first is None:
            return None
        index = Affine.name(loop.index.name)
        if first.op.name != "empty" or inside.places(store.args[1]) != (index,) or places[0].constant:
            return None
        ((name, coefficient),) = places[0].terms
        if coefficient != 1 or not self.is_index(name):
            return None
        found = self.resolved(store.args[2], (*path[:1], loop), {**names, loop.index.name: names.get(name, name)})  # type: ignore[arg-type]
        return found if found is not None and found.loops else None

    def renamed(self, form: Affine, names: Mapping[str, str]) -> Affine:
        for name in form.names:
            if name in names:
                form = form.substitute(name, Affine.name(names[name]))
        return form

    def is_index(self, name: str) -> bool:
        home = self.inside.home.get(name)
        return home is not None and home[-1].index.name == name


def ranges(inside: Inside, loops: Mapping[str, For], direct: list[tuple[Affine, ...]]) -> dict[str, Range] | None:
    """How far each index runs in the matrices; None if some subscript is not one index and what the loop leaves alone.

    `direct` are the subscripts of arrays that are read or written as they lie in memory.
    """
    outer = inside.loop.index.name
    result: dict[str, Range] = {}
    for name, loop in loops.items():
        shift = Affine()
        if name != outer:
            shifts = set()
            for form in (f for places in direct for f in places if name in f.names):
                rest = form - Affine.name(name)
                shifts.add(dict(rest.terms).get(outer, 0))
            if len(shifts) > 1:
                return None
            shift = Affine.of(0, {outer: shifts.pop() if shifts else 0})
        ends = [_form(inside, loop.start), _form(inside, loop.stop)]
        around = {outer} if name != outer else set()
        if any({n for n in e.names if n in inside.home} - around for e in ends):
            return None
        ends = [e + shift for e in ends]
        slopes = [dict(e.terms).get(outer, 0) for e in ends]
        if slopes[0] and slopes[1]:
            return None
        first = _form(inside, inside.loop.start)
        last = _form(inside, inside.loop.stop) - 1
        # The widest trip: where the start is least, the stop largest.
        start, stop = (
            e.substitute(outer, first if (s > 0) == (k == 0) else last) if s else e
            for k, (e, s) in enumerate(zip(ends, slopes))
        )
        result[name] = Range(loop, shift, start, stop, any(slopes))
    if any(n in inside.home for r in result.values() for n in (*r.start.names, *r.stop.names)):
        return None
    return result


def _form(inside: Inside, atom: Atom) -> Affine:
    return inside.form(atom)


def single(form: Affine, ranges: Mapping[str, Range], inside: Inside) -> tuple[str, Affine] | None:
    """The one index in a subscript and what is added to it there (nothing that changes in the loop)."""
    for name, extent in ranges.items():
        rest = form - Affine.name(name) - extent.shift
        if name in form.names and inside.invariant(rest):
            return name, rest
    return None
