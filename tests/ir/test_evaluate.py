"""The interpreter: NumPy's meaning of every node."""

import numpy as np
import pytest

from pullback.ir.errors import IRError, ShapeMismatch
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse


def run(text, *args):
    return evaluate(parse(text), *args)


def test_a_loop_over_an_array():
    text = """
def f(x: f64[n], w: f64) -> (f64, f64[n]):
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(1.0, s1)
        y: f64[n] = phi(x, y1)
        a: f64 = y[i]
        b: f64 = s * w
        s1: f64 = a + b
        y1: f64[n] = y.at[i].set(s1)
    s_end: f64 = last(s)
    y_end: f64[n] = last(y)
    return s_end, y_end"""
    x = np.array([1.0, 2.0, 3.0])
    s, y = run(text, x, 0.5)
    expected = [1.5, 2.75, 4.375]
    assert s == 4.375 and isinstance(s, np.float64)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(x, [1.0, 2.0, 3.0])


def test_phis_change_together():
    text = """
def f(n: i64) -> (i64, i64):
    for i in range(n):
        a: i64 = phi(0, b)
        b: i64 = phi(1, c)
        c: i64 = a + b
    a_end: i64 = last(a)
    b_end: i64 = last(b)
    return a_end, b_end"""
    assert run(text, 10) == (55, 89)
    assert run(text, 0) == run(text, -3) == (0, 1)


def test_loops_run_backwards():
    text = """
def f(n: i64) -> i64:
    for i in reversed(range(2, n)):
        a: i64 = phi(0, a1)
        t: i64 = a * 10
        a1: i64 = t + i
    a_end: i64 = last(a)
    return a_end"""
    assert run(text, 6) == (5432,)


def test_while_leaves_with_the_phis_at_its_test():
    text = """
def f(x: f64) -> (f64, i64):
    while True:
        y: f64 = phi(x, y1)
        k: i64 = phi(0, k1)
        c: bool = y > 1.0
        if not c: break
        y1: f64 = y * 0.5
        k1: i64 = k + 1
    y_end: f64 = last(y)
    k_end: i64 = last(k)
    return y_end, k_end"""
    assert run(text, 5.0) == (0.625, 3)
    assert run(text, 0.5) == (0.5, 0)


@pytest.mark.parametrize("x, y", [(2.0, 4.0), (-2.0, np.exp(-2.0))])
def test_only_one_arm_runs(x, y):
    text = """
def f(x: f64) -> f64:
    c: bool = x > 0.0
    if c:
        t: f64 = x * x
        assert c, "ValueError: ran the first"
    else:
        u: f64 = exp(x)
        d: bool = ~c
        assert d, "ValueError: ran the second"
    y: f64 = phi(t, u)
    return y"""
    assert run(text, x) == (y,)


def test_sizes_computed_in_the_program():
    text = """
def f(x: f64[n]) -> (i64, f64[k]):
    n: i64 = dim(x, 0)
    m: bool[n] = x > 0.0
    ones: i64[n] = i64(m)
    k: i64 = sum(ones, axis=(0,))
    at: i64[k] = nonzero(m, k)
    y: f64[k] = x[at]
    return k, y"""
    k, y = run(text, [1.0, -1.0, 3.0, 0.0])
    assert k == 2
    np.testing.assert_array_equal(y, [1.0, 3.0])


def test_a_phi_that_grows():
    text = """
def f(x: f64[n]) -> f64[m]:
    n: i64 = dim(x, 0)
    for i in range(2):
        k: i64 = phi(n, k1)
        y: f64[k] = phi(x, y1)
        k1: i64 = k + n
        y1: f64[k1] = concatenate((y, x), axis=0, size=k1)
    m: i64 = last(k)
    y_end: f64[m] = last(y)
    return y_end"""
    np.testing.assert_array_equal(run(text, [1.0, 2.0])[0], [1.0, 2.0] * 3)


def test_writes_have_numpys_meaning():
    text = """
def f(x: f64[4], k: i64[3], v: f64[3]) -> (f64[4], f64[4]):
    y: f64[4] = x.at[k].set(v)
    z: f64[4] = x.at[k].add(v)
    return y, z"""
    y, z = run(text, np.zeros(4), [1, 1, 3], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(y, [0, 2, 0, 3])
    np.testing.assert_array_equal(z, [0, 3, 0, 3])


@pytest.mark.parametrize(
    "message, error, text",
    [
        ("IndexError: index 3 is out of bounds", IndexError, "index 3 is out of bounds"),
        ("ZeroDivisionError: division by zero", ZeroDivisionError, "division by zero"),
        ("AssertionError: ", AssertionError, ""),
        ("guard: n >= 4", ValueError, "guard: n >= 4"),
        ("spam: eggs", ValueError, "spam: eggs"),
    ],
)
def test_failed_checks_raise(message, error, text):
    program = f'def f(c: bool) -> ():\n    assert c, "{message}"\n    return ()'
    assert run(program, True) == ()
    with pytest.raises(error) as info:
        run(program, False)
    assert str(info.value) == text


def test_arithmetic_is_numpys():
    text = """
def f(x: f64, n: i64) -> (f64, f64, i64):
    a: f64 = x / 0.0
    b: f64 = log(x)
    c: i64 = n + 9223372036854775807
    return a, b, c"""
    a, b, c = run(text, -1.0, 1)
    assert a == -np.inf and np.isnan(b) and c == -(2**63)


def test_results_share_no_memory():
    x = np.ones(3)
    text = "def f(x: f64[3]) -> (f64[3], f64[3]):\n    y: f64[3] = reshape(x, (3,))\n    return x, y"
    for result in run(text, x):
        assert not np.shares_memory(result, x)


def test_arguments_must_fit():
    text = "def f(x: f64[n, 3], y: f64[n]) -> ():\n    n: i64 = dim(x, 0)\n    return ()"
    assert run(text, np.ones((2, 3)), np.ones(2)) == ()
    with pytest.raises(ShapeMismatch, match="x has shape"):
        run(text, np.ones((2, 4)), np.ones(2))
    with pytest.raises(ShapeMismatch, match="y has shape"):
        run(text, np.ones((2, 3)), np.ones(3))
    with pytest.raises(TypeError, match="takes 2 arguments"):
        run(text, np.ones((2, 3)))


def test_a_wrong_declared_size_is_found():
    with pytest.raises(IRError, match="has? .*shape|the shape"):
        run("def f(x: f64[3]) -> f64[2]:\n    y: f64[2] = sin(x)\n    return y", np.ones(3))


def test_functions_named_by_strings_are_found():
    assert run("def f(x: f64) -> f64:\n    y: f64 = erf(x)\n    return y", 0.0) == (0.0,)


def test_a_watch_sees_every_operation_in_order():
    program = parse("""
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        s: f64 = phi(x, s1)
        c: bool = s > 2.0
        if c:
            a: f64 = s * 0.5
        else:
            b: f64 = s + 1.0
        s1: f64 = phi(a, b)
    y: f64 = last(s)
    return y""")
    seen = []

    def watch(node, part, values, env):
        assert all(env[name] is value for name, value in values.items())
        seen.append((type(node).__name__, part, {k: v.item() for k, v in values.items()}))

    assert evaluate(program, 2.0, 2, watch=watch) == (1.5,)
    assert seen == [
        ("For", "head", {"i": 0, "s": 2.0}),
        ("Let", "", {"c": False}),
        ("If", "head", {}),
        ("Let", "", {"b": 3.0}),
        ("If", "join", {"s1": 3.0}),
        ("For", "head", {"i": 1, "s": 3.0}),
        ("Let", "", {"c": True}),
        ("If", "head", {}),
        ("Let", "", {"a": 1.5}),
        ("If", "join", {"s1": 1.5}),
        ("For", "exit", {"y": 1.5}),
    ]
