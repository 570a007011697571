"""Hidden inputs: arrays and numbers that a function finds in globals, closures, defaults and attributes.

They are read anew at each call and passed like arguments. Everything else that was looked at (a flag, a
string, a function, a length, None) is guarded: another value means another trace.
"""

from __future__ import annotations

import copy
import enum
import functools
import inspect
import sys
import types
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...ir.errors import TypeMismatch
from ...ir.program import Atom
from ..session import Session
from ..snapshot import LIBRARIES, attributes, has_own, is_record, replace_attributes, slots_of
from ..values.constants import assembled, holds_symbol, plain_array
from ..values.foreign import described, is_iterator, refusal
from ..values.staged_list import StagedList
from ..values.symbol import Array, Symbol, as_value, dtype_name
from .effects import DELETED, MISSING, Effects, Place
from .fingerprint import PURE
from .givens import Givens
from .paths import Guard, Path, cell_of, items_of
from .shadows import KINDS, Appended, Shadows, key_of, same_content

SMALL_CONSTANT = 16


@dataclass
class Found:
    """One hidden input: how it is printed, how it is read, and its symbol in this trace."""

    name: str
    origin: str
    path: Path | None  # None: the value is fixed
    value: Any


@dataclass
class Hidden:
    """The hidden inputs of one trace. `make_input` makes the symbol of an input (tracer.trace), `make_drawn` that of
    a random number."""

    session: Session
    make_input: Callable[[str, str, Any], Any]
    make_drawn: Callable[[str, str, Any], Any]
    control: Callable[[str, types.FunctionType], Any]
    inputs: list[Found] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    paths: dict[int, tuple[Any, str, Path]] = field(default_factory=dict)
    known: dict[Any, Any] = field(default_factory=dict)
    constants: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    outside: dict[int, tuple[Any, Any, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.effects = Effects(self.session, self)
        self.shadows = Shadows(self.session)
        self.givens = Givens(self.session)

    # -- what lives on after the trace ---------------------------------------------------------------------

    def watch(self, value: Any, name: str) -> None:
        """Remember a container or an object that the traced code may not change."""
        if id(value) not in self.outside:
            if isinstance(value, (list, set)):
                self.outside[id(value)] = (value, type(value)(value), name)
            elif isinstance(value, dict):
                self.outside[id(value)] = (value, dict(value), name)
            elif is_record(value):
                self.outside[id(value)] = (value, attributes(value), name)

    def is_changed(self, value: Any) -> bool:
        """Has the traced code changed something that lives on after the trace?"""
        before = self.outside.get(id(value))
        return before is not None and not same_content(_content_of(before[0]), before[1])

    def renew(self, value: Any) -> None:
        """Take what something outside holds now for what it held before."""
        if id(value) in self.outside:
            self.outside[id(value)] = (value, attributes(value), self.outside[id(value)][2])

    def restore_outside(self) -> str | None:
        """Take back what the traced code did to things outside; the name of one that it changed."""
        changed = None
        for value, content, name in self.outside.values():
            if same_content(_content_of(value), content):
                continue
            changed = name
            if isinstance(value, list):
                value[:] = content
            elif isinstance(value, (set, dict)):
                value.clear()
                value.update(content)
            else:
                replace_attributes(value, content)
        return changed

    # -- where values are found --------------------------------------------------------------------------

    def free(self, function: types.FunctionType, name: str, value: Any) -> Any:
        """What a name from outside of a function stands for."""
        holder, key, _ = self._variable(function, name)
        if self.effects.is_written(holder, key):
            return self.effects.read(holder, key, lambda: self._free(function, name, value))
        found = self._free(function, name, value)
        self.effects.entries.setdefault((id(holder), key), found)
        return found

    def declared(self, function: types.FunctionType, name: str, value: Callable[[], Any]) -> Any:
        """A variable that is declared `global` or `nonlocal`: the call may have made it."""
        holder, key, _ = self._variable(function, name)
        found = self.effects.certain(holder, key)
        return self.free(function, name, value()) if found is MISSING else found

    def _variable(self, function: types.FunctionType, name: str) -> tuple[Any, str, str]:
        """What holds a variable from outside of a function, under which name, and how that is reached."""
        if name in function.__code__.co_freevars:
            return cell_of(function, name), "cell_contents", "attr"
        return function.__globals__, name, "item"

    def bind_free(self, function: types.FunctionType, name: str, value: Any) -> None:
        """`global` and `nonlocal` variables."""
        holder, key, how = self._variable(function, name)
        self.effects.write(Place(holder, Path("object", holder), how, key, name), value)

    def _free(self, function: types.FunctionType, name: str, value: Any) -> Any:
        if isinstance(value, Symbol) or _of_library(value):
            return value
        if name in function.__code__.co_freevars:
            return self._input(name, "closure", value, Path("closure", function).item(name))
        if name in function.__globals__:
            return self._input(name, "global", value, Path("global", function).item(name))
        key = ("absent", id(function.__globals__), name)
        if key not in self.known:
            self.known[key] = (value, value)
            self.guards.append(Guard("absent", Path("global", function), name, name))
        return value

    def default(self, function: types.FunctionType, name: str, k: int, value: Any) -> Any:
        """The default of a parameter."""
        return self._input(name, "default", value, Path("default", function).item(k))

    def attribute(self, holder: Any, name: str) -> Any:
        effects = self.effects
        place = vars(holder) if isinstance(holder, types.ModuleType) else holder
        if effects.is_written(place, name):
            return effects.read(place, name, lambda: self.on_entry(holder, name))
        if is_record(holder) and not has_own(holder, name):
            for kind in type(holder).__mro__:
                if effects.is_written(kind, name):
                    return effects.read(kind, name, lambda: self.on_entry(holder, name))
                if name in vars(kind):
                    break
        found = self.on_entry(holder, name)
        effects.entries.setdefault((id(place), name), found)
        return found

    def lives_on(self, value: Any) -> bool:
        """Was the object there before the call?"""
        return value is None or is_fixed(value) or id(value) in self.paths or self.is_container(value)

    def is_container(self, value: Any) -> bool:
        """Does it stand for a list, a dict or a set that was there before the call?"""
        return type(value) is Appended or (not isinstance(value, Symbol) and self.shadows.of(value) is not None)

    def bind(self, holder: Any, name: str, value: Any) -> None:
        """The plain meaning of an assignment to an attribute."""
        place = None if isinstance(holder, Symbol) else self.effects.place_of(holder, name)
        if place is not None:
            if is_record(holder) and not hasattr(holder, "__dict__") and name not in slots_of(type(holder)):
                setattr(holder, name, value)  # Python says that there is no such attribute
            self.effects.write(place, value)
        elif is_record(holder):
            self.givens.check_item(holder, name, value)
            object.__setattr__(holder, name, value)
        else:
            setattr(holder, name, value)

    def delete(self, holder: Any, name: str) -> None:
        place = None if isinstance(holder, Symbol) else self.effects.place_of(holder, name)
        if place is None:
            delattr(holder, name)
            self.givens.check_each((holder,))
        else:
            self.attribute(holder, name)
            self.effects.write(place, DELETED)

    def store_item(self, holder: Any, key: Any, value: Any) -> None:
        if self.givens.all and not isinstance(key, slice):
            self.givens.check_item(holder, key, value)
        self._before_change(holder)
        holder[key] = value
        self.givens.check_each((holder,))

    def delete_item(self, holder: Any, key: Any) -> None:
        self._before_change(holder)
        del holder[key]
        self.givens.check_each((holder,))

    def _before_change(self, holder: Any) -> None:
        shadow = None if isinstance(holder, Symbol) else self.shadows.of(holder)
        if shadow is not None:
            self.effects.refuse_inside(shadow.shown)
            shadow.span = self.session.span

    def on_entry(self, holder: Any, name: str) -> Any:
        """An attribute as it is at the beginning of the call."""
        value = getattr(holder, name)
        if is_record(holder) and id(holder) not in self.paths and not has_own(holder, name):
            return self._of_class(type(holder), name, value)  # made by the traced code: its class is from outside
        if isinstance(holder, Symbol) or isinstance(value, Symbol) or _of_library(value):
            return value
        if id(holder) in self.paths:
            _, shown, path = self.paths[id(holder)]
            return self._input(name, f"{shown}.{name}", value, path.attr(name))
        if isinstance(holder, types.ModuleType):
            if _root(holder.__name__) in LIBRARIES or _root(holder.__name__) in sys.stdlib_module_names:
                if _root(holder.__name__) not in PURE:
                    self.session.opaque.append(f"{holder.__name__}.{name}")
                return value
            return self._input(name, "global", value, Path("object", holder).attr(name))
        if isinstance(holder, (type, types.FunctionType)):
            if _root(holder.__module__) in LIBRARIES:
                return value
            return self._input(name, f"{holder.__name__}.{name}", value, Path("object", holder).attr(name))
        return value

    def _of_class(self, kind: type, name: str, value: Any) -> Any:
        """What an object has from its class: a method and a property are guarded, a number is an input."""
        member = inspect.getattr_static(kind, name, None)
        if member is None or _root(kind.__module__) in LIBRARIES:
            return value
        if isinstance(member, (types.FunctionType, staticmethod, classmethod)):
            self.attribute(kind, name)
        elif hasattr(type(member), "__get__"):
            path = Path("object", kind).attr(name)
            if isinstance(getattr(kind, name, None), type(member)):  # a property gives itself
                self._guard("is", path, member, name)
            self.session.opaque.append(f"{kind.__name__}.{name}")
        else:
            return self.attribute(kind, name)
        return value

    def reach(self, value: Any, name: str, path: Path) -> None:
        """Remember how the parts of a function-like object are reached: of a method its object, and so on."""
        if id(value) in self.paths:
            return
        if isinstance(value, types.MethodType):
            self.reach(value.__self__, name, path.attr("__self__"))
        elif isinstance(value, functools.partial):
            self.paths[id(value)] = (value, name, path)
            self.reach(value.func, name, path.attr("func"))
        elif hasattr(type(value), "__pullback_call__") and hasattr(value, "__wrapped__"):
            self.reach(value.__wrapped__, name, path.attr("__wrapped__"))
        elif is_record(value):
            self.watch(value, name)
            self.paths[id(value)] = (value, name, path)

    def partial(self, value: functools.partial[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments that a partial function holds."""
        if id(value) not in self.paths:
            return value.args, value.keywords
        _, name, path = self.paths[id(value)]
        given = enumerate(value.args)
        args = tuple(self._input(f"{name}_{k}", "partial", a, path.attr("args").item(k)) for k, a in given)
        named = value.keywords.items()
        return args, {k: self._input(k, "partial", a, path.attr("keywords").item(k)) for k, a in named}

    def staged(self, function: types.FunctionType) -> None:
        """A function that is staged: its code and its defaults may be replaced (by an editor that reloads)."""
        key = ("code", id(function))
        if key in self.known or getattr(function, "_pullback_staged_", False):
            return
        self.known[key] = (function, None)
        path = Path("object", function)
        self.guards.append(Guard("is", path.attr("__code__"), function.__code__, function.__name__))
        if function.__defaults__ is not None:
            self.guards.append(Guard("is", path.attr("__defaults__"), function.__defaults__, function.__name__))
        if function.__kwdefaults__ is not None:
            content = items_of(function.__kwdefaults__)
            self.guards.append(Guard("items", path.attr("__kwdefaults__"), content, function.__name__))

    def found(self, name: str, origin: str, value: Any, path: Path) -> Any:
        """A value found at a path of its own."""
        return self._input(name, origin, value, path)

    def _input(self, name: str, origin: str, value: Any, path: Path) -> Any:
        holder = path.holder.__globals__ if path.kind == "global" else path.holder
        key = (path.kind, holder if path.kind == "leaf" else id(holder), path.steps)
        if key in self.known:
            before, symbol = self.known[key]
            if before is value or (isinstance(value, types.MethodType) and before == value):
                return symbol
        symbol = self._symbol(name, origin, value, path)
        self.known[key] = (value, symbol)
        self.watch(value, name)
        return symbol

    def _guard(self, kind: str, path: Path, expected: Any, name: str) -> None:
        self.guards.append(Guard(kind, path, expected, name))

    def _symbol(self, name: str, origin: str, value: Any, path: Path) -> Any:
        known = self.shadows.all.get(id(value)) or self.shadows.appended.get(id(value))
        if known is not None:
            if key_of(known.path) != key_of(path):
                self._guard("same", path, known.path, name)
            return known.now
        why = refusal(value, name)
        if why is not None or is_iterator(value):
            raise self.session.error(TypeMismatch, f"{name} ({origin}) is {described(value, why)}")
        if _is_bound(value):
            return getattr(self._input(name, origin, value.__self__, path.attr("__self__")), value.__name__)
        if isinstance(value, (*_NUMBERS, np.ndarray)) and not isinstance(value, (bool, np.bool_, enum.Enum)):
            return self._number(name, origin, value, path)
        if isinstance(value, (list, tuple)):
            return self._sequence(name, origin, value, path)
        if isinstance(value, dict):
            return self._dict(name, origin, value, path)
        if type(value) in (set, frozenset):
            self._guard("items", path, items_of(value), name)
            return self.shadows.made(value, path, name, set(value)) if type(value) is set else value
        if type(value) is deque:
            return self._sequence(name, origin, value, path)
        if isinstance(value, types.MethodType) and is_function(value.__func__):
            self._guard("method", path, value.__func__, name)
            self.reach(value, name, path)
        elif is_record(value) and not isinstance(value, enum.Enum):
            reached = self.paths.get(id(value))
            if reached is not None and key_of(reached[2]) != key_of(path):
                self._guard("same", path, reached[2], name)
            self.reach(value, name, path)
            self._guard("type", path, type(value), name)
        elif isinstance(value, types.BuiltinMethodType | types.MethodWrapperType):
            pass  # made anew at each look; what it belongs to is guarded where it was found
        elif isinstance(value, _BY_VALUE):
            self._guard("equal", path, value, name)
        else:
            self._guard("is", path, value, name)
            self.reach(value, name, path)
        return value

    def _number(self, name: str, origin: str, value: Any, path: Path) -> Any:
        symbol = self.make_input(name, origin, value)
        if not isinstance(symbol, Symbol):  # an integer that Python needs as a number
            self._guard("equal", path, value, name)
            return symbol
        self.inputs.append(Found(name, origin, path, value))
        if isinstance(symbol, Array):
            symbol.cell.frozen = (
                f"the traced function writes to {name!r} ({origin}), which lives outside of it. Work on a copy, "
                f"{name}.copy(), and return it"
            )
        return symbol

    def _dict(self, name: str, origin: str, value: dict[Any, Any], path: Path) -> Any:
        if all(map(_is_plain, value.values())):
            self._guard("items", path, items_of(value), name)
            return self._shadow(value, path, name, value)
        self._guard("keys", path, tuple(value), name)
        items = {k: self._symbol(f"{name}_{k}", origin, v, path.item(k)) for k, v in value.items()}
        if type(value) not in KINDS:
            return items if _holds_numbers(list(value.values())) else value
        return self._shadow(value, path, name, items)

    def _shadow(self, value: Any, path: Path, name: str, content: Any) -> Any:
        """What stands for a container that lives on: a copy, with these elements."""
        if type(value) not in KINDS:
            return value
        now = copy.copy(value)
        now.clear()
        (now.extend if isinstance(now, (list, deque)) else now.update)(content)
        return self.shadows.made(value, path, name, now)

    def _sequence(self, name: str, origin: str, value: Any, path: Path) -> Any:
        if key_of(path) in self.shadows.open:
            self._guard("type", path, type(value), name)
            return self.shadows.open_ended(value, path, name)
        own = isinstance(value, tuple) and type(value) is not tuple and not hasattr(value, "_fields")
        if own or all(map(_is_plain, value)):  # of sys.float_info and its like the numbers are known
            self._guard("items", path, items_of(value), name)
            return value if isinstance(value, tuple) else self._shadow(value, path, name, value)
        self._guard("type", path, type(value), name)
        self._guard("length", path, len(value), name)
        items = [self._symbol(f"{name}_{k}", origin, v, path.item(k)) for k, v in enumerate(value)]
        if type(value) in KINDS:
            return self._shadow(value, path, name, items)
        if not _holds_numbers(value):
            return value
        if isinstance(value, list):
            return items
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)

    def drawn(self, name: str, value: Any, path: Path) -> Any:
        """A random number, or an array of them, that is drawn at each call."""
        symbol = self.make_drawn(name, "drawn", value)
        self.inputs.append(Found(name, "drawn", path, value))
        return symbol

    def object(self, name: str, value: Any, path: Path) -> Any:
        """An argument that is an object of the user's, or the function itself: its attributes are hidden inputs.

        Of a container that is no list, tuple or dict of arguments (a deque, a subclass), the elements are.
        """
        if isinstance(value, (list, dict, deque)):
            return self._input(name, "argument", value, path)
        self.watch(value, name)
        self.reach(value, name, path)
        return value

    # -- constants -----------------------------------------------------------------------------------------

    def constant(self, session: Session, value: Any, what: str) -> Atom:
        """An array that the traced code made itself, or a list of numbers and symbols."""
        if not isinstance(value, np.ndarray):
            if isinstance(value, StagedList) and value.rows is not None:
                return value.array().read()
            if holds_symbol(value):
                return assembled(session, value, what)
            value = plain_array(session, value, what)
        if dtype_name(value.dtype) is None:
            raise session.dtype_error(what, value.dtype)
        if value.size <= SMALL_CONSTANT:
            return assembled(session, value, what)
        if id(value) not in self.constants:
            fixed = value.copy()
            symbol = self.make_input("constant", "constant", fixed)
            self.inputs.append(Found("constant", "constant", None, fixed))
            self.constants[id(value)] = (value, symbol)
        return as_value(session, self.constants[id(value)][1])[0]


_NUMBERS = (int, float, np.number)
_BY_VALUE = (bool, str, bytes, np.bool_, complex, range, slice, np.dtype)
_PLAIN = (*_BY_VALUE, type(None), np.ufunc, types.FunctionType, types.BuiltinFunctionType, type)


def _is_plain(value: Any) -> bool:
    """Has it no content that could change, so that comparing it is enough?"""
    return isinstance(value, _PLAIN) and not isinstance(value, enum.Enum) and not _is_bound(value)


def _is_bound(value: Any) -> bool:
    """Is it a method that Python has of a container, such as the `append` of one list?"""
    return isinstance(value, types.BuiltinMethodType) and type(value.__self__) in KINDS


def is_fixed(value: Any) -> bool:
    """Has it no content that a call could change, so that it may be stored as it is, again and again?"""
    return isinstance(value, (*_PLAIN, int, float, np.generic, enum.Enum, frozenset, types.ModuleType))


def _root(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _of_library(value: Any) -> bool:
    """NumPy and the like, as modules: under whatever name they are found they are what they are."""
    return isinstance(value, types.ModuleType) and _root(value.__name__) in LIBRARIES


def is_function(value: Any) -> bool:
    """A function, or a transform of one."""
    return isinstance(value, types.FunctionType) or hasattr(type(value), "__pullback_call__")


def _content_of(value: Any) -> Any:
    return value if isinstance(value, (list, set, dict)) else attributes(value)


def _holds_numbers(values: Any) -> bool:
    return any(
        isinstance(v, (*_NUMBERS, np.ndarray))
        or (isinstance(v, (list, tuple, dict)) and _holds_numbers(list(v)))
        for v in values
    )
