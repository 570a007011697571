"""What a first gradient of a long program costs: `python benchmarks/long.py`.

Two programs that Python writes out: a network whose layers are a list, and lines of arithmetic one after the other. For
about 100, 1000 and 10000 operations, each in a process of its own with an empty cache: processor seconds of the first
gradient, numba's import among them, what a later call takes, and the most memory.

    python benchmarks/long.py --most 1000      leaves the longest out
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pullback as pb

SIZES = 100, 1000, 10000


def network(params, x, y):
    for w, b in params:
        x = np.tanh(x @ w + b)
    return np.mean((x - y) ** 2)


def layers(count):
    """A network of so many operations, three for each layer."""
    rng = np.random.default_rng(0)
    params = [(rng.normal(size=(8, 8)) / 3, np.zeros(8)) for _ in range(count // 3)]
    return network, (params, rng.normal(size=(5, 8)), np.zeros((5, 8)))


OPERATIONS = ("{a} * {b}", "{a} + {b}", "np.sin({a})", "{a} - {b}", "np.tanh({a})", "{a} / (1.5 + {b})")


def lines(count):
    """A function of so many operations, no two parts of which are alike."""
    draw = random.Random(0)
    text = ["import numpy as np", "", "", "def long(x, y):", "    t0, t1 = x * y, x + y"]
    for k in range(2, count):
        operation = draw.choice(OPERATIONS).format(a=f"t{k - 1}", b=f"t{draw.randrange(k)}")
        text.append(f"    t{k} = {operation}")
    file = Path(tempfile.mkdtemp()) / "long.py"
    file.write_text("\n".join([*text, f"    return t{count - 1} + t{count - 2}", ""]))
    spec = importlib.util.spec_from_file_location("long", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.long, (0.3, 0.4)


PROGRAMS = {"layers": layers, "lines": lines}


def measure(kind, count):
    """In a process of its own: seconds of the first gradient and of a later one, and megabytes."""
    function, args = PROGRAMS[kind](count)
    pb.options(cache_dir=tempfile.mkdtemp(), progress=False)
    gradient = pb.grad(function)
    start = time.process_time()
    gradient(*args)
    first = time.process_time() - start
    times = []
    for _ in range(5):
        start = time.perf_counter()
        gradient(*args)
        times.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"first": first, "later": min(times), "memory": memory}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--one", nargs=2, metavar=("KIND", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.one[0], int(options.one[1]))
        return
    print("| program | operations | first gradient, s of processor | later call, ms | memory, MB |")
    print("| :-- | --: | --: | --: | --: |")
    for kind in PROGRAMS:
        for count in [size for size in SIZES if size <= options.most]:
            command = [sys.executable, __file__, "--one", kind, str(count)]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ})
            found = json.loads(done.stdout.splitlines()[-1])
            row = f"{found['first']:.1f} | {found['later'] * 1e3:.2f} | {found['memory']:.0f}"
            print(f"| {kind} | {count} | {row} |", flush=True)


if __name__ == "__main__":
    main()
