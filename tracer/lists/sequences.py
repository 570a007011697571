"""What a staged `for` can run over without unrolling: ranges, arrays' first axes, and combinations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import dim_atom, literal
from ...ir.errors import UnsupportedSyntax
from ...ir.program import Atom, Lit, Var
from ...ir.types import I64
from ..session import Session
from ..snapshot import Frame
from ..values.staged_list import Numbers
from ..values.subscripts import session_int, whole
from ..values.symbol import FUNCTIONS, Array, Scalar, Symbol, as_value, implements, require_session
from .elements import Unlike, freeze
from .lists import is_stacked, stacked_copy


class Sequence:
    """`length` values; `item(k)` is the k-th. `arrays` are those whose elements it gives."""

    def __init__(self, length: Atom, item: Callable[[Atom], Any], arrays: Iterable[Array] = ()):
        self.length = length
        self.item = item
        self.arrays = tuple(arrays)
        self.peeled = False

    def direct(self, session: Session) -> tuple[Atom, Atom, bool, Callable[[Var], Any]]:
        """As a loop of the IR: start, stop, backwards?, and the value for a value of the index."""
        return literal(0, "i64"), self.length, False, self.item

    def rest(self, session: Session) -> Sequence:
        """All but the first value."""
        builder = session.builder
        length = builder.integer(builder.affine(self.length) - 1)
        rest = Sequence(length, lambda k: self.item(builder.emit("add", k, 1)), self.arrays)
        rest.peeled = True
        return rest

    def __len__(self) -> int:
        return require_session().concrete(self.length, "the length of a range")

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self, Once):
            return iter(self.take())
        return (self.item(literal(k, "i64")) for k in range(len(self)))

    def __getitem__(self, k: Any) -> Any:
        if isinstance(k, int) and not isinstance(k, bool):
            n = len(self)
            if not -n <= k < n:
                raise IndexError("range object index out of range")
            return self.item(literal(k % n, "i64"))
        return self.item(as_value(require_session(), k)[0])


class Range(Sequence, Numbers):
    """`range(start, stop, step)` of traced or plain integers; step is plain."""

    def __init__(self, session: Session, start: Atom, stop: Atom, step: int):
        self.start, self.stop, self.step = start, stop, step
        builder = session.builder
        first, last = builder.affine(start), builder.affine(stop)
        span = last - first if step > 0 else first - last
        self.session = session
        super().__init__(self._length(span, abs(step)), self._item)

    def _length(self, span: Affine, step: int) -> Atom:
        builder = self.session.builder
        if step > 1:
            rounded = builder.integer(span + (step - 1))
            span = builder.affine(self.session.integer("floordiv", rounded, literal(step, "i64")))
        if builder.facts.proves(span):
            return builder.integer(span)
        if not span.terms:
            return literal(max(0, span.constant), "i64")
        length = self.session.integer("maximum", builder.integer(span), literal(0, "i64"))
        if isinstance(length, Var):
            builder.facts.bound(length.name, lower=Affine(0))
        return length

    def _item(self, k: Atom) -> Any:
        builder = self.session.builder
        value = builder.integer(builder.affine(self.start) + builder.affine(k).scaled(self.step), hint="i")
        if isinstance(value, Lit):
            return int(value.text)
        return Scalar(self.session, value, weak=True)

    def numbers(self) -> Any:
        places = FUNCTIONS["iota"](self.session, self.length)
        first = int(self.start.text) if isinstance(self.start, Lit) else Scalar(self.session, self.start, weak=True)
        return places * self.step + first

    def contains(self, value: Any) -> Any:
        """Is the number one of the range?"""
        first, last = (Scalar(self.session, end, weak=True) for end in (self.start, self.stop))
        both = FUNCTIONS[np.logical_and]
        if self.step > 0:
            inside = both(value >= first, value < last)
        else:
            inside = both(value <= first, value > last)
        return inside if abs(self.step) == 1 else both(inside, (value - first) % abs(self.step) == 0)

    def direct(self, session: Session) -> tuple[Atom, Atom, bool, Callable[[Var], Any]]:
        if self.step == 1:
            return self.start, self.stop, False, lambda var: Scalar(session, var, weak=True)
        if self.step == -1:
            builder = session.builder
            low = builder.integer(builder.affine(self.stop) + 1)
            high = builder.integer(builder.affine(self.start) + 1)
            return low, high, True, lambda var: Scalar(session, var, weak=True)
        return super().direct(session)


class _Reversed(Sequence):
    def __init__(self, session: Session, inner: Sequence):
        builder = session.builder
        self.inner = inner

        def item(k: Atom) -> Any:
            place = builder.affine(inner.length) - builder.affine(k) - 1
            return inner.item(builder.integer(place))

        super().__init__(inner.length, item, inner.arrays)

    def direct(self, session: Session) -> tuple[Atom, Atom, bool, Callable[[Var], Any]]:
        start, stop, reverse, item = self.inner.direct(session)
        return start, stop, not reverse, item


class Once(Sequence):
    """What zip, enumerate and reversed give: the values of a sequence, to be run over once."""

    def __init__(self, session: Session, inner: Sequence):
        super().__init__(inner.length, inner.item, inner.arrays)
        self.session, self.inner = session, inner
        self.depth = len(session.builder._regions)
        self.used = False
        self.unclear = False  # how many values are left is not known while tracing

    def take(self, wrapped: bool = False) -> Sequence:
        """The values that have not been given yet; `wrapped`: to another iterator, which may never ask for them."""
        if len(self.session.builder._regions) != self.depth or self.unclear:
            raise self.session.error(UnsupportedSyntax, _TWICE if self.unclear else _INSIDE)
        if self.used:
            return Sequence(literal(0, "i64"), self.item)
        self.used, self.unclear = True, wrapped
        return self.inner


_TWICE = (
    "an iterator is run over again, after a loop that may have ended early, or another iterator was made of it. Make a "
    "list of it first, list(...)"
)
_INSIDE = (
    "an iterator that was made outside of a traced loop or branch is consumed inside of it. Make it there, or make a "
    "list of it before, list(...)"
)


def plain_iterator(session: Session, iterator: Iterator[Any]) -> Iterator[Any]:
    """An iterator of Python's, whose values are taken while tracing: not in a loop that stands for many trips."""
    depth = len(session.builder._regions)

    def steps() -> Iterator[Any]:
        while True:
            if len(session.builder._regions) > depth:
                raise session.error(UnsupportedSyntax, _INSIDE)
            try:
                value = next(iterator)
            except StopIteration:
                return
            yield value

    return steps()


def taken(iterable: Any) -> Any:
    """What is left of an iterator, which is consumed now; anything else as it is."""
    return iterable.take() if isinstance(iterable, Once) else iterable


ENDLESS = 2**62
"""The length of what has no end."""


class Stream:
    """What gives values one after the other, once: `run(loop, body)` runs the body for each.

    loop(iterable, body) is a `for` of who consumes it, which stays a loop where Python's would.
    """

    def __init__(self, give: Callable[[Any, Callable[[Any], None]], None]):
        self.give = give
        self.depth = len(require_session().builder._regions)
        self.used = False
        self.values: Any = None  # a list of them, once one was asked for by itself, and how many were
        self.taken = 0
        self.unclear = False  # a loop over it may have ended early
        self.own_code = False  # the code of a generator function of the user's

    def run(self, loop: Any, body: Callable[[Any], None]) -> None:
        session = require_session()
        if len(session.builder._regions) != self.depth:
            raise session.error(
                UnsupportedSyntax, "a generator that was made outside of a traced loop or branch is consumed inside of "
                "it. Make a list of it before, list(...)",
            )  # fmt: skip
        self._check()
        if self.values is not None:
            rest, self.values = self.values[self.taken :], []
            loop(rest, body)
        elif not self.used:
            self.used = True
            self.give(loop, body)

    def _check(self) -> None:
        if self.unclear:
            raise require_session().error(UnsupportedSyntax, _TWICE)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        session = require_session()
        self._check()
        if self.values is None:
            self.values = session.callers[-1].gather(self)
            if self.own_code:
                freeze(self.values, "the values of a generator")
        length = self.values.size if is_stacked(self.values) else literal(len(self.values), "i64")
        if not session.ensure(session.builder.affine(length) - self.taken - 1) and len(self.values) <= self.taken:
            raise StopIteration
        self.taken += 1
        return self.values[self.taken - 1]


def sequence_of(session: Session, iterable: Any) -> Sequence | None:
    """The value as something to loop over in the IR, None if it is a Python sequence."""
    if isinstance(iterable, Once):
        return iterable.take(wrapped=True)
    if isinstance(iterable, Sequence):
        return iterable
    if isinstance(iterable, Array):
        if not iterable.dims:
            raise TypeError("iteration over a 0-d array")
        length = dim_atom(session.builder.canonical_dim(iterable.dims[0]))
        return Sequence(length, lambda k: iterable[symbol_of(session, k)], [iterable])
    if is_stacked(iterable):
        return Sequence(iterable.size, iterable.at, iterable.parts())
    if isinstance(iterable, Scalar):
        raise TypeError(f"a traced number ({iterable.type}) is not iterable")
    if isinstance(iterable, range):
        values = [literal(v, "i64") for v in (iterable.start, iterable.stop)]
        return Range(session, values[0], values[1], iterable.step)
    return None


def symbol_of(session: Session, k: Atom) -> Any:
    return int(k.text) if isinstance(k, Lit) else Scalar(session, k, weak=True)


def _integer(session: Session, value: Any) -> Atom:
    if isinstance(value, Symbol):
        value = whole(session, value)
        if value.type != I64:
            raise TypeError(f"a traced {value.type} cannot be interpreted as an integer")
        return value.read()
    return literal(session_int(session, value, "an argument of range()"), "i64")


@implements(range)
def range_(*args: Any) -> Range:
    session = require_session()
    start, stop, step = (0, *args, 1) if len(args) == 1 else (*args, 1) if len(args) == 2 else args
    concrete = session_int(session, step, "the step of range()")
    if concrete == 0:
        raise ValueError("range() arg 3 must not be zero")
    return Range(session, _integer(session, start), _integer(session, stop), concrete)


@implements(enumerate)
def enumerate_(iterable: Any, start: Any = 0) -> Any:
    session = require_session()
    if isinstance(iterable, Stream):
        return _counted(session, iterable, start)
    inner = sequence_of(session, iterable)
    if inner is None:
        return plain_iterator(session, enumerate(iterable, start))
    builder = session.builder
    first = _integer(session, start)

    def item(k: Atom) -> Any:
        number = builder.integer(builder.affine(first) + builder.affine(k))
        return symbol_of(session, number), inner.item(k)

    return Once(session, Sequence(inner.length, item, inner.arrays))


def _counted(session: Session, stream: Stream, start: Any) -> Stream:
    def give(loop: Any, body: Callable[[Any], None]) -> None:
        frame = Frame(session, "enumerate", {"number": start})

        def each(value: Any) -> None:
            number = frame.number
            vars(frame)["number"] = number + 1
            body((number, value))

        stream.run(loop, each)

    return Stream(give)


@implements(zip)
def zip_(*iterables: Any, strict: bool = False) -> Any:
    session = require_session()
    iterables = tuple(
        session.callers[-1].gather(i) if isinstance(i, Stream) else i for i in iterables
    )
    inner = [sequence_of(session, i) for i in iterables]
    if any(i is not None and not isinstance(i.length, Lit) for i in inner):
        inner = [_of_values(session, i) if s is None else s for i, s in zip(iterables, inner)]
    if not inner or any(i is None for i in inner):
        return plain_iterator(session, zip(*iterables, strict=strict))
    staged = [i for i in inner if i is not None]
    builder = session.builder
    finite = [i for i in staged if i.length != literal(ENDLESS, "i64")] or staged[:1]
    length = finite[0].length
    for other in finite[1:]:
        if strict:
            same = builder.emit("eq", length, other.length)
            session.check(same, "ValueError: the arguments of zip() have different lengths")
            continue
        if builder.affine(length) == builder.affine(other.length):
            continue
        shorter = builder.affine(length) - builder.affine(other.length)
        known = builder.holds(shorter)
        if known is None:
            length = session.integer("minimum", length, other.length)
        elif known:
            length = other.length
    arrays = [array for i in staged for array in i.arrays]
    return Once(session, Sequence(length, lambda k: tuple(i.item(k) for i in staged), arrays))


def _of_values(session: Session, values: Any) -> Sequence | None:
    """A Python list or tuple of values of one type, to be run over beside an array."""
    if isinstance(values, (list, tuple)) and values:
        try:
            return sequence_of(session, stacked_copy(session, values))
        except Unlike:
            return None
    return None


@implements(reversed)
def reversed_(iterable: Any) -> Any:
    session = require_session()
    inner = sequence_of(session, iterable)
    return plain_iterator(session, reversed(iterable)) if inner is None else Once(session, _Reversed(session, inner))


@implements(len)
def len_(x: Any) -> Any:
    if is_stacked(x):
        return symbol_of(require_session(), x.size)
    if isinstance(x, Sequence):
        return symbol_of(require_session(), x.length)
    if isinstance(x, Array):
        return FUNCTIONS["shape"](x)[0] if x.dims else len(x)
    return len(x)


FUNCTIONS["in", Range] = Range.contains
