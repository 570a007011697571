"""Recurrent networks as their users write them: gates of concatenated inputs and states, many weights of many sizes."""

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def lstm(x, Wf, Wi, Wo, Wg, bf, bi, bo, bg, v):
    h = np.zeros(len(bf))
    c = np.zeros(len(bf))
    for t in range(len(x)):
        z = np.concatenate([x[t], h])
        f = sigmoid(Wf @ z + bf)
        i = sigmoid(Wi @ z + bi)
        o = sigmoid(Wo @ z + bo)
        c = f * c + i * np.tanh(Wg @ z + bg)
        h = o * np.tanh(c)
    return v @ h


def lstm_of_batches(x, Wf, Wi, Wo, Wg, v):
    steps, batch, _ = x.shape
    h = np.zeros((batch, Wf.shape[1]))
    c = np.zeros_like(h)
    for t in range(steps):
        z = np.concatenate([x[t], h], axis=1)
        c = sigmoid(z @ Wf) * c + sigmoid(z @ Wi) * np.tanh(z @ Wg)
        h = sigmoid(z @ Wo) * np.tanh(c)
    return np.mean((h @ v) ** 2)


def lstm_with_one_matrix(x, W, b, v):
    size = len(v)
    h, c, s = np.zeros(size), np.zeros(size), 0.0
    for row in x:
        z = W @ np.hstack([h, row]) + b
        f, i, o, g = z[:size], z[size : 2 * size], z[2 * size : 3 * size], z[3 * size :]
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        s += v @ h
    return s


def gru(x, Wz, Wr, Wh, v):
    h = v * 0.0
    for row in x:
        xh = np.concatenate([row, h])
        z, r = sigmoid(Wz @ xh), sigmoid(Wr @ xh)
        n = np.tanh(Wh @ np.concatenate([row, r * h]))
        h = (1 - z) * n + z * h
    return h @ v


def layers(x, weights, v):
    states = [np.zeros(W.shape[0]) for W in weights]
    for t in range(len(x)):
        below = x[t]
        for k, W in enumerate(weights):
            states[k] = np.tanh(W @ np.concatenate([below, states[k]]))
            below = states[k]
    return v @ states[-1]


def kept_states(x, Wf, Wi, Wo, Wg, v):
    h = np.zeros((len(x) + 1, len(v)))
    c = np.zeros_like(h)
    for t in range(len(x)):
        z = np.concatenate([x[t], h[t]])
        c[t + 1] = sigmoid(Wf @ z) * c[t] + sigmoid(Wi @ z) * np.tanh(Wg @ z)
        h[t + 1] = sigmoid(Wo @ z) * np.tanh(c[t + 1])
    return np.sum((h[1:] @ v) ** 2)


def arguments(function, steps=3, d=3, n=4):
    rng = np.random.default_rng(0)
    make = lambda *shape: 0.5 * rng.normal(size=shape)
    gates = lambda count: [make(n, n + d) for _ in range(count)]
    match function.__name__:
        case "lstm":
            return make(steps, d), *gates(4), make(n), make(n), make(n), make(n), make(n)
        case "lstm_of_batches":
            return make(steps, 2, d), *(W.T.copy() for W in gates(4)), make(n)
        case "lstm_with_one_matrix":
            return make(steps, d), make(4 * n, n + d), make(4 * n), make(n)
        case "gru":
            return make(steps, d), *gates(3), make(n)
        case "layers":
            return make(steps, d), [make(n, n + d), make(n + 1, 2 * n + 1)], make(n + 1)
    return make(steps, d), *gates(4), make(n)


def uncompiled_check(function, *args):
    with pb.options(jit=False, cache=False):
        check_grad(function, *args, directions=1)


@pytest.mark.parametrize(
    "function",
    [lstm, lstm_of_batches, lstm_with_one_matrix, gru, layers, kept_states],
    ids=lambda f: f.__name__,
)
def test_gradient(function):
    for sizes in ((3, 3, 4), (4, 2, 2)):
        uncompiled_check(function, *arguments(function, *sizes))


@pytest.mark.fuzz
@pytest.mark.parametrize("function", [lstm_of_batches, gru], ids=lambda f: f.__name__)
def test_second_derivative(function):
    """Sizes that a trace finds equal are equal for the gradient inside of it, too."""
    uncompiled_check(lambda *args: np.sum(pb.grad(function, argnums=1)(*args) ** 2), *arguments(function))
