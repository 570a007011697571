"""`for` and `while` of staged code: as loops of the program, or as Python runs them where nothing traced decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.affine import Affine
from ...ir.build import literal
from ...ir.errors import PullbackError, UnsupportedSyntax
from ...ir.program import Atom, Lit, Var
from ..lists.lists import is_stacked
from ..lists.restage import restaged
from ..lists.sequences import Once, Sequence, Stream, sequence_of, taken
from ..lists.streams import SHORT, Streams, thaw
from ..objects import operators
from ..raising import PathEnds
from ..session import NeedConcrete, Session
from ..snapshot import RUN_OVER, ContainerChange, Frame, MaybeUnbound, State, Unbound, assign
from ..staging.source import span_of
from ..values.optional import MaybeNone, present
from ..values.symbol import FUNCTIONS, Scalar, require_session
from .loop_nodes import trace_for, trace_while
from .loops import LoopTracer, LoopTypeChange

UNROLL_LIMIT = 1000


def _too_long(session: Session, need: NeedConcrete | ContainerChange, count: int) -> Exception:
    what = f"{need.what} is needed" if isinstance(need, NeedConcrete) else "a list or dict grows"
    return session.error(
        UnsupportedSyntax,
        f"{what} in a loop of {count} iterations, which is too many to unroll (more than {UNROLL_LIMIT}). "
        "Use an array instead of a list there",
    )


def _is_settled(value: Any) -> bool:
    return value is not None and type(value) not in (MaybeNone, MaybeUnbound)


class Looping(Streams):
    file: str
    at: Callable[[int], None]
    not_: Callable[[Any], Any]

    def for_(
        self, iterable: Any, body: Callable[[Any], None], frame: Frame, head: tuple[str, ...], after: tuple[str, ...],
        stored: tuple[str, ...], target: str, flag: str | None, line: int,
    ) -> None:  # fmt: skip
        session = require_session()
        given = operators.iterated(present(iterable))
        iterable = taken(given)
        stops = [*([] if flag is None else [(frame, flag)]), *session.stops]
        if stops and isinstance(given, Once):
            given.unclear = True
        if isinstance(iterable, Stream):
            self._consume(
                iterable, body, frame, {*head, *after}, flag,
                lambda part, each: self.for_(part, each, frame, head, after, stored, target, flag, line),
            )  # fmt: skip
            iterable.unclear = bool(stops)
            return
        sequence = sequence_of(session, iterable)
        if sequence is not None and isinstance(sequence.length, Lit) and int(sequence.length.text) <= 0:
            return  # Python does not look at the body either
        if sequence is None:
            self._unrolled(iter(iterable), body, frame, (*head, *after), stops, line)
            return
        whole = self._over(sequence, body, frame, head, after, stored, target, flag, stops, line)
        size = session.builder.affine(iterable.size if is_stacked(iterable) else sequence.length)
        if whole and size != session.builder.affine(sequence.length):
            raise session.error(UnsupportedSyntax, "a loop over a list changes how long it is. Loop over a copy of it")

    def _over(
        self, sequence: Sequence, body: Callable[[Any], None], frame: Frame, head: Any, after: Any, stored: Any,
        target: str, flag: str | None, stops: list[tuple[Frame, str]], line: int,
    ) -> bool:  # fmt: skip
        """A loop of the program over a sequence, or one that Python runs; False if a list made another `for_` of it."""
        session = require_session()
        self.at(line)
        # Names of its own for what it runs over: the body may bind the user's names to other arrays.
        over = Frame(session, "a loop", {f"{RUN_OVER}{k or ''}": a for k, a in enumerate(sequence.arrays)})
        start = State(session)
        marks, flags = session.marks(), start.flags()
        count = int(sequence.length.text) if isinstance(sequence.length, Lit) else None
        variables = len(session.loop_variables)
        short = count is not None and count <= SHORT
        outer, session.short_loops = session.short_loops, session.short_loops + 1 if short else 0
        try:
            if stops:
                self._staged_for_with_break(sequence, body, frame, head, after, stored, stops)
            else:
                self._staged_for(sequence, body, frame, head, after, stored, target)
        except (NeedConcrete, ContainerChange) as need:
            session.short_loops = outer
            self._forget(start, marks, line)
            thaw(flags)
            if not short and restaged(session, need, sequence.length):
                try:
                    self.for_(sequence, body, frame, head, after, stored, target, flag, line)
                finally:
                    need.holder.room = None  # type: ignore[union-attr]
                return False
            # The number is needed, or a list grows: run the loop as Python does if its trip count is known.
            if count is None:
                if not isinstance(need, NeedConcrete) or need.origins - session.known_names(variables):
                    session.make_static(sequence.length)
                raise
            if count > UNROLL_LIMIT:
                raise _too_long(session, need, count) from None
            self._forget(start, marks, line)
            items = (sequence.item(literal(k, "i64")) for k in range(count))
            self._unrolled(items, body, frame, (*head, *after), stops, line)
        except LoopTypeChange as change:
            session.short_loops = outer
            self._forget(start, marks, line)
            self._peeled(change, sequence, body, frame, head, after, stored, target, flag, line)
        finally:
            session.short_loops = outer
            vars(over).clear()
        return True

    def _forget(self, start: State, marks: Any, line: int) -> None:
        """As if nothing had been traced since."""
        require_session().reset(marks)
        start.restore()
        self.at(line)

    def _consume(
        self, stream: Stream, body: Callable[[Any], None], frame: Frame, live: set[str], flag: str | None, loop: Any
    ) -> None:
        """Run a generator, and the body of a loop over it where it yields."""
        session = require_session()
        key = id(frame)
        bodies, stops = session.open_bodies, session.stops
        depth = len(session.attempts)

        def each(item: Any) -> None:
            inner = session.stops
            # In the body its own variables are live as ever, and its loops do not stop for its own break.
            known = bodies.pop(key, None)
            session.stops = stops
            session.attempts.append(None)  # a try of the generator's catches nothing of the body's
            try:
                self._unless([] if flag is None else [(frame, flag)], lambda: body(item), frame, tuple(live))
            except PathEnds as end:
                end.beyond.append((depth, len(session.attempts) - 1))
                raise
            finally:
                session.attempts.pop()
                session.stops = inner
                if known is not None:
                    bodies[key] = known

        outer = bodies.get(key)
        bodies[key] = frozenset(live)
        if flag is not None and stream.own_code:
            session.stops = [*stops, (frame, flag)]
        try:
            stream.run(loop, each)
        finally:
            session.stops = stops
            bodies.pop(key, None)
            if outer is not None:
                bodies[key] = outer

    def _stopped(self, stops: list[tuple[Frame, str]]) -> Any:
        """Is one of the flags set: a bool, or a traced one."""
        stopped: Any = False
        for frame, flag in stops:
            cond = self._condition(vars(frame)[flag])
            if cond is True or stopped is True:
                return True
            if cond is not False:
                value = Scalar(require_session(), cond)
                stopped = value if stopped is False else FUNCTIONS[np.logical_or](stopped, value)
        return stopped

    def _unless(
        self, stops: list[tuple[Frame, str]], action: Callable[[], None], frame: Frame, live: tuple[str, ...]
    ) -> bool:
        """Do it unless a flag is set; False if one is for certain."""
        stopped = self._stopped(stops)
        if stopped is True:
            return False
        if stopped is False:
            action()
        else:
            session = require_session()
            names = (*live, *(flag for _, flag in stops))
            line = session.span.line if session.span else 0
            self.if_(self.not_(stopped), action, (), lambda: None, frame, names, line)
        return True

    def _unrolled(
        self, items: Any, body: Callable[[Any], None], frame: Frame, live: tuple[str, ...],
        stops: list[tuple[Frame, str]], line: int,
    ) -> None:  # fmt: skip
        session = require_session()
        span = span_of(self.file, line)
        for trip, item in enumerate(items, 1):
            if not self._unless(stops, lambda item=item: body(item), frame, live):  # type: ignore[misc]
                break
            session.written_out[span] = max(trip, session.written_out.get(span, 0))

    def _peeled(
        self, change: LoopTypeChange, sequence: Sequence, body: Callable[[Any], None], frame: Frame, head: Any,
        after: Any,
        stored: Any, target: str, flag: str | None, line: int,
    ) -> None:  # fmt: skip
        """A value changes its rank in the first iteration (`acc = 0.0; acc += A[i]`): run that one first."""
        session = require_session()
        start, marks = State(session), session.marks()
        stops = [*([] if flag is None else [(frame, flag)]), *session.stops]
        cannot = sequence.peeled or self._stopped(stops) is not False
        if cannot or not session.ensure(session.builder.affine(sequence.length) - 1):
            again = lambda: self.for_(sequence, body, frame, head, after, stored, target, flag, line)
            if self._started_as_optional(change, start):
                again()
            elif not self._unbound_ends(change.error, again):
                raise change.error
            return
        body(sequence.item(literal(0, "i64")))
        if change.optional is not None and not _is_settled(State(session).get(change.optional[0])):
            # The first iteration does not tell: it is carried as what may be None.
            session.reset(marks)
            start.restore()
            self.at(line)
            self._started_as_optional(change, start)
            self.for_(sequence, body, frame, head, after, stored, target, flag, line)
            return
        rest = sequence.rest(session)
        self.for_(rest, body, frame, head, after, stored, target, flag, line)

    def _unbound_ends(self, error: Exception, again: Callable[[], None]) -> bool:
        """Trace a loop again that reads what is not bound on entry: if an iteration binds it, the loop carries it.

        Then reading it is checked; if none does, who reads it raises.
        """
        session = require_session()
        unbound = (id(error.frame), str(error.name)) if isinstance(error, Unbound) else None
        if unbound is None or unbound in session.unbound:
            return False
        session.unbound.add(unbound)
        try:
            again()
        finally:
            session.unbound.discard(unbound)
        return True

    def _started_as_optional(self, change: Exception | None, start: State) -> bool:
        """A name that a loop makes None or a value is what may be None from before the loop."""
        if not isinstance(change, LoopTypeChange) or change.optional is None:
            return False
        slot, make = change.optional
        assign(start.holder(slot), slot[1], make())
        return True

    def _staged_for(
        self,
        sequence: Sequence,
        body: Callable[[Any], None],
        frame: Frame,
        head: Any,
        after: Any,
        stored: Any,
        target: str,
    ) -> None:
        session = require_session()
        tracer = LoopTracer(session, frame, head, after, stored)
        start, stop, reverse, item = sequence.direct(session)
        trace_for(session, tracer, target, start, stop, reverse, lambda var: body(item(var)), sequence.length)

    def _staged_for_with_break(
        self,
        sequence: Sequence,
        body: Callable[[Any], None],
        frame: Frame,
        head: Any,
        after: Any,
        stored: Any,
        stops: list[tuple[Frame, str]],
    ) -> None:
        session = require_session()
        builder = session.builder
        counter = Frame(session, "a loop", {"k": Scalar(session, literal(0, "i64"), weak=True)})
        length = sequence.length

        def test() -> Atom:
            k = vars(counter)["k"].atom
            inside = builder.emit("lt", k, length)
            if isinstance(inside, Lit):
                return inside
            session.conditions[inside.name] = ([builder.affine(length) - builder.affine(k) - 1], [], None)
            stopped = self._stopped(stops)
            if isinstance(stopped, bool):
                return literal(False, "bool") if stopped else inside
            going = self.not_(stopped).atom
            return builder.emit("and", inside, going)

        def run() -> None:
            k = vars(counter)["k"].atom
            if isinstance(k, Var):
                builder.facts.bound(k.name, lower=Affine(0), upper=builder.affine(length) - 1)
            body(sequence.item(k))
            vars(counter)["k"] = Scalar(session, builder.emit("add", k, 1), weak=True)

        own = (flag for of, flag in stops if of is frame)
        tracer = LoopTracer(session, frame, tuple({*head, *own}), after, stored)
        cond = trace_while(session, tracer, test, run)
        assert cond is None or cond == literal(False, "bool")

    def while_(
        self,
        test: Callable[[], Any],
        body: Callable[[], None],
        frame: Frame,
        head: Any,
        after: Any,
        stored: Any,
        line: int,
    ) -> None:
        session = require_session()
        self.at(line)
        start = State(session)
        marks = session.marks()

        try:
            tracer = LoopTracer(session, frame, head, after, stored)
            for other, flag in session.stops:
                tracer.assume((id(other), flag))
            cond = trace_while(session, tracer, lambda: self._going(test, line), body)
        except (NeedConcrete, LoopTypeChange, ContainerChange) as problem:
            session.reset(marks)
            start.restore()
            if restaged(session, problem, None) or self._started_as_optional(problem, start):
                self.while_(test, body, frame, head, after, stored, line)
                return
            again = lambda: self.while_(test, body, frame, head, after, stored, line)
            self._python_while(test, body, problem, line, again if isinstance(problem, LoopTypeChange) else None)
            return
        except (PullbackError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
            session.reset(marks)
            start.restore()
            if not _never(session, self._going(test, line)):
                raise
            return  # the body cannot be traced, and does not run in this call: sizes alone decide it
        if cond == literal(True, "bool"):
            # Known while tracing: it may change as a list gets shorter, or by what else Python counts.
            session.reset(marks)
            start.restore()
            again = lambda: self.while_(test, body, frame, head, after, stored, line)
            self._python_while(test, body, None, line, again)

    def _going(self, test: Callable[[], Any], line: int) -> Atom:
        """The condition of a loop: its own, and that nobody has stopped it."""
        self.at(line)
        session = require_session()
        stopped = self._stopped(session.stops)
        cond = False if stopped is True else self._condition(test())
        if isinstance(cond, bool) and (stopped is False or not cond):
            return literal(cond, "bool")
        going = None if stopped is False else self.not_(stopped).atom
        if going is None or cond is True:
            return cond if going is None else going
        return session.builder.emit("and", going, cond)

    def _python_while(
        self,
        test: Callable[[], Any],
        body: Callable[[], None],
        problem: Exception | None,
        line: int,
        again: Callable[[], None] | None = None,
    ) -> None:
        """Run as Python does; `again` traces the loop from where its condition is a traced one.

        That is worth a try after a problem, too, if the iterations that were run may have settled it.
        """
        for ran in range(UNROLL_LIMIT):
            self.at(line)
            cond = self._condition(test())
            if problem is not None and not isinstance(cond, bool):
                known = require_session().decide(cond)  # sizes alone may decide it
                cond = cond if known is None else known
            if cond is False:
                return
            if cond is not True:
                if again is not None and (problem is None or ran):
                    again()
                    return
                break
            body()
        if isinstance(problem, LoopTypeChange):
            raise problem.error
        if problem is None:
            self.at(line)
            raise require_session().error(
                UnsupportedSyntax,
                f"the condition of this loop is known while tracing, and still true after {UNROLL_LIMIT} iterations: a "
                "loop over a list or a count that Python keeps is written out. Loop over range(...), or let a traced "
                "value decide",
            )
        raise problem


def _never(session: Session, cond: Atom) -> bool:
    """Is a condition false in the present call, by sizes alone?"""
    if isinstance(cond, Lit):
        return cond.text == "False"
    op, parts = session.made_of.get(cond.name, ("", ()))
    if op == "and" and any(_never(session, part) for part in parts if part != cond):
        return True
    return session.decide(cond) is False
