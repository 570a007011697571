"""Compiled functions that nobody has any more are dropped, but for the last ones that were used."""

from __future__ import annotations

import gc
import linecache
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.runtime import compile as compiling
from pullback.runtime.compile import compile_source


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(compiling, "KEPT", 2)
    with pb.options(cache=False):
        yield


def made(k, jit=False):
    return compile_source(f"def kept_{k}(x):\n    return (x * {k}.0,)\n", f"kept_{k}", jit=jit)


def modules():
    gc.collect()
    return {name for name in sys.modules if name.startswith("pullback_generated_kept_")}


def check_dropped():
    before = modules(), sum(path.startswith("<kept_") for path in linecache.cache)
    for k in range(8):
        assert made(k)(1.5) == (1.5 * k,)
    gc.collect()
    # Two are kept; a frame of the test before may still hold another one.
    assert 2 <= len(modules() - before[0]) <= 3
    assert 2 <= sum(path.startswith("<kept_") for path in linecache.cache) - before[1] <= 3


@pytest.mark.process
def test_dropped():
    """In a process of its own: what tests before hold is no matter."""
    code = "from test_kept import *\ncompiling.KEPT = 2\nwith pb.options(cache=False):\n    check_dropped()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_what_is_held_stays():
    first = made(11)
    count = compiling.counts["sources"]
    for k in range(12, 16):
        made(k)
    gc.collect()
    assert made(11) is first and compiling.counts["sources"] == count + 4
    assert first(2.0) == (22.0,)


def test_the_last_ones_are_not_made_again():
    made(21)
    count = compiling.counts["sources"]
    made(22)
    made(21)
    assert compiling.counts["sources"] == count + 1


def test_one_that_was_dropped_is_made_again():
    for k in (31, 32, 33, 31):
        assert made(k)(1.0) == (float(k),)


@pytest.mark.compiled
def test_machine_code():
    """Of a gradient that somebody has, what was compiled stays, however many others are made."""
    gradient = pb.grad(lambda x: np.sum(x * x * 0.25))
    for _ in range(3):
        np.testing.assert_array_equal(gradient(np.ones(3)), 0.5)
    for k in range(41, 46):
        made(k)
    gc.collect()
    np.testing.assert_array_equal(gradient(np.full(4, 2.0)), 1.0)
