"""Bringing operands together: dtypes by NEP 50, shapes by NumPy's broadcasting, with guards on sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...ir.build import dim_atom, literal, number
from ...ir.errors import TypeMismatch
from ...ir.ops.arith import CONVERT
from ...ir.ops.array import full_slice
from ...ir.program import Atom, Index, Lit, Var
from ...ir.types import DTYPES, I64, NARROW, Dim, Type, promote
from ..session import Session
from .symbol import as_value


def result_dtype(values: Sequence[tuple[Atom, bool]]) -> tuple[str, bool]:
    """The dtype an operation computes in, and whether the result is weak (all operands are)."""
    strong = [atom.type.dtype for atom, weak in values if not weak]
    weak = [atom.type.dtype for atom, is_weak in values if is_weak]
    if not strong:
        return promote(*weak), True
    dtype = promote(*strong)
    for other in weak:
        if Type(other).is_float and not Type(dtype).is_float:
            dtype = "f64"
        elif other == "i64" and dtype == "bool":
            dtype = "i64"
    return dtype, False


def joins(a: tuple[Atom, bool], b: tuple[Atom, bool]) -> bool:
    """May one name be either of these? Floats widen, but short integers and masks would change their meaning."""
    for (one, _), (two, weak) in ((a, b), (b, a)):
        if one.type.dtype == two.type.dtype:
            return True
        if one.type.dtype in NARROW:
            limits = np.iinfo(one.type.numpy)
            return weak and isinstance(two, Lit) and two.type == I64 and limits.min <= int(two.text) <= limits.max
        if one.type.dtype == "bool" and one.type.rank:
            return False
    return True


def cast(session: Session, atom: Atom, dtype: str) -> Atom:
    """The value with this dtype."""
    if atom.type.dtype == dtype:
        return atom
    if isinstance(atom, Lit):
        with np.errstate(all="ignore"):
            return literal(number(atom).astype(DTYPES[dtype].numpy), dtype)
    return session.builder.emit(CONVERT[dtype], atom)


def adapted(session: Session, atom: Atom, weak: bool, dtype: str, what: str) -> Atom:
    """The operand in the dtype of the operation. A number of Python's must fit it, as in NumPy."""
    if weak and dtype in NARROW and atom.type == I64:
        limits = np.iinfo(DTYPES[dtype].numpy)
        outside = f"out of bounds for {DTYPES[dtype].numpy}"
        if isinstance(atom, Lit):
            if not limits.min <= int(atom.text) <= limits.max:
                raise session.error(
                    TypeMismatch,
                    f"{what}: the Python integer {atom.text} is {outside}. Write x.astype(np.int64) for the array",
                )
        else:
            for op, limit in (("ge", int(limits.min)), ("le", min(int(limits.max), 2**63 - 1))):
                form = session.builder.affine(atom) - limit
                if not session.builder.facts.proves(form if op == "ge" else form.scaled(-1)):
                    fits = session.builder.emit(op, atom, limit)
                    session.check(fits, f"OverflowError: {what}: a Python integer is {outside}")
    return cast(session, atom, dtype)


def cast_value(
    session: Session, atom: Atom, dtype: str, what: str, weak: bool = False, inplace: bool = False
) -> Atom:
    """The value with the dtype of the array it is stored in, by NumPy's rule for assignments.

    Updates in place take less than assignments: never an unsigned array a signed value, say.
    """
    given = atom.type
    if given.is_float and not Type(dtype).is_float and (dtype != "bool" or inplace):
        raise session.error(
            TypeMismatch,
            f"{what} of integers would cut off a float ({given} into {dtype}). NumPy truncates here; write "
            "np.trunc(v).astype(int) if that is meant, or make the array one of floats",
        )
    if inplace and not np.can_cast(given.numpy, DTYPES[dtype].numpy, "same_kind"):
        raise session.error(
            TypeMismatch,
            f"{what}: NumPy does not put {given.numpy} into an array of {DTYPES[dtype].numpy}. "
            f"Convert one of them: v.astype(np.{DTYPES[dtype].numpy.name})",
        )
    return adapted(session, atom, weak, dtype, what)


def float_of(session: Session, dtype: str, what: str) -> str:
    """The dtype in which a float function of NumPy computes operands of this one."""
    if Type(dtype).is_float:
        return dtype
    found = DTYPES[dtype].floats
    if found is None:
        raise session.error(
            TypeMismatch,
            f"{what} of {DTYPES[dtype].numpy} is computed in float16 by NumPy, which cannot be traced. "
            "Convert first: x.astype(np.float64)",
        )
    return found


def _float_of_all(session: Session, atoms: list[tuple[Atom, bool]], what: str) -> str:
    """The dtype of a float function of several operands: the least in which each of NumPy's fits."""
    strong = [atom.type.dtype for atom, is_weak in atoms if not is_weak]
    floats = [f for f in (DTYPES[d].floats for d in strong) if f is not None]
    wide = any(is_weak and atom.type.is_float for atom, is_weak in atoms)
    if wide and not any(Type(d).is_float for d in strong):
        return "f64"
    return promote(*floats) if floats else float_of(session, strong[0], what)


def common(
    session: Session, values: list[Any], what: str, *, at_least: str | None = None
) -> tuple[list[Atom], bool]:
    """Operands in their common dtype, and whether the result is weak.

    `at_least` is "i64" where booleans are numbers, "float" where NumPy computes in floats (of their own for short
    integers), "f64" where it computes in float64 but for floats.
    """
    atoms = [as_value(session, v, what) for v in values]
    dtype, weak = result_dtype(atoms)
    if at_least == "i64" and dtype == "bool":
        dtype = "i64" if weak else "i8"
    if at_least == "float" and (not Type(dtype).is_float or not all(atom.type.is_float for atom, _ in atoms)):
        dtype = "f64" if weak else _float_of_all(session, atoms, what)
    if at_least == "f64" and not Type(dtype).is_float:
        dtype = "f64"
    return [adapted(session, atom, is_weak, dtype, what) for atom, is_weak in atoms], weak


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
    # In a list Python's numbers have the dtype that arrays of them would have.
    dtype = dtype or promote(*(atom.type.dtype for atom, _ in values))
    rows = [cast(session, atom, dtype) for atom, _ in values]
    if len({row.type.rank for row in rows}) != 1:
        raise session.error(TypeMismatch, f"{what}: the rows of the list differ in shape")
    for sizes in zip(*(row.type.dims for row in rows)):  # a list does not stretch its rows as operations do
        if len({session.builder.canonical_dim(size) == 1 for size in sizes}) != 1:
            raise session.error(TypeMismatch, f"{what}: the rows of the list differ in shape")
    rows = agree(session, rows, what)
    dims = rows[0].type.dims
    result = builder.emit("zeros", (literal(len(rows), "i64"), *map(dim_atom, dims)), dtype)
    for k, row in enumerate(rows):
        index = Index((literal(k, "i64"), *map(full_slice, dims)))
        result = builder.emit("at_set", result, index, row)
    return result
