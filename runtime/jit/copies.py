"""Copies into arrays that are there: what `x.copy()` becomes where NumPy allocates the result (`outputs`)."""

from __future__ import annotations

import ast
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

NAME = "pullback.copies"
"""What sources call this module: one name with a dot, so that no variable has it."""


def swapped(tree: ast.Module) -> ast.Module:
    """As the modules that swap have it; the calls are there already."""
    return tree


@intrinsic
def into(context: Any, target: Any, source: Any) -> Any:
    """All elements of one array into another of the same type and sizes, both in one piece."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        there, here = (context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args, args))
        cgutils.raw_memcpy(builder, there.data, here.data, here.nitems, here.itemsize)
        return context.get_dummy_value()

    arrays = isinstance(target, types.Array) and isinstance(source, types.Array)
    if not arrays or target.layout != "C" or source.layout != "C" or target.dtype != source.dtype:
        return None
    return types.none(target, source), generate
