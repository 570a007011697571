"""The options that say what is differentiated, checked where they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ir.adjoint.checkpoint import Schedule
from ..ir.errors import ArgumentError, TypeMismatch
from ..ir.program import Span
from ..runtime.options import schedule


def checked_argnums(argnums: Any, span: Span | None = None) -> int | tuple[int, ...]:
    """argnums as an integer, or as a tuple of them.

    Raises TypeMismatch for what is neither an integer nor a sequence of integers, ArgumentError for none at all.
    """
    if is_integer(argnums):
        return int(argnums)
    if isinstance(argnums, np.ndarray) and argnums.ndim < 2:
        argnums = argnums.tolist()
        if is_integer(argnums):
            return int(argnums)
    if not isinstance(argnums, (list, tuple, range)):
        raise TypeMismatch(f"argnums must be an integer or a tuple of integers, not {argnums!r}", span)
    for k in argnums:
        if not is_integer(k):
            raise TypeMismatch(f"argnums must be an integer or a tuple of integers, not {argnums!r}", span)
    if not argnums:
        raise ArgumentError("argnums is empty: name at least one argument, such as argnums=0", span)
    return tuple(map(int, argnums))


def positions(argnums: int | Sequence[int], count: int, span: Span | None = None) -> tuple[int, ...]:
    """argnums as positions among `count` arguments. Raises ArgumentError where there is none, or one twice."""
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for k in numbers:
        if not -count <= k < count:
            raise ArgumentError(
                f"argnums={argnums} is out of range: the call has {count} positional argument{'s' * (count != 1)}. "
                "Count from 0, and pass what is differentiated by position",
                span,
            )
    found = tuple(k % count for k in numbers)
    if len(set(found)) != len(found):
        raise ArgumentError(f"argnums={argnums} names an argument twice: name each once", span)
    return found


def checked_flag(name: str, value: Any, span: Span | None = None) -> bool:
    """An option that is True or False. Raises TypeMismatch for anything else but 0 and 1."""
    if isinstance(value, (bool, np.bool_)) or (is_integer(value) and value in (0, 1)):
        return bool(value)
    raise TypeMismatch(f"{name} must be True or False, not {value!r}", span)


def is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def checked_schedule(value: Any, span: Span | None = None) -> Schedule:
    """A schedule of checkpoints. Raises TypeMismatch for anything else."""
    try:
        return schedule("checkpoint", int(value) if is_integer(value) else value)
    except TypeError as error:
        raise TypeMismatch(str(error), span) from None
