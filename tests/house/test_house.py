"""The house rules that a machine can check: who imports whom, complete declarations, short files."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pullback.codegen.emit.spelling import template
from pullback.ir import ops
from pullback.ir.ops.arith import CONVERT
from pullback.ir.primitive import REGISTRY
from pullback.runtime.lazy import LAZY

ROOT = Path(__file__).parents[2]
ROOMS = ("api", "tracer", "ir", "codegen", "runtime")
MAY_IMPORT = {
    "api": {"api", "tracer", "ir", "codegen", "runtime"},
    "tracer": {"tracer", "ir"},
    "codegen": {"codegen", "ir"},
    "ir": {"ir"},
    "runtime": {"runtime", "ir.errors", "ir.types"},
}
PACKAGES = {
    "api": {"numpy", "scipy", "sympy", "mpmath", "sklearn", "numba"},
    "tracer": {"numpy"},
    "codegen": {"numpy"},
    "ir": {"numpy"},
    "runtime": {"numpy", "numba", "llvmlite"},
}
ORDER = {
    "api": "missing stages | calls | sparse | transforms | adapters eager explain export inspection native scipy "
    "| testing | __init__ | command | __main__",
    "tracer": "__init__ depth memory_order naming | session | values | recursion snapshot staging | outside raising "
    "| objects | lists | drawn returned | calls | changes control | nested numpy staged_code | rules | trace",
    "ir": "types once | errors | program | names primitive | affine ops | build sizes | evaluate walk | calls text "
    "| draw samples verify | verify_level | pipeline | __init__ passes | adjoint | sparsity tangent vmap",
    "codegen": "index_maps primitives | analysis | emit loops memory | cotangents lower parallel | matmul | __init__",
    "runtime": "__init__ external lazy locks entry rewrite | collector intrinsics options timings "
    "| cache progress support | jit compile | sparse",
}
"""The sub-rooms and single modules of each room, bottom to top: each may import from those before a bar to its left."""
NAMES_ONLY = {
    ("ir/errors.py", "program"),  # an error shows a Span, and program raises errors
    ("ir/program.py", "primitive"),  # a Let holds a Primitive, whose rules are about programs
    ("ir/program.py", "draw"),  # Program.graph, which draw puts there
    ("tracer/outside/effects.py", "control"),  # which loop is traced
}
"""Imports against the order, of names for annotations alone."""
LONGEST = 500
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> list[str]:
    """The import path below `pullback`, with the room first: the files of api/ are pullback itself."""
    room, *rest = path.relative_to(ROOT).with_suffix("").parts
    return [*([] if room == "api" else [room]), *(p for p in rest if p != "__init__")]


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """What a file imports, as `ir.program` for our own modules, and the line."""
    here = module_of(path)
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", node.lineno
        elif isinstance(node, ast.ImportFrom):
            above = node.level - 1
            assert above <= len(package), f"{name_of(path)}:{node.lineno} reaches above the package"
            base = [*package[: len(package) - above], *(node.module.split(".") if node.module else ())]
            for alias in node.names:
                yield ".".join(["pullback", *base, *(() if node.module else (alias.name,))]), node.lineno


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_rooms(path):
    room = path.relative_to(ROOT).parts[0]
    for target, line in imports(path):
        parts = target.split(".")
        where = f"{name_of(path)}:{line} imports {target}"
        if parts[0] == "pullback":
            other = parts[1] if len(parts) > 1 and parts[1] in ROOMS else "api"
            allowed = MAY_IMPORT[room]
            assert other in allowed or ".".join(parts[1:3]) in allowed, where
        elif parts[0] not in sys.stdlib_module_names:
            assert parts[0] in PACKAGES[room], where


def level_of(room: str, part: str) -> int:
    levels = [names.split() for names in ORDER[room].split("|")]
    return next((k for k, names in enumerate(levels) if part in names), -1)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_order_inside_of_a_room(path):
    """Also those that only type checkers see, so that no two sub-rooms need each other."""
    room, part = path.relative_to(ROOT).with_suffix("").parts[:2]
    level = level_of(room, part)
    assert level >= 0, f"{room}/{part} has no place in ORDER"
    for target, line in imports(path):
        parts = target.split(".")
        other = parts[2:] if room != "api" else parts[1:]
        if parts[0] != "pullback" or (parts[1:2] != [room] if room != "api" else parts[1:2] and parts[1] in ROOMS):
            continue
        used = other[0] if other and level_of(room, other[0]) >= 0 else "__init__"
        fine = used == part or level_of(room, used) < level or (name_of(path), used) in NAMES_ONLY
        assert fine, f"{name_of(path)}:{line} imports {target}, which is not below it"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_import_hides_in_a_function(path):
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            for node in ast.walk(function):
                assert not isinstance(node, (ast.Import, ast.ImportFrom)), f"{name_of(path)}:{node.lineno}"


def test_every_folder_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in FILES}
    assert set(listed) == {".".join(["pullback", *(p.parts[1:] if p.parts[0] == "api" else p.parts)]) for p in folders}


MAY_NAME = {
    "runtime/lazy.py", "runtime/entry/abi.py", "api/__init__.py", "api/adapters/optional.py",
    "api/command/arguments.py", "runtime/intrinsics/special.py",
    "ir/evaluate.py", "ir/draw/graph.py",
}  # fmt: skip
"""Who imports by name: what keeps the list, the user's own modules, and libraries that need not be installed."""


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_that_wait_are_on_the_list(path):
    asked = set()
    for node in ast.walk(ast.parse(path.read_text())):
        name = getattr(node, "attr", getattr(node, "id", ""))
        by_name = name in ("import_module", "__import__")
        assert not by_name or name_of(path) in MAY_NAME, f"{name_of(path)}:{node.lineno}"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "lazy":
            assert isinstance(node.args[0], ast.Constant), f"{name_of(path)}:{node.lineno}"
            asked.add(node.args[0].value)
    assert asked <= set(LAZY)


def test_every_module_on_the_list_is_there():
    asked = {name for path in FILES for name in re.findall(r'\blazy\("([^"]*)"\)', path.read_text())}
    assert asked == set(LAZY)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_short(path):
    length = len(path.read_text().splitlines())
    assert length <= LONGEST, f"{name_of(path)} has {length} lines: it is two files"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_say_what_they_are_for(path):
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree), f"{name_of(path)} has no docstring"


@pytest.mark.process
def test_importing_pullback_is_quick():
    """SymPy, SciPy, numba and scikit-learn are loaded when they are needed."""
    code = "import sys, pullback; print(*sorted({'sympy', 'scipy', 'numba', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# -- declarations ------------------------------------------------------------------------------------

NO_SAMPLES = {"nonzero", "stop_gradient", "external"}
"""The result's size depends on values (test_evaluate.py); it is the derivative that is tested (test_rules.py)."""


NO_FORM = {"to_f32", "gammaincinv", "gammainccinv", "betaincinv", "stdtrit"}
"""Rounding, and inverse functions that SymPy does not have."""


@pytest.mark.parametrize("op", REGISTRY.values(), ids=repr)
def test_declarations_are_complete(op):
    operands = {int(k) for k in re.findall(r"\{(\d+)\}", op.text)}
    assert operands == set(range(len(operands))), "the text names each operand"
    assert op.samples or op.programs or op.name in NO_SAMPLES, "samples are tests"
    assert set(op.static) | set(op.sizes) | set(op.linear) <= operands
    assert not set(op.static) & set(op.sizes), "a size is a value, a static operand is not"
    if op.partials is not None:
        assert op.elementwise and len(op.partials) == len(operands)
    if op.elementwise:
        assert {int(k) for k in re.findall(r"\{(\d+)\}", template(op) or "")} <= operands
        assert op.sympy is not None or not op.differentiable or op.name in NO_FORM
    assert op.domain[0] < op.domain[1]


def test_each_primitive_is_declared_in_one_place():
    """Its name as a declaration's first argument, in a file of ir/ops, or among codegen's own."""
    declared: list[str] = []
    makers = {"Primitive", "elementwise", "unary", "_of_integers", "_unary", "_several"}
    files = [ROOT / "ir" / "ops" / f"{name}.py" for name in ops.__all__] + [ROOT / "codegen" / "primitives.py"]
    for path in files:
        tree = ast.parse(path.read_text())
        declared += [
            node.args[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and getattr(node.func, "id", "") in makers
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ]
    declared += [op.name for op in CONVERT.values()]
    assert sorted(declared) == sorted(REGISTRY)
