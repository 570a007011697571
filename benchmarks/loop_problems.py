"""Loops, as a NumPy user writes them, and as a user of JAX has to write them.

The primal is the same source compiled by numba: a gradient's time is given as a multiple of it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from problems import Implementation, Problem

import pullback as pb

PRIMAL = "primal (numba)"


def logistic_map(r, x, steps):
    for _ in range(steps):
        x = r * x * (1.0 - x)
    return x


def rk4(theta, velocity, omega, steps):
    h = 0.001
    for _ in range(steps):
        a1 = velocity
        b1 = -omega * omega * np.sin(theta)
        a2 = velocity + 0.5 * h * b1
        b2 = -omega * omega * np.sin(theta + 0.5 * h * a1)
        a3 = velocity + 0.5 * h * b2
        b3 = -omega * omega * np.sin(theta + 0.5 * h * a2)
        a4 = velocity + h * b3
        b4 = -omega * omega * np.sin(theta + h * a3)
        theta = theta + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
        velocity = velocity + h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)
    return theta * velocity


def jacobi_2d(steps, A, B):
    n = A.shape[0]
    for _ in range(1, steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                B[i, j] = 0.2 * (A[i, j] + A[i, j - 1] + A[i, j + 1] + A[i + 1, j] + A[i - 1, j])
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = 0.2 * (B[i, j] + B[i, j - 1] + B[i, j + 1] + B[i + 1, j] + B[i - 1, j])
    return np.sum(A * A)


def jacobi_2d_slices(steps, A, B):
    for _ in range(1, steps):
        B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1])
    return np.sum(A * A)


def seidel_2d(steps, A):
    n = A.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (
                    A[i - 1, j - 1] + A[i - 1, j] + A[i - 1, j + 1] + A[i, j - 1] + A[i, j]
                    + A[i, j + 1] + A[i + 1, j - 1] + A[i + 1, j] + A[i + 1, j + 1]
                ) / 9.0  # fmt: skip
    return np.sum(A * A)


def cholesky(A):
    n = A.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = np.sqrt(A[i, i])
    s = 0.0
    for i in range(n):
        for j in range(i + 1):
            s += A[i, j] * A[i, j] * (i + 2 * j)
    return s


def trisolv(L, b):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        x[i] = b[i]
        for j in range(i):
            x[i] -= L[i, j] * x[j]
        x[i] = x[i] / L[i, i]
    return np.sum(x * x)


def positive_definite(n: int) -> np.ndarray:
    a = np.random.default_rng(3).normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


def grids(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(n, n)), rng.normal(size=(n, n))


# -- what a user of JAX writes -------------------------------------------------------------------------


def jax_logistic_map(jax: Any) -> Callable[..., Any]:
    def f(r, x, steps):
        return jax.lax.fori_loop(0, steps, lambda _, x: r * x * (1.0 - x), x)

    return f


def jax_rk4(jax: Any) -> Callable[..., Any]:
    jnp = jax.numpy

    def f(theta, velocity, omega, steps):
        h = 0.001

        @jax.checkpoint
        def step(_, state):
            theta, velocity = state
            slope = lambda t, v: (v, -omega * omega * jnp.sin(t))
            a1, b1 = slope(theta, velocity)
            a2, b2 = slope(theta + 0.5 * h * a1, velocity + 0.5 * h * b1)
            a3, b3 = slope(theta + 0.5 * h * a2, velocity + 0.5 * h * b2)
            a4, b4 = slope(theta + h * a3, velocity + h * b3)
            return (
                theta + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4),
                velocity + h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4),
            )

        theta, velocity = jax.lax.fori_loop(0, steps, step, (theta, velocity))
        return theta * velocity

    return f


def jax_jacobi_2d(jax: Any) -> Callable[..., Any]:
    def half(source, target):
        new = 0.2 * (
            source[1:-1, 1:-1] + source[1:-1, :-2] + source[1:-1, 2:] + source[2:, 1:-1] + source[:-2, 1:-1]
        )
        return target.at[1:-1, 1:-1].set(new)

    def f(steps, A, B):
        def step(_, state):
            A, B = state
            B = half(A, B)
            return half(B, A), B

        A, _ = jax.lax.fori_loop(1, steps, step, (A, B))
        return jax.numpy.sum(A * A)

    return f


def jax_trisolv(jax: Any) -> Callable[..., Any]:
    jnp = jax.numpy

    def f(L, b):
        x = jax.scipy.linalg.solve_triangular(L, b, lower=True)
        return jnp.sum(x * x)

    return f


def jax_cholesky(jax: Any) -> Callable[..., Any]:
    jnp = jax.numpy

    def f(A):
        n = A.shape[0]
        # The loop reads the lower triangle only; jnp's symmetrises its argument.
        L = jnp.linalg.cholesky(jnp.tril(A) + jnp.tril(A, -1).T, symmetrize_input=False)
        i, j = jnp.indices((n, n))
        return jnp.sum(L * L * (i + 2 * j))

    return f


# -- the problems ----------------------------------------------------------------------------------------


def ours(
    function: Callable[..., Any], data: Callable[[], tuple[Any, ...]], argnums: Any
) -> Callable[[Any], Implementation]:
    def make(_: Any) -> Implementation:
        gradient = pb.grad(function, argnums)
        args = data()
        return lambda: gradient(*args)

    return make


def primal(function: Callable[..., Any], data: Callable[[], tuple[Any, ...]]) -> Callable[[Any], Implementation]:
    def make(_: Any) -> Implementation:
        compiled = importlib.import_module("numba").njit(error_model="numpy")(function)
        args = data()
        arrays = [(a, a.copy()) for a in args if isinstance(a, np.ndarray)]

        def run() -> None:
            for array, fresh in arrays:  # kernels in place: the same numbers each time
                array[...] = fresh
            compiled(*args)

        return run

    return make


def theirs(
    make_function: Callable[[Any], Callable[..., Any]],
    data: Callable[[], tuple[Any, ...]],
    argnums: Any,
    static: Any = (),
) -> Callable[[Any], Implementation]:
    def make(jax: Any) -> Implementation:
        gradient = jax.jit(jax.grad(make_function(jax), argnums), static_argnums=static)
        args = [jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in data()]
        return lambda: jax.block_until_ready(gradient(*args))

    return make


def problem(
    title: str, function: Callable[..., Any], data: Callable[[], tuple[Any, ...]], argnums: Any,
    jax_function: Callable[[Any], Callable[..., Any]] | None = None, static: Any = (),
    primal_function: Callable[..., Any] | None = None,
) -> Problem:  # fmt: skip
    make = {"pullback": ours(function, data, argnums), PRIMAL: primal(primal_function or function, data)}
    if jax_function is not None:
        make["JAX"] = theirs(jax_function, data, argnums, static)
    return Problem(title, make)


LOOP_PROBLEMS = (
    problem("logistic map, 1e6 steps", logistic_map, lambda: (3.5, 0.3, 1_000_000), (0, 1), jax_logistic_map, 2),
    problem("RK4 of a pendulum, 1e4 steps", rk4, lambda: (1.0, 0.3, 2.0, 10_000), (0, 1, 2), jax_rk4, 3),
    problem("jacobi_2d 150, 50 steps, loops", jacobi_2d, lambda: (50, *grids(150)), (1, 2), jax_jacobi_2d, 0),
    problem(
        "jacobi_2d 150, 50 steps, slices", jacobi_2d_slices, lambda: (50, *grids(150)), (1, 2), jax_jacobi_2d, 0,
        primal_function=jacobi_2d,
    ),
    problem("seidel_2d 120, 20 steps", seidel_2d, lambda: (20, grids(120)[0]), 1),
    problem("cholesky 100", cholesky, lambda: (positive_definite(100),), 0, jax_cholesky),
    problem("cholesky 300", cholesky, lambda: (positive_definite(300),), 0, jax_cholesky),
    problem("trisolv 500", trisolv, lambda: (positive_definite(500), np.ones(500)), (0, 1), jax_trisolv),
)  # fmt: skip
