"""What a user of type checkers writes: read by `mypy --strict`, and by pyright where it is there. It is not run."""

from collections.abc import Callable
from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import pullback as pb

Floats = npt.NDArray[np.float64]


def loss(w: Floats, x: Floats, scale: float = 1.0) -> float:
    return float(np.sum(w * x)) * scale


def with_aux(w: Floats, x: Floats) -> tuple[float, Floats]:
    return float(np.sum(w * x)), w * x


w, x = np.ones(3), np.arange(3.0)

# The gradient has the type of the argument, and its own function's parameters.
gradient = pb.grad(loss)
assert_type(gradient(w, x), Floats)
assert_type(gradient(w, x, scale=2.0), Floats)
assert_type(pb.grad(loss, 1)(w, x), Floats)
cubed = pb.grad(lambda t: t**3)
cubed(2.0)
gradient(w, "x")  # type: ignore[arg-type]
gradient(w)  # type: ignore[call-arg]
gradient(w, x, scales=2.0)  # type: ignore[call-arg]

assert_type(pb.value_and_grad(loss)(w, x), tuple[float, Floats])
assert_type(pb.value_and_grad(with_aux, has_aux=True)(w, x), tuple[tuple[float, Floats], Floats])
assert_type(pb.grad(with_aux, has_aux=True)(w, x), tuple[Floats, Floats])
value, gradients = pb.value_and_grad(loss, argnums=(0, 1))(w, x)
assert_type(value, float)

# Functions that are compiled are the functions.
compiled = pb.jit(loss)
assert_type(compiled(w, x), float)
compiled(w, x, 1.0, 2.0)  # type: ignore[call-arg]


@pb.grad
def slope(t: float) -> float:
    return t**3


@pb.jit()
def cube(t: float) -> float:
    return t**3


@pb.value_and_grad(argnums=1)
def line(a: float, b: float) -> float:
    return a + 2.0 * b


assert_type(slope(2.0), float)
assert_type(cube(2.0), float)
slope("2")  # type: ignore[arg-type]
line(1.0)  # type: ignore[call-arg]

y, pull = pb.vjp(loss, w, x)
assert_type(y, float)
assert_type(pull(1.0), tuple[Any, ...])
pb.vjp(loss, w, "x")  # type: ignore[call-overload]


def fitted(step: Callable[[Floats, Floats], Floats]) -> Floats:
    return w - 0.1 * step(w, x)


fitted(gradient)
text: str = gradient.source
