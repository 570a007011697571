"""How deep calls may go while a function is traced.

Tracing a call takes a dozen calls of ours, so Python's limit would end recursions that Python itself runs. But it
is there for the C stack: code that is not staged and calls itself through C (`functools.partial`, `__array__`)
crashes the interpreter before it has gone 17000 deep. So the limit moves as tracing goes deeper: from each call and
each region that is traced, code may go as deep as it may from the bottom without us.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import threading
from types import FrameType
from typing import Any

OURS = 15_000
"""How much deeper our own code may go, which takes no C stack."""
STEP = 250
"""The limit is moved by multiples of this, so rarely."""

_lock = threading.RLock()
_limits: dict[int, int] = {}
"""The limit that each thread wants which traces."""
_before = 0
"""Python's limit before the first of them."""


class _Marks(threading.local):
    """Frames of this thread from which calls may go on, and how deep they are."""

    def __init__(self) -> None:
        self.marks: list[tuple[FrameType, int]] = []


_here = _Marks()


class deeper:  # noqa: N801
    """In this block calls may go as deep from here as they may otherwise from the bottom, and `more` deeper."""

    __slots__ = ("_limit", "_me", "_more")

    def __init__(self, more: int = 0):
        self._more = more

    def __enter__(self) -> None:
        frame: Any = sys._getframe(1)
        while frame.f_code.co_flags & inspect.CO_GENERATOR or frame.f_globals is vars(contextlib):
            frame = frame.f_back  # a manager's generator is not on the stack in its block
        marks = _here.marks
        depth = _depth(frame, marks)
        marks.append((frame, depth))
        self._me = threading.get_ident()
        self._limit = _limits.get(self._me)
        _set(self._me, depth + self._more)

    def __exit__(self, *_: object) -> None:
        _here.marks.pop()
        _reset(self._me, self._limit)


def _depth(frame: FrameType, marks: list[tuple[FrameType, int]]) -> int:
    last, depth = marks[-1] if marks else (None, 0)
    count = 0
    at: FrameType | None = frame
    while at is not None and at is not last:
        count += 1
        at = at.f_back
    return count + (depth if at is not None else 0)


def _set(me: int, depth: int) -> None:
    global _before
    with _lock:
        if not _limits:
            _before = sys.getrecursionlimit()
        wanted = _before + (depth // STEP + 1) * STEP
        if wanted > _limits.get(me, 0):
            _limits[me] = wanted
            _apply()


def _reset(me: int, before: int | None) -> None:
    with _lock:
        if before is None:
            del _limits[me]
        elif _limits[me] == before:
            return
        else:
            _limits[me] = before
        _apply()


def _apply() -> None:
    wanted = max(_limits.values(), default=_before)
    if wanted != sys.getrecursionlimit():
        sys.setrecursionlimit(wanted)
