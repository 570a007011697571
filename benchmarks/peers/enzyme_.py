"""Enzyme-JAX: JAX's loss, differentiated and optimised by Enzyme, inside `jit`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from enzyme_ad.jax import enzyme_jax_ir
from problems import Problem

from . import jax_

warm_up = jax_.warm_up


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    loss = jax_.LOSSES[problem.name]
    fixed = {k: a for k, a in enumerate(args) if isinstance(a, int)}

    @enzyme_jax_ir()
    def inner(*arrays: Any) -> Any:
        rest = iter(arrays)
        return loss(*(fixed[k] if k in fixed else next(rest) for k in range(len(args))))

    data = [jnp.asarray(a) for k, a in enumerate(args) if k not in fixed]
    gradient = jax.jit(jax.grad(inner, problem.wrt))
    return lambda: jax.block_until_ready(gradient(*data))
