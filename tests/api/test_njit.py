"""Transforms inside of the user's @njit functions, and as C functions."""

import ctypes
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit, prange
from scipy import LowLevelCallable, integrate

import pullback as pb
from pullback.ir.errors import TracedValueError, TypeMismatch
from pullback.native import njit as njit_module
from pullback.runtime.jit import callable as native
from pullback.transforms.gradient import Gradient

pytestmark = pytest.mark.compiled

ROOT = Path(__file__).parents[2]
X = np.array([0.0, 1.0, 3.0, 6.0, 10.0])


def energy(x, k):
    s = 0.0
    for i in range(len(x) - 1):
        s += 0.5 * k * (x[i + 1] - x[i]) ** 2
    return s


gradient = pb.grad(energy)


@njit
def call(f, x, k):
    return f(x, k)


@njit
def call_one(f, x):
    return f(x)


def test_a_global_and_an_argument():
    @njit
    def inside(x, k):
        return gradient(x, k) + gradient(x, k=k)

    expected = gradient(X, 2.0)
    assert np.array_equal(inside(X, 2.0), 2 * expected)
    assert np.array_equal(call(gradient, X, 2.0), expected)


def test_results_are_what_python_gets():
    both = pb.value_and_grad(energy, argnums=(0, 1))
    value, (bar, slope) = call(both, X, 2.0)
    expected, (expected_bar, expected_slope) = both(X, 2.0)
    assert (value, slope) == (expected, expected_slope) and np.array_equal(bar, expected_bar)
    assert call(pb.jit(energy), X, 2.0) == expected


def test_aux_tuples_and_constants():
    def loss(p, x):
        return np.sum((p[0] * x + p[1]) ** 2), (x[0], 3, None)

    (value, aux), (a, b) = call(pb.value_and_grad(loss, has_aux=True), (2.0, X), X)
    ((expected, expected_aux), (ea, eb)) = pb.value_and_grad(loss, has_aux=True)((2.0, X), X)
    assert value == expected and aux == expected_aux and a == ea and np.array_equal(b, eb)


def test_sizes_that_the_trace_is_not_right_for_go_through_python(monkeypatch):
    calls = []
    original = Gradient.__call__
    monkeypatch.setattr(Gradient, "__call__", lambda *a, **k: calls.append(1) or original(*a, **k))
    assert np.array_equal(call(gradient, X[:1], 2.0), [0.0]) and calls == [1]
    assert np.array_equal(call(gradient, X[:2], 2.0), [-2.0, 2.0]) and calls == [1]


def test_sizes_must_agree_as_in_numpy():
    loss = pb.grad(lambda w, b, x, y: np.mean(np.logaddexp(0.0, x @ w + b) - (x @ w + b) * y))

    @njit
    def inside(w, b, x, y):
        return loss(w, b, x, y)

    x = np.arange(12.0).reshape(4, 3)
    y = np.array([0.0, 1.0, 1.0, 0.0])
    assert np.allclose(inside(np.ones(3), 0.5, x, y), loss(np.ones(3), 0.5, x, y), rtol=1e-14)
    assert np.allclose(inside(np.ones(1), 0.5, x[:, :1], y), loss(np.ones(1), 0.5, x[:, :1], y))
    with pytest.raises(ValueError, match=r"shapes \(4, 3\) and \(2,\)"):
        inside(np.ones(2), 0.5, x, y)


def test_an_error_can_be_caught_in_compiled_code():
    element = pb.grad(lambda x, k: x[k] ** 2)

    @njit
    def guarded(x, k):
        try:
            return element(x, k)[k]
        except Exception:
            return -1.0

    assert guarded(X, 2) == 6.0 and guarded(X, 7) == -1.0 and guarded(X, -9) == -1.0
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 5"):
        call(element, X, 7)


def test_in_parallel_loops_also_through_python():
    @njit(parallel=True)
    def rows(f, x, k, out):
        for j in prange(len(x)):
            out[j] = gradient(x[j], k) + f(x[j], k)

    x = np.arange(12.0).reshape(3, 4) ** 2
    out = np.empty_like(x)
    rows(gradient, x, 2.0, out)
    assert np.array_equal(out, [2 * gradient(row, 2.0) for row in x])
    single = np.ones((3, 1))
    rows(gradient, x[:, :1].copy(), 2.0, single)
    assert not single.any()


@pytest.mark.parametrize(
    "x", [np.asfortranarray(np.arange(6.0).reshape(2, 3))[1], np.arange(10.0)[::-3], np.arange(4, dtype=np.float32)]
)
def test_layouts_and_dtypes(x):
    k = x.dtype.type(2.0)
    ours = call(gradient, x, k)
    assert np.array_equal(ours, gradient(x, k)) and ours.dtype == x.dtype


def test_what_may_not_be_written_is_read_only():
    x = X.copy()
    x.flags.writeable = False
    assert np.array_equal(call(gradient, x, 2.0), gradient(X, 2.0))
    integers = pb.grad(lambda x, n: np.sum(x * n))
    assert np.array_equal(call(integers, X, np.arange(5, dtype=np.int32)), np.arange(5.0))


def test_arguments_that_overlap_are_refused():
    def writes(x, y):
        x[0] = 2 * y[1]
        return np.sum(x * y)

    f = pb.grad(writes)
    assert np.array_equal(call(f, X, X.copy()), f(X, X.copy()))
    with pytest.raises(TypeError, match="share memory"):
        call(f, X[:3], X[2:])


def test_vjp_with_a_seed():
    v = pb.vjp(lambda x, w: (x[1:] * w, np.sum(x)))

    @njit
    def inside(x, w, s):
        return v(x, w, seed=s)

    seed = (np.arange(4.0), 10.0)
    (y, total), (bar, slope) = inside(X, 2.0, seed)
    (ey, etotal), (ebar, eslope) = v(X, 2.0, seed=seed)
    assert np.array_equal(y, ey) and total == etotal and np.array_equal(bar, ebar) and slope == eslope
    with pytest.raises(ValueError, match="the seed has another shape"):
        inside(X, 2.0, (np.arange(5.0), 10.0))
    with pytest.raises(TypeError, match="the seed should be a tuple of 2"):
        inside(X, 2.0, 1.0)
    with pytest.raises(TypeError, match="parameter named seed"):
        pb.vjp(lambda seed: seed)


def test_vjp_as_one_function_has_stages_and_pickles():
    v = pb.vjp(energy)
    with pb.options(jit=False):
        value, (bar, slope) = pickle.loads(pickle.dumps(v))(X, 2.0, seed=3.0)
    assert value == 30.0 and slope == 45.0 and np.array_equal(bar, 3.0 * gradient(X, 2.0))
    lowered = v.lower("f64[n]", "f64")
    assert "def energy(" in lowered.ir and "s_bar" in lowered.adjoint_ir and "def energy_pullback(" in lowered.source


def test_hidden_inputs_are_constants():
    scale = np.array([2.0, 3.0])
    f = pb.grad(lambda x: np.sum(scale * x))

    @njit
    def inside(x):
        return f(x)

    assert inside(X[:2]).tolist() == [2.0, 3.0]
    scale[:] = 5.0
    assert inside(X[:2]).tolist() == [2.0, 3.0]
    with pytest.raises(TypeError, match="'scale' is not what it was"):  # and no mixture of the two
        inside(X[:1])


def test_a_function_with_a_gradient_inside_is_differentiated():
    @njit
    def outer(x):
        return np.sum(gradient(x, 2.0) ** 2)

    assert np.array_equal(pb.grad(outer)(X), pb.grad(lambda x: np.sum(gradient(x, 2.0) ** 2))(X))


def test_types_that_are_refused():
    with pytest.raises(TypeMismatch, match="reflected list"):
        call(gradient, [1.0, 2.0], 2.0)
    with pytest.raises(TracedValueError, match="Python needs x_shape_0 as a number here, but inside of @njit"):
        call_one(pb.grad(lambda x: [1.0, 2.0, 3.0][len(x)] * np.sum(x)), X)
    with pytest.raises(TypeMismatch, match="differentiates by floats"):
        call_one(pb.grad(lambda n: 2 * n), 3)
    with pytest.raises(TypeMismatch, match="cannot return a dict"):
        call_one(pb.jit(lambda x: {"a": x}), X)


def test_numba_does_not_cache_what_calls_us(tmp_path):
    """numba looks at the user's file only: another gradient, or another constant, would go unnoticed."""
    (tmp_path / "script.py").write_text(
        "import numpy as np, pullback as pb, settings\n"
        "from numba import njit\n"
        "g = pb.grad(lambda x: settings.SCALE * x * x)\n"
        "@njit(cache=True)\ndef f(x):\n    return g(x)\n"
        "@njit(cache=True)\ndef h(g, x):\n    return g(x)\n"
        "print(f(3.0), h(g, 3.0))\n"
    )
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(tmp_path / "cache")}
    for scale in (1.0, 20.0):
        (tmp_path / "settings.py").write_text(f"SCALE = {scale}\n")
        done = subprocess.run(
            [sys.executable, "-B", "-W", "ignore", "script.py"], cwd=tmp_path, env=environment, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.stdout.split() == [str(6.0 * scale)] * 2, done.stderr


def test_types_know_their_object():
    other = pb.grad(energy)
    kinds = [njit_module.type_of(f) for f in (gradient, other)]
    assert kinds[0] is gradient._numba_type_ and kinds[0] != kinds[1]
    again = kinds[0].__reduce__()
    assert again[0](*again[1]) is kinds[0]
    assert native.FunctionObject("pullback.grad", "another process") != kinds[0]


# -- C -------------------------------------------------------------------------------------------------


def test_c_functions_of_numbers():
    g = pb.grad(lambda x, a: np.sin(a * x))
    plain = g.cfunc("float64(float64, float64)")
    assert plain.ctypes(0.3, 2.0) == pytest.approx(2 * np.cos(0.6), rel=1e-14)
    scipy = g.cfunc("float64(intc, CPointer(float64))")
    area, _ = integrate.quad(LowLevelCallable(scipy.ctypes), 0, 1, args=(2.0,))
    assert area == pytest.approx(np.sin(2.0))
    with pytest.raises(TypeMismatch, match=r"returns one number, and .* returns \(\*, \*\)"):
        pb.value_and_grad(lambda x: x * x).cfunc("float64(float64)")


def test_c_functions_of_arrays():
    f = pb.value_and_grad(energy).cfunc("f64[n], f64")
    assert f.declaration == (
        "int energy_value_and_grad(int64_t n, const double *x, double k, double *result, double *result1)"
    )

    def pointer(array):
        return array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    value, bar = ctypes.c_double(), np.empty(5)
    assert f.ctypes(5, pointer(X), 2.0, ctypes.byref(value), pointer(bar)) == 0
    assert value.value == 30.0 and np.array_equal(bar, gradient(X, 2.0))
    element = pb.grad(lambda x, k: x[k] ** 2).cfunc("f64[n], i64")
    assert element.ctypes(5, pointer(X), 2, pointer(bar)) == 0 and bar.tolist() == [0, 0, 6, 0, 0]
    assert element.ctypes(5, pointer(X), 7, pointer(bar)) == 1, "failed"
    with pytest.raises(TypeMismatch, match="whose size C cannot know"):
        pb.jit(lambda x: x[x > 0.0]).cfunc("f64[n]")


def test_the_example_runs_inside_and_outside():
    path = ROOT / "examples" / "inside_njit.py"
    spec = importlib.util.spec_from_file_location("inside_njit", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    problems = module.problems()
    algorithm, arguments = problems["gradient descent"]
    assert np.allclose(njit(algorithm)(*arguments), np.arange(1, 9) / 9, atol=1e-6)
    algorithm, (g, q, noise, uniform, *rest) = problems["Hamiltonian Monte Carlo"]
    short = (g, q, noise[:20], uniform[:20], *rest)
    (chain, rate), (expected, _) = njit(algorithm)(*short), algorithm(*short)
    assert np.allclose(chain, expected) and 0.3 < rate <= 1.0
    algorithm, (v, *rest) = problems["implicit Euler"]
    assert np.allclose(njit(algorithm)(v, *rest[:-1], 5), algorithm(v, *rest[:-1], 5))


def test_the_way_through_python_calls_this_object_and_no_copy():
    """numba pickles objmode blocks where it can, and a copy would not see what changed since."""
    call_of_python = native.PythonCall(lambda: 1)
    assert call_of_python() == 1
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(call_of_python)


def test_a_function_with_a_rule():
    @pb.custom_vjp
    def doubled(x):
        return 2.0 * x

    doubled.defvjp(lambda x: (2.0 * x, None), lambda _, y_bar: (5.0 * y_bar,))
    slope = pb.grad(lambda x: doubled(x) ** 2)

    @njit
    def both(x):
        return doubled(x) + slope(x)

    assert both(1.5) == doubled(1.5) + slope(1.5) == 33.0
