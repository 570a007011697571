"""The intermediate representation: programs, primitives, text, checks and passes."""

from .draw.graph import Graph
from .program import Program
from .text import parse, show

__all__ = ["Graph", "Program", "parse", "show"]
