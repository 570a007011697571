"""Which names are still needed after each node of a structured program.

A name from outside that a loop uses is live in the whole loop. Sizes in types do not count: after
scalarise they are operands wherever they matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..ir.program import Check, For, If, Let, Node, Phi, Var, While, atoms
from ..ir.walk import defined

Live = frozenset[str]
Visit = Callable[[Node, Live], None]
"""Called with each node and the names that are live behind it."""


def used(operands: Iterable[object]) -> set[str]:
    return {a.name for operand in operands for a in atoms(operand) if isinstance(a, Var)}


def _values(phis: Sequence[Phi], second: bool) -> set[str]:
    return used([p.second if second else p.first for p in phis])


def live_before(nodes: Sequence[Node], after: Live, visit: Visit | None = None) -> Live:
    """What must be there before these nodes, if `after` must be there behind them.

    >>> from ..ir.text import parse
    >>> p = parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     a: f64 = sin(x)
    ...     b: f64 = a * w
    ...     return b''')
    >>> sorted(live_before(p.body[1:], frozenset({"b"})))
    ['a', 'w']
    """
    for node in reversed(nodes):
        if visit is not None:
            visit(node, after)
        after = _before(node, after, visit)
    return after


def _before(node: Node, after: Live, visit: Visit | None) -> Live:
    rest = after - {v.name for v in defined(node)}
    match node:
        case Let(_, _, args):
            return rest | used(args)
        case Check(cond):
            return rest | used([cond])
        case If(cond, then, orelse, phis):
            first = live_before(then, rest | _values(phis, False), visit)
            second = live_before(orelse, rest | _values(phis, True), visit)
            return first | second | used([cond])
        case For(start=start, stop=stop, phis=phis):
            _inside(node, rest, visit)
            return rest | _loop_needs(node) | used([start, stop]) | _values(phis, False)
        case While(phis=phis):
            _inside(node, rest, visit)
            return rest | _loop_needs(node) | _values(phis, False)


def _inside(node: For | While, rest: Live, visit: Visit | None) -> None:
    if visit is None:
        return
    test, _, end = loop_points(node, rest)
    head = live_before(node.body, end, visit)
    if isinstance(node, While):
        live_before(node.test, test | head, visit)


def _loop_needs(node: For | While) -> Live:
    """Names from outside that any iteration uses."""
    heads = {p.var.name for p in node.phis}
    need = live_before(node.body, frozenset(_values(node.phis, True)))
    if isinstance(node, While):
        need = live_before(node.test, need | used([node.cond]))
    else:
        heads.add(node.index.name)
    return need - heads


def loop_points(node: For | While, rest: Live) -> tuple[Live, Live, Live]:
    """What is live at the end of a test, at the head and at the end of a body, besides what follows.

    `rest` is live behind the loop, without the loop's own results.
    """
    through = rest | _loop_needs(node)
    end = through | _values(node.phis, True)
    test = through | {e.phi.name for e in node.exits}
    if isinstance(node, While):
        test |= used([node.cond])
    return test, through, end
