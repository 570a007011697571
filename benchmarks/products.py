"""Where a call of BLAS beats loops: `python benchmarks/products.py` measures products of matrices and vectors.

One thread, minimum of several runs, in microseconds. The thresholds in `codegen/lower/matrix_products.py` come
from here.
"""

from __future__ import annotations

import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from numba import njit  # noqa: E402

from pullback.runtime import support  # noqa: E402

compiled = njit(error_model="numpy", nogil=True)


@compiled
def call(a, b, out):
    support.matmul(a, b, out)


@compiled
def call_vector(a, x, out):
    np.dot(a, x, out)


@compiled
def product(a, b, out):
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            out[i, j] = 0.0
        for k in range(a.shape[1]):
            factor = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] = support.radd(out[i, j], factor * b[k, j])


@compiled
def rows(a, x, out):
    for i in range(a.shape[0]):
        total = 0.0
        for j in range(a.shape[1]):
            total = support.radd(total, a[i, j] * x[j])
        out[i] = total


@compiled
def columns(a, x, out):
    for j in range(a.shape[1]):
        out[j] = 0.0
    for i in range(a.shape[0]):
        factor = x[i]
        for j in range(a.shape[1]):
            out[j] = support.radd(out[j], factor * a[i, j])


@compiled
def times(function, count, a, b, out):
    for _ in range(count):
        function(a, b, out)


def measure(function, *args) -> float:
    """Microseconds per call."""
    count = 1
    while True:
        start = time.perf_counter()
        times(function, count, *args)
        if time.perf_counter() - start > 2e-3 and count > 1:
            break
        count *= 4
    best = float("inf")
    for _ in range(9):
        start = time.perf_counter()
        times(function, count, *args)
        best = min(best, time.perf_counter() - start)
    return best / count * 1e6


def main() -> None:
    rng = np.random.default_rng(0)
    print("| A (n, k) @ B (k, m) | BLAS | loops |\n| :-- | --: | --: |")
    for n in (3, 4, 6, 8, 16, 64):
        a, b = rng.normal(size=(2, n, n))
        out = np.empty((n, n))
        print(f"| {n}, {n}, {n} | {measure(call, a, b, out):.2f} | {measure(product, a, b, out):.2f} |")
    print("\n| A (n, k) | A @ x, BLAS | A @ x, loop | A.T @ y, BLAS | A.T @ y, loop |")
    print("| :-- | --: | --: | --: | --: |")
    for n, k in ((20, 20), (50, 50), (256, 256), (1000, 1000), (100_000, 50)):
        a, x, y = rng.normal(size=(n, k)), rng.normal(size=k), rng.normal(size=n)
        result = [
            measure(call_vector, a, x, np.empty(n)), measure(rows, a, x, np.empty(n)),
            measure(call_vector, a.T, y, np.empty(k)), measure(columns, a, y, np.empty(k)),
        ]  # fmt: skip
        print(f"| {n}, {k} | " + " | ".join(f"{r:.2f}" for r in result) + " |", flush=True)


if __name__ == "__main__":
    main()
