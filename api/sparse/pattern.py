"""A sparsity pattern: where a matrix may have entries that are not zero."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..ir.errors import ArgumentError, TypeMismatch
from ..ir.once import once
from ..runtime.lazy import lazy
from ..runtime.sparse.colours import Matrix
from . import spy
from .colouring import Colouring, colouring, symmetric_colouring


class Pattern:
    """Where a matrix may have entries that are not zero: rows of column numbers, sorted.

    shape     (rows, columns)
    indptr    int32 (int64 where there are more than 2^31 entries): where each row begins in `indices`
    indices   int32: the columns of the entries
    notes     what was taken as a whole, because looking at its iterations one by one would have taken too long

    Printed, it is a picture. `Pattern.of(x)` takes a matrix of SciPy's or of truth values.

    >>> print(Pattern.of(np.eye(4) + np.eye(4, k=1)))
    4 x 4, 7 entries (44 %): 2 directions forward instead of 4
    ┌───────┐
    │● ● · ·│
    │· ● ● ·│
    │· · ● ●│
    │· · · ●│
    └───────┘
    """

    def __init__(self, shape: tuple[int, int], indptr: Any, indices: Any, notes: tuple[str, ...] = ()):
        self.shape = int(shape[0]), int(shape[1])
        kind = np.int32 if len(indices) < 2**31 else np.int64
        self.indptr, self.indices = np.asarray(indptr, kind), np.asarray(indices, np.int32)
        self.notes = tuple(notes)
        if self.indptr.shape != (self.shape[0] + 1,) or self.indptr[-1] != self.indices.size:
            raise ArgumentError(
                "a pattern needs one offset for each row and one at the end, as indptr of a csr matrix"
            )

    @classmethod
    def of(cls, matrix: Any) -> Pattern:
        """The pattern of a sparse matrix of SciPy's (its stored entries), or of what is not 0 in an array."""
        if isinstance(matrix, cls):
            return matrix
        if not hasattr(matrix, "tocsr"):
            dense = np.asarray(matrix)
            if dense.ndim != 2 or dense.dtype.kind not in "biuf":
                raise TypeMismatch(
                    f'sparsity must be "detect", a Pattern, a sparse matrix of SciPy\'s or a matrix of truth values, '
                    f"not {matrix if isinstance(matrix, str) else type(matrix).__name__!r}"
                )
            rows, columns = np.nonzero(dense)
            return cls(dense.shape, np.searchsorted(rows, np.arange(dense.shape[0] + 1)), columns)
        made = matrix.tocsr(copy=True)
        made.sum_duplicates()
        return cls(made.shape, made.indptr, made.indices)

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def nnz(self) -> int:
        """How many entries there may be."""
        return int(self.indices.size)

    @property
    def density(self) -> float:
        """The part of all places that have an entry, from 0 to 1."""
        return self.nnz / max(1, self.shape[0] * self.shape[1])

    @once
    def rows(self) -> np.ndarray:
        """For each entry its row."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.indptr))

    @once
    def matrix(self) -> Matrix:
        return Matrix.of(self.indptr, self.indices, self.shape[1])

    @property
    def T(self) -> Pattern:  # noqa: N802
        return Pattern((self.shape[1], self.shape[0]), self.matrix.col_ptr, self.matrix.col_ind, self.notes)

    def symmetrised(self) -> Pattern:
        """With the mirror image of every entry."""
        mirror = self.T
        same = np.array_equal(self.indptr, mirror.indptr) and np.array_equal(self.indices, mirror.indices)
        return self if same else self | mirror

    def __or__(self, other: Pattern) -> Pattern:
        both = self.to_scipy() + other.to_scipy()
        both.sort_indices()
        return Pattern(self.shape, both.indptr, both.indices, (*self.notes, *other.notes))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Pattern) and self.shape == other.shape
            and np.array_equal(self.indptr, other.indptr) and np.array_equal(self.indices, other.indices)
        )  # fmt: skip

    def __hash__(self) -> int:
        return hash((self.shape, self.nnz))

    def __contains__(self, place: tuple[int, int]) -> bool:
        i, j = place
        row = self.indices[self.indptr[i] : self.indptr[i + 1]]
        k = int(np.searchsorted(row, j))
        return k < row.size and int(row[k]) == j

    def to_scipy(self, format: str = "csr") -> Any:
        """A sparse array of SciPy's of truth values."""
        data = np.ones(self.nnz, np.bool_)
        made = lazy("scipy.sparse").csr_array(
            (data, self.indices.copy(), self.indptr.copy()), shape=self.shape
        )
        return made.asformat(format)

    def toarray(self) -> np.ndarray:
        """A matrix of truth values."""
        made = np.zeros(self.shape, np.bool_)
        made[self.rows, self.indices] = True
        return made

    # -- colourings ------------------------------------------------------------------------------------

    @once
    def colouring(self) -> Colouring:
        """Which columns and rows a sweep can have together, for a Jacobian with this pattern."""
        return colouring(self)

    @once
    def symmetric_colouring(self) -> Colouring:
        """Which columns a product can have together, for a Hessian with this pattern. It must be symmetric."""
        if self.shape[0] != self.shape[1] or self.symmetrised() is not self:
            raise ArgumentError("a Hessian is symmetric, and this pattern is not: use pattern.symmetrised()")
        return symmetric_colouring(self)

    # -- on disk and on the screen ---------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a file of NumPy's (.npz), which `load` reads."""
        with open(path, "wb") as file:
            np.savez_compressed(
                file, shape=np.array(self.shape), indptr=self.indptr, indices=self.indices,
                notes=np.array(self.notes, np.str_),
            )  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Pattern:
        """The pattern that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            notes = tuple(map(str, file["notes"]))
            return cls(tuple(file["shape"]), file["indptr"], file["indices"], notes)

    def _facts(self) -> str:
        share = 100 * self.density
        shown = f"{share:.0f}" if share >= 10 else f"{share:.2g}"
        m, n = (f"{k:,}".replace(",", " ") for k in self.shape)
        entries = f"{self.nnz:,}".replace(",", " ")
        return f"{m} x {n}, {entries} entr{'y' if self.nnz == 1 else 'ies'} ({shown} %)"

    def __repr__(self) -> str:
        return f"<Pattern: {self._facts()}>"

    def __str__(self) -> str:
        lines = [f"{self._facts()}: {self.colouring}", spy.text(self.shape, self.rows, self.indices)]
        lines += [f"taken as a whole: {note}" for note in self.notes]
        return "\n".join(lines)

    def svg(self) -> str:
        """A picture of it; where it is small, columns of one colour are taken together."""
        found = self.colouring
        colours = found.columns if found.forward else None
        return spy.svg(self.shape, self.rows, self.indices, colours, self._facts())

    def _repr_svg_(self) -> str:
        return self.svg()
