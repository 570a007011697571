"""scipy.linalg and the multivariate normal distribution: values as SciPy's, derivatives in both modes."""

import numpy as np
import pytest
import scipy.linalg as sl
from scipy.stats import multivariate_normal

import pullback as pb
from pullback.testing import check_grad

rng = np.random.default_rng(11)
N = 4
A = rng.normal(size=(N, N)) + 2 * np.eye(N)
V, B = rng.normal(size=N), rng.normal(size=(N, 2))
POINTS = rng.normal(size=(3, N))


def spd(a):
    return a @ a.T + np.eye(len(a))


CASES = {
    "inv": (sl.inv, A),
    "det": (sl.det, A),
    "pinv": (sl.pinv, A[:, :2]),
    "norm": (lambda a: sl.norm(a, 2), A),
    "eigvalsh": (lambda a: sl.eigvalsh(a + a.T), A),
    "solve": (sl.solve, A, V),
    "solve, transposed": (lambda a, b: sl.solve(a, b, transposed=True), A, B),
    "solve, positive definite": (lambda a, b: sl.solve(spd(a), b, assume_a="pos"), A, V),
    "solve, positive definite, lower": (lambda a, b: sl.solve(spd(a), b, lower=True, assume_a="pos"), A, B),
    "solve, symmetric": (lambda a, b: sl.solve(a + a.T, b, assume_a="sym"), A, V),
    "lu_factor": (lambda a: sl.lu_factor(a)[0], A),
    "lu_solve": (lambda a, b: sl.lu_solve(sl.lu_factor(a), b), A, V),
    "lu_solve, exchanged": (lambda a, b: sl.lu_solve(sl.lu_factor(a), b), A[[2, 0, 3, 1]], B),
    "lu_solve, transposed": (lambda a, b: sl.lu_solve(sl.lu_factor(a), b, trans=1), A[::-1], V),
    "block_diag": (lambda a, b: sl.block_diag(a, b, 2.0, b.T), A, V),
    "toeplitz": (sl.toeplitz, V),
    "toeplitz, a row": (lambda c, r: sl.toeplitz(c, r[:3]), V, V[::-1]),
    "expm": (sl.expm, A),
    "expm, small": (sl.expm, 1e-3 * A),
    "expm, large": (lambda a: sl.expm(4.0 * (a - a.T)), A),
    "expm of zero": (sl.expm, np.zeros((2, 2))),
    "normal": (lambda x, m, s: multivariate_normal.logpdf(x, m, spd(s)), V, V[::-1], A),
    "normal, points": (lambda x, s: multivariate_normal.logpdf(x, cov=spd(s)), POINTS, A),
    "normal, by name": (lambda x, m: multivariate_normal.pdf(x, mean=m, cov=np.eye(N) + 0.1), POINTS, V),
    "normal, frozen": (lambda x, s: multivariate_normal(np.zeros(N), spd(s)).logpdf(x), V, A),
}


def of_numbers(function):
    return lambda *args: np.sum(np.sin(function(*args)))


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, *args = CASES[name]
    with pb.options(jit=False, cache=False):
        value, wanted = pb.jit(function)(*args), function(*args)
        assert np.shape(value) == np.shape(wanted)
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-12)
        check_grad(of_numbers(function), *args)
        directions = [rng.normal(size=a.shape) for a in args]
        seed = rng.normal(size=np.shape(wanted))
        _, dot = pb.jvp(function, tuple(args), tuple(directions))
        bars = pb.vjp(function, *args)[1](seed)
    bars = bars if isinstance(bars, tuple) else (bars,)
    pulled = sum(np.sum(b * d) for b, d in zip(bars, directions))
    assert np.sum(dot * seed) == pytest.approx(pulled, rel=1e-8, abs=1e-10)


def test_one_triangle_is_read():
    """As SciPy has it, whatever lies in the other one."""
    with pb.options(jit=False, cache=False):
        for lower in (False, True):
            for kind in ("pos", "sym"):
                given = spd(A) + (np.triu(A, 1) if lower else np.tril(A, -1))
                solve = lambda a, lower=lower, kind=kind: sl.solve(a, V, lower=lower, assume_a=kind)  # noqa: E731
                np.testing.assert_allclose(pb.jit(solve)(given), solve(given), rtol=1e-10)


def test_errors_are_scipys():
    with pb.options(jit=False, cache=False):
        with pytest.raises(np.linalg.LinAlgError):
            pb.grad(lambda a: np.sum(sl.inv(a)))(np.ones((2, 2)))
        with pytest.raises(np.linalg.LinAlgError):
            pb.grad(lambda x: multivariate_normal.logpdf(x, cov=np.ones((2, 2))))(np.ones(2))


@pytest.mark.compiled
def test_compiled():
    for name in ("lu_solve, exchanged", "expm", "normal", "toeplitz, a row"):
        function, *args = CASES[name]
        bars = pb.grad(of_numbers(function), argnums=tuple(range(len(args))))(*args)
        with pb.options(jit=False, cache=False):
            wanted = pb.grad(of_numbers(function), argnums=tuple(range(len(args))))(*args)
        for bar, other in zip(bars, wanted):
            np.testing.assert_allclose(bar, other, rtol=1e-8, atol=1e-12)
