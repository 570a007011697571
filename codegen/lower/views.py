"""Which views must be copied when they are made.

A view is read where it is used. If the array under it is written in between, or the view itself becomes
something that is written (a phi, the base of a store) or returned, it gets memory of its own at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...ir import walk
from ...ir.ops.array import iota, zeros
from ...ir.primitive import Kind
from ...ir.program import For, If, Let, Node, Program, Var, While
from ..index_maps import view_places
from .items import covers


def is_view(let: Let) -> bool:
    return let.op in (zeros, iota) or (let.var.type.rank > 0 and view_places(let) is not None)


def overwritten(node: Node) -> Iterator[str]:
    """Arrays that the node may overwrite, if nobody needs the old value: bases of stores, operands of phis."""
    for inner in walk.walk([node]):
        if isinstance(inner, Let) and inner.op.writes:
            if inner.op.kind is Kind.WRITE and covers(inner.args[1], inner.var.type.dims):  # type: ignore[arg-type]
                continue  # makes a new array
            yield inner.array.name
        elif isinstance(inner, (For, While, If)):
            for phi in inner.phis:
                for value in (phi.first, phi.second):
                    if isinstance(value, Var) and value.type.rank:
                        yield value.name


def pinned_views(program: Program) -> set[str]:
    """The names of views (and of `zeros` and `iota`) that need memory."""
    pinned = {name for node in program.body for name in overwritten(node)}
    pinned |= {a.name for a in program.results if isinstance(a, Var)}
    roots: dict[str, str] = {}
    _region(program.body, pinned, roots)
    return pinned


def _region(nodes: Iterable[Node], pinned: set[str], roots: dict[str, str]) -> None:
    nodes = tuple(nodes)
    last: dict[str, int] = {}
    for k in range(len(nodes) - 1, -1, -1):
        node = nodes[k]
        used = walk.free([node])
        lazy = isinstance(node, Let) and node.var.name not in pinned and is_view(node)
        until = max(last.get(node.var.name, k), k) if lazy else k  # type: ignore[union-attr]
        for name in used:
            last[name] = max(last.get(name, k), until)
    writes: dict[str, list[int]] = {}
    for k, node in enumerate(nodes):
        for name in overwritten(node):
            writes.setdefault(name, []).append(k)
    for k, node in enumerate(nodes):
        if isinstance(node, Let) and node.var.name not in pinned and is_view(node):
            base = getattr(node.args[0], "name", "") if node.args else ""
            root = roots.get(base, base)
            if any(k < w <= last.get(node.var.name, k) for w in writes.get(root, ())):
                pinned.add(node.var.name)
            else:
                roots[node.var.name] = root
        for inner in walk.regions(node):
            _region(inner, pinned, roots)
