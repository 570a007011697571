"""Calls of LAPACK into memory that is there, for generated code.

Here is what each does, in NumPy's terms: this runs where nothing is compiled, for arrays that are not in C order, and
in exported files, which take these texts. The last two axes of stacks are matrices.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

jitable = register_jitable(error_model="numpy")


@jitable
def _count(a, rank):
    """The number of matrices (rank 2) of a stack."""
    total = 1
    for k in range(a.ndim - rank):
        total *= a.shape[k]
    return total


@jitable
def _matrices(a):
    """The stack with one axis in front of the matrices."""
    return np.ascontiguousarray(a).reshape((_count(a, 2), a.shape[-2], a.shape[-1]))


@jitable
def _substitute(m, x, lower, unit):
    """x becomes the solution of a triangular system."""
    n = m.shape[0]
    for step in range(n):
        k = step if lower else n - 1 - step
        first, last = (0, k) if lower else (k + 1, n)
        for j in range(first, last):
            x[k] -= m[k, j] * x[j]
        if not unit:
            x[k] /= m[k, k]


def lu(a, out):
    """The factors of each matrix: the exchanges of rows, and the columns of L and U."""
    stack, results, n = _matrices(a), _matrices(out), a.shape[-1]
    for at in range(stack.shape[0]):
        m = stack[at].copy()
        for k in range(n):
            best = k
            for i in range(k + 1, n):
                if abs(m[i, k]) > abs(m[best, k]):
                    best = i
            for j in range(n):
                m[k, j], m[best, j] = m[best, j], m[k, j]
            results[at, 0, k] = best
            for i in range(k + 1, n):
                if m[k, k] != 0.0:
                    m[i, k] /= m[k, k]
                m[i, k + 1 :] -= m[i, k] * m[k, k + 1 :]
        results[at, 1:] = m.T


def lu_solve(f, b, transposed, out):
    """The solution of a @ x = b, or a.T @ x = b, by the factors of a."""
    factors, right, results = _matrices(f), _matrices(b), _matrices(out)
    n = f.shape[-1]
    for at in range(factors.shape[0]):
        m, x = factors[at, 1:].T, results[at]
        x[:] = right[at]
        if transposed:
            _substitute(m.T, x, True, False)
            _substitute(m.T, x, False, True)
        for step in range(n):
            k = n - 1 - step if transposed else step
            other = int(factors[at, 0, k])
            for j in range(x.shape[1]):
                x[k, j], x[other, j] = x[other, j], x[k, j]
        if not transposed:
            _substitute(m, x, True, True)
            _substitute(m, x, False, False)


def solve_triangular(a, b, lower, transposed, unit, out):
    """The solution of a @ x = b, or a.T @ x = b, where one triangle of a is read."""
    stack, right, results = _matrices(a), _matrices(b), _matrices(out)
    for at in range(stack.shape[0]):
        m = stack[at].T if transposed else stack[at]
        results[at] = right[at]
        _substitute(m, results[at], bool(lower) != bool(transposed), unit)


def cholesky(a, out):
    """The lower triangle whose product with its transpose is a; -1 as its last element if there is none."""
    stack, results, n = _matrices(a), _matrices(out), a.shape[-1]
    for at in range(stack.shape[0]):
        m, x = stack[at], results[at]
        for i in range(n):
            x[i, i + 1 :] = 0.0
            for j in range(i + 1):
                rest = m[i, j] - np.sum(x[i, :j] * x[j, :j])
                if i > j:
                    x[i, j] = rest / x[j, j]
                elif rest <= 0.0:
                    x[n - 1, n - 1] = -1.0
                    break
                else:
                    x[i, i] = np.sqrt(rest)
            if x[n - 1, n - 1] == -1.0:
                break


def eigh(a, out):
    """The eigenvalues of each symmetric matrix, and below them the eigenvectors as rows."""
    stack, results = _matrices(a), _matrices(out)
    for at in range(stack.shape[0]):
        if a.shape[-1] > 0:
            values, vectors = np.linalg.eigh(stack[at])
            results[at, 0] = values
            results[at, 1:] = vectors.T


def svd(a, out):
    """The rows of U, the singular values, and the rows of V of each matrix."""
    stack, results, m = _matrices(a), _matrices(out), a.shape[-2]
    for at in range(stack.shape[0]):
        if out.shape[-1] > 0:
            u, s, vt = np.linalg.svd(stack[at], False)
            results[at, :m] = u
            results[at, m] = s
            results[at, m + 1 :] = vt.T


def qr(a, out):
    """The rows of Q and those of R of each matrix, which has as many rows as columns or more."""
    stack, results, m = _matrices(a), _matrices(out), a.shape[-2]
    for at in range(stack.shape[0]):
        if a.shape[-1] > 0:
            q, r = np.linalg.qr(stack[at])
            results[at, :m] = q
            results[at, m:] = r
