"""From programs to Python text for numba: loops over scalars, updates in place, no phis."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ..ir.passes import Seen, common, dead_code, run, simplify
from ..ir.program import Program
from .accumulate import accumulate
from .afresh import afresh
from .blocks import blocks
from .chains import shorten_chains
from .contract import contract
from .emit import Written, emit, emit_lines
from .hoist import hoist
from .interchange import interchange
from .order import free_order
from .outline import outlined_lines
from .parallel import Plans, parallel_loops, worthwhile
from .planes import planes
from .recognise import recognise_products
from .registers import registers, unroll
from .rejoin import rejoin
from .scalarise import scalarise
from .storage import storage
from .zeros import stored

__all__ = [
    "Written", "afresh", "blocks", "contract", "emit", "free_order", "generate", "generate_lines", "hoist",
    "interchange", "lowered", "parallel_loops", "recognise_products", "scalarise",
    "shorten_chains", "storage",
]  # fmt: skip


PIPELINE = (
    afresh,
    rejoin,
    scalarise,
    unroll,
    registers,
    planes,
    simplify,
    common,
    dead_code,
    accumulate,
    recognise_products,
    contract,
    interchange,
    blocks,
    free_order,
    stored,
    hoist,
    storage,
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

    instead: dict[object, Callable[[Program], Program]] = {free_order: bound(free_order, reassociate, carry)}
    instead |= {step: bound(step, reassociate) for step in (recognise_products, interchange, blocks)}
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
        if name == free_order.__name__ and parallel is not None:
            plans.update(parallel_loops(after, reassociate=reassociate))

    final = lowered(program, look, reassociate=reassociate, carry=parallel is None)
    plans = worthwhile(parallel_loops(final, plans, reassociate)) if plans else plans
    if parallel is None or not plans:
        return emit_lines(final, comments=comments)
    return outlined_lines(final, plans, parallel, comments)
