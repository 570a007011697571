"""Loops over rows are cut into blocks around expensive scalars, and compute the same numbers."""

import doctest
import re
import sys

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import PIPELINE, Context, generate
from pullback.codegen import strip_mine_rows as blocks_of
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Several blocks for a few rows."""
    monkeypatch.setitem(blocks_of.__globals__, "ELEMENTS", 12)


def check(function, *args, adjoint=True):
    """Are loops cut? After a comparison with the uncut program, to the last bit."""
    traced = pb.value_and_grad(function, argnums=tuple(range(len(args)))) if adjoint else pb.jit(function)
    with pb.options(jit=False, cache=False):
        traced(*args)
    program = parse(str(traced.adjoint_ir if adjoint else traced.ir))
    before = program
    before = PIPELINE.before("strip_mine_rows").run(before)
    after = verify(blocks_of(before))
    run = compile_source(generate(program), program.name, jit=False)
    for wanted, value, again in zip(evaluate(before, *args), evaluate(after, *args), run(*map(np.array, args))):
        np.testing.assert_array_equal(value, wanted)
        np.testing.assert_allclose(again, wanted, rtol=1e-12)
    return "for block in" in str(after)


def logistic(w, X, y):
    z = X @ w
    return np.mean(np.logaddexp(0.0, z) - y * z)


def chained(w, X, y):
    z = X @ w
    return np.sum(np.exp(-y * np.tanh(z)))


def data(rows, columns):
    rng = np.random.default_rng(rows)
    return rng.normal(size=columns), rng.normal(size=(rows, columns)), rng.normal(size=rows)


@pytest.mark.parametrize("function", [logistic, chained], ids=lambda f: f.__name__)
@pytest.mark.parametrize("size", [(7, 3), (8, 4), (2, 5), (5, 20)])
def test_blocks_compute_the_same(function, size):
    assert check(function, *data(*size))


def recurrence(w, X, y):
    s = 0.1
    for i in range(X.shape[0]):
        for j in range(X.shape[1]):
            s = s + X[i, j] * w[j]
        s = np.tanh(s)
        for j in range(X.shape[1]):
            s = s * 0.5 + X[i, j] * y[i]
    return s


def updated_row(w, X, y):
    X = X.copy()
    total = 0.0
    for i in range(1, X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i - 1, j] * w[j]
        a = np.exp(-z * z)
        for j in range(X.shape[1]):
            X[i, j] = X[i, j] * a + y[i]
        total += a
    return total + np.sum(X)


def row_in_memory(w, X, y):
    total = 0.0
    for i in range(X.shape[0]):
        row = np.sin(X[i]) * w
        a = np.exp(np.sum(row))
        total += np.sum(row * a) * y[i]
    return total


@pytest.mark.parametrize("function", [recurrence, updated_row, row_in_memory], ids=lambda f: f.__name__)
def test_loops_whose_rows_depend_on_each_other_stay(function):
    assert not check(function, *data(7, 3), adjoint=False)


def test_errors_of_rows_stay_in_their_order():
    def function(w, X, k):
        total = 0.0
        for i in range(X.shape[0]):
            z = 0.0
            for j in range(X.shape[1]):
                z += X[i, j] * w[j]
            total += np.exp(z) * w[k[i]]
        return total

    w, X, _ = data(7, 3)
    assert not check(function, w, X, np.array([0, 1, 2, 0, 1, 2, 0]), adjoint=False)


def test_blocks_go_to_several_cores():
    """What a loop of blocks has to do is known before it runs."""
    args = data(9, 3)
    traced = pb.value_and_grad(logistic)
    with pb.options(jit=False, cache=False):
        traced(*args)
    program = parse(str(traced.adjoint_ir))
    source = generate(program, Context(parallel=2))
    assert re.search(r"support.parts\(2, t_\d+ \* \(\d+ \+ rows \* ", source)
    run = compile_source(source, program.name, jit=False)
    for value, wanted in zip(run(*args), evaluate(program, *args)):
        np.testing.assert_allclose(value, wanted, rtol=1e-12)


@pytest.mark.compiled
def test_compiled():
    gradient = pb.grad(logistic)
    with pb.options(cache=False):
        for rows, columns in ((50, 3), (3, 50)):
            w, X, y = data(rows, columns)
            z = X @ w
            wanted = X.T @ (1.0 / (1.0 + np.exp(-z)) - y) / rows
            np.testing.assert_allclose(gradient(w, X, y), wanted, rtol=1e-12, atol=1e-14)
    assert "for block in" in str(gradient.source)


def test_doctest(monkeypatch):
    monkeypatch.setitem(blocks_of.__globals__, "ELEMENTS", 8192)
    assert doctest.testmod(sys.modules[blocks_of.__module__]).failed == 0


def softly(w, X, c):
    return np.sum(c * np.logaddexp(0.0, X @ w))


@pytest.mark.parametrize("rows", [2, 3, 4, 5, 7, 8, 9, 64, 131, 300])
def test_four_rows_at_a_time_and_the_rest(rows):
    rng = np.random.default_rng(rows)
    w, X, c = rng.normal(size=70), rng.normal(size=(rows, 70)), rng.uniform(0.5, 1.5, rows)
    with pb.options(jit=False):
        gradient = pb.grad(softly)
        found = gradient(w, X, c)
    assert "for four in range" in gradient.source
    expected = (c / (1.0 + np.exp(-(X @ w)))) @ X
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    (by_text,) = evaluate(parse(str(gradient.lower(w, X, c).adjoint_ir)), w, X, c)
    np.testing.assert_allclose(found, by_text, rtol=1e-11, atol=1e-11)


def test_users_keep_their_order_of_rows():
    def sums(X):
        y_bar = np.zeros(X.shape[1])
        for i in range(X.shape[0]):
            s = 0.0
            for j in range(X.shape[1]):
                s += X[i, j]
            e = np.exp(-s * s)
            for j in range(X.shape[1]):
                y_bar[j] += e * X[i, j]
        return y_bar

    X = np.random.default_rng(0).normal(size=(101, 3))
    with pb.options(jit=False, reassociate=False):
        kept = pb.jit(sums)
        assert np.array_equal(kept(X), sums(X))
        assert "for four in range" not in kept.source
    with pb.options(jit=False):
        free = pb.jit(sums)
        np.testing.assert_allclose(free(X), sums(X), rtol=1e-12)
