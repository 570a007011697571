"""What the arrays that two arms of a branch leave behind may be views of, once they are joined."""

from __future__ import annotations

from ...ir.program import Atom
from ..snapshot import State, leaves
from ..values.symbol import Array, Cell


def sharers(state: State, cell: Cell) -> int:
    """How many variables and container slots show, or may show, (parts of) the cell."""
    return sum(
        isinstance(leaf, Array) and may_show(leaf, cell) for _, v in state.slots() for leaf in leaves(v)
    )


def may_show(array: Array, cell: Cell) -> bool:
    return array.cell is cell or any(base is cell for base, _ in array.cell.shows)


class Sharing:
    """Cells that arrays of two arms became, and what they may be views of."""

    def __init__(self, states: list[State]):
        self.states = states
        self.found: list[tuple[Cell, list[tuple[Cell, Atom | None]]]] = []

    def join(self, name: str, joined: Cell, arrays: tuple[Array, ...]) -> None:
        """Note what the new cell may show. It may not be written where that is more than one name's."""
        joined.origins |= frozenset().union(*(array.cell.origins for array in arrays))
        joined.frozen = next((array.cell.frozen for array in arrays if array.cell.frozen), None)
        bases: list[tuple[Cell, Atom | None]] = []
        for state, array in zip(self.states, arrays):
            if sharers(state, array.cell) > 1:
                bases.append((array.cell, None))
                joined.frozen = (
                    f"{name!r} may be one of two arrays since a traced branch or loop, and one of them is still known "
                    "by another name: a write to it cannot be followed. Write `.copy()` where the name is bound"
                )
            for base, value in array.cell.shows:
                still = state.cells.get(base, base.value) is value
                bases.append((base, None if still else value))
        if bases:
            self.found.append((joined, bases))

    def settle(self) -> None:
        """The cells that the arms wrote are joined, too: what is known about a view is known of their values now."""
        for joined, bases in self.found:
            joined.shows = tuple((base, base.value if value is None else value) for base, value in bases)
