"""What a random program is, and what is known of its variables while it is written."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

SIZES = ({"n": 5, "m": 4}, {"n": 7, "m": 6}, {"n": 6, "m": 9})
SMALLEST = {name: min(sizes[name] for sizes in SIZES) for name in ("n", "m")}

HEADER = """\
import math

import numpy as np

W = np.array([0.3, -0.7, 1.1, 0.4])
SCALE = 0.8


def blend(a, b):
    return 0.6 * a + np.sin(b) * 0.4


def bigger(a, b):
    if a > b:
        return a
    return b * 0.5


def damp(x, s):
    for i in range(len(x)):
        x[i] *= np.cos(s + x[i])
    return x[0] * s


def shift(x, s):
    x[1:] = x[:-1] * s
    x[0] += s


def pair(a, b=0.5):
    return np.tanh(a * b), a - b


def norm2(x):
    total = 0.0
    for v in x:
        total += v * v
    return total

"""


@dataclass(frozen=True)
class Dim:
    """`base + offset`; no base: a constant."""

    base: str | None
    offset: int = 0

    @property
    def smallest(self) -> int:
        return self.offset + (SMALLEST[self.base] if self.base else 0)

    def __str__(self) -> str:
        if self.base is None:
            return str(self.offset)
        return (
            self.base
            if not self.offset
            else f"{self.base} {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
        )

    def of(self, sizes: dict[str, int]) -> int:
        return self.offset + (sizes[self.base] if self.base else 0)

    def __add__(self, k: int) -> Dim:
        return Dim(self.base, self.offset + k)


@dataclass(frozen=True)
class Array:
    name: str
    dims: tuple[Dim, ...]
    group: int  # arrays that may share memory have one group
    writable: bool = True


@dataclass(frozen=True)
class Index:
    """An integer variable in low..high, both included; `high` None: not known."""

    name: str
    low: int
    high: Dim | None


@dataclass
class Scope:
    floats: list[str] = field(default_factory=list)
    bools: list[str] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    indices: dict[str, Index] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)  # names that are not assigned: loop variables, sizes
    functions: dict[str, int] = field(default_factory=dict)  # local functions of floats: number of arguments
    pairs: list[str] = field(default_factory=list)  # tuples of two floats
    lists: dict[str, tuple[int, tuple[Dim, ...]]] = field(default_factory=dict)
    numbers: dict[str, tuple[Dim, Dim]] = field(default_factory=dict)  # arrays of integers: size, bound

    def copy(self) -> Scope:
        return Scope(
            list(self.floats), list(self.bools), dict(self.arrays), dict(self.indices), set(self.fixed),
            dict(self.functions), list(self.pairs), dict(self.lists), dict(self.numbers),
        )  # fmt: skip


@dataclass
class Program:
    seed: int
    source: str
    name: str
    params: list[tuple[str, str, tuple[Dim, ...]]]  # name, kind (array, float, int), dims

    def arguments(self, sizes: dict[str, int]) -> list[object]:
        rng = np.random.default_rng(self.seed + 1000 * sizes["n"])
        args: list[object] = []
        for _, kind, dims in self.params:
            if kind == "array":
                args.append(rng.normal(size=tuple(d.of(sizes) for d in dims)))
            else:
                args.append(float(rng.normal()) if kind == "float" else int(rng.integers(2, 5)))
        return args
