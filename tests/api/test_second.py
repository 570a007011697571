"""Second derivatives and the memory of Jacobians: vhp, auxiliary results, chunks of directions."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb

X = np.array([0.5, -1.0, 2.0])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def energy(x, k):
    return np.sum(np.sin(k * x[1:]) * x[:-1] ** 2)


def looped(p):
    s = p["b"]
    for w in p["w"]:
        if w > 0:
            s = s * np.sin(w) + p["b"]
        else:
            s = s - w * w * p["b"]
    return s


class Model:
    def __init__(self, a):
        self.a = a

    @pb.vhp
    def product(self, x):
        return self.a * np.sum(x**3)


def test_vhp_is_hvp_where_there_is_a_hessian():
    v = np.array([1.0, 0.25, -2.0])
    np.testing.assert_allclose(pb.vhp(energy)(X, v, 1.5), pb.hvp(energy)(X, v, 1.5), atol=1e-12)
    p, q = {"b": 2.0, "w": X}, {"b": 1.0, "w": v}
    one, other = pb.vhp(looped)(p, q), pb.hvp(looped)(p, q)
    assert type(one["b"]) is float and one["b"] == pytest.approx(other["b"])
    np.testing.assert_allclose(one["w"], other["w"], atol=1e-12)
    for at in (one, other):  # what does not move
        assert at.keys() == pb.vhp(looped)(p, {"b": None, "w": None}).keys()
    both = pb.vhp(energy, argnums=(0, 1))(X, 1.5, (v, 1.0))
    np.testing.assert_allclose(both[0], pb.hvp(energy, argnums=(0, 1))(X, 1.5, (v, 1.0))[0], atol=1e-12)
    assert pb.vhp(lambda x: x**3)(2.0, 10.0) == 120.0
    np.testing.assert_array_equal(pb.vhp(lambda x: 3.0 * x[0])(X, v), np.zeros(3))
    np.testing.assert_array_equal(Model(2.0).product(X, v), 12 * X * v)


def test_second_derivatives_with_aux():
    f = lambda x: (np.sum(x**3), {"x": x, "n": 3})
    for product in (pb.hvp(f, has_aux=True), pb.vhp(f, has_aux=True)):
        found, aux = product(X, X)
        np.testing.assert_allclose(found, 6 * X * X)
        np.testing.assert_array_equal(aux["x"], X)
        assert aux["n"] == 3
    diagonal, aux = pb.hessian_diag(f, has_aux=True)(X)
    np.testing.assert_allclose(diagonal, 6 * X)
    np.testing.assert_array_equal(aux["x"], X)


KINDS = {
    "jacfwd": (pb.jacfwd, lambda x: x[1:] * x[:-1]), "jacobian": (pb.jacobian, lambda x: np.outer(x, x)),
    "value_and_jacobian": (lambda *a, **k: lambda x: pb.value_and_jacobian(*a, **k)(x)[1], lambda x: x * x[0]),
    "hessian": (pb.hessian, lambda x: energy(x, 2.0)), "hessian_diag": (pb.hessian_diag, lambda x: energy(x, 2.0)),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, 5])
def test_chunks_change_nothing(kind, n):
    """Sizes that a chunk divides, and others; also of a matrix."""
    make, f = KINDS[kind]
    x = np.linspace(0.5, 1.5, n)
    if n == 0 and kind == "value_and_jacobian":
        f = lambda x: x * 2.0
    expected = make(f)(x)
    for chunk in (1, 2, 5):
        np.testing.assert_allclose(make(f, chunk_size=chunk)(x), expected, atol=1e-12)
        flat = make(lambda A: f(A[0]), chunk_size=chunk)(np.stack([x, x]))
        own = flat[0, :, 0] if kind == "hessian" else flat[0] if kind == "hessian_diag" else flat[..., 0, :]
        np.testing.assert_allclose(own, expected, atol=1e-12)


@pytest.mark.parametrize("error, value", [(TypeError, 2.5), (TypeError, "all"), (ValueError, 0), (ValueError, -1)])
def test_chunk_size_is_checked(error, value):
    for kind in (pb.jacfwd, pb.jacobian, pb.value_and_jacobian, pb.hessian, pb.hessian_diag):
        with pytest.raises(error, match="chunk_size must be a positive integer or None"):
            kind(lambda x: x, chunk_size=value)


def test_chunks_are_said_and_pickled():
    J = pickle.loads(pickle.dumps(pb.jacobian(np.sin, chunk_size=4)))
    J(np.arange(6.0))
    assert J.plan == "forward: 6 directions of the argument 4 at once, against 6 reverse sweeps"
    H = pickle.loads(pickle.dumps(pb.hessian(np.sum, chunk_size=4)))
    assert H._chunk == 4
    for large, at_once in ((100, 64), (200, 8)):
        J = pb.jacobian(lambda x: np.repeat(x, 2))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pullback.transforms.jacobian.LARGE", 250)
            np.testing.assert_array_equal(J(np.ones(large)), np.repeat(np.eye(large), 2, axis=0))
            assert f"{at_once} at once" in J.plan


CHILD = """
import resource
import numpy as np, pullback as pb

def steps(x):
    for _ in range(3):
        x = x + 0.1 * np.sin(x) * x[::-1]
    return x

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

x = np.linspace(0.0, 1.0, 4000)
for kind, n in (("hessian_diag", 3000), ("jacfwd", 3000), ("jacrev", 4000)):  # the peak only grows
    f = (lambda x: np.sum(steps(x) ** 2)) if kind == "hessian_diag" else steps
    made = getattr(pb, kind)(f, **({} if kind == "jacrev" else {"chunk_size": 16}))
    made(x[:200]), made(x[:210])
    before = peak()
    made(x[:n])
    print((peak() - before) * 2**20 / (n * n * 8))
"""


@pytest.mark.compiled
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of ru_maxrss is Linux's")
def test_memory_is_the_result_and_a_chunk():
    """In a process of its own, whose peak is read, as a share of a square matrix."""
    found = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    diagonal, forward, reverse = map(float, found.stdout.split())
    assert diagonal < 0.2 and forward < 1.3 and reverse < 1.3
