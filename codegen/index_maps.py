"""Where a loop reads and writes: index maps from the positions of loops to elements of arrays.

An array operation is a nest of loops over scalars. What it reads at one point of the nest is a `Read`: an
array and, per axis, a `Place`. Views (slices, transposes, broadcasts, new axes) are maps, composed here, so
they are never copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ir.affine import Affine
from ..ir.errors import IRError
from ..ir.ops.array import dims_of
from ..ir.ops.index import arrays_of
from ..ir.program import Atom, Index, Let, Lit, Slice, Var
from ..ir.types import Dim

ZERO = Affine()


@dataclass(frozen=True, slots=True)
class Along:
    """start + step * (position of loop `loop`)."""

    loop: int
    start: Affine = ZERO
    step: int = 1


@dataclass(frozen=True, slots=True)
class Fixed:
    """The same for every position."""

    at: Affine = ZERO


@dataclass(frozen=True, slots=True)
class Taken:
    """start + step * (an element of an index array)."""

    source: Source
    start: Affine = ZERO
    step: int = 1


Place = Along | Fixed | Taken


@dataclass(frozen=True, slots=True)
class Read:
    """One element of an array, or a scalar (no places)."""

    base: Atom
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Counted:
    """The index itself: an element of `iota`."""

    place: Place


Source = Read | Counted


def form_of(atom: Atom) -> Affine:
    return Affine(int(atom.text)) if isinstance(atom, Lit) else Affine.name(atom.name)


def whole(rank: int) -> tuple[Place, ...]:
    """The map that is no change."""
    return tuple(Along(k) for k in range(rank))


def array(atom: Atom) -> Read:
    """The array itself, as seen by loops over all its axes; or a scalar."""
    return Read(atom, whole(atom.type.rank))


def scaled(place: Place, start: Affine, step: int) -> Place:
    """start + step * place."""
    match place:
        case Along(loop, s, k):
            return Along(loop, start + s.scaled(step), k * step)
        case Fixed(at):
            return Fixed(start + at.scaled(step))
        case Taken(Counted(inner), s, k):
            return scaled(inner, start + s.scaled(step), k * step)
        case Taken(source, s, k):
            return Taken(source, start + s.scaled(step), k * step)


def replaced(place: Place, loops: Sequence[Place]) -> Place:
    """The place, where `loops[k]` says what is at position k of the old loops.

    >>> replaced(Along(0, Affine(1)), [Along(1, Affine(2), -1)])  # x[1:][2::-1]
    Along(loop=1, start=Affine(constant=3, terms=()), step=-1)
    """
    match place:
        case Along(loop, start, step):
            return scaled(loops[loop], start, step)
        case Taken(source, start, step):
            return scaled(Taken(through(source, loops)), start, step)
    return place


def through(source: Source, loops: Sequence[Place]) -> Source:
    """What a view of a view reads."""
    match source:
        case Read(base, places):
            return Read(base, tuple(replaced(p, loops) for p in places)) if places else source
        case Counted(place):
            return Counted(replaced(place, loops))


def names(source: Source | Place) -> Iterator[str]:
    """Every name that is needed to read."""
    match source:
        case Read(base, places):
            if isinstance(base, Var):
                yield base.name
            for place in places:
                yield from names(place)
        case Counted(place):
            yield from names(place)
        case Along(_, start):
            yield from start.names
        case Fixed(at):
            yield from at.names
        case Taken(inner, start):
            yield from start.names
            yield from names(inner)


def reads(source: Source | Place) -> Iterator[Read]:
    """The read and those of its index arrays."""
    match source:
        case Read(_, places):
            yield source
            for place in places:
                yield from reads(place)
        case Counted(place):
            yield from reads(place)
        case Taken(inner):
            yield from reads(inner)


def loops_of(source: Source | Place) -> Iterator[int]:
    """The loops that a read depends on."""
    match source:
        case Along(loop):
            yield loop
        case Taken(inner):
            yield from loops_of(inner)
        case Read(_, places):
            for place in places:
                yield from loops_of(place)
        case Counted(place):
            yield from loops_of(place)


# -- subscripts and views ----------------------------------------------------------------------------


def index_places(index: Index, dims: tuple[Dim, ...]) -> tuple[Place, ...]:
    """Per axis of an array, the element that `x[index]` has at a position: loop k is axis k of the result.

    The order of the result's axes is `index_dims`'s: NumPy's rules for index arrays.
    """
    arrays = arrays_of(index)
    shape: tuple[Dim, ...] = () if arrays is None else arrays[0]
    result = 0
    first = None if arrays is None or arrays[1] else 0  # where the axes of the index arrays stand
    if first == 0:
        result = len(shape)
    places: list[Place | Atom] = []
    for k, item in enumerate(index.items):
        if arrays is not None and arrays[1] and k == arrays[1]:
            first = result
            result += len(shape)
        match item:
            case None:
                result += 1
            case Slice(start, _, step, _):
                places.append(Along(result, form_of(start), step))
                result += 1
            case _:
                places.append(item)
    if len(places) != len(dims):
        raise IRError("a subscript needs one item per axis")
    return tuple(p if isinstance(p, Along) else _item(p, first or 0, shape) for p in places)  # type: ignore[arg-type]


def _item(atom: Atom, first: int, shape: tuple[Dim, ...]) -> Place:
    if not atom.type.rank:
        return Fixed(form_of(atom))
    lead = first + len(shape) - atom.type.rank
    along = tuple(Fixed() if d == 1 else Along(lead + k) for k, d in enumerate(atom.type.dims))
    return Taken(Read(atom, along))


def stretched(dims: tuple[Dim, ...], rank: int) -> tuple[Place, ...]:
    """How broadcasting to a larger rank reads an array of these sizes."""
    lead = rank - len(dims)
    return tuple(Fixed() if d == 1 else Along(lead + k) for k, d in enumerate(dims))


def view_places(let: Let) -> tuple[Place, ...] | None:
    """Per axis of the first operand, where the result reads it; None if the operation is not a view."""
    x = let.args[0] if let.args else None
    if not isinstance(x, (Var, Lit)):
        return None
    dims = x.type.dims
    match let.op.name:
        case "copy":
            return whole(len(dims))
        case "transpose":
            axes: tuple[int, ...] = let.args[1]  # type: ignore[assignment]
            return tuple(Along(axes.index(k)) for k in range(len(dims)))
        case "broadcast_to":
            return stretched(dims, let.var.type.rank)
        case "getitem":
            index = let.args[1]
            assert isinstance(index, Index)
            return index_places(index, dims) if arrays_of(index) is None else None
        case "reshape":
            return _reshaped(dims, dims_of(let.args[1]))
    return None


def _reshaped(old: tuple[Dim, ...], new: tuple[Dim, ...]) -> tuple[Place, ...] | None:
    """A reshape that only adds or removes axes of size one."""
    kept = [k for k, d in enumerate(new) if d != 1]
    if [d for d in old if d != 1] != [new[k] for k in kept]:
        return None
    axes = iter(kept)
    return tuple(Fixed() if d == 1 else Along(next(axes)) for d in old)
