"""Random programs against plain Python and finite differences: `python tests/fuzz/fuzz.py --programs 500 --start 0`.

A program's outcome is "ok", "refused" (a PullbackError: not a failure, but counted by reason), "not smooth"
(the finite differences do not agree among themselves), "invalid" (plain Python fails), or a failure:
"value", "gradient", "code" (the generated Python is not what the interpreter of programs gives, or grad, whose
sweeps are one program, not what vjp gives), "error", "slow". Failures are printed with seed, source and what
differed, made small by deleting what is not needed.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import importlib.util
import itertools
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_programs import program
from fuzz_scope import HEADER, SIZES, Program
from fuzz_shrink import shrink

import pullback as pb
from pullback import testing
from pullback.ir.adjoint.reverse_mode import split_adjoint
from pullback.ir.errors import IRError
from pullback.ir.evaluate import evaluate
from pullback.testing import check_grad
from pullback.transforms.vjp import traceable_of

FAILURES = ("value", "gradient", "code", "error", "slow")
SLOW = 30  # seconds for one program, interpreted
_numbers = itertools.count()


@dataclass
class Outcome:
    kind: str
    detail: str = ""
    sizes: dict[str, int] | None = None

    @property
    def failed(self) -> bool:
        return self.kind in FAILURES

    @property
    def signature(self) -> str:
        """What must stay the same while a failure is made smaller."""
        if self.kind == "error":
            return self.kind + ":" + re.sub(r"[\d']+.*", "", self.detail.splitlines()[0])
        return self.kind


def load(source: str, folder: Path, name: str = "f") -> Callable[..., Any]:
    """The function of a source, from a file, so that its source can be read."""
    path = folder / f"fuzzed_{next(_numbers)}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


class Slow(BaseException):
    """Not an Exception, so that nothing on the way takes it for one."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(*_: Any) -> None:
        raise Slow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def copies(args: list[Any]) -> list[Any]:
    return [a.copy() if isinstance(a, np.ndarray) else a for a in args]


def plain_problem(function: Callable[..., Any], args: list[Any]) -> str | None:
    """What makes the plain function useless as a reference here."""
    try:
        with np.errstate(all="ignore"):
            value = function(*copies(args))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    leaves = value if isinstance(value, tuple) else (value,)
    if not all(np.all(np.isfinite(v)) for v in leaves):
        return "not finite"
    return "large" if any(np.max(np.abs(v), initial=0.0) > 1e7 for v in leaves) else None


def check_at(function: Callable[..., Any], args: list[Any], seed: int, *, brief: bool = False) -> Outcome:
    """Check at one point; `brief` leaves out which elements are wrong."""
    problem = plain_problem(function, args)
    if problem is not None:
        return Outcome("invalid", problem)
    worst = testing._worst_elements
    try:
        if brief:
            testing._worst_elements = lambda *_: []  # type: ignore[assignment]
        with np.errstate(all="ignore"):
            check_grad(function, *copies(args), directions=1, seed=seed)
    except AssertionError as error:
        text = str(error)
        if "do not settle" in text:
            return Outcome("not smooth", text)
        return Outcome("gradient" if "finite differences" in text else "value", text)
    except IRError as error:
        return Outcome("error", f"IRError: {error}")
    except pb.PullbackError as error:
        return Outcome("refused", f"{type(error).__name__}: {error}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(
            "error", f"{type(error).__name__}: {error}\n  in {where.filename}:{where.lineno} ({where.name})"
        )
    finally:
        testing._worst_elements = worst
    for further in (evaluated, *((in_one,) if seed % 3 == 0 else ())):
        try:
            outcome = further(function, args, seed)
        except Exception as error:
            return Outcome("code", f"{type(error).__name__} in {further.__name__}: {error}")
        if outcome.failed:
            return outcome
    return Outcome("ok")


def in_one(function: Callable[..., Any], args: list[Any], seed: int) -> Outcome:
    """Does grad, whose two sweeps are one program, give what vjp gives?"""
    y, pull = pb.vjp(function, *copies(args))
    if isinstance(y, tuple) or np.ndim(y):
        return Outcome("ok")
    places = tuple(k for k, a in enumerate(args) if isinstance(a, (float, np.ndarray)))
    bars = pull(1.0)
    for k, bar in zip(places, pb.grad(function, argnums=places)(*copies(args))):
        scale = 1e-9 * np.max(np.abs(bars[k]), initial=1e-3)
        if not np.allclose(bar, bars[k], rtol=1e-9, atol=scale, equal_nan=True):
            return Outcome("code", f"argument {k}: grad gives\n{bar}\nvjp\n{bars[k]}")
    return Outcome("ok")


def evaluated(function: Callable[..., Any], args: list[Any], seed: int) -> Outcome:
    """Does the interpreter of programs give for the two sweeps what the generated Python gives?"""
    form, params, *_ = traceable_of(function).find(tuple(copies(args)), {})
    floats = [k for k, p in enumerate(form.program.params) if p.type.is_float]
    wrt = tuple(k for k in floats if k in set(form.traced.leaves))
    pair = [form._programs.get(f"{sweep} {wrt}") for sweep in ("forward", "backward")]
    generated = form.pair(wrt, split_adjoint)
    if None in pair:  # kept from an earlier run
        pair = list(split_adjoint(form.program, wrt))
    rng = np.random.default_rng(seed)
    count = len(form.program.results)
    with np.errstate(all="ignore"):
        values = generated[0](*copies(params))
        seeds = [rng.normal(size=np.shape(v))[()] for v in values[:count] if np.asarray(v).dtype.kind == "f"]
        bars = generated[1](*copies(values[count:]), *copies(seeds))
        expected = evaluate(pair[0], *params)
        expected_bars = evaluate(pair[1], *expected[count:], *seeds)
    for kind, found, wanted in (("value", values[:count], expected), ("gradient", bars, expected_bars)):
        for a, b in zip(found, wanted):
            scale = 1e-9 * np.max(np.abs(b), initial=1e-3)
            if np.shape(a) != np.shape(b) or not np.allclose(a, b, rtol=1e-9, atol=scale, equal_nan=True):
                return Outcome("code", f"{kind}: the program gives\n{b}\nits generated Python\n{a}")
    return Outcome("ok")


def right_for_small_steps(function: Callable[..., Any], args: list[Any], seed: int) -> bool:
    rng = np.random.default_rng(seed)
    y, pull = pb.vjp(function, *copies(args))
    weights = testing._random_seeds(y, rng)
    ways = [rng.normal(size=np.shape(a)) if isinstance(a, (np.ndarray, float)) else None for a in args]
    found = sum(np.sum(bar * way) for bar, way in zip(pull(weights), ways) if way is not None)

    def along(h: float) -> float:
        values = function(*(a if way is None else a + h * way for a, way in zip(args, ways)))
        return sum(np.sum(w * v) for w, v in zip(testing._floats(weights), testing._floats(values)))

    with np.errstate(all="ignore"):
        slopes = [(along(h) - along(-h)) / (2 * h) for h in (1e-5, 1e-6, 1e-7, 1e-8, 1e-9)]
        with contextlib.suppress(
            Exception
        ):  # the complex step needs no small differences, but not all can be complex
            values = function(*(a if way is None else a + 1e-40j * way for a, way in zip(args, ways)))
            leaves = values if isinstance(values, tuple) else (values,)
            slopes.append(
                sum(np.sum(w * np.imag(v)) for w, v in zip(testing._floats(weights), leaves)) / 1e-40
            )
    return any(abs(found - slope) <= 1e-4 * abs(slope) for slope in slopes)


def confirmed(function: Callable[..., Any], args: list[Any], seed: int) -> bool:
    """Is a wrong gradient wrong nearby and for small steps, too? Jumps and chaos deceive the large ones."""
    if right_for_small_steps(function, args, seed):
        return False
    rng = np.random.default_rng(seed)
    for k in range(2):
        near = [a + 1e-3 * rng.normal(size=a.shape) if isinstance(a, np.ndarray) else a for a in args]
        near = [a + 1e-3 * float(rng.normal()) if isinstance(a, float) else a for a in near]
        if check_at(function, near, k, brief=True).kind == "gradient":
            return True
    return False


def check(
    given: Program, folder: Path, *, compiled: bool = False, limit: float = SLOW, brief: bool = False
) -> Outcome:
    """The first outcome that is not ok, at three sizes of one function."""
    function = load(given.source, folder, given.name)
    outcome = Outcome("ok")
    try:
        with time_limit(limit * (4 if compiled else 1)), pb.options(jit=compiled, cache=False):
            for sizes in SIZES:
                args = given.arguments(sizes)
                found = check_at(function, args, given.seed, brief=brief)
                if found.kind == "gradient" and not confirmed(function, args, given.seed):
                    found = Outcome("not smooth", found.detail)
                found.sizes = sizes
                if found.kind != "ok":
                    outcome = found
                if found.failed or found.kind in ("refused", "invalid"):
                    break
    except Slow:
        return Outcome("slow", "no result in time")
    return outcome


def reason(detail: str) -> str:
    """A refusal without names and numbers, for counting."""
    first = detail.split("\n  File")[0].splitlines()[0]
    return re.sub(r"\d+", "#", re.sub(r"'[^']*'", "'...'", first))[:150]


def smaller(given: Program, outcome: Outcome, folder: Path, *, compiled: bool, seconds: float) -> Program:
    def still(source: str) -> bool:
        candidate = Program(given.seed, source, given.name, given.params)
        try:
            return (
                check(candidate, folder, compiled=compiled, limit=5, brief=True).signature
                == outcome.signature
            )
        except Exception:  # the candidate does not even load
            return False

    return Program(given.seed, shrink(given.source, still, seconds), given.name, given.params)


def report(given: Program, outcome: Outcome, folder: Path, *, compiled: bool, seconds: float) -> None:
    print(f"\n==== program {given.seed}: {outcome.kind}{' (compiled)' if compiled else ''}", flush=True)
    small = smaller(given, outcome, folder, compiled=compiled, seconds=seconds) if seconds else given
    again = check(small, folder, compiled=compiled) if seconds else outcome
    print(small.source.replace(HEADER, "").strip())
    print(f"---- {again.kind} at {again.sizes}\n{again.detail[:1500]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--compiled", action="store_true", help="compile with numba")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th program")
    parser.add_argument(
        "--shrink", type=float, default=60.0, help="seconds for making a failure smaller; 0: leave it"
    )
    parser.add_argument("--refusals", action="store_true", help="show each refusal with its line")
    parser.add_argument("--show", action="store_true", help="print the programs, run nothing")
    options = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    began = time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(options.start, options.start + options.programs, options.every):
            given = program(seed)
            if options.show:
                print(f"# {seed}\n{given.source.replace(HEADER, '')}")
                continue
            outcome = check(given, folder, compiled=options.compiled)
            counts[outcome.kind] += 1
            if outcome.kind == "refused":
                reasons[reason(outcome.detail)] += 1
                if options.refusals:
                    print(f"-- program {seed} refused: {outcome.detail}", flush=True)
            if outcome.failed:
                report(given, outcome, folder, compiled=options.compiled, seconds=options.shrink)
    print(f"\n{dict(counts)} in {time.time() - began:.0f} s")
    for text, count in reasons.most_common():
        print(f"  refused {count}: {text}")
    if any(counts[kind] for kind in FAILURES):
        sys.exit(1)


if __name__ == "__main__":
    main()
