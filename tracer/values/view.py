"""Index maps: which elements of an array a view shows. Maps compose, so `A[i][j]` is `A[i, j]`."""

from __future__ import annotations

from dataclasses import dataclass

from ...ir.build import Builder, dim_atom
from ...ir.ops.array import full_slice
from ...ir.program import Atom, Index, Slice
from ...ir.types import Dim


@dataclass(frozen=True)
class Fixed:
    """One place on this axis of the base."""

    at: Atom


@dataclass(frozen=True)
class Run:
    """`size` places from `start` in steps of `step`, shown as axis `out` of the view."""

    start: Atom
    step: int
    size: Dim
    out: int


@dataclass(frozen=True)
class Strided:
    """A view by subscripts, transposition and new axes: one item per axis of the base.

    Axes of the view that no item shows are new ones, of size 1.
    """

    items: tuple[Fixed | Run, ...]
    rank: int

    @staticmethod
    def whole(dims: tuple[Dim, ...]) -> Strided:
        start = full_slice(1).start
        return Strided(tuple(Run(start, 1, d, k) for k, d in enumerate(dims)), len(dims))

    @property
    def dims(self) -> tuple[Dim, ...]:
        dims: list[Dim] = [1] * self.rank
        for item in self.items:
            if isinstance(item, Run):
                dims[item.out] = item.size
        return tuple(dims)

    def permuted(self, axes: tuple[int, ...]) -> Strided:
        """Axis k of the result is axis axes[k] of this view."""
        place = {axis: k for k, axis in enumerate(axes)}
        items = tuple(
            Run(i.start, i.step, i.size, place[i.out]) if isinstance(i, Run) else i for i in self.items
        )
        return Strided(items, self.rank)

    def subscript(self, builder: Builder, index: Index) -> Strided:
        """The view's view `[index]`; items are integers, slices and None."""
        shown = {item.out: item for item in self.items if isinstance(item, Run)}
        replaced: dict[int, Fixed | Run] = {}
        axis = out = 0
        for item in index.items:
            if item is None:
                out += 1
                continue
            run = shown.get(axis)
            if isinstance(item, Slice):
                if run is not None:
                    start = _place(builder, run, item.start)
                    replaced[axis] = Run(start, run.step * item.step, item.size, out)
                out += 1
            elif run is not None:
                replaced[axis] = Fixed(_place(builder, run, item))
            axis += 1
        items = tuple(replaced[i.out] if isinstance(i, Run) else i for i in self.items)
        return Strided(items, out)

    def split(self) -> tuple[Index, tuple[int, ...] | None, Index | None]:
        """How to read it: a subscript of the base, then a transposition, then new axes."""
        runs = [i for i in self.items if isinstance(i, Run)]
        order = tuple(i.out for i in runs)
        ascending = tuple(sorted(order))
        base = Index(tuple(_item(i) for i in self.items))
        axes = None if order == ascending else tuple(order.index(o) for o in ascending)
        if len(order) == self.rank:
            return base, axes, None
        dims = self.dims
        new = Index(tuple(full_slice(dims[k]) if k in order else None for k in range(self.rank)))
        return base, axes, new


def _item(item: Fixed | Run) -> Atom | Slice:
    if isinstance(item, Fixed):
        return item.at
    return Slice(item.start, None, item.step, item.size)


def _place(builder: Builder, run: Run, k: Atom) -> Atom:
    form = builder.affine(run.start) + builder.affine(k).scaled(run.step)
    return builder.integer(form, hint="k")


def with_stops(builder: Builder, index: Index) -> Index:
    """The subscript with the stop of every slice written out."""
    return Index(
        tuple(_with_stop(builder, item) if isinstance(item, Slice) else item for item in index.items)
    )


def _with_stop(builder: Builder, item: Slice) -> Slice:
    if item.stop is not None:
        return item
    if item.step < 0:
        first = builder.affine(item.start) + (builder.affine(item.size) - 1).scaled(item.step)
        before = first - 1
        known = builder.facts.proves(before)
        return Slice(item.start, builder.integer(before) if known else None, item.step, item.size)
    if item.step == 1:
        stop = builder.affine(item.start) + builder.affine(item.size)
    else:
        stop = builder.affine(item.start) + (builder.affine(item.size) - 1).scaled(item.step) + 1
    return Slice(
        item.start,
        builder.integer(stop) if stop.terms or stop.constant else dim_atom(0),
        item.step,
        item.size,
    )
