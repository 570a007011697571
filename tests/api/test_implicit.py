"""Implicit derivatives: solutions of equations by any solver, against formulas and finite differences."""

import numpy as np
import pytest
import scipy.optimize

import pullback as pb
from pullback.ir.errors import PullbackError

A = np.array([[3.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 0.5, 5.0]])
B = np.array([1.0, 2.0, 3.0])
X0 = np.zeros(3)


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


def residual(x, A, b):
    return A @ x + 0.1 * x**3 - b


def by_scipy(x0, A, b):
    return scipy.optimize.root(lambda x: residual(x, A, b), x0, tol=1e-12)


def by_newton(x0, A, b):
    x = x0
    while np.max(np.abs(residual(x, A, b))) > 1e-12:
        x = x - np.linalg.solve(A + np.diag(0.3 * x**2), residual(x, A, b))
    return x


SOLVERS = {"scipy": by_scipy, "loop": by_newton, "compiled": pb.jit(by_newton)}


def by_product(product, b):
    """A solve by products alone: the matrix, column by column."""
    return np.linalg.solve(np.stack([product(e) for e in np.eye(3)], 1), b)


@pytest.mark.parametrize(
    ("solver", "solve"),
    [("scipy", "dense"), ("loop", "dense"), ("compiled", "dense"), ("loop", "gmres"), ("loop", by_product)],
)
def test_root_with_any_solver(solver, solve):
    f = pb.root(residual, SOLVERS[solver], solve=solve)
    x = f(X0, A, B)
    jacobian = A + np.diag(0.3 * x**2)
    loss = lambda A, b: np.sum(np.sin(f(X0, A, b)))
    by_a, by_b = pb.grad(loss, (0, 1))(A, B)
    w = np.linalg.solve(jacobian.T, np.cos(x))
    np.testing.assert_allclose(by_b, w, rtol=1e-9)
    np.testing.assert_allclose(by_a, -np.outer(w, x), rtol=1e-9)
    np.testing.assert_allclose(pb.jacfwd(lambda b: f(X0, A, b))(B), np.linalg.inv(jacobian), rtol=1e-9)
    np.testing.assert_allclose(pb.jacrev(lambda b: f(X0, A, b))(B), np.linalg.inv(jacobian), rtol=1e-9)
    assert pb.grad(lambda x0: np.sum(f(x0, A, B)))(X0).tolist() == [0.0, 0.0, 0.0]


def test_second_derivatives():
    f = pb.root(residual, by_newton)
    pb.testing.check_rule(lambda b: f(X0, A, b), B)
    pb.testing.check_grad(pb.grad(lambda b: np.sum(f(X0, A, b) ** 2)), B, directions=1)


def test_numbers():
    f = pb.root(lambda x, a: x**3 - a, lambda x0, a: scipy.optimize.newton(lambda x: x**3 - a, x0, tol=1e-14))
    assert f(1.0, 8.0) == pytest.approx(2.0)
    assert pb.grad(f, 1)(1.0, 8.0) == pytest.approx(1 / 12)
    assert pb.jvp(lambda a: f(1.0, a), (8.0,), (2.0,))[1] == pytest.approx(1 / 6)
    assert pb.grad(pb.grad(f, 1), 1)(1.0, 8.0) == pytest.approx(-2 / 9 * 8 ** (-5 / 3))


def test_in_loops_and_branches():
    f = pb.root(lambda x, a: x * x - a, lambda x0, a: np.sqrt(a))

    def loss(a):
        total = 0.0
        for i in range(3):
            if i != 1:
                total += f(1.0, a * (i + 1.0)) ** 3
        return total

    assert pb.grad(loss)(2.0) == pytest.approx(1.5 * 2.0**0.5 * (1.0 + 3.0**1.5))
    got = pb.vmap(pb.grad(lambda a: f(1.0, a)))(np.array([1.0, 4.0]))
    np.testing.assert_allclose(got, [0.5, 0.25])


def test_containers():
    def equations(x, p):
        return {"u": x["u"] * p["a"] - 1.0, "v": x["v"] ** 2 - x["u"] * p["b"]}

    def solved(x0, p):
        return {"u": 1.0 / p["a"], "v": np.sqrt(p["b"] / p["a"])}

    f = pb.root(equations, solved)
    start, p = {"u": 1.0, "v": np.ones(2)}, {"a": 4.0, "b": np.array([1.0, 9.0])}
    found = pb.jit(lambda p: f(start, p))(p)
    assert found["u"] == 0.25 and found["v"].tolist() == [0.5, 1.5]
    bars = pb.grad(lambda p: f(start, p)["u"] + f(start, p)["v"][1])(p)
    assert bars["a"] == pytest.approx(-1 / 16 - 0.5 * 3.0 * 4.0**-1.5)
    np.testing.assert_allclose(bars["b"], [0.0, 0.5 / np.sqrt(36.0)])


def test_fixed_point():
    f = pb.fixed_point(lambda x, W, b: np.tanh(W @ x + b))
    W, b = 0.2 * A, 0.1 * B
    x = f(X0, W, b)
    np.testing.assert_allclose(x, np.tanh(W @ x + b), rtol=1e-12)
    pb.testing.check_rule(lambda W, b: f(X0, W, b), W, b)
    solver = lambda x0, a: scipy.optimize.fixed_point(lambda x: np.cos(a * x), x0)
    g = pb.fixed_point(lambda x, a: np.cos(a * x), solver)
    x = g(0.5, 1.0)
    assert pb.grad(g, 1)(0.5, 1.0) == pytest.approx(-x * np.sin(x) / (1.0 + np.sin(x)))


@pytest.mark.compiled
def test_in_compiled_code():
    f = pb.root(residual, by_scipy)
    with pb.options(jit=True):
        gradient = pb.grad(lambda b: np.sum(np.sin(f(X0, A, b))))
        x = f(X0, A, B)
        np.testing.assert_allclose(gradient(B), np.linalg.solve((A + np.diag(0.3 * x**2)).T, np.cos(x)), rtol=1e-9)


def test_what_is_wrong_is_said():
    with pytest.raises(PullbackError, match="solve must be"):
        pb.root(residual, by_newton, solve="lu")
    double = pb.root(lambda x, a: x**2 - a, lambda x0, a: 0.0 * a)
    with pytest.raises(np.linalg.LinAlgError):
        pb.grad(lambda a: double(1.0, a))(1.0)
    none = pb.root(lambda x, a: x**2 + a, lambda x0, a: scipy.optimize.root(lambda x: x**2 + a, x0))
    with pytest.raises(RuntimeError, match="has not converged"):
        pb.jit(lambda a: none(1.0, a))(1.0)
    with pytest.raises(RuntimeError, match="has not converged"):
        pb.fixed_point(lambda x, a: -a * x)(1.0, 1.0)
    other = pb.root(lambda x, a: x, lambda x0, a: a)
    with pytest.raises(PullbackError, match="in the form of x0"):
        pb.jit(lambda a: other({"u": 1.0}, a)["u"])(1.0)
    fewer = pb.root(lambda x, a: np.sum(x) - a, lambda x0, a: x0)
    with pytest.raises(PullbackError, match="the shape of x"):
        pb.grad(lambda a: np.sum(fewer(np.ones(2), a)))(1.0)


# -- SciPy -------------------------------------------------------------------------------------------------


def bowl(x, p):
    return np.sum((x - p) ** 2) + np.sum(x**4) + 0.1 * np.sum(x) ** 2


def misfit(x, t, y):
    return x[0] * np.exp(-x[1] * t) - y


T = np.linspace(0.0, 2.0, 6)
Y = 2.0 * np.exp(-0.7 * T) + 0.1 * np.cos(9.0 * T)


def test_the_place_of_a_minimum():
    p = np.array([0.5, -1.0])
    place = lambda p: pb.scipy.minimize(bowl, np.zeros(2), args=(p,), method="BFGS", tol=1e-10).x
    x = place(p)
    by_hand = np.linalg.solve(np.diag(2.0 + 12.0 * x**2) + 0.2, 2.0 * np.eye(2))
    np.testing.assert_allclose(pb.jacrev(place)(p), by_hand, rtol=1e-6)
    np.testing.assert_allclose(pb.jacfwd(place)(p), by_hand, rtol=1e-6)
    least = lambda p: pb.scipy.minimize(bowl, np.zeros(2), args=(p,), tol=1e-10).fun
    np.testing.assert_allclose(pb.grad(least)(p), -2.0 * (x - p), rtol=1e-5)


def test_least_squares_by_the_data():
    fit = lambda y: pb.scipy.least_squares(misfit, np.ones(2), args=(T, y), gtol=1e-14, xtol=1e-14, ftol=1e-14).x
    jacobian = pb.jacrev(fit)(Y)
    for k in (0, 3):
        step = 1e-3 * np.eye(6)[k]
        np.testing.assert_allclose(jacobian[:, k], (fit(Y + step) - fit(Y - step)) / 2e-3, rtol=1e-4)


def test_root_of_scipy():
    solve = lambda b: pb.scipy.root(residual, X0, args=(A, b), tol=1e-12).x
    x = solve(B)
    np.testing.assert_allclose(pb.jacfwd(solve)(B), np.linalg.inv(A + np.diag(0.3 * x**2)), rtol=1e-8)


def test_what_has_no_such_derivative():
    with pytest.raises(PullbackError, match="with bounds cannot be differentiated"):
        pb.grad(lambda p: pb.scipy.minimize(bowl, np.zeros(2), args=(p,), bounds=[(0, 1)] * 2).fun)(np.ones(2))
    with pytest.raises(PullbackError, match="is made inside of the traced function"):
        pb.grad(lambda p: pb.scipy.minimize(lambda x, p: (x - p) ** 2, 0.0, args=(p,)).x)(1.0)
