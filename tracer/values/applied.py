"""Calls of what a function means on symbols, with the arguments that the function itself would take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ...ir.errors import PullbackError, TypeMismatch, UnsupportedFunction
from ..session import Session


@functools.lru_cache(maxsize=2048)
def _signature(function: Any) -> tuple[inspect.Signature | None, int, int]:
    """The parameters, and how few and how many arguments fit that are given by position alone."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):  # in C, and it does not say
        return None, 0, 0
    params = found.parameters.values()
    plain = [p for p in params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in plain)
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in params):
        return found, 1, 0
    return found, needed, 1000 if any(p.kind is p.VAR_POSITIONAL for p in params) else len(plain)


def apply(
    session: Session, function: Any, name: str, implementation: Callable[..., Any], args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:  # fmt: skip
    """What the function means, called. Raises TypeMismatch for arguments that the function does not take."""
    try:
        signature, few, many = _signature(function)
    except TypeError:  # not hashable
        signature, few, many = None, 0, 0
    if signature is not None and (kwargs or not few <= len(args) <= many):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise session.error(TypeMismatch, f"{name}(): {error}. It is {name}{signature}") from None
    try:
        return implementation(*args, **kwargs)
    except TypeError as error:
        trace = error.__traceback__
        if isinstance(error, PullbackError) or trace is None or trace.tb_next is not None:
            raise
    raise session.error(UnsupportedFunction, _not_taken(name, signature, implementation, args, kwargs))


def _not_taken(
    name: str, signature: inspect.Signature | None, implementation: Callable[..., Any], args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> str:  # fmt: skip
    """Which of the arguments a function takes, but not on symbols."""
    own, _, many = _signature(implementation)
    names = [] if own is None else [n for n in kwargs if n not in own.parameters]
    if not names and signature is not None:
        names = list(signature.parameters)[many : len(args)]
    if not names:
        return f"{name}() with {len(args) + len(kwargs)} arguments cannot be traced: leave out those that have defaults"
    return f"{name}({', '.join(n + '=...' for n in names)}) cannot be traced: leave {names[0]} out"
