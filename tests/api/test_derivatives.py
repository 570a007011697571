"""jvp, Jacobians, Hessians and vmap, as they are called from Python and inside of traced functions."""

from __future__ import annotations

import dataclasses
import functools
import pickle
from typing import Any

import numba
import numpy as np
import pytest
from kernels import KERNELS

import pullback as pb
from pullback.calls.tree import flatten
from pullback.tracer.outside import small_sizes

X = np.array([0.5, -1.0, 2.0])


@pytest.fixture(autouse=True)
def uncompiled(request):
    with pb.options(jit="compiled" in request.keywords, cache=False):
        yield


# -- forward against reverse ----------------------------------------------------------------------------


@pytest.mark.fuzz
@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name):
    """The tangent of every kernel is the gradient's product with the direction."""
    function, make, sizes, _ = KERNELS[name]
    rng = np.random.default_rng(3)
    with np.errstate(all="ignore"):
        for n in sizes:
            args = make(rng, n)
            moves = tuple(rng.normal(size=np.shape(a)) if is_float(a) else None for a in args)
            moves = tuple(float(m) if isinstance(a, float) else m for a, m in zip(args, moves))
            value, pull = pb.vjp(function, *args)
            again, dot = pb.jvp(function, args, moves)
            assert again == pytest.approx(value, nan_ok=True)
            expected = sum(np.sum(bar * move) for bar, move in zip(pull(1.0), moves) if move is not None)
            assert dot == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)


def is_float(value):
    return isinstance(value, float) or getattr(value, "dtype", None) == np.float64


# -- functions of every form ------------------------------------------------------------------------------


@dataclasses.dataclass
class Model:
    w: Any
    b: Any


def vector(x):
    return np.array([x[0] * x[1], np.sin(x[2]), 3.0, x @ x])


def matrix(x):
    return np.outer(x, x**2)


def number(x):
    return np.sum(x**3) * x[0]


def of_number(t):
    return np.array([t, t * t, np.exp(t)])


def square(t):
    return t * t


def in_place(x):
    x[1:] += x[:-1] ** 2
    for i in range(len(x)):
        x[i] *= x[i - 1]
    return x


def while_loop(x):
    s = np.sum(x * x) + 1.0
    while s > 0.1:
        s = s * 0.5 * np.cos(s * 0.1)
    return s * x


def branches(x):
    return x * x if x[0] > 0 else np.sin(x)


def container(p):
    return {"y": p["w"] * p["b"], "z": [np.sum(p["w"]), p["b"] ** 2]}


def model(m):
    return Model(m.w * m.b, m.b * m.b)


def filled(x):
    out = np.empty((len(x), 2))
    for i in range(len(x)):
        out[i, 0] = x[i] ** 2
        out[i, 1] = x[i - 1] * x[i]
    return out


FUNCTIONS = [
    (vector, X), (matrix, X), (number, X), (of_number, 0.5), (square, 3.0), (in_place, X), (while_loop, X),
    (branches, X), (branches, -X), (container, {"w": X, "b": 2.0}), (model, Model(X, 0.5)), (filled, X),
    (filled, np.linspace(-1, 1, 150)), (filled, np.empty(0)),
]  # fmt: skip


def by_differences(f, x, step=1e-6):
    """The blocks of the Jacobian: for each leaf of the value, for each leaf of x."""
    leaves, tree = flatten(x)


    def values(at):
        own = [np.array(v) if np.ndim(v) else v for v in at]
        return [np.asarray(v) for v in flatten(f(tree.unflatten(own)))[0]]

    base = values(leaves)
    blocks = [[np.zeros((*v.shape, *np.shape(leaf))) for leaf in leaves] for v in base]
    for k, leaf in enumerate(leaves):
        for place in np.ndindex(np.shape(leaf)):
            moved = []
            for sign in (1, -1):
                new = np.array(leaf, float)
                new[place] += sign * step
                moved.append(values([*leaves[:k], new if np.ndim(leaf) else float(new), *leaves[k + 1 :]]))
            for row, (a, b) in enumerate(zip(*moved)):
                blocks[row][k][(..., *place)] = (a - b) / (2 * step)
    return [block for row in blocks for block in row]


@pytest.mark.parametrize("f, x", FUNCTIONS, ids=lambda v: getattr(v, "__name__", ""))
@pytest.mark.parametrize("kind", ["jacfwd", "jacrev", "jacobian"])
def test_jacobian(kind, f, x):
    before = pickle.dumps(x)
    found, _ = flatten(getattr(pb, kind)(f)(x))
    for block, expected in zip(found, by_differences(f, x), strict=True):
        assert np.shape(block) == expected.shape
        np.testing.assert_allclose(block, expected, rtol=1e-6, atol=1e-7)
    assert pickle.dumps(x) == before


@pytest.mark.parametrize("kind", ["jacfwd", "jacrev"])
def test_one_trace_for_every_size(kind, monkeypatch):
    monkeypatch.setattr(small_sizes, "SMALL", 1)  # sizes like 3 are traced as any other
    J = getattr(pb, kind)(filled)
    for n in (2, 3, 5, 64, 65, 128, 130):
        assert J(np.linspace(0.1, 1.0, n)).shape == (n, 2, n)
    assert J._whole._traceable.traces <= 2  # the sizes of a chunk decide once


def test_argnums_aux_and_values():
    f = lambda x, k, y: (x * np.sum(y) * k, {"k": k})
    (by_x, by_y), aux = pb.jacfwd(f, argnums=(0, 2), has_aux=True)(X, 3, X[:2])
    np.testing.assert_allclose(by_x, np.eye(3) * -1.5)
    np.testing.assert_allclose(by_y, np.outer(X * 3, [1, 1]))
    assert aux == {"k": 3}
    (value, aux), J = pb.value_and_jacobian(f, argnums=-1, has_aux=True)(X, 3, X[:2])
    np.testing.assert_allclose(value, X * -1.5)
    np.testing.assert_allclose(J, by_y)
    y, y_dot, aux = pb.jvp(f, (X, 3, X[:2]), (X, None, None), has_aux=True)
    np.testing.assert_allclose(y_dot, y)
    assert aux == {"k": 3}


def test_numbers_are_numbers_of_python():
    y, y_dot = pb.jvp(square, (3.0,), (1.0,))
    assert (y, y_dot) == (9.0, 6.0) and type(y) is type(y_dot) is float
    assert type(pb.jacfwd(square)(3.0)) is type(pb.jacrev(square)(3.0)) is float
    assert pb.hessian(square)(3.0) == 2.0
    assert pb.jvp(lambda x: (x, 3), (X,), (X,))[1][1] is None
    assert pb.jvp(square, (np.float32(2.0),), (np.float32(1.0),))[1].dtype == np.float32


def test_plan():
    J = pb.jacobian(lambda x: x * x)
    assert J.plan == "nothing was called yet"
    J(X)
    assert J.plan == "forward: 3 directions of the argument at once, against 3 reverse sweeps"
    J = pb.jacobian(lambda x: np.sum(x * x))
    np.testing.assert_array_equal(J(X), 2 * X)
    assert J.plan.startswith("reverse: 1 ")


# -- second derivatives -------------------------------------------------------------------------------------


SCALARS = [
    (number, X), (lambda x: np.sum(while_loop(x)), X), (lambda x: np.sum(in_place(x)), X),
    (lambda x: pb.grad(number)(x) @ x, X), (lambda x: np.sum(pb.vjp(vector, x)[1](vector(x))[0]), X),
    (lambda p: np.sum(p["w"] ** 2) * p["b"] ** 3, {"w": X, "b": 2.0}), (lambda x: np.max(x) ** 2, X),
    (lambda x: x[0] * 3.0, X), (lambda m: np.sum(m.w * m.w) * m.b, Model(X, 0.5)),
]  # fmt: skip


@pytest.mark.parametrize("f, x", SCALARS)
def test_hessian(f, x):
    expected = by_differences(pb.grad(f), x)
    found, _ = flatten(pb.hessian(f)(x))
    for block, difference in zip(found, expected, strict=True):
        np.testing.assert_allclose(block, difference, rtol=1e-5, atol=1e-6)
    reverse, _ = flatten(pb.jacrev(pb.grad(f))(x))
    for block, other in zip(found, reverse, strict=True):
        np.testing.assert_allclose(block, other, rtol=1e-9, atol=1e-9)
    leaves, tree = flatten(x)
    product, _ = flatten(pb.hvp(f)(x, x))
    for k, (part, diagonal) in enumerate(zip(product, flatten(pb.hessian_diag(f)(x))[0])):
        row = found[k * len(leaves) : (k + 1) * len(leaves)]
        along = sum(np.tensordot(block, leaf, np.ndim(leaf)) for block, leaf in zip(row, leaves))
        np.testing.assert_allclose(part, along, rtol=1e-9, atol=1e-9)
        own = np.asarray(row[k])
        np.testing.assert_allclose(diagonal, np.diag(own) if own.ndim else own)


def test_hvp_of_several_arguments():
    f = lambda x, k, y: k * np.sum(x * x) * y
    by_x, by_y = pb.hvp(f, argnums=(0, 2))(X, 2, 3.0, (X, 1.0))
    np.testing.assert_allclose(by_x, 12 * X + 4 * X)
    assert by_y == pytest.approx(4 * X @ X)


def test_third_derivative_of_a_loop():
    def power(t, n):
        p = 1.0
        for _ in range(n):
            p = p * t
        return p

    third = pb.jacfwd(pb.jacrev(pb.jacfwd(power)))
    assert third(2.0, 5) == pytest.approx(5 * 4 * 3 * 2.0**2)
    assert pb.grad(pb.hessian(power))(2.0, 5) == pytest.approx(240.0)


def test_inside_of_a_traced_function():
    def newton(x):
        for _ in range(6):
            x = x - pb.grad(quartic)(x) / pb.hessian_diag(quartic)(x)
        return np.sum(x)

    def quartic(x):
        return np.sum((x - 1.0) ** 4 + (x - 2.0) ** 2)

    x = np.array([0.0, 3.0])
    assert pb.jit(newton)(x) == pytest.approx(newton(x))
    np.testing.assert_allclose(pb.grad(newton)(x), by_differences(newton, x)[0], atol=1e-5)


# -- vmap ---------------------------------------------------------------------------------------------------


@pytest.mark.fuzz
def test_vmap_is_the_loop():
    rng = np.random.default_rng(0)
    M, w = rng.normal(size=(4, 3)), rng.normal(size=4)
    for f in (vector, matrix, number, in_place, while_loop, branches, filled):
        np.testing.assert_array_equal(pb.vmap(f)(M), np.stack([f(row.copy()) for row in M]))
        np.testing.assert_array_equal(pb.vmap(f, in_axes=1)(M.T), pb.vmap(f)(M))
        np.testing.assert_array_equal(np.moveaxis(pb.vmap(f, out_axes=-1)(M), -1, 0), pb.vmap(f)(M))
        per_example = pb.vmap(pb.jacfwd(f))(M)
        np.testing.assert_allclose(per_example, np.stack([pb.jacfwd(f)(row) for row in M]), atol=1e-12)
    np.testing.assert_array_equal(pb.vmap(square)(w), w * w)
    flag, same, text = pb.vmap(lambda x: (True, 3.0, "name"))(w)
    assert flag.tolist() == [True] * 4 and same.tolist() == [3.0] * 4 and text == "name"
    np.testing.assert_array_equal(pb.vmap(number)(np.empty((0, 3))), np.empty(0))


def test_vmap_of_containers():
    ps = {"w": np.arange(6.0).reshape(2, 3), "b": np.array([1.0, 2.0])}
    found = pb.vmap(container)(ps)
    np.testing.assert_array_equal(found["y"], ps["w"] * ps["b"][:, None])
    np.testing.assert_array_equal(found["z"][0], ps["w"].sum(1))
    shared = pb.vmap(container, in_axes=({"w": 0, "b": None},))({"w": ps["w"], "b": 3.0})
    np.testing.assert_array_equal(shared["y"], ps["w"] * 3.0)
    np.testing.assert_array_equal(shared["z"][1], [9.0, 9.0])  # the same for all


def test_vmap_leaves_each_example_its_own_way():
    """What a select would run: an arm that fails, a loop that would not end."""

    def f(n, x):
        if n > 0:
            while n > 1.5:
                n = n / 2.0
            return n * x[int(n)]
        return 0.0 * n

    x = np.array([1.0, 2.0])
    found = pb.vmap(f, in_axes=(0, None))(np.array([5.0, -1.0, 3.0]), x)
    np.testing.assert_allclose(found, [f(n, x) for n in (5.0, -1.0, 3.0)])


def test_gradients_of_a_vmap():
    M = np.arange(6.0).reshape(3, 2)
    loss = lambda W: np.sum(pb.vmap(lambda row, v: np.tanh(row @ v), in_axes=(0, None))(M, W))
    by_hand = pb.grad(lambda W: sum(np.tanh(M[i] @ W) for i in range(3)))
    np.testing.assert_allclose(pb.grad(loss)(np.array([0.1, 0.2])), by_hand(np.array([0.1, 0.2])))
    nested = pb.vmap(pb.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_array_equal(nested(X, M[0]), np.outer(X, M[0]))


# -- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, words, call",
    [
        (TypeError, "jvp takes the primals as a tuple", lambda: pb.jvp(square, X, (X,))),
        (TypeError, "jvp takes the tangents as a tuple", lambda: pb.jvp(square, (X,), X)),
        (TypeError, "should be a tuple of 1", lambda: pb.jvp(square, (X,), (X, X))),
        (ValueError, r"shapes \(2,\) and \(3,\) do not go together", lambda: pb.jvp(square, (X,), (X[:2],))),
        (TypeError, "no float, and does not move", lambda: pb.jvp(lambda x, n: x * n, (X, 2), (X, 1.0))),
        (TypeError, r"the tangents\[0\] must be an array of shape", lambda: pb.jvp(square, (X,), ("a",))),
        (TypeError, "missing 1 required positional argument: 'b'", lambda: pb.jvp(lambda a, b: a, (X,), (X,))),
        (TypeError, "the argument has none", lambda: pb.jacfwd(square)(3)),
        (TypeError, "return it as aux|Return it as aux", lambda: pb.jacfwd(lambda x: (x, 3))(X)),
        (TypeError, "hvp|needs a scalar", lambda: pb.hvp(square)(X, X)),
        (TypeError, "needs a scalar", lambda: pb.hessian(square)(X)),
        (ValueError, "argnums=3 is out of range", lambda: pb.jacfwd(square, argnums=3)(X)),
        (TypeError, "no argument to map over", lambda: pb.vmap(square, in_axes=None)(X)),
        (TypeError, "maps over axis 0, but gets a number", lambda: pb.vmap(square)(3.0)),
        (TypeError, "maps over axis 2, but gets an array of 1 axes", lambda: pb.vmap(square, in_axes=2)(X)),
        (ValueError, "do not go together", lambda: pb.vmap(lambda a, b: a * b)(X, X[:2])),
        (TypeError, "in_axes must be a number", lambda: pb.vmap(square, in_axes="x")(X)),
        (AttributeError, "no attribute 'nothing'", lambda: pb.jvp(lambda x: x.nothing, (X,), (X,))),
        (ZeroDivisionError, "division", lambda: pb.vmap(lambda x: x * (1 / 0))(X)),
    ],
)
def test_refused(error, words, call):
    with pytest.raises(error, match=words) as raised:
        call()
    assert "pullback.tracer" not in str(raised.value)


def test_the_cheaper_mode_is_guarded_not_burned_in(monkeypatch):
    monkeypatch.setattr(small_sizes, "SMALL", 1)
    made = [pb.jacobian(lambda A, x: A @ x, 1), pb.hessian(lambda x, A: np.sum((A @ x) ** 2))]
    for m, n in ((5, 6), (7, 8), (9, 7), (20, 6), (21, 7), (6, 20), (7, 21), (8, 30)):
        A, x = np.arange(m * n, dtype=float).reshape(m, n), np.ones(n)
        np.testing.assert_array_equal(made[0](A, x), A)
        np.testing.assert_allclose(made[1](x, A), 2 * A.T @ A)
    assert made[0]._whole._traceable.traces <= 4
    assert made[1]._whole._traceable.traces <= 2


def test_transforms_are_pickled():
    for made in (pb.jacfwd(vector), pb.jacobian(vector), pb.hvp(number), pb.hessian(number), pb.vmap(vector)):
        again = pickle.loads(pickle.dumps(made))
        given = (X, X) if "hvp" in repr(made) else (np.stack([X, X]),) if "vmap" in repr(made) else (X,)
        np.testing.assert_array_equal(again(*given), made(*given))


def test_as_decorators():
    @functools.partial(pb.vmap, in_axes=(0, None))
    def scaled(x, k):
        return x * k

    @pb.hessian
    def energy(x):
        return np.sum(x**2)

    np.testing.assert_array_equal(scaled(X, 2.0), 2 * X)
    np.testing.assert_array_equal(energy(X), 2 * np.eye(3))


@pytest.mark.compiled
def test_compiled():
    x = np.linspace(0.1, 1.0, 70)
    for f in (filled, in_place, while_loop):
        with pb.options(jit=False):
            expected = pb.jacfwd(f)(x)
        np.testing.assert_allclose(pb.jacfwd(f)(x), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(pb.jacrev(f)(x), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(pb.jvp(f, (x,), (x,))[1].ravel(), (expected @ x).ravel(), rtol=1e-10)
    H = pb.hessian(number)(x)
    np.testing.assert_allclose(pb.hvp(number)(x, x), H @ x, rtol=1e-10)
    np.testing.assert_allclose(pb.vmap(number)(np.stack([x, 2 * x])), [number(x), number(2 * x)])


# -- functions that have an object ----------------------------------------------------------------------------


class Scaled:
    """A function with a parameter that changes, and one that counts its calls."""

    def __init__(self, a):
        self.a, self.calls = a, 0

    def __call__(self, x):
        return self.a * x**2

    def method(self, x):
        return self.a * x**2

    def counted(self, x):
        self.calls += 1
        return self.a * x**2

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1


MADE = (
    "jacfwd", "jacrev", "jacobian", "value_and_jacobian", "hessian", "hessian_diag", "hvp", "vhp", "vmap", "jvp",
)  # fmt: skip


def called(kind, f, x=3.0):
    """The derivative of this kind at a number."""
    match kind:
        case "jvp":
            return pb.jvp(f, (x,), (1.0,))[1]
        case "hvp" | "vhp":
            return getattr(pb, kind)(f)(x, 1.0)
        case "vmap":
            return pb.vmap(f)(np.array([x]))[0]
        case "value_and_jacobian":
            return pb.value_and_jacobian(f)(x)[1]
    return getattr(pb, kind)(f)(x)


FORMS = {
    "object": lambda s: s, "method": lambda s: s.method, "partial": lambda s: functools.partial(s.method),
    "closure": lambda s: lambda x: s.a * x**2,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MADE)
def test_an_attribute_is_read_anew(kind, form):
    s = Scaled(2.0)
    f = FORMS[form](s)
    first = called(kind, f)
    s.a = 5.0
    assert called(kind, f) == pytest.approx(2.5 * first)
    assert called(kind, FORMS[form](Scaled(4.0))) == pytest.approx(2.0 * first)  # another object, which is equal


@pytest.mark.parametrize("kind", MADE)
def test_a_transform_made_once_reads_anew(kind):
    s = Scaled(2.0)
    if kind == "jvp":
        pytest.skip("jvp is called, not made")
    made = getattr(pb, kind)(s)
    given = {"hvp": (3.0, 1.0), "vhp": (3.0, 1.0), "vmap": (np.array([3.0]),)}.get(kind, (3.0,))
    first, _ = flatten(made(*given))
    s.a = 4.0
    np.testing.assert_allclose(np.ravel(flatten(made(*given))[0]), 2 * np.ravel(first))


def test_pull_belongs_to_one_object():
    one, other = Scaled(2.0), Scaled(4.0)
    assert [pb.vjp(f, 3.0)[1](1.0)[0] for f in (one, other, one.method, other.method)] == [12.0, 24.0, 12.0, 24.0]


@pytest.mark.parametrize("kind", MADE)
def test_what_is_stored_is_stored_once(kind):
    s = Scaled(2.0)
    if kind == "vmap":
        with pytest.raises(SyntaxError, match="changes self.calls, which lives outside"):
            called(kind, s.counted)
    else:
        called(kind, s.counted)
    assert s.calls == (kind != "vmap")


class Layer:
    def __init__(self, a):
        self.a = a

    @pb.jacfwd
    def slope(self, x):
        return self.a * x**2

    @pb.hessian
    def curvature(self, x):
        return self.a * np.sum(x**2)

    @pb.hvp
    def along(self, x):
        return self.a * np.sum(x**2)

    @pb.vmap
    def each(self, x, k):
        return self.a * x * k

    @functools.partial(pb.jacobian, argnums=(1, 2))
    def by_both(self, x, k):
        return self.a * x * k


def test_as_decorators_of_methods():
    for layer in (Layer(2.0), Layer(3.0)):
        a = layer.a
        np.testing.assert_allclose(layer.slope(X), 2 * a * np.diag(X))
        np.testing.assert_allclose(layer.curvature(X), 2 * a * np.eye(3))
        np.testing.assert_allclose(layer.along(X, X), 2 * a * X)
        np.testing.assert_allclose(layer.each(X, X), a * X**2)
        by_x, by_k = layer.by_both(X, 2.0)
        np.testing.assert_allclose(by_x, 2 * a * np.eye(3))
        np.testing.assert_allclose(by_k, a * X)


@pb.jacfwd
def decorated(x):
    return x**2


@functools.partial(pb.vmap, in_axes=1)
def decorated_map(x):
    return np.sum(x)


def test_decorated_functions_are_pickled():
    for made in (decorated, decorated_map):
        assert pickle.loads(pickle.dumps(made)) is made
    again = pickle.loads(pickle.dumps(pb.jacrev(decorated.__wrapped__)))
    np.testing.assert_array_equal(again(X), np.diag(2 * X))


# -- sizes that are found equal while the function is traced ------------------------------------------------------


def product(a, b):
    return a[::2] * b[::2]


def interleaved(a, b):
    out = np.empty_like(a)
    out[::2] = b[::2]
    out[1::2] = a[1::2]
    return out


def inner_product(a, b):
    return a[::2] @ b[::2]


def chosen(a, b):
    return np.where(a[::2] > 0, a[::2], b[::2])


def joined(a, b):
    return np.concatenate([a[::2] * 2, b[1::2]]) + a


def in_arms(a, b):
    if a[0] > 0:
        return np.sum(a[::2] * b[::2])
    return np.sum(np.maximum(a[::2], b[::2]))


def in_a_loop(a, b):
    s = np.zeros((len(a) + 1) // 2)
    for _ in range(3):
        s = s * 0.5 + a[::2] * b[::2]
    return s


@pytest.mark.parametrize("f", [product, interleaved, inner_product, chosen, joined, in_arms, in_a_loop])
def test_sizes_found_equal_inside(f):
    for n in (6, 8):
        a = np.linspace(-1.0, 2.0, n)
        b = a[::-1].copy()
        expected = by_differences(lambda x, b=b: f(x, b), a)[0]
        for kind in (pb.jacfwd, pb.jacrev):
            np.testing.assert_allclose(kind(f)(a, b), expected, atol=1e-7)
        np.testing.assert_array_equal(pb.vmap(f, (0, None))(np.stack([a, b]), b), np.stack([f(a, b), f(b, b)]))
        total = pb.jit(lambda a, b: pb.grad(lambda a: np.sum(f(a, b)))(a))
        np.testing.assert_allclose(total(a, b), np.reshape(expected, (-1, n)).sum(0), atol=1e-6)


# -- where else transforms are used --------------------------------------------------------------------------------

OBJECTS = {
    "jacfwd": (pb.jacfwd(square), (3.0,), 6.0), "jacrev": (pb.jacrev(square), (3.0,), 6.0),
    "jacobian": (pb.jacobian(square), (3.0,), 6.0), "hessian": (pb.hessian(square), (3.0,), 2.0),
    "hessian_diag": (pb.hessian_diag(square), (3.0,), 2.0), "hvp": (pb.hvp(square), (3.0, 5.0), 10.0),
    "vhp": (pb.vhp(square), (3.0, 5.0), 10.0),
    "vmap": (pb.vmap(square), (X,), X * X),
}  # fmt: skip


@pytest.mark.parametrize("kind", OBJECTS)
def test_shown_is_what_is_computed(kind, capsys):
    made, args, value = OBJECTS[kind]
    assert repr(made) == f"<pullback.{kind} of square>"
    np.testing.assert_array_equal(made(*args), value)
    program = pb.trace(made, *args)
    np.testing.assert_array_equal(pb.evaluate(program, *args), value)
    assert str(program) == str(pb.trace(pb.jit(made), *args))
    assert "trace" in made.timings.seconds and made.source == made.lower(*args).source
    pb.show(made, *args)
    assert capsys.readouterr().out.count("\n") >= 2
    with pytest.raises(TypeError, match="is neither a function nor its gradient"):
        pb.explain(made, *args)


@pytest.mark.compiled
@pytest.mark.parametrize("kind", OBJECTS)
def test_called_from_compiled_code(kind):
    made, args, value = OBJECTS[kind]

    @numba.njit
    def call(a):
        return made(*a)

    np.testing.assert_array_equal(call(args), value)
    if kind != "vmap":
        signature = f"float64({', '.join(['float64'] * len(args))})"
        assert made.cfunc(signature).ctypes(*args) == value
