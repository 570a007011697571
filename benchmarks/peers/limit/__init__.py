"""The best adjoints we could write by hand in numba: what pullback's are measured against.

Rules, the same for every kernel: fused loops, scalars in registers, vector mathematics, gather form where it
is faster, work arrays allocated once per call, results allocated by `np.empty`. The forward sweep computes
what the user's program computes, in the user's order (sums over arrays are free); the reverse sweep may do
anything. Loops are reordered, split, merged and unrolled; none over matrices is tiled, and no algorithm is
replaced by another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from problems import Problem

from . import arrays, dense, loops, stencils

GRADIENTS = {**arrays.GRADIENTS, **loops.GRADIENTS, **stencils.GRADIENTS, **dense.GRADIENTS}


def warm_up() -> None:
    numba.njit(lambda x: x + 1.0)(1.0)


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    gradient = GRADIENTS[problem.name]
    return lambda: gradient(*args)
