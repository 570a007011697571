"""A line in the terminal or notebook while a first call compiles, so that nobody takes it for one that hangs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from . import options
from .timings import Timings

AFTER = 2.0
"""Seconds that a call makes code before it is said."""


@contextmanager
def shown(name: str, times: Timings) -> Iterator[None]:
    """Say that the first call of `name` takes a while, if it does and somebody looks; take it back at the end."""
    if not (options.current().progress and watched()):
        yield
        return
    line = _Line(name, times)
    timer = threading.Timer(AFTER, line.show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        line.erase()


def watched() -> bool:
    """Does what is written to stderr go to a terminal, or to a cell of a notebook?"""
    stream = sys.stderr
    try:
        return stream is not None and (stream.isatty() or type(stream).__module__.startswith("ipykernel"))
    except ValueError:  # closed
        return False


class _Line:
    def __init__(self, name: str, times: Timings):
        self.text = (
            f"pullback: compiling {name} for its first call; pb.options(progress=False) hides this line"
        )
        self.times = times
        self.stream = sys.stderr
        self.lock = threading.Lock()
        self.ended = self.visible = False

    def show(self) -> None:
        with self.lock:
            if not self.ended and self.times.doing not in ("", "run"):
                self.visible = self.write(f"\r{self.text}")

    def erase(self) -> None:
        with self.lock:
            self.ended = True
            if self.visible:
                self.write("\r" + " " * len(self.text) + "\r")

    def write(self, text: str) -> bool:
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):  # the terminal is gone
            return False
        return True
