"""Large pages for large arrays of compiled code; the numbers are the same."""

import sys

import numpy as np
import pytest

import pullback as pb
from pullback.runtime.compile import compile_source
from pullback.runtime.jit import huge_pages

SOURCE = """
import numpy as np

def f(n):
    a = np.zeros((n, 2))
    b = np.empty(n, np.bool_)
    for i in range(n):
        b[i] = i % 2 == 0
    c = np.zeros(n, np.float32)
    return (a, b, c)
"""


@pytest.mark.compiled
@pytest.mark.parametrize("n", [0, 5, 3_000_000])
def test_zeros_are_zeros(n):
    a, b, c = compile_source(SOURCE, "f")(n)
    assert a.shape == (n, 2) and a.dtype == np.float64 and not a.any()
    assert b.shape == (n,) and b.dtype == np.bool_ and b.sum() == (n + 1) // 2
    assert c.shape == (n,) and c.dtype == np.float32 and not c.any()


@pytest.mark.compiled
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux is told")
def test_the_system_is_told_on_linux_only(monkeypatch, tmp_path):
    def advises(folder):
        function = compile_source(SOURCE, "f", cache_dir=folder)
        function(3)
        return "madvise" in "".join(function.inspect_llvm().values())

    assert advises(tmp_path / "linux")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not huge_pages.useful(SOURCE)
    assert not advises(tmp_path / "elsewhere")


@pytest.mark.compiled
def test_arrays_of_their_own_do_not_overlap():
    """LLVM may take a write to one array past a read of another: buffers that change places, and memory used again."""

    def buffers(x, steps):
        u, v, total = x.copy(), np.zeros(len(x)), 0.0
        for _ in range(steps):
            for i in range(1, len(x) - 1):
                v[i] = u[i - 1] * 0.25 + u[i] * 0.5 + u[i + 1] * 0.25
            w = v * u
            total += np.sum(w[1:] * w[:-1])
            u, v = v, u
        return total + np.sum(u * v)

    x = np.random.default_rng(0).uniform(0.5, 1.0, 100)
    value, bar = pb.value_and_grad(buffers)(x, 5)
    with pb.options(jit=False):
        expected, expected_bar = pb.value_and_grad(buffers)(x, 5)
    assert value == pytest.approx(expected, rel=1e-13) == pytest.approx(buffers(x, 5), rel=1e-13)
    np.testing.assert_allclose(bar, expected_bar, rtol=1e-12)
