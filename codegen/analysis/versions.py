"""Which names are versions of one array: what a write makes of it, and what phis and the ends of loops hand on."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ...ir.program import Atom, Let, Program, Var
from ...ir.walk import walk


class Versions:
    """The names of a program's arrays in groups, each of which may be one piece of memory.

    With `copies`, a copy is a version of what it was made of. The names in `apart` are put in no group: a phi that
    takes one of them starts a new array.

    >>> from ...ir.text import parse
    >>> versions = Versions(parse('''
    ... def f(n: i64) -> f64[n]:
    ...     y: f64[n] = zeros((n,), f64)
    ...     z: f64[n] = copy(y)
    ...     for i in range(n):
    ...         y_1: f64[n] = phi(y, y_2)
    ...         y_2: f64[n] = y_1.at[i].set(1.0)
    ...     y_3: f64[n] = last(y_1)
    ...     return y_3'''))
    >>> sorted(versions.group("y_2")), sorted(versions.group("z"))
    (['y', 'y_1', 'y_2', 'y_3'], ['z'])
    """

    def __init__(self, program: Program, *, copies: bool = False, apart: Collection[str] = ()):
        self._above: dict[str, str] = {}
        self._apart = frozenset(apart)
        for node in walk(program.body):
            if isinstance(node, Let) and (node.op.writes or (copies and node.op.name == "copy")):
                self._join(node.var, node.args[0])  # type: ignore[arg-type]
            for phi in getattr(node, "phis", ()):
                self._join(phi.var, phi.first)
                self._join(phi.var, phi.second)
            for end in getattr(node, "exits", ()):
                self._join(end.var, end.phi)
        self._groups: dict[str, set[str]] = {}
        for name in self._above:
            self._groups.setdefault(self.array(name), {self.array(name)}).add(name)

    def _join(self, one: Atom, other: Atom) -> None:
        if isinstance(one, Var) and isinstance(other, Var) and one.type.rank:
            a, b = self.array(one.name), self.array(other.name)
            if a != b and not {one.name, other.name} & self._apart:
                self._above[a] = b

    def array(self, name: str) -> str:
        """One name for all versions of an array; for any other name itself."""
        while name in self._above:
            name = self._above[name]
        return name

    def group(self, name: str) -> set[str]:
        """All versions of the array, this one among them."""
        return self._groups.get(self.array(name), {name})

    def groups(self) -> Iterator[set[str]]:
        """The arrays that have more than one version."""
        return iter(self._groups.values())
