"""What a loop hands from one iteration to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..outside.effects import MISSING


@dataclass
class Carried:
    """What is assumed of a carried value: dtype, weakness, and sizes (None: changes between iterations).

    A size that only the body has a name for is a form of names from outside, until it is written there.
    """

    dtype: str
    weak: bool
    dims: tuple[Any, ...] | None  # None: a scalar
    bound: bool = True  # has it a value on entry?
    fixed: Any = MISSING  # an object that only the body binds: carried is whether it has


class LoopTypeChange(Exception):  # noqa: N818
    """A value has another rank or kind after an iteration; the first iteration may be peeled.

    `optional`: what is None either on entry or after an iteration, where it lies and how it starts as what may be None.
    """

    def __init__(self, error: Exception, optional: tuple[Any, Callable[[], Any]] | None = None):
        super().__init__(str(error))
        self.error = error
        self.optional = optional
