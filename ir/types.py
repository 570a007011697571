"""Types of the IR: a dtype and a shape whose sizes are numbers or names of i64 values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Dim = int | str
"""A size: a number, or the name of an i64 value of the program."""

NUMPY_DTYPES = {
    "bool": np.dtype(np.bool_),
    "i64": np.dtype(np.int64),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
_PROMOTION = ("bool", "i64", "f32", "f64")


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
    def numpy(self) -> np.dtype:
        return NUMPY_DTYPES[self.dtype]

    def with_dims(self, dims: tuple[Dim, ...]) -> Type:
        return Type(self.dtype, tuple(dims))

    def with_dtype(self, dtype: str) -> Type:
        return Type(dtype, self.dims)


BOOL, I64, F32, F64 = (Type(name) for name in NUMPY_DTYPES)


def promote(*dtypes: str) -> str:
    """The dtype NumPy gives an operation on arrays of these dtypes.

    >>> promote("f32", "bool"), promote("i64", "f32")
    ('f32', 'f64')
    """
    if "i64" in dtypes and "f32" in dtypes:
        return "f64"
    return max(dtypes, key=_PROMOTION.index)


def dtype_name(dtype: object) -> str | None:
    """The IR's name of a NumPy dtype, None if the IR has no such dtype (complex, object, ...).

    Integers of every width are computed as i64.
    """
    resolved = np.dtype(dtype)  # type: ignore[call-overload]
    if resolved.kind == "b":
        return "bool"
    if resolved.kind in "iu" and resolved != np.dtype(np.uint64):
        return "i64"
    return {4: "f32", 8: "f64"}.get(resolved.itemsize) if resolved.kind == "f" else None
