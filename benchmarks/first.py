"""The time to the first gradient of each kernel in tests/kernels.py: `python benchmarks/first.py [--only NAME]`.

Tracing with differentiating, generating the Python, and numba's compilation, in one process without the disk
cache; numba's own start is paid before. Prints a Markdown table, slowest first.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from kernels import KERNELS  # noqa: E402

import pullback as pb  # noqa: E402


def seconds(name: str) -> tuple[float, float, float]:
    """Seconds to trace and differentiate (median of three), to generate, and to the first gradient in all."""
    function, make, sizes, _ = KERNELS[name]
    args = make(np.random.default_rng(0), sizes[0])
    wrt = tuple(k for k, a in enumerate(args) if np.asarray(a).dtype.kind == "f")
    lowering = []
    for _ in range(3):
        began = time.perf_counter()
        lowered = pb.grad(function, wrt).lower(*args)
        lowering.append(time.perf_counter() - began)
    began = time.perf_counter()
    _ = lowered.source
    generating = time.perf_counter() - began
    began = time.perf_counter()
    pb.grad(function, wrt)(*args)
    return statistics.median(lowering), generating, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    pb.options(cache=False)
    pb.grad(lambda x: np.sum(x * x))(np.ones(3))  # numba's own start
    rows = {name: seconds(name) for name in KERNELS if options.only in name}
    print("| kernel | trace and differentiate | generate | first gradient |\n| :-- | --: | --: | --: |")
    for name, (lower, generate, first) in sorted(rows.items(), key=lambda row: -row[1][2]):
        print(f"| {name} | {lower * 1e3:.0f} ms | {generate * 1e3:.0f} ms | {first:.2f} s |")


if __name__ == "__main__":
    sys.exit(main())
