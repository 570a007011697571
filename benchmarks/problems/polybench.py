"""Kernels of PolyBench at its small and medium sizes: in place, as loops or as slices of arrays."""

from __future__ import annotations

import numpy as np

from .problem import Problem


def jacobi_2d(A, B, c, steps):
    n = A.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                B[i, j] = 0.2 * (A[i, j] + A[i, j - 1] + A[i, j + 1] + A[i + 1, j] + A[i - 1, j])
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = 0.2 * (B[i, j] + B[i, j - 1] + B[i, j + 1] + B[i + 1, j] + B[i - 1, j])
    return np.sum(c * A * A)


def jacobi_2d_slices(A, B, c, steps):
    for _ in range(steps):
        B[1:-1, 1:-1] = 0.2 * (A[1:-1, 1:-1] + A[1:-1, :-2] + A[1:-1, 2:] + A[2:, 1:-1] + A[:-2, 1:-1])
        A[1:-1, 1:-1] = 0.2 * (B[1:-1, 1:-1] + B[1:-1, :-2] + B[1:-1, 2:] + B[2:, 1:-1] + B[:-2, 1:-1])
    return np.sum(c * A * A)


def jacobi_2d_data(rng, n, steps):
    return square(rng, n), square(rng, n), weights(rng, n, n), steps


def seidel_2d(A, c, steps):
    n = A.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (
                    A[i - 1, j - 1] + A[i - 1, j] + A[i - 1, j + 1] + A[i, j - 1] + A[i, j]
                    + A[i, j + 1] + A[i + 1, j - 1] + A[i + 1, j] + A[i + 1, j + 1]
                ) / 9.0  # fmt: skip
    return np.sum(c * A * A)


def seidel_2d_data(rng, n, steps):
    return square(rng, n), weights(rng, n, n), steps


def fdtd_2d(ex, ey, hz, fict, c):
    for t in range(fict.shape[0]):
        ey[0, :] = fict[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return np.sum(c * (ex * ex + ey * ey + hz * hz))


def fdtd_2d_data(rng, nx, ny, steps):
    return *(rng.normal(size=(nx, ny)) for _ in range(3)), rng.normal(size=steps), weights(rng, nx, ny)


def cholesky(A, c):
    n = A.shape[0]
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = np.sqrt(A[i, i])
    return np.sum(c * np.tril(A))


def cholesky_data(rng, n):
    A = square(rng, n)
    return A @ A.T + n * np.eye(n), weights(rng, n, n)


def trisolv(L, b, c):
    n = len(b)
    x = np.zeros(n)
    for i in range(n):
        x[i] = b[i]
        for j in range(i):
            x[i] -= L[i, j] * x[j]
        x[i] = x[i] / L[i, i]
    return np.sum(c * x)


def trisolv_data(rng, n):
    return square(rng, n) / n**0.5 + 2.0 * np.eye(n), rng.normal(size=n), weights(rng, n)


def correlation(data, c):
    n, m = data.shape
    mean = np.mean(data, axis=0)
    stddev = np.std(data, axis=0)
    stddev[stddev <= 0.1] = 1.0
    data -= mean
    data /= np.sqrt(float(n)) * stddev
    corr = np.eye(m)
    for i in range(m - 1):
        corr[i + 1 : m, i] = data[:, i] @ data[:, i + 1 : m]
        corr[i, i + 1 : m] = corr[i + 1 : m, i]
    return np.sum(c * corr * corr)


def correlation_data(rng, n, m):
    return rng.normal(size=(n, m)), weights(rng, m, m)


def square(rng, n):
    return rng.normal(size=(n, n))


def weights(rng, *shape):
    return rng.uniform(0.5, 1.5, shape)


JACOBI = {"90, 40 steps": (90, 40), "250, 100 steps": (250, 100)}
MATRIX = {"120": (120,), "400": (400,)}

PROBLEMS = (
    Problem("jacobi_2d", jacobi_2d, jacobi_2d_data, (0, 1), JACOBI, (5, 3)),
    Problem("jacobi_2d slices", jacobi_2d_slices, jacobi_2d_data, (0, 1), JACOBI, (5, 3)),
    Problem(
        "seidel_2d", seidel_2d, seidel_2d_data, (0,),
        {"120, 40 steps": (120, 40), "400, 100 steps": (400, 100)}, (5, 3),
    ),
    Problem(
        "fdtd_2d", fdtd_2d, fdtd_2d_data, (0, 1, 2, 3),
        {"60 x 80, 40 steps": (60, 80, 40), "200 x 240, 100 steps": (200, 240, 100)}, (5, 6, 3),
    ),
    Problem("cholesky", cholesky, cholesky_data, (0,), MATRIX, (6,)),
    Problem("trisolv", trisolv, trisolv_data, (0, 1), MATRIX, (6,)),
    Problem(
        "correlation", correlation, correlation_data, (0,),
        {"100 x 80": (100, 80), "260 x 240": (260, 240)}, (7, 5),
    ),
)  # fmt: skip
