"""Decompositions: values as NumPy's and SciPy's, derivatives in both modes, equal and zero values, lower ranks."""

import numpy as np
import pytest
import scipy.linalg

import pullback as pb
from pullback.testing import check_grad

rng = np.random.default_rng(3)
N = 4
A = rng.normal(size=(N, N))
S = rng.normal(size=(3, N, N))
TALL, WIDE = rng.normal(size=(5, 3)), rng.normal(size=(3, 5))
STACK = rng.normal(size=(2, 4, 3))
V, B = rng.normal(size=5), rng.normal(size=(5, 2))


def sym(a):
    return 0.5 * (a + np.swapaxes(a, -1, -2))


def low_rank(a):
    """A matrix of rank 2."""
    return a[:, :2] @ a[:2]


CASES = {
    "eigh, values": (lambda a: np.linalg.eigh(sym(a))[0], A),
    "eigh, vectors": (lambda a: np.linalg.eigh(sym(a)).eigenvectors, A),
    "eigh, a stack": (lambda a: np.linalg.eigh(sym(a))[1] ** 2, S),
    "eigh, upper": (lambda a: np.linalg.eigh(sym(a), "U")[1] ** 2, A),
    "eigvalsh": (lambda a: np.linalg.eigvalsh(sym(a)), A),
    "eigvalsh, float32": (lambda a: np.linalg.eigvalsh(sym(a)), A.astype("f4")),
    "eigvalsh, size 1": (lambda a: np.linalg.eigvalsh(sym(a)), A[:1, :1]),
    "scipy's eigh": (lambda a: scipy.linalg.eigh(sym(a), driver="evd")[1], A),
    "scipy's eigh, values alone": (lambda a: scipy.linalg.eigh(sym(a), eigvals_only=True), A),
    "a function of a matrix": (lambda a: (lambda w, v: (v * np.exp(w)) @ v.T)(*np.linalg.eigh(sym(a))), A),
    "svd, values": (lambda a: np.linalg.svd(a, compute_uv=False), A),
    "svd, square": (lambda a: np.linalg.svd(a)[0] * np.linalg.svd(a)[2], A),
    "svd, tall": (lambda a: np.linalg.svd(a, full_matrices=False)[0], TALL),
    "svd, tall, right": (lambda a: np.linalg.svd(a, False)[2], TALL),
    "svd, wide": (lambda a: np.linalg.svd(a, full_matrices=False).Vh, WIDE),
    "svd, wide, left": (lambda a: np.linalg.svd(a, full_matrices=False).U, WIDE),
    "svd, a stack": (lambda a: np.linalg.svd(a, full_matrices=False)[0], STACK),
    "svd, transposed": (lambda a: np.linalg.svd(a.T, full_matrices=False)[0], TALL),
    "scipy's svdvals": (scipy.linalg.svdvals, WIDE),
    "qr, q": (lambda a: np.linalg.qr(a)[0], TALL),
    "qr, r": (lambda a: np.linalg.qr(a, mode="r"), TALL),
    "qr, square": (lambda a: np.linalg.qr(a).Q * np.linalg.qr(a).R, A),
    "qr, wide": (lambda a: np.linalg.qr(a)[1], WIDE),
    "qr, wide, q": (lambda a: np.linalg.qr(a, "complete")[0], WIDE),
    "qr, a stack": (lambda a: np.linalg.qr(a)[1], STACK),
    "scipy's qr": (lambda a: scipy.linalg.qr(a, mode="economic")[1], TALL),
    "pinv, tall": (np.linalg.pinv, TALL),
    "pinv, wide": (np.linalg.pinv, WIDE),
    "pinv, a stack": (np.linalg.pinv, STACK),
    "pinv of a rank": (lambda a: np.linalg.pinv(low_rank(a)), A),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b)[0], TALL, V),
    "lstsq, many": (lambda a, b: np.linalg.lstsq(a, b, rcond=None)[0], TALL, B),
    "lstsq, wide": (lambda a, b: np.linalg.lstsq(a, b)[0], WIDE, V[:3]),
    "lstsq of a rank": (lambda a, b: np.linalg.lstsq(low_rank(a), b)[0], A, V[:4]),
    "lstsq, residuals": (lambda a, b: np.linalg.lstsq(a, b)[1], TALL, B),
    "lstsq, values": (lambda a: np.linalg.lstsq(a, a[:, 0])[3], TALL),
    "cond": (np.linalg.cond, TALL),
    "cond, Frobenius": (lambda a: np.linalg.cond(a, "fro"), A),
    "norm, 2": (lambda a: np.linalg.norm(a, 2), TALL),
    "norm, -2": (lambda a: np.linalg.norm(a, -2), WIDE),
    "norm, nuclear": (lambda a: np.linalg.norm(a, "nuc", keepdims=True), TALL),
    "norm, of some axes": (lambda a: np.linalg.norm(a, 2, axis=(0, 2)), STACK),
}  # fmt: skip


def of_numbers(function):
    return lambda *args: np.sum(np.sin(function(*args)))


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    function, *args = CASES[name]
    given = [np.array(a) for a in args]
    single = args[0].dtype == np.float32
    with pb.options(jit=False, cache=False):
        value, wanted = pb.jit(function)(*args), function(*args)
        assert np.shape(value) == np.shape(wanted) and np.asarray(value).dtype == np.asarray(wanted).dtype
        np.testing.assert_allclose(value, wanted, rtol=1e-4 if single else 1e-9, atol=1e-5 if single else 1e-12)
        if not single:
            check_grad(of_numbers(function), *args)
        directions = [rng.normal(size=a.shape).astype(a.dtype) for a in args]
        seed = rng.normal(size=np.shape(wanted)).astype(args[0].dtype)
        _, dot = pb.jvp(function, tuple(args), tuple(directions))
        bars = pb.vjp(function, *args)[1](seed)
    bars = bars if isinstance(bars, tuple) else (bars,)
    pulled = sum(np.sum(b * d) for b, d in zip(bars, directions))
    assert np.sum(dot * seed) == pytest.approx(pulled, rel=1e-3 if single else 1e-8, abs=1e-5 if single else 1e-10)
    for a, before in zip(args, given):
        np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("name", ["eigh, vectors", "svd, tall", "qr, q", "pinv of a rank", "norm, nuclear"])
def test_second_derivatives(name):
    function, *args = CASES[name]
    direction = rng.normal(size=args[0].shape)
    with pb.options(jit=False, cache=False):
        check_grad(lambda *a: np.sum(direction * pb.grad(of_numbers(function))(*a)), *args)
        np.testing.assert_allclose(pb.jacfwd(function)(*args), pb.jacrev(function)(*args), rtol=1e-7, atol=1e-9)


def test_numbers_without_a_derivative():
    with pb.options(jit=False, cache=False):
        for a in (low_rank(A), A, np.zeros((3, 2)), STACK):
            assert np.all(pb.jit(np.linalg.matrix_rank)(a) == np.linalg.matrix_rank(a))
        rank = pb.jit(lambda a, b: np.linalg.lstsq(a, b)[2])(low_rank(A), V[:4])
        assert rank == 2
        assert pb.jit(lambda a, b: np.linalg.lstsq(a, b)[1])(low_rank(A), V[:4]).shape == (0,)


def exponential(a):
    w, v = np.linalg.eigh(sym(a))
    return np.sum(np.sin((v * np.exp(w)) @ v.T + 0.3) * np.arange(a.shape[0]))


def polar(a):
    u, s, vt = np.linalg.svd(a)
    return np.sum(np.sin(u @ vt + 0.3) * np.arange(a.shape[0]))


def first_vector(a):
    """Of a matrix whose largest eigenvalue is single."""
    v = np.linalg.eigh(sym(a))[1][:, -1]
    return np.sum(np.cos(np.outer(v, v)) * np.arange(a.shape[0]))


@pytest.mark.parametrize("function, a", [
    (lambda a: np.sum(np.linalg.eigvalsh(sym(a)) ** 2), np.eye(3)), (first_vector, np.diag([1.0, 2.0, 1.0])),
    (lambda a: np.linalg.norm(a, "nuc"), np.eye(3)), (lambda a: np.linalg.norm(a, "nuc"), np.eye(3)[:, :2]),
    (lambda a: np.linalg.norm(np.linalg.pinv(a)), np.eye(3)[:, :2]), (exponential, np.diag([1.0, 2.0, 3.0])),
])  # fmt: skip
def test_equal_values(function, a):
    """What does not ask for a basis of a space has its derivative where values are equal."""
    with pb.options(jit=False, cache=False):
        check_grad(function, a)
        turned = np.linalg.qr(np.random.default_rng(1).normal(size=a.shape[:1] * 2))[0]
        check_grad(lambda b: function(turned @ b @ turned.T) if a.shape[0] == a.shape[1] else function(turned @ b), a)


@pytest.mark.parametrize("function, a", [
    (exponential, np.eye(3)), (exponential, np.diag([1.0, 2.0, 1.0])), (exponential, np.zeros((3, 3))),
    (polar, np.eye(3)), (polar, np.diag([2.0, 2.0, 1.0])),
])  # fmt: skip
def test_a_basis_of_equal_values_has_no_derivative(function, a):
    with pb.options(jit=False, cache=False):
        assert np.any(np.isnan(pb.grad(function)(a)))
        assert np.isnan(pb.jvp(function, (a,), (np.ones(a.shape) + np.diag(np.arange(3.0)),))[1])


def test_nothing():
    with pb.options(jit=False, cache=False):
        assert pb.grad(lambda a: np.sum(np.linalg.eigvalsh(a)))(np.ones((0, 0))).shape == (0, 0)
        assert pb.grad(lambda a: np.sum(np.linalg.svd(a, compute_uv=False)))(np.ones((3, 0))).shape == (3, 0)
        assert pb.jit(np.linalg.pinv)(np.ones((0, 3))).shape == (3, 0)
        assert pb.grad(lambda a: np.sum(np.linalg.qr(a)[1]))(np.ones((0, 2, 2))).shape == (0, 2, 2)


def principal(X):
    """The share of variance of the first component."""
    centred = X - np.mean(X, axis=0)
    w = np.linalg.eigvalsh(centred.T @ centred / len(X))
    return w[-1] / np.sum(w)


def ridge(X, y, strength):
    u, s, vt = np.linalg.svd(X, full_matrices=False)
    w = vt.T @ (s / (s**2 + strength) * (u.T @ y))
    return np.sum((X @ w - y) ** 2)


def power(a):
    total = 0.0
    for k in range(3):
        q, r = np.linalg.qr(a)
        a = r @ q + 0.1 * k
        total += np.sum(np.log(np.abs(np.diag(r))))
    return total


PROGRAMS = {"principal": (principal, TALL), "ridge": (ridge, TALL, V, 0.3), "power": (power, A),
            "least squares": (lambda a, b: np.sum(np.linalg.lstsq(a, b)[0] ** 2), TALL, V)}


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
    assert value == pytest.approx(function(*args), rel=1e-9)
    for bar, other in zip(bars, wanted):
        np.testing.assert_allclose(bar, other, rtol=1e-7, atol=1e-10)
