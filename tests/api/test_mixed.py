"""Transforms and functions of mixed kinds: what each cannot see of the other must not matter."""

from __future__ import annotations

import itertools
import random
import re
import sys
from typing import Any

import numpy as np
import pytest

import pullback as pb

X = np.array([0.5, -1.0, 2.0])


@pytest.fixture(autouse=True)
def uncompiled(request):
    with pb.options(jit="compiled" in request.keywords, cache=False):
        yield


# -- functions, each with its Hessian ------------------------------------------------------------------------


def with_while(x):
    s, k = np.sum(x * x), 0
    while s > 0.5:
        s = s * 0.5 * np.cos(0.1 * s)
        k += 1
    return s * x[0] ** 2 + k


def calls_grad(x):
    return np.sum(pb.grad(lambda y: np.sum(y**3) * y[0])(x) * x)


def in_place(x):
    y = x.copy()
    y[1:] *= y[:-1]
    for i in range(len(y)):
        y[i] += y[i - 1] ** 2
    y[0] = y[1] * y[2]
    return np.sum(y)


def twice(x, y):
    return np.sum(x * y * x)


def unused(x):
    return 3.0 * x[0] - x[0] * 2.0


def constant(x):
    return 3.0


def looped(x):
    p = 1.0
    for i in range(len(x)):
        for _ in range(3):
            p = p * (x[i] + 1.5) * 0.7
    return p


SCALARS = [with_while, calls_grad, in_place, unused, constant, looped]


def by_differences(f, x, step=1e-5):
    """The Jacobian of a function of a vector."""
    columns = []
    for move in np.eye(len(x)) * step:
        columns.append((np.asarray(f(x + move)) - np.asarray(f(x - move))) / (2 * step))
    return np.stack(columns, axis=-1)


@pytest.mark.fuzz
@pytest.mark.parametrize("f", SCALARS, ids=lambda f: f.__name__)
def test_second_and_third_derivatives(f):
    hessian = pb.hessian(f)(X)
    np.testing.assert_allclose(hessian, by_differences(pb.grad(f), X), rtol=1e-6, atol=1e-6)
    v = np.array([1.0, 0.5, -2.0])
    for product in (pb.hvp, pb.vhp):
        np.testing.assert_allclose(product(f)(X, v), hessian @ v, atol=1e-10)
    third = pb.jacfwd(pb.hessian(f))(X)
    np.testing.assert_allclose(third, by_differences(pb.hessian(f), X), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(pb.grad(lambda x: pb.hvp(f)(x, v) @ v)(X), third @ v @ v, atol=1e-8)


def test_an_input_twice():
    for made, expected in (
        (pb.grad(lambda x: twice(x, x)), 3 * X**2), (pb.jvp(lambda x: twice(x, x), (X,), (X,))[1], 3 * np.sum(X**3)),
        (pb.hessian(lambda x: twice(x, x)), np.diag(6 * X)),
    ):  # fmt: skip
        np.testing.assert_allclose(made(X) if callable(made) else made, expected)
    same = X  # one array for two arguments
    np.testing.assert_allclose(pb.grad(twice, (0, 1))(same, same), (2 * X**2, X**2))
    np.testing.assert_allclose(pb.jvp(twice, (same, same), (X, None))[1], 2 * np.sum(X**3))
    by_x, by_y = pb.hessian(twice, (0, 1))(same, same)
    np.testing.assert_allclose(by_x[0], np.diag(2 * X))
    np.testing.assert_allclose(by_y[1], np.zeros((3, 3)))


def test_an_input_not_at_all():
    f = lambda x, y: np.sum(y**2)
    np.testing.assert_array_equal(pb.jacfwd(f)(X, X), np.zeros(3))
    np.testing.assert_array_equal(pb.jacrev(f)(X, X), np.zeros(3))
    np.testing.assert_array_equal(pb.hessian(f)(X, X), np.zeros((3, 3)))
    np.testing.assert_array_equal(pb.vhp(f)(X, X, X), np.zeros(3))
    assert pb.jvp(f, (X, X), (X, None))[1] == 0.0
    np.testing.assert_array_equal(pb.jacobian(lambda x: np.ones(2))(X), np.zeros((2, 3)))


def test_an_output_that_is_an_input():
    f = lambda x, y: (x, y, x)
    by_x, by_y, again = pb.jacobian(f)(X, 2.0)
    np.testing.assert_array_equal(by_x, np.eye(3))
    np.testing.assert_array_equal(by_y, np.zeros(3))
    np.testing.assert_array_equal(again, np.eye(3))
    value, moved = pb.jvp(f, (X, 2.0), (X, 1.0))
    assert value[0] is not X and moved[1] == 1.0
    moved[0][0] = 100.0
    assert X[0] == 0.5 and moved[2][0] == 0.5  # no two results are one array
    np.testing.assert_array_equal(pb.vmap(lambda x: (x, x))(X)[1], X)


def test_by_one_element_of_a_dict():
    def f(w, p):
        return np.tanh({**p, "w": w}["w"] @ p["x"]) * p["b"]

    p = {"x": X, "b": 2.0, "w": np.ones((2, 3))}
    by_w = pb.jacobian(lambda w: f(w, p))(p["w"])
    np.testing.assert_allclose(by_w, pb.jacobian(lambda p: f(p["w"], p))(p)["w"])
    np.testing.assert_allclose(by_w, pb.jacrev(f)(p["w"], p))
    assert by_w.shape == (2, 2, 3)


def test_leaves_that_are_no_floats():
    def f(p):
        y = p["x"] ** p["n"] if p["flag"] else p["x"]
        return np.sum(y[p["at"]])

    p = {"x": X, "n": 3, "flag": True, "at": np.array([0, 2, 0]), "mask": np.array([True, False])}
    for kind in (pb.grad, pb.jacfwd, pb.jacrev, pb.jacobian, pb.hessian_diag):
        found = kind(f)(p)
        assert [found[k] for k in ("n", "flag", "at", "mask")] == [None] * 4
    np.testing.assert_allclose(pb.jacfwd(f)(p)["x"], [1.5, 0.0, 12.0])
    hessian = pb.hessian(f)(p)
    np.testing.assert_allclose(hessian["x"]["x"], np.diag([6.0, 0.0, 12.0]))
    v = {"x": X, "n": None, "flag": None, "at": None, "mask": None}
    np.testing.assert_allclose(pb.hvp(f)(p, v)["x"], [3.0, 0.0, 24.0])
    np.testing.assert_allclose(pb.vhp(f)(p, v)["x"], [3.0, 0.0, 24.0])


def test_auxiliary_arrays():
    f = lambda x: (x**2, {"half": x / 2, "n": len(x), "rows": [x, 1.0]})
    for kind in (pb.jacfwd, pb.jacrev, pb.jacobian):
        J, aux = kind(f, has_aux=True)(X)
        np.testing.assert_array_equal(J, np.diag(2 * X))
        np.testing.assert_array_equal(aux["half"], X / 2)
        assert aux["n"] == 3 and aux["rows"][0] is not X


def test_results_whose_size_is_computed():
    for f in (lambda x: np.repeat(x, 2), lambda x: np.concatenate([x, x[1:] ** 2]), lambda x: np.outer(x, x).ravel()):
        for n in (4, 7):
            x = np.linspace(0.5, 1.5, n)
            expected = by_differences(f, x)
            for kind in (pb.jacobian, pb.jacfwd, pb.jacrev):
                np.testing.assert_allclose(kind(f)(x), expected, atol=1e-7)


@pytest.mark.parametrize("kind", ["jacfwd", "jacrev", "jacobian", "hessian", "hessian_diag", "hvp", "vhp", "vmap"])
def test_size_0(kind):
    empty = np.empty(0)
    scalar = kind in ("hessian", "hessian_diag", "hvp", "vhp")
    f = (lambda x: np.sum(x**3)) if scalar else lambda x: np.sin(x) * x
    found = getattr(pb, kind)(f)(*([empty] * (2 if kind in ("hvp", "vhp") else 1)))
    square = kind in ("jacfwd", "jacrev", "jacobian", "hessian")
    assert found.shape == ((0, 0) if square else (0,))
    assert pb.jacobian(lambda x: np.sum(x))(empty).shape == (0,)
    assert pb.jacfwd(lambda x: x[:0] * 2.0)(X).shape == pb.jacrev(lambda x: x[:0] * 2.0)(X).shape == (0, 3)


# -- vmap: what a batch of selects and masked loops would spoil --------------------------------------------------


def running(x):
    y = np.empty_like(x)
    s = 0.0
    for i in range(len(x)):
        s = 0.9 * s + np.sin(x[i])
        y[i] = s
    return y


def chosen(x, A):
    if x[0] > 0:
        return np.sum(A[int(x[0])] * x)  # out of range for the examples that do not come here
    return np.sum(x)


def ends(x):
    if x > 0:
        while x > 1.0:  # never ends for what is not taken: it would grow
            x = x / 2.0 if x > 0 else x * 2.0
        return x
    return x * x


def lines_run(f, *args):
    """How many lines of generated code a call runs, from its second call on."""
    f(*args)
    count = 0

    def trace(frame, event, arg):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        f(*args)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("made", [pb.vmap(running), pb.vmap(pb.grad(lambda x: np.sum(running(x) ** 2)))])
def test_a_loop_over_examples_stays_linear(made):
    """Twice as long examples, twice the work: a write to one element copies no array."""
    rows = np.linspace(-1.0, 1.0, 6 * 400).reshape(6, 400)
    short, long = (lines_run(made, np.ascontiguousarray(rows[:, :n])) for n in (200, 400))
    assert long < 2.2 * short
    assert lines_run(made, rows[:3]) < 0.6 * long


def test_each_example_takes_its_own_way():
    A = np.arange(6.0).reshape(2, 3)
    rows = np.array([[1.0, 2.0, 3.0], [-7.0, 1.0, 2.0], [0.5, 1.0, 1.0]])
    np.testing.assert_array_equal(pb.vmap(chosen, (0, None))(rows, A), [chosen(row, A) for row in rows])
    numbers = np.array([5.0, -3.0, 0.25, 100.0])
    np.testing.assert_array_equal(pb.vmap(ends)(numbers), [ends(x) for x in numbers])
    np.testing.assert_array_equal(pb.vmap(pb.grad(ends))(numbers), [1 / 8, -6.0, 1.0, 1 / 128])
    np.testing.assert_array_equal(pb.vmap(pb.jacfwd(ends))(numbers), [1 / 8, -6.0, 1.0, 1 / 128])
    np.testing.assert_array_equal(pb.vmap(pb.hessian(ends))(numbers), [0.0, 2.0, 0.0, 0.0])


def test_gradients_of_each_example():
    def loss(w, x, y):
        return (np.tanh(x @ w["w"]) + w["b"] - y) ** 2

    rng = np.random.default_rng(0)
    w, X, y = {"w": rng.normal(size=3), "b": 0.5}, rng.normal(size=(5, 3)), rng.normal(size=5)
    found = pb.vmap(pb.grad(loss), in_axes=(None, 0, 0))(w, X, y)
    for k in range(5):
        one = pb.grad(loss)(w, X[k], y[k])
        np.testing.assert_allclose(found["w"][k], one["w"])
        assert found["b"][k] == pytest.approx(one["b"])
    total = pb.grad(lambda w: np.sum(pb.vmap(loss, in_axes=(None, 0, 0))(w, X, y)))(w)
    np.testing.assert_allclose(total["w"], np.sum(found["w"], axis=0))


def smoothed(x):
    s = 0.0
    for i in range(len(x)):
        s = 0.5 * s + x[i]
    return s


@pytest.mark.parametrize("f", [lambda x: np.sum(x * x), smoothed, pb.grad(smoothed)])
def test_the_loop_over_examples_runs_on_all_cores(f):
    with pb.options(parallel=True):
        source = str(pb.vmap(f).lower("f64[m, n]").source)
    assert re.search(r"support.on_all_cores\(\w+, parts, \(m, ", source)
    assert re.search(r"\n    else:\n        for k in range\(m\):", source)  # the outermost one


# -- closure: every pair of transforms, and a sample of triples ------------------------------------------------

V = np.array([1.0, -0.5, 0.25])


def entire(x):
    s = np.sum(x**3) * x[0]
    for i in range(len(x)):
        if x[i] > 0:
            s = s + np.sin(x[i]) * s
        else:
            s = s - x[i] ** 2
    return s


TRANSFORMS: dict[str, tuple[Any, Any]] = {
    # what it makes of f: R^3 -> R, by pullback; and the same by differences of f
    "grad": (lambda f: lambda x: pb.grad(f)(x) @ V, lambda f: lambda x: by_differences(f, x, 1e-3) @ V),
    "jvp": (lambda f: lambda x: pb.jvp(f, (x,), (V,))[1], lambda f: lambda x: by_differences(f, x, 1e-3) @ V),
    "vjp": (lambda f: lambda x: pb.vjp(f, x)[1](2.0)[0] @ V, lambda f: lambda x: 2 * by_differences(f, x, 1e-3) @ V),
    "jacfwd": (lambda f: lambda x: pb.jacfwd(f)(x) @ V, lambda f: lambda x: by_differences(f, x, 1e-3) @ V),
    "jacrev": (lambda f: lambda x: pb.jacrev(lambda x: f(x) * x)(x)[0] @ V,
               lambda f: lambda x: by_differences(lambda x: f(x) * x, x, 1e-3)[0] @ V),
    "linearize": (lambda f: lambda x: pb.linearize(f, x)[1](V), lambda f: lambda x: by_differences(f, x, 1e-3) @ V),
    "vmap": (lambda f: lambda x: np.sum(pb.vmap(lambda s: f(s * x))(np.array([1.0, 0.5]))),
             lambda f: lambda x: f(x) + f(0.5 * x)),
    "jit": (lambda f: lambda x: pb.jit(f)(x) * x[1], lambda f: lambda x: f(x) * x[1]),
}  # fmt: skip
SECOND = {
    "hvp": (lambda f: lambda x: pb.hvp(f)(x, V)[0], lambda f: lambda x: second(f, x)[0] @ V),
    "vhp": (lambda f: lambda x: pb.vhp(f)(x, V)[0], lambda f: lambda x: second(f, x)[0] @ V),
    "hessian": (lambda f: lambda x: pb.hessian(f)(x)[1] @ V, lambda f: lambda x: second(f, x)[1] @ V),
    "hessian_diag": (lambda f: lambda x: pb.hessian_diag(f)(x) @ V, lambda f: lambda x: np.diag(second(f, x)) @ V),
}


def second(f, x):
    return by_differences(lambda x: by_differences(f, x, 1e-3), x, 1e-3)


ALL = {**TRANSFORMS, **SECOND}


def compare(names):
    ours, theirs = entire, entire
    for name in names:
        ours, theirs = ALL[name][0](ours), ALL[name][1](theirs)
    found, expected = pb.jit(ours)(X), theirs(X)
    assert found == pytest.approx(float(expected), rel=2e-4, abs=2e-4), names
    assert ours(X) == pytest.approx(found, rel=1e-9, abs=1e-9), names


PAIRS = [p for p in itertools.product(ALL, repeat=2) if not set(p) <= set(SECOND)]
TRIPLES = list(itertools.product(TRANSFORMS, repeat=3))


@pytest.mark.fuzz
@pytest.mark.parametrize("names", random.Random(0).sample(PAIRS, 20), ids="-".join)
def test_a_sample_of_pairs(names):
    """`python tests/api/test_mixed.py` tries all."""
    compare(names)


@pytest.mark.fuzz
@pytest.mark.parametrize("names", random.Random(0).sample(TRIPLES, 4), ids="-".join)
def test_a_sample_of_triples(names):
    ours = [ALL[name][0] for name in names]
    simple = {"jvp": "grad", "vjp": "grad", "jacfwd": "grad", "linearize": "grad", "grad": "jvp"}
    same = [ALL[simple.get(name, name)][0] for name in names]
    values = []
    for stack in (ours, same):
        f = entire
        for transform in stack:
            f = transform(f)
        values.append(pb.jit(f)(X))
    factor = 2.0 ** (names.count("vjp"))
    assert values[0] == pytest.approx(factor * values[1], rel=1e-9, abs=1e-9)


if __name__ == "__main__":
    with pb.options(jit=False, cache=False):
        for pair in PAIRS:
            compare(pair)
            print(*pair, flush=True)
        for triple in TRIPLES:
            test_a_sample_of_triples(triple)
            print(*triple, flush=True)
