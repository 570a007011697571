"""Names that are None on some paths: a sample of the enumerated skeletons (tests/optionals.py), and gradients."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from optionals import skeletons
from skeletons import compare, load, text

import pullback as pb
from pullback.testing import check_grad

COUNT, EVERY = 4, 400
X = np.array([3.0, 1.0, -4.0, 2.5])


@pytest.fixture
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(COUNT))
def test_skeletons(part, tmp_path, uncompiled):
    bodies = dict(itertools.islice(enumerate(skeletons()), part * EVERY // COUNT + 7, None, EVERY))
    wrong = []
    for (k, body), function in zip(bodies.items(), load(bodies, tmp_path)):
        found = [line for line in compare(function) if "the function returns None here" not in line]
        if found:
            wrong.append("\n".join([f"-- {k}", text("f", body), *found]))
    assert len(wrong) <= len(bodies) // 50, "\n".join(wrong[:5])
    assert all("('refused'" in line for line in wrong), "\n".join(wrong[:5])


def smallest(x):
    best = None
    for v in x:
        if best is None or v * v < best:
            best = v * v
    return best


def smallest_of_some(x):
    best = place = None
    for i in range(len(x)):
        if x[i] > 1.5 and (best is None or x[i] < best):
            best, place = x[i] * 1.0, i
    return 0.0 if best is None else best * x[place]


def segments(x):
    start, total = None, 0.0
    for i in range(len(x)):
        if x[i] > 0.0:
            if start is None:
                start = i
        elif start is not None:
            total += np.sum(x[start:i] ** 2)
            start = None
    if start is not None:
        total += np.prod(x[start:])
    return total


def differences(x):
    def step(previous, v):
        return v if previous is None else v - 0.5 * previous

    previous, total, i = None, 0.0, 0
    while i < len(x):
        previous = step(previous, x[i])
        if previous < 0.0:
            previous = None
        else:
            total += previous**2
        i += 1
    return total


def found(x):
    def first_below(limit):
        for k, v in enumerate(x):
            if v < limit:
                return k, v * v
        return None

    pair = first_below(0.0)
    if pair is None:
        return x[0]
    k, square = pair
    return square * x[k]


@dataclass
class Tracker:
    best: object = None
    last: object = None

    def see(self, v):
        if self.best is None or np.sum(v) > np.sum(self.best):
            self.best = v * 2.0
        self.last = None if v[0] < 0.0 else v


def in_an_object(x):
    t = Tracker()
    for v in x:
        t.see(v * x)
    return np.sum(t.best) + (0.0 if t.last is None else t.last[-1])


def rows_or_none(x):
    row = None
    for i in range(len(x)):
        if x[i] > 2.0:
            row = x * x[i] if row is None else row + x * x[i]
    return 1.0 if row is None else np.sum(row)


def or_else(x):
    def positive(v):
        if v > 0.0:
            return v * v
        return None

    total = 0.0
    for v in x:
        total += positive(v) or 0.5
    return total


FUNCTIONS = [smallest, smallest_of_some, segments, differences, found, in_an_object, rows_or_none, or_else]


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_gradients(f, uncompiled):
    for x in (X, -X[::-1], X[:2], X[2:], X[2:3], np.arange(9.0) * 0.7 % 2.5 - 0.37):
        assert pb.value_and_grad(f)(x)[0] == pytest.approx(f(x), rel=1e-14)
        check_grad(f, x)
        value, pull = pb.vjp(f, x)
        np.testing.assert_array_equal(pull(1.0)[0], pb.grad(f)(x))


def test_second_derivatives(uncompiled):
    for f in (smallest, segments, differences):
        check_grad(lambda x, f=f: np.sum(pb.grad(f)(x) ** 2), X)


@pytest.mark.compiled
def test_compiled():
    def all_of(x):
        return smallest(x) + segments(x) * differences(x) + rows_or_none(x)

    gradient = pb.grad(all_of)(X)
    with pb.options(jit=False):
        np.testing.assert_allclose(gradient, pb.grad(all_of)(X), rtol=1e-14)


def test_a_use_of_none_raises_what_python_raises(uncompiled):
    def f(x, k):
        best = None
        for i in range(k):
            if x[i] > 2.0:
                best = x[i]
        return best * 2.0

    gradient = pb.grad(f)
    np.testing.assert_array_equal(gradient(X, 2), [2.0, 0.0, 0.0, 0.0])
    with pytest.raises(TypeError, match="unsupported operand type.*'NoneType' and 'float'"):
        gradient(-X[:2], 2)
    with pytest.raises(TypeError, match="unsupported operand type.*'NoneType' and 'float'"):
        gradient(X, 0)


def test_what_returns_none_is_refused_when_it_does(uncompiled):
    def f(x):
        best = None
        for v in x:
            if v > 2.0:
                best = v * v
        return best

    assert pb.value_and_grad(f)(X)[0] == 6.25
    with pytest.raises(pb.PullbackError, match="the function returns None here"):
        pb.grad(f)(np.array([1.0, 0.5]))


def test_nothing_is_checked_where_conditions_tell():
    def f(x, k):
        best = None
        for i in range(k):
            if x[i] > 1.5 and (best is None or x[i] < best):
                best = x[i]
        if best is None:
            return 0.0
        return best * 2.0

    program = pb.trace(f, X, 3)
    assert "is None" not in str(program) and "best_is_none" in str(program)
