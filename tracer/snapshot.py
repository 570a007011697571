"""What a region may change: variables, container slots and array cells; snapshots of all of it.

A loop body may be traced more than once, and both arms of an if start from the same state, so everything
reachable from the frames of the traced functions can be captured, compared and put back.
"""

from __future__ import annotations

import types
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..ir.affine import Affine
from ..ir.errors import UnsupportedSyntax
from ..ir.program import Atom
from .session import Session
from .values.optional import MaybeNone
from .values.staged_list import TEMPLATE, StagedList
from .values.symbol import Array, Cell, Scalar, Symbol

RUN_OVER = "the array that a loop runs over"


class Unbound(UnboundLocalError):
    """A local variable of a frame was read before it was bound."""

    def __init__(self, text: str, frame: Frame, name: str):
        super().__init__(text)
        self.frame = frame
        self.name = name


class ContainerChange(UnsupportedSyntax):
    """A list or dict gets other places in a region: a list can be one in arrays, and a short loop can be unrolled."""

    holder: Any = None
    before: dict[Any, Any]
    after: dict[Any, Any]
    facts: Any
    step: Affine | None = None
    rebound: bool = False  # the name of the list is bound to another one
    restored: bool = False  # the state before the branch is there again
    given_up: bool = False  # nothing but writing out a loop around it helps


def container_change(session: Session, holder: Any, before: Any, after: Any) -> ContainerChange:
    """A container that changes its places in a region."""
    if isinstance(holder, (list, dict, set, deque)):
        kind = "list" if isinstance(holder, list) else type(holder).__name__
        text = f"a {kind} changes its length or keys inside a loop or branch that is traced. Use an array of fixed "
        text = f"{text}size and assign to its elements"
    else:
        text = f"an object of class {type(holder).__name__} gets or loses an attribute inside a loop or branch that is "
        text = f"{text}traced. Set it before, to a value of its final type"
    error = session.error(ContainerChange, text)
    assert isinstance(error, ContainerChange)
    error.holder, error.before, error.after, error.facts = holder, before, after, session.builder.facts
    return error


class Frame:
    """The local variables of one call of a staged function, as attributes."""

    def __init__(self, session: Session, name: str, variables: dict[str, Any]):
        vars(self).update(variables)
        session.frames.append(weakref.ref(self))
        _NAMES[self] = (session, name)

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if type(value) is MaybeUnbound:
            value = value.resolve(name)
            setattr(self, name, value)
        return value

    def __delattr__(self, name: str) -> None:
        getattr(self, name)  # there is nothing to delete if it has no value
        object.__delattr__(self, name)

    def __getattr__(self, name: str) -> Any:
        session, function = _NAMES[self]
        span = session.span
        where = f" (line {span.line} of {span.file}: {span.text})" if span else ""
        text = f"local variable {name!r} of {function} is read before it has a value{where}"
        raise Unbound(text, self, name)


_NAMES: weakref.WeakKeyDictionary[Frame, tuple[Session, str]] = weakref.WeakKeyDictionary()


def session_of(frame: Frame) -> Session:
    return _NAMES[frame][0]


class MaybeUnbound:
    """A variable that has a value on some paths only; reading it checks that it has one."""

    def __init__(self, session: Session, value: Any, bound: Atom):
        self.session = session
        self.value = value
        self.bound = bound

    def resolve(self, name: str) -> Any:
        if name != "_result_":
            self.session.check(self.bound, f"UnboundLocalError: local variable '{name}' has no value yet")
        return self.value


Slot = tuple[int, Any]
"""(id of the holder, name or place in it)"""


class State:
    """A snapshot of every variable, container slot and array cell that traced code can reach."""

    def __init__(self, session: Session):
        self.session = session
        self.holders: dict[int, tuple[Any, dict[Any, Any]]] = {}
        self.cells: dict[Cell, Atom] = {}
        self.truths: dict[str, bool] = {}  # at the end of an arm
        session.states.add(self)
        for reference in session.frames:
            frame = reference()
            if frame is not None:
                self._holder(frame)
        for shadow in session.shadows:
            self._holder(shadow)
        alive = []
        for reference in session.cells:
            cell = reference()
            if cell is not None:
                self.cells[cell] = cell.value
                alive.append(reference)
        session.cells[:] = alive

    def _holder(self, holder: Any) -> None:
        if id(holder) in self.holders:
            return
        content = content_of(holder)
        self.holders[id(holder)] = (holder, content)
        for value in content.values():
            self._reach(value)

    def learn(self, holder: Any) -> None:
        """A container that lives on after the call was met: until now it was as it is found."""
        self._holder(holder)

    def _reach(self, value: Any) -> None:
        if isinstance(value, (list, dict, set, deque)) or is_record(value):
            self._holder(value)
        elif isinstance(value, tuple):
            for item in value:
                self._reach(item)

    def slots(self) -> Iterator[tuple[Slot, Any]]:
        for key, (_, content) in self.holders.items():
            for name, value in content.items():
                yield (key, name), value

    def get(self, slot: Slot, default: Any = None) -> Any:
        holder = self.holders.get(slot[0])
        return default if holder is None else holder[1].get(slot[1], default)

    def holder(self, slot: Slot) -> Any:
        return self.holders[slot[0]][0]

    def restore(self) -> None:
        for holder, content in self.holders.values():
            refill(holder, content)
        for cell, value in self.cells.items():
            cell.value = value

    def flags(self) -> list[tuple[Any, str | None]]:
        """Why arrays and lists may not be written: trying something may add reasons that do not hold then."""
        lists = [holder for holder, _ in self.holders.values() if isinstance(holder, StagedList)]
        things: list[Any] = [*self.cells, *lists]
        return [(thing, thing.frozen) for thing in things]

    def changed(self, later: State, other: State | None = None) -> list[Slot]:
        """Slots that hold another value in the later state, new names of frames included.

        Containers have the same places in both, or those that they have in the state of the `other` arm.
        """
        found: list[Slot] = []
        for key, (holder, content) in later.holders.items():
            if key not in self.holders:
                continue
            before = self.holders[key][1]
            expected = before.keys() if other is None or key not in other.holders else other.holders[key][1].keys()
            if isinstance(holder, StagedList) and before.get(TEMPLATE) != content.get(TEMPLATE):
                raise container_change(self.session, holder, before, content)
            open_ended = isinstance(holder, Frame) or (other is not None and isinstance(holder, Pending))
            places = not open_ended and before.keys() != content.keys()
            if places and (expected != content.keys() or before.keys() - content.keys()):
                self.session.hidden.shadows.open_up(holder)
                raise container_change(self.session, holder, before, content)
            found += [
                (key, n) for n, v in content.items() if n != TEMPLATE and (n not in before or not same(before[n], v))
            ]
            if isinstance(holder, Frame):
                found += [(key, n) for n in before if n not in content]  # deleted
        return found

    def written(self, later: State) -> list[Cell]:
        return [c for c, value in self.cells.items() if c in later.cells and later.cells[c] is not value]


def refill(holder: Any, content: dict[Any, Any]) -> None:
    """Make a frame, a container or an object hold this and nothing else."""
    if isinstance(holder, StagedList):
        holder.restore(content)
    elif isinstance(holder, list):
        holder[:] = list(content.values())
    elif isinstance(holder, deque):
        holder.clear()
        holder.extend(content.values())
    elif isinstance(holder, (dict, set)):
        replace_items(holder, content)
    else:
        replace_attributes(holder, content)


def replace_items(holder: dict[Any, Any] | set[Any], content: dict[Any, Any]) -> None:
    """Make a dict or set hold these and no other; iterators over it go on where its keys stay."""
    if len(holder) != len(content) or any(a is not b for a, b in zip(holder, content)):
        holder.clear()
        holder.update(content)
    elif isinstance(holder, dict):
        for key, value in content.items():
            holder[key] = value


def is_record(value: Any) -> bool:
    """An object of the user's whose attributes can hold arrays."""
    if isinstance(value, (Symbol, type, MaybeUnbound)):
        return False
    kind = type(value)
    if kind.__module__.partition(".")[0] in LIBRARIES:
        return kind is types.SimpleNamespace
    return hasattr(value, "__dict__") or bool(slots_of(kind))


def slots_of(kind: type) -> tuple[str, ...]:
    """The attributes that the `__slots__` of a class and its bases make."""
    return tuple(
        name
        for each in kind.__mro__
        if "__slots__" in each.__dict__
        for name, member in each.__dict__.items()
        if type(member) is types.MemberDescriptorType
    )


def attributes(value: Any) -> dict[str, Any]:
    """The attributes that an object itself holds."""
    found = dict(getattr(value, "__dict__", ()))
    for name in slots_of(type(value)):
        if hasattr(value, name):
            found[name] = getattr(value, name)
    return found


def replace_attributes(value: Any, content: dict[str, Any]) -> None:
    """Make an object hold these attributes and no other."""
    slots = slots_of(type(value))
    for name in slots:
        if name in content:
            object.__setattr__(value, name, content[name])
        elif hasattr(value, name):
            object.__delattr__(value, name)
    if hasattr(value, "__dict__"):
        variables = vars(value)
        variables.clear()
        variables.update((name, held) for name, held in content.items() if name not in slots)


def has_own(value: Any, name: str) -> bool:
    """Does the object itself hold the attribute?"""
    return name in getattr(value, "__dict__", ()) or (name in slots_of(type(value)) and hasattr(value, name))


def set_own(value: Any, name: str, held: Any) -> None:
    """Bind an attribute of the object itself, whatever its class makes of assignments."""
    if name in slots_of(type(value)):
        object.__setattr__(value, name, held)
    else:
        value.__dict__[name] = held


class Pending(list[Any]):
    """What is appended to a list that lives on after the call, and that the call does not read."""


LIBRARIES = frozenset(("numpy", "scipy", "numba", "builtins", "math", "pullback", "functools", "types", "re"))
"""Packages whose content nobody replaces while a program runs."""


def content_of(holder: Any) -> dict[Any, Any]:
    if isinstance(holder, StagedList):
        return holder.content()
    if isinstance(holder, list):
        return dict(enumerate(holder))
    if isinstance(holder, deque):
        return dict(enumerate(holder))
    if isinstance(holder, set):
        return dict.fromkeys(holder)
    if isinstance(holder, dict):
        return dict(holder)
    return dict(vars(holder)) if isinstance(holder, Frame) else attributes(holder)


def same(a: Any, b: Any) -> bool:
    """Is it the same object to the user (or the same number)?"""
    if a is b:
        return True
    if isinstance(a, Scalar) and isinstance(b, Scalar):
        return a.atom == b.atom and a.weak == b.weak
    if isinstance(a, Array) and isinstance(b, Array):
        return a.cell is b.cell and a.maps == b.maps
    if type(a) is not type(b):
        return False
    if isinstance(a, (bool, int, float, str)):
        return a == b or (a != a and b != b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is MaybeNone and a.flag == b.flag and same(a.value, b.value)


def leaves(value: Any) -> list[Any]:
    """The values inside nested tuples; what may be None is whether it is, and its value."""
    if isinstance(value, tuple):
        return [leaf for item in value for leaf in leaves(item)]
    if type(value) is MaybeNone:
        return [Scalar(value.session, value.flag, True), *leaves(value.value)]
    return [value]


def rebuild(value: Any, new: Iterator[Any]) -> Any:
    """The same nest of tuples with other leaves."""
    if isinstance(value, tuple):
        items = [rebuild(item, new) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if type(value) is MaybeNone:
        flag = next(new)
        return MaybeNone(value.session, rebuild(value.value, new), flag.atom)
    return next(new)


def assign(holder: Any, name: Any, value: Any) -> None:
    if isinstance(holder, StagedList):
        holder.restore({**holder.content(), name: value})
    elif isinstance(holder, (list, deque)) and name == len(holder):
        holder.append(value)
    elif isinstance(holder, (list, dict, deque)):
        holder[name] = value
    elif isinstance(holder, set):
        holder.add(name)
    elif isinstance(holder, Frame):
        vars(holder)[name] = value
    else:
        object.__setattr__(holder, name, value)


def unassign(holder: Any, name: str) -> None:
    if isinstance(holder, Frame):
        vars(holder).pop(name, None)
    else:
        object.__delattr__(holder, name)
