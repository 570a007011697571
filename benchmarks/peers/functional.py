"""The losses as users of libraries without in-place arrays write them: whole arrays, new ones at every step.

JAX, PyTorch, autograd and PyTensor share these; what they spell differently is in a `Library`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as onp

Array = Any


@dataclass(frozen=True)
class Library:
    """What the losses are written with."""

    np: Any
    """A module with NumPy's functions."""
    array: Callable[[onp.ndarray], Array]
    erf: Callable[[Array], Array]
    cross_entropy: Callable[[Array, Array, Array], Array]
    """(logits [n, m], labels [n], weights [n]) -> the weighted sum."""
    logits: Callable[[Array, Array, Array], Array]
    """Binary cross-entropy: (logits [n], labels [n], weights [n]) -> the weighted sum."""
    cholesky: Callable[[Array], Array]
    """Of a symmetric matrix."""
    solve: Callable[[Array, Array], Array]
    """Of a lower triangle and a vector."""
    put: Callable[[Array, slice, slice, Array], Array]
    """The matrix with this block in place of its own."""
    loop: Callable[[int, Callable[[Any], Any], Any], Any]
    """(steps, body, state) -> the state after the steps."""
    scan: Callable[[Callable[[Any, Any], tuple[Any, Any]], Any, Any], tuple[Any, Any]]
    """(body, state, rows) -> the last state and the stacked results; body takes (state, row)."""
    shape: Callable[[Array], tuple[int, ...]] = onp.shape


def losses(lib: Library) -> dict[str, Callable[..., Any]]:
    """By problem; the arguments are those of the problem's own function."""
    np = lib.np

    def layer(W, b, x, y, c):
        return lib.logits(x @ W + b, y, c)

    def rosenbrock(x, c):
        return np.sum(c * (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))

    def logistic_regression(theta, X, y, c):
        return lib.logits(X @ theta[:-1] + theta[-1], y, c)

    def mlp(W1, b1, W2, b2, X, labels, c):
        return lib.cross_entropy(np.tanh(X @ W1 + b1) @ W2 + b2, labels, c)

    def chain_tanh(x, w, b, c):
        return np.sum(c * np.tanh(x * w + b) ** 2)

    def chain_many(x, w, b, c):
        return np.sum(
            c * (np.exp(-x * x) * np.sin(w * x) + np.log(1.0 + x * x) * w**1.5 + lib.erf(b * x))
        )

    def logistic_map(r, x, c, steps):
        return c * lib.loop(steps, lambda x: r * x * (1.0 - x), x)

    def rk4(theta, velocity, omega, c, steps):
        h = 0.001

        def slope(theta, velocity):
            return velocity, -omega * omega * np.sin(theta)

        def step(state):
            theta, velocity = state
            a1, b1 = slope(theta, velocity)
            a2, b2 = slope(theta + 0.5 * h * a1, velocity + 0.5 * h * b1)
            a3, b3 = slope(theta + 0.5 * h * a2, velocity + 0.5 * h * b2)
            a4, b4 = slope(theta + h * a3, velocity + h * b3)
            theta = theta + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
            return theta, velocity + h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4)

        theta, velocity = lib.loop(steps, step, (theta, velocity))
        return theta + c * velocity

    def lennard_jones(x, e):
        d = x[:, None] - x[None, :]
        r2 = np.sum(d * d, -1) + lib.array(onp.eye(lib.shape(x)[0]))  # a particle has no energy at 1 from itself
        s6 = 1.0 / (r2 * r2 * r2)
        return 0.5 * np.sum(e[:, None] * e[None, :] * (s6 * s6 - s6))

    def nbody(x, v, m, c, steps):
        h = 0.001

        def step(state):
            x, v = state
            d = x[:, None] - x[None, :]
            r2 = np.sum(d * d, -1) + 0.01
            q = h * m[None, :] / (r2 * np.sqrt(r2))
            v = v - np.sum(q[:, :, None] * d, 1)
            return x + h * v, v

        return np.sum(c * lib.loop(steps, step, (x, v))[0])

    inner = slice(1, -1)

    def half(A, B):
        new = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        return lib.put(B, inner, inner, new)

    def jacobi_2d(A, B, c, steps):
        def step(state):
            A, B = state
            B = half(A, B)
            return half(B, A), B

        A = lib.loop(steps, step, (A, B))[0]
        return np.sum(c * A * A)

    def seidel_2d(A, c, steps):
        # Within a row y[j] = s[j] + y[j - 1] / 9: a product with a triangle of powers.
        n = lib.shape(A)[0]
        distance = onp.subtract.outer(onp.arange(n - 2), onp.arange(n - 2))
        powers = lib.array(onp.tril(9.0 ** -onp.maximum(distance, 0).astype(float)))
        first = lib.array(onp.eye(n - 2)[0])

        def row(above, rows):
            old, below = rows
            s = above[:-2] + above[1:-1] + above[2:] + old[1:-1] + old[2:] + below[:-2] + below[1:-1] + below[2:]
            inside = powers @ ((s + old[0] * first) / 9.0)
            new = np.concatenate([old[:1], inside, old[-1:]])
            return new, new

        def sweep(A):
            rows = lib.scan(row, A[0], (A[1:-1], A[2:]))[1]
            return np.concatenate([A[:1], rows, A[-1:]])

        A = lib.loop(steps, sweep, A)
        return np.sum(c * A * A)

    def fdtd_2d(ex, ey, hz, fict, c):
        whole, head, tail = slice(None), slice(None, -1), slice(1, None)
        one = lib.array(onp.ones((1, lib.shape(ex)[1])))

        def step(state, source):
            ex, ey, hz = state
            ey = np.concatenate([source * one, ey[1:] - 0.5 * (hz[1:] - hz[:-1])])
            ex = lib.put(ex, whole, tail, ex[:, 1:] - 0.5 * (hz[:, 1:] - hz[:, :-1]))
            change = 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
            return (ex, ey, lib.put(hz, head, head, hz[:-1, :-1] - change)), None

        ex, ey, hz = lib.scan(step, (ex, ey, hz), fict)[0]
        return np.sum(c * (ex * ex + ey * ey + hz * hz))

    def cholesky(A, c):
        lower = np.tril(A)  # the loops read nothing else
        return np.sum(c * np.tril(lib.cholesky(lower + np.tril(A, -1).T)))

    def trisolv(L, b, c):
        return np.sum(c * lib.solve(np.tril(L), b))

    def correlation(data, c):
        n, m = lib.shape(data)
        data = data - np.mean(data, 0)
        deviation = np.sqrt(np.mean(data * data, 0))
        data = data / (n**0.5 * np.where(deviation <= 0.1, deviation**0, deviation))
        one = lib.array(onp.eye(m))
        return np.sum(c * ((1.0 - one) * (data.T @ data) + one) ** 2)

    return {
        "layer": layer, "rosenbrock": rosenbrock, "logistic regression": logistic_regression, "mlp": mlp,
        "chain tanh": chain_tanh, "chain many": chain_many, "logistic map": logistic_map, "rk4": rk4,
        "lennard-jones": lennard_jones, "n-body": nbody, "jacobi_2d": jacobi_2d, "jacobi_2d slices": jacobi_2d,
        "seidel_2d": seidel_2d, "fdtd_2d": fdtd_2d, "cholesky": cholesky, "trisolv": trisolv,
        "correlation": correlation,
    }  # fmt: skip


def python_loop(steps: int, body: Callable[[Any], Any], state: Any) -> Any:
    for _ in range(steps):
        state = body(state)
    return state


def python_scan(stack: Callable[[Any], Any]) -> Callable[..., tuple[Any, Any]]:
    def scan(body: Callable[[Any, Any], tuple[Any, Any]], state: Any, rows: Any) -> tuple[Any, Any]:
        results = []
        for row in zip(*rows) if isinstance(rows, tuple) else rows:
            state, result = body(state, row)
            results.append(result)
        return state, None if results[0] is None else stack(results)

    return scan
