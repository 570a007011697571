"""What happens inside a loop: where names are bound, affine subscripts, and what is only ever added to.

For `recognise`, which looks for matrix products among loops over scalars.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...ir import walk
from ...ir.affine import Affine, combined
from ...ir.ops import arith
from ...ir.ops.index import at_add, at_set, getitem
from ...ir.primitive import Trait
from ...ir.program import Atom, Exit, For, Index, Let, Node, Phi, Var, atoms
from ...ir.types import I64
from ..index_maps import form_of
from ..primitives import radd

Path = tuple[For, ...]


@dataclass(frozen=True, eq=False)
class Sum:
    """`value` is added (with this sign) at each trip around the loops `path` to an element, or to a scalar."""

    let: Let  # what adds
    path: Path
    value: Atom
    sign: int
    places: tuple[Affine, ...] = ()  # of the element


@dataclass
class Chain:
    """The versions of one array, and what reads or writes its elements."""

    versions: set[str]
    accesses: list[tuple[Let, Path]] = field(default_factory=list)
    known: bool = True  # nothing else happens to it


class Inside:
    """A loop, looked into."""

    def __init__(self, loop: For, forms: Mapping[str, Affine], uses: Counter[str]) -> None:
        self.loop = loop
        self.forms = dict(forms)
        self.uses = uses
        self.home: dict[str, Path | None] = {}  # None: inside an if or a while
        self.made: dict[str, Let] = {}
        self.exits: dict[str, tuple[For, Exit]] = {}
        self.phis: dict[str, tuple[For, Phi]] = {}
        self.top: dict[int, int] = {}  # per Let: the node of the loop's body that it is in
        self.sums: list[Sum] = []
        self.home[loop.index.name] = (loop,)
        for phi in loop.phis:
            self.home[phi.var.name] = (loop,)
            self.phis[phi.var.name] = loop, phi
        for position, node in enumerate(loop.body):
            self._visit(node, (loop,), position)
        for node in loop.body:
            self._find_sums(node, (loop,))

    def _visit(self, node: Node, path: Path, position: int) -> None:
        for var in walk.defined(node):
            self.home[var.name] = path
        match node:
            case Let(var):
                self.made[var.name] = node
                self.top[id(node)] = position
                learn(node, self.forms)
            case For(index=index, phis=phis, body=body, exits=exits):
                inner = (*path, node)
                self.home[index.name] = inner
                for phi in phis:
                    self.home[phi.var.name] = inner
                    self.phis[phi.var.name] = node, phi
                self.top[id(node)] = position
                for child in body:
                    self._visit(child, inner, position)
                for end in exits:
                    self.exits[end.var.name] = node, end
            case _:
                for region in walk.regions(node):
                    self.home.update({v.name: None for v in walk.bound(region)})

    def form(self, atom: Atom) -> Affine:
        form = form_of(atom)
        return self.forms.get(atom.name, form) if isinstance(atom, Var) else form

    def places(self, index: object) -> tuple[Affine, ...] | None:
        """The element that a subscript of scalars selects."""
        if not isinstance(index, Index) or not all(isinstance(i, Atom) and not i.type.rank for i in index.items):
            return None
        return tuple(self.form(i) for i in index.items)  # type: ignore[arg-type]

    def invariant(self, form: Affine) -> bool:
        return not any(name in self.home for name in form.names)

    # -- sums ------------------------------------------------------------------------------------------

    def _find_sums(self, node: Node, path: Path) -> None:
        match node:
            case Let(_, op, args) if op is at_add and args[2].type.is_float:  # type: ignore[union-attr]
                places = self.places(args[1])
                if places is not None and not args[2].type.rank:  # type: ignore[union-attr]
                    self.sums.append(Sum(node, path, args[2], 1, places))  # type: ignore[arg-type]
            case For(phis=phis, body=body):
                inner = (*path, node)
                for phi in phis:
                    let = self.made.get(getattr(phi.second, "name", ""))
                    if let is None or phi.var.type.rank or not phi.var.type.is_float:
                        continue
                    term = self._term(let, phi.var)
                    if term is not None and self.home[let.var.name] == inner and self.uses[let.var.name] == 1:
                        self.sums.append(Sum(let, inner, *term))
                for child in body:
                    self._find_sums(child, inner)

    def _term(self, let: Let, total: Var) -> tuple[Atom, int] | None:
        """What a line adds to a value that nobody else reads."""
        ends = sum(e.phi == total for _, e in self.exits.values())
        if let.op not in (arith.add, arith.sub, radd) or self.uses[total.name] - ends != 1:
            return None
        a, b = let.args
        if a == total:
            return b, -1 if let.op is arith.sub else 1  # type: ignore[return-value]
        return (a, 1) if b == total and let.op is not arith.sub else None  # type: ignore[return-value]

    # -- arrays ----------------------------------------------------------------------------------------

    def chain(self, name: str, nodes: Iterable[Node], path: Path) -> Chain:
        """What happens in these nodes to the array that has this name before them."""
        found = Chain({name})
        self._follow(nodes, path, found)
        return found

    def carrier(self, loop: For, name: str) -> Phi | None:
        """The phi of a loop whose array has this version."""
        for phi in loop.phis:
            if phi.var.type.rank and name in self.chain(phi.var.name, loop.body, (loop,)).versions:
                return phi
        return None

    def _follow(self, nodes: Iterable[Node], path: Path, found: Chain) -> None:
        for node in nodes:
            match node:
                case Let(var, op, args):
                    used = [a.name for a in atoms(args) if isinstance(a, Var) and a.name in found.versions]
                    if not used:
                        continue
                    found.accesses.append((node, path))
                    if op not in (getitem, at_set, at_add) or used != [getattr(args[0], "name", "")]:
                        found.known = False
                    elif op is not getitem:
                        found.versions.add(var.name)
                case For(phis=phis, body=body, exits=exits):
                    inside = [p for p in phis if getattr(p.first, "name", "") in found.versions]
                    found.versions.update(p.var.name for p in inside)
                    self._follow(body, (*path, node), found)
                    found.known &= all(getattr(p.second, "name", "") in found.versions for p in inside)
                    found.versions.update(e.var.name for e in exits if e.phi in [p.var for p in inside])
                case _:
                    found.known &= not found.versions & (
                        walk.free([node]) | {getattr(v, "name", "") for p in _phis(node) for v in (p.first, p.second)}
                    )

    def others(self, chain: Chain) -> list[tuple[Let, Path]]:
        """The accesses that are more than additions to elements."""
        return [(let, path) for let, path in chain.accesses if let.op is not at_add]


def _phis(node: Node) -> tuple[Phi, ...]:
    return getattr(node, "phis", ())


def learn(let: Let, forms: dict[str, Affine]) -> None:
    """Record an i64 that is an affine form of others."""
    if let.var.type != I64 or not let.op.has(Trait.AFFINE | Trait.CONVERTS):
        return
    if not all(isinstance(a, Atom) and a.type == I64 for a in let.args):
        return
    given = [forms.get(a.name, form_of(a)) if isinstance(a, Var) else form_of(a) for a in let.args]  # type: ignore[arg-type]
    form = given[0] if let.op.has(Trait.CONVERTS) else combined(let.op, given)
    if form is not None:
        forms[let.var.name] = form
