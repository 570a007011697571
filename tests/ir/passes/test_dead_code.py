"""What nothing needs goes; checks, and all they need, stay."""

import pytest
from before_after import check, example, programs

from pullback.ir.passes import dead_code

EXAMPLES = {
    "a value": example(
        """
def f(x: f64) -> f64:
    a: f64 = sin(x)
    b: f64 = cos(a)
    y: f64 = x * x
    return y""",
        """
def f(x: f64) -> f64:
    y: f64 = x * x
    return y""",
    ),
    "phis that feed only themselves": example(
        """
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        a: f64 = phi(0.0, a1)
        b: f64 = phi(1.0, b1)
        c: f64 = phi(x, c1)
        a1: f64 = a + b
        b1: f64 = sin(a)
        c1: f64 = c * x
    a_end: f64 = last(a)
    y: f64 = last(c)
    return y""",
        """
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        c: f64 = phi(x, c1)
        c1: f64 = c * x
    y: f64 = last(c)
    return y""",
    ),
    "a phi that a live phi reads": example(
        """
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        a: f64 = phi(0.0, b)
        b: f64 = phi(1.0, b1)
        b1: f64 = b * x
    y: f64 = last(a)
    return y""",
        None,
    ),
    "loops and ifs that give nothing": example(
        """
def f(x: f64, n: i64, c: bool) -> f64:
    for i in range(n):
        a: f64 = phi(0.0, a1)
        if c:
            b: f64 = sin(a)
        a1: f64 = phi(b, a)
    a_end: f64 = last(a)
    while True:
        k: i64 = phi(n, k1)
        d: bool = k > 0
        if not d: break
        k1: i64 = k - 1
    k_end: i64 = last(k)
    return x""",
        """
def f(x: f64, n: i64, c: bool) -> f64:
    return x""",
    ),
    "one arm of an if": example(
        """
def f(x: f64, c: bool) -> f64:
    if c:
        a: f64 = sin(x)
        b: f64 = a * a
    else:
        d: f64 = cos(x)
    y: f64 = phi(a, x)
    z: f64 = phi(b, d)
    return y""",
        """
def f(x: f64, c: bool) -> f64:
    if c:
        a: f64 = sin(x)
    y: f64 = phi(a, x)
    return y""",
    ),
    "checks stay, where they are": example(
        """
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        a: f64 = phi(0.0, a1)
        a1: f64 = a + x
        b: f64 = sin(a)
        c: bool = a < 4.0
        assert c, "ValueError: too large"
    a_end: f64 = last(a)
    return x""",
        """
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        a: f64 = phi(0.0, a1)
        a1: f64 = a + x
        c: bool = a < 4.0
        assert c, "ValueError: too large"
    return x""",
    ),
    "a check in a while keeps its test": example(
        """
def f(n: i64) -> i64:
    while True:
        k: i64 = phi(n, k1)
        d: bool = k > 0
        if not d: break
        k1: i64 = k - 2
        c: bool = k1 != 0
        assert c, "ValueError: even"
    return n""",
        None,
    ),
    "sizes are needed by types": example(
        """
def f(x: f64[n], y: f64[m]) -> f64[k]:
    n: i64 = dim(x, 0)
    m: i64 = dim(y, 0)
    k: i64 = n - 1
    j: i64 = n - 2
    z: f64[k] = x[1:n]
    return z""",
        """
def f(x: f64[n], y: f64[m]) -> f64[k]:
    n: i64 = dim(x, 0)
    m: i64 = dim(y, 0)
    k: i64 = n - 1
    z: f64[k] = x[1:n]
    return z""",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    check(dead_code, *EXAMPLES[name])


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_keep_their_meaning(seed):
    programs(dead_code, seed)
