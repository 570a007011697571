"""Six programs that a lecture would show, with arguments."""

import numpy as np


def layer(W, b, x, y):
    z = x @ W + b
    return np.mean(np.logaddexp(0.0, z) - z * y)


def logistic(w, X, y):
    p = 1.0 / (1.0 + np.exp(-(X @ w)))
    loss = -np.mean(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))
    return loss + 0.1 * np.sum(w ** 2)


def springs(x, k):
    s = 0.0
    for i in range(len(x) - 1):
        stretch = x[i + 1] - x[i]
        s += 0.5 * k * stretch**2
    return s


def newton(a):
    x = a
    while abs(x * x - a) > 1e-12:
        x = 0.5 * (x + a / x)
    return x


def cholesky(A):
    L = np.zeros_like(A)
    n = len(A)
    for j in range(n):
        s = A[j, j]
        for k in range(j):
            s -= L[j, k] ** 2
        L[j, j] = np.sqrt(s)
        for i in range(j + 1, n):
            t = A[i, j]
            for k in range(j):
                t -= L[i, k] * L[j, k]
            L[i, j] = t / L[j, j]
    return np.sum(np.log(np.diag(L)))


def mlp(params, X, y):
    h = X
    for W, b in params[:-1]:
        h = np.tanh(h @ W + b)
    W, b = params[-1]
    logits = h @ W + b
    m = logits - np.max(logits, axis=1, keepdims=True)
    logp = m - np.log(np.sum(np.exp(m), axis=1, keepdims=True))
    return -np.mean(np.sum(y * logp, axis=1))


def cases():
    """Name -> (function, arguments)."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal
    matrix = normal((4, 4))
    params = [(normal((4, 8)), normal(8)), (normal((8, 3)), normal(3))]
    return {
        "layer": (layer, (normal((5, 3)), normal(3), normal(5), np.zeros(3))),
        "logistic": (logistic, (normal(3), normal((20, 3)), (normal(20) > 0) * 1.0)),
        "springs": (springs, (normal(6), 2.0)),
        "newton": (newton, (2.0,)),
        "cholesky": (cholesky, (matrix @ matrix.T + 4 * np.eye(4),)),
        "mlp": (mlp, (params, normal((10, 4)), np.eye(3)[rng.integers(0, 3, 10)])),
    }
