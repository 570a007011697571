"""Deleting phis: which SSA names become one Python variable.

An updated array keeps its variable. Other names joined by a phi or an exit share one where none of them is
needed after another has been bound; what is left is a plain assignment, `u, v = v, u`.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Sequence

from ...ir import walk
from ...ir.errors import IRError
from ...ir.program import Atom, For, If, Let, Node, Program, Var, While
from ..analysis.liveness import Live, live_before

RESERVED = {"np", "math", "support", "nan", "inf", *keyword.kwlist, *dir(builtins)}


class _Classes:
    """Sets of names that are one variable, and which names may not be one.

    Sets are bits of a number, one for each name of a group of those that may be joined with each other: a long program
    has many names, and many of them are live at once.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.parent: dict[str, str] = {}
        self.bit = self._groups(pairs)
        self.members: dict[str, list[str]] = {}
        self.own = {name: bit for name, (_, bit) in self.bit.items()}  # of each class
        self.apart: dict[str, int] = {}

    @staticmethod
    def _groups(pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[int, int]]:
        """For each name the number of its group, and its bit in it."""
        near: dict[str, list[str]] = {}
        for a, b in pairs:
            near.setdefault(a, []).append(b)
            near.setdefault(b, []).append(a)
        bits: dict[str, tuple[int, int]] = {}
        for group, start in enumerate(near):
            if start in bits:
                continue
            bits[start] = group, 1
            found = [start]
            for name in found:
                for other in near[name]:
                    if other not in bits:
                        bits[other] = group, 1 << len(found)
                        found.append(other)
        return bits

    def find(self, name: str) -> str:
        while self.parent.get(name, name) != name:
            name = self.parent[name]
        return name

    def bind(self, names: Iterable[str], live: Live) -> None:
        """These names are bound at once while those are live."""
        new = [name for name in names if name in self.bit]
        if not new:
            return
        together: dict[int, int] = {}
        for name in new:
            group, bit = self.bit[name]
            together[group] = together.get(group, live.bits(group)) | bit
        for name in new:
            self.apart[name] = self.apart.get(name, 0) | together[self.bit[name][0]]

    def join(self, a: str, b: str) -> bool:
        """Make two names one variable if they may be."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if self.own[a] & self.apart.get(b, 0) or self.own[b] & self.apart.get(a, 0):
            return False
        mine, theirs = self.members.get(a, [a]), self.members.get(b, [b])
        if len(mine) < len(theirs):
            a, b, mine, theirs = b, a, theirs, mine
        self.parent[b] = a
        self.members[a] = mine + theirs
        self.own[a] |= self.own[b]
        self.apart[a] = self.apart.get(a, 0) | self.apart.get(b, 0)
        return True


def variables(program: Program) -> dict[str, str]:
    """The Python variable of every name.

    >>> from ...ir.text import parse
    >>> p = parse('''
    ... def f(x: f64, n: i64) -> f64:
    ...     for i in range(n):
    ...         s: f64 = phi(x, s1)
    ...         s1: f64 = s * s
    ...     s_end: f64 = last(s)
    ...     return s_end''')
    >>> variables(p)["s"] == variables(p)["s1"] == variables(p)["s_end"]
    True
    """
    nodes = list(walk.walk(program.body))
    updates: list[tuple[str, str]] = []
    rounds: list[tuple[str, str]] = []
    joins: list[tuple[str, str]] = []
    for node in nodes:
        match node:
            case Let(var, op, args) if op.writes:
                updates.append((args[0].name, var.name))  # type: ignore[union-attr]
            case For(phis=phis, exits=exits) | While(phis=phis, exits=exits):
                rounds += [(p.var.name, p.second.name) for p in phis if isinstance(p.second, Var)]
                joins += [(e.phi.name, e.var.name) for e in exits]
                joins += [(p.var.name, p.first.name) for p in phis if isinstance(p.first, Var)]
            case If(phis=phis):
                for p in phis:
                    joins += [(p.var.name, v.name) for v in (p.first, p.second) if isinstance(v, Var)]
    classes = _interference(program, (*updates, *rounds, *joins))
    for old, new in updates:
        if not classes.join(old, new):
            raise IRError(f"{new} cannot overwrite {old}: storage has not been run")
    for a, b in (*rounds, *joins):
        classes.join(a, b)
    return _spelling(program, classes)


def _interference(program: Program, pairs: Iterable[tuple[str, str]]) -> _Classes:
    classes = _Classes(pairs)

    def visit(node: Node, after: Live) -> None:
        classes.bind((v.name for v in walk.defined(node)), after)

    def head(node: Node, live: Live) -> None:
        assert isinstance(node, (For, While))
        heads = [p.var.name for p in node.phis]
        classes.bind([*heads, node.index.name] if isinstance(node, For) else heads, live)

    results = [r.name for r in program.results if isinstance(r, Var)]
    first = live_before(program.body, Live(results, bit=classes.bit), visit, head)
    params = [p.name for p in program.params]
    first.drop(params)
    classes.bind(params, first)
    return classes


def _spelling(program: Program, classes: _Classes) -> dict[str, str]:
    """One identifier per class: a parameter's own, else the plainest of its names."""
    params = {p.name for p in program.params}
    taken: set[str] = set()
    chosen: dict[str, str] = {}
    every = [p.name for p in program.params] + [v.name for v in walk.bound(program.body)]
    counters = _counters(program)
    for name in every:
        root = classes.find(name)
        if root in chosen:
            continue
        members = classes.members.get(root, [name])
        best = next((m for m in members if m in params), None) or min(members, key=_plainness)
        spelled = best
        if spelled in RESERVED:
            spelled += "_"
        k = 1
        while spelled in taken:
            spelled = f"{best}_{k}"
            k += 1
        taken.add(spelled)
        chosen[root] = spelled
    result = {name: chosen[classes.find(name)] for name in every}
    return {name: counters.get(name, spelled) for name, spelled in result.items()}


def _plainness(name: str) -> tuple[bool, int, int, str]:
    return name.startswith("t") and name[1:].strip("_0123456789") == "", name.count("_"), len(name), name


def _counters(program: Program) -> dict[str, str]:
    """Loops beside each other may count with one variable: `i`, not `i_1`, where nothing else has that name."""
    every = [v.name for v in (*program.params, *walk.bound(program.body))]
    indices = {n.index.name for n in walk.walk(program.body) if isinstance(n, For)}
    stems = {stem(n) for n in every if n not in indices} | {n for n in every if n not in indices}
    result: dict[str, str] = {}

    def region(nodes: Sequence[Node], outer: frozenset[str]) -> None:
        for node in nodes:
            here = outer
            if isinstance(node, For):
                plain = spelled = stem(node.index.name)
                k = 0
                while spelled in stems or spelled in outer or spelled in RESERVED:
                    k += 1
                    spelled = f"{plain}_{k}"
                result[node.index.name] = spelled
                here = outer | {spelled}
            for inner in walk.regions(node):
                region(inner, here)

    region(program.body, frozenset())
    return result


def stem(name: str) -> str:
    return re.sub(r"_\d+$", "", name)


def atom_variable(atom: Atom, table: dict[str, str]) -> str:
    return table[atom.name] if isinstance(atom, Var) else atom.text
