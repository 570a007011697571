"""A function that is differentiated inside of a traced function: its part of the program, as a program.

It is traced on fresh parameters in a region of its own. Outer values that it uses become parameters too, so
closures over traced values work, and the adjoint pass sees an ordinary program.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..ir.build import dim_atom
from ..ir.errors import TracedValueError
from ..ir.passes.dead_code import dead_code
from ..ir.program import Atom, Lit, Node, Program, Var, dim_names
from ..ir.types import I64, Type
from ..ir.walk import Nodes, bound, free, rename, substitute, substitution, used_atoms, walk
from .changes import SHARED, Changes
from .control.branches import region
from .naming import equal_sizes
from .returned import refuse_from_inside
from .session import Session
from .snapshot import State
from .values.exact import with_checks
from .values.optional import present
from .values.symbol import Array, Cell, Scalar, Symbol, as_value, wrap


def capture(
    session: Session, function: Callable[[list[Any]], list[Any]], leaves: list[Any], name: str, *, pure: str = ""
) -> Captured:
    """Trace function(leaves) as a program of its own.

    Floats among the leaves are its parameters; everything else that is traced stays a value of the outer program.
    What the function changes outside of itself is changed when `Captured.store` is called; with
    `pure`, which says what it is, it may not.
    """
    builder = session.builder
    # What is passed is computed by the caller: a view is read before the region of the function opens.
    given = [as_value(session, leaf) if is_number(leaf) else None for leaf in leaves]
    before = State(session)
    with region(session) as nodes:
        symbols, positions, params, values = _parameters(session, leaves, given)
        session.captures += 1
        session.pure.append(pure)
        try:
            returned = [present(value) for value in function(symbols)]
            after = State(session)
            changes = Changes(session, before, after, list(zip(symbols, leaves)))
            _refuse_writes(session, before, after)
            if pure:
                changes.refuse()
        finally:
            session.captures -= 1
            session.pure.pop()
        for value in returned:
            if not _is_result(value) and id(value) not in before.holders:
                refuse_from_inside(session, value)
        read = [as_value(session, r) if _is_result(r) else (r, False) for r in returned]
        # The names of integers that may not wrap are not those that they get in the outer program.
        nodes[:] = with_checks(session, nodes, builder.open_regions[:-1])
    changes.take_back()
    results = [atom for atom, _ in read if isinstance(atom, (Var, Lit))]
    own = len(results)
    results += changes.atoms
    program = _closed(session, name, nodes, params, results, values)
    held = [changes.shares(r) for r in returned]
    return Captured(program, values, positions, read, builder.open_regions, own, changes, held)


def _parameters(
    session: Session, leaves: list[Any], given: list[tuple[Atom, bool] | None]
) -> tuple[list[Any], list[int | None], list[Var], list[Atom]]:
    """What the function gets for each leaf, the parameter that this is; the parameters, and their values outside."""
    symbols: list[Any] = []
    positions: list[int | None] = []
    params: list[Var] = []
    values: list[Atom] = []
    for leaf, value in zip(leaves, given):
        if value is None:
            symbols.append(leaf)
            positions.append(None)
            continue
        atom, weak = value
        hint = atom.name if isinstance(atom, Var) else "x"
        if atom.type.is_float:
            var = Var(session.builder.fresh(hint), atom.type)
            positions.append(len(params))
            params.append(var)
            values.append(atom)
            atom = var
        else:
            positions.append(None)
        symbols.append(_argument(session, leaf, atom, weak, hint))
    return symbols, positions, params, values


def _closed(
    session: Session, name: str, nodes: list[Node], params: list[Var], results: list[Atom], values: list[Atom]
) -> Program:
    """The nodes as a program. What they mention of the outer program becomes parameters; `values` gets their values."""
    builder, wishes = session.builder, session.builder.wishes
    names = {v.name: builder.fresh(wishes[v.name], v.name) for v in bound(nodes) if v.name in wishes}
    nodes[:] = rename(nodes, names)
    results = [Var(names.get(r.name, r.name), r.type) if isinstance(r, Var) else r for r in results]
    nodes[:], params, results = _equal_sizes_named_once(session, nodes, params, results)
    inside = {v.name for v in (*bound(nodes), *params)}
    for outer, type in sorted(mentioned(nodes, params, results).items()):
        if outer not in inside:
            params.append(Var(outer, type))
            values.append(Var(outer, type))
    cotangents = frozenset(builder.names.cotangents)
    program = Program(name, tuple(params), tuple(nodes), tuple(results), cotangents=cotangents)
    return _named_as_outside(program, values)


@dataclass(frozen=True)
class Captured:
    """A part of the outer program as a program of its own.

    program     its results are those of the function, and behind these what it stores outside
    values      what its parameters are in the outer program
    positions   for each leaf of the arguments its parameter, None for what is no float
    read        what the function returned: values of the program, and is each weak; other objects as they are
    regions     where the values are known
    count       how many results are the function's own
    changes     what it changes outside; `held`: is a leaf of what it returned an array that is stored as well?
    """

    program: Program
    values: list[Atom]
    positions: list[int | None]
    read: list[tuple[Any, bool]]
    regions: tuple[list[Node], ...]
    count: int
    changes: Changes
    held: list[bool]

    @property
    def own(self) -> Program:
        """The program of what the function returns."""
        return replace(self.program, results=self.program.results[: self.count])

    def store(self, atoms: Sequence[Atom]) -> None:
        """Do what the function does outside of itself, once for each call; `atoms` are the program's results."""
        if self.changes:
            self.changes.make(atoms[self.count :])

    def require_unread(self, session: Session) -> None:
        """It is run once more, and changes nothing: refuse if it reads what it has changed then."""
        self.changes.settled()
        names = free(dead_code(self.own).body) | {r.name for r in self.own.results if isinstance(r, Var)}
        used = {a.name for p, a in zip(self.program.params, self.values) if p.name in names and isinstance(a, Var)}
        if self.changes and not self.changes.unread(used):
            raise session.error(
                TracedValueError,
                f"{self.program.name!r} reads what it changes outside of itself, and pb.linearize runs it again with "
                "every tangent. Use pb.jvp or pb.jacobian, or pass what it reads as an argument",
            )

    @property
    def results(self) -> list[int | None]:
        """For each leaf of what the function returned its result of the program, None if it has none."""
        count = itertools.count()
        return [next(count) if isinstance(value, (Var, Lit)) else None for value, _ in self.read]

    def returned(self, session: Session, atoms: Sequence[Atom]) -> list[Any]:
        """What the function returned, with these values of its results."""
        found = [
            value if k is None else wrap(session, atoms[k], weak=weak)
            for k, (value, weak) in zip(self.results, self.read)
        ]
        for value, held in zip(found, self.held):
            if held and isinstance(value, Array):
                value.cell.freeze(SHARED.format(value.cell.name))
        return found

    def require_scope(self, session: Session) -> None:
        """Refuse to use the values where they are not known: after the loop or the branch that made them."""
        now = session.builder.open_regions
        if len(now) < len(self.regions) or any(a is not b for a, b in zip(self.regions, now)):
            raise session.error(
                TracedValueError, f"the pull of {self.program.name!r} is called after the traced loop or branch in "
                "which pb.vjp was called. Call it there, or call pb.vjp again here",
            )  # fmt: skip


def _argument(session: Session, leaf: Any, atom: Atom, weak: bool, name: str) -> Any:
    """The symbol that the function gets: of an array one of its own, so that nobody sees what is written to it."""
    if isinstance(leaf, (Array, np.ndarray)):
        return Array(session, Cell(session, atom, name))
    return Scalar(session, atom, weak)


def own(session: Session, leaf: Any) -> Any:
    """An argument as a transformed function gets it: an array with a content of its own."""
    return Array(session, Cell(session, leaf.read(), leaf.cell.name)) if isinstance(leaf, Array) else leaf


def _refuse_writes(session: Session, before: State, after: State) -> None:
    """A transform's function may write to no array of the function around: that would see it too early or never."""
    if before.written(after):
        raise session.error(
            TracedValueError, "a function that is differentiated inside another one writes to an array of the outer "
            "function. Return the new array instead",
        )  # fmt: skip


def mentioned(nodes: Sequence[Node], params: list[Var], results: list[Atom]) -> dict[str, Type]:
    """The types of all names that a program mentions."""
    found: dict[str, Type] = {}
    uses = [a for node in walk(nodes) for a in used_atoms(node)]
    for atom in (*uses, *results):
        if isinstance(atom, Var):
            found.setdefault(atom.name, atom.type)
    for name in free(nodes):
        found.setdefault(name, I64)  # a size
    for atom in (*params, *results):
        for name in dim_names(atom):
            found.setdefault(name, I64)
    return found


def _named_as_outside(program: Program, values: list[Atom]) -> Program:
    """The program with parameters named after their values here: their cotangents are `x_bar`, not `x_1_bar`."""
    taken = {v.name for v in (*bound(program.body), *program.params)}
    names: dict[str, Atom] = {}
    for param, value in zip(program.params, values):
        if isinstance(value, Var) and value.name not in taken:
            taken.add(value.name)
            names[param.name] = Var(value.name, param.type)
    atom, var, _ = substitution(names)
    params = tuple(var(names.get(p.name, p)) for p in program.params)  # type: ignore[arg-type]
    body, results = substitute(program.body, names), tuple(map(atom, program.results))
    return replace(program, params=params, body=body, results=results)


def _equal_sizes_named_once(
    session: Session, nodes: list[Node], params: list[Var], results: list[Atom]
) -> tuple[Nodes, list[Var], list[Atom]]:
    """What this trace knows to be equal, the adjoint pass must see: one name for all sizes that are equal."""
    builder = session.builder
    own = [v.name for v in bound(nodes) if v.type == I64]
    typed = [d for v in (*params, *bound(nodes)) for d in v.type.dims if isinstance(d, str)]
    outer = sorted({*free(nodes), *typed} - set(own))
    equal = equal_sizes(builder, nodes, [n for n in outer if builder.in_scope(n)])
    values: dict[str, Atom] = {name: dim_atom(known) for name, known in equal.items()}
    atom, var, _ = substitution(values)
    return substitute(nodes, values), [var(p) for p in params], [atom(r) for r in results]


def is_number(leaf: Any) -> bool:
    """Something that is traced: a symbol, or a float that may be differentiated by."""
    if isinstance(leaf, Symbol):
        return True
    return isinstance(leaf, float) or getattr(getattr(leaf, "dtype", None), "kind", "") == "f"


def _is_result(value: Any) -> bool:
    """An array or a number; bools and other objects are what they are."""
    return isinstance(value, (Symbol, np.ndarray, np.generic, float, int)) and not isinstance(value, bool)
