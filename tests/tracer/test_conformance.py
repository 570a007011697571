"""Value, dtype, shape and weakness of what is not differentiated, for all functions and dtypes.

A sample of what `python tests/tracer/conformance.py` runs.
"""

from __future__ import annotations

import operator

import conformance
import numpy as np
import pytest
from conformance import BINARY, OPERANDS, ORDER, WRITTEN

import pullback as pb
from pullback import PullbackError


@pytest.mark.fuzz
def test_the_table_of_functions_and_dtypes():
    """Run with `python tests/tracer/conformance.py --write` where functions were added."""
    found = conformance.alone()
    assert conformance.faults(found) == []
    assert conformance.table(found) == conformance.documented()


@pytest.mark.fuzz
def test_pairs_of_dtypes():
    assert conformance.faults(conformance.run((*BINARY, *WRITTEN), thin=29)) == []


OPERATIONS = (
    operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, operator.lt, operator.eq, np.maximum,
)  # fmt: skip
UNSIGNED = (np.dtype(np.uint64), np.dtype(np.uint64))


def all_pairs(operation, *numbers):
    results = []
    for a in numbers:
        for b in numbers:
            if not refused(operation, a, b):
                results.append(operation(a, b))
    return results


def refused(operation, a, b):
    """Booleans are not subtracted, and uint64 is not compared with signed integers."""
    kinds = {a.dtype.kind, b.dtype.kind}
    if operation is operator.sub:
        return kinds == {"b"}
    return operation in (operator.lt, operator.eq) and kinds == {"u", "i"} and np.uint64 in (a.dtype, b.dtype)


@pytest.mark.compiled
@pytest.mark.parametrize("operation", OPERATIONS[::2], ids=lambda f: f.__name__)
def test_compiled_arithmetic_of_all_pairs(operation):
    """Compiled code has promotion rules of its own: all pairs of dtypes in one function."""
    numbers = [OPERANDS[name]["array"][0] for name in ORDER]
    with np.errstate(all="ignore"):
        want = all_pairs(operation, *numbers)
    have = pb.jit(all_pairs)(operation, *numbers)
    assert [h.dtype for h in have] == [w.dtype for w in want]
    np.testing.assert_array_equal(have, want)


@pytest.mark.compiled
def test_arrays_of_short_integers_compiled(rng):
    image = rng.integers(0, 256, (7, 5)).astype(np.uint8)
    offsets = np.array([3, -2, 100], np.int8)

    def f(x, image, offsets):
        wrapped = image + image
        edges = image[1:] - image[:-1]
        rows = x[image[:, 0] % np.uint8(7)]
        total = 0
        for v in offsets:
            total += v
        mean = image.mean(axis=0)
        image = image.copy()
        image[image > 100] = 7
        image += 250
        value = (rows * wrapped).sum() + (x * edges.sum(axis=1).max()).sum() + mean.sum()
        return value, image, total, -offsets, wrapped

    x = rng.normal(size=(7, 5))
    with np.errstate(all="ignore"):
        want = f(x, image, offsets)
    before = image.copy()
    for form in (pb.jit(f), pb.jit(f)):
        have = form(x, image, offsets)
        for h, w in zip(have, want, strict=True):
            assert np.asarray(h).dtype == np.asarray(w).dtype
            np.testing.assert_allclose(h, w, rtol=1e-12)
    np.testing.assert_array_equal(image, before)
    value, g = pb.value_and_grad(lambda *args: f(*args)[0])(x, image, offsets)
    assert value == pytest.approx(want[0])
    assert g.shape == x.shape


def test_numbers_of_python_must_fit():
    image = np.array([1, 2], np.uint8)
    with pb.options(jit=False, cache=False):
        with pytest.raises(PullbackError, match="out of bounds for uint8"):
            pb.jit(lambda a: a + 300)(image)
        with pytest.raises(OverflowError, match="out of bounds for uint8"):
            pb.jit(lambda a, k: a + k)(image, 300)
        assert pb.jit(lambda a, k: a + k)(image, 3).dtype == np.uint8


def causal(scores):
    s = scores.copy()
    future = np.triu(np.ones(s.shape, dtype=bool), k=1)
    s[future] = -np.inf
    e = np.exp(s - s.max(axis=1, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    return np.sum(a[:, 0] ** 2)


def test_triangles_of_masks_are_masks(rng):
    s = rng.normal(size=(4, 4))
    with pb.options(jit=False, cache=False):
        assert pb.jit(causal)(s) == pytest.approx(causal(s))
        g = pb.grad(lambda d: np.sum(np.where(~np.tril(np.ones((4, 4), dtype=bool)), d, 0.0)))(s)
    np.testing.assert_array_equal(g, np.triu(np.ones((4, 4)), 1))


WEIGHTS = np.arange(6.0).astype(">f8")


def test_hidden_arrays_of_another_byte_order():
    with pb.options(jit=False, cache=False):
        np.testing.assert_array_equal(pb.grad(lambda x: np.dot(WEIGHTS, x))(np.ones(6)), np.arange(6.0))


@pytest.mark.filterwarnings("error")
def test_no_warning_of_numpy_escapes_while_programs_are_simplified():
    with pb.options(jit=False, cache=False):
        g = pb.grad(lambda w: np.sum(np.bincount(np.array([0, 1, 0]), weights=w) ** 2))(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(g, [8.0, 4.0, 8.0])


def test_names_that_are_arrays_of_one_dtype_or_another(rng):
    """A branch of sizes is decided for the call; one of values cannot give a mask or short integers and others."""
    x = rng.normal(size=4)

    def by_size(x):
        return np.arange(3, dtype=np.uint8) if x.size > 3 else np.arange(3)

    def by_value(x):
        return np.arange(3, dtype=np.uint8) if x[0] > 0 else np.arange(3)

    with pb.options(jit=False, cache=False):
        assert pb.jit(by_size)(x).dtype == np.uint8
        assert pb.jit(by_size)(x[:3]).dtype == np.int64
        with pytest.raises(PullbackError, match="after this branch"):
            pb.jit(by_value)(x)
