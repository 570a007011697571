"""How a printed program is laid out for reading: source lines beside it, headings, no line over WIDTH.

What is added are comments, and strings in several parts: the text still parses to the same program.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..program import Check, Exit, Let, Node, Phi, Program, Span
from ..types import I64
from ..walk import walk

WIDTH = 99
FORWARD, REVERSE = "# forward sweep", "# reverse sweep"
BOTH = "# forward and reverse sweep"
COUNT = "# how often the loop runs"


@dataclass(frozen=True, slots=True)
class Line:
    """One printed line, and what it stands for."""

    text: str
    what: Node | Phi | Exit | Program | None = None
    span: Span | None = None


def page(program: Program, lines: Sequence[Line]) -> str:
    """The lines with the user's source beside them, and headings where an adjoint turns round."""
    headings = _headings(program)
    comments: list[str] = []
    before: Span | None = None
    for line in lines:
        if id(line.what) in headings:
            before = None
        new = line.span is not None and line.span.text and line.span != before
        before = line.span or before
        comments.append(f"# {line.span.text.strip()}" if new and line.span else "")
    column = _column([(len(line.text), len(comment)) for line, comment in zip(lines, comments) if comment])
    result: list[str] = []
    for line, comment in zip(lines, comments):
        pad = line.text[: len(line.text) - len(line.text.lstrip())]
        heading = headings.pop(id(line.what), None)
        if heading:
            result += ["", pad + heading] if len(result) > 1 else [pad + heading]
        if comment and max(column, len(line.text) + 2) + len(comment) <= WIDTH:
            result.append(f"{line.text:<{column - 2}}  {comment}")
            continue
        if comment:
            result.append(pad + shortened(comment, WIDTH - len(pad)))
        result += _folded(line)
    return "\n".join(result)


def shortened(text: str, width: int) -> str:
    """The text, with dots for what does not fit.

    >>> shortened("a long comment", 10)
    'a long ...'
    """
    return text if len(text) <= width else text[: width - 3] + "..."


def _column(sizes: list[tuple[int, int]]) -> int:
    """Where comments start: where the most of them fit beside their lines, and of those the most are aligned."""

    def gain(column: int) -> tuple[int, int, int]:
        fit = [code for code, comment in sizes if max(column, code + 2) + comment <= WIDTH]
        return len(fit), sum(code + 2 <= column for code in fit), -column

    return max((code + 2 for code, _ in sizes), key=gain, default=2)


def _folded(line: Line) -> list[str]:
    """A long message in several strings; other lines stay as they are."""
    if len(line.text) <= WIDTH or not isinstance(line.what, Check):
        return [line.text]
    head, _, _ = line.text.partition(', "')
    pad = " " * (len(head) - len(head.lstrip()))
    parts = textwrap.wrap(
        line.what.message, WIDTH - len(pad) - 8, drop_whitespace=False, break_on_hyphens=False
    )
    return [f"{head}, (", *(f"{pad}    {json.dumps(p, ensure_ascii=False)}" for p in parts), f"{pad})"]


def _headings(program: Program) -> dict[int, str]:
    """By the id of an outermost node: what begins there. Programs without a reverse sweep have no headings."""
    sweeps = [sweeps_of((node,)) for node in program.body]
    turn = next((k for k, found in enumerate(sweeps) if found - {"", "count"}), None)
    if turn is None:
        return {}
    found: dict[int, str] = {}
    now = ""
    for node, sweep in zip(program.body[:turn], sweeps):
        if isinstance(node, Let) and node.var.type == I64:
            continue
        heading = COUNT if "count" in sweep else FORWARD
        if heading != now:
            found[id(node)] = now = heading
    found[id(program.body[turn])] = REVERSE
    return found


def block_headings(program: Program) -> dict[int, str]:
    """By the id of an outermost loop or if of lowered code, where sweeps may share loops: what begins there."""
    kinds: list[tuple[Node, str]] = []
    for node in program.body:
        found = set() if isinstance(node, (Let, Check)) else sweeps_of((node,))
        if found:
            reverse = bool(found - {"", "count"})
            both = reverse and "" in found
            kinds.append((node, BOTH if both else REVERSE if reverse else COUNT if found == {"count"} else FORWARD))
    if not any(kind in (REVERSE, BOTH) for _, kind in kinds):
        return {}
    return {id(node): kind for (node, kind), (_, last) in zip(kinds, [(None, ""), *kinds]) if kind != last}


def sweeps_of(nodes: Iterable[Node]) -> set[str]:
    """The sweeps that the user's lines of these nodes belong to."""
    spans = (getattr(node, "span", None) for node in walk(tuple(nodes)))
    return {span.sweep for span in spans if span is not None}
