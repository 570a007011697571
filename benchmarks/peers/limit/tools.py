"""What the adjoints written by hand are made with: compilation, vector mathematics, sums of free order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from pullback.runtime.intrinsics import libmvec
from pullback.runtime.jit import machine, vectormath
from pullback.runtime.support import radd

__all__ = ["adjoint", "cos", "exp", "forward", "log", "radd", "sin", "tanh"]

assert machine  # sets LLVM's options for both of us
libmvec.library()  # its symbols are known from here on


def forward(function: Callable[..., Any]) -> Callable[..., Any]:
    """A sweep with the user's own arithmetic: nothing is reordered but sums that go through `radd`."""
    return numba.njit(error_model="numpy", cache=True)(function)


def adjoint(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reverse sweep: additions may be reordered and fused with multiplications."""
    return numba.njit(error_model="numpy", cache=True, fastmath={"reassoc", "contract", "nsz"})(function)


def exp(x: Any) -> Any:
    return np.exp(x)


def log(x: Any) -> Any:
    return np.log(x)


def sin(x: Any) -> Any:
    return np.sin(x)


def cos(x: Any) -> Any:
    return np.cos(x)


def tanh(x: Any) -> Any:
    return np.tanh(x)


@overload(exp)
def _exp(x):
    return lambda x: vectormath.exp(x)


@overload(log)
def _log(x):
    return lambda x: vectormath.log(x)


@overload(sin)
def _sin(x):
    return lambda x: vectormath.sin(x)


@overload(cos)
def _cos(x):
    return lambda x: vectormath.cos(x)


@overload(tanh)
def _tanh(x):
    return lambda x: vectormath.tanh(x)
