"""The public transforms, as a user calls them. Uncompiled where the compiler is not the point."""

from __future__ import annotations

import collections
import dataclasses

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.5, -1.0, 2.0])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def test_grad_and_value():
    def f(x, w):
        return np.sum(np.sin(x) * w)

    np.testing.assert_allclose(pb.grad(f)(X, 2.0), 2 * np.cos(X))
    value, (x_bar, w_bar) = pb.value_and_grad(f, argnums=(0, 1))(X, 2.0)
    assert value == pytest.approx(f(X, 2.0))
    np.testing.assert_allclose(x_bar, 2 * np.cos(X))
    assert isinstance(w_bar, float) and w_bar == pytest.approx(np.sum(np.sin(X)))
    np.testing.assert_allclose(pb.grad(f, argnums=-2)(X, 2.0), 2 * np.cos(X))
    assert isinstance(pb.grad(f, (1,))(X, 2.0), tuple)


def test_as_decorators():
    @pb.grad
    def f(x):
        return x * x

    @pb.value_and_grad(argnums=1, has_aux=True)
    def g(x, y):
        return x * y * y, {"half": y / 2, "name": "g", "none": None}

    assert f(3.0) == 6.0
    assert f.__name__ == "f"
    assert g(2.0, 3.0) == ((18.0, {"half": 1.5, "name": "g", "none": None}), 12.0)
    assert pb.grad(lambda x: (x * x, x + 1), has_aux=True)(3.0) == (6.0, 4.0)


Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Model:
    w: np.ndarray
    b: float
    layers: list
    name: str = "model"


def test_containers_come_back_in_the_same_form():
    def f(p, x):
        return p["point"].x * np.sum(x * p["list"][0]) + p["point"].y * p["list"][1]

    p = {"point": Point(2.0, 3.0), "list": [X, 4.0, 7]}
    bar = pb.grad(f)(p, X)
    assert list(bar) == ["point", "list"] and isinstance(bar["point"], Point)
    assert bar["point"].x == pytest.approx(np.sum(X * X)) and bar["point"].y == 4.0
    np.testing.assert_allclose(bar["list"][0], 2.0 * X)
    assert bar["list"][1:] == [3.0, None]

    def g(model, x):
        h = x * model.w + model.b
        for layer in model.layers:
            h = np.tanh(h * layer)
        return np.sum(h)

    check_grad(g, Model(X, 0.5, [X + 1, 2.0]), X)
    bar = pb.grad(g)(Model(X, 0.5, [X + 1, 2.0]), X)
    assert isinstance(bar, Model) and bar.name is None and len(bar.layers) == 2


def test_dtypes_are_kept():
    def f(x):
        return np.sum(x * 2.0 * np.exp(x))

    x = X.astype(np.float32)
    value, bar = pb.value_and_grad(f)(x)
    assert value.dtype == np.float32 and bar.dtype == np.float32
    assert pb.grad(lambda x: x * x)(np.float32(3.0)).dtype == np.float32
    zero_dim = pb.grad(lambda x: x * x)(np.array(3.0))
    assert isinstance(zero_dim, np.ndarray) and zero_dim.shape == () and zero_dim == 6.0
    assert type(pb.value_and_grad(lambda x: x * x)(3.0)[0]) is float
    assert type(pb.jit(lambda x: np.sum(x))(X)) is np.float64


def test_vjp_pulls_again_and_again():
    def f(x, n, y):
        return {"a": x[:, None] * y, "n": n + 1}, np.sum(x)

    y = np.ones((1, 2))
    value, pull = pb.vjp(f, X, 4, y)
    np.testing.assert_allclose(value[0]["a"], X[:, None] * y)
    assert value[0]["n"] == 5
    seed = ({"a": np.ones((3, 2)), "n": None}, 10.0)
    for _ in range(2):
        x_bar, n_bar, y_bar = pull(seed)
        np.testing.assert_allclose(x_bar, 12.0)
        assert n_bar is None
        np.testing.assert_allclose(y_bar, np.full((1, 2), X.sum()))
    check_grad(f, X, 4, y)


def test_nested():
    assert pb.grad(pb.grad(lambda x: x**4))(2.0) == pytest.approx(48.0)
    assert pb.grad(pb.grad(pb.grad(lambda x: np.sin(x) * x)))(0.5) == pytest.approx(
        -3 * np.sin(0.5) - 0.5 * np.cos(0.5)
    )
    # closures over an outer traced value
    assert pb.grad(lambda x: pb.grad(lambda y: y * y * x)(3.0))(2.0) == pytest.approx(6.0)
    check_grad(lambda x: np.sum(pb.grad(lambda y: np.sum(y**3))(x) * x), X)
    check_grad(lambda x: pb.value_and_grad(lambda y: np.sum(np.sin(y) * x))(x)[1], X)
    check_grad(lambda x: pb.vjp(lambda y: y * x, x)[1](x)[0], X)
    check_grad(pb.jit(lambda x: np.sum(x * x)), X)


class Layer:
    def __init__(self, k):
        self.k = k
        self.table = {"w": np.ones(3)}

    @pb.grad(argnums=1)
    def loss(self, x):
        return np.sum(self.k * x * x * self.table["w"])


def test_methods_read_attributes_anew():
    layer = Layer(3.0)
    np.testing.assert_allclose(layer.loss(X), 6 * X)
    layer.k = 5.0
    np.testing.assert_allclose(layer.loss(X), 10 * X)
    layer.table["w"] = np.full(3, 2.0)
    np.testing.assert_allclose(layer.loss(X), 20 * X)
    np.testing.assert_allclose(Layer(1.0).loss(X), 2 * X)


SCALE = np.array([1.0, 2.0, 3.0])
RATE = 2.0
MODE = "square"
SETTINGS = {"a": 2.0, "flags": [True, 3]}


def test_globals_are_read_anew(monkeypatch):
    def f(x):
        y = SCALE * x
        return np.sum(y * y if MODE == "square" else y) * RATE

    g = pb.grad(f)
    np.testing.assert_allclose(g(X), 2 * RATE * SCALE**2 * X)
    monkeypatch.setitem(globals(), "SCALE", SCALE[::-1])
    monkeypatch.setitem(globals(), "RATE", 3.0)
    np.testing.assert_allclose(g(X), 6.0 * SCALE**2 * X)
    monkeypatch.setitem(globals(), "MODE", "linear")
    np.testing.assert_allclose(g(X), 3.0 * SCALE)
    assert "# global" in g.ir
    SCALE[0] = 100.0  # in place
    np.testing.assert_allclose(g(X), 3.0 * SCALE)


def helper(x):
    return x * x


def test_changed_helpers_and_closures_are_noticed(monkeypatch):
    k = 2.0

    def f(x):
        return helper(x) * k

    g = pb.grad(f)
    assert g(3.0) == 12.0
    k = 3.0
    assert g(3.0) == 18.0
    monkeypatch.setitem(globals(), "helper", lambda x: x * x * x)
    assert g(3.0) == 81.0


def test_inputs_of_every_layout():
    def f(x):
        return np.sum(x * x * np.arange(6.0).reshape(2, 3))

    x = np.arange(6.0).reshape(2, 3) + 0.5
    expected = 2 * x * np.arange(6.0).reshape(2, 3)
    g = pb.grad(f)
    wide = np.zeros((4, 6))
    wide[::2, ::2] = x
    read_only = x.copy()
    read_only.setflags(write=False)
    for given in (x, np.asfortranarray(x), wide[::2, ::2], read_only, x.astype(">f8"), x[::-1][::-1]):
        before = given.copy()
        np.testing.assert_allclose(g(given), expected)
        assert np.array_equal(given, before)
    np.testing.assert_allclose(g(x.astype(np.float32)), expected, rtol=1e-6)
    unaligned = np.frombuffer(b"0" + x.tobytes(), dtype=np.uint8)[1:].view(np.float64).reshape(2, 3)
    np.testing.assert_allclose(g(unaligned), expected)


def test_empty_and_single():
    def f(x):
        return np.sum(x * x)

    g = pb.grad(f)
    for n in (0, 1, 2, 3):
        np.testing.assert_allclose(g(np.ones(n)), np.full(n, 2.0))


def test_the_callers_arrays_are_never_changed():
    def f(x):
        x[0] = 5.0
        x *= 2.0
        return np.sum(x * x), x

    x = X.copy()
    value, pull = pb.vjp(f, x)
    np.testing.assert_array_equal(x, X)
    assert not np.shares_memory(value[1], x)
    x_bar = pull((1.0, np.zeros(3)))[0]
    np.testing.assert_allclose(x_bar, [0.0, 8 * X[1], 8 * X[2]])


def test_results_are_not_shared():
    y = pb.jit(lambda x: (x, x, [x * 1.0]))(X)
    assert not np.shares_memory(y[0], X) and not np.shares_memory(y[0], y[1])
    a, b = pb.grad(lambda x, y: np.sum(x + y), (0, 1))(X, X)
    assert not np.shares_memory(a, b)


def test_stages():
    g = pb.grad(lambda x, w: np.sum(x * w))
    with pytest.raises(AttributeError, match="lower"):
        _ = g.ir
    low = g.lower("f64[n, 3]", "f64")
    assert "x: f64[n, 3]" in low.ir and "x_bar" in low.adjoint_ir and "def f_grad" in low.source
    g(X, 2.0)
    assert "f64[n]" in g.ir and "np" in g.source
    assert repr(g.ir) == str(g.ir) and g.ir._repr_html_().startswith("<pre>")
    assert pb.trace(lambda x: x + 1.0, "f32[n]").results[0].type.dtype == "f32"
    with pytest.raises(TypeError, match="types such as"):
        g.lower("float[3]")


TABLE = np.array([1.0, 2.0, 3.0])


def with_default(x, w=TABLE, n=2):
    return np.sum(x * w) * n


def test_defaults_are_read_anew():
    g = pb.grad(with_default)
    np.testing.assert_allclose(g(X), 2 * TABLE)
    TABLE[0] = 10.0
    np.testing.assert_allclose(g(X), 2 * TABLE)
    np.testing.assert_allclose(g(X, X), 2 * X)
    assert "# default" in pb.grad(with_default).lower(X).ir
