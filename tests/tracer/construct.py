"""Constructs of Python as small functions: `case(args)` puts one into the table of tests/tracer/test_constructs.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

V = np.array([0.5, -1.25, 2.0, 0.75])
M = np.array([[2.0, 0.5, -1.0], [0.25, 3.0, 0.5], [1.0, -0.5, 4.0]])


@dataclass
class Case:
    """A function, its arguments, and which of them are differentiated (those of floats)."""

    function: Callable[..., Any]
    args: tuple[Any, ...]

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


TABLE: list[Case] = []


def case(*args: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Put the function into the table."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        TABLE.append(Case(function, args))
        return function

    return register


def run(case: Case, transform: Callable[..., Any]) -> tuple[Any, list[Any]]:
    """The value, and the gradient with respect to all arguments of floats, by a transform of ours."""
    floats = tuple(k for k, a in enumerate(case.args) if is_float(a))
    return transform(case.function, argnums=floats)(*case.args)


def is_float(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def differences(case: Case, step: float = 1e-6) -> list[Any]:
    """The gradient by central differences of plain Python."""
    found: list[Any] = []
    for k, arg in enumerate(case.args):
        if not is_float(arg):
            continue
        flat = np.array(arg, dtype=float).reshape(-1)
        slope = np.empty_like(flat)
        for i in range(flat.size):
            ends = []
            for sign in (1.0, -1.0):
                moved = flat.copy()
                moved[i] += sign * step
                value = moved.reshape(arg.shape) if isinstance(arg, np.ndarray) else float(moved[0])
                ends.append(case.function(*case.args[:k], value, *case.args[k + 1 :]))
            slope[i] = (ends[0] - ends[1]) / (2.0 * step)
        found.append(slope.reshape(np.shape(arg)))
    return found
