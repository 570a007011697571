"""Subscripts of compiled code are never negative, and numba is told so.

numba looks at every signed subscript whether it counts from the end. Generated code never does that, but where LLVM
cannot see it (a loop from `i + 1`, an offset that was read) the test stays in the loop, which then does not vectorise.
"""

from __future__ import annotations

import ast

from numpy import uint64

__all__ = ["swapped", "uint64", "useful"]

NAME = "pullback.subscripts"
"""What sources call this module: one name with a dot, so that no variable has it."""


def useful(source: str) -> bool:
    return "for " in source


def swapped(tree: ast.Module) -> ast.Module:
    """The source's tree with unsigned subscripts, on the same lines; those that count from 0 are plain enough.

    >>> print(ast.unparse(swapped(ast.parse('''
    ... for i in range(n):
    ...     for j in range(i + 1, n):
    ...         x[i, 0] = y[j, i - k]
    ... '''))))
    for i in range(n):
        for j in range(i + 1, n):
            x[i, 0] = y[pullback.subscripts.uint64(j), pullback.subscripts.uint64(i - k)]
    """
    return ast.fix_missing_locations(_Swap().visit(tree))


class _Swap(ast.NodeTransformer):
    def __init__(self) -> None:
        self.counters: set[str] = set()

    def visit_For(self, node: ast.For) -> ast.For:
        match node:
            case ast.For(ast.Name(name), ast.Call(ast.Name("range"), [_])):
                self.counters.add(name)
            case ast.For(ast.Name(name)):
                self.counters.discard(name)
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        self.generic_visit(node)
        if isinstance(node.value, ast.Attribute):
            return node  # a shape
        if isinstance(node.slice, ast.Tuple):
            node.slice.elts = [self._unsigned(item) for item in node.slice.elts]
        else:
            node.slice = self._unsigned(node.slice)
        return node

    def _unsigned(self, item: ast.expr) -> ast.expr:
        match item:
            case ast.Constant() | ast.Slice() | ast.UnaryOp():
                return item
            case ast.Name(name) if name in self.counters:
                return item
        cast = ast.Attribute(ast.Name(NAME, ast.Load()), "uint64", ast.Load())
        return ast.copy_location(ast.Call(cast, [item], []), item)
