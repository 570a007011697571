"""Functions that are operations, with no more to say of them on symbols than their declarations do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np

from ...ir.errors import IRError, ShapeMismatch
from ...ir.ops.declare import float_dtype
from ...ir.primitive import BY_FUNCTION, Kind, Primitive
from ...ir.program import Atom
from ..session import Session
from ..values.convert import common
from ..values.symbol import implements, require_session, wrap
from .arguments import refuse_options
from .elementwise import meaning


@implements("declared")
def declared(function: Any) -> Callable[..., Any] | None:
    """What a function means that an operation is declared to evaluate with; None if there is none."""
    try:
        op = BY_FUNCTION.get(function)
    except TypeError:  # not hashable
        return None
    if op is None:
        return None
    if op.elementwise and isinstance(op.numpy, np.ufunc):
        return meaning(op.name, op.numpy.nin, op.name, "float" if op.result is float_dtype else None)
    return kernel(op) if op.kind is Kind.KERNEL and not op.static and not op.sizes else None


def kernel(op: Primitive) -> Callable[..., Any]:
    """A function of whole arrays, which are made floats."""

    def implementation(*args: Any, **options: Any) -> Any:
        what = f"np.{op.name}"
        refuse_options(what, options)
        session = require_session()
        operands = common(session, list(args), what, at_least="float")[0]
        try:
            return wrap(session, session.builder.emit(op, *operands))
        except IRError:
            same_sizes(session, operands)
        try:
            return wrap(session, session.builder.emit(op, *operands))
        except IRError as error:
            raise session.error(ShapeMismatch, f"{what}: {error.bare_message}") from None

    return implementation


def same_sizes(session: Session, operands: list[Atom]) -> None:
    """Take sizes for equal, under guards, that are so in this call: those of a square matrix, and of its right side."""
    sizes = dict.fromkeys(d for o in operands for d in o.type.dims if isinstance(d, str))
    for one, two in combinations(sizes, 2):
        session.same_now(one, two)
