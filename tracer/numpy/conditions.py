"""Choosing by a condition: where, clip, masks, and where something holds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom
from ...ir.errors import UnsupportedFunction
from ...ir.program import Atom, Lit, Var
from ...ir.types import NARROW, Dim
from ..calls import call
from ..session import Session
from ..values.convert import agree, common
from ..values.symbol import FUNCTIONS, Array, Symbol, implements, require_session, wrap
from .arguments import axis_argument, dims_of, operand
from .bounds import note
from .elementwise import store_out
from .join import along
from .logic import truth_of
from .reduce import flat
from .shape import common_shape


@implements(np.where)
def where(cond: Any, a: Any = None, b: Any = None) -> Any:
    session = require_session()
    if a is None and b is None:
        return FUNCTIONS[np.nonzero](cond)
    chosen = truth_of(cond).read()
    values, weak = common(session, [a, b], "np.where")
    atoms = agree(session, [chosen, *values], "np.where")
    if isinstance(atoms[0], Lit):
        full = agree(session, atoms[1:], "np.where")
        shape = full[0] if atoms[0].text == "True" else full[1]
        if full[0].type.rank == full[1].type.rank == 0:
            return wrap(session, shape, weak=weak)
    atom = session.builder.emit("where", *atoms)
    return wrap(session, atom, weak=False)


@implements(np.clip, method="clip")
def clip(
    x: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    low = a_min if min is None else min
    high = a_max if max is None else max
    result = x
    kind = x.type if isinstance(x, Symbol) else None
    if kind is not None and kind.dtype in NARROW:
        # Ends that no element reaches, as NumPy takes them here.
        limits = np.iinfo(kind.numpy)
        low = None if isinstance(low, int) and low < limits.min else low
        high = None if isinstance(high, int) and high > limits.max else high
    if low is not None:
        result = FUNCTIONS[np.maximum](result, low)
    if high is not None:
        result = FUNCTIONS[np.minimum](result, high)
    return store_out(result, out)


def _count_true(session: Session, mask: Atom) -> Atom:
    """How many elements of a 1-D mask are true, as a size."""
    builder = session.builder
    number = builder.emit("sum", builder.emit("to_i64", mask), (0,), hint="k")
    if isinstance(number, Var):
        builder.facts.bound(number.name, lower=Affine(0), upper=builder.affine(mask.type.dims[0]))
    return number


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Any:
    mask = truth_of(operand(a, "np.flatnonzero"))
    if mask.type.rank != 1:
        mask = flat(mask)
    session, atom = mask.session, mask.read()
    places = session.builder.emit("nonzero", atom, _count_true(session, atom))
    note(session, places, Affine(), session.builder.affine(atom.type.dims[0]) - 1)
    return wrap(session, places)


@implements(np.nonzero, method="nonzero")
def nonzero(a: Any) -> tuple[Any, ...]:
    x = operand(a, "np.nonzero")
    if x.type.rank == 0:
        raise ValueError(
            "Calling nonzero on 0d arrays is not allowed. Use np.atleast_1d(scalar).nonzero() instead."
        )
    places = flatnonzero(x)
    result = []
    for axis, dim in reversed([*enumerate(dims_of(x))][1:]):
        result.append(_divided(places, dim, "mod", dim))
        places = _divided(places, dim, "floordiv", dims_of(x)[0] if axis == 1 else None)
    return (places, *reversed(result))


def _divided(places: Any, n: Dim, op: str, below: Dim | None) -> Any:
    """places // n or places % n, which are less than `below`; with n == 0 there are no places."""
    session = places.session
    result = session.builder.emit(op, places.read(), dim_atom(n))
    if below is not None:
        note(session, result, Affine(), session.builder.affine(below) - 1)
    return wrap(session, result)


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Any:
    v = operand(x, "np.piecewise")
    conditions = [
        operand(c, "np.piecewise") for c in (condlist if isinstance(condlist, list) else [condlist])
    ]
    if len(funclist) == len(conditions) + 1:
        taken = conditions[0]
        for condition in conditions[1:]:
            taken = taken | condition
        conditions.append(~taken)
    if len(funclist) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either as many or one more functions are expected"
        )
    result = np.zeros_like(v)
    for condition, function in zip(conditions, funclist):
        result[condition] = call(function, (v[condition], *args), kw) if callable(function) else function
    return result


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    conditions, choices = list(condlist), list(choicelist)
    if len(conditions) != len(choices) or not conditions:
        raise ValueError("list of cases must be same length as list of conditions")
    result = default
    for condition, choice in zip(reversed(conditions), reversed(choices)):
        result = FUNCTIONS[np.where](condition, choice, result)
    return result


@implements(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    if isinstance(values, (Array, list, tuple, np.ndarray)) and operand(values, "np.putmask").type.rank:
        x = operand(values, "np.putmask")
        common_shape([a, x], "np.putmask")
        if x.type.rank != a.type.rank:
            raise a.session.error(
                UnsupportedFunction, "np.putmask with values of another shape. Use np.where"
            )
    a[...] = np.where(mask, values, a)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    x = operand(a, "np.compress")
    if axis is None:
        x, axis = flat(x), 0
    place = axis_argument(axis, x.type.rank, "np.compress")
    mask = truth_of(operand(condition, "np.compress"))
    return store_out(x[along(place, mask)], out)


@implements(method="compress")
def _compress_method(x: Any, condition: Any, axis: Any = None, out: Any = None) -> Any:
    return compress(condition, x, axis, out)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    return flat(operand(arr, "np.extract"))[flat(truth_of(operand(condition, "np.extract")))]
