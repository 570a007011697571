"""Which names are still needed after each node of a structured program.

A name from outside that a loop uses is live in the whole loop. Sizes in types do not count: after
scalarise they are operands wherever they matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ...ir.program import Check, For, If, Let, Node, Phi, Var, While, atoms
from ...ir.walk import defined

Bits = Mapping[str, tuple[int, int]]


class Live:
    """Names that are live at a place: its region's own, and those that are live behind the region.

    It changes while its region is walked: whoever wants to keep it makes a set of it. A copy at each node of a long
    program would take time and memory with the square of its length.

    bit   for names of interest a group, and a number in it: `bits` is the sum of a group's
    """

    __slots__ = ("bit", "outer", "own", "sum")

    def __init__(self, own: Iterable[str], outer: Live | None = None, bit: Bits | None = None):
        self.own: set[str] = set()
        self.outer = outer
        self.bit: Bits = bit if bit is not None else outer.bit if outer is not None else {}
        self.sum: dict[int, int] = {}
        self.add(own)

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self.own:
                self.own.add(name)
                if name in self.bit:
                    group, bit = self.bit[name]
                    self.sum[group] = self.sum.get(group, 0) | bit

    def drop(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.own:
                self.own.remove(name)
                if name in self.bit:
                    group, bit = self.bit[name]
                    self.sum[group] &= ~bit

    def bits(self, group: int) -> int:
        own = self.sum.get(group, 0)
        return own if self.outer is None else own | self.outer.bits(group)

    def __contains__(self, name: object) -> bool:
        return name in self.own or (self.outer is not None and name in self.outer)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        if self.outer is not None:
            yield from (name for name in self.outer if name not in self.own)


Visit = Callable[[Node, Live], None]


def used(operands: Iterable[object]) -> set[str]:
    return {a.name for operand in operands for a in atoms(operand) if isinstance(a, Var)}


def _values(phis: Sequence[Phi], second: bool) -> set[str]:
    return used([p.second if second else p.first for p in phis])


def live_before(
    nodes: Sequence[Node], after: Live | Iterable[str], visit: Visit | None = None, head: Visit | None = None
) -> Live:
    """What must be there before these nodes, if `after` must be there behind them.

    visit   called with each node and the names that are live behind it
    head    called with each loop and the names that are live at its head, without those that it binds there

    >>> from ...ir.text import parse
    >>> p = parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     a: f64 = sin(x)
    ...     b: f64 = a * w
    ...     return b''')
    >>> sorted(live_before(p.body[1:], {"b"}))
    ['a', 'w']
    """
    live = after if isinstance(after, Live) else Live(after)
    for node in reversed(nodes):
        if visit is not None:
            visit(node, live)
        live.drop(v.name for v in defined(node))
        match node:
            case Let(_, _, args):
                live.add(used(args))
            case Check(cond):
                live.add(used([cond]))
            case If(cond, then, orelse, phis):
                first = live_before(then, Live(_values(phis, False), live), visit, head)
                second = live_before(orelse, Live(_values(phis, True), live), visit, head)
                live.add(first.own | second.own | used([cond]))
            case For() | While():
                needs = _loop_needs(node)
                if visit is not None or head is not None:
                    _inside(node, needs, live, visit, head)
                live.add(needs | _values(node.phis, False))
                if isinstance(node, For):
                    live.add(used([node.start, node.stop]))
    return live


def _inside(node: For | While, needs: set[str], rest: Live, visit: Visit | None, head: Visit | None) -> None:
    """Visit the body of a loop; `rest` is live behind the loop, without the loop's own results."""
    live = live_before(node.body, Live(needs | _values(node.phis, True), rest), visit, head)
    ends = {e.phi.name for e in node.exits}
    if isinstance(node, While):
        live.add(needs | ends | used([node.cond]))
        live = live_before(node.test, live, visit, head)
        ends = set()
    if head is not None:
        live.add(needs | ends)
        live.drop([p.var.name for p in node.phis])
        live.drop([node.index.name] if isinstance(node, For) else [])
        head(node, live)


def _loop_needs(node: For | While) -> set[str]:
    """Names from outside that any iteration uses."""
    heads = {p.var.name for p in node.phis}
    need = live_before(node.body, Live(_values(node.phis, True)))
    if isinstance(node, While):
        need.add(used([node.cond]))
        need = live_before(node.test, need)
    else:
        heads.add(node.index.name)
    return need.own - heads
