"""What is overwritten in place: afterwards every `at_set` and `at_add` may destroy its operand.

Where the old array is still needed, or is not ours (a parameter), a `copy` is written into the program: at the
entry of the loop that updates it if that is enough, else just before the update. Results that would share
memory are copied too. What may share memory is computed for pairs of names: a swap of two buffers
(`u, v = v, u`) shares none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...ir import walk
from ...ir.primitive import REGISTRY
from ...ir.program import Atom, For, If, Let, Node, Phi, Program, Var, While
from ..analysis.liveness import Live, live_before, used


class Sharing:
    """Pairs of array names that may be the same memory while both can be used."""

    def __init__(self, program: Program):
        self.peers: dict[str, set[str]] = {}
        self.number: dict[str, int] = {}  # the order of definition
        self.start: dict[int, int] = {}
        self.changed = True
        for var in program.params:
            self.number[var.name] = len(self.number)
        self._count(program.body)
        while self.changed:
            self.changed = False
            self._nodes(program.body)

    def share(self, a: str, b: str) -> bool:
        return a == b or b in self.peers.get(a, ())

    def _count(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            self.start[id(node)] = len(self.number)
            if isinstance(node, (For, While)):
                for phi in node.phis:
                    self.number[phi.var.name] = len(self.number)
            for region in walk.regions(node):
                self._count(region)
            for var in walk.defined(node):
                self.number[var.name] = len(self.number)

    def _relate(self, a: str, b: str) -> None:
        if a != b and b not in self.peers.setdefault(a, set()):
            self.peers[a].add(b)
            self.peers.setdefault(b, set()).add(a)
            self.changed = True

    def _from(self, name: str, value: Atom, before: int) -> None:
        """`name` is this value: it shares with what the value shares with, of the names bound before.

        Names bound later, or in an iteration that is over, are not: they have rules of their own.
        """
        if not isinstance(value, Var):
            return
        for peer in (value.name, *self.peers.get(value.name, ())):
            if self.number[peer] < before:
                self._relate(name, peer)

    def _joined(self, phis: Sequence[Phi]) -> None:
        """Two phis share if their values share on one of the ways in."""
        arrays = [p for p in phis if p.var.type.rank]
        for k, p in enumerate(arrays):
            for q in arrays[:k]:
                for a, b in ((p.first, q.first), (p.second, q.second)):
                    if isinstance(a, Var) and isinstance(b, Var) and self.share(a.name, b.name):
                        self._relate(p.var.name, q.var.name)

    def _nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            start = self.start[id(node)]
            match node:
                case Let(var, op, args) if var.type.rank and op.shares:
                    self._from(var.name, args[0], start)  # type: ignore[arg-type]
                case For(phis=phis, exits=exits) | While(phis=phis, exits=exits):
                    for phi in phis:
                        if phi.var.type.rank:
                            self._from(phi.var.name, phi.first, start)
                            self._from(phi.var.name, phi.second, start)
                    self._joined(phis)
                    for region in walk.regions(node):
                        self._nodes(region)
                    for k, end in enumerate(exits):
                        if end.var.type.rank:
                            self._from(end.var.name, end.phi, start)
                            for other in exits[:k]:
                                if other.var.type.rank and self.share(end.phi.name, other.phi.name):
                                    self._relate(end.var.name, other.var.name)
                case If(then=then, orelse=orelse, phis=phis):
                    self._nodes(then)
                    self._nodes(orelse)
                    for phi in phis:
                        if phi.var.type.rank:
                            self._from(phi.var.name, phi.first, start)
                            self._from(phi.var.name, phi.second, start)
                    self._joined(phis)


class _Conflicts:
    """The updates that would destroy something that is still needed."""

    def __init__(self, program: Program):
        self.program = program
        self.sharing = Sharing(program)
        self.params = frozenset(p.name for p in program.params if p.type.rank)
        self.found: list[Let] = []
        results = frozenset(r.name for r in program.results if isinstance(r, Var))
        live_before(program.body, results, self._visit)
        order = {id(node): k for k, node in enumerate(walk.walk(program.body))}
        self.found.sort(key=lambda let: order[id(let)])

    def _visit(self, node: Node, after: Live) -> None:
        if isinstance(node, Let) and node.op.writes:
            x = node.array.name
            # A product reads its factors while it writes.
            factors = used(node.args[1:])
            for z in (x, *self.sharing.peers.get(x, ())):
                if z != node.var.name and (z in after or z in self.params or z in factors):
                    self.found.append(node)
                    break


def bufferize(program: Program) -> Program:
    """Bufferization: copies are written where an old array is still needed, so that every update is in place.

    >>> from ...ir.text import parse
    >>> print(bufferize(parse('''
    ... def f(x: f64[n]) -> f64[n]:
    ...     n: i64 = dim(x, 0)
    ...     y: f64[n] = x.at[0].set(1.0)
    ...     return y''')))
    def f(x: f64[n]) -> f64[n]:
        n: i64 = dim(x, 0)
        x_1: f64[n] = copy(x)
        y: f64[n] = x_1.at[0].set(1.0)
        return y
    """
    names = {v.name for v in program.params} | {v.name for v in walk.bound(program.body)}
    while True:
        conflicts = _Conflicts(program)
        if not conflicts.found:
            break
        program = _repaired(program, conflicts, names)
    return _results_apart(program, conflicts.sharing, names)


def _repaired(program: Program, conflicts: _Conflicts, names: set[str]) -> Program:
    """The program with one more copy, where it costs least."""
    update = conflicts.found[0]
    count = len(conflicts.found)
    for loop, phi in _entries(program, update):
        alone, together = [phi], _rotating(loop, phi)
        for phis in (alone, together) if len(together) > 1 else (alone,):
            candidate = _copied_at_entry(program, loop, phis, names)
            if len(_Conflicts(candidate).found) < count:
                names.update(v.name for v in walk.bound(candidate.body))
                return candidate
    result = _copied_before(program, update, names)
    names.update(v.name for v in walk.bound(result.body))
    return result


def _entries(program: Program, update: Let) -> list[tuple[For | While, Phi]]:
    """Loops through whose entry the updated array came, the cheapest to copy at first: fewest loops around."""
    makers: dict[str, tuple[Node, int]] = {}
    heads: dict[str, tuple[For | While, Phi, int]] = {}

    def collect(nodes: Iterable[Node], depth: int) -> None:
        for node in nodes:
            for var in walk.defined(node):
                makers[var.name] = node, depth
            if isinstance(node, (For, While)):
                for phi in node.phis:
                    heads[phi.var.name] = node, phi, depth
            for region in walk.regions(node):
                collect(region, depth + isinstance(node, (For, While)))

    collect(program.body, 0)
    found: list[tuple[int, For | While, Phi]] = []
    name: str | None = update.array.name
    while name is not None:
        value: object = None
        if name in heads:
            loop, phi, depth = heads[name]
            found.append((depth, loop, phi))
            value = phi.first
        elif name in makers:
            node = makers[name][0]
            if isinstance(node, Let) and node.op.shares:
                value = node.args[0]
            elif isinstance(node, (For, While)):
                value = next(e.phi for e in node.exits if e.var.name == name)
        name = value.name if isinstance(value, Var) else None
    return [(loop, phi) for _, loop, phi in sorted(found, key=lambda f: f[0])]


def _copy(var: Var, names: set[str], like: Node) -> Let:
    k = 1
    while f"{var.name}_{k}" in names:
        k += 1
    return Let(Var(f"{var.name}_{k}", var.type), REGISTRY["copy"], (var,), like.span)


def _rotating(loop: For | While, phi: Phi) -> list[Phi]:
    """The phis whose arrays change places with this one's from iteration to iteration."""
    base = {
        node.var.name: node.array.name
        for region in walk.regions(loop)
        for node in region
        if isinstance(node, Let) and node.op.shares
    }
    phis = {p.var.name: p for p in loop.phis if p.var.type.rank}
    found: list[Phi] = []
    todo = [phi]
    while todo:
        phi = todo.pop()
        if phi in found:
            continue
        found.append(phi)
        name = getattr(phi.second, "name", None)
        while name in base:
            name = base[name]
        if name in phis:
            todo.append(phis[name])
    return found


def _copied_at_entry(program: Program, loop: For | While, phis: Sequence[Phi], names: set[str]) -> Program:
    copies: dict[str, Let] = {}
    names = set(names)
    for phi in phis:
        assert isinstance(phi.first, Var)
        copies[phi.var.name] = _copy(phi.first, names, loop)
        names.add(copies[phi.var.name].var.name)
    changed = tuple(
        replace(p, first=copies[p.var.name].var) if p.var.name in copies else p for p in loop.phis
    )
    return _with(program, loop, [*copies.values(), replace(loop, phis=changed)])


def _copied_before(program: Program, update: Let, names: set[str]) -> Program:
    copy = _copy(update.args[0], names, update)  # type: ignore[arg-type]
    return _with(program, update, [copy, replace(update, args=(copy.var, *update.args[1:]))])


def _with(program: Program, old: Node, new: Sequence[Node]) -> Program:
    """The program with other nodes in place of one."""

    def region(nodes: Iterable[Node]) -> tuple[Node, ...]:
        return tuple(written for node in nodes for written in rewritten(node))

    def rewritten(node: Node) -> Iterator[Node]:
        if node is old:
            yield from new
            return
        match node:
            case For(body=body):
                inner = region(body)
                yield node if inner == body else replace(node, body=inner)
            case While(test=test, body=body):
                yield replace(node, test=region(test), body=region(body))
            case If(then=then, orelse=orelse):
                yield replace(node, then=region(then), orelse=region(orelse))
            case _:
                yield node

    return replace(program, body=region(program.body))


def _results_apart(program: Program, sharing: Sharing, names: set[str]) -> Program:
    """Results share no memory with parameters or with each other."""
    taken = {p.name for p in program.params if p.type.rank}
    body = list(program.body)
    results: list[Atom] = []
    for result in program.results:
        if isinstance(result, Var) and result.type.rank:
            if not taken.isdisjoint((result.name, *sharing.peers.get(result.name, ()))):
                copy = _copy(result, names, body[-1] if body else Let(result, REGISTRY["copy"], ()))
                names.add(copy.var.name)
                body.append(replace(copy, span=None))
                result = copy.var
            taken.add(result.name)
        results.append(result)
    return replace(program, body=tuple(body), results=tuple(results))
