"""Functions that are called as they are, primitives with a form of SymPy, and the check of rules."""

import math

import numpy as np
import pytest
import scipy.special
from scipy.interpolate import CubicSpline

import pullback as pb
from pullback.ir.errors import PullbackError
from pullback.ir.text import parse, show

SPLINE = CubicSpline(np.arange(6.0), np.sin(np.arange(6.0)))
curvature = pb.register(SPLINE.derivative(2), vjp=lambda g, y, x: g * 0.0)
slope = pb.register(SPLINE.derivative(), vjp=lambda g, y, x: g * curvature(x))
spline = pb.register(SPLINE, vjp=lambda g, y, x: g * slope(x))
bessel = pb.register(
    lambda n, x: scipy.special.jv(n, x),
    jvp=lambda t, y, n, x: 0.5 * t[1] * (bessel(n - 1, x) - bessel(n + 1, x)),
)
POINTS = np.array([0.3, 1.7, 4.2])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


def in_a_loop(f, x):
    total = 0.0
    for i in range(x.size):
        if x[i] > 0.5:
            total += f(x[i]) * f(x[i] * 0.5)
    return total


def of_parts(f, x):
    return np.sum(f(x[::-1][1:]) ** 2) + f(x[0])


def of_matrices(f, x):
    return np.sum(f(x[:, None] * x) @ x)


@pytest.mark.parametrize("caller", [in_a_loop, of_parts, of_matrices], ids=lambda c: c.__name__)
def test_a_registered_function(caller):
    for f in (spline, lambda x: bessel(2, x)):
        loss = lambda x, f=f: caller(f, x)
        assert pb.jit(loss)(POINTS) == pytest.approx(loss(POINTS))
        pb.testing.check_rule(loss, POINTS)
        pb.testing.check_grad(pb.grad(loss), POINTS, directions=1)


@pytest.mark.compiled
def test_a_registered_function_in_compiled_code():
    with pb.options(jit=True):
        gradient = pb.grad(lambda x: in_a_loop(spline, x))
        with pb.options(jit=False):
            expected = gradient(POINTS)
        for _ in range(3):
            np.testing.assert_allclose(gradient(POINTS), expected)

        def fails(x):
            raise KeyError("no such x")

        failing = pb.register(fails)
        wrong = pb.jit(lambda x: failing(x) + 1.0)
        with pytest.raises(KeyError, match="no such x"):
            wrong(1.0)


def test_several_results_and_static_arguments():
    def parts(A, how):
        values, vectors = np.linalg.eigh(A)
        return (values, vectors) if how == "up" else (values[::-1], vectors[:, ::-1])

    eigen = pb.register(
        parts, shape=lambda A, how: [A.shape[:1], A.shape],
        jvp=lambda t, y, A, how: (np.diag(y[1].T @ t[0] @ y[1]), None),
    )  # fmt: skip
    A = np.array([[2.0, 1.0], [1.0, 3.0]])
    for how, place in (("up", 1), ("down", 0)):
        values, vectors = pb.jit(lambda A, how=how: eigen(A, how))(A)
        np.testing.assert_allclose(values, parts(A, how)[0])
        v = vectors[:, place]
        np.testing.assert_allclose(pb.grad(lambda A, how=how, k=place: eigen(A, how)[0][k])(A), np.outer(v, v))


@pytest.mark.parametrize("x", [np.float32(0.5), np.float32([0.5, 2.0]), 0.5, np.zeros(0), np.array(0.7)])
def test_dtypes_and_sizes(x):
    y = pb.jit(lambda x: spline(x))(x)
    assert np.shape(y) == np.shape(x)
    assert np.asarray(y).dtype == (np.float32 if np.asarray(x).dtype == np.float32 else np.float64)
    np.testing.assert_allclose(y, SPLINE(x), rtol=1e-6)
    bar = pb.grad(lambda x: np.sum(spline(x)))(x)
    np.testing.assert_allclose(bar, SPLINE(x, 1), rtol=1e-6)


def test_the_function_gets_what_the_user_passes():
    seen = []

    def record(x, n, flag, name):
        seen.append((type(x), n, flag, name))
        x[0] = 7.0
        return x * n

    f = pb.register(record, vjp=lambda g, y, x, n, flag, name: (g * n, None, None, None), shape=lambda x, *_: x.shape)
    x = np.ones(2)
    assert pb.grad(lambda x, n: np.sum(f(x, n, True, "a") ** 2))(x, 3).tolist() == [126.0, 18.0]
    assert seen == [(np.ndarray, 3, True, "a")] and type(seen[0][1]) is int
    assert x.tolist() == [1.0, 1.0]


def test_it_stands_in_the_text():
    program = pb.trace(lambda x: spline(x) * 2.0, POINTS)
    assert "external(CubicSpline_" in show(program) and parse(show(program)) == program
    np.testing.assert_allclose(pb.evaluate(program, POINTS), 2.0 * SPLINE(POINTS))


def test_vmap_of_a_registered_function():
    got = pb.vmap(pb.grad(lambda x: spline(x) ** 2))(POINTS)
    np.testing.assert_allclose(got, 2 * SPLINE(POINTS) * SPLINE(POINTS, 1))
    np.testing.assert_allclose(pb.jacfwd(lambda x: spline(x))(POINTS), np.diag(SPLINE(POINTS, 1)), atol=1e-12)


def test_registered_functions_that_are_wrong():
    bare = pb.register(math.gamma, shape=())
    assert pb.jit(lambda x: bare(x) + 1.0)(4.0) == 7.0
    assert pb.grad(lambda x: x * pb.stop_gradient(bare(x)))(4.0) == 6.0
    with pytest.raises(PullbackError, match="gamma is called as it is, and has no derivative rule"):
        pb.grad(lambda x: bare(x))(4.0)
    with pytest.raises(PullbackError, match="gamma is called as it is, and has no derivative rule"):
        pb.jvp(lambda x: bare(x), (4.0,), (1.0,))
    for match, function, shape in (
        (r"of shape \(2,\), where it should return floats of shape \(3,\)", lambda x: x[:2], None),
        ("given 1 shapes", lambda x: (x, x), lambda x: [x.shape]),
        ("returns one array", lambda x: x, lambda x: [x.shape]),
    ):
        with pytest.raises(PullbackError, match=match):
            pb.jit(pb.register(function, shape=shape))(POINTS)
    with pytest.raises(PullbackError, match="made inside of the traced function"):
        pb.jit(lambda x: pb.register(lambda x: x)(x))(POINTS)
    with pytest.raises(PullbackError, match="takes a function"):
        pb.register(3.0)


# -- primitives --------------------------------------------------------------------------------------------


@pb.primitive("log(1 + exp(k*x))/k")
def softplus(x, k):
    return np.logaddexp(0.0, k * x) / k


@pb.primitive("erf(x)*exp(-x**2)")
def bell(x):
    return scipy.special.erf(x) * np.exp(-x * x)


def test_a_primitive():
    pb.testing.check_rule(softplus, POINTS, 2.0)
    pb.testing.check_rule(softplus, POINTS, POINTS[:, None])
    pb.testing.check_rule(bell, POINTS)
    pb.testing.check_grad(pb.grad(lambda x: np.sum(bell(x) * softplus(x, 0.5))), POINTS)
    with pytest.raises(PullbackError, match="is of k, and the function is of x"):
        pb.primitive("k*x")(lambda x: x)


# -- check_rule --------------------------------------------------------------------------------------------


def test_check_rule_finds_what_is_wrong():
    def ruled(**rules):
        f = pb.custom_vjp(lambda x: x * x)
        if "bwd" in rules:
            f.defvjp(lambda x: (rules.get("value", lambda x: x * x)(x), x), rules["bwd"])
        if "jvp" in rules:
            f.defjvp(rules["jvp"])
        return f

    good = lambda x, g: (2.0 * x * g,)
    pb.testing.check_rule(ruled(bwd=good), POINTS)
    with pytest.raises(AssertionError, match="finite differences"):
        pb.testing.check_rule(ruled(bwd=lambda x, g: (3.0 * x * g,)), POINTS)
    pb.testing.check_rule(ruled(bwd=lambda x, g: (3.0 * x * g,)), POINTS, differences=False)
    with pytest.raises(AssertionError, match="forward and reverse mode .* differ"):
        pb.testing.check_rule(ruled(bwd=good, jvp=lambda p, t: (p[0] ** 2, p[0] * t[0])), POINTS)
    with pytest.raises(AssertionError, match="in NumPy"):
        pb.testing.check_rule(ruled(bwd=good, value=lambda x: x * x + 1.0), POINTS)
