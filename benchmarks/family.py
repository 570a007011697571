"""What the further derivatives cost: `python benchmarks/family.py [--kernels ...] [--peers pullback limit jax torch]`.

First, of every kernel, a tangent against the function itself and a product with the Hessian against a gradient, both
compiled by pullback: called in turn in one process, medians of ratios in a round. Then Jacobians and Hessians as a
whole against other libraries and a loop written by hand, each in a process of its own, all in turn.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from peers import whole  # noqa: E402
from problems import PROBLEMS, Problem  # noqa: E402

ROUNDS = 15
LARGEST = 200_000
"""So many numbers among the arguments at most: larger ones only measure memory."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernels", nargs="*", help="those whose name contains one of these")
    parser.add_argument("--peers", nargs="*", choices=whole.PEERS, default=list(whole.PEERS))
    parser.add_argument("--python", nargs="*", default=[], metavar="NAME=PATH", help="another Python for one of them")
    parser.add_argument("--child", choices=whole.PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer(options.child)
        return
    wanted = [""] if options.kernels is None else options.kernels
    chosen = [p for p in PROBLEMS.values() if any(text in p.name for text in wanted)]
    found = [row for problem in chosen for row in products(problem)]
    if found:
        means = [statistics.geometric_mean(column) for column in zip(*found)]
        print(f"{'geometric mean':36} {means[0]:10.2f} {means[1]:10.2f}")
    if options.peers:
        matrices(options.peers, dict(text.split("=", 1) for text in options.python))


# -- products along a direction ---------------------------------------------------------------------------


def products(problem: Problem) -> Iterator[tuple[float, float]]:
    """tangent / function, and product with the Hessian / gradient."""
    pb = importlib.import_module("pullback")
    fitting = [s for s in problem.sizes.values() if sum(map(np.size, problem.arguments(s))) <= LARGEST]
    if not fitting:
        return
    args = problem.arguments(fitting[-1])
    moves = tuple(a if k in problem.wrt else None for k, a in enumerate(args))
    function, wrt = problem.function, problem.wrt
    along = tuple(args[k] for k in wrt)
    behind = max(wrt) + 1
    forward = pb.jit(lambda args, moves: pb.jvp(function, args, moves))
    value, slope, product = pb.jit(function), pb.grad(function, wrt), pb.hvp(function, wrt)
    runs: tuple[Callable[[], Any], ...] = (
        lambda: value(*args), lambda: forward(args, moves), lambda: slope(*args),
        lambda: product(*args[:behind], along, *args[behind:]),
    )  # fmt: skip
    try:
        for run in runs:
            run(), run()
    except pb.PullbackError as error:
        print(f"{problem.name:36} {str(error).splitlines()[0]}", flush=True)
        return
    count = max(1, round(0.003 / seconds(runs[0], 1)))
    rounds = [[seconds(run, count) for run in runs] for _ in range(ROUNDS)]
    ratios = statistics.median(r[1] / r[0] for r in rounds), statistics.median(r[3] / r[2] for r in rounds)
    print(f"{problem.name:36} {ratios[0]:10.2f} {ratios[1]:10.2f}", flush=True)
    yield ratios


def seconds(run: Callable[[], Any], count: int) -> float:
    run()
    began = time.process_time()
    for _ in range(count):
        run()
    return max((time.process_time() - began) / count, 1e-9)


# -- whole matrices ----------------------------------------------------------------------------------------


def answer(name: str) -> None:
    """A child: for each line the seconds of a call, or why there are none."""
    runs: dict[str, Any] = {}
    for line in sys.stdin:
        case = line.strip()
        try:
            if case not in runs:
                runs[case] = whole.PEERS[name](case)
                first = np.asarray(runs[case]())
                assert whole.right(case, first), "the result is wrong"
            took = seconds(runs[case], max(1, round(0.02 / seconds(runs[case], 1))))
            print(json.dumps({"seconds": took}), flush=True)
        except Exception as error:
            print(json.dumps({"missing": f"{type(error).__name__}: {error}".splitlines()[0]}), flush=True)


def matrices(names: list[str], pythons: dict[str, str]) -> None:
    pipe = subprocess.PIPE
    commands = {name: [pythons.get(name, sys.executable), __file__, "--child", name] for name in names}
    children = {n: subprocess.Popen(c, stdin=pipe, stdout=pipe, text=True) for n, c in commands.items()}
    for case in whole.CASES:
        times: dict[str, list[float]] = {name: [] for name in names}
        missing = {}
        for _ in range(ROUNDS):
            for name, child in children.items():
                if name in missing:
                    continue
                assert child.stdin and child.stdout
                child.stdin.write(case + "\n")
                child.stdin.flush()
                found = json.loads(child.stdout.readline() or '{"missing": "it ended"}')
                if "missing" in found:
                    missing[name] = found["missing"]
                else:
                    times[name].append(found["seconds"])
        texts = [f"{n} {1e3 * statistics.median(t):.3g} ms" if t else f"{n}: {missing[n]}" for n, t in times.items()]
        print(f"{case:28} {', '.join(texts)}", flush=True)
    for child in children.values():
        assert child.stdin
        child.stdin.close()
        child.wait()


if __name__ == "__main__":
    main()
