"""Where the names of a program are bound: the tree of its regions, and what defines each name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..program import Call, Exit, For, If, Let, Node, Phi, Program, Span, Var, While

Loop = For | While
Definition = Let | Call | Phi | Exit | For | While | None
"""What binds a name: a loop stands for its index (For) or its trip counter (While), None for a parameter."""


@dataclass(frozen=True, eq=False)
class Region:
    """A body: the program's own, a loop's (a While has one, its test included) or an arm of an If."""

    parent: Region | None = None
    node: Node | None = None
    loops: tuple[Loop, ...] = ()
    """The loops around it, the outermost first."""

    @property
    def inside_loop(self) -> bool:
        return bool(self.loops)

    def encloses(self, other: Region | None) -> bool:
        while other is not None:
            if other is self:
                return True
            other = other.parent
        return False

    def ancestors(self) -> Iterator[Region]:
        """This region and those around it."""
        region: Region | None = self
        while region is not None:
            yield region
            region = region.parent


@dataclass
class Scopes:
    """The regions of one program. Nodes are known by identity, so it must be that very program."""

    top: Region = field(default_factory=Region)
    var: dict[str, Var] = field(default_factory=dict)
    region: dict[str, Region] = field(default_factory=dict)
    definition: dict[str, Definition] = field(default_factory=dict)
    owner: dict[str, Node] = field(default_factory=dict)
    """The node that a phi or an exit belongs to."""
    around: dict[int, Region] = field(default_factory=dict)
    """The region that a loop or an If stands in, by the node's id."""
    body: dict[int, tuple[Region, ...]] = field(default_factory=dict)
    """The regions of a loop (one) or an If (two), by the node's id."""
    order: dict[str, int] = field(default_factory=dict)
    split: bool = False
    """Is the reverse sweep a program of its own?"""

    def bind(self, var: Var, region: Region, definition: Definition, owner: Node | None = None) -> None:
        self.var[var.name] = var
        self.region[var.name] = region
        self.definition[var.name] = definition
        self.order[var.name] = len(self.order)
        if owner is not None:
            self.owner[var.name] = owner

    def span(self, name: str) -> Span | None:
        """The user's line that a name comes from."""
        return getattr(self.owner.get(name) or self.definition[name], "span", None)

    def is_local(self, name: str) -> bool:
        """Does the reverse sweep not see it? What is bound inside a loop or an arm; if the reverse sweep is
        a program of its own, all but parameters and single integers."""
        if name not in self.region:
            return False
        if self.region[name] is not self.top:
            return True
        type = self.var[name].type
        return self.split and self.definition[name] is not None and (type.is_float or bool(type.dims))


def scopes_of(program: Program) -> Scopes:
    """The regions of a program.

    >>> from ..text import parse
    >>> scopes = scopes_of(parse('''
    ... def f(x: f64, n: i64) -> f64:
    ...     for i in range(n):
    ...         p: f64 = phi(1.0, p1)
    ...         p1: f64 = p * x
    ...     y: f64 = last(p)
    ...     return y'''))
    >>> [name for name in scopes.var if scopes.is_local(name)]
    ['i', 'p', 'p1']
    """
    scopes = Scopes()
    for param in program.params:
        scopes.bind(param, scopes.top, None)
    _visit(program.body, scopes.top, scopes)
    return scopes


def _visit(nodes: tuple[Node, ...], region: Region, scopes: Scopes) -> None:
    for node in nodes:
        match node:
            case Let(var):
                scopes.bind(var, region, node)
            case Call(results):
                for var in results:
                    scopes.bind(var, region, node)
            case For(phis=phis, exits=exits) | While(phis=phis, exits=exits):
                inner = Region(region, node, (*region.loops, node))
                scopes.around[id(node)] = region
                scopes.body[id(node)] = (inner,)
                if isinstance(node, For):
                    scopes.bind(node.index, inner, node)
                for phi in phis:
                    scopes.bind(phi.var, inner, phi, node)
                if isinstance(node, While):
                    _visit(node.test, inner, scopes)
                _visit(node.body, inner, scopes)
                for exit in exits:
                    scopes.bind(exit.var, region, exit, node)
            case If(_, then, orelse, phis):
                arms = Region(region, node, region.loops), Region(region, node, region.loops)
                scopes.around[id(node)] = region
                scopes.body[id(node)] = arms
                _visit(then, arms[0], scopes)
                _visit(orelse, arms[1], scopes)
                for phi in phis:
                    scopes.bind(phi.var, region, phi, node)
