"""Names of rows and views of an array that is written later: they show what they show in Python, or are refused."""

from types import SimpleNamespace

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.9, 0.4])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def states(x, n):
    S = np.zeros((7, 2))
    S[0] = x
    s = S[0]
    for t in range(n):
        s = s + 0.1 * np.array([s[1], -2.0 * s[0]])
        S[t + 1] = s
    return np.sum(S**2)


def implicit_steps(x, n):
    U = np.zeros((7, 2))
    U[0] = x
    for t in range(n):
        u = U[t]
        for _ in range(20):
            r = u - U[t] + 0.1 * u**3
            if np.max(np.abs(r)) < 1e-12:
                break
            u = u - r / (1.0 + 0.3 * u**2)
        U[t + 1] = u
    return np.sum(U[-1] ** 2) + np.sum(U[n])


def rebound_to_the_next_row(x, n):
    S = np.zeros((7, 2))
    S[0] = x
    s = S[0]
    for t in range(n):
        S[t + 1] = np.sin(s) + s[::-1] * 0.3
        s = S[t + 1]
    return np.sum(s**3) + np.sum(S)


def view_of_a_view(x, n):
    S = np.zeros((7, 2))
    S[1] = x
    s = S[1:][0][::-1]
    while n > 0:
        s = s * x
        S[n] += s
        n -= 1
    return np.sum(S**2)


def in_an_object(x, n):
    model = SimpleNamespace(S=np.zeros((7, 2)))
    model.S[0] = x

    def advance(t):
        model.s = 0.9 * model.s + model.S[t] * x
        model.S[t + 1] = model.s

    model.s = model.S[0]
    for t in range(n):
        advance(t)
    return np.sum(model.S**2)


def view_dead_when_written(x, n):
    S = np.zeros((7, 2))
    S[0] = x
    s = S[0]
    if x[0] > 0.5:
        s = s * 2.0
    total = np.sum(s**2)
    S[0] *= 3.0
    return total + np.sum(S) + n


def read_after_no_iteration(x, n):
    S = np.zeros((7, 2))
    s = S[0]
    for _ in range(n):
        s = s + x
    S[0] = x
    return np.sum(s)


RIGHT = [
    states,
    implicit_steps,
    rebound_to_the_next_row,
    view_of_a_view,
    in_an_object,
    view_dead_when_written,
]


@pytest.mark.parametrize("function", RIGHT)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_right(function, n):
    assert pb.jit(function)(X, n) == pytest.approx(function(X, n), rel=1e-13)
    check_grad(function, X, n)


def read_after_the_write(x, n):
    S = np.zeros((7, 2))
    s = S[0]
    for _ in range(n):
        S[0] += x
        s = s + 1.0
    return np.sum(s)


def written_through(x, n):
    S = np.zeros((7, 2))
    s = S[0]
    for _ in range(n):
        s[0] += x[1]
        s = s * x
    return np.sum(S)


def put_in_a_list(x, n):
    S = np.zeros((7, 2))
    s, kept = S[0], []
    for _ in range(n):
        kept.append(s)
        S[0] += x
        s = x * 2.0
    return sum(np.sum(row) for row in kept)


def one_of_two_after_a_branch(x, n):
    S = np.zeros((7, 2))
    s = S[0] if x[0] > 0.5 else x * 1.0
    S[0] = x * n
    return np.sum(s)


REFUSED = [read_after_the_write, written_through, put_in_a_list, one_of_two_after_a_branch]


@pytest.mark.parametrize("function", REFUSED)
def test_refused_where_the_view_is_seen(function):
    with pytest.raises(pb.PullbackError, match=r"Write `\.copy\(\)`"):
        pb.jit(function)(X, 3)


def test_a_view_after_a_loop_that_may_not_run():
    assert pb.jit(read_after_no_iteration)(X, 3) == pytest.approx(read_after_no_iteration(X, 3), rel=1e-13)
    with pytest.raises(pb.PullbackError, match=r"Write `\.copy\(\)`"):
        pb.jit(read_after_no_iteration)(X, 0)
