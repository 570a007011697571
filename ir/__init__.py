"""The intermediate representation: programs, primitives, text, checks and passes."""

from .program import Program
from .text import parse, show

__all__ = ["Program", "parse", "show"]
