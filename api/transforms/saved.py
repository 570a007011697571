"""What the forward sweep keeps for the reverse sweep: which value, of which of the user's lines, how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..calls.forms import Specialisation
from ..ir.adjoint.checkpoint import Schedule
from ..ir.adjoint.reverse_mode import Saved, differentiate
from ..ir.passes import optimise
from ..ir.program import Program
from ..stages import Compilation


@dataclass(frozen=True)
class Kept:
    """One array of saved values; `bytes` is its size in the present call."""

    variable: str
    line: str
    type: str
    bytes: int


def kept(form: Specialisation, wrt: Sequence[int], params: Sequence[Any], checkpoint: Schedule = None) -> list[Kept]:
    """Run the forward sweep and look at the arrays it leaves behind."""
    sweeps = differentiate(form.program, wrt, seeds=True, checkpoint=checkpoint)
    if not sweeps.saved:
        return []
    p = form.program
    arrays = tuple(s.array for s in sweeps.saved)
    forward = optimise(Program(f"{p.name}_saved", p.params, sweeps.forward, arrays, cotangents=sweeps.named))
    run = Compilation(forward).function()
    return [
        Kept(s.variable, _line(s), str(s.array.type), int(array.nbytes)) for s, array in zip(sweeps.saved, run(*params))
    ]


def _line(saved: Saved) -> str:
    return "" if saved.span is None else f"line {saved.span.line}: {saved.span.text}"


def report(name: str, entries: list[Kept]) -> str:
    """The entries as a table.

    >>> print(report("f", [Kept("z", "line 3: z = r * z", "f64[n]", 8_000_000)]))
    f keeps 1 array for the reverse sweep, 8.0 MB:
      8.0 MB  z  f64[n]  line 3: z = r * z
    """
    if not entries:
        return f"{name} keeps nothing for the reverse sweep but its arguments and what lies on its straight path"
    total = sum(e.bytes for e in entries)
    plural = "array" if len(entries) == 1 else "arrays"
    lines = [f"{name} keeps {len(entries)} {plural} for the reverse sweep, {size(total)}:"]
    rows = [(size(e.bytes), e.variable, e.type, e.line) for e in sorted(entries, key=lambda e: -e.bytes)]
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    for row in rows:
        cells = [f"{row[0]:>{widths[0]}}", f"{row[1]:<{widths[1]}}", f"{row[2]:<{widths[2]}}", row[3]]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def size(count: int) -> str:
    """Bytes as people write them.

    >>> size(512), size(8000), size(3_200_000)
    ('512 B', '8.0 kB', '3.2 MB')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000.0 or unit == "GB":
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000.0
    raise AssertionError
