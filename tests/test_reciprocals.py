"""Quotients that only cotangents meet become products; the user's own stay."""

import numpy as np

import pullback as pb
from pullback.codegen import reciprocals
from pullback.ir.text import parse
from pullback.ir.verify import verify

TEXT = """
def f(y: f64[n, m], w: f64[m], y_bar: f64[n, m]) -> (f64[n, m], f64[n, m]):
    n: i64 = dim(y, 0)
    m: i64 = dim(y, 1)
    r: f64[m] = 1.0 / w
    x_bar: f64[n, m] = y_bar * r
    b: f64[n, m] = y / w
    c: f64[n, m] = y_bar * b
    return x_bar, c
"""


def changed(text, cotangents=("y_bar", "x_bar")):
    program = verify(parse(text, cotangents))
    found = verify(reciprocals(program))
    assert (found == program) == ("y / w" in str(found))
    return found != program


def test_only_for_cotangents():
    assert changed(TEXT)
    assert not changed(TEXT, cotangents=())
    assert not changed(TEXT.replace("return x_bar, c", "return x_bar, b"))
    assert not changed(TEXT.replace("y_bar * b", "y * b"))
    assert not changed(TEXT.replace("y_bar * b", "y_bar + b"))


def test_only_where_the_reciprocal_is_there():
    assert not changed(TEXT.replace("1.0 / w", "2.0 / w"))
    late = TEXT.splitlines()
    late.insert(7, late.pop(4))
    late.insert(7, late.pop(4))
    assert not changed("\n".join(late))
    assert not changed(TEXT.replace("w: f64[m]", "w: f64[n, m]").replace("r: f64[m]", "r: f64[n, m]"))


def scaled(x, w):
    return np.sum(np.sin(x / w) / w)


def test_the_users_own_quotients_stay():
    gradient = pb.grad(scaled, (0, 1))
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 3)), rng.uniform(1.0, 2.0, 3)
    with pb.options(jit=False, cache=False):
        x_bar, w_bar = gradient(x, w)
        pb.testing.check_grad(scaled, x, w)
    y = x / w
    np.testing.assert_allclose(x_bar, np.cos(y) / w / w, rtol=1e-14)
    np.testing.assert_allclose(w_bar, -np.sum((np.cos(y) * y + np.sin(y)) / w**2, axis=0), rtol=1e-13)
    code = [line for line in str(gradient.source).splitlines() if "#" not in line]
    assert "\n".join(code).count(" / ") == 4  # both quotients, the first again in the reverse sweep, 1 / w
