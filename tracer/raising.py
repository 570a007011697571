"""Paths that end with an exception while they are traced.

A `raise` must not go off because its arm is traced: it ends the path, up to the arm of a traced condition or the
traced loop that it stands in, where it becomes a Check. Only outside of all of them is it the function's own error.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

from ..ir.errors import BoundsError, PullbackError, ShapeMismatch
from ..ir.program import Atom, Check, Let, Node, Span, Var, map_operand
from ..ir.types import Type
from ..ir.walk import walk
from .session import NeedConcrete, NeedEqual, NeedStatic, Session
from .snapshot import Unbound
from .values.text import reporting

CLASSES = (
    "ArithmeticError", "AssertionError", "AttributeError", "FloatingPointError", "IndexError", "KeyError",
    "LookupError", "NotImplementedError", "OverflowError", "RuntimeError", "TypeError", "UnboundLocalError",
    "ValueError", "ZeroDivisionError",
)  # fmt: skip
"""Classes of exceptions that a Check names; one of another class is named behind its nearest base of these."""


class PathEnds(Exception):  # noqa: N818  (control flow)
    """Nothing follows on the path that is traced: it raises `error` there.

    The error is the user's own object, None where only a run can make it; `kind` is its class. `by_python`: no
    `raise` of the user's, but something that Python refuses to do.
    """

    def __init__(
        self,
        error: BaseException | None,
        kind: type[BaseException],
        text: str,
        span: Span | None,
        by_python: bool = False,
    ):
        super().__init__(text)
        self.error = error
        self.kind = kind
        self.text = text
        self.span = span
        self.by_python = by_python
        self.beyond: list[tuple[int, int]] = []  # tries, by their depth, of generators in whose consumer it is raised

    def message(self, session: Session) -> str:
        """What a Check says: the class, the text and the user's line. The session keeps the class itself."""
        text = message_of(self.kind, self.text)
        text = text if self.span is None else f"{text} (line {self.span.line}: {self.span.text})"
        session.raised.setdefault(text, []).append(self.kind)
        return text

    def check(self, session: Session, good: Atom) -> None:
        """The path is only taken where this is not true."""
        with session.at(self.span):
            session.builder.check(good, self.message(session))

    def final(self) -> BaseException:
        """The exception, raised where nothing traced is around the path."""
        return self.error if self.error is not None else self.kind(self.text)


class Splits(BaseException):
    """A traced try goes on from here as a branch: where `good` holds nothing is raised, else the handler follows.

    path   what runs where it does not hold, up to the exception; None: nothing but the exception, of class `kind`
    """

    def __init__(
        self, good: Atom, kind: type[BaseException], span: Span | None, path: Callable[[], None] | None = None
    ):
        super().__init__(kind.__name__)
        self.good, self.kind, self.span, self.path = good, kind, span, path


class Conditions:
    """Conditions of a body that is traced again and again, by how they are computed from what was there before it."""

    def __init__(self) -> None:
        self.traces: list[tuple[list[Node], int]] = []
        self.forms: dict[Any, str] = {}
        self.true: set[str] = set()

    def form(self, cond: Atom) -> str:
        """Equal for conditions that are computed in the same way."""
        lets = {n.var.name: n for nodes, first in self.traces for n in nodes[first:] if isinstance(n, Let)}
        done: dict[str, str] = {}

        def named(name: str) -> str:
            if name in lets and name not in done:
                let = lets[name]
                args = tuple(map_operand(a, atom, lambda d: named(d) if isinstance(d, str) else d) for a in let.args)
                done[name] = self.forms.setdefault((let.op.name, args), f"#{len(self.forms)}")
            return done.get(name, name)

        def atom(value: Atom) -> Atom:
            return Var(named(value.name), Type(value.type.dtype)) if isinstance(value, Var) else value

        return named(cond.name) if isinstance(cond, Var) else cond.text


class Attempt:
    """The body of a try that is traced: what its handlers catch, and the region that it stands in."""

    def __init__(self, session: Session, classes: tuple[type[BaseException], ...], conditions: Conditions):
        self.session, self.classes, self.region = session, classes, session.builder.region
        self.conditions = conditions
        conditions.traces.append((self.region, len(self.region)))

    def settles(
        self, kind: type[BaseException] | str, good: Atom, path: Callable[[], None] | None = None, splits: bool = True
    ) -> bool:
        """Is it known that an exception, which is raised where `good` does not hold, is none here?

        Splits the try if its handlers catch it, and if it is raised by no loop or branch in the body.
        """
        found = getattr(builtins, kind, None) if isinstance(kind, str) else kind
        if not isinstance(found, type) or not issubclass(found, self.classes):
            return False
        known = self.session.truth_of(good)
        if known is None and isinstance(good, Var):
            known = self.conditions.form(good) in self.conditions.true or None
        if known is None and splits and self.session.builder.region is self.region:
            raise Splits(good, found, self.session.span, path)
        return bool(known)


def settled(
    session: Session, kind: type[BaseException], good: Callable[[], Atom], path: Callable[[], None] | None = None
) -> bool:
    """Is an operation known to raise no such exception, as the try around it asks for it first?"""
    attempt = session.attempts[-1] if session.attempts else None
    return attempt is not None and issubclass(kind, attempt.classes) and attempt.settles(kind, good(), path)


def harmless(session: Session, kind: type[BaseException], good: Callable[[], Atom]) -> bool:
    """Does an operation, which raises this where `good` does not hold, raise nothing that a try around it catches?"""
    if not session.attempts:
        return False
    *outer, last = session.attempts
    if last is None or any(one is None or issubclass(kind, one.classes) for one in outer):
        return False
    return not issubclass(kind, last.classes) or bool(last.settles(kind, good()))


def message_of(kind: type[BaseException], text: str) -> str:
    bases = [k.__name__ for k in kind.__mro__ if getattr(builtins, k.__name__, None) is k and k.__name__ in CLASSES]
    name = bases[0] if bases else "RuntimeError"
    return f"{name}: {text}" if kind.__name__ == name else f"{name}: {kind.__name__}: {text}"


def path_end(
    session: Session, make: Callable[[], Any], kind: Callable[[], Any], source: str
) -> PathEnds:
    """What `raise make()` ends the path with; `source` is the text of the arguments.

    The message may need numbers that only a run has: then it is the text of the arguments as written.
    """
    try:
        with reporting(session):
            error = make()
            made = error() if isinstance(error, type) and issubclass(error, BaseException) else error
            if isinstance(made, BaseException):
                return PathEnds(made, type(made), _text(made), session.span)
    except Exception as problem:
        return class_end(session, kind, source, problem)
    return PathEnds(None, TypeError, "exceptions must derive from BaseException", session.span)


def class_end(session: Session, kind: Callable[[], Any], source: str, problem: Exception) -> PathEnds:
    """What a path ends with of which only the class is known; `problem` is raised if it is not."""
    found = kind()
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise problem
    return PathEnds(None, found, source, session.span)


def _text(error: BaseException) -> str:
    return str(error.args[0]) if isinstance(error, KeyError) and len(error.args) == 1 else str(error)


def run_path(session: Session, run: Callable[[], None]) -> PathEnds | None:
    """Trace a path; what it ends with, None if it goes on.

    An exception of Python's that the path raises for certain (`[][1]`, an attribute that is not there) ends it too.
    """
    try:
        run()
    except PathEnds as end:
        return end
    except (BoundsError, ShapeMismatch) as error:
        if session.examples:  # of sizes that are not known
            raise
        kind = IndexError if isinstance(error, BoundsError) else ValueError
        return PathEnds(error, kind, error.bare_message, session.span, by_python=True)
    except OUR_OWN:
        raise
    except Exception as error:
        if isinstance(error, Unbound) and _may_be_bound(session, error):
            raise  # an earlier iteration of the loop may bind it
        if not known_here(error):
            raise
        return PathEnds(error, type(error), _text(error), session.span, by_python=True)
    return None


def _may_be_bound(session: Session, error: Unbound) -> bool:
    known = (id(error.frame), error.name) in session.unbound
    return not known and any(error.frame is frame and error.name in stored for frame, stored in session.binding)


OUR_OWN: tuple[type[Exception], ...] = (
    PullbackError, NeedStatic, NeedEqual, NeedConcrete, AssertionError, RecursionError, MemoryError,
    NotImplementedError,
)  # fmt: skip
"""Exceptions that say nothing of what the user's program raises; loops add theirs."""


def known_here(error: BaseException, strictly: bool = False) -> bool:
    """Is it what the user's Python raises, as far as one can see, and no fault of ours?

    Strictly, it is not if a symbol raised it, which may know less than the array that it stands for.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    ours = name.split(".")[0] == __name__.split(".")[0]
    if strictly:
        return not ours or name in _THIN
    as_python = (TypeError, ValueError, ZeroDivisionError, LookupError, Unbound)
    return not ours or name in _THIN or isinstance(error, as_python)


_THIN = {f"{__name__.rpartition('.')[0]}.{name}" for name in (
    "calls", "control.iterators", "control.targets", "lists.lists", "lists.sequences", "objects.construct",
    "objects.objects", "objects.operators", "outside.captures", "outside.effects", "snapshot", "staged_code",
    "values.subscripts", "values.symbol",
)}  # fmt: skip
"""Modules of ours that do what staged code asks for: their exceptions are the user's."""


def effects(nodes: list[Node]) -> bool:
    """Do the nodes hold Checks?"""
    return any(isinstance(node, Check) for node in walk(nodes))
