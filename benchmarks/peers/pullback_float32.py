"""pullback with data of single precision: what that gains where memory is what a gradient waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from problems import Problem

from . import pullback_

KERNELS = (
    "rosenbrock", "logistic regression", "mlp", "chain tanh", "chain many", "jacobi_2d", "jacobi_2d slices", "fdtd_2d",
    "correlation",
)  # fmt: skip
"""Those that compute with arrays throughout."""

warm_up = pullback_.warm_up


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any] | None:
    if problem.name not in KERNELS:
        return None
    return pullback_.prepare(problem, tuple(map(single, args)))


def single(value: Any) -> Any:
    floats = isinstance(value, np.ndarray) and value.dtype == np.float64
    return value.astype(np.float32) if floats else value
