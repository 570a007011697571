"""Arrays of rank 0 as arguments, seeds and local arrays, and writes past the end: compiled and not."""

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

FUNCTIONS = {
    "the argument itself": lambda a: a,
    "abs": lambda a: abs(a),
    "np.abs": lambda a: np.abs(a) * np.sqrt(a),
    "float": lambda a: float(a) * 2.0 + int(a) + (1.0 if bool(a) else 0.0),
    "one arm as it is": lambda a: a if a > 0.2 else 2.0 * a,
    "an arm with a number": lambda a: a if a > 0.2 else 0.5,
    "an arm with a sum": lambda a: np.sum(a) if a > 0.2 else 2.0 * a,
    "both arms": lambda a: np.sum(a) if a > 0.2 else a,
    "reductions": lambda a: np.sum(a) * np.prod(a) + np.max(a) + np.mean(a),
    "where": lambda a: np.where(a > 0.2, a, 2.0 * a),
    "min": lambda a: min(a, 0.5) + max(a, 0.1),
    "subscript": lambda a: np.asarray(a)[()] * 2.0,
    "reshape": lambda a: np.reshape(a, 1)[0] * 3.0,
}


def doubled(a):
    while a < 3.0:
        a = a * 2.0
    return a


def powers(a):
    s = a
    for _ in range(3):
        s = s * a
    return s


def written(a):
    b = np.zeros(())
    b[()] = a
    b += a
    c = b
    c *= 2.0
    return b * 1.0


FUNCTIONS |= {"while": doubled, "for": powers, "written": written}
COMPILED = ("abs", "one arm as it is", "an arm with a sum", "while", "written")


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("what", FUNCTIONS)
def test_rank_0(what, jit):
    if jit and what not in COMPILED:
        return
    f, step = FUNCTIONS[what], 1e-6
    slope = (f(0.3 + step) - f(0.3 - step)) / (2.0 * step)
    with pb.options(jit=jit, cache=False):
        gradient = pb.grad(f)
        for a in (np.array(0.3), np.array(0.3), np.array(0.3), 0.3, np.float64(0.3)):
            assert float(gradient(a)) == pytest.approx(float(slope))
            assert type(gradient(a)) is type(a)
            y, pull = pb.vjp(f, a)
            assert float(y) == pytest.approx(float(f(a)))
            for seed in (1.0, np.ones_like(y), np.array(1.0)):
                assert float(pull(seed)[0]) == pytest.approx(float(slope))


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
def test_a_seed_of_rank_0_for_an_element(jit):
    with pb.options(jit=jit, cache=False):
        y, pull = pb.vjp(lambda x: x[0] if x[0] > 0.2 else x[1], np.array([0.3, 0.4]))
        assert list(pull(np.ones_like(y))[0]) == [1.0, 0.0]


@pytest.mark.compiled
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("n", [3, 4])
def test_writing_past_the_end_in_a_loop(n, jit):
    def f(x):
        y = x.copy()
        for i in range(5):
            y[i] = x[0] * 2.0
        return np.sum(y)

    with pb.options(jit=jit, cache=False), pytest.raises(IndexError, match="out of bounds"):
        pb.grad(f)(np.linspace(1.0, 2.0, n))


def safe_ratio(a, b):
    out = np.zeros_like(b, dtype=float)
    return 0.5 - np.divide(a, b, out=out, where=~np.equal(b, 0))


@pytest.mark.parametrize("b", [0.7, 0.0, np.array(0.7), np.array([0.7, 0.0])], ids=["number", "zero", "0-d", "array"])
def test_zeros_of_a_number_in_both_sweeps(b):
    a = np.ones_like(b) * 1.5
    with pb.options(jit=False, cache=False):
        y, pull = pb.vjp(safe_ratio, a, b)
        np.testing.assert_allclose(y, safe_ratio(a, b))
        np.testing.assert_allclose(pull(np.ones_like(y))[0], np.where(np.equal(b, 0), 0.0, -1 / np.where(b == 0, 1, b)))


NUMBERS = {
    "a sum": np.sum,
    "a norm over the last axis": lambda x: np.linalg.norm(x, axis=-1),
    "an element": lambda x: x[0],
    "an array without axes": lambda x: np.asarray(np.max(x)),
}
AXES = (None, (None,), (None, None), (..., None), (None, ..., None), ..., ())


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("key", AXES)
def test_numbers_of_numpy_are_indexed_as_arrays_without_axes(number, key):
    def f(x):
        return x * NUMBERS[number](x)[key] ** 2

    x = np.array([0.5, 2.0, 1.0])
    with pb.options(jit=False, cache=False):
        check_grad(f, x)
        value, _ = pb.vjp(lambda x: NUMBERS[number](x)[key], x)
    assert np.shape(value) == np.shape(NUMBERS[number](x)[key])


@pytest.mark.parametrize("key", (0, slice(None), (0, None), (..., 0)))
def test_places_in_numbers_are_refused(key):
    with pb.options(jit=False, cache=False):
        with pytest.raises(IndexError):
            pb.grad(lambda x: np.sum(x)[key])(np.ones(2))
        with pytest.raises(TypeError, match="'float' object is not subscriptable"):
            pb.grad(lambda x: float(x[0])[key])(np.ones(2))


def masked(x):
    """Rows chosen by a mask, of one row: sizes 1 are static, and what is left has no axes."""
    result = np.empty_like(x)
    mask = x[..., 1] > 0.6
    result[mask, :] = np.array([1.0, 0.0, 0.5])
    result[~mask, :2] = x[~mask, :2] / np.linalg.norm(x, axis=-1)[~mask, np.newaxis]
    result[~mask, 2] = np.sum(x, axis=-1)[~mask]
    return result


@pytest.mark.parametrize("rows", (1, 2))
@pytest.mark.parametrize("middle", (0.5, 0.7))
def test_masks_of_one_row(rows, middle):
    with pb.options(jit=False, cache=False):
        check_grad(masked, np.array([[0.1, middle, 0.3], [0.2, 0.5, 0.4]])[:rows])


TRUTHS = {
    "true now": lambda m: m,
    "false now": lambda m: ~m,
    "with places": lambda m: (m, 0),
    "with dots": lambda m: (m, ..., 0),
    "second": lambda m: (slice(None), m),
    "with a slice": lambda m: (m, slice(0, 1)),
    "with a new axis": lambda m: (None, m),
    "without axes": lambda m: np.asarray(m),
    "Python's": lambda m: bool(m),
    "True": lambda m: True,
    "False": lambda m: False,
    "False second": lambda m: (slice(None), False, 0),
}


@pytest.mark.parametrize("truth", TRUTHS)
def test_a_truth_value_is_the_mask_of_a_new_axis(truth):
    def read(x):
        return x[TRUTHS[truth](np.sum(x) > 0.0)] * 2.0

    def written(x):
        y = x * 1.0
        key = TRUTHS[truth](np.sum(x) > 0.0)
        y[key] = np.sum(x) ** 2
        y[key] *= x[key]
        return y

    with pb.options(jit=False, cache=False):
        for x in (np.array([[0.3, 0.4], [0.5, 0.6]]), -np.ones((1, 3))):
            check_grad(read, x)
            check_grad(written, x)
        if truth not in ("with places", "with dots", "second", "with a slice", "False second"):
            check_grad(lambda x: read(np.sum(x)), np.ones(2))


@pytest.mark.parametrize("n", (-2, -1, 0, 1, 2))
def test_slices_of_new_axes(n):
    def read(x, n):
        v = (x * 1.0)[None, :, None]
        return v[n:], v[:, 1:, :n], v[:n] * 2.0, v[::-1], v[0:1], v[1:]

    def written(x, n):
        y = x * 1.0
        v = y[None]
        v[:n] *= 3.0
        v[n:] += x
        return y

    with pb.options(jit=False, cache=False):
        check_grad(read, np.array([0.3, 0.4]), n)
        check_grad(written, np.array([0.3, 0.4]), n)


def stored_if_it_can(x):
    y = np.hypot(x, 1.0)
    inside = y > 1.0
    try:
        y[inside] = -y[inside]
    except TypeError:
        if inside:
            y = -y
    return y


def counted(x):
    try:
        n = len(x)
    except TypeError:
        n = 7
    try:
        first = x[0]
    except (TypeError, IndexError):
        first = x
    return n * first


@pytest.mark.parametrize("f", (stored_if_it_can, counted))
@pytest.mark.parametrize("x", (0.3, np.float64(0.3), np.array([0.3, 0.4])))
def test_what_a_number_cannot_do_is_caught_as_in_python(f, x):
    with pb.options(jit=False, cache=False):
        check_grad(f, x)


REDUCTIONS = (
    np.sum, np.prod, np.max, np.min, np.any, np.all, np.argmax, np.argmin, np.cumsum, np.cumprod, np.mean, np.std,
    np.var, np.average, np.nansum, np.nanmax, np.ptp, np.flip, np.maximum.reduce, np.add.reduce,
)  # fmt: skip


@pytest.mark.parametrize("axis", (None, 0, -1, 1, (0,), ()))
@pytest.mark.parametrize("f", REDUCTIONS)
def test_axes_of_a_number(f, axis):
    """NumPy's own reductions take axis 0 of a number; what is built of them refuses it."""

    def reduced(x):
        return f(x[0] * 2.0, axis=axis) * x

    x = np.array([0.3, 0.4])
    with pb.options(jit=False, cache=False):
        try:
            reduced(x)
        except (ValueError, TypeError):
            with pytest.raises((ValueError, TypeError, IndexError)):
                pb.vjp(reduced, x)
        else:
            check_grad(reduced, x, directions=1)
