"""Tiny loops are written out; others stay; nothing changes in value."""

from __future__ import annotations

import numpy as np

import pullback as pb
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.passes.unroll import unroll
from pullback.ir.program import For
from pullback.ir.verify import verify
from pullback.ir.walk import walk
from pullback.testing import check_grad
from pullback.transforms.saved import kept


def loops(p):
    return sum(isinstance(node, For) for node in walk(p.body))


def nested(x, n):
    s = 1.0
    for i in range(n):
        for k in range(3):
            for j in range(k):
                s = s * x[j] + x[k] * i
            if s > 2.0:
                s = s / 3.0
        for k in range(2, -1, -1):
            s += x[k]
    for _ in range(20):
        s = np.sin(s)
    return s


def test_only_tiny_loops():
    p = pb.trace(nested, np.ones(3), 4)  # traced, unrolled and optimised
    assert loops(p) == 2
    x = np.array([0.3, 0.7, 1.1])
    assert evaluate(p, x, 4)[0] == nested(x, 4)


def test_before_and_after():
    from_trace = pb.trace(lambda x: sum_of(x), np.ones(3))
    p = verify(optimise(unroll(from_trace)))
    assert loops(p) == 0
    assert unroll(p) is p


def sum_of(x):
    total = x[0] * 0.0
    for k in range(3):
        total = total + x[k] * x[k]
    return total


def pairs(x):
    energy = 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            r2 = 0.1
            for k in range(3):
                d = x[i, k] - x[j, k]
                r2 += d * d
            energy += 1.0 / r2
    return energy


def test_three_vectors_keep_nothing():
    x = np.random.default_rng(0).normal(size=(5, 3))
    with pb.options(jit=False, cache=False):
        check_grad(pairs, x)
        check_grad(nested, x[0], 3)
        g = pb.grad(pairs)
        form, params, leaves, tree = g._traceable.find((x,), {})
        assert sum(e.bytes for e in kept(form, g._wrt(form, tree, leaves), params)) == 0
