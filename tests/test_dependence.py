"""Loops whose iterations meet through numbers that their bodies compute keep their order."""

import numpy as np
import pytest

import pullback as pb
from pullback.runtime.compile import compile_source


def half_from_above(y, n):
    y = y.copy()
    for i in range(n - 1, -1, -1):
        k = i // 2
        for j in range(k, k + 5):
            y[j] += np.sin(y[j + 5])
    return np.sum(y**2)


def half(y, n):
    y = y.copy()
    for i in range(n):
        k = i // 2
        for j in range(k, k + 5):
            y[j] += np.sin(y[j + 5])
    return np.sum(y**2)


def remainder(y, n):
    y = y.copy()
    for i in range(n):
        k = i % 7
        for j in range(k, k + 5):
            y[j + 5] -= 0.5 * np.sin(y[j])
    return np.sum(y**2)


def window_from_above(y, n):
    y = y.copy()
    for i in range(n - 1, 4, -1):
        s = 0.0
        for j in range(max(i - 2, n // 9), i):
            s += np.sin(y[j])
        for j in range(i - 5, i - 2):
            y[j] += s
    return np.sum(y**2)


def two_windows(y, n):
    y = y.copy()
    for i in range(5, n):
        s = 0.0
        for j in range(i - 5, i - 2):
            s += y[j]
        for j in range(max(i - 2, n // 9), i):
            y[j] += 0.3 * s
    return np.sum(y**2)


def clipped_window(y, n):
    y = y.copy()
    for i in range(n - 6):
        s = 0.0
        for j in range(i + 3, i + 6):
            s += y[j]
        for j in range(i, min(i + 3, n)):
            y[j] += 0.5 * s
    return np.sum(y**2)


def carried_ends(y, n):
    """Where a window begins is carried from trip to trip."""
    y = y.copy()
    low = 0
    for i in range(n):
        for j in range(low, low + 3):
            y[j] += 0.1 * y[j + 3]
        low = (low + i) % 5
    return np.sum(y**2)


FUNCTIONS = (half_from_above, half, remainder, window_from_above, two_windows, clipped_window, carried_ends)


@pytest.mark.parametrize("options", ({}, {"reassociate": False}, {"parallel": 2}), ids=str)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_windows_that_a_body_computes(function, options, rng):
    n = 20
    y, d, h = rng.standard_normal(n + 12), rng.standard_normal(n + 12), 1e-6
    slope = (function(y + h * d, n) - function(y - h * d, n)) / (2 * h)
    with pb.options(jit=False, cache=False, **options):
        value, gradient = pb.value_and_grad(function)(y, n)
        assert np.isclose(value, function(y, n)) and np.isclose(pb.jit(function)(y, n), value)
    assert abs(gradient @ d - slope) < 1e-4 * (1 + abs(slope))


def test_memory_that_nobody_fills_is_nan_in_uncompiled_code():
    source = "import numpy as np\n\n\ndef f(n):\n    return np.empty(n), np.empty_like(np.arange(n)), np.zeros(n)\n"
    floats, integers, zeros = compile_source(source, "f", jit=False)(3)
    assert np.isnan(floats).all() and (integers < -(10**9)).all() and not zeros.any()
