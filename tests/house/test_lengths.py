"""Functions are short: at most 50 lines beside their docstring, and at most 20 branches."""

import ast

import pytest
from test_house import FILES, name_of

LINES, BRANCHES = 50, 20
LONG = {
    "api/command/demo.py:run": "a page of text, top to bottom",
    "runtime/sparse/set_loops.py:contents": "a loop of machine code with its state in locals",
    "runtime/sparse/set_loops.py:join": "a loop of machine code with its state in locals",
    "runtime/sparse/set_loops.py:run_code": "an interpreter: one arm for each instruction",
}
"""Those still above; this list only shrinks."""


def branches(node: ast.AST) -> int:
    """Conditions, loops, cases and handlers, but for those of functions inside."""
    count = 0
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            count += isinstance(child, (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.match_case))
            count += branches(child)
    return count


def long_functions(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > LINES or branches(node) > BRANCHES:
                found.append(node.name)
    return found


def test_functions_are_short():
    found = {f"{name_of(path)}:{name}" for path in FILES for name in long_functions(path.read_text())}
    assert sorted(found - LONG.keys()) == [], f"more than {LINES} lines or {BRANCHES} branches: split them"
    assert sorted(LONG.keys() - found) == [], "these are short now: take them off the list"


@pytest.mark.parametrize(
    "text, long",
    [
        ("def f():\n" + "    x = 1\n" * 50, ["f"]),
        ("def f():\n" + "    x = 1\n" * 49, []),
        ("def f():\n    '''\n" + "    word\n" * 60 + "    '''\n    return 1", []),
        ("def f(x):\n" + "    if x: x = 1\n" * 21, ["f"]),
        ("def f(x):\n    def g(x):\n" + "        if x: x = 1\n" * 21, ["g"]),
    ],
)
def test_what_is_long(text, long):
    assert long_functions(text) == long
