"""Functions that are traced anew at each call, because they change what decided how they are traced.

`self.history.append(v)` beside `self.history[-1]`: the elements of a list are inputs one by one, so its length is fixed
in a trace, and the next call finds another one. That is right and slow, and nobody would see why: it is said once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ..tracer.outside.paths import UNREADABLE, Guard
from ..tracer.outside.shadows import key_of
from ..tracer.outside.stores import Store
from ..tracer.trace import Traced

PATIENCE = 3
"""Traces that each undid the one before, after which it is said: a flag that is set once, or a queue that is filled,
comes to an end."""


CONTENT = ("length", "items", "keys")
"""Guards of what a container holds."""


class Streak:
    """Traces of one function in a row, each of which changed what the next one found."""

    def __init__(self) -> None:
        self.length = 0
        self.said = False

    def traced_again(self, function: Callable[..., Any], before: Traced, leaves: Sequence[Any]) -> bool:
        """After a trace that was not needed but for what the call `before` changed: is it one of many?"""
        changed = own_changes(before, leaves)
        self.length = self.length + 1 if changed else 0
        if self.length < PATIENCE:
            return False
        if not self.said:
            self.said = True
            code = getattr(function, "__code__", None)
            place = (code.co_filename, code.co_firstlineno) if code else ("<unknown>", 1)
            warnings.warn_explicit(message(function, changed), RuntimeWarning, *place)
        return True


def own_changes(traced: Traced, leaves: Sequence[Any]) -> list[tuple[Guard, Store]]:
    """What keeps a call from fitting a trace that the function itself has written to, and where it did."""
    found = []
    for guard in traced.hidden_guards if traced.stores is not None else ():
        for store in traced.stores.all:  # type: ignore[union-attr]
            if _inside(guard, store) and _differs(guard, leaves):
                found.append((guard, store))
                break
    return found


def _inside(guard: Guard, store: Store) -> bool:
    """Does the guard look at what is stored to?"""
    kind, holder, steps = key_of(guard.path)
    base = key_of(store.path)
    how = store.do.removeprefix("del ")
    if how == "attr" or (how == "item" and guard.kind not in CONTENT):
        base = (*base[:2], (*base[2], (how, store.name)))
    return (kind, holder) == base[:2] and steps[: len(base[2])] == base[2]


def _differs(guard: Guard, leaves: Sequence[Any]) -> bool:
    scope: dict[str, Any] = {"leaves": leaves}
    text = guard.differs(scope, "leaves[{}]")
    try:
        return bool(eval(text, scope))
    except UNREADABLE:
        return True


def message(function: Callable[..., Any], changed: list[tuple[Guard, Store]]) -> str:
    guard, store = changed[0]
    place = f" (line {store.span.line} of {store.span.file}: {store.span.text})" if store.span else ""
    name = getattr(function, "__qualname__", type(function).__name__)
    if guard.kind in CONTENT:
        advice = (
            "What a trace reads of a container fixes its length. Keep what the function reads apart from what it only "
            "writes: the last value as an attribute (self.last = v), how many there are as a number (self.n += 1)"
        )
    else:
        advice = "A number, or an array, may be another one at each call; text, flags and None decide what is traced"
    why = f"because it changes {store.shown}{place}, which it also reads"
    return f"{name}() is traced again at each call, {why}. {advice}"
