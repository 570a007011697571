"""One implementation in a process of its own: `python worker.py NAME`, for `run.py`.

Commands come as lines of JSON, and so go the answers. What libraries print goes to the error stream.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from peers import PEERS
from problems import PROBLEMS


class Worker:
    def __init__(self, peer: Any):
        self.peer = peer
        self.args: tuple[Any, ...] = ()
        self.run: Any = None
        self.slow = False

    def load(self, kernel: str, size: str, gradient: str | None = None) -> dict[str, Any]:
        """Make a problem's data; time the first gradient; write it to a file."""
        self.drop()
        problem = PROBLEMS[kernel]
        self.problem, self.args = problem, problem.arguments(problem.sizes[size])
        self.run = self.peer.prepare(problem, self.args)
        if self.run is None:
            return {"missing": "cannot express it"}
        cpu, began = time.process_time(), time.perf_counter()
        result = self.run()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        if gradient is not None:
            np.save(gradient, flat(result))
        return {"wall": wall, "cpu": cpu}

    def drop(self) -> dict[str, Any]:
        self.run, self.args = None, ()
        gc.collect()
        return {}

    def calibrate(self, seconds: float) -> dict[str, Any]:
        """How many calls take about that long."""
        count, self.slow = 1, False
        self.slow = self.time(0)["before"] > 0.2
        while True:
            took = self.time(count)["wall"]
            if took > seconds / 4:
                return {"count": max(1, round(count * seconds / took))}
            count *= 4

    def time(self, count: int) -> dict[str, Any]:
        """Seconds of so many calls, by the clock and by the processor; one more before, for the caches."""
        run = self.run
        entered = time.perf_counter()
        if not self.slow:
            run()
        cpu, began = time.process_time(), time.perf_counter()
        for _ in range(count):
            run()
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        return {"wall": wall, "cpu": cpu, "before": began - entered}

    def overhead(self) -> dict[str, Any]:
        """Seconds of a call, and of the same call without what is around the compiled function."""
        runs = {"call": self.run, "bare": self.peer.bare(self.problem, self.args)}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(101):
            for name, run in runs.items():
                began = time.process_time()
                for _ in range(1000):
                    run()
                times[name].append((time.process_time() - began) / 1000)
        return {name: statistics.median(t) for name, t in times.items()}

    def memory(self) -> dict[str, Any]:
        """How far one gradient raises the process's resident memory above what it holds before, in bytes."""
        gc.collect()
        try:
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
            before = status("VmRSS")
        except (OSError, AttributeError, KeyError):
            return {"missing": "needs Linux"}
        result = self.run()
        peak = status("VmHWM")
        del result
        return {"bytes": max(0, peak - before)}


def status(field: str) -> int:
    """A field of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)[field].split()[0]) * 1024


def flat(gradient: Any) -> np.ndarray:
    """The parts of a gradient one after the other."""
    parts = gradient if isinstance(gradient, (tuple, list)) else [gradient]
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts])


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        peer = importlib.import_module(PEERS[sys.argv[1]].module)
        getattr(peer, "warm_up", lambda: None)()
        worker, answer = Worker(peer), {"ready": True}
    except ImportError as error:
        worker, answer = None, {"missing": str(error)}
    print(json.dumps(answer), file=answers, flush=True)
    if worker is None:
        return
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # of any library: the table says so
            answer = {"missing": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
