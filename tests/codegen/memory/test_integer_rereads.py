"""An element of an array that is written in place is read before the write, whatever else uses the sum made of it."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb


def plus_number(x):
    y = x.copy()
    half = y[: len(x) // 2]
    half *= 2
    y += 1
    return np.sum(y * np.arange(1, len(x) + 1)) + half.sum()


def minus_size(x):
    y = x.copy()
    half = y[: len(x) // 2]
    half *= 2
    y -= len(x)
    return np.sum(y * np.arange(1, len(x) + 1)) + half.sum()


@pytest.mark.parametrize("function", [plus_number, minus_size])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_sums_in_place(function, dtype):
    x = np.array([7, 2, 5, 4], dtype)
    with pb.options(jit=False, cache=False):
        assert pb.jit(function)(x) == function(x)
