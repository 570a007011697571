"""The problems: one loss, its data, and the same loss for each library as its users would write it.

An implementation is a function without arguments that computes the gradient, on data that is already
where the library wants it, and waits for the result; it returns the gradient as something NumPy reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import pullback as pb

Implementation = Callable[[], Any]


@dataclass(frozen=True)
class Problem:
    title: str
    make: dict[str, Callable[[Any], Implementation]]  # by library; takes the imported library


def layer_data() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 3)), rng.normal(size=3), rng.normal(size=5), np.array([1.0, 0.0, 1.0])


def logistic_data() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(1000, 20))
    y = (X @ rng.normal(size=20) + rng.normal(size=1000) > 0).astype(float)
    return rng.normal(size=21) * 0.1, X, y


# -- binary cross-entropy with logits of a linear layer --------------------------------------------


def layer_loss(W, b, x, y):
    z = x @ W + b
    return np.mean(np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z))))


def layer_pullback(_: Any) -> Implementation:
    gradient = pb.grad(layer_loss, argnums=(0, 1))
    W, b, x, y = layer_data()
    return lambda: gradient(W, b, x, y)


def layer_jax(jax: Any) -> Implementation:
    jnp = jax.numpy

    def loss(W, b, x, y):
        z = x @ W + b
        return jnp.mean(jnp.maximum(z, 0.0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    W, b, x, y = map(jnp.asarray, layer_data())
    return lambda: jax.block_until_ready(gradient(W, b, x, y))


def layer_torch(torch: Any) -> Implementation:
    W, b, x, y = map(torch.from_numpy, layer_data())
    W.requires_grad_(), b.requires_grad_()

    def gradient():
        z = x @ W + b
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        return torch.autograd.grad(loss, (W, b))

    return gradient


def layer_autograd(autograd: Any) -> Implementation:
    anp = autograd.numpy

    def loss(parameters, x, y):
        W, b = parameters
        z = anp.dot(x, W) + b
        return anp.mean(anp.maximum(z, 0.0) - z * y + anp.log1p(anp.exp(-anp.abs(z))))

    gradient = autograd.grad(loss)
    W, b, x, y = layer_data()
    return lambda: gradient((W, b), x, y)


# -- logistic regression ---------------------------------------------------------------------------


def logistic_loss(theta, X, y):
    z = X @ theta[:-1] + theta[-1]
    return np.mean(np.logaddexp(0.0, z) - y * z)


def logistic_pullback(_: Any) -> Implementation:
    gradient = pb.grad(logistic_loss)
    theta, X, y = logistic_data()
    return lambda: gradient(theta, X, y)


def logistic_jax(jax: Any) -> Implementation:
    jnp = jax.numpy

    def loss(theta, X, y):
        z = X @ theta[:-1] + theta[-1]
        return jnp.mean(jnp.logaddexp(0.0, z) - y * z)

    gradient = jax.jit(jax.grad(loss))
    theta, X, y = map(jnp.asarray, logistic_data())
    return lambda: jax.block_until_ready(gradient(theta, X, y))


def logistic_torch(torch: Any) -> Implementation:
    theta, X, y = map(torch.from_numpy, logistic_data())
    theta.requires_grad_()

    def gradient():
        z = X @ theta[:-1] + theta[-1]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
        return torch.autograd.grad(loss, theta)[0]

    return gradient


def logistic_autograd(autograd: Any) -> Implementation:
    anp = autograd.numpy

    def loss(theta, X, y):
        z = anp.dot(X, theta[:-1]) + theta[-1]
        return anp.mean(anp.logaddexp(0.0, z) - y * z)

    gradient = autograd.grad(loss)
    theta, X, y = logistic_data()
    return lambda: gradient(theta, X, y)


PROBLEMS = (
    Problem(
        "cross-entropy of a 5 -> 3 layer",
        {"pullback": layer_pullback, "JAX": layer_jax, "PyTorch": layer_torch, "autograd": layer_autograd},
    ),
    Problem(
        "logistic regression 1000 x 20",
        {
            "pullback": logistic_pullback,
            "JAX": logistic_jax,
            "PyTorch": logistic_torch,
            "autograd": logistic_autograd,
        },
    ),
)


# -- the loss of the demo, for the time that tracing takes -----------------------------------------


def demo_loss(theta, X, y):
    z = X @ theta[:-1] + theta[-1]
    fit = np.mean(np.logaddexp(0.0, z) - y * z)
    return fit + 1e-3 * np.sum(theta[:-1] ** 2)


def lower_demo() -> Any:
    """Trace and differentiate the demo's loss, without any cache."""
    rng = np.random.default_rng(2)
    lowered = pb.value_and_grad(demo_loss).lower(
        rng.normal(size=31), rng.normal(size=(455, 30)), np.ones(455)
    )
    return lowered.adjoint_ir
