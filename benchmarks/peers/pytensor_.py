"""PyTensor: a graph of symbols with static shapes, compiled by its numba backend; loops are `scan`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from problems import Problem

from . import functional


def cross_entropy(z: Any, labels: Any, c: Any) -> Any:
    return pt.sum(c * (pt.logsumexp(z, axis=1) - z[pt.arange(labels.type.shape[0]), labels]))


def loop(steps: int, step: Callable[[Any], Any], state: Any) -> Any:
    if not isinstance(state, tuple):
        return pytensor.scan(step, outputs_info=[state], n_steps=steps, return_updates=False)[-1]
    found = pytensor.scan(
        lambda *s: list(step(s)), outputs_info=list(state), n_steps=steps, return_updates=False
    )
    return tuple(values[-1] for values in found)


def scan(step: Callable[[Any, Any], tuple[Any, Any]], state: Any, rows: Any) -> tuple[Any, Any]:
    many = isinstance(rows, tuple)
    count = len(rows) if many else 1
    states = list(state) if isinstance(state, tuple) else [state]

    def body(*values: Any) -> list[Any]:
        row, before = values[:count], values[count:]
        after, _ = step(before if isinstance(state, tuple) else before[0], row if many else row[0])
        return list(after) if isinstance(after, tuple) else [after]

    found = pytensor.scan(
        body, sequences=list(rows) if many else [rows], outputs_info=states, return_updates=False
    )
    found = found if isinstance(found, list) else [found]
    # A row's result, where there is one, is its state.
    return tuple(values[-1] for values in found), found[0]


LIBRARY = functional.Library(
    np=pt,
    array=pt.as_tensor_variable,
    erf=pt.erf,
    cross_entropy=cross_entropy,
    logits=lambda z, y, c: pt.sum(c * (pt.softplus(z) - y * z)),
    cholesky=pt.linalg.cholesky,
    solve=lambda L, b: pt.linalg.solve_triangular(L, b, lower=True),
    put=lambda A, i, j, v: A[i, j].set(v),
    loop=loop,
    scan=scan,
    shape=lambda A: A.type.shape,
)
LOSSES = functional.losses(LIBRARY)


def prepare(problem: Problem, args: tuple[Any, ...]) -> Callable[[], Any]:
    """The graph is made, differentiated and compiled at the first call, so that it is timed as with others."""
    compiled: list[Any] = []
    values = [a if isinstance(a, int) else np.asarray(a) for a in args]
    data = [a for a in values if not isinstance(a, int)]

    def run() -> Any:
        if not compiled:
            symbols = [
                a if isinstance(a, int) else pt.tensor(f"a{k}", dtype=str(a.dtype), shape=a.shape)
                for k, a in enumerate(values)
            ]
            gradient = pytensor.grad(LOSSES[problem.name](*symbols), [symbols[k] for k in problem.wrt])
            inputs = [s for s in symbols if not isinstance(s, int)]
            compiled.append(pytensor.function(inputs, gradient, on_unused_input="ignore", trust_input=True))
        return compiled[0](*data)

    return run
