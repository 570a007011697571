"""Pairs of programs, before and after a pass, as text: a file a pass, `pairs/<pass>.txt` beside its room's tests.

    [case what it shows]
    [with n=4, k=2]             sizes and integers for the random arguments; sizes are 3 otherwise
    [cotangents x_bar, x_bar_1] names that the adjoint pass would have marked
    [before]
    def f(x: f64[n]) -> f64: ...
    [after]
    def f(x: f64[n]) -> f64: ...

`pytest --update-pairs` writes what comes after anew; what comes before is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from irprograms import settings_of

from pullback import codegen
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.passes import CLEANUP
from pullback.ir.passes.unroll import unroll
from pullback.ir.pipeline import Context
from pullback.ir.program import Program
from pullback.ir.text import parse, show
from pullback.ir.verify import verify

Run = Callable[[Program], Program]
HERE = Path(__file__).parent
ROOMS = {"ir": HERE / "ir" / "passes" / "pairs", "codegen": HERE / "codegen" / "pairs"}


def gradient(program: Program) -> Program:
    """The adjoint pass, with seeds, by all floats."""
    return adjoint(program, [k for k, param in enumerate(program.params) if param.type.is_float])


def passes() -> dict[str, Run]:
    """Every pass by its room and name: those of the pipelines, the adjoint, and what unrolls before it."""
    found: dict[str, Run] = {"ir/adjoint": gradient, "ir/unroll": unroll}
    context = Context(bounds_check=False)
    for step in (*CLEANUP, *codegen.PIPELINE):
        function = getattr(codegen, step.name, None)
        room = "codegen" if function and function.__module__.startswith("pullback.codegen.") else "ir"
        found[f"{room}/{step.name}"] = partial(step.run, context=context)
    return found


def file_of(name: str) -> Path:
    room, _, rest = name.partition("/")
    return ROOMS[room] / f"{rest}.txt"


@dataclass(frozen=True)
class Case:
    """One pair. What the pass leaves as it is has nothing after."""

    title: str
    before: str
    after: str
    settings: str = ""
    cotangents: str = ""

    @property
    def program(self) -> Program:
        return verify(parse(self.before, re.findall(r"\w+", self.cotangents)))

    def __str__(self) -> str:
        head = [f"[case {self.title}]"]
        head += [f"[with {self.settings}]"] if self.settings else []
        head += [f"[cotangents {self.cotangents}]"] if self.cotangents else []
        return "\n".join([*head, "[before]", self.before, "[after]", self.after]) + "\n"


def read(path: Path) -> tuple[str, list[Case]]:
    """What stands above the first case, and the cases."""
    intro, *blocks = re.split(r"^\[case (?=.*\]$)", path.read_text(), flags=re.MULTILINE)
    return intro, [case for block in blocks for case in _case(block)]


def _case(block: str) -> Iterator[Case]:
    head, before, after = re.split(r"^\[before\]\n|^\[after\]\n?", block, flags=re.MULTILINE)
    title, *rest = head.splitlines()
    fields = dict(line.strip("[]").split(" ", 1) for line in rest)
    yield Case(
        title[:-1], before.strip("\n"), after.strip("\n"), fields.get("with", ""), fields.get("cotangents", "")
    )


def run(step: Run, case: Case) -> Program:
    return verify(step(case.program))


def update(name: str) -> None:
    """Write what comes after anew."""
    intro, cases = read(file_of(name))
    step = passes()[name]
    done = [replace(case, after=show(run(step, case))) for case in cases]
    file_of(name).write_text(intro + "\n".join(map(str, done)))


def arguments(program: Program, case: Case, rng: np.random.Generator) -> list[object]:
    """Random numbers in (0.3, 1.2); integers and sizes as the case says."""
    settings = settings_of(case.settings)
    args: list[object] = []
    for param in program.params:
        shape = tuple(dim if isinstance(dim, int) else settings.get(dim, 3) for dim in param.type.dims)
        if param.type.is_float:
            args.append(rng.uniform(0.3, 1.2, shape).astype(param.type.numpy)[()])
        elif param.type.dtype == "bool":
            args.append((rng.random(shape) < 0.5)[()])
        else:
            args.append(np.broadcast_to(np.asarray(settings.get(param.name, 2), param.type.numpy), shape)[()].copy())
    return args
