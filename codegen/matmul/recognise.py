"""Loops over scalars that are matrix products become calls of BLAS.

Each sum of products over one of three nested loops is looked at for itself, since sums may be made in any order: those
of an adjoint loop leave it one by one. Values that a loop computes on its way are kept in a matrix for the call
behind the loop. Which elements meet is proved from affine subscripts; sizes are tested at run time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...ir import walk
from ...ir.affine import Affine
from ...ir.build import Builder, number
from ...ir.passes import dead_code
from ...ir.program import Atom, For, If, Let, Lit, Node, Phi, Program, Var, While
from ...ir.sizes import TRACED, facts_of
from ..analysis.loop_facts import Inside, Sum, learn
from ..index_maps import form_of
from ..lower.matrix_products import LARGE
from .combine import Joined, Places, joined, places_of
from .factors import Factor, Factors, Product, Range, ranges, single
from .guard import finite
from .replace import Rewrite

MODERATE = {"f64": (1e-30, 1e30), "f32": (1e-9, 1e9)}
"""A number that all terms are multiplied by is taken out of a sum if its size is between these."""


def recognise_products(program: Program, reassociate: bool = True) -> Program:
    """Idiom recognition: loops that compute products of matrices become calls of BLAS.

    Without `reassociate` only sums of cotangents lose their order.

    >>> from ...ir.text import parse
    >>> print(recognise_products(parse('''
    ... def f(C: f64[100, 80], A: f64[100, 90], B: f64[80, 90]) -> f64[100, 80]:
    ...     for i in range(100):
    ...         C1: f64[100, 80] = phi(C, C4)
    ...         for j in range(80):
    ...             C2: f64[100, 80] = phi(C1, C5)
    ...             for k in range(90):
    ...                 C3: f64[100, 80] = phi(C2, C6)
    ...                 a: f64 = A[i, k]
    ...                 b: f64 = B[j, k]
    ...                 p: f64 = a * b
    ...                 C6: f64[100, 80] = C3.at[i, j].add(p)
    ...             C5: f64[100, 80] = last(C3)
    ...         C4: f64[100, 80] = last(C2)
    ...     D: f64[100, 80] = last(C1)
    ...     return D''')))
    def f(C: f64[100, 80], A: f64[100, 90], B: f64[80, 90]) -> f64[100, 80]:
        t: f64[90, 80] = transpose(B, (1, 0))
        D: f64[100, 80] = C.at[:, :].add_matmul(1.0, A, t)
        return D
    """
    if not any(_deep(node) for node in walk.walk(program.body)):
        return program
    found = _Recogniser(program, reassociate)
    body = found.region(program.body)
    return dead_code(found.builder.names.written(program, body=body))


def _deep(node: Node) -> bool:
    """Is there a loop in a loop in this one?"""
    return isinstance(node, For) and any(
        isinstance(a, For) and any(isinstance(b, For) for b in a.body) for a in node.body
    )


@dataclass(frozen=True)
class Match:
    """A sum that is a product of matrices: `left` has the rows of the result, `right` its columns.

    Where nothing in the factors comes from the loop, the product may be made before it, in a matrix of its own; else it
    is added to the array behind the loop.
    """

    total: Sum
    product: Product
    left: Factor
    right: Factor
    rows: str
    columns: str
    summed: str
    extents: dict[str, Range]
    before: bool

    @property
    def scales(self) -> list[Atom]:
        return self.product.scales

    @property
    def nest(self) -> For:
        """The inner loop behind which elements of a product made before are added: the innermost, if that sums."""
        innermost = self.total.path[-1]
        return innermost if innermost.index.name == self.summed else self.total.path[1]

    @property
    def beside_zeros(self) -> tuple[Factor, ...]:
        """A factor that meets zeros which the loops never multiply with: it must be finite."""
        outer = self.total.path[0].index.name
        ragged = {n for n, e in self.extents.items() if e.ragged}
        if self.before:
            return ()
        pairs = ((self.left, self.right), (self.right, self.left))
        return tuple(b for a, b in pairs if outer in a.indices and ragged & a.indices)


def _may_be_moderate(scale: Atom) -> bool:
    least, most = MODERATE[scale.type.dtype]
    return isinstance(scale, Var) or least <= abs(float(number(scale))) <= most


def beside_zeros(inside: Inside, found: Match | Joined) -> Iterator[tuple[Var, Places]]:
    """What meets zeros that the loops never multiply with, and must be finite: parts of arrays."""
    if isinstance(found, Match):
        for factor in found.beside_zeros:
            yield factor.value, places_of(factor.places, found.extents, inside)[1]
    elif any(half.found.beside_zeros for half in found.halves):
        yield found.halves[0].common.value, found.read


class _Recogniser:
    def __init__(self, program: Program, reassociate: bool) -> None:
        self.reassociate = reassociate
        self.builder = Builder()
        self.builder.names = walk.names_of(program)
        self.forms: dict[str, Affine] = {}
        self.facts = facts_of(program, form_of, TRACED)
        self.uses: Counter[str] = Counter(r.name for r in program.results if isinstance(r, Var))
        for node in walk.walk(program.body):
            self.uses.update(walk.used_here(node))

    def region(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        written: list[Node] = []
        for node in nodes:
            match node:
                case Let():
                    learn(node, self.forms)
                    written.append(node)
                case For():
                    written += self.loop(node)
                case While(test=test, body=body):
                    written.append(replace(node, test=self.region(test), body=self.region(body)))
                case If(then=then, orelse=orelse):
                    written.append(replace(node, then=self.region(then), orelse=self.region(orelse)))
                case _:
                    written.append(node)
        return tuple(written)

    def loop(self, node: For) -> Sequence[Node]:
        if any(isinstance(inner, For) for inner in node.body):
            inside = Inside(node, self.forms, self.uses)
            matches = [m for m in (self.match(inside, total) for total in inside.sums) if m is not None]
            if matches:
                result = self.chosen(inside, matches)
                if result is not None:
                    return result
        return [replace(node, body=self.region(node.body))]

    # -- finding ---------------------------------------------------------------------------------------

    def match(self, inside: Inside, total: Sum) -> Match | None:
        """The sum as a product of two matrices, if it is one."""
        free = self.reassociate or self.builder.names.is_cotangent(total.let.var)
        if not free or len(total.path) not in (2, 3):
            return None
        product = Factors(inside).of(total)
        if product is None or len(product.loops) != 3 or len(product.factors) != 2:
            return None
        if not all(_may_be_moderate(scale) for scale in product.scales):
            return None
        if {f.value.type.dtype for f in product.factors} != {total.value.type.dtype}:
            return None
        return self.added_behind(inside, total, product) or self.made_before(inside, total, product)

    def added_behind(self, inside: Inside, total: Sum, product: Product) -> Match | None:
        """The match if the product can be added to the array behind the loop."""
        outer = inside.loop.index.name
        if not total.places or not self.may_wait(inside, total):
            return None
        direct = [f.places for f in product.factors if f.places and not f.ours]
        extents = ranges(inside, product.loops, [*direct, total.places])
        if extents is None:
            return None
        found = [single(p, extents, inside) for p in total.places]
        if any(f is None and not inside.invariant(p) for f, p in zip(found, total.places)) or found[-1] is None:
            return None
        kept = [f[0] for f in found if f is not None]
        if outer in kept and any(extents[n].ragged for n in kept):
            return None  # a triangle of the result
        return self.fitted(inside, total, product, kept, extents, before=False)

    def made_before(self, inside: Inside, total: Sum, product: Product) -> Match | None:
        """The match if the product can be made before the loop, which then reads its elements."""
        outer = inside.loop.index.name
        if len(total.path) != 3 or any(f.ours for f in product.factors):
            return None
        inner = [f.index.name for f in total.path[1:]]
        reached = {n for p in total.places for n in p.names}
        kept = [n for n in inner if n in reached] if total.places else inner[:1]
        extents = ranges(inside, product.loops, [f.places for f in product.factors])
        foreign = {n for n in reached if n in inside.home} - {outer, *inner}
        if len(kept) != 1 or extents is None or foreign:
            return None
        found = self.fitted(inside, total, product, [outer, *kept], extents, before=True)
        if found is None or extents[found.summed].ragged or found.summed == outer:
            return None
        return found if not total.places or self.only_added(inside, found) else None

    def fitted(
        self, inside: Inside, total: Sum, product: Product, kept: Sequence[str], extents: dict[str, Range], before: bool
    ) -> Match | None:
        """The match if each factor is a matrix: one with the rows of the result, one with its columns."""
        if len(kept) != 2 or len(set(kept)) != 2 or not set(kept) < set(product.loops):
            return None
        rows, columns = kept
        (summed,) = set(product.loops) - set(kept)
        indices = [self.indices(inside, f, extents) for f in product.factors]
        first, second = product.factors
        if rows not in (indices[0] or ()):
            first, second = second, first
            indices.reverse()
        if indices != [{rows, summed}, {columns, summed}]:
            return None
        left, right = (replace(f, indices=frozenset(n)) for f, n in zip((first, second), indices) if n is not None)
        found = Match(total, product, left, right, rows, columns, summed, extents, before)
        return None if any(f.ours for f in found.beside_zeros) else found

    def indices(self, inside: Inside, factor: Factor, extents: dict[str, Range]) -> set[str] | None:
        """The two indices of a factor; None if it cannot be a matrix."""
        if factor.within is not None:
            return set(factor.indices)
        if factor.ours:
            known = all(set(p.names) & set(inside.home) <= set(extents) for p in factor.places)
            return set(factor.indices) if known and len(factor.indices) == 2 else None
        ends = [single(p, extents, inside) for p in factor.places]
        if ends[-1] is None or any(e is None and not inside.invariant(p) for e, p in zip(ends, factor.places)):
            return None
        names = [e[0] for e in ends if e is not None]
        return set(names) if len(names) == 2 else None

    def only_added(self, inside: Inside, found: Match) -> bool:
        """Do the loops behind which the elements are added do nothing else to the array?"""
        nest = found.nest
        phi = inside.carrier(nest, found.total.let.var.name)
        if phi is None:
            return False
        chain = inside.chain(phi.var.name, nest.body, found.total.path[: found.total.path.index(nest) + 1])
        stays = getattr(phi.second, "name", "") in chain.versions
        return chain.known and stays and not inside.others(chain) and any(e.phi == phi.var for e in nest.exits)

    def may_wait(self, inside: Inside, total: Sum) -> bool:
        """May the additions be made behind the loop?

        What else happens to the array must be additions too, or come before, in another row in each trip.
        """
        phi = inside.carrier(inside.loop, total.let.var.name)
        if phi is None or not any(e.phi == phi.var for e in inside.loop.exits):
            return False
        chain = inside.chain(phi.var.name, inside.loop.body, (inside.loop,))
        if not chain.known or getattr(phi.second, "name", "") not in chain.versions:
            return False
        here = inside.top[id(total.let)]
        outer = inside.loop.index.name
        for let, _ in inside.others(chain):
            places = inside.places(let.args[1])
            if places is None or inside.top[id(let)] >= here:
                return False
            rows = [a for a, b in zip(places, total.places) if a == b and outer in a.names]
            if not any(inside.invariant(a - Affine.name(outer)) for a in rows):
                return False
        return True

    # -- writing ---------------------------------------------------------------------------------------

    def chosen(self, inside: Inside, matches: Sequence[Match]) -> list[Node] | None:
        """The products, and what else the loop does; where that is not as good, the loop as it was.

        A loop that is a product and nothing more stays for small sizes. What keeps other loops is not written twice for
        that: a call too many costs less than to compile both. Nor for numbers that are not finite, if loops
        over the matrices that the loop has filled can do what a call must not.
        """
        builder = self.builder
        sizes = {e.stop - e.start for m in matches for e in m.extents.values()}
        if any(not size.terms and size.constant < LARGE for size in sizes):
            return None
        safe = all(map(self.facts.proves, sizes))
        with builder.open() as head:
            rewrite = Rewrite(inside, builder)
            pairs = joined(inside, matches, self.builder.names)
            needed = {id(found): list(beside_zeros(inside, found)) for found in pairs}
            alone = safe and all(rewrite.loops_for(found) for found in pairs if needed[id(found)])
            tests = {test: finite(rewrite, *test) for found in pairs for test in needed[id(found)]}
            large: Atom | None = None
            for found in pairs:
                test: Atom | None = None
                for part in needed[id(found)]:
                    test = self.both(test, tests[part])
                rewrite.add(found, test if alone else None)
                large = large if test is None or alone else self.both(large, test)
                for scale in found.scales:
                    large = large if isinstance(scale, Lit) else self.both(large, self.moderate(scale))
            products = rewrite.nodes()
            more = any(isinstance(node, For) and node.exits for node in products)
            if not (more and safe):
                for size in sorted(sizes, key=str):
                    if size.terms:
                        large = self.both(large, builder.emit("ge", builder.integer(size), LARGE))
        loop = inside.loop
        if large is None:
            return [*head, *products]
        ends = {e.var.name: builder.fresh(e.var.name, e.var.name) for e in loop.exits}
        names = {v.name: builder.fresh(v.name, v.name) for v in walk.bound([loop])}
        then = walk.rename(products, ends)
        (old,) = walk.rename([loop], names)
        phis = tuple(
            Phi(e.var, Var(ends[e.var.name], e.var.type), Var(names[e.var.name], e.var.type)) for e in loop.exits
        )
        return [*head, If(large, tuple(then), (old,), phis, loop.span)]

    def moderate(self, scale: Atom) -> Atom:
        """Is this number near enough to 1 for it to be the same whether one multiplies by it first or last?"""
        least, most = MODERATE[scale.type.dtype]
        size = self.builder.emit("abs", scale)
        return self.builder.emit("and", self.builder.emit("ge", size, least), self.builder.emit("le", size, most))

    def both(self, first: Atom | None, second: Atom) -> Atom:
        return second if first is None else self.builder.emit("and", first, second)
