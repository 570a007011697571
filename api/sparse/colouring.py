"""Which columns and rows of a sparse matrix one sweep can have together, and where its entries are in the products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.sparse.colours import Matrix, apart, star, symmetric_places

if TYPE_CHECKING:
    from .pattern import Pattern

REVERSE = 2
"""What a reverse sweep costs, in directions of forward mode."""
WORTH = 8
"""Sweeps up to which nobody looks for a mixture of both modes."""


@dataclass(frozen=True, eq=False)
class Colouring:
    """Groups of columns that forward mode takes together, groups of rows for reverse mode, or both.

    columns   for each column its colour, counted from 0; -1 for all where forward mode does nothing
    rows      the same for rows and reverse mode; -1 for rows that are found by their columns
    forward, reverse   how many colours there are: the sweeps
    symmetric entries may come from their mirror images
    """

    pattern: Pattern
    columns: np.ndarray
    rows: np.ndarray
    forward: int
    reverse: int
    symmetric: bool = False

    @property
    def sweeps(self) -> int:
        """How many directions and reverse sweeps are needed."""
        return self.forward + self.reverse

    def __str__(self) -> str:
        m, n = self.pattern.shape
        parts = []
        if self.forward or not self.reverse:
            parts.append(f"{_number(self.forward)} direction{'s' * (self.forward != 1)} forward")
        if self.reverse:
            parts.append(f"{_number(self.reverse)} reverse sweep{'s' * (self.reverse != 1)}")
        whole = n if self.forward else m
        kind = ", symmetric" if self.symmetric else ""
        return f"{' and '.join(parts)} instead of {_number(whole)}{kind}"

    def __repr__(self) -> str:
        return f"<Colouring: {self}>"

    def places(self) -> np.ndarray:
        """For each entry of the pattern its place in the products.

        First those with the directions, a row for each row of the matrix and a column for each colour; then those of
        the reverse sweeps, a row for each colour and a column for each column of the matrix.
        """
        (m, n), rows = self.pattern.shape, self.pattern.rows
        if self.symmetric:
            return symmetric_places(self.pattern.indptr, self.pattern.indices, self.columns, self.forward)
        indices = self.pattern.indices.astype(np.int64)
        back = m * self.forward + self.rows[rows].astype(np.int64) * n + indices
        if not self.forward:
            return back
        ahead = rows.astype(np.int64) * self.forward + self.columns[indices]
        return ahead if not self.reverse else np.where(self.rows[rows] >= 0, back, ahead)

    def seeds(self) -> tuple[np.ndarray, np.ndarray]:
        """The directions, one in each column, and the seeds of the reverse sweeps, one in each row."""
        m, n = self.pattern.shape
        ahead = np.zeros((n, self.forward))
        if self.forward:
            ahead[np.arange(n), self.columns] = 1.0
        back = np.zeros((self.reverse, m))
        of = np.flatnonzero(self.rows >= 0)
        back[self.rows[of], of] = 1.0
        return ahead, back


def _number(k: int) -> str:
    return f"{k:,}".replace(",", " ")


def colouring(pattern: Pattern, mode: str | None = None) -> Colouring:
    """The cheapest colouring found: of columns, rows, or both; with `mode` "forward" or "reverse" of one alone."""
    m, n = pattern.shape
    matrix = pattern.matrix
    sizes = np.diff(matrix.ptr), np.diff(matrix.col_ptr)
    least = int(sizes[0].max(initial=1)), int(sizes[1].max(initial=1))
    none = np.full(n, -1, np.int32), np.full(m, -1, np.int32)

    def ahead() -> Colouring:
        colours, count = apart(matrix)
        return Colouring(pattern, colours, none[1], max(1, count), 0)

    def back() -> Colouring:
        colours, count = apart(matrix.T)
        return Colouring(pattern, none[0], colours, 0, max(1, count))

    if mode is not None:
        return ahead() if mode == "forward" else back()
    first, second = (ahead, back) if least[0] <= REVERSE * least[1] else (back, ahead)
    best = first()
    if cost(best) > (REVERSE * least[1] if first is ahead else least[0]):
        other = second()
        best = other if cost(other) < cost(best) else best
    if cost(best) > WORTH:
        other_mix = mixed(pattern, cost(best))
        best = other_mix if other_mix is not None else best
    return best


def cost(found: Colouring) -> int:
    return found.forward + REVERSE * found.reverse


def mixed(pattern: Pattern, limit: int) -> Colouring | None:
    """Reverse sweeps for some rows, forward mode for the others, if that costs less than `limit`.

    The rows are the longest, or those that have anything outside of the longest columns.
    """
    m, n = pattern.shape
    matrix, rows = pattern.matrix, pattern.rows
    long = np.diff(matrix.ptr)
    order = np.argsort(-long, kind="stable")
    best: tuple[int, np.ndarray] | None = None
    count = 1
    while count < min(m, limit // REVERSE + 1, 4096):
        chosen = np.zeros(m, np.bool_)
        chosen[order[:count]] = True
        inside = chosen[rows]
        columns = np.bincount(pattern.indices[inside], minlength=n).max(initial=0)
        bound = int(REVERSE * columns + long[~chosen].max(initial=0))
        if bound < (limit if best is None else best[0]):
            best = bound, chosen
        count = count * 2
    if best is None:
        return None
    chosen = best[1]
    ahead, forward = apart(matrix, chosen)
    part = np.flatnonzero(chosen)
    ptr = np.concatenate([[0], np.cumsum(long[part])])
    back, reverse = apart(Matrix.of(ptr, pattern.indices[chosen[rows]], n).T)
    of_rows = np.full(m, -1, np.int32)
    of_rows[part] = back
    found = Colouring(pattern, ahead, of_rows, forward, reverse)
    return found if cost(found) < limit else None


def symmetric_colouring(pattern: Pattern) -> Colouring:
    """The colouring of a symmetric matrix by its columns, with entries taken from their mirror images."""
    n = pattern.shape[1]
    colours, count = star(pattern.indptr, pattern.indices)
    return Colouring(pattern, colours, np.full(n, -1, np.int32), max(1, count), 0, symmetric=True)


def group_columns(pattern: Any) -> np.ndarray:
    """The colours of the columns, as scipy.optimize has them for finite differences."""
    return apart(pattern.matrix)[0]
