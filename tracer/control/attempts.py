"""`try` of staged code, where what it does is known while tracing."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from ...ir.errors import BoundsError, ShapeMismatch, UnsupportedSyntax
from ...ir.primitive import Trait
from ...ir.program import Check, Let, Node, Span
from ...ir.walk import walk
from ..raising import OUR_OWN, Attempt, Conditions, PathEnds, Splits, known_here
from ..session import Session
from ..snapshot import ContainerChange, Frame, State
from ..values.symbol import require_session
from .branches import trace_if
from .branching import Branching

MOST_SPLITS = 8
"""What may be raised in the body of a try before it is refused: the body is traced once for each."""
Classes = tuple[type[BaseException], ...]
Handler = tuple[Callable[[], Any] | None, Callable[[BaseException], None]]
"""The classes that it catches (None: all), and its block, given the exception."""


class Attempts(Branching):
    """The part of `Control` for try."""

    def try_(
        self,
        body: Callable[[], None],
        handlers: tuple[Handler, ...],
        orelse: Callable[[], None],
        final: Callable[[], None],
        frame: Frame | None,
        live: tuple[str, ...],
        line: int,
    ) -> None:
        session = require_session()
        caught = [_classes(handler[0]) for handler in handlers]
        depth = len(session.attempts)

        def handle(end: PathEnds) -> None:
            mine = not any(low <= depth < high for low, high in end.beyond)
            self._handle(session, end, [pair for pair in zip(caught, (b for _, b in handlers)) if mine], final)

        _Traced(session, body, caught, handle, orelse, frame, live, line).run(0)
        final()

    def _handle(
        self, session: Session, end: PathEnds, handlers: list[tuple[Classes, Callable[[Any], None]]],
        final: Callable[[], None],
    ) -> None:  # fmt: skip
        for classes, block in handlers:
            if issubclass(end.kind, classes):
                error = end.final()
                session.handling.append(error)
                try:
                    return block(error)
                finally:
                    session.handling.pop()
        final()
        raise end

    def raise_again(self) -> NoReturn:
        """`raise` without an exception."""
        session = require_session()
        if not session.handling:
            error: BaseException = RuntimeError("No active exception to reraise")
        else:
            error = session.handling[-1]
        raise PathEnds(error, type(error), str(error), session.span)


@dataclass
class _Traced:
    """A try that is traced: where only a run can tell whether the body raises what a handler catches, it is a branch.

    The body is run up to there; then, in one arm, from its beginning once more, with that exception known not to be
    raised, and in the other arm the handler runs, on the state that there is.
    """

    session: Session
    body: Callable[[], None]
    caught: list[Classes]
    handle: Callable[[PathEnds], None]
    orelse: Callable[[], None]
    frame: Frame | None
    live: tuple[str, ...]
    line: int

    def __post_init__(self) -> None:
        self.start, self.conditions = State(self.session), Conditions()

    def run(self, times: int) -> None:
        session = self.session
        region = session.builder.region
        first = len(region)
        every = tuple(one for classes in self.caught for one in classes)
        splits = self.frame is not None and times < MOST_SPLITS
        session.attempts.append(Attempt(session, every, self.conditions) if splits else None)
        at: Splits | None = None
        try:
            end = attempt(session, self.body)
        except Splits as split:
            at = split
        finally:
            session.attempts.pop()
        if at is not None:
            self.split(at, times)
            return
        for classes in self.caught:
            refuse_what_may_raise(session, region[first:], classes, f"try (line {self.line}): what it catches")
        if end is None:
            self.orelse()
        else:
            self.handle(end)

    def split(self, at: Splits, times: int) -> None:
        def again() -> None:
            self.start.restore()
            self.run(times + 1)

        assert self.frame is not None
        self.conditions.true.add(self.conditions.form(at.good))
        try:
            trace_if(self.session, at.good, again, lambda: self.raised(at), self.frame, self.live)
        except ContainerChange as change:
            change.restored = False  # to here, and not to what is before the try
            raise

    def raised(self, at: Splits) -> None:
        end: PathEnds | None = PathEnds(None, at.kind, "", at.span)
        if at.path is not None:
            self.session.attempts.append(None)
            try:
                end = attempt(self.session, at.path)
            finally:
                self.session.attempts.pop()
        assert end is not None, "it ended with an exception before"
        self.handle(end)


def attempt(session: Session, body: Callable[[], None]) -> PathEnds | None:
    """Run a guarded block; what it ends with, None if it goes on."""
    try:
        body()
    except PathEnds as path:
        return path
    except (BoundsError, ShapeMismatch) as error:
        if session.examples:  # of sizes that are not known
            raise
        kind = IndexError if isinstance(error, BoundsError) else ValueError
        return PathEnds(error, kind, error.bare_message, session.span, by_python=True)
    except OUR_OWN:
        raise
    except Exception as error:
        if not known_here(error, strictly=True):
            raise
        return PathEnds(error, type(error), str(error), session.span)
    return None


def _classes(kinds: Callable[[], Any] | None) -> Classes:
    found = BaseException if kinds is None else kinds()
    return tuple(found) if isinstance(found, tuple) else (found,)


def refuse_what_may_raise(session: Session, nodes: list[Node], classes: Classes, guard: str) -> None:
    """Only a run can tell whether one of these nodes raises what a handler catches."""
    for node in walk(nodes):
        found = _may_raise(session, node)
        common = [one for one in found if any(issubclass(one, two) or issubclass(two, one) for two in classes)]
        if common:
            span: Span | None = getattr(node, "span", None) or session.span
            what = common[0].__name__
            raise UnsupportedSyntax(
                f"pullback cannot trace this {guard} ({what}) may be raised here, and only a run can tell. "
                "Write an `if` that tests for the exceptional case instead", span,
            )  # fmt: skip


def _may_raise(session: Session, node: Node) -> Classes:
    if isinstance(node, Check) and node.message in session.raised:
        return tuple(session.raised[node.message])
    if isinstance(node, Check):
        kind = getattr(builtins, node.message.partition(":")[0], ValueError)
        return (kind,) if isinstance(kind, type) and issubclass(kind, BaseException) else (ValueError,)
    if isinstance(node, Let) and node.var.name not in session.quiet and not node.op.has(Trait.QUIET | Trait.OVERFLOWS):
        # With numbers of Python; arrays are NumPy's, which give inf or nan (`1 / 0`, `math.log(0)`).
        return () if node.op.elementwise and node.var.type.rank else (ArithmeticError, ValueError)
    return ()

