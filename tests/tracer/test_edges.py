"""Functions of NumPy, SciPy and math at their edges: the value, dtype and shape that they give, or refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special

import pullback as pb

X = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
SORTED = np.array([1.0, 2.0, 2.0, 5.0, np.nan])
M = np.array([[1.0, np.nan, 3.0], [np.nan, 2.0, 1.0]])
ZERO_DIM, EMPTY, EMPTY_ROWS = np.array(2.5), np.zeros(0), np.zeros((0, 3))


def placed(values, above):
    def f(x):
        y = x.copy()
        np.place(y, y > above, values)
        return y

    return f


CASES = [
    (lambda x: np.searchsorted(x, 2.0), SORTED), (lambda x: np.searchsorted(x, x, side="right"), SORTED),
    (lambda x: np.searchsorted(x, 2.0), EMPTY), (lambda x: np.searchsorted(x, [0.0, 3.0]), X[:1]),
    (lambda x: np.nanargmax(x, axis=1, keepdims=True), M), (lambda x: np.nanargmin(x, axis=1), M),
    (lambda x: np.meshgrid(x, x), ZERO_DIM), (lambda x: np.meshgrid(x, np.arange(3.0)), X),
    (lambda x: np.meshgrid(x, x), M), (lambda x: np.meshgrid(x), X),
    (np.ascontiguousarray, ZERO_DIM), (np.ascontiguousarray, 2.5), (np.asfortranarray, ZERO_DIM),
    (np.ascontiguousarray, M), (np.asfortranarray, M), (np.asfortranarray, X),
    (np.tril, EMPTY), (np.triu, EMPTY), (np.tril, X), (np.triu, EMPTY_ROWS), (np.argwhere, EMPTY),
    (np.argwhere, EMPTY_ROWS), (np.argwhere, ZERO_DIM), (lambda x: np.argwhere(x > 2.0), X),
    (lambda x: np.cumprod(2.0, out=x[:1]), X), (lambda x: np.cumsum(2.0, out=x[:1]), X),
    (lambda x: np.not_equal(None, x), X), (lambda x: np.equal(x, None), X), (lambda x: x == None, X),  # noqa: E711
    (lambda x: x != None, M), (lambda x: x != "a", X), (lambda x: x == None, 2.5),  # noqa: E711
    (lambda x: np.pad(x, 1), ZERO_DIM), (lambda x: np.pad(x, ()), ZERO_DIM), (lambda x: np.pad(x, 0), 2.5),
    (placed([7.0, 8.0], 2.0), X), (placed([], 9.0), X), (placed([1.0], 2.0), EMPTY), (placed([], 2.0), X),
    (lambda x: np.tile(x, x), np.array([1, 2])), (lambda x: np.tile(x, 2), ZERO_DIM), (lambda x: np.tile(x, 2.0), X),
    (lambda x: np.tile(x, x), X),
    *[(math.trunc, v) for v in (2.5, -2.5, 3, True, np.float64(2.5), np.float32(2.5), np.int32(2), np.bool(True))],
    (lambda x: math.trunc(x[0]), X), (lambda x: math.trunc(x[0]), np.array([1, 2])),
    (lambda x: int(x[0]), np.array([1])),
    (scipy.special.exprel, np.inf), (scipy.special.exprel, -np.inf), (scipy.special.exprel, 0.0),
    *[(lambda x, k=k: scipy.special.boxcox(x, k), x) for x in (0.0, np.inf, 1.0, 2.0) for k in (0.0, 1.0, -0.5, 2.0)],
    (lambda x: scipy.special.boxcox(x, -np.inf), 0.0), (lambda x: scipy.special.boxcox1p(x, -0.5), np.inf),
]  # fmt: skip
REFUSED = {22, 32, 34, 39}
"""Cases that NumPy computes: places in arrays of rank 0, padding of them by nothing, a tile by what is traced."""


@pytest.mark.parametrize("k", range(len(CASES)))
def test_edges(k):
    f, x = CASES[k]
    copy = x.copy() if isinstance(x, np.ndarray) else x
    try:
        expected = f(copy)
    except Exception as error:
        expected = error
    with pb.options(jit=False, cache=False):
        try:
            found = pb.jit(f)(x)
        except pb.PullbackError:
            assert isinstance(expected, Exception) or k in REFUSED
            return
        except Exception as error:
            assert type(error) is type(expected) and str(error) == str(expected)
            return
    assert not isinstance(expected, Exception)
    many = isinstance(expected, (tuple, list))
    for ours, theirs in zip(found, expected, strict=True) if many else [(found, expected)]:
        assert np.shape(ours) == np.shape(theirs) and np.asarray(ours).dtype == np.asarray(theirs).dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_bisection_of_what_is_not_sorted_is_refused():
    def f(x):
        return np.searchsorted(x, 2.5) * np.sum(x)

    with pb.options(jit=False, cache=False):
        gradient = pb.grad(f)
        np.testing.assert_array_equal(gradient(np.sort(X)), np.full(5, 2.0))
        with pytest.raises(pb.PullbackError, match="np.searchsorted of an array that is not sorted"):
            gradient(X)
        with pytest.raises(pb.PullbackError, match="not sorted"):
            gradient(np.array([1.0, np.nan, 5.0, 6.0, 7.0]))


def while_(x, lambda_):
    is_ = 0.0
    for in_ in range(3):
        with_ = is_ * lambda_ + np.sum(x)
        is_ = with_ * in_
    if is_ > 0:
        else_ = is_ * lambda_
    else:
        else_ = is_
    return else_


def test_names_beside_the_words_of_python():
    """`lambda_` is what one calls a parameter that may not be called lambda."""
    x = np.array([0.5, 1.0])
    with pb.options(jit=False, cache=False):
        assert pb.jit(while_)(x, 0.5) == while_(x, 0.5)
        by_x, by_lambda = pb.grad(while_, (0, 1))(x, 0.5)
        step = 1e-6
        assert by_lambda == pytest.approx((while_(x, 0.5 + step) - while_(x, 0.5 - step)) / (2 * step))
        assert by_x.tolist() == pytest.approx([while_(x, 0.5) / 1.5] * 2)
        assert pb.grad(lambda p: p["in"] * p["is_"])({"in": 2.0, "is_": 3.0}) == {"in": 3.0, "is_": 2.0}
    assert str(pb.parse(str(pb.trace(while_, x, 0.5)))) == str(pb.trace(while_, x, 0.5))
