"""SciPy's optimisers and solvers with our derivatives, containers in and out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import integrate, optimize

import pullback as pb
from pullback.calls.ravel import Ravel
from pullback.ir.errors import TypeMismatch
from pullback.transforms.higher import DenseJacobian


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


def rosenbrock(x, a=100.0):
    return np.sum(a * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@pytest.mark.parametrize(
    "method",
    [None, "BFGS", "Newton-CG", "trust-ncg", "trust-krylov", "trust-constr", "trust-exact", "SLSQP", "Nelder-Mead"],
)
def test_minimize(method):
    result = pb.scipy.minimize(rosenbrock, np.zeros(4), args=(10.0,), method=method)
    assert result.success and np.allclose(result.x, 1.0, atol=1e-3)


def test_one_call_gives_value_and_gradient(monkeypatch):
    seen = []
    monkeypatch.setattr(optimize, "minimize", lambda fun, x0, **options: seen.append((fun(x0), options)) or {})
    pb.scipy.minimize(rosenbrock, np.zeros((2, 2)).ravel(), method="L-BFGS-B", tol=1e-3)
    (value, slope), options = seen[0]
    assert type(value) is float and slope.tolist() == pb.grad(rosenbrock)(np.zeros(4)).tolist()
    assert options == {"jac": True, "method": "L-BFGS-B", "tol": 1e-3}
    pb.scipy.minimize(rosenbrock, np.zeros(4), method="Nelder-Mead")
    assert seen[1][0] == rosenbrock(np.zeros(4)) and seen[1][1]["jac"] is None
    pb.scipy.minimize(rosenbrock, np.zeros(4), method="trust-ncg")
    product = seen[2][1]["hessp"](np.ones(4), np.arange(4.0))
    assert np.allclose(product, optimize.rosen_hess_prod(np.ones(4), np.arange(4.0)))
    pb.scipy.minimize(rosenbrock, np.zeros(4), method="dogleg")
    assert np.allclose(seen[3][1]["hess"](np.ones(4)), optimize.rosen_hess(np.ones(4)))


def test_containers_bounds_and_callback():
    def loss(p):
        return (p["a"] - 2.0) ** 2 + np.sum((p["b"] - 0.5) ** 2)

    steps = []
    start = {"a": 0.0, "b": np.ones((2, 2)), "n": 3}
    result = pb.scipy.minimize(loss, start, bounds={"a": (0.0, 1.0)}, callback=lambda p: steps.append(p))
    assert result.x["a"] == 1.0 and result.x["n"] == 3 and np.allclose(result.x["b"], np.full((2, 2), 0.5))
    assert result.x_vector.shape == (5,) and result.jac["a"] == pytest.approx(-2.0)
    assert steps[-1]["b"].shape == (2, 2) and start["a"] == 0.0


def test_what_minimize_refuses():
    with pytest.raises(TypeMismatch, match=r"x0 has no floats: it is an array of int64. Use x.astype\(float\)"):
        pb.scipy.minimize(rosenbrock, np.arange(4))
    with pytest.raises(TypeMismatch, match="is no function of one float: pass the function itself"):
        pb.scipy.minimize(pb.grad(rosenbrock), np.zeros(4))
    with pytest.raises(TypeMismatch, match="needs a scalar"):
        pb.scipy.minimize(lambda x: x, np.zeros(4))


def decay(p, t, y):
    return p["scale"] * np.exp(-p["rate"] * t) + p["level"] - y


def test_least_squares(monkeypatch):
    t = np.linspace(0.0, 4.0, 40)
    truth = {"scale": 2.0, "rate": 1.3, "level": 0.5}
    start = {"scale": 1.0, "rate": 1.0, "level": 0.0}
    data = decay(truth, t, 0.0)
    result = pb.scipy.least_squares(decay, start, args=(t, data), method="lm")
    assert result.x == pytest.approx(truth) and result.x_vector == pytest.approx([2.0, 1.3, 0.5])
    expected = np.stack([np.exp(-1.3 * t), -2.0 * t * np.exp(-1.3 * t), np.ones(40)], axis=1)
    assert np.allclose(result.jac, expected)


def test_dense_jacobians_by_rows_and_by_columns():
    def f(x, k):
        return {"b": k * x[1:] * x[:-1], "a": np.sum(x) ** 2}

    jacobian = DenseJacobian(f)
    wide = jacobian(np.array([1.0, 2.0, 3.0]), 2.0)
    assert wide.tolist() == [[4, 2, 0], [0, 6, 4], [12, 12, 12]]
    tall = DenseJacobian(lambda x, t: x[0] * np.sin(x[1] * t))
    t = np.linspace(0.0, 1.0, 9)
    x = np.array([2.0, 3.0])
    assert np.allclose(tall(x, t), np.stack([np.sin(3 * t), 2 * t * np.cos(3 * t)], axis=1))
    assert np.allclose(tall(x, t[:2]), tall(x, t)[:2])
    assert tall.jacobian.plan.startswith("forward") and jacobian.jacobian.plan.startswith("forward")
    flat = DenseJacobian(lambda x: np.array([np.sum(x**2)]))
    assert flat(np.arange(9.0)).tolist() == [(2 * np.arange(9.0)).tolist()]
    assert flat.jacobian.plan.startswith("reverse")
    mixed = DenseJacobian(lambda p, n: [p["b"] * n, n, p["a"] * p["b"]])
    p = {"b": np.array([1.0, 2.0]), "n": 3, "a": 4.0}
    assert mixed(p, 2).tolist() == [[2, 0, 0], [0, 2, 0], [4, 0, 1], [0, 4, 2]]


def test_root():
    def f(x):
        return np.array([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]])

    result = pb.scipy.root(f, np.zeros(2))
    assert result.success and np.allclose(result.x, [0.8411639, 0.1588361]) and result.njev >= 1
    pair = pb.scipy.root(lambda p: (p[0] + 2.0 * p[1], p[0] - 1.0), (0.0, 0.0), method="lm")
    assert pair.x == pytest.approx((1.0, -0.5))
    assert pb.scipy.root(f, np.zeros(2), method="broyden1").success


def robertson(t, y, slow):
    a, b, c = y["a"], y["b"], y["c"]
    da = -slow * a + 1e4 * b * c
    dc = 3e7 * b * b
    return {"c": dc, "a": da, "b": -da - dc}  # in another order


def test_solve_ivp(monkeypatch):
    start = {"a": 1.0, "b": 0.0, "c": 0.0}
    ours = pb.scipy.solve_ivp(robertson, (0.0, 10.0), start, method="Radau", args=(0.04,), rtol=1e-6, atol=1e-9)

    def plain(t, y):
        found = robertson(t, dict(zip("abc", y)), 0.04)
        return [found["a"], found["b"], found["c"]]

    theirs = integrate.solve_ivp(plain, (0.0, 10.0), [1.0, 0.0, 0.0], method="Radau", rtol=1e-6, atol=1e-9)
    assert np.allclose(ours.y[:, -1], theirs.y[:, -1], rtol=1e-5)
    assert ours.y_at(-1) == dict(zip("abc", ours.y[:, -1]))
    lists = pb.scipy.solve_ivp(lambda t, y: [y[1], -y[0]], (0.0, 1.0), np.array([0.0, 1.0]), method="BDF", rtol=1e-8)
    assert lists.y[0, -1] == pytest.approx(np.sin(1.0), rel=1e-5)
    assert pb.scipy.solve_ivp(lambda t, y: -y, (0.0, 1.0), 1.0).y[0, -1] == pytest.approx(np.exp(-1.0), rel=1e-3)
    seen = []
    monkeypatch.setattr(integrate, "solve_ivp", lambda *args, **options: seen.append(options) or {})
    for method in ("LSODA", "RK45"):
        pb.scipy.solve_ivp(robertson, (0.0, 1.0), start, method=method, args=(0.04,))
    b, c = 2e-5, 0.1
    by_hand = [[-0.04, 1e4 * c, 1e4 * b], [0.04, -1e4 * c - 6e7 * b, -1e4 * b], [0.0, 6e7 * b, 0.0]]
    assert np.allclose(seen[0]["jac"](0.0, np.array([0.9, b, c])), by_hand) and "jac" not in seen[1]


def test_hessian_products_of_containers():
    product = pb.hvp(lambda p, k: k * p[0] * np.sum(p[1] ** 2))
    a, b = product((2.0, np.array([1.0, 3.0])), (1.0, np.array([0.5, 0.0])), 3.0)
    assert a == pytest.approx(3.0) and np.allclose(b, [12.0, 18.0])


def test_ravel():
    form = Ravel((1.0, np.float32(2.0), np.ones((1, 2), np.float32), "name"))
    back = form.unravel(np.arange(4.0))
    assert back[0] == 0.0 and type(back[1]) is np.float32 and back[2].dtype == np.float32 and back[3] == "name"
    with pytest.raises(TypeMismatch, match="x0 should be a tuple of 4"):
        form.ravel((1.0, 2.0))


def test_the_seed_of_a_vjp_inside_of_a_function_has_the_size_of_the_value():
    def pulled(u, x):
        y, pull = pb.vjp(lambda x: x[1:] * x[:-1], x)
        return np.sum(pull(u)[0] * x)

    x = np.arange(5.0)
    assert np.array_equal(pb.grad(pulled)(np.ones(4), x), 2.0 * x[1:] * x[:-1])
    with pytest.raises(ValueError, match=r"the seed and the value: shapes \(5,\) and \(4,\)|\(4,\) and \(5,\)"):
        pb.grad(pulled)(np.ones(5), x)


@pytest.mark.process
def test_scipy_is_imported_when_it_is_called():
    code = "import sys, pullback as pb; pb.scipy.minimize; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
