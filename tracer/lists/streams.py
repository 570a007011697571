"""What gives values one after the other: generator expressions, comprehensions, `map`, `itertools`.

A stream runs a body for each value, inside of loops that stay loops. It is a mixin of `Control`, whose `for_` it uses:
the list of a comprehension over an array is filled by a loop, and `sum` of a generator adds up in one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...ir.build import dim_atom, literal
from ...ir.errors import PullbackError
from ...ir.program import Lit
from ..objects.operators import iterated
from ..snapshot import Frame, State
from ..values.staged_list import LENGTH, TEMPLATE
from ..values.symbol import FUNCTIONS, Array, Cell, Scalar, require_session
from .elements import Leaf
from .lists import List, is_stacked
from .sequences import Once, Stream, sequence_of, symbol_of, taken

SHORT = 8
"""Loops of up to so many iterations are written out where Python needs the number, or a list grows."""
UNROLL = 1000
"""No loop of more iterations is written out."""

Body = Callable[[Any], None]


class Streams:
    """The part of Control that runs streams and collects what they give."""

    for_: Callable[..., None]
    _condition: Callable[[Any], Any]
    if_: Callable[..., None]

    def list_(self, items: list[Any]) -> List:
        """A list display."""
        return List(items)

    def display(self, *parts: tuple[bool, Any]) -> List:
        """A list display with starred parts."""
        found = List()
        for starred, value in parts:
            if starred:
                value = self.gather(value)
                found = found + value if is_stacked(value) or is_stacked(found) else List([*found, *value])
            elif is_stacked(found):
                found = found + [value]
            else:
                found.append(value)
        return found

    def comprehension(self, iterable: Any, make: Callable[[Any, Body], Body]) -> List:
        return self.gather(self.generator(iterable, make))

    def generator(self, iterable: Any, make: Callable[[Any, Body], Body]) -> Stream:
        """A generator expression: its first iterable is asked for now, what it gives when it is consumed."""
        return Stream(lambda loop, body: loop(iterable, make(loop, body)))

    def generated(self, generate: Callable[[Body], None]) -> Stream:
        """What a generator function of the user's gives: its code runs when it is consumed, the consumer's in it."""
        stream = Stream(lambda loop, body: generate(body))
        stream.own_code = True
        return stream

    def yield_from(self, iterable: Any, body: Body, frame: Frame) -> None:
        session = require_session()
        names = tuple(vars(frame))
        line = session.span.line if session.span else 0
        self.for_(iterable, body, frame, names, names, (), "i", None, line)

    def when(self, test: Any, action: Callable[[], None]) -> None:
        """The condition of a comprehension."""
        cond = self._condition(test)
        if isinstance(cond, bool):
            if cond:
                action()
            return
        session = require_session()
        line = session.span.line if session.span else 0
        self.if_(test, action, (), lambda: None, Frame(session, "a comprehension", {}), (), line)

    def over(self, iterable: Any, body: Body, frame: Frame, names: tuple[str, ...], flag: str | None = None) -> None:
        """A `for` of the tracer's own, whose variables are all in the frame."""
        session = require_session()
        line = session.span.line if session.span else 0

        def loop(part: Any, each: Body) -> None:
            given = iterated(part)
            part = taken(given)
            if flag is not None and isinstance(given, Once):
                given.unclear = True
            if isinstance(part, Stream):
                part.run(loop, each)
                part.unclear = flag is not None
                return None
            sequence = sequence_of(session, part)
            count = int(sequence.length.text) if sequence is not None and isinstance(sequence.length, Lit) else None
            if sequence is None or count is None or count > UNROLL:
                return self.for_(part, each, frame, names, names, names, "i", flag, line)
            if count > SHORT:
                start, marks = State(session), session.marks()
                flags = start.flags()
                try:
                    return self.for_(part, each, frame, names, names, names, "i", flag, line)
                except PullbackError:
                    session.reset(marks)
                    start.restore()
                    thaw(flags)
            items = [sequence.item(literal(k, "i64")) for k in range(count)]
            return self.for_(items, each, frame, names, names, names, "i", flag, line)

        loop(iterable, body)

    def gather(self, iterable: Any) -> List:
        """The list of what an iterable gives."""
        if is_stacked(iterable):
            return iterable.copy()
        if isinstance(iterable, Array) and len(iterable.dims) and not isinstance(iterable.dims[0], int):
            return rows_of(iterable)
        out = List()
        frame = Frame(require_session(), "a comprehension", {"out": out})
        self.over(iterable, lambda value: vars(frame)["out"].append(value), frame, ("out",))
        vars(frame).clear()  # whatever keeps the frame, the list is known to who asked for it alone
        out.fit_exactly()
        return out

    def fold(self, iterable: Any, step: Callable[[Any, Any], Any], start: Any) -> Any:
        """step(...step(step(start, first), second)..., last)"""
        frame = Frame(require_session(), "a sum", {"total": start})

        def each(value: Any) -> None:
            vars(frame)["total"] = step(frame.total, value)

        self.over(iterable, each, frame, ("total",))
        return frame.total

    def found(self, iterable: Any, wanted: bool) -> Any:
        """Is there a value that is as true as wanted?"""
        frame = Frame(require_session(), "a search", {"found": False})

        def each(value: Any) -> None:
            cond = self._condition(value)
            if isinstance(cond, bool):
                vars(frame)["found"] = cond is wanted
            else:
                truth = Scalar(require_session(), cond)
                vars(frame)["found"] = truth if wanted else FUNCTIONS["not"](truth)

        self.over(iterable, each, frame, ("found",), "found")
        return frame.found


def thaw(flags: list[tuple[Any, str | None]]) -> None:
    for thing, frozen in flags:
        thing.frozen = frozen


def rows_of(array: Array) -> List:
    """list(x) of an array: its elements, or its rows, which are views in NumPy."""
    session = array.session
    dims = array.dims
    if len(dims) > 1:
        array.cell.freeze(
            "this array has become a list of its rows, whose length is only known when the program runs, and a write "
            "to it cannot be followed there. Write `.copy()` before"
        )
    new = List()
    new.rows = {
        TEMPLATE: Leaf(array.type.dtype, False, dims[1:] or None), LENGTH: symbol_of(session, dim_atom(dims[0])),
        "items": Array(session, Cell(session, array.read())),
    }  # fmt: skip
    return new


def caller() -> Any:
    """The control of the function that calls."""
    return require_session().callers[-1]


def settled(iterable: Any) -> Any:
    """A stream as the list of what it gives; anything else as it is."""
    return caller().gather(iterable) if isinstance(iterable, Stream) else iterable
