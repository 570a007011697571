"""Where the order in memory can be seen: the same as NumPy's or refused, for arguments in every order."""

from __future__ import annotations

import numpy as np
import pytest

import pullback as pb

ARRAYS = {
    "c": lambda: np.arange(6.0).reshape(2, 3),
    "fortran": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": lambda: np.arange(12.0).reshape(3, 4).T,
    "strided": lambda: np.arange(24.0).reshape(4, 6)[::2, ::2],
    "reversed": lambda: np.arange(6.0).reshape(2, 3)[::-1],
    "turned": lambda: np.arange(24.0).reshape(2, 3, 4).transpose(1, 0, 2),
    "every_other": lambda: np.arange(12.0)[::2],
}
TAKEN = {
    "ravel": lambda x: x.ravel(), "np_ravel": np.ravel, "ravel_f": lambda x: x.ravel("F"),
    "ravel_k": lambda x: x.ravel("K"), "ravel_a": lambda x: x.ravel(order="A"),
    "reshape": lambda x: x.reshape(-1), "reshape_f": lambda x: x.reshape(-1, order="F"),
    "reshape_a": lambda x: np.reshape(x, (-1,), order="A"), "other_shape": lambda x: x.reshape(x.shape[-1], -1),
    "flatten": lambda x: x.flatten(), "flatten_k": lambda x: x.flatten("K"), "flat": lambda x: x.flat,
    "transposed": lambda x: x.T.reshape(-1), "swapped": lambda x: x.swapaxes(0, -1).ravel(),
    "fortran": np.asfortranarray, "contiguous": np.ascontiguousarray, "asarray": lambda x: np.asarray(x, order="C"),
    "asarray_f": lambda x: np.asarray(x, order="F"), "array_f": lambda x: np.array(x, order="F").ravel(),
    "np_copy": lambda x: np.copy(x).ravel(), "copy_k": lambda x: x.copy(order="K").ravel(),
    "slice": lambda x: x[:].ravel(),
    "astype": lambda x: x.astype(float).reshape(-1), "sum": lambda x: (x + 1.0).reshape(-1),
    "where": lambda x: np.where(x > 1.0, x, 0.0).ravel(), "row": lambda x: x[0].reshape(1, -1),
}  # fmt: skip


def written(take):
    def f(x):
        y = take(x)
        y[0] = 100.0
        return x * 1.0

    return f


def written_of_sum(take):
    def f(x):
        z = x * 2.0
        y = take(z)
        y[0] = 100.0
        return z

    return f


def written_of_copy(take):
    def f(x):
        z = x.copy()
        y = take(z)
        y[0] = 100.0
        return z

    return f


def written_of_zeros(take):
    def f(x):
        z = np.zeros_like(x)
        y = take(z)
        y[0] = x[0].sum()
        return z + x

    return f


def read_after_the_write(take):
    def f(x):
        z = x + 0.0
        y = take(z)
        z[0] = 100.0
        return np.asarray(y) * 1.0

    return f


def in_a_loop(take):
    def f(x):
        z = 1.0 * x
        for _ in range(3):
            y = take(z)
            y[0] = y[0] * 2.0 + 1.0
        return z

    return f


def written_twice(take):
    def f(x):
        x = x.copy() if x.ndim > 1 else x
        x[-1] = 5.0
        y = take(x)
        y[0] = 100.0
        return x

    return f


FORMS = [written_twice, written, written_of_sum, written_of_copy, written_of_zeros, read_after_the_write, in_a_loop]


def outcome(f, x):
    try:
        return f(x)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_writes_where_memory_order_decides(form):
    refused, wrong = set(), []
    with pb.options(jit=False, cache=False):
        for name, take in TAKEN.items():
            f = form(take)
            traced = pb.jit(f)  # one for all of them: a call in C order may not decide for one in another
            for kind, make in ARRAYS.items():
                expected = outcome(f, make())
                try:
                    found = traced(make())
                except pb.PullbackError:
                    refused.add((name, kind))
                    continue
                except Exception as error:
                    found = type(error)
                errors = isinstance(expected, type) or isinstance(found, type)
                if (found is not expected) if errors else not np.array_equal(found, expected):
                    wrong.append((name, kind, found, expected))
    assert not wrong, wrong
    plain = ("ravel", "np_ravel", "reshape", "flatten", "np_copy", "slice", "other_shape", "contiguous", "asarray")
    if form is not read_after_the_write:
        assert not {(name, kind) for name, kind in refused if kind == "c" and name in plain}


def test_the_refusal_says_what_to_pass():
    f = written_of_sum(np.ravel)
    x = ARRAYS["fortran"]()
    with pb.options(jit=False, cache=False):
        with pytest.raises(pb.PullbackError, match="x is not in C order.*np.ascontiguousarray"):
            pb.grad(lambda x: np.sum(f(x) ** 2))(x)
        c = np.ascontiguousarray(x)
        np.testing.assert_array_equal(pb.jit(f)(c), f(c))
        # What only reads is not asked for its order.
        np.testing.assert_array_equal(pb.grad(lambda x: np.sum(x.ravel() ** 2))(x), 2.0 * x)


def test_globals_in_fortran_order():
    table = ARRAYS["fortran"]()

    def f(x):
        z = table * x
        z.ravel()[0] = 7.0
        return np.sum(z)

    with pb.options(jit=False, cache=False), pytest.raises(pb.PullbackError, match="table is not in C order"):
        pb.grad(f)(2.0)


def test_nditer_goes_in_the_order_of_memory():
    def f(x):
        total, k = 0.0, 1.0
        for v in np.nditer(x):
            total, k = total + k * v, k + 1.0
        return total

    with pb.options(jit=False, cache=False):
        assert pb.jit(f)(ARRAYS["c"]()) == f(ARRAYS["c"]())
        with pytest.raises(pb.PullbackError, match="not in C order"):
            pb.jit(f)(ARRAYS["fortran"]())
