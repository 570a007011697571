"""A picture drawn without help: layers from top to bottom, boxes laid out first and then placed as one item.

Each level is layered by its longest paths, ordered by barycentres, and shifted towards the neighbours. The reverse
sweep is laid out in the same way, turned upside down, and put to the right of the forward sweep.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .picture import Box, Edge, Item, Spot, spots_of

CHARACTER, LINE = 6.7, 15
GAP_X, GAP_Y, PAD, HEAD = 18, 30, 12, 20
SWEEP_GAP = 90
ROUNDS = 6


@dataclass
class Placed:
    """An item with its size, and its place: the upper left corner, relative to what it is in."""

    item: Item
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    inner: tuple[Placed, ...] = ()

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


def drawn(name: str, items: Sequence[Item], edges: Sequence[Edge]) -> str:
    """The picture as SVG."""
    forward = _level([i for i in items if not i.reverse], edges)
    reverse = _level([i for i in items if i.reverse], edges)
    width, height = _extent(forward)
    right, high = _extent(reverse)
    tall = max(height, high)
    for placed in reverse:
        _flip(placed, high)
        placed.x += width + SWEEP_GAP if forward else 0
        placed.y += tall - high
    total = (width + SWEEP_GAP if forward and reverse else width) + right
    spots, boxes = _absolute([*forward, *reverse])
    body = [*map(_box, boxes), *(_edge(e, spots) for e in edges), *(_spot(*s) for s in spots.values())]
    view = f"{-PAD} {-PAD} {total + 2 * PAD:.0f} {tall + 2 * PAD:.0f}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="pullback-graph" viewBox="{view}" '
        f'width="{total + 2 * PAD:.0f}" height="{tall + 2 * PAD:.0f}" role="img" '
        f'aria-label="dataflow of {html.escape(name)}">\n{_STYLE}\n'
        f'<rect class="paper" x="{-PAD}" y="{-PAD}" width="100%" height="100%"/>\n'
        + "\n".join(body)
        + "\n</svg>"
    )


# -- layout --------------------------------------------------------------------------------------------------


def _level(items: Sequence[Item], edges: Sequence[Edge]) -> list[Placed]:
    """Items of one level, placed from (0, 0) on."""
    placed = [_sized(item, edges) for item in items]
    owner = {spot.key: k for k, item in enumerate(items) for spot in spots_of((item,))}
    before: list[set[int]] = [set() for _ in items]
    after: list[set[int]] = [set() for _ in items]
    for edge in edges:
        a, b = owner.get(edge.source), owner.get(edge.target)
        if a is not None and b is not None and a != b and edge.kind != "back":
            before[b].add(a)
            after[a].add(b)
    layers = _layers(before, after)
    _order(layers, before, after)
    y = 0.0
    for layer in layers:
        high = max(placed[k].height for k in layer)
        x = 0.0
        for k in layer:
            placed[k].x, placed[k].y = x, y + (high - placed[k].height) / 2
            x += placed[k].width + GAP_X
        y += high + GAP_Y
    for turn in range(ROUNDS):
        for layer in layers if turn % 2 == 0 else layers[::-1]:
            _pull(layer, placed, before, after)
    least = min((p.x for p in placed), default=0.0)
    for one in placed:
        one.x -= least
    return placed


def _sized(item: Item, edges: Sequence[Edge]) -> Placed:
    if isinstance(item, Spot):
        widest = max(len(item.name), len(item.label))
        return Placed(item, widest * CHARACTER + 16, (2 if item.label else 1) * LINE + 8)
    inner = _level(item.items, edges)
    width, height = _extent(inner)
    for placed in inner:
        placed.x += PAD
        placed.y += HEAD
    return Placed(
        item, max(width + 2 * PAD, len(item.label) * CHARACTER + 16), height + HEAD + PAD, inner=tuple(inner)
    )


def _extent(placed: Iterable[Placed]) -> tuple[float, float]:
    placed = list(placed)
    return max((p.x + p.width for p in placed), default=0.0), max(
        (p.y + p.height for p in placed), default=0.0
    )


def _layers(before: list[set[int]], after: list[set[int]]) -> list[list[int]]:
    """Longest paths from the top; what needs nothing stands right above its first use. Items are in order."""
    depth = [0] * len(before)
    for k, needed in enumerate(before):
        depth[k] = 1 + max((depth[j] for j in needed if j < k), default=-1)
    for k in reversed(range(len(before))):
        if not before[k] and after[k]:
            depth[k] = max(0, min(depth[j] for j in after[k]) - 1)
    layers: list[list[int]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for k, d in enumerate(depth):
        layers[d].append(k)
    return [layer for layer in layers if layer]


def _order(layers: list[list[int]], before: list[set[int]], after: list[set[int]]) -> None:
    """Fewer crossings: each item goes to the mean place of its neighbours."""
    place = {k: float(i) for layer in layers for i, k in enumerate(layer)}
    for turn in range(ROUNDS):
        down = turn % 2 == 0
        for layer in layers if down else layers[::-1]:
            near = before if down else after
            mean = {k: sum(place[j] for j in near[k]) / len(near[k]) if near[k] else place[k] for k in layer}
            layer.sort(key=lambda k: (mean[k], k))
            for i, k in enumerate(layer):
                place[k] = float(i)


def _pull(layer: list[int], placed: list[Placed], before: list[set[int]], after: list[set[int]]) -> None:
    """Shift the items of a layer towards their neighbours, in the order they have."""
    wish = []
    for k in layer:
        near = [placed[j].middle for j in (*before[k], *after[k])]
        wish.append(sum(near) / len(near) - placed[k].width / 2 if near else placed[k].x)
    right = []
    edge = float("-inf")
    for k, x in zip(layer, wish):
        edge = max(x, edge)
        right.append(edge)
        edge += placed[k].width + GAP_X
    left = []
    edge = float("inf")
    for k, x in zip(reversed(layer), reversed(wish)):
        edge = min(x, edge - placed[k].width)
        left.append(edge)
        edge -= GAP_X
    for k, a, b in zip(layer, right, reversed(left)):
        placed[k].x = (a + b) / 2


def _flip(placed: Placed, height: float) -> None:
    """Upside down, in a frame of this height; the heading of a box stays on top."""
    placed.y = height - placed.y - placed.height
    for inner in placed.inner:
        _flip(inner, placed.height)
        inner.y += HEAD - PAD


def _absolute(
    placed: Sequence[Placed], x: float = 0.0, y: float = 0.0
) -> tuple[dict[str, tuple[Spot, float, float, float, float]], list[tuple[Box, float, float, float, float]]]:
    """Spots by key and boxes, outer ones first, with their rectangles."""
    spots: dict[str, tuple[Spot, float, float, float, float]] = {}
    boxes: list[tuple[Box, float, float, float, float]] = []
    for one in placed:
        rectangle = (x + one.x, y + one.y, one.width, one.height)
        if isinstance(one.item, Spot):
            spots[one.item.key] = (one.item, *rectangle)
        else:
            boxes.append((one.item, *rectangle))
            more, inside = _absolute(one.inner, x + one.x, y + one.y)
            spots |= more
            boxes += inside
    return spots, boxes


# -- SVG -----------------------------------------------------------------------------------------------------

_STYLE = """<style>
.pullback-graph { font: 11px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; max-width: 100%; }
.pullback-graph .paper { fill: #fffefb; }
.pullback-graph text { fill: #22262b; } .pullback-graph .label { fill: #6d7278; }
.pullback-graph .name { font-weight: 600; }
.pullback-graph .spot rect { fill: #f2f6fb; stroke: #1766a8; }
.pullback-graph .spot.reverse rect { fill: #fdf4ee; stroke: #b4470a; }
.pullback-graph .spot.param rect, .pullback-graph .spot.result rect { stroke-width: 2; }
.pullback-graph .spot.phi rect, .pullback-graph .spot.index rect { stroke-dasharray: 4 2; }
.pullback-graph .box rect { fill: #1766a80b; stroke: #1766a880; }
.pullback-graph .box.reverse rect { fill: #b4470a0b; stroke: #b4470a80; }
.pullback-graph .edge { fill: none; stroke: #8a8f96; }
.pullback-graph .edge.back { stroke-dasharray: 5 3; } .pullback-graph .edge.kept { stroke: #6a3fa5; }
.pullback-graph .tip { fill: #8a8f96; } .pullback-graph .tip.kept { fill: #6a3fa5; }
@media (prefers-color-scheme: dark) {
.pullback-graph .paper { fill: #1a1d22; } .pullback-graph text { fill: #dde1e7; }
.pullback-graph .label { fill: #8f96a1; }
.pullback-graph .spot rect { fill: #1b2836; stroke: #6fb3f2; }
.pullback-graph .spot.reverse rect { fill: #33261d; stroke: #ff9f5f; }
.pullback-graph .edge.kept { stroke: #c4a1ff; } .pullback-graph .tip.kept { fill: #c4a1ff; }
}
</style>"""


def _spot(spot: Spot, x: float, y: float, width: float, height: float) -> str:
    kind = f"spot {spot.kind}{' reverse' if spot.reverse else ''}"
    middle = x + width / 2
    label = f'<text class="label" x="{middle:.1f}" y="{y + 30:.1f}" text-anchor="middle">{_text(spot.label)}</text>'
    return (
        f'<g class="{kind}" data-name="{html.escape(spot.key)}"><title>{_text(spot.title)}</title>'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5"/>'
        f'<text class="name" x="{middle:.1f}" y="{y + 15:.1f}" text-anchor="middle">{_text(spot.name)}</text>'
        f"{label if spot.label else ''}</g>"
    )


def _box(placed: tuple[Box, float, float, float, float]) -> str:
    box, x, y, width, height = placed
    return (
        f'<g class="box{" reverse" if box.reverse else ""}">'
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="9"/>'
        f'<text class="label" x="{x + 9:.1f}" y="{y + 14:.1f}">{_text(box.label)}</text></g>'
    )


def _edge(edge: Edge, spots: Mapping[str, tuple[Spot, float, float, float, float]]) -> str:
    (one, x0, y0, w0, h0), (other, x1, y1, w1, h1) = spots[edge.source], spots[edge.target]
    if edge.kind == "back":  # around the right side
        start, end = (x0 + w0, y0 + h0 / 2), (x1 + w1, y1 + h1 / 2)
        bulge = max(start[0], end[0]) + 26
        return _curve(edge, start, (bulge, start[1]), (bulge, end[1]), end)
    if one.reverse != other.reverse:
        start, end = (x0 + w0, y0 + h0 / 2), (x1, y1 + h1 / 2)
        bend = max(40.0, (end[0] - start[0]) / 2)
        return _curve(edge, start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end)
    down = y1 >= y0 + h0 - 1
    start = (x0 + w0 / 2, y0 + h0 if down else y0)
    end = (x1 + w1 / 2, y1 if down else y1 + h1)
    bend = (1 if down else -1) * min(60.0, max(14.0, abs(end[1] - start[1]) / 2))
    return _curve(edge, start, (start[0], start[1] + bend), (end[0], end[1] - bend), end)


Point = tuple[float, float]


def _curve(edge: Edge, start: Point, leave: Point, arrive: Point, end: Point) -> str:
    across, along = end[0] - arrive[0], end[1] - arrive[1]
    length = (across**2 + along**2) ** 0.5 or 1.0
    across, along = 6 * across / length, 6 * along / length
    base = (end[0] - across, end[1] - along)
    tip = (end, (base[0] - along / 2, base[1] + across / 2), (base[0] + along / 2, base[1] - across / 2))
    path = f"M{_at(start)} C{_at(leave)} {_at(arrive)} {_at(base)}"
    return (
        f'<path class="edge {edge.kind}" d="{path}"/>'
        f'<polygon class="tip {edge.kind}" points="{" ".join(_at(p) for p in tip)}"/>'
    )


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _text(text: str) -> str:
    return html.escape(text, quote=False)
