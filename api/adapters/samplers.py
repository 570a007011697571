"""Samplers (emcee, and those that take a gradient): a log density of a container as one of a vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..calls.ravel import Ravel
from ..transforms.base import Jit
from ..transforms.gradient import ValueAndGradient


class Density:
    """A log density as samplers call it.

    log_prob(vector)   the value alone, for emcee and others without a gradient
    density(vector)    value and gradient, for Hamiltonian samplers
    gradient(vector)   the gradient alone

    `vector` is the example's, `size` its length and `names` those of its elements; `unravel(vector)` gives a state the
    form of the example, `unravel_chain(samples)` a list of states (any axes before the last).
    """

    def __init__(self, f: Callable[..., Any], example: Any, args: Sequence[Any] = ()):
        self._value = Jit[..., Any](f)
        self._both = ValueAndGradient[..., Any](f, 0)
        self._form = Ravel(example, "the example")
        self._args = tuple(args)
        self.vector = self._form.vector
        self.size = self._form.size
        self.names = self._form.names

    def log_prob(self, vector: np.ndarray) -> float:
        return float(self._value(self.unravel(vector), *self._args))

    def __call__(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, bars = self._both(self.unravel(vector), *self._args)
        return float(value), self._form.ravel(bars)

    def gradient(self, vector: np.ndarray) -> np.ndarray:
        return self(vector)[1]

    def unravel(self, vector: np.ndarray) -> Any:
        return self._form.unravel(np.asarray(vector, np.float64))

    def unravel_chain(self, samples: np.ndarray) -> list[Any]:
        return [self.unravel(row) for row in np.asarray(samples).reshape(-1, self.size)]

    def walkers(self, count: int, spread: float = 1e-2, seed: int = 0) -> np.ndarray:
        """Starting points around the example, one for each walker of an ensemble."""
        return self.vector + spread * np.random.default_rng(seed).normal(size=(count, self.size))


def density(f: Callable[..., Any], example: Any, args: Sequence[Any] = ()) -> Density:
    """The log density f(x, *args) -> float of a vector; example is one x, in the form that f takes."""
    return Density(f, example, args)
