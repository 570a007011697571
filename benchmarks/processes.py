"""The processes that `run.py` measures in, one for each implementation, and what it asks of them."""

from __future__ import annotations

import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from peers import Peer

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


INTERPRETERS: dict[str, str] = {}
"""Other Pythons for implementations whose packages do not go together with the rest."""


class Failed(Exception):
    """A library could not do it; the text says why."""


class Process:
    """One implementation, running. All of a process's work happens while it is waited for."""

    def __init__(self, peer: Peer, caches: Path, timeout: float):
        self.peer, self.timeout = peer, timeout * peer.patience
        self._process = subprocess.Popen(
            [INTERPRETERS.get(peer.name, sys.executable), Path(__file__).parent / "worker.py", peer.name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=environment(caches),
        )  # fmt: skip
        self._answer(120.0)

    def ask(self, do: str, timeout: float | None = None, **arguments: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise Failed("the process ended") from error
        return self._answer(timeout or self.timeout)

    def _answer(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout)
        if not ready:
            self.close()
            raise Failed(f"more than {timeout:.0f} s")
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise Failed("the process ended")
        answer = json.loads(line)
        if "missing" in answer:
            raise Failed(answer["missing"])
        return answer

    def drop(self) -> None:
        """Let go of the data; not a problem if the process has ended."""
        with suppress(Failed):
            self.ask("drop")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def environment(caches: Path) -> dict[str, str]:
    """One thread for everyone, and caches of compiled code in this folder.

    glibc keeps freed memory, as it does by itself in a process that has freed something large. In a fresh
    one the time of everything between 128 KiB and 32 MiB is the luck of where the heap ends: pages that
    are given back and faulted in again at every call.
    """
    return {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
        "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
        **dict.fromkeys(ONE_THREAD, "1"),
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "JAX_COMPILATION_CACHE_DIR": str(caches / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PULLBACK_CACHE_DIR": str(caches / "pullback"),
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "torch"),
        "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
    }


@contextmanager
def started(peers: list[Peer], caches: Path, timeout: float) -> Iterator[dict[str, Process]]:
    """A process for each that can be started; a line says which cannot."""
    processes: dict[str, Process] = {}
    try:
        for peer in peers:
            try:
                processes[peer.name] = Process(peer, caches, timeout)
            except Failed as error:
                print(f"{peer.name} is left out: {error}", file=sys.stderr)
        yield processes
    finally:
        for process in processes.values():
            process.close()


def restart(processes: dict[str, Process], caches: Path, timeout: float) -> None:
    """Start those again that have ended."""
    for name, process in processes.items():
        if not process.alive:
            processes[name] = Process(process.peer, caches, timeout)


# -- times -----------------------------------------------------------------------------------------------


def load(processes: dict[str, Process], kernel: str, size: str, folder: Path) -> dict[str, Any]:
    """Each one's first gradient, in seconds, or why there is none; all must agree to 1e-8."""
    rows: dict[str, Any] = {}
    reference = None
    file = folder / "gradient.npy"
    for name, process in processes.items():
        try:
            first = seconds(process.ask("load", kernel=kernel, size=size, gradient=str(file)))
        except Failed as error:
            rows[name] = {"missing": str(error)}
            continue
        gradient = np.load(file)
        file.unlink()
        reference = gradient if reference is None else reference
        off = np.max(np.abs(gradient - reference)) / np.max(np.abs(reference))
        if not off <= process.peer.tolerance:
            raise SystemExit(f"{kernel} {size}: the gradient of {name} is off by {off:.1e}: nothing was timed")
        rows[name] = {"first": first}
    return rows


def measure(processes: dict[str, Process], rounds: int, budget: float, batch: float) -> dict[str, dict[str, Any]]:
    """Seconds per gradient, all in turn in every round; one that is slow gets fewer rounds, 3 or even 1."""
    found: dict[str, list[float]] = {name: [] for name in processes}
    counts: dict[str, int] = {}
    spent = dict.fromkeys(processes, 0.0)
    missing: dict[str, str] = {}
    names = list(processes)
    for k in range(rounds):
        for name in names[k % len(names) :] + names[: k % len(names)]:
            enough = 3 if spent[name] < 10 * budget else 1
            if name in missing or (len(found[name]) >= enough and spent[name] > budget):
                continue
            began = time.perf_counter()
            try:
                if name not in counts:
                    counts[name] = processes[name].ask("calibrate", seconds=batch)["count"]
                answer = processes[name].ask("time", count=counts[name])
                found[name].append(seconds(answer) / counts[name])
            except Failed as error:
                missing[name] = str(error)
            spent[name] += time.perf_counter() - began
    summary = {n: {"median": statistics.median(t), "fastest": min(t), "rounds": len(t)} for n, t in found.items() if t}
    return summary | {name: {"missing": why} for name, why in missing.items()}


def memory(processes: dict[str, Process]) -> dict[str, dict[str, Any]]:
    """By how many bytes one gradient raises each process's memory, its results included, at its peak."""
    found = {}
    for name, process in processes.items():
        try:
            found[name] = {"memory": process.ask("memory")["bytes"]}
        except Failed:
            continue
    return found


def cold(peer: Peer, kernel: str, size: str, folder: Path, timeout: float) -> dict[str, Any]:
    """Seconds to the first gradient in a new process: with empty caches on disk, and with those it left."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=folder) as caches:
        for name in ("cold", "cached"):
            try:
                process = Process(peer, Path(caches), timeout)
            except Failed:
                return found
            try:
                found[name] = seconds(process.ask("load", kernel=kernel, size=size))
            except Failed:
                return found
            finally:
                process.close()
    return found


def overhead(peer: Peer, folder: Path) -> dict[str, float]:
    """Seconds of a call with three small results, and of a call of what numba compiled for it."""
    process = Process(peer, folder, 60.0)
    try:
        process.ask("load", kernel="chain tanh", size="10")
        return process.ask("overhead")
    finally:
        process.close()


def seconds(answer: dict[str, Any]) -> float:
    """The time that the process itself took: not what it waited for a processor that others had."""
    return min(answer["wall"], answer["cpu"])
