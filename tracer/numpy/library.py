"""What the Python code of NumPy and SciPy asks about arrays before it computes, where that code itself is traced."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ..values.symbol import FUNCTIONS, implements
from .arguments import operand

_ARRAYS = "scipy._lib._array_api"


@implements((_ARRAYS, "array_namespace"))
def array_namespace(*arrays: Any) -> Any:
    """The module whose functions the code calls: NumPy's."""
    return sys.modules[_ARRAYS].array_namespace(np.empty(0))


@implements(("scipy.linalg._misc", "norm"))
def norm(a: Any, ord: Any = None, axis: Any = None, keepdims: Any = False, check_finite: Any = True) -> Any:
    return FUNCTIONS[np.linalg.norm](a, ord, axis, keepdims)


class Converter:
    """NumPy's `_array_converter`, which makes arrays of arguments, and of results what the arguments were."""

    def __init__(self, arrays: tuple[Any, ...]):
        self._arrays = tuple(operand(a, "np.asarray") for a in arrays)

    def as_arrays(self, **_: Any) -> tuple[Any, ...]:
        return self._arrays

    def wrap(self, result: Any, **_: Any) -> Any:
        return result


@implements(("numpy._core._multiarray_umath", "_array_converter"))
def array_converter(*arrays: Any) -> Converter:
    return Converter(arrays)
