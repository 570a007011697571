"""Tracing for types without numbers: sizes that must be equal, or divisible, are found, and guarded."""

import numpy as np
import pytest

import pullback as pb
from pullback.ir.affine import Affine
from pullback.ir.errors import ShapeMismatch
from pullback.tracer.outside.examples import Examples
from pullback.transforms.vjp import traceable_of

CASES = {
    "product": (
        lambda w, x, y: np.sum(x @ w - y), ("f64[a]", "f64[n, p]", "f64[m]"),
        [(3,), (7, 3), (7,)], [(4,), (7, 3), (7,)],
    ),
    "difference": (lambda x, y: np.sum((x[1:] - x[:-1]) * y), ("f64[n]", "f64[m]"), [(4,), (3,)], [(4,), (4,)]),
    "concatenate": (
        lambda x, y, z: np.sum(np.concatenate([x, y]) * z), ("f64[n]", "f64[m]", "f64[k]"),
        [(2,), (3,), (5,)], [(2,), (3,), (6,)],
    ),
    "columns": (lambda x, a: np.sum(x[:, None] * a), ("f64[n]", "f64[p, q]"), [(2,), (2, 9)], [(2,), (3, 2)]),
    "reshape": (lambda x: np.sum(x.reshape(3, -1)[0] ** 2), ("f64[n]",), [(9,)], [(10,)]),
    "every second": (lambda x: np.sum(x[::2] * x[1::2]), ("f64[n]",), [(8,)], [(7,)]),
    "parts": (lambda x: np.sum(np.split(x, 4)[1] ** 2), ("f64[n]",), [(12,)], [(11,)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_must_be_true_of_sizes_is_guarded(name):
    function, types, good, bad = CASES[name]
    traceable = traceable_of(function)
    leaves, tree = traceable.lowered_leaves(types, {})
    form = traceable.trace(leaves, tree)
    rng = np.random.default_rng(0)
    fitting = [rng.normal(size=shape) for shape in good]
    params = form.match(fitting)
    assert params is not None and form.match([rng.normal(size=shape) for shape in bad]) is None
    with pb.options(jit=False):
        (value,) = form.compiled("jit", lambda program: program)(*params)
    assert value == pytest.approx(function(*fitting), rel=1e-12)


def test_a_subscript_tells_nothing_of_an_example():
    lowered = pb.grad(lambda x, i: x[7] * x[i]).lower("f64[n]", "i64")
    assert "assert" in lowered.ir, "checked when it runs"


def test_sizes_that_cannot_agree():
    with pytest.raises(ShapeMismatch, match=r"shapes \(8,\) and \(7,\) do not go together"):
        pb.jit(lambda x, y: np.sum(x[:-1] * y) + np.sum(x * y)).lower("f64[n]", "f64[m]")
    with pytest.raises(ShapeMismatch):
        pb.jit(lambda x: x.reshape(7, -1)).lower("f64[10]")


def test_examples_of_what_was_solved_before_are_kept():
    examples = Examples()
    assert [examples.value(name, 5) for name in "abc"] == [5, 5, 5]
    a, b, c = map(Affine.name, "abc")
    assert examples.require(c - b) and examples.require(b - a - 3) and not examples.require(c - a)
    values = {name: examples.value(name, 5) for name in "abc"}
    assert values["c"] == values["b"] == values["a"] + 3 and min(values.values()) >= 2
