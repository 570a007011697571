"""On which inputs each element of an operation's result depends.

What moves elements is done to arrays of sets as it is to arrays of numbers; what computes joins sets. Operations that
nothing is known of depend, in each element, on all elements of their operands: too much, never too little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..adjoint.activity import operands
from ..evaluate import function
from ..ops.arith import where
from ..ops.array import concatenate
from ..ops.index import at_set, numpy_index
from ..ops.linalg import matmul
from ..primitive import Kind
from ..program import Index, Let, Lit, Slice, Var, map_operand
from ..types import Dim
from .values import UNKNOWN, Depends, SetsOf, Value, everything, handles, is_known

Shape = tuple[int, ...]


class Unsized(Exception):  # noqa: N818
    """A size is not known without numbers."""


class Rules:
    """The rules, for values that `read` and `size` give."""

    def __init__(self, sets: SetsOf, read: Callable[[Any], Value], size: Callable[[Dim], int]):
        self.sets, self.read, self.size = sets, read, size

    def result(self, let: Let) -> Value:
        """What is known of the result of an operation that is no number known by itself."""
        if not let.var.type.is_float:
            return UNKNOWN
        parts = {a.name: self.read(a) for a in operands(let)}
        moving = [v for v in parts.values() if isinstance(v, Depends)]
        if not moving:
            return UNKNOWN
        try:
            shape = self.shape(let.var)
        except Unsized:
            return Depends(everything(self.sets, moving), whole=True)
        found = None if any(v.whole for v in moving) else self.by_kind(let, shape)
        if found is None:
            found = np.broadcast_to(everything(self.sets, moving), shape)
        return Depends(np.asarray(found, np.int64))

    def shape(self, var: Var | Lit) -> Shape:
        return tuple(map(self.size, var.type.dims))

    def handles(self, atom: Any) -> np.ndarray:
        return handles(self.read(atom), self.shape(atom))

    def by_kind(self, let: Let, shape: Shape) -> np.ndarray | None:
        op = let.op
        match op.kind:
            case Kind.ELEMENTWISE:
                return self.elementwise(let, shape)
            case Kind.VIEW | Kind.COPY:
                try:
                    return function(op)(self.handles(let.args[0]), *self.numbers(let.args[1:]))
                except _NotKnown:
                    return None
            case Kind.READ:
                return self.got(let, shape)
            case Kind.WRITE:
                return self.written(let)
            case Kind.REDUCE:
                axes: Any = let.args[1]
                return self.sets.reduce(self.handles(let.args[0]), axes if isinstance(axes, tuple) else (axes,))
            case Kind.SCAN:
                return self.sets.scan(self.handles(let.args[0]), let.args[1])  # type: ignore[arg-type]
        if op is concatenate:
            return np.concatenate([self.handles(part) for part in let.args[0]], let.args[1])  # type: ignore
        return self.product(let) if op is matmul else None

    def numbers(self, args: Any) -> Any:
        return map_operand(args, self._number, self.size)

    def _number(self, atom: Any) -> Any:
        if atom.type.is_float:
            return 0  # no view depends on the number
        value = self.read(atom)
        if not is_known(value):
            raise _NotKnown
        return int(value)

    def elementwise(self, let: Let, shape: Shape) -> np.ndarray:
        if let.op is where:
            chosen = self.read(let.args[0])
            if is_known(chosen):
                return np.where(chosen, *(np.asarray(self.handles(a)) for a in let.args[1:]))
        total: np.ndarray | None = None
        for name in dict.fromkeys(a.name for a in operands(let)):
            value = next(a for a in let.values if isinstance(a, Var) and a.name == name)
            if isinstance(self.read(value), Depends):
                here = self.handles(value)
                total = here if total is None else self.sets.join(total, here)
        assert total is not None
        return np.broadcast_to(total, shape)

    def product(self, let: Let) -> np.ndarray:
        """Element i, j of a matrix product depends on row i and column j."""
        a, b = (self.handles(x) for x in let.args)
        rows = self.sets.reduce(a, (a.ndim - 1,))
        columns = self.sets.reduce(b, (max(0, b.ndim - 2),))
        if a.ndim > 1 and b.ndim > 1:
            rows, columns = rows[..., :, None], columns[..., None, :]
        return self.sets.join(rows, columns)

    # -- subscripts ------------------------------------------------------------------------------------

    def known_index(self, index: Index) -> tuple[Any, ...] | None:
        """The subscript as NumPy takes it, None if something in it is not known."""
        try:
            return numpy_index(map_operand(index, self._place, self.size))
        except _NotKnown:
            return None

    def _place(self, atom: Any) -> Any:
        value = self.read(atom)
        if not is_known(value):
            raise _NotKnown
        return value

    def got(self, let: Let, shape: Shape) -> np.ndarray | None:
        x = self.handles(let.args[0])
        index = self.known_index(let.subscript)
        if index is None:
            x, index = self.anywhere(x, let.subscript)
        try:
            found = np.asarray(x[index])
        except IndexError:  # in an arm that is never taken
            return None
        return found if found.shape == shape else None

    def anywhere(self, x: np.ndarray, index: Index) -> tuple[np.ndarray, tuple[Any, ...]]:
        """The array with one set along each axis whose subscript is not known, and a subscript that shows it."""
        items: list[Any] = []
        axes = []
        axis = 0
        for item in index.items:
            if item is None:
                items.append(None)
                continue
            known = self.known_index(Index((item,)))
            if known is not None:
                items.append(known[0])
            elif isinstance(item, Slice):
                items.append(slice(0, self.size(item.size)))
                axes.append(axis)
            else:
                items.append(np.zeros(self.shape(item), np.int64)[()])
                axes.append(axis)
            axis += 1
        one = self.sets.reduce(x, tuple(axes), keepdims=True)
        return np.broadcast_to(one, x.shape), tuple(items)

    def written(self, let: Let) -> np.ndarray | None:
        x = np.asarray(self.handles(let.args[0]))
        v = np.asarray(self.handles(let.stored))
        index = self.known_index(let.subscript)
        if index is None:
            return self.written_somewhere(x, let.subscript, v)
        try:
            if let.op is at_set:
                found = x.copy()
                found[index] = v
                return found
            places = np.arange(x.size, dtype=np.int64).reshape(x.shape)[index]
        except IndexError:
            return None
        return self.sets.join_at(x, places.reshape(-1), np.broadcast_to(v, places.shape).reshape(-1))

    def written_somewhere(self, x: np.ndarray, index: Index, v: np.ndarray) -> np.ndarray | None:
        """With v joined wherever it may have been written to, if only numbers are not known; else None."""
        items: list[Any] = []
        spread = []
        for item in index.items:
            known = self.known_index(Index((item,))) if item is not None else (None,)
            if known is None and isinstance(item, (Var, Lit)) and not item.type.dims:
                spread.append(len(items))
                items.append(slice(None))
            elif known is None or np.ndim(known[0]) or item is None:
                return None
            elif isinstance(known[0], slice):
                items.append(known[0])
            else:  # an axis that is kept, so that those of v are counted as they stand
                items.append(slice(int(known[0]), int(known[0]) + 1))
                spread.append(len(items) - 1)
        if v.ndim:
            v = np.expand_dims(v, tuple(spread))
        found = x.copy()
        part = found[tuple(items)]
        if v.ndim and any(a not in (1, b) for a, b in zip(v.shape, part.shape)):
            return None
        found[tuple(items)] = self.sets.join(part, v)
        return found


class _NotKnown(Exception):  # noqa: N818
    pass
