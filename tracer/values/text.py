"""Text of traced values: only what is printed, logged or raised may contain it.

Text is made while a function is traced, and the program computes with numbers that are there later: `len(f"{x}")`
would be the length of a symbol's name. So a symbol gives its text only where nothing can be computed from it.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..session import Session, current

REPORTERS = frozenset((
    "print", "debug", "info", "warning", "warn", "error", "critical", "exception", "log",
))  # fmt: skip
"""Names under which reporters are called; `is_reporter` then looks at what is called."""
_READERS = frozenset(("logging", "traceback", "pdb", "bdb", "IPython", "_pytest", "_pydevd_bundle", "debugpy"))
"""Modules that show values to people: they may ask a symbol for its text at any time."""


def is_reporter(function: Any) -> bool:
    """Does the function only show its arguments?"""
    if function is print or function is warnings.warn:
        return True
    if getattr(function, "__name__", "") not in REPORTERS:
        return False
    owner = getattr(function, "__self__", None)
    return isinstance(owner, (logging.Logger, logging.LoggerAdapter)) or (
        owner is None and getattr(function, "__module__", "") == "logging"
    )


@contextmanager
def reporting(session: Session) -> Iterator[None]:
    """What is done inside may make text of symbols."""
    session.reports += 1
    try:
        yield
    finally:
        session.reports -= 1


def may_show(session: Session) -> bool:
    """May a symbol of this trace give its text to who asks, two frames further out?"""
    if session.reports or current() is None:
        return True
    asking = sys._getframe(2).f_globals.get("__name__") or ""
    return asking.partition(".")[0] in _READERS
