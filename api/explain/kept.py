"""What the reverse sweep needs of the forward sweep: saved, still at hand, or an argument."""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.walk import bound
from .columns import Columns, Row, stem
from .record import Recording
from .stages import Stages


@dataclass(frozen=True)
class Kept:
    """A value, where it is made and read (rows of the adjoint), and the memory it takes in this call."""

    name: str
    how: str
    type: str
    bytes: int | None
    line: str
    made: tuple[int, ...]
    used: tuple[int, ...]


SAVED = "saved each iteration"
AT_HAND = "still at hand"
ARGUMENT = "argument"


def kept(stages: Stages, columns: Columns, recording: Recording) -> list[Kept]:
    rows = columns.adjoint
    arrays = {stem(s.array.name): s for s in stages.saved}
    forward = [k for k, row in enumerate(rows) if row.sweep == "forward"]
    reverse = [k for k, row in enumerate(rows) if row.sweep == "reverse"]
    types = {v.name: v.type for v in (*stages.adjoint.params, *bound(stages.adjoint.body))}
    found: list[Kept] = []
    for name, saved in arrays.items():
        made = tuple(
            k for k in forward if rows[k].part == "saved" and any(stem(n) == name for n in rows[k].names)
        )
        used = _with_uses(rows, reverse, [k for k in reverse if any(stem(n) == name for n in rows[k].uses)])
        size = recording.bytes.get(saved.array.name)
        line = "" if saved.span is None else f"{saved.span.line}: {saved.span.text.strip()}"
        found.append(Kept(saved.variable, SAVED, str(saved.array.type), size, line, made, used))
    made_at = {name: k for k in forward for name in rows[k].names}
    params = {p.name for p in stages.program.params}
    reads: dict[str, list[int]] = {}
    for k in reverse:
        for name in rows[k].uses:
            reads.setdefault(name, []).append(k)
    for name, used_at in reads.items():
        if stem(name) in arrays or name not in types or types[name].dtype == "i64" and not types[name].dims:
            continue
        if name in made_at:
            row = rows[made_at[name]]
            line = _line(columns, row.user)
            entry = Kept(
                name,
                AT_HAND,
                str(types[name]),
                recording.bytes.get(name),
                line,
                (made_at[name],),
                tuple(used_at),
            )
            found.append(entry)
        elif name in params:
            found.append(Kept(name, ARGUMENT, str(types[name]), None, "", (), tuple(used_at)))
    order = {SAVED: 0, AT_HAND: 1, ARGUMENT: 2}
    return sorted(found, key=lambda entry: order[entry.how])


def _with_uses(rows: list[Row], reverse: list[int], reads: list[int]) -> tuple[int, ...]:
    """The rows that read a saved value back, and those that use what was read."""
    restored = {
        name for k in reads if rows[k].text.lstrip().split(" = ")[-1].endswith("]") for name in rows[k].names
    }
    return tuple(k for k in reverse if k in reads or restored & set(rows[k].uses))


def _line(columns: Columns, user: list[int]) -> str:
    return f"{columns.user[user[0]].number}: {columns.user[user[0]].text.strip()}" if user else ""
