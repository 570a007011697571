"""One compile serves every shape: sizes are symbols, guarded where the program relies on them."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.ir.errors import ShapeMismatch, UnsupportedSyntax
from pullback.runtime import compile as compiler
from pullback.testing import check_grad


@pytest.fixture(autouse=True)
def uncached():
    with pb.options(jit=False, cache=False):
        yield


def traces(g):
    return g._traceable.traces + g._traceable.recalled


def test_fifty_shapes_cost_three_compiles():
    def f(x, y):
        return np.sum(np.exp(x[1:] * 0.1) * y[:-1]) + np.mean(x)

    g = pb.grad(f, (0, 1))
    sources = compiler.counts["sources"]
    for n in range(1, 51):
        x = np.linspace(0, 1, n)
        bars = g(x, x + 1)
        np.testing.assert_allclose(bars[0][1:], 0.1 * np.exp(0.1 * x[1:]) * (x[:-1] + 1) + 1 / n)
    assert traces(g) <= 2  # n = 1 is burned in
    assert compiler.counts["sources"] - sources <= 2


@pytest.mark.compiled
def test_fifty_shapes_compiled():
    """The same with numba, which counts its compilations itself."""

    def f(x):
        return np.sum(x * x)

    g = pb.grad(f)
    with pb.options(jit=True):
        compiled = compiler.counts["compiled"] + compiler.counts["loaded"]
        for n in range(2, 52):
            np.testing.assert_allclose(g(np.ones((n, 2 * n))), 2.0)
        assert compiler.counts["compiled"] + compiler.counts["loaded"] - compiled == 1
    assert traces(g) == 1


def test_sizes_stay_symbolic_through_reshape():
    def f(x):
        n = x.shape[0]
        return np.sum(x.reshape(n // 2, 2)[:, 0] ** 2) + np.sum(x.reshape(-1) / n)

    g = pb.grad(f)
    for n in (4, 6, 10):
        x = np.arange(float(n))
        np.testing.assert_allclose(g(x), np.where(np.arange(n) % 2 == 0, 2 * x, 0) + 1 / n)
    assert traces(g) == 1
    with pytest.raises(ValueError):
        g(np.ones(5))


def test_a_concrete_size_is_static_on_demand():
    def f(x):
        n = x.shape[0]
        weights = (0.5,) * n
        return sum(x[k] * weights[k] for k in range(n))

    g = pb.grad(f)
    for n in (2, 3, 3, 2):
        np.testing.assert_allclose(g(np.ones(n)), 0.5)
    assert traces(g) == 2


def test_equal_sizes_are_guarded():
    def f(x, y):
        return np.sum(x * y)

    g = pb.grad(f)
    np.testing.assert_allclose(g(np.ones(3), np.full(3, 2.0)), 2.0)
    np.testing.assert_allclose(g(np.ones(4), np.full(4, 2.0)), 2.0)
    assert traces(g) == 1
    np.testing.assert_allclose(g(np.ones(4), np.full(1, 2.0)), 2.0)  # broadcasts
    np.testing.assert_allclose(g(np.ones(1), np.full(4, 2.0)), 8.0)
    with pytest.raises(ValueError, match=r"\(3,\) and \(4,\)"):
        g(np.ones(3), np.ones(4))
    np.testing.assert_allclose(g(np.ones(3), np.full(3, 2.0)), 2.0)


def test_a_derived_size_of_one_broadcasts():
    def f(x, y):
        return np.sum(x[1:] * y)

    g = pb.grad(f)
    for n, m in ((5, 4), (2, 7), (2, 1), (3, 2), (6, 1)):
        x, y = np.arange(float(n)), np.arange(1.0, m + 1)
        expected = np.zeros(n)
        expected[1:] = y.sum() if n == 2 else y
        np.testing.assert_allclose(g(x, y), expected)


def test_slices_are_clamped():
    def f(x):
        return np.sum(x[2:-2] ** 2) + np.sum(x[:100]) + np.sum(x[-3:] * 2.0) + np.sum(x[::-2])

    g = pb.grad(f)
    for n in (1, 2, 3, 4, 5, 8, 150):
        x = np.linspace(-1, 2, n)
        expected = np.zeros(n)
        expected[2:-2] += 2 * x[2:-2]
        expected[:100] += 1
        expected[-3:] += 2
        expected[::-2] += 1
        np.testing.assert_allclose(g(x), expected)


def test_integers_are_dynamic():
    def f(x, k, n):
        return np.sum(x[k:] ** 2) * n + x[-k]

    g = pb.grad(f)
    x = np.arange(6.0)
    for k in (1, 2, 3, 5):
        expected = np.zeros(6)
        expected[k:] = 2 * x[k:] * (k + 1)
        expected[-k] += 1
        np.testing.assert_allclose(g(x, k, k + 1), expected)
    assert traces(g) == 1
    with pytest.raises(IndexError):
        g(x, 7, 1)


def test_python_branches_on_sizes():
    def f(x):
        if x.shape[0] > 4:
            return np.sum(x * x)
        return np.sum(x)

    g = pb.grad(f)
    for n in (2, 3, 4, 5, 9):
        np.testing.assert_allclose(g(np.full(n, 3.0)), 6.0 if n > 4 else 1.0)


def test_many_failing_guards_end():
    def f(x, y):
        return np.sum(x[: y.shape[0]])

    g = pb.grad(f)
    rng = np.random.default_rng(0)
    for _ in range(40):
        n, m = rng.integers(2, 12, size=2)
        expected = np.zeros(n)
        expected[:m] = 1
        np.testing.assert_allclose(g(np.ones(n), np.ones(m)), expected)
    assert traces(g) <= 20


def test_sizes_decide_where_nothing_can_be_staged():
    choose = eval("lambda x: x[0] * 2.0 if x.shape[0] > 3 else x[1]")  # no source to read
    g = pb.grad(choose)
    assert g(np.ones(5))[0] == 2.0
    assert g(np.ones(3))[1] == 1.0

    def f(x):
        return sum([x[k] for k in range(3) if k < x.shape[0] - 1])

    g = pb.grad(f)
    np.testing.assert_allclose(g(np.ones(3)), [1, 1, 0])
    np.testing.assert_allclose(g(np.ones(6)), [1, 1, 1, 0, 0, 0])


def forces(x):
    total = 0.0
    for i in range(x.shape[0]):
        for j in range(i):
            d = x[i] - x[j]
            total += 1.0 / np.sum(d * d)
    return total


def forces_bar(x):
    bar = np.zeros_like(x)
    for i in range(len(x)):
        for j in range(i):
            d = x[i] - x[j]
            bar[i] -= 2.0 * d / np.sum(d * d) ** 2
            bar[j] += 2.0 * d / np.sum(d * d) ** 2
    return bar


def test_small_sizes_in_loops_are_numbers():
    """Vectors of 3 in a loop are scalars in the generated code; other sizes share one program."""
    g = pb.grad(forces)
    rng = np.random.default_rng(0)
    for n, m in ((6, 3), (9, 3), (7, 5), (8, 6), (5, 9), (7, 2)):
        x = rng.normal(size=(n, m))
        np.testing.assert_allclose(g(x), forces_bar(x))
        if m == 3:
            assert "range(3)" not in g.source and "x2[j]" in g.source
    assert traces(g) == 2  # one for 3, one that serves all others
    assert "f64[n, 3]" in str(pb.trace(forces, rng.normal(size=(6, 3))))


def test_a_small_size_outside_of_loops_stays_a_symbol():
    g = pb.grad(lambda x: np.sum(np.sin(x)))
    for n in (3, 2, 4, 7):
        np.testing.assert_allclose(g(np.ones(n)), np.cos(1.0))
    assert traces(g) == 1


def test_small_matrices_keep_their_loops():
    def triangle(A):
        s = 0.0
        for i in range(len(A)):
            for j in range(i):
                s += A[i, j] ** 2
        return s

    g = pb.grad(triangle)
    for n in (3, 4, 6):
        A = np.random.default_rng(n).normal(size=(n, n))
        np.testing.assert_allclose(g(A), 2.0 * np.tril(A, -1))
    assert traces(g) == 1


def as_column(z, n):
    z = np.atleast_2d(z)
    if z.shape[1] == n:
        z = z.T
    return z


def one_row(z, n):
    return z[:1] if len(z) > n else z


@pytest.mark.parametrize("form", (as_column, one_row))
@pytest.mark.parametrize("rows", (1, 2, 3))
@pytest.mark.parametrize("n", (1, 2, 3, 4))
def test_an_axis_of_size_1_on_one_path_is_stretched(form, rows, n):
    """The sizes on the two paths differ, inputs alone decide which one is taken, and one of them broadcasts."""
    x = np.arange(12.0).reshape(4, 3)[:, :rows]
    for z in (np.array([0.5, 0.7, 0.1])[:rows], np.array([0.2]), np.array([0.2, 0.3, 0.4, 0.5])):
        f = lambda z, x: form(z, n) * x  # noqa: E731
        try:
            f(z, x)
        except ValueError:
            with pytest.raises(ValueError):
                pb.vjp(f, z, x)
            continue
        check_grad(f, z, x)


@pytest.mark.parametrize("sign", (1.0, -1.0))
def test_a_size_that_data_decide_is_not_stretched_from_1(sign):
    def f(z, x):
        if np.sum(z) > 0:
            z = z[:1]
        return np.sum(z * x)

    z, x = sign * np.array([1.0, 2.0]), np.array([3.0, 4.0])
    if sign < 0:
        check_grad(f, z, x)
        return
    with pytest.raises(ShapeMismatch, match=r"check that Python does not make.*sizes of axis 0.*np.sum\(z \* x\)"):
        pb.grad(f)(z, x)


def flattened(x):
    y = x * 2.0
    z = y
    y.shape = (-1,)
    y[0] *= 3.0
    return z * 1.0


def shaped_by_its_sizes(x):
    y = x * 2.0
    y.shape = x.shape[::-1]
    return y @ np.ones(2)


@pytest.mark.parametrize("f", (flattened, shaped_by_its_sizes))
def test_the_shape_of_an_array_is_set(f):
    check_grad(f, np.arange(6.0).reshape(2, 3))


def flattened_on_one_path(x):
    y = x * 2.0
    if np.sum(x) > 0.0:
        y.shape = (-1,)
    return np.sum(y)


def of_another_dtype(x):
    y = x * 2.0
    y.dtype = np.int64
    return y


def not_there(x):
    y = x * 2.0
    y.name = "y"
    return y


@pytest.mark.parametrize(
    "f, kind, text",
    (
        (flattened_on_one_path, UnsupportedSyntax, r"setting \.shape .*Write y = x.reshape"),
        (of_another_dtype, UnsupportedSyntax, r"setting \.dtype .*x.astype"),
        (not_there, AttributeError, "no attribute 'name'"),
    ),
)
def test_attributes_of_arrays_that_are_not_set(f, kind, text):
    with pytest.raises(kind, match=text):
        pb.vjp(f, np.ones((2, 3)))
