"""What pieces of a long function give back: numbers in arrays of rank 0, because numba makes Python's of them.

Imported only where numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload


def boxed(value: Any) -> Any:
    """The array, or an array of rank 0 with the number."""
    return np.asarray(value)


@overload(boxed)
def _boxed(value: Any) -> Any:
    if isinstance(value, types.Array):
        return lambda value: value
    return _number


def _number(value: Any) -> Any:
    return np.array(value)
