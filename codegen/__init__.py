"""From programs to Python text for numba: loops over scalars, updates in place, no phis."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..ir.passes import Seen, common, dead_code, run, simplify
from ..ir.program import Program
from .cotangents.merge import merge_cotangents
from .cotangents.preaccumulate import preaccumulate
from .emit.python import Written, emit, emit_lines
from .loops.fuse_and_contract import fuse_and_contract
from .loops.interchange import interchange
from .loops.reorder import reorder
from .loops.strip_mine_rows import strip_mine_rows
from .lower.rematerialise import rematerialise
from .lower.scalarise import scalarise
from .matmul.recognise import recognise_products
from .memory.bufferize import bufferize
from .memory.elide_zero_fill import elide_zero_fill
from .memory.hoist_allocations import hoist_allocations
from .memory.read_modify_write import read_modify_write
from .memory.scalar_replacement import scalar_replacement, unroll
from .memory.structure_of_arrays import structure_of_arrays
from .parallel.outline import outlined_lines
from .parallel.partition import Plans, parallel_loops, worthwhile

__all__ = [
    "Written", "bufferize", "emit", "fuse_and_contract", "generate", "generate_lines", "hoist_allocations",
    "interchange", "lowered", "parallel_loops", "preaccumulate", "recognise_products",
    "rematerialise", "reorder", "scalarise",
    "strip_mine_rows",
]  # fmt: skip


PIPELINE = (
    rematerialise,
    merge_cotangents,
    scalarise,
    unroll,
    scalar_replacement,
    structure_of_arrays,
    simplify,
    common,
    dead_code,
    read_modify_write,
    recognise_products,
    fuse_and_contract,
    interchange,
    strip_mine_rows,
    reorder,
    elide_zero_fill,
    hoist_allocations,
    bufferize,
)


def lowered(
    program: Program, seen: Seen | None = None, *, reassociate: bool = True, carry: bool = True
) -> Program:
    """The program as loops over scalars, with memory decided: what is written as Python.

    The order of a sum in a loop is free if the loop does nothing else with it; without `reassociate` only that of the
    adjoint's sums is. Without `carry` the iterations of outermost loops stay apart.
    """

    def bound(step: Callable[..., Program], *options: object) -> Callable[[Program], Program]:
        return functools.wraps(step)(lambda program: step(program, *options))

    instead: dict[object, Callable[[Program], Program]] = {reorder: bound(reorder, reassociate, carry)}
    instead |= {step: bound(step, reassociate) for step in (recognise_products, interchange, strip_mine_rows)}
    return run([instead.get(step, step) for step in PIPELINE], program, seen)


def generate(
    program: Program,
    *,
    comments: bool = True,
    reassociate: bool = True,
    parallel: int | None = None,
) -> str:
    """The source of a standalone Python function that computes the program, fast once numba compiles it.

    With `parallel`, long loops run on all cores: those of at least so many operations.
    """
    written = generate_lines(program, comments=comments, reassociate=reassociate, parallel=parallel)
    return "\n".join(line.text for line in written) + "\n"


def generate_lines(
    program: Program,
    *,
    comments: bool = True,
    reassociate: bool = True,
    parallel: int | None = None,
) -> list[Written]:
    """The lines of `generate`, each with the names of the program and the user's lines it comes from."""
    plans: Plans = {}

    def look(name: str, before: Program, after: Program) -> None:
        if name == reorder.__name__ and parallel is not None:
            plans.update(parallel_loops(after, reassociate=reassociate))

    final = lowered(program, look, reassociate=reassociate, carry=parallel is None)
    plans = worthwhile(parallel_loops(final, plans, reassociate)) if plans else plans
    if parallel is None or not plans:
        return emit_lines(final, comments=comments)
    return outlined_lines(final, plans, parallel, comments)
