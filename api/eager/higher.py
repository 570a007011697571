"""Backward that is recorded itself: `create_graph=True`.

The derivative of an operation is a program of its operands and the cotangent; each of its results is recorded as an
operation too, whose derivative is the adjoint of that program. So there are derivatives of every order, and no second
set of rules.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..ir.program import Lit
from ..ir.walk import inline
from ..tracer.values.symbol import as_value, require_session, wrap
from .compiled import Layout
from .kernels import Plan
from .kinds import Kind
from .memory import value_of
from .tape import Node, Value, freed, reachable

if TYPE_CHECKING:
    from .tensor import Tensor


class Derived:
    """One result of a plan's program, as an entry: an operation of the operands and the cotangent of their result."""

    def __init__(self, plan: Plan, number: int, bar: Kind):
        program = plan.program
        self.function = plan.entry.function
        self.key = (plan.entry.key, plan.wrt, plan.after_mask, number)
        self.kinds = (*plan.entry.kinds, bar)
        self.form = SimpleNamespace(program=replace(program, results=(program.results[number],)))
        self.constant = isinstance(program.results[number], Lit)
        self.plans: dict[tuple[int, ...], Plan] = {}

    def plan(self, wrt: tuple[int, ...]) -> Plan:
        plan = self.plans.get(wrt)
        if plan is None:
            plan = self.plans[wrt] = Plan(self, wrt)  # type: ignore[arg-type]
        return plan

    def applied(self, *operands: Any) -> Any:
        """The operation on symbols, for what is printed."""
        session = require_session()
        atoms = [as_value(session, x)[0] for x in operands]
        return wrap(session, inline(session.builder, self.form.program, atoms)[0])


_derived: dict[tuple[Plan, int], Derived] = {}


def derived(plan: Plan, number: int, bar: Kind) -> Derived:
    found = _derived.get((plan, number))
    if found is None:
        if len(_derived) > 4096:  # a program whose shapes never repeat
            _derived.clear()
        found = _derived[plan, number] = Derived(plan, number, bar)
    return found


def pull_recorded(
    roots: Sequence[Node], seeds: Sequence[Tensor], select: Callable[[Layout], Sequence[Node]]
) -> list[tuple[Node, Tensor]]:
    """As `engine.pull`, with tensors that have a history."""
    bars: dict[Node, Any] = {}

    def add(node: Node, part: Any) -> None:
        before = bars.get(node)
        bars[node] = part if before is None else operator.add(before, part)

    for root, seed in zip(roots, seeds):
        add(root, seed)
    order = reachable(bars)
    layout = Layout(order)
    masked: set[Any] = set()  # their cotangents came through a `where`
    for node in reversed(order):
        bar = bars.get(node)
        if bar is None:
            continue
        if node.saved is None:
            raise freed(node)
        plan = node.plan
        assert plan is not None
        if node in masked:
            plan = plan.masked
        if plan.masks:
            masked.update(node.parents[k] for k in plan.masks)
        operands = [s.array if type(s) is Value else s for s in node.saved]
        for number, (k, part) in enumerate(zip(plan.wrt, plan.run(*operands, bar._array))):
            parent = node.parents[k]
            result = type(bar)(np.asarray(part, parent.kind.dtype.numpy))
            _record(node, plan, number, bar, result)
            add(parent, result)
    chosen = [node for node in select(layout) if node in layout.place and node in bars]
    return [(node, bars[node]) for node in dict.fromkeys([*chosen, *(r for r in roots if r.plan is None)])]


def _record(node: Node, plan: Plan, number: int, bar: Tensor, result: Tensor) -> None:
    """The history of a cotangent: the operands whose numbers its program reads, and the cotangent before."""
    entry = derived(plan, number, bar._kind)
    if entry.constant:
        return
    active = [p is not None and needed for p, needed in zip(node.parents, plan.needs)]
    parents = [p if use else None for p, use in zip(node.parents, active)]
    parents.append(bar._node if bar._requires else None)
    wrt = tuple(k for k, parent in enumerate(parents) if parent is not None)
    if not wrt:
        return
    saved = [*node.saved, bar._value or value_of(bar)]
    result._node = Node(entry.plan(wrt), parents, saved, result._kind, node.line)
    result._requires = True
