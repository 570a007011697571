"""Where the time of a first call goes.

Stages are recorded while a `recording` is open in this thread or task, and cost next to nothing otherwise. A
stage that runs inside another one counts for itself alone, so the times add up.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field

from . import locks


@dataclass
class Timings:
    """Seconds by stage, in the order in which the stages were first entered; `total` has what lies between, too.

    `notes` say what made the call long: loops that were written out. `doing` is the stage that runs.

    recall          look for a trace on disk, and compare all that tracing looked at
    trace           run the function on symbols
    optimise        simplify programs
    differentiate   make the adjoint
    generate        make loops of it, and Python
    import          the generated Python, and what it needs: numba, once in a process
    load            machine code from disk
    compile         numba
    run             the first run of the machine code
    """

    seconds: dict[str, float] = field(default_factory=dict)
    details: list[tuple[str, str, float]] = field(default_factory=list)
    total: float = 0.0
    notes: list[str] = field(default_factory=list)
    doing: str = ""

    def add(self, stage: str, seconds: float, detail: str = "") -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
        if detail:
            self.details.append((stage, detail, seconds))

    def __str__(self) -> str:
        """A line for each stage.

        >>> print(Timings({"trace": 0.012, "compile": 0.7}, [("compile", "f_grad", 0.7)], 0.72))
        first call: 0.720 s
          trace           0.012 s
          compile         0.700 s  f_grad
          other           0.008 s
        """
        lines = [f"first call: {self.total:.3f} s"]
        for stage, seconds in self.seconds.items():
            names = [(name, s) for each, name, s in self.details if each == stage]
            shown = names[0][0] if len(names) == 1 else ", ".join(f"{name} {s:.3f}" for name, s in names)
            lines.append(f"  {stage:14} {seconds:6.3f} s  {shown}".rstrip())
        lines.append(f"  {'other':14} {self.total - sum(self.seconds.values()):6.3f} s")
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


@dataclass
class _Open:
    """A recording that is open, and the time that inner stages took of each open stage."""

    timings: Timings
    inner: list[float] = field(default_factory=lambda: [0.0])


_open: ContextVar[_Open | None] = ContextVar("pullback_timings", default=None)


@contextmanager
def recording() -> Iterator[Timings]:
    """Record the stages of a block."""
    timings = Timings()
    token = _open.set(_Open(timings))
    start = time.perf_counter()
    try:
        yield timings
    finally:
        timings.total = time.perf_counter() - start
        _open.reset(token)


def note(text: str) -> None:
    """Say something about the first call that is being recorded."""
    now = _open.get()
    if now is not None and text not in now.timings.notes:
        now.timings.notes.append(text)


@contextmanager
def stage(name: str, detail: str = "") -> Iterator[None]:
    """A block that belongs to a stage. While one that makes something is open, other threads do not fork."""
    with nullcontext() if name == "run" else locks.making(), _recorded(name, detail):
        yield


@contextmanager
def _recorded(name: str, detail: str) -> Iterator[None]:
    now = _open.get()
    if now is None:
        yield
        return
    now.inner.append(0.0)
    start = time.perf_counter()
    before, now.timings.doing = now.timings.doing, name
    try:
        yield
    finally:
        now.timings.doing = before
        seconds = time.perf_counter() - start
        now.timings.add(name, seconds - now.inner.pop(), detail)
        now.inner[-1] += seconds
