"""Functions computed ahead of a recurrence: the same values, and only where nothing is waited for."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import preaccumulate
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse, show
from pullback.ir.verify import verify

LOOP = """
def f(a: f64[n], b: f64, x: f64, y: f64[n], lo: i64, hi: i64) -> (f64, f64, f64[n]):
    n: i64 = dim(a, 0)
    for i in RANGE:
        c: f64 = phi(x, c_1)
        s: f64 = phi(0.0, s_1)
        z: f64[n] = phi(y, z_1)
        t: f64 = a[i]
        u: f64 = t * b
        v: f64 = exp(u)
        w: f64 = sin(v)
        k: f64 = v + w
        p: f64 = c * k
        c_1: f64 = p - t
        s_1: f64 = s + p
        z_1: f64[n] = z.at[i].add(p)
    c_end: f64 = last(c)
    s_end: f64 = last(s)
    z_end: f64[n] = last(z)
    return c_end, s_end, z_end
"""


def loops(program):
    return show(program).count("for ")


@pytest.mark.parametrize("order", ["range(lo, hi)", "reversed(range(lo, hi))"])
def test_same_values(order):
    p = parse(LOOP.replace("RANGE", order))
    new = verify(preaccumulate(p))
    assert loops(new) == 3
    rng = np.random.default_rng(0)
    a, y = rng.uniform(-1.0, -0.5, 400), rng.normal(size=400)
    for lo, hi in [(0, 0), (7, 3), (300, 3), (0, 1), (5, 127), (0, 128), (3, 132), (1, 400), (0, 400)]:
        args = a, 0.3, 0.7, y, lo, hi
        for before, after in zip(evaluate(p, *args), evaluate(new, *args)):
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(
    "old, new",
    [
        ("u: f64 = t * b", "u: f64 = t * c"),  # waits for what the loop carries
        ("u: f64 = t * b", "u: f64 = z[i]"),  # which may be an array
        ("c_1: f64 = p - t", "c_1: f64 = c + k"),  # sums vectorise as they are
        ("range(lo, hi)", "range(100)"),  # too short
    ],
)
def test_what_stays_one_loop(old, new):
    text = LOOP.replace("RANGE", "range(lo, hi)").replace(old, new)
    if "c + k" in new:
        text = text.replace("p: f64 = c * k", "p: f64 = t * k")
    p = parse(text)
    assert preaccumulate(p) == p


def steps(x, u, n):
    for k in range(n):
        x = np.sin(x) * np.cos(u[k] * u[k]) + np.exp(-u[k]) * x
    return x


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
def test_gradient_of_a_filter(jit):
    u = np.random.default_rng(1).uniform(0.5, 1.5, 300)
    with pb.options(jit=jit, cache=False):
        pb.testing.check_grad(steps, 0.4, u, 300)
        gradient = pb.grad(steps, argnums=(0, 1))
        assert gradient.lower(0.4, u, 300).source.count("block") >= 2
