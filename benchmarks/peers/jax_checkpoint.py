"""JAX with `jax.checkpoint` on the bodies of loops, which it recomputes in the reverse sweep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from problems import Problem

from . import functional, jax_

LOSSES = functional.losses(jax_.library(jax.checkpoint))
LOOPS = (
    "logistic map", "rk4", "n-body", "jacobi_2d", "jacobi_2d slices", "seidel_2d", "fdtd_2d",
)  # fmt: skip

warm_up = jax_.warm_up


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any] | None:
    return jax_.prepare(problem, args, LOSSES) if problem.name in LOOPS else None
