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

import pullback as pb
from pullback.testing import check_grad

# What later versions will have: complex numbers, factorisations, transforms, order statistics. A refusal that names
# one of these is counted by itself.
MISSING = re.compile(
    r"complex|linalg|fft|\bsort|argsort|median|quantile|percentile|unique|searchsorted|digitize|histogram|interp\b|"
    r"lstsq|cholesky|scipy\.(signal|ndimage|interpolate|sparse|optimize|integrate|spatial|linalg)|partition|bessel|"
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
        if "check_grad" in text or "in NumPy" in text or "differ" in text:
            return "wrong", text[:1500]
        raise
    return "right", ""


def _of_error(error: Exception) -> tuple[str, str]:
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, pb.PullbackError):
        if "defect of pullback" in text:
            return "internal", text[:1500]
        return ("missing" if MISSING.search(text) else "refused"), text[:1500]
    frames = "".join(traceback.format_exception(error)[-6:])
    return "internal", f"{text[:600]}\n{frames[-1500:]}"
