"""Lists, dicts and dataclass objects of the arguments: they are rebuilt for the trace, so that changes would be lost.

Arrays in them may be written to, as any array argument. Every other change is refused: where it happens, if a statement
or a method makes it, otherwise when the function has returned.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...ir.errors import UnsupportedSyntax
from ..snapshot import attributes, same

if TYPE_CHECKING:
    from ..session import Session


class Givens:
    """The containers that calls of functions were given in this trace: what each held, and what it is called."""

    def __init__(self, session: Session):
        self.session = session
        self.all: dict[int, tuple[Any, dict[Any, Any], str]] = {}

    def call(self, run: Callable[[], Any], function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `run` gives, which calls the function with these rebuilt arguments."""
        before = dict(self.all)
        for name, value in (*zip(_names(function, len(args)), args), *kwargs.items()):
            self._add(value, name)
        try:
            result = run()
            for found in self.all.values():
                self._check(*found)
            return result
        finally:
            self.all = before

    def _add(self, value: Any, name: str) -> None:
        content = _content(value)
        if content is None and not isinstance(value, tuple):
            return
        if content is not None:
            self.all.setdefault(id(value), (value, content, name))
        for step, part in _parts(value):
            self._add(part, name + step)

    def check_each(self, values: tuple[Any, ...]) -> None:
        """Refuse if one of these was given, and is not as it was."""
        if self.all:
            for value in values:
                if id(value) in self.all:
                    self._check(*self.all[id(value)])

    def check_inplace(self, value: Any, new: Any) -> None:
        """Refuse what `+=` makes of a list: it changes the list, although a new one stands for it."""
        found = self.all.get(id(value))
        if found is not None:
            if new is not value:
                self._refuse(value, found[2])
            self._check(*found)

    def _check(self, value: Any, before: dict[Any, Any], name: str) -> None:
        if not _same_content(value, before):
            self._refuse(value, name)

    def check_item(self, holder: Any, key: Any, value: Any) -> None:
        """Refuse an assignment to an attribute or an element, unless it puts there what is there."""
        found = self.all.get(id(holder))
        if found is not None and not (_is_key(key, found[1]) and same(found[1][key], value)):
            self._refuse(holder, found[2])

    def _refuse(self, value: Any, name: str) -> None:
        made = f"dataclasses.replace({name})" if dataclasses.is_dataclass(value) else f"{type(value).__name__}({name})"
        raise self.session.error(
            UnsupportedSyntax,
            f"the function changes its argument {name}, which the caller would not see: return it instead, "
            f"or work on a copy, {made}",
        )


def _is_key(key: Any, content: dict[Any, Any]) -> bool:
    try:
        return key in content
    except TypeError:
        return False


def _content(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, list):
        return dict(enumerate(value))
    if isinstance(value, dict):
        return dict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return attributes(value)
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from ((f".{name}", part) for name, part in zip(value._fields, value))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{k}]", part) for k, part in enumerate(value))
    elif isinstance(value, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    else:
        yield from ((f".{name}", part) for name, part in attributes(value).items())


def _same_content(value: Any, before: dict[Any, Any]) -> bool:
    now = _content(value)
    assert now is not None
    if not isinstance(value, (list, dict)):  # what is computed once and kept may be computed at each call
        kept = [n for n in now if isinstance(getattr(type(value), n, None), functools.cached_property)]
        now = {n: v for n, v in now.items() if n in before or n not in kept}
    return list(now) == list(before) and all(same(now[key], old) for key, old in before.items())


def _names(function: Any, count: int) -> list[str]:
    """The names of so many positional arguments."""
    try:
        params = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        params = []
    names = [p.name for p in params if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    rest = next((p.name for p in params if p.kind is p.VAR_POSITIONAL), "x")
    return names + [f"{rest}[{k}]" for k in range(count - len(names))]
