"""Containers that a loop or branch binds anew: `state = {**state, "v": v}` is carried by its parts, as a tuple is.

After a region such a name holds a new container. Nobody can tell it from the one that Python has there as long as it
is known by that name alone, or is not changed in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ...ir.build import literal
from ...ir.errors import PullbackError, TypeMismatch, UnsupportedSyntax
from ..session import Session
from ..snapshot import (
    MaybeUnbound,
    Slot,
    State,
    container_change,
    content_of,
    is_record,
    leaves,
    rebuild,
    same,
)
from ..values.optional import MaybeNone
from ..values.staged_list import LENGTH, TEMPLATE, StagedList
from ..values.symbol import Array, PythonNumber, Scalar


class Unlike(Exception):  # noqa: N818
    """A container that has no parts to carry."""


def is_container(value: Any) -> bool:
    return isinstance(value, (list, dict)) or is_record(value)


def is_part(value: Any) -> bool:
    return isinstance(value, (Scalar, Array, *PythonNumber)) or (
        hasattr(value, "dtype") and not getattr(value, "shape", 1)
    )


def content(value: Any, state: State | None) -> dict[Any, Any]:
    """What a container held when the snapshot was taken."""
    if state is not None and id(value) in state.holders:
        return state.holders[id(value)][1]
    return content_of(value)


def parts(value: Any, state: State | None) -> list[Any]:
    """The numbers and arrays in a nest of containers."""
    if isinstance(value, tuple):
        return [part for item in value for part in parts(item, state)]
    if is_part(value):
        return [value]
    if is_container(value):
        held = content(value, state)
        if TEMPLATE in held and isinstance(value, StagedList):
            return [v for k, v in held.items() if k not in (LENGTH, TEMPLATE)]
        return [part for item in held.values() for part in parts(item, state)]
    return []


def form(value: Any, state: State | None) -> Any:
    """All but the numbers and arrays, to compare; raises Unlike where there is something that cannot be made anew."""
    if isinstance(value, tuple):
        return type(value), tuple(form(item, state) for item in value)
    if isinstance(value, Array):
        return "array"
    if is_part(value):
        return "number"
    if is_container(value):
        held = content(value, state)
        if TEMPLATE in held and isinstance(value, StagedList):
            arrays = [v for k, v in held.items() if k not in (LENGTH, TEMPLATE)]
            length = held[LENGTH]
            size = length.atom if isinstance(length, Scalar) else length
            session: Session = arrays[0].session
            if session.builder.affine(size) != session.builder.affine(arrays[0].dims[0]):
                raise Unlike("a list whose length is not known")
            return list, held[TEMPLATE].unsized(), "array"
        kind = list if isinstance(value, StagedList) else type(value)
        return kind, tuple(held), tuple(form(item, state) for item in held.values())
    return Constant(value)


class Constant:
    """What must be the same before and after."""

    def __init__(self, value: Any):
        self.value = value

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Constant) and same(self.value, other.value)

    __hash__ = None  # type: ignore[assignment]


def put_together(value: Any, new: Iterator[Any], state: State | None) -> Any:
    """A container like this one, with other parts."""
    if isinstance(value, tuple):
        items = [put_together(item, new, state) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if is_part(value):
        return next(new)
    if not is_container(value):
        return value
    held = content(value, state)
    if isinstance(value, StagedList):
        made: Any = type(value)()
        if TEMPLATE in held:
            rows = {k: held[TEMPLATE] if k == TEMPLATE else None if k == LENGTH else next(new) for k in held}
            made.rows = rows
            made.fit()
        else:
            made.restore({k: put_together(item, new, state) for k, item in held.items()})
        return made
    fresh = {k: put_together(item, new, state) for k, item in held.items()}
    if isinstance(value, list):
        return list(fresh.values())
    if isinstance(value, dict):
        copy = value.copy()
        copy.clear()
        copy.update(fresh)
        return copy
    made = object.__new__(type(value))
    for name, item in fresh.items():
        object.__setattr__(made, name, item)
    return made


def nested(value: Any, state: State | None) -> Iterator[Any]:
    """The containers in a value, those inside of others included."""
    if isinstance(value, tuple):
        for item in value:
            yield from nested(item, state)
    elif is_container(value):
        yield value
        for item in content(value, state).values():
            yield from nested(item, state)


def shared(slot: Slot, state: State) -> bool:
    """Is a container that the slot holds known by another name, too?"""
    own = {id(c) for c in nested(state.get(slot), state)}
    for other, value in state.slots():
        if other == slot or other[0] in own:
            continue
        for leaf in leaves(value.value if isinstance(value, MaybeUnbound) else value):
            if id(leaf) in own:
                return True
    return False


def known(value: Any, state: State) -> int:
    """How many names and places hold the value, or a container in it."""
    own = {id(c) for c in nested(value, state)}
    held = (leaf for other, v in state.slots() if other[0] not in own
            for leaf in leaves(v.value if isinstance(v, MaybeUnbound) else v))  # fmt: skip
    return sum(id(leaf) in own for leaf in held)


def joined_containers(session: Session, states: list[State], name: str, a: Any, b: Any, join: Any) -> Any:
    """Two containers of one structure, each known by this name alone: a new one, joined part by part."""
    try:
        if form(a, states[0]) != form(b, states[1]):
            return None
    except Unlike:
        return None
    if known(a, states[0]) > 1 or known(b, states[1]) > 1:
        raise session.error(
            UnsupportedSyntax,
            f"{name!r} may be one of two containers after this branch, and one of them is known by another name, too: "
            "a change of one cannot be followed to the other. Copy it where it is bound (list(...), dict(...))",
        )
    pairs = zip(parts(a, states[0]), parts(b, states[1]))
    return put_together(a, iter([join(name, x, y) for x, y in pairs]), states[0])


def described(value: Any, state: State | None) -> str:
    """A container in a message."""
    if isinstance(value, (Scalar, Array)):
        return str(value.type)
    if value is None:
        return "None"
    if type(value) is MaybeNone:
        return f"None or {described(value.value, state)}"
    if not is_container(value):
        kind = type(value).__name__
        return f"{'an' if kind[0] in 'aeio' else 'a'} {kind}"
    held = content(value, state)
    if isinstance(value, StagedList) and TEMPLATE in held:
        return "a list whose length is not known"
    if isinstance(value, list):
        inner = ", ".join(described(v, state) for v in held.values())
        return f"a list of {len(held)} ({inner})" if len(held) <= 4 else f"a list of {len(held)}"
    inner = ", ".join(f"{k}: {described(v, state)}" for k, v in held.items())
    return f"a {type(value).__name__} ({inner})"


class Rebound:
    """What a LoopTracer does with names that the body binds to a new container."""

    session: Session
    before: State
    deep: set[Slot]
    runs: Callable[[], bool]
    nests: dict[Slot, Any]
    placeholders: dict[Slot, Any]

    def leaves_of(self, slot: Slot, state: State) -> list[Any]:
        """The parts of what a slot holds that are carried one by one."""
        value = self.lifted(slot, state.get(slot))
        return parts(value, state) if slot in self.deep else leaves(value)

    def lifted(self, slot: Slot, value: Any) -> Any:
        """A value, in the form that may be None where the slot is carried in that."""
        if isinstance(value, MaybeUnbound):
            value = value.value
        old = self.before.get(slot)
        if isinstance(old, MaybeUnbound):
            old = old.value
        nest = self.nests.get(slot, old)
        if type(nest) is not MaybeNone or type(value) is MaybeNone:
            return value
        if value is None:
            return MaybeNone(self.session, self.placeholders.get(slot, nest.value), literal(True, "bool"))
        return MaybeNone(self.session, value, literal(False, "bool"))

    def together(self, slot: Slot, value: Any, fresh: list[Any], state: State) -> Any:
        if slot in self.deep:
            return put_together(value, iter(fresh), state)
        return rebuild(value, iter(fresh))

    def is_rebound(self, slot: Slot, at_end: State) -> bool:
        """A variable that holds another container after an iteration than at its head."""
        old, new = self.before.get(slot), at_end.get(slot)
        try:
            if not any(True for _ in nested(old, self.before)) or form(old, self.before) is None:
                return False
            form(new, at_end)
        except Unlike:
            return False
        return True

    def grown(self, slot: Slot, at_end: State) -> None:
        """A list that is bound to a longer one each time has to be one in arrays before the loop."""
        old, new = self.before.get(slot), at_end.get(slot)
        if isinstance(old, StagedList) and isinstance(new, StagedList):
            before, after = content(old, self.before), content(new, at_end)
            if TEMPLATE not in before and before.keys() != after.keys():
                error = container_change(self.session, old, before, after)
                error.rebound = True
                raise error

    def check_containers(self, at_head: State, at_end: State) -> None:
        for slot in self.deep:
            changed = any(
                not same_content(at_head.holders[id(c)][1], content_of(c))
                for c in nested(at_head.get(slot), at_head) if id(c) in at_head.holders
            )  # fmt: skip
            if shared(slot, at_end) or (shared(slot, self.before) and (changed or not self.runs())):
                raise self.error_of(slot)

    def error_of(self, slot: Slot) -> PullbackError:
        return self.session.error(
            UnsupportedSyntax,
            f"this loop binds {slot[1]!r} to a new container that is known by another name, too, and a change of "
            "one cannot be followed to the other. Copy it (list(...), dict(...)) where it is bound",
        )

    def check_form(self, slot: Slot, at_end: State) -> PullbackError | None:
        """Why the container after an iteration is not like the one before."""
        old, new = self.before.get(slot), at_end.get(slot)
        try:
            if form(old, self.before) == form(new, at_end):
                return None
        except Unlike:
            pass
        return self.session.error(
            TypeMismatch,
            f"{slot[1]!r} is {described(old, self.before)} before this loop and {described(new, at_end)} after an "
            "iteration; a traced loop needs one structure",
        )


def same_content(a: dict[Any, Any], b: dict[Any, Any]) -> bool:
    return a.keys() == b.keys() and all(a[k] is b[k] or same(a[k], b[k]) for k in a)
