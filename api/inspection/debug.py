"""`debug`: the generated forward and backward programs, uncompiled and in order, for a debugger to step through."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..calls.tree import flatten
from ..codegen import Written
from ..ir.adjoint.reverse_mode import split_adjoint
from ..ir.errors import PullbackError
from ..ir.passes import optimise
from ..ir.program import Program
from ..runtime import options
from ..runtime.compile import compile_source
from ..stages import Compilation, text_of
from ..transforms.base import Transform
from ..transforms.vjp import Sweeps, own_count, traceable_of

__all__ = ["debug"]

Stop = str | int | None


def debug(
    function: Callable[..., object], *args: object, stop: Stop = None, seed: object = None, **kwargs: object
) -> Any:
    """Run a function and its reverse sweep as plain Python: (value, cotangents of the arguments), as `vjp` gives them.

    Both are the generated code, in files of their own, so `pdb.runcall(pb.debug, f, x)` steps through them, a
    breakpoint of an editor stops there, and `stop` does without either:

    stop  "forward" or "backward": `breakpoint()` before the first line of that program; a line number of the
          function's file: before all that was generated from this line, in both programs
    seed  the cotangent of the value; ones if it is None

    Raises ValueError if nothing was generated from that line. Errors keep their traceback through the generated
    lines.

    >>> debug(lambda x: x * x, 3.0)
    (9.0, (6.0,))
    """
    traceable = function._traceable if isinstance(function, Transform) else traceable_of(function)
    try:
        form, params, _, tree = traceable.find(args, kwargs)
    except PullbackError as error:  # says all; our frames would only hide it
        raise error.with_traceback(None) from None
    sweeps = Sweeps(form, tree)
    both = split_adjoint(form.program, sweeps.wrt, own_count(form), checkpoint=options.current().checkpoint)
    sweeps.use(*_stoppable([optimise(p) for p in both], stop))
    run, effects = sweeps.forward, sweeps.effects
    values = run(*params) if effects is None else effects.run(run, params, flatten((args, kwargs))[0])
    y = sweeps.value(values)
    if seed is None:
        leaves, out = flatten(y)
        seed = out.unflatten([np.ones_like(leaf) if isinstance(leaf, np.ndarray) else 1.0 for leaf in leaves])
    return y, sweeps.pull(values)(seed)


def _stoppable(sweeps: Sequence[Program], stop: Stop) -> list[Callable[..., Any]]:
    """The programs as Python functions, with breakpoints in their text."""
    written = [Compilation(program).lines() for program in sweeps]
    if stop is not None:
        places = [_places(lines, stop, name) for lines, name in zip(written, ("forward", "backward"))]
        if not any(places):
            known = sorted({part.span.line for lines in written for line in lines for part in line.parts if part.span})
            raise ValueError(
                f"debug: there is nothing to stop at for stop={stop!r}: give 'forward', 'backward', or one of the "
                f"lines {', '.join(map(str, known))}"
            )
        written = [_with_breakpoints(lines, set(at)) for lines, at in zip(written, places)]
    folder = options.current().cache_dir
    return [
        compile_source(text_of(lines), program.name, jit=False, cache_dir=folder)
        for lines, program in zip(written, sweeps)
    ]


def _places(lines: Sequence[Written], stop: Stop, name: str) -> list[int]:
    """Before which lines to stop: the first of the function, or where each run of lines from one user's line begins."""
    head = next(k for k, line in enumerate(lines) if line.text.startswith("def "))
    if isinstance(stop, str):
        return [next(k for k in range(head + 1, len(lines)) if not _is_comment(lines[k]))] if stop == name else []
    from_it = [
        k > head and not _is_comment(line) and any(p.span and p.span.line == stop for p in line.parts)
        for k, line in enumerate(lines)
    ]
    return [k for k, found in enumerate(from_it) if found and not _follows(lines, from_it, k)]


def _follows(lines: Sequence[Written], from_it: Sequence[bool], k: int) -> bool:
    """Is the line before, comments aside, from the same line and in the same block?"""
    before = k - 1
    while before and _is_comment(lines[before]):
        before -= 1
    return from_it[before] and _indent(lines[before]) == _indent(lines[k])


def _with_breakpoints(lines: Sequence[Written], places: set[int]) -> list[Written]:
    result: list[Written] = []
    for k, line in enumerate(lines):
        if k in places:
            result.append(Written(f"{' ' * _indent(line)}breakpoint()"))
        result.append(line)
    return result


def _is_comment(line: Written) -> bool:
    return re.match(r"\s*(#|$)", line.text) is not None


def _indent(line: Written) -> int:
    return len(line.text) - len(line.text.lstrip())
