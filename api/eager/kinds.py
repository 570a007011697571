"""dtypes, and `Kind`: the dtype and shape of a tensor as one interned object, quick to hash and compare."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir.errors import TypeMismatch
from ..ir.types import dtype_name


class dtype:  # noqa: N801  (torch.dtype)
    """float64, float32, int64 or bool."""

    def __init__(self, name: str, ir: str, category: int):
        self.name = name
        self.ir = ir
        self.numpy = np.dtype(name)
        self.category = category
        self.is_floating_point = category == 2

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


float64 = dtype("float64", "f64", 2)
float32 = dtype("float32", "f32", 2)
int64 = dtype("int64", "i64", 1)
bool_ = dtype("bool", "bool", 0)
_BY_IR = {d.ir: d for d in (float64, float32, int64, bool_)}
_default = float32


def set_default_dtype(d: Any) -> None:
    """The dtype of tensors made of Python floats: float32 (torch's own default) or float64."""
    global _default
    d = as_dtype(d)
    if not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, not {d}")
    _default = d


def get_default_dtype() -> dtype:
    return _default


def as_dtype(d: Any) -> dtype:
    """A dtype of ours from what the user wrote: ours, NumPy's, Python's or a name."""
    if isinstance(d, dtype):
        return d
    if d is float:
        return _default
    try:
        name = dtype_name(d)
    except TypeError:
        name = None
    if name not in _BY_IR:
        raise TypeMismatch(f"dtype {d} is not supported: float64, float32, int64 and bool are. Convert the array first")
    return _BY_IR[name]


class Kind:
    """A dtype and a shape; equal ones are the same object. Stands in for an array of which only the shape counts."""

    __slots__ = ("dtype", "shape", "ndim", "_ones")

    def __init__(self, d: dtype, shape: tuple[int, ...]):
        self.dtype = d
        self.shape = shape
        self.ndim = len(shape)
        self._ones: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"{self.dtype.ir}[{', '.join(map(str, self.shape))}]" if self.shape else self.dtype.ir

    def ones(self) -> np.ndarray:
        """Ones, to be read only."""
        if self._ones is None:
            self._ones = np.ones(self.shape, self.dtype.numpy)
        return self._ones

    def example(self) -> np.ndarray:
        """An array of this kind, for tracing."""
        return np.zeros(self.shape, self.dtype.numpy)


_kinds: dict[Any, Kind] = {}


def kind_of(array: np.ndarray) -> Kind:
    key = (array.dtype.char, array.shape)
    kind = _kinds.get(key)
    if kind is None:
        kind = _kinds.setdefault(key, Kind(as_dtype(array.dtype), array.shape))
    return kind


CATEGORY = {bool: 0, int: 1, float: 2}
"""Python's numbers, by what they do to the dtype of a result."""


def result_dtype(operands: list[Any]) -> dtype:
    """torch's promotion: tensors with axes decide, then those without, then Python's numbers.

    What comes later counts only if it is of a higher category (bool < int < float). Operands are kinds or
    types of Python numbers.
    """
    best: dtype | None = None
    groups = (
        [o.dtype for o in operands if isinstance(o, Kind) and o.shape],
        [o.dtype for o in operands if isinstance(o, Kind) and not o.shape],
        [(bool_, int64, _default)[CATEGORY[o]] for o in operands if not isinstance(o, Kind)],
    )
    for group in groups:
        for d in group:
            if d.category == 2 and group is groups[2] and best is not None and best.category == 2:
                continue
            if best is None or d.category > best.category:
                best = d
            elif d.category == best.category == 2 and d is float64 and _same_group(group, best):
                best = float64
    assert best is not None
    return best


def _same_group(group: list[dtype], best: dtype) -> bool:
    return best in group
