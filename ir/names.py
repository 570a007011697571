"""Names that are taken, and what is known of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .program import Program, Var


class Names(set[str]):
    """The names that a program has taken, and which of them are its cotangents'.

    A pass that makes a name of another one (a copy, an element, a version after a write) says so, and what is made of a
    cotangent is one. How a name is spelled means nothing.
    """

    def __init__(self, names: Iterable[str] = (), cotangents: Iterable[str] = ()):
        super().__init__(names)
        self |= {"nan", "inf"}  # literals in the text
        self.cotangents = set(cotangents)

    def copy(self) -> Names:
        return Names(self, self.cotangents)

    def take(self, name: str, of: str | None = None) -> str:
        """Take a name: for something new, or for what is made of something that has a name."""
        if of in self.cotangents:
            self.cotangents.add(name)
        else:
            self.cotangents.discard(name)
        self.add(name)
        return name

    def is_cotangent(self, var: Var) -> bool:
        return var.name in self.cotangents

    def written(self, program: Program, **changes: Any) -> Program:
        """The program with these changes, and with the cotangents that a pass has made."""
        return replace(program, cotangents=frozenset(self.cotangents), **changes)
