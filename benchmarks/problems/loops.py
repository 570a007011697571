"""Problems that are loops over time or particles."""

from __future__ import annotations

import numpy as np

from .problem import Problem


def logistic_map(r, x, c, steps):
    for _ in range(steps):
        x = r * x * (1.0 - x)
    return c * x


def logistic_map_data(rng, steps):
    return 3.5, rng.uniform(0.2, 0.4), rng.uniform(0.5, 1.5), steps


def rk4(theta, velocity, omega, c, steps):
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
    return theta + c * velocity


def rk4_data(rng, steps):
    return 1.0, rng.uniform(0.2, 0.4), 2.0, rng.uniform(0.5, 1.5), steps


def lennard_jones(x, e):
    n = x.shape[0]
    energy = 0.0
    for i in range(n):
        for j in range(i + 1, n):
            dx = x[i, 0] - x[j, 0]
            dy = x[i, 1] - x[j, 1]
            dz = x[i, 2] - x[j, 2]
            r2 = dx * dx + dy * dy + dz * dz
            s6 = 1.0 / (r2 * r2 * r2)
            energy += e[i] * e[j] * (s6 * s6 - s6)
    return energy


def lennard_jones_data(rng, n):
    return lattice(rng, n) * 1.2, rng.uniform(0.5, 1.5, n)


def nbody(x, v, m, c, steps):
    n = x.shape[0]
    h = 0.001
    for _ in range(steps):
        for i in range(n):
            for j in range(i + 1, n):
                d = x[i] - x[j]
                r2 = np.sum(d * d) + 0.01
                pull = d * (h / (r2 * np.sqrt(r2)))
                v[i] -= m[j] * pull
                v[j] += m[i] * pull
        x += h * v
    return np.sum(c * x)


def nbody_data(rng, n, steps):
    return lattice(rng, n), rng.normal(size=(n, 3)), rng.uniform(0.5, 1.5, n), rng.uniform(0.5, 1.5, (n, 3)), steps


def lattice(rng, n):
    """Points about 1 apart from each other, in a cube."""
    side = int(np.ceil(n ** (1 / 3)))
    points = np.stack(np.meshgrid(*[np.arange(side) * 1.0] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n]
    return points + rng.uniform(-0.1, 0.1, (n, 3))


PROBLEMS = (
    Problem(
        "logistic map", logistic_map, logistic_map_data, (0, 1), {"1e4": (10_000,), "1e6": (1_000_000,)}, (7,)
    ),
    Problem("rk4", rk4, rk4_data, (0, 1, 2), {"1e4 steps": (10_000,)}, (5,)),
    Problem("lennard-jones", lennard_jones, lennard_jones_data, (0,), {"256": (256,), "1024": (1024,)}, (7,)),
    Problem("n-body", nbody, nbody_data, (0, 1), {"25, 100 steps": (25, 100)}, (5, 3)),
)
