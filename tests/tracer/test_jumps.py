"""Jumps and exceptions in traced code: values and gradients where no arm raises, what is raised where one does."""

from __future__ import annotations

import contextlib
import math
import os
import traceback
import warnings

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.3, 0.4, 1.2])
PACKAGE = os.path.dirname(pb.__file__)


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


# -- what is raised --------------------------------------------------------------------------------------


class NoConvergence(Exception):
    def __init__(self, steps, value):
        super().__init__(f"{steps} steps", value)
        self.steps = steps


def own_class(x):
    if x[0] < 0.0:
        raise NoConvergence(3, x[0])
    return x[0] * x[0]


def traced_numbers(x):
    k, y = 0, x[0]
    while y > 0.5:
        y = 0.5 * y
        k += 1
        if k > 5:
            raise ValueError("no end after %d steps, at %.3f" % (k, y))
    return y


def formatted_before(x):
    x[1] = 4.0
    if x[0] < 0.0:
        text = f"{x[0]:.2f} of {len(x)}"
        raise KeyError(text, x[1])
    return x[0] * x[1]


def from_another(x):
    if x[0] < 0.0:
        raise RuntimeError("outer") from ValueError(f"inner {x[0]}")
    return np.sum(x)


def bare_class(x):
    if x[0] < 0.0:
        raise NotImplementedError
    return np.sum(x)


def asserted(x):
    assert x[0] > 0.0, (x[0], "negative")
    return np.sum(x)


def out_of_range(x):
    return x[0] * x[int(abs(x[1]) * 100.0)]


def without_a_value(x):
    if x[0] > 0.0:
        y = x[0]
    return y * x[0]


def surely(x):
    for k in range(2):
        if k == 1:
            raise OverflowError(x[0], k)
    return x[0]


RAISING = [
    own_class, traced_numbers, formatted_before, from_another, bare_class, asserted, out_of_range, without_a_value,
    surely,
]  # fmt: skip
BAD = {traced_numbers: np.array([1e9, 0.0, 1.0])}


@pytest.mark.parametrize("function", RAISING, ids=lambda f: f.__name__)
def test_what_is_raised_is_what_python_raises(function):
    x = BAD.get(function, np.array([-0.3, 0.4, 1.2]))
    given = x.copy()
    with pytest.raises(Exception) as plain:
        function(x.copy())
    last = traceback.extract_tb(plain.tb)[-1]
    for transform in (pb.grad(function), pb.jit(function), lambda x: pb.vjp(function, x)):
        for _ in range(3):
            with pytest.raises(type(plain.value)) as caught:
                transform(x)
            error = caught.value
            assert type(error) is type(plain.value)
            assert repr(error.args) == repr(plain.value.args)
            assert repr(error.__cause__) == repr(plain.value.__cause__)
            frames = traceback.extract_tb(caught.tb)
            assert (frames[-1].filename, frames[-1].lineno) == (last.filename, last.lineno)
            assert sum("pullback" in f.filename or f.filename.startswith(PACKAGE) for f in frames) < 4
    np.testing.assert_array_equal(x, given)


@pytest.mark.compiled
def test_what_is_raised_by_compiled_code():
    with pb.options(jit=True):
        g = pb.value_and_grad(traced_numbers)
        for _ in range(3):
            assert g(X)[0] == traced_numbers(X)
            with pytest.raises(ValueError, match="no end after 6 steps, at 15625000.000"):
                g(np.array([1e9, 0.0, 1.0]))


# -- try, with, del, loops of Python ------------------------------------------------------------------------


def known_while_tracing(x):
    try:
        y = x.shape[1]
    except IndexError:
        y = 3.0
    else:
        y = 5.0
    finally:
        z = 2.0
    return np.sum(x) * y * z


def caught_and_continued(x):
    for k in (0, 1, 2):
        try:
            if k == 1:
                raise ValueError("a")
            x = x * 1.5
        except ValueError as err:
            x = x + len(str(err))
            continue
        x = x + 1.0
    return np.sum(x)


def returned_from_try(x):
    try:
        return x[0] * x[2]
    except (KeyError, TypeError):
        return x[1]


def raised_again(x):
    try:
        raise KeyError("q")
    except KeyError:
        try:
            raise
        except LookupError:
            return x[0] * 2.0
    return x[0]


def not_there(x):
    try:
        import a_module_that_is_not_there

        x = a_module_that_is_not_there.f(x)
    except ImportError:
        x = x * x
    return np.sum(x)


def within(x):
    with np.errstate(divide="ignore", over="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        y = np.log(x)
        if x[0] > 0.2:
            return np.sum(y)
    with contextlib.suppress(KeyError), contextlib.nullcontext(2.0) as k:
        x = x * k
        x = x * {"a": 1.0}["b"]
    return np.sum(x * x)


def deleted(x):
    y = x * 2.0
    if x[0] > 0.1:
        z = y
        del y
    else:
        z = x
    del x
    return np.sum(z)


def products_in_pairs(x):
    level = list(x[:2]) + [x[2], x[0]]
    while len(level) > 1:
        level = [level[i] * level[i + 1] for i in range(0, len(level), 2)]
    return level[0]


def queue(x):
    todo = [x[0], x[1] * 3.0, x[2]]
    total = 0.0
    while todo:
        v = todo.pop()
        if v > 1.0:
            total = total + v * v
            continue
        total = total * v + 1.0
    return total


def returned_from_a_loop_over_a_list(x):
    for p, q in [(1.0, 2.0), (3.0, 0.2), (5.0, 6.0)]:
        if x[0] * p > q:
            return x[0] * p
        x = x * 1.1
    return x[1] * 7.0


def known_at_first(x):
    s = [10.0]
    while s[0] > 1.0:
        s[0] = s[0] * x[0] * 0.5
    return s[0]


def newton(x):
    a, y = x[2], 1.0
    for k in range(20):
        d = y * y - a
        if abs(d) < 1e-3:
            return y, k, d
        y = y - d / (2.0 * y)
    return y, 20, d


def a_tuple_of_arrays(x):
    for k in range(3):
        y = 0.7 * x[::-1]
        r = np.sum((y - x) ** 2)
        if r < 0.5:
            return y, (r, x, k)
        x = y
    return x, (r, y, -1)


def from_nested_loops(x):
    for i in range(3):
        for j in range(3):
            if x[2] * (i + j) > 2.0:
                return (x[0] * i, x[1] * j), i
    return (x[0], x[1]), -1


def first(value):
    return first(value[0]) if isinstance(value, tuple) else np.sum(value)


@pytest.mark.parametrize("function", [newton, a_tuple_of_arrays, from_nested_loops])
def test_tuples_are_returned_from_loops(function):
    for x in (X, X * 0.3, X * 2.0):
        got, _ = pb.vjp(function, x)
        assert repr(got) == repr(function(x.copy()))
        check_grad(lambda x, function=function: first(function(x)), x)


MORE = [
    known_while_tracing, caught_and_continued, returned_from_try, raised_again, not_there, within, deleted,
    products_in_pairs, queue, returned_from_a_loop_over_a_list, known_at_first,
]  # fmt: skip


@pytest.mark.parametrize("function", MORE, ids=lambda f: f.__name__)
def test_gradient_of_statements(function):
    for x in (X, X * 0.3):
        assert pb.value_and_grad(function)(x)[0] == pytest.approx(function(x), rel=1e-14)
        check_grad(function, x)


def quotient(x):
    try:
        return x[0] / x[1]
    except ZeroDivisionError:
        return 0.0


def logarithm(x):
    y = 0.0
    try:
        for v in x:
            y = y + math.log(v)
    except ValueError:
        y = 0.0
    return y


def own_raise(x):
    try:
        for v in x:
            if v < 0.0:
                raise NoConvergence(1, 2.0)
        y = x[0]
    except NoConvergence:
        y = x[1]
    return y


def subscript(x):
    y = x[0]
    try:
        if y > 0.5:
            y = x[int(abs(x[0]) * 100.0)]
    except IndexError:
        y = x[1]
    return y


def not_an_array(x):
    try:
        y = x.no_such_method()
    except AttributeError:
        y = x[1]
    return y


def raising_state(x):
    with np.errstate(all="raise"):
        return np.sum(x)


class Manager:
    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        return kind is ValueError


def swallowed(x):
    with Manager():
        if x[0] > 0.1:
            raise ValueError
    return np.sum(x)


def out_of_finally(x):
    for _ in range(2):
        try:
            x = x * 2.0
        finally:
            break
    return x[0]


@pytest.mark.parametrize(
    "function", [quotient, logarithm, own_raise, subscript, raising_state, swallowed, out_of_finally]
)
def test_what_only_a_run_can_tell_is_refused(function):
    with pytest.raises(pb.PullbackError, match=r"cannot trace(.|\n)*Write (.|\n)* instead(.|\n)*line \d+"):
        pb.grad(function)(X)


def test_a_loop_that_does_not_end():
    def f(x):
        k = 0
        while k >= 0:
            x = [x[0] * 0.5]
        return x[0]

    with pytest.raises(SyntaxError, match="still true after 1000 iterations"):
        pb.grad(f)(X)


def small_or_shaped(v, a):
    n = np.sum(v**2)
    if n > 0.0:
        return v / n
    if a[2] == 1.0:  # a number has no elements
        return v
    return v + np.ones(7)  # sizes that do not go together


def test_what_numpy_refuses_in_an_arm_that_is_not_taken():
    v = np.array([0.3, 0.4, 0.5])
    for a in (2.0, np.array(2.0)):
        check_grad(lambda x, a=a: small_or_shaped(x, a), v)
    f = pb.grad(lambda x, k: np.sum(x + np.ones(7)) if k > 3 else np.sum(x * x))
    np.testing.assert_allclose(f(v, 2), 2 * v)
    with pytest.raises(ValueError, match="do not go together|could not be broadcast"):
        f(v, 5)
