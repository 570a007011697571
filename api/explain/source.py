"""The user's functions that a program came from: their lines, the traced function first."""

from __future__ import annotations

import ast
import linecache
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from ..ir.program import Span


@dataclass(frozen=True)
class Block:
    """Consecutive lines of one file."""

    file: str
    first: int
    lines: tuple[str, ...]

    def __contains__(self, place: tuple[str, int]) -> bool:
        return place[0] == self.file and self.first <= place[1] < self.first + len(self.lines)


def blocks(function: Span | None, spans: Iterable[Span]) -> list[Block]:
    """The functions (or else the statements) that have these lines; a line without a file is its own block."""
    found: list[Block] = []
    for span in (*((function,) if function else ()), *spans):
        if not any((span.file, span.line) in block for block in found):
            new = _around(span)
            found = [b for b in found if (b.file, b.first) not in new]  # a part of the new one
            found.append(new)
    return found


def _around(span: Span) -> Block:
    """The innermost function around a line, or the statement, or the line alone."""
    lines = linecache.getlines(span.file)
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        tree = ast.Module([], [])
    best: tuple[int, int] | None = None
    for kinds in ((ast.FunctionDef, ast.AsyncFunctionDef), (ast.stmt,)):
        for node in ast.walk(tree):
            if isinstance(node, kinds):
                decorators = [d.lineno for d in getattr(node, "decorator_list", ())]
                place = min([node.lineno, *decorators]), node.end_lineno or node.lineno
                if place[0] <= span.line <= place[1] and (best is None or best < place):
                    best = place
        if best is not None:
            break
    if best is None:
        return Block(span.file, span.line, (span.text,))
    text = textwrap.dedent("".join(lines[best[0] - 1 : best[1]]))
    return Block(span.file, best[0], tuple(text.rstrip().splitlines()))
