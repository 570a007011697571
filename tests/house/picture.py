"""The picture of the house in docs/design.md, drawn from the imports: `python tests/house/picture.py` writes it.

Each room is a column; its sub-rooms and single modules stand above what they import. A line goes from a box to each
box of its room that it imports from; those to other rooms are the arrows between the columns.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from test_house import FILES, ORDER, ROOMS, ROOT, imports, level_of

PICTURE = ROOT / "docs" / "house.svg"
WIDTH, HEIGHT, GAP, ROW = 104, 24, 8, 56
"""Of a box, the space between two, and from one level to the next, in pixels."""
COLOURS = {"api": "#4269d0", "tracer": "#3ca951", "ir": "#9c6b4e", "codegen": "#e8590c", "runtime": "#97989a"}
SHOWN = ("api", "tracer", "codegen", "ir", "runtime")

Box = tuple[str, str]


def edges() -> tuple[set[tuple[Box, Box]], set[tuple[str, str]]]:
    """Which box imports from which in its room, and which room from which."""
    inside: set[tuple[Box, Box]] = set()
    between: set[tuple[str, str]] = set()
    for path in FILES:
        room, part = path.relative_to(ROOT).with_suffix("").parts[:2]
        for target, _ in imports(path):
            parts = target.split(".")
            if parts[0] != "pullback":
                continue
            other = parts[1] if len(parts) > 1 and parts[1] in ROOMS else "api"
            rest = parts[1:] if other == "api" else parts[2:]
            if other != room:
                between.add((room, other))
            elif rest and rest[0] != part and level_of(room, rest[0]) >= 0:
                inside.add(((room, part), (room, rest[0])))
    return inside, between


def places() -> tuple[dict[Box, tuple[int, int]], dict[str, tuple[int, int]]]:
    """The upper left corner of each box, and where each room begins and how wide it is."""
    found: dict[Box, tuple[int, int]] = {}
    rooms: dict[str, tuple[int, int]] = {}
    tallest = max(order.count("|") for order in ORDER.values()) + 1
    left = GAP
    for room in SHOWN:
        levels = [[name for name in names.split() if name != "__init__"] for names in ORDER[room].split("|")]
        levels = [names for names in levels if names]
        rows = [names[k : k + 3] for names in levels for k in range(0, len(names), 3)]
        tallest = max(tallest, len(rows))
        width = max(map(len, rows)) * (WIDTH + GAP) + GAP
        for k, names in enumerate(rows):
            indent = (width - len(names) * (WIDTH + GAP) + GAP) // 2
            for j, name in enumerate(names):
                found[room, name] = left + indent + j * (WIDTH + GAP), k
        rooms[room] = left, width
        left += width + 3 * GAP
    return {box: (x, 40 + (tallest - 1 - k) * ROW) for box, (x, k) in found.items()}, rooms


def picture() -> str:
    boxes, rooms = places()
    inside, between = edges()
    width = max(x + w for x, w in rooms.values()) + GAP
    bottom = max(y for _, y in boxes.values()) + HEIGHT + 2 * GAP
    style = "font-family='system-ui, sans-serif' font-size='12'"
    lines = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {bottom + 70}' {style}>"]
    lines.append(f"<rect width='{width}' height='{bottom + 70}' fill='white'/>")
    for room, (x, w) in rooms.items():
        lines.append(
            f"<rect x='{x}' y='8' width='{w}' height='{bottom - 8}' rx='8' fill='{COLOURS[room]}' fill-opacity='0.08'/>"
            f"<text x='{x + w / 2}' y='26' text-anchor='middle' font-weight='bold' fill='{COLOURS[room]}'>{room}</text>"
        )
    for one, other in sorted(inside):
        if one in boxes and other in boxes:
            (x, y), (u, v) = boxes[one], boxes[other]
            line = f"M{x + WIDTH / 2} {y + HEIGHT} L{u + WIDTH / 2} {v}"
            lines.append(f"<path d='{line}' stroke='{COLOURS[one[0]]}' stroke-opacity='0.35'/>")
    for (room, name), (x, y) in sorted(boxes.items()):
        lines.append(
            f"<rect x='{x}' y='{y}' width='{WIDTH}' height='{HEIGHT}' rx='4' fill='white' stroke='{COLOURS[room]}'/>"
            f"<text x='{x + WIDTH / 2}' y='{y + 16}' text-anchor='middle' font-size='11'>{escape(name)}</text>"
        )
    for k, (one, other) in enumerate(sorted(between)):
        x, u = (rooms[r][0] + rooms[r][1] / 2 + 10 * (k % 5 - 2) for r in (one, other))
        y = bottom + 4 + 10 * (k % 6)
        lines.append(
            f"<path d='M{x} {bottom} V{y} H{u} V{bottom}' fill='none' stroke='{COLOURS[one]}' marker-end='url(#a)'/>"
        )
    lines.append(
        "<defs><marker id='a' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        "<path d='M0 0 L8 4 L0 8 z' fill='#555'/></marker></defs></svg>"
    )
    return "\n".join(lines) + "\n"


def table() -> str:
    """The passes in order, as docs/design.md has them."""
    from pullback.codegen import PIPELINE  # noqa: PLC0415
    from pullback.ir.passes import CLEANUP  # noqa: PLC0415

    lines = ["| pass | level | what it is for |", "| :-- | :-- | :-- |"]
    for pipeline in (CLEANUP, PIPELINE):
        for step in pipeline:
            level = step.takes.name if step.takes == step.gives else f"{step.takes.name} > {step.gives.name}"
            lines.append(f"| `{step.name}` | {level} | {step.about} |")
        lines.append("| | | |")
    return "\n".join(lines[:-1]) + "\n"


def design(text: str) -> str:
    """The page with the table as it is now."""
    begin, end = "<!-- passes, by tests/house/picture.py -->\n", "<!-- end of passes -->\n"
    return text[: text.index(begin) + len(begin)] + table() + text[text.index(end) :]


if __name__ == "__main__":
    PICTURE.write_text(picture())
    page = Path(ROOT / "docs" / "design.md")
    page.write_text(design(page.read_text()))
