"""Large arrays of compiled code get large pages, as NumPy's own do.

Fresh memory costs a page fault every 4 KiB, which at tens of megabytes is more than what is done with it. NumPy tells
Linux to use huge pages for what it allocates; numba does not. `advised` tells so for `np.empty` and `np.zeros` of
generated sources, when they are made machine code.
"""

from __future__ import annotations

import ast
import re
import sys

import numpy as np
from numba import types

from . import support

NAME = "pullback.pages"
"""What sources call this module: one name with a dot, so that no variable has it."""

FUNCTIONS = {"empty": "advised", "zeros": "zeroed"}

LARGE = np.uint64(1 << 22)
"""Bytes from which on it is done: NumPy's own limit."""

_PAGE = np.uint64(4096)
_HUGE = np.int32(14)  # MADV_HUGEPAGE

_ALLOCATES = re.compile(r"\bnp\.(?:empty|zeros)\(")
_madvise = types.ExternalFunction("madvise", types.int32(types.uint64, types.uint64, types.int32))


def useful(source: str) -> bool:
    """Is there something to advise, and a system that takes the advice?"""
    return sys.platform.startswith("linux") and _ALLOCATES.search(source) is not None


def swapped(tree: ast.Module) -> ast.Module:
    """The source's tree with its allocations advised, on the same lines.

    >>> print(ast.unparse(swapped(ast.parse("x = np.empty(n)\\ny = np.zeros((n, m))"))))
    x = pullback.pages.advised(np.empty(n))
    y = pullback.pages.zeroed(np.empty((n, m)))
    """
    return ast.fix_missing_locations(_Swap().visit(tree))


class _Swap(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(ast.Name("np"), "empty" | "zeros" as kind):
                node.func.attr = "empty"
                done = ast.Attribute(ast.Name(NAME, ast.Load()), FUNCTIONS[kind], ast.Load())
                return ast.copy_location(ast.Call(done, [node], []), node)
        return node


@support.jitable
def advised(a):  # type: ignore[no-untyped-def]
    """The array, whose memory nothing has touched."""
    if np.uint64(a.nbytes) >= LARGE:
        start = np.uint64(a.ctypes.data)
        skipped = _PAGE - start % _PAGE
        _madvise(start + skipped, np.uint64(a.nbytes) - skipped, _HUGE)
    return a


@support.jitable
def zeroed(a):  # type: ignore[no-untyped-def]
    """The array, filled with zeros."""
    advised(a).fill(a.dtype.type(0))
    return a
