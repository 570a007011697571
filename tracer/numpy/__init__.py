"""NumPy, SciPy and built-in functions written in terms of primitives. Importing fills the tables."""

from . import (
    builtins,
    calculus,
    create,
    einsum,
    elementwise,
    join,
    linalg,
    ranges,
    reduce,
    scan,
    select,
    shape,
    special,
    values,
)

__all__ = [
    "builtins", "calculus", "create", "einsum", "elementwise", "join", "linalg", "ranges", "reduce", "scan", "select",
    "shape", "special", "values",
]  # fmt: skip
