"""Example sizes, for inputs of which only the type is known: chosen so that what must be equal is equal."""

from __future__ import annotations

from ...ir.affine import Affine
from ...ir.errors import ShapeMismatch

INTEGER = 2
"""The example for an integer: it is within range of most that it counts or selects."""


class Examples:
    """The values that stand in for symbolic sizes, and the equations between sizes that tracing has met.

    >>> found = Examples()
    >>> found.value("n", 5), found.value("m", 6)
    (5, 6)
    >>> found.require(Affine.name("m") - Affine.name("n") + 4)
    True
    >>> found.value("n", 5), found.value("m", 6)
    (18, 14)
    """

    def __init__(self) -> None:
        self.solved: dict[str, Affine] = {}
        self.defaults: dict[str, int] = {}
        self.shift = 0
        self.factor = 1
        self.failed: ShapeMismatch | None = None

    def require(self, form: Affine) -> bool:
        """Choose sizes for which form is 0. False if there are none that were not tried before."""
        for name, value in self.solved.items():
            form = form.substitute(name, value)
        unit = [(name, c) for name, c in form.terms if abs(c) == 1]
        if not unit:
            return False
        name, sign = unit[-1]
        value = form.substitute(name, Affine()).scaled(-sign)
        self.solved = {known: other.substitute(name, value) for known, other in self.solved.items()}
        self.solved[name] = value
        # Large enough that sizes which are smaller by a constant are sizes still.
        self.shift = 2 * max(abs(v.constant) for v in self.solved.values())
        return True

    def value(self, name: str, default: int) -> int:
        """The example for a size or an integer; `default` where nothing was found out about it."""
        self.defaults.setdefault(name, default)
        form = self.solved.get(name, Affine.name(name))
        return form.value({n: self._free(n) for n in form.names})

    def _free(self, name: str) -> int:
        default = self.defaults[name]
        return (default * self.factor if default > INTEGER else default) + self.shift

    def divisible(self, error: ShapeMismatch) -> bool:
        """Choose sizes that many numbers divide, for `x.reshape(2, -1)`; False if they are such already."""
        if self.failed is not None:
            return False
        self.failed, self.factor = error, 12
        return True
