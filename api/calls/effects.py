"""Effects of a call: what the compiled function gives for them is put in place when it has come back.

A call that fails stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..ir.errors import UnsupportedSyntax
from ..tracer.outside.stores import Stores, Text
from ..tracer.trace import Traced
from .fast_call import finished

if TYPE_CHECKING:
    from .forms import Specialisation

Before = Callable[[Sequence[Any]], tuple[Any, ...]]
After = Callable[[tuple[Any, ...], Sequence[Any], Sequence[Any]], None]


class Effects:
    """The effects of one transform of one form; `place(k)` is where it has result k of the traced program."""

    def __init__(self, stores: Stores, place: Callable[[int], int]):
        self.stores = stores
        self.place = place
        scope: dict[str, Any] = {}
        names, texts = stores.before(scope, "leaves[{}]")
        held = f"{', '.join(names)},"
        lines = ["def before(leaves):", f"    return ({', '.join(texts)},)", "def after(values, held, leaves):"]
        lines.append(f"    {held} = held")
        lines += [f"    {line}" for line in self.after(scope, "values[{}]".format, "leaves[{}]".format)]
        exec("\n".join(lines), scope)
        self._before: Before = scope["before"]
        self._after: After = scope["after"]

    def run(
        self, function: Callable[..., tuple[Any, ...]], params: Sequence[Any], leaves: Sequence[Any]
    ) -> tuple[Any, ...]:
        """The values of the compiled function, after what it does to things outside was done."""
        held = self._before(leaves)
        values = function(*params)
        self._after(values, held, leaves)
        return values

    def before(self, scope: dict[str, Any], miss: str) -> list[str]:
        """Lines of a generated call that find what is written to; static leaf k is called s{k}."""
        names, texts = self.stores.before(scope, "s{}")
        lines = [f"        {name} = {text}" for name, text in zip(names, texts)]
        return ["    try:", *lines, f"    except unreadable: return {miss}"]

    def after(self, scope: dict[str, Any], result: Text, leaf: Text) -> list[str]:
        """Lines that store; `result(k)` is the text of value k that the compiled function gives."""
        return self.stores.after(scope, lambda k: result(self.place(k)), leaf, finished)


def effects_of(traced: Traced, place: Callable[[int], int] = lambda k: k) -> Effects | None:
    return None if traced.stores is None else Effects(traced.stores, place)


def refuse_effects(form: Specialisation, where: str) -> None:
    """Compiled code that runs without Python cannot store."""
    stores = form.traced.stores
    if stores is not None:
        raise UnsupportedSyntax(
            f"the function changes {stores.shown}, which lives outside of it, and {where} cannot do that. Return the "
            "new value, and store it where the function is called from Python", stores.span,
        )  # fmt: skip
