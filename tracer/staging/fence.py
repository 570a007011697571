"""Refuse Python that cannot be staged: where it stands, what it is, what to write instead."""

from __future__ import annotations

import ast
import linecache
from typing import NoReturn

from ...ir.errors import UnsupportedSyntax
from ...ir.program import Span

REFUSED: dict[type[ast.AST], tuple[str, str]] = {
    ast.AsyncFor: ("async for", "a plain loop"),
    ast.AsyncWith: ("async with", "plain statements"),
    ast.Await: ("await", "a plain call"),
    ast.ClassDef: ("a class definition", "a class outside of the traced function"),
    ast.AsyncFunctionDef: ("an async function", "a plain function"),
}
if hasattr(ast, "TryStar"):
    REFUSED[ast.TryStar] = ("except*", "a plain except")


_JUMPS = (ast.Return, ast.Break, ast.Continue)


def refuse(file: str, line: int, what: str, instead: str) -> NoReturn:
    span = Span(file, line, linecache.getline(file, line).strip())
    raise UnsupportedSyntax(f"pullback cannot trace {what}. Write {instead} instead", span)


def check_syntax(node: ast.AST, file: str) -> None:
    statements = {id(inner.value) for inner in ast.walk(node) if isinstance(inner, ast.Expr)}
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Yield, ast.YieldFrom)) and id(inner) not in statements:
            refuse(file, inner.lineno, "yield as an expression, whose value is sent to it", "yield as a statement")
        final = inner.finalbody if isinstance(inner, ast.Try) else []
        if any(isinstance(n, _JUMPS) for part in final for n in ast.walk(part)):
            refuse(file, final[0].lineno, "a jump out of finally", "it behind the try statement")
        found = REFUSED.get(type(inner))
        if found is not None:
            refuse(file, getattr(inner, "lineno", 0), *found)
