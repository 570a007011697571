"""What a problem of the benchmarks is: a plain function of NumPy arrays, its data, and the sizes it is run at."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Size = tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """One kernel. Its loss is a sum with random weights: compilers exploit a seed of ones."""

    name: str
    function: Callable[..., Any]
    """The loss, as a user of NumPy writes it: what pullback is given."""
    data: Callable[..., tuple[Any, ...]]
    """(generator, *size) -> the arguments of `function`."""
    wrt: tuple[int, ...]
    """Which arguments the gradient is for."""
    sizes: dict[str, Size]
    tiny: Size
    """A size for tests of correctness."""
    straight: bool = False
    """Without loops in the user's source."""

    def arguments(self, size: Size) -> tuple[Any, ...]:
        """The data at this size: the same in every process."""
        return self.data(np.random.default_rng(zlib.crc32(f"{self.name} {size}".encode())), *size)

    @property
    def smallest(self) -> str:
        return next(iter(self.sizes))
