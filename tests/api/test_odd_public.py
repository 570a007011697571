"""Odd calls of the public names end in a refusal, in the plain function's own exception, or in a value."""

from __future__ import annotations

import numpy as np
import pytest
from odd_public import fault, sample

import pullback as pb


@pytest.fixture(autouse=True)
def uncompiled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.fuzz
def test_a_sample_of_all_odd_calls():
    found = [f"{name}: {what}" for name, call, plain in sample(40) if (what := fault(call, plain)) is not None]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", ["abs", "range", "len", "max", "float", "math"])
def test_a_function_may_be_called_as_pythons_are(name):
    """Generated code calls some of them."""

    def f(x):
        s = 0.0
        for v in x:
            s += abs(v) * v
        return s

    f.__name__ = name
    x = np.array([0.5, -1.25, 2.25])
    assert pb.jit(f)(x) == f(x)
    np.testing.assert_array_equal(pb.grad(f)(x), 2.0 * np.abs(x))


def test_builtins_themselves():
    assert pb.jit(abs)(-2.0) == 2.0 and pb.grad(abs)(-2.0) == -1.0
    assert pb.jit(max)(np.array([0.5, 2.25])) == 2.25


def test_what_is_no_program():
    with pytest.raises(pb.PullbackError, match="parse takes the text of a program, not an int"):
        pb.parse(3)
    with pytest.raises(pb.PullbackError, match="evaluate takes a program or its text, not None|not a NoneType"):
        pb.evaluate(None)
    assert pb.evaluate(pb.trace(lambda x: 2.0 * x, 1.5), 1.5) == 3.0
