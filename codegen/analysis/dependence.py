"""Which iterations of a loop touch the same elements: the questions that decide whether loops may be reordered.

Two iterations are two sets of numbers. What a body binds (indices of inner loops, `k = i // 2`, carried values) and
what is known of it (bounds, minima, affine forms) holds in each of them for its own numbers, so the names of the
other iteration are marked with a prime. Only what neither the index nor anything carried goes into is the same in both.
An answer True is a proof for all values of all integers; False says that there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ...ir import walk
from ...ir.affine import Affine, Facts, combined
from ...ir.build import dim_atom
from ...ir.primitive import Trait
from ...ir.program import Atom, Check, For, If, Index, Let, Lit, Node, Var, While, atoms
from ...ir.types import I64
from ..index_maps import form_of

PAIRS = 2000
"""Loops with more pairs of accesses than this are not looked at."""


@dataclass(frozen=True, slots=True)
class Access:
    """One read or write of an element of an array that a loop updates."""

    kind: str  # "getitem", "at_set" or "at_add"
    places: tuple[Affine, ...]
    let: Let
    loops: tuple[For, ...]  # around it, inside the loop in question


Accesses = dict[str, list[Access]]
"""Per array that a loop carries, by the phi's name: what happens to it."""


@dataclass
class _Pair:
    """What is known of the numbers of two iterations; keeps alive what its key names by identity."""

    facts: Facts
    kept: tuple[object, ...] = field(repr=False, default=())


class Dependence:
    """The i64 values of a program as affine forms, and the dependence test on them.

    A pass shows it each line (`learn`) before it asks about what the line is in.
    """

    def __init__(self) -> None:
        self.forms: dict[str, Affine] = {}
        self.limits = Facts()  # what maxima and minima are not below or above, by their definition
        self._varying: dict[int, tuple[For, frozenset[str]]] = {}
        self._pairs: dict[tuple[int, ...], _Pair] = {}

    # -- index arithmetic ------------------------------------------------------------------------------

    def learn(self, let: Let) -> None:
        """Record what an i64 is in terms of others; anew, if its line has changed."""
        name = let.var.name
        if let.var.type != I64:
            return
        self.forms.pop(name, None)
        self.limits.lower.pop(name, None)
        self.limits.upper.pop(name, None)
        for atom in atoms(let.args):
            if let.op.accumulates == "largest":
                self.limits.bound(name, lower=self.form(atom))
            elif let.op.accumulates == "smallest":
                self.limits.bound(name, upper=self.form(atom))
        form = combined(let.op, [self.form(a) for a in let.values]) if let.op.has(Trait.AFFINE) else None
        if form is not None:
            self.forms[name] = form

    def learn_all(self, nodes: Iterable[Node]) -> None:
        for node in walk.walk(nodes):
            if isinstance(node, Let):
                self.learn(node)

    def form(self, atom: Atom) -> Affine:
        form = form_of(atom)
        return self.forms.get(atom.name, form) if isinstance(atom, Var) else form

    def length(self, loop: For) -> Affine:
        """How often the loop runs, if that is not negative."""
        return self.form(loop.stop) - self.form(loop.start)

    def inside(self, facts: Facts, loops: Iterable[For]) -> Facts:
        """The facts in an iteration of these loops: their indices are in range."""
        result = facts.copy()
        for loop in loops:
            result.bound(loop.index.name, self.form(loop.start), self.form(loop.stop) - 1)
        return result

    def known(self, facts: Facts) -> Facts:
        """The facts, and what maxima and minima are by their definition."""
        result = facts.copy()
        result.update(self.limits)
        return result

    def proves(self, facts: Facts, form: Affine) -> bool:
        """Is form >= 0, by the facts and by what maxima and minima are?"""
        more = self.limits.lower or self.limits.upper
        return facts.proves(form) or bool(more) and self.known(facts).proves(form)

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
            if node.op.accesses and isinstance(node.args[1], Index):
                base, items = node.args[0], node.args[1].items
                assert isinstance(base, (Var, Lit))
                if all(map(_is_number, items)):
                    sizes = [self.form(dim_atom(dim)) for dim in base.type.dims]
                    found.update(zip(map(self.form, items), sizes))  # type: ignore[arg-type]
        return found

    # -- what happens to arrays ------------------------------------------------------------------------

    def accesses(self, loop: For, arrays: Iterable[str]) -> Accesses | None:
        """What happens to each of these arrays that the loop carries; None if it is more than elements."""
        self.learn_all(loop.body)
        found: Accesses = {name: [] for name in arrays}
        home = {name: name for name in found}
        if not self._collect(loop.body, home, found, ()):
            return None
        for phi in loop.phis:
            if phi.var.name in found and home.get(getattr(phi.second, "name", "")) != phi.var.name:
                return None  # arrays change places
        return found

    def _collect(
        self, nodes: Iterable[Node], home: dict[str, str], found: Accesses, inner: tuple[For, ...]
    ) -> bool:
        """Record all accesses; `home` tells the array of each of its versions, `inner` the loops around."""
        for node in nodes:
            match node:
                case Let(var, op, args):
                    used = {a.name for a in atoms(args) if isinstance(a, Var)} & set(home)
                    if not used:
                        continue
                    base, index = args[0], args[1] if len(args) > 1 else None
                    if not op.accesses or not isinstance(index, Index) or used != {base.name}:  # type: ignore[union-attr]
                        return False
                    if not all(map(_is_number, index.items)):
                        return False
                    places = tuple(self.form(item) for item in index.items)  # type: ignore[arg-type]
                    array = home[base.name]  # type: ignore[union-attr]
                    found[array].append(Access(op.name, places, node, inner))
                    if op.writes:
                        home[var.name] = array
                case For(phis=phis, body=body, exits=exits):
                    for p in phis:
                        if isinstance(p.first, Var) and p.first.name in home:
                            home[p.var.name] = home[p.first.name]
                    if not self._collect(body, home, found, (*inner, node)):
                        return False
                    if not all(_same_home(p.var, p.second, home) for p in phis):
                        return False
                    home.update({e.var.name: home[e.phi.name] for e in exits if e.phi.name in home})
                case If(then=then, orelse=orelse, phis=phis):
                    if not all(self._collect(arm, home, found, inner) for arm in (then, orelse)):
                        return False
                    if not all(_same_home(p.first, p.second, home) for p in phis):
                        return False
                    home.update({p.var.name: home[p.first.name] for p in phis if getattr(p.first, "name", "") in home})  # type: ignore[union-attr]
                case _:
                    return False
        return True

    # -- the questions ---------------------------------------------------------------------------------

    def independent(self, loop: For, found: Accesses, facts: Facts, commute: Callable[[Access], bool]) -> bool:
        """May the iterations run in any order, as far as these arrays go?

        Additions to one element may change places where `commute` says so of both. `facts` hold around the loop.
        """
        pairs = [pair for every in found.values() for pair in pairs_of(every)]
        return len(pairs) <= PAIRS and all(
            a.kind == b.kind == "at_add" and commute(a) and commute(b) or self.never_meet(a, b, loop, facts)
            for a, b in pairs
        )

    def never_meet(self, a: Access, b: Access, loop: For, facts: Facts) -> bool:
        """Are the elements of the two different in any two iterations of the loop? In one they may be the same.

        `facts` hold around the loop.
        """
        varying = self.varying(loop)
        for first, second in zip(a.places, b.places):
            if first == second and varying.intersection(first.names) == {loop.index.name}:
                return True
        return self.all_differ(a, b, loop, facts)

    def all_differ(self, a: Access, b: Access, loop: For, facts: Facts) -> bool:
        """Are the elements of the two different whatever iterations of the loop they are in, one or two?"""
        varying = self.varying(loop)
        both = self._both(a, b, loop, facts)
        for first, second in zip(a.places, b.places):
            difference = first - marked(second, varying)
            if both.proves(difference - 1) or both.proves(difference.scaled(-1) - 1):
                return True
        return False

    def distance(self, a: Access, b: Access, loop: For) -> int | None:
        """How far apart two iterations are that touch the same element through these two, if that is fixed."""
        varying = self.varying(loop)
        step = Affine.name(loop.index.name) - marked(Affine.name(loop.index.name), varying)
        for first, second in zip(a.places, b.places):
            difference = first - marked(second, varying)
            for rest in (difference - step, difference + step):
                if not rest.terms:
                    return abs(rest.constant)
        return None

    def varying(self, loop: For) -> frozenset[str]:
        """The names bound in the loop that may stand for other numbers in another iteration."""
        known = self._varying.get(id(loop))
        if known is None or known[0] is not loop:
            names = {loop.index.name, *(p.var.name for p in loop.phis)}
            _vary(loop.body, names)
            known = self._varying[id(loop)] = loop, frozenset(names)
        return known[1]

    def _both(self, a: Access, b: Access, loop: For, facts: Facts) -> Facts:
        """What is known where `a` is in one iteration and `b` in another, whose names are marked."""
        kept = (loop, facts, *a.loops, *b.loops)
        key = (*map(id, kept), len(a.loops))
        if key not in self._pairs:
            varying = self.varying(loop)
            one, other = (self.known(self.inside(facts, (loop, *access.loops))) for access in (a, b))
            one.update(other.renamed({name: name + "'" for name in varying}))
            self._pairs[key] = _Pair(one, kept)
        return self._pairs[key].facts


def pairs_of(accesses: Sequence[Access]) -> list[tuple[Access, Access]]:
    """Every two accesses of which one writes, and every write with itself."""
    pairs = ((a, b) for k, a in enumerate(accesses) for b in accesses[: k + 1])
    return [(a, b) for a, b in pairs if not a.kind == b.kind == "getitem"]


def marked(form: Affine, varying: Iterable[str]) -> Affine:
    """The form in another iteration."""
    return form.renamed({name: name + "'" for name in varying})


def _vary(nodes: Iterable[Node], names: set[str]) -> None:
    """Add to the names that vary those bound in these nodes, but what is computed of numbers that do not."""
    for node in nodes:
        match node:
            case Let(var, op, args):
                numbers = op.elementwise and not any(a.type.rank for a in atoms(args))
                same = (numbers or op.name == "dim") and not names & set(walk.used_here(node))
                if not same:
                    names.add(var.name)
            case For(index=index, phis=phis, body=body, exits=exits):
                names |= {index.name, *(p.var.name for p in phis)}
                _vary(body, names)
                names |= {e.var.name for e in exits}
            case _:
                names |= {v.name for v in walk.bound([node])}


def _is_number(item: object) -> bool:
    return isinstance(item, (Var, Lit)) and item.type == I64


def _same_home(first: Atom, second: Atom, home: Mapping[str, str]) -> bool:
    return home.get(getattr(first, "name", "")) == home.get(getattr(second, "name", ""))
