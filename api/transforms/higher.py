"""Dense Jacobians of vectors, for solvers: composed of the reverse mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.ravel import Ravel
from ..calls.tree import flatten
from ..tracer.session import current
from .composed import known_outside
from .gradient import Gradient
from .vjp import vjp


def _inner(bars: Any, v: Any) -> Any:
    """The sum of products of the leaves that are floats."""
    total = 0.0
    directions, tree = flatten(v)
    for bar, direction in zip(tree.take(bars), directions):
        if bar is not None:
            total = total + np.sum(bar * direction)
    return total


class DenseJacobian:
    """The Jacobian of function(x, *args) by x as a matrix of float64: a row for each float of the result.

    Rows are pulled back one by one. Where there are more of them than columns, columns are pushed forward:
    u -> <v, pull(u)> is linear, and its gradient is the Jacobian times v.

    position  of x among the arguments
    rows      the form of the result, if it is to be that of something else
    """

    def __init__(self, function: Callable[..., Any], position: int = 0, rows: Ravel | None = None):
        self.function = function
        self.position = position
        self.rows = rows

        def push(u: Any, v: Any, *args: Any) -> Any:
            session = current()
            if session is not None:
                known_outside(session, function)
            _, pull = vjp(function, *args)
            return _inner(pull(u)[position], v)

        self._column = Gradient[..., Any](push, 0)

    def __call__(self, *args: Any) -> np.ndarray:
        y, pull = vjp(self.function, *args)
        rows, columns = self.rows or Ravel(y, "the result"), Ravel(args[self.position])
        out = np.empty((rows.size, columns.size))
        if rows.size <= 2 * columns.size:
            for k, seed in enumerate(np.eye(rows.size)):
                out[k] = columns.ravel(pull(rows.unravel(seed))[self.position])
        else:
            for k, direction in enumerate(np.eye(columns.size)):
                out[:, k] = rows.ravel(self._column(y, columns.unravel(direction), *args))
        return out
