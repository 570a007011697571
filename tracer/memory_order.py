"""On whose order in memory it depends what a program does.

An argument is passed on in C order, whatever order it has. Its values do not depend on that, but whether a reshape of
it gives a view or a copy does, as it does for what NumPy gives the order of the argument (`x * 2`,
`np.zeros_like(x)`). That matters where one of the two is written afterwards.
"""

from __future__ import annotations

from typing import Protocol


class Cell(Protocol):
    """What is asked of the content of an array (values/symbol.py)."""

    number: int
    origins: frozenset[int]


class MemoryOrder:
    """What a trace has found out.

    matters    the parameters that must be in C order for the program to be right
    reshaped   by number of a cell: the parameters that decide whether a reshape of it was a view
    follows    by number of a cell: the parameters whose order it has
    unknown    numbers of cells in another order than C, or in one of which only sizes decide
    in_order   numbers of cells in C order, whatever they were copied from
    """

    def __init__(self) -> None:
        self.matters: set[str] = set()
        self.reshaped: dict[int, frozenset[str]] = {}
        self.follows: dict[int, frozenset[str]] = {}
        self.in_order: set[int] = set()
        self.unknown: set[int] = set()
        self.changed: set[int] = set()

    def reshape(self, cell: Cell, parameters: frozenset[str], in_loop: bool) -> None:
        """The array was reshaped; a write that stands before it in a loop comes after it in the next iteration."""
        if parameters:
            self.reshaped[cell.number] = self.reshaped.get(cell.number, frozenset()) | parameters
            if in_loop and not self.changed.isdisjoint(cell.origins):
                self.matters |= parameters

    def write(self, cell: Cell) -> None:
        self.changed |= cell.origins
        if self.reshaped:
            for number in cell.origins:
                self.matters |= self.reshaped.get(number, frozenset())
