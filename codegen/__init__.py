"""From programs to Python text for numba: loops over scalars, updates in place, no phis."""

from __future__ import annotations

from ..ir.passes import Seen, dead_code, run, simplify
from ..ir.program import Program
from .chains import shorten_chains
from .emit import Written, emit, emit_lines
from .hoist import hoist
from .order import free_order
from .registers import registers, unroll
from .scalarise import scalarise
from .storage import storage

__all__ = [
    "Written", "emit", "free_order", "generate", "generate_lines", "hoist", "lowered", "scalarise",
    "shorten_chains", "storage",
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


def lowered(program: Program, seen: Seen | None = None) -> Program:
    """The program as loops over scalars, with memory decided: what is written as Python."""
    return run(PIPELINE, program, seen)


def generate(program: Program, *, comments: bool = True) -> str:
    """The source of a standalone Python function that computes the program, fast once numba compiles it."""
    return emit(lowered(program), comments=comments)


def generate_lines(program: Program, *, comments: bool = True) -> list[Written]:
    """The lines of `generate`, each with the names of the program and the user's lines it comes from."""
    return emit_lines(lowered(program), comments=comments)
