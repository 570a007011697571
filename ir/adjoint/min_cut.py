"""A minimum vertex cut: the cheapest set of values to save, such that the rest can be computed from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)

INFINITE = 10**40


def minimum_cut(
    needed: Collection[Name],
    recipe: Callable[[Name], Sequence[Name] | None],
    weight: Callable[[Name], int],
) -> set[Name]:
    """The values to save, as near to the needed ones as the weights allow.

    `recipe` tells from what a value can be computed again, None if it cannot. Every needed value is then
    saved itself or computable from saved ones.

    >>> recipes = {"b": ["s"], "c": ["b"], "d": ["b", "i"], "i": []}
    >>> sorted(minimum_cut(["c", "d"], recipes.get, lambda name: 1)), minimum_cut(["c"], recipes.get, len)
    (['b'], {'c'})
    """
    forced = {name for name in needed if recipe(name) is None}
    goals = set(needed) - forced
    flow = _Network()
    front, seen = list(goals), set(goals)
    while front:
        name = front.pop()
        flow.connect((name, "in"), (name, "out"), weight(name))
        sources = recipe(name)
        if sources is None:
            flow.connect("source", (name, "in"), INFINITE)
            continue
        for source in sources:
            if source in forced:
                continue
            flow.connect((source, "out"), (name, "in"), INFINITE)
            if source not in seen:
                seen.add(source)
                front.append(source)
    for name in goals:
        flow.connect((name, "out"), "sink", INFINITE)
    flow.saturate()
    side = flow.reaching("sink")
    return forced | {name for name in seen if (name, "out") in side and (name, "in") not in side}


class _Network:
    """Capacities left in each direction; every edge has its opposite."""

    def __init__(self) -> None:
        self.left: dict[Hashable, dict[Hashable, int]] = {"source": {}, "sink": {}}

    def connect(self, a: Hashable, b: Hashable, capacity: int) -> None:
        forward, backward = self.left.setdefault(a, {}), self.left.setdefault(b, {})
        forward[b] = forward.get(b, 0) + capacity
        backward.setdefault(a, 0)

    def path(self) -> list[Hashable] | None:
        """A shortest path from source to sink with capacity left."""
        before: dict[Hashable, Hashable] = {"source": "source"}
        queue: deque[Hashable] = deque(["source"])
        while queue:
            here = queue.popleft()
            if here == "sink":
                result: list[Hashable] = [here]
                while result[-1] != "source":
                    result.append(before[result[-1]])
                return result[::-1]
            for there, capacity in self.left[here].items():
                if capacity and there not in before:
                    before[there] = here
                    queue.append(there)
        return None

    def saturate(self) -> None:
        while (path := self.path()) is not None:
            steps = list(zip(path, path[1:]))
            amount = min(self.left[a][b] for a, b in steps)
            for a, b in steps:
                self.left[a][b] -= amount
                self.left[b][a] += amount

    def reaching(self, goal: Hashable) -> set[Hashable]:
        """The nodes from which `goal` can still be reached."""
        found, front = {goal}, [goal]
        while front:
            there = front.pop()
            for here in self.left[there]:
                if here not in found and self.left[here][there]:
                    found.add(here)
                    front.append(here)
        return found
