"""pullback itself: the problem's own function, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from problems import Problem

import pullback as pb


def warm_up() -> None:
    pb.grad(lambda x: np.sum(x * x))(np.ones(3))


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    gradient = pb.grad(problem.function, problem.wrt)
    return lambda: gradient(*args)
