"""NumPy, SciPy and built-in functions written in terms of primitives. Importing fills the tables."""

from . import (
    builtins,
    calculus,
    compiled,
    conditions,
    create,
    declared,
    einsum,
    elementwise,
    grids,
    iteration,
    join,
    library,
    linalg,
    logic,
    moments,
    order,
    pynumbers,
    ranges,
    reduce,
    repeat,
    scan,
    scipy_linalg,
    select,
    several_places,
    shape,
    solving,
    special,
    spectral,
    stats,
    strided,
    ufunc_options,
    values,
    windows,
    written,
)

__all__ = [
    "builtins", "calculus", "compiled", "conditions", "create", "declared", "einsum", "elementwise", "grids",
    "iteration", "join", "library", "linalg", "logic", "moments", "order", "pynumbers", "ranges", "reduce",
    "repeat", "scan", "scipy_linalg", "select", "several_places", "shape", "solving", "special", "spectral",
    "stats", "strided", "ufunc_options", "values", "windows", "written",
]  # fmt: skip

ufunc_options.install()  # when all of them are registered
