"""Four steps of a recurrence at once: the same values, and only in the adjoint's own loops."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import preaccumulate
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse, show
from pullback.ir.verify import verify
from pullback.transforms.vjp import traceable_of

BARS = {f"{name}_bar{k}" for name in "xsrq" for k in ("", "_1")}
BODIES = {
    "a product": ("u = x_bar * t", "v = u * b", "x_bar_1 = v / 2.0"),
    "a difference": ("u = x_bar * t", "v = x_bar * b", "w = u * b", "x_bar_1 = w - v"),
    "a sign": ("u = -x_bar", "v = u * t", "x_bar_1 = v + u"),
    "numbers": ("u = x_bar * 0.5", "v = -u", "w = v * 2.5", "r = w * t", "q = r / 4.0", "x_bar_1 = q + v"),
    "one factor": ("u = x_bar * t", "x_bar_1 = u * 1.5"),
}
TEMPLATE = """
def f(a: f64[n], b: f64, x: f64) -> (f64, f64):
    n: i64 = dim(a, 0)
    for i in reversed(range(n)):
        x_bar: f64 = phi(x, x_bar_1)
        s_bar: f64 = phi(0.0, s_bar_1)
        t: f64 = a[i]
        BODY
        s_bar_1: f64 = s_bar + u
    x_end: f64 = last(x_bar)
    s_end: f64 = last(s_bar)
    return x_end, s_end
"""


def program(lines, dtype="f64"):
    typed = [line.replace(" = ", ": f64 = ", 1) for line in lines]
    return parse(TEMPLATE.replace("BODY", "\n        ".join(typed)).replace("f64", dtype), BARS)


def same(before, after, tight=1e-12):
    """The same numbers but for rounding, inf, nan and 0 where they were. Tiny ones have few digits either way."""
    with np.errstate(all="ignore"):
        for a, b in zip(before, after, strict=True):
            single = np.asarray(a).dtype == np.float32
            np.testing.assert_allclose(b, a, rtol=2e-3 if single else tight, atol=1e-36 if single else 1e-300)


@pytest.mark.parametrize("name", BODIES)
def test_same_values(name):
    p = program(BODIES[name])
    new = verify(preaccumulate(p))
    assert show(new).count("for ") == 3
    for n in (0, 1, 2, 3, 4, 5, 7, 8, 9):
        args = np.linspace(0.5, 2.0, n), 1.3, 0.7
        same(evaluate(p, *args), evaluate(new, *args))


NUMBERS = [0.0, -0.0, 1.0, -2.0, 0.5, 1e160, -1e160, 1e-160, 1e200, 1e-200, 1e300, 1e-310, np.inf, -np.inf, np.nan]
SINGLE = [0.0, -0.0, 1.0, -2.0, 0.5, 1e15, -1e15, 1e-15, 1e30, 1e-30, 1e38, 1e-40, np.inf, np.nan]


@pytest.mark.fuzz
@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", BODIES)
def test_factors_far_from_one(name, dtype, rng):
    """A product of factors neither overflows nor vanishes before it meets the cotangent."""
    p = program(BODIES[name], dtype)
    new = preaccumulate(p)
    kind = np.float64 if dtype == "f64" else np.float32
    strange = 0
    with np.errstate(all="ignore"):
        for _ in range(400):
            pool = np.array(NUMBERS if dtype == "f64" else SINGLE, kind)
            a = np.where(rng.random(9) < rng.choice([0.15, 0.6]), rng.choice(pool, 9), rng.normal(size=9)).astype(kind)
            args = a, kind(rng.choice([*pool[:5], 1.3, rng.choice(pool)])), kind(rng.choice(pool))
            before = evaluate(p, *args)
            strange += not np.all(np.isfinite(before))
            same(before, evaluate(new, *args), 1e-9)
    assert 40 < strange < 360


def test_where_the_product_alone_would_be_out_of_range():
    p = program(BODIES["one factor"])
    new = preaccumulate(p)
    for big, x in ((1e80, 0.0), (1e80, 1e-200), (1e-80, 1e200)):
        a = np.array([1 / big] * 4 + [big] * 4)
        same(evaluate(p, a, 1.0, x), evaluate(new, a, 1.0, x))
        assert np.isfinite(evaluate(new, a, 1.0, x)[0])


@pytest.mark.parametrize(
    "lines",
    [
        ("u = x_bar * x_bar", "x_bar_1 = u * b"),  # not linear
        ("u = sin(x_bar)", "x_bar_1 = u * b"),
        ("u = x_bar + b", "x_bar_1 = u * b"),  # affine
        ("u = b / x_bar", "x_bar_1 = u * t"),
        ("u = x_bar * t", "x_bar_1 = u / t"),  # by a number that may be small
        ("u = x_bar * t", "x_bar_1 = u * 1e200"),
        ("u = x_bar * t", "x_bar_1 = u * s_bar"),
    ],
)
def test_what_is_left_alone(lines):
    p = program(lines)
    assert preaccumulate(p) == p


def test_the_users_loops_are_left_alone():
    users = parse(show(program(BODIES["a product"])))  # whatever its names are
    assert preaccumulate(users) == users


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
    "factor, loops", [("t - b", 3), ("exp(t)", 5)]  # exp(t): for each block, ahead of it
)
def test_four_steps_at_once(order, factor, loops):
    p = parse(STRIDE.replace("RANGE", order).replace("t - b", factor), BARS)
    new = verify(preaccumulate(p))
    assert show(new).count("for ") == loops
    a = np.random.default_rng(0).uniform(0.5, 2.0, 20)
    for lo, hi in [(0, 0), (3, 1), (0, 1), (2, 5), (0, 4), (3, 8), (1, 20), (0, 20)]:
        for before, after in zip(evaluate(p, a, 0.3, 0.7, lo, hi), evaluate(new, a, 0.3, 0.7, lo, hi)):
            np.testing.assert_allclose(after, before, rtol=1e-12)
    users = parse(show(p))
    assert loops == 5 or preaccumulate(users) == users


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
    assert show(preaccumulate(p)).count("for ") == 1


def last(p, q, x, w):
    for i in range(len(p)):
        x = np.sin(x * p[i]) * q[i]
    return x * w


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
def test_gradients_of_a_chain(jit):
    """Against the adjoint as it is before any of this."""
    with pb.options(cache=False, jit=jit), np.errstate(all="ignore"):
        gradient = pb.grad(last, argnums=2)
        for dtype, size, w in (
            (np.float64, -200, 1e300), (np.float64, 160, 0.0), (np.float64, 200, 1e-300), (np.float32, -25, 1e37),
            (np.float32, 20, 0.0),
        ):  # fmt: skip
            for n in (2, 3, 9):
                p = np.full(n, 10.0**size).astype(dtype)
                p[0] = 1.0
                args = p, p.copy(), dtype(0.0), dtype(w)
                form, params, *_ = traceable_of(last).find(args, {})
                made = adjoint(form.program, (2,), seeds=False)
                same(evaluate(made, *params), [gradient(*args)])
