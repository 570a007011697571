"""Variables that have a value on some paths only: read where there is none, they raise as in Python."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pullback as pb

# ruff: noqa: F821, F841


def bound_by_an_arm(x, n):
    if x[0] > 0:
        d = x[1]
    s = 0.0
    for i in range(n):
        s += x[i % 3]
        if x[i % 3] > 1:
            d = x[i % 3] * 2
    return s + d


def array(x, n):
    if x[0] > 0:
        d = x * 2.0
    s = 0.0
    for i in range(n):
        if x[i % 3] > 1:
            s += d[0]
        if x[i % 3] < 0:
            d = x * 3.0
    return s + x[0]


def pair_in_while(x, n):
    if x[0] > 0:
        d = (x[0], x[1])
    s, i = 0.0, 0
    while i < n:
        if x[i % 3] > 1:
            s += d[0] * d[1]
        if x[i % 3] < 0:
            d = (x[2], s)
        i += 1
    return s + x[0]


def in_the_inner_loop(x, n):
    s = 0.0
    for i in range(n):
        if x[i % 3] > 1:
            d = i
        for j in range(2):
            if x[j] > 0.5:
                s += d
            if x[j] < 0:
                d = d + 1
    return s + x[0]


def integer(x, n):
    if x[0] > 0:
        d = 2
    s = x[0]
    for i in range(n):
        if i >= 1:
            s += d * x[i % 3]
        d = 3
    return s + d


def only_overwritten(x, n):
    if x[0] > 0:
        d = x[0]
    for _ in range(n):
        if x[1] > 0:
            d = x[1]
    return d


def deleted(x, n):
    if x[0] > 0:
        d = x[0]
    while n > 0:
        if x[1] > 0 and n > 1:
            del d
        n -= 1
        d = 1.0
    return d


def by_an_earlier_iteration(x, n):
    s = 0.0
    for i in range(n):
        if i > 0 and x[i % 3] > 0:
            s += old
        if x[i % 3] < 0:
            old = x[i % 3]
    return s


def by_none(x, n):
    for _ in range(3):
        for _ in range(n):
            d = x * 2.0
        if x[0] > 1.0:
            d = d * x[1]
    return np.sum(x)


def before_break(x, n):
    s = 0.0
    for i in range(3):
        if x[i] > 1.5:
            break
        if x[i] > 0.6:
            s += d
        if n > 0:
            d = x[i] * 2
    return s + x[0]


def for_certain(x, n):
    s = 0.0
    for _ in range(3):
        if x[0] > 0.4:
            s += d * x[0]
        d = x[1]
    return s


def outcome(f, x, n):
    try:
        return f(x.copy(), n)
    except UnboundLocalError:
        return "unbound"


@pytest.mark.parametrize("f", (
    bound_by_an_arm, array, pair_in_while, in_the_inner_loop, integer, only_overwritten, deleted,
    by_an_earlier_iteration, by_none, before_break, for_certain,
))  # fmt: skip
def test_as_python(f):
    with pb.options(jit=False, cache=False):
        traced = pb.jit(f)
        for x in map(np.array, itertools.product((-0.5, 0.7, 2.0), repeat=3)):
            for n in (0, 1, 2, 4):
                expected, found = outcome(f, x, n), outcome(traced, x, n)
                assert found == expected if "unbound" in (found, expected) else np.isclose(found, expected), (x, n)
