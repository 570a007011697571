"""Sorting, order statistics and bins: what NumPy gives, and the derivative follows each number to its place."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(4)
ROW, TABLE, BLOCK = RNG.normal(size=7), RNG.normal(size=(4, 5)), RNG.normal(size=(3, 4, 2))
TIES = np.round(RNG.normal(size=12))
INTS = RNG.integers(-3, 4, size=(5, 4))


def holed(x):
    x = x.copy()
    x.flat[1::4] = np.nan
    x[..., -1] = np.nan
    return x


OPERANDS = {
    "row": ROW, "even": ROW[:6], "one": ROW[:1], "table": TABLE, "block": BLOCK, "ties": TIES, "ints": INTS,
    "nan": holed(TABLE), "f32": TABLE.astype(np.float32), "turned": TABLE.T, "every other": ROW[::-2],
}  # fmt: skip
METHODS = (
    "linear", "lower", "higher", "nearest", "midpoint", "inverted_cdf", "averaged_inverted_cdf",
    "closest_observation", "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased",
)  # fmt: skip
AXES = {"all": None, "first": 0, "last": -1}
QUANTILES = {"one": 0.3, "most": 1.0, "some": np.array([0.1, 0.5, 0.0])}


def on_axis(function, axis, **options):
    return lambda x: function(x, axis=axis, **options)


def cases():
    for a, axis in AXES.items():
        for f in (np.sort, np.median, np.nanmedian):
            yield f"{f.__name__} {a}", on_axis(f, axis)
        yield f"argsort {a}", on_axis(np.argsort, axis, kind="stable")
        yield f"median {a} kept", on_axis(np.median, axis, keepdims=True)
        for q, value in QUANTILES.items():
            yield f"percentile {q} {a}", on_axis(lambda x, value=value, **o: np.percentile(x, 100 * value, **o), axis)
            for f in (np.quantile, np.nanquantile):
                yield f"{f.__name__} {q} {a}", on_axis(lambda x, f=f, value=value, **o: f(x, value, **o), axis)
    for method in METHODS[1:]:
        yield f"quantile {method}", lambda x, m=method: np.quantile(x, [0.21, 0.5, 0.8], method=m)
        yield f"nanquantile {method}", lambda x, m=method: np.nanquantile(x, 0.37, axis=0, method=m)
    yield "unique", lambda x: np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    yield "histogram", lambda x: np.histogram(x, 5, (-1, 1))
    yield "density", lambda x: np.histogram(x, [-1.0, 0.0, 0.5, 2.0], density=True)
    yield "weights", lambda x: np.histogram(x, 4, (-2, 2), weights=x * x)
    yield "digitize", lambda x: np.digitize(x, [-1.0, 0.0, 1.0])
    yield "digitize down", lambda x: np.digitize(x, [1.0, 0.0, -1.0], right=True)
    yield "searchsorted", lambda x: np.searchsorted(np.sort(x, axis=None), x, side="right")
    yield "sorter", lambda x: np.searchsorted(x[0], 0.3, sorter=np.argsort(x[0])) if x.ndim == 2 else 0
    yield "partition", lambda x: np.partition(x, 0)[..., 0]
    yield "lexsort", lambda x: np.lexsort((x.ravel(), np.round(x.ravel() / 2)))


CASES = dict(cases())


def chosen(name):
    """Three of the operands, others for each case."""
    first = list(CASES).index(name)
    return [list(OPERANDS.items())[(3 * first + k) % len(OPERANDS)] for k in (0, 2, 7)]


def plain(function, x):
    """NumPy's results, with its warnings of nan turned off; None if it refuses."""
    try:
        with np.errstate(all="ignore"):
            result = function(x)
    except TypeError:
        return None
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_values(name):
    for what, x in chosen(name):
        wanted = plain(CASES[name], x)
        if wanted is None or what == "nan" and name in ("histogram", "density", "weights"):
            continue
        with pb.options(jit=False):
            found = pb.jit(CASES[name])(x)
        for a, b in zip(found if isinstance(found, tuple) else (found,), wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6 if what == "f32" else 1e-15, atol=0, err_msg=what)
            assert np.shape(a) == b.shape, what
            assert what == "f32" or np.asarray(a).dtype == b.dtype, what


def first_float(result):
    return next((r for r in (result if isinstance(result, tuple) else (result,)) if r.dtype == np.float64), None)


@pytest.mark.parametrize("name", [n for n in CASES if "quantile" not in n or "first" in n or "all" not in n])
def test_derivatives(name):
    function = CASES[name]
    if first_float(function(TABLE)) is None:
        return

    def loss(x):
        return np.sum(np.sin(1.3 * first_float(function(x))))

    with pb.options(jit=False):
        gradient = pb.grad(loss)(TABLE)
        u = np.cos(np.arange(TABLE.size)).reshape(TABLE.shape)
        along = np.sum(gradient * u)
        assert (loss(TABLE + 1e-6 * u) - loss(TABLE - 1e-6 * u)) / 2e-6 == pytest.approx(along, abs=1e-7)
        assert pb.jvp(loss, (TABLE,), (u,))[1] == pytest.approx(along, rel=1e-12)


@pytest.mark.parametrize("x", [(50 * INTS).astype(np.int8), INTS > 0])
def test_the_middle_of_short_integers_and_truths(x):
    for function in CASES["median all"], CASES["median first"], CASES["nanmedian last"]:
        with pb.options(jit=False):
            np.testing.assert_array_equal(pb.jit(function)(x), function(x))


def test_in_place_and_methods():
    def f(x):
        y = x.copy()
        y.sort(axis=0)
        y[1:3].sort()
        y.partition(1)
        return y, x.argsort(axis=0), x.argpartition(1)

    with pb.options(jit=False):
        found, places, parts = pb.jit(f)(TABLE)
    wanted = np.sort(TABLE, axis=0)
    np.testing.assert_array_equal(found, np.sort(wanted))
    np.testing.assert_array_equal(places, TABLE.argsort(axis=0))
    np.testing.assert_array_equal(np.take_along_axis(TABLE, parts, -1)[:, :2], np.sort(TABLE)[:, :2])


def test_every_order_of_ties():
    """Equal numbers: the first of them gets what the first place gets."""
    weights = np.array([1.0, 10.0, 100.0, 1000.0])
    for x in itertools.product([0.0, 1.0], repeat=4):
        with pb.options(jit=False):
            found = pb.grad(lambda x: np.sum(np.sort(x) * weights))(np.array(x))
        wanted = np.empty(4)
        wanted[np.argsort(x, kind="stable")] = weights
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.compiled
def test_compiled():
    def f(x):
        center = np.median(x, axis=0)
        spread = np.median(np.abs(x - center), axis=0)
        return np.sum(np.percentile(x, [25, 75], axis=0) ** 2) + np.sum(spread) + np.interp(x, center, center**2).sum()

    for size in ((9, 3), (40, 1), (1000, 2)):
        x = RNG.normal(size=size)
        x = x[:, np.argsort(np.median(x, axis=0))]
        with pb.options(jit=False):
            wanted = pb.grad(f)(x)
        np.testing.assert_allclose(pb.grad(f)(x), wanted, rtol=1e-12)
        np.testing.assert_allclose(pb.jit(f)(x), f(x), rtol=1e-12)
    for dtype in (np.float32, np.int64, np.bool_):
        for n in (0, 1, 7, 8, 9, 17, 1000):
            x = (3 * RNG.normal(size=(2, n))).astype(dtype)
            np.testing.assert_array_equal(pb.jit(lambda x: np.argsort(x))(x), np.argsort(x, kind="stable"))


@pytest.mark.parametrize(
    "function, x, error, text",
    [
        (lambda x: np.median(x), ROW[:0], ValueError, "np.median of an empty array"),
        (lambda x: np.quantile(x, 1.5), ROW, ValueError, "Quantiles must be in the range"),
        (lambda x: np.percentile(x, x), 200 + ROW, ValueError, "Percentiles must be in the range"),
        (lambda x: np.partition(x, 20), ROW, ValueError, "out of bounds"),
        (lambda x: np.quantile(x, 0.5, method="best"), ROW, ValueError, "best"),
        (lambda x: np.sort(x, order="name"), ROW, TypeError, "order"),
        (lambda x: np.sort(x, axis=2), ROW, IndexError, "out of bounds"),
    ],
)
def test_refused(function, x, error, text):
    with pb.options(jit=False), pytest.raises(error, match=text):
        pb.jit(function)(x)
