"""All primitives, one family per file. Importing this package fills the registry."""

from . import (
    arith,
    array,
    external,
    index,
    integers,
    linalg,
    masked,
    math,
    order,
    reduce,
    solving,
    special,
    spectral,
)

__all__ = [
    "arith", "array", "external", "index", "integers", "linalg", "masked", "math", "order", "reduce", "solving",
    "special", "spectral",
]  # fmt: skip
