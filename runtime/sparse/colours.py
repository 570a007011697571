"""Colourings of sparse matrices: which columns, or rows, one sweep can have together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .loops import loop

FILE = "colour_loops"
WORK = 4e9
"""Steps that a colouring may take; where it would take more, every line gets a colour of its own."""


@dataclass(frozen=True)
class Matrix:
    """The entries of a sparse matrix by rows, and by columns."""

    ptr: np.ndarray
    ind: np.ndarray
    col_ptr: np.ndarray
    col_ind: np.ndarray

    @classmethod
    def of(cls, ptr: np.ndarray, ind: np.ndarray, columns: int) -> Matrix:
        """From rows: where each begins, and its columns."""
        ptr, ind = np.ascontiguousarray(ptr, np.int64), np.ascontiguousarray(ind, np.int32)
        return cls(ptr, ind, *loop(FILE, "transposed")(ptr, ind, columns))

    @property
    def T(self) -> Matrix:  # noqa: N802
        return Matrix(self.col_ptr, self.col_ind, self.ptr, self.ind)


def apart(matrix: Matrix, skip: np.ndarray | None = None) -> tuple[np.ndarray, int]:
    """Colours of the columns, so that no row (which is not skipped) has two of one colour; and how many.

    The better of the columns in order and those with the most neighbours first.
    """
    sizes = np.diff(matrix.ptr)
    skip = np.zeros(sizes.size, np.bool_) if skip is None else skip
    kept = sizes[~skip]
    columns = matrix.col_ptr.size - 1
    least = int(kept.max(initial=0))
    if least == columns or float(np.sum(kept.astype(float) ** 2)) > WORK:
        return np.arange(columns, dtype=np.int32), columns
    colour = loop(FILE, "apart")
    arrays = matrix.ptr, matrix.ind, matrix.col_ptr, matrix.col_ind
    best = colour(*arrays, np.arange(columns), skip)
    if best[1] > max(1, least):
        (degree,) = loop(FILE, "degrees")(matrix.col_ptr, matrix.col_ind, matrix.ptr)
        other = colour(*arrays, np.argsort(-degree, kind="stable"), skip)
        best = other if other[1] < best[1] else best
    return best[0], int(best[1])


def star(ptr: np.ndarray, ind: np.ndarray) -> tuple[np.ndarray, int]:
    """Colours of a symmetric matrix, of which every entry is in its own row or its mirror image's; and how many."""
    n = ptr.size - 1
    sizes = np.diff(ptr)
    ptr, ind = np.ascontiguousarray(ptr, np.int64), np.ascontiguousarray(ind, np.int32)
    if int(sizes.min(initial=n)) == n or float(np.sum(sizes.astype(float) ** 2)) > WORK:
        return np.arange(n, dtype=np.int32), n
    colour = loop(FILE, "star")
    best = colour(ptr, ind, np.arange(n))
    if best[1] > 2:
        other = colour(ptr, ind, np.argsort(-sizes, kind="stable"))
        best = other if other[1] < best[1] else best
    return best[0], int(best[1])


def symmetric_places(ptr: np.ndarray, ind: np.ndarray, colour: np.ndarray, count: int) -> np.ndarray:
    """For each entry its place in the product of the matrix with the seeds, which has `count` columns."""
    ptr, ind = np.ascontiguousarray(ptr, np.int64), np.ascontiguousarray(ind, np.int32)
    (places,) = loop(FILE, "symmetric_places")(ptr, ind, np.ascontiguousarray(colour, np.int32), count)
    return places
