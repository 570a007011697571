"""NumPy idioms that are more than a call: options of ufuncs, index lists, objects that are subscripted, iterators."""

import functools
import math

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad
from pullback.tracer.trace import trace as _trace  # noqa: F401  fills the tables
from pullback.tracer.values.symbol import FUNCTIONS

REFUSED = (np.nextafter, np.spacing, np.frexp)
UFUNCS = sorted(
    (f for f in FUNCTIONS if isinstance(f, np.ufunc) and hasattr(np, f.__name__) and f not in REFUSED),
    key=lambda f: f.__name__,
)
X = np.array([0.31, 0.52, 0.73, 0.94])
M = np.arange(1.0, 13.0).reshape(3, 4) / 7


@pytest.fixture(autouse=True)
def _uncompiled():
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        yield


def operands(ufunc):
    """Arrays that the ufunc takes, or None."""
    for dtype in (float, int, bool):
        args = [(np.arange(1, 5) % 3).astype(dtype), (np.arange(2, 6) % 2 + 1).astype(dtype)][: ufunc.nin]
        try:
            ufunc(*args)
        except TypeError:
            continue
        return args
    return None


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_every_ufunc_takes_out_and_where(ufunc):
    if ufunc.nout > 1 or ufunc.signature is not None:
        pytest.skip("several results, or a product: other options")
    args = operands(ufunc)
    mask = np.array([True, False, True, False])
    kind = ufunc(*args).dtype
    before = np.array([7, 0, 9, 1]).astype(kind)

    def into(*given):
        out = before.copy()
        ufunc(*given, out=out)
        return out

    def positional(*given):
        out = before.copy()
        return ufunc(*given, out)

    def where(*given):
        return ufunc(*given, out=before.copy(), where=mask)

    def of_traced(*given):
        return ufunc(*given, out=before.copy(), where=given[0] > 1)

    for f in (into, positional, where, of_traced):
        want, got = f(*args), pb.jit(f)(*args)
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), rtol=1e-12)


def test_where_without_out_is_refused():
    with pytest.raises(pb.PullbackError, match="without out="):
        pb.jit(lambda x: np.sqrt(x, where=x > 0.5))(X)


def test_a_zero_that_where_leaves_out_does_not_raise():
    f = lambda a, b: np.floor_divide(a, b, out=np.zeros_like(a), where=b != 0)
    a, b = np.array([7, 8, 9]), np.array([2, 0, 4])
    assert np.array_equal(pb.jit(f)(a, b), f(a, b))


def bent(v):
    return v * v if v > 0.5 else math.sin(v)


@np.vectorize
def decorated(u, k):
    s = 0.0
    for i in range(3):
        s += u ** (i + k)
    return s


def running(r):
    out = np.empty(len(r))
    total = 0.0
    for i in range(len(r)):
        total += r[i] ** 2
        out[i] = total
    return out


def rows_swapped(A):
    A = A.copy()
    p = np.argmax(A[:, 0])
    A[[0, p]] = A[[p, 0]]
    return A * np.arange(4.0)


def columns_swapped(A):
    A = A.copy()
    k = np.argmin(A[1])
    A[:, [1, k]] = A[:, [k, 1]]
    return A**2


def pivoted(A):
    A = A.copy()
    n = len(A)
    for k in range(n - 1):
        p = k + np.argmax(np.abs(A[k:, k]))
        if p != k:
            A[[k, p]] = A[[p, k]]
        A[k + 1 :] -= np.outer(A[k + 1 :, k] / A[k, k], A[k])
    return np.sum(np.log(np.abs(np.diag(A))))


def edges(p, pairs):
    energy = 0.0
    for a, b in pairs:
        energy += np.sum(np.diff(p[[a, b]], axis=0) ** 2)
    return energy


def by_nditer(x, y):
    s = 0.0
    for u, v in np.nditer([x, y]):
        s += u * u * v
    return s


def by_ndenumerate(x):
    s = 0.0
    for (i, j), v in np.ndenumerate(x):
        s += (i + 2 * j) * v * v * x[i, j]
    return s


def by_ndindex(x):
    y = np.zeros(x.shape)
    for index in np.ndindex(*x.shape):
        y[index] = x[index] ** 2
    return y


def three_axes(x):
    s = 0.0
    for i, j, k in np.ndindex(x.shape):
        s += (i + 1) * (j + 2) * (k + 3) * x[i, j, k] ** 2
    return s


def through_flat(x):
    y = x.T.copy().T
    y.flat[1] = 3.0 * y.flat[0]
    part = y.flat[2:4]
    part += 1.0  # a copy: y stays
    s = 0.0
    for v in y.flat:
        s += v * v
    return s + np.sum(part) * np.sum(y.flat)


IDIOMS = {
    "rows swapped": (rows_swapped, M),
    "columns swapped": (columns_swapped, M),
    "pivots": (pivoted, np.array([[0.1, 2.0, 1.0], [3.0, 0.4, 0.5], [1.0, 1.0, 4.0]])),
    "edges": (lambda p: edges(p, np.array([[0, 1], [1, 2]])), M),
    "a list with a traced place": (lambda x: x[[0, np.argmax(x), -1]] ** 2, X),
    "nditer": (by_nditer, M, X),
    "nditer of one": (lambda x: sum(v * v for v in np.nditer(x.copy())), X),
    "ndenumerate": (by_ndenumerate, M),
    "ndindex": (by_ndindex, M),
    "ndindex of three": (three_axes, np.arange(24.0).reshape(2, 3, 4) / 24),
    "flat": (through_flat, M),
    "r_": (lambda x: np.r_[x, 0.0, x[:2], 1:3, 0:1:3j] ** 2, X),
    "r_ of rows": (lambda x: np.r_["0,2", x, x * 2] ** 2, X),
    "r_ of columns": (lambda x: np.r_["1", M, x[:, :1]], M),
    "c_": (lambda x: np.c_[np.ones(len(x)), x, x**2], X),
    "c_ of matrices": (lambda x: np.c_[M.T, x, x[:, None] ** 2], X),
    "mgrid": (lambda x: np.mgrid[0 : len(x), 0:3][0] * x[:, None], X),
    "mgrid of numbers": (lambda x: np.mgrid[0 : x[0] : 5j], X),
    "ogrid": (lambda x: (lambda g: g[0] * x[:, None] * g[1])(np.ogrid[0 : len(x), 0:3]), X),
    "argwhere": (lambda x: x[np.argwhere(x > 0.5)[:, 0]] ** 2, X),
    "resize": (lambda x: np.resize(x, (2, 3)) ** 2, X),
    "vectorize": (lambda x: np.vectorize(bent)(x), M),
    "vectorize of two": (lambda x, y: np.vectorize(lambda u, v: u * v if u > v else u**2)(x, y), M, X),
    "vectorize of a number": (lambda x: np.vectorize(bent)(x[0]) * x, X),
    "vectorize, two results": (lambda x: np.vectorize(lambda v: (v * v, np.exp(v)))(x)[1], M),
    "decorated": (lambda x: decorated(x, 2.0), X),
    "apply_along_axis": (lambda x: np.apply_along_axis(lambda r: r / np.sum(r**2), 1, x), M),
    "apply_along_axis 0": (lambda x: np.apply_along_axis(running, 0, x), M),
    "apply_along_axis to numbers": (lambda x: np.apply_along_axis(np.prod, 0, x), M),
    "apply_along_axis to matrices": (lambda x: np.apply_along_axis(lambda r: np.outer(r, r), 0, x), M),
    "apply_over_axes": (lambda x: np.apply_over_axes(np.sum, x**2, [0, 1]), M),
    "fromiter": (lambda x: np.fromiter((v * v for v in x), float), X),
    "tolist": (lambda x: sum(v * v for v in x.tolist()), X),
    "tolist of rows": (lambda x: sum(row[0] * row[-1] for row in x.tolist()), M),
    "tolist of a number": (lambda x: np.sum(x).tolist() * x, X),
    "place": (lambda x: (lambda y: (np.place(y, y > 0.5, x[:2]), y)[1])(x.copy()), X),
}


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name):
    f, *args = IDIOMS[name]
    check_grad(f, *args)


def test_dtypes_of_r_are_numpys():
    x = X.astype(np.float32)
    for f in (lambda v: np.r_[v, 0.5], lambda v: np.r_[v, 1], lambda v: np.c_[v, v], lambda v: np.r_[v, np.zeros(2)]):
        assert pb.jit(f)(x).dtype == f(x).dtype


def test_running_over_elements_is_one_loop_for_all_sizes():
    g = pb.grad(by_ndenumerate)
    for shape in ((3, 4), (5, 2), (7, 7)):
        x = np.arange(1.0, shape[0] * shape[1] + 1).reshape(shape) / 10
        i, j = np.indices(shape)
        np.testing.assert_allclose(g(x), 3 * (i + 2 * j) * x**2)
    assert g._traceable.traces == 1


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda x: [1.0 for v in np.nditer(x, op_flags=["readwrite"])], "np.ndindex"),
        (lambda x: [1.0 for v in np.nditer(x.T)], "x.flat"),
        (lambda x: np.r_["r", x[0]], "np.concatenate"),
        (lambda x: np.mgrid[0 :] * x[0, 0], "slices with an end"),
    ],
)
def test_refused_with_advice(f, words):
    with pytest.raises(pb.PullbackError, match=words.replace(".", r"\.")):
        pb.jit(f)(M)


def cached_inside(x):
    @functools.lru_cache(None)
    def power(k):
        return 1.0 if k == 0 else x[0] * power(k - 1)

    return power(3) + np.sum(x)


ERF = np.vectorize(math.erf, otypes=[float])
BOTH = np.vectorize(lambda v: (v, 2.0 * v), otypes=[float, float])


def test_a_cache_that_is_made_inside():
    with pb.options(jit=False, cache=False):
        check_grad(cached_inside, X)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_vectorize_of_any_size(size):
    x = np.linspace(0.1, 0.9, size)
    with pb.options(jit=False, cache=False):
        assert np.array_equal(pb.jit(lambda x: ERF(x))(x), ERF(x))
        for got, want in zip(pb.jit(lambda x: BOTH(x))(x), BOTH(x)):
            assert np.array_equal(got, want)


@pytest.mark.parametrize(
    "function",
    [lambda x: sum(float(v) for v in np.nditer(x)), lambda x: np.sum(np.vectorize(lambda v: 2.0 * v)(x))],
)
def test_what_numpy_refuses_of_size_0(function):
    with pb.options(jit=False, cache=False):
        compiled = pb.jit(function)
        assert compiled(X) == function(X)
        with pytest.raises(ValueError):
            function(X[:0])
        with pytest.raises((pb.PullbackError, ValueError)):
            compiled(X[:0])
