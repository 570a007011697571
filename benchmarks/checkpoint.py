"""Memory and time of checkpointing: 1e6 steps of a recurrence on 100 numbers, `python benchmarks/checkpoint.py`.

Each schedule runs in a process of its own, whose largest memory is measured, less that of a run of 10 steps. Without a
schedule 1e6 steps would keep 800 MB for each array of the step; so that it fits, it runs 1e5 steps and is scaled.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np

import pullback as pb

STEPS, SIZE = 1_000_000, 100
SCHEDULES = ("None", '"sqrt"', '"binomial"', "100", "20")


def recurrence(x, c, n):
    for _ in range(n):
        x = c * np.sin(x) + 0.5 * x
    return np.sum(x)


def peak() -> int:
    """The most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one(schedule: str, steps: int) -> None:
    x, c = np.linspace(0.0, 1.0, SIZE), np.full(SIZE, 0.9)
    gradient = pb.grad(recurrence, (0, 1), checkpoint=eval(schedule))
    gradient(x, c, 10)
    before = peak()
    times = []
    for _ in range(2):
        began = time.perf_counter()
        bars = gradient(x, c, steps)
        times.append(time.perf_counter() - began)
    print(peak() - before, min(times), float(np.sum(bars[1])))


def main() -> None:
    rows = []
    for schedule in SCHEDULES:
        steps = STEPS // 10 if schedule == "None" else STEPS
        command = [sys.executable, __file__, schedule, str(steps)]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        memory, seconds, _ = (float(v) for v in out.stdout.split())
        scale = STEPS / steps
        rows.append((schedule, memory * scale, seconds * scale))
    whole = rows[0]
    print(f"{STEPS} steps of {SIZE} numbers")
    print(f"{'checkpoint=':12} {'memory':>12} {'of all':>8} {'seconds':>8} {'times':>6}")
    for schedule, memory, seconds in rows:
        share, times = memory / whole[1], seconds / whole[2]
        print(f"{schedule:12} {memory / 1e6:9.2f} MB {100 * share:7.2f}% {seconds:8.2f} {times:6.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(sys.argv[1], int(sys.argv[2]))
    else:
        main()
