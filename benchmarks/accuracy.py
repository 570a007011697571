"""How far vector math is from the exact result: `python benchmarks/accuracy.py`.

Prints a Markdown table: for each function the largest error of the scalar function and of its vector variants, in
units in the last place (ulp) of the exact result, over random operands. The exact result is mpmath's, to 50 digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath
import numpy as np

import pullback as pb
from pullback.runtime.compile import compile_source
from pullback.runtime.intrinsics.libmvec import library

POINTS = 4096
RANGES: dict[str, tuple[str, Callable[..., object], tuple[tuple[float, float], ...]]] = {
    "exp": ("np.exp({0})", mpmath.exp, ((-80, 80),)),
    "exp2": ("np.exp2({0})", lambda x: mpmath.power(2, x), ((-120, 120),)),
    "expm1": ("np.expm1({0})", mpmath.expm1, ((-5, 5),)),
    "log": ("np.log({0})", mpmath.log, ((0.01, 100),)),
    "log2": ("np.log2({0})", lambda x: mpmath.log(x, 2), ((0.01, 100),)),
    "log10": ("np.log10({0})", mpmath.log10, ((0.01, 100),)),
    "log1p": ("np.log1p({0})", mpmath.log1p, ((-0.9, 5),)),
    "sin": ("np.sin({0})", mpmath.sin, ((-20, 20),)),
    "cos": ("np.cos({0})", mpmath.cos, ((-20, 20),)),
    "tan": ("np.tan({0})", mpmath.tan, ((-20, 20),)),
    "arcsin": ("np.arcsin({0})", mpmath.asin, ((-1, 1),)),
    "arccos": ("np.arccos({0})", mpmath.acos, ((-1, 1),)),
    "arctan": ("np.arctan({0})", mpmath.atan, ((-10, 10),)),
    "arctan2": ("np.arctan2({0}, {1})", mpmath.atan2, ((-10, 10), (-10, 10))),
    "sinh": ("np.sinh({0})", mpmath.sinh, ((-20, 20),)),
    "cosh": ("np.cosh({0})", mpmath.cosh, ((-20, 20),)),
    "tanh": ("np.tanh({0})", mpmath.tanh, ((-5, 5),)),
    "arcsinh": ("np.arcsinh({0})", mpmath.asinh, ((-20, 20),)),
    "arccosh": ("np.arccosh({0})", mpmath.acosh, ((1, 20),)),
    "arctanh": ("np.arctanh({0})", mpmath.atanh, ((-0.99, 0.99),)),
    "hypot": ("np.hypot({0}, {1})", mpmath.hypot, ((-10, 10), (-10, 10))),
    "power": ("{0} ** {1}", mpmath.power, ((0.01, 100), (-10, 10))),
    "cbrt": ("support.cbrt({0})", mpmath.cbrt, ((0, 100),)),
    "erf": ("math.erf({0})", mpmath.erf, ((-4, 4),)),
    "erfc": ("math.erfc({0})", mpmath.erfc, ((-4, 10),)),
}
SOURCE = """import math
import numpy as np
from pullback.runtime import support

def sweep(x, w, y):
    for i in range(x.shape[0]):
        y[i] = {call}
    return (y,)
"""


def ulps(results: np.ndarray, exact: list[object]) -> float:
    """The largest distance from the exact results, in units of the last place of these."""
    spacing = np.spacing(np.abs(np.array([float(e) for e in exact]).astype(results.dtype)))
    return max(
        float(abs(mpmath.mpf(float(r)) - e) / mpmath.mpf(float(s)))
        for r, e, s in zip(results, exact, spacing, strict=True)
    )


def errors(name: str, dtype: type, rng: np.random.Generator) -> Iterator[float]:
    """The errors of the scalar function and of the vectorised loop."""
    call, function, ranges = RANGES[name]
    x, w = (rng.uniform(*ranges[k % len(ranges)], POINTS).astype(dtype) for k in range(2))
    operands = (x, w)[: len(ranges)]
    exact = [function(*map(mpmath.mpf, map(float, row))) for row in zip(*operands, strict=True)]
    source = SOURCE.format(call=call.format("x[i]", "w[i]"))
    for vector_math in (False, True):
        with pb.options(vector_math=vector_math):
            sweep = compile_source(source, "sweep", jit=True, cache_dir=None)
            yield ulps(sweep(x, w, np.empty_like(x))[0], exact)


def main() -> None:
    mpmath.mp.dps = 50
    rng = np.random.default_rng(0)
    print(f"Vector library: {(library() or 'none').split(',')[0]}; {POINTS} random operands each.\n")
    print("| function | float64: scalar | vector | float32: scalar | vector |\n|---|---|---|---|---|")
    for name in RANGES:
        row = [e for dtype in (np.float64, np.float32) for e in errors(name, dtype, rng)]
        print(f"| {name} | " + " | ".join(f"{e:.2f}" for e in row) + " |")


if __name__ == "__main__":
    main()
