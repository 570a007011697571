"""Which tensors share memory, and what is copied before a write so that derivatives see the old numbers."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from .tape import Value

if TYPE_CHECKING:
    from .tensor import Tensor


class Shared:
    """Tensors that show one memory: views, detached aliases, and NumPy's own if `exposed`."""

    __slots__ = ("tensors", "values", "exposed")

    def __init__(self) -> None:
        self.tensors: list[weakref.ref[Tensor]] = []
        self.values: list[weakref.ref[Value]] = []
        self.exposed = False

    def alive(self) -> list[Tensor]:
        return [t for t in (ref() for ref in self.tensors) if t is not None]


def value_of(t: Tensor) -> Value:
    """The tensor's numbers as they are now, for a node to keep."""
    value = t._value
    if value is None:
        shared = t._shared
        exposed = shared is not None and shared.exposed
        value = t._value = Value(t._array.copy() if exposed else t._array)
        if exposed:
            t._value = None  # NumPy may change the memory unseen
        elif shared is not None:
            shared.values.append(weakref.ref(value))
    return value


def share(t: Tensor, other: Tensor) -> None:
    """The two show one memory from here on."""
    shared = t._shared
    if shared is None:
        shared = t._shared = Shared()
        shared.tensors.append(weakref.ref(t))
        if t._value is not None:
            shared.values.append(weakref.ref(t._value))
    if len(shared.tensors) > 64:
        shared.tensors = [r for r in shared.tensors if r() is not None]
        shared.values = [r for r in shared.values if r() is not None]
    shared.tensors.append(weakref.ref(other))
    other._shared = shared


def protect(t: Tensor) -> None:
    """Before the memory is written: what derivatives have kept of it becomes a copy."""
    if t._shared is None:
        if t._value is not None:
            kept = weakref.ref(t._value)
            t._value = None
            _own(kept())
        return
    for u in t._shared.alive():
        u._value = None
    for ref in t._shared.values:
        _own(ref())
    t._shared.values.clear()


def _own(value: Value | None) -> None:
    if value is not None:
        value.array = value.array.copy()


def expose(t: Tensor) -> None:
    if t._shared is None:
        t._shared = Shared()
        t._shared.tensors.append(weakref.ref(t))
        if t._value is not None:
            t._shared.values.append(weakref.ref(t._value))
    protect(t)
    t._shared.exposed = True
