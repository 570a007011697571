"""`grad`, `value_and_grad`, `vjp`, `jit`, `trace`: the public transforms, with JAX's arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np  # noqa: F401  (for the examples)

from ..calls.forms import Traceable
from ..ir.program import Program
from .base import Jit
from .gradient import Gradient, ValueAndGradient
from .vjp import vjp

__all__ = ["grad", "jit", "trace", "value_and_grad", "vjp"]


def _decorator(kind: type[Gradient], function: Any, argnums: Any, has_aux: bool) -> Any:
    if function is None:
        return lambda f: kind(f, argnums, has_aux)
    return kind(function, argnums, has_aux)


def grad(
    function: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
) -> Any:
    """The gradient of a function that returns one float.

    argnums   positional argument to differentiate by, or several (negative ones count from the end); the
              gradient has the structure, shapes and dtypes of the argument, a tuple of them for several.
              Without it the first one, of a method the first behind `self`; numbers count `self`, as it is written
    has_aux   the function returns (value, aux); the result is (gradient, aux)

    Raises TypeMismatch (a TypeError) if the argument or the result is no float, ValueError if argnums is
    out of range. Inputs are never changed.

    >>> grad(lambda x: x ** 3)(2.0)
    12.0
    """
    return _decorator(Gradient, function, argnums, has_aux)


def value_and_grad(
    function: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
) -> Any:
    """As `grad`, but returns (value, gradient), and ((value, aux), gradient) with has_aux.

    >>> value_and_grad(lambda x: x ** 3)(2.0)
    (8.0, 12.0)
    """
    return _decorator(ValueAndGradient, function, argnums, has_aux)


def jit(function: Callable[..., Any] | None = None) -> Any:
    """The function itself, traced and compiled once for every shape.

    >>> float(jit(lambda x: x.sum())(np.arange(3.0)))
    3.0
    """
    return jit if function is None else Jit(function)


def trace(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Program:
    """The program of a function for these arguments: arrays, numbers, or types such as "f64[n, 3]"."""
    traceable = Traceable(function)
    leaves, tree = traceable.lowered_leaves(args, kwargs)
    return traceable.trace(leaves, tree).program
