"""A float64 of NumPy's is no Python float: beside a float32 array it makes float64, wherever it comes from."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb

FIXED = np.float64(3.0)


def _accumulated(x):
    total = np.float64(0.0)
    for value in x:
        total = total + value
    return total


def _written(x):
    y = x.copy()
    y *= np.float64(2.0)
    y[0] = np.sqrt(2.0)
    return y


PROGRAMS = {
    "a call": lambda x: x * np.float64(2.0),
    "of a ufunc": lambda x: x * np.sqrt(2.0),
    "of a reduction": lambda x: x * np.mean([1.0, 2.0]),
    "an attribute": lambda x: x * np.finfo(float).eps,
    "a global": lambda x: x * FIXED,
    "on the left": lambda x: np.float64(2.0) / x,
    "of a power": lambda x: x ** np.float64(2.0),
    "in a maximum": lambda x: np.maximum(x, np.float64(0.5)),
    "in where": lambda x: np.where(x > 1.0, x, np.float64(0.5)),
    "in clip": lambda x: np.clip(x, np.float64(0.5), None),
    "of the size": lambda x: x * np.float64(len(x)),
    "a sum of two": lambda x: x * (np.float64(2.0) + 1.0),
    "in a list": lambda x: x * [np.float64(2.0)][0],
    "an element": lambda x: x[0] * np.float64(2.0),
    "accumulated": _accumulated,
    "written": _written,
    "Python's": lambda x: x * float(np.float64(2.0)) + np.pi,
    "item": lambda x: x.item(0) * 2.0,
    "item beside the array": lambda x: x.item(0) * x,
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_numpys(name, dtype):
    f, x = PROGRAMS[name], np.array([1.0, 2.0, 3.5], dtype)
    want = f(x)
    if name == "of a power" and dtype == np.float32 and want.dtype == np.float32:
        pytest.skip("this NumPy squares without looking at the exponent's type")
    with pb.options(jit=False, cache=False):
        got = pb.jit(f)(x)
        _, pull = pb.vjp(f, x)
    assert np.asarray(got).dtype == np.asarray(want).dtype
    np.testing.assert_allclose(got, want, rtol=1e-6)
    (gradient,) = pull(want)
    assert gradient.dtype == dtype
