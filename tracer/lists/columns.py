"""`zip(*rows)` of a list of which only a run knows how long it is: a list for each part of an element."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...ir.build import dim_atom
from ..session import NeedConcrete, Session
from ..values.staged_list import Spread
from ..values.symbol import implements, require_session
from .elements import Nest, fields, freeze
from .lists import List, is_stacked, list_of
from .sequences import plain_iterator


def starred(value: Any) -> Iterable[Any]:
    """What `*value` hands on in a call, for a list in arrays."""
    try:
        return list(value)
    except NeedConcrete:
        if isinstance(value.template(), Nest) and value.template().items:
            return [Spread(value)]
        raise


@implements("spread")
def spread(function: Any, args: tuple[Any, ...]) -> Iterator[Any] | None:
    """The call `zip(*rows)`; NeedConcrete where another one needs each of the elements."""
    if function is zip and len(args) == 1:
        return _columns(require_session(), args[0].value)
    for each in args:
        if isinstance(each, Spread):
            list(each.value)
    return None


def _columns(session: Session, rows: List) -> Iterator[Any]:
    """Python gives nothing at all for no rows: then a run stops."""
    assert is_stacked(rows)
    some = session.builder.emit("gt", rows.size, dim_atom(0))
    session.check(some, "ValueError: not enough values to unpack: zip(*rows) of no rows")
    arrays, found = rows.shown(), []
    for item in rows.template().items:
        count = len(fields(item))
        column = list_of(item, arrays[:count], rows.size)
        column.outside = tuple
        freeze(column, rows.name)
        found.append(column)
        del arrays[:count]
    return plain_iterator(session, iter(found))
