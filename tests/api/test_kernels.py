"""Kernels as users write them: gradients against finite differences, at three sizes from one trace."""

from __future__ import annotations

import types

import numpy as np
import pytest
from kernels import KERNELS

import pullback as pb
from pullback.testing import check_grad
from pullback.tracer.outside import small_sizes
from pullback.transforms.vjp import traceable_of


@pytest.mark.parametrize("name", KERNELS)
def test_kernel(name, monkeypatch):
    monkeypatch.setattr(small_sizes, "SMALL", 1)  # sizes like 3 are traced as any other
    function, make, sizes, options = KERNELS[name]
    function = types.FunctionType(function.__code__, function.__globals__)  # one that no other test has traced
    rng = np.random.default_rng(1)
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        for n in sizes:
            args = make(rng, n)
            if options.get("finite") is False:
                value, pull = pb.vjp(function, *args)
                assert value == pytest.approx(function(*args))
                assert np.isfinite(pull(1.0)[0])
            else:
                check_grad(function, *args)
    traceable = traceable_of(function)
    assert traceable.traces + traceable.recalled == 1


def test_bisection_converges_to_the_cube_root():
    """Bisection's own derivative is that of its last interval: hi is a rational number of a alone."""
    function = KERNELS["bisection"][0]
    with pb.options(jit=False, cache=False):
        a = 2.0
        value, bar = pb.value_and_grad(function)(a)
    assert value == pytest.approx(a ** (4 / 3))
    trips = np.ceil(np.log2((a + 1.0) / 1e-9))
    hi = value / a
    assert bar == pytest.approx(hi + a * (hi / (a + 1.0)), abs=2.0**-trips * 10)
