"""Adjoints by hand of loops over matrices, and of the correlation matrix."""

from __future__ import annotations

import numpy as np

from .tools import adjoint, forward, radd

# -- cholesky -------------------------------------------------------------------------------------------


def cholesky(A, c):
    L, A_bar = A.copy(), np.empty(A.shape)
    _cholesky_forward(L)
    _cholesky_reverse(L, c, A_bar)
    return A_bar


@forward
def _cholesky_forward(A):
    n = A.shape[0]
    for i in range(n):
        for j in range(i):
            s = 0.0
            for k in range(j):
                s = radd(s, A[i, k] * A[j, k])
            A[i, j] = (A[i, j] - s) / A[j, j]
        s = 0.0
        for k in range(i):
            s = radd(s, A[i, k] * A[i, k])
        A[i, i] = np.sqrt(A[i, i] - s)


@adjoint
def _cholesky_reverse(L, c, bar):
    """In terms of the result, without anything saved; a row's bars are gathered, from four rows at a time."""
    n = L.shape[0]
    for i in range(n):
        for j in range(i + 1):
            bar[i, j] = c[i, j]
        for j in range(np.uint64(i + 1), np.uint64(n)):
            bar[i, j] = 0.0
    for i in range(n - 1, -1, -1):
        end = n - (n - 1 - i) % 4
        for r in range(end, n):
            for k in range(i + 1):
                bar[i, k] -= bar[r, i] * L[r, k]
        for r in range(i + 1, end, 4):
            b0, b1, b2, b3 = bar[r, i], bar[r + 1, i], bar[r + 2, i], bar[r + 3, i]
            for k in range(i + 1):
                bar[i, k] -= b0 * L[r, k] + b1 * L[r + 1, k] + b2 * L[r + 2, k] + b3 * L[r + 3, k]
        bar[i, i] *= 0.5 / L[i, i]
        twice = 2.0 * bar[i, i]
        for k in range(i):
            bar[i, k] -= twice * L[i, k]
        j = i - 1
        while j >= 3:
            b0 = bar[i, j] / L[j, j]
            b1 = (bar[i, j - 1] - b0 * L[j, j - 1]) / L[j - 1, j - 1]
            b2 = (bar[i, j - 2] - b0 * L[j, j - 2] - b1 * L[j - 1, j - 2]) / L[j - 2, j - 2]
            b3 = (bar[i, j - 3] - b0 * L[j, j - 3] - b1 * L[j - 1, j - 3] - b2 * L[j - 2, j - 3]) / L[j - 3, j - 3]
            bar[i, j], bar[i, j - 1], bar[i, j - 2], bar[i, j - 3] = b0, b1, b2, b3
            for k in range(j - 3):
                bar[i, k] -= b0 * L[j, k] + b1 * L[j - 1, k] + b2 * L[j - 2, k] + b3 * L[j - 3, k]
            j -= 4
        while j >= 0:
            b0 = bar[i, j] / L[j, j]
            bar[i, j] = b0
            for k in range(j):
                bar[i, k] -= b0 * L[j, k]
            j -= 1


# -- trisolv --------------------------------------------------------------------------------------------


def trisolv(L, b, c):
    L_bar, b_bar = np.empty(L.shape), c.copy()
    x = np.empty(b.shape)
    _trisolv_forward(L, b, x)
    _trisolv_reverse(L, x, L_bar, b_bar)
    return L_bar, b_bar


@forward
def _trisolv_forward(L, b, x):
    for i in range(b.shape[0]):
        s = 0.0
        for j in range(i):
            s = radd(s, L[i, j] * x[j])
        x[i] = (b[i] - s) / L[i, i]


@adjoint
def _trisolv_reverse(L, x, L_bar, b_bar):
    n = x.shape[0]
    for i in range(n - 1, -1, -1):
        t = b_bar[i] / L[i, i]
        b_bar[i] = t
        for j in range(i):
            b_bar[j] -= t * L[i, j]
    for i in range(n):
        t = -b_bar[i]
        for j in range(i + 1):
            L_bar[i, j] = t * x[j]
        for j in range(np.uint64(i + 1), np.uint64(n)):  # subscripts that numba need not wrap around
            L_bar[i, j] = 0.0


# -- correlation ----------------------------------------------------------------------------------------


def correlation(data, c):
    data_bar = np.empty(data.shape)
    _correlation(data, c, data_bar)
    return data_bar


@adjoint
def _correlation(data, c, data_bar):
    """The columns are scaled to length 1, but for those that hardly vary."""
    n, m = data.shape
    mean, scale, varies = np.zeros(m), np.zeros(m), np.empty(m)
    D, G = np.empty((n, m)), np.empty((m, m))
    for i in range(n):
        for j in range(m):
            mean[j] += data[i, j]
    for j in range(m):
        mean[j] /= n
    for i in range(n):
        for j in range(m):
            D[i, j] = data[i, j] - mean[j]
            scale[j] += D[i, j] * D[i, j]
    for j in range(m):
        deviation = np.sqrt(scale[j] / n)
        varies[j] = 0.0 if deviation <= 0.1 else 1.0
        scale[j] = 1.0 / (np.sqrt(float(n)) * (1.0 if deviation <= 0.1 else deviation))
    for i in range(n):
        for j in range(m):
            D[i, j] *= scale[j]
    np.dot(D.T, D, G)
    for i in range(m):
        for j in range(i):
            both = 2.0 * (c[i, j] + c[j, i]) * G[i, j]
            G[i, j] = both
            G[j, i] = both
        G[i, i] = 0.0
    np.dot(D, G, data_bar)
    along = np.zeros(m)
    for i in range(n):
        for j in range(m):
            along[j] += data_bar[i, j] * D[i, j]
    total = mean
    for j in range(m):
        along[j] *= varies[j]
        total[j] = 0.0
    for i in range(n):
        for j in range(m):
            bar = (data_bar[i, j] - along[j] * D[i, j]) * scale[j]
            data_bar[i, j] = bar
            total[j] += bar
    for j in range(m):
        total[j] /= n
    for i in range(n):
        for j in range(m):
            data_bar[i, j] -= total[j]


GRADIENTS = {"cholesky": cholesky, "trisolv": trisolv, "correlation": correlation}
