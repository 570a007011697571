"""NumPy, SciPy and built-in functions written in terms of primitives. Importing fills the tables."""

from . import (
    builtins,
    calculus,
    conditions,
    create,
    einsum,
    elementwise,
    join,
    linalg,
    ranges,
    reduce,
    repeat,
    scan,
    select,
    shape,
    special,
    values,
)

__all__ = [
    "builtins", "calculus", "conditions", "create", "einsum", "elementwise", "join", "linalg", "ranges", "reduce",
    "repeat", "scan", "select", "shape", "special", "values",
]  # fmt: skip
