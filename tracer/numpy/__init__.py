"""NumPy, SciPy and built-in functions written in terms of primitives. Importing fills the tables."""

from . import create, elementwise

__all__ = ["create", "elementwise"]
