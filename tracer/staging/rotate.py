"""A `while` whose test binds names becomes one that tests at the head of its body.

The test is evaluated once more than the body: what it binds then is there after the loop. A loop of a program tests
between its head and its body, and what is known after it is what was known at its head.
"""

from __future__ import annotations

import ast

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def rotate_tests(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements with `while (n := f(x)) > c:` written as `while True:` with `if not ...: break` in it.

    >>> print(ast.unparse(rotate_tests(ast.parse("while (n := f(x)) > 1: x = x / n").body)[0]))
    while True:
        if not (n := f(x)) > 1:
            break
        x = x / n
    """
    module = ast.Module(body, [])
    _Rotate().visit(module)
    return ast.fix_missing_locations(module).body


class _Rotate(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        return node if isinstance(node, _SCOPES) else super().visit(node)

    def visit_While(self, node: ast.While) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        if not any(isinstance(inner, ast.NamedExpr) for inner in ast.walk(node.test)):
            return node
        if node.orelse and _breaks(node.body):
            return node  # refused where the test turns out to change something
        leave = ast.If(ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test), [ast.Break()], [])
        loop = ast.copy_location(ast.While(ast.Constant(True), [ast.copy_location(leave, node), *node.body], []), node)
        return [loop, *node.orelse] if node.orelse else loop


def _breaks(body: list[ast.stmt]) -> bool:
    """Is there a break of the loop itself?"""
    for statement in body:
        if isinstance(statement, ast.Break):
            return True
        inside: tuple[str, ...] = () if isinstance(statement, _SCOPES) else ("orelse",)
        if not isinstance(statement, (ast.While, ast.For, *_SCOPES)):
            inside = ("body", "orelse", "finalbody")
        parts = [getattr(statement, name, []) for name in inside]
        parts += [handler.body for handler in getattr(statement, "handlers", [])]
        parts += [case.body for case in getattr(statement, "cases", [])]
        if any(map(_breaks, parts)):
            return True
    return False
