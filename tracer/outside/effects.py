"""Effects: what a traced function writes to things that live on after the call, other than arrays.

While a function is traced nothing outside changes. An attribute, a global or a nonlocal that it binds is a variable
of one more frame, so that branches and loops join it as they join every variable; a list, a dict or a set stands
as a copy (`tracer.shadows`). When the function has returned, what they hold is written down as `Store`s: results of
the program, which whoever calls it puts in place (`tracer.stores`).
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.errors import UnsupportedSyntax
from ...ir.program import Atom, Span
from ..session import Session
from ..snapshot import Frame, MaybeUnbound, Slot, State, container_change
from ..values.symbol import Array, Scalar
from .paths import Path

if TYPE_CHECKING:
    from ..control.loops import LoopTracer
    from .captures import Hidden


class Writes(Frame):
    """The attributes, globals and nonlocals that the call has bound so far. No name: not written on any path."""

    def __init__(self, session: Session):
        session.frames.append(weakref.ref(self))


class Deleted:
    """Stands for what a variable holds after `del`."""

    def __repr__(self) -> str:
        return "nothing (it was deleted)"


DELETED = Deleted()
MISSING: Any = object()


@dataclass(eq=False)
class Choice:
    """One of two values that no phi can hold, by a condition of the program."""

    cond: Atom
    then: Any
    orelse: Any


@dataclass(eq=False)
class Place:
    """Something that lives on and can be bound.

    holder   the object, the class or the module; the dict of a module's globals; the cell of a closure
    path     how the holder is reached at each call
    how      "attr" or "item", as in paths
    """

    holder: Any
    path: Path
    how: str
    name: str
    shown: str
    span: Span | None = None


class Effects:
    """The writes of one trace."""

    def __init__(self, session: Session, hidden: Hidden):
        self.session = session
        self.hidden = hidden
        self.frame = Writes(session)
        self.places: dict[str, Place] = {}
        self.keys: dict[tuple[int, str], str] = {}
        self.entries: dict[tuple[int, str], Any] = {}  # values on entry that were read before they were written
        self.choose: Callable[[Atom, Callable[[], Any], Callable[[], Any]], Any] = _no_choice

    # -- reading -------------------------------------------------------------------------------------------

    def read(self, holder: Any, name: str, entry: Callable[[], Any]) -> Any:
        """What is bound there now; `entry` gives what was on entry."""
        key = self.keys.get((id(holder), name))
        value = MISSING if key is None else vars(self.frame).get(key, MISSING)
        if value is MISSING:
            value = entry()
            if key is None:
                self.entries.setdefault((id(holder), name), value)
            return value
        return self._now(value, entry, name)

    def certain(self, holder: Any, name: str) -> Any:
        """What every path has bound there, or MISSING."""
        key = self.keys.get((id(holder), name))
        value = MISSING if key is None else vars(self.frame).get(key, MISSING)
        return MISSING if type(value) in (MaybeUnbound, Choice) or value is DELETED else value

    def is_written(self, holder: Any, name: str) -> bool:
        key = self.keys.get((id(holder), name))
        return key is not None and key in vars(self.frame)

    def _now(self, value: Any, entry: Callable[[], Any], name: str) -> Any:
        if type(value) is MaybeUnbound:
            bound = value.value
            return self.choose(value.bound, lambda: self._now(bound, entry, name), entry)
        if type(value) is Choice:
            then, orelse = value.then, value.orelse
            return self.choose(
                value.cond, lambda: self._now(then, entry, name), lambda: self._now(orelse, entry, name)
            )
        if value is DELETED:
            raise AttributeError(f"{name!r} was deleted")
        return value

    def entry(self, key: str) -> Any:
        """The number on entry that was read before the first write, or MISSING: then it need not be known."""
        place = self.places[key]
        value = self.entries.get((id(place.holder), place.name), MISSING)
        return value if isinstance(value, (Scalar, Array)) else MISSING

    def carry(self, loop: LoopTracer, slot: Slot, value: Any) -> bool:
        """Something that lives on, and that a loop's body binds: False if the loop carries it as any other name."""
        if slot[0] != id(self.frame):
            return False
        entry = self.entry(slot[1])
        if entry is not MISSING and loop.before.get(slot) is None:
            # Read and then written: after no iteration it is what it was.
            loop.before.holders[slot[0]][1][slot[1]] = entry
            return loop.assume(slot)
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if (self.hidden.lives_on(value) and not number) or _is_of(loop.before, value):
            loop.carry_fixed(slot, value)
            return True
        return False

    def refuse_in_loop(self, slot: Slot, value: Any) -> None:
        if slot[0] == id(self.frame):
            raise container_change(self.session, value, {}, {})  # a short loop can be written out

    # -- writing -------------------------------------------------------------------------------------------

    def write(self, place: Place, value: Any) -> None:
        self.refuse_inside(place.shown)
        key = self.keys.get((id(place.holder), place.name))
        if key is None:
            stem = key = _identifier(place.shown.rpartition(".")[2])
            while key in self.places:
                key = f"{stem}_{len(self.places)}"
            self.keys[id(place.holder), place.name] = key
            self.places[key] = place
        self.places[key].span = self.session.span
        vars(self.frame)[key] = value

    def refuse_inside(self, shown: str) -> None:
        """A function that `vmap` maps is traced once for all examples: it has no effects."""
        what = next(filter(None, self.session.pure), None)
        if what is not None:
            raise self.session.error(
                UnsupportedSyntax,
                f"{what} changes {shown}, which lives outside of it. Return the new value, and store it outside",
            )

    def place_of(self, holder: Any, name: str) -> Place | None:
        """The place of an attribute that lives on; None if the call itself made the holder."""
        known = self.hidden.paths.get(id(holder))
        if known is not None:
            _, shown, path = known
        elif isinstance(holder, types.ModuleType | type) or (
            isinstance(holder, types.FunctionType) and not getattr(holder, "_pullback_staged_", False)
        ):
            shown, path = holder.__name__, Path("object", holder)
        else:
            return None
        if isinstance(holder, types.ModuleType):  # the same place as the global
            return Place(vars(holder), Path("object", vars(holder)), "item", name, name)
        return Place(holder, path, "attr", name, f"{shown}.{name}")


def _no_choice(*_: Any) -> Any:
    raise AssertionError("set by tracer.control")


def _is_of(state: State, value: Any) -> bool:
    """Is it a whole array that was there in this state?"""
    return isinstance(value, Array) and not value.maps and value.cell in state.cells


def _identifier(name: str) -> str:
    return name if name.isidentifier() else "t"
