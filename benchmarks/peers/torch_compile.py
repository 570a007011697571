"""PyTorch with `torch.compile` on the loss; loops over time would be unrolled, and are left to eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from problems import Problem

from . import torch_

LOOPS = ("logistic map", "rk4", "n-body", "jacobi_2d", "jacobi_2d slices", "seidel_2d", "fdtd_2d")

warm_up = torch_.warm_up


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any] | None:
    return None if problem.name in LOOPS else torch_.prepare(problem, args, torch.compile)
