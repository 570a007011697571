"""The problems of the benchmarks, by name: the one definition of their functions, data and sizes."""

from . import arrays, loops, polybench
from .problem import Problem, Size

__all__ = ["PROBLEMS", "Problem", "Size"]

PROBLEMS: dict[str, Problem] = {p.name: p for p in (*arrays.PROBLEMS, *loops.PROBLEMS, *polybench.PROBLEMS)}
