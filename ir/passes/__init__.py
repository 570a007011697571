"""Passes, Program -> Program. One per file; the general clean-up is a pipeline of them."""

from __future__ import annotations

from ..pipeline import Level, Pass, Pipeline, Seen, checked
from ..program import Program
from .common import common
from .dead_code import dead_code
from .invariant import invariant
from .simplify import simplify

__all__ = ["CLEANUP", "Seen", "checked", "common", "dead_code", "invariant", "optimise", "simplify"]

CLEANUP = Pipeline(
    tuple(Pass.of(step, Level.ARRAYS) for step in (simplify, invariant, common, dead_code)),
    rounds=4,
)
"""One pass makes work for another; two rounds are nearly always enough."""


def optimise(program: Program, seen: Seen | None = None) -> Program:
    """The program after the whole clean-up, run until nothing changes."""
    return CLEANUP.run(program, seen=seen)
