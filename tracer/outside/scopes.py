"""`globals()` and its like, which look at the scope of who calls: in staged code that is the user's function."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from ...ir.errors import UnsupportedSyntax
from ..values.symbol import require_session

SCOPES: tuple[Any, ...] = (globals, locals, vars, dir)
"""Functions that without arguments look at the scope of who calls."""


class Globals(dict[str, Any]):
    """What `globals()` gives in staged code: to read from."""

    def __init__(self, function: types.FunctionType):
        super().__init__(function.__globals__)
        self.function = function

    def __getitem__(self, name: str) -> Any:
        return require_session().hidden.free(self.function, name, super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401


def scope_of(function: Any, caller: types.FunctionType) -> Callable[[], Globals]:
    """What the call without arguments is in the user's function."""
    if function is not globals:
        raise require_session().error(
            UnsupportedSyntax, f"{function.__name__}() without arguments cannot be traced. Write the names out"
        )
    return lambda: Globals(caller)
