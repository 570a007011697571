"""`try` of staged code, where what it does is known while tracing."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, NoReturn

from ...ir.errors import UnsupportedSyntax
from ...ir.primitive import Trait
from ...ir.program import Check, Let, Node, Span
from ...ir.walk import walk
from ..raising import OUR_OWN, PathEnds, known_here
from ..session import Session
from ..values.symbol import require_session
from .branching import Branching

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
        line: int,
    ) -> None:
        session = require_session()
        region = session.builder.region
        start = len(region)
        end = attempt(session, body)
        caught = [_classes(handler[0]) for handler in handlers]
        for classes in caught:
            refuse_what_may_raise(session, region[start:], classes, f"try (line {line}): what it catches")
        if end is None:
            orelse()
        else:
            self._handle(session, end, list(zip(caught, (block for _, block in handlers))), final)
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


def attempt(session: Session, body: Callable[[], None]) -> PathEnds | None:
    """Run a guarded block; what it ends with, None if it goes on."""
    try:
        body()
    except PathEnds as path:
        return path
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
    if isinstance(node, Let) and not node.op.has(Trait.QUIET | Trait.OVERFLOWS):
        # With numbers of Python; arrays are NumPy's, which give inf or nan (`1 / 0`, `math.log(0)`).
        return () if node.op.elementwise and node.var.type.rank else (ArithmeticError, ValueError)
    return ()

