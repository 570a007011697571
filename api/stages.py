"""From a program to its code: the one place that composes code generation with the options in force.

What is shown, explained, stepped through, exported and run comes from here, so that it is one and the same text.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .codegen import PIPELINE, Context, Written, generate_lines
from .codegen.parallel.partition import LONG
from .ir.pipeline import Seen
from .ir.program import Program
from .runtime import options
from .runtime.compile import compile_source

IN_SOURCE = ("bounds_check", "reassociate", "parallel", "checkpoint")
"""The options that decide what is written."""


@dataclass(frozen=True)
class Compilation:
    """A program on its way to code, under these options; those in force where none are given."""

    program: Program
    settings: options.Options = field(default_factory=options.current)

    @property
    def context(self) -> Context:
        """What the passes go by."""
        parallel = self.settings.parallel
        return Context(
            reassociate=self.settings.reassociate,
            parallel=LONG if parallel is True else parallel or None,
            bounds_check=self.settings.bounds_check,
        )

    def lowered(self, seen: Seen | None = None) -> Program:
        """Loops over scalars with memory decided; `seen` is called after each pass."""
        return PIPELINE.run(self.program, self.context, seen=seen)

    def lines(self, comments: bool = True) -> list[Written]:
        """The generated lines, each with what it comes from."""
        return generate_lines(self.program, self.context, comments=comments)

    @functools.cached_property
    def source(self) -> str:
        """The generated Python."""
        return text_of(self.lines())

    def function(self) -> Callable[..., Any]:
        """The code, to call."""
        settings = self.settings
        return compile_source(self.source, self.program.name, jit=settings.jit, cache_dir=settings.cache_dir)


def text_of(lines: list[Written]) -> str:
    return "\n".join(line.text for line in lines) + "\n"
