"""Bringing operands together: dtypes by NEP 50, shapes by NumPy's broadcasting, with guards on sizes."""

from __future__ import annotations

from typing import Any

from ..ir.build import dim_atom, literal, number
from ..ir.errors import TypeMismatch
from ..ir.ops.arith import CONVERT
from ..ir.ops.array import full_slice
from ..ir.program import Atom, Index, Lit, Var
from ..ir.types import Dim, Type, promote
from .session import Session
from .symbol import as_value

_ORDER = {"bool": 0, "i64": 1, "f32": 2, "f64": 2}


def result_dtype(values: list[tuple[Atom, bool]]) -> tuple[str, bool]:
    """The dtype an operation computes in, and whether the result is weak (all operands are)."""
    strong = [atom.type.dtype for atom, weak in values if not weak]
    weak = [atom.type.dtype for atom, is_weak in values if is_weak]
    if not strong:
        return promote(*weak), True
    dtype = promote(*strong)
    for other in weak:
        if _ORDER[other] > _ORDER[dtype]:
            dtype = "f64" if other in ("f32", "f64") else "i64"
    return dtype, False


def cast(session: Session, atom: Atom, dtype: str) -> Atom:
    """The value with this dtype."""
    if atom.type.dtype == dtype:
        return atom
    if isinstance(atom, Lit):
        return literal(number(atom), dtype)
    return session.builder.emit(CONVERT[dtype], atom)


def cast_value(session: Session, atom: Atom, dtype: str, what: str) -> Atom:
    """The value with the dtype of the array it is stored in, by NumPy's rule for assignments."""
    if _ORDER[atom.type.dtype] > _ORDER[dtype] and dtype != "bool":
        raise session.error(
            TypeMismatch,
            f"{what} of integers would cut off a float ({atom.type} into {dtype}). NumPy truncates here; write "
            "np.trunc(v).astype(int) if that is meant, or make the array one of floats",
        )
    return cast(session, atom, dtype)


def common(
    session: Session, values: list[Any], what: str, *, at_least: str | None = None
) -> tuple[list[Atom], bool]:
    """Operands in their common dtype (a float one if at_least is "float") and whether the result is weak."""
    atoms = [as_value(session, v, what) for v in values]
    dtype, weak = result_dtype(atoms)
    if at_least == "float" and dtype in ("bool", "i64"):
        dtype = "f64"
    if at_least == "i64" and dtype == "bool":
        dtype = "i64"
    return [cast(session, atom, dtype) for atom, _ in atoms], weak


def agree(session: Session, atoms: list[Atom], what: str) -> list[Atom]:
    """Operands whose sizes go together: equal ones get one name, under a guard or a check."""
    rank = max((a.type.rank for a in atoms), default=0)
    result = list(atoms)
    for back in range(1, rank + 1):
        reference: Dim | None = None
        owner = 0
        for k, atom in enumerate(result):
            if atom.type.rank < back:
                continue
            dim = session.builder.canonical_dim(atom.type.dims[-back])
            if dim == 1:
                continue
            if reference is None:
                reference, owner = dim, k
                continue
            shapes = (result[owner].type.dims, atom.type.dims)
            if not session.equal_dims(reference, dim, shapes, what):
                result[k] = renamed(session, atom, atom.type.rank - back, reference, what)
            reference = session.builder.canonical_dim(reference)
    return result


def renamed(session: Session, atom: Atom, axis: int, dim: Dim, what: str) -> Atom:
    """The array with one size called `dim`, which a check at run time shows to be right."""
    builder = session.builder
    same = builder.emit("eq", dim_atom(atom.type.dims[axis]), dim_atom(dim))
    session.check(same, f"ValueError: {what}: sizes of axis {axis} do not go together")
    dims = tuple(dim if k == axis else d for k, d in enumerate(atom.type.dims))
    return builder.emit("reshape", atom, tuple(map(dim_atom, dims)))


def broadcast_value(session: Session, atom: Atom, dims: tuple[Dim, ...]) -> Atom:
    """A value made ready to be stored in a part of shape dims: a scalar, or of exactly that shape."""
    what = "storing into an array"
    if atom.type.rank == 0:
        return atom
    while atom.type.rank > len(dims) and atom.type.dims[0] == 1:
        atom = session.builder.emit("reshape", atom, tuple(map(dim_atom, atom.type.dims[1:])))
    if atom.type.rank > len(dims):
        raise session.mismatch((atom.type.dims, dims), what)
    lead = len(dims) - atom.type.rank
    for k in range(atom.type.rank):
        have, want = atom.type.dims[k], dims[lead + k]
        if session.builder.same_dim(have, want):
            continue
        if have == 1:
            continue
        if not session.equal_dims(want, have, (atom.type.dims, dims), what):
            atom = renamed(session, atom, k, want, what)
    current = tuple(map(session.builder.canonical_dim, atom.type.dims))
    wanted = tuple(map(session.builder.canonical_dim, dims))
    if current == wanted:
        return (
            atom
            if atom.type.dims == wanted or isinstance(atom, Lit)
            else Var(atom.name, Type(atom.type.dtype, wanted))
        )
    return session.builder.emit("broadcast_to", atom, tuple(map(dim_atom, wanted)))


def stack_values(session: Session, values: list[tuple[Atom, bool]], dtype: str | None, what: str) -> Atom:
    """A new array whose rows are the values (all of one shape)."""
    builder = session.builder
    if not values:
        return builder.emit("zeros", (literal(0, "i64"),), dtype or "f64")
    dtype = dtype or result_dtype(values)[0]
    rows = [cast(session, atom, dtype) for atom, _ in values]
    if len({row.type.rank for row in rows}) != 1:
        raise session.error(TypeMismatch, f"{what}: the rows of the list differ in shape")
    rows = agree(session, rows, what)
    dims = rows[0].type.dims
    result = builder.emit("zeros", (literal(len(rows), "i64"), *map(dim_atom, dims)), dtype)
    for k, row in enumerate(rows):
        index = Index((literal(k, "i64"), *map(full_slice, dims)))
        result = builder.emit("at_set", result, index, row)
    return result
