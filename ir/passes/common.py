"""Common subexpressions: what was computed is not computed again.

The forward and the reverse sweep ask for the same things (the cosine beside the sine, a size, `1.0 - y*y`).
Values of outer regions are used in inner ones, never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..primitive import Trait
from ..program import Atom, Call, Check, Exit, For, If, Let, Node, Phi, Program, Var, While
from ..walk import Nodes, map_node, substitution

"""Not shared: each is memory that some chain of writes owns, sharing it would cost a copy later."""


def common(program: Program) -> Program:
    """Common subexpression elimination: the first name of each value that is computed twice stands for both.

    >>> from ..text import parse
    >>> print(common(parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     a: f64 = x * w
    ...     b: f64 = w * x
    ...     y: f64 = a + b
    ...     return y''')))
    def f(x: f64, w: f64) -> f64:
        a: f64 = x * w
        y: f64 = a + a
        return y
    """
    sharing = _Sharing()
    body = sharing.nodes(program.body)
    return replace(program, body=body, results=tuple(map(sharing.atom, program.results)))


class _Sharing:
    def __init__(self) -> None:
        self.values: dict[str, Atom] = {}  # names that are another name of something
        self.atom, self.var, self.dim = substitution(self.values)
        self.known: list[dict[Any, Var]] = [{}]  # per open region: what is computed -> its name
        self.held: list[set[Atom]] = [set()]  # per open region: conditions that were checked

    @contextmanager
    def region(self) -> Iterator[None]:
        self.known.append({})
        self.held.append(set())
        yield
        self.known.pop()
        self.held.pop()

    def nodes(self, nodes: Iterable[Node]) -> Nodes:
        return tuple(new for node in nodes for new in self.node(node))

    def inner(self, nodes: Nodes) -> Nodes:
        with self.region():
            return self.nodes(nodes)

    def node(self, node: Node) -> Nodes:
        match node:
            case Let():
                let = map_node(node, self.atom, self.var, self.dim)
                assert isinstance(let, Let)
                return () if self.is_known(let.var, _key(let)) else (let,)
            case Check(cond, message, span):
                cond = self.atom(cond)
                if any(cond in held for held in self.held):
                    return ()  # it did not fail before, so it does not fail here
                self.held[-1].add(cond)
                return (Check(cond, message, span),)
            case Call():
                return (map_node(node, self.atom, self.var, self.dim),)
            case For(index, start, stop, reverse, phis, body, exits, span):
                bounds = self.atom(start), self.atom(stop)
                phis = self.heads(phis)
                body = self.inner(body)
                return (For(index, *bounds, reverse, self.phis(phis), body, self.exits(exits), span),)
            case While(phis, test, cond, body, exits, span):
                phis = self.heads(phis)
                with self.region():
                    test, cond, body = self.nodes(test), self.atom(cond), self.nodes(body)
                return (While(self.phis(phis), test, cond, body, self.exits(exits), span),)
            case If(cond, then, orelse, phis, span):
                cond, then, orelse = self.atom(cond), self.inner(then), self.inner(orelse)
                return (If(cond, then, orelse, self.phis(self.heads(phis)), span),)

    def is_known(self, var: Var, key: Any) -> bool:
        """Does the value have a name already? If so, `var` becomes that name."""
        for known in reversed(self.known):
            if key in known:
                self.values[var.name] = known[key]
                return True
        if key is not None:
            self.known[-1][key] = var
        return False

    def heads(self, phis: tuple[Phi, ...]) -> tuple[Phi, ...]:
        """The phis without those that join the same values as another one."""
        first: dict[tuple[Atom, Atom], Var] = {}
        for phi in sorted(phis, key=lambda p: p.var.type.rank > 0):  # types of arrays may name scalar phis
            known = first.setdefault((self.atom(phi.first), self.atom(phi.second)), phi.var)
            if known is not phi.var:
                self.values[phi.var.name] = self.var(known)
        return tuple(p for p in phis if p.var.name not in self.values)

    def phis(self, phis: tuple[Phi, ...]) -> tuple[Phi, ...]:
        return tuple(Phi(self.var(p.var), self.atom(p.first), self.atom(p.second)) for p in phis)

    def exits(self, exits: tuple[Exit, ...]) -> tuple[Exit, ...]:
        """One exit for each phi."""
        first: dict[Atom, Var] = {}
        for exit in sorted(exits, key=lambda e: e.var.type.rank > 0):
            known = first.setdefault(self.atom(exit.phi), exit.var)
            if known is not exit.var:
                self.values[exit.var.name] = self.var(known)
        kept = [e for e in exits if e.var.name not in self.values]
        return tuple(Exit(self.var(e.var), self.atom(e.phi)) for e in kept)  # type: ignore[arg-type]


def _key(let: Let) -> Any:
    if let.op.allocates:
        return None
    args = tuple(sorted(let.args, key=repr)) if let.op.has(Trait.COMMUTATIVE) else let.args
    # 1 == True == 1.0 in Python: static values need their types in the key.
    return let.op, args, tuple(repr(let.args[k]) for k in let.op.static)
