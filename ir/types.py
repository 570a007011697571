"""Types of the IR: a dtype and a shape whose sizes are numbers or names of i64 values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Dim = int | str
"""A size: a number, or the name of an i64 value of the program."""

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "bool": np.dtype(np.bool_),
    "i64": np.dtype(np.int64),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "i8": np.dtype(np.int8),
    "i16": np.dtype(np.int16),
    "i32": np.dtype(np.int32),
    "u8": np.dtype(np.uint8),
    "u16": np.dtype(np.uint16),
    "u32": np.dtype(np.uint32),
    "u64": np.dtype(np.uint64),
}
"""Every dtype there is, by the IR's name; what else is known of one (its kind, its size) NumPy's tells."""

INTEGERS = frozenset(name for name, dtype in NUMPY_DTYPES.items() if dtype.kind in "iu")
NARROW = INTEGERS - {"i64"}
"""Integers that are data: sizes, indices and Python's numbers are i64."""
_NAMES = {dtype: name for name, dtype in NUMPY_DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Type:
    """`dtype[dims]`; without dims a scalar.

    >>> print(Type("f64", ("n", 3)), Type("bool"))
    f64[n, 3] bool
    """

    dtype: str
    dims: tuple[Dim, ...] = ()

    def __str__(self) -> str:
        if not self.dims:
            return self.dtype
        return f"{self.dtype}[{', '.join(map(str, self.dims))}]"

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def is_float(self) -> bool:
        return self.dtype in ("f32", "f64")

    @property
    def is_integer(self) -> bool:
        return self.dtype in INTEGERS

    @property
    def numpy(self) -> np.dtype[Any]:
        return NUMPY_DTYPES[self.dtype]

    def with_dims(self, dims: tuple[Dim, ...]) -> Type:
        return Type(self.dtype, tuple(dims))

    def with_dtype(self, dtype: str) -> Type:
        return Type(dtype, self.dims)


BOOL, I64, F32, F64 = (Type(name) for name in ("bool", "i64", "f32", "f64"))


@cache
def promote(*dtypes: str) -> str:
    """The dtype NumPy gives an operation on arrays of these dtypes.

    >>> promote("f32", "bool"), promote("i64", "f32"), promote("u8", "i8")
    ('f32', 'f64', 'i16')
    """
    return _NAMES[np.result_type(*(NUMPY_DTYPES[name] for name in dtypes))]


def dtype_name(dtype: object) -> str | None:
    """The IR's name of a NumPy dtype in any byte order, None if the IR has no such dtype (complex, object, ...)."""
    resolved = np.dtype(dtype)  # type: ignore[call-overload]
    return _NAMES.get(resolved.newbyteorder("="))
