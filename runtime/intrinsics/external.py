"""Calls of functions that Python runs, in the midst of compiled code."""

from __future__ import annotations

import numpy as np
from numba import objmode
from numba.extending import overload

from ..external import call


def external(key: str, size: int, args: tuple[object, ...]) -> np.ndarray:
    """The elements of all results, see runtime/external.py. Compiled code takes the GIL for the call."""
    return call(key, size, args)


@overload(external)
def _external(key, size, args):
    def run(key, size, args):
        with objmode(found="float64[::1]"):
            found = call(key, size, args)
        return found  # noqa: RET504  (numba asks for a name)

    return run
