"""Containers of floats as one vector, for optimisers and samplers that know vectors only."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from ..ir.errors import TypeMismatch
from .tree import flatten, mismatch


class Ravel:
    """The form of an example: its floats become a float64 vector and back; what is no float stays as it is.

    >>> form = Ravel({"w": np.array([1.0, 2.0]), "b": 3.0, "n": 4})
    >>> form.vector
    array([1., 2., 3.])
    >>> form.unravel(form.vector * 10)
    {'w': array([10., 20.]), 'b': 30.0, 'n': 4}
    >>> form.ravel({"w": np.array([5.0, 6.0]), "b": 7.0, "n": None})
    array([5., 6., 7.])
    """

    def __init__(self, example: Any, what: str = "x0"):
        self.what = what
        self.leaves, self.tree = flatten(example)
        self.slots: list[tuple[int, slice]] = []
        size = 0
        for k, leaf in enumerate(self.leaves):
            if is_float(leaf):
                count = int(np.size(leaf))
                self.slots.append((k, slice(size, size + count)))
                size += count
        if not self.slots:
            found = f"an array of {example.dtype}" if isinstance(example, np.ndarray) else f"{example!r}"
            raise TypeMismatch(f"{what} has no floats: it is {found[:60]}. Use x.astype(float), or 1.0 in place of 1")
        self.size = size
        self.vector = self.ravel(example)

    def ravel(self, value: Any) -> np.ndarray:
        """The vector of a value of this form."""
        leaves = self.leaves_of(value)
        if len(self.slots) == 1:
            return np.asarray(leaves[self.slots[0][0]], np.float64).reshape(-1)
        return np.concatenate([np.asarray(leaves[k], np.float64).reshape(-1) for k, _ in self.slots])

    def leaves_of(self, value: Any) -> list[Any]:
        """The leaves of a value of this form."""
        leaves, tree = flatten(value)
        return leaves if tree == self.tree else self._matched(value, tree)

    @property
    def names(self) -> list[str]:
        """A name for each element of the vector: the place of its leaf, and in arrays the subscripts.

        >>> Ravel({"w": np.ones((1, 2)), "b": 3.0}).names
        ['w[0,0]', 'w[0,1]', 'b']
        """
        paths = [re.sub(r"^\['(\w+)'\]", r"\1", path) or "x" for path in self.tree.paths()]
        found: list[str] = []
        for k, _ in self.slots:
            places = np.ndindex(np.shape(self.leaves[k]))
            found += [paths[k] + (f"[{','.join(map(str, place))}]" if place else "") for place in places]
        return found

    def _matched(self, value: Any, tree: Any) -> list[Any]:
        """The leaves of a value with None where this form has what is no float."""
        try:
            return self.tree.take(value, self.what)
        except ValueError:
            raise TypeMismatch(str(mismatch(self.tree, tree, self.what))) from None

    def unravel(self, vector: np.ndarray) -> Any:
        """A value of this form."""
        leaves = list(self.leaves)
        for k, part in self.slots:
            leaves[k] = _like(vector[part], self.leaves[k])
        return self.tree.unflatten(leaves)


def is_float(leaf: Any) -> bool:
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype in (np.float64, np.float32)
    return isinstance(leaf, float)


def _like(part: np.ndarray, leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return part.reshape(leaf.shape).astype(leaf.dtype)  # a copy: the vector may change under the user
    return type(leaf)(part[0])
