"""NumPy's objects that are subscripted to make arrays: np.r_, np.c_, np.mgrid and np.ogrid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction
from ..values.symbol import FUNCTIONS, Scalar, Symbol, implements, require_session
from .arguments import array_operand

MAKERS: dict[type, Callable[[Any], Any]] = {}
"""What a subscript of an object of these types makes; asked where staged code has a subscript."""


def maker(of: Any) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        MAKERS[type(of)] = make
        return make

    return register


def _run(part: slice, what: str) -> Any:
    """The numbers of a slice: a range, or (with an imaginary step) so many from start to stop, both included."""
    start = 0 if part.start is None else part.start
    step = 1 if part.step is None else part.step
    if part.stop is None:
        raise require_session().error(UnsupportedFunction, f"np.{what} needs slices with an end, such as 0:n")
    if isinstance(step, complex):
        return FUNCTIONS[np.linspace](start, part.stop, int(abs(step)))
    return FUNCTIONS[np.arange](start, part.stop, step)


def _entries(key: Any, what: str) -> tuple[list[Any], str | None]:
    entries = list(key) if isinstance(key, tuple) else [key]
    directive = entries.pop(0) if isinstance(entries[0], str) else None
    if any(isinstance(e, str) for e in entries):
        raise ValueError("special directives must be the first entry.")
    return entries, directive


@maker(np.r_)
def r_(key: Any) -> Any:
    entries, directive = _entries(key, "r_")
    axis, least = 0, 1
    if directive is not None:
        try:
            axis, least = (*map(int, directive.split(",")), 1)[:2]
        except ValueError:
            raise require_session().error(
                UnsupportedFunction, f"np.r_[{directive!r}, ...] cannot be traced. Use np.concatenate or np.stack"
            ) from None
        if directive.count(",") > 1:
            raise require_session().error(
                UnsupportedFunction, f"np.r_[{directive!r}, ...] cannot be traced. Use np.concatenate with reshape"
            )
    return _joined([_raised(_part(e, "r_"), least) for e in entries], axis)


@maker(np.c_)
def c_(key: Any) -> Any:
    entries, directive = _entries(key, "c_")
    if directive is not None:
        raise require_session().error(
            UnsupportedFunction, "np.c_ with a directive cannot be traced. Use np.concatenate or np.column_stack"
        )
    return _joined([_column(_part(e, "c_")) for e in entries], -1)


def _part(entry: Any, what: str) -> tuple[Any, bool]:
    """An array (of rank 1 at least), and whether its dtype gives way to that of the others."""
    if isinstance(entry, slice):
        return _run(entry, what), False
    symbol = array_operand(entry, f"np.{what}")
    if symbol.type.rank:
        return symbol, False
    weak = isinstance(entry, (bool, int, float)) or (isinstance(entry, Scalar) and entry.weak)
    return FUNCTIONS[np.reshape](symbol, (1,)), weak


def _raised(part: tuple[Any, bool], least: int) -> tuple[Any, bool]:
    value, weak = part
    missing = least - value.type.rank
    return (value[(None,) * missing] if missing > 0 else value), weak


def _column(part: tuple[Any, bool]) -> tuple[Any, bool]:
    value, weak = part
    return (value[:, None] if value.type.rank == 1 else value), weak


def _joined(parts: list[tuple[Any, bool]], axis: int) -> Any:
    strong = [v.type.dtype for v, weak in parts if not weak]
    if strong and "f32" in strong and "f64" not in strong and "i64" not in strong:
        parts = [(v.astype(np.float32) if weak else v, weak) for v, weak in parts]
    return FUNCTIONS[np.concatenate]([v for v, _ in parts], axis)


def _axes(key: tuple[Any, ...], what: str) -> list[Any]:
    runs = [_run(part, what) for part in key]
    if any(r.type.is_float for r in runs):
        runs = [r.astype(np.float64) for r in runs]
    return runs


@maker(np.mgrid)
def mgrid(key: Any) -> Any:
    if not isinstance(key, tuple):
        return _run(key, "mgrid")
    runs = _axes(key, "mgrid")
    return FUNCTIONS[np.stack](list(FUNCTIONS[np.meshgrid](*runs, indexing="ij")))


@maker(np.ogrid)
def ogrid(key: Any) -> Any:
    if not isinstance(key, tuple):
        return _run(key, "ogrid")
    runs = _axes(key, "ogrid")
    shapes = [tuple(slice(None) if k == axis else None for k in range(len(runs))) for axis in range(len(runs))]
    return tuple(run[shape] for run, shape in zip(runs, shapes))


@implements("subscripted")
def made(value: Any) -> Callable[[Any], Any] | None:
    """What makes an array of a subscript of this object; None if it is an ordinary object."""
    return None if isinstance(value, Symbol) else MAKERS.get(type(value))
