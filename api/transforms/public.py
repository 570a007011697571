"""`grad`, `value_and_grad`, `vjp`, `jit`, `trace`: the public transforms, with JAX's arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import numpy as np  # noqa: F401  (for the examples)

from ..calls.forms import Traceable
from ..ir.adjoint.checkpoint import Schedule
from ..ir.program import Program
from .base import Jit
from .gradient import Gradient, ValueAndGradient
from .hessian import hessian, hessian_diag, hvp, vhp
from .implicit import fixed_point, root
from .jacobian import jacfwd, jacobian, jacrev, value_and_jacobian
from .jvp import jvp, linearize
from .registered import primitive, register
from .rules import checkpoint, custom_jvp, custom_vjp, stop_gradient
from .vjp import vjp
from .vmap import vmap

__all__ = [
    "checkpoint", "custom_jvp", "custom_vjp", "fixed_point", "grad", "hessian", "hessian_diag", "hvp", "jacfwd",
    "jacobian", "jacrev", "jit", "jvp", "linearize", "primitive", "register", "root", "stop_gradient", "trace",
    "value_and_grad", "value_and_jacobian", "vhp", "vjp", "vmap",
]  # fmt: skip


A = TypeVar("A", bound=Any)
B = TypeVar("B", bound=Any)
V = TypeVar("V")
X = TypeVar("X")
P = ParamSpec("P")
R = TypeVar("R")


def _made(
    kind: type[Gradient[..., object]], function: Any, argnums: Any, has_aux: bool, checkpoint: Schedule
) -> Any:
    if function is None:
        return lambda f: kind(f, argnums, has_aux, checkpoint)
    return kind(function, argnums, has_aux, checkpoint)


@overload
def grad(
    function: Callable[Concatenate[A, P], tuple[object, X]],
    argnums: None = None,
    *,
    has_aux: Literal[True],
    checkpoint: Schedule = None,
) -> Gradient[Concatenate[A, P], tuple[A, X]]: ...
@overload
def grad(
    function: Callable[Concatenate[A, P], object],
    argnums: None = None,
    has_aux: Literal[False] = False,
    checkpoint: Schedule = None,
) -> Gradient[Concatenate[A, P], A]: ...
@overload
def grad(
    function: Callable[Concatenate[A, P], object],
    argnums: Literal[0],
    has_aux: Literal[False] = False,
    checkpoint: Schedule = None,
) -> Gradient[Concatenate[A, P], A]: ...
@overload
def grad(
    function: Callable[Concatenate[A, B, P], object],
    argnums: Literal[1],
    has_aux: Literal[False] = False,
    checkpoint: Schedule = None,
) -> Gradient[Concatenate[A, B, P], B]: ...
@overload
def grad(
    function: Callable[P, object],
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    checkpoint: Schedule = None,
) -> Gradient[P, Any]: ...
@overload
def grad(
    function: None = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    checkpoint: Schedule = None,
) -> Callable[[Callable[P, object]], Gradient[P, Any]]: ...
def grad(
    function: Callable[..., object] | None = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    checkpoint: Schedule = None,
) -> object:
    """The gradient of a function that returns one float.

    argnums   positional argument to differentiate by, or several (negative ones count from the end); the
              gradient has the structure, shapes and dtypes of the argument, a tuple of them for several.
              Without it the first one, of a method the first behind `self`; numbers count `self`, as it is written
    has_aux   the function returns (value, aux); the result is (gradient, aux)
    checkpoint  for long loops: keep what they carry now and then, and run the trips between again. "sqrt": of n trips
              about sqrt(n) are kept, each trip runs once more; a number: so many are kept at a time, and trips run
              again as seldom as that allows (binomial checkpointing); "binomial": as few as let no trip run more
              than 3 times again. None: as `pb.options(checkpoint=...)` says

    Raises TypeMismatch (a TypeError) if the argument or the result is no float, ValueError if argnums is
    out of range. Inputs are never changed.

    >>> grad(lambda x: x ** 3)(2.0)
    12.0
    """
    return _made(Gradient, function, argnums, has_aux, checkpoint)


@overload
def value_and_grad(
    function: Callable[Concatenate[A, P], tuple[V, X]],
    argnums: None = None,
    *,
    has_aux: Literal[True],
    checkpoint: Schedule = None,
) -> ValueAndGradient[Concatenate[A, P], tuple[tuple[V, X], A]]: ...
@overload
def value_and_grad(
    function: Callable[Concatenate[A, P], V],
    argnums: None = None,
    has_aux: Literal[False] = False,
    checkpoint: Schedule = None,
) -> ValueAndGradient[Concatenate[A, P], tuple[V, A]]: ...
@overload
def value_and_grad(
    function: Callable[Concatenate[A, P], V],
    argnums: Literal[0],
    has_aux: Literal[False] = False,
    checkpoint: Schedule = None,
) -> ValueAndGradient[Concatenate[A, P], tuple[V, A]]: ...
@overload
def value_and_grad(
    function: Callable[Concatenate[A, B, P], V],
    argnums: Literal[1],
    has_aux: Literal[False] = False,
    checkpoint: Schedule = None,
) -> ValueAndGradient[Concatenate[A, B, P], tuple[V, B]]: ...
@overload
def value_and_grad(
    function: Callable[P, V],
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    checkpoint: Schedule = None,
) -> ValueAndGradient[P, tuple[V, Any]]: ...
@overload
def value_and_grad(
    function: None = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    checkpoint: Schedule = None,
) -> Callable[[Callable[P, V]], ValueAndGradient[P, tuple[V, Any]]]: ...
def value_and_grad(
    function: Callable[..., object] | None = None,
    argnums: int | Sequence[int] | None = None,
    has_aux: bool = False,
    checkpoint: Schedule = None,
) -> object:
    """As `grad`, but returns (value, gradient), and ((value, aux), gradient) with has_aux.

    >>> value_and_grad(lambda x: x ** 3)(2.0)
    (8.0, 12.0)
    """
    return _made(ValueAndGradient, function, argnums, has_aux, checkpoint)


@overload
def jit(function: Callable[P, R]) -> Jit[P, R]: ...
@overload
def jit(function: None = None) -> Callable[[Callable[P, R]], Jit[P, R]]: ...
def jit(function: Callable[..., object] | None = None) -> object:
    """The function itself, traced and compiled once for every shape.

    >>> float(jit(lambda x: x.sum())(np.arange(3.0)))
    3.0
    """
    return jit if function is None else Jit(function)


def trace(function: Callable[..., object], *args: object, **kwargs: object) -> Program:
    """The program of a function for these arguments: arrays, numbers, or types such as "f64[n, 3]"."""
    traceable = Traceable(function)
    leaves, tree = traceable.lowered_leaves(args, kwargs)
    return traceable.trace(leaves, tree).program
