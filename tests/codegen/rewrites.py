"""Functions for each rewrite of code generation, and their gradients against the adjoint that nobody has rewritten.

A rewrite may change rounding and nothing else: what is inf, nan or 0 stays so, whatever numbers come in. The reference
is the interpreter on the adjoint program as the adjoint pass leaves it.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import pullback as pb
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.pipeline import Pipeline
from pullback.ir.program import Program
from pullback.runtime.compile import compile_source
from pullback.stages import Compilation
from pullback.transforms.vjp import traceable_of


def module(name: str) -> Any:
    """A module of code generation; the package has the pass of the same name."""
    return importlib.import_module(f"pullback.codegen.{name}")


codegen = importlib.import_module("pullback.codegen")
PARTS = {  # rewrites that are no passes of their own: where they are called, and what they give if they did something
    "unroll_recurrence": ("cotangents.preaccumulate", lambda found: len(found) > 1),
    "strip_mine_recurrence": ("cotangents.preaccumulate", lambda found: found is not None),
    "unroll_and_jam": ("loops.strip_mine_rows", lambda found: found is not None),
    "joined": ("matmul.recognise", lambda found: any(type(m).__name__ == "Joined" for m in found)),
}
PASSES = codegen.PIPELINE.names


@contextmanager
def counted(patch: Any) -> Iterator[Counter[str]]:
    """How often each rewrite changed something."""
    fired: Counter[str] = Counter()
    step = Pipeline._step

    def watched(one: Any, program: Program, context: Any, seen: Any) -> Program:
        after = step(one, program, context, seen)
        fired[one.name] += program != after
        return after

    def watch(name: str, place: Any, did: Callable[[Any], bool]) -> None:
        old = getattr(place, name)

        def call(*args: Any, **options: Any) -> Any:
            found = old(*args, **options)
            fired[name] += did(found)
            return found

        patch.setattr(place, name, call)

    with patch.context() as patch:
        patch.setattr(Pipeline, "_step", staticmethod(watched))
        for name, (place, did) in PARTS.items():
            watch(name, module(place), did)
        yield fired


# -- functions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """Functions of arguments that `make(rng, n)` gives, at sizes around the edges of what the rewrite cuts at."""

    make: Callable[[np.random.Generator, int], tuple[Any, ...]]
    functions: tuple[Callable[..., Any], ...]
    sizes: tuple[int, ...]
    settings: tuple[tuple[str, str, int], ...] = ()
    """Thresholds made small: module, name, value."""
    fused: bool = False
    """Does BLAS multiply and add? Its inf - 1e320 is inf, that of two operations nan."""


def linear(a, x, b, w):
    for i in range(len(a)):
        x = a[i] * x + b
    return x * w


def logistic(a, x, b, w):
    for _ in range(len(a)):
        x = b * x * (w - x)
    return x + np.sum(a)


def signs(a, x, b, w):
    s = 0.0
    for i in range(len(a)):
        x = w - x * a[i] - x * b
        s -= x
    return s


def recurrences(rng, n):
    return rng.normal(size=n), float(rng.normal()), float(rng.normal()), float(rng.normal())


def steps(u, x, b):
    for k in range(len(u)):
        x = np.sin(x) * np.cos(u[k] * u[k]) + np.exp(-u[k]) * x * b
    return x


def stepped_sum(u, x, b):
    s = 0.0
    before = x
    for k in range(len(u)):
        e = np.exp(u[k] * b)
        before, x = x, before * e - np.tanh(u[k])
        s += x * b
    return s + before


def regression(X, w, c):
    s = 0.0
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * w[j]
        s += np.log1p(np.exp(-z * 0.1)) * c
    return s


def before_last(X, w, c):
    s = 0.0
    prev, prev2 = c, 2.0
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * w[j]
        s += np.exp(z * 0.01) * prev2
        prev2 = prev
        prev = z
    return s


def rotating(X, w, c):
    s = 0.0
    one, two, three = c, 2.0, 3.0
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * w[j]
        s += np.exp(z * 0.01) * three
        one, two, three = z, one, two
    return s * one


def swapped(X, w, c):
    s, a, b = 0.0, 1.0, 2.0
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * w[j]
        e = np.tanh(z)
        a, b = b, a + e * c
        s += a
        for j in range(X.shape[1]):
            w[j] += e * 0.01
    return s + a * b


def last_row(X, w, c):
    s, where, kept = 0.0, 0, c
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * w[j]
        s += np.exp(z * 0.01) * kept
        where, kept = i, kept
    return s * (where + 1)


def accumulated_rows(X, w, c):
    y = np.zeros(X.shape[1])
    for i in range(X.shape[0]):
        z = 0.0
        for j in range(X.shape[1]):
            z += X[i, j] * w[j]
        e = np.exp(-z * z * 0.1) * c
        for j in range(X.shape[1]):
            y[j] += e * X[i, j]
    return np.sum(y * w)


def rows(rng, n):
    return rng.normal(size=(n, 6)), rng.normal(size=6), float(rng.normal())


def shifted(x, c):
    y = np.zeros(len(x) + 2)
    for i in range(len(x)):
        y[i + 1] += x[i] * c
    return np.sum(y[1:] * y[:-1])


def halves(x, c):
    return np.sum(x[: len(x) // 2] * c) + np.sum(x[1:] * x[:-1])


def updates(x, c):
    for i in range(1, len(x)):
        x[i] = x[i] - x[i - 1] * c
    for i in range(len(x)):
        x[i] = c + x[i]
    return np.sum(x * x)


def vectors(rng, n):
    return rng.normal(size=n), float(rng.normal())


def deviations(x, c):
    x = (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + c * c)
    s = 0.0
    for i in range(x.shape[0]):
        s += x[i, 0] * x[i, 1]
    return s


def matrices(rng, n):
    return rng.normal(size=(n, 5)), float(rng.normal())


def jacobi(A, B, c):
    for _ in range(2):
        B[1:-1] = 0.3 * (A[:-2] + A[1:-1] + A[2:])
        A[1:-1] = c * (B[:-2] + B[1:-1] + B[2:])
    return np.sum(A * B)


def pairs(rng, n):
    return rng.normal(size=n), rng.normal(size=n), float(rng.normal())


def small_arrays(x, c):
    s = np.zeros(3)
    for i in range(len(x)):
        for k in range(3):
            s[k] = s[k] * c + x[i] * (k + 1)
        s = s * c + x[i]
        s[1], s[0] = s[0], s[1]
    return s[0] * s[1] + s[2]


def bodies(x, c):
    energy = 0.0
    for i in range(x.shape[0]):
        for j in range(i + 1, x.shape[0]):
            r2 = 0.3
            for k in range(3):
                d = x[i, k] - x[j, k]
                r2 += d * d
            energy += c / r2
    return energy


def product(C, A, B, s):
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] += s * A[i, k] * B[k, j]
    return np.sum(C * C)


def triangle(C, A, B, s):
    for i in range(A.shape[0]):
        for j in range(i):
            for k in range(A.shape[1]):
                C[i, j] += A[i, k] * A[j, k]
    return np.sum(C * C) * s


def products(rng, n):
    return rng.normal(size=(n, n)), rng.normal(size=(n, 5)), rng.normal(size=(5, n)), float(rng.normal())


def both_triangles(data, c):
    corr = np.eye(data.shape[1])
    for i in range(data.shape[1] - 1):
        corr[i + 1 :, i] = data[:, i] @ data[:, i + 1 :]
        corr[i, i + 1 :] = corr[i + 1 :, i]
    return np.sum(corr * corr * corr) * c


FEW_ROWS = (  # of 6 numbers: blocks of 4 rows
    ("loops.strip_mine_rows", "ELEMENTS", 24),
    ("loops.strip_mine_rows", "FEW", 2),
)
LARGE = (("matmul.recognise", "LARGE", 2), ("lower.matrix_products", "LARGE", 2))
FAMILIES = {
    "unroll_recurrence": Family(recurrences, (linear, logistic, signs), (0, 1, 2, 3, 4, 5, 8, 9)),
    "strip_mine_recurrence": Family(lambda rng, n: (*vectors(rng, n), float(rng.normal())), (steps, stepped_sum),
                    (0, 1, 3, 4, 5, 9),
                    (("loops.strip_mine_recurrence", "BLOCK", 4),)),
    "strip_mine_rows": Family(rows, (regression, before_last, rotating, swapped, last_row), (0, 1, 2, 3, 4, 5, 8, 9),
                              FEW_ROWS),
    "unroll_and_jam": Family(rows, (accumulated_rows,), (0, 1, 3, 4, 5, 7, 8, 9), FEW_ROWS),
    "elide_zero_fill": Family(vectors, (shifted, halves), (0, 1, 2, 3, 5, 6)),
    "read_modify_write": Family(vectors, (updates,), (0, 1, 2, 5)),
    "rematerialise": Family(matrices, (deviations,), (1, 2, 5)),
    "merge_cotangents": Family(pairs, (jacobi,), (2, 3, 4, 5, 7)),
    "unroll": Family(vectors, (small_arrays,), (0, 1, 2, 5)),
    "scalar_replacement": Family(vectors, (small_arrays,), (0, 1, 4)),
    "structure_of_arrays": Family(lambda rng, n: (rng.normal(size=(n, 3)), float(rng.normal())), (bodies,),
                                  (0, 1, 2, 5)),
    "recognise_products": Family(products, (product, triangle), (0, 1, 2, 5), LARGE, True),
    "joined": Family(lambda rng, n: (rng.normal(size=(n + 2, n)), float(rng.normal())), (both_triangles,), (1, 2, 5, 6),
                     LARGE, True),
}  # fmt: skip
"""Per rewrite functions that it changes."""


# -- numbers -----------------------------------------------------------------------------------------------

STRANGE = {
    "f8": [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e200, -1e200, 1e-310, 1e160, 1e-160, 1e-200],
    "f4": [0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-40, 1e18, 1e-18, 1e-30],
}
SCALES = {
    "f8": [0.0, 1.0, 1.0, 1e40, 1e-40, 1e80, 1e-80, 1e160, 1e-160, 1e200, 1e-200],
    "f4": [0.0, 1.0, 1.0, 1e5, 1e-5, 1e10, 1e-10, 1e18, 1e-18, 1e30, 1e-30],
}
TINY = {"f8": 1e-290, "f4": 1e-35}
ROUNDING = {"f8": 1e-13, "f4": 1e-5}


def scaled(args: tuple[Any, ...], rng: np.random.Generator, dtype: str) -> list[Any]:
    """The arguments, some of them or their halves large or small as a whole: their products are near 1 again."""
    made: list[Any] = []
    for arg in args:
        array = np.array(arg, dtype)
        size = dtype_of(dtype)(rng.choice(SCALES[dtype]))
        if array.ndim:
            half = rng.integers(0, len(array) + 1)
            array[:half] *= size
            array[half:] *= rng.choice([size, 1.0, 1.0 / size if size else 0.0])
        else:
            array = array * size
        made.append(plain_number(array, dtype))
    return made


def dtype_of(dtype: str) -> Any:
    return np.dtype(dtype).type


def plain_number(array: np.ndarray, dtype: str) -> Any:
    return array if array.ndim else dtype_of(dtype)(array) if dtype == "f4" else float(array)


def with_strange(args: tuple[Any, ...], rng: np.random.Generator, share: float, dtype: str) -> list[Any]:
    """The arguments with some numbers of these in the place of others."""
    made: list[Any] = []
    for arg in args:
        array = np.array(arg, dtype)
        there = rng.random(array.shape) < share
        array = np.where(there, rng.choice(np.array(STRANGE[dtype], dtype), array.shape), array).astype(dtype)
        made.append(plain_number(array, dtype))
    return made


def jittered(params: list[Any], rng: np.random.Generator, dtype: str) -> list[Any]:
    def near(value: Any) -> Any:
        if isinstance(value, (float, np.floating)) or getattr(getattr(value, "dtype", None), "kind", "") == "f":
            return (value * (1.0 + ROUNDING[dtype] * rng.normal(size=np.shape(value)))).astype(dtype)
        return value

    return [near(np.asarray(p)[()]) for p in params]


def difference(wanted: Any, found: Any, others: list[Any], dtype: str, fused: bool) -> str | None:
    """What is other than rounding; `others` are the results of inputs that differ by as much."""
    wanted = np.asarray(wanted)
    found = np.asarray(found)
    if wanted.dtype.kind == "f" and not found.ndim:
        found = found.astype(wanted.dtype)  # uncompiled, a literal is a Python number
    if wanted.shape != found.shape or wanted.dtype != found.dtype:
        return f"{found.dtype}{found.shape} for {wanted.dtype}{wanted.shape}"
    if wanted.dtype.kind != "f":
        return None if np.array_equal(wanted, found) else "other integers"
    strange = ~np.isfinite(wanted)
    spread = np.zeros(wanted.shape)
    for other in others:
        finite = np.isfinite(other)
        spread = np.maximum(spread, np.where(finite & ~strange, np.abs(other - wanted), np.inf))
    settled = ~np.isinf(spread) | np.logical_and.reduce([~np.isfinite(o) for o in others])
    alike = ~np.isfinite(found) if fused else (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    same = np.where(strange, alike, np.isfinite(found))
    close = np.abs(found - wanted) <= 1e-6 * np.abs(wanted) + 1e3 * spread + TINY[dtype]
    wrong = settled & ~(same & (strange | close))
    if not wrong.any():
        return None
    at = tuple(np.argwhere(wrong)[0])
    return f"{found[at]} for {wanted[at]} at {at}"


def compare(
    function: Callable[..., Any], args: list[Any], rng: np.random.Generator, dtype: str, made: dict[str, Any],
    fused: bool,
) -> str | None:
    """Value and gradient by generated code against the interpreter; `made` keeps what is made for these types."""
    form, params, *_ = traceable_of(function).find(tuple(args), {})
    key = str(form.program)
    if key not in made:
        program = form.program
        wrt = tuple(k for k, p in enumerate(program.params) if p.type.is_float)
        numbers = tuple(k for k in wrt if not program.params[k].type.rank)
        made[key] = [
            (plain, compiled(Compilation(optimise(plain)).source), compiled(Compilation(program).source))
            for plain in (adjoint(program, some, value=True) for some in dict.fromkeys((wrt, numbers)) if some)
        ]
    params = [np.asarray(p)[()] if np.ndim(p) == 0 else p for p in params]
    (seed,) = scaled((rng.normal(),), rng, dtype) if rng.random() < 0.5 else with_strange((1.5,), rng, 0.5, dtype)
    for plain, gradient, value in made[key]:
        problem = compared(plain, gradient, value, params, seed, rng, dtype, fused)
        if problem is not None:
            return f"{function.__name__}, {problem}\n{args}, seed {seed}"
    return None


def compiled(source: str) -> Callable[..., Any]:
    return compile_source(source, source.rpartition("def ")[2].partition("(")[0], jit=False)


def compared(
    plain: Program, gradient: Callable[..., Any], value: Callable[..., Any], params: list[Any], seed: Any,
    rng: np.random.Generator, dtype: str, fused: bool,
) -> str | None:  # fmt: skip
    with np.errstate(all="ignore"):
        wanted = evaluate(plain, *(np.copy(p)[()] for p in params), seed)
        others = [evaluate(plain, *jittered(params, rng, dtype), seed) for _ in range(3)]
        found = gradient(*(np.copy(p)[()] for p in params), seed)
        again = value(*(np.copy(p)[()] for p in params))
        for k, pair in enumerate(zip((wanted[0], *wanted), (again[0], *found), strict=True)):
            problem = difference(*pair, [o[max(k - 1, 0)] for o in others], dtype, fused)
            if problem is not None:
                return f"{'value' if k == 0 else f'result {k - 1}'}: {problem}"
    return None


def check(name: str, patch: Any, rounds: int, seed: int = 0) -> Counter[str]:
    """Compare all functions of a family; what fired."""
    family = FAMILIES[name]
    rng = np.random.default_rng(seed)
    problems = []
    with patch.context() as changed, counted(patch) as fired:
        for place, constant, value in family.settings:
            changed.setattr(module(place), constant, value)
        for function in family.functions:
            for dtype in ("f8", "f4"):
                made: dict[str, Any] = {}
                with pb.options(jit=False, cache=False):
                    for n in reversed(family.sizes):  # large ones leave the others open
                        for k in range(rounds):
                            args = family.make(rng, n)
                            with np.errstate(all="ignore"):
                                args = (
                                    scaled(args, rng, dtype) if (k + n) % 2
                                    else with_strange(args, rng, (0.05, 0.3)[(k + n) % 4 // 2], dtype)
                                )  # fmt: skip
                            problems.append(compare(function, args, rng, dtype, made, family.fused))
    found = [p for p in problems if p is not None]
    assert not found, f"{len(found)} of {len(problems)}\n" + "\n".join(found[:3])
    return fired
