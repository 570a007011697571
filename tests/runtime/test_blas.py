"""Products into memory that is there, from compiled code: layouts, parts of arrays, and sizes of 0."""

import itertools

import numba
import numpy as np
import pytest

from pullback.runtime import support

pytestmark = pytest.mark.compiled


@numba.njit
def products(a, b, out, sums):
    support.matmul(a, b, out)
    support.add_matmul(a, b, sums)


@numba.njit
def scaled(a, b, out, sums):
    support.matmul(a, b, out, 2.0)
    support.add_matmul(a, b, sums, -1.0)


def by_rows(a):
    return a


def by_columns(a):
    return np.asfortranarray(a)


def part(a):
    return np.pad(a, 2)[2 : 2 + a.shape[0], 2 : 2 + a.shape[1]]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("first, second", list(itertools.product([by_rows, by_columns, part], repeat=2)))
def test_products(first, second, dtype):
    rng = np.random.default_rng(0)
    for n, k, m in ((3, 4, 5), (17, 18, 19), (0, 4, 5), (3, 0, 5), (3, 4, 0)):
        a, b = (first(rng.normal(size=(n, k)).astype(dtype)), second(rng.normal(size=(k, m)).astype(dtype)))
        out = np.full((n + 2, m + 2), 7.0, dtype)
        wanted, sums, added = out.copy(), out.copy(), out.copy()
        inner = slice(1, 1 + n), slice(1, 1 + m)
        products(a, b, out[inner], sums[inner])
        wanted[inner] = a @ b
        added[inner] += a @ b
        np.testing.assert_allclose(out, wanted, rtol=1e-4)
        np.testing.assert_allclose(sums, added, rtol=1e-4)


def test_scaled():
    rng = np.random.default_rng(0)
    for n, k, m in ((3, 4, 5), (3, 0, 5)):
        a, b, out, sums = rng.normal(size=(n, k)), rng.normal(size=(k, m)), np.ones((n, m)), np.ones((n, m))
        scaled(a, b, out, sums)
        np.testing.assert_allclose(out, 2.0 * a @ b)
        np.testing.assert_allclose(sums, 1.0 - a @ b)
