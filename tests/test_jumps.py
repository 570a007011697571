"""Jumps and exceptions in traced code: values and gradients where no arm raises, what is raised where one does."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.3, 0.4, 1.2])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def return_in_else_of_for(x):
    for _ in range(3):
        x = x * 1.5
    else:
        if x[0] < 4.0:
            return 2.0 * x[0]
    return 100.0 * x[1]


def return_in_else_of_while(x):
    i = 0
    while i < 2:
        i += 1
    else:
        return x[0] * x[1]
    return 100.0 * x[0]


def break_in_else(x):
    s = 0.0
    for i in range(3):
        for j in range(2):
            s = s * 0.5 + x[j] * i
        else:
            if s > 0.3:
                break
        s += 10.0 * x[i]
    return s


def raise_in_elif(x, kind="cos"):
    if kind == "sin":
        y = np.sin(x)
    elif kind == "cos":
        y = np.cos(x)
    else:
        raise ValueError(kind)
    return np.sum(y)


def raise_in_an_inner_if(x):
    if x[0] < 0.0:
        if x[1] < 0.0:
            raise ValueError("negative")
        y = 2.0 * x
    else:
        y = x
    return np.sum(y * x)


def two_statements(x):
    if x[0] < 0.0:
        n = len(x)
        msg = f"{n} negative"
        raise ValueError(msg)
    return x[0] * x[1]


def with_else(x):
    if x[0] <= 0.0:
        raise ValueError("x[0] must be positive")
    else:
        y = np.log(x)
    return np.sum(y)


def after_return(x):
    if x[0] > 0.0:
        return np.sum(x**2)
    raise ValueError("x[0] must be positive")


def by_number(x, order=2):
    if order == 1:
        return np.sum(np.abs(x))
    elif order == 2:
        return np.sum(x**2)
    else:
        raise ValueError("order must be 1 or 2")


def chain(x):
    if x[0] > 1e5:
        raise ValueError("x[0]")
    elif x[1] > 1e5:
        raise ValueError("x[1]")
    return np.sum(x**2)


def in_a_loop(x):
    s = 0.0
    for k in range(len(x)):
        if x[k] < 0.0:
            msg = "negative"
            raise ValueError(msg)
        s += x[k] * x[k]
    return s


def fails(text):
    raise ValueError(text)


def in_a_helper(x):
    if x[0] > 0.0:
        y = x * 2.0
    else:
        fails("not positive")
    return np.sum(y * x)


def the_loop_does_not_run(x):
    for _ in range(len(x) - 3):
        raise ValueError("ran")
    return np.sum(x * x)


def item_or_first(x):
    return x.item() if x.size == 1 else x[0]


def item_of_a_table(x):
    a = np.outer(x, x)
    if a.size == 1:
        return a.item()
    return np.sum(a)


def plain_python_that_cannot_run(x, k=1):
    table = [1.0, 2.0]
    if x[0] > 5.0:
        y = x * table[k + 4]
    else:
        y = x * table[k]
    return np.sum(y)


CASES = [
    return_in_else_of_for, return_in_else_of_while, break_in_else, raise_in_elif, raise_in_an_inner_if, two_statements,
    with_else, after_return, by_number, chain, in_a_loop, in_a_helper, the_loop_does_not_run, item_or_first,
    item_of_a_table, plain_python_that_cannot_run,
]  # fmt: skip


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_gradient(function):
    value, _ = pb.value_and_grad(function)(X)
    assert value == pytest.approx(function(X))
    check_grad(function, X)


def test_a_guard_that_does_not_hold_is_a_check():
    text = str(pb.trace(with_else, X))
    assert "if " not in text and "ValueError: x[0] must be positive" in text, text
