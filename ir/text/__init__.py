"""The printed form of programs, a strict subset of Python: the printer, the reader, the layout for people."""

from .printer import Line, lines, operation, parse, show

__all__ = ["Line", "lines", "operation", "parse", "show"]
