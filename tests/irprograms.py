"""The programs of tests/programs/*.ir, with arguments for them.

A line `# with n=4, k=1, idx=[0, 2]` before a `def` gives sizes and integer arguments; floats are random.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np

from pullback.ir import Program, parse
from pullback.ir.verify import verify

FOLDER = Path(__file__).parent / "programs"


def load() -> dict[str, tuple[Program, dict]]:
    """Each program by `file/name`, and what its `with` line says."""
    found = {}
    for path in sorted(FOLDER.glob("*.ir")):
        for block in re.split(r"\n\n+(?=def |# with)", path.read_text()):
            if "def " in block:
                program = verify(parse(block))
                header = re.search(r"^# with (.*)$", block, re.M)
                found[f"{path.stem}/{program.name}"] = program, settings_of(header[1] if header else "")
    return found


def settings_of(text: str) -> dict:
    """What `n=4, idx=[0, 2]` says."""
    call = ast.parse(f"dict({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {k.arg: ast.literal_eval(k.value) for k in call.keywords}


def arguments(program: Program, settings: dict, rng: np.random.Generator) -> list:
    """Random floats in (0.3, 1.2), and the integers that the settings give."""
    args = []
    for param in program.params:
        if param.type.is_float:
            shape = tuple(d if isinstance(d, int) else settings.get(d, 3) for d in param.type.dims)
            args.append(rng.uniform(0.3, 1.2, shape).astype(param.type.numpy)[()])
        else:
            args.append(np.asarray(settings[param.name], param.type.numpy)[()])
    return args
