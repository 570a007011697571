"""The traced forms of one structure of arguments, found without trying them all.

Forms are grouped by the types of the leaves, and inside of a group by the sizes and values that some form of it
has fixed. What is left (a few forms that differ in guards or in what lies outside) is tried in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..tracer.outside.paths import BY_VALUE
from ..tracer.trace import Traced

Slot = tuple[int, int]
"""A leaf, and one of its axes; axis -1 is the leaf itself."""


class Form(Protocol):
    traced: Traced
    match: Callable[[Sequence[Any]], tuple[Any, ...] | None]


class Group:
    """Forms whose leaves have the same types."""

    def __init__(self) -> None:
        self.slots: tuple[Slot, ...] = ()
        self.table: dict[tuple[Any, ...], list[Any]] = {}
        self.loose: list[Any] = []  # those that leave open what another form has fixed

    def add(self, form: Form) -> None:
        fixed = fixed_of(form.traced)
        if not fixed.keys() <= set(self.slots):
            forms = [f for row in self.table.values() for f in row] + self.loose
            self.slots = tuple(dict.fromkeys((*self.slots, *fixed)))
            # New objects, put in place at once: another thread may be reading.
            table: dict[tuple[Any, ...], list[Any]] = {}
            loose: list[Any] = []
            for known in forms:
                self._row(known, table, loose).append(known)
            self.table, self.loose = table, loose
        self._row(form, self.table, self.loose).insert(0, form)

    def _row(self, form: Form, table: dict[tuple[Any, ...], list[Any]], loose: list[Any]) -> list[Any]:
        fixed = fixed_of(form.traced)
        if any(slot not in fixed for slot in self.slots):
            return loose
        return table.setdefault(tuple(fixed[slot] for slot in self.slots), [])

    def candidates(self, leaves: Sequence[Any]) -> Sequence[Any]:
        slots, table, loose = self.slots, self.table, self.loose
        if not slots:
            return table.get((), loose)
        key = tuple([leaves[k].shape[a] if a >= 0 else value_of(leaves[k]) for k, a in slots])
        return [*table.get(key, ()), *loose]


class Forms:
    """All forms of one structure of arguments; `all` has them newest first."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.groups: dict[tuple[Any, ...], Group] = {}

    def add(self, form: Form, leaves: Sequence[Any]) -> None:
        """A form, and the leaves it was traced for."""
        self.groups.setdefault(types_of(leaves), Group()).add(form)
        self.all.insert(0, form)

    def forget(self, form: Form) -> None:
        """Drop a form that no call will fit."""
        self.all.remove(form)
        for group in self.groups.values():
            for row in (*group.table.values(), group.loose):
                if form in row:
                    row.remove(form)

    def match(self, leaves: Sequence[Any]) -> tuple[Any, tuple[Any, ...]] | None:
        """The form that fits these leaves and the parameters of its program."""
        group = self.groups.get(types_of(leaves))
        if group is not None:
            for form in group.candidates(leaves):
                params = form.match(leaves)
                if params is not None:
                    return form, params
        return None


def types_of(leaves: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([(x.dtype.char, x.ndim) if type(x) is np.ndarray else type(x) for x in leaves])


def value_of(leaf: Any) -> Any:
    """What a fixed leaf is compared by."""
    return leaf if isinstance(leaf, BY_VALUE) else id(leaf)


def fixed_of(traced: Traced) -> dict[Slot, Any]:
    """The sizes and values that a form is for."""
    fixed: dict[Slot, Any] = {(k, -1): value_of(value) for k, value in traced.static.items()}
    for k, param in enumerate(traced.leaves):
        if param is not None:
            dims = traced.inputs[param].type.dims
            fixed |= {(k, axis): dim for axis, dim in enumerate(dims) if isinstance(dim, int)}
    return fixed
