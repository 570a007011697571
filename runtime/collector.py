"""Python's search for garbage in cycles, while programs are made.

A program of many operations makes millions of small objects that stay. By default Python looks through all of them
again whenever there are a quarter more: a third of the time of a long first call, with nothing to find.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from . import locks

RARELY = 100_000
"""New objects after which the youngest are looked through; Python's own is 700."""

_lock = locks.make()
_open: list[tuple[int, int, int]] = []
"""For each block that is open, in whichever thread: what was set when it began."""


@contextmanager
def rarely() -> Iterator[None]:
    """Collect rarely in this block. Afterwards all is as before, unless somebody else has changed it meanwhile."""
    with _lock:
        before = gc.get_threshold()
        _open.append(_open[-1] if _open else before)
        if before[0] and before[0] < RARELY:
            gc.set_threshold(RARELY, *before[1:])
    try:
        yield
    finally:
        with _lock:
            first = _open.pop()
            if not _open and gc.get_threshold()[0] == RARELY:
                gc.set_threshold(*first)
