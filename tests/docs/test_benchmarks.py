"""The benchmarks measure what they say: every adjoint written by hand is right, and the reports add up."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.special

import pullback as pb

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import page  # noqa: E402
import processes  # noqa: E402
import report  # noqa: E402
from peers import functional, limit, whole  # noqa: E402
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
    command = ["run.py", "--kernels", "chain tanh 10", "--peers", "limit", "--rounds", "3", "--parts", "times"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / command[0], *command[1:], "--budget", "0.01", "--json", str(file)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    row = json.loads(file.read_text())["kernels"]["chain tanh 10"]["limit"]
    assert 0 < row["fastest"] <= row["median"] and row["first"] > 0
    assert "| chain tanh 10 |" in done.stdout


def test_waiting_for_a_processor_does_not_count():
    assert processes.seconds({"wall": 5.0, "cpu": 2.0}) == 2.0
    assert processes.seconds({"wall": 2.0, "cpu": 3.0}) == 2.0  # by the clock, if two threads ran


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


RESULTS = {
    "machine": {"processor": "P", "cores": 2, "system": "S", "python": "3", "versions": {"numpy": "2"}},
    "overhead": {"call": 3e-6, "bare": 2e-6},
    "kernels": {
        "f 10": {
            "pullback": {"median": 1.1e-6, "cold": 1.0, "cached": 0.1, "memory": 3e6},
            "limit": {"median": 1e-6, "memory": 2e6},
            "pullback float32": {"median": 0.5e-6},
            "JAX": {"median": 8e-6, "cold": 3.0},
        },
        "g 10": {"pullback": {"median": 3e-3}, "limit": {"median": 1e-3}, "JAX": {"median": 2e-3}},
        "g 1e3": {"pullback": {"median": 2e-3}, "limit": {"median": 1e-3}, "JAX": {"missing": "too long"}},
    },
}


def test_the_page_gives_a_reason_where_a_kernel_is_slow():
    lines = page.page(RESULTS, {"g": "All sizes.", "g 1e3": "Only the large one."}).splitlines()
    assert "- **g 10** (3.00 of the limit; JAX takes 0.67 of our time): All sizes." in lines
    together = "- **g 10** (3.00 of the limit; JAX takes 0.67 of our time), **g 1e3** (2.00 of the limit): All."
    assert together in page.page(RESULTS, {"g": "All."}).splitlines()
    assert "- **g 1e3** (2.00 of the limit): Only the large one." in lines
    assert not any(line.startswith("- **f 10**") for line in lines)


def test_the_page_shows_what_was_measured_and_what_was_not():
    text = page.page(RESULTS, {})
    assert "| f 10 | 1.00, 0.10 | 3.00 |" in text  # the first gradient
    assert "| f 10 | 3.0 | 2.0 | 1.50 |" in text  # megabytes
    assert "1.00 µs are the call's own" in text
    assert "a function of its own" in page.page(RESULTS | {"overhead": {"call": 1e-6, "bare": 2e-6}}, {})
    assert "- JAX, too long: g 1e3." in text
    assert "| f 10 | 0.50 µs | 2.20 |" in text  # single precision, which is no other library
    assert "float32: takes" not in text and "float32 / pullback" not in text
    assert "JAX: takes 2.2 times as long as pullback (of 2); faster on 1." in text


# -- the losses that libraries share -------------------------------------------------------------------

PLAIN = functional.Library(
    np=np,
    array=lambda a: a,
    erf=scipy.special.erf,
    cross_entropy=lambda z, labels, c: np.sum(
        c * (scipy.special.logsumexp(z, axis=1) - z[np.arange(len(labels)), labels])
    ),
    logits=lambda z, y, c: np.sum(c * (np.logaddexp(0.0, z) - y * z)),
    cholesky=np.linalg.cholesky,
    solve=scipy.linalg.solve,
    put=lambda A, i, j, v: A + embedded(v - A[i, j], A.shape, i, j),
    loop=functional.python_loop,
    scan=functional.python_scan(np.stack),
)


def embedded(block, shape, i, j):
    whole = np.zeros(shape)
    whole[i, j] = block
    return whole


@pytest.mark.parametrize("problem", PROBLEMS.values(), ids=lambda p: p.name)
def test_the_libraries_compute_the_same_loss(problem):
    expected = problem.function(*problem.arguments(problem.tiny))
    found = functional.losses(PLAIN)[problem.name](*problem.arguments(problem.tiny))
    assert found == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("case", whole.CASES)
def test_whole_matrices_by_hand_are_right(case, monkeypatch):
    """The loops written by hand, as plain Python at a small size, against the formula; and pullback."""
    monkeypatch.setattr(whole, "point", lambda case: np.linspace(0.1, 0.9, 70))
    monkeypatch.setattr("numba.njit", lambda **options: lambda function: function)
    assert whole.right(case, whole.limit(case)())
    with pb.options(jit=False, cache=False):
        assert whole.right(case, whole.pullback(case)())
    assert not whole.right(case, np.zeros((70, 70)))
