"""What is kept for the reverse sweep: as little as the rules allow, and the report says so."""

from __future__ import annotations

import numpy as np
import pytest
from kernels import KERNELS

import pullback as pb
from pullback.transforms.saved import kept


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def entries(function, *args, argnums=0):
    g = pb.grad(function, argnums)
    form, params, leaves, tree = g._traceable.find(args, {})
    return kept(form, g._wrt(form, tree, leaves), params)


def logistic_map(r, x, n):
    for _ in range(n):
        x = r * x * (1.0 - x)
    return x


def test_one_number_per_step():
    (only,) = entries(logistic_map, 3.5, 0.3, 100, argnums=(0, 1))
    assert only.variable.startswith("x") and only.bytes == 800


def test_linear_loops_keep_nothing():
    for name in ("seidel_2d", "jacobi_1d", "jacobi_2d", "fdtd_2d"):
        function, make, _, _ = KERNELS[name]
        args = make(np.random.default_rng(0), 6)
        k = next(k for k, a in enumerate(args) if isinstance(a, np.ndarray))
        assert entries(function, *args, argnums=k) == [], name


def test_what_no_later_write_touches_is_read_again():
    """Cholesky reads its own result: nothing of the size of its work is kept."""
    for name in ("cholesky", "trisolv"):
        function, make, _, _ = KERNELS[name]
        sizes = {}
        for n in (6, 12):
            args = make(np.random.default_rng(0), n)
            sizes[n] = sum(e.bytes for e in entries(function, *args))
        assert sizes[12] <= 2 * 8 * 12**2, (name, sizes)


def test_the_report_names_the_line():
    text = pb.grad(logistic_map, argnums=(0, 1)).saved_report(3.5, 0.3, 1000)
    assert "keeps 1 array for the reverse sweep, 8.0 kB" in text
    assert "x = r * x * (1.0 - x)" in text or "for _ in range(n)" in text
    assert "keeps nothing" in pb.grad(lambda x: x * 2.0).saved_report(1.0)


def test_sums_of_a_few_numbers_are_done_again():
    """A distance between two points is computed anew from the points: nothing is kept per pair."""

    def energy(x):
        total = 0.0
        for i in range(x.shape[0]):
            for j in range(i + 1, x.shape[0]):
                d = x[i] - x[j]
                total += np.sqrt(np.sum(d * d) + 0.01) ** 3 + (d @ d) ** 2
        return total

    assert entries(energy, np.ones((6, 3))) == []
