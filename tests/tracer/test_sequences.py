"""Lists, comprehensions, generators and iterators over arrays: right, and one trace for every length."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

import pullback as pb

SIZES = (5, 7, 6)
ONE_TRACE: list = []


def one_trace(function):
    ONE_TRACE.append(function)
    return function


def vector(n):
    return np.sin(np.arange(n) * 1.3 + 0.4) * 1.5


def difference_quotients(f, x):
    h = 1e-6
    return np.array([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))])


def check(f, g, x):
    value, gradient = g(x)
    np.testing.assert_allclose(value, f(x), rtol=1e-10)
    np.testing.assert_allclose(gradient, difference_quotients(f, x), atol=2e-5)


# -- lists that are filled in loops ----------------------------------------------------------------------


@one_trace
def summed(x):
    out = []
    for v in x:
        out.append(np.sin(v))
    return sum(out)


@one_trace
def asked(x):
    out = []
    for v in x:
        out.append(np.sin(v))
    return np.sum(np.array(out) ** 2) + out[-1] * out[0] + len(out)


@one_trace
def states(x):
    h, hs = np.zeros(3), []
    for v in x:
        h = np.tanh(h * 0.5 + v)
        hs.append(h)
    s = 0.0
    for h in hs:
        s = s + np.sum(h**2)
    return s + np.sum(np.stack(hs)[::2])


@one_trace
def triangle(x):
    out = []
    for i in range(len(x)):
        for j in range(i):
            out.append(x[i] * x[j])
    return sum(out)


@one_trace
def square(x):
    out = []
    for i in range(len(x)):
        for j in range(len(x)):
            out.append(x[i] * x[j])
    return np.sum(np.array(out) ** 2)


@one_trace
def on_a_condition(x):
    out = []
    for v in x:
        if v > 0:
            out.append(v * v)
    return sum(out) + len(out)


@one_trace
def in_two_places(x):
    out = [1.0]
    for v in x:
        out.append(out[-1] * v)
        out.append(v)
    return sum(out) + out[1]


@one_trace
def preset(x):
    n = len(x)
    out = [0.0] * n
    for i in range(n):
        out[i] = x[i] ** 2
    for i in range(1, n):
        out[i] += out[i - 1] * 0.5
    return out[-1] + sum(out)


@one_trace
def of_tuples(x):
    out = []
    for i, v in enumerate(x):
        out.append((i, v * v))
    return sum(i * v for i, v in out)


@one_trace
def in_a_while(x):
    out, s = [], x[0]
    while s < 20.0:
        s = s * 1.5 + 1
        out.append(s)
    return sum(out)


@one_trace
def until_a_break(x):
    out = []
    for v in x:
        if v > 1.4:
            break
        out.append(v * v)
    return sum(out) + len(out)


@one_trace
def swapped(x):
    a = [v for v in x]  # noqa: C416
    for i in range(len(a) - 1):
        if a[i] > a[i + 1]:
            a[i], a[i + 1] = a[i + 1], a[i]
    return sum(i * v for i, v in enumerate(a))


@one_trace
def sliced_and_joined(x):
    out = [v * v for v in x]
    return sum(out[1:]) + sum(out[::-1][:2]) + sum(out + out)


@one_trace
def of_an_array(x):
    values = list(x)
    return values[0] * values[-1] + sum(values)


@one_trace
def looked_up(x):
    d = [(v - 0.3) ** 2 for v in x]
    return d[d.index(min(d))] * x[0] + x[np.argmin(d)] + min(x, key=lambda v: (v - 0.2) ** 2)


# -- comprehensions and generator expressions ------------------------------------------------------------


@one_trace
def comprehension(x):
    return np.sum(np.array([v**3 for v in x]))


@one_trace
def generator_expression(x):
    return sum((v - 1.0) ** 2 for v in x) + sum(v * v for v in x if v > 0)


@one_trace
def filtered(x):
    return np.sum(np.array([v * v for v in x if v > 0]))


@one_trace
def nested(x):
    return np.sum(np.array([[a * b for b in x] for a in x]) ** 2) + sum(a * b**2 for a in x for b in x)


@one_trace
def zipped(x):
    return sum(a * b for a, b in zip(x, x[1:])) + sum(i * v for i, v in enumerate(x, 2))


@one_trace
def extremes(x):
    return max(v * v for v in x) + min([v * v for v in x])


@one_trace
def any_and_all(x):
    return x[0] * x[1] if any(v > 1.2 for v in x) and not all(v > 0 for v in x) else x[0]


# -- map, filter, itertools ------------------------------------------------------------------------------


@one_trace
def mapped(x):
    return sum(map(lambda v: v**2, x)) + sum(map(lambda a, b: a * b, x, x[::-1])) + sum(filter(lambda v: v > 0, x))  # noqa: C417


@one_trace
def chained(x):
    return sum(v**2 for v in itertools.chain(x, x[1:]))


@one_trace
def products(x):
    return sum(a * b for a, b in itertools.product(x, repeat=2))


@one_trace
def pairs(x):
    return sum(a * b**2 for a, b in itertools.combinations(x, 2))


@one_trace
def running(x):
    return sum(v * v for v in itertools.accumulate(x)) + sum((b - a) ** 2 for a, b in itertools.pairwise(x))


@one_trace
def reduced(x):
    return functools.reduce(lambda a, b: a * 0.5 + b, x)


# -- generator functions ---------------------------------------------------------------------------------


def parts(w):
    for k in range(2):
        yield w[2 * k : 2 * k + 2]


def squares(x):
    for v in x:
        yield v * v
        yield v


def orbit(x):
    a, b = x[0], x[1]
    while True:
        yield a
        a, b = b, a * 0.5 + b * 0.3


def weighted(x, k):
    for i in range(k):
        yield x[i] * i


def several(x):
    yield from weighted(x, 3)
    yield x[0] * x[1]
    for v in weighted(x, len(x)):
        if v > 0:
            yield v**2


@one_trace
def generator_of_slices(x):
    s = 0.0
    for part in parts(x):
        s = s + np.sum(part**2)
    a, b = parts(x)
    return s + np.sum(a * b)


@one_trace
def generator_in_a_loop(x):
    s = 0.0
    for a in squares(x):
        twice = a * 2
        if twice < -1.0:
            continue
        s += twice * a
    return s


@one_trace
def generator_in_functions(x):
    values = np.array([a**2 for a in squares(x)])
    return sum(squares(x)) + max(squares(x)) + sum(list(squares(x))) + np.sum(values)


@one_trace
def generator_without_an_end(x):
    s, n = 0.0, 0
    for v in orbit(x):
        s += v * v
        n += 1
        if n >= 6 or s > 50.0:
            break
    return s + n


@one_trace
def generators_of_generators(x):
    s = 0.0
    for i, v in enumerate(several(x)):
        s += v * (i + 1)
    for a in squares(x):
        for b in weighted(x, 2):
            s += a * b
    return s + sum(a * b for a, b in zip(squares(x), x))


@one_trace
def generator_asked_once(x):
    g = squares(x)
    return next(g) * next(g) + sum(g)


class Chain:
    def __init__(self, w):
        self.w = w

    def links(self):
        for k in range(len(self.w) - 1):
            yield self.w[k] * self.w[k + 1]

    def __iter__(self):
        yield from self.links()


@one_trace
def generator_methods(x):
    s = 0.0
    for p in Chain(x).links():
        s += p
    for p in Chain(x):
        s += p * p
    return s


@one_trace
def generator_with_a_state(x):
    def totals():
        total = 0.0
        for v in x:
            if v > 1.45:
                return
            total += v
            yield total

    def first_above(limit):
        for v in squares(x):
            if v > limit:
                return v * 3
        return x[0]

    return sum(v * v for v in totals()) + first_above(1.1)


@one_trace
def generator_fills_a_list(x):
    out = []
    for v in squares(x):
        out.append(v)
        if v > 0:
            out.append(v * 2)
    return sum(out)


@one_trace
def break_in_a_written_out_loop(x):
    s = 0.0
    for w in (1.0, 2.0, 3.0):
        s += w * x[0] ** 2
        if s > 1.2:
            break
    return s


@one_trace
def places_as_keys(x):
    s, done, doubled = 0.0, set(), {}
    for i in range(4):
        doubled[i] = x[i] * 2
        if i % 3 in done:
            continue
        done.add(i % 3)
        s += x[i]
    return s + sum(doubled.values()) + doubled[2] + doubled.get(7, 1.0)


@one_trace
def pairwise_products(x):
    level = list(x[:4])
    while len(level) > 1:
        level = [level[i] * level[i + 1] for i in range(0, len(level) - 1, 2)]
    return level[0]


@pytest.mark.parametrize("f", ONE_TRACE, ids=lambda f: f.__name__)
def test_one_trace_for_every_length(f):
    with pb.options(jit=False, cache=False):
        g = pb.value_and_grad(f)
        for n in SIZES:
            check(f, g, vector(n))
    assert g._traceable.traces == 1


@pytest.mark.compiled
@pytest.mark.parametrize("f", ONE_TRACE[::10], ids=lambda f: f.__name__)
def test_compiled(f):
    g = pb.value_and_grad(f)
    for n in SIZES[:2]:
        check(f, g, vector(n))


def test_a_place_is_a_key_where_the_trip_count_is_static():
    def f(x):
        weights, s = {0: 1.0}, 0.0
        for i in range(len(x)):
            s += weights.get(i, 0.0) * x[i]
        return s

    with pb.options(jit=False, cache=False):
        gradient = pb.grad(f)
        for n in (5, 3, 5):
            assert np.array_equal(gradient(vector(n)), np.eye(n)[0])
