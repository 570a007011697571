"""Large pages for large arrays of compiled code; the numbers are the same."""

import sys

import numpy as np
import pytest

from pullback.runtime import pages
from pullback.runtime.compile import compile_source

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


@pytest.mark.parametrize("n", [0, 5, 3_000_000])
def test_zeros_are_zeros(n):
    a, b, c = compile_source(SOURCE, "f")(n)
    assert a.shape == (n, 2) and a.dtype == np.float64 and not a.any()
    assert b.shape == (n,) and b.dtype == np.bool_ and b.sum() == (n + 1) // 2
    assert c.shape == (n,) and c.dtype == np.float32 and not c.any()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux is told")
def test_the_system_is_told_on_linux_only(monkeypatch, tmp_path):
    def advises(folder):
        function = compile_source(SOURCE, "f", cache_dir=folder)
        function(3)
        return "madvise" in "".join(function.inspect_llvm().values())

    assert advises(tmp_path / "linux")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not pages.useful(SOURCE)
    assert not advises(tmp_path / "elsewhere")
