"""What leaves a loop, and what may not."""

from __future__ import annotations

import numpy as np
import pytest
from before_after import check, example, programs

import pullback as pb
from pullback.ir.passes.invariant import invariant

EXAMPLES = {
    "what a heavy invariant is computed from goes with it, out of both loops": example(
        """
def f(x: f64[n], k: i64) -> f64:
    n: i64 = dim(x, 0)
    for i in range(k):
        s: f64 = phi(0.0, s_end)
        for j in range(k):
            t: f64 = phi(s, c)
            y: f64[n] = 2.0 * x
            z: f64[n] = exp(y)
            a: f64 = z[0]
            c: f64 = t + a
        s_end: f64 = last(t)
    r: f64 = last(s)
    return r
""",
        """
def f(x: f64[n], k: i64) -> f64:
    n: i64 = dim(x, 0)
    y: f64[n] = 2.0 * x
    z: f64[n] = exp(y)
    for i in range(k):
        s: f64 = phi(0.0, s_end)
        for j in range(k):
            t: f64 = phi(s, c)
            a: f64 = z[0]
            c: f64 = t + a
        s_end: f64 = last(t)
    r: f64 = last(s)
    return r
""",
    ),
    "cheap numbers stay, a size goes where a guard says it is one": example(
        """
def f(x: f64[n], k: i64) -> f64:
    n: i64 = dim(x, 0)
    g: bool = n >= 2
    assert g, "guard: n >= 2"
    for i in range(k):
        s: f64 = phi(0.0, b)
        m: i64 = n - 1
        c: f64 = 2.0 * 3.0
        t: f64[m] = zeros((m,), f64)
        t1: f64[m] = t.at[0].set(c)
        v: f64 = t1[0]
        b: f64 = s + v
    r: f64 = last(s)
    return r
""",
        """
def f(x: f64[n], k: i64) -> f64:
    n: i64 = dim(x, 0)
    g: bool = n >= 2
    assert g, "guard: n >= 2"
    m: i64 = n - 1
    for i in range(k):
        s: f64 = phi(0.0, b)
        c: f64 = 2.0 * 3.0
        t: f64[m] = zeros((m,), f64)
        t1: f64[m] = t.at[0].set(c)
        v: f64 = t1[0]
        b: f64 = s + v
    r: f64 = last(s)
    return r
""",
    ),
    "a size that may be negative where the loop does not run stays": example(
        """
def f(n: i64, k: i64) -> f64:
    for i in range(k):
        s: f64 = phi(0.0, b)
        m: i64 = n - 1
        t: f64[m] = zeros((m,), f64)
        t1: f64[m] = t.at[0].set(s)
        b: f64 = t1[0]
    r: f64 = last(s)
    return r
""",
        None,
    ),
    "what an index reads stays behind its check": example(
        """
def f(x: f64[n], j: i64, k: i64) -> f64:
    n: i64 = dim(x, 0)
    for i in range(k):
        s: f64 = phi(0.0, b)
        v: f64 = x[j]
        e: f64 = exp(v)
        b: f64 = s + e
    r: f64 = last(s)
    return r
""",
        None,
    ),
}


@pytest.mark.parametrize("before, after", EXAMPLES.values(), ids=EXAMPLES)
def test_examples(before, after):
    check(invariant, before, after)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs(seed):
    programs(invariant, seed)


def test_an_invariant_is_differentiated_once():
    def f(c, x):
        s = 0.0
        for i in range(len(x)):
            s += np.exp(c) * x[i]
        return s

    gradient = pb.grad(f, argnums=(0, 1))
    x = np.linspace(0.0, 1.0, 5)
    with pb.options(jit=False):
        c_bar, x_bar = gradient(0.3, x)
    np.testing.assert_allclose(c_bar, np.exp(0.3) * x.sum())
    np.testing.assert_allclose(x_bar, np.full(5, np.exp(0.3)))
    code = [line for line in str(gradient.source).splitlines() if not line.lstrip().startswith("#")]
    (first,) = [k for k, line in enumerate(code) if "np.exp(" in line]
    assert first < min(k for k, line in enumerate(code) if "for " in line)
