"""Hidden inputs: arrays and numbers that a function finds in globals, closures, defaults and attributes.

They are read anew at each call and passed like arguments. What decided structure (a flag, a string, a
function) is guarded: another value means another trace.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..ir.build import literal
from ..ir.errors import TypeMismatch
from ..ir.program import Atom
from .convert import stack_values
from .session import Session
from .state import LIBRARIES, _is_record
from .symbol import Array, Symbol, as_value, dtype_of

Getter = Callable[[list[Any]], Any]
"""Reads a hidden input; it is given the leaves of the arguments, for attributes of objects among them."""
SMALL_CONSTANT = 16


@dataclass
class Found:
    """One hidden input: how it is printed, how it is read, and its symbol in this trace."""

    name: str
    origin: str
    getter: Getter
    value: Any


@dataclass
class Hidden:
    """The hidden inputs of one trace. `make_input` makes the symbol of an input (tracer.trace)."""

    session: Session
    make_input: Callable[[str, str, Any], Any]
    control: Callable[[str, types.FunctionType], Any]
    inputs: list[Found] = field(default_factory=list)
    guards: list[tuple[Getter, Any, str]] = field(default_factory=list)
    paths: dict[int, tuple[Any, str, Getter]] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict)
    constants: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    outside: dict[int, tuple[Any, Any, str]] = field(default_factory=dict)

    # -- what lives on after the trace ---------------------------------------------------------------------

    def watch(self, value: Any, name: str) -> None:
        """Remember a container or an object that the traced code may not change."""
        if id(value) not in self.outside:
            if isinstance(value, (list, set)):
                self.outside[id(value)] = (value, type(value)(value), name)
            elif isinstance(value, dict):
                self.outside[id(value)] = (value, dict(value), name)
            elif _is_record(value):
                self.outside[id(value)] = (value, dict(vars(value)), name)

    def restore_outside(self) -> str | None:
        """Take back what the traced code did to things outside; the name of one that it changed."""
        changed = None
        for value, content, name in self.outside.values():
            now = value if isinstance(value, (list, set, dict)) else vars(value)
            if _same_content(now, content):
                continue
            changed = name
            if isinstance(now, list):
                now[:] = content
            else:
                now.clear()
                now.update(content)
        return changed

    # -- where values are found --------------------------------------------------------------------------

    def free(self, function: types.FunctionType, name: str, value: Any) -> Any:
        if isinstance(value, (Symbol, types.ModuleType, type)) or value is None:
            return value
        variables = function.__code__.co_freevars
        if name in variables:
            cell = (function.__closure__ or ())[variables.index(name)]
            return self._input(
                ("closure", id(cell), name), name, "closure", value, lambda _: cell.cell_contents
            )
        scope = function.__globals__
        if name in scope:
            return self._input(("global", id(scope), name), name, "global", value, lambda _: scope[name])
        return value

    def default(self, function: types.FunctionType, name: str, k: int, value: Any) -> Any:
        """The default of a parameter."""
        getter = lambda _: (function.__defaults__ or ())[k]
        return self._input(("default", id(function), name), name, "default", value, getter)

    def attribute(self, holder: Any, name: str) -> Any:
        value = getattr(holder, name)
        if isinstance(holder, Symbol) or isinstance(value, (Symbol, types.ModuleType, type)) or value is None:
            return value
        if isinstance(holder, types.ModuleType):
            if holder.__name__.split(".")[0] in LIBRARIES or not isinstance(
                value, (*_NUMBERS, np.ndarray, list, dict)
            ):
                return value
            return self._input(
                ("module", id(holder), name), name, "global", value, lambda _: getattr(holder, name)
            )
        if id(holder) in self.paths:
            _, path, getter = self.paths[id(holder)]
            if callable(value) and not _is_record(value):
                return value
            return self._input(
                ("attribute", id(holder), name),
                name,
                f"{path}.{name}",
                value,
                lambda leaves: getattr(getter(leaves), name),
            )
        return value

    def _input(self, key: Any, name: str, origin: str, value: Any, getter: Getter) -> Any:
        if key in self.known:
            before, symbol = self.known[key]
            if before is value:
                return symbol
        symbol = self._symbol(name, origin, value, getter)
        self.known[key] = (value, symbol)
        self.watch(value, name)
        self.watch(symbol, name)
        return symbol

    def _symbol(self, name: str, origin: str, value: Any, getter: Getter) -> Any:
        if isinstance(value, (bool, str, np.bool_)):
            self.guards.append((getter, value, name))
            return value
        if isinstance(value, (*_NUMBERS, np.ndarray)):
            symbol = self.make_input(name, origin, value)
            if not isinstance(symbol, Symbol):  # an integer that Python needs as a number
                self.guards.append((getter, value, name))
                return symbol
            self.inputs.append(Found(name, origin, getter, value))
            if isinstance(symbol, Array):
                symbol.cell.frozen = (
                    f"the traced function writes to {name!r} ({origin}), which lives outside of it. Work on a copy, "
                    f"{name}.copy(), and return it"
                )
            return symbol
        if isinstance(value, (list, tuple)) and _holds_numbers(value):
            return self._sequence(name, origin, value, getter)
        if isinstance(value, dict) and _holds_numbers(list(value.values())):
            keys = tuple(value)
            self.guards.append((lambda leaves: tuple(getter(leaves)), keys, name))
            return {k: self._symbol(f"{name}_{k}", origin, v, _item(getter, k)) for k, v in value.items()}
        if callable(value) and not _is_record(value):
            if isinstance(value, types.FunctionType):
                self.guards.append((getter, value, name))
            return value
        if _is_record(value):
            self.paths[id(value)] = (value, name, getter)
            self.guards.append((lambda leaves: type(getter(leaves)), type(value), name))
        return value

    def _sequence(self, name: str, origin: str, value: Any, getter: Getter) -> Any:
        length = len(value)
        self.guards.append((lambda leaves: len(getter(leaves)), length, name))
        items = [self._symbol(f"{name}_{k}", origin, v, _item(getter, k)) for k, v in enumerate(value)]
        if isinstance(value, list):
            return items
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)

    def object(self, name: str, value: Any, getter: Getter) -> None:
        """An argument that is an object of the user's: its attributes are hidden inputs."""
        self.watch(value, name)
        if _is_record(value):
            self.paths[id(value)] = (value, name, getter)

    # -- constants -----------------------------------------------------------------------------------------

    def constant(self, session: Session, value: Any, what: str) -> Atom:
        """An array that the traced code made itself, or a list of numbers and symbols."""
        if not isinstance(value, np.ndarray):
            if _has_symbol(value):
                return _assembled(session, value, what)
            value = _plain_array(session, value, what)
        if dtype_of_or_none(value) is None:
            raise session.error(TypeMismatch, f"{what}: arrays of dtype {value.dtype} are not supported")
        if value.size <= SMALL_CONSTANT:
            return _assembled(session, value, what)
        if id(value) not in self.constants:
            fixed = value.copy()
            symbol = self.make_input("constant", "constant", fixed)
            self.inputs.append(Found("constant", "constant", lambda _: fixed, fixed))
            self.constants[id(value)] = (value, symbol)
        return as_value(session, self.constants[id(value)][1])[0]


def _item(getter: Getter, key: Any) -> Getter:
    """Reads an element of what `getter` reads."""
    return lambda leaves: getter(leaves)[key]


_NUMBERS = (int, float, np.number)


def _same_content(now: Any, before: Any) -> bool:
    if len(now) != len(before):
        return False
    if isinstance(now, dict):
        return all(key in now and now[key] is value for key, value in before.items())
    if isinstance(now, set):
        return now == before
    return all(a is b for a, b in zip(now, before))


def _holds_numbers(values: Any) -> bool:
    return any(
        isinstance(v, (*_NUMBERS, np.ndarray))
        or (isinstance(v, (list, tuple, dict)) and _holds_numbers(list(v)))
        for v in values
    )


def _has_symbol(value: Any) -> bool:
    return isinstance(value, Symbol) or (isinstance(value, (list, tuple)) and any(map(_has_symbol, value)))


def dtype_of_or_none(value: np.ndarray) -> str | None:
    return dtype_of(value.dtype)


def _plain_array(session: Session, value: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise session.error(TypeMismatch, f"{what}: {error}") from None


def _assembled(session: Session, value: Any, what: str) -> Atom:
    """A small array, element by element (rows may be arrays)."""
    from_array = isinstance(value, np.ndarray)
    if from_array and value.ndim == 0:
        return literal(value[()], dtype_of(value.dtype) or "f64")
    items = [value[k] for k in range(len(value))]
    atoms = []
    for item in items:
        if isinstance(item, (list, tuple, np.ndarray)):
            atoms.append((_assembled(session, item, what), not from_array))
        else:
            atoms.append(as_value(session, item, what))
    return stack_values(session, atoms, dtype_of(value.dtype) if from_array else None, what)
