"""What a call costs beyond the machine code: `python benchmarks/calls.py`.

For small arrays, the time of a call against that of the bare numba dispatcher of the same generated function,
taken in turn, the best of many short rounds: the difference is what finding the form, the checks and the
hidden inputs cost. Then the same with many forms, each called in turn.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb
from pullback.runtime.compile import compile_source

SCALE = 2.5


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def three_arrays(w, x, y):
    return np.sum(np.tanh(x * w) - y)


def with_global(x):
    return np.sum(x * SCALE)


def with_dict(p):
    return np.sum(p["w"] * p["b"])


def with_text(x, how):
    return np.sum(x * x) if how == "square" else np.sum(x * len(how))


def best(functions: dict[str, Callable[[], Any]], rounds: int = 300, calls: int = 300) -> dict[str, float]:
    """Microseconds per call of each, measured in turn."""
    times = dict.fromkeys(functions, np.inf)
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(calls):
                function()
            times[name] = min(times[name], (time.perf_counter() - start) / calls * 1e6)
    return times


def bare(g: Any, args: tuple[Any, ...]) -> Callable[[], Any]:
    """The dispatcher of the generated function on the parameters of this call."""
    _, params, _, _ = g._traceable.find(args, {})
    source = str(g.source)
    dispatcher = compile_source(source, re.findall(r"^def (\w+)", source, re.MULTILINE)[-1])
    return lambda: dispatcher(*params)


def main() -> None:
    x = np.linspace(0.1, 1.0, 10)
    cases = {
        "rosenbrock": (rosenbrock, (x,)),
        "three arrays": (three_arrays, (x + 0.5, x, x * 2.0)),
        "a global number": (with_global, (x,)),
        "a dict of arrays": (with_dict, ({"w": x, "b": x + 1.0},)),
    }
    print(f"{'n = 10, microseconds':22} {'dispatcher':>10} {'grad':>8} {'above':>8}")
    for name, (function, args) in cases.items():
        g = pb.grad(function)
        for _ in range(3):  # an entry is made at the second call
            g(*args)
        times = best({"bare": bare(g, args), "call": lambda g=g, args=args: g(*args)})
        print(f"{name:22} {times['bare']:10.2f} {times['call']:8.2f} {times['call'] - times['bare']:8.2f}")
    with pb.options(jit=False):
        for count in (1, 5, 50):
            g = pb.grad(with_text)
            texts = ["square"] + ["x" * k for k in range(1, count)]
            for text in texts:
                g(x, text)
            find = g._traceable.find
            times = best({"all": lambda: [find((x, text), {}) for text in texts]}, rounds=50, calls=20)  # noqa: B023
            print(f"finding one of {count} forms, each in turn: {times['all'] / count:.2f} microseconds")


if __name__ == "__main__":
    main()
