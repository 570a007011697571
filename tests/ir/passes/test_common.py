"""What has a name is not computed again."""

import pytest
from before_after import check, example, programs

from pullback.ir.passes import common

EXAMPLES = {
    "values": example(
        """
def f(x: f64, w: f64) -> f64:
    a: f64 = x * w
    b: f64 = w * x
    c: f64 = sin(a)
    d: f64 = sin(b)
    y: f64 = c / d
    return y""",
        """
def f(x: f64, w: f64) -> f64:
    a: f64 = x * w
    c: f64 = sin(a)
    y: f64 = c / c
    return y""",
    ),
    "order matters where it does": example(
        """
def f(x: f64, w: f64) -> f64:
    a: f64 = x - w
    b: f64 = w - x
    c: f64 = maximum(a, b)
    d: f64 = maximum(b, a)
    y: f64 = c / d
    return y""",
        None,
    ),
    "outer values in inner regions, not the other way": example(
        """
def f(x: f64, n: i64, c: bool) -> f64:
    if c:
        a: f64 = sin(x)
    b: f64 = phi(a, x)
    d: f64 = sin(x)
    for i in range(n):
        s: f64 = phi(b, s1)
        e: f64 = sin(x)
        s1: f64 = s * e
    y: f64 = last(s)
    z: f64 = y + d
    return z""",
        """
def f(x: f64, n: i64, c: bool) -> f64:
    if c:
        a: f64 = sin(x)
    b: f64 = phi(a, x)
    d: f64 = sin(x)
    for i in range(n):
        s: f64 = phi(b, s1)
        s1: f64 = s * d
    y: f64 = last(s)
    z: f64 = y + d
    return z""",
    ),
    "phis and exits": example(
        """
def f(x: f64, n: i64, c: bool) -> (f64, f64, f64):
    for i in range(n):
        s: f64 = phi(x, s1)
        t: f64 = phi(x, s1)
        s1: f64 = s * t
    a: f64 = last(s)
    b: f64 = last(t)
    if c:
        pass
    d: f64 = phi(a, x)
    e: f64 = phi(b, x)
    g: f64 = d * e
    return a, b, g""",
        """
def f(x: f64, n: i64, c: bool) -> (f64, f64, f64):
    for i in range(n):
        s: f64 = phi(x, s1)
        s1: f64 = s * s
    a: f64 = last(s)
    if c:
        pass
    d: f64 = phi(a, x)
    g: f64 = d * d
    return a, a, g""",
    ),
    "sizes follow their names": example(
        """
def f(n: i64) -> f64[b]:
    a: i64 = n * n
    b: i64 = n * n
    x: f64[b] = zeros((b,), f64)
    y: f64[b] = x * 2.0
    return y""",
        """
def f(n: i64) -> f64[a]:
    a: i64 = n * n
    x: f64[a] = zeros((a,), f64)
    y: f64[a] = x * 2.0
    return y""",
    ),
    "memory is not shared": example(
        """
def f(x: f64[3]) -> (f64[3], f64[3], f64[3], f64[3]):
    a: f64[3] = zeros((3,), f64)
    b: f64[3] = zeros((3,), f64)
    c: f64[3] = copy(x)
    d: f64[3] = copy(x)
    return a, b, c, d""",
        None,
    ),
    "types of literals count": example(
        """
def f(x: f64) -> (f64, i64, f64, f64):
    a: f64 = f64(1)
    b: i64 = i64(1.0)
    c: f64 = x + 0.0
    d: f64 = x + (-0.0)
    return a, b, c, d""",
        None,
    ),
    "a check that held": example(
        """
def f(x: f64, n: i64) -> f64:
    c: bool = x > 0.0
    assert c, "ValueError: first"
    d: bool = x > 0.0
    for i in range(n):
        assert d, "ValueError: again"
    return x""",
        """
def f(x: f64, n: i64) -> f64:
    c: bool = x > 0.0
    assert c, "ValueError: first"
    for i in range(n):
        pass
    return x""",
    ),
    "a check in a loop that may not run": example(
        """
def f(x: f64, n: i64) -> f64:
    c: bool = x > 0.0
    for i in range(n):
        assert c, "ValueError: first"
    assert c, "ValueError: again"
    return x""",
        None,
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name):
    check(common, *EXAMPLES[name])


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_keep_their_meaning(seed):
    programs(common, seed)
