"""A program over many examples gives what it gives for each of them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from irprograms import arguments, load

from pullback.ir import parse
from pullback.ir.errors import UnsupportedFunction
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.verify import verify
from pullback.ir.vmap import mapped

PROGRAMS = load()


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("which", ["first", "last", "all"])
def test_program(name, which):
    program, settings = PROGRAMS[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    given = [arguments(program, settings, rng) for _ in range(3)]
    floats = [k for k, p in enumerate(program.params) if p.type.is_float]
    over = {"first": floats[:1], "last": floats[-1:], "all": floats}[which]
    calls = [[a[k] if k in over else given[0][k] for k in range(len(given[0]))] for a in given]
    together = [np.stack([np.asarray(c[k]) for c in calls]) if k in over else given[0][k] for k in range(len(given[0]))]
    try:
        stacked = verify(mapped(program, over))
    except UnsupportedFunction:
        assert name in SIZED
        return
    expected = [evaluate(program, *call) for call in calls]
    for version in (stacked, verify(optimise(stacked))):
        for k, found in enumerate(evaluate(version, *together)):
            for one, values in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, values[k])
    none = [a[:0] if k in over else a for k, a in enumerate(together)]
    for found, result in zip(evaluate(stacked, *none), expected[0]):
        assert np.shape(found) == (0, *np.shape(result))


SIZED = {"loops/growing"}
"""Programs whose results have sizes that depend on values."""


def test_a_size_that_depends_on_the_example_is_refused():
    program = parse(
        "def f(x: f64[4]) -> f64[m]:\n    c: bool[4] = x > 0.0\n    t: i64[4] = i64(c)\n"
        "    m: i64 = sum(t, axis=(0,))\n    y: f64[m] = zeros((m,), f64)\n    return y"
    )
    with pytest.raises(UnsupportedFunction, match="depends on the example"):
        mapped(program, [0])
