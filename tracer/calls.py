"""Calls in staged code: functions that mean something on symbols, user functions (staged in turn), and
everything else as it is."""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.errors import PullbackError, TracedValueError, TypeMismatch, UnsupportedFunction, UnsupportedSyntax
from ..ir.types import I64
from . import drawn
from .lists.lists import is_stacked
from .lists.sequences import Stream
from .objects.construct import construct, make
from .objects.objects import attribute, invoke, is_generated, lookup, of_user, raised, special
from .objects.operators import built_in, generated
from .outside.fingerprint import is_pure
from .recursion import activation
from .snapshot import LIBRARIES
from .staging.stage import staged_source
from .values.applied import apply
from .values.optional import all_present, holds_optional
from .values.staged_list import Spread, StagedList
from .values.symbol import FUNCTIONS, Array, Scalar, has_symbol, implements, require_session
from .values.text import is_reporter, reporting

ALWAYS: set[Any] = {range, enumerate, zip, reversed, len, print}
"""Functions that are traced even if no argument is a symbol: what they return may be written to, or staged."""
CALLED: dict[type | str, Any] = {}
"""What a call of an object of these types means, `(object, args, kwargs)`; numba's by name, as it loads late."""
SPECIAL: dict[str, Any] = {}
"""scipy.special's functions by name, so that SciPy is imported only by who uses it."""
IMPURE = {
    "numpy.random": "seed before the call, or make a generator in the function: rng = np.random.default_rng(0)",
    "random": "pass the random numbers as an argument",
    "time": "pass the time as an argument",
    "io": "read the data before the call and pass it as an argument",
}

AS_THEY_ARE = frozenset((
    "abc", "collections", "contextlib", "copy", "dataclasses", "enum", "inspect", "itertools", "logging", "operator",
    "string", "threading", "typing", "warnings", "weakref",
))  # fmt: skip
"""Modules of the standard library that only hand values on: they are run, not traced."""
READERS = (np.load, np.loadtxt, np.genfromtxt, np.fromfile, np.memmap, np.fromregex)


OF_SEQUENCES = ("builtins", "itertools", "functools", "collections", "contextlib")
"""Modules whose functions take lists as lists; to others a list in arrays is one array."""


def with_arrays(value: Any) -> Any:
    if is_stacked(value):
        return value.array()
    if isinstance(value, Stream):
        return with_arrays(require_session().callers[-1].gather(value))
    if type(value) is tuple:
        return tuple(map(with_arrays, value))
    return value


def find(function: Any) -> Any:
    """What a function means on symbols, None if nothing is registered."""
    try:
        found = FUNCTIONS.get(function)
    except TypeError:
        return None
    if found is not None:
        return found
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return FUNCTIONS.get((owner, function.__name__))
    name = getattr(function, "__name__", None)
    if name in SPECIAL:
        special = sys.modules.get("scipy.special")
        if special is not None and getattr(special, name, None) is function:
            return SPECIAL[name]
    if type(function).__module__.startswith("scipy.stats") or type(owner).__module__.startswith("scipy.stats"):
        return FUNCTIONS["scipy.stats"](function)
    named = FUNCTIONS.get((getattr(function, "__module__", None), name))
    return FUNCTIONS["declared"](function) if named is None else named


@implements(print)
def print_(*values: Any, **options: Any) -> None:
    """Prints traced values as what they are, once for each line, however often the line is traced."""
    session = require_session()
    if not has_symbol(values):
        print(*values, **options)
        return
    if session.span not in session.printed:
        hint = (
            ""
            if session.printed
            else "  (traced: a name and a type; numbers are there when the program runs)"
        )
        session.printed.add(session.span)
        with reporting(session):
            print(*values, hint, **options)


def module_of(function: Any) -> str:
    module = getattr(function, "__module__", None) or ""
    owner = getattr(function, "__self__", None)
    if not module and owner is not None:
        module = owner.__name__ if isinstance(owner, types.ModuleType) else type(owner).__module__
    return module


UNKNOWN = object()
"""The answer of who does not know what a call means."""


def call(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call means. Who stands first and knows it answers; what nobody knows is run as it is."""
    result = _own(function, args, kwargs)
    if result is not UNKNOWN:
        return result
    if holds_optional(args) or holds_optional(kwargs):
        args, kwargs = _of_present(function, args, kwargs)
    traced = has_symbol(args) or has_symbol(kwargs) or any(isinstance(a, Stream) for a in args)
    for answer in (_numbers, _registered, _object):
        result = answer(function, args, kwargs, traced)
        if result is not UNKNOWN:
            return result
    result = _staged(function, args, kwargs)
    return _run(function, args, kwargs, traced) if result is UNKNOWN else result


def _own(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Transforms, classes of the user's, and what else takes arguments that may be None as they are."""
    if isinstance(function, types.MethodType) and hasattr(type(function.__func__), "__pullback_call__"):
        transform: Any = function.__func__
        return transform.__pullback_call__(function.__self__, *args, **kwargs)
    if hasattr(type(function), "__pullback_call__"):
        return function.__pullback_call__(*args, **kwargs)
    if any(type(a) is Spread for a in args):
        return FUNCTIONS["spread"](function, args)
    if isinstance(function, type) and of_user(function.__module__):
        return construct(function, args, kwargs)
    if isinstance(function, types.MethodType) and type(function.__self__) is contextlib._GeneratorContextManager:
        return FUNCTIONS["method of a manager"](function)
    return UNKNOWN


def _numbers(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], traced: bool) -> Any:
    """Built-in functions that ask objects, look-ups by a traced number, random numbers."""
    asked = built_in(function, args, kwargs)
    if asked is not None:
        return asked()
    holder = getattr(function, "__self__", None)
    if args and isinstance(args[0], Scalar) and args[0].type != I64 and isinstance(holder, (dict, set)):
        raise require_session().error(
            UnsupportedFunction,
            "a traced number cannot be looked up in a dict or set: its value is only known when the program runs",
        )
    if drawn.generator_of(function) is not None:
        return drawn.draw(require_session(), function, args, kwargs)
    return UNKNOWN


def _registered(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], traced: bool) -> Any:
    """Functions that mean something on symbols, and objects whose type says what a call means."""
    implementation = find(function)
    if implementation is not None and (traced or function in ALWAYS):
        if module_of(function).partition(".")[0] not in OF_SEQUENCES:
            args, kwargs = with_arrays(args), {name: with_arrays(value) for name, value in kwargs.items()}
        result = apply(require_session(), function, shown_name(function), implementation, args, kwargs)
        if result is not NotImplemented:
            return result
    called = CALLED.get(type(function)) or CALLED.get(f"{type(function).__module__}.{type(function).__qualname__}")
    return UNKNOWN if called is None else called(function, args, kwargs)


def _object(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], traced: bool) -> Any:
    """Objects that hold the function which is meant."""
    if isinstance(function, functools._lru_cache_wrapper) and (traced or hasattr(function, "_pullback_staged_")):
        # Traced values are no keys, and a function that is made while tracing may use them.
        if any(isinstance(a, Array) for a in (*args, *kwargs.values())):
            raise TypeError("unhashable type: 'numpy.ndarray'")
        return call(function.__wrapped__, args, kwargs)
    if lookup(type(function), "__call__")[0] is contextlib.ContextDecorator:
        return FUNCTIONS["decorated"](function, *args)
    method = special(function, "__call__")
    if method is not None:
        return invoke(method, "__call__", function, *args, **kwargs)
    if isinstance(function, functools.partial):
        given, named = require_session().hidden.partial(function)
        return call(function.func, (*given, *args), {**named, **kwargs})
    if drawn.is_maker(function):
        return drawn.made(require_session(), function, args, kwargs)
    if is_reporter(function):
        with reporting(require_session()):
            return function(*args, **kwargs)
    python = getattr(function, "py_func", None)
    return UNKNOWN if python is None else call(python, args, kwargs)


def _staged(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The user's functions and methods."""
    if isinstance(function, types.MethodType) and isinstance(function.__func__, types.FunctionType):
        if is_generated(function.__func__):
            written = generated(function.__func__)
            return (written or function.__func__)(function.__self__, *args, **kwargs)
        if _is_user_code(function.__func__):
            with activation(require_session(), function.__func__, (function.__self__, *args), kwargs):
                return staged(function.__func__)(function.__self__, *args, **kwargs)
        require_session().opaque.append(function.__name__)
        return function(*args, **kwargs)
    if isinstance(function, types.FunctionType) and _is_user_code(function):
        with activation(require_session(), function, args, kwargs):
            return staged(function)(*args, **kwargs)
    if isinstance(function, types.MethodWrapperType) and function.__name__ == "__call__":
        owner = function.__self__
        if isinstance(owner, type) and of_user(owner.__module__):  # super().__call__ of a metaclass
            return make(owner, args, kwargs)
    if getattr(function, "_pullback_staged_", False):
        with activation(require_session(), function, args, kwargs):
            return function(*args, **kwargs)
    return UNKNOWN


def _run(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], traced: bool) -> Any:
    """A function that is not staged, as it is; what it must not do is refused."""
    if (function is getattr or function is vars) and args and not kwargs:
        return _looked_up(function, *args)
    if _binds_attribute(function, args):
        return None
    refuse_impure(function)
    if find(function) is None and not is_pure(function):
        require_session().opaque.append(_called(function))
    written = library_code(function) if traced else None
    if written is not None:
        return call_library(function, written, args, kwargs)
    if traced and _is_library_function(function):
        session = require_session()
        raise session.error(
            UnsupportedFunction, f"{shown_name(function)} cannot be traced: pullback has no rule for it"
        )
    foreign = require_session().foreign
    foreign.append(f"{_shown_module(function)}{getattr(function, '__qualname__', _called(function))}()")
    if module_of(function).partition(".")[0] == "numpy":
        args, kwargs = _as_lists(args), {name: _as_lists(value) for name, value in kwargs.items()}
    try:
        return function(*args, **kwargs)
    except (TypeError, ValueError, AttributeError) as error:
        if not traced or isinstance(error, PullbackError) or not _is_compiled(function):
            raise
        raise require_session().error(
            UnsupportedFunction,
            f"{shown_name(function)} is compiled and cannot be traced: pullback has no rule for it. Call the function "
            "that it was made of, or write it with NumPy",
        ) from None
    finally:
        foreign.pop()


def _of_present(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The user's functions and containers take what may be None; functions of NumPy and Python ask for a value."""
    holder = getattr(function, "__self__", None)
    if isinstance(function, (types.FunctionType, types.MethodType)) and find(function) is None:
        return args, kwargs
    if function is print or is_reporter(function) or (holder is not None and isinstance(holder, (list, dict))):
        return args, kwargs
    return all_present(args), all_present(kwargs)


def _is_compiled(function: Any) -> bool:
    """Is it machine code of a package, which asks its arguments for their numbers?"""
    if isinstance(function, (types.FunctionType, types.MethodType, type)):
        return False
    package = module_of(function).partition(".")[0]
    return bool(package) and package not in sys.stdlib_module_names


FUNCTIONS["call"] = call


def _as_lists(value: Any) -> Any:
    """With Python's own lists: NumPy's C code counts references to others wrong (`np.nditer` of an empty one)."""
    if type(value) is tuple:
        return tuple(map(_as_lists, value))
    if isinstance(value, StagedList) and value.rows is None:
        return [_as_lists(item) for item in list.__iter__(value)]
    return value


def call_given(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call with arguments that were taken apart and rebuilt: of containers among them nothing may be changed."""
    givens = require_session().hidden.givens
    return givens.call(lambda: call(function, args, kwargs), function, args, kwargs)


def _binds_attribute(function: Any, args: tuple[Any, ...]) -> bool:
    """setattr, delattr, and what a `__setattr__` of the user's calls in the end: done as the assignment would be."""
    hidden = require_session().hidden
    if function is setattr and len(args) == 3:
        hidden.store(*args)
    elif function is delattr and len(args) == 2:
        hidden.delete(*args)
    elif function is object.__setattr__ and len(args) == 3:
        hidden.bind(*args)
    elif isinstance(function, types.MethodWrapperType) and function.__name__ == "__setattr__" and len(args) == 2:
        hidden.bind(function.__self__, *args)
    else:
        return False
    return True


def _looked_up(function: Any, holder: Any, *rest: Any) -> Any:
    """getattr and vars: the same as the attribute written out."""
    session = require_session()
    if function is vars:
        return session.hidden.attribute(holder, "__dict__")
    try:
        return raised(lambda: attribute(holder, rest[0]))
    except AttributeError:
        if isinstance(holder, Scalar):  # what a number has not, its symbol may have
            if len(rest) > 1:
                return rest[1]
            raise
        session.opaque.append(f"getattr {rest[0]}")
        return getattr(holder, *rest)


def _called(function: Any) -> str:
    return getattr(function, "__name__", type(function).__name__)


def shown_name(function: Any) -> str:
    """The function as a user writes it: np.sum, np.add.reduce, math.exp, len."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{_shown_module(owner)}{owner.__name__}.{function.__name__}"
    return f"{_shown_module(function)}{getattr(function, '__qualname__', _called(function))}"


def _shown_module(function: Any) -> str:
    if isinstance(function, np.ufunc):
        if getattr(np, function.__name__, None) is function:
            return "np."
        special = sys.modules.get("scipy.special")
        return "scipy.special." if getattr(special, function.__name__, None) is function else ""
    module = module_of(function)
    if module.startswith("numpy"):
        return module.replace("numpy", "np", 1) + "."
    return "" if module in ("builtins", "") else module + "."


def refuse_impure(function: Any) -> None:
    if function in (open, input) or any(function is reader for reader in READERS):
        raise require_session().error(
            UnsupportedFunction, f"{function.__name__}() in a traced function: {IMPURE['io']}"
        )
    module = module_of(function)
    for name, advice in IMPURE.items():
        if (
            module == name
            or module.startswith((name + ".", "_" + name))
            or (name == "numpy.random" and module.startswith("numpy.random"))
        ):
            raise require_session().error(
                UnsupportedFunction,
                f"{module}.{getattr(function, '__name__', function)} gives another result at each call, and a traced "
                f"function must depend on its arguments alone: {advice}",
            )


def _is_user_code(function: types.FunctionType) -> bool:
    if getattr(function, "_pullback_staged_", False):
        return False
    first = (function.__module__ or "").split(".")[0]
    return first not in LIBRARIES and first not in AS_THEY_ARE


def _is_library_function(function: Any) -> bool:
    if function is repr or function is format:
        return False  # they ask the symbol itself
    if isinstance(function, (types.BuiltinFunctionType, types.BuiltinMethodType)):
        owner = getattr(function, "__self__", None)
        if isinstance(owner, (list, dict, set, str, tuple)):
            return False
        return module_of(function).split(".")[0] in (*LIBRARIES, "cmath", "operator", "statistics")
    if isinstance(function, np.ufunc):
        return True
    return isinstance(function, types.FunctionType) and module_of(function).split(".")[0] in (
        "numpy",
        "scipy",
        "statistics",
    )


_DISPATCHER: type = type(np.concatenate)
"""What NumPy puts around its functions, to ask the arguments' classes for their own."""


def library_code(function: Any) -> types.FunctionType | None:
    """The Python of a function of NumPy or SciPy: where it is written with others, it can be traced."""
    python = getattr(function, "__wrapped__", None) if isinstance(function, _DISPATCHER) else function
    if not isinstance(python, types.FunctionType) or module_of(python).partition(".")[0] not in ("numpy", "scipy"):
        return None
    solves = module_of(python).startswith(("scipy.optimize", "scipy.integrate._ivp", "scipy.sparse"))
    return None if solves or staged_source(python) is None else python


def call_library(function: Any, python: types.FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A call of library code, staged as the user's is. What cannot be traced is refused by the function's name."""
    session = require_session()
    try:
        with activation(session, python, args, kwargs):
            return own(python)(*args, **kwargs)
    except (UnsupportedFunction, UnsupportedSyntax, TracedValueError, TypeMismatch, TypeError, AttributeError):
        raise session.error(
            UnsupportedFunction, f"{shown_name(function)} cannot be traced: pullback has no rule for it"
        ) from None


def staged(function: types.FunctionType) -> Any:
    """The staged form of a user function, or the function itself if its source cannot be had."""
    source = staged_source(function)
    session = require_session()
    if source is None:
        session.unstaged.append(function.__name__)
        return function
    return source.bind(function, session.hidden.control(source.file, function))


def own(function: Callable[..., Any]) -> Any:
    """The staged form of a function of pullback's own, which stands for a call in the user's line."""
    assert isinstance(function, types.FunctionType)
    source = staged_source(function)
    assert source is not None
    control = require_session().hidden.control(source.file, function)
    control.quiet = True
    return source.bind(function, control)
