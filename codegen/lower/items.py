"""What array operations become before any loop is written: nests over scalars, and nodes that stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...ir.affine import Affine
from ...ir.once import once
from ...ir.primitive import Primitive
from ...ir.program import Check, Index, Let, Slice, Span, Var, atoms, dim_names
from ...ir.types import Dim, Type
from .. import index_maps
from ..index_maps import Along, Counted, Fixed, Place, Read, Source, Taken


@dataclass(frozen=True)
class Op:
    """A nest of loops over `space`, outermost first, that computes one value per point.

    prim over args gives the value (without prim: the value read). With `fold` the values are combined over the
    loops that are not in `out` (`cumsum`: along loop `axis`). With `target` the value is stored there.
    """

    var: Var
    space: tuple[Dim, ...]
    out: tuple[int | None, ...]  # the loop of each axis of the result; None for an axis of size one
    prim: Primitive | None
    args: tuple[Any, ...]  # Sources and static values
    fold: str = ""
    axis: int = -1
    target: Var | None = None
    places: tuple[Place, ...] = ()
    add: bool = False
    own: bool = False  # a store that scalarise made: nothing else reads or writes its target
    late: bool = False  # belongs in the loop of its only reader
    span: Span | None = field(default=None, compare=False)

    @property
    def size(self) -> Dim | None:
        """The size of the outermost loop, None for a scalar."""
        return self.space[0] if self.space else None

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(a for a in self.args if isinstance(a, (Read, Counted)))

    def reads(self) -> Iterator[Read]:
        for source in (*self.sources, *self.places):
            yield from index_maps.reads(source)

    def names(self) -> tuple[str, ...]:
        """Every name that must be there before."""
        return self._names

    @once
    def _names(self) -> tuple[str, ...]:  # asked for a dozen times
        return tuple(self._named())

    def _named(self) -> Iterator[str]:
        for source in (*self.sources, *self.places):
            yield from index_maps.names(source)
        if self.target is not None:
            yield self.target.name
        yield from dim_names(self.var)
        yield from (d for d in self.space if isinstance(d, str))

    def placed(self, loops: Sequence[Place]) -> tuple[tuple[Any, ...], tuple[Place, ...]]:
        """Arguments and places with the loops replaced."""
        args = tuple(index_maps.through(a, loops) if isinstance(a, (Read, Counted)) else a for a in self.args)
        return args, tuple(index_maps.replaced(p, loops) for p in self.places)

    def reordered(self, order: Sequence[int]) -> Op:
        """The same nest with its loops in another order: `order[k]` is the old loop at k."""
        place = {old: new for new, old in enumerate(order)}
        args, places = self.placed([Along(place[k]) for k in range(len(order))])
        out = tuple(None if o is None else place[o] for o in self.out)
        space = tuple(self.space[o] for o in order)
        axis = place[self.axis] if self.axis >= 0 else -1
        return replace(self, args=args, places=places, out=out, space=space, axis=axis)


@dataclass(frozen=True)
class Plain:
    """A node that is not a loop over elements; it needs its arrays in memory."""

    node: Let | Check
    late: bool = False  # belongs beside its only reader

    @property
    def size(self) -> None:
        return None

    @property
    def var(self) -> Var | None:
        return self.node.var if isinstance(self.node, Let) else None

    @property
    def target(self) -> Var | None:
        if isinstance(self.node, Let) and self.node.op.writes:
            return self.node.args[0]  # type: ignore[return-value]
        return None

    def names(self) -> tuple[str, ...]:
        return self._names

    @once
    def _names(self) -> tuple[str, ...]:
        return tuple(self._named())

    def _named(self) -> Iterator[str]:
        operands = self.node.args if isinstance(self.node, Let) else (self.node.cond,)
        for operand in operands:
            yield from (a.name for a in atoms(operand) if isinstance(a, Var))
            yield from dim_names(operand)
        if self.var is not None:
            yield from (d for d in dim_names(self.var) if d != self.var.name)

    def arrays(self) -> Iterator[str]:
        operands = self.node.args if isinstance(self.node, Let) else ()
        for operand in operands:
            yield from (a.name for a in atoms(operand) if isinstance(a, Var) and a.type.rank)


Item = Op | Plain


def frame(dims: Sequence[Dim]) -> tuple[tuple[Dim, ...], tuple[int | None, ...], tuple[Place, ...]]:
    """The loops over an array of these sizes: their sizes, the loop of each axis, the place on each axis."""
    space = tuple(d for d in dims if d != 1)
    numbers = iter(range(len(space)))
    out = tuple(None if d == 1 else next(numbers) for d in dims)
    return space, out, tuple(Fixed() if o is None else Along(o) for o in out)


def memory_order(source: Source, loops: int) -> list[int] | None:
    """The loops in the order in which the array that is read lies in memory."""
    places = source.places if isinstance(source, Read) else (source.place,)
    order = [p.loop for p in places if isinstance(p, Along)]
    return order if sorted(order) == list(range(loops)) else None


def covers(index: Index, dims: Sequence[Dim]) -> bool:
    """Does a subscript select the whole array, in its order?"""
    return len(index.items) == len(dims) and all(
        isinstance(item, Slice)
        and item.step == 1
        and item.size == d
        and index_maps.form_of(item.start) == Affine()
        for item, d in zip(index.items, dims)
    )


def is_all(source: Source, type: Type) -> bool:
    """Is what is read just an array in memory?"""
    return (
        isinstance(source, Read)
        and type.rank > 0
        and source.base.type.dims == type.dims  # x[0:3] starts at 0 too
        and all(
            p == Along(k) or (p == Fixed() and d == 1)
            for k, (p, d) in enumerate(zip(source.places, type.dims))
        )
    )


def distinct(places: Sequence[Place]) -> bool:
    """Does a store go to another element at each position?"""
    return not any(isinstance(p, Taken) for p in places)
