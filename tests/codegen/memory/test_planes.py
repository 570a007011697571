"""Arrays of short rows become an array per column; the numbers stay."""

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.memory.structure_of_arrays import structure_of_arrays
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse, show
from pullback.ir.verify import verify
from pullback.testing import check_grad

PAIRS = """
def f(x: f64[n, 3], w: f64) -> f64[n, 3]:
    n: i64 = dim(x, 0)
    a: f64[n, 3] = {first}
    for i in range(n):
        a1: f64[n, 3] = phi(a, a5)
        for j in range(i):
            a2: f64[n, 3] = phi(a1, a4)
            p: f64 = x[i, 0]
            q: f64 = a2[j, 2]
            t: f64 = p * q
            a3: f64[n, 3] = a2.at[i, {column}].add(t)
            a4: f64[n, 3] = a3.at[j, 0].set(w)
        a5: f64[n, 3] = last(a2)
    y: f64[n, 3] = last(a1)
    return y
"""


@pytest.mark.parametrize("first", ["zeros((n, 3), f64)", "copy(x)", "x.at[0, 1].set(w)"])
def test_columns(first):
    program = verify(parse(PAIRS.format(first=first, column=1)))
    split = verify(structure_of_arrays(program))
    assert "a1: f64[n, 3]" in show(program) and "a1: f64[n, 3]" not in show(split)
    x = np.random.default_rng(0).normal(size=(5, 3))
    for a, b in zip(evaluate(program, x, 0.5), evaluate(split, x, 0.5), strict=True):
        assert np.array_equal(a, b)


def test_computed_columns_stay():
    program = verify(parse(PAIRS.format(first="zeros((n, 3), f64)", column="j")))
    assert "a1: f64[n, 3]" in show(structure_of_arrays(program))


def test_single_loops_stay():
    program = verify(parse("""
def f(x: f64[n, 3]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(0.0, s1)
        a: f64 = x[i, 0]
        s1: f64 = s + a
    y: f64 = last(s)
    return y
"""))
    assert structure_of_arrays(program) == program


def springs(x, v, steps):
    for _ in range(steps):
        for i in range(len(x)):
            for j in range(i):
                d = x[i] - x[j]
                if d[0] > 0.5:
                    v[i] -= 0.01 * d
                    v[j] += 0.01 * d
        x = x + 0.1 * v
    return x, np.sum(x * v)


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("m", [2, 3, 4])
def test_gradients(m, jit):
    rng = np.random.default_rng(m)
    x, v = rng.normal(size=(5, m)), rng.normal(size=(5, m))
    with pb.options(jit=jit):
        check_grad(springs, x, v, 3)
    assert "x0[" in pb.grad(lambda x, v: springs(x, v, 3)[1]).lower(f"f64[n, {m}]", f"f64[n, {m}]").source
