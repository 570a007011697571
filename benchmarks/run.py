"""Times gradients against other libraries: `python benchmarks/run.py [loops] [--rounds N] [--json FILE]`.

Without a word the array problems, with `loops` the loops, also against the primal compiled by numba.

One process, one thread for each library, all of them in turn in every round, so that what else the machine
does hits them alike; the median over the rounds counts. Before anything is timed, all gradients must agree
to 1e-8. Libraries that are not installed are left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Before NumPy and the libraries are imported: they read these once.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import numpy as np  # noqa: E402
from loop_problems import LOOP_PROBLEMS, PRIMAL  # noqa: E402
from problems import PROBLEMS, Implementation, Problem, lower_demo  # noqa: E402

import pullback as pb  # noqa: E402

BATCH_SECONDS = 0.01
PACKAGES = {"pullback": "pullback", "JAX": "jax", "PyTorch": "torch", "autograd": "autograd"}


def load() -> dict[str, Any]:
    """The libraries that are there, set to one thread and double precision."""
    libraries: dict[str, Any] = {}
    for title, package in PACKAGES.items():
        try:
            libraries[title] = importlib.import_module(package)
        except ImportError as error:
            print(f"{title} is left out: {error}")
    if "JAX" in libraries:
        libraries["JAX"].config.update("jax_enable_x64", True)
    if "PyTorch" in libraries:
        libraries["PyTorch"].set_num_threads(1)
    if "autograd" in libraries:
        importlib.import_module("autograd.numpy")
    return libraries


def flat(gradient: Any) -> np.ndarray:
    parts = gradient if isinstance(gradient, (tuple, list)) else [gradient]
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts])


def measure(problem: Problem, libraries: dict[str, Any], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds per call of each library: the median of the rounds, and the fastest."""
    runs: dict[str, Implementation] = {}
    first: dict[str, float] = {}
    for name, make in problem.make.items():
        if name in libraries or name == PRIMAL:
            began = time.perf_counter()
            runs[name] = make(libraries.get(name))
            runs[name]()
            first[name] = time.perf_counter() - began
    gradients = {name: flat(run()) for name, run in runs.items() if name != PRIMAL}
    expected = gradients["pullback"]
    for name, found in gradients.items():
        off = np.max(np.abs(found - expected)) / np.max(np.abs(expected))
        if not off <= 1e-8:
            raise SystemExit(
                f"{problem.title}: the gradient of {name} is off by {off:.1e}; nothing was timed"
            )
    calls = {name: batch_size(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for k in range(rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            run, count = runs[name], calls[name]
            run()  # its data back into the caches
            began = time.perf_counter()
            for _ in range(count):
                run()
            times[name].append((time.perf_counter() - began) / count)
    return {
        name: {"median": statistics.median(t), "fastest": min(t), "first_call": first[name]}
        for name, t in times.items()
    }


def batch_size(run: Implementation) -> int:
    count = 1
    while True:
        began = time.perf_counter()
        for _ in range(count):
            run()
        seconds = time.perf_counter() - began
        if seconds > BATCH_SECONDS / 2:
            return max(1, round(count * BATCH_SECONDS / seconds))
        count *= 4


def tracing(rounds: int) -> dict[str, float]:
    """Seconds to trace and differentiate the demo's loss: the first time in a process, and then."""
    times = []
    with pb.options(cache=False):
        for _ in range(rounds):
            began = time.perf_counter()
            lower_demo()
            times.append(time.perf_counter() - began)
    return {"first": times[0], "median": statistics.median(times[1:])}


def table(results: dict[str, dict[str, dict[str, float]]], libraries: list[str]) -> str:
    """Markdown: microseconds per gradient, and the time relative to pullback's."""
    lines = ["| µs per gradient | " + " | ".join(libraries) + " |"]
    lines.append("| :-- |" + " --: |" * len(libraries))
    for title, row in results.items():
        ours = row["pullback"]["median"]
        cells = [
            f"{row[n]['median'] * 1e6:.2f} ({row[n]['median'] / ours:.2f})" if n in row else "" for n in libraries
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("which", nargs="?", choices=("arrays", "loops"), default="arrays")
    parser.add_argument("--only", help="problems whose title contains this")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    lowering = tracing(11)
    libraries = load()
    problems = LOOP_PROBLEMS if options.which == "loops" else PROBLEMS
    chosen = [p for p in problems if (options.only or "") in p.title]
    results = {p.title: measure(p, libraries, options.rounds) for p in chosen}
    columns = ["pullback", PRIMAL, "JAX"] if options.which == "loops" else list(libraries)
    print(f"\nMedians of {options.rounds} rounds, one thread; in parentheses relative to pullback.\n")
    print(table(results, columns))
    print(
        f"\nTracing and differentiating the demo's loss: {lowering['median'] * 1e3:.1f} ms "
        f"(the first time in a process {lowering['first'] * 1e3:.1f} ms)."
    )
    report = {
        "processor": processor(),
        "python": platform.python_version(),
        "versions": {p: version(p) for p in ("numpy", "numba", *(PACKAGES[n] for n in libraries))},
        "rounds": options.rounds,
        "seconds_per_gradient": results,
        "seconds_to_trace_and_differentiate": lowering,
    }
    path = options.json or Path(__file__).parent / f"results-{options.which}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"Written to {path}.")


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
