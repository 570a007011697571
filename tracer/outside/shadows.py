"""Lists, dicts and sets that live on after the call: the traced code sees copies, and what it does to them is kept.

A list that the call only appends to is not read at all: then its length may be another one at each call.
"""

from __future__ import annotations

import copy
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from typing import Any

from ...ir.program import Span
from ..session import Session
from ..snapshot import Pending
from .paths import Path

KINDS = (list, dict, set, deque, OrderedDict, defaultdict, Counter)
"""The containers whose copies are known to behave as they do."""

Key = tuple[str, Any, tuple[Any, ...]]


def key_of(path: Path) -> Key:
    holder = path.holder.__globals__ if path.kind == "global" else path.holder
    return path.kind, holder if path.kind in ("leaf", "given") else id(holder), path.steps


class NeedAppend(Exception):  # noqa: N818  (control flow, never seen by a user)
    """Tracing must start again with these lists open at their ends: the call does nothing but append to them."""

    def __init__(self, keys: frozenset[Key]):
        super().__init__()
        self.keys = keys


class NeedContent(Exception):  # noqa: N818
    """Tracing must start again: a list that seemed to be appended to only is read as well."""

    def __init__(self, key: Key):
        super().__init__()
        self.key = key


@dataclass(eq=False)
class Shadow:
    """`now` stands for `real`, which is found at `path`; `entry` is what `now` was made with."""

    real: Any
    path: Path
    shown: str
    now: Any
    entry: Any
    span: Span | None = None

    @property
    def changed(self) -> bool:
        return not same_content(self.now, self.entry)

    @property
    def only_appended(self) -> bool:
        """Has the call added elements at the end, and nothing else?"""
        if not isinstance(self.now, (list, deque)) or len(self.now) <= len(self.entry):
            return False
        return all(a is b for a, b in zip(self.now, self.entry))


class Shadows:
    """The shadows of one trace."""

    def __init__(self, session: Session):
        self.session = session
        self.all: dict[int, Shadow] = {}
        self.appended: dict[int, Appended] = {}
        self.open: frozenset[Key] = frozenset()  # lists that are appended to only
        self.read: frozenset[Key] = frozenset()  # those that seemed so, but are read

    def made(self, real: Any, path: Path, shown: str, now: Any) -> Any:
        """`now`, from here on the shadow of `real`."""
        self.all[id(real)] = Shadow(real, path, shown, now, copy.copy(now))
        self._known(now)
        return now

    def open_ended(self, real: Any, path: Path, shown: str) -> Appended:
        found = self.appended[id(real)] = Appended(real, path, shown)
        self._known(found._pending_)
        return found

    def _known(self, holder: Any) -> None:
        self.session.shadows.append(holder)
        for state in self.session.states:
            state.learn(holder)

    def of(self, now: Any) -> Shadow | None:
        """The shadow whose copy this is."""
        return next((s for s in self.all.values() if s.now is now), None)

    def shown(self, holder: Any) -> str | None:
        """The name of what a container stands for."""
        held = [(s.now, s.shown) for s in self.all.values()] + [(a._pending_, a.shown) for a in self.appended.values()]
        return next((name for now, name in held if now is holder), None)

    def settle(self) -> None:
        """Start again if lists turn out to be appended to only."""
        found = {key_of(s.path) for s in self.all.values() if s.only_appended} - self.read
        if found:
            raise NeedAppend(frozenset(found))

    def open_up(self, holder: Any) -> None:
        """A region changes the length of a container: start again if it is a list that the call may only append to."""
        shadow = self.of(holder)
        if shadow is not None and isinstance(holder, (list, deque)) and key_of(shadow.path) not in self.read:
            raise NeedAppend(frozenset((key_of(shadow.path),)))


class Appended:
    """A list that is appended to only: anything else that is asked of it starts the trace again."""

    def __init__(self, real: Any, path: Path, shown: str):
        self._real_, self._path_, self._shown_ = real, path, shown
        self._pending_ = Pending()

    @property
    def path(self) -> Path:
        return self._path_

    @property
    def now(self) -> Appended:
        return self

    @property
    def shown(self) -> str:
        return self._shown_

    @property
    def real(self) -> Any:
        return self._real_

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._real_)

    def append(self, value: Any) -> None:
        self._pending_.append(value)

    def extend(self, values: Any) -> None:
        for value in values:
            self._pending_.append(value)

    def __iadd__(self, values: Any) -> Appended:  # type: ignore[misc]
        self.extend(values)
        return self

    def _need(self, *_: Any, **__: Any) -> Any:
        raise NeedContent(key_of(self._path_))

    def __getattr__(self, name: str) -> Any:
        return self._need()

    __len__ = __iter__ = __getitem__ = __setitem__ = __delitem__ = __contains__ = __bool__ = __add__ = _need
    __radd__ = __mul__ = __rmul__ = __imul__ = __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _need
    __reversed__ = __repr__ = __str__ = __format__ = __array__ = __copy__ = __deepcopy__ = __reduce__ = _need
    __hash__ = None  # type: ignore[assignment]


def same_content(now: Any, before: Any) -> bool:
    """Are the elements the same objects, in the same places?"""
    if len(now) != len(before):
        return False
    if isinstance(now, dict):
        return list(now) == list(before) and all(now[key] is value for key, value in before.items())
    if isinstance(now, (set, frozenset)):
        return bool(now == before)
    return all(a is b for a, b in zip(now, before))
