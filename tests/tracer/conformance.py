"""What traced code makes of every dtype: value, dtype, shape and weakness, compared with NumPy and Python.

`python tests/tracer/conformance.py` runs all functions with all operands, prints what differs, and with `--write`
writes the table in docs/supported.md. The tests run a sample.
"""

from __future__ import annotations

import argparse
import itertools
import math
import operator
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pullback.calls.tree import flatten
from pullback.ir.errors import PullbackError
from pullback.ir.evaluate import evaluate
from pullback.ir.types import DTYPES
from pullback.tracer.trace import trace

DOCS = Path(__file__).parents[2] / "docs" / "supported.md"
NAMES = {name: row.numpy.name for name, row in DTYPES.items()}
ORDER = ("bool", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64")


def _values(dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "b":
        return np.array([True, False, True])
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([limits.max, 3, limits.min if dtype.kind == "i" else 200 % (limits.max + 1)], dtype)
    return np.array([0.5, 0.75, -3.0], dtype)


def operands() -> dict[str, dict[str, Any]]:
    """Per kind of operand its forms: an array, a row of none, an array of no axes, a number of NumPy's."""
    found: dict[str, dict[str, Any]] = {}
    for name in ORDER:
        array = _values(DTYPES[name].numpy)
        found[name] = {"array": array, "size 0": array[:0], "0-d": np.array(array[1]), "scalar": array[1]}
        if array.dtype.kind == "f":
            found[name]["special"] = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], array.dtype)[:5]
    found["int"] = {"number": 3, "zero": 0, "negative": -2, "large": 2**40}
    found["float"] = {"number": 2.5, "zero": -0.0, "special": math.nan, "inf": math.inf}
    return found


OPERANDS = operands()

UNARY: tuple[Any, ...] = (
    np.absolute, np.negative, np.positive, np.sign, np.square, np.reciprocal, np.invert, np.logical_not, np.isnan,
    np.isinf, np.isfinite, np.signbit, np.floor, np.ceil, np.trunc, np.rint, np.round, np.fabs, np.sqrt, np.cbrt,
    np.exp, np.exp2, np.expm1, np.log, np.log2, np.log10, np.log1p, np.sin, np.cos, np.tan, np.arcsin, np.arccos,
    np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh, np.deg2rad, np.rad2deg,
    np.degrees, np.radians, np.sinc, np.nan_to_num, np.modf, np.real, np.imag, np.conjugate, np.angle, np.isreal,
    np.iscomplex, np.isposinf,
    np.isneginf, np.fix,
    np.sum, np.prod, np.mean, np.var, np.std, np.max, np.min, np.ptp, np.argmax, np.argmin, np.any, np.all,
    np.count_nonzero, np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin, np.nancumsum,
    np.nancumprod, np.cumsum, np.cumprod, np.average, np.diff, np.ediff1d, np.trapezoid, np.gradient, np.flip, np.ravel,
    np.transpose, np.squeeze, np.atleast_1d, np.atleast_2d, np.atleast_3d, np.copy, np.array, np.asarray,
    np.zeros_like, np.ones_like, np.triu, np.tril, np.diag, np.diagflat, np.nonzero, np.flatnonzero,
    np.shape, np.size, np.ndim, np.isscalar, np.iscomplexobj, np.isrealobj, np.vander, np.unwrap,
    np.linalg.norm,
    *(row.numpy.type for row in DTYPES.values()),
    abs, bool, int, float, round, len, sum, max, min, any, all,
    operator.neg, operator.pos, operator.invert, operator.not_,
    math.exp, math.exp2, math.expm1, math.log, math.log2, math.log10, math.log1p, math.sqrt, math.cbrt, math.sin,
    math.cos, math.tan, math.asin, math.acos, math.atan, math.sinh, math.cosh, math.tanh, math.asinh, math.acosh,
    math.atanh, math.erf, math.erfc, math.lgamma, math.gamma, math.fabs, math.floor, math.ceil, math.trunc,
    math.radians, math.degrees, math.isnan, math.isinf, math.isfinite, math.factorial, math.isqrt, math.gcd, math.hypot,
    math.modf, math.fsum, math.prod,
)  # fmt: skip
BINARY: tuple[Any, ...] = (
    np.add, np.subtract, np.multiply, np.true_divide, np.floor_divide, np.remainder, np.divmod, np.power, np.fmod,
    np.float_power, np.maximum, np.minimum, np.fmax, np.fmin, np.less, np.less_equal, np.greater, np.greater_equal,
    np.equal, np.not_equal, np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or,
    np.bitwise_xor, np.left_shift, np.right_shift, np.arctan2, np.hypot, np.logaddexp, np.logaddexp2, np.copysign,
    np.heaviside, np.ldexp, np.isclose, np.allclose, np.array_equal, np.dot, np.inner, np.outer, np.vdot, np.kron,
    np.convolve, np.append, np.full_like,
    pow, divmod, max, min,
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne, operator.and_, operator.or_,
    operator.xor, operator.lshift, operator.rshift,
    math.atan2, math.pow, math.copysign, math.fmod, math.hypot, math.comb, math.perm, math.gcd, math.lcm, math.ldexp,
    math.isclose, math.dist, math.log,
)  # fmt: skip


def _bound(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    call.__qualname__ = name
    return call


WRITTEN: tuple[Any, ...] = (
    _bound("np.where(c, a, b)", lambda a, b: np.where(np.array([True, False, True]), a, b)),
    _bound("np.clip(a, None, b)", lambda a, b: np.clip(a, None, b)),
    _bound("np.concatenate", lambda a, b: np.concatenate([np.atleast_1d(a), np.atleast_1d(b)])),
    _bound("np.stack", lambda a, b: np.stack([a, b])),
    _bound("np.array([a, b])", lambda a, b: np.array([a, b])),
    _bound("a if c else b", lambda a, b: a if np.size(a) > 100 else b),
    _bound("np.sum(a, dtype=b.dtype)", lambda a, b: np.sum(a, dtype=np.asarray(b).dtype)),
    _bound("a.astype(b.dtype)", lambda a, b: np.asarray(a).astype(np.asarray(b).dtype)),
)
"""Binary functions that need more than a call."""


def name_of(function: Any) -> str:
    if function in WRITTEN:
        return function.__qualname__
    module = getattr(function, "__module__", "") or ""
    if isinstance(function, np.ufunc) or module.startswith("numpy"):
        return ("np.linalg." if "linalg" in module else "np.") + function.__name__
    return function.__name__ if module in ("builtins", "") else f"{module.lstrip('_')}.{function.__name__}"


def cases(function: Any, thin: int = 1, start: int = 0) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Kinds of operands, a label, and operands."""
    arity = 2 if function in BINARY or function in WRITTEN else 1
    if arity == 1:
        for kind, forms in OPERANDS.items():
            for form, value in forms.items():
                if function is math.fsum and kind == "i64":
                    continue  # ours is a plain sum
                if function is math.factorial and np.size(value) == 1 and np.all(np.abs(value) > 25):
                    continue  # nobody waits for it
                yield kind, f"{kind} {form}", (value,)
        return
    pairs = itertools.product(OPERANDS, OPERANDS)
    for one, two in itertools.islice(pairs, start, None, thin):
        for first, second in (
            ("array", "array"), ("array", "scalar"), ("scalar", "array"), ("0-d", "array"), ("scalar", "scalar"),
            ("size 0", "scalar"), ("special", "array"), ("array", "number"), ("array", "negative"), ("number", "array"),
            ("number", "number"), ("negative", "number"), ("number", "zero"), ("large", "number"),
            ("special", "number"), ("number", "special"), ("scalar", "number"), ("number", "scalar"),
            ("array", "large"),
        ):  # fmt: skip
            if first in OPERANDS[one] and second in OPERANDS[two]:
                a, b = OPERANDS[one][first], OPERANDS[two][second]
                if np.ndim(a) and np.ndim(b) and np.size(a) != np.size(b):
                    a = a[: np.size(b)]
                yield f"{one} {two}", f"{one} {first}, {two} {second}", (a, b)


def _weak_probe(value: Any) -> Any:
    """A single number as a float32 array sees it: what is weak stays float32."""
    return np.ones(1, np.float32) + value


def _one(function: Any) -> Callable[[Any], Any]:
    def call(a: Any) -> Any:
        return function(a)

    def probed(a: Any) -> Any:
        return _weak_probe(function(a))

    return call, probed


def _two(function: Any) -> Callable[[Any, Any], Any]:
    def call(a: Any, b: Any) -> Any:
        return function(a, b)

    def probed(a: Any, b: Any) -> Any:
        return _weak_probe(function(a, b))

    return call, probed


def compare(function: Any, args: tuple[Any, ...]) -> str:
    """"same", "refused", "raises" (as NumPy does), "lenient" (NumPy raises, here is a value), or what differs."""
    call, probed = (_one if len(args) == 1 else _two)(function)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            want = call(*args)
        except Exception as error:
            want = error
        have = _traced(call, args)
        if isinstance(have, Refused):
            return "raises" if isinstance(want, Exception) else "refused"
        if isinstance(have, Exception):
            return "raises" if isinstance(want, Exception) else f"{type(have).__name__}: {have}"
        if isinstance(want, (ZeroDivisionError, OverflowError)):
            return "raises"  # floats of Python raise where NumPy's are inf
        if np.iscomplexobj(want) and np.all(np.isnan(have)):
            return "lenient"
        if isinstance(want, TypeError) or "math domain" in str(want) or "in fsum" in str(want):
            return "lenient"  # a value where Python has none
        if isinstance(want, Exception):
            return f"no {type(want).__name__}: {str(want)[:60]}"
        if function in (max, min) and len(args) == 2 and type(args[0]) is not type(args[1]):
            # One or the other: the dtype would depend on the values.
            return "same" if math.isclose(have, want, rel_tol=1e-7) or want != want else f"value {have}, not {want}"
        found = _difference(have, want)
        if found or np.ndim(want if not isinstance(want, tuple) else 0):
            return found or "same"
        if isinstance(want, tuple):
            return "same"
        try:
            want = probed(*args)
        except Exception:
            return "same"
        have = _traced(probed, args)
        if isinstance(have, Refused):
            return "refused"
        return _difference(have, want).replace("dtype", "weakness") or "same"


class Refused(Exception):  # noqa: N818
    pass


ALLOWED = (PullbackError, OverflowError, ZeroDivisionError)


def _traced(call: Any, args: tuple[Any, ...]) -> Any:
    names = ["a", "b"][: len(args)]
    try:
        t = trace(call, list(args), names, lambda leaves: (tuple(leaves), {}), flatten=flatten)
        given = [arg for arg, place in zip(args, t.leaves) if place is not None]
        values = evaluate(t.program, *given, *(h.value for h in t.hidden))
    except ALLOWED as error:
        return Refused(str(error))
    except Exception as error:
        return error
    results = []
    for _, result, placed in t.out_leaves:
        value = values[result.k] if placed else result
        if placed and result.weak and np.ndim(value) == 0:
            value = np.asarray(value).item()
        results.append(value)
    return results[0] if len(results) == 1 else tuple(results)


def _difference(have: Any, want: Any) -> str:
    if isinstance(want, (tuple, list)) and want is not have:
        if not isinstance(have, tuple):
            have = (have,)
        if len(have) != len(want):
            return f"{len(have)} results, not {len(want)}"
        return next((d for d in map(_difference, have, want) if d), "")
    one, two = np.asarray(have), np.asarray(want)
    if one.dtype != two.dtype:
        return f"dtype {one.dtype}, not {two.dtype}"
    if one.shape != two.shape:
        return f"shape {one.shape}, not {two.shape}"
    exact = two.dtype.kind in "biu"
    tolerance = 0.0 if exact else 4e-6 if two.dtype == np.float32 else 1e-12
    with np.errstate(all="ignore"):
        equal = np.array_equal(one, two) if exact else np.allclose(one, two, tolerance, tolerance, equal_nan=True)
    if not equal:
        return f"value {one.tolist()}, not {two.tolist()}"
    is_python = isinstance(want, (bool, int, float)) and not isinstance(want, np.generic)
    if is_python != (isinstance(have, (bool, int, float)) and not isinstance(have, np.generic)) and not np.ndim(want):
        return f"weakness: {type(have).__name__}, not {type(want).__name__}"
    return ""


OUTCOMES = ("same", "refused", "raises", "lenient")


def run(functions: Any, thin: int = 1, start: int = 0) -> dict[str, dict[str, Counter[str]]]:
    """Per function and kinds of operands how often there was which outcome."""
    found: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for k, function in enumerate(functions):
        for kinds, label, args in cases(function, thin, start + k):
            found[name_of(function)][kinds][_outcome(label, compare(function, args))] += 1
    return found


def _outcome(label: str, outcome: str) -> str:
    return outcome if outcome in OUTCOMES else f"{label}: {outcome}"


def faults(found: dict[str, dict[str, Counter[str]]]) -> list[str]:
    return [
        f"{name}({text}"
        for name, kinds in found.items()
        for outcomes in kinds.values()
        for text in outcomes
        if text not in OUTCOMES
    ]


EVERY = (*UNARY, *BINARY, *WRITTEN)

# -- the table of the documentation ----------------------------------------------------------------------

KINDS = (*ORDER, "int", "float")
HEAD, FOOT = "<!-- made by tests/tracer/conformance.py -->", "<!-- until here -->"


def alone() -> dict[str, dict[str, Counter[str]]]:
    """All functions, those of two operands with both of one kind."""
    step = len(OPERANDS) + 1  # of all pairs, those on the diagonal
    found = run(UNARY)
    for function in (*BINARY, *WRITTEN):
        for kinds, label, args in cases(function, step):
            found[name_of(function)][kinds.split()[0]][_outcome(label, compare(function, args))] += 1
    return found


def _mark(outcomes: Counter[str]) -> str:
    """yes, no (refused), part (some forms are), or - where NumPy or Python raise."""
    if not outcomes or set(outcomes) <= {"raises", "lenient"}:
        return "-"
    if any(o not in OUTCOMES for o in outcomes):
        return "WRONG"
    return "yes" if "refused" not in outcomes else "no" if "same" not in outcomes else "part"


def table(found: dict[str, dict[str, Counter[str]]]) -> str:
    """Functions that treat all dtypes alike, in one row."""
    rows: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, kinds in found.items():
        rows[tuple(_mark(kinds[k]) for k in KINDS)].append(name)
    lines = [HEAD, "", f"| | {' | '.join(NAMES.get(k, k) for k in KINDS)} |", f"| :-- |{' :-: |' * len(KINDS)}"]
    for marks, names in sorted(rows.items(), key=lambda row: (-len(row[1]), row[0])):
        lines.append(f"| {', '.join(f'`{n}`' for n in sorted(set(names)))} | {' | '.join(marks)} |")
    return "\n".join([*lines, "", FOOT])


def documented() -> str:
    text = DOCS.read_text()
    return text[text.index(HEAD) : text.index(FOOT) + len(FOOT)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="functions whose names contain this")
    parser.add_argument("--thin", type=int, default=1, help="take every n-th pair of dtypes")
    parser.add_argument("--write", action="store_true", help="write the table in docs/supported.md, and nothing else")
    options = parser.parse_args()
    if options.write:
        DOCS.write_text(DOCS.read_text().replace(documented(), table(alone())))
        sys.exit()
    total = run([f for f in EVERY if options.only in name_of(f)], options.thin)
    print("\n".join(faults(total)))
    print(sum((sum(kinds.values(), Counter()) for kinds in total.values()), Counter()).most_common(4))
