"""Transforms inside of transforms: a sample of the enumeration in nested.py, and what it does not hold."""

from __future__ import annotations

import functools
import pickle

import numpy as np
import pytest
from nested import difference, sample

import pullback as pb
from pullback.testing import check_grad

X = np.array([1.0, 2.0, 3.0])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.fuzz
@pytest.mark.parametrize("case", sample(48), ids=str)
def test_traced_as_plain(case):
    """Values and derivatives of the traced program and of the plain call are those of exact differences."""
    try:
        problem = difference(case)
    except pb.PullbackError as error:
        assert case.body == "writes" and "share memory" in str(error)
        return
    assert problem is None


def cube(x):
    return np.sum(x**3)


def pushed(u, v, x):
    _, pull = pb.vjp(cube, x)
    return np.sum(pull(u)[0] * v)


push = pb.grad(pushed)  # the derivative of cube along v


def test_two_calls_with_rows_of_an_array():
    def two(x, e):
        return push(1.0, e[0], x) + 100.0 * push(1.0, e[1], x)

    def rows(x):
        return np.array([push(1.0, v, x) for v in np.eye(2)])

    x = np.array([1.0, 2.0])
    assert pb.jit(two)(x, np.eye(2)) == two(x, np.eye(2)) == 1203.0
    np.testing.assert_array_equal(pb.jit(rows)(x), [3.0, 12.0])
    np.testing.assert_array_equal(rows(x), [3.0, 12.0])


def test_outer_values_of_every_kind_are_seen_inside():
    """Carried values of loops, sizes computed outside, parameters of another transform: each has its type."""

    def f(x):
        total, count, w = 0.0, 0, x * 0.5
        for i in range(len(x) - 1):
            count += 2
            w = w * x[i]
            total += np.sum(pb.grad(lambda t: np.sum(t[: i + 1] * w[1:][:1]) * count)(x))  # noqa: B023
            total += pb.grad(lambda a: pb.grad(lambda b: b * b * a * count)(a) * x[i])(x[i + 1])  # noqa: B023
        return total

    assert pb.jit(f)(X) == pytest.approx(f(X))
    check_grad(f, X)


def test_integers_of_an_outer_loop_keep_their_bounds():
    """A subscript that is passed to the inner function needs no check of its own."""

    def f(x):
        total = 0.0
        for i in range(len(x)):
            total += pb.grad(lambda t, k: t * x[k])(x[i], i)
        return total

    program = pb.trace(f, X)
    assert "assert" not in str(program)
    assert pb.jit(f)(X) == f(X) == 6.0


def test_weak_numbers_stay_weak_and_single_precision_single():
    x = X.astype(np.float32)
    assert pb.jit(lambda x: pb.grad(lambda t: t * t)(3.0) * x)(x).dtype == np.float32
    assert pb.jit(lambda x: pb.grad(lambda t: (t * t, 2.0), has_aux=True)(3.0)[1] * x)(x).dtype == np.float32
    assert pb.jit(lambda x: pb.vjp(lambda t: t * t, x)[1](np.float32(1.0) * x)[0])(x).dtype == np.float32
    with pytest.raises(TypeError, match=r"the seed is f64\[3\], but the value is f32\[n\]"):
        pb.jit(lambda x: pb.vjp(lambda t: t * t, x)[1](np.ones(3))[0])(x)


def closure_array(x):
    buffer = np.zeros(3)

    def inner(y):
        buffer[0] = y[0]
        return np.sum(y * y)

    return np.sum(pb.grad(inner)(x)) + buffer[0]


def closure_list(x):
    log = []

    def inner(y):
        log.append(y[0])
        return np.sum(y * y)

    return np.sum(pb.grad(inner)(x)) + log[0]


def closure_number(x):
    last = 0.0

    def inner(y):
        nonlocal last
        last = y[0]
        return np.sum(y * y)

    return np.sum(pb.vjp(inner, x)[1](1.0)[0]) + last


def test_changes_of_outer_arrays_are_refused():
    for transform in (pb.jit, pb.grad):
        with pytest.raises(pb.PullbackError, match="outside|outer"):
            transform(closure_array)(X)


@pytest.mark.parametrize("f", [closure_list, closure_number])
def test_changes_of_outer_names_and_lists_happen(f):
    assert pb.jit(f)(X) == f(X)
    assert pb.grad(f)(X)[0] == 3.0  # 2 x summed, and the first number once more


def test_what_a_transform_writes_to_is_its_own():
    def doubled(y):
        y *= 2.0
        return np.sum(y)

    for transform in (pb.jit, pb.grad, lambda g: lambda y: pb.vjp(g, y)[0]):

        def f(x, transform=transform):
            y = x * 1.0
            first = np.sum(transform(doubled)(y))
            return first + np.sum(y) + np.sum(transform(lambda t: doubled(t))(y[1:]))

        assert pb.jit(f)(X) == f(X)
        check_grad(f, X)


def test_pull_is_refused_where_its_values_are_not_known():
    def kept(x):
        pulls = [None]
        if x[0] > 0.0:
            pulls[0] = pb.vjp(lambda t: t * t, x[0])[1]
        return pulls[0](1.0)[0]

    def after(x):
        for i in range(len(x)):
            _, pull = pb.vjp(lambda t: t * t, x[i])
        return pull(1.0)[0]

    class Holder:
        pull = None

    holder = Holder()

    def smuggled(x):
        def inner(t):
            Holder.seen = staticmethod(pb.vjp(lambda u: u * u, t * 1.0)[1])
            return t * t

        return pb.grad(inner)(x[0]) + Holder.seen(1.0)[0]

    for f in (kept, after, smuggled):
        with pytest.raises(pb.PullbackError):
            pb.jit(f)(X)
    assert holder.pull is None


def test_results_and_arguments_are_checked_as_outside():
    cases = [
        (lambda x: pb.grad(lambda t: 3)(x), "returns i64; grad needs a float"),
        (lambda x: pb.grad(lambda t: t * 2)(x), r"returns an array of type f64\[n\]"),
        (lambda x: pb.grad(lambda t: None)(x), "returns None"),
        (lambda x: pb.grad(lambda t: t[0], has_aux=True)(x), "must return"),
        (lambda x: pb.grad(lambda t, n: t[n], argnums=1)(x, 1), "argument 1"),
        (lambda x: pb.grad(lambda t, n: t[n], argnums=(0, 1))(x, 1), "argument 1"),
        (lambda x: pb.vjp(lambda n: n * 2, 3)[0] + x, "no float among the arguments"),
        (lambda x: pb.vjp(lambda t: t * t, x)[1](np.ones(2)), "shape"),
        (lambda x: pb.vjp(lambda t: t * t, x)[1]((x, x)), "must be an array of shape"),
        (lambda x: pb.vjp(lambda t: (t, t), x)[1](x), "the seed should be a tuple of 2"),
    ]
    for f, message in cases:
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            pb.jit(f)(X)
        assert isinstance(caught.value, pb.PullbackError)


def test_aux_holds_anything():
    def f(x):
        g, aux = pb.grad(
            lambda t: (np.sum(t * t), {"name": "a", "n": 3, "on": True, "t": t, "none": None}), has_aux=True
        )(x)
        assert aux["name"] == "a" and aux["on"] is True and aux["none"] is None
        return np.sum(g * aux["t"]) * aux["n"]

    assert pb.jit(f)(X) == f(X) == 84.0


def test_called_by_code_that_is_not_staged():
    def f(x):
        return sum(map(pb.grad(lambda t: t * t * x[0]), [x[0], x[1]])) + functools.partial(
            pb.grad(power), k=3
        )(x[2])

    assert pb.jit(f)(X) == f(X) == 33.0
    check_grad(f, X)


def power(x, k):
    return x**k


@pb.jit
def sign_dependent(x):
    if np.sum(x) > 0:
        return np.sum(x * x)
    return np.sum(x)


def test_jit_in_branches_and_loops():
    def f(x):
        s = 0.0
        for i in range(len(x)):
            if x[i] > 1.5:
                s += sign_dependent(x) * i
            else:
                s -= sign_dependent(-x[i:])
        return s

    assert pb.jit(f)(X) == f(X)
    check_grad(f, X)


class Model:
    def __init__(self, k):
        self.k = k

    @pb.grad
    def slope(self, w, b=1.0):
        return self.k * np.sum(w * w) * b

    @pb.value_and_grad(argnums=(1, 2))
    def both(self, w, b):
        return self.k * np.sum(w * w) * b

    @pb.value_and_grad(has_aux=True)
    def with_aux(self, w):
        return self.k * np.sum(w * w), w

    @pb.jit
    def value(self, w):
        return self.k * np.sum(w * w)


def test_methods_skip_self():
    """By default the first argument behind the instance counts; attributes are read anew, traced or not."""
    model = Model(3.0)

    def f(w):
        value, (bar, slope) = model.both(w, 2.0)
        (_, aux), again = model.with_aux(w)
        here = Model(w[0])
        return (
            np.sum(model.slope(w, b=2.0))
            + value
            + np.sum(bar)
            + slope
            + np.sum(aux * again)
            + here.slope(w)[1]
        )

    traced = pb.jit(f)
    for k in (3.0, 5.0):
        model.k = k
        np.testing.assert_allclose(model.slope(X), 2 * k * X)
        np.testing.assert_allclose(model.slope(X, 2.0), 4 * k * X)
        np.testing.assert_allclose(model.with_aux(X)[1], 2 * k * X)
        assert model.value(X) == k * 14.0
        assert traced(X) == pytest.approx(f(X))
        check_grad(f, X)
    with pytest.raises(TypeError, match="argument 0 is of type int"):
        model.slope(3)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(model.slope))(X), 10.0 * X)
    assert "self_k" in model.slope.ir or "k: f64" in model.slope.ir
