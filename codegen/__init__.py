"""From programs to Python text for numba: loops over scalars, updates in place, no phis."""

from __future__ import annotations

from ..ir.passes import checked, dead_code, simplify
from ..ir.program import Program
from .chains import shorten_chains
from .emit import emit
from .hoist import hoist
from .order import free_order
from .registers import registers, unroll
from .scalarise import scalarise
from .storage import storage

__all__ = ["emit", "free_order", "generate", "hoist", "scalarise", "shorten_chains", "storage"]


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
    for step in PIPELINE:
        program = checked(step(program))
    return emit(program, comments=comments)
