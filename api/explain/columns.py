"""The page's four columns: their lines, and what links a line to those of the other columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..codegen import Written
from ..ir.program import Check, Exit, For, If, Let, Node, Phi, Program, Span, Var, While
from ..ir.text import lines
from ..ir.walk import bound, used_here
from .source import Block, blocks
from .stages import Stages


@dataclass
class Row:
    """A printed line. `user` are rows of the user's column, `names` what it binds, `uses` what it reads."""

    text: str
    number: str = ""
    user: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    uses: list[str] = field(default_factory=list)
    sweep: str = ""  # "forward" or "reverse" in the adjoint
    part: str = ""  # "saved": stores a value for the reverse sweep; "reads": reads one; "apart": begins a function
    index: str = ""  # of a loop's head: its index
    heading: str = ""
    """What stands above it."""
    title: str = ""
    """What it is, for those who point at it."""


@dataclass
class Columns:
    user: list[Row]
    program: list[Row]
    adjoint: list[Row]
    generated: list[Row]
    lines_of: dict[tuple[int, str], int]
    """Row of the adjoint of a node (by id) and the part of it that runs."""

    def all(self) -> dict[str, list[Row]]:
        return {
            "user": self.user, "program": self.program, "adjoint": self.adjoint, "generated": self.generated
        }  # fmt: skip


def columns(stages: Stages) -> Columns:
    spans = [*_spans(stages.program), *_spans(stages.adjoint)]
    user, place = _user_rows(blocks(stages.span, spans))
    program, _ = _rows(stages.program, place)
    adjoint, lines_of = _rows(stages.adjoint, place)
    _mark_sweeps(adjoint, stages, lines_of)
    known = {v.name for v in (*stages.adjoint.params, *bound(stages.adjoint.body))}
    generated = [_generated_row(line, place, known) for line in stages.generated]
    _link_heads(generated)
    return Columns(user, program, adjoint, generated, lines_of)


Places = dict[tuple[str, int], int]


def _spans(program: Program) -> Iterator[Span]:
    for line in lines(program):
        if line.span is not None:
            yield line.span


def _user_rows(found: list[Block]) -> tuple[list[Row], Places]:
    rows: list[Row] = []
    place: Places = {}
    files = len({block.file for block in found})
    for block in found:
        for k, text in enumerate(block.lines):
            number = block.first + k
            place[block.file, number] = len(rows)
            row = Row(text, str(number), [len(rows)])
            if k == 0 and files > 1:
                row.heading = block.file.replace("\\", "/").rpartition("/")[2]
            elif k == 0 and rows:
                row.part = "apart"
            rows.append(row)
    return rows, place


def _rows(program: Program, place: Places) -> tuple[list[Row], dict[tuple[int, str], int]]:
    rows: list[Row] = []
    lines_of: dict[tuple[int, str], int] = {}
    shown = ""
    joins: dict[int, Span | None] = {}  # phis and exits are of the line of their loop or if
    for line in lines(program):
        what, span = line.what, line.span or joins.get(id(line.what))
        for join in (*getattr(what, "phis", ()), *getattr(what, "exits", ())):
            joins[id(join)] = joins.get(id(join)) or line.span
        row = Row(line.text, "", [], *_names(what, program, line.text))
        if span is not None and (span.file, span.line) in place:
            row.user = [place[span.file, span.line]]
            row.number = "" if str(span.line) == shown else str(span.line)
            shown = str(span.line)
            row.title = _title(span)
        if isinstance(what, For):
            row.index = what.index.name
        if isinstance(what, Node):
            lines_of.setdefault((id(what), "test" if _is_test(line.text) else ""), len(rows))
        rows.append(row)
    return rows, lines_of


def _title(span: Span) -> str:
    """Where a line comes from, in words."""
    why = {"": "", "again": ", computed a second time for the reverse sweep", "count": ", counted before"}
    derivative = f", part of the derivative of {span.sweep}"
    return f"line {span.line}: {span.text.strip()}{why.get(span.sweep, derivative)}"


def _is_test(text: str) -> bool:
    return text.endswith(": break")


def _names(what: object, program: Program, text: str) -> tuple[list[str], list[str]]:
    """What a line binds and what it reads."""
    match what:
        case Let(var):
            return [var.name], list(dict.fromkeys(used_here(what)))
        case Phi(var, first, second):
            return [var.name], [a.name for a in (first, second) if isinstance(a, Var)]
        case Exit(var, phi):
            return [var.name], [phi.name]
        case For(index, start, stop):
            return [index.name], [a.name for a in (start, stop) if isinstance(a, Var)]
        case While(cond=cond) | If(cond=cond) | Check(cond=cond):
            return [], [cond.name] if isinstance(cond, Var) else []
        case Program():
            if text.lstrip().startswith("return"):
                return [], [r.name for r in program.results if isinstance(r, Var)]
            return [p.name for p in program.params if re.search(rf"\b{p.name}\b", text)], []
    return [], []


def _mark_sweeps(rows: list[Row], stages: Stages, lines_of: dict[tuple[int, str], int]) -> None:
    """Headings of the sweeps; which lines save and which read what was saved."""
    starts = sorted((row, stages.reverse[node]) for (node, _), row in lines_of.items())
    arrays = {stem(s.array.name) for s in stages.saved}
    made_forward: set[str] = set()
    for k, row in enumerate(rows):
        here = [reverse for start, reverse in starts if start <= k]
        if not here or row.text.lstrip().startswith("return"):
            continue
        row.sweep = "reverse" if here[-1] else "forward"
        if k and rows[k - 1].sweep != row.sweep:
            row.heading = f"{row.sweep} sweep"
        if row.sweep == "forward":
            made_forward |= set(row.names)
            if any(stem(name) in arrays for name in row.names) and ".at[" in row.text:
                row.part = "saved"
        elif any(stem(name) in arrays and name in made_forward for name in row.uses):
            row.part = "reads"


def _generated_row(line: Written, place: Places, known: set[str]) -> Row:
    user = [
        place[p.span.file, p.span.line] for p in line.parts if p.span and (p.span.file, p.span.line) in place
    ]
    names = {p.name for p in line.parts} & known
    target = re.match(
        r"\s*(\w+)(\[.*?\])? [-+]?= (?!np\.(empty|zeros)\()", line.text
    )  # not where it is allocated
    if target and target[1] in known:
        names.add(target[1])
    comment = line.text.lstrip().startswith("#")
    number = str(next(p.span.line for p in line.parts if p.span)) if comment and user else ""
    return Row(line.text, number, list(dict.fromkeys(user)), sorted(names))


def _link_heads(rows: list[Row]) -> None:
    """A loop that no line of the user's stands for belongs to the lines in it, and so does an else."""
    for k, row in enumerate(rows):
        if row.text.endswith(":") and not row.user and row.text.startswith(" "):
            depth = len(row.text) - len(row.text.lstrip())
            for inner in rows[k + 1 :]:
                if inner.text and len(inner.text) - len(inner.text.lstrip()) <= depth:
                    break
                row.user += [u for u in inner.user if u not in row.user]


def stem(name: str) -> str:
    """The user's name of a version of it.

    >>> stem("z_12"), stem("z"), stem("x_bar_3")
    ('z', 'z', 'x_bar')
    """
    return re.sub(r"_\d+$", "", name)
