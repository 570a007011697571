"""Shortened recurrences compute the same, and only the adjoint's own loops are touched."""

from __future__ import annotations

import numpy as np
import pytest

from pullback.codegen import shorten_chains
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse, show
from pullback.ir.verify import verify

BARS = {f"{name}_bar{k}" for name in "xsgrq" for k in ("", "_1")} | {"u", "v", "w"}
BODIES = {
    "a product": ("u = x_bar * t", "v = u * b", "x_bar_1 = v / t"),
    "a difference": ("u = x_bar * t", "v = x_bar * b", "w = u * b", "x_bar_1 = w - v"),
    "a sign": ("u = -x_bar", "v = u * t", "x_bar_1 = v + u"),
}
TEMPLATE = """
def f(a: f64[n], b: f64, x: f64) -> (f64, f64, f64[n]):
    n: i64 = dim(a, 0)
    g: f64[n] = zeros((n,), f64)
    for i in reversed(range(n)):
        x_bar: f64 = phi(x, x_bar_1)
        s_bar: f64 = phi(0.0, s_bar_1)
        g_bar: f64[n] = phi(g, g_bar_1)
        t: f64 = a[i]
        BODY
        s_bar_1: f64 = s_bar + u
        g_bar_1: f64[n] = g_bar.at[i].add(u)
    x_end: f64 = last(x_bar)
    s_end: f64 = last(s_bar)
    g_end: f64[n] = last(g_bar)
    return x_end, s_end, g_end
"""


def program(lines):
    typed = [line.replace(" = ", ": f64 = ", 1) for line in lines]
    return parse(TEMPLATE.replace("BODY", "\n        ".join(typed)), BARS)


@pytest.mark.parametrize("name", BODIES)
def test_same_values(name):
    p = program(BODIES[name])
    new = verify(shorten_chains(p))
    assert show(new) != show(p)
    for n in (0, 1, 2, 7):
        args = np.linspace(0.5, 2.0, n), 1.3, 0.7
        for before, after in zip(evaluate(p, *args), evaluate(new, *args)):
            np.testing.assert_allclose(after, before, rtol=1e-12)


@pytest.mark.parametrize(
    "lines",
    [
        ("u = x_bar * x_bar", "x_bar_1 = u * b"),  # not linear
        ("u = sin(x_bar)", "x_bar_1 = u * b"),
        ("u = x_bar + b", "x_bar_1 = u * b"),  # affine
        ("u = b / x_bar", "x_bar_1 = u * t"),
    ],
)
def test_what_is_not_linear_is_left_alone(lines):
    p = program(lines)
    assert shorten_chains(p) == p


def test_the_users_loops_are_left_alone():
    p = program(BODIES["a product"])
    users = parse(show(p))
    assert shorten_chains(users) == users  # whatever its names are


STRIDE = """
def f(a: f64[n], b: f64, x: f64, lo: i64, hi: i64) -> (f64, f64, f64, f64):
    n: i64 = dim(a, 0)
    for i in RANGE:
        x_bar: f64 = phi(x, x_bar_1)
        s_bar: f64 = phi(0.5, s_bar_1)
        r_bar: f64 = phi(0.25, r_bar_1)
        q_bar: f64 = phi(0.125, q_bar_1)
        t: f64 = a[i]
        u: f64 = x_bar * t
        v: f64 = t - b
        w: f64 = v * x_bar
        s_bar_1: f64 = s_bar + u
        r_bar_1: f64 = r_bar - w
        q_bar_1: f64 = x_bar + q_bar
        x_bar_1: f64 = x_bar * v
    x_end: f64 = last(x_bar)
    s_end: f64 = last(s_bar)
    r_end: f64 = last(r_bar)
    q_end: f64 = last(q_bar)
    return x_end, s_end, r_end, q_end
"""


@pytest.mark.parametrize("order", ["range(lo, hi)", "reversed(range(lo, hi))"])
@pytest.mark.parametrize(
    "factor, loops", [("t - b", 2), ("exp(t)", 4)]
)  # exp(t): for each block, ahead of it
def test_four_steps_at_once(order, factor, loops):
    p = parse(STRIDE.replace("RANGE", order).replace("t - b", factor), BARS)
    new = verify(shorten_chains(p))
    assert show(new).count("for ") == loops
    a = np.random.default_rng(0).uniform(0.5, 2.0, 20)
    for lo, hi in [(0, 0), (3, 1), (0, 1), (2, 5), (0, 4), (3, 8), (1, 20), (0, 20)]:
        for before, after in zip(evaluate(p, a, 0.3, 0.7, lo, hi), evaluate(new, a, 0.3, 0.7, lo, hi)):
            np.testing.assert_allclose(after, before, rtol=1e-12)
    users = parse(show(p))
    assert loops == 4 or shorten_chains(users) == users


@pytest.mark.parametrize(
    "old, new",
    [
        ("v: f64 = t - b", "v: f64 = t - s_bar"),  # a factor that the loop carries
        ("x_bar_1: f64 = x_bar * v", "x_bar_1: f64 = x_bar + v"),  # not linear
        ("q_bar_1: f64 = x_bar + q_bar", "q_bar_1: f64 = x_bar * q_bar"),  # no sum
        ("q_bar_1: f64 = x_bar + q_bar", "q_bar_1: f64 = x_bar - q_bar"),
    ],
)
def test_other_recurrences_go_step_by_step(old, new):
    p = parse(STRIDE.replace("RANGE", "reversed(range(lo, hi))").replace(old, new), BARS)
    assert show(shorten_chains(p)).count("for ") == 1
