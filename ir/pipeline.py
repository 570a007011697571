"""The way of a program through passes: `Pass`es in a `Pipeline`, each with the `Level` it takes and gives.

A pass is a function from program to program with a name. What it may do differently is in the `Context`, which is the
same for all passes of a run. Under PULLBACK_CHECK=1, which the tests set, every program between two passes is
verified, and held to its level.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from .program import Program
from .verify import verify
from .verify_level import verify_loops, verify_stored


class Level(IntEnum):
    """What a program may contain: each level is stricter than the one before."""

    ARRAYS = 0
    """Anything."""
    LOOPS = 1
    """No elementwise operation has an array for a result: there are loops over scalars instead."""
    STORED = 2
    """Every write may destroy the array it writes to: nobody reads the old one."""


@dataclass(frozen=True)
class Context:
    """What decides how a program is rewritten, besides the program.

    reassociate   sums that the user wrote as loops may be added up in another order
    parallel      loops of at least so many operations run on all cores; None: none does
    bounds_check  checks of subscripts stay
    """

    reassociate: bool = True
    parallel: int | None = None
    bounds_check: bool = True


DEFAULT = Context()

Seen = Callable[[str, Program, Program], None]
"""Called after each pass: its name, the program before and after."""


@dataclass(frozen=True)
class Pass:
    """One rewrite of programs. `about` is a line on what it is for."""

    name: str
    run: Callable[[Program, Context], Program]
    takes: Level
    gives: Level
    about: str = ""

    @classmethod
    def of(
        cls,
        function: Callable[..., Program],
        takes: Level,
        gives: Level | None = None,
        options: Callable[[Context], dict[str, object]] | None = None,
    ) -> Pass:
        """A pass of this function, named and described as it is; `options` are its keyword arguments."""

        def run(program: Program, context: Context) -> Program:
            return function(program, **options(context)) if options else function(program)

        about = (function.__doc__ or "").strip().partition("\n")[0]
        return cls(function.__name__, run, takes, takes if gives is None else gives, about)

    def __str__(self) -> str:
        level = self.takes.name if self.takes == self.gives else f"{self.takes.name} > {self.gives.name}"
        return f"{self.name:24}{level:16}{self.about}"


@dataclass(frozen=True)
class Pipeline:
    """Passes in order; with `rounds` above 1 again and again, that often at most, until nothing changes.

    >>> from .passes import CLEANUP
    >>> CLEANUP.names
    ('simplify', 'invariant', 'common', 'dead_code')
    >>> print(str(CLEANUP).splitlines()[3][:62])
    dead_code               ARRAYS          Dead code elimination:
    """

    passes: tuple[Pass, ...]
    rounds: int = field(default=1)

    def run(self, program: Program, context: Context = DEFAULT, *, seen: Seen | None = None) -> Program:
        """The program after all passes."""
        for _ in range(self.rounds):
            before = program
            for step in self.passes:
                program = self._step(step, program, context, seen)
            if self.rounds > 1 and program == before:
                break
        return program

    @staticmethod
    def _step(step: Pass, program: Program, context: Context, seen: Seen | None) -> Program:
        after = checked(step.run(program, context), step.gives)
        if seen is not None:
            seen(step.name, program, after)
        return after

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.passes)

    def before(self, name: str) -> Pipeline:
        """The passes before the one of this name."""
        return Pipeline(self.passes[: self.names.index(name)])

    def __add__(self, other: Pipeline) -> Pipeline:
        return Pipeline(self.passes + other.passes)

    def __iter__(self) -> Iterator[Pass]:
        return iter(self.passes)

    def __str__(self) -> str:
        return "\n".join(map(str, self.passes))


def checked(program: Program, level: Level = Level.ARRAYS) -> Program:
    """The program; under PULLBACK_CHECK=1 verified, and held to its level."""
    if os.environ.get("PULLBACK_CHECK") == "1":
        verify(program)
        if level >= Level.LOOPS:
            verify_loops(program)
        if level >= Level.STORED:
            verify_stored(program)
    return program
