"""iminuit: a cost function of a container, with its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..calls.ravel import Ravel
from ..transforms.gradient import ValueAndGradient
from .optional import require


class Cost:
    """A cost function as MINUIT calls it: of one vector, value and gradient apart.

    A gradient at the vector that the value was computed for costs nothing more. `names` are those of the vector's
    elements, `vector` is the start, and `unravel(m.values)` gives values the form of the start.
    """

    def __init__(self, f: Callable[..., Any], start: Any, args: Sequence[Any] = (), errordef: float = 1.0):
        self._both = ValueAndGradient[..., Any](f, 0)
        self._form = Ravel(start, "start")
        self._args = tuple(args)
        self._last: tuple[bytes, float, np.ndarray] | None = None
        self.errordef = errordef
        self.vector = self._form.vector
        self.names = self._form.names

    def _at(self, vector: Any) -> tuple[bytes, float, np.ndarray]:
        vector = np.array(vector, np.float64)
        key = vector.tobytes()
        last = self._last
        if last is None or last[0] != key:
            value, bars = self._both(self._form.unravel(vector), *self._args)
            last = self._last = key, float(value), self._form.ravel(bars)
        return last

    def __call__(self, vector: Any) -> float:
        return self._at(vector)[1]

    def grad(self, vector: Any) -> np.ndarray:
        """The gradient, as a vector."""
        return self._at(vector)[2].copy()

    def unravel(self, vector: Any) -> Any:
        """A vector in the form of the start."""
        return self._form.unravel(np.asarray(vector, np.float64))

    def minuit(self) -> Any:
        """An `iminuit.Minuit` of this cost function, at the start."""
        return require("iminuit", "iminuit").Minuit(self, self.vector, name=self.names, grad=self.grad)


def cost(f: Callable[..., Any], start: Any, args: Sequence[Any] = (), errordef: float = 1.0) -> Cost:
    """The cost function f(x, *args) -> float for MINUIT; start is an x, in the form that f takes.

    errordef   1.0 for a sum of squares, 0.5 for a negative log likelihood
    """
    return Cost(f, start, args, errordef)
