"""Passes, Program -> Program. One per file; the general clean-up is a list of them."""

from __future__ import annotations

import os

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


def optimise(program: Program) -> Program:
    """The program after the whole pipeline, run until nothing changes."""
    for _ in range(ROUNDS):
        before = program
        for step in PIPELINE:
            program = checked(step(program))
        if program == before:
            break
    return program


def checked(program: Program) -> Program:
    """The program; verified under PULLBACK_CHECK=1, which the tests set."""
    return verify(program) if os.environ.get("PULLBACK_CHECK") == "1" else program
