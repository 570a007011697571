"""Adjoints by hand of the problems without loops."""

from __future__ import annotations

import math

import numpy as np

from .tools import adjoint, cos, exp, log, sin, tanh

# -- a layer with binary cross-entropy ------------------------------------------------------------------


def layer(W, b, x, y, c):
    W_bar, b_bar = np.empty(W.shape), np.empty(b.shape)
    _layer(W, b, x, y, c, W_bar, b_bar)
    return W_bar, b_bar


@adjoint
def _layer(W, b, x, y, c, W_bar, b_bar):
    for j in range(W.shape[1]):
        z = b[j]
        for i in range(W.shape[0]):
            z += x[i] * W[i, j]
        e = np.exp(-abs(z))
        b_bar[j] = c[j] * ((1.0 if z >= 0.0 else e) / (1.0 + e) - y[j])
    for i in range(W.shape[0]):
        for j in range(W.shape[1]):
            W_bar[i, j] = x[i] * b_bar[j]


# -- Rosenbrock -----------------------------------------------------------------------------------------


def rosenbrock(x, c):
    x_bar = np.empty(x.shape)
    _rosenbrock(x, c, x_bar)
    return x_bar


@adjoint
def _rosenbrock(x, c, x_bar):
    last = x.shape[0] - 1
    x_bar[0] = c[0] * (-400.0 * x[0] * (x[1] - x[0] * x[0]) - 2.0 * (1.0 - x[0]))
    for i in range(1, last):
        own = c[i] * (-400.0 * x[i] * (x[i + 1] - x[i] * x[i]) - 2.0 * (1.0 - x[i]))
        x_bar[i] = own + 200.0 * c[i - 1] * (x[i] - x[i - 1] * x[i - 1])
    x_bar[last] = 200.0 * c[last - 1] * (x[last] - x[last - 1] * x[last - 1])


# -- logistic regression --------------------------------------------------------------------------------

BLOCK = 32768
"""Numbers that stay in the cache while they are read twice."""


def logistic_regression(theta, X, y, c):
    theta_bar = np.empty(theta.shape)
    _logistic_regression(theta, X, y, c, theta_bar)
    return theta_bar


@adjoint
def _logistic_regression(theta, X, y, c, theta_bar):
    """One sweep over the data: each block of rows is read again while it is in the cache."""
    n, m = X.shape
    most = min(n, max(BLOCK // m, 1))
    z, weights, part = np.empty(most), theta[:m], np.empty(m)
    for k in range(m + 1):
        theta_bar[k] = 0.0
    for start in range(0, n, most):
        rows = min(most, n - start)
        block = X[start : start + rows]
        np.dot(block, weights, z[:rows])
        total = 0.0
        for i in range(rows):
            s = z[i] + theta[m]
            e = exp(-abs(s))
            z_bar = c[start + i] * ((1.0 if s >= 0.0 else e) / (1.0 + e) - y[start + i])
            total += z_bar
            z[i] = z_bar
        theta_bar[m] += total
        np.dot(z[:rows], block, part)
        for k in range(m):
            theta_bar[k] += part[k]


# -- a network of two layers ----------------------------------------------------------------------------


def mlp(W1, b1, W2, b2, X, labels, c):
    bars = np.empty(W1.shape), np.empty(b1.shape), np.empty(W2.shape), np.empty(b2.shape)
    _mlp(W1, b1, W2, b2, X, labels, c, *bars)
    return bars


@adjoint
def _mlp(W1, b1, W2, b2, X, labels, c, W1_bar, b1_bar, W2_bar, b2_bar):
    batch, hidden, m = X.shape[0], W1.shape[1], W2.shape[1]
    h, h_bar, z = np.empty((batch, hidden)), np.empty((batch, hidden)), np.empty((batch, m))
    np.dot(X, W1, h)
    for i in range(batch):
        for j in range(hidden):
            h[i, j] = tanh(h[i, j] + b1[j])
    np.dot(h, W2, z)
    b2_bar[:] = 0.0
    for i in range(batch):
        top = -np.inf
        for j in range(m):
            z[i, j] += b2[j]
            top = max(top, z[i, j])
        total = 0.0
        for j in range(m):
            z[i, j] = exp(z[i, j] - top)
            total += z[i, j]
        scale = c[i] / total
        for j in range(m):
            z[i, j] *= scale
        z[i, labels[i]] -= c[i]
        for j in range(m):
            b2_bar[j] += z[i, j]
    np.dot(h.T, z, W2_bar)
    np.dot(z, W2.T, h_bar)
    b1_bar[:] = 0.0
    for i in range(batch):
        for j in range(hidden):
            h_bar[i, j] *= 1.0 - h[i, j] * h[i, j]
            b1_bar[j] += h_bar[i, j]
    np.dot(X.T, h_bar, W1_bar)


# -- chains of elementwise functions --------------------------------------------------------------------


def chain_tanh(x, w, b, c):
    bars = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    _chain_tanh(x, w, b, c, *bars)
    return bars


@adjoint
def _chain_tanh(x, w, b, c, x_bar, w_bar, b_bar):
    for i in range(x.shape[0]):
        t = tanh(x[i] * w[i] + b[i])
        bar = 2.0 * c[i] * t * (1.0 - t * t)
        x_bar[i] = bar * w[i]
        w_bar[i] = bar * x[i]
        b_bar[i] = bar


def chain_many(x, w, b, c):
    bars = np.empty(x.shape), np.empty(x.shape), np.empty(x.shape)
    _chain_many(x, w, b, c, *bars)
    return bars


SLOPE_OF_ERF = 2.0 / math.sqrt(math.pi)


@adjoint
def _chain_many(x, w, b, c, x_bar, w_bar, b_bar):
    for i in range(x.shape[0]):
        xi, wi, bi = x[i], w[i], b[i]
        square = xi * xi
        bell, wave, slope = exp(-square), sin(wi * xi), cos(wi * xi)
        root = np.sqrt(wi)
        erf_bar = c[i] * SLOPE_OF_ERF * exp(-(bi * bi * square))
        x_bar[i] = (
            c[i] * (bell * (wi * slope - 2.0 * xi * wave) + 2.0 * xi / (1.0 + square) * wi * root)
            + erf_bar * bi
        )
        w_bar[i] = c[i] * (bell * slope * xi + 1.5 * root * log(1.0 + square))
        b_bar[i] = erf_bar * xi


GRADIENTS = {
    "layer": layer,
    "rosenbrock": rosenbrock,
    "logistic regression": logistic_regression,
    "mlp": mlp,
    "chain tanh": chain_tanh,
    "chain many": chain_many,
}
