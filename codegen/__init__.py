"""From programs to Python text for numba: loops over scalars, updates in place, no phis."""

from __future__ import annotations

from ..ir.calls import has_marks, inline_calls
from ..ir.passes import common, dead_code, optimise, simplify
from ..ir.passes.elide_checks import elide_checks
from ..ir.pipeline import DEFAULT, Context, Level, Pass, Pipeline, Seen
from ..ir.program import Program
from .cotangents.merge import merge_cotangents
from .cotangents.preaccumulate import preaccumulate
from .emit.python import Written, emit, emit_lines
from .loops.fuse_and_contract import fuse_and_contract
from .loops.interchange import interchange
from .loops.reorder import reorder
from .loops.strip_mine_rows import strip_mine_rows
from .lower.calls import lower_calls
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
from .parallel.partition import parallel_loops, worthwhile

__all__ = [
    "DEFAULT", "PIPELINE", "Context", "Written", "bufferize", "emit", "fuse_and_contract", "generate", "generate_lines",
    "hoist_allocations", "interchange", "lowered", "parallel_loops", "preaccumulate", "recognise_products",
    "rematerialise", "reorder", "scalarise", "strip_mine_rows",
]  # fmt: skip


def _reassociate(context: Context) -> dict[str, object]:
    return {"reassociate": context.reassociate}


def _checks(context: Context) -> dict[str, object]:
    return {"bounds_check": context.bounds_check}


def _order(context: Context) -> dict[str, object]:
    """Loops that are to run on all cores must not carry values from one iteration to the next."""
    return {"reassociate": context.reassociate, "carry": context.parallel is None}


def apply_calls(program: Program) -> Program:
    """Inlining: the programs of functions with derivative rules of their own stand in place of their calls."""
    return optimise(inline_calls(program)) if has_marks(program) else program


TO_ORDER = Pipeline((
    Pass.of(apply_calls, Level.ARRAYS),
    Pass.of(elide_checks, Level.ARRAYS, options=_checks),
    Pass.of(lower_calls, Level.ARRAYS),
    Pass.of(preaccumulate, Level.ARRAYS),
    Pass.of(rematerialise, Level.ARRAYS),
    Pass.of(merge_cotangents, Level.ARRAYS),
    Pass.of(scalarise, Level.ARRAYS, Level.LOOPS),
    Pass.of(unroll, Level.LOOPS),
    Pass.of(scalar_replacement, Level.LOOPS),
    Pass.of(structure_of_arrays, Level.LOOPS),
    Pass.of(simplify, Level.LOOPS),
    Pass.of(common, Level.LOOPS),
    Pass.of(dead_code, Level.LOOPS),
    Pass.of(read_modify_write, Level.LOOPS),
    Pass.of(recognise_products, Level.LOOPS, options=_reassociate),
    Pass.of(fuse_and_contract, Level.LOOPS),
    Pass.of(interchange, Level.LOOPS, options=_reassociate),
    Pass.of(strip_mine_rows, Level.LOOPS, options=_reassociate),
    Pass.of(reorder, Level.LOOPS, options=_order),
))  # fmt: skip
"""Until the order of iterations is settled. Which loops may run on all cores is looked up here, before allocations
leave them: afterwards the iterations of a loop share memory."""
TO_MEMORY = Pipeline((
    Pass.of(elide_zero_fill, Level.LOOPS),
    Pass.of(hoist_allocations, Level.LOOPS),
    Pass.of(bufferize, Level.LOOPS, Level.STORED),
))  # fmt: skip
PIPELINE = TO_ORDER + TO_MEMORY
"""All passes between a program of array operations and its text."""


def lowered(program: Program, context: Context = DEFAULT, *, seen: Seen | None = None) -> Program:
    """The program as loops over scalars, with memory decided: what is written as Python."""
    return PIPELINE.run(program, context, seen=seen)


def generate(program: Program, context: Context = DEFAULT, *, comments: bool = True) -> str:
    """The source of a standalone Python function that computes the program, fast once numba compiles it."""
    written = generate_lines(program, context, comments=comments)
    return "\n".join(line.text for line in written) + "\n"


def generate_lines(program: Program, context: Context = DEFAULT, *, comments: bool = True) -> list[Written]:
    """The lines of `generate`, each with the names of the program and the user's lines it comes from."""
    if context.parallel is None:
        return emit_lines(lowered(program, context), comments=comments)
    ordered = TO_ORDER.run(program, context)
    plans = parallel_loops(ordered, reassociate=context.reassociate)
    final = TO_MEMORY.run(ordered, context)
    plans = worthwhile(parallel_loops(final, plans, context.reassociate)) if plans else plans
    return outlined_lines(final, plans, context.parallel, comments) if plans else emit_lines(final, comments=comments)
