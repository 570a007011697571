"""Results that NumPy allocates: which ones, with which sizes, and that they are the same numbers."""

import numpy as np
import pytest

import pullback as pb
from pullback.runtime.compile import compile_source, entry_point
from pullback.runtime.rewrite.outputs import outputs

HEAD = "import numpy as np\n\n"


def arrays(body, params="x, k"):
    lines = "".join(f"    {line}\n" for line in body.strip().splitlines())
    found = outputs(f"{HEAD}def f({params}):\n{lines}", "f")
    return found.arrays if found else ()


def test_what_has_its_size_on_entry():
    assert arrays("n = x.shape[0]\ny = np.zeros((n, k + 1))\nreturn (y,)") == ("y",)
    assert arrays("y = x.copy()\nz = y.copy()\nreturn (z, y)") == ("y", "z")
    assert arrays("n = x.shape[0]\nm = np.maximum(n - 1, 0)\ny = np.empty(m, np.bool_)\nreturn (y,)") == ("y",)


@pytest.mark.parametrize("body", [
    "k = int(x[0])\ny = np.empty(k)\nreturn (y,)",  # an argument that changes
    "s = x[0]\nn = int(s)\ny = np.empty(n)\nreturn (y,)",  # a number from the data
    "z = x * 2.0\nn = z.shape[0]\ny = np.empty(n)\nreturn (y,)",  # a size of something else
    "n = x.shape[0]\nfor i in range(k):\n    y = np.empty(n)\nreturn (y,)",  # made in a loop
    "n = x.shape[0]\ny = np.empty(n)\nif k > 2:\n    y = x.copy()\nreturn (y,)",  # has two origins
    "n = x.shape[0]\ny = np.empty(n)\nreturn (y, y)",  # would be one array instead of two
    "y = x * 2.0\nz = y.copy()\nreturn (z,)",  # a copy of something else
    "n = x.shape[0]\nif n < 2:\n    raise ValueError\nm = n - 2\ny = np.empty(m)\nreturn (y,)",  # a check comes first
])  # fmt: skip
def test_what_stays(body):
    assert arrays(body) == ()


SOURCE = HEAD + """def f(x, k):
    n = x.shape[0]
    s = 0.0
    y = np.zeros((n, 2), np.float32)
    for i in range(n):
        s += x[i] * k
        y[i, 1] += x[i]
    z = np.empty(k)
    for i in range(k):
        z[i] = s
    return (z, s, y)
"""


@pytest.mark.compiled
def test_the_results_are_the_same():
    x = np.arange(5.0)
    inside, outside = (compile_source(SOURCE, "f", outside=o) for o in (False, True))
    assert outside.outputs.arrays == ("y", "z")
    for function in (outside, entry_point(outside, (x, 3))):
        for a, b in zip(inside(x, 3), function(x, 3), strict=True):
            assert np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype
    assert entry_point(outside, (x, 3)) is not outside


COPIES = HEAD + """def f(x, k):
    n = x.shape[0]
    y = np.empty((n, 2))
    for i in range(n):
        y[i, 0] = x[i] * k
        y[i, 1] = x[i]
    x_1 = x.copy()
    y_1 = y.copy()
    return (y, x_1, y_1, k)
"""


@pytest.mark.compiled
def test_copies_are_results_too():
    inside, outside = (compile_source(COPIES, "f", outside=o) for o in (False, True))
    assert outside.outputs.copies == {"x_1", "y_1"}
    for x in (np.arange(5.0), np.arange(4.0, dtype="f4"), np.arange(3), np.array([])):
        results = [function(x, 3) for function in (inside, outside, entry_point(outside, (x, 3)))]
        for one in results:
            for a, b in zip(results[0], one, strict=True):
                assert np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype
            assert not np.shares_memory(one[0], one[2]) and not np.shares_memory(one[1], x)


@pytest.mark.compiled
def test_every_call_has_results_of_its_own():
    gradient = pb.grad(lambda x: np.sum(x**3))
    x = np.arange(4.0)
    first, second = gradient(x), gradient(x + 1.0)
    assert not np.shares_memory(first, second) and not np.shares_memory(first, x)
    assert np.array_equal(first, 3.0 * x**2) and np.array_equal(second, 3.0 * (x + 1.0) ** 2)


def test_without_numba_nothing_is_split():
    with pb.options(jit=False):
        assert not hasattr(compile_source(SOURCE, "f", jit=False, outside=True), "outputs")
