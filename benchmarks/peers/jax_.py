"""JAX: `jit` of `grad`, loops as `fori_loop` and `scan`, data on the device before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from problems import Problem

from . import functional


def cross_entropy(z: Any, labels: Any, c: Any) -> Any:
    chosen = jnp.take_along_axis(z, labels[:, None], axis=1)[:, 0]
    return jnp.sum(c * (jax.nn.logsumexp(z, axis=1) - chosen))


def library(body: Callable[[Any], Any] = lambda step: step) -> functional.Library:
    """With this done to the bodies of loops."""

    def loop(steps: int, step: Any, state: Any) -> Any:
        step = body(step)
        return jax.lax.fori_loop(0, steps, lambda _, state: step(state), state)

    return functional.Library(
        np=jnp,
        array=jnp.asarray,
        erf=jax.scipy.special.erf,
        cross_entropy=cross_entropy,
        logits=lambda z, y, c: jnp.sum(c * (jnp.logaddexp(0.0, z) - y * z)),
        cholesky=lambda A: jnp.linalg.cholesky(A, symmetrize_input=False),
        solve=lambda L, b: jax.scipy.linalg.solve_triangular(L, b, lower=True),
        put=lambda A, i, j, v: A.at[i, j].set(v),
        loop=loop,
        scan=lambda step, state, rows: jax.lax.scan(body(step), state, rows),
    )


LOSSES = functional.losses(library())


def warm_up() -> None:
    jnp.ones(3).block_until_ready()


def prepare(problem: Problem, args: tuple[Any, ...], losses: dict[str, Any] = LOSSES) -> Callable[[], Any]:
    static = tuple(k for k, a in enumerate(args) if isinstance(a, int))
    gradient = jax.jit(jax.grad(losses[problem.name], problem.wrt), static_argnums=static)
    data = [jnp.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
    return lambda: jax.block_until_ready(gradient(*data))
