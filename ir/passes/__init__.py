"""Passes, Program -> Program. One per file; the general clean-up is a list of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from ..program import Program
from ..verify import verify
from .common import common
from .dead_code import dead_code
from .invariant import invariant
from .simplify import simplify

PIPELINE = (
    simplify,
    invariant,
    common,
    dead_code,
)
ROUNDS = 4
"""One pass makes work for another; two rounds are nearly always enough."""


Seen = Callable[[str, Program, Program], None]
"""Called after each pass: its name, the program before and after."""


def optimise(program: Program, seen: Seen | None = None) -> Program:
    """The program after the whole pipeline, run until nothing changes."""
    for _ in range(ROUNDS):
        before = program
        program = run(PIPELINE, program, seen)
        if program == before:
            break
    return program


def run(
    pipeline: Iterable[Callable[[Program], Program]], program: Program, seen: Seen | None = None
) -> Program:
    """The program after these passes, in order."""
    for step in pipeline:
        before = program
        program = checked(step(program))
        if seen is not None:
            seen(step.__name__, before, program)
    return program


def checked(program: Program) -> Program:
    """The program; verified under PULLBACK_CHECK=1, which the tests set."""
    return verify(program) if os.environ.get("PULLBACK_CHECK") == "1" else program
