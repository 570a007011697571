"""Functions of the user's that programs call as they are, by the keys that stand in the programs.

A key means something in this process only: a program that calls such a function is never kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

_functions: dict[str, Callable[..., Sequence[Any]]] = {}
_keys: dict[Hashable, str] = {}


def key_of(name: str, which: Hashable, make: Callable[[], Callable[..., Sequence[Any]]]) -> str:
    """The key of what `make` makes: a function of arrays and numbers that gives the arrays of its results.

    It is made once for each `which`.
    """
    if which not in _keys:
        key = f"{name}_{len(_functions)}"
        _functions[key] = make()
        _keys[which] = key
    return _keys[which]


def call(key: str, size: int, args: tuple[Any, ...]) -> np.ndarray:
    """The elements of all results of a function, one after the other, in one array of float64.

    The function gets copies: what it writes to is its own.
    """
    given = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
    results = [np.ravel(np.asarray(r, np.float64)) for r in _functions[key](*given)]
    found = np.concatenate([np.empty(0), *results])
    if found.size != size:
        raise ValueError(f"{key}: the results have {found.size} elements, and its shape says {size}")
    return found
