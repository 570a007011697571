"""Functions that call themselves: what ends the recursion is made static, or the recursion is refused with its line."""

import runpy
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def det(a):
    n = a.shape[0]
    if n == 1:
        return a[0, 0]
    s = 0.0
    for j in range(n):
        s += (-1.0) ** j * a[0, j] * det(np.concatenate((a[1:, :j], a[1:, j + 1 :]), axis=1))
    return s


def power(x, n):
    return 1.0 if n == 0 else x * power(x, n - 1)


def halves(x):
    if x.size < 2:
        return np.sum(x * x)
    return halves(x[: x.size // 2]) * 0.5 + halves(x[x.size // 2 :])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_determinant_by_minors(n):
    a = np.random.default_rng(n).normal(size=(n, n))
    value, slope = pb.value_and_grad(det)(a)
    assert value == pytest.approx(np.linalg.det(a))
    np.testing.assert_allclose(slope, value * np.linalg.inv(a).T, rtol=1e-8)


def test_each_size_and_number_is_traced_for_itself():
    gradient, of_power = pb.value_and_grad(halves), pb.value_and_grad(power)
    for n in (0, 1, 2, 3, 6, 3, 7, 1):
        x = np.linspace(0.5, 1.0, n)
        assert gradient(x)[0] == pytest.approx(halves(x))
        assert of_power(0.5, n) == pytest.approx((0.5**n, n * 0.5 ** (n - 1)))


def test_second_derivatives_and_vjp():
    x = np.array([0.5, -1.0, 2.0])
    check_grad(lambda x: halves(x) * x[0], x)
    check_grad(lambda x: np.sum(pb.grad(lambda v: halves(v) * v[0])(x) ** 2), x)
    y, pull = pb.vjp(power, 0.7, 4)
    assert (y, pull(1.0)[0] if isinstance(pull(1.0), tuple) else pull(1.0)) == pytest.approx((0.7**4, 4 * 0.7**3))


def test_as_deep_as_python_goes():
    limit = sys.getrecursionlimit()
    assert pb.grad(power)(1.0, 300) == pytest.approx(300.0)
    assert sys.getrecursionlimit() == limit


THROUGH_C = """
import functools, sys, threading
import numpy as np
import pullback as pb

class Through:
    def __call__(self, x):
        return functools.partial(self, x)()

    def __array__(self, *args):
        return np.array(self)

def refused(f):
    try:
        pb.grad(f)(1.0)
    except pb.PullbackError as error:
        print("Write a loop instead of the recursion" in str(error))

pb.options(jit=False, cache=False)
limit = sys.getrecursionlimit()
for f in (lambda x: Through()(x), lambda x: x * np.sum(Through())):
    refused(f)
    thread = threading.Thread(target=refused, args=(f,))
    thread.start()
    thread.join()
print(sys.getrecursionlimit() == limit)
"""


@pytest.mark.process
def test_calls_through_c_leave_the_stack_whole(tmp_path):
    """What C calls takes the C stack: the limit that lets tracing go deep must not let it overflow."""
    (tmp_path / "script.py").write_text(THROUGH_C)
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=100,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["True"] * 5


def test_many_terms_and_calls(tmp_path):
    """What is long is not deep: a sum of many terms, a chain of many calls."""
    calls = "\n".join(f"def f{k + 1}(x): return f{k}(x) * 1.0" for k in range(200))
    terms = " + ".join(["x"] * 700)
    path = tmp_path / "long_functions.py"
    path.write_text(f"def f0(x): return x * x\n{calls}\ndef total(x): return {terms}\n")
    scope = runpy.run_path(str(path))
    with pb.options(jit=False, cache=False):
        assert pb.grad(scope["f200"])(3.0) == 6.0
        assert pb.grad(scope["total"])(3.0) == 700.0


def newton(x, y):
    if abs(y * y - x) < 1e-9:
        return y
    return newton(x, 0.5 * (y + x / y))


def endless(x):
    return endless(x + 1.0)


def first(x):
    return second(x) if x > 0.0 else x


def second(x):
    return first(x - 1.0) if x < 5.0 else 2.0 * x


def counted_down(x):
    def step(k):
        return x if k == 0 else step(k - 1) * x

    return step(int(x))


def doubled(x, n):
    return x if n == 0 else doubled(x, n - 1) + doubled(x, n - 1)


@pytest.mark.parametrize(
    ("f", "args", "says"),
    [
        (newton, (2.0, 1.0), r"newton\(\) calls itself, and only traced values decide how often"),
        (first, (2.0,), r"first\(\) calls itself, and only traced values decide how often"),
        (endless, (2.0,), r"endless\(\) calls itself 1000 deep"),
        (power, (0.5, 3000), r"power\(\) calls itself 1000 deep"),
        (doubled, (0.5, 60), r"doubled\(\) is called by itself 5000 times"),
        (counted_down, (3.0,), r"the number that ends the recursion of counted_down.<locals>.step\(\)"),
    ],
)
def test_refused(f, args, says):
    with pytest.raises(pb.PullbackError, match=says) as raised:
        pb.grad(f)(*args)
    assert __file__ in str(raised.value)


def test_a_function_without_source_that_does_not_end():
    scope = {}
    exec("def f(x):\n    return f(x + 1.0)", scope)
    with pytest.raises(pb.PullbackError, match="f") as raised:
        pb.grad(scope["f"])(1.0)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_loop_that_never_runs_is_not_looked_at(n):
    def total(x):
        s = np.sum(x)
        for i in range(len(x) - 1):
            s += x[i] * x[0] * x[-1]
        for row in x:
            s += row * x[0]
        for i, v in enumerate(x[1:]):
            s += x[i] * v
        return s

    x = np.linspace(0.5, 1.0, n)
    value, slope = pb.value_and_grad(total)(x)
    assert value == pytest.approx(total(x))
    assert slope.shape == x.shape
