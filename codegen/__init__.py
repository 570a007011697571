"""From programs to Python text for numba: loops over scalars, updates in place, no phis."""

from __future__ import annotations

from ..ir.passes import checked, dead_code, simplify
from ..ir.program import Program
from .chains import shorten_chains
from .emit import Written, emit, emit_lines
from .hoist import hoist
from .order import free_order
from .registers import registers, unroll
from .scalarise import scalarise
from .storage import storage

__all__ = [
    "Written", "emit", "free_order", "generate", "generate_lines", "hoist", "scalarise", "shorten_chains",
    "storage",
]  # fmt: skip


PIPELINE = (
    scalarise,
    unroll,
    registers,
    simplify,
    dead_code,
    free_order,
    hoist,
    storage,
)


def generate(program: Program, *, comments: bool = True) -> str:
    """The source of a standalone Python function that computes the program, fast once numba compiles it."""
    return emit(_lowered(program), comments=comments)


def generate_lines(program: Program, *, comments: bool = True) -> list[Written]:
    """The lines of `generate`, each with the names of the program and the user's lines it comes from."""
    return emit_lines(_lowered(program), comments=comments)


def _lowered(program: Program) -> Program:
    for step in PIPELINE:
        program = checked(step(program))
    return program
