"""Linear systems: values as NumPy's and SciPy's, derivatives in both modes, errors, views, loops, stacks."""

import numpy as np
import pytest
import scipy.linalg

import pullback as pb
from pullback.testing import check_grad

rng = np.random.default_rng(7)
N = 4
A = rng.normal(size=(N, N)) + 3 * np.eye(N)
S = rng.normal(size=(3, N, N)) + 3 * np.eye(N)
SPD = A @ A.T
B, V, BS = rng.normal(size=(N, 3)), rng.normal(size=N), rng.normal(size=(3, N, 2))


def spd(a):
    return a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1])


CASES = {
    "solve, a vector": (np.linalg.solve, A, V),
    "solve, a matrix": (np.linalg.solve, A, B),
    "solve, stacks": (np.linalg.solve, S, BS),
    "solve, one matrix for a stack": (np.linalg.solve, A, BS),
    "solve, one right side for a stack": (np.linalg.solve, S, B),
    "solve, stacks that broadcast": (np.linalg.solve, S[:, None], BS[:2]),
    "solve, a transposed": (lambda a, b: np.linalg.solve(a.T, b), A, V),
    "solve, parts": (lambda a, b: np.linalg.solve(a[1:, ::-1][:, 1:], b[::2][:3, None]), A, np.arange(8.0)),
    "solve, size 1": (np.linalg.solve, A[:1, :1], V[:1]),
    "solve, float32": (np.linalg.solve, A.astype("f4"), V.astype("f4")),
    "solve, integers": (lambda b: np.linalg.solve(np.array([[2, 1], [1, 3]]), b[:2]), V),
    "inv": (np.linalg.inv, A),
    "inv, a stack": (np.linalg.inv, S),
    "det": (np.linalg.det, A),
    "det, a stack": (np.linalg.det, S),
    "det of exchanged rows": (lambda a: np.linalg.det(a[::-1]), A),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], A),
    "slogdet, by name": (lambda a: np.linalg.slogdet(a).logabsdet * np.linalg.slogdet(-a).sign, S),
    "cholesky": (lambda a: np.linalg.cholesky(spd(a)), A),
    "cholesky, a stack": (lambda a: np.linalg.cholesky(spd(a)), S),
    "cholesky, upper": (lambda a: np.linalg.cholesky(spd(a), upper=True), A),
    "scipy's cholesky": (lambda a: scipy.linalg.cholesky(spd(a)), A),
    "matrix_power": (lambda a: np.linalg.matrix_power(a, -3), A),
    "tensorsolve": (lambda a, b: np.linalg.tensorsolve(a.reshape(2, 2, 4), b.reshape(2, 2)), A, V),
    "tensorinv": (lambda a: np.linalg.tensorinv(a.reshape(2, 2, 4)), A),
    "solve_triangular": (lambda a, b: scipy.linalg.solve_triangular(a, b), A, V),
    "solve_triangular, lower": (lambda a, b: scipy.linalg.solve_triangular(a, b, lower=True), A, B),
    "solve_triangular, transposed": (lambda a, b: scipy.linalg.solve_triangular(a, b, "T", True), A, V),
    "solve_triangular, unit": (lambda a, b: scipy.linalg.solve_triangular(a, b, 1, unit_diagonal=True), A, B),
    "cho_solve": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(spd(a)), b), A, V),
    "cho_solve, lower": (lambda a, b: scipy.linalg.cho_solve(scipy.linalg.cho_factor(spd(a), True), b), A, B),
    "cho_factor": (lambda a: scipy.linalg.cho_factor(spd(a))[0], A),
}


def of_numbers(function):
    return lambda *args: np.sum(np.sin(function(*args)))


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, *args = CASES[name]
    given = [np.array(a) for a in args]
    single = args[0].dtype == np.float32
    with pb.options(jit=False, cache=False):
        value = pb.jit(function)(*args)
        wanted = function(*args)
        assert np.shape(value) == np.shape(wanted) and np.asarray(value).dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(value, wanted, rtol=1e-4 if single else 1e-11)
        if not single:
            check_grad(of_numbers(function), *args)
        directions = [rng.normal(size=a.shape).astype(a.dtype) for a in args]
        seed = rng.normal(size=np.shape(wanted)).astype(args[0].dtype)
        _, dot = pb.jvp(function, tuple(args), tuple(directions))
        bars = pb.vjp(function, *args)[1](seed)
    bars = bars if isinstance(bars, tuple) else (bars,)
    pulled = sum(np.sum(b * d) for b, d in zip(bars, directions))
    assert np.sum(dot * seed) == pytest.approx(pulled, rel=1e-3 if single else 1e-9, abs=1e-5 if single else 1e-11)
    for a, before in zip(args, given):
        np.testing.assert_array_equal(a, before)


AGAIN = ("solve, a vector", "solve, stacks", "det", "cholesky", "solve_triangular, transposed")


@pytest.mark.parametrize("name", AGAIN)
def test_second_derivatives(name):
    function, *args = CASES[name]
    with pb.options(jit=False, cache=False):
        direction = rng.normal(size=args[0].shape)

        def slope(*args):
            return np.sum(direction * pb.grad(of_numbers(function))(*args))

        check_grad(slope, *args)
        # Many directions at once.
        columns = pb.jacfwd(function)(*args)
        np.testing.assert_allclose(columns, pb.jacrev(function)(*args), rtol=1e-8, atol=1e-10)


def test_an_example_each():
    with pb.options(jit=False, cache=False):
        np.testing.assert_allclose(pb.vmap(np.linalg.solve)(S, BS), np.linalg.solve(S, BS))
        np.testing.assert_allclose(
            pb.vmap(pb.grad(lambda a: np.linalg.slogdet(a)[1]))(S), np.swapaxes(np.linalg.inv(S), 1, 2)
        )


def test_nothing():
    with pb.options(jit=False, cache=False):
        for a, b in ((np.ones((0, 0)), np.ones(0)), (np.ones((0, 3, 3)), np.ones((0, 3, 2))), (A, np.ones((N, 0)))):
            value, bars = pb.value_and_grad(of_numbers(np.linalg.solve), argnums=(0, 1))(a, b)
            assert value == 0.0 and [bar.shape for bar in bars] == [a.shape, b.shape]
            assert not np.any(bars[0])
        assert pb.jit(np.linalg.det)(np.ones((0, 0))) == 1.0


def test_errors_are_numpys():
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    wrong = (
        (lambda a: np.linalg.solve(a, a[0]), singular, "Singular matrix"),
        (np.linalg.inv, singular, "Singular matrix"),
        (np.linalg.inv, np.stack([np.eye(2), singular]), "Singular matrix"),
        (np.linalg.cholesky, -np.eye(3), "Matrix is not positive definite"),
        (np.linalg.cholesky, np.ones((3, 3)) - np.eye(3), "Matrix is not positive definite"),
        (lambda a: scipy.linalg.solve_triangular(a, a[0]), np.diag([1.0, 0.0]), "singular matrix"),
    )
    with pb.options(jit=False, cache=False):
        for function, a, message in wrong:
            with pytest.raises(np.linalg.LinAlgError, match=message):
                pb.grad(lambda a, function=function: np.sum(function(a)))(a)
        with pytest.raises(ValueError, match="must not contain infs or NaNs"):
            pb.grad(lambda b: np.sum(scipy.linalg.solve_triangular(np.eye(2), b)))(np.array([1.0, np.nan]))
        assert pb.jit(np.linalg.det)(singular) == 0.0
        assert pb.jit(np.linalg.slogdet)(singular) == (0.0, -np.inf)
        with pytest.raises(pb.PullbackError, match="do not go together"):
            pb.jit(np.linalg.solve)(A, np.ones(3))


def kalman(F, H, Q, R, y):
    x, P, total = np.zeros(F.shape[0]), np.eye(F.shape[0]), 0.0
    for t in range(y.shape[0]):
        x, P = F @ x, F @ P @ F.T + Q
        S = H @ P @ H.T + R
        r = y[t] - H @ x
        K = np.linalg.solve(S, H @ P).T
        x, P = x + K @ r, P - K @ S @ K.T
        sign, logdet = np.linalg.slogdet(S)
        total += logdet + r @ np.linalg.solve(S, r)
    return 0.5 * total


def gaussian_process(theta, x, y):
    K = theta[0] ** 2 * np.exp(-0.5 * (x[:, None] - x[None, :]) ** 2 / theta[1] ** 2) + theta[2] ** 2 * np.eye(len(x))
    L = np.linalg.cholesky(K)
    alpha = scipy.linalg.solve_triangular(L, y, lower=True)
    return 0.5 * alpha @ alpha + np.sum(np.log(np.diag(L)))


def log_density(x, mean, cov):
    r = x - mean
    sign, logdet = np.linalg.slogdet(cov)
    return -0.5 * (r @ np.linalg.solve(cov, r) + logdet + len(x) * np.log(2 * np.pi))


def mahalanobis(X, mean, cov):
    centred = X - mean
    return np.sum(np.sqrt(np.sum(centred @ np.linalg.inv(cov) * centred, axis=1)))


def normal_equations(X, y):
    w = np.linalg.solve(X.T @ X, X.T @ y)
    return np.sum((X @ w - y) ** 2) + np.sum(w**2)


def damped(a, b):
    """Under a branch."""
    if np.linalg.det(a) > 0.5:
        return np.sum(np.linalg.solve(a, b))
    return np.sum(np.linalg.solve(a + np.eye(len(b)), b) ** 2)


PROGRAMS = {
    "kalman": (kalman, np.eye(3) + 0.1 * rng.normal(size=(3, 3)), rng.normal(size=(2, 3)), 0.1 * np.eye(3),
               0.5 * np.eye(2), rng.normal(size=(5, 2))),
    "gaussian process": (gaussian_process, np.array([1.1, 0.7, 0.3]), rng.normal(size=6), rng.normal(size=6)),
    "log density": (log_density, V, V[::-1], SPD),
    "mahalanobis": (mahalanobis, rng.normal(size=(5, N)), V, SPD),
    "normal equations": (normal_equations, rng.normal(size=(7, 3)), rng.normal(size=7)),
    "damped": (damped, A, V),
    "damped, the other arm": (damped, -A[:3, :3], V[:3]),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.compiled)])
def test_programs_as_users_write_them(name, jit):
    function, *args = PROGRAMS[name]
    every = tuple(range(len(args)))
    with pb.options(jit=jit):
        value, bars = pb.value_and_grad(function, argnums=every)(*args)
        if not jit:
            check_grad(function, *args)
    with pb.options(jit=False, cache=False):
        wanted = pb.grad(function, argnums=every)(*args)
    assert value == pytest.approx(function(*args), rel=1e-10)
    for bar, other in zip(bars, wanted):
        np.testing.assert_allclose(bar, other, rtol=1e-8, atol=1e-10)
