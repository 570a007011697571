"""Calls of functions that are no programs: what pb.register was given, by the name under which this process has it."""

from __future__ import annotations

from ..primitive import Kind, Primitive, Trait, nondifferentiable
from ..program import Atom
from ..types import Type
from .array import dims_of


def _results(key: str, size: Atom, args: tuple[Type, ...]) -> Type:
    return Type("f64", dims_of((size,)))


external = Primitive(
    "external", "external({0}, {1}, {2})", _results, "pullback.runtime.external.call", vjp=nondifferentiable,
    static=(0,), sizes=(1,), cost=1000, kind=Kind.KERNEL, traits=Trait.RAISES,
)  # fmt: skip
"""The elements of all results of a function, one after the other: its key, how many they are, and its arguments."""
