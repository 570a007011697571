"""Finding the source of a function, and making sure that it is what runs."""

from __future__ import annotations
import __future__

import ast
import copy
import dis
import functools
import inspect
import linecache
import operator
import re
import textwrap
import types
from typing import Any

from ...ir.program import Span
from .fence import refuse

TYPE_PARAMS: dict[str, Any] = {"type_params": []} if "type_params" in ast.FunctionDef._fields else {}


def arguments_of(names: list[str]) -> ast.arguments:
    return ast.arguments([], [ast.arg(n) for n in names], None, [], [], None, [])


def is_source_of(node: ast.FunctionDef | ast.Lambda, code: types.CodeType) -> bool:
    """Does this syntax tree compile to this code?"""
    body: list[ast.stmt]
    if isinstance(node, ast.Lambda):
        body = [ast.Return(node)]
    else:
        # Under another name: its own stays that of the global that a recursive call reads.
        plain = ast.FunctionDef("_checked_", node.args, node.body, [], None, None, **TYPE_PARAMS)
        body = [ast.copy_location(plain, node)]
    arguments = arguments_of(list(code.co_freevars))
    factory = ast.FunctionDef("_factory_", arguments, body, [], None, None, **TYPE_PARAMS)
    module = ast.fix_missing_locations(ast.Module([factory], []))
    features = functools.reduce(
        operator.or_, (getattr(__future__, n).compiler_flag for n in __future__.all_feature_names)
    )
    compiled = compile(module, code.co_filename, "exec", flags=code.co_flags & features, dont_inherit=True)
    (outer,) = (c for c in compiled.co_consts if isinstance(c, types.CodeType))
    found = [c for c in outer.co_consts if isinstance(c, types.CodeType)]
    return any(_same_code(c, code) for c in found)


def _same_code(a: types.CodeType, b: types.CodeType) -> bool:
    """Equal instructions on equal names and constants; where they stand in the file does not matter."""
    return _instructions(a) == _instructions(b)


def _instructions(code: types.CodeType) -> list[Any]:
    """What the code does. How a method is called depends on the imports around the function: left out."""
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    result: list[Any] = [tuple(map(_plain_name, parameters))]
    for step in dis.get_instructions(code):
        name, value = step.opname.replace("LOAD_METHOD", "LOAD_ATTR"), step.argval
        if name in ("PUSH_NULL", "PRECALL", "NOP", "EXTENDED_ARG", "CACHE"):
            continue
        if name == "KW_NAMES":  # which `dis` of Python 3.11 does not look up
            value = code.co_consts[step.arg or 0]
        elif step.opcode in dis.hasjrel or step.opcode in dis.hasjabs:
            value = None
        elif isinstance(value, types.CodeType):
            value = _instructions(value)
        elif isinstance(value, str):
            value = _plain_name(value.rpartition(".")[2])
        result.append((name, type(value).__name__, repr(value)))
    return result


def _plain_name(name: str) -> str:
    """Without the class that Python puts before a private name."""
    return re.sub(r"^_[A-Za-z]\w*?(?=__\w)", "", name)


def mangle(node: ast.AST, code: types.CodeType) -> None:
    """Give private names (`__x`) the prefix that Python gave them where it compiled the class around the function."""
    prefix = _class_prefix(node, code)
    if not prefix:
        return

    def mangled(name: str) -> str:
        return prefix + name if _is_private(name) else name

    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            inner.id = mangled(inner.id)
        elif isinstance(inner, ast.Attribute):
            inner.attr = mangled(inner.attr)
        elif isinstance(inner, ast.arg):
            inner.arg = mangled(inner.arg)
        elif isinstance(inner, (ast.FunctionDef, ast.ExceptHandler)) and inner.name and inner is not node:
            inner.name = mangled(inner.name)
        elif isinstance(inner, (ast.Global, ast.Nonlocal)):
            inner.names = [mangled(name) for name in inner.names]
        elif isinstance(inner, ast.alias):
            bound = inner.asname or (inner.name if "." not in inner.name else "")
            if mangled(bound) != bound:
                inner.asname = mangled(bound)


def _class_prefix(node: ast.AST, code: types.CodeType) -> str:
    """What stands before the private names of the syntax tree in its code: `_Class`, "" outside of classes."""
    private = {name for name in _names_of(node) if _is_private(name)}
    if not private:
        return ""
    for name in _all_names(code):
        for end in private:
            if name.startswith("_") and name.endswith(end) and name != end:
                return name.removesuffix(end)
    return ""


def _is_private(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__") and "." not in name


def _names_of(node: ast.AST) -> set[str]:
    found: set[str] = set()
    for inner in ast.walk(node):
        for field in ("id", "attr", "arg", "name", "asname"):
            name = getattr(inner, field, None)
            if isinstance(name, str):
                found.add(name)
    return found


def _all_names(code: types.CodeType) -> set[str]:
    found = {*code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _all_names(constant)
    return found


def has_assert(node: ast.AST) -> bool:
    """Test runners rewrite assert statements when they import a module."""
    return any(isinstance(inner, ast.Assert) for inner in ast.walk(node))


def span_of(file: str, line: int) -> Span:
    return Span(file, line, linecache.getline(file, line).strip())


def function_node(function: types.FunctionType) -> ast.FunctionDef | ast.Lambda | None:
    """The syntax tree of a function, with line numbers of its file."""
    try:
        lines, first = inspect.getsourcelines(function.__code__)  # of a function it would be what `wraps` names
    except (OSError, TypeError):
        return None
    if function.__code__.co_name == "<lambda>":
        return _lambda_node(function)
    source = textwrap.dedent("".join(lines))
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    node = tree.body[0]
    if not isinstance(node, ast.FunctionDef):
        if isinstance(node, ast.AsyncFunctionDef):
            refuse(function.__code__.co_filename, first, "async functions", "a plain function")
        return None
    ast.increment_lineno(node, first - 1)
    return node


def _lambda_node(function: types.FunctionType) -> ast.Lambda | None:
    """The lambda among those of the file whose code is this function's code (several may share a line)."""
    code = function.__code__
    candidates = [
        n for n in _lambdas_of("".join(linecache.getlines(code.co_filename)))
        if n.lineno <= code.co_firstlineno <= (n.end_lineno or n.lineno)
    ]  # fmt: skip
    # Lambdas that share a line are told apart by what they compile to; equal ones are one and the same here.
    return copy.deepcopy(next((n for n in candidates if is_source_of(n, code)), None))


@functools.lru_cache(maxsize=8)
def _lambdas_of(source: str) -> tuple[ast.Lambda, ...]:
    """All lambdas of a file. Staging changes the trees, so it gets copies."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ()
    return tuple(n for n in ast.walk(tree) if isinstance(n, ast.Lambda))
