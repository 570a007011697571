"""Which values carry derivatives: those that depend on a differentiated parameter and influence a result.

The program is seen as a graph: an edge from u to v where v is differentiable in u. Phis are edges like
any other, so reachability in the graph is the fixpoint over loops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..ops.arith import where
from ..ops.index import at_set, getitem, nonzero
from ..ops.masked import strong_mul
from ..program import Atom, Call, For, If, Let, Node, Program, Var, While, atoms
from ..walk import regions, walk


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    strong: bool = False


@dataclass(frozen=True)
class Activity:
    """The names that get a cotangent.

    strong: names whose cotangent may have come through a `where` or a mask: where it is zero, products
    with it are zero even if the other factor is inf or nan.
    """

    active: frozenset[str]
    strong: frozenset[str]


def operands(let: Let) -> Iterator[Var]:
    """The operands that an operation is differentiable in, as far as its declaration tells."""
    op = let.op
    if not op.differentiable or not let.var.type.is_float:
        return
    for k, operand in enumerate(let.args):
        if k in op.static or k in op.sizes or (op.partials is not None and op.partials[k] is None):
            continue
        yield from (a for a in atoms(operand) if isinstance(a, Var) and a.type.is_float)


def floats(values: Iterable[Atom]) -> list[Var]:
    return [v for v in values if isinstance(v, Var) and v.type.is_float]


def differentiated(call: Call) -> list[Var]:
    """The results of a call that have derivatives."""
    return floats(call.vars[: call.function.own])


def activity(
    program: Program, sources: Iterable[str], results: Iterable[str], masked: bool = False
) -> Activity:
    """What gets a cotangent when `results` are differentiated by the parameters `sources`.

    `masked`: the cotangents of the results themselves may have come through a `where`.

    >>> from ..text import parse
    >>> program = parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     a: f64 = sin(x)
    ...     b: f64 = a * w
    ...     c: f64 = floor(x)
    ...     y: f64 = b + c
    ...     return y''')
    >>> sorted(activity(program, ["x"], ["y"]).active)
    ['a', 'b', 'x', 'y']
    """
    edges = list(_edges(program))
    forward: dict[str, list[str]] = {}
    backward: dict[str, list[str]] = {}
    for edge in edges:
        forward.setdefault(edge.source, []).append(edge.target)
        backward.setdefault(edge.target, []).append(edge.source)
    active = _reached(sources, forward) & _reached(results, backward)
    masks = (e.source for e in edges if e.strong and e.target in active)
    strong = active if masked else _reached(masks, backward) & active
    return Activity(frozenset(active), frozenset(strong))


def _reached(start: Iterable[str], edges: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    front = list(start)
    while front:
        name = front.pop()
        if name not in found:
            found.add(name)
            front.extend(edges.get(name, ()))
    return found


def _edges(program: Program) -> Iterator[Edge]:
    masks: set[str] = set()
    for node in walk(program.body):
        match node:
            case Let(var, op, args):
                names = {a.name for arg in args for a in atoms(arg) if isinstance(a, Var)}
                masked = not masks.isdisjoint(names)
                if op is nonzero or (masked and var.type.dtype == "i64"):
                    masks.add(var.name)
                strong = op in (where, strong_mul) or (op in (getitem, at_set) and masked)
                yield from (Edge(u.name, var.name, strong) for u in operands(node))
            case Call(args=args):
                yield from (Edge(u.name, v.name) for u in floats(args) for v in differentiated(node))
            case For(phis=phis, exits=exits) | While(phis=phis, exits=exits):
                yield from _joins(phis)
                yield from (Edge(e.phi.name, e.var.name) for e in exits)
            case If(phis=phis):
                yield from _joins(phis)


def _joins(phis: Iterable) -> Iterator[Edge]:
    for phi in phis:
        if phi.var.type.is_float:
            for atom in (phi.first, phi.second):
                if isinstance(atom, Var):
                    yield Edge(atom.name, phi.var.name)


def touched(node: Node, active: frozenset[str]) -> dict[str, Var]:
    """The active values from outside that get cotangents inside a loop or an If, in order of use.

    What a loop's phis start from is outside: it gets its cotangent after the reverse loop.
    """
    inside: set[str] = set()
    found: dict[str, Var] = {}

    def use(atom: Atom, result: Var) -> None:
        if (
            isinstance(atom, Var)
            and atom.name in active
            and result.name in active
            and atom.name not in inside
        ):
            found.setdefault(atom.name, atom)

    def visit(nodes: Iterable[Node]) -> None:
        for node in nodes:
            match node:
                case Let(var):
                    for u in operands(node):
                        use(u, var)
                    inside.add(var.name)
                case Call(results, _, args):
                    for u in floats(args):
                        for result in differentiated(node):
                            use(u, result)
                    inside.update(result.name for result in results)
                case For() | While() | If():
                    for phi in node.phis if not isinstance(node, If) else ():
                        use(phi.first, phi.var)
                    contents(node)

    def contents(node: For | While | If) -> None:
        if not isinstance(node, If):
            inside.update(phi.var.name for phi in node.phis)
        for region in regions(node):
            visit(region)
        for phi in node.phis:
            if isinstance(node, If):
                use(phi.first, phi.var)
            use(phi.second, phi.var)
        if isinstance(node, If):
            inside.update(phi.var.name for phi in node.phis)
        else:
            inside.update(exit.var.name for exit in node.exits)

    assert isinstance(node, (For, While, If))
    contents(node)
    return found
