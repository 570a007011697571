"""Gradients inside of @njit: gradient descent, Hamiltonian Monte Carlo, and an implicit Euler step.

Each algorithm is written once, as plain Python that takes the gradient as an argument. numba compiles it, with the
gradient inside of it; without numba it runs as it is, and calls the gradient from Python.

    python examples/inside_njit.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

import pullback as pb

# -- gradient descent: a chain of springs whose ends are held ------------------------------------------------


def energy(x: np.ndarray, stiffness: float) -> float:
    """Springs between neighbours, the first at 0 and the last at 1."""
    total = 0.5 * stiffness * (x[0] ** 2 + (1.0 - x[-1]) ** 2)
    for i in range(len(x) - 1):
        total += 0.5 * stiffness * (x[i + 1] - x[i]) ** 2
    return total


def descend(gradient: Any, x: np.ndarray, stiffness: float, rate: float, steps: int) -> np.ndarray:
    """Gradient descent; x is not changed."""
    x = x.copy()
    for _ in range(steps):
        x -= rate * gradient(x, stiffness)
    return x


# -- Hamiltonian Monte Carlo ---------------------------------------------------------------------------------


def log_density(q: np.ndarray) -> float:
    """Rosenbrock's banana, one for each two coordinates."""
    total = 0.0
    for i in range(0, len(q) - 1, 2):
        total -= 0.05 * (1.0 - q[i]) ** 2 + (q[i + 1] - q[i] ** 2) ** 2
    return total


def sample(
    value_and_gradient: Any, q: np.ndarray, noise: np.ndarray, uniform: np.ndarray, step: float, leaps: int
) -> Any:
    """The chain and the fraction of proposals that were accepted; noise has one row for each proposal."""
    chain = np.empty_like(noise)
    accepted = 0
    value, slope = value_and_gradient(q)
    for k in range(len(noise)):
        momentum = noise[k].copy()
        start = value - 0.5 * np.sum(momentum**2)
        new, new_value, new_slope = q.copy(), value, slope
        for _ in range(leaps):  # leapfrog
            momentum = momentum + 0.5 * step * new_slope
            new = new + step * momentum
            new_value, new_slope = value_and_gradient(new)
            momentum = momentum + 0.5 * step * new_slope
        if np.log(uniform[k]) < new_value - 0.5 * np.sum(momentum**2) - start:
            q, value, slope = new, new_value, new_slope
            accepted += 1
        chain[k] = q
    return chain, accepted / len(noise)


# -- implicit Euler ------------------------------------------------------------------------------------------


def velocity(y: np.ndarray, stiffness: float) -> np.ndarray:
    """Van der Pol's oscillator."""
    out = np.empty_like(y)
    out[0] = y[1]
    out[1] = stiffness * (1.0 - y[0] ** 2) * y[1] - y[0]
    return out


def implicit_euler(pull: Any, y: np.ndarray, stiffness: float, step: float, steps: int) -> np.ndarray:
    """y after some steps; each solves z = y + step * velocity(z) by Newton's method, the Jacobian from vjp."""
    n = len(y)
    eye = np.eye(n)
    for _ in range(steps):
        z = y.copy()
        for _ in range(20):
            jacobian = np.empty((n, n))
            speed = y
            for i in range(n):
                speed, bars = pull(z, stiffness, seed=eye[i])
                jacobian[i] = bars[0]
            change = np.linalg.solve(eye - step * jacobian, y + step * speed - z)
            z = z + change
            if np.max(np.abs(change)) < 1e-10:
                break
        y = z
    return y


def problems() -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Each algorithm with its arguments, the first of them the gradient."""
    rng = np.random.default_rng(0)
    noise, uniform = rng.normal(size=(200, 4)), rng.uniform(size=200)
    return {
        "gradient descent": (descend, (pb.grad(energy), np.zeros(8), 1.0, 0.3, 2000)),
        "Hamiltonian Monte Carlo": (
            sample, (pb.value_and_grad(log_density), np.zeros(4), noise, uniform, 0.2, 10),
        ),
        "implicit Euler": (implicit_euler, (pb.vjp(velocity), np.array([2.0, 0.0]), 50.0, 0.01, 100)),
    }  # fmt: skip


def main() -> None:
    for name, (algorithm, arguments) in problems().items():
        print(f"{name}:", njit(algorithm)(*arguments), sep="\n")


if __name__ == "__main__":
    main()
