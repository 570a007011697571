"""One function of unknown code: what pullback says of it, against finite differences of the plain run."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import re
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from guess import floats, moved

import pullback as pb
from pullback.testing import check_grad

# What later versions will have: complex numbers, factorisations, transforms, order statistics. A refusal that names
# one of these is counted by itself.
MISSING = re.compile(
    r"complex|linalg\.(?!norm)|fft|\bsort|argsort|median|quantile|percentile|unique|searchsorted|digitize|histogram|"
    r"interp\b|lstsq|cholesky|scipy\.(signal|ndimage|interpolate|sparse|optimize|integrate|spatial|linalg)|partition|bessel|"
    r"setdiff|intersect1d|union1d|polyfit|roots|lexsort|special[\w.]* cannot|polynomial"
)


@dataclass(frozen=True)
class Verdict:
    """`kind`: right, refused, missing (refused, for what is listed as missing), internal, wrong, rough (not smooth)."""

    function: str
    kind: str
    text: str
    seconds: float
    arguments: str = ""

    def data(self) -> dict[str, Any]:
        return asdict(self)


def judge(name: str, f: Callable[..., Any], args: tuple[Any, ...], jit: bool) -> Verdict:
    """Differentiate f at these arguments, which its plain run takes."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    start, quiet = time.process_time(), io.StringIO()
    kept = copy.deepcopy(args)
    try:
        with (
            pb.options(jit=jit, cache=False), warnings.catch_warnings(), np.errstate(all="ignore"),
            contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet),
        ):  # fmt: skip
            warnings.simplefilter("ignore")
            kind, text = _compare(f, kept)
    except Exception as error:  # whatever it is: it is what a user would see
        kind, text = _of_error(error)
    shown = ", ".join(f"{type(a).__name__}{np.shape(a) if isinstance(a, np.ndarray) else ''}" for a in args)
    return Verdict(name, kind, text, round(time.process_time() - start, 2), shown)


def _compare(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, str]:
    try:
        check_grad(f, *args, directions=2)
    except AssertionError as error:
        text = str(error)
        if "do not settle" in text:
            return "rough", text[:300]
        if "gradient nan" in text and (at := _singular(f, args)):
            return "rough", at
        if "the gradient of" in text and (found := _looked_at_again(f, args)):
            return found
        if "check_grad" in text or "in NumPy" in text or "differ" in text:
            return "wrong", text[:1500]
        raise
    return "right", ""


def _singular(f: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Which derivative is not finite, if IEEE arithmetic makes the nan of it; "" if a program of its own does."""
    try:
        with pb.options(check_nan=True):
            y, pull = pb.vjp(f, *args)
            pull(y)
    except pb.PullbackError as error:
        text = str(error).partition("\n")[0]
        return f"singular: {text}" if "derivative of" in text else ""
    return ""


def _looked_at_again(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[str, str] | None:
    """A gradient that differs counts unless differences of larger steps agree, or it is right at all points around.

    Differences of small steps have no digits left in `x - 2451545.0`. A point at which a branch goes one way, and on
    all sides of it another way, has the derivative of its own branch.
    """
    _, pull = pb.vjp(f, *args)
    if all(_agrees(f, args, pull, seed, LARGE) for seed in (1, 2, 3)):
        return "right", "with larger steps"
    leaves = range(len(floats(f(*copy.deepcopy(args))) or []))
    if all(
        any(all(_agrees(f, args, pull, seed, steps, leaf) for seed in (1, 2, 3)) for steps in (LARGE, SMALL))
        for leaf in leaves
    ):
        return "rough", "a staircase: right between its steps"
    for seed in (1, 2, 3):
        try:
            check_grad(f, *moved(args, 1e-2, seed), directions=2)
        except AssertionError:
            return None
    return "rough", "right at all points around this one"


LARGE = tuple(0.1 * 0.5**k for k in range(10))
SMALL = (3e-9, 1e-9, 3e-10, 1e-10)


def _agrees(
    f: Callable[..., Any], args: tuple[Any, ...], pull: Callable[..., Any], seed: int, steps: tuple[float, ...],
    only: int | None = None,
) -> bool:  # fmt: skip
    """Is the gradient, of one of the results only, what differences of two of these steps give?"""
    rng = np.random.default_rng(seed)
    leaves = floats(f(*copy.deepcopy(args))) or []
    weights = np.concatenate([(only in (None, k)) * rng.standard_normal(leaf.size) for k, leaf in enumerate(leaves)])

    def along(step: float) -> float:
        points = [f(*moved(args, sign * step, seed)) for sign in (1.0, -1.0)]
        up, down = (np.concatenate([leaf.ravel() for leaf in floats(p) or []]) for p in points)
        return float(weights @ (up - down)) / (2.0 * step)

    def seeds(y: Any, rest: list[float]) -> Any:
        if isinstance(y, (tuple, list)):
            return type(y)(seeds(v, rest) for v in y)
        if not floats(y):
            return None
        size = np.size(y)
        taken, rest[:size] = rest[:size], []
        return np.reshape(taken, np.shape(y)) if np.shape(y) else taken[0]

    try:
        bars = pull(seeds(f(*copy.deepcopy(args)), list(weights)))
        gradient = 0.0
        for bar, one, two in zip(bars, moved(args, 0.5, seed), moved(args, -0.5, seed)):
            if bar is not None and isinstance(one, (float, np.ndarray)):
                gradient += float(np.sum(np.asarray(bar) * (np.asarray(one) - np.asarray(two))))
        slopes = [along(step) for step in steps]
        if steps is LARGE:  # extrapolated
            slopes = [(4.0 * half - whole) / 3.0 for whole, half in zip(slopes, slopes[1:])]
    except (TypeError, ValueError, ArithmeticError):
        return False
    rtol = 1e-4 if steps is LARGE else 1e-3
    good = [abs(slope - gradient) <= rtol * max(abs(gradient), abs(slope), 1e-9) for slope in slopes]
    return any(one and two for one, two in zip(good, good[1:]))


def _of_error(error: Exception) -> tuple[str, str]:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, pb.PullbackError):
        if "defect of pullback" in text:
            return "internal", text[:1500]
        return ("missing" if MISSING.search(text.partition("\n")[0]) else "refused"), text[:1500]
    frames = "".join(traceback.format_exception(error)[-6:])
    return "internal", f"{text[:600]}\n{frames[-1500:]}"
