"""Pairs of texts, before and after a pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from random_programs import random_arguments, random_program, same_values

from pullback.ir.evaluate import evaluate
from pullback.ir.program import Program
from pullback.ir.text import parse, show
from pullback.ir.verify import verify

Pass = Callable[[Program], Program]


def example(before: str, after: str | None) -> tuple[str, str]:
    """A pair; None: the pass has nothing to do."""
    return before.strip(), (before if after is None else after).strip()


def check(run: Pass, before: str, after: str) -> None:
    result = verify(run(verify(parse(before))))
    assert show(result) == after
    assert run(result) == result, "a second run finds nothing more to do"


def programs(run: Pass, seed: int) -> None:
    """A random program computes the same numbers after the pass."""
    rng = np.random.default_rng(seed)
    before = verify(random_program(rng))
    after = verify(run(before))
    args = random_arguments(rng)
    assert same_values(evaluate(after, *args), evaluate(before, *args))
