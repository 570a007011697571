"""The helpers of generated code, for files that are exported: cut out of the runtime as text."""

from __future__ import annotations

import ast
import importlib.util
import re
from functools import lru_cache
from pathlib import Path

from ..ir.errors import IRError, UnsupportedFunction
from ..ir.primitive import REGISTRY

STANDARD = ("import ctypes", "import importlib", "import math", "import re")
"""The import lines of Python's own modules that may be needed."""
PLAIN = {
    "rmax": '''@jitable
def rmax(a, b):
    """np.maximum(a, b)."""
    return np.maximum(a, b)''',
    "rmin": '''@jitable
def rmin(a, b):
    """np.minimum(a, b)."""
    return np.minimum(a, b)''',
    "matmul": '''@jitable
def matmul(a, b, out, alpha=1.0):
    """out = alpha * a @ b."""
    out[:] = np.dot(np.ascontiguousarray(a), np.ascontiguousarray(b)) * alpha''',
    "add_matmul": '''@jitable
def add_matmul(a, b, out, alpha=1.0):
    """out += alpha * a @ b."""
    out += np.dot(np.ascontiguousarray(a), np.ascontiguousarray(b)) * alpha''',
}
"""In place of what reaches deep into numba and LLVM: slower, but it works with any version."""
SPECIAL = '''def {name}({arguments}):
    """scipy.special.{name}."""
    return scipy.special.{name}({arguments})


add_symbol("scipy_special_{name}", address("{name}", {arity}))
_{name} = types.ExternalFunction("scipy_special_{name}", types.float64({kinds}types.int32))


@overload({name})
def _{name}_compiled({arguments}):
    return lambda {arguments}: _{name}({arguments}, np.int32(0))'''
"""A function of scipy.special: compiled code calls the one that SciPy has compiled."""


def helpers(sources: list[str]) -> tuple[list[str], list[str]]:
    """The definitions that these sources need, and the sources without `support.` before their names."""
    used = sorted({name for source in sources for name in re.findall(r"\bsupport\.(\w+)", source)})
    taken = {name for source in sources for name in re.findall(r"(?<!\.)\b[A-Za-z_]\w*", source)}
    needed: list[str] = []
    for name in used:
        _require(name, needed)
    chosen = [_text(n) for n in _ordered(needed)]
    for name in needed:
        if name in taken and name in used:  # a variable of the user's has this name
            chosen = [re.sub(rf"\b{name}\b", f"{name}_helper", text) for text in chosen]
            sources = [re.sub(rf"\bsupport\.{name}\b", f"support.{name}_helper", text) for text in sources]
    return chosen, [re.sub(r"\bsupport\.", "", source) for source in sources]


def _require(name: str, needed: list[str]) -> None:
    """Add what a helper mentions, and the helper."""
    texts = _statements()
    if name in needed:
        return
    text = _text(name)
    needed.append(name)
    for mentioned in sorted({node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}):
        if mentioned in texts and mentioned not in needed:
            _require(mentioned, needed)


def _text(name: str) -> str:
    """The definition of a helper; raises IRError if there is none."""
    if name in PLAIN:
        return PLAIN[name]
    if name in _statements():
        return _statements()[name]
    if name == "external":
        raise UnsupportedFunction(
            "a function that pb.register was given, or a solver of pb.root, lives in this process: what calls it "
            "cannot be exported. Write it in plain NumPy"
        )
    op = REGISTRY.get(name)
    if op is None or op.numpy != f"scipy.special.{name}":
        raise IRError(f"generated code calls support.{name}, which no helper defines")
    arity = len(op.partials or ())
    return SPECIAL.format(
        name=name, arity=arity, arguments=", ".join("abcd"[:arity]), kinds="types.float64, " * arity
    )  # fmt: skip


def _ordered(names: list[str]) -> list[str]:
    """In the order of the file they are from, the common decorator first."""
    order = [n for n in _statements() if n in names]
    return [*order, *(n for n in names if n not in order)]


@lru_cache(maxsize=1)
def _statements() -> dict[str, str]:
    """The top-level definitions of what generated code calls; what overloads a function belongs to it."""
    found: dict[str, str] = {}
    for module in ("support", "intrinsics.linalg", "intrinsics.order", "intrinsics.special"):
        name = f"{__name__.partition('.')[0]}.runtime.{module}"
        spec = importlib.util.find_spec(name)  # read, not imported: it loads numba
        assert spec is not None and spec.origin is not None
        texts = _definitions(Path(spec.origin).read_text(encoding="utf-8"))
        found |= {n: f"@jitable\n{t}" if module != "support" and t.startswith("def ") else t for n, t in texts.items()}
    return found


def _definitions(source: str) -> dict[str, str]:
    lines = source.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(source).body:
        names: list[str] = []
        first = node.lineno
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            names = [node.name]
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            names = [e.id for e in ast.walk(target) if isinstance(e, ast.Name)]
        text = "\n".join(lines[first - 1 : node.end_lineno])
        overloaded = re.match(r"@(?:overload|type_callable|lower_builtin)\((\w+)", text)
        if overloaded:
            found[overloaded[1]] += "\n\n\n" + text
        for name in names:
            if not overloaded and not name.startswith("__"):
                found[name] = text
    return found


def imports_of(text: str) -> list[str]:
    """The import lines that a module with this text needs, numpy's excepted."""
    names = ("intrinsic", "lower_builtin", "overload", "register_jitable", "type_callable")
    extending = [n for n in names if re.search(rf"\b{n}\b", text)]
    numba = ["njit", *(["types"] if re.search(r"\btypes\.", text) else [])]
    return [
        *(line for line in STANDARD if re.search(rf"\b{line.removeprefix('import ')}\.", text)),
        *(["import scipy.special"] if "scipy.special." in text else []),
        *(["from llvmlite.binding import add_symbol"] if "add_symbol(" in text else []),
        f"from numba import {', '.join(numba)}",
        *([f"from numba.extending import {', '.join(extending)}"] if extending else []),
    ]
