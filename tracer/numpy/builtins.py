"""Python's built-in functions on symbols: sum, max, min, any, all, and questions about types."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.errors import UnsupportedFunction
from ...ir.program import Var
from ...ir.types import I64
from ..convert import common
from ..session import Session
from ..symbol import FUNCTIONS, Array, Scalar, Symbol, implements, require_session
from .elementwise import apply


@implements(builtins.sum)
def sum_(iterable: Any, /, start: Any = 0) -> Any:
    if isinstance(iterable, Array) and iterable.type.rank:
        total = FUNCTIONS[np.sum](iterable, axis=0)
        return total if isinstance(start, int) and start == 0 else start + total
    total = start
    for value in iterable:
        total = total + value
    return total


def _extreme(name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    session = require_session()
    if options.get("key") is not None:
        raise session.error(
            UnsupportedFunction, f"{name}(key=...) of traced values cannot be traced. Use np.arg{name}"
        )
    if len(arguments) == 1:
        (values,) = arguments
        if isinstance(values, Array):
            if values.type.rank != 1:
                raise ValueError("The truth value of an array with more than one element is ambiguous.")
            return FUNCTIONS[getattr(np, name)](values)
        arguments = tuple(values)
        if not arguments:
            if "default" in options:
                return options["default"]
            raise ValueError(f"{name}() iterable argument is empty")
    result = arguments[0]
    for other in arguments[1:]:
        result = larger_or_smaller(session, name, result, other)
    return result


def larger_or_smaller(session: Session, name: str, a: Any, b: Any) -> Any:
    """max or min of two numbers, with what is known of integers."""
    if not isinstance(a, Symbol) and not isinstance(b, Symbol):
        return getattr(builtins, name)(a, b)
    for value in (a, b):
        if isinstance(value, Array) and value.type.rank:
            raise ValueError(f"{name}() of arrays with more than one element is ambiguous. Use np.{name}imum")
    op = f"{name}imum"
    atoms, weak = common(session, [a, b], f"{name}()")
    if atoms[0].type != I64 or atoms[1].type != I64:
        return apply(op, [a, b], f"{name}()")
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


@implements(builtins.max)
def max_(*arguments: Any, **options: Any) -> Any:
    return _extreme("max", arguments, options)


@implements(builtins.min)
def min_(*arguments: Any, **options: Any) -> Any:
    return _extreme("min", arguments, options)


def _truth(name: str, iterable: Any) -> Any:
    if isinstance(iterable, Array):
        return FUNCTIONS[getattr(np, name)](iterable)
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

_PYTHON = {"bool": False, "i64": 0, "f32": np.float32(0), "f64": 0.0}


def example(value: Any) -> Any:
    """A value of the type that the traced one has for the user."""
    if isinstance(value, Array):
        return np.zeros((0,) * value.type.rank if value.type.rank else (), value.type.numpy)
    if isinstance(value, Scalar):
        return _PYTHON[value.type.dtype] if value.weak else value.type.numpy.type(0)
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


@implements(builtins.sorted)
def sorted_(*_: Any, **__: Any) -> Any:
    raise require_session().error(
        UnsupportedFunction, "sorted() of traced values: their order is only known when the program runs"
    )
