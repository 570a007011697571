"""Times gradients of every kernel against other libraries: `python benchmarks/run.py [--quick] [--kernels ...]`.

Each implementation runs in a process of its own, on one thread, and all take turns in every round, so that what
else the machine does hits them alike; medians of the processor's time count. Before anything is timed all
gradients must agree to 1e-8 (single precision to 1e-3). Prints a Markdown table and writes JSON; with `--docs` also
the page docs/benchmarks.md and its picture.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import page
import processes
import report
from peers import PEERS, SINGLE, Peer
from problems import PROBLEMS

HERE = Path(__file__).parent


def main() -> None:
    options = arguments()
    peers = [PEERS[name] for name in options.peers]
    results = {"machine": report.machine(peers), "kernels": {}}
    if options.merge and options.json.exists():
        results = json.loads(options.json.read_text())
        results["machine"]["versions"] |= report.machine(peers)["versions"]
        results["merged"] = True
    with tempfile.TemporaryDirectory() as folder:
        parts = [times] if options.quick else [cold, times]
        for part in [p for p in parts if p.__name__ in options.parts]:
            for title, row in part(peers, options, Path(folder)):
                kept = results["kernels"].setdefault(title, {})
                for name, found in row.items():
                    kept[name] = kept.get(name, {}) | found
                options.json.write_text(json.dumps(results, indent=1) + "\n")
        if "pullback" in options.peers:
            results["overhead"] = processes.overhead(PEERS["pullback"], Path(folder))
    order = [f"{p.name} {size}" for p in PROBLEMS.values() for size in p.sizes]
    results["kernels"] = {title: results["kernels"][title] for title in order if title in results["kernels"]}
    options.json.write_text(json.dumps(results, indent=1) + "\n")
    print("\n" + report.table(results["kernels"]))
    if options.docs:
        page.write(results)
    print(f"\nWritten to {options.json}.")


Part = Iterator[tuple[str, dict[str, dict[str, Any]]]]
"""Kernels with their rows: by implementation, what was measured or why nothing was."""


def times(peers: list[Peer], options: argparse.Namespace, folder: Path) -> Part:
    hopeless: dict[str, str] = {}
    with processes.started(peers, folder, options.timeout) as running:
        for kernel, size in chosen(options):
            began = time.perf_counter()
            processes.restart(running, folder, options.timeout)
            able = {n: p for n, p in running.items() if f"{kernel}\n{n}" not in hopeless}
            row = {n: {"missing": hopeless[f"{kernel}\n{n}"]} for n in running if n not in able}
            row |= processes.load(able, kernel, size, folder)
            for name in [n for n in able if "missing" in row[n]]:
                hopeless[f"{kernel}\n{name}"] = row[name]["missing"]
                del able[name]
            for name, measured in processes.measure(able, options.rounds, options.budget, options.batch).items():
                row[name] |= measured
            for name, found in processes.memory(able).items():
                row[name] |= found
            row = {name: row[name] for name in running}
            for process in able.values():
                process.drop()
            print(report.line(f"{kernel} {size}", row, time.perf_counter() - began), file=sys.stderr, flush=True)
            yield f"{kernel} {size}", row


def cold(peers: list[Peer], options: argparse.Namespace, folder: Path) -> Part:
    """First gradients, of each kernel's smallest size."""
    for kernel, size in chosen(options):
        if size == PROBLEMS[kernel].smallest:
            row = {p.name: processes.cold(p, kernel, size, folder, options.timeout) for p in peers if p.name != SINGLE}
            shown = [f"{n} {r['cold']:.2f} s, {r.get('cached', np.nan):.2f} s" for n, r in row.items() if "cold" in r]
            print(f"{kernel:28} " + "  ".join(shown), file=sys.stderr, flush=True)
            yield f"{kernel} {size}", row


def chosen(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The kernels and sizes to run; with --quick each kernel's smallest size."""
    pairs = []
    for problem in PROBLEMS.values():
        sizes = [problem.smallest] if options.quick else list(problem.sizes)
        pairs += [(problem.name, size) for size in sizes]
    wanted = options.kernels or [""]
    return [(k, s) for k, s in pairs if any(text in f"{k} {s}" for text in wanted)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernels", nargs="+", help="those whose name and size contain one of these")
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--python", nargs="+", default=[], metavar="NAME=PATH",
                        help="another Python for an implementation whose packages do not go with the rest")  # fmt: skip
    parser.add_argument("--parts", nargs="+", choices=("cold", "times", "none"), default=["cold", "times"])
    parser.add_argument("--quick", action="store_true", help="the smallest size of each kernel, few rounds")
    parser.add_argument("--rounds", type=int, help="rounds for each kernel, at most")
    parser.add_argument("--budget", type=float, help="seconds for each implementation of a kernel, about")
    parser.add_argument("--batch", type=float, default=0.01, help="seconds for each measurement, at least")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds that a first gradient may take")
    parser.add_argument("--json", type=Path, default=HERE / "results.json")
    parser.add_argument("--docs", action="store_true", help="write docs/benchmarks.md and its picture")
    parser.add_argument("--merge", action="store_true", help="keep what the JSON file has of other kernels")
    options = parser.parse_args()
    processes.INTERPRETERS |= dict(text.split("=", 1) for text in options.python)
    options.rounds = options.rounds or (9 if options.quick else 31)
    options.budget = options.budget or (0.5 if options.quick else 2.0)
    return options


if __name__ == "__main__":
    main()
