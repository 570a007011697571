"""Backward: from recorded operations and seeds to cotangents, interpreted or compiled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .compiled import Layout, prepare
from .tape import Node, free, interpret, reachable


def pull(
    roots: Sequence[Node],
    seeds: Sequence[np.ndarray],
    select: Callable[[Layout], Sequence[Node]],
    retain_graph: bool,
) -> list[tuple[Node, np.ndarray]]:
    """The nodes that `select` chooses among those behind the roots, each with its cotangent.

    A root may be a leaf; several may be one node.
    """
    merged: dict[Node, np.ndarray] = {}
    for root, seed in zip(roots, seeds):
        merged[root] = merged[root] + seed if root in merged else seed
    leaves = {root: merged.pop(root) for root in list(merged) if root.plan is None}
    order = reachable(merged)
    layout = Layout(order)
    targets = [node for node in select(layout) if node in layout.place]
    given = list(merged.values())
    results: dict[Node, Any] = dict(leaves)
    if targets:
        places = tuple(layout.place[node] for node in targets)
        prepared = prepare(layout, tuple(layout.place[root] for root in merged), places)
        parts = prepared.run(layout, given)
        if parts is None:
            parts = interpret(order, merged, targets)
        for node, part in zip(targets, parts):
            results[node] = results[node] + part if node in results else part
    if not retain_graph:
        free(order)
    chosen = [*targets, *(node for node in leaves if node not in layout.place)]
    return [
        (node, np.asarray(results[node], node.kind.dtype.numpy))
        for node in chosen
        if results.get(node) is not None
    ]
