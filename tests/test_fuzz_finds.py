"""Small programs that once were wrong, found by random programs (fuzz.py) and made small."""

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.5, -1.2, 0.3, 0.9, -0.4])
Y = np.array([-0.3, 0.8, 1.4, -0.6, 0.2])
A = np.arange(20.0).reshape(5, 4) / 10 - 0.7


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def test_one_size_in_an_arm_and_after_it():
    def f(x, y, steps):
        c = 0.0
        if y[0] > 0.0:
            c = y[steps - 2]
        x[steps - 2] *= steps - 2
        return c * x[1]

    for y in (Y, -Y):
        check_grad(f, X.copy(), y, 3)


def test_one_size_in_both_arms():
    def f(x, y):
        v = y[1:-1]
        if x[1] > 0.0:
            v = v * 2.0
        else:
            v[:-1] = v[1:]
        return v * y[:-2]

    for x in (X, -X):
        check_grad(f, x, Y.copy())


def test_an_index_in_a_while_test_and_after_the_loop():
    def f(x, y):
        k = 0
        while x[k] - y[len(y) - 1] > 0.1 and k < 4:
            k += 1
        for i in range(1, len(y)):
            w = x * y[i - 1]
        return w * y[len(y) - 1]

    check_grad(f, X, Y)
