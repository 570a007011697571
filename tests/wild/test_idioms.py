"""Idioms of other people's programs that were refused or went wrong once, each in a few shapes."""

from __future__ import annotations

import re
import statistics
from collections import OrderedDict
from collections.abc import Callable
from sys import float_info
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.stats

import pullback as pb
from pullback.testing import check_grad

X = np.random.default_rng(0).normal(size=(3, 4))


def right(f: Callable[..., Any], *args: Any) -> None:
    with pb.options(jit=False):
        check_grad(f, *args, directions=2)


class Layer:
    def __init__(self, w: np.ndarray) -> None:
        self.w, self.x = w, None

    def forward(self, x):
        self.x = x
        return np.tanh(x @ self.w)


class Net:
    """Parameters under names that end with a number, as many courses write them."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(1)
        self.count = count
        self.params = {f"W{k}": rng.normal(size=(4, 4)) for k in range(1, count + 1)}
        self.layers = OrderedDict((f"layer{k}", Layer(w)) for k, w in enumerate(self.params.values()))
        self.last = None

    def by_name(self, x):
        cache = {}
        for k in range(1, self.count + 1):
            x = np.tanh(x @ self.params["W" + str(k)])
            cache["a" + format(k)] = x
        decay = 0.0
        k = 1
        while k <= self.count:
            decay += np.sum(cache[f"a{k}"] ** 2)
            k += 1
        return np.sum(x) + decay

    def in_order(self, x):
        for layer in self.layers.values():
            x = layer.forward(x)
        self.last = x
        return sum(np.sum(layer.x * x) for layer in self.layers.values())


NET = Net(3)


@pytest.mark.parametrize("method", [NET.by_name, NET.in_order, Net(1).by_name, Net(2).in_order])
def test_layers_by_name(method):
    right(method, X)


def test_a_number_that_text_needs_makes_the_trip_count_static():
    def lookup(x, n):
        table = {}
        for k in range(n):
            table[f"x{k}"] = x * k
        return sum(table.values())

    def counted(x, n):
        total, k = 0.0, 1
        for _ in range(n):
            total += x[0] * len("ab" * k)
            k += 2
        return total

    def ragged(x, n):
        rows = []
        for k in range(n):
            rows.append(np.ones((k + 1, k + 2)) * x[0, 0])
        return rows

    for f in (lookup, counted, ragged):
        right(f, X, 3)
        right(f, X, 0)


def test_only_the_loop_that_the_number_comes_from_is_written_out():
    def mixed(xs, y):
        total = 0.0
        for k in range(len(xs)):
            for i in range(y.size):
                total += np.sum(xs[k]) * y[i] * len(str(k))
        return total

    right(mixed, [X, 2 * X], X[0])
    assert "for i in range(" in str(pb.trace(mixed, [X, 2 * X], X[0]))


def patches(x, size):
    rows, columns = x.shape
    count = columns - size + 1
    out = np.zeros((rows, size, count))
    for k in range(size):
        out[:, k, :] = x[:, k : k + count]
    return out.transpose(0, 2, 1).reshape(rows * count, -1)


def test_an_array_that_may_show_another_is_no_hindrance_to_loops_that_do_not_write_it():
    """The second call's loop writes an array of the name that the first call gave what it returned."""

    def twice(x):
        first = patches(x, 2)
        return patches(first.reshape(3, -1), 3)

    right(twice, X)


def sizes(x, more):
    return (x.shape[1] - 2) // 1 + 1, int((x.shape[1] - 2) / 1) + 1 + more


def written(x, more):
    n, k = sizes(x, more)
    part = x[:, :n] * 2
    part[x[:, :k] <= 0] = 0
    return part


def written_rows(x, more):
    n, k = sizes(x, more)
    part = x[:, :n].T * 2
    part[x[0, :k] > 0] = x[0, 0]
    return part


def read(x, more):
    n, k = sizes(x, more)
    return (x[:, :n] * 2)[x[:, :k] > 0]


def read_columns(x, more):
    n, k = sizes(x, more)
    return (x[:, :n] * 2)[:, x[0, :k] > 0]


def added(x, more):
    n, k = sizes(x, more)
    part = x[:, :n] * 2
    part[x[:, :k] > 0] += 3.0
    return part


@pytest.mark.parametrize("f", [written, written_rows, read, read_columns, added])
def test_masks_whose_sizes_only_a_run_compares(f):
    right(f, X, 0)
    for more in (-1, 1):
        with pb.options(jit=False), pytest.raises(IndexError) as mistake:
            pb.vjp(f, X, more)
        with pytest.raises(IndexError, match=re.escape(str(mistake.value))):
            f(X, more)


def test_a_list_of_rows_that_a_loop_over_computed_places_takes():
    def columns(x):
        return np.array([x[:, i] for i in np.flatnonzero(np.sum(x, axis=0))])

    def transposed(x):
        return np.transpose([x[:, i] for i in np.flatnonzero(np.sum(x, axis=0))])

    def slices(x):
        rows = []
        for i in np.flatnonzero(x[0]):
            rows.append(x[:, i][1:])
        return np.array(rows) * x[0, 0]

    for f in (columns, transposed, slices):
        right(f, X)


def test_new_axes_of_a_number():
    def vector(x):
        return np.concatenate((x[0], np.sum(x)[None]))

    def matrix(x):
        s = np.dot(x[0], x[0])
        return s[None, ..., None] * x * s[...] * s[()]

    def grows(x):
        s = x[0, 0:1]
        for k in range(1, x.shape[1]):
            t = np.dot(x[0, :k], x[1, :k])
            s = np.concatenate((s * t, t[None]))
        return s

    def levinson(r, b):
        """Of a number `np.outer` makes a row."""
        back, x = r[0:1], b[0:1, None]
        for j in range(1, len(b)):
            flipped = r[0:j][::-1]
            a = (b[j] - np.dot(flipped, x)) / (1 - np.dot(flipped, back[::-1]))
            x = np.concatenate((x - np.outer(back[::-1], a), a[None, :]), axis=0)
            if j == len(b) - 1:
                break
            c = (r[j] - np.dot(flipped, back)) / (1 - np.dot(flipped, back[::-1]))
            back = np.concatenate((back - c * back[::-1], np.r_[c]))
        return x[:, 0]

    for f in (vector, matrix, grows):
        right(f, X)
    right(levinson, np.array([0.4, 0.3, 0.2, 0.1, 0.15]), np.arange(1.0, 6.0))
    with pytest.raises(TypeError, match="not subscriptable"):
        pb.grad(lambda x: x[None])(1.0)


def test_results_that_change_their_shape_nearby_do_not_settle():
    with pytest.raises(AssertionError, match="do not settle: near these arguments"):
        right(lambda x: x[x > 1.0] * 2.0, np.array([0.999, 1.0 + 1e-9, 3.0]))
    right(lambda x: ("text", x * 2), X)


def decay(start, rate, end, step):
    """A solver as courses write it: how many steps comes from the arguments."""
    count = int(round(end / step))
    u = np.zeros(count + 1)
    t = np.linspace(0, count * step, count + 1)
    u[0] = start
    for n in range(count):
        u[n + 1] = (1 - 0.5 * rate * step) / (1 + 0.5 * rate * step) * u[n]
    return u, t


def evenly(n, a, b):
    count = int(n)
    t, step = np.linspace(a, b, count, retstep=True)
    open_ended = np.linspace(a, b, count, endpoint=False)
    return t**2, open_ended, np.linspace(np.array([a, b]), b, count), step if count > 1 else a


def test_as_many_points_as_a_run_computes():
    for end in (2.02, 0.52, 0.1):
        right(decay, 1.0, 2.0, end, 0.5)
    for n in (4.3, 2.3, 1.3, 0.3):
        right(evenly, n, 0.4, 5.2)
    with pytest.raises(ValueError, match="must be non-negative"), pb.options(jit=False):
        pb.vjp(lambda n: np.linspace(0.0, 1.0, int(n)), -2.5)


def test_reductions_of_a_number_along_an_axis():
    def reduced(x):
        y = x * x
        places = np.argmax(y, axis=0) + np.any(y > 0, axis=-1)
        return np.sum(y, 0) + np.max(y, axis=-1) * np.prod(y, axis=0) + np.cumsum(y, axis=0)[0] + places

    right(reduced, 0.7)
    for f in (lambda x: np.sum(x, axis=1), lambda x: np.mean(x, axis=0), lambda x: np.sum(x, axis=(0,))):
        with pytest.raises(IndexError, match="out of bounds"):
            f(0.7)
        with pytest.raises(IndexError, match="out of bounds"):
            pb.grad(f)(0.7)


class Named:
    """Its parameters have names that our own functions have, too."""

    def __init__(self, name, value=1.0, member=None):
        self.name, self.value, self.member = name, value, member

    def __call__(self, x, name="", value=2.0, function=None):
        return x * self.value * value if function is None else function * x


def test_parameters_may_have_any_name():
    def named(x):
        a, b = Named(name="a", value=x, member=2), Named(value=x * 2, name="b")
        return a(x, name="q", value=3.0) + b(value=2.0, x=x, function=3)

    right(named, X)


def test_the_truth_of_an_array_of_one_element():
    def loop(x):
        total = 0.0
        for row in x:
            d = np.dot(row[None, :], row[:, None])
            total += d[0, 0] if d > 1.0 and row[:1] < 9.0 else 1.0
            while d > 3.0:
                d = d / 2
            assert d <= 3.0
            if not d > 1.0:
                total = total + d.sum()
        return total

    right(loop, X)
    with pytest.raises(TypeError, match="more than one element is ambiguous"):
        pb.grad(lambda x: 1.0 if x > 0 else 2.0)(X)


def test_results_that_change_their_shape_further_away():
    right(lambda x: np.zeros(int(x * 10)) + x, 3.0 + 1e-3)


def test_means_and_moments_by_name():
    def textbook(x):
        spread = statistics.stdev(x) + statistics.variance(x, 0.5) + statistics.pvariance(x, mu=1.0)
        return statistics.mean(x) * spread + statistics.fmean(v * v for v in x) + statistics.pstdev(x)

    def arrays(x):
        y = np.exp(x[0])
        return statistics.mean(x[1]) + statistics.geometric_mean(y) + statistics.harmonic_mean(y)

    def moments(x):
        return (
            scipy.stats.skew(x), scipy.stats.skew(x[0]), scipy.stats.kurtosis(x, axis=-1),
            scipy.stats.kurtosis(x, axis=None, fisher=False),
        )  # fmt: skip

    right(textbook, [1.0, 2.5, -0.3, 4.0])
    right(arrays, X)
    right(moments, X)
    with pytest.raises(statistics.StatisticsError):
        pb.grad(lambda x: statistics.stdev([x]))(2.0)


def test_arrays_of_text_decide():
    def by_group(x):
        names = np.array(["a", "b", "a"])
        parts = [np.sum(x[names == name]) for name in np.unique(names)]
        return parts, np.where(names[:, None] == "a", x, 0.0), np.require(2 * x, np.float64, ["C", "W"])

    right(by_group, X)


WALLS = [[1, 2], [3, 1]]


def members(x, n, places):
    """`in` with traced values on either side."""
    total = 0.0
    for i in range(len(places)):
        p = places[i]
        if i in (0, n) or p in {3}:
            total += x[0, i]
        if i not in [1]:
            total *= 2.0
        if p in range(1, len(places), 2):
            total += 5.0 * x[1, i]
        if p not in range(n, -2, -2):
            total += 7.0 * x[1, i]
        if [p, i] in WALLS or (p, i) in ((2, 2), (0, 1)):
            total += 11.0 * x[2, i]
        if [p, i] == [3, 1] or (p, n) != (2, n):
            total += 13.0 * x[2, i]
        if i in places and n not in places[1:]:
            total *= 3.0
        if n + 1 in [i, p]:
            total -= x[0, i]
    return total


@pytest.mark.parametrize("places", [[3, 1, 0, 2], [0, 0, 2, 3], [1, 2, 3, 4]])
def test_membership_of_traced_values(places):
    for n in (0, 2):
        right(members, X, n, np.array(places))


def test_tuples_with_names_of_their_own():
    def limited(x):
        best = -1.0 * float_info.max
        if x[0, 0] > best:
            best = x[0, 0] + float_info.epsilon
        return best * x

    right(limited, X)


# -- ranges where numbers are expected -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x, n: (np.array(range(n)) * x[:n]).sum(),
        lambda x, n: x * range(len(x)),
        lambda x, n: range(1, len(x) + 1) * x,
        lambda x, n: x / np.asarray(range(1, len(x) + 1), float),
        lambda x, n: np.dot(range(len(x)), x),
        lambda x, n: x[range(n - 1, 0, -2)],
        lambda x, n: np.mean(range(n)) * x,
        lambda x, n: np.vstack([range(len(x)), x]),
        lambda x, n: np.array([range(n), range(n)]) @ x[:n],
        lambda x, n: np.cumsum(range(n, 2 * n)) * x[0],
    ],
)
def test_a_range_for_an_array(f):
    right(f, X[0], 4)


# -- a number that becomes an array in a loop that may end early -----------------------------------------------


def summed_until(a, n, limit):
    total = 0.0
    for i in range(n):
        total = total + a[i]
        if total[0] > limit:
            break
    return total


def returned_early(a, n, limit):
    total = 0.0
    for i in range(n):
        total = total + a[i] * (i + 1)
        if total[0] > limit:
            return total * 2.0
    else:
        total = total * 3.0
    return total


def two_loops(a, n, limit):
    total = 0.0
    for i in range(n):
        for j in range(3):
            total = total + a[i] * (j + 1)
            if total[0] > limit:
                break
        if total[1] > 2.0:
            break
    return total


def root(x, n, limit):
    guess, trips, close = 0.1, 0, False
    while trips < n and not close:
        new = guess - (guess * guess - np.abs(x)) / (2.0 * guess + 1.0)
        close = np.all(np.abs(new - guess) < limit)
        trips += 1
        guess = new
    return guess


@pytest.mark.parametrize("f", [summed_until, returned_early, two_loops, root])
@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("limit", [-9.0, 0.1, 9.0])
def test_a_number_that_becomes_an_array(f, n, limit):
    right(f, X, n, limit)


# -- what a library asks ---------------------------------------------------------------------------------------


class Labelled:
    def __init__(self, label):
        self.label = label


def named_lowest(values):
    return min(values, key=lambda v: v.label)


def test_a_missing_attribute_of_a_traced_value():
    """What Python has and a traced value has not is refused with the user's line."""

    def unlike(x):
        return x * memoryview(x).nbytes

    with pytest.raises(pb.PullbackError, match=r"which Python can run(?s:.*)memoryview\(x\)"):
        pb.vjp(unlike, X)


@pytest.mark.parametrize("shape", [None, (12,), (4, -1), (-1, 2, 3)])
def test_a_shape_of_attributes(shape):
    class Reshape:
        def __init__(self, shape):
            self.shape = shape

        def __call__(self, x):
            return x.reshape(self.shape) if self.shape is None else x.reshape(*self.shape)

    right(Reshape(shape), X)
    right(lambda x, k: x.reshape(k, 2), X, -1)


def test_products_of_signals_of_sizes_that_data_decides():
    right(lambda x: np.convolve(x[x > 0.0], x[x < 0.5])[:5], X.ravel())


# -- windows, and moments of SciPy -----------------------------------------------------------------------------


@pytest.mark.parametrize("window", [np.hanning, np.hamming, np.blackman, np.bartlett])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4])
def test_window_functions(window, n):
    right(lambda x: x[:n] * window(len(x[:n])) + x[0], X[0])
    right(lambda x, n: x[:n] * window(n) + x[0], X[0], n)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize(
    "f",
    [
        scipy.stats.gmean, scipy.stats.hmean, scipy.stats.zscore, scipy.stats.sem, scipy.stats.variation,
        scipy.stats.skew, scipy.stats.kurtosis,
        lambda x, axis: scipy.stats.skew(x, axis, bias=False),
        lambda x, axis: scipy.stats.kurtosis(x, axis, bias=False, fisher=False),
        lambda x, axis: scipy.stats.zscore(x, axis, ddof=1),
        lambda x, axis: scipy.stats.entropy(x, axis=0 if axis is None else axis),
        lambda x, axis: scipy.stats.entropy(x, x**2, base=2, axis=0 if axis is None else axis),
        lambda x, axis: scipy.stats.gmean(x, axis, weights=x),
    ],
)  # fmt: skip
def test_moments_of_scipy(f, axis):
    right(lambda x: f(x, axis=axis), np.abs(np.vstack([X, X[::-1] + 0.3])) + 0.1)


def test_questions_of_arrays():
    right(lambda x: x if scipy.sparse.issparse(x) else 2.0 * x, X)
    right(lambda x: x[0] * np.ones(3, np.common_type(x, np.ones(2, np.float32)))[0], X)
    right(lambda x, n: x * np.arange(n), X, True)
