"""Problems without loops: losses of statistics and learning, and chains of elementwise functions."""

from __future__ import annotations

import numpy as np
from scipy.special import erf

from .problem import Problem


def layer(W, b, x, y, c):
    z = x @ W + b
    return np.sum(c * (np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))))


def layer_data(rng, n, m):
    return rng.normal(size=(n, m)), rng.normal(size=m), rng.normal(size=n), rng.integers(0, 2, m) * 1.0, weights(rng, m)


def rosenbrock(x, c):
    return np.sum(c * (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2))


def rosenbrock_data(rng, n):
    return rng.normal(size=n), weights(rng, n - 1)


def logistic_regression(theta, X, y, c):
    z = X @ theta[:-1] + theta[-1]
    return np.sum(c * (np.logaddexp(0.0, z) - y * z))


def logistic_regression_data(rng, n, m):
    X = rng.normal(size=(n, m))
    y = (X @ rng.normal(size=m) + rng.normal(size=n) > 0).astype(float)
    return rng.normal(size=m + 1) * 0.1, X, y, weights(rng, n)


def mlp(W1, b1, W2, b2, X, labels, c):
    h = np.tanh(X @ W1 + b1)
    z = h @ W2 + b2
    top = np.max(z, axis=1)
    norm = top + np.log(np.sum(np.exp(z - top[:, None]), axis=1))
    return np.sum(c * (norm - z[np.arange(len(labels)), labels]))


def mlp_data(rng, n, hidden, m, batch):
    W1, W2 = rng.normal(size=(n, hidden)) / n**0.5, rng.normal(size=(hidden, m)) / hidden**0.5
    b1, b2 = rng.normal(size=hidden) * 0.1, rng.normal(size=m) * 0.1
    return W1, b1, W2, b2, rng.normal(size=(batch, n)), rng.integers(0, m, batch), weights(rng, batch)


def chain_tanh(x, w, b, c):
    return np.sum(c * np.tanh(x * w + b) ** 2)


def chain_many(x, w, b, c):
    return np.sum(c * (np.exp(-x * x) * np.sin(w * x) + np.log(1.0 + x * x) * w**1.5 + erf(b * x)))


def chain_data(rng, n):
    return rng.normal(size=n), rng.uniform(0.5, 1.5, n), rng.normal(size=n), weights(rng, n)


def weights(rng, *shape):
    return rng.uniform(0.5, 1.5, shape)


CHAIN_SIZES = {"10": (10,), "1e3": (1000,), "1e5": (100_000,), "1e7": (10_000_000,)}

PROBLEMS = (
    Problem("layer", layer, layer_data, (0, 1), {"5 -> 3": (5, 3)}, (5, 3), straight=True),
    Problem(
        "rosenbrock", rosenbrock, rosenbrock_data, (0,), {"10": (10,), "1e5": (100_000,)}, (7,), straight=True
    ),
    Problem(
        "logistic regression", logistic_regression, logistic_regression_data, (0,),
        {"1000 x 20": (1000, 20), "1e5 x 50": (100_000, 50)}, (11, 5), straight=True,
    ),
    Problem(
        "mlp", mlp, mlp_data, (0, 1, 2, 3), {"784-256-10, 128": (784, 256, 10, 128)}, (7, 6, 5, 9), straight=True
    ),
    Problem("chain tanh", chain_tanh, chain_data, (0, 1, 2), CHAIN_SIZES, (7,), straight=True),
    Problem("chain many", chain_many, chain_data, (0, 1, 2), CHAIN_SIZES, (7,), straight=True),
)  # fmt: skip
