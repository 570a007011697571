"""What a function raises is what its own Python raises: class, arguments, message and the user's frames.

Compiled code only says that a check failed. Then the function itself is run with the same arguments, which are copied
as far as it might write to them; what it raises is let through, without our frames.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.errors import BoundsError, IRError, PullbackError, ShapeMismatch, TypeMismatch, UnsupportedFunction
from ..ir.program import Span
from .frames import without_our_frames
from .tree import flatten


def own_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> BaseException:
    """The exception to raise for one that compiled code raised for these arguments."""
    own = python_error(function, args, kwargs, error)
    if own is not None:
        return own
    kind = _REFUSALS.get(type(error))
    check = _CHECK.fullmatch(str(error))  # a check's text has its line, a defect's has none
    if check and type(error) in _OF_TYPES:
        file, line = getattr(getattr(function, "__code__", None), "co_filename", ""), int(check["line"])
        there = linecache.getline(file, line).strip() == check["text"]
        return UnsupportedFunction(
            f"pullback stops at a check that Python does not make for these arguments: {_named(error)}. "
            "What the code asks of a value has another answer while it is traced: pass in what it decides",
            Span(file, line, check["text"]) if there else None,
        )
    if kind is None:
        return for_user(error)
    return kind(
        f"pullback stops at a check that Python does not make for these arguments: {error}. A size or an index that "
        "only a run knows has to fit as it is: no axis of such a size is stretched from 1. Call np.broadcast_to, or "
        "index with a number, before"
    )


def python_error(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> BaseException | None:
    """What Python itself raises for the arguments for which tracing or compiled code raised `error`, if it does."""
    if isinstance(error, PullbackError) or _is_numbas(error):
        return None
    try:
        _run(function, args, kwargs)
    except BaseException as own:
        return without_our_frames(own)
    return None


_REFUSALS: dict[type[BaseException], type[PullbackError]] = {
    ValueError: ShapeMismatch, IndexError: BoundsError, TypeError: TypeMismatch,
}  # fmt: skip
"""The classes of checks that pullback makes of its own accord, and those of refusals."""
_CHECK = re.compile(r".*\(line (?P<line>\d+): (?P<text>.*)\)", re.DOTALL)
_OF_TYPES = {AssertionError, AttributeError, KeyError, NotImplementedError, RuntimeError}
"""The classes of what a program raises that asks what its values are."""


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


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
