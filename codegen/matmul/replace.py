"""A loop without the sums that `recognise` has found in it, and the products that make them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ...ir import walk
from ...ir.affine import Affine
from ...ir.build import Builder, atom_dim, dim_atom, literal
from ...ir.ops.array import full_slice
from ...ir.ops.index import at_add, at_set, getitem
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, Exit, For, If, Index, Let, Lit, Node, Phi, Slice, Var
from ...ir.types import I64
from ..analysis.loop_facts import Inside
from ..primitives import add_matmul, set_matmul
from .combine import Joined, Places, half_of
from .factors import Factor, Range, single
from .guard import Element, multiplied

if TYPE_CHECKING:
    from .recognise import Match


class Rewrite:
    """Collects what changes, then writes the loop anew."""

    def __init__(self, inside: Inside, builder: Builder) -> None:
        self.inside = inside
        self.builder = builder
        self.loop = inside.loop
        self.before: list[Node] = []
        self.after: list[Node] = []
        self.gone: dict[str, Atom] = {}  # additions that are left out: the array or sum without them
        self.dropped: set[int] = set()  # their lines
        self.behind: dict[int, list[Node]] = {}  # per node: what follows it
        self.front: dict[int, list[Node]] = {}  # per node: what comes before it
        self.ends: dict[int, list[Node]] = {}  # per loop: what its body ends with
        self.phis: dict[int, list[Phi]] = {}
        self.exits: dict[int, list[Exit]] = {}
        self.ended: dict[str, Var] = {}  # what exits are called whose name a node behind the loop takes
        self.latest: dict[str, Var] = {}  # and that node's result
        self.matrices: dict[tuple[object, ...], Var] = {}

    # -- sizes and subscripts --------------------------------------------------------------------------

    def number(self, form: Affine, out: list[Node]) -> Atom:
        with self.builder.open() as written:
            atom = self.builder.integer(form)
        out.extend(written)
        return atom

    def size(self, extent: Range, out: list[Node]) -> Atom:
        return self.number(extent.stop - extent.start, out)

    def slices(
        self, array: Var, places: Sequence[Affine], extents: dict[str, Range], out: list[Node]
    ) -> tuple[Index, list[str]]:
        """The part of an array that the loops run over, and which index runs along each of its axes."""
        items: list[Atom | Slice | None] = []
        names: list[str] = []
        for place, dim in zip(places, array.type.dims):
            found = single(place, extents, self.inside)
            if found is None:
                items.append(self.number(place, out))
                continue
            name, offset = found
            extent = extents[name]
            start, stop = extent.start + offset, extent.stop + offset
            names.append(name)
            if start == Affine() and stop == self.inside.form(dim_atom(dim)):
                items.append(full_slice(dim))
                continue
            size = atom_dim(self.size(extent, out))
            items.append(Slice(self.number(start, out), self.number(stop, out), 1, size))
        return Index(tuple(items)), names

    # -- factors as matrices ---------------------------------------------------------------------------

    def matrix(self, factor: Factor, rows: str, columns: str, extents: dict[str, Range], out: list[Node]) -> Var:
        """The factor with these indices along its rows and columns."""
        ragged = any(extents[n].ragged for n in factor.indices) and self.loop.index.name in factor.indices
        if factor.ours or ragged:
            var, names = self.kept(factor, extents), sorted(factor.indices, key=lambda n: n != self.loop.index.name)
        else:
            var = factor.value
            index, names = self.slices(var, factor.places, extents, out)
            var = self.slice_of(var, index, out)
        return var if names == [rows, columns] else self.transposed(var, out)

    def slice_of(self, array: Var, index: Index, out: list[Node]) -> Var:
        if index.items == tuple(map(full_slice, array.type.dims)):
            return array
        dims = tuple(item.size for item in index.items if isinstance(item, Slice))
        part = self.builder.var("t", array.type.with_dims(dims))
        out.append(Let(part, getitem, (array, index), self.loop.span))
        return part

    def transposed(self, array: Var, out: list[Node]) -> Var:
        turned = self.builder.var("t", array.type.with_dims(array.type.dims[::-1]))
        out.append(Let(turned, REGISTRY["transpose"], (array, (1, 0)), self.loop.span))
        return turned

    def kept(self, factor: Factor, extents: dict[str, Range]) -> Var:
        """A matrix that the loop fills with the values of a factor, one row per trip; 0 where it has none."""
        outer = self.loop.index.name
        (other,) = factor.indices - {outer}
        key = factor.value.name, factor.places, id(factor.within), other
        if key not in self.matrices:
            extent, rows = extents[other], extents[outer]
            shape = self.size(rows, self.before), self.size(extent, self.before)
            self.matrices[key] = self.filled(factor, extent, other, shape, [self.kept_at(other, extents)])
        return self.matrices[key]

    def kept_at(self, other: str, extents: dict[str, Range]) -> tuple[Affine, Affine]:
        """Where the values of one trip of both loops are kept."""
        rows, extent = extents[self.loop.index.name], extents[other]
        return Affine.name(self.loop.index.name) - rows.start, Affine.name(other) + extent.shift - extent.start

    def filled(
        self,
        factor: Factor,
        extent: Range,
        other: str,
        shape: tuple[Atom, Atom],
        places: Sequence[tuple[Affine, Affine]],
        distinct: bool = True,
    ) -> Var:
        """A matrix of zeros in which the loop sets elements to the values of a factor (or adds, if not `distinct`).

        `other` is what `places` call the index of the inner loop.
        """
        inner = factor.within or extent.loop
        hint = factor.value.name
        type = factor.value.type.with_dims(tuple(map(atom_dim, shape)))

        def var() -> Var:
            return self.builder.var(hint, type)

        first, head, end, result, carried = var(), var(), var(), var(), var()
        self.before.append(Let(first, REGISTRY["zeros"], (shape, type.dtype), self.loop.span))
        index = Affine.name(inner.index.name)
        if factor.within is None:  # a loop of its own
            counter = self.builder.var(inner.index.name, I64)
            index = Affine.name(counter.name)
        body: list[Node] = []
        value: Atom = factor.value
        if factor.within is None:
            at = tuple(self.number(p.substitute(extent.loop.index.name, index), body) for p in factor.places)
            value = self.builder.var("t", type.with_dims(()))
            body.append(Let(value, getitem, (factor.value, Index(at)), self.loop.span))
        stored = carried
        for place in places:
            element = Index(tuple(self.number(p.substitute(other, index), body) for p in place))
            before, stored = stored, var()
            body.append(Let(stored, at_set if distinct else at_add, (before, element, value), self.loop.span))
        if factor.within is None:
            around = self.front.setdefault(id(self.loop.body[factor.at]), [])
            phis = (Phi(carried, head, stored),)
            around.append(self.counted(counter, inner, phis, body, (Exit(end, carried),), around))
        else:
            self.ends.setdefault(id(inner), []).extend(body)
            self.phis.setdefault(id(inner), []).append(Phi(carried, head, stored))
            self.exits.setdefault(id(inner), []).append(Exit(end, carried))
        self.phis.setdefault(id(self.loop), []).append(Phi(head, first, end))
        self.exits.setdefault(id(self.loop), []).append(Exit(result, head))
        return result

    def part(self, array: Var, places: Places, out: list[Node]) -> Index:
        """The subscript that selects a part of an array."""
        items: list[Atom | Slice | None] = []
        for place, dim in zip(places, array.type.dims):
            if isinstance(place, Affine):
                items.append(self.number(place, out))
            elif place == (Affine(), self.inside.form(dim_atom(dim))):
                items.append(full_slice(dim))
            else:
                start, stop = (self.number(end, out) for end in place)
                items.append(Slice(start, stop, 1, atom_dim(self.number(place[1] - place[0], out))))
        return Index(tuple(items))

    def add_joined(self, both: Joined, test: Atom | None) -> None:
        """Two products by one call: the elements of the factor that they do not share go to both places of a matrix."""
        half = both.halves[0]
        common, reads, adds = half.common, both.read[half.axes[0]], both.added[half.axes[2]]
        assert isinstance(reads, tuple) and isinstance(adds, tuple)
        turned = half.kept is half.found.left  # the result's index along the rows of the matrix

        def ordered(a: Affine, b: Affine) -> tuple[Affine, Affine]:
            return (b, a) if turned else (a, b)

        rows, columns = ordered(reads[1] - reads[0], adds[1] - adds[0])
        shape = self.number(rows, self.before), self.number(columns, self.before)
        places = [ordered(h.at[0] - reads[0], h.at[1] - adds[0]) for h in both.halves]
        extent = half.found.extents[half.other]
        matrix = self.filled(half.kept, extent, half.other, shape, places, both.distinct)
        factor = self.slice_of(common.value, self.part(common.value, both.read, self.after), self.after)
        if (half.axes[0] < half.axes[1]) != turned:
            factor = self.transposed(factor, self.after)
        left, right = (matrix, factor) if turned else (factor, matrix)
        for h in both.halves:
            self.dropped.add(id(h.found.total.let))
            self.gone[h.found.total.let.var.name] = h.found.total.let.value(0)
        index = self.part(self.behind_name(half.found), both.added, self.after)
        elements = [(h, matrix, place) for h, place in zip(both.halves, places)]
        self.added_behind(half.found, index, left, right, test, elements)

    # -- one sum ---------------------------------------------------------------------------------------

    def loops_for(self, found: Match | Joined) -> bool:
        """Can loops over the matrices that the loop has filled do what the call does?"""
        return found.distinct if isinstance(found, Joined) else half_of(self.inside, found) is not None

    def add(self, found: Match | Joined, test: Atom | None) -> None:
        """Leave a sum out of the loop, and make it by a call; where a test says so, by loops over matrices."""
        if isinstance(found, Joined):
            self.add_joined(found, test)
            return
        out = self.before if found.before else self.after
        left = self.matrix(found.left, found.rows, found.summed, found.extents, out)
        right = self.matrix(found.right, found.summed, found.columns, found.extents, out)
        total = found.total
        self.dropped.add(id(total.let))
        if not found.before:
            self.gone[total.let.var.name] = total.let.value(0)
            index, _ = self.slices(self.behind_name(found), total.places, found.extents, self.after)
            half = half_of(self.inside, found) if test is not None else None
            elements = []
            if half is not None:
                matrix = self.kept(half.kept, found.extents)
                elements.append((half, matrix, self.kept_at(half.other, found.extents)))
            self.added_behind(found, index, left, right, test, elements)
            return
        product = self.made_before(found, self.alpha(found, out), left, right)
        if total.places:
            self.gone[total.let.var.name] = total.let.value(0)
            self.added_from(found, product)
        else:
            self.read_from(found, product)

    def alpha(self, found: Match, out: list[Node]) -> Atom:
        """What the product is multiplied by."""
        dtype = found.left.value.type.dtype
        alpha: Atom = literal(1.0, dtype)
        for scale in found.product.scales:
            alpha = scale if alpha == literal(1.0, dtype) else self.emit("mul", alpha, scale, out)
        if found.product.sign > 0:
            return alpha
        return literal(-float(alpha.text), dtype) if isinstance(alpha, Lit) else self.emit("neg", alpha, None, out)

    def emit(self, op: str, a: Atom, b: Atom | None, out: list[Node]) -> Var:
        var = self.builder.var("t", a.type)
        out.append(Let(var, REGISTRY[op], (a,) if b is None else (a, b), self.loop.span))
        return var

    def end_of(self, found: Match) -> Exit:
        """With which exit the array leaves the loop that is added to."""
        phi = self.inside.carrier(self.loop, found.total.let.var.name)
        assert phi is not None
        return next(e for e in self.loop.exits if e.phi == phi.var)

    def behind_name(self, found: Match) -> Var:
        return self.end_of(found).var

    def added_behind(
        self, found: Match, index: Index, left: Var, right: Var, test: Atom | None, elements: Sequence[Element]
    ) -> None:
        alpha = self.alpha(found, self.after)
        base, after = self.behind_exit(self.end_of(found))
        args = base, index, alpha, left, right
        if test is None:
            self.after.append(Let(after, add_matmul, args, found.total.let.span))
            return
        called = self.fresh(base)
        loops: list[Node] = []
        value = base
        for element in elements:
            value = multiplied(self, value, alpha, element, loops)
        call = Let(called, add_matmul, args, found.total.let.span)
        self.after.append(If(test, (call,), tuple(loops), (Phi(after, called, value),), self.loop.span))

    def behind_exit(self, end: Exit) -> tuple[Var, Var]:
        """What an array is called when a loop ends, and after one more node behind the loop."""
        name = end.var.name
        if name not in self.latest:
            self.ended[name] = self.latest[name] = self.builder.again(end.var)
        base, after = self.latest[name], self.builder.again(end.var)
        self.latest[name] = after
        return base, after

    def counted(
        self, index: Var, like: For, phis: tuple[Phi, ...], body: list[Node], exits: tuple[Exit, ...], out: list[Node]
    ) -> For:
        """A loop that runs as far as another one, in a place where that one's ends may have no names yet."""
        start, stop = (self.number(self.inside.form(end), out) for end in (like.start, like.stop))
        return For(index, start, stop, False, phis, tuple(body), exits, self.loop.span)

    def made_before(self, found: Match, alpha: Atom, left: Var, right: Var) -> Var:
        shape = tuple(self.size(found.extents[n], self.before) for n in (found.rows, found.columns))
        type = left.type.with_dims(tuple(map(atom_dim, shape)))
        memory, product = self.builder.var("t", type), self.builder.var("t", type)
        self.before.append(Let(memory, REGISTRY["empty"], (shape, type.dtype), self.loop.span))
        every = Index(tuple(map(full_slice, type.dims)))
        self.before.append(Let(product, set_matmul, (memory, every, alpha, left, right), found.total.let.span))
        return product

    def element(self, found: Match, product: Var, names: dict[str, Var], out: list[Node]) -> Var:
        """The element of a product made before that belongs to this trip."""
        places = []
        for name in (found.rows, found.columns):
            extent = found.extents[name]
            index = Affine.name(names[name].name if name in names else name)
            places.append(self.number(index + extent.shift - extent.start, out))
        value = self.builder.var("t", product.type.with_dims(()))
        out.append(Let(value, getitem, (product, Index(tuple(places))), found.total.let.span))
        return value

    def added_from(self, found: Match, product: Var) -> None:
        """Add the elements behind the loops that added them: one, or in a loop."""
        nest = found.nest
        phi = self.inside.carrier(nest, found.total.let.var.name)
        assert phi is not None
        base, last = self.behind_exit(next(e for e in nest.exits if e.phi == phi.var))
        around = self.behind.setdefault(id(nest), [])
        inner = found.columns
        index = self.builder.var(inner, I64) if nest is found.total.path[1] else Var(inner, I64)
        head, after = (base, last) if nest is not found.total.path[1] else (self.fresh(base), self.fresh(base))
        body: list[Node] = []
        value = self.element(found, product, {inner: index}, body)
        places = tuple(
            self.number(p.substitute(inner, Affine.name(index.name)), body) for p in found.total.places
        )
        body.append(Let(after, at_add, (head, Index(places), value), found.total.let.span))
        if nest is found.total.path[1]:
            phis = (Phi(head, base, after),)
            around.append(self.counted(index, found.extents[inner].loop, phis, body, (Exit(last, head),), around))
        else:
            around.extend(body)

    def fresh(self, like: Var) -> Var:
        return self.builder.again(like)

    def read_from(self, found: Match, product: Var) -> None:
        """The sum that a loop made is an element of the product, and what the sum began with."""
        loop = found.total.path[2]
        phi = next(p for p in loop.phis if p.second == found.total.let.var)
        end = next(e for e in loop.exits if e.phi == phi.var)
        out: list[Node] = []
        value = self.element(found, product, {}, out)
        if not (isinstance(phi.first, Lit) and float(phi.first.text) == 0.0):
            value = self.emit("add", phi.first, value, out)
        self.behind.setdefault(id(loop), []).extend(out)
        self.gone[end.var.name] = value
        self.gone[phi.var.name] = phi.first
        self.gone[found.total.let.var.name] = phi.first

    # -- the loop --------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """What stands in place of the loop."""
        written = [*self.before, *self.rewritten(self.loop), *self.after]
        values = dict(self.gone)
        for name in values:  # a sum without one addition may itself be without another
            while isinstance(values[name], Var) and values[name].name in self.gone:  # type: ignore[union-attr]
                values[name] = self.gone[values[name].name]  # type: ignore[union-attr]
        written = list(walk.substitute(written, values))
        written = list(unchanged(written, {}))
        return list(walk.rename(written, {var.name: name for name, var in self.latest.items()}))

    def rewritten(self, node: Node) -> list[Node]:
        if id(node) in self.dropped:
            return []
        result = self.front.get(id(node), [])
        if isinstance(node, For):
            body = [n for inner in node.body for n in self.rewritten(inner)] + self.ends.get(id(node), [])
            phis = [p for p in node.phis if p.var.name not in self.gone] + self.phis.get(id(node), [])
            exits = [Exit(self.ended.get(e.var.name, e.var), e.phi) for e in node.exits if e.var.name not in self.gone]
            exits += self.exits.get(id(node), [])
            new = replace(node, phis=tuple(phis), body=tuple(body), exits=tuple(exits))
            return [*result, new, *self.behind.get(id(node), [])]
        return [*result, node]


def unchanged(nodes: Iterable[Node], values: dict[str, Atom]) -> Iterator[Node]:
    """The nodes without phis of loops that always have the value they began with; `values` learns what those are."""
    for node in nodes:
        (node,) = walk.substitute([node], values)
        if isinstance(node, For):
            node = replace(node, body=tuple(unchanged(node.body, values)))
            (node,) = walk.substitute([node], values)
            assert isinstance(node, For)
            still = {p.var.name: p.first for p in node.phis if p.second == p.var}
            values.update(still)
            values.update({e.var.name: still[e.phi.name] for e in node.exits if e.phi.name in still})
            exits = tuple(e for e in node.exits if e.phi.name not in still)
            phis = tuple(p for p in node.phis if p.var.name not in still)
            (node,) = walk.substitute([replace(node, phis=phis, exits=exits)], still)
        yield node
