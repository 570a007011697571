"""PyTorch, eager: the graph is recorded at every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from problems import Problem

from . import functional

torch.set_num_threads(1)


def put(A: Any, i: slice, j: slice, v: Any) -> Any:
    A = A.clone()
    A[i, j] = v
    return A


LIBRARY = functional.Library(
    np=torch,
    array=torch.from_numpy,
    erf=torch.erf,
    cross_entropy=lambda z, labels, c: torch.sum(
        c * torch.nn.functional.cross_entropy(z, labels, reduction="none")
    ),
    logits=lambda z, y, c: torch.nn.functional.binary_cross_entropy_with_logits(
        z, y, weight=c, reduction="sum"
    ),
    cholesky=torch.linalg.cholesky,
    solve=lambda L, b: torch.linalg.solve_triangular(L, b[:, None], upper=False)[:, 0],
    put=put,
    loop=functional.python_loop,
    scan=functional.python_scan(torch.stack),
)
LOSSES = functional.losses(LIBRARY)


def warm_up() -> None:
    x = torch.ones(3, requires_grad=True)
    torch.autograd.grad(torch.sum(x * x), x)


def prepare(
    problem: Problem, args: tuple[Any, ...], change: Callable[[Any], Any] = lambda loss: loss
) -> Callable[[], Any]:
    loss = change(LOSSES[problem.name])
    data = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]
    for k in problem.wrt:
        data[k] = torch.as_tensor(data[k], dtype=torch.float64).requires_grad_()
    wrt = [data[k] for k in problem.wrt]
    return lambda: torch.autograd.grad(loss(*data), wrt)
