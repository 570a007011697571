"""Additions to elements side by side: `x[i] += a` and `x[i + 1] += b` in one loop, as in the adjoint of a stencil.

What one iteration adds to an element, the next one adds to again: such a loop does not vectorise. But all that an
element gets can be added at once, by the last iteration that adds to it, if the values of those before are carried
along (`x[i] += a + b_before`). LLVM vectorises a loop that carries the last few values of something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...ir.affine import Affine
from ...ir.program import Let

LAGS = 4
"""For so many iterations a value may be carried."""
CHECKS = 32
"""LLVM vectorises a loop only if at most so many tests show that what it writes overlaps nothing else."""

Places = tuple[Affine, ...]
Key = tuple[int, Places]


@dataclass(frozen=True, slots=True)
class Line:
    """Additions to one array that run along the same elements, each with its lag: how many iterations before the
    last of them it adds to an element. The first has lag 0."""

    lets: tuple[tuple[Let, int], ...]

    @property
    def longest(self) -> int:
        return self.lets[-1][1]


def key_of(places: Places, index: str) -> Key | None:
    """The axis along which a loop goes by ones, and the places without their distance there.

    >>> key_of((Affine.name("i"), Affine.name("j") + 1), "j")
    (1, (Affine(constant=0, terms=(('i', 1),)), Affine(constant=0, terms=(('j', 1),))))
    """
    axes = [k for k, place in enumerate(places) if index in place.names]
    if len(axes) != 1:
        return None
    (axis,) = axes
    if dict(places[axis].terms)[index] != 1:
        return None
    return axis, tuple(Affine(0, p.terms) if k == axis else p for k, p in enumerate(places))


def lines_of(adds: Iterable[tuple[Let, Places]], index: str) -> list[Line]:
    """The additions of a loop that runs upwards, those to the same elements together; the longest lines first."""
    groups: dict[Key | int, list[tuple[int, Let]]] = {}
    for let, places in adds:
        key = key_of(places, index)
        offset = 0 if key is None else places[key[0]].constant
        groups.setdefault(id(let) if key is None else key, []).append((offset, let))
    found: list[Line] = []
    for group in groups.values():
        group.sort(key=lambda pair: pair[0])
        while group:
            first = group[0][0]
            near = [(let, offset - first) for offset, let in group if offset - first <= LAGS]
            found.append(Line(tuple(near)))
            group = group[len(near) :]
    return sorted(found, key=lambda line: -len(line.lets))


def overlap_tests(writes: Sequence[object], reads: Iterable[object]) -> int:
    """How many tests LLVM needs for a loop: each line that is written against every other one."""
    written = set(writes)
    return len(written) * (len(written) - 1) // 2 + len(written) * len(set(reads) - written)


def chosen(lines: Sequence[Line], fits: Callable[[list[Line]], bool]) -> list[Line]:
    """The lines that can stay in one loop."""
    stay: list[Line] = []
    for line in lines:
        if not stay or fits([*stay, line]):
            stay.append(line)
    return stay
