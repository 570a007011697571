"""All primitives, one family per file. Importing this package fills the registry."""

from . import arith, array, index, linalg, math, reduce, strong

__all__ = ["arith", "array", "index", "linalg", "math", "reduce", "strong"]
