"""Operations that are done again behind a loop: the same numbers, and no array that waits for it."""

import numpy as np

import pullback as pb
from pullback.codegen import generate, rematerialise
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source

TEXT = """
def f(x: f64[n, m], w: f64[m], k: i64) -> (f64[m], f64[n, m]):
    n: i64 = dim(x, 0)
    m: i64 = dim(x, 1)
    u: f64[n, m] = sin(x)
    y: f64[n, m] = x - w
    s: f64[m] = sum(y, axis=(0,))
    for i in range(k):
        a: f64[m] = phi(s, b)
        b: f64[m] = sin(a)
    c: f64[m] = last(a)
    z: f64[n, m] = y * c
    return c, z
"""


def again(text):
    program = verify(parse(text))
    found = verify(rematerialise(program))
    x, w = np.random.default_rng(0).normal(size=(4, 3)), np.arange(3.0)
    run = compile_source(generate(program), program.name, jit=False)
    for wanted, value, written in zip(evaluate(program, x, w, 2), evaluate(found, x, w, 2), run(x, w, 2)):
        np.testing.assert_array_equal(value, wanted)
        np.testing.assert_allclose(written, wanted, rtol=1e-14)
    return found != program


def test_done_again():
    assert again(TEXT)


def test_on_an_array_that_is_needed_later_still():
    text = TEXT.replace("y: f64[n, m] = x - w", "y: f64[n, m] = u - w")
    assert not again(text)  # u would have to be kept instead
    assert again(text.replace("y * c", "y * u"))


def test_kept():
    assert not again(TEXT.replace("x - w", "x / w"))  # takes longer
    assert not again(TEXT.replace("x - w", "x - u"))  # two large arrays to read
    assert not again(TEXT.replace("return c, z", "return c, z, y").replace("f64[n, m]):", "f64[n, m], f64[n, m]):"))
    inside = "        d: f64[m] = y[0, :]\n        b: f64[m] = a + d"
    assert not again(TEXT.replace("        b: f64[m] = sin(a)", inside))  # in memory for the loop
    assert not again(TEXT.replace("s: f64[m] = sum(y, axis=(0,))", "s: f64[m] = sin(w)"))  # it reads it once


def test_a_deviation_is_not_kept_for_the_reverse_sweep():
    def scaled(x):
        x = (x - np.mean(x, axis=0)) / np.std(x, axis=0)
        s = 0.0
        for i in range(x.shape[0]):
            s += x[i, 0] * x[i, 1]
        return s

    gradient = pb.grad(scaled)
    x = np.random.default_rng(0).normal(size=(7, 5))
    with pb.options(jit=False, cache=False):
        pb.testing.check_grad(scaled, x)
        gradient(x)
    assert rematerialise(parse(str(gradient.adjoint_ir))) != parse(str(gradient.adjoint_ir))
