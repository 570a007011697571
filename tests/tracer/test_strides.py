"""Strides, and windows made of them: what NumPy shows, for each way an array can lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided, sliding_window_view

import pullback as pb
from pullback.testing import check_grad

RNG = np.random.default_rng(0)
X, A = RNG.normal(size=7), RNG.normal(size=(4, 6))


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def rolling(array, window):
    shape = (array.shape[0] - window + 1, window, *array.shape[1:])
    return as_strided(array, shape, (array.strides[0], *array.strides)).std(axis=1)


def on_the_last_axis(a, window, step=1):
    shape = (*a.shape[:-1], a.shape[-1] - window + 1, window)
    return as_strided(a, shape=shape, strides=(*a.strides, a.strides[-1]))[::step].mean(-1)


def blocks(a):
    strides = np.asarray(a.strides)
    return as_strided(a, (2, 3, 2, 2), tuple(strides * 2) + tuple(strides)).sum((2, 3))


def in_a_loop(a, n):
    total = 0.0
    for i in range(n):
        total += i * as_strided(a[i:], (2,), a.strides).sum()
    return total


VIEWS: dict[str, Callable[[Any], Any]] = {
    "whole": lambda a: a, "part": lambda a: a[1:], "turned": lambda a: a[::-1], "steps": lambda a: a[::2],
    "computed": lambda a: 2.0 * a, "copy": lambda a: a.copy(), "reshaped": lambda a: a.reshape(-1)[:6].reshape(3, 2),
}  # fmt: skip
OF_TWO_AXES: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda a: a.T, "column": lambda a: a[:, 1], "row": lambda a: a[1], "columns": lambda a: a[:, 1:4],
    "new axis": lambda a: a[None, 1:].T,
}  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("array", [A, RNG.normal(size=(6, 2, 2))], ids=["2d", "3d"])
def test_rolling_windows_of_views(name, array):
    check_grad(lambda a: rolling(VIEWS[name](a), 2), array, directions=2)


@pytest.mark.parametrize("name", OF_TWO_AXES)
def test_rolling_windows_of_views_of_a_matrix(name):
    check_grad(lambda a: rolling(OF_TWO_AXES[name](a), 2), A, directions=2)


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (rolling, (X, 3)),
        (on_the_last_axis, (A, 3)),
        (on_the_last_axis, (A, 2, 2)),
        (blocks, (A,)),
        (in_a_loop, (X, 4)),
        (lambda a: as_strided(a, (3, 2), (8, 8)).sum(1), (X,)),
        (lambda a: as_strided(a, (3, 2), (2 * a.itemsize, a.itemsize)).sum(1), (X,)),
        (lambda a: as_strided(a, (3, 7), (0, a.itemsize)).sum(0) * a, (X,)),
        (lambda a: as_strided(a[-1:], (7,), (-8,)) * np.arange(7), (X,)),
        (lambda a: as_strided(a) * 3.0, (X,)),
        (lambda a: as_strided(a, (0, 3), (8, 8)).sum() + a, (X,)),
    ],
)
def test_as_strided(f, args):
    check_grad(f, *args, directions=2)


@pytest.mark.parametrize(
    ("shape", "axis", "array"),
    [(3, None, X), (7, None, X), (1, None, X), ((2, 3), None, A), (2, 0, A), ((2, 3), (1, 0), A), (3, -1, A)],
)
def test_sliding_windows(shape, axis, array):
    check_grad(lambda a: sliding_window_view(a, shape, axis=axis).std(-1), array, directions=2)
    if isinstance(shape, int):
        check_grad(lambda a, w: sliding_window_view(a, w, axis=axis).mean(-1), array, shape, directions=2)


@pytest.mark.compiled
def test_windows_in_compiled_code():
    with pb.options(jit=True):
        check_grad(rolling, A, 2, directions=2)
        check_grad(lambda a: sliding_window_view(a, 3).std(-1), X, directions=2)


@pytest.mark.parametrize("shape", [(3, 4), (1, 3), (3, 1), (5,), (2, 3, 4)])
def test_the_numbers(shape):
    def strides(a):
        views = a, a[..., ::-1], a.T, a[:1]
        return np.sum(a), [np.array(view.strides) * 1.0 for view in views]

    (_, found), _ = pb.vjp(strides, np.ones(shape))
    assert [f.tolist() for f in found] == [f.tolist() for f in strides(np.ones(shape))[1]]


def test_what_is_refused():
    with pytest.raises(pb.PullbackError, match="not in C order"):
        pb.grad(lambda a: (rolling(a, 2) ** 2).sum())(A.T)
    with pytest.raises(ValueError, match="window shape cannot be larger"):
        pb.grad(lambda a: sliding_window_view(a, 8).sum())(X)
    with pytest.raises(ValueError, match="must be multiples of the 8 bytes"):
        pb.grad(lambda a, k: as_strided(a, (2,), (k,)).sum())(X, 4)

    def writes(a):
        view = as_strided(a * 1.0, (3, 2), (8, 8))
        view[0] = 0.0
        return view.sum()

    with pytest.raises(pb.PullbackError, match="cannot be followed"):
        pb.grad(writes)(X)
