"""What a picture of a program consists of: spots, boxes around them, edges between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Spot:
    """A value. `kind` is "param", "op", "phi", "index", "check" or "result"; `title` all that is known of it."""

    key: str
    name: str
    label: str
    kind: str
    reverse: bool
    title: str


@dataclass(frozen=True)
class Box:
    """A loop, a branch, an arm of one."""

    key: str
    label: str
    items: tuple[Item, ...]
    reverse: bool


Item = Spot | Box


@dataclass(frozen=True)
class Edge:
    """A use. `kind` is "data", "back" (a value for the next iteration) or "kept" (from one sweep to the other)."""

    source: str
    target: str
    kind: str


def spots_of(items: Iterable[Item]) -> Iterator[Spot]:
    """All spots, those in boxes too."""
    for item in items:
        if isinstance(item, Box):
            yield from spots_of(item.items)
        else:
            yield item
