"""check_grad and assert_matches_sympy must pass what is right and name what is wrong."""

from typing import NamedTuple

import numpy as np
import pytest

from pullback import testing
from pullback.testing import assert_matches_sympy, check_grad


def fake_vjp(*derivatives, value=None):
    """A vjp whose cotangents are `derivative(seed, *args)`, for a function with one result."""

    def vjp(f, *args):
        y = f(*args) if value is None else value(f(*args))
        return y, lambda seed: tuple(d(seed, *args) for d in derivatives)

    return vjp


@pytest.fixture
def use(monkeypatch):
    return lambda vjp: monkeypatch.setattr(testing, "vjp", vjp)


def sines(x, w):
    return np.sum(np.sin(x) * w)


def sines_x(s, x, w):
    return s * np.cos(x) * w


def sines_w(s, x, w):
    return s * np.sin(x)


X, W = np.array([[0.3, -1.2, 2.0], [1e-3, 50.0, -0.4]]), np.array([[1.0, -2.0, 0.5], [3.0, 0.1, 1.0]])


def test_a_right_gradient_passes(use):
    use(fake_vjp(sines_x, sines_w))
    check_grad(sines, X, W)
    check_grad(sines, X, W, argnums=0)
    check_grad(sines, X, W, argnums=(-1,))


def test_one_wrong_element_is_named_with_both_numbers(use):
    def wrong(s, x, w):
        bar = sines_x(s, x, w)
        bar[1, 2] *= 1.001
        return bar

    use(fake_vjp(wrong, sines_w))
    with pytest.raises(AssertionError) as error:
        check_grad(sines, X, W)
    text = str(error.value)
    assert "gradient of sines is not what finite differences give" in text
    assert "argument 0[1, 2]: gradient 0.11592" in text and ", finite differences 0.11580" in text
    assert text.count("argument") == 1
    check_grad(sines, X, W, argnums=1)


def test_a_zero_gradient_is_found(use):
    use(fake_vjp(lambda s, x, w: np.zeros_like(x), sines_w))
    with pytest.raises(AssertionError, match="argument 0.*gradient 0, finite"):
        check_grad(sines, X, W)


def test_nan_is_found(use):
    use(fake_vjp(lambda s, x, w: x * np.nan, sines_w))
    with pytest.raises(AssertionError, match="gradient nan"):
        check_grad(sines, X, W)


def test_many_wrong_elements_are_counted(use):
    x = np.linspace(0.1, 3.0, 1000)
    use(fake_vjp(lambda s, x: 2 * s * np.cos(x)))
    with pytest.raises(AssertionError, match="and 294 more of the 300 elements tried"):
        check_grad(lambda x: np.sum(np.sin(x)), x)


def test_a_wrong_value_is_found(use):
    use(fake_vjp(sines_x, sines_w, value=lambda y: y + 1e-4))
    with pytest.raises(AssertionError, match="the result of sines is"):
        check_grad(sines, X, W)


def test_wrong_shapes_and_dtypes_are_found(use):
    use(fake_vjp(lambda s, x, w: sines_x(s, x, w).ravel(), sines_w))
    with pytest.raises(AssertionError, match=r"argument 0 is float64\[2, 3\], its gradient float64\[6\]"):
        check_grad(sines, X, W)
    use(fake_vjp(lambda s, x, w: sines_x(s, x, w).astype(np.float32), sines_w))
    with pytest.raises(AssertionError, match="its gradient float32"):
        check_grad(sines, X, W)


def test_changed_arguments_and_pulls_that_differ_are_found(use):
    def change(s, x, w):
        x[0, 0] += 1.0
        return sines_x(s, x, w)

    use(fake_vjp(change, sines_w))
    with pytest.raises(AssertionError, match="a second pull gives another gradient of argument 0"):
        check_grad(sines, X.copy(), W)

    def change_after(s, x, w):
        bar = sines_x(s, x, w)
        w[0, 0] = 7.0
        return bar

    use(fake_vjp(change_after, sines_w))
    with pytest.raises(AssertionError):
        check_grad(sines, X, W.copy(), argnums=0)


def test_a_kink_is_said_to_be_one(use):
    use(fake_vjp(lambda s, x: s * np.sign(x)))
    with pytest.raises(AssertionError, match=r"do not settle \(a kink or a jump here\?\)"):
        check_grad(lambda x: np.sum(np.where(x < 0, -x, x + 1.0)), np.array([0.0, 1.0]))


def test_hard_places_do_not_disturb(use):
    # near the end of the domain, steep, close to a kink, tiny values, much cancellation, zero gradient
    use(fake_vjp(lambda s, x: s / x))
    check_grad(np.log, np.array([1e-4, 1e-2, 1.0, 1e6]))
    use(fake_vjp(lambda s, x: s * 500 * np.exp(500 * x)))
    check_grad(lambda x: np.exp(500 * x), np.array([0.1, -0.1]))
    use(fake_vjp(lambda s, x: s * np.sign(x)))
    check_grad(np.abs, np.array([1e-3, -2e-3, 1.0]))
    use(fake_vjp(lambda s, x: s * 1e-9 * np.cos(x)))
    check_grad(lambda x: 1e-9 * np.sin(x), np.array([1.0]))
    use(fake_vjp(lambda s, x: s * np.cos(x)))
    check_grad(lambda x: 1e6 + np.sin(x), np.array([1.0]), rtol=1e-5)
    use(fake_vjp(lambda s, x: 0 * s * x))
    check_grad(np.floor, np.array([0.5, 2.3]))


def test_single_precision_is_compared_in_double(use):
    use(fake_vjp(sines_x, sines_w))
    check_grad(sines, X.astype(np.float32), W.astype(np.float32))
    use(fake_vjp(lambda s, x, w: np.float32(1.01) * sines_x(s, x, w), sines_w))
    with pytest.raises(AssertionError, match="argument 0"):
        check_grad(sines, X.astype(np.float32), W.astype(np.float32))


class Parameters(NamedTuple):
    w: np.ndarray
    steps: int


def test_containers_integers_and_several_results(use):
    def f(p, x):
        y = {"a": p.w * x["in"][0], "n": p.steps}
        return y, np.sum(x["in"][0]) * p.steps

    def vjp(f, p, x):
        def pull(seed):
            s, t = seed
            assert s["n"] is None
            (v,) = x["in"]
            return Parameters(s["a"] * v, None), {"in": [s["a"] * p.w + t * p.steps]}

        return f(p, x), pull

    use(vjp)
    args = Parameters(np.array([1.0, 2.0]), 3), {"in": [np.array([0.5, -1.0])]}
    check_grad(f, *args)

    def wrong(f, p, x):
        y, pull = vjp(f, p, x)
        return y, lambda seed: (pull(seed)[0], {"in": [pull(seed)[1]["in"][0] + 1.0]})

    use(wrong)
    with pytest.raises(AssertionError, match=r"argument 1\['in'\]\[0\]\[0\]: gradient"):
        check_grad(f, *args)


def test_nothing_to_differentiate():
    with pytest.raises(TypeError, match="no float to differentiate"):
        check_grad(lambda n: n, 3)


def test_sympy_passes_what_is_right_and_names_what_is_wrong(use):
    use(fake_vjp(sines_x, sines_w))
    assert_matches_sympy(sines, X, W)
    assert_matches_sympy(sines, X, W, argnums=1)
    use(fake_vjp(sines_x, lambda s, x, w: sines_w(s, x, w) * (1 + 1e-8)))
    with pytest.raises(AssertionError, match="the gradient of argument 1 is"):
        assert_matches_sympy(sines, X, W)
    use(fake_vjp(sines_x, sines_w, value=lambda y: y * (1 + 1e-8)))
    with pytest.raises(AssertionError, match="the value of sines in pullback is"):
        assert_matches_sympy(sines, X, W)


def test_sympy_with_integers_arrays_of_results_and_kinks(use):
    def f(x, n):
        return np.maximum(x, 0.5) ** n + np.floor(x) * x

    use(
        fake_vjp(
            lambda s, x, n: s * (np.where(x > 0.5, n * x ** (n - 1), 0.0) + np.floor(x)), lambda s, x, n: None
        )
    )
    assert_matches_sympy(f, np.array([0.2, 0.7, 1.7]), 3)


@pytest.mark.compiled
def test_with_real_gradients():
    def f(p, x, n):
        y = np.zeros(len(x))
        for i in range(len(x)):
            y[i] = np.tanh(p["w"][0] * x[i] + p["b"]) ** n
        return y, {"z": p["w"] * p["b"], "n": n}

    parameters = {"w": np.array([0.3, 1.0]), "b": 0.2}
    check_grad(f, parameters, np.linspace(0.0, 1.0, 7), 2)
    check_grad(f, parameters, np.linspace(0.0, 1.0, 7).astype(np.float32), 2)
    check_grad(f, parameters, np.zeros(0), 2)
    assert_matches_sympy(f, parameters, np.array([0.1, 0.7]), 2)


@pytest.mark.compiled
def test_missing_data():
    x = np.array([[1.0, np.nan, 3.0], [np.inf, 0.5, -2.0]])

    def f(w, x):
        return np.sum(np.where(np.isfinite(x), np.exp(-w * x), 0.0)) + w * np.nanmean(x[0]) ** 2

    check_grad(f, 0.7, x)
    check_grad(f, 0.7, x.astype(np.float32))
    check_grad(lambda x: np.sum(x[~np.isnan(x)] ** 2), x[0])
    with pytest.raises(ValueError, match="every number to differentiate is nan or inf"):
        check_grad(np.nansum, np.full(3, np.nan))


def test_missing_data_hides_no_wrong_gradient(use):
    x = np.array([1.0, np.nan, 3.0])
    use(fake_vjp(lambda s, x: s * np.where(np.isnan(x), np.nan, 2.0 * x)))
    check_grad(lambda x: np.nansum(x * x), x)
    for wrong in (np.array([2.0, 0.0, 5.9]), np.array([np.nan, 0.0, 6.0])):
        use(fake_vjp(lambda s, x, wrong=wrong: s * wrong))
        with pytest.raises(AssertionError, match=r"argument 0\[[02]\]: gradient") as caught:
            check_grad(lambda x: np.nansum(x * x), x)
        assert "argument 0[1]" not in str(caught.value)


@pytest.mark.compiled
def test_a_number_that_is_a_float_in_one_arm_only():
    check_grad(lambda x: (7 if x > 0 else x, 2 * x, x * x), 0.5)
    check_grad(lambda x: (7 if x > 0 else x, 2 * x, x * x), -0.5)
