"""What a function raises is what its own Python raises: class, arguments, message and the user's frames.

Compiled code only says that a check failed. Then the function itself is run with the same arguments, which are copied
as far as it might write to them; what it raises is let through, without our frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .frames import without_our_frames
from .ir.errors import IRError, PullbackError
from .tree import flatten


def own_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> BaseException:
    """The exception to raise for one that tracing or compiled code raised for these arguments."""
    if isinstance(error, PullbackError) or _is_numbas(error):
        return for_user(error)
    try:
        _run(function, args, kwargs)
    except BaseException as own:
        return without_our_frames(own)
    return for_user(error)


def for_user(error: Exception) -> Exception:
    """An error of compiled code: the user's own (an index, an assert) without our frames; numba's, explained."""
    if _is_numbas(error):
        why = str(error).strip().partition("\n")[0]
        return IRError(
            "numba does not compile what pullback generated. This is a defect of pullback: please report it with the "
            f"function. pb.options(jit=False) runs it uncompiled. ({type(error).__name__}: {why})"
        )
    return error.with_traceback(None)


def _is_numbas(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in ("numba", "llvmlite")


def _run(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    leaves, tree = flatten((args, kwargs))
    copies: dict[int, Any] = {}
    for leaf in leaves:
        if isinstance(leaf, np.ndarray):
            copies.setdefault(id(leaf), np.array(leaf, copy=True, subok=True))
    given, named = tree.unflatten([copies.get(id(leaf), leaf) for leaf in leaves])
    with np.errstate(all="ignore"):  # compiled code does not warn
        function(*given, **named)
