"""Dense Jacobians of vectors, for solvers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.ravel import Ravel, is_float
from ..calls.tree import flatten
from ..tracer.calls import call_given
from ..tracer.session import current
from ..tracer.values.symbol import Symbol
from .composed import known_outside
from .jacobian import Chosen


class DenseJacobian:
    """The Jacobian of function(x, *args) by x as a matrix of float64: a row for each float of the result.

    It is made by the cheaper of forward and reverse mode, as `jacobian` chooses it.

    position  of x among the arguments
    rows      the form of the result, if it is to be that of something else
    """

    def __init__(self, function: Callable[..., Any], position: int = 0, rows: Ravel | None = None):
        self.position = position

        def floats(*args: Any) -> list[Any]:
            session = current()
            if session is None:
                value = function(*args)
            else:
                known_outside(session, function)
                value = call_given(function, args, {})
            if rows is None:
                return [leaf for leaf in flatten(value)[0] if _floating(leaf)]
            leaves = rows.leaves_of(value)
            return [leaves[k] for k, _ in rows.slots]

        floats.__name__ = getattr(function, "__name__", "the function")
        self.jacobian = Chosen(floats, position)

    def __call__(self, *args: Any) -> np.ndarray:
        columns = Ravel(args[self.position])
        rows = []
        for row in self.jacobian(*args):
            blocks = [np.asarray(b, np.float64) for b in flatten(row)[0]]
            sizes = [part.stop - part.start for _, part in columns.slots]
            flat = [b.reshape(-1, size) for b, size in zip(blocks, sizes, strict=True)]
            rows.append(flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1))
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _floating(leaf: Any) -> bool:
    return leaf.type.is_float if isinstance(leaf, Symbol) else is_float(leaf)
