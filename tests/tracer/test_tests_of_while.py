"""What the test of a `while` binds or writes is there after the loop, or the loop is refused."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def bound(s):
    while (n := 2.0 * s) > 0.5:
        s = s * 0.5 - 0.1 * n
    return s * n


def bound_before(s):
    n = 7.0
    k = 0
    while (n := 2.0 * s) > 0.5 and k < 2:
        s = s * 0.5 - 0.1 * n
        k += 1
    return s * n


def bound_at_times(s):
    n = 7.0
    k = 0
    while k < 2 and (n := 2.0 * s) > 0.5:
        s = s * 0.5 - 0.1 * n
        k += 1
    return s * n


def with_else(s):
    while (n := 2.0 * s) > 0.5:
        s = s * 0.25
    else:
        s = s + 10.0 * n
    return s * n


def with_continue_and_break(s):
    k = 0
    while (n := 2.0 * s) > 0.5:
        k += 1
        s = s * 0.75
        if k == 1:
            continue
        if s > 3.0:
            break
        s = s - 0.1 * n
    return s * n


def nested(s):
    total = 0.0
    while (n := 2.0 * s) > 0.5:
        m = n
        while (m := m * 0.5) > 0.3:
            total += m
        total += m
        s = s * 0.5
    return total * n


FUNCTIONS = [bound, bound_before, bound_at_times, with_else, with_continue_and_break, nested]


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_what_the_test_binds(f):
    for x in (0.1, 1.1, 3.1, 8.3):
        assert pb.jit(f)(x) == f(x)
        expected = (f(x + 1e-6) - f(x - 1e-6)) / 2e-6
        assert pb.grad(f)(x) == pytest.approx(expected, rel=1e-6)


def written(x):
    a = np.zeros(1)
    a[0] = x

    def step():
        a[0] = a[0] * 0.5
        return a[0]

    while step() > 0.5:
        pass
    return a[0]


def element(x):
    s = [x]

    def step():
        s[0] = s[0] * 0.5
        return s[0]

    while step() > 0.5:
        pass
    return s[0]


def rebound(x):
    s = x

    def step():
        nonlocal s
        s = s * 0.5
        return s

    while step() > 0.5:
        pass
    return s


@pytest.mark.parametrize("f", [written, element, rebound], ids=lambda f: f.__name__)
def test_what_functions_in_the_test_write(f):
    with pytest.raises(pb.PullbackError, match="the test of this `while` changes .*Write `while True:`"):
        pb.jit(f)(3.0)
