"""`Path`: how a value outside of a traced function is reached; `Guard`: what a trace assumed of one.

Both are data, so that the check that stands in the way of every call can be written out as Python, and kept on
disk beside the program.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UNREADABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What reading a path may raise when something on it has gone: an attribute, a key, the value of a closure."""


@dataclass(frozen=True, eq=False)
class Path:
    """Where a value is: a base, and the attributes and items that lead from there to it.

    kind     "leaf" (argument number `holder`), "global" and "closure" (of the function `holder`, the first step
             is the name), "default" (of the function `holder`, the first step is the position), "object"
             (`holder` itself: a module, a class, the function that is differentiated), or "draw" (what a call of
             `holder` gives: another value each time)
    steps    ("attr", name) or ("item", key)
    """

    kind: str
    holder: Any
    steps: tuple[tuple[str, Any], ...] = ()

    def attr(self, name: str) -> Path:
        return Path(self.kind, self.holder, (*self.steps, ("attr", name)))

    def item(self, key: Any) -> Path:
        return Path(self.kind, self.holder, (*self.steps, ("item", key)))

    def __call__(self, leaves: Sequence[Any]) -> Any:
        """Read the value; `leaves` are the arguments of the call."""
        value, steps = self._base(leaves)
        for how, name in steps:
            value = getattr(value, name) if how == "attr" else value[name]
        return value

    def _base(self, leaves: Sequence[Any]) -> tuple[Any, tuple[tuple[str, Any], ...]]:
        if self.kind == "leaf":
            return leaves[self.holder], self.steps
        if self.kind == "object":
            return self.holder, self.steps
        if self.kind == "draw":
            return self.holder(), self.steps
        name = self.steps[0][1]
        if self.kind == "global":
            return self.holder.__globals__[name], self.steps[1:]
        if self.kind == "closure":
            return cell_of(self.holder, name).cell_contents, self.steps[1:]
        return (self.holder.__defaults__ or ())[name], self.steps[1:]

    def expression(self, scope: dict[str, Any], leaf: str) -> str:
        """The same as Python text; what it mentions is put into `scope`, leaf k is called `leaf.format(k)`."""
        steps = self.steps
        if self.kind == "leaf":
            text = leaf.format(self.holder)
        elif self.kind == "object":
            text = named(scope, self.holder)
        elif self.kind == "draw":
            text = f"{named(scope, self.holder)}()"
        elif self.kind == "closure":
            text = f"{named(scope, cell_of(self.holder, steps[0][1]))}.cell_contents"
            steps = steps[1:]
        elif self.kind == "global":
            text = named(scope, self.holder.__globals__)
        else:
            text = f"{named(scope, self.holder)}.__defaults__"
        for how, name in steps:
            if how == "attr":
                text += f".{name}"
            else:
                text += f"[{name!r}]" if type(name) in (str, int) else f"[{named(scope, name)}]"
        return text


def cell_of(function: types.FunctionType, name: str) -> Any:
    """The cell of a closure variable."""
    return (function.__closure__ or ())[function.__code__.co_freevars.index(name)]


def named(scope: dict[str, Any], value: Any) -> str:
    """A name for an object in the scope of generated text; one name for one object."""
    name = f"o{id(value)}"
    scope[name] = value
    return name


@dataclass(frozen=True, eq=False)
class Guard:
    """What a trace assumed of the value at a path.

    kind     "is": this very object; "equal": of the type and value of `expected`; "type"; "length"; "keys": of a
             dict, in order; "items": types and values of all elements; "method": a method of this function;
             "absent": the scope at the path has no such name, so that a builtin is meant; "same", "distinct": the
             object at the path `expected`, or not that object
    name     what to call it
    """

    kind: str
    path: Path
    expected: Any
    name: str

    def differs(self, scope: dict[str, Any], leaf: str) -> str:
        """The negated condition as Python text."""
        if self.kind == "absent":
            return f"{self.expected!r} in {named(scope, self.path.holder.__globals__)}"
        value = self.path.expression(scope, leaf)
        if self.kind in ("same", "distinct"):
            other = self.expected.expression(scope, leaf)
            return f"{value} is {'not ' if self.kind == 'same' else ''}{other}"
        if self.kind == "length":
            return f"len({value}) != {self.expected}"
        if self.kind == "type":
            return f"type({value}) is not {named(scope, self.expected)}"
        if self.kind == "keys":
            return f"tuple({value}) != {named(scope, self.expected)}"
        if self.kind == "method":
            return f"getattr({value}, '__func__', None) is not {named(scope, self.expected)}"
        if self.kind == "items":
            scope["items_differ"] = items_differ
            return f"items_differ({value}, {named(scope, self.expected)})"
        return differs(value, self.expected, scope, self.kind == "is")


def differs(value: str, expected: Any, scope: dict[str, Any], identity: bool = False) -> str:
    """Is it another value? Numbers and texts by type and value, everything else by identity."""
    if expected is None or isinstance(expected, bool):
        return f"{value} is not {expected}"
    by_value = isinstance(expected, BY_VALUE) and not identity
    if not by_value:
        return f"{value} is not {named(scope, expected)}"
    e, kind = named(scope, expected), named(scope, type(expected))
    if "." in value or "[" in value:  # read once: a property may answer differently the second time
        return f"(v := {value}) is not {e} and (type(v) is not {kind} or v != {e})"
    return f"{value} is not {e} and (type({value}) is not {kind} or {value} != {e})"


BY_VALUE: tuple[type, ...] = (str, bytes, int, float, complex, tuple, range, frozenset, np.generic)


def items_of(value: Any) -> tuple[Any, Any]:
    """Types and content of a container of plain values, to compare by."""
    if isinstance(value, (set, frozenset)):
        return type(value), frozenset(value)
    content = tuple(value.items()) if isinstance(value, dict) else tuple(value)
    inner = value.values() if isinstance(value, dict) else value
    return (type(value), tuple(map(type, inner))), content


def items_differ(value: Any, expected: tuple[Any, Any]) -> bool:
    return items_of(value) != expected
