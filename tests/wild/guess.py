"""Find arguments that a function of unknown code takes: by trying, as its author's tests would.

What counts is that plain Python runs it, with other random numbers with the same result, that it has floats, all
finite, and that it changes with a float argument. Names of parameters say what to try first; then all
combinations of a few kinds.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import itertools
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

TRIES = 90
SECONDS = 2  # of the processor, for one plain run
ASLEEP = 5  # times as long by the clock, on a machine that others use too


class TooLong(Exception):  # noqa: N818
    """The plain run took more than its time."""


def _symmetric(rng: np.random.Generator) -> np.ndarray:
    m = rng.uniform(0.1, 0.9, (3, 3))
    return m @ m.T + 2.0 * np.eye(3)


KINDS: dict[str, Callable[[np.random.Generator], Any]] = {
    "number": lambda rng: float(rng.uniform(0.3, 0.9)),
    "vector": lambda rng: rng.uniform(0.3, 0.9, 5),
    "three": lambda rng: rng.uniform(0.3, 0.9, 3),
    "matrix": _symmetric,
    "points": lambda rng: rng.uniform(0.3, 0.9, (5, 3)),
    "integer": lambda rng: int(rng.integers(2, 5)),
    "integers": lambda rng: rng.integers(0, 3, 5),
    "list": lambda rng: [float(v) for v in rng.uniform(0.3, 0.9, 4)],
    "large": lambda rng: float(rng.uniform(20.0, 300.0)),
    "two": lambda rng: rng.uniform(0.3, 0.9, 2),
    "four": lambda rng: rng.uniform(0.3, 0.9, 4),
    "image": lambda rng: rng.uniform(0.3, 0.9, (8, 8)),
    "bool": lambda rng: True,
    "function": lambda rng: _of_numbers,
    "batch": lambda rng: rng.uniform(0.3, 0.9, (2, 6, 6, 2)),
}
HINTS = {
    "integer": (
        "n", "k", "m", "num", "order", "steps", "size", "count", "max_iter", "iterations", "degree", "dim", "axis",
        "index", "i", "j",
    ),
    "matrix": ("a", "matrix", "cov", "p", "q", "r", "f", "h", "rot", "transform", "sigma", "mat", "w", "weights"),
    "vector": ("x", "y", "z", "data", "v", "vector", "t", "time", "values", "array", "signal", "u", "theta"),
    "points": ("points", "vertices", "samples", "coords", "rgb", "positions"),
    "function": ("func", "function", "fun", "f", "callback", "objective", "cost", "g"),
    "large": ("temperature", "temp", "pressure", "wavelength", "frequency", "fs"),
    "image": ("image", "img", "grid", "field"),
}  # fmt: skip


def _of_numbers(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooLong in this block after so many seconds of the processor (main thread, POSIX)."""

    def ring(*_: object) -> None:
        raise TooLong

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, ASLEEP * seconds))
    old = [signal.signal(number, ring) for _, number, _ in timers]
    try:
        for timer, _, limit in timers:
            signal.setitimer(timer, limit)
        yield
    finally:
        for (timer, number, _), before in zip(timers, old):
            signal.setitimer(timer, 0.0)
            signal.signal(number, before)


@contextlib.contextmanager
def _filled() -> Iterator[None]:
    """np.empty gives nan: what a function never writes is then no finite result of it."""
    made = {name: getattr(np, name) for name in ("empty", "empty_like")}

    def filling(make: Callable[..., Any]) -> Callable[..., Any]:
        def filled(*args: Any, **kwargs: Any) -> Any:
            array = make(*args, **kwargs)
            if array.dtype.kind == "f":
                array[...] = np.nan
            return array

        return filled

    try:
        for name, make in made.items():
            setattr(np, name, filling(make))
        yield
    finally:
        for name, make in made.items():
            setattr(np, name, make)


def run_plain(f: Callable[..., Any], args: tuple[Any, ...], seed: int = 0) -> Any:
    """The function on copies of its arguments, quiet, with random numbers of this seed."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    quiet = io.StringIO()
    with (
        warnings.catch_warnings(), np.errstate(all="ignore"), limited(SECONDS), _filled(),
        contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet),
    ):  # fmt: skip
        warnings.simplefilter("ignore")
        return f(*copy.deepcopy(args))


def floats(value: Any) -> list[np.ndarray] | None:
    """The float leaves of a result; None if something in it is no number, array or container of them."""
    if isinstance(value, (tuple, list)):
        parts = [floats(v) for v in value]
    elif isinstance(value, dict):
        parts = [floats(v) for v in value.values()]
    elif value is None or isinstance(value, (bool, int, str, np.bool_, np.integer)):
        return []
    elif isinstance(value, (float, np.floating)) or type(value) is np.ndarray:
        array = np.asarray(value)
        if array.dtype.kind == "f":
            return [array]
        return [] if array.dtype.kind in "biu" else None
    else:
        return None
    return None if any(p is None for p in parts) else [leaf for p in parts for leaf in p or []]


def _flat(value: Any) -> np.ndarray | None:
    leaves = floats(value)
    if not leaves:
        return None
    flat = np.concatenate([leaf.ravel() for leaf in leaves])
    return flat if flat.size and np.all(np.isfinite(flat)) and np.max(np.abs(flat)) < 1e12 else None


def moved(args: tuple[Any, ...], step: float, seed: int = 0) -> tuple[Any, ...]:
    """The arguments with all floats a little further, in a direction that the seed chooses."""
    rng = np.random.default_rng(seed)

    def move(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return type(value)(move(v) for v in value)
        if not (isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")):
            return value
        there = value + step * rng.uniform(0.5, 1.5, np.shape(value))
        return there if isinstance(value, np.ndarray) else float(there)

    return tuple(map(move, args))


def _combinations(names: list[str], rng: np.random.Generator) -> Iterator[tuple[str, ...]]:
    hinted = [[kind for kind, words in HINTS.items() if n.lower().strip("_") in words] for n in names]
    first = tuple(h[0] if h else "number" for h in hinted)
    yield first
    yield tuple(h[0] if h else "vector" for h in hinted)
    for kind in ("number", "vector", "three", "matrix", "points", "list", "large", "two", "image"):
        yield (kind,) * len(names)
    common = ("number", "vector", "matrix", "integer")
    if len(names) <= 3:
        yield from itertools.product(common, repeat=len(names))
    kinds = list(KINDS)
    while True:
        yield tuple(
            h[0] if h and rng.random() < 0.5 else kinds[int(rng.integers(len(kinds)))] for h in hinted
        )


def arguments(f: Callable[..., Any], seed: int) -> tuple[Any, ...] | None:
    """Arguments for the parameters without defaults (one more, if all have some), or None."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return None
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in plain if p.default is p.empty] or plain[:1]
    if not needed or len(needed) > 9:
        return None
    rng = np.random.default_rng(seed)
    slow, seen = 0, set()
    for kinds in itertools.islice(_combinations([p.name for p in needed], rng), 3 * TRIES):
        if kinds in seen:
            continue
        seen.add(kinds)
        if len(seen) > TRIES or slow > 2:
            return None
        args = tuple(KINDS[k](rng) for k in kinds)
        try:
            value = _flat(run_plain(f, args))
            if value is None or not floats(args):
                continue
            again, other = _flat(run_plain(f, args, seed=1)), _flat(run_plain(f, moved(args, 1e-3)))
        except TooLong:
            slow += 1
            continue
        except (Exception, SystemExit, RecursionError):  # not what it takes
            continue
        if (
            again is not None and np.array_equal(value, again)
            and other is not None and other.shape == value.shape and not np.array_equal(value, other)
        ):  # fmt: skip
            return args
    return None
