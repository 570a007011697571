"""Make a failing program smaller: delete statements, unwrap blocks, simplify expressions, while it still fails."""

from __future__ import annotations

import ast
import copy
import time
from collections.abc import Callable, Iterator
from functools import partial


def shrink(source: str, fails: Callable[[str], bool], seconds: float = 60.0) -> str:
    """The smallest source found in the time for which `fails` holds; `source` itself must fail."""
    best = ast.unparse(ast.parse(source))
    until = time.time() + seconds
    if not fails(best):
        return source
    found = True
    while found and time.time() < until:
        found = False
        for candidate in _candidates(best):
            if time.time() >= until:
                break
            if len(candidate) < len(best) and fails(candidate):
                best, found = candidate, True
                break
    return best


def _candidates(source: str) -> Iterator[str]:
    """Sources with one change, the big changes first."""
    tree = ast.parse(source)
    blocks = [
        (number, name, len(getattr(node, name)))
        for number, node in enumerate(ast.walk(tree))
        for name in ("body", "orelse")
        if isinstance(getattr(node, name, None), list)
    ]
    for number, name, length in blocks:
        for width in (max(1, length // 2), 1):
            for at in range(0, length, width):
                yield from _changed(tree, number, partial(_delete, name, at, width))
            if width == 1:
                break
    for number, name, length in blocks:
        for at in range(length):
            for part in ("body", "orelse"):
                yield from _changed(tree, number, partial(_unwrap, name, at, part))
    places = [
        (number, field, k)
        for number, node in enumerate(ast.walk(tree))
        for field, value in ast.iter_fields(node)
        for k, child in enumerate(value if isinstance(value, list) else [value])
        if isinstance(child, ast.expr)
    ]
    for number, field, k in places:
        yield from _changed(tree, number, partial(_replace, field, k, ast.Constant(0.5)))
        for inner in range(6):
            yield from _changed(tree, number, partial(_hoist, field, k, inner))


def _changed(tree: ast.Module, number: int, change: Callable[[ast.AST], bool]) -> Iterator[str]:
    new = copy.deepcopy(tree)
    for k, node in enumerate(ast.walk(new)):
        if k == number:
            try:
                if change(node):
                    yield ast.unparse(ast.fix_missing_locations(new))
            except (AttributeError, TypeError, ValueError):
                pass
            return


def _delete(name: str, at: int, width: int, node: ast.AST) -> bool:
    body = getattr(node, name)
    deleted = body[at : at + width]
    if any(isinstance(s, ast.FunctionDef) and s.name == "f" for s in deleted):
        return False
    del body[at : at + width]
    if not body and name == "body" and not isinstance(node, ast.Module):
        body.append(ast.Pass())
        return not isinstance(deleted[0], ast.Pass)
    return True


def _unwrap(name: str, at: int, part: str, node: ast.AST) -> bool:
    """A block in the place of the statement that holds it; a loop's first value for its variable."""
    body = getattr(node, name)
    statement = body[at]
    if not isinstance(statement, (ast.If, ast.For, ast.While)):
        return False
    inner = getattr(statement, part)
    if not inner:
        return False
    before: list[ast.stmt] = []
    if isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
        before = [ast.Assign([statement.target], ast.Constant(1))]
    body[at : at + 1] = [*before, *inner]
    return True


def _child(node: ast.AST, field: str, k: int) -> ast.expr:
    value = getattr(node, field)
    return value[k] if isinstance(value, list) else value


def _replace(field: str, k: int, new: ast.expr, node: ast.AST) -> bool:
    old = _child(node, field, k)
    called = isinstance(node, ast.Call) and field == "func"
    stored = not isinstance(getattr(old, "ctx", ast.Load()), ast.Load)
    if called or stored or isinstance(old, (ast.Constant, ast.Slice)):
        return False
    if isinstance(getattr(node, field), list):
        getattr(node, field)[k] = new
    else:
        setattr(node, field, new)
    return True


def _hoist(field: str, k: int, inner: int, node: ast.AST) -> bool:
    """One of an expression's parts in its place."""
    parts = [c for c in ast.iter_child_nodes(_child(node, field, k)) if isinstance(c, ast.expr)]
    return inner < len(parts) and _replace(field, k, parts[inner], node)
