"""What the forward sweep keeps for the reverse sweep: which value, of which of the user's lines, how much memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..calls.forms import Specialisation
from ..ir.adjoint.checkpoint import Schedule
from ..ir.adjoint.largest import largest
from ..ir.adjoint.reverse_mode import Saved, Sweeps, differentiate
from ..ir.build import Builder
from ..ir.names import Names
from ..ir.passes import optimise
from ..ir.program import Program
from ..ir.walk import bound, free
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
    p = form.program
    again = _again(p, sweeps, params)
    if not sweeps.saved:
        return again
    arrays = tuple(s.array for s in sweeps.saved)
    forward = optimise(Program(f"{p.name}_saved", p.params, sweeps.forward, arrays, cotangents=sweeps.named))
    run = Compilation(forward).function()
    return [
        Kept(s.variable, _line(s), str(s.array.type), int(array.nbytes)) for s, array in zip(sweeps.saved, run(*params))
    ] + again


def _again(p: Program, sweeps: Sweeps, params: Sequence[Any]) -> list[Kept]:
    """What parts that are done again save: the most at a time, which loops stripped to sizes find out."""
    if not sweeps.again:
        return []
    builder = Builder()
    builder.names = Names(v.name for v in (*p.params, *sweeps.seeds, *bound((*sweeps.forward, *sweeps.reverse))))
    nodes, sizes = largest(builder, (*sweeps.forward, *sweeps.reverse), {s.array.name for s in sweeps.again})
    known = [s for s in sweeps.again if s.array.name in sizes]
    results = tuple(sizes[s.array.name] for s in known)
    whole = optimise(Program(f"{p.name}_again", (*p.params, *sweeps.seeds), nodes, results))
    if free(whole.body) & {v.name for v in sweeps.seeds}:
        return []  # sizes that only the cotangents tell
    run = Compilation(replace(whole, params=p.params)).function()
    found = run(*params)
    counts = found if isinstance(found, tuple) else (found,)
    return [
        Kept(s.variable, _line(s), f"{s.array.type} again", int(count) * s.array.type.numpy.itemsize)
        for s, count in zip(known, counts)
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
