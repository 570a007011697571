"""`checkpoint=` on plain Python loops: the same gradients, less memory."""

import pickle

import numpy as np
import pytest

import pullback as pb

SCHEDULES = ["sqrt", "binomial", 1, 3]


def logistic(r, x, n):
    for _ in range(n):
        x = r * x * (1 - x)
    return x


def field(u, c, n):
    s = 0.0
    for _ in range(n):
        u = u + c * np.sin(u) * np.roll(u, 1)
        s = s + np.sum(u * u) * 1e-3
    return s + u.sum()


def in_place(u, c, n):
    u = u.copy()
    for _ in range(n):
        for i in range(1, len(u) - 1):
            u[i] = u[i] + c * np.sin(u[i - 1]) * u[i + 1]
    return u.sum()


def breaks(x, c, n):
    s = 0.0
    for _ in range(n):
        x = np.sin(x) * 1.3
        s += x * x * c
        if s > 3.0:
            break
    return s * x


def until(x, c, n):
    error = 1.0
    while abs(error) > 0.1**n:
        y = np.cos(x) * c
        error = y - x
        x = y
    return x * x


def recorded(x, c, n):
    ys = np.zeros(n)
    for k in range(n):
        x = np.sin(x) * c + 0.1 * x * x
        ys[k] = x
    return np.sum(ys * ys)


def recurrence(x, c, n):
    y = np.zeros(n + 1)
    y[0] = x
    for k in range(n):
        y[k + 1] = np.sin(y[k]) * np.exp(-c * y[k]) + y[k]
    return y[n]


def step(x, c, k):
    for _ in range(k):
        x = np.sin(x) * c
    return x


def calls(x, c, n):
    for k in range(n):
        x = x + step(x, c, k)
    return x


def branches(x, c, n):
    for k in range(n):
        if x > 1.0:
            x = np.log(x) * c
        elif k % 2:
            x = x * np.exp(c * x) + 1.0
    return x


U = np.linspace(0.1, 1.0, 6)
CASES = [
    *((logistic, 3.7, 0.3), (field, U, 0.1), (in_place, U, 0.1), (breaks, 0.7, 1.1), (until, 0.1, 0.9)),
    *((recorded, 0.3, 1.1), (recurrence, 0.3, 0.5), (calls, 0.3, 0.9), (branches, 0.3, 0.7)),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("function, x, c", CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_gradients(function, x, c, schedule):
    """Not to the last bit: generated code multiplies derivatives of several steps at once, where it finds them."""
    plain, again = pb.grad(function, (0, 1)), pb.grad(function, (0, 1), checkpoint=schedule)
    with pb.options(jit=False):
        for n in range(9):
            wanted = plain(x, c, n)
            for a, b in zip(again(x, c, n), wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
        with pb.options(checkpoint=schedule):
            _, pull = pb.vjp(function, x, c, 8)
        for a, b in zip(pull(1.0), wanted):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.compiled
@pytest.mark.parametrize("schedule", ["sqrt", "binomial"])
def test_compiled(schedule):
    wanted = pb.grad(field)(U, 0.1, 50)
    np.testing.assert_allclose(pb.grad(field, checkpoint=schedule)(U, 0.1, 50), wanted, rtol=1e-12)


def test_less_is_kept():
    with pb.options(jit=False):
        plain, again = pb.grad(field), pb.grad(field, checkpoint="sqrt")
        assert "keeps 3 arrays" in plain.saved_report(U, 0.1, 100)
        assert "480 B" in again.saved_report(U, 0.1, 100)


def test_second_derivatives():
    with pb.options(jit=False):
        wanted = pb.hessian(field)(U, 0.1, 5)
        with pb.options(checkpoint="sqrt"):
            np.testing.assert_allclose(pb.hessian(field)(U, 0.1, 5), wanted, rtol=1e-12)
        inner = pb.grad(logistic, checkpoint="sqrt")
        found = pb.grad(lambda r: inner(r, 0.3, 6), checkpoint="sqrt")(3.7)
        assert found == pytest.approx(pb.grad(lambda r: pb.grad(logistic)(r, 0.3, 6))(3.7), rel=1e-12)


def test_the_option_is_part_of_what_was_traced():
    def slope(x):
        return pb.grad(field)(x, 0.1, 30)

    compiled = pb.jit(slope)
    with pb.options(jit=False):
        for schedule in (None, "sqrt", None):
            with pb.options(checkpoint=schedule):
                compiled(U)
                assert ("segment" in compiled.ir) == (schedule is not None)


def test_pickle():
    again = pickle.loads(pickle.dumps(pb.grad(logistic, checkpoint="sqrt")))
    assert again._checkpoint == "sqrt"


@pytest.mark.parametrize("wrong", ["sqr", 0, -1, 2.0, True, ()])
def test_refused(wrong):
    with pytest.raises(TypeError, match="must be None, \"sqrt\", \"binomial\" or a number of slots"):
        pb.grad(logistic, checkpoint=wrong)
    with pytest.raises(TypeError, match="must be None, \"sqrt\", \"binomial\" or a number of slots"):
        pb.options(checkpoint=wrong)
