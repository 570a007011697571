"""CasADi: matrices of symbols, gradients as functions of its virtual machine; loops are `fold`.

Left out are in-place loops over elements (seidel_2d, cholesky, trisolv), which would be graphs of scalars.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
from problems import Problem


def softplus(z: Any) -> Any:
    return ca.fmax(z, 0.0) + ca.log1p(ca.exp(-ca.fabs(z)))


def fold(step: Callable[..., Any], state: list[Any], steps: int) -> list[Any]:
    """The state after the steps; all of its parts go through one vector."""
    shapes = [part.shape for part in state]

    def unpacked(vector: Any) -> list[Any]:
        ends = np.cumsum([0, *(r * c for r, c in shapes)]).tolist()
        return [ca.reshape(vector[a:b], *s) for a, b, s in zip(ends, ends[1:], shapes)]

    def packed(parts: list[Any]) -> Any:
        return ca.vertcat(*(ca.vec(part) for part in parts))

    symbol = ca.MX.sym("state", sum(r * c for r, c in shapes))
    body = ca.Function("step", [symbol], [packed(step(*unpacked(symbol)))])
    return unpacked(body.fold(steps)(packed(state)))


def layer(W, b, x, y, c):
    z = W.T @ x + b
    return ca.dot(c, softplus(z) - z * y)


def rosenbrock(x, c):
    return ca.dot(c, 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def logistic_regression(theta, X, y, c):
    z = X @ theta[:-1] + theta[-1]
    return ca.dot(c, softplus(z) - y * z)


def chain_tanh(x, w, b, c):
    return ca.dot(c, ca.tanh(x * w + b) ** 2)


def chain_many(x, w, b, c):
    return ca.dot(c, ca.exp(-x * x) * ca.sin(w * x) + ca.log(1.0 + x * x) * w**1.5 + ca.erf(b * x))


def logistic_map(r, x, c, steps):
    return c * fold(lambda r, x: [r, r * x * (1.0 - x)], [r, x], steps)[1]


def rk4(theta, velocity, omega, c, steps):
    h = 0.001

    def step(theta, velocity, omega):
        def slope(theta, velocity):
            return velocity, -omega * omega * ca.sin(theta)

        a1, b1 = slope(theta, velocity)
        a2, b2 = slope(theta + 0.5 * h * a1, velocity + 0.5 * h * b1)
        a3, b3 = slope(theta + 0.5 * h * a2, velocity + 0.5 * h * b2)
        a4, b4 = slope(theta + h * a3, velocity + h * b3)
        theta = theta + h / 6.0 * (a1 + 2.0 * a2 + 2.0 * a3 + a4)
        return [theta, velocity + h / 6.0 * (b1 + 2.0 * b2 + 2.0 * b3 + b4), omega]

    theta, velocity, _ = fold(step, [theta, velocity, omega], steps)
    return theta + c * velocity


def differences(x):
    """Of every pair of rows, one matrix for each coordinate."""
    n = x.shape[0]
    return [ca.repmat(x[:, k], 1, n) - ca.repmat(x[:, k].T, n, 1) for k in range(3)]


def lennard_jones(x, e):
    dx, dy, dz = differences(x)
    r2 = dx * dx + dy * dy + dz * dz + np.eye(x.shape[0])
    s6 = 1.0 / (r2 * r2 * r2)
    return 0.5 * ca.dot(e @ e.T, s6 * s6 - s6)


def nbody(x, v, m, c, steps):
    h = 0.001

    def step(x, v, m):
        d = differences(x)
        r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] + 0.01
        q = h / (r2 * ca.sqrt(r2))
        v = v - ca.horzcat(*((q * part) @ m for part in d))
        return [x + h * v, v, m]

    return ca.dot(c, fold(step, [x, v, m], steps)[0])


def jacobi_2d(A, B, c, steps):
    def half(A, B):
        new = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        middle = ca.horzcat(B[1:-1, 0], new, B[1:-1, -1])
        return ca.vertcat(B[0, :], middle, B[-1, :])

    def step(A, B):
        B = half(A, B)
        return [half(B, A), B]

    A = fold(step, [A, B], steps)[0]
    return ca.dot(c, A * A)


def correlation(data, c):
    n, m = data.shape
    data = data - ca.repmat(ca.sum1(data) / n, n, 1)
    deviation = ca.sqrt(ca.sum1(data * data) / n)
    scale = math.sqrt(n) * ca.if_else(deviation <= 0.1, 1.0, deviation)
    data = data / ca.repmat(scale, n, 1)
    one = np.eye(m)
    return ca.dot(c, ((1.0 - one) * (data.T @ data) + one) ** 2)


LOSSES: dict[str, Callable[..., Any]] = {
    "layer": layer, "rosenbrock": rosenbrock, "logistic regression": logistic_regression,
    "chain tanh": chain_tanh, "chain many": chain_many, "logistic map": logistic_map, "rk4": rk4,
    "lennard-jones": lennard_jones, "n-body": nbody, "jacobi_2d": jacobi_2d, "jacobi_2d slices": jacobi_2d,
    "correlation": correlation,
}  # fmt: skip


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any] | None:
    """The graph is made and differentiated at the first call, so that it is timed as with others."""
    if problem.name not in LOSSES:
        return None
    made: list[Any] = []
    data = [ca.DM(a) for a in args if not isinstance(a, int)]

    def run() -> Any:
        if not made:
            symbols = [a if isinstance(a, int) else ca.MX.sym(f"a{k}", *ca.DM(a).shape) for k, a in enumerate(args)]
            loss = LOSSES[problem.name](*symbols)
            wrt = [ca.gradient(loss, symbols[k]) for k in problem.wrt]
            made.append(ca.Function("gradient", [s for s in symbols if not isinstance(s, int)], wrt))
        found = made[0](*data)
        return found if isinstance(found, tuple) else (found,)

    return run
