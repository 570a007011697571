"""Operators and questions of Python on any values: the user's own special methods are staged like functions."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import operator
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedFunction, UnsupportedSyntax
from ...ir.types import I64
from ..session import NeedConcrete
from ..values import optional
from ..values.optional import MaybeNone
from ..values.staged_list import StagedList
from ..values.symbol import FUNCTIONS, Array, Scalar, Symbol, has_symbol, require_session, type_name
from .objects import PLAIN, attribute, has, invoke, is_generated, raised, special, store

BINARY: dict[str, tuple[str, Callable[[Any, Any], Any], str]] = {
    "Add": ("add", operator.add, "+"), "Sub": ("sub", operator.sub, "-"), "Mult": ("mul", operator.mul, "*"),
    "Div": ("truediv", operator.truediv, "/"), "Pow": ("pow", operator.pow, "** or pow()"),
    "FloorDiv": ("floordiv", operator.floordiv, "//"), "Mod": ("mod", operator.mod, "%"),
    "MatMult": ("matmul", operator.matmul, "@"), "BitAnd": ("and", operator.and_, "&"),
    "BitOr": ("or", operator.or_, "|"), "BitXor": ("xor", operator.xor, "^"),
    "LShift": ("lshift", operator.lshift, "<<"), "RShift": ("rshift", operator.rshift, ">>"),
}  # fmt: skip
"""By the name in the syntax tree: the method's name without underscores, the function, the text in messages."""
INPLACE: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(operator, f"i{function.__name__.strip('_')}") for name, (_, function, _) in BINARY.items()
}
UNARY: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "USub": ("__neg__", operator.neg), "UAdd": ("__pos__", operator.pos), "Invert": ("__invert__", operator.invert),
}  # fmt: skip
COMPARE: dict[str, tuple[str, str, Callable[[Any, Any], Any]]] = {
    "Lt": ("__lt__", "__gt__", operator.lt), "LtE": ("__le__", "__ge__", operator.le),
    "Gt": ("__gt__", "__lt__", operator.gt), "GtE": ("__ge__", "__le__", operator.ge),
    "Eq": ("__eq__", "__eq__", operator.eq), "NotEq": ("__ne__", "__ne__", operator.ne),
}  # fmt: skip


def binary(op: str, a: Any, b: Any) -> Any:
    name, function, text = BINARY[op]
    if type(a) in PLAIN and type(b) in PLAIN:
        return _apply(function, text, a, b)
    left, right = special(a, f"__{name}__"), special(b, f"__r{name}__")
    if left is None and right is None:
        return _apply(function, text, a, b)
    if left is None:
        _numpy_first(a, b, text)
    inherits = type(a) is not type(b) and isinstance(b, type(a))
    first_right = right is not None and (left is None or inherits)
    if first_right:
        result = invoke(right, f"__r{name}__", b, a)
        if result is not NotImplemented:
            return result
    if left is None:
        return _apply(function, text, a, b)  # says what does not go together
    result = invoke(left, f"__{name}__", a, b)
    if result is NotImplemented and right is not None and not first_right and type(a) is not type(b):
        result = invoke(right, f"__r{name}__", b, a)
    if result is NotImplemented and right is None:
        reflected = getattr(type(b), f"__r{name}__", None)
        result = NotImplemented if reflected is None or type(a) is type(b) else reflected(b, a)
    if result is NotImplemented:
        raise _unsupported(text, a, b)
    return result


def _numpy_first(a: Any, b: Any, text: str) -> None:
    """An array on the left takes an object apart, unless its class asks to be left alone."""
    array = isinstance(a, (Array, np.ndarray))
    if not array and not isinstance(a, np.generic) and not (isinstance(a, Scalar) and not a.weak):
        return
    kind = type(b)
    if getattr(kind, "__array_ufunc__", _NONE) is None:
        return
    if not hasattr(kind, "__array_ufunc__"):
        if getattr(kind, "__array_priority__", -1e6) > (0.0 if array else -1e6):
            return
        if not array and not (hasattr(kind, "__len__") and hasattr(kind, "__getitem__")):
            return
    raise require_session().error(
        UnsupportedFunction,
        f"{'an array' if array else 'a number of NumPy'} {text} a {kind.__name__}: NumPy takes the object apart there. "
        f"Write the {kind.__name__} on the left, or `__array_ufunc__ = None` in its class",
    )  # fmt: skip


_NONE = object()


def _apply(function: Callable[[Any, Any], Any], text: str, a: Any, b: Any) -> Any:
    try:
        return function(a, b)
    except TypeError as error:
        if (isinstance(a, Symbol) or isinstance(b, Symbol)) and str(error).startswith("unsupported operand"):
            raise _unsupported(text, a, b) from None
        raise


def _unsupported(text: str, a: Any, b: Any) -> TypeError:
    return TypeError(f"unsupported operand type(s) for {text}: {type_name(a)!r} and {type_name(b)!r}")


def inplace(op: str, a: Any, b: Any) -> Any:
    result = _inplace(op, a, b)
    if isinstance(a, (list, dict)):
        require_session().hidden.givens.check_inplace(a, result)
    return result


def _inplace(op: str, a: Any, b: Any) -> Any:
    if type(a) in PLAIN and type(b) in PLAIN:
        return _apply(INPLACE[op], f"{BINARY[op][2]}=", a, b)
    name = f"__i{BINARY[op][0]}__"
    method = special(a, name)
    if method is not None:
        result = invoke(method, name, a, b)
        if result is not NotImplemented:
            return result
    elif special(b, f"__r{BINARY[op][0]}__") is None and special(a, f"__{BINARY[op][0]}__") is None:
        return INPLACE[op](a, b)
    return binary(op, a, b)


def unary(op: str, a: Any) -> Any:
    name, function = UNARY[op]
    method = special(a, name)
    return function(a) if method is None else invoke(method, name, a)


def compare(op: str, a: Any, b: Any) -> Any:
    """A comparison by values; `in` and `not in` are below."""
    name, reflected, function = COMPARE[op]
    if op in ("Eq", "NotEq") and _kind(a) is not None and _kind(a) is _kind(b):
        return _elements(op, a, b)
    left, right = special(a, name), special(b, reflected)
    if op == "NotEq" and left is None and right is None and (special(a, "__eq__") or special(b, "__eq__")):
        return negated(compare("Eq", a, b))  # what Python makes of __eq__
    if left is None and right is None:
        return function(a, b)
    pairs = [(left, name, a, b), (right, reflected, b, a)]
    if type(a) is not type(b) and isinstance(b, type(a)):
        pairs.reverse()
    for method, called, value, other in pairs:
        if method is not None:
            result = invoke(method, called, value, other)
            if result is not NotImplemented:
                return result
    if op == "Eq":
        return a is b
    if op == "NotEq":
        return a is not b
    raise TypeError(f"{_SIGNS[op]!r} not supported between instances of {type_name(a)!r} and {type_name(b)!r}")


_SIGNS = {"Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">="}


def _kind(value: Any) -> type | None:
    """tuple or list, if that is what says when the value equals another."""
    if isinstance(value, StagedList):
        return list if value.rows is None else None
    return next((k for k in (tuple, list) if isinstance(value, k) and type(value).__eq__ is k.__eq__), None)


def _elements(op: str, a: Any, b: Any) -> Any:
    """Tuples and lists are equal if their elements are, each the same object or equal."""
    equal: Any = len(a) == len(b)
    for x, y in zip(a, b):
        if equal is False:
            break
        one = True if x is y else truth(compare("Eq", x, y))
        if isinstance(one, Symbol) or isinstance(equal, Symbol):
            equal = FUNCTIONS[np.logical_and](equal, one)
        else:
            equal = one
    return equal if op == "Eq" else negated(equal)


def negated(value: Any) -> Any:
    """`not value`, where a traced value gives a traced answer."""
    answer = truth(value)
    return FUNCTIONS["not"](answer) if isinstance(answer, Symbol) else not answer


MEMBERS = 64
"""A traced value is compared with so many elements one by one."""


def contains(holder: Any, item: Any) -> Any:
    method = special(holder, "__contains__")
    if method is not None:
        return invoke(method, "__contains__", holder, item)
    if isinstance(holder, Array):
        return _answer(FUNCTIONS[np.any](compare("Eq", holder, item)))
    if not isinstance(holder, (list, tuple, set, frozenset, dict, range)):
        member = FUNCTIONS.get(("in", type(holder)))
        return item in holder if member is None else _answer(member(holder, item))
    if isinstance(holder, StagedList) and holder.rows is not None:
        return holder.contains(item)  # type: ignore[attr-defined]
    if not (has_symbol(item) or (isinstance(holder, (list, tuple)) and has_symbol(holder))):
        return item in holder
    if isinstance(item, Scalar) and item.type == I64 and not has_symbol(holder):
        with suppress(NeedConcrete):  # else one by one, so that a loop it comes from is not written out
            return operator.index(item) in holder
    if isinstance(holder, dict) or len(holder) > MEMBERS:
        raise require_session().error(
            UnsupportedSyntax,
            f"`in` with a traced value on the left and a {type(holder).__name__} of {len(holder)} on the right cannot "
            "be decided while tracing. Compare with an array of its elements: np.any(x == a)",
        )
    found: Any = False
    for each in holder:
        equal = each is item or truth(compare("Eq", each, item))
        if equal is True or found is False:
            found = equal
        elif equal is not False:
            found = FUNCTIONS[np.logical_or](found, equal)
        if found is True:
            break
    return _answer(found)


def _answer(value: Any) -> Any:
    return Scalar(value.session, value.atom, weak=True) if isinstance(value, Scalar) else value


def truth(value: Any) -> Any:
    """What `if value` asks: a bool, or a traced one; the user's `__bool__` and `__len__` are staged."""
    if type(value) is MaybeNone:
        return optional.truth(value)
    if isinstance(value, Symbol):
        return FUNCTIONS["truth"](value)
    for name in ("__bool__", "__len__"):
        method = special(value, name)
        if method is not None:
            answer = invoke(method, name, value)
            return truth(answer) if name == "__bool__" else truth(compare("NotEq", answer, 0))
    return bool(value)


def item(holder: Any, key: Any) -> Any:
    method = special(holder, "__getitem__")
    if isinstance(holder, np.ndarray) and has_symbol(key):
        holder = FUNCTIONS[np.asarray](holder)  # the traced code has made it itself
    return holder[key] if method is None else invoke(method, "__getitem__", holder, key)


def iterated(value: Any) -> Any:
    """What a loop over the value runs over: what the user's `__iter__` gives, or its elements by `__getitem__`."""
    method = special(value, "__iter__")
    if method is not None:
        result = invoke(method, "__iter__", value)
        return _steps(result) if special(result, "__next__") is not None else result
    if special(value, "__getitem__") is not None and not hasattr(value, "__iter__"):
        return _subscripts(value)
    return value


def _steps(iterator: Any) -> Iterator[Any]:
    """The user's own iterator, one staged call of `__next__` after the other."""
    while True:
        try:
            value = raised(lambda: invoke(special(iterator, "__next__"), "__next__", iterator))
        except StopIteration:
            return
        yield value


def _subscripts(value: Any) -> Iterator[Any]:
    for k in itertools.count():
        try:
            element = raised(functools.partial(item, value, k))
        except IndexError:
            return
        yield element


# -- built-in functions ------------------------------------------------------------------------------------------------

_ASKS: dict[Any, str] = {
    abs: "__abs__", len: "__len__", float: "__float__", int: "__int__", complex: "__complex__", round: "__round__",
    next: "__next__", reversed: "__reversed__", divmod: "__divmod__", math.floor: "__floor__", math.ceil: "__ceil__",
    math.trunc: "__trunc__", operator.index: "__index__",
}  # fmt: skip
_BY_OPERATOR: dict[Any, Callable[..., Any]] = {
    **{function: functools.partial(binary, op) for op, (_, function, _) in BINARY.items()},
    **{function: functools.partial(inplace, op) for op, function in INPLACE.items()},
    **{function: functools.partial(unary, op) for op, (_, function) in UNARY.items()},
    **{function: functools.partial(compare, op) for op, (_, _, function) in COMPARE.items()},
    operator.contains: contains, operator.getitem: item, operator.truth: truth, operator.not_: negated,
}  # fmt: skip


def built_in(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], Any] | None:
    """What a function of Python's own does with an object of the user's; None if none takes part."""
    try:
        found = _BY_OPERATOR.get(function)
        asked = _ASKS.get(function)
    except TypeError:
        return None
    if found is not None and not kwargs:
        return lambda: found(*args)
    if asked is not None and args:
        method = special(args[0], asked)
        if method is not None:
            return lambda: invoke(method, asked, *args, **kwargs)
    elif function is bool and len(args) == 1 and type(args[0]) not in PLAIN:
        return lambda: truth(args[0])
    elif function is setattr and len(args) == 3 and type(args[0]) not in PLAIN:
        return lambda: store(*args)
    elif function is hasattr and len(args) == 2:
        return lambda: has(*args)
    elif function is dataclasses.replace and args:
        return lambda: _replaced(args[0], kwargs)
    return None


def _replaced(value: Any, changes: dict[str, Any]) -> Any:
    """dataclasses.replace, the constructor staged."""
    is_instance = dataclasses.is_dataclass(value) and not isinstance(value, type)
    if not is_instance:
        return dataclasses.replace(value, **changes)
    given = dict(changes)
    for field in dataclasses.fields(value):
        if not field.init:
            if field.name in given:
                return dataclasses.replace(value, **changes)  # refuses it in its own words
        elif field.name not in given:
            given[field.name] = attribute(value, field.name)
    return FUNCTIONS["call"](type(value), (), given)


def generated(function: Any) -> Callable[..., Any] | None:
    """What a method that `dataclass` wrote means on traced values, None if it is run as it is."""
    if function.__name__ == "__init__":
        return functools.partial(FUNCTIONS["fill"], function)
    op = next((op for op, (name, _, _) in COMPARE.items() if name == function.__name__), None)
    return None if op is None else functools.partial(_fields_compared, op)


def _fields_compared(op: str, a: Any, b: Any) -> Any:
    if type(a) is not type(b):
        return NotImplemented
    values = [
        tuple(attribute(v, f.name) for f in dataclasses.fields(a) if f.compare) for v in (a, b)
    ]
    return compare(op, *values)


FUNCTIONS["generated"] = generated
__all__ = [
    "binary", "built_in", "compare", "contains", "inplace", "is_generated", "item", "iterated", "truth", "unary",
]  # fmt: skip
