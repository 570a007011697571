"""Odd calls end in a refusal with the user's line, in Python's own exception, or in Python's own value."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
from odd_calls import fault, sample

import pullback as pb

PER_MILLE = {"takes": 18, "gives": 1.5, "stray": 0.5, "is": 0, "speaks": 0, "shows": 0, "stops": 0}
"""How many of a thousand calls may still end in which fault: these numbers only go down."""
X = np.array([0.5, -1.25, 2.0])


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.fuzz
def test_a_sample_of_all_odd_calls():
    made = sample(100)
    found = [f"{odd}: {what}" for odd in made if (what := fault(odd)) is not None]
    kinds = Counter(text.split(": ")[2].split()[0] for text in found)
    over = {kind: n for kind, n in kinds.items() if n > PER_MILLE[kind] * len(made) / 1000}
    assert not over, f"{over} of {len(made)}:\n" + "\n".join(found)


@pytest.mark.parametrize("call, text", (
    pytest.param(
        lambda x: np.exp(x, x, x), r"np.exp\(\): too many positional arguments. It is np.exp\(x, /, out=None",
        marks=pytest.mark.skipif(not hasattr(np.exp, "__signature__"), reason="this NumPy does not say what it takes"),
    ),
    (lambda x: np.sum(x, 0, None, None, False, 0, True, 1), "too many positional arguments"),
    (lambda x: np.sum(x, axes=0), r"np.sum\(\): got an unexpected keyword argument 'axes'. It is np.sum\(a, axis=None"),
    (lambda x: np.copy(x, where=x > 0), r"np.copy\(\): got an unexpected keyword argument 'where'"),
    (lambda x: np.array([[x[0]], [x[0], x[1]]]), "the rows of the list differ in shape"),
    (lambda x: np.log([x[:1], x]), "the rows of the list differ in shape"),
    (lambda x: np.diag(x, x[0]), "the number of a diagonal must be an integer, not f64"),
    (lambda x: np.roll(x, x[0]), "shift must be an integer, not f64"),
    (lambda x: np.real_if_close(x, 5.0), r"np.real_if_close\(tol=...\) cannot be traced: leave tol out"),
))  # fmt: skip
def test_wrong_arguments_are_named(call, text):
    with pytest.raises((TypeError, ValueError), match=text) as raised:
        pb.jit(call)(X)
    assert isinstance(raised.value, pb.PullbackError), raised.value
    assert f'File "{__file__}", line' in str(raised.value)


def test_options_that_mean_something_at_none():
    np.testing.assert_array_equal(pb.jit(lambda x: np.convolve(x, [1.0, 2.0], 1))(X), np.convolve(X, [1.0, 2.0], 1))
    with pytest.raises(pb.PullbackError, match=r"where=...\) cannot be traced"):
        pb.jit(lambda x: np.mean(x, where=None))(X)
    np.testing.assert_array_equal(pb.jit(lambda x: np.resize(x, (1, 0)))(X[:0]), np.zeros((1, 0)))


def test_nothing_to_convolve():
    for f in (np.convolve, np.correlate):
        for a, v in ((X, X[:0]), (X[:0], X), (X[:0], X[:0])):
            with pytest.raises(ValueError, match="cannot be empty"):
                f(a, v)
            with pytest.raises(pb.PullbackError, match="cannot be empty"):
                pb.jit(lambda a, v, f=f: f(a, v))(a, v)


def test_covariance_of_too_few():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for n, ddof in ((0, 1), (1, 1), (1, 2), (3, 5)):
            np.testing.assert_array_equal(pb.jit(lambda x, d=ddof: np.cov(x, ddof=d))(X[:n]), np.cov(X[:n], ddof=ddof))


NO_OPERANDS = """
import gc
import numpy as np
import pullback as pb

for _ in range(3):
    try:
        pb.jit(lambda x: (np.nditer([]), x))(np.ones(2))
    except ValueError as error:
        print(error)
    gc.collect()
"""


def test_numpy_gets_plain_lists():
    """NumPy 2.4 drops a reference to an empty list of a class of its own: the next collection of garbage crashed."""
    done = subprocess.run([sys.executable, "-c", NO_OPERANDS], env={**os.environ, "PYTHONMALLOC": "debug"},
                          capture_output=True, text=True, timeout=100, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["Must provide at least one operand"] * 3
