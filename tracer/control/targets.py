"""What stands for a target in staged code: whatever statement binds it, the tracer does it."""

from __future__ import annotations

import types
from typing import Any

from ..outside.effects import DELETED
from ..values.symbol import require_session


class Outer:
    """Variables of scopes outside of a traced function: those that it declares `global` or `nonlocal`."""

    __slots__ = ("_function_",)
    _function_: types.FunctionType

    def __init__(self, function: types.FunctionType):
        object.__setattr__(self, "_function_", function)

    def __setattr__(self, name: str, value: Any) -> None:
        require_session().hidden.bind_free(self._function_, name, value)

    def __delattr__(self, name: str) -> None:
        require_session().hidden.bind_free(self._function_, name, DELETED)
