"""The benchmarks measure what they say: every adjoint written by hand is right, and the reports add up."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pullback as pb

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import processes  # noqa: E402
import report  # noqa: E402
from peers import limit  # noqa: E402
from peers.limit import arrays, dense, loops, stencils  # noqa: E402
from problems import PROBLEMS  # noqa: E402
from worker import flat  # noqa: E402


@pytest.fixture
def uncompiled(monkeypatch):
    """The functions of `limit` as plain Python."""
    for module in (arrays, dense, loops, stencils):
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda p: p.name)
def test_hand_written_adjoint_is_the_gradient(problem, uncompiled):
    args = problem.arguments(problem.tiny)
    by_hand = limit.GRADIENTS[problem.name]
    found = flat(getattr(by_hand, "py_func", by_hand)(*args))
    with pb.options(jit=False):
        expected = flat(pb.grad(problem.function, problem.wrt)(*args))
    assert np.count_nonzero(expected) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12 * np.max(np.abs(expected)))


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda p: p.name)
def test_gradients_leave_the_data_alone(problem, uncompiled):
    args = problem.arguments(problem.tiny)
    by_hand = limit.GRADIENTS[problem.name]
    getattr(by_hand, "py_func", by_hand)(*args)
    for changed, fresh in zip(args, problem.arguments(problem.tiny)):
        np.testing.assert_array_equal(changed, fresh)


def test_the_command_measures_and_writes_json(tmp_path):
    """The limit alone at one size: nothing else need be installed, and little is compiled."""
    file = tmp_path / "out.json"
    command = ["run.py", "--kernels", "chain tanh 10", "--peers", "limit", "--rounds", "3", "--budget", "0.01"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / command[0], *command[1:], "--batch", "1e-4", "--json", str(file)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    row = json.loads(file.read_text())["kernels"]["chain tanh 10"]["limit"]
    assert 0 < row["fastest"] <= row["median"] and row["first"] > 0
    assert "| chain tanh 10 |" in done.stdout


def test_rounds_in_which_others_ran_do_not_count():
    rounds = [(1.0, 1.0), (2.0, 0.95), (9.0, 0.3), (3.0, 0.99), (8.0, 0.5)]
    assert processes.summary(rounds) == {"median": 2.0, "fastest": 1.0, "rounds": 3}
    assert processes.summary(rounds[2:])["median"] == 8.0  # too few clean ones: all count


ROWS = {
    "f 10": {"pullback": {"median": 2e-6}, "limit": {"median": 1e-6}, "JAX": {"median": 8e-6}},
    "g 10": {"pullback": {"median": 8e-3}, "limit": {"median": 1e-3}, "JAX": {"missing": "more than 60 s"}},
}


def test_means_are_geometric_and_skip_what_is_missing():
    assert report.mean(ROWS, "pullback", "limit") == pytest.approx(4.0)
    assert report.mean(ROWS, "JAX", "pullback") == pytest.approx(4.0)
    assert report.mean(ROWS, "PyTorch", "pullback") is None


def test_the_table_has_a_row_for_each_kernel():
    lines = report.table(ROWS).splitlines()
    assert lines[2] == "| f 10 | 2.00 µs | 2.00 | 4.0 |"
    assert lines[3] == "| g 10 | 8.00 ms | 8.00 |  |"
    assert lines[4] == "| geometric mean | | 4.00 | 4.0 |"
