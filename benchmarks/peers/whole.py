"""Whole Jacobians and Hessians: by pullback, by a loop over directions written by hand, by JAX and by PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np


def reaction(u, k, np=np):
    """The right side of an equation of reaction and diffusion, on a ring; each cell also feels the mean."""
    left, right = np.concatenate([u[-1:], u[:-1]]), np.concatenate([u[1:], u[:1]])
    return 0.5 * (left - 2.0 * u + right) + k * u * (1.0 - u) * np.exp(-u) - 0.1 * np.sum(u) * u


def rosenbrock(x, np=np):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


CASES = ("Jacobian, n = 1000", "Hessian, n = 300")


def point(case: str) -> np.ndarray:
    return np.linspace(0.1, 0.9, 1000 if case.startswith("J") else 300)


def right(case: str, found: np.ndarray) -> bool:
    """Against the formula."""
    x = point(case)
    n = len(x)
    expected = np.zeros((n, n))
    at = np.arange(n)
    if case.startswith("J"):
        expected += -0.1 * x[:, None]
        expected[at, at] += -1.0 + 2.0 * np.exp(-x) * ((1.0 - 2.0 * x) - x * (1.0 - x)) - 0.1 * np.sum(x)
        expected[at, at - 1] += 0.5
        expected[at - 1, at] += 0.5
    else:
        expected[at[:-1], at[:-1]] = 1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0
        expected[at[1:], at[1:]] += 200.0
        expected[at[:-1], at[1:]] = expected[at[1:], at[:-1]] = -400.0 * x[:-1]
    return bool(np.allclose(found, expected))


def pullback(case: str) -> Callable[[], Any]:
    pb = importlib.import_module("pullback")
    x = point(case)
    if case.startswith("J"):
        jacobian = pb.jacfwd(reaction)
        return lambda: jacobian(x, 2.0)
    hessian = pb.hessian(rosenbrock)
    return lambda: hessian(x)


def limit(case: str) -> Callable[[], Any]:
    """Tangents of 64 directions at once beside every value, as one writes it by hand."""
    numba = importlib.import_module("numba")
    compiled = numba.njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
    x = point(case)
    if case.startswith("J"):

        @compiled
        def jacobian(u, k):
            n = len(u)
            out = np.empty((n, n))
            mean = 0.0
            for i in range(n):
                mean += u[i]
            for first in range(0, n, 64):
                width = min(64, n - first)
                dot = np.zeros((n, width))
                total = np.zeros(width)
                for d in range(width):
                    dot[first + d, d] = 1.0
                for i in range(n):
                    for d in range(width):
                        total[d] += dot[i, d]
                for i in range(n):
                    e = np.exp(-u[i])
                    slope = k * ((1.0 - 2.0 * u[i]) * e - u[i] * (1.0 - u[i]) * e) - 1.0 - 0.1 * mean
                    left, right = (i - 1) % n, (i + 1) % n
                    for d in range(width):
                        out[i, first + d] = (
                            0.5 * (dot[left, d] + dot[right, d]) + slope * dot[i, d] - 0.1 * total[d] * u[i]
                        )
            return out

        return lambda: jacobian(x, 2.0)

    @compiled
    def hessian(x):
        n = len(x)
        out = np.empty((n, n))
        for first in range(0, n, 64):
            width = min(64, n - first)
            dot = np.zeros((n, width))
            bar = np.zeros((n, width))
            for d in range(width):
                dot[first + d, d] = 1.0
            for i in range(n - 1):
                r = x[i + 1] - x[i] * x[i]
                for d in range(width):
                    r_dot = dot[i + 1, d] - 2.0 * x[i] * dot[i, d]
                    bar[i + 1, d] += 200.0 * r_dot
                    bar[i, d] += -400.0 * (r_dot * x[i] + r * dot[i, d]) + 2.0 * dot[i, d]
            for i in range(n):
                for d in range(width):
                    out[i, first + d] = bar[i, d]
        return out

    return lambda: hessian(x)


def jax(case: str) -> Callable[[], Any]:
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")
    jax.config.update("jax_enable_x64", True)
    x = jnp.asarray(point(case))
    if case.startswith("J"):
        made = jax.jit(jax.jacfwd(lambda u: reaction(u, 2.0, jnp)))
    else:
        made = jax.jit(jax.hessian(lambda x: rosenbrock(x, jnp)))
    return lambda: jax.block_until_ready(made(x))


def torch(case: str) -> Callable[[], Any]:
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    x = torch.tensor(point(case))
    if case.startswith("J"):
        made = torch.func.jacfwd(lambda u: reaction(u, 2.0, torch))
    else:
        made = torch.func.hessian(lambda x: rosenbrock(x, torch))
    return lambda: made(x).numpy()


PEERS: dict[str, Callable[[str], Callable[[], Any]]] = {
    "pullback": pullback, "limit": limit, "jax": jax, "torch": torch,
}  # fmt: skip
