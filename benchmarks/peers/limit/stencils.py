"""Adjoints by hand of stencils. Each reverse sweep is a gather: the bars of all readers of a cell, summed."""

from __future__ import annotations

import numpy as np

from .tools import adjoint, forward

# -- jacobi_2d ------------------------------------------------------------------------------------------


def jacobi_2d(A, B, c, steps):
    A_bar, B_bar = np.empty(A.shape), np.zeros(A.shape)
    work_A, work_B = A.copy(), B.copy()
    _jacobi_2d_forward(work_A, work_B, steps)
    _jacobi_2d_reverse(work_A, work_B, c, steps, A_bar, B_bar)
    return A_bar, B_bar


@forward
def _jacobi_2d_forward(A, B, steps):
    for _ in range(steps):
        _half(A, B)
        _half(B, A)


@forward
def _half(A, B):
    n = A.shape[0]
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            B[i, j] = 0.2 * (A[i, j] + A[i, j - 1] + A[i, j + 1] + A[i + 1, j] + A[i - 1, j])


@adjoint
def _jacobi_2d_reverse(P, Q, c, steps, A_bar, B_bar):
    """P and Q are the bars of the inner cells with zeros around them: the stencil is its own adjoint."""
    n = P.shape[0]
    for i in range(n):
        for j in range(n):
            A_bar[i, j] = 2.0 * c[i, j] * P[i, j]
            P[i, j] = A_bar[i, j]
            Q[i, j] = 0.0
    if steps <= 0:
        return
    for k in range(n):
        P[0, k] = P[n - 1, k] = P[k, 0] = P[k, n - 1] = 0.0
    for _ in range(steps):
        _edges(P, B_bar)
        _half(P, Q)
        _edges(Q, A_bar)
        _half(Q, P)
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            A_bar[i, j] = P[i, j]


@adjoint
def _edges(P, bar):
    """What the cells on the edge, which are only read, get from the inner ones beside them."""
    n = P.shape[0]
    for k in range(1, n - 1):
        bar[0, k] += 0.2 * P[1, k]
        bar[n - 1, k] += 0.2 * P[n - 2, k]
    for k in range(1, n - 1):
        bar[k, 0] += 0.2 * P[k, 1]
        bar[k, n - 1] += 0.2 * P[k, n - 2]


# -- seidel_2d ------------------------------------------------------------------------------------------


def seidel_2d(A, c, steps):
    A_bar, work = np.empty(A.shape), A.copy()
    _seidel_2d_forward(work, steps)
    _seidel_2d_reverse(work, c, steps, A_bar)
    return A_bar


@forward
def _seidel_2d_forward(A, steps):
    n = A.shape[0]
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = (
                    A[i - 1, j - 1] + A[i - 1, j] + A[i - 1, j + 1] + A[i, j - 1] + A[i, j]
                    + A[i, j + 1] + A[i + 1, j - 1] + A[i + 1, j] + A[i + 1, j + 1]
                ) / 9.0  # fmt: skip


@adjoint
def _seidel_2d_reverse(T, c, steps, A_bar):
    """T is a ninth of the bar of what each update wrote, zero on the edge; the sweep runs over it in place.

    What an update wrote was read by the later updates of its sweep and by the earlier ones of the next.
    Everything but the neighbour to the right is summed for the whole row before.
    """
    n = T.shape[0]
    row = np.empty(n)
    for i in range(n):
        for j in range(n):
            A_bar[i, j] = 2.0 * c[i, j] * T[i, j]
            T[i, j] = 0.0
    if steps <= 0:
        return
    for step in range(steps):
        for i in range(n - 2, 0, -1):
            if step == 0:
                for j in range(1, n - 1):
                    row[j] = (A_bar[i, j] + T[i + 1, j - 1] + T[i + 1, j] + T[i + 1, j + 1]) / 9.0
            else:
                for j in range(1, n - 1):
                    row[j] = (
                        T[i + 1, j - 1] + T[i + 1, j] + T[i + 1, j + 1] + T[i, j - 1] + T[i, j]
                        + T[i - 1, j - 1] + T[i - 1, j] + T[i - 1, j + 1]
                    ) / 9.0  # fmt: skip
            right = 0.0
            for j in range(n - 2, 0, -1):
                right = row[j] + right * (1.0 / 9.0)
                T[i, j] = right
        for k in range(1, n - 1):
            A_bar[0, k] += T[1, k - 1] + T[1, k] + T[1, k + 1]
            A_bar[n - 1, k] += T[n - 2, k - 1] + T[n - 2, k] + T[n - 2, k + 1]
        for k in range(1, n - 1):
            A_bar[k, 0] += T[k - 1, 1] + T[k, 1] + T[k + 1, 1]
            A_bar[k, n - 1] += T[k - 1, n - 2] + T[k, n - 2] + T[k + 1, n - 2]
        A_bar[0, 0] += T[1, 1]
        A_bar[0, n - 1] += T[1, n - 2]
        A_bar[n - 1, 0] += T[n - 2, 1]
        A_bar[n - 1, n - 1] += T[n - 2, n - 2]
    for i in range(1, n - 1):
        for j in range(1, n - 1):
            A_bar[i, j] = T[i - 1, j - 1] + T[i - 1, j] + T[i - 1, j + 1] + T[i, j - 1] + T[i, j]


# -- fdtd_2d --------------------------------------------------------------------------------------------


def fdtd_2d(ex, ey, hz, fict, c):
    bars = ex.copy(), ey.copy(), hz.copy(), np.empty(fict.shape)
    _fdtd_2d_forward(*bars[:3], fict)
    _fdtd_2d_reverse(*bars, c)
    return bars


@forward
def _fdtd_2d_forward(ex, ey, hz, fict):
    """One sweep over the rows: the row of hz above is finished when those of ex and ey are."""
    nx, ny = ex.shape
    for t in range(fict.shape[0]):
        for j in range(ny):
            ey[0, j] = fict[t]
        for j in range(1, ny):
            ex[0, j] -= 0.5 * (hz[0, j] - hz[0, j - 1])
        for i in range(1, nx):
            for j in range(ny):
                ey[i, j] -= 0.5 * (hz[i, j] - hz[i - 1, j])
            for j in range(1, ny):
                ex[i, j] -= 0.5 * (hz[i, j] - hz[i, j - 1])
            for j in range(ny - 1):
                hz[i - 1, j] -= 0.7 * (ex[i - 1, j + 1] - ex[i - 1, j] + ey[i, j] - ey[i - 1, j])


@adjoint
def _fdtd_2d_reverse(P, Q, H, fict_bar, c):
    """P, Q and H become the bars of ex, ey and hz, in place."""
    nx, ny = P.shape
    for i in range(nx):
        for j in range(ny):
            P[i, j] *= 2.0 * c[i, j]
            Q[i, j] *= 2.0 * c[i, j]
            H[i, j] *= 2.0 * c[i, j]
    for t in range(fict_bar.shape[0] - 1, -1, -1):
        for j in range(ny - 1):
            Q[0, j] += 0.7 * H[0, j]
        for i in range(nx - 1):
            P[i, 0] += 0.7 * H[i, 0]
            for j in range(1, ny - 1):
                P[i, j] += 0.7 * (H[i, j] - H[i, j - 1])
            P[i, ny - 1] -= 0.7 * H[i, ny - 2]
            if i > 0:
                for j in range(ny - 1):
                    Q[i, j] += 0.7 * (H[i, j] - H[i - 1, j])
        for j in range(ny - 1):
            Q[nx - 1, j] -= 0.7 * H[nx - 2, j]
        for j in range(ny):
            H[0, j] += 0.5 * Q[1, j]
            H[nx - 1, j] -= 0.5 * Q[nx - 1, j]
        for i in range(nx):
            H[i, 0] += 0.5 * P[i, 1]
            for j in range(1, ny - 1):
                H[i, j] += 0.5 * (P[i, j + 1] - P[i, j])
            H[i, ny - 1] -= 0.5 * P[i, ny - 1]
            if 0 < i < nx - 1:
                for j in range(ny):
                    H[i, j] += 0.5 * (Q[i + 1, j] - Q[i, j])
        total = 0.0
        for j in range(ny):
            total += Q[0, j]
            Q[0, j] = 0.0
        fict_bar[t] = total


GRADIENTS = {
    "jacobi_2d": jacobi_2d,
    "jacobi_2d slices": jacobi_2d,
    "seidel_2d": seidel_2d,
    "fdtd_2d": fdtd_2d,
}
