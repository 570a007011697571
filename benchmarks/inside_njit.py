"""What it saves to call a gradient inside of @njit, and not from a loop in Python.

    python benchmarks/inside_njit.py
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit


def example() -> Any:
    """The module examples/inside_njit.py."""
    path = Path(__file__).parents[1] / "examples" / "inside_njit.py"
    spec = importlib.util.spec_from_file_location("inside_njit_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(function: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    """The shortest of five calls."""
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        function(*arguments)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    print(f"{'':26}{'Python loop':>12}{'inside njit':>13}{'compile':>10}{'times faster':>14}")
    for name, (algorithm, arguments) in example().problems().items():
        compiled = njit(algorithm)
        start = time.perf_counter()
        inside = compiled(*arguments)
        compile_time = time.perf_counter() - start
        outside = algorithm(*arguments)
        pairs = zip(inside, outside) if isinstance(inside, tuple) else [(inside, outside)]
        assert all(np.allclose(a, b) for a, b in pairs), name
        slow, fast = seconds(algorithm, arguments), seconds(compiled, arguments)
        print(f"{name:26}{1e3 * slow:9.2f} ms{1e3 * fast:10.3f} ms{compile_time:8.1f} s{slow / fast:14.1f}")


if __name__ == "__main__":
    main()
