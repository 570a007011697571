"""Gradients of gradients of tensors, torch.func and torch.autograd.functional: over every program of eager_programs.

`python tests/eager/test_second_order.py` runs all of them; the tests take every eighth.
"""

from __future__ import annotations

import math

import eager_programs
import numpy as np
import pytest

import pullback as pb
import pullback.eager as torch

PROGRAMS = {n: t for n, t in eager_programs.programs().items() if "detach" not in t and "no_grad" not in t}
"""But those that differences see through."""
STEP = 1e-5


def leaf(k, *shape, positive=False, move=0.0):
    values = np.reshape(eager_programs._data(k, math.prod(shape)), shape)
    values = np.abs(values) + 0.3 if positive else values
    return torch.tensor(values + move * along(k, shape), requires_grad=True)


def along(k, shape):
    return np.random.default_rng(k).normal(size=shape)


SHAPES = {"a": (1, 3, 4), "b": (2, 3, 4), "p": (3, 3, 4), "v": (4, 4), "v2": (5, 4), "m": (6, 4, 5), "q": (7, 2, 3, 4),
          "w": (8, 3, 5), "s": (9,)}  # fmt: skip


def gradients(text, move, create_graph=False):
    """The gradients of <seed, out> by the leaves, which are moved along a direction."""
    leaves = {n: leaf(*shape, positive=n in ("p", "v2"), move=move) for n, shape in SHAPES.items()}
    scope = {
        **leaves, "torch": torch, "F": torch.nn.functional, "idx": torch.tensor([0, 2, 0]),
        "idx3": torch.tensor([1, 3, 0]), "i3": torch.tensor([1, 2, 3]), "gi": torch.tensor([[0, 1], [3, 3], [2, 0]]),
    }  # fmt: skip
    exec(text, scope)
    out = scope["out"]
    seed = torch.tensor(np.reshape(eager_programs._data(11, out.numel()), out._array.shape)).to(out.dtype)
    used = list(leaves.values())
    return used, torch.autograd.grad((out * seed).sum(), used, create_graph=create_graph, allow_unused=True)


def check(name):
    text = PROGRAMS[name]
    leaves, first = gradients(text, 0.0, create_graph=True)
    _, plain = gradients(text, 0.0)
    for one, other in zip(first, plain):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one.detach().numpy(), other.numpy(), rtol=1e-12, atol=1e-12)
    directions = [along(*(s[0], s[1:])) for s in SHAPES.values()]
    total = sum((g * torch.tensor(d).to(g.dtype)).sum() for g, d in zip(first, directions) if g is not None)
    products = [None] * len(leaves)
    if total.requires_grad:
        products = torch.autograd.grad(total, leaves, allow_unused=True)
    ends = [gradients(text, sign * STEP)[1] for sign in (1, -1)]
    single = any(word in name for word in ("float", "float32"))
    for product, one, other in zip(products, *ends):
        if one is None:
            continue
        expected = (one.numpy() - other.numpy()) / (2 * STEP)
        found = np.zeros_like(expected) if product is None else product.numpy()
        if not single:
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.fuzz
@pytest.mark.parametrize("name", list(PROGRAMS)[::8])
def test_a_gradient_of_a_gradient(name):
    check(name)


def test_of_third_order_and_accumulated():
    x = torch.tensor(2.0, requires_grad=True)
    (first,) = torch.autograd.grad(x**4, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    (third,) = torch.autograd.grad(second, x)
    assert (first.item(), second.item(), third.item()) == (32.0, 48.0, 48.0)
    assert second.requires_grad and not third.requires_grad
    (x**3).backward(create_graph=True)
    slope, x.grad = x.grad, None
    slope.backward()
    assert slope.item() == 12.0 and x.grad.item() == 12.0
    w = torch.ones(2, requires_grad=True)  # a penalty on a gradient, as it is trained with
    for _ in range(4):
        w.grad = None
        (g,) = torch.autograd.grad((w**3).sum(), w, create_graph=True)
        (g * g).sum().backward()
        assert w.grad.tolist() == [36.0, 36.0]


def test_an_arm_that_is_not_taken_gives_no_nan():
    t = torch.tensor([-1.0, 0.0, 4.0], requires_grad=True)
    (g,) = torch.autograd.grad(torch.where(t > 0, t.sqrt(), 0.0).sum(), t, create_graph=True)
    assert g.tolist() == [0.0, 0.0, 0.25]
    (h,) = torch.autograd.grad(g.sum(), t)
    assert h.tolist() == [0.0, 0.0, pytest.approx(-1 / 32)]


def wave(x):
    return (torch.sin(x) * x**3).sum() + x[0] * x[1]


def plain_wave(x):
    return np.sum(np.sin(x) * x**3) + x[0] * x[1]


def outer(x):
    return x[:, None] * x**2


X = np.array([0.5, -1.0, 2.0])
V = np.array([1.0, 0.25, -2.0])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def test_functional():
    x, v, f = torch.tensor(X), torch.tensor(V), torch.autograd.functional
    hessian = pb.hessian(plain_wave)(X)
    np.testing.assert_allclose(f.hessian(wave, x).numpy(), hessian)
    for product in (f.hvp, f.vhp):
        value, found = product(wave, x, v)
        assert value.item() == pytest.approx(plain_wave(X))
        np.testing.assert_allclose(found.numpy(), hessian @ V)
    J = pb.jacobian(lambda x: x[:, None] * x**2)(X)
    np.testing.assert_allclose(f.jacobian(outer, x).numpy(), J)
    value, found = f.jvp(outer, x, v)
    np.testing.assert_allclose(found.numpy(), J @ V)
    np.testing.assert_allclose(f.vjp(outer, x, value)[1].numpy(), np.tensordot(value.numpy(), J, 2))
    by_a, by_b = f.jacobian(lambda a, b: a * b.sum(), (x, v))
    np.testing.assert_allclose(by_a.numpy(), np.eye(3) * V.sum())
    np.testing.assert_allclose(by_b.numpy(), np.outer(X, np.ones(3)))
    blocks = f.hessian(lambda a, b: (a * b).sum(), (x, v))
    np.testing.assert_array_equal(blocks[0][1].numpy(), np.eye(3))
    np.testing.assert_array_equal(blocks[0][0].numpy(), np.zeros((3, 3)))
    y = torch.tensor(X, requires_grad=True)
    assert not f.jacobian(outer, y).requires_grad
    (third,) = torch.autograd.grad((f.hessian(wave, y, create_graph=True) @ v) @ v, y)
    np.testing.assert_allclose(third.numpy(), pb.grad(lambda x: pb.hvp(plain_wave)(x, V) @ V)(X))
    assert x.grad is None and not x.requires_grad


def test_func():
    x, v, f = torch.tensor(X), torch.tensor(V), torch.func
    hessian = pb.hessian(plain_wave)(X)
    np.testing.assert_allclose(f.grad(wave)(x).numpy(), pb.grad(plain_wave)(X))
    gradient, value = f.grad_and_value(wave)(x)
    assert value.item() == pytest.approx(plain_wave(X)) and not gradient.requires_grad and not value.requires_grad
    for made in (f.hessian(wave), f.jacfwd(f.grad(wave)), f.jacrev(f.jacrev(wave))):
        np.testing.assert_allclose(made(x).numpy(), hessian)
    assert f.grad(f.grad(f.grad(lambda t: t**4)))(torch.tensor(2.0)).item() == 48.0
    np.testing.assert_allclose(f.jvp(f.grad(wave), (x,), (v,))[1].numpy(), hessian @ V)
    value, pull = f.vjp(lambda x: (x**2, x.sum()), x)
    np.testing.assert_allclose(pull((v, torch.tensor(1.0, dtype=torch.float64)))[0].numpy(), 2 * X * V + 1)
    by_a, by_b = f.grad(lambda a, k, b: (a * b).sum() * k, argnums=(0, 2))(x, 3, v)
    np.testing.assert_allclose((by_a.numpy(), by_b.numpy()), (3 * V, 3 * X))
    assert f.grad(lambda x: (wave(x), x * 2), has_aux=True)(x)[1].tolist() == (2 * X).tolist()
    rows = torch.stack([x, v])
    np.testing.assert_allclose(torch.vmap(f.grad(wave))(rows).numpy(), pb.vmap(pb.grad(plain_wave))(np.stack([X, V])))
    np.testing.assert_array_equal(f.vmap(lambda a, b: a * b, (1, None), 1)(rows, 2.0).numpy(), 2 * rows.numpy())
    w = torch.tensor(V, requires_grad=True)  # of a closure, while the derivative is used in a loss
    f.grad(lambda x: (x**2 * w).sum())(torch.tensor(X, requires_grad=True)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X)


def test_what_they_refuse():
    with pytest.raises(RuntimeError, match="jacrev takes others"):
        torch.func.grad(lambda x: x)(torch.ones(2))
    with pytest.raises(TypeError, match="only tensors of floating point dtype"):
        torch.func.grad(lambda x: x)(torch.tensor(2))
    with pytest.raises(ValueError, match="vmap maps over one axis of one size"):
        torch.func.vmap(lambda a, b: a)(torch.ones(2), torch.ones(3))
    with pytest.raises(AttributeError, match="pullback.linearize"):
        _ = torch.func.linearize


if __name__ == "__main__":
    for program in PROGRAMS:
        try:
            check(program)
        except Exception as error:
            print(program, "::", type(error).__name__, " ".join(str(error).split())[:300])
