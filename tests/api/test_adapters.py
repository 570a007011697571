"""Functions with our gradients in other libraries, each tested where it is installed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb
from pullback.adapters import iminuit, jax, optional, pytensor, samplers, torch
from pullback.ir.errors import TypeMismatch

RNG = np.random.default_rng(0)
W, X = RNG.normal(size=3), RNG.normal(size=(4, 3))


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


def layer(p, x, k):
    h = np.tanh(x @ p["w"]) * k
    return {"y": h, "n": len(x), "s": np.sum(h**2)}


def test_missing_libraries_name_the_extra(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ImportError, match=r"adapters.jax needs jax, .*: python -m pip install 'pullback\[jax\]'"):
        optional.require("jax", "jax")
    with pytest.raises(ImportError, match=r"pullback\[iminuit\]"):
        iminuit.cost(lambda x: x**2, 1.0).minuit()
    monkeypatch.setattr(importlib, "import_module", lambda name: missing("its_own_dependency"))
    with pytest.raises(ImportError, match="its_own_dependency"):
        optional.require("jax", "jax")


@pytest.mark.process
def test_nothing_is_imported_before_it_is_used():
    code = (
        "import sys\nfrom pullback.adapters import dask, iminuit, jax, pytensor, samplers, torch\n"
        "torch.function(abs), jax.function(abs), pytensor.function(abs)\n"
        "print(*{'torch', 'jax', 'pytensor', 'iminuit', 'emcee', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.peer
def test_torch():
    library = pytest.importorskip("torch", exc_type=ImportError)
    f = torch.function(layer)
    w, x, k = (library.tensor(v, dtype=library.float64, requires_grad=True) for v in (W, X, 2.0))
    result = f({"w": w}, x, k)
    (3.0 * result["y"].sum() + result["s"]).backward()
    w2, x2, k2 = (t.detach().clone().requires_grad_() for t in (w, x, k))
    h = library.tanh(x2 @ w2) * k2
    (3.0 * h.sum() + (h**2).sum()).backward()
    for ours, theirs in ((w, w2), (x, x2), (k, k2)):
        assert library.allclose(ours.grad, theirs.grad) and ours.grad.shape == theirs.shape
    assert result["n"] == 4 and not result["n"].requires_grad
    assert library.autograd.gradcheck(lambda w: f({"w": w}, x, k)["y"], (w,))


@pytest.mark.peer
def test_torch_single_precision_constants_and_refusals():
    library = pytest.importorskip("torch", exc_type=ImportError)
    f = torch.function(lambda x, flag, n: np.exp(x) * n if flag else x)
    x = library.ones(3, requires_grad=True)
    y = f(x, True, library.tensor([1, 2, 3]))
    kept = y.detach().clone()
    y.detach().zero_()  # what the reverse sweep reads is ours
    y.backward(library.ones(3))
    assert y.dtype == library.float64 and x.grad.dtype == library.float32  # as NumPy has it for integers
    assert library.allclose(x.grad.double(), kept.double())
    assert not f(library.ones(3), True, 2).requires_grad
    square = torch.function(lambda x: np.sum(x**2))
    (first,) = library.autograd.grad(square(x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable|does not require grad"):
        library.autograd.grad(first.sum(), x)
    with pytest.raises(TypeMismatch, match="torch.float16"):
        square(library.ones(3, dtype=library.float16))


@pytest.mark.peer
@pytest.mark.parametrize("double", [True, False])
def test_jax(double, request):
    library = pytest.importorskip("jax", exc_type=ImportError)
    jnp = library.numpy
    f = jax.function(layer)

    def ours(w, x, k):
        result = f({"w": w}, x, k)
        return 3.0 * result["y"].sum() + result["s"]

    def theirs(w, x, k):
        h = jnp.tanh(x @ w) * k
        return 3.0 * h.sum() + (h**2).sum()

    before = library.config.jax_enable_x64
    request.addfinalizer(lambda: library.config.update("jax_enable_x64", before))
    library.config.update("jax_enable_x64", double)
    w, x, k = map(jnp.asarray, (W, X, 2.0))
    mine = library.jit(library.grad(ours, (0, 1, 2)))(w, x, k)
    expected = library.grad(theirs, (0, 1, 2))(w, x, k)
    for a, b in zip(mine, expected):
        assert a.dtype == b.dtype and np.allclose(a, b, rtol=1e-12 if double else 1e-4)
    stacked = library.vmap(library.grad(ours), (0, None, None))(jnp.stack([w, 2 * w]), x, k)
    assert np.allclose(stacked[1], library.grad(theirs)(2 * w, x, k), rtol=1e-4)


@pytest.mark.peer
def test_jax_integers_and_refusals():
    library = pytest.importorskip("jax", exc_type=ImportError)
    element = jax.function(lambda x, i: x[i] ** 2)
    x = library.numpy.asarray(W, library.numpy.float32)
    assert np.allclose(library.grad(element)(x, 1), [0.0, 2 * W[1], 0.0])
    wider = jax.function(lambda x, n: np.sum(x * n))  # float64, as NumPy has it
    assert np.allclose(library.grad(wider)(x, library.numpy.arange(3)), [0.0, 1.0, 2.0])
    with pytest.raises(TypeMismatch, match="shapes follow from the shapes of the arguments"):
        jax.function(lambda x: x[x > 0.0])(x)


@pytest.mark.peer
def test_pytensor():
    library = pytest.importorskip("pytensor", exc_type=ImportError)
    pt = library.tensor
    f = pytensor.function(lambda w, x, k: (np.tanh(x @ w) * k, np.sum(w**2), len(x)))
    w, x, k = pt.vector("w", dtype="float64"), pt.matrix("x", dtype="float64"), pt.scalar("k", dtype="float64")
    y, s, n = f(w, x, k)
    mode = "FAST_COMPILE"
    outputs = [y, s, n, *library.grad(3.0 * y.sum() + s, [w, x, k])]
    values = library.function([w, x, k], outputs, mode=mode)(W, X, 2.0)
    h = pt.tanh(pt.dot(x, w)) * k
    expected = library.function([w, x, k], library.grad(3.0 * h.sum() + (w**2).sum(), [w, x, k]), mode=mode)(W, X, 2.0)
    assert np.allclose(values[0], np.tanh(X @ W) * 2) and values[2] == 4
    assert all(np.allclose(a, b) for a, b in zip(values[3:], expected))
    i = pt.lscalar("i")
    element = pytensor.function(lambda w, i: w[i] ** 2)(w, i)
    assert library.function([w, i], library.grad(element, w), mode=mode)(W, 1).tolist() == [0.0, 2 * W[1], 0.0]
    with pytest.raises(TypeMismatch, match="returns an array, or a tuple or list"):
        pytensor.function(lambda w: {"a": w})(w)


def cost(p, k):
    return (p["a"] - 1.0) ** 2 + np.sum((p["b"] - k) ** 2 / np.array([1.0, 4.0]))


@pytest.mark.peer
def test_iminuit():
    pytest.importorskip("iminuit", exc_type=ImportError)
    made = iminuit.cost(cost, {"a": 0.0, "b": np.ones(2)}, (3.0,))
    m = made.minuit()
    assert m.parameters == ("a", "b[0]", "b[1]")
    m.migrad()
    found = made.unravel(m.values)
    assert m.valid and found["a"] == pytest.approx(1.0) and np.allclose(found["b"], 3.0)
    assert list(m.errors) == pytest.approx([1.0, 1.0, 2.0], rel=1e-3) and m.ngrad > 0


def test_a_cost_is_computed_once_for_value_and_gradient(monkeypatch):
    made = iminuit.cost(cost, {"a": 0.0, "b": np.ones(2)}, (3.0,), errordef=0.5)
    calls = []
    monkeypatch.setattr(made, "_both", lambda *args, own=made._both: calls.append(1) or own(*args))
    x = np.array([0.0, 1.0, 1.0])
    assert made(x) == 6.0 and made.grad(x).tolist() == [-2.0, -4.0, -1.0] and len(calls) == 1
    x[0] = 1.0
    assert made(x) == 5.0 and made.grad(x)[0] == 0.0 and len(calls) == 2 and made.errordef == 0.5


def log_density(p):
    return -0.5 * p["a"] ** 2 - np.sum(p["b"] ** 2)


def test_densities():
    density = samplers.density(log_density, {"a": 0.0, "b": np.zeros((1, 2))})
    assert density.size == 3 and density.names == ["a", "b[0,0]", "b[0,1]"]
    value, slope = density(np.array([1.0, 2.0, 3.0]))
    assert value == density.log_prob(np.array([1.0, 2.0, 3.0])) == -13.5
    assert slope.tolist() == density.gradient(np.array([1.0, 2.0, 3.0])).tolist() == [-1.0, -4.0, -6.0]
    states = density.unravel_chain(np.arange(12.0).reshape(2, 2, 3))
    assert len(states) == 4 and states[1]["b"].tolist() == [[4.0, 5.0]]


@pytest.mark.peer
def test_emcee():
    emcee = pytest.importorskip("emcee", exc_type=ImportError)
    density = samplers.density(log_density, {"a": 0.0, "b": np.zeros((1, 2))})
    np.random.seed(0)  # what emcee draws from
    sampler = emcee.EnsembleSampler(8, density.size, density.log_prob)
    sampler.run_mcmc(density.walkers(8, spread=1.0), 500)
    assert np.allclose(sampler.get_chain(discard=100, flat=True).var(axis=0), [1.0, 0.5, 0.5], rtol=0.5)
