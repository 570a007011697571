"""A function that is differentiated inside of a traced function: its part of the program, as a program.

It is traced on fresh parameters in a region of its own. Outer values that it uses become parameters too, so
closures over traced values work, and the adjoint pass sees an ordinary program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir.affine import Affine
from ..ir.build import literal
from ..ir.errors import TracedValueError
from ..ir.program import Atom, Node, Program, Var
from ..ir.types import I64
from ..ir.walk import Nodes, bound, free, rename, substitute, substitution, walk
from .session import Session
from .state import State
from .symbol import Scalar, Symbol, as_value, wrap


def capture(
    session: Session, function: Callable[[list[Any]], list[Any]], leaves: list[Any], name: str
) -> tuple[Program, list[Atom], list[int | None]]:
    """Trace function(leaves) as a program of its own.

    Returns the program, the values of its parameters here, and for each leaf its parameter's position.
    Leaves that are no arrays or numbers stay as they are.
    """
    builder = session.builder
    values: list[Atom] = []
    params: list[Var] = []
    positions: list[int | None] = []
    symbols: list[Any] = []
    before = State(session)
    with builder.open() as nodes:
        for leaf in leaves:
            if not isinstance(leaf, Symbol) and not _is_float(leaf):
                symbols.append(leaf)
                positions.append(None)
                continue
            atom, weak = as_value(session, leaf)
            hint = atom.name if isinstance(atom, Var) else "x"
            var = Var(builder.fresh(hint), atom.type)
            positions.append(len(params))
            params.append(var)
            values.append(atom)
            symbol = wrap(session, var, weak=weak, name=hint)
            symbols.append(Scalar(session, var, weak) if atom.type.rank == 0 else symbol)
        results = [
            as_value(session, r, "the result of a differentiated function")[0] for r in function(symbols)
        ]
    if before.written(State(session)):
        raise session.error(
            TracedValueError, "a function that is differentiated inside another one writes to an array of the outer "
            "function. Return the new array instead",
        )  # fmt: skip
    names = {v.name: builder.fresh(builder.wishes[v.name]) for v in bound(nodes) if v.name in builder.wishes}
    nodes[:] = rename(nodes, names)
    results = [Var(names.get(r.name, r.name), r.type) if isinstance(r, Var) else r for r in results]
    nodes[:], params, results = _equal_sizes_named_once(session, nodes, params, results)
    known = {v.name: v for v in _outer(session)}
    inside = {v.name for v in bound(nodes)} | {p.name for p in params}
    needed = (
        free(nodes)
        | {r.name for r in results if isinstance(r, Var)}
        | {
            d
            for v in (*params, *(r for r in results if isinstance(r, Var)))
            for d in v.type.dims
            if isinstance(d, str)
        }
    )
    for outer in sorted(needed - inside):
        var = known.get(outer, Var(outer, I64))
        params.append(var)
        values.append(var)
    program = Program(name, tuple(params), tuple(nodes), tuple(results))
    return _named_as_outside(program, values), values, positions


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
    return Program(program.name, params, substitute(program.body, names), tuple(map(atom, program.results)))


def _equal_sizes_named_once(
    session: Session, nodes: list[Node], params: list[Var], results: list[Atom]
) -> tuple[Nodes, list[Var], list[Atom]]:
    """What this trace knows to be equal, the adjoint pass must see: one name for all sizes that are equal."""
    builder = session.builder
    own = [v.name for v in bound(nodes) if v.type == I64]
    typed = [d for v in (*params, *bound(nodes)) for d in v.type.dims if isinstance(d, str)]
    outer = sorted({*free(nodes), *typed} - set(own))
    names: dict[Affine, str] = {}
    values: dict[str, Atom] = {}
    for name in (*(n for n in outer if builder.in_scope(n)), *own):
        form = builder.affine(name)
        only = form.terms[0][0] if form.terms and form == Affine.name(form.terms[0][0]) else None
        if not form.terms:
            values[name] = literal(form.constant, "i64")
            continue
        if only is not None and builder.in_scope(only):
            names.setdefault(form, only)
        elif name not in own:
            names.setdefault(form, name)
        if names.get(form, name) != name:
            values[name] = Var(names[form], I64)
    atom, var, _ = substitution(values)
    return substitute(nodes, values), [var(p) for p in params], [atom(r) for r in results]


def _is_float(leaf: Any) -> bool:
    return isinstance(leaf, float) or getattr(getattr(leaf, "dtype", None), "kind", "") == "f"


def _outer(session: Session) -> list[Var]:
    """Everything with a name that is visible here."""
    found: list[Var] = list(session.parameters)
    for nodes in session.builder._regions:
        for node in walk(nodes):
            found.extend(bound([node]))
    return found + session.loop_variables
