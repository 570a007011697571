"""scipy.special computes in dtypes of its own: each function on each dtype is what SciPy makes of it, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sp

import pullback as pb

NAMES = sorted(n for n in dir(sp) if isinstance(getattr(sp, n), np.ufunc) and getattr(sp, n).nout == 1)
DTYPES = [np.float32, np.float64, np.int8, np.int16, np.int64, np.uint8, np.uint16, np.uint64]


def forms(function):
    """Calls of it with arrays alone, and with Python's floats at each place but one."""
    many = function.nin
    yield lambda x: function(*[x] * many)
    for place in range(many if many > 1 else 0):
        yield lambda x, place=place: function(*[2.0] * place, x, *[2.0] * (many - 1 - place))


def check(f, x):
    """True if it was computed."""
    with np.errstate(all="ignore"):
        try:
            want = f(x)
        except TypeError:
            return False
        try:
            got = pb.jit(f)(x)
        except pb.PullbackError:
            return False
    assert got.dtype == want.dtype
    assert np.allclose(got, want, rtol=1e-5, equal_nan=True)
    return True


@pytest.mark.fuzz
def test_every_ufunc_has_scipys_dtype():
    computed = 0
    with pb.options(jit=False, cache=False):
        for name in NAMES:
            function = getattr(sp, name)
            if function.nin > 2:
                continue
            for dtype in DTYPES:
                x = np.array([1, 2, 3], dtype)
                for f in forms(function):
                    if not check(f, x):
                        break
                    computed += 1
    assert computed > 400


@pytest.mark.parametrize("function", [sp.softmax, sp.log_softmax, sp.logsumexp])
def test_softmax(function):
    with pb.options(jit=False, cache=False):
        done = {d.__name__ for d in DTYPES if check(lambda x: function(x), np.array([1, 2, 3], d))}
    assert {"float32", "float64", "int16", "int64"} <= done


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_boxcox_at_zero(power):
    x = np.array([0.0, 2.0])
    with pb.options(jit=False, cache=False):
        value, pull = pb.vjp(lambda x: sp.boxcox(x, power), x)
        assert np.allclose(value, sp.boxcox(x, power))
        assert np.allclose(pull(np.ones(2))[0], [{0.5: np.inf, 1.0: 1.0, 2.0: 0.0}[power], 2.0 ** (power - 1.0)])
