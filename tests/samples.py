"""One test case per sample of every primitive; the programs are made by ir/samples.py."""

from __future__ import annotations

import pytest

from pullback.ir.primitive import REGISTRY
from pullback.ir.samples import inputs, programs, sample_program

__all__ = ["cases", "inputs", "programs", "sample_program"]


def cases() -> list:
    """One test case (operation, program, ranges of integers) per sample of every primitive."""
    found = []
    for op in REGISTRY.values():
        for sample in op.samples:
            found.append(pytest.param(op, *sample_program(op, sample), id=f"{op.name}({sample})"))
        for k, program in enumerate(programs(op)):
            if k >= len(op.samples):
                found.append(pytest.param(op, program, None, id=f"{op.name}#{k}"))
    return found
