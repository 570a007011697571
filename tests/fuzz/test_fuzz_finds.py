"""Small programs that once were wrong, found by random programs (fuzz.py) and made small."""

import numpy as np
import pytest

import pullback as pb
from pullback.ir.evaluate import evaluate
from pullback.testing import check_grad

X = np.array([0.5, -1.2, 0.3, 0.9, -0.4])
Y = np.array([-0.3, 0.8, 1.4, -0.6, 0.2])
A = np.arange(20.0).reshape(5, 4) / 10 - 0.7


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def test_one_size_in_an_arm_and_after_it():
    def f(x, y, steps):
        c = 0.0
        if y[0] > 0.0:
            c = y[steps - 2]
        x[steps - 2] *= steps - 2
        return c * x[1]

    for y in (Y, -Y):
        check_grad(f, X.copy(), y, 3)


def test_one_size_in_both_arms():
    def f(x, y):
        v = y[1:-1]
        if x[1] > 0.0:
            v = v * 2.0
        else:
            v[:-1] = v[1:]
        return v * y[:-2]

    for x in (X, -X):
        check_grad(f, x, Y.copy())


def test_an_index_in_a_while_test_and_after_the_loop():
    def f(x, y):
        k = 0
        while x[k] - y[len(y) - 1] > 0.1 and k < 4:
            k += 1
        for i in range(1, len(y)):
            w = x * y[i - 1]
        return w * y[len(y) - 1]

    check_grad(f, X, Y)


def values(function, *args):
    """What plain Python gives, and what pullback gives."""
    copies = [[a.copy() for a in args] for _ in range(2)]
    return function(*copies[0]), pb.jit(function)(*copies[1])


def test_a_view_changed_in_a_loop_is_a_view_still():
    def f(x, y):
        v = x[1:-1]
        for i in range(3):
            v += np.cumsum(v - 0.3) * y[i]
        return np.sum(x * y)

    check_grad(f, X.copy(), Y)


def test_a_second_name_sees_what_a_loop_does_in_place():
    def f(x, y):
        v = x
        for _ in range(3):
            v *= y
            v[1] = v[0]
        return x[0] + v[1] * y[0]

    check_grad(f, X.copy(), Y)


def swap_under_a_third_name(x, y):
    w = x
    for _ in range(3):
        y[0] += x[0]
        x, y = y, x
    return w[0] * 2 + x[0] + 3 * y[0]


def swap_views(x, y):
    u, v = x[1:], x[:-1]
    for _ in range(3):
        u[0] += v[1] * y[0]
        u, v = v, u
    return np.sum(x * y)


def swap_in_a_list(x, y):
    both = [x, y]
    for _ in range(3):
        both[0] += 1.0
        both[0], both[1] = both[1], both[0]
    return x[0] + 2 * y[0] + 3 * both[0][1]


def another_view_each_time(x, y):
    v = x[:-1]
    for _ in range(3):
        x[0] += v[1]
        v = x[1:]
    return np.sum(v * y[1:])


def made_one_after_a_write(x, y):
    v = y
    for _ in range(3):
        x[0] += 1.0
        y[1] += v[0]
        for _ in range(2):
            v = x
    return np.sum(v) + y[1]


def rebound_in_an_arm(x, y):
    v = x
    for i in range(3):
        if y[i] > 0:
            x = x * 2
        v[0] += 1.0
    return x[0] + v[0]


@pytest.mark.parametrize(
    "function",
    [
        swap_under_a_third_name, swap_views, swap_in_a_list, another_view_each_time, made_one_after_a_write,
        rebound_in_an_arm,
    ],
)  # fmt: skip
def test_names_that_come_to_mean_other_arrays_are_right_or_refused(function):
    try:
        expected, found = values(function, X, Y)
    except pb.PullbackError:
        return
    assert np.isclose(expected, found)


def test_names_of_one_array_rebound_together():
    def f(x, y):
        for _ in range(3):
            v = x * y
            x = v
        x[0] = 7.0 * y[1]
        return v[0] + x[1]

    check_grad(f, X.copy(), Y)


def test_a_name_that_shows_a_row_after_the_loop():
    def f(x, y):
        a = np.zeros((3, len(x)))
        for i in range(1, 3):
            row = a[i]
            row += x + a[i - 1]
            a[i, 0] += row[1]
        return np.sum(a * a) + np.sum(row * y)

    check_grad(f, X, Y)


def test_a_name_of_the_body_read_after_the_loop_has_a_size_from_before():
    def f(x, y):
        for _ in range(len(y)):
            v = y[1:-1]
        x[1] = v[0] * x[0]
        return np.sum(x) * v

    def every_other(x, y):
        for i in range(2, len(y)):
            w = x[::2] * y[i]
        return w

    check_grad(f, X.copy(), Y)
    check_grad(every_other, X, Y)


def test_a_size_of_the_outer_iteration_carried_by_the_inner_loop():
    def f(x, y):
        for i in range(2, len(y)):
            w = x[:i]
            for j in range(3):
                w = w * y[j]
            x[0] += np.sum(w)
        return np.sum(x)

    check_grad(f, X.copy(), Y)


@pytest.mark.parametrize("y", [Y, Y[:4]], ids=["equal sizes", "other sizes"])
@pytest.mark.parametrize("sign", [1, -1])
class TestNamesThatChangeTheirSize:
    def test_in_an_arm(self, y, sign):
        def f(x, y):
            if x[0] > 0:
                y = np.tanh(x)
            return np.sum(y) * y[1]

        check_grad(f, sign * X, y)

    def test_swapped_in_an_arm(self, y, sign):
        def f(x, y):
            w = y
            if x[0] > 0:
                x, y = y, x
            return np.sum(x**2) + 2 * np.sum(y * w[0])

        check_grad(f, sign * X, y)

    def test_in_a_loop(self, y, sign):
        def f(x, y):
            for _ in range(3):
                x = np.sin(y)
            return x

        check_grad(f, sign * X, y)

    def test_swapped_in_a_loop(self, y, sign):
        def f(x, y):
            for _ in range(3):
                x, y = y, x * np.sin(y[0])
            return np.sum(x) + 2 * np.sum(y)

        check_grad(f, sign * X, y)


@pytest.mark.parametrize("s", [0.7, -0.7])
def test_values_of_an_arm_whose_size_only_the_arm_knows(s):
    def masked(x, s):
        r = 0.5
        if s > 0:
            r += np.sum(np.sin(x[x > 0.2]))
            x[x < 0.1] *= s
        return r * x

    def sliced(x, s):
        if s > 0:
            x[:-1] *= np.sin(x[1:])
            x[::2] *= x[::-2]
        return np.sum(x * s)

    for f in (masked, sliced):
        check_grad(f, X.copy(), s)


def test_a_sum_that_the_body_reads_keeps_its_order():
    def f(b, s):
        k = 0
        u = 0.3
        while k < 4 and s < 100.0:
            k += 1
            u += b
            s += np.tanh(u)
        return s

    check_grad(f, 0.4, 0.3)


def test_a_factor_of_one_name_that_becomes_another():
    def f(t, s, x):
        for i in range(len(x)):
            t, s = np.tanh(s * t * x[i]), 0.5
        return t

    check_grad(f, 0.3, 0.4, X)


def test_sizes_that_only_a_run_finds_equal():
    def f(x, y):
        for i in range(len(x) - 2):
            x[i] = np.tanh(x[i])
        v = x[::-1]
        return np.sum(x[i + 1 :] * v[i:-1]) + np.sum(np.sin(x[i + 1 :]) * y[i:-1])

    check_grad(f, X.copy(), Y)


def test_nothing_of_a_reversed_view():
    def f(x, k):
        return x[:3][::-1][k:] * 2.0

    x = X.copy()
    assert pb.jit(f)(x, 4).shape == evaluate(pb.trace(f, x, 4), x, 4)[0].shape == (0,)


def name_of_an_array_from_before(x, y):
    for _ in range(len(y)):
        v = x[1:-1]
    x[1] = 0.5
    return v * y[0]


def name_of_another_row_each_time(x, y):
    a = np.outer(x, y)
    for i in range(3):
        row = a[i]
        row[1] += y[i]
    a[2] *= 0.5
    return row


def names_of_one_array_of_the_body(x, y):
    for i in range(3):
        v = x * y[i]
        w = v[1:]
    w[0] = 0.3
    return v


def array_that_is_run_over_is_swapped(x, y):
    for e in x:
        x[1] += np.sin(e)
        x, y = y, x
    return y


def array_that_is_run_over_is_written(x, y):
    a = x
    for e, g in zip(x, y[::-1]):
        y[2] += e
        a[2] += g
    return x + y


@pytest.mark.parametrize(
    "function",
    [
        name_of_an_array_from_before, name_of_another_row_each_time, names_of_one_array_of_the_body,
        array_that_is_run_over_is_swapped, array_that_is_run_over_is_written,
    ],
)  # fmt: skip
def test_what_a_loop_makes_a_name_of_is_right_or_refused(function):
    try:
        expected, found = values(function, X, Y)
    except pb.PullbackError:
        assert function is not name_of_an_array_from_before
        return
    assert np.allclose(expected, found)


def test_a_name_that_the_first_iteration_binds():
    def scalar(x):
        s = 0.0
        for i in range(len(x)):
            if i > 0:
                s += np.sin(x[i] - old)  # noqa: F821
            old = x[i] ** 2  # noqa: F841
        return s

    def array(x):
        s = 0.0
        for i in range(2, len(x)):
            x[0] += 1.0
            if i > 2:
                s += v[0] ** 2  # noqa: F821
            v = x  # noqa: F841
        return s

    for f in (scalar, array):
        check_grad(f, X.copy())


def test_two_names_of_one_value():
    def f(x):
        x[x > 2.0] = 0.5
        w = x.copy()
        return x**3 + w

    def g(x):
        both = [np.sin(x[0]), np.cos(x[1])]
        second = both[1]
        again = both[1]
        return second * again + both[0] * both[1]

    for function in (f, g):
        check_grad(function, X.copy())


def test_a_list_that_a_short_loop_fills():
    def f(x):
        rows = []
        for k in range(3):
            rows.append(np.sin(x) * (k + 1))
        return np.sum(np.stack(rows) ** 2) * rows[-1]

    check_grad(f, X)


def test_a_while_that_steps_two_names_at_once():
    def f(x):
        old, r = 2.0, 1.0
        while abs(r - old) > 1e-12:
            old, r = r, 0.5 * (r + x / r)
        return r

    check_grad(f, 2.0)


def test_an_array_that_is_gathered_before_it_is_stored():
    def f(x, A):
        v = x[:3]
        np.add.at(v, [1, 0, 2], A[1, 0])
        return x + np.sum(v)

    check_grad(f, X.copy(), A)


def test_a_loop_traced_twice_whose_first_iteration_changes_a_rank():
    def f(A, x):
        if x[0] > 0.1:  # noqa: SIM102
            if x[1] > 0.1:
                return x[0] * 2
        a = 0
        for i in range(3):
            a = a * 0.5 + A[i]
        return a.sum()

    for x in (X, -X):
        check_grad(f, A, x)


def joined_by_an_inner_branch(x, y):
    if x[1] > 0.8:
        x[0] += 1.0
    elif y[0] > 0.4:
        x[0] += 2.0
    else:
        y = x
    y[1] = 0.5
    return x


def one_on_entry_and_parted_in_the_loop(x, y):
    both = [x, y]
    d = x
    for _ in range(3):
        both[0], both[1] = both[1], both[0]
        d = 0.5 + d
    return both[0] + d


def third_name_of_a_swapped_array_written_later(x, y):
    third = x
    for _ in range(3):
        y, x = x, y
    y[1] = 0.5
    return third


def third_name_of_arrays_swapped_in_an_inner_loop(x, y):
    third, k = x, 0
    while k < len(y):
        k += 1
        for _ in range(3):
            y, x = x, y
    y[1] = 0.5 * x[2]
    return third + y


def third_name_of_arrays_swapped_in_a_branch(x, y):
    third = x
    for k in range(len(y)):
        if y[k] > 0.0:
            y, x = x, y
    y[1] = 0.5 * x[2]
    return third + y


def one_view_under_two_names(x, y):
    both, k = [x, y], 0
    while k < len(y) - 5:
        k += 1
        x = x[::-1]
        both[0] = x
    x[1:] += 0.5
    return both[0]


def bound_in_the_loop_with_a_name_rebound(x, y):
    third, other = x * 0.3, x
    for _ in range(1, len(y)):
        new = third
        other = third
    new[1] += 0.5
    return other


def bound_in_a_nested_loop(x, y):
    for i in range(len(y)):
        k = 0
        while k < len(y) - i:
            k += 1
            other = x
    other[0] += 0.2
    return x


def bound_before_a_break_or_not(x, y):
    for _ in range(1, len(y)):
        if x[1] > 2.1:
            break
        other = x
    other *= 0.9
    return x


def one_array_after_a_loop_and_swapped_in_the_next(x, y):
    third = x * 0.3
    for _ in range(1, len(x) - 3):
        y = x
    k = 0
    while k < len(x) - 3:
        k += 1
        third, x = x, third
        x[2] -= 0.1
    return x + 2.0 * y + 3.0 * third


def bound_in_a_branch_and_swapped_in_a_loop(x, y):
    if x[2] != 0.0:
        third = x
    for _ in range(1, len(x) - 2):
        third, x, y = x, y, third
    y[1] = 0.5
    return x


def swapped_in_two_loops(x, y):
    third, fourth = x * 0.3, x
    for _ in range(1, len(y)):
        x, y = y, x
    for _ in range(len(x)):
        third, x = x, third
    third[1:] += 0.5
    return fourth


@pytest.mark.parametrize(
    "function",
    [
        one_view_under_two_names, bound_in_the_loop_with_a_name_rebound,
        bound_in_a_nested_loop, bound_before_a_break_or_not,
        one_array_after_a_loop_and_swapped_in_the_next, bound_in_a_branch_and_swapped_in_a_loop, swapped_in_two_loops,

        joined_by_an_inner_branch, one_on_entry_and_parted_in_the_loop, third_name_of_a_swapped_array_written_later,
        third_name_of_arrays_swapped_in_an_inner_loop, third_name_of_arrays_swapped_in_a_branch,
    ],
)  # fmt: skip
def test_names_of_one_array_on_some_paths_are_right_or_refused(function):
    for sign in (1, -1):
        try:
            expected, found = values(function, sign * X, sign * Y)
        except pb.PullbackError:
            continue
        assert np.allclose(expected, found)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_names_that_a_loop_without_iterations_would_make_one(n):
    def f(x, y, n):
        third = x * 0.3
        for _ in range(n):
            y = third
            x = third
        return x + 2.0 * y

    assert np.allclose(f(X, Y, n), pb.jit(f)(X, Y, n))


def test_arrays_that_a_branch_swaps_are_written_in_the_loop():
    def f(x, y):
        for k in range(len(y)):
            if y[k] > 0.0:
                x, y = y, x
            x[0] += np.sin(y[k])
            y[1] *= 0.9
        return np.sum(x * x) + y[1] * y[0]

    check_grad(f, X.copy(), Y.copy())
