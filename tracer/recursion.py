"""Functions that call themselves: every call is inlined, so what ends the recursion must be known while tracing.

A size or an integer of the inputs that decides whether there is one more call is made static. What depends on other
traced values has no end that tracing could reach, and is refused.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.build import dim_atom
from ..ir.errors import UnsupportedSyntax
from ..ir.program import Var
from ..ir.types import I64
from .depth import deeper
from .session import Session
from .values.symbol import Array, Scalar, Symbol

DEEPEST = 1000
"""Calls of one function inside of each other."""
MOST = 5000
"""Recursive calls that one program is made of."""
ALIKE = 3
"""Calls inside of each other, under traced conditions, in which nothing has changed that tracing knows."""


_ADVICE = "each call becomes a part of the program. Write a loop instead of the recursion"


@dataclass(frozen=True)
class Activation:
    """A call that is being traced: how many conditions were open at its start, and what it was given."""

    code: types.CodeType
    open: int
    leaves: tuple[Any, ...]
    depth: int
    alike: int


@contextmanager
def activation(session: Session, function: types.FunctionType, args: Any, kwargs: dict[str, Any]) -> Iterator[None]:
    """The time in which a call of the user's function is traced.

    Raises UnsupportedSyntax where a recursion has no end that tracing can see.
    """
    code = function.__code__
    depth = alike = 0
    leaves = tuple(_leaves((args, tuple(kwargs.values()))))
    before = next((a for a in reversed(session.calls) if a.code is code), None)
    if before is not None:
        depth, alike = before.depth + 1, _alike(session, before, leaves, function.__qualname__)
        session.recursions += 1
        if depth >= DEEPEST or session.recursions >= MOST:
            what = f"calls itself {depth} deep" if depth >= DEEPEST else f"is called by itself {MOST} times"
            raise session.error(
                UnsupportedSyntax, f"{function.__qualname__}() {what}, which is too much to trace: {_ADVICE}"
            )
    session.calls.append(Activation(code, len(session.open), leaves, depth, alike))
    try:
        with deeper():
            yield
    finally:
        session.calls.pop()


def _alike(session: Session, before: Activation, leaves: tuple[Any, ...], name: str) -> int:
    """Make static what decides that there is another call; how many calls were as this one."""
    conditions = [c for c in session.open[before.open :] if c is None or c]  # empty: a number of trips that is known
    sources = frozenset[str]().union(*(c for c in conditions if c))
    if sources:
        session.pin(sources)
    if not conditions:
        return 0
    if len(leaves) == len(before.leaves):
        for old, new in zip(before.leaves, leaves):
            for a, b in zip(_integers(old), _integers(new)):
                if a != b and isinstance(a, Var):
                    session.concrete(a, f"the number that ends the recursion of {name}()", _ADVICE)
    if tuple(map(_known, before.leaves)) != tuple(map(_known, leaves)):
        return 0
    if before.alike + 1 >= ALIKE:
        raise session.error(
            UnsupportedSyntax,
            f"{name}() calls itself, and only traced values decide how often: tracing would not end. Write a `while` "
            "loop instead of the recursion",
        )
    return before.alike + 1


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
    else:
        yield value


def _integers(value: Any) -> list[Any]:
    """The integers that a recursion may count with: a number, or the sizes of an array."""
    if isinstance(value, Scalar):
        return [value.atom] if value.type == I64 else []
    return [dim_atom(d) for d in value.dims] if isinstance(value, Array) else []


def _known(value: Any) -> Any:
    """What tracing knows of an argument."""
    if isinstance(value, Symbol):
        return value.type
    if isinstance(value, (bool, int, float, str, bytes, np.generic, type(None))):
        return type(value), repr(value)
    return id(value)
