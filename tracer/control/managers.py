"""`with` of staged code. What a user's manager does is staged like any code: of a class its `__enter__` and `__exit__`,
of a function under `contextlib.contextmanager` what stands before and behind its `yield`."""

from __future__ import annotations

import ast
import contextlib
import types
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ...ir.errors import PullbackError, UnsupportedSyntax
from ..calls import ALWAYS, CALLED, own
from ..lists.sequences import Stream
from ..objects.objects import invoke, lookup, of_user, special
from ..snapshot import Frame
from ..staging.jumps import own_nodes
from ..staging.source import function_node
from ..values.symbol import FUNCTIONS, implements, require_session
from .attempts import Attempts, attempt, refuse_what_may_raise

Body = Callable[[Any], None]


class Managed:
    """The call of a function under `contextlib.contextmanager`, whose code runs around the body of one `with`."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.function, self.args, self.kwargs = function, args, kwargs
        self.used = False
        self.regions = require_session().builder.open_regions

    def again(self) -> Managed:
        """As a decorator it is made anew for each call."""
        return Managed(self.function, self.args, self.kwargs)

    def enter(self) -> Any:
        """What the generator function gives."""
        regions = require_session().builder.open_regions
        if self.used or len(regions) != len(self.regions) or any(a is not b for a, b in zip(regions, self.regions)):
            raise _refused("a manager that is made in one place and entered in another", "`with` and the call")
        self.used = True
        return FUNCTIONS["call"](self.function, self.args, self.kwargs)

    def __getattr__(self, name: str) -> Any:
        if name not in ("__enter__", "__exit__", "gen", "func", "kwds"):
            raise AttributeError(f"{_GENERATED.__name__!r} object has no attribute {name!r}")
        raise _refused(f"{name} of a manager that is not used in a `with`", "`with ...:` around the statements")


class Maker:
    """A generator function of traced code under `contextlib.contextmanager`."""

    def __init__(self, function: Any):
        self.function = function


class Managers(Attempts):
    """The part of `Control` for with."""

    def with_(self, manager: Any, body: Body, line: int) -> None:
        self.at(line)
        session = require_session()
        session.attempts.append(None)  # an exception is the manager's to see first
        try:
            self._with(manager, body, line)
        finally:
            session.attempts.pop()

    def _with(self, manager: Any, body: Body, line: int) -> None:
        entered = _of_user(manager)
        if type(manager) is Managed:
            return self._around(manager, body)
        if entered:
            return self._entered(manager, body, line)
        if entered is None:
            raise _entering(manager)
        if isinstance(manager, contextlib.suppress):
            classes = manager._exceptions  # type: ignore[attr-defined]
            nothing = lambda *_: None
            return self.try_(lambda: body(None), ((lambda: classes, nothing),), nothing, nothing, None, (), line)
        if isinstance(manager, contextlib.nullcontext):
            return body(manager.enter_result)
        if isinstance(manager, np.errstate):
            before: dict[str, Any] = {**np.geterr()}
            with manager:
                now: dict[str, Any] = {**np.geterr()}
                raising = [k for k, how in now.items() if how not in ("ignore", "warn", "print", before[k])]
                if not raising:
                    return body(None)
            what = f"np.errstate({raising[0]}={now[raising[0]]!r}): compiled code does not raise there"
            raise _refused(what, "a test of the values with `if`, e.g. of np.isfinite,")
        if isinstance(manager, warnings.catch_warnings) and not manager._record:  # type: ignore[attr-defined]
            with manager:
                return body(None)
        raise _entering(manager)

    def _around(self, manager: Managed, body: Body) -> None:
        """The body is run where the generator yields."""
        session = require_session()
        stream = manager.enter()
        if not isinstance(stream, Stream) or not stream.own_code:
            raise _refused("a contextmanager whose function is no generator function", "one with a `yield`")
        frame = Frame(session, "a with", {"yields": 0})

        def once(value: Any) -> None:
            vars(frame)["yields"] = vars(frame)["yields"] + 1
            session.attempts.append(None)
            try:
                body(value)
            finally:
                session.attempts.pop()

        stream.run(None, once)
        if type(frame.yields) is not int or frame.yields != 1:
            raise _refused("a contextmanager that does not yield exactly once on every path", "one `yield`")

    def _entered(self, manager: Any, body: Body, line: int) -> None:
        session = require_session()
        enter, leave = (special(manager, name) for name in ("__enter__", "__exit__"))
        value = manager if enter is None else invoke(enter, "__enter__", manager)
        region = session.builder.region
        start = len(region)
        end = attempt(session, lambda: body(value))
        if _may_swallow(leave):
            guard = f"with (line {line}): its __exit__ may keep back an exception, and one"
            refuse_what_may_raise(session, region[start:], (BaseException,), guard)
        self.at(line)
        if end is None:
            invoke(leave, "__exit__", manager, None, None, None)
            return
        error = end.final()
        swallowed = self._condition(invoke(leave, "__exit__", manager, end.kind, error, error.__traceback__))
        if not isinstance(swallowed, bool):
            raise _refused("an __exit__ of which only a run can tell whether it keeps an exception back", "`try`")
        if not swallowed:
            raise end


def _entering(manager: Any) -> PullbackError:
    what = f"with a {type(manager).__name__}: entering and leaving it would happen while tracing"
    return _refused(what, "the same statements outside of the traced function")


def _refused(what: str, instead: str) -> PullbackError:
    return require_session().error(UnsupportedSyntax, f"pullback cannot trace {what}. Write {instead} instead")


def _of_user(manager: Any) -> bool | None:
    """Are `__enter__` and `__exit__` the user's? None: some of them are, and a library's behind them would run while
    tracing."""
    abstract = (contextlib.AbstractContextManager, contextlib.ContextDecorator)
    holders = [k for k in type(manager).__mro__ if {"__enter__", "__exit__"} & vars(k).keys()]
    own = [of_user(k.__module__) for k in holders if k not in abstract]
    if not any(own):
        return False
    found = special(manager, "__exit__") is not None
    found = found and (special(manager, "__enter__") or lookup(type(manager), "__enter__")[0] in abstract)
    return True if found and all(own) else None


def _may_swallow(leave: Any) -> bool:
    """May `__exit__` return something true?"""
    node = function_node(leave) if isinstance(leave, types.FunctionType) else None
    if not isinstance(node, ast.FunctionDef):
        return True
    returns = [n.value for n in own_nodes(node.body) if isinstance(n, ast.Return) and n.value is not None]
    return not all(isinstance(value, ast.Constant) and not value.value for value in returns)


# -- managers of contextlib ------------------------------------------------------------------------------------------

_GENERATED: Any = contextlib._GeneratorContextManager


@implements(_GENERATED)
def generated_manager(function: Any, args: Any, kwargs: Any) -> Managed:
    return Managed(function, args, kwargs)


def method_of_generated(method: types.MethodType) -> Any:
    """Of a manager that was made before the call: as a decorator it is made anew for each call."""
    manager = method.__self__
    if method.__func__ is not _GENERATED._recreate_cm:
        raise _refused(f"{method.__name__} of a manager that was made before the call", "`with` and a call of it")
    hidden = require_session().hidden
    return Managed(*(hidden.attribute(manager, name) for name in ("func", "args", "kwds")))


def decorated(manager: Any, function: Any) -> Any:
    """What a manager makes of a function that it decorates in traced code."""
    if type(manager) is Managed:
        return own(_under_managed)(manager, function)
    return own(_under_manager)(manager, function)


def _under_managed(manager: Any, function: Any) -> Any:
    def inner(*args: Any, **kwargs: Any) -> Any:
        with manager.again():
            return function(*args, **kwargs)

    return inner


def _under_manager(manager: Any, function: Any) -> Any:
    def inner(*args: Any, **kwargs: Any) -> Any:
        with manager._recreate_cm():
            return function(*args, **kwargs)

    return inner


@implements(contextlib.ExitStack)
def exit_stack(*_: Any) -> NoReturn:
    raise _refused("an ExitStack: what it enters would be entered while tracing", "the `with` statements out")


CALLED[Maker] = lambda maker, args, kwargs: Managed(maker.function, args, kwargs)
FUNCTIONS[contextlib.contextmanager] = Maker
FUNCTIONS["method of a manager"] = method_of_generated
FUNCTIONS["decorated"] = decorated
CALLED[Managed] = lambda manager, args, kwargs: decorated(manager, *args)
ALWAYS.update((_GENERATED, contextlib.contextmanager, contextlib.ExitStack))
