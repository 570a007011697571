"""Python as it is written: each construct differentiated unchanged, checked against finite differences."""

from __future__ import annotations

import logging
import math
import warnings

import numba
import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.5, -1.0, 2.0, 0.3])

LOG = logging.getLogger(__name__)


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def loops_of_all_kinds(x):
    s = 0.0
    for i in range(3, -1, -1):
        s = s * 0.5 + x[i]
    for i in range(0, len(x), 2):
        s += x[i] * i
    for i in range(len(x) - 1, 0, -2):
        s -= np.sin(x[i])
    for v in x:
        s += v * v
    for i, v in enumerate(x, start=2):
        s += i * v
    for a, b in zip(x[1:], x):
        s += a * b
    for v in reversed(x):
        s = np.tanh(s + v)
    for i in reversed(range(1, len(x))):
        s += x[i] * x[i - 1]
    for i, (a, b) in enumerate(zip(x, x[::-1])):
        s += a * b * i
    for row in np.outer(x, x):
        s += row[0]
    return s


def while_with_else(x):
    n = 0
    s = x[0]
    while s < 5.0:
        s = s * 1.5 + x[2]
        n += 1
    else:
        s = s * 2.0
    return s + n


def break_and_else(x, limit):
    for v in x:
        if v > limit:
            found = v * v
            break
    else:
        found = x[0] * 3.0
    return found


def continue_twice(x):
    s = 0.0
    for i in range(len(x)):
        if i == 1:
            continue
        if x[i] < 0.4:
            s += 1.0
            continue
        for j in range(i):
            if j == 2:
                continue
            s += x[j] * x[i]
    return s


def return_from_nested_loops(x):
    for i in range(len(x)):
        for j in range(len(x)):
            if x[i] * x[j] > 0.9:
                return x[i] * x[j] + i
    return x[0]


def chained_comparison(x):
    return x[0] * x[0] if 0.0 < x[0] < 1.0 <= x[2] else x[1]


def logic(x):
    s = 0.0
    for v in x:
        if (v > 0.0 and v < 1.0) or not v > -0.5:
            s += v * v
        elif v > 1.0:
            s += v
        else:
            s -= v
    return s


def logic_with_values(x):
    return (x[0] and x[1]) * (x[2] or x[3])


def walrus(x):
    if (y := x[0] * x[1]) < 0.0:
        return y * y
    return y


def unpacking(x):
    a, b, *rest = x
    (c, d), e = (a * b, b), rest[0]
    a, b = b, a
    return a * c + d * e - b


def swap_in_a_loop(x):
    a, b = x[0], x[1]
    for _ in range(5):
        a, b = b, a + 0.1 * b * b
    return a * b


def nonlocal_and_closures(x):
    total = 0.0
    factors = [lambda v, k=k: v * k for k in (1.0, 2.0)]

    def add(v):
        nonlocal total
        total += v * v
        return total

    for i in range(len(x)):
        add(x[i])
        if x[i] > 0.0:
            add(factors[1](x[i]))
    return total


def recursion(x, n=4):
    if n == 0:
        return x[0]
    return np.sin(recursion(x, n - 1)) * x[1] + n


def comprehensions(x):
    squares = [v * v for v in [x[0], x[1], x[2]]]
    table = {name: x[k] for k, name in enumerate(("a", "b"))}
    pairs = [a * b for a in squares for b in table.values() if a is not None]
    return sum(pairs) + max(squares) + min(table["a"], table["b"]) + sum(v for v in x[:2])


def builtins_of_python(x):
    n = len(x)
    q, r = divmod(n, 3)
    s = abs(x[1]) + pow(x[0], 3) + round(2.6) * x[2] + float(n) * x[3] + int(3.7) * x[0]
    return s + max(x[0], x[1], 0.1) + min(x[2], 1.0) + sum([x[0], x[1]]) * q + r


def math_module(x):
    return math.sin(x[0]) + math.exp(x[1]) * math.sqrt(x[2]) + math.pi * math.log(x[2]) + math.hypot(x[0], x[1])


def accumulators_that_widen(x):
    s = 0
    k = 0
    row = 0.0
    for i in range(len(x)):
        s += x[i]
        k += i
        row += x * x[i]
    return s * k + np.sum(row * row)


def value_or_none(x):
    best = None
    for i in range(3):
        best = x[i] if best is None else best * x[i]
    return best


def lists_of_arrays(x):
    layers = [x, x * 2.0, np.tanh(x)]
    layers[1] = layers[1] * layers[0]
    for k in range(len(layers)):
        layers[k] = layers[k] + 1.0
    out = layers[0]
    for w in layers[1:]:
        out = out * w
    return np.sum(out)


def branches_that_write(x):
    y = np.zeros(4)
    if x[0] > 0.0:
        y[0] = x[0] * 2.0
        y[1:3] = x[1]
    else:
        y[:] = x
    if x[1] > 0.0:
        y *= 2.0
    return np.sum(y * y)


def names_for_one_array(x):
    y = x * 1.0
    z = y
    z[0] = 5.0 * x[1]
    y[1] += z[0]
    w = y[1:]
    w *= 2.0
    return np.sum(y * z)


def views_of_views(x):
    a = np.outer(x, x)
    b = a[1:]
    c = b.T[1:, ::-1]
    c[0, 0] = x[0] * 7.0
    c[:, 1] += x[1:]
    d = a.reshape(16)
    d[3] = x[2]
    e = a.ravel()
    e[5] *= x[3]
    np.add(a[0], x, out=a[0])
    a[2].fill(0.25)
    return np.sum(a * a * np.arange(16.0).reshape(4, 4))


def overlapping(x):
    y = x * 1.0
    y[1:] = y[:-1] * 2.0
    y[:-1] += y[1:]
    y[[0, 0, 1]] += x[:3]
    np.add.at(y, np.array([0, 0, 1]), x[:3])
    y[np.array([True, False, True, False])] = 3.0 * x[1]
    y[y > 2.0] *= 0.5
    y[[3, 3]] = x[:2]
    return np.sum(y * np.arange(1.0, 5.0))


def sizes_from_data(x):
    positive = x[x > 0.0]
    places = np.nonzero(x > 0.4)[0]
    s = 0.0
    for i in range(len(positive)):
        s += positive[i] * i
    for i in range(len(places)):
        s += x[places[i]] ** 2
    return s * len(positive)


def negative_and_traced_indices(x, k):
    s = x[-1] * x[-k] + x[k - 2]
    for i in range(1, 4):
        s += x[-i] * x[i - 2]
    return s


def work_arrays(x):
    n = len(x)
    order = np.zeros(n, dtype=int)
    for i in range(n):
        order[i] = (i * 3 + 1) % n
    y = np.empty(n)
    for i in range(n):
        y[order[i]] = x[i] * i
    a = np.full((n, n), 0.5)
    for i in range(n):
        a[i, :i] = x[:i]
        a[i, i:] -= x[i]
        a[i][order[i]] = y[i]
    return np.sum(a * a)


def growing(x):
    y = x[:1]
    for i in range(1, 3):
        y = np.concatenate((y, x[i : i + 1] * y[0]))
    return np.sum(y * y)


@numba.njit
def compiled_helper(v, n):
    for _ in range(n):
        v = math.sin(v) + 1.0
    return v


def calls(x):
    return compiled_helper(x[0], 3) * Helper(2.0).scaled(x[1]) + np.sum(doubled(x, offset=1.0))


def doubled(v, *rest, factor=2.0, **others):
    return v * factor + others["offset"] + len(rest)


class Helper:
    def __init__(self, k):
        self.k = k

    def scaled(self, v):
        self.last = v * self.k
        if self.last > 0.0:
            return self.last
        return self.last * self.last


def nothing_to_do(x):
    for i in range(0):
        x = x * i
    for v in x[:0]:
        x = x * v
    while x[0] > 100.0:
        x = x * 0.5
    return np.sum(x)


def counts_in_a_while(x):
    i = 0
    s = 0.0
    while i < len(x) and s < 100.0:
        s = s + x[i] * x[i] * i
        i += 1
        if s < 0.0:
            break
    return s * i


CASES = [
    (loops_of_all_kinds, X), (while_with_else, X), (break_and_else, X, 1.0), (break_and_else, X, 9.0),
    (continue_twice, X), (return_from_nested_loops, X), (return_from_nested_loops, X * 0.1), (chained_comparison, X),
    (logic, X), (logic_with_values, X), (walrus, X), (unpacking, X), (swap_in_a_loop, X), (nonlocal_and_closures, X),
    (recursion, X), (comprehensions, X), (builtins_of_python, X), (math_module, np.abs(X)),
    (accumulators_that_widen, X),
    (value_or_none, X), (lists_of_arrays, X), (branches_that_write, X), (branches_that_write, -X),
    (names_for_one_array, X), (views_of_views, X), (overlapping, X), (sizes_from_data, X),
    (negative_and_traced_indices, X, 2), (work_arrays, X), (growing, X), (calls, X), (nothing_to_do, X),
    (counts_in_a_while, X),
]  # fmt: skip


@pytest.mark.compiled
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].__name__)
def test_gradient(case):
    function, *args = case
    check_grad(function, *args)


def test_a_loop_is_one_loop():
    """Whatever the trip count: neither the program nor the time to make it grows."""

    def f(x, n):
        for _ in range(n):
            x = np.sin(x) * 1.01
        return x

    def fixed(x):
        for _ in range(1_000_000):
            x = np.sin(x) * 1.01
        return x

    assert str(pb.trace(f, 0.5, 10)) == str(pb.trace(f, 0.5, 10_000_000))
    assert len(str(pb.trace(fixed, 0.5)).splitlines()) < 10


@pytest.mark.parametrize("kind", (complex, np.complex128, np.complex64))
def test_complex_numbers_are_refused_at_their_line(kind):
    operations = (
        lambda a, b: np.abs(a + b), lambda a, b: np.sqrt(a - b), lambda a, b: np.exp(a * b), lambda a, b: a / b,
        lambda a, b: a**b, lambda a, b: a // b, lambda a, b: a == b, lambda a, b: a != b, np.add,
    )  # fmt: skip
    text = "complex numbers cannot be traced. Write the real and the imaginary part"
    for f in operations:
        for x in (X, 2.0):
            for g in (lambda x, f=f: np.sum(f(x, kind(1j))), lambda x, f=f: np.sum(f(kind(1j), x))):
                with pytest.raises(TypeError, match=text) as caught:
                    pb.grad(g)(x)
                assert isinstance(caught.value, pb.PullbackError)
                assert caught.value.span.file == __file__


def test_text_of_traced_values_may_be_shown(capsys, caplog):
    def f(x):
        print(f"x = {x[0]}", repr(x[1]), str(x))
        LOG.warning(f"logged {x}")
        LOG.warning("logged %s", x)
        warnings.warn(f"warned {x}", stacklevel=1)
        assert x[0] < 5.0, f"large {x[0]}"
        if x[0] < -5.0:
            raise ValueError(f"small {x[0]}")
        if len(x) == 2:
            raise ValueError(f"short {x}")
        return np.sum(x * x)

    with pytest.warns(UserWarning, match="warned <traced x: f64"):
        np.testing.assert_array_equal(pb.grad(f)(X), 2.0 * X)
    assert "x = <traced" in capsys.readouterr().out
    assert [r.getMessage() for r in caplog.records] == ["logged <traced x: f64[n]>"] * 2
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=r"short \[ 0.5 -1. \]"):
        pb.grad(f)(X[:2])
    for first, kind, text in ((6.0, AssertionError, "large 6.0"), (-6.0, ValueError, "small -6.0")):
        with pytest.raises(kind, match=text):
            pb.grad(f)(np.array([first, 0.0, 1.0, 2.0]))


def test_text_of_integers_that_are_known_is_that_of_the_number():
    def f(x, n):
        weights = {"w0": 1.0, "w1": 2.0, "w2": 5.0, "w3": 0.5}
        s = 0.0
        for i in range(4):
            s += weights[f"w{i}"] * x[i]
        return s * len(f"{n}") * len(str(x.shape)) * int(f"{len(x):03d}")

    value, bar = pb.value_and_grad(f)(X, 123)
    assert value == f(X, 123)
    np.testing.assert_array_equal(bar, np.array([1.0, 2.0, 5.0, 0.5]) * 3 * 4 * 4)
    np.testing.assert_array_equal(pb.grad(f)(X, 7), np.array([1.0, 2.0, 5.0, 0.5]) * 1 * 4 * 4)


def test_printing_shows_the_symbol_once(capsys):
    def f(x):
        for i in range(3):
            print("x is", x, i)
            x = x * x
        return x

    assert pb.grad(f)(1.0) == 8.0
    shown = capsys.readouterr().out
    assert shown.count("x is") == 1 and "f64" in shown


def test_lambdas_on_one_line():
    f, g = (lambda x: x * 2.0 if x > 0 else x), (lambda x: x * 3.0 if x > 0 else x)
    assert (pb.grad(f)(1.0), pb.grad(g)(1.0), pb.grad(f)(-1.0)) == (2.0, 3.0, 1.0)


def test_python_numbers_become_traced():
    def f(x, n):
        a, k, flag = 1, 0, False
        for i in range(n):
            a = a * x
            k = k + i
            flag = flag or a > 3.0
        return a * k if flag else a

    assert pb.grad(f)(2.0, 3) == pytest.approx(3 * 4.0 * 3)
    assert pb.grad(f)(1.0, 3) == pytest.approx(3.0)


def test_a_length_repeats_lists():
    """`[0.0] * n` is a list of n elements, and never the array of NumPy's product."""

    def f(x):
        parts = [0.0] * len(x)
        for i in range(len(x)):
            parts[i] = np.sum(x[i]) * i
        return sum(parts) + np.sum(x) * len((1.0, 2.0) * len(x)) * len(len(x) * [0.0])

    with pb.options(jit=False):
        for n in (2, 3):
            expected = np.arange(n)[:, None] + 2.0 * n * n
            np.testing.assert_allclose(pb.grad(f)(np.ones((n, 2))), np.broadcast_to(expected, (n, 2)))


def test_lambdas_of_one_line_that_differ_in_the_name_of_an_argument():
    one, two = (lambda x: np.sum(x, axis=1), lambda x: np.sum(x, keepdims=1))  # fmt: skip
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(pb.jit(one)(x), one(x))
    np.testing.assert_array_equal(pb.jit(two)(x), two(x))
