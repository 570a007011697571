"""Messages of refusals, and programs that follow their advice.

`templates` finds every message that the package refuses with, read from its source. `rows` reads data/advice/*.txt: for
each message a program that is refused with it and, under `--- instead`, one that does what the message says. A program
is the body of `f(x)`, or a text that defines `f`, or (where it is about calls of pb) statements that assert for
themselves; `# needs LIBRARY` in its first line says what else it imports. `python tests/tracer/advice.py` runs all
and prints what is wrong, and the messages that no row provokes; with `--write` it writes docs/messages.md, the table
for people.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import linecache
import re
import signal
import sys
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import pullback as pb
from pullback.calls.tree import flatten

ROOT = Path(__file__).parents[2]
ROWS = Path(__file__).parents[1] / "data" / "advice"
ROOMS = ("tracer", "ir", "api", "runtime")
CLASSES = {
    "PullbackError", "TypeMismatch", "ShapeMismatch", "UnsupportedFunction", "UnsupportedSyntax", "TracedValueError",
    "BoundsError", "ArgumentError", "NotFinite", "NeedConcrete", "NeedStatic", "NeedUnrolled", "Unlike",
    "ContainerChange",
}  # fmt: skip
MAKERS = {
    "error", "refuse", "refused", "_refuse", "_refused", "_refuse_order", "_refusal", "_unsupported", "mismatch",
    "dtype_error", "freed", "container_change", "own_error", "path_end",
}  # fmt: skip
"""Functions that put a message together from what they are given."""
LEAST = 10
"""So many characters of a message must be written in the source to tell it from others."""
MOST = 24
"""So many messages may be written as one text with alternatives in it."""

# -- messages, from the source of the package -----------------------------------------------------------

Parts = tuple["str | None", ...]
"""A text whose written parts are known; None for what is put in while running."""


@dataclass(frozen=True)
class Template:
    """One message as the source has it."""

    parts: Parts
    where: str

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(".*?".join(re.escape(" ".join(p.split())) for p in self.parts if p and p.strip()), re.DOTALL)

    def __str__(self) -> str:
        return " ".join("".join("{}" if p is None else p for p in self.parts).split())


def _joined(*parts: Parts) -> Parts:
    out: list[str | None] = []
    for p in (p for each in parts for p in each):
        if out and isinstance(out[-1], str) and isinstance(p, str):
            out[-1] += p
        elif not (out and out[-1] is None and p is None):
            out.append(p)
    return tuple(out)


def _alternatives(node: ast.AST, names: dict[str, list[ast.AST]]) -> list[Parts]:
    """The texts that an expression can be."""
    match node:
        case ast.Constant(value=str(text)):
            return [(text,)]
        case ast.JoinedStr(values=values):
            return [_joined(*each) for each in product(*(_alternatives(v, names) for v in values))][:MOST]
        case ast.FormattedValue(value=value):
            return _alternatives(value, names)
        case ast.BinOp(left=a, op=ast.Add(), right=b):
            return [_joined(*each) for each in product(_alternatives(a, names), _alternatives(b, names))][:MOST]
        case ast.IfExp(body=a, orelse=b):
            return [*_alternatives(a, names), *_alternatives(b, names)]
        case ast.BoolOp(values=values):
            return [each for v in values for each in _alternatives(v, names)]
        case ast.Name(id=name) if name in names:
            without = {k: v for k, v in names.items() if k != name}
            return [each for v in names[name] for each in _alternatives(v, without)][:MOST] or [(None,)]
        case ast.Starred(value=value):
            return _alternatives(value, names)
    return [(None,)]


def _bound(scope: ast.AST) -> dict[str, list[ast.AST]]:
    """The expressions that names of a function or module are bound to."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(scope) if isinstance(scope, ast.FunctionDef) else getattr(scope, "body", ()):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts))
                for name, value in pairs:
                    nothing = isinstance(value, ast.Constant) and value.value in ("", None)
                    if isinstance(name, ast.Name) and not nothing:
                        found.setdefault(name.id, []).append(value)
    return found


def _calls(node: ast.AST, names: dict[str, list[ast.AST]]) -> Iterator[tuple[ast.Call, dict[str, list[ast.AST]]]]:
    for child in ast.iter_child_nodes(node):
        inner = names | _bound(child) if isinstance(child, ast.FunctionDef) else names
        if isinstance(child, ast.Call):
            yield child, inner
        yield from _calls(child, inner)


def templates() -> list[Template]:
    """Every message that the package refuses with, once."""
    found: dict[str, Template] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for call, names in _calls(tree, _bound(tree)):
                name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
                if name not in CLASSES | MAKERS:
                    continue
                given = [*call.args, *(k.value for k in call.keywords)]
                if name == "NeedUnrolled":
                    del given[0]  # what loops are asked for; it is not shown
                for each in product(*(_alternatives(a, names) for a in given)):
                    parts = _joined(*(p for a in each for p in ((None,), a)))[1:]
                    template = Template(parts, f"{path.relative_to(ROOT)}:{call.lineno}")
                    if len("".join(p for p in template.parts if p)) >= LEAST:
                        found.setdefault(str(template), template)
    return list(found.values())


# -- rows -----------------------------------------------------------------------------------------------

X = np.array([0.5, -1.25, 2.25])


@dataclass(frozen=True)
class Row:
    """A part of a message, a program that is refused with it, and a program that follows its advice."""

    message: str
    refused: str
    instead: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.message}"

    @property
    def needs(self) -> str | None:
        """The library that both programs import and pullback does not depend on."""
        found = re.match(r"# needs (\w+)\n", self.refused)
        return found and found[1]


def rows() -> list[Row]:
    found = []
    for path in sorted(ROWS.glob("*.txt")):
        text = path.read_text(encoding="utf-8")
        starts = [*re.finditer(r"^=== (.*)\n", text, re.MULTILINE)]
        for start, end in zip(starts, [*(s.start() for s in starts[1:]), len(text)]):
            refused, _, instead = text[start.end() : end].partition("--- instead\n")
            line = text.count("\n", 0, start.start()) + 1
            found.append(Row(start[1].strip(), refused.strip("\n"), instead.strip("\n"), path.stem, line))
    return found


def program(text: str) -> str:
    """The module of a program: a body becomes that of `f(x)`."""
    try:
        compile(text, "a module", "exec")
    except SyntaxError:  # a return outside of a function
        return "def f(x):\n" + textwrap.indent(text, "    ")
    return text


def execute(text: str, file: str) -> dict[str, Any]:
    """The names of a program, which stands in a file of its own."""
    source = program(text) + "\n"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    module = sys.modules[file] = type(sys)(file)
    names = vars(module)
    names.update({"np": np, "pb": pb, "X": X.copy(), "close": np.testing.assert_allclose, "__file__": file})
    exec(compile(source, file, "exec"), names)
    return names


def refusal(row: Row) -> pb.PullbackError:
    """The error of the refused program. It has the message, and the user's file, line and source."""
    file = f"{row.file}_{row.line}.py"
    names: dict[str, Any] = {}
    try:
        names = execute(row.refused, file)
        if "f" in names:
            pb.jit(names["f"])(*names.get("args", (X.copy(),)))
    except pb.PullbackError as error:
        text = str(error)
        assert row.message in text, f"the message is: {text}"
        found = re.search(r'File "(.*)", line (\d+)\n    (.*)', text)
        if found:
            assert not Path(found[1]).is_relative_to(ROOT), f"shows a line of ours: {text}"
            assert found[3] == linecache.getline(found[1], int(found[2])).strip(), f"shows another line: {text}"
        else:
            frames = [f.filename for f in traceback.extract_tb(error.__traceback__)]
            assert "f" not in names and file in frames, f"no line of the user: {text}"
        return error
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} in place of a refusal: {error}") from error
    raise AssertionError("it is not refused")


def follow(row: Row) -> None:
    """The program that follows the advice runs. Values are Python's, derivatives those of finite differences."""
    assert row.instead, "nothing follows the advice"
    names = execute(row.instead, f"{row.file}_{row.line}_instead.py")
    if "f" not in names:
        assert re.search(r"\b(assert|close)\b", row.instead), "the program checks nothing"
        return
    f, args = names["f"], names.get("args", (X.copy(),))
    expected = f(*copy.deepcopy(args))
    same(pb.jit(f)(*args), expected)
    if any(getattr(leaf, "dtype", float) == np.float32 for leaf in flatten((expected, args))[0]):
        return
    ats = [k for k, a in enumerate(args) if any(_is_float(leaf) for leaf in flatten(a)[0])]
    if not ats or not any(_is_float(leaf) for leaf in flatten(expected)[0]):
        return
    for k in ats:
        assert isinstance(args[k], (float, np.ndarray)), "containers are checked by the program itself"
        at = np.array(args[k])
        bar = pb.grad(lambda a, k=k: _weighted(f(*args[:k], a, *args[k + 1 :])))(args[k])
        numeric = np.empty(at.shape)
        for i in np.ndindex(at.shape):
            step = np.zeros(at.shape)
            step[i] = 1e-6
            ends = (_weighted(f(*copy.deepcopy(args[:k]), _like(args[k], at + s), *copy.deepcopy(args[k + 1 :])))
                    for s in (step, -step))  # fmt: skip
            numeric[i] = (next(ends) - next(ends)) / 2e-6
        np.testing.assert_allclose(bar, numeric, 1e-5, 1e-7)


def _like(value: Any, at: np.ndarray) -> Any:
    return at if isinstance(value, np.ndarray) else float(at)


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, (float, np.floating)) or (isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f")


def _weighted(value: Any) -> Any:
    """One number of all floats of a result, whatever containers they are in."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        total = 0.0
        for k, part in enumerate(value):
            total = total + (0.5 + k) * _weighted(part)
        return total
    if value is None or isinstance(value, (str, bool, set)):
        return 0.0
    part = np.asarray(value)
    if part.dtype.kind != "f":
        return 0.0
    return np.sum(part * np.reshape(1.0 + np.arange(part.size) / 7.0, part.shape))


def same(found: Any, expected: Any) -> None:
    ours, theirs = flatten(found)[0], flatten(expected)[0]
    assert len(ours) == len(theirs), (found, expected)
    for a, b in zip(ours, theirs):
        if isinstance(b, (np.ndarray, np.generic, bool, int, float)):
            np.testing.assert_allclose(a, b, 1e-12)
        else:
            assert a == b, (a, b)


# -- the page -------------------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "messages.md"
TITLES = {
    "arrays": "Arrays and subscripts", "branches": "Branches", "compiled": "Compiled code", "forward": "Forward mode",
    "functions": "Functions of NumPy and Python", "inputs": "Arguments, globals and attributes",
    "linear_algebra": "Linear algebra", "lists": "Lists and other containers", "loops": "Loops",
    "managers": "`with`", "nested": "Transforms inside of transforms", "numba": "Code made for numba",
    "numbers": "Numbers", "peers": "Other libraries", "programs": "Programs and SymPy", "shapes": "Shapes",
    "statements": "Statements", "text": "Text", "transforms": "Transforms and options",
}  # fmt: skip


def page() -> str:
    """All rows for people: what is refused, the message, and what runs."""
    out = [
        "# Every message\n\nWhat pullback refuses, and what to write instead; [Errors explained](errors.md) has what "
        "most people meet. The tests run both programs of each: the first ends with the message, values and gradients "
        "of the second are compared with plain Python's and finite differences. `x` is an array of three numbers."
    ]
    previous = None
    for row in rows():
        if row.file != previous:
            out.append(f"## {TITLES.get(row.file, row.file.capitalize())}")
            previous = row.file
        out.append(f"```text\n{row.message}\n```")
        out += [f"```python\n{text}\n```" for text in (row.refused, f"# instead\n{row.instead}")]
    return "\n\n".join(out) + "\n"


def _too_long(*_: Any) -> None:
    raise TimeoutError("more than 20 seconds")


def main(words: list[str]) -> int:
    if words == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    signal.signal(signal.SIGALRM, _too_long)
    said, faults = [], 0
    with pb.options(jit=False, cache=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for row in rows():
            if words and not any(word in str(row) for word in words):
                continue
            if row.needs and importlib.util.find_spec(row.needs) is None:
                said.append(row.message)
                continue
            for check in (refusal, follow):
                signal.alarm(20)
                try:
                    error = check(row)
                    if error is not None:
                        said.append(" ".join(str(error).split()))
                except Exception as error:
                    faults += 1
                    print(f"{row}\n    {check.__name__}: {type(error).__name__}: {error}\n", flush=True)
                signal.alarm(0)
    if not words:
        left = [t for t in templates() if not any(t.pattern.search(text) for text in said)]
        for t in left:
            print(f"{t.where}: {t}")
        print(f"{len(templates())} messages, {len(left)} without a row; {len(rows())} rows, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
