"""Two products with one factor in common, added to one array, are one product.

The adjoint of a symmetric product (`C[i, j] += A[i] @ A[j]`, a correlation matrix in both triangles) adds `S @ A` and
`S.T @ A` to the same array, perhaps to overlapping parts of it. `H @ A` is their sum, where the loop that computes the
elements of S adds each of them to H in two places. (`a * x + b * x` is `(a + b) * x` but for rounding: a sum of two
numbers overflows only where each of them is within a factor of 2 of the largest there is.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...ir.affine import Affine, Facts
from ...ir.names import Names
from ...ir.program import Atom, Phi
from ..analysis.loop_facts import Inside
from .factors import Factor, Range, single

if TYPE_CHECKING:
    from .recognise import Match

Span = tuple[Affine, Affine]
Places = tuple[Affine | Span, ...]
"""Per axis of an array the one position, or from where to where."""


@dataclass(frozen=True)
class Half:
    """One of the two: its product adds `kept` times `common` to an array."""

    found: Match
    phi: Phi  # of the array
    kept: Factor
    common: Factor
    other: str  # the index of `kept` that is not the outer loop's
    shared: str  # the index of the common factor that `kept` has not
    at: tuple[Affine, Affine]  # where an element of `kept` meets the common factor, and where the result
    axes: tuple[int, int, int, int]  # of the common factor, then of the result: the one with `kept`, and the other
    read: Places  # of the common factor
    added: Places  # of the result

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for two that can be added up if their parts fit."""
        m, k = self.found, self.kept
        return (
            self.phi, k.value.name, k.places, id(k.within), k.at, self.other, self.axes,
            self.common.value, m.left is k, m.product.sign, tuple(m.product.scales),
        )  # fmt: skip


@dataclass(frozen=True)
class Joined:
    """Both, and which parts of the common factor and of the result they touch together."""

    halves: tuple[Half, Half]
    read: Places
    added: Places
    distinct: bool  # do the elements of the two meet different elements of the matrix?

    @property
    def scales(self) -> list[Atom]:
        return self.halves[0].found.scales


def joined(inside: Inside, matches: Sequence[Match], names: Names) -> list[Match | Joined]:
    """The products, each with another one that it can be added to before."""
    result: list[Match | Joined] = []
    waiting: list[tuple[int, Half]] = []
    for found in matches:
        # Of the user's own sums, only the order is free.
        half = half_of(inside, found) if names.is_cotangent(found.total.let.var) else None
        for place, other in waiting if half is not None else ():
            both = _both(inside, other, half)  # type: ignore[arg-type]
            if both is not None:
                result[place] = both
                waiting.remove((place, other))
                break
        else:
            if half is not None:
                waiting.append((len(result), half))
            result.append(found)
    return result


def ragged(found: Match, factor: Factor, outer: str) -> bool:
    """Is this factor's part of an array another one in each trip of the outer loop?"""
    return outer in factor.indices and any(found.extents[n].ragged for n in factor.indices)


def half_of(inside: Inside, found: Match) -> Half | None:
    """A product behind the loop of an array that lies in memory and a matrix that the loop fills."""
    outer = inside.loop.index.name
    if found.before:
        return None
    kept = [f for f in (found.left, found.right) if f.ours or ragged(found, f, outer)]
    phi = inside.carrier(inside.loop, found.total.let.var.name)
    if len(kept) != 1 or phi is None or outer not in kept[0].indices:
        return None
    common = found.right if kept[0] is found.left else found.left
    ends = {name: places_of(places, found.extents, inside) for name, places in (
        ("read", common.places), ("added", found.total.places),
    )}  # fmt: skip
    result = found.columns if common is found.left else found.rows  # the index of `kept` that the result has
    (shared,) = common.indices - {found.summed}
    (other,) = kept[0].indices - {outer}
    (reads, read), (adds, added) = ends["read"], ends["added"]
    if {found.summed, shared} != set(reads) or {result, shared} != set(adds):
        return None
    axes = reads[found.summed], reads[shared], adds[result], adds[shared]
    at = common.places[axes[0]], found.total.places[axes[2]]
    return Half(found, phi, kept[0], common, other, shared, at, axes, read, added)


def places_of(
    places: Sequence[Affine], extents: dict[str, Range], inside: Inside
) -> tuple[dict[str, int], Places]:
    """Along which axis each index runs, and how far."""
    axes: dict[str, int] = {}
    result: list[Affine | Span] = []
    for axis, place in enumerate(places):
        end = single(place, extents, inside)
        if end is None:
            result.append(place)
            continue
        name, offset = end
        axes[name] = axis
        result.append((extents[name].start + offset, extents[name].stop + offset))
    return axes, tuple(result)


def _both(inside: Inside, first: Half, second: Half) -> Joined | None:
    if first.key != second.key:
        return None
    read = _together(first.read, second.read, first.axes[0])
    added = _together(first.added, second.added, first.axes[2])
    if read is None or added is None:
        return None
    # Zeros are only put where the loops never multiply if the common factor is tested for them anyway.
    grown = (read, added) != (first.read, first.added) or (read, added) != (second.read, second.added)
    if grown and not (first.found.beside_zeros and second.found.beside_zeros):
        return None
    return Joined((first, second), read, added, _distinct(inside, first, second))


def _distinct(inside: Inside, first: Half, second: Half) -> bool:
    """Are the elements of the one above the diagonal, those of the other below?"""
    facts = Facts()
    for loop in (inside.loop, first.found.extents[first.other].loop):
        facts.bound(loop.index.name, inside.form(loop.start), inside.form(loop.stop) - 1)
    above, below = (half.at[0] - half.at[1] for half in (first, second))
    return any(facts.proves(a - 1) and facts.proves(b.scaled(-1) - 1) for a, b in ((above, below), (below, above)))


def _together(first: Places, second: Places, axis: int) -> Places | None:
    """The part that has both; they must be the same but along this axis."""
    result = list(first)
    for k, (a, b) in enumerate(zip(first, second)):
        if k != axis and a != b:
            return None
        if k == axis and isinstance(a, tuple) and isinstance(b, tuple):
            below, above = a[0] - b[0], a[1] - b[1]
            if below.terms or above.terms:
                return None
            result[k] = (a[0] if below.constant <= 0 else b[0]), (a[1] if above.constant >= 0 else b[1])
    return tuple(result)
