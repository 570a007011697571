"""The order of elements: in which order they would be sorted, and where others belong among sorted ones.

Sorting itself is a reading of the elements by these places, so that its derivative is that of a subscript.
"""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Kind, Primitive, Trait, nondifferentiable
from ..types import Type


def _places(x: Type) -> Type:
    if not x.rank:
        raise IRError(f"{x} has no axis to sort along")
    return x.with_dtype("i64")


argsort = Primitive(
    "argsort", "argsort({0})", _places, lambda x: np.argsort(x, axis=-1, kind="stable"), vjp=nondifferentiable,
    cost=100, samples=("f64[5]", "f64[4, 3]", "f32[2, 3, 4]", "i64[5]"), kind=Kind.KERNEL,
    traits=Trait.QUIET | Trait.PLACES | Trait.CONTIGUOUS,
)  # fmt: skip
"""The places of the elements in ascending order, along the last axis; equal ones stay in their order, nan is last."""


def _found(x: Type, values: Type) -> Type:
    if x.rank != 1 or x.dtype != values.dtype:
        raise IRError(f"{values} cannot be looked up in {x}")
    return values.with_dtype("i64")


search_left = Primitive(
    "search_left", "search_left({0}, {1})", _found, lambda x, values: np.searchsorted(x, values, side="left"),
    vjp=nondifferentiable, cost=100, samples=("f64[5], f64[3]", "f64[5], f64", "i64[4], i64[2, 3]"), kind=Kind.KERNEL,
    traits=Trait.QUIET | Trait.PLACES | Trait.CONTIGUOUS,
)  # fmt: skip
"""The number of elements of a sorted array that are smaller than each value; a nan counts as larger than all others."""
search_right = Primitive(
    "search_right", "search_right({0}, {1})", _found, lambda x, values: np.searchsorted(x, values, side="right"),
    vjp=nondifferentiable, cost=100, samples=("f64[5], f64[3]", "f64[5], f64", "i64[4], i64[2, 3]"), kind=Kind.KERNEL,
    traits=Trait.QUIET | Trait.PLACES | Trait.CONTIGUOUS,
)  # fmt: skip
"""The number of elements of a sorted array that are not larger than each value."""
