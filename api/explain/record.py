"""A run of a program, operation by operation, for the page's slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.evaluate import evaluate
from ..ir.program import Node, Program
from .values import Table

LONGEST = 300_000
"""Work after which a run is stopped. An operation counts as one, and one more for every BLOCK bytes it makes."""
BLOCK = 1 << 16


@dataclass(frozen=True)
class Step:
    """One operation: which node and part of it, what it bound (name to number of the value)."""

    node: Node | None
    part: str
    bound: dict[str, int]
    skipped: int = 0
    """Operations between the step before and this one that are not recorded; `bound` then has everything."""


@dataclass
class Recording:
    """The steps, their values, how many operations there were, and how large the arrays are at the end."""

    steps: list[Step] = field(default_factory=list)
    values: Table = field(default_factory=Table)
    forward: int = 0
    reverse: int = 0
    stopped: bool = False
    bytes: dict[str, int] = field(default_factory=dict)
    failure: str = ""

    @property
    def total(self) -> int:
        return self.forward + self.reverse

    @property
    def note(self) -> str:
        """What the reader has to know about what is missing; empty if nothing is."""
        if self.stopped:
            return (
                f"The run was stopped after {self.total:,} operations, and only the first ones are shown. "
                "Smaller arguments show all of it."
            )
        missing = sum(step.skipped for step in self.steps)
        if not missing:
            return ""
        return (
            f"{missing:,} of the {self.total:,} operations are left out: the beginning and the end of both "
            "sweeps are shown. Smaller arguments show all of it."
        )


class _Stop(Exception):
    pass


def record(program: Program, args: Sequence[Any], reverse: Mapping[int, bool], limit: int) -> Recording:
    """Run the program twice: to count its operations, and to keep at most `limit` of them.

    `reverse` says of each node (by its id) whether it is of the reverse sweep. A run that fails is shown up to there.
    """
    recording = Recording()
    work = 0

    def count(node: Node, part: str, values: dict[str, Any], env: dict[str, Any]) -> None:
        nonlocal work
        if reverse[id(node)]:
            recording.reverse += 1
        else:
            recording.forward += 1
        work += 1 + sum(np.asarray(v).nbytes for v in values.values()) // BLOCK
        if work >= LONGEST:
            raise _Stop

    try:
        evaluate(program, *args, watch=count)
    except _Stop:
        recording.stopped = True
    except Exception as error:
        recording.failure = f"{type(error).__name__}: {error}"
    wanted = _windows(recording, limit)
    position = skipped = 0

    def keep(node: Node, part: str, values: dict[str, Any], env: dict[str, Any]) -> None:
        nonlocal position, skipped
        if any(first <= position < last for first, last in wanted):
            shown = env if skipped else values
            bound = {name: recording.values.add(value) for name, value in shown.items()}
            recording.steps.append(Step(node, part, bound, skipped))
            skipped = 0
        else:
            skipped += 1
        position += 1
        recording.bytes.update({k: np.asarray(v).nbytes for k, v in values.items()})
        if position >= wanted[-1][1]:
            raise _Stop

    first = {p.name: recording.values.add(np.asarray(a)[()]) for p, a in zip(program.params, args)}
    recording.bytes.update({p.name: np.asarray(a).nbytes for p, a in zip(program.params, args)})
    recording.steps.append(Step(None, "arguments", first))
    try:
        evaluate(program, *args, watch=keep)
    except _Stop:
        pass
    except Exception:
        assert recording.failure
    if not recording.failure and not recording.stopped:
        recording.steps.append(Step(None, "return", {}))
    return recording


def _windows(recording: Recording, limit: int) -> list[tuple[int, int]]:
    """Ranges of operations that are kept: the beginning and the end of each sweep."""
    forward, total = recording.forward, recording.total
    if total <= limit:
        return [(0, max(total, 1))]
    if recording.stopped:
        return [(0, limit)]
    half = limit // 2
    share = max(half, limit - recording.reverse) if recording.reverse < half else half
    windows = []
    for start, stop, room in ((0, forward, share), (forward, total, limit - min(share, forward))):
        if stop - start <= room:
            windows.append((start, stop))
        else:
            windows += [(start, start + room // 2), (stop - (room - room // 2), stop)]
    return windows
