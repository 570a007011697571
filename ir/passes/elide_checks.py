"""Checks of subscripts, left out where the user asked for that."""

from __future__ import annotations

from dataclasses import replace

from ..program import Check, Node, Program
from ..walk import rebuilt
from . import optimise


def elide_checks(program: Program, bounds_check: bool = True) -> Program:
    """Bounds check elimination: without `bounds_check`, checks of subscripts go, and what only they needed."""
    if bounds_check:
        return program

    def strip(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        kept = (n for n in nodes if not (isinstance(n, Check) and n.message.startswith("IndexError")))
        return tuple(rebuilt(n, strip) for n in kept)

    return optimise(replace(program, body=strip(program.body)))
