"""The pattern of a program's Jacobian, from the program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.errors import UnsupportedFunction
from ..ir.program import Program
from ..ir.sparsity.flow import dependences
from ..ir.sparsity.rules import Unsized
from ..ir.sparsity.values import Depends
from ..runtime.sparse.sets import Sets, TooLarge
from .pattern import Pattern


def detected(program: Program, params: Sequence[Any], wrt: Sequence[int], count: int) -> Pattern:
    """The pattern of the first `count` results by the parameters `wrt`, for all floats of these sizes.

    Raises UnsupportedFunction if the size of a result depends on floats, or the pattern is too large to be kept.
    """
    columns = sum(int(np.size(params[k])) for k in wrt)
    sets = Sets(columns)
    flow = dependences(program, params, wrt, sets)
    blocks = []
    for value, result in zip(flow.results[:count], program.results):
        if isinstance(value, Depends) and not value.whole:
            blocks.append(value.sets.reshape(-1))
            continue
        try:
            blocks.append(np.zeros(int(np.prod(flow.rules.shape(result), dtype=np.int64)), np.int64))
        except Unsized:
            raise UnsupportedFunction(
                "how many numbers the function returns depends on values, so its Jacobian has no pattern. Return an "
                "array of a fixed size, such as np.where(mask, x, 0.0) in place of x[mask]"
            ) from None
    handles = np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
    try:
        offsets, numbers = sets.contents(handles)
    except TooLarge:
        raise UnsupportedFunction(
            "the pattern has more than 2**28 entries: it is not sparse. Leave sparsity away"
        ) from None
    return Pattern((handles.size, columns), offsets, numbers, tuple(flow.notes))
