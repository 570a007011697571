"""Types of the IR: a dtype and a shape whose sizes are numbers or names of i64 values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Dim = int | str
"""A size: a number, or the name of an i64 value of the program."""


@dataclass(frozen=True, slots=True)
class DType:
    """A type of numbers: what any room knows of it.

    name      in the IR
    numpy     NumPy's, whose kind and size count
    c         in C
    python    the class of Python's own numbers that are of it, if there is one
    floats    what NumPy's functions of floats make of such numbers; None is float16
    """

    name: str
    numpy: np.dtype[Any]
    c: str
    python: type | None = None
    floats: str | None = "f64"

    @property
    def is_float(self) -> bool:
        return self.numpy.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.numpy.kind in "iu"


DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType("bool", np.dtype(np.bool_), "bool", python=bool, floats=None),
        DType("i64", np.dtype(np.int64), "int64_t", python=int),
        DType("f32", np.dtype(np.float32), "float", floats="f32"),
        DType("f64", np.dtype(np.float64), "double", python=float),
        DType("i8", np.dtype(np.int8), "int8_t", floats=None),
        DType("i16", np.dtype(np.int16), "int16_t", floats="f32"),
        DType("i32", np.dtype(np.int32), "int32_t"),
        DType("u8", np.dtype(np.uint8), "uint8_t", floats=None),
        DType("u16", np.dtype(np.uint16), "uint16_t", floats="f32"),
        DType("u32", np.dtype(np.uint32), "uint32_t"),
        DType("u64", np.dtype(np.uint64), "uint64_t"),
    )
}
"""Every dtype there is, by the IR's name."""

INTEGERS = frozenset(name for name, row in DTYPES.items() if row.is_integer)
NARROW = INTEGERS - {"i64"}
"""Integers that are data: sizes, indices and Python's numbers are i64."""
FLOATS = frozenset(name for name, row in DTYPES.items() if row.is_float)
OF_PYTHON = {row.python: name for name, row in DTYPES.items() if row.python is not None}
"""The dtypes of Python's own numbers, by their classes."""
_NAMES = {row.numpy: name for name, row in DTYPES.items()}


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
        return self.dtype in FLOATS

    @property
    def is_integer(self) -> bool:
        return self.dtype in INTEGERS

    @property
    def numpy(self) -> np.dtype[Any]:
        return DTYPES[self.dtype].numpy

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
    return _NAMES[np.result_type(*(DTYPES[name].numpy for name in dtypes))]


def dtype_name(dtype: object) -> str | None:
    """The IR's name of a NumPy dtype in any byte order, None if the IR has no such dtype (complex, object, ...)."""
    resolved = np.dtype(dtype)  # type: ignore[call-overload]
    return _NAMES.get(resolved.newbyteorder("="))
