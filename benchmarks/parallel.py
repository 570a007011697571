"""Times gradients with and without `pb.options(parallel=True)`: `python benchmarks/parallel.py [--rounds N]`.

The two take turns, call by call, in one process, after their gradients were compared. Printed are the medians per
call, and their ratio: above 1, all cores are faster. On a machine with other load that says little; then look at the
last column, the time that all cores together spent: without and with, divided. At 1 nothing is lost by dividing the
work, and on idle cores the first ratio would be the number of cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numba  # noqa: E402
import numpy as np  # noqa: E402

import pullback as pb  # noqa: E402


def chain(x, w, b):
    return np.sum(np.tanh(x * w + b) ** 2)


def squares(x):
    return np.sum(x * x)


def logistic(X, y, w):
    z = X @ w
    return np.mean(np.logaddexp(0.0, z) - y * z)


def jacobi(A, B):
    for _ in range(4):
        B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1])
    return np.sum(A * A)


def lennard_jones(x):
    energy = 0.0
    for i in range(x.shape[0]):
        for j in range(i + 1, x.shape[0]):
            r2 = (x[i, 0] - x[j, 0]) ** 2 + (x[i, 1] - x[j, 1]) ** 2 + (x[i, 2] - x[j, 2]) ** 2
            s = 1.0 / (r2 * r2 * r2)
            energy += 4.0 * (s * s - s)
    return energy


Make = Callable[[np.random.Generator, int], tuple[Any, ...]]

PROBLEMS: dict[Callable[..., Any], tuple[Make, Sequence[int]]] = {
    chain: (lambda rng, n: tuple(rng.normal(size=(3, n))), (10, 10**3, 10**4, 10**5, 10**6, 10**7)),
    squares: (lambda rng, n: (rng.normal(size=n),), (10, 10**4, 10**6, 10**7)),
    logistic: (
        lambda rng, n: (rng.normal(size=(n, 20)), 1.0 * (rng.random(n) > 0.5), rng.normal(size=20)),
        (10, 10**3, 10**4, 10**5),
    ),
    jacobi: (lambda rng, n: tuple(rng.normal(size=(2, n, n))), (5, 50, 150, 500, 1500)),
    lennard_jones: (lambda rng, n: (10.0 * rng.random((n, 3)),), (4, 64, 256, 1024, 4096)),
}


def measure(function: Callable[..., Any], args: tuple[Any, ...], rounds: int) -> list[list[float]]:
    """Seconds per call without and with parallel loops: by the clock, and spent by all cores together."""
    sides = []
    for parallel in (False, True):
        gradient = pb.grad(function, argnums=tuple(range(len(args))))
        with pb.options(parallel=parallel):
            sides.append((parallel, gradient, gradient(*args)))
    for a, b in zip(sides[0][2], sides[1][2]):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * np.max(np.abs(a)))

    def once(parallel: bool, gradient: Any, calls: int) -> tuple[float, float]:
        with pb.options(parallel=parallel):
            gradient(*args)
            start = time.perf_counter(), time.process_time()
            for _ in range(calls):
                gradient(*args)
            end = time.perf_counter(), time.process_time()
        return (end[0] - start[0]) / calls, (end[1] - start[1]) / calls

    calls = int(2e-3 / min(once(False, sides[0][1], 1)[0] for _ in range(5))) + 1
    times: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds):
        for parallel, gradient, _ in sides:
            times[parallel].append(once(parallel, gradient, calls))
    return [[statistics.median(t[k] for t in times[parallel]) for parallel in (False, True)] for k in (0, 1)]


def shown(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--only", nargs="*", help="names of problems")
    given = parser.parse_args()
    print(f"{numba.config.NUMBA_NUM_THREADS} cores\n")
    print("| gradient of | n | one core | all cores | ratio | spent |\n| :-- | --: | --: | --: | --: | --: |")
    for function, (make, sizes) in PROBLEMS.items():
        if given.only and function.__name__ not in given.only:
            continue
        for n in sizes:
            (one, every), (spent, spent_by_all) = measure(function, make(np.random.default_rng(0), n), given.rounds)
            ratios = f"{one / every:.2f} | {spent / spent_by_all:.2f}"
            print(f"| {function.__name__} | {n} | {shown(one)} | {shown(every)} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
