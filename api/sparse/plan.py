"""What a call of a sparse Jacobian needs besides compiled code, for one form and one set of sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..ir.errors import ArgumentError
from ..runtime.lazy import lazy
from .colouring import Colouring
from .pattern import Pattern

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")


def checked_format(format: Any) -> str:
    if format not in FORMATS:
        raise ArgumentError(f"format must be one of {', '.join(FORMATS)}, not {format!r}")
    return format


class Block:
    """One sparse matrix of the result: its rows and columns of the pattern, and how it is made of their numbers."""

    def __init__(
        self, pattern: Pattern, places: np.ndarray, rows: slice, columns: slice, dtype: Any, format: str
    ):
        whole = rows == slice(0, pattern.shape[0]) and columns == slice(0, pattern.shape[1])
        csr = lazy("scipy.sparse").csr_array
        if whole:
            self.places, self.indices, self.indptr = places, pattern.indices, pattern.indptr
            shape = pattern.shape
        else:
            numbered = csr((np.arange(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape)
            part = numbered[rows, columns].tocsr()
            part.sort_indices()
            self.places, shape = places[part.data], part.shape
            self.indices, self.indptr = (
                part.indices.astype(np.int32),
                part.indptr.astype(pattern.indptr.dtype),
            )
        self.dtype, self.format, self._csr = dtype, format, csr
        empty = csr((np.zeros(self.indices.size, dtype), self.indices, self.indptr), shape=shape, copy=True)
        self._like = dict(vars(empty))
        self._simple = type(empty) is csr and {"indices", "indptr", "data", "_shape"} <= set(self._like)
        self.shape = shape

    def matrix(self, numbers: np.ndarray) -> Any:
        """The matrix with the numbers at its places. What belongs to it is its own: it may be changed."""
        data = numbers.take(self.places)
        if data.dtype != self.dtype:
            data = data.astype(self.dtype)
        indices, indptr = self.indices.copy(), self.indptr.copy()
        if self._simple:  # SciPy's constructor looks at everything again
            made = object.__new__(self._csr)
            own = made.__dict__
            own.update(self._like)
            own["data"], own["indices"], own["indptr"] = data, indices, indptr
        else:
            made = self._csr((data, indices, indptr), shape=self.shape)
        return made if self.format == "csr" else made.asformat(self.format)


class Plan:
    """The pattern of one form at one set of sizes, its colouring, the seeds, and the blocks of the result.

    shapes    of the parameters, for which the plan holds
    given     integers and truth values among the parameters, by their position, on which the pattern depends
    """

    def __init__(
        self, pattern: Pattern, colouring: Colouring, shapes: tuple[tuple[int, ...], ...], given: dict[int, Any],
        sizes: Sequence[tuple[int, ...]], columns: Sequence[tuple[int, ...]], dtypes: Sequence[Any],
        results: Sequence[Any], format: str,
    ):  # fmt: skip
        """sizes, columns   shapes of the leaves of the value, and of those of the arguments
        dtypes, results     of the arguments' leaves, and of the value's
        """
        self.pattern, self.colouring, self.shapes, self.given = pattern, colouring, shapes, given
        ahead, back = colouring.seeds()
        row_ends, column_ends = _ends(sizes), _ends(columns)
        self.forward_seeds = [
            np.ascontiguousarray(ahead[a:b].reshape(*shape, colouring.forward), dtype)
            for (a, b), shape, dtype in zip(pairwise(column_ends), columns, dtypes)
        ]
        self.reverse_seeds = [
            np.ascontiguousarray(back[:, a:b].reshape(colouring.reverse, *shape), dtype)
            for (a, b), shape, dtype in zip(pairwise(row_ends), sizes, results)
        ]
        places = self._places(colouring, column_ends)
        self.blocks = [
            [
                Block(pattern, places, slice(a, b), slice(c, d), dtype, format)
                for c, d in pairwise(column_ends)
            ]
            for (a, b), dtype in zip(pairwise(row_ends), results)
        ]

    @staticmethod
    def _places(colouring: Colouring, ends: list[int]) -> np.ndarray:
        """Where each entry is among the numbers: reverse mode gives each argument's stack of rows by itself."""
        places = colouring.places()
        (m, n), reverse = colouring.pattern.shape, colouring.reverse
        if not reverse or len(ends) < 3:
            return places
        first = m * colouring.forward
        back = places >= first
        row, column = np.divmod(places - first, max(1, n))
        start = np.repeat(ends[:-1], np.diff(ends))[colouring.pattern.indices]
        width = np.repeat(np.diff(ends), np.diff(ends))[colouring.pattern.indices]
        return np.where(back, first + start * reverse + row * width + column - start, places)

    def fits(self, params: Sequence[Any]) -> bool:
        """Is it for parameters of these sizes and these integers?"""
        for p, shape in zip(params, self.shapes):
            if np.shape(p) != shape:
                return False
        return all(np.array_equal(params[k], value) for k, value in self.given.items())

    def numbers(self, ahead: Sequence[Any], back: Sequence[Any]) -> np.ndarray:
        """All products in one vector."""
        parts = [*ahead, *back]
        if len(parts) == 1:
            return np.asarray(parts[0]).reshape(-1)
        return np.concatenate([np.asarray(p).reshape(-1) for p in parts])

    def matrices(self, numbers: np.ndarray) -> list[list[Any]]:
        return [[block.matrix(numbers) for block in row] for row in self.blocks]


def _ends(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    sizes: list[int] = [0]
    for shape in shapes:
        sizes.append(sizes[-1] + int(np.prod(shape, dtype=np.int64)))
    return sizes
