"""HIPS autograd: NumPy's functions wrapped, the graph recorded at every call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd
import autograd.numpy as anp
import autograd.scipy.linalg
import autograd.scipy.special
from problems import Problem

from . import functional


def cross_entropy(z: Any, labels: Any, c: Any) -> Any:
    norm = autograd.scipy.special.logsumexp(z, axis=1)
    return anp.sum(c * (norm - z[anp.arange(len(labels)), labels]))


def put(A: Any, i: slice, j: slice, v: Any) -> Any:
    """There is no assignment: the matrix is put together from its parts."""
    top, bottom, _ = i.indices(A.shape[0])
    left, right, _ = j.indices(A.shape[1])
    middle = anp.concatenate([A[top:bottom, :left], v, A[top:bottom, right:]], axis=1)
    return anp.concatenate([A[:top], middle, A[bottom:]])


LIBRARY = functional.Library(
    np=anp,
    array=lambda a: a,
    erf=autograd.scipy.special.erf,
    cross_entropy=cross_entropy,
    logits=lambda z, y, c: anp.sum(c * (anp.logaddexp(0.0, z) - y * z)),
    cholesky=anp.linalg.cholesky,
    solve=lambda L, b: autograd.scipy.linalg.solve_triangular(L, b, lower=True),
    put=put,
    loop=functional.python_loop,
    scan=functional.python_scan(anp.stack),
)
LOSSES = functional.losses(LIBRARY)


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    gradient = autograd.grad(LOSSES[problem.name], problem.wrt)
    return lambda: gradient(*args)
