"""Large arrays of compiled code get large pages, as NumPy's own do.

Fresh memory costs a page fault every 4 KiB, which at tens of megabytes is more than what is done with it. NumPy tells
Linux to use huge pages for what it allocates; numba does not. `empty` and `zeros` here tell so, and stand for NumPy's
when generated sources are made machine code. They are written in LLVM's language, because numba's own compile half a
dozen Python functions before they allocate, which took a third of the compile time of a small gradient.
"""

from __future__ import annotations

import ast
import re
import sys
from typing import Any

import llvmlite.ir as ll
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..lazy import lazy

NAME = "pullback.pages"
"""What sources call this module: one name with a dot, so that no variable has it."""

LARGE = 1 << 22
"""Bytes from which on it is done: NumPy's own limit."""

_PAGE = 4096
_HUGE = 14  # MADV_HUGEPAGE

_ALLOCATES = re.compile(r"\bnp\.(?:empty|zeros)\(")


def useful(source: str) -> bool:
    """Is there something to advise, and a system that takes the advice?"""
    return sys.platform.startswith("linux") and _ALLOCATES.search(source) is not None


def swapped(tree: ast.Module) -> ast.Module:
    """The source's tree with its allocations advised, on the same lines.

    >>> print(ast.unparse(swapped(ast.parse("x = np.empty(n)\\ny = np.zeros((n, m), np.float32)"))))
    x = pullback.pages.empty(n)
    y = pullback.pages.zeros_of((n, m), np.float32)
    """
    return ast.fix_missing_locations(_Swap().visit(tree))


class _Swap(ast.NodeTransformer):
    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        match node:
            case ast.Call(ast.Attribute(ast.Name("np"), "empty" | "zeros" as kind), [_] | [_, _], []):
                name = kind if len(node.args) == 1 else f"{kind}_of"
                own = ast.Attribute(ast.Name(NAME, ast.Load()), name, ast.Load())
                return ast.copy_location(ast.Call(own, node.args, []), node)
        return node


def _array(shape: Any, dtype: Any) -> Any:
    """The type of the array; None for what is no shape."""
    sizes = getattr(shape, "types", (shape,))  # of a tuple, or one number
    if not all(isinstance(each, types.Integer) for each in sizes):
        return None
    array: Any = types.Array
    return array(dtype, len(sizes), "C")


def _allocate(context: Any, builder: Any, array: Any, shape: Any, value: Any, zeros: bool) -> Any:
    arrayobj = lazy("numba.np.arrayobj")
    sizes = arrayobj._parse_shape(context, builder, shape, value)
    made = arrayobj._empty_nd_impl(context, builder, array, sizes)
    count = builder.mul(made.nitems, made.itemsize)
    made.data = _apart(builder, made.data, count)
    if zeros:
        cgutils.memset(builder, made.data, count, 0)
    return made._getvalue()


def _apart(builder: Any, data: Any, count: Any) -> Any:
    """The same address, advised, of which LLVM knows that no other array has it: loops need not test for overlaps.

    It would know of `malloc`, but not of what lies behind the header that numba allocates. The function is not to be
    looked into: inlined, its promise is lost. Nor may a branch stand beside the call: LLVM would write the call twice,
    once for large arrays and once for small ones, and not know any more which of the two an address is of.
    """
    byte = ll.PointerType(ll.IntType(8))
    function = builder.module.globals.get("pullback.fresh")
    if function is None:
        function = ll.Function(builder.module, ll.FunctionType(byte, [byte, count.type]), "pullback.fresh")
        function.linkage = "internal"
        function.return_value.add_attribute("noalias")
        for attribute in ("noinline", "optnone"):
            function.attributes.add(attribute)
        body = ll.IRBuilder(function.append_basic_block())
        if sys.platform.startswith("linux"):
            _advise(body, *function.args)
        body.ret(function.args[0])
    return builder.bitcast(builder.call(function, [builder.bitcast(data, byte), count]), data.type)


def _advise(builder: Any, data: Any, count: Any) -> None:
    """Linux is told of large memory that it may have large pages."""
    with builder.if_then(builder.icmp_unsigned(">=", count, count.type(LARGE)), likely=False):
        start = builder.ptrtoint(data, count.type)
        skipped = builder.sub(count.type(_PAGE), builder.urem(start, count.type(_PAGE)))
        kind = ll.FunctionType(ll.IntType(32), [count.type, count.type, ll.IntType(32)])
        madvise = cgutils.get_or_insert_function(builder.module, kind, "madvise")
        advice = ll.IntType(32)(_HUGE)
        builder.call(madvise, [builder.add(start, skipped), builder.sub(count, skipped), advice])


def _allocator(zeros: bool) -> tuple[Any, Any]:
    """Like np.empty or np.zeros: one takes a shape, one a shape and a dtype."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _allocate(context, builder, signature.return_type, signature.args[0], args[0], zeros)

    def of_floats(context: Any, shape: Any) -> Any:
        array = _array(shape, types.float64)
        return None if array is None else (array(shape), generate)

    def of(context: Any, shape: Any, dtype: Any) -> Any:
        found = lazy("numba.core.typing.npydecl").parse_dtype(dtype)
        array = None if found is None else _array(shape, found)
        return None if array is None else (array(shape, dtype), generate)

    return intrinsic(of_floats), intrinsic(of)


empty, empty_of = _allocator(zeros=False)
zeros, zeros_of = _allocator(zeros=True)
