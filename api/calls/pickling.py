"""Transforms in other processes: how they are pickled, and what a fork must not catch in the middle.

What travels is the user's function and the arguments of the transform; traces and machine code come from the
disk cache at the other end. A decorated function is found under its own name, as functions are.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any


def reduced(transform: Any, *arguments: Any) -> str | tuple[Any, ...]:
    """What `__reduce__` returns for a transform of `transform.__wrapped__` made with these arguments.

    pickle finds functions by module and name. Where the module has this transform under the name of its
    function (a decorator put it there), the transform is found like that too; where it has another transform
    of the function, that one knows the function.
    """
    function, kind = transform.__wrapped__, type(transform)
    module, name = getattr(transform, "__module__", None), getattr(transform, "__qualname__", None)
    if module and name and not (module == "__main__" and _by_value()):
        there = _found(module, name)
        if there is transform:
            return name
        if hasattr(there, "_traceable") and there.__wrapped__ is function:
            return _inside, (kind, there, arguments)
    return kind, (function, *arguments)


def _inside(kind: Callable[..., Any], there: Any, arguments: tuple[Any, ...]) -> Any:
    return kind(there.__wrapped__, *arguments)


def _found(module: str, name: str) -> Any:
    try:
        return functools.reduce(getattr, name.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        return None


def _by_value() -> bool:
    """Is cloudpickle at work (joblib and loky have a copy of it)? It takes `__main__` along by value."""
    frame = sys._getframe(2)
    for _ in range(8):
        if frame is None:
            break
        if "cloudpickle" in frame.f_globals.get("__name__", ""):
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
