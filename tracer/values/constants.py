"""Arrays of values that the traced code made itself: nested lists of numbers and symbols."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.build import literal
from ...ir.errors import TypeMismatch
from ...ir.program import Atom
from ..session import Session
from .convert import stack_values
from .staged_list import Numbers, StagedList
from .symbol import Symbol, as_value, dtype_name


def holds_symbol(value: Any) -> bool:
    """Is the value a symbol, a list kept in arrays, or a list or tuple with one?"""
    if isinstance(value, StagedList) and value.rows is not None:
        return True
    return isinstance(value, (Symbol, Numbers)) or (isinstance(value, (list, tuple)) and any(map(holds_symbol, value)))


def plain_array(session: Session, value: Any, what: str) -> np.ndarray:
    """A nested list of numbers as an array; NumPy's error, with the user's line."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise session.error(TypeMismatch, f"{what}: {error}") from None


def assembled(session: Session, value: Any, what: str) -> Atom:
    """A small array, element by element (rows may be arrays)."""
    if isinstance(value, StagedList) and value.rows is not None:
        return value.array().read()
    from_array = isinstance(value, np.ndarray)
    if from_array and value.ndim == 0:
        return literal(value[()], dtype_name(value.dtype) or "f64")
    items = [value[k] for k in range(len(value))]
    atoms = []
    for item in items:
        if isinstance(item, (list, tuple, np.ndarray)):
            atoms.append((assembled(session, item, what), not from_array))
        else:
            atoms.append(as_value(session, item, what))
    return stack_values(session, atoms, dtype_name(value.dtype) if from_array else None, what)
