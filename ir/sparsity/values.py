"""What is known of a value without its numbers: all of it, that it depends on nothing, or on which inputs.

a NumPy value   the number or the array itself, as follows from sizes and integers alone
UNKNOWN         some number, which does not depend on the inputs smoothly
Depends         for each element the set of inputs on which it depends, under a handle; `whole`: one set for all
                elements, of an array of any size
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class SetsOf(Protocol):
    """Sets under handles, in arrays of any shape; 0 is the empty set."""

    codes: Mapping[str, Any]
    """The numbers of what the machine does, by name."""

    def run(self, code: np.ndarray, values: np.ndarray, memory: np.ndarray) -> bool: ...
    def single(self, start: int, shape: tuple[int, ...]) -> np.ndarray: ...
    def join(self, a: np.ndarray, b: np.ndarray) -> np.ndarray: ...
    def reduce(self, x: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> np.ndarray: ...
    def total(self, x: np.ndarray) -> int: ...
    def scan(self, x: np.ndarray, axis: int) -> np.ndarray: ...
    def join_at(self, x: np.ndarray, places: np.ndarray, v: np.ndarray) -> np.ndarray: ...


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Any = _Unknown()


@dataclass(frozen=True, slots=True, eq=False)
class Depends:
    sets: np.ndarray
    whole: bool = False


Value = Any
"""A NumPy value, UNKNOWN or a Depends."""


def is_known(value: Value) -> bool:
    return value is not UNKNOWN and not isinstance(value, Depends)


def same(a: Value, b: Value) -> bool:
    """Is the same known of both?"""
    if isinstance(a, Depends) and isinstance(b, Depends):
        return a.sets is b.sets or (a.whole == b.whole and np.array_equal(a.sets, b.sets))
    if is_known(a) and is_known(b):
        x, y = np.asarray(a), np.asarray(b)
        return x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f")
    return a is b


def handles(value: Value, shape: tuple[int, ...]) -> np.ndarray:
    """The sets of a value of this shape."""
    if not isinstance(value, Depends):
        return np.zeros(shape, np.int64)
    return np.broadcast_to(value.sets, shape) if value.whole else value.sets


def everything(sets: SetsOf, values: Sequence[Value]) -> np.ndarray:
    """The union of all that these values depend on."""
    found = [sets.total(v.sets.reshape(-1)) for v in values if isinstance(v, Depends) and v.sets.size]
    return np.asarray(sets.total(np.array(found, np.int64)) if found else 0, np.int64)


def joined(sets: SetsOf, a: Value, b: Value) -> Value:
    """What is known of a value that is one of two."""
    if same(a, b):
        return a
    if not isinstance(a, Depends) and not isinstance(b, Depends):
        return UNKNOWN
    shapes = [v.sets.shape for v in (a, b) if isinstance(v, Depends) and not v.whole]
    if not shapes or shapes[0] != shapes[-1] or any(np.shape(v) != shapes[0] for v in (a, b) if is_known(v)):
        return Depends(everything(sets, [a, b]), whole=True)
    return Depends(sets.join(handles(a, shapes[0]), handles(b, shapes[0])))
