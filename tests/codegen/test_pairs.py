"""What each pass makes of small programs, as text, and that it computes the same: see pairs.py."""

from __future__ import annotations

import numpy as np
import pytest
from pairs import ROOMS, arguments, file_of, gradient, passes, read, run, update

from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse, show

PASSES = passes()
CASES = [
    pytest.param(name, case, id=f"{name}: {case.title}")
    for name in PASSES
    if file_of(name).exists()
    for case in read(file_of(name))[1]
]


@pytest.fixture(scope="module", autouse=True)
def updated(request):
    """With --update-pairs, this writes, and nothing is compared with what stood there."""
    if request.config.getoption("--update-pairs"):
        for name in PASSES:
            update(name)


def test_every_pass_has_its_file_and_every_file_its_pass():
    files = {f"{room}/{path.stem}" for room, folder in ROOMS.items() for path in folder.glob("*.txt")}
    assert files == PASSES.keys()
    for name in PASSES:
        _, cases = read(file_of(name))
        assert len({case.title for case in cases}) == len(cases) > 0
        assert any(case.before != case.after for case in cases), f"{name} changes nothing in its pairs"


@pytest.mark.parametrize("name, case", CASES)
def test_pair(name, case, request):
    found = show(run(PASSES[name], case))
    if not request.config.getoption("--update-pairs"):
        assert found == case.after, "if that is right: pytest --update-pairs"
    assert show(parse(found)) == found


@pytest.mark.parametrize("name, case", CASES)
def test_both_compute_the_same(name, case, rng):
    if PASSES[name] is gradient:
        is_derivative(case, rng)
        return
    before, after = case.program, run(PASSES[name], case)
    for _ in range(3):
        args = arguments(before, case, rng)
        for a, b in zip(evaluate(before, *args), evaluate(after, *args), strict=True):
            assert np.shape(a) == np.shape(b) and np.asarray(a).dtype == np.asarray(b).dtype
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def is_derivative(case, rng):
    """The cotangents pulled back, times a direction, are the seeds times the central difference."""
    before, after = case.program, run(gradient, case)
    args = arguments(before, case, rng)
    floats = [k for k, param in enumerate(before.params) if param.type.is_float]
    directions = {k: rng.normal(size=np.shape(args[k])) for k in floats}
    step = 1e-6

    def moved(sign):
        return evaluate(before, *(a + sign * step * directions.get(k, 0) for k, a in enumerate(args)))

    seeds = [rng.normal(size=np.shape(r)) for r in evaluate(before, *args) if np.asarray(r).dtype.kind == "f"]
    bars = evaluate(after, *args, *seeds)
    pulled = sum(np.sum(bar * directions[k]) for bar, k in zip(bars, floats, strict=True))
    ends = [pair for pair in zip(moved(1), moved(-1)) if np.asarray(pair[0]).dtype.kind == "f"]
    pushed = sum(np.sum(s * (up - down)) / (2 * step) for s, (up, down) in zip(seeds, ends, strict=True))
    assert pulled == pytest.approx(pushed, rel=1e-6)
