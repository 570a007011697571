"""NumPy for uncompiled generated code, whose `empty` and `empty_like` hold what no right program reads: nan."""

from __future__ import annotations

import types
from collections.abc import Callable

import numpy as np

from pullback.runtime import compile as compiling

WORST = {"f": np.nan, "c": complex(np.nan, np.nan), "b": True, "i": -(2**62), "u": 2**62}
"""By kind of dtype. An index like this is out of range; the smaller integers wrap it to 0."""


def spoilt(array: np.ndarray) -> np.ndarray:
    """The array, filled with what nobody may read."""
    worst = WORST.get(array.dtype.kind)
    if worst is not None:
        array[...] = np.array(worst).astype(array.dtype)
    return array


def empty(shape, dtype=float, *args, **options):
    return spoilt(np.empty(shape, dtype, *args, **options))


def empty_like(prototype, *args, **options):
    return spoilt(np.empty_like(prototype, *args, **options))


module = types.ModuleType("numpy")
module.__dict__.update(vars(np))
module.__dict__.update(empty=empty, empty_like=empty_like)


def install(patch: Callable[[object, str, object], None]) -> None:
    """Let uncompiled sources allocate such memory; `patch` sets an attribute."""
    plain = compiling._plain

    def spoiling(function):
        function.__globals__["np"] = module
        return plain(function)

    patch(compiling, "_plain", spoiling)
