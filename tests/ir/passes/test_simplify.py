"""Rewrites that keep every bit, and those that would not and must not happen."""

import numpy as np
import pytest
from before_after import check, example, programs
from random_programs import random_arguments, random_program, same_values

from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise, simplify
from pullback.ir.text import parse, show

# The operation of a line `y: type = ...`, and what stands in its place: an operation, or a value.
HEAD = """\
def f(x: f64, w: f64, v: f64[n], c: bool, k: i64, g: f32, m: f64[n, 3]) -> {type}:
    n: i64 = dim(v, 0)
"""
LINES = [
    ("f64", "x * 1.0", "x"),
    ("f64", "1.0 * x", "x"),
    ("f64[n]", "v * 1.0", "v"),
    ("f64", "x * (-1.0)", "-x"),
    ("f64", "x / 1.0", "x"),
    ("f64", "x / (-1.0)", "-x"),
    ("f64", "x ** 1.0", "x"),
    ("f64", "x ** 0.0", "1.0"),
    ("f64[n]", "v ** 0.0", None),
    ("f64", "x ** 2.0", None),
    ("f64", "x * 0.0", None),
    ("f64", "x + 0.0", None),
    ("f64", "0.0 + x", None),
    ("f64", "x + (-0.0)", "x"),
    ("f64", "(-0.0) + x", "x"),
    ("f64", "x - 0.0", "x"),
    ("f64", "x - (-0.0)", None),
    ("f64", "0.0 - x", None),
    ("f64", "x - x", None),
    ("f64", "x / x", None),
    ("f64", "where(True, x, w)", "x"),
    ("f64", "where(False, x, w)", "w"),
    ("f64", "where(c, x, x)", "x"),
    ("f64[n]", "where(True, v, x)", "v"),
    ("f64[n]", "where(False, v, x)", None),
    ("bool", "k == k", "True"),
    ("bool", "n <= n", "True"),
    ("bool", "x == x", None),
    ("bool", "where(c, True, False)", "c"),
    ("f64", "f64(x)", "x"),
    ("f64", "f64(g)", None),
    ("f64", "sum(x, axis=())", "x"),
    ("f64[n]", "broadcast_to(v, (n,))", "v"),
    ("f64[n]", "broadcast_to(x, (n,))", None),
    ("f64[n]", "reshape(v, (n,))", "v"),
    ("f64[n, 3]", "transpose(m, (0, 1))", "m"),
    ("f64[3, n]", "transpose(m, (1, 0))", None),
    ("f64[n]", "copy(v)", None),
    ("f64[n]", "v[:]", "v"),
    ("f64[n, 1]", "v[:, None]", None),
    ("f64[n]", "v.at[:].set(v)", "v"),
    ("f64[n]", "v.at[:].add(v)", None),
    ("f64[n]", "v.at[:].set(x)", None),
    ("f64[n]", "concatenate((v,), axis=0, size=n)", "v"),
    ("f64", "2.0 + 0.5", "2.5"),
    ("f64", "1.0 / 0.0", "inf"),
    ("f64", "0.0 / 0.0", "nan"),
    ("f64", "sqrt(2.0)", "1.4142135623730951"),
    ("f32", "f32(0.1)", "0.1"),
    ("bool", "1.0 < 2.0", "True"),
    ("f64", "erf(1.0)", None),
    ("i64", "3 // 0", None),
    ("i64", "7 // 2", "3"),
    ("i64", "7 % 0", None),
    ("i64", "i64(inf)", None),
    ("i64", "i64(2.5)", "2"),
    ("i64", "ipow(2, -1)", None),
    ("i64", "k * 0", "0"),
    ("i64", "k - k", "0"),
    ("i64", "k + 0", "k"),
    ("i64", "k // 1", "k"),
    ("i64", "k % 1", "0"),
    ("i64", "dim(m, 1)", "3"),
    ("i64", "dim(m, 0)", "n"),
    ("bool", "c & True", "c"),
    ("bool", "c & False", "False"),
    ("bool", "False | c", "c"),
    ("bool", "c | True", "True"),
    ("i64", "k & k", None),
]


@pytest.mark.parametrize("type, before, after", LINES)
def test_single_operations(type, before, after):
    head = HEAD.format(type=type)
    is_value = after is not None and (after.isidentifier() or after[0].isdigit())
    end = f"    return {after}" if is_value else f"    y: {type} = {after or before}\n    return y"
    check(simplify, f"{head}    y: {type} = {before}\n    return y", head + end)


PAIRS = [
    ("f64", "-x", "-a", "x"),
    ("f64", "-x", "a * 2.0", "x * (-2.0)"),
    ("f64", "-x", "2.0 / a", "(-2.0) / x"),
    ("f64", "-x", "a * a", "x * x"),
    ("f64", "-x", "w + a", "w - x"),
    ("f64", "-x", "a + w", "w - x"),
    ("f64", "-x", "w - a", "w + x"),
    ("f64", "-x", "a * w", "a * w"),
    ("bool", "~c", "~a", "c"),
    ("bool", "x == w", "~a", "x != w"),
    ("bool", "x < w", "~a", "~a"),
    ("f64[3, n]", "transpose(m, (1, 0))", "transpose(a, (1, 0))", "m"),
    ("f64[n]", "zeros((n,), f64)", "a[k]", "0.0"),
    ("f64[n]", "zeros((n,), f64)", "a[:2]", "zeros((2,), f64)"),
    ("f64[n]", "broadcast_to(x, (n,))", "a[k]", "x"),
    ("i64[n]", "iota(n)", "a[k]", "k"),
    ("f64[n]", "v.at[k].set(x)", "a[k]", "x"),
    ("f64[n]", "v.at[k].set(x)", "a[0]", "a[0]"),
    ("f64[n]", "v.at[k].add(x)", "a[k]", "a[k]"),
    ("f64[n]", "v.at[:2].set(x)", "a[:2]", "a[:2]"),
    ("f64[n]", "sin(v)", "copy(a)", "a"),
    ("f64[n]", "zeros((n,), f64)", "copy(a)", "copy(a)"),
    ("i64", "k + 3", "a - 3", "k"),
    ("i64", "k + 3", "a - k", "3"),
]


@pytest.mark.parametrize("type, first, second, after", PAIRS)
def test_an_operation_on_the_result_of_another(type, first, second, after):
    kind = {"a[k]": "i64" if "iota" in first else "f64", "a[0]": "f64", "a[:2]": "f64[2]", "m": "f64[n, 3]"}
    kind["transpose(a, (1, 0))"] = "f64[n, 3]"
    result = kind.get(second, type)
    head = HEAD.format(type=result) + f"    a: {type} = {first}\n"
    is_value = after.isidentifier() or after[0].isdigit()
    end = f"    return {after}" if is_value else f"    y: {result} = {after}\n    return y"
    check(simplify, f"{head}    y: {result} = {second}\n    return y", head + end)


EXAMPLES = {
    "index arrays keep the last of equal places": example(
        """
def f(v: f64[4], k: i64[3], x: f64[3]) -> f64[3]:
    a: f64[4] = v.at[k].set(x)
    y: f64[3] = a[k]
    return y""",
        None,
    ),
    "an operand that is broadcast is not the result": example(
        """
def f(c: bool, x: f64[1], v: f64[3]) -> f64[3]:
    y: f64[3] = where(True, x, v)
    return y""",
        None,
    ),
    "a loop without trips": example(
        """
def f(x: f64) -> f64:
    for i in range(3, 2):
        a: f64 = phi(x, a1)
        a1: f64 = a * 2.0
    y: f64 = last(a)
    z: f64 = sin(y)
    return z""",
        """
def f(x: f64) -> f64:
    z: f64 = sin(x)
    return z""",
    ),
    "a loop of one trip": example(
        """
def f(x: f64[4], w: f64) -> f64:
    for i in range(2, 3):
        a: f64 = phi(w, a1)
        b: f64 = x[i]
        a1: f64 = a * b
    y: f64 = last(a)
    return y""",
        """
def f(x: f64[4], w: f64) -> f64:
    b: f64 = x[2]
    a1: f64 = w * b
    return a1""",
    ),
    "phis that never change": example(
        """
def f(x: f64, n: i64) -> (f64, f64):
    for i in range(n):
        a: f64 = phi(x, a)
        b: f64 = phi(0.5, 0.5)
        s: f64 = phi(1.0, s1)
        t: f64 = a * b
        s1: f64 = s * t
    y: f64 = last(a)
    z: f64 = last(s)
    return y, z""",
        """
def f(x: f64, n: i64) -> (f64, f64):
    for i in range(n):
        s: f64 = phi(1.0, s1)
        t: f64 = x * 0.5
        s1: f64 = s * t
    z: f64 = last(s)
    return x, z""",
    ),
    "a while that does not start": example(
        """
def f(x: f64) -> f64:
    while True:
        a: f64 = phi(x, a1)
        c: bool = a > 0.0
        assert c, "ValueError: no"
        if not False: break
        a1: f64 = a * 2.0
    y: f64 = last(a)
    return y""",
        """
def f(x: f64) -> f64:
    c: bool = x > 0.0
    assert c, "ValueError: no"
    return x""",
    ),
    "an if that is decided": example(
        """
def f(x: f64) -> (f64, f64):
    c: bool = 1.0 < 2.0
    if c:
        a: f64 = sin(x)
        assert c, "ValueError: no"
    else:
        b: f64 = cos(x)
    y: f64 = phi(a, b)
    z: f64 = phi(1.0, 2.0)
    return y, z""",
        """
def f(x: f64) -> (f64, f64):
    a: f64 = sin(x)
    return a, 1.0""",
    ),
    "an if whose arms agree": example(
        """
def f(x: f64, c: bool) -> f64:
    if c:
        a: f64 = sin(x)
    y: f64 = phi(x, x)
    return y""",
        """
def f(x: f64, c: bool) -> f64:
    if c:
        a: f64 = sin(x)
    return x""",
    ),
    "a failing check stays": example(
        """
def f(x: f64) -> f64:
    assert False, "ValueError: no"
    return x""",
        None,
    ),
    "sizes become numbers": example(
        """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    m: i64 = n - n
    k: i64 = m + 2
    a: f64[k] = zeros((k,), f64)
    b: f64[k] = cos(a)
    y: f64 = b[0]
    return y""",
        """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    a: f64[2] = zeros((2,), f64)
    b: f64[2] = cos(a)
    y: f64 = b[0]
    return y""",
    ),
    "names of an inner region are not used outside": example(
        """
def f(n: i64, c: bool) -> i64:
    if c:
        a: i64 = n + 1
    k: i64 = phi(a, n)
    b: i64 = n + 1
    y: i64 = k * b
    return y""",
        None,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    check(simplify, *EXAMPLES[name])


@pytest.mark.parametrize("seed", range(100))
def test_random_programs_keep_their_meaning(seed):
    programs(simplify, seed)


@pytest.mark.parametrize("seed", range(100))
def test_the_whole_pipeline_keeps_the_meaning(seed):
    rng = np.random.default_rng(1000 + seed)
    before = random_program(rng, steps=25)
    args = random_arguments(rng)
    assert same_values(evaluate(optimise(before), *args), evaluate(before, *args))


def test_the_pipeline_cleans_up_what_passes_leave():
    program = parse("""
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        s: f64 = phi(0.0, s1)
        k: f64 = phi(1.0, k)
        a: f64 = x * k
        b: f64 = sin(a)
        c: f64 = sin(x)
        d: f64 = b * c
        s1: f64 = s + d
    y: f64 = last(s)
    return y""")
    assert (
        show(optimise(program))
        == """\
def f(x: f64, n: i64) -> f64:
    b: f64 = sin(x)
    for i in range(n):
        s: f64 = phi(0.0, s1)
        d: f64 = b * b
        s1: f64 = s + d
    y: f64 = last(s)
    return y"""
    )
