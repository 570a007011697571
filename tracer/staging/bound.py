"""The code of a staged function: bound to a user's closure, and under the user's names."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

CONTROL = "_pb_"
REGION = "<region>"
"""What ends the qualified name of the code of a loop body or an arm: it is a part of the function around it."""


class StagedSource:
    """The rewritten code of one function, ready to be bound to any closure over the same code."""

    def __init__(self, code: types.CodeType, file: str, first_line: int):
        self.code = code
        self.file = file
        self.first_line = first_line

    def bind(self, function: types.FunctionType, control: Any) -> Callable[..., Any]:
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or ()))
        cells[CONTROL] = types.CellType(control)
        closure = tuple(cells[name] for name in self.code.co_freevars)
        staged = types.FunctionType(
            self.code, function.__globals__, function.__name__, function.__defaults__, closure
        )
        staged.__qualname__ = function.__qualname__  # wrong arguments are told in its name
        staged.__kwdefaults__ = function.__kwdefaults__
        return staged


def renamed(code: types.CodeType, name: str, qualname: str, thunks: list[str]) -> types.CodeType:
    """The code under the user's names, which stand in messages of Python's own and in tracebacks."""
    constants: list[Any] = []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            own = constant.co_name
            if own in thunks:  # a part of this function
                constant = renamed(constant, name, f"{qualname.removesuffix('.' + REGION)}.{REGION}", thunks)
            else:
                constant = renamed(constant, own, f"{qualname.removesuffix('.' + REGION)}.<locals>.{own}", thunks)
        constants.append(constant)
    return code.replace(co_name=name, co_qualname=qualname, co_consts=tuple(constants))
