"""`if`, `raise` and `assert` of staged code: as Python does, unless a condition is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ...ir.program import Atom
from ..lists.restage import restaged
from ..raising import PathEnds, class_end, path_end
from ..snapshot import ContainerChange, Frame
from ..staging.jumps import DEPTH
from ..values.symbol import Scalar, require_session
from .branches import trace_if
from .looping import Looping

Elifs = tuple[tuple[Callable[[], Any], Callable[[], None], tuple[str, ...], int], ...]
"""The elifs of an if: test, arm, names live afterwards, line."""


class Branching(Looping):
    """The part of `Control` for statements that decide what runs."""

    def assert_(self, test: Any, message: Callable[[], Any], source: str) -> None:
        cond = self._condition(test)
        if cond is True:
            return
        session = require_session()
        end = path_end(session, lambda: AssertionError(message()), lambda: AssertionError, source)
        if cond is False:
            raise end
        session.builder.check(cond, end.message(session))
        session.assume(cond, True)

    def raise_(self, error: Callable[[], Any], kind: Callable[[], Any], source: str) -> NoReturn:
        """`raise`: the path that is traced ends here. What it is raised `from` only matters to who sees it."""
        raise path_end(require_session(), error, kind, source)

    def surely_raises(self, error: Exception, kind: Callable[[], Any], source: str, line: int) -> NoReturn:
        """Something on a path that ends with a `raise` cannot be traced."""
        if isinstance(error, PathEnds):
            raise error
        self.at(line)
        raise class_end(require_session(), kind, source, error)

    def if_(
        self,
        test: Any,
        then: Callable[[], None],
        elifs: Elifs,
        orelse: Callable[[], None],
        frame: Frame,
        live: tuple[str, ...],
        line: int,
        keep: bool = False,
    ) -> None:
        cond = self._condition(test)
        while isinstance(cond, bool):
            if cond or not elifs:
                return then() if cond else orelse()
            (test, then, live, line), *rest = elifs
            elifs = tuple(rest)
            self.at(line)
            cond = self._condition(test())
        self.at(line)
        if len(elifs) <= DEPTH:
            return self._traced_if(cond, then, self._others(elifs, orelse, frame, keep), frame, live, line, keep)
        # Not a deep nest: what follows the first arms asks whether one of them was taken.
        chain = Frame(require_session(), "a chain", {"missed": False})
        some, (next_test, next_then, next_live, next_line) = elifs[:DEPTH], elifs[DEPTH]
        other = self._others(some, lambda: setattr(chain, "missed", True), frame, True)
        self._traced_if(cond, then, other, frame, live, line, True)
        self.at(next_line)
        more = lambda: self.if_(
            next_test(), next_then, elifs[DEPTH + 1 :], orelse, frame, next_live, next_line, keep
        )
        return self.if_(chain.missed, more, (), lambda: None, frame, live, line, keep)

    def _others(
        self, elifs: Elifs, orelse: Callable[[], None], frame: Frame, keep: bool
    ) -> Callable[[], None]:
        """What is left of a chain."""

        def run() -> None:
            (test, then, live, line), *rest = elifs
            self.at(line)
            self.if_(test(), then, tuple(rest), orelse, frame, live, line, keep)

        return run if elifs else orelse

    def _traced_if(
        self, cond: Atom, then: Callable[[], None], orelse: Callable[[], None], frame: Frame, live: tuple[str, ...],
        line: int, keep: bool,
    ) -> None:  # fmt: skip
        session = require_session()
        marks = session.marks()
        try:
            trace_if(session, cond, then, orelse, frame, live, keep=keep)
        except ContainerChange as need:
            if not need.restored:
                raise
            session.reset(marks)
            if not restaged(session, need, None):
                raise
            need.restored = False
            self.if_(Scalar(session, cond), then, (), orelse, frame, live, line, keep)
