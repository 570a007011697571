"""What a traced function may return: arrays, numbers, containers of them, and objects that are the same at each call.

An object that the call makes would be one and the same at each call, and would hold the names of this trace.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..ir.errors import UnsupportedSyntax
from .lists.sequences import Sequence, Stream
from .outside.captures import is_fixed
from .outside.effects import Choice
from .session import Session
from .snapshot import Frame, MaybeUnbound, attributes, is_record
from .values.optional import MaybeNone
from .values.staged_list import StagedList
from .values.symbol import FUNCTIONS, Symbol

RETURNS_NONE = (
    "TypeError: the function returns None here, and a number or an array in other calls. Return a number in its place, "
    "such as np.nan"
)
ADVICE = "Return a tuple, a list, a dict or a dataclass of its values"


def taken_apart(
    session: Session, result: Any, flatten: Callable[[Any], tuple[list[Any], Any]], static: dict[int, Any]
) -> tuple[list[Any], Any]:
    """The leaves and the form of a result; refused if a later call of the program could not give it.

    static   the arguments that are no arrays: returned, they are what they are
    """
    flat, form = flatten(result)
    while any(type(value) is MaybeNone for value in flat):
        flat, form = flatten(form.unflatten([_known(session, value) for value in flat]))
    ids = set(map(id, static.values()))
    for value in flat:
        if isinstance(value, (Symbol, np.ndarray)) or is_fixed(value) and not isinstance(value, types.FunctionType):
            continue
        if id(value) not in ids:
            _check_leaf(session, value)
    _check_fields(session, result)
    return flat, form


def refuse_from_inside(session: Session, value: Any) -> None:
    """Refuse an object that a function differentiated inside of a traced one returns: it holds inner values."""
    if is_record(value) and not isinstance(value, types.FunctionType) and holds_traced(value):
        _refuse(session, f"a {type(value).__name__} that it makes", ADVICE)


def _known(session: Session, value: Any) -> Any:
    """A part of the result: whether it is None is no part of what a program can return."""
    return value.present(RETURNS_NONE) if type(value) is MaybeNone else value


def _check_leaf(session: Session, value: Any) -> None:
    if isinstance(value, (Stream, Sequence)):
        _refuse(session, "a generator or an iterator", "return list(...) of it")
    made = is_record(value) and not isinstance(value, (types.FunctionType, types.MethodType, functools.partial))
    if (made and id(value) not in session.hidden.paths) or holds_traced(value):
        kind = type(value)
        what = value.__qualname__ + "()" if isinstance(value, types.FunctionType) else f"a {kind.__name__}"
        if isinstance(value, (types.FunctionType, types.MethodType, functools.partial)):
            instead = "Return the values that it uses, and make the function where it is called from Python"
            _refuse(session, f"{what} that the call makes", instead)
        _refuse(session, f"a {kind.__name__} that the call makes", ADVICE)


def _check_fields(session: Session, value: Any) -> None:
    """A dataclass is returned with its fields: what else the call has set would be lost."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)) and not (isinstance(value, StagedList) and value.rows is not None):
        for part in value:
            _check_fields(session, part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        content = attributes(value)
        names = {field.name for field in dataclasses.fields(value)}
        for name in content:
            if name not in names and not isinstance(getattr(type(value), name, None), functools.cached_property):
                kind = type(value).__name__
                _refuse(session, f"a {kind} with the attribute {name}", f"That is no field of {kind}: make it one")
        for name in sorted(names & content.keys()):
            _check_fields(session, content[name])


def _refuse(session: Session, what: str, advice: str) -> None:
    text = f"the function returns {what}, and would return it again at each call. {advice}"
    raise session.error(UnsupportedSyntax, text)


def holds_traced(value: Any) -> bool:
    """Is there a traced value anywhere in an object: in its attributes, elements, closures?"""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, (Symbol, Stream, Sequence, MaybeUnbound, MaybeNone, Choice, Frame)):
            return True
        if isinstance(found, StagedList) and found.rows is not None:
            return True
        if id(found) not in seen and not (is_fixed(found) and not isinstance(found, types.FunctionType)):
            seen.add(id(found))
            waiting += _parts(found)
    return False


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (*value, *value.values())
    elif isinstance(value, (list, tuple, set, frozenset, deque)):
        yield from value
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif isinstance(value, types.FunctionType):
        yield from (value.__defaults__ or (), value.__kwdefaults__ or {})
        for cell in value.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:
                continue
        return
    if is_record(value):
        yield from attributes(value).values()


FUNCTIONS["holds traced"] = holds_traced
