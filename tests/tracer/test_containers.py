"""Lists, dicts, named tuples and objects that a loop or branch binds anew or changes: carried by their parts."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
from test_sequences import SIZES, check, vector

import pullback as pb

CASES: list = []


def case(function):
    CASES.append(function)
    return function


@case
def lists(x):
    s = [x[0], x[1]]
    for v in x:
        s = [s[0] + v, s[1] * 0.5 + v * s[0]]
    return s[0] * s[1]


@case
def dicts(x):
    s, r = {"p": x[0], "q": 1.0}, dict(a=x[0], b=1)  # noqa: C408
    for v in x:
        s = {**s, "q": s["q"] * 0.5 + v * s["p"]}
        r = dict(a=r["a"] + v, b=r["b"] + 0.5)  # noqa: C408
    return s["p"] * s["q"] + r["a"] * r["b"]


@case
def descent(x):
    w = {"a": x[:3], "b": x[1:4]}
    for i in range(len(x)):
        g = {k: 2 * w[k] * x[i] for k in w}
        w = {k: w[k] - 0.1 * g[k] for k in w}
    return np.sum(w["a"]) + np.sum(w["b"] ** 2)


@dataclasses.dataclass(frozen=True)
class Frozen:
    t: float
    v: object


class Pair(NamedTuple):
    a: float
    b: float


class Point:
    def __init__(self, a, b):
        self.a, self.b = a, b

    def moved(self, v):
        return Point(self.a + v, self.b * 0.5 + v)


@case
def objects(x):
    s, p, q = Frozen(0.0, x), Pair(0.0, 1.0), Point(x[0], x[1])
    for v in x:
        s = dataclasses.replace(s, t=s.t + v, v=s.v * 0.9)
        p = p._replace(a=p.a + v, b=p.b * v * 0.7)
        q = q.moved(v)
    return s.t * np.sum(s.v) + p.a * p.b + q.a * q.b


@case
def changed_in_place(x):
    s, p = {"p": x[0], "q": 1.0, "seen": []}, Point(x[0], x[1])
    for v in x:
        s["p"] += v
        s["q"] = s["q"] * 0.5 + v
        s["seen"].append(v * v)
        p.a += v
        p.b *= 0.5
    return s["p"] * s["q"] + p.a * p.b + sum(s["seen"])


@case
def in_a_branch(x):
    s, r = [x[0], 1.0], {"a": x[1]}
    for v in x:
        if v > 0:
            s = [s[0] + v, s[1]]
            r = {"a": r["a"] * v}
        else:
            s = [s[0], s[1] * v]
    return s[0] * s[1] + r["a"]


def step(s, v):
    return {"x": s["x"] + v, "h": np.tanh(s["h"] + v)}


def simulate(s, x):
    for v in x:
        s = step(s, v)
    return s


@case
def in_functions(x):
    start = {"x": 0.0, "h": np.zeros(3)}
    out = simulate(start, x)
    return out["x"] * np.sum(out["h"]) + np.sum(start["h"])


@case
def nests(x):
    s = {"m": [x[0], x[1]], "t": (0.0, [1.0, 2.0])}
    for v in x:
        s = {"m": [s["m"][0] + v, s["m"][1]], "t": (s["t"][0] + 1, [a * v for a in s["t"][1]])}
    return s["m"][0] * s["t"][0] + s["t"][1][0]


@case
def lists_of_every_length(x):
    w = [v * 2 for v in x]
    for i in range(len(x)):
        w = [a - 0.1 * a * x[i] for a in w]
    u = [x[0], x[1], x[2]]
    for v in x:
        u = [a - 0.1 * a * v for a in u]
    return sum(w) + sum(u)


@case
def swapped(x):
    a, b = [x[0], x[1]], [x[2], x[3]]
    for _ in range(len(x)):
        a, b = b, [v * 0.9 for v in a]
    return a[0] * b[1]


@case
def joined(x):
    a, b, c = [], [], []
    for v in x:
        a = a + [v * v]
        b += [v]
        c = [*c, v * 3]
    return sum(a) + a[0] * b[-1] + c[1]


@case
def in_a_while(x):
    s = {"v": x[0], "n": 0}
    while s["v"] < 10.0:
        s = {"v": s["v"] * 1.5 + 1, "n": s["n"] + 1}
    return s["v"] + s["n"]


@case
def keys_from_a_loop(x):
    levels = {0: x}
    for i in range(3):
        levels[i + 1] = 2.0 * levels[i]
    d = {}
    for k, v in zip("abc", x[:3]):
        d[k] = v * v
    return np.sum(levels[2]) + sum(d.values()) + d["a"]


@pytest.mark.parametrize("f", CASES, ids=lambda f: f.__name__)
def test_one_trace_for_every_length(f):
    with pb.options(jit=False, cache=False):
        g = pb.value_and_grad(f)
        for n in SIZES:
            check(f, g, vector(n))
    assert g._traceable.traces == 1


@pytest.mark.compiled
@pytest.mark.parametrize("f", CASES[::10], ids=lambda f: f.__name__)
def test_compiled(f):
    g = pb.value_and_grad(f)
    for n in SIZES[:2]:
        check(f, g, vector(n))


def refused(f, text):
    with pb.options(jit=False, cache=False), pytest.raises(pb.PullbackError, match=text):
        pb.grad(f)(vector(5))


def test_what_two_names_share_is_not_carried_apart():
    def of_a_branch(x):
        a, b = [x[0]], [x[1]]
        s = a if x[0] > 0 else b
        s[0] = 5.0 * x[2]
        return a[0] + s[0]

    def of_a_loop(x):
        s = [x[0]]
        for v in x:
            s = [s[0] + v]
            kept = s
        s[0] = 2.0 * x[1]
        return kept[0] + s[0]

    def changed_before_it_is_bound_anew(x):
        first = s = {"a": x[0]}
        for v in x:
            s["a"] += v
            s = {"a": s["a"] * 2.0}
        return first["a"] + s["a"]

    for f in (of_a_branch, of_a_loop, changed_before_it_is_bound_anew):
        refused(f, "known by another name")


def test_arrays_of_a_list_are_not_written():
    def before(x):
        h, hs = np.zeros(2), []
        for v in x:
            h[0] = v
            hs.append(h)
        return np.sum(hs[0])

    def after(x):
        h, hs = x[:2] * 1.0, []
        for v in x:
            hs.append(h)
            h = h + v
        hs[0][0] = 3.0
        return np.sum(hs[0])

    def entry(x):
        h = first = x[:2] * 1.0
        hs = []
        for v in x:
            hs.append(h)
            h = h + v
        first[0] = 3.0
        return np.sum(hs[0])

    def rows(x):
        m = np.outer(x, x)
        values = list(m)
        m[0] = 0.0
        return np.sum(values[0])

    for f in (before, after, entry, rows):
        refused(f, "copy")


def test_structures_that_differ():
    def keys(x):
        s = {"a": x[0]}
        for v in x:
            s = {"a": s["a"] + v, "b": v}
            s = {"a": s["a"]} if v > 0 else s
        return s["a"]

    refused(keys, "Dict|dict|structure|kind")


def distinct_pairs(x):
    seen = set()
    for v in [x[0], x[1], x[0] * 1.0]:
        seen.add((v, 1))
    return len(seen) * x[0]


def test_traced_numbers_inside_of_keys_are_refused():
    with pytest.raises(pb.PullbackError, match="element of a set"), pb.options(jit=False, cache=False):
        pb.jit(distinct_pairs)(np.array([1.0, 2.0]))
