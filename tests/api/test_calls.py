"""Repeated calls: the short way gives what the long way gives, and finds its form among many."""

from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

import pullback as pb
from pullback.calls.fast_call import MISS

Pair = namedtuple("Pair", "a b")


@dataclass
class Layer:
    w: np.ndarray
    b: float


x = np.linspace(0.1, 1.0, 4)


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def again(transform, *args, **kwargs):
    """Two calls, of which the second takes the short way."""
    first = transform(*args, **kwargs)
    second = transform._hot(args, kwargs)
    assert second is not MISS
    return first, second


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, (tuple, list)):
        assert len(a) == len(b)
        for left, right in zip(a, b):
            same(left, right)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        same(list(a.values()), list(b.values()))
    elif isinstance(a, Layer):
        same([a.w, a.b], [b.w, b.b])
    else:
        assert a is b is None or np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


CONTAINERS = {
    "list": ([x, 2.0], lambda p: np.sum(p[0]) * p[1]),
    "tuple in a dict": ({"w": (x, 3.0), "b": x}, lambda p: np.sum(p["w"][0] * p["b"]) * p["w"][1]),
    "keys of all kinds": ({1: x, ("a", 2): x}, lambda p: np.sum(p[1] * p["a", 2])),
    "named tuple": (Pair(x, 2.0), lambda p: np.sum(p.a) * p.b),
    "dataclass": (Layer(x, 2.0), lambda p: np.sum(p.w) * p.b),
    "list of dataclasses": ([Layer(x, 2.0), Layer(x, 1.0)], lambda p: np.sum(p[0].w * p[1].w) * p[1].b),
    "None and an empty list": ([None, [], x], lambda p: np.sum(p[2])),
    "an integer": ([x, 2], lambda p: np.sum(p[0] ** p[1])),
    "float32": ([x.astype("f4"), np.float32(2.0)], lambda p: np.sum(p[0]) * p[1]),
}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("transform", [pb.grad, pb.value_and_grad])
def test_containers(name, transform):
    params, function = CONTAINERS[name]
    same(*again(transform(function), params))


def test_keywords_and_several_arguments():
    def f(a, b, *, c):
        return np.sum(a * b) * c

    same(*again(pb.grad(f, argnums=(0, 1)), x, x, c=2.0))
    g = pb.value_and_grad(f)
    g(x, x, c=2.0)
    assert g._hot((x, x), {}) is MISS and g._hot((x,), {"b": x, "c": 2.0}) is MISS


def test_results_of_all_kinds():
    def f(a):
        return np.sum(a), {"n": len(a), "twice": [a * 2.0, np.float32(1.0)], "text": "t", "none": None}

    same(*again(pb.grad(f, has_aux=True), x))
    same(*again(pb.value_and_grad(f, has_aux=True), x))
    same(*again(pb.jit(f), x))


def test_what_does_not_fit_is_missed():
    g = pb.grad(lambda a, k: np.sum(a[1:]) * k)
    g(x, 2.0)
    for other in (x.astype("f4"), x[None], x[:1], x[::2], x.view(np.recarray), [1.0], None, x.astype(">f8")):
        assert g._hot((other, 2.0), {}) is MISS
    for other in (2, np.float64(2.0), np.float32(2.0), True, x, None, "2"):
        assert g._hot((x, other), {}) is MISS
    assert g._hot((x,), {}) is MISS and g._hot((x, 2.0, 1.0), {}) is MISS


def test_equal_sizes_are_guarded():
    g = pb.grad(lambda a, b: np.sum(a * b))
    g(x, x)
    assert g._hot((x, x[:3].copy()), {}) is MISS and g._hot((x, np.array([2.0])), {}) is MISS
    np.testing.assert_array_equal(g(x, np.array([2.0])), [2.0, 2.0, 2.0, 2.0])


def test_options_are_looked_at():
    g = pb.grad(lambda a: np.sum(a * a))
    g(x)
    with pb.options(bounds_check=False):
        assert g._hot((x,), {}) is MISS
        g(x)
        assert g._hot((x,), {}) is not MISS
    assert g._hot((x,), {}) is MISS


def counted_matches(g):
    """Count how often a form is tried."""
    tried = []
    for forms in g._traceable.forms.values():
        for form in forms.all:
            def match(leaves, own=form.match):
                tried.append(leaves)
                return own(leaves)
            form.match = match
    return tried


@pytest.mark.parametrize(
    "arguments",
    [
        [(x, str(k)) for k in range(50)],  # a text
        [(np.ones((2 + k, 3)), "size") for k in range(50)],  # a size that Python needs as a number
        [(x[: 2 + k % 2].reshape((1,) * (k % 5) + (-1,)).astype(t), str(k)) for t in ("f8", "f4") for k in range(25)],
    ],
    ids=["texts", "sizes", "types"],
)
def test_many_forms_are_not_tried_in_turn(arguments):
    def f(a, how):
        if how == "size":
            return np.sum(a) * len("ab" * len(a))
        return np.sum(a * (float(how) + 1.0))

    g = pb.grad(f)
    expected = [g(*args) for args in arguments]
    assert g._traceable.traces == len(arguments)
    tried = counted_matches(g)
    for args, result in zip(arguments, expected):
        same(g(*args), result)
    assert g._traceable.traces == len(arguments) and len(tried) <= 2 * len(arguments)


def test_objects_as_arguments_are_told_apart():
    class Model:
        def __init__(self, w):
            self.w = w

        def loss(self, a):
            return np.sum(a) * self.w

    grad = pb.grad(Model.loss, argnums=1)
    models = [Model(float(k)) for k in range(20)]
    for _ in range(2):
        for k, model in enumerate(models):
            np.testing.assert_array_equal(grad(model, x), np.full(4, float(k)))


def test_vjp_takes_the_short_way():
    def f(a, p):
        return a * p["w"], np.sum(a)

    args = x, {"w": 3.0}
    value, pull = pb.vjp(f, *args)
    again_value, again_pull = pb.vjp(f, *args)
    same(value, again_value)
    same(pull((x, 1.0)), again_pull((x, 1.0)))
