"""Sets of numbers under handles, so that an array of sets is an array of integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import options
from . import set_loops
from .loops import loop

FILE = "set_loops"
MOST = {True: 300_000_000, False: 300_000}
"""Lines that one loop may run, compiled or not: some seconds."""


class TooLarge(Exception):  # noqa: N818
    """There is more in the sets than can be listed."""


class Sets:
    """Sets of the numbers 0 to count - 1. Arrays of handles may be of any shape.

    >>> sets = Sets(3)
    >>> x = sets.single(0, (3,))
    >>> y = sets.join(x[:2], x[1:])
    >>> [a.tolist() for a in sets.contents(y)]
    [[0, 2, 4], [0, 1, 1, 2]]
    """

    def __init__(self, count: int):
        room = 3 * count + 1024
        self.count = count
        self._off = np.zeros(room, np.int32)
        self._size = np.zeros(room, np.int32)
        self._data = np.zeros(8 * count + 1024, np.int32)
        self._off[1 : count + 1] = np.arange(count)
        self._size[1 : count + 1] = 1
        self._data[:count] = np.arange(count)
        self._used = np.array([count + 1, count], np.int64)
        self._table = np.zeros(1 << int(2 * room - 1).bit_length(), np.int32)

    def single(self, start: int, shape: tuple[int, ...]) -> np.ndarray:
        """The sets of one number each, from `start` on."""
        return np.arange(start + 1, start + 1 + int(np.prod(shape, dtype=np.int64)), dtype=np.int64).reshape(
            shape
        )

    def join(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The unions, broadcast."""
        if a is b:
            return a
        a, b = np.broadcast_arrays(a, b)
        return self._run("join_along", np.stack([_flat(a), _flat(b)], 1), False).reshape(a.shape)

    def reduce(self, x: np.ndarray, axes: tuple[int, ...], keepdims: bool = False) -> np.ndarray:
        """The unions along axes."""
        kept = [k for k in range(x.ndim) if k not in axes]
        moved = x.transpose([*kept, *axes])
        shape = tuple(x.shape[k] for k in kept)
        rows = np.ascontiguousarray(moved).reshape(int(np.prod(shape, dtype=np.int64)), _product(x, axes))
        found = self._run("join_along", rows, False)
        return found.reshape([1 if k in axes else d for k, d in enumerate(x.shape)] if keepdims else shape)

    def total(self, x: np.ndarray) -> int:
        """The union of all."""
        return int(self._run("join_along", np.unique(x).reshape(1, -1), False)[0, 0])

    def scan(self, x: np.ndarray, axis: int) -> np.ndarray:
        """The unions of all before and at each place."""
        moved = np.ascontiguousarray(np.moveaxis(x, axis, -1))
        found = self._run(
            "join_along", moved.reshape(_product(moved, range(x.ndim - 1)), moved.shape[-1]), True
        )
        return np.moveaxis(found.reshape(moved.shape), -1, axis)

    def join_at(self, x: np.ndarray, places: np.ndarray, v: np.ndarray) -> np.ndarray:
        """x with the sets v joined to those at these places in C order."""
        return self._run("join_at", _flat(x), _flat(places), _flat(v)).reshape(x.shape)

    def contents(self, x: np.ndarray, most: int = 1 << 28) -> tuple[np.ndarray, np.ndarray]:
        """What is in the sets, in C order: offsets, and sorted numbers. Raises TooLarge for more than `most`."""
        handles, places = np.unique(_flat(x), return_inverse=True)
        starts, numbers, done = loop(FILE, "contents")(
            self._off, self._size, self._data, self._used, handles, self.count, most
        )
        if done < handles.size:
            raise TooLarge
        sizes = np.diff(starts)[places]
        offsets = np.zeros(places.size + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        if offsets[-1] > most:
            raise TooLarge
        shift = np.repeat(starts[:-1][places] - offsets[:-1], sizes)
        return offsets, numbers[np.arange(offsets[-1]) + shift]

    codes: Mapping[str, Any] = {name: value for name, value in vars(set_loops).items() if name.isupper()}
    """The numbers of what `run` does, by name."""

    def run(self, code: np.ndarray, values: np.ndarray, memory: np.ndarray) -> bool:
        """Run code on integers, sets and arrays of them, which change in place. False if it gave up."""
        return int(self._run("run_code", code, values, memory, MOST[options.current().jit])) == set_loops.DONE

    def _run(self, name: str, *args: Any) -> np.ndarray:
        found = loop(FILE, name)(self._off, self._size, self._data, self._used, self._table, *args)
        self._off, self._size, self._data, self._table, out = found
        return out


def _flat(x: Any) -> np.ndarray:
    return np.ascontiguousarray(x, np.int64).reshape(-1)


def _product(x: np.ndarray, axes: Any) -> int:
    return int(np.prod([x.shape[k] for k in axes], dtype=np.int64))
