"""Python's built-in functions on symbols: sum, max, min, any, all, and questions about types."""

from __future__ import annotations

import builtins
import functools
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.program import Atom, Lit, Var
from ...ir.types import DTYPES, I64, NARROW
from ..calls import ALWAYS, call, has_symbol
from ..lists.elements import Leaf
from ..lists.lists import List, element, is_stacked
from ..lists.sequences import Sequence, Stream
from ..lists.streams import caller
from ..objects.operators import binary, iterated
from ..session import Session
from ..values.convert import common
from ..values.symbol import FUNCTIONS, Array, Scalar, Symbol, as_value, implements, require_session
from .pynumbers import weakened

add = functools.partial(binary, "Add")
ALWAYS.update((builtins.sum, builtins.max, builtins.min, builtins.any, builtins.all))


@implements(builtins.sum)
def sum_(iterable: Any, /, start: Any = 0) -> Any:
    if is_stacked(iterable) and not isinstance(iterable.template(), Leaf):
        return caller().fold(iterable, add, start)
    weak = is_stacked(iterable) and iterable.template().weak
    if is_stacked(iterable):
        iterable = iterable.array()
    if isinstance(iterable, Array) and iterable.type.rank:
        if iterable.dims[0] == 0:
            return start
        # Python adds element by element: short integers stay short.
        short = iterable.type.dtype in NARROW
        total = FUNCTIONS[np.sum](iterable, axis=0, dtype=iterable.type.numpy if short else None)
        total = Scalar(total.session, total.read(), weak) if isinstance(total, Scalar) else total
        return total if isinstance(start, int) and start == 0 else start + total
    if isinstance(iterable, (Sequence, Stream)):
        return caller().fold(iterable, add, start)
    total = start
    for value in iterated(iterable):
        total = add(total, value)
    return total


_OF_TUPLES = "{name}() of traced tuples. Use the parts, or {name}(..., key=...)"


def _extreme(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    session = require_session()
    if options.get("key") is not None:
        return _extreme_by(name, arguments, options)
    if len(arguments) == 1:
        (values,) = arguments
        if isinstance(values, (Sequence, Stream)):
            values = caller().gather(values)
        if is_stacked(values):
            if not isinstance(values.template(), Leaf):
                raise session.error(UnsupportedFunction, _OF_TUPLES.format(name=name))
            if "default" in options:
                raise session.error(UnsupportedFunction, f"{name}(default=...) of a list whose length is not known")
            weak, values = values.template().weak, values.array()
            result = FUNCTIONS[getattr(np, name)](values)
            return Scalar(session, result.read(), weak)
        if isinstance(values, Array):
            if values.type.rank != 1:
                raise ValueError("The truth value of an array with more than one element is ambiguous.")
            if values.type.is_float:
                missing, first = np.isnan(values), values[0]
                values = FUNCTIONS[np.where](missing, first, values)
            return FUNCTIONS[getattr(np, name)](values)
        arguments = tuple(iterated(values))
        if not arguments:
            if "default" in options:
                return options["default"]
            raise ValueError(f"{name}() iterable argument is empty")
    result = arguments[0]
    for other in arguments[1:]:
        result = larger_or_smaller(session, name, result, other)
    return result


def _extreme_by(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """max(values, key=f): the first whose key is the largest."""
    control = caller()
    values = control.gather(arguments[0]) if len(arguments) == 1 else list(arguments)
    if not is_stacked(values) and not values:
        if "default" in options:
            return options["default"]
        raise ValueError(f"{name}() iterable argument is empty")
    keys = control.gather(call(builtins.map, (options["key"], values), {}))
    if not has_symbol(keys):
        return values[getattr(builtins, name)(range(len(keys)), key=keys.__getitem__)]
    place = FUNCTIONS[getattr(np, f"arg{name}")](FUNCTIONS[np.asarray](keys))
    return values[place] if is_stacked(values) else element(values, place)


def larger_or_smaller(session: Session, name: str, a: Any, b: Any) -> Any:
    """max or min of two numbers, with what is known of integers."""
    if any(isinstance(value, (tuple, list)) and has_symbol(value) for value in (a, b)):
        raise session.error(UnsupportedFunction, _OF_TUPLES.format(name=name))
    if not isinstance(a, Symbol) and not isinstance(b, Symbol):
        return getattr(builtins, name)(a, b)
    for value in (a, b):
        if isinstance(value, Array) and value.type.rank:
            raise ValueError(f"{name}() of arrays with more than one element is ambiguous. Use np.{name}imum")
    op = f"{name}imum"
    atoms, weak = common(session, [a, b], f"{name}()")
    if atoms[0].type != I64 or atoms[1].type != I64:
        given = [as_value(session, v)[0].type for v in (a, b)]
        if any(t.dtype in NARROW for t in given) and (given[0] != given[1]):
            raise session.error(
                TypeMismatch, f"{name}() of {given[0]} and {given[1]} is one or the other of them. Convert one"
            )
        return Scalar(session, _python_choice(session, op, *atoms), weak)
    builder = session.builder
    one, two = (builder.affine(v) for v in atoms)
    larger = one - two if name == "max" else two - one
    if builder.facts.proves(larger):
        return Scalar(session, atoms[0], weak)
    if builder.facts.proves(larger.scaled(-1)):
        return Scalar(session, atoms[1], weak)
    result = session.integer(op, atoms[0], atoms[1])
    if isinstance(result, Var) and builder.affine(result) == Affine.name(result.name):
        for form in (one, two):
            bound = {"lower" if name == "max" else "upper": form}
            builder.facts.bound(result.name, **bound)
        for least in (builder.affine(literal(k, "i64")) for k in (0, 1)):
            # What both are at least, the smaller one is, too.
            if name == "min" and builder.facts.proves(one - least) and builder.facts.proves(two - least):
                builder.facts.bound(result.name, lower=least)
    return Scalar(session, result, weak)


def _python_choice(session: Session, op: str, a: Atom, b: Atom) -> Atom:
    """max or min as Python has it: a nan is neither larger nor smaller, so it is taken only if it comes first."""
    builder = session.builder
    result = builder.emit(op, a, b)
    if not b.type.is_float or isinstance(b, Lit):
        return result
    return builder.emit("where", builder.emit("isnan", b), a, result)


@implements(builtins.max)
def max_(*arguments: Any, **options: Any) -> Any:
    return _extreme("max", arguments, options)


@implements(builtins.min)
def min_(*arguments: Any, **options: Any) -> Any:
    return _extreme("min", arguments, options)


def _truth(name: str, iterable: Any) -> Any:
    if isinstance(iterable, Array):
        if not iterable.dims:
            raise TypeError("iteration over a 0-d array")
        if len(iterable.dims) > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return weakened(FUNCTIONS[getattr(np, name)](iterable))
    if isinstance(iterable, (Sequence, Stream)) or is_stacked(iterable):
        found = caller().found(iterable, name == "any")
        if name == "any":
            return found
        return (not found) if isinstance(found, bool) else FUNCTIONS["not"](found)
    combine = FUNCTIONS[np.logical_or if name == "any" else np.logical_and]
    result: Any = name == "all"
    for value in iterable:
        if isinstance(value, Symbol) or isinstance(result, Symbol):
            result = combine(result, value)
        else:
            result = (result or bool(value)) if name == "any" else (result and bool(value))
    return result


@implements(builtins.any)
def any_(iterable: Any, /) -> Any:
    return _truth("any", iterable)


@implements(builtins.all)
def all_(iterable: Any, /) -> Any:
    return _truth("all", iterable)


# -- questions about types -----------------------------------------------------------------------------


def example(value: Any) -> Any:
    """A value of the type that the traced one has for the user."""
    if isinstance(value, Array):
        return np.zeros((0,) * value.type.rank if value.type.rank else (), value.type.numpy)
    if isinstance(value, Scalar):
        plain = DTYPES[value.type.dtype].python if value.weak else None
        return (plain or value.type.numpy.type)(0)
    return value


@implements(builtins.isinstance)
def isinstance_(value: Any, kinds: Any, /) -> bool:
    return isinstance(example(value), kinds)


@implements(builtins.type)
def type_(value: Any, /) -> type:
    return type(example(value))


@implements(builtins.callable)
def callable_(value: Any, /) -> bool:
    return callable(example(value))


@implements(np.isscalar)
def isscalar(element: Any) -> bool:
    return np.isscalar(example(element))


@implements(np.result_type)
def result_type(*values: Any) -> np.dtype:
    return np.result_type(*map(example, values))


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(example(from_).dtype, to, casting)


@implements(np.iterable)
def iterable(y: Any) -> bool:
    return bool(np.iterable(example(y)))


@implements(builtins.complex)
def complex_(*arguments: Any) -> Any:
    raise require_session().error(
        UnsupportedFunction, "complex() of a traced value: complex numbers cannot be traced"
    )


ALWAYS.add(builtins.sorted)


@implements(builtins.sorted)
def sorted_(iterable: Any, /, *, key: Any = None, reverse: Any = False) -> Any:
    values = caller().gather(iterable) if not isinstance(iterable, Array) else iterable
    if isinstance(values, list) and not is_stacked(values):
        keys = values if key is None else [call(key, (value,), {}) for value in values]
        if not has_symbol(keys):
            places = builtins.sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
            return List([values[k] for k in places])
    raise require_session().error(
        UnsupportedFunction, "sorted() of traced values: their order is only known when the program runs"
    )
