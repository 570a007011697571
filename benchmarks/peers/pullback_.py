"""pullback itself: the problem's own function, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from problems import Problem

import pullback as pb
from pullback.runtime.compile import compile_source


def warm_up() -> None:
    pb.grad(lambda x: np.sum(x * x))(np.ones(3))


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    gradient = pb.grad(problem.function, problem.wrt)
    return lambda: gradient(*args)


def bare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    """The generated function itself, as numba dispatches it."""
    source = pb.grad(problem.function, problem.wrt).lower(*args).source
    function = compile_source(source, f"{problem.function.__name__}_grad")
    return lambda: function(*args)
