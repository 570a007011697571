"""`options(...)`: how pullback runs what it generates. Set for the process, or inside a `with` block.

A call sets the values for every thread. Used as `with options(...):` it takes that back and sets them for
this thread (and async task) alone, until the block ends.
"""

from __future__ import annotations

import difflib
import dis
import functools
import os
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from . import locks

SCHEDULES = ("sqrt", "binomial")


@dataclass(frozen=True)
class Options:
    """The values in force.

    jit           compile with numba; without it the generated Python runs as it is, for a debugger
    cache         keep programs and machine code on disk
    cache_dir     where; None is the user's cache directory, or $PULLBACK_CACHE_DIR
    bounds_check  check subscripts that are not known to be in range; without, one that is out of range
                  reads or overwrites foreign memory
    vector_math   compute exp, sin, ... of several elements at once, with the vector library of the platform
    reassociate   let the compiler choose the order of a loop's sums, so that it can vectorise them; without, a
                  sum that the user wrote as a loop is added up in that order
    parallel      run long loops on all cores where their iterations are independent; sums are then added up
                  in another order. A number instead of True says what is long: how many simple operations
                  (True is two million, about half a millisecond)
    timings       print where the time of each first call goes; `f.timings` has the last one as data anyway
    progress      say in the terminal or the notebook if a first call compiles for more than two seconds
    checkpoint    how gradients of long loops save memory: "sqrt", "binomial", or a number of slots; see `grad`
    check_nan     find the line and the operation that make the first NaN or inf: programs are interpreted, slowly
    """

    jit: bool = True
    cache: bool = True
    cache_dir: Path | None = None
    bounds_check: bool = True
    vector_math: bool = True
    reassociate: bool = True
    parallel: bool | int = False
    checkpoint: str | int | None = None
    check_nan: bool = False
    timings: bool = False
    progress: bool = True


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"options: {name} must be True or False, not {value!r}")
    return value


def _directory(name: str, value: Any) -> Path | None:
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)) or not os.fspath(value):
        raise TypeError(f"options: {name} must be a path or None, not {value!r}")
    return Path(os.fsdecode(value)).expanduser().absolute()  # a later chdir does not move it


def _parallel(name: str, value: Any) -> bool | int:
    if not isinstance(value, int) or (value < 2 and not isinstance(value, bool)):  # 1 == True
        raise TypeError(f"options: {name} must be True, False or a number of operations from 2 up, not {value!r}")
    return value


def schedule(name: str, value: Any) -> str | int | None:
    """A schedule of checkpoints."""
    if value is None or (isinstance(value, str) and value in SCHEDULES):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        names = ", ".join(f'"{s}"' for s in SCHEDULES)
        raise TypeError(f"{name} must be None, {names} or a number of slots from 1 up, not {value!r}")
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "jit": _flag, "cache": _flag, "cache_dir": _directory, "bounds_check": _flag,
    "vector_math": _flag, "reassociate": _flag, "parallel": _parallel,
    "checkpoint": lambda name, value: schedule(f"options: {name}", value), "check_nan": _flag,
    "timings": _flag, "progress": _flag,
}  # fmt: skip
_NAMES = tuple(f.name for f in fields(Options))

@functools.lru_cache(maxsize=256)
def _interned(settings: Options) -> Options:
    """One object for equal settings: calls look at which object is in force."""
    return settings


everywhere = _interned(Options())
"""The options of the process: those in force where no `with` block is open."""
_lock = locks.make()


@dataclass(frozen=True)
class _Local:
    """Overrides of one thread, and the options they give on top of `base`."""

    overrides: dict[str, Any]
    base: Options
    merged: Options


variable: ContextVar[_Local | None] = ContextVar("pullback_options", default=None)
local = variable.get
"""The overrides of this thread or task, None if there are none."""


def current() -> Options:
    """The options in force in this thread."""
    local = variable.get()
    if local is None:
        return everywhere
    if local.base is everywhere:
        return local.merged
    return _merged(everywhere, local.overrides)  # set for the process since the block was entered


def _merged(base: Options, values: dict[str, Any]) -> Options:
    return _interned(replace(base, **values))


class options:  # noqa: N801  (used like a function)
    """Set options: `options(jit=False)` for the process, `with options(jit=False): ...` for a block.

    >>> with options(jit=False):
    ...     current().jit
    False
    >>> current().jit
    True
    >>> options(jit_=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    TypeError: no option 'jit_', did you mean 'jit'? There are jit, cache, ...
    """

    def __init__(self, **values: Any):
        for name in values:
            if name not in _NAMES:
                close = difflib.get_close_matches(name, _NAMES, 1)
                hint = f", did you mean '{close[0]}'?" if close else ";"
                raise TypeError(f"no option '{name}'{hint} There are {', '.join(_NAMES)}")
        self._values = {name: _CHECKS[name](name, value) for name, value in values.items()}
        self._tokens: list[Token[_Local | None]] = []
        # In `with options(...)` no other thread may see them, not even until the block is entered.
        entered = _opens_block(sys._getframe(1))
        self._before: dict[str, Any] | None = None if entered else _set_global(self._values)

    def __enter__(self) -> Options:
        if self._before is not None:  # the call has set them for every thread: take that back
            _unset_global(self._values, self._before)
            self._before = None
        outer = variable.get()
        overrides = {**(outer.overrides if outer else {}), **self._values}
        base = everywhere
        self._tokens.append(variable.set(_Local(overrides, base, _merged(base, overrides))))
        return current()

    def __exit__(self, *_: object) -> None:
        variable.reset(self._tokens.pop())

    def __repr__(self) -> str:
        now = current()
        return "options(" + ", ".join(f"{name}={getattr(now, name)!r}" for name in _NAMES) + ")"


def _opens_block(frame: types.FrameType) -> bool:
    """Does the frame enter a `with` block right after the call that it is in?

    Where this cannot be told (another Python, an ExitStack) the call sets the values for every thread, and
    entering the block takes that back.
    """
    code = frame.f_code.co_code
    for k in range(frame.f_lasti + 2, len(code), 2):
        if code[k] != dis.opmap.get("CACHE", 0):
            return code[k] == dis.opmap.get("BEFORE_WITH")
    return False


def _set_global(values: dict[str, Any]) -> dict[str, Any]:
    global everywhere
    with _lock:
        before = {name: getattr(everywhere, name) for name in values}
        if values:
            everywhere = _merged(everywhere, values)
    return before


def _unset_global(values: dict[str, Any], before: dict[str, Any]) -> None:
    """Put the former values back, where no other thread has set something else since."""
    global everywhere
    with _lock:
        ours = {name: before[name] for name, value in values.items() if getattr(everywhere, name) is value}
        if ours:
            everywhere = _merged(everywhere, ours)
