"""Messages of refusals, and programs that follow their advice.

`messages` finds every text that the package refuses with. Each has an entry in ADVICE (a fragment of the message, a
program that is refused with it, the program that follows its advice), or is in data/advice_not_yet.txt, which only
shrinks. `python tests/tracer/advice.py` prints the messages that have neither.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import pullback as pb

ROOT = Path(__file__).parents[2]
NOT_YET = Path(__file__).parents[1] / "data" / "advice_not_yet.txt"
ROOMS = ("tracer", "ir", "api")
CLASSES = {"TypeMismatch", "ShapeMismatch", "UnsupportedFunction", "UnsupportedSyntax", "TracedValueError",
           "BoundsError", "ArgumentError"}  # fmt: skip
REFUSING = {"error", "refuse", "refused", "_refuse"}
LEAST = 12

X = np.array([0.5, -1.25, 2.0])
Program = Callable[[], Any]
ADVICE: tuple[tuple[str, Program, Program], ...] = (
    ("give the function itself, not its value", lambda: pb.grad(np.sum(X)), lambda: pb.grad(np.sum)(X)),
    ("name at least one argument, such as argnums=0",
     lambda: pb.grad(np.sum, argnums=()), lambda: pb.grad(np.sum, argnums=0)(X)),
    ("argnums must be an integer or a tuple of integers",
     lambda: pb.grad(np.sum, argnums=1.5), lambda: pb.grad(np.sum, argnums=(0,))(X)),
    ("must be True or False, not ", lambda: pb.grad(np.sum, has_aux="yes"), lambda: pb.grad(np.sum, has_aux=False)(X)),
    ("Sum it, or use y, pull = pb.vjp(f, *args)",
     lambda: pb.grad(lambda x: 2.0 * x)(X), lambda: pb.vjp(lambda x: 2.0 * x, X)[1](np.ones(3))),
    ("the rows of the list differ in shape", lambda: pb.jit(lambda x: np.array([[x[0]], [x[0], x[1]]]))(X),
     lambda: pb.jit(lambda x: np.array([[x[0], 0.0], [x[0], x[1]]]))(X)),
)  # fmt: skip


def _texts(node: ast.AST) -> list[str]:
    """The written parts of a text: of f-strings those between the braces."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def messages() -> Iterator[str]:
    """The longest written part of every message that the package refuses with."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in CLASSES | REFUSING:
                    longest = max((t for a in node.args for t in _texts(a)), key=len, default="")
                    if len(longest) >= LEAST:
                        yield " ".join(longest.split())


def without_advice() -> list[str]:
    """Messages that no entry of ADVICE is about."""
    return sorted({m for m in messages() if not any(fragment in m or m in fragment for fragment, _, _ in ADVICE)})


if __name__ == "__main__":
    known = set(NOT_YET.read_text(encoding="utf-8").splitlines()) if NOT_YET.exists() else set()
    print("\n".join(m for m in without_advice() if m not in known))
