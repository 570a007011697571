"""Objects that traced code makes: `__new__`, `__init__` and `__post_init__` of the user's are staged like functions."""

from __future__ import annotations

import dataclasses
import inspect
import types
from typing import Any

from ..outside.fingerprint import is_pure
from ..values.symbol import FUNCTIONS, require_session
from .objects import invoke, is_generated, lookup, of_user, special, store


def construct(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`kind(*args, **kwargs)` for a class of the user's."""
    called = special(kind, "__call__")
    if called is not None:  # the metaclass makes its objects in its own way
        return invoke(called, "__call__", kind, *args, **kwargs)
    if type(kind).__call__ is not type.__call__:
        return _by_python(kind, args, kwargs)
    return make(kind, args, kwargs)


def make(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `type.__call__` does."""
    maker, new = lookup(kind, "__new__")
    starter, init = lookup(kind, "__init__")
    own_new = isinstance(new, staticmethod) and _staged(maker, new.__func__)
    own_init = _staged(starter, init) or (is_generated(init) and dataclasses.is_dataclass(starter))
    if not own_new and not own_init:
        return _by_python(kind, args, kwargs)
    hidden = require_session().hidden
    if own_new:
        hidden.attribute(maker, "__new__")
        made = FUNCTIONS["call"](new.__func__, (kind, *args), kwargs)
        if not isinstance(made, kind):
            return made
    else:
        made = kind.__new__(kind, *args, **kwargs)
    if own_init:
        result = invoke(init, "__init__", made, *args, **kwargs)
        if result is not None:
            raise TypeError(f"__init__() should return None, not {type(result).__name__!r}")
    elif init is not object.__init__:
        init(made, *args, **kwargs)
    return made


def _by_python(kind: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not is_pure(kind):
        require_session().opaque.append(kind.__name__)
    return kind(*args, **kwargs)


def _staged(owner: type | None, function: Any) -> bool:
    return (
        owner is not None
        and of_user(owner.__module__)
        and isinstance(function, types.FunctionType)
        and not is_generated(function)
    )


class _Filled:
    """Takes what the generated `__init__` of a dataclass stores."""

    def __init__(self) -> None:
        object.__setattr__(self, "_initial_", None)

    def __post_init__(self, *args: Any) -> None:
        object.__setattr__(self, "_initial_", args)


def fill(init: types.FunctionType, value: Any, /, *args: Any, **kwargs: Any) -> None:
    """The generated `__init__` of a dataclass, with factories, setters and `__post_init__` staged."""
    hidden = require_session().hidden
    owner = next((k for k in type(value).__mro__ if k.__dict__.get("__init__") is init), None)
    fields = getattr(owner, "__dataclass_fields__", None)
    if owner is None or fields is None:
        init(value, *args, **kwargs)
        return
    hidden.staged(init)
    taken = _Filled()
    try:
        bound = inspect.signature(init).bind(taken, *args, **kwargs)
    except TypeError:
        init(taken, *args, **kwargs)  # says it in Python's own words
        raise
    given = dict(bound.arguments)
    for field in fields.values():
        made_by = field.default_factory
        if field.init and made_by is not dataclasses.MISSING and field.name not in given:
            kwargs = {**kwargs, field.name: FUNCTIONS["call"](made_by, (), {})}
    init(taken, *args, **kwargs)
    content = dict(taken.__dict__)
    initial = content.pop("_initial_")
    frozen = owner.__dataclass_params__.frozen  # type: ignore[attr-defined]
    for name, content_of in content.items():
        if frozen:
            object.__setattr__(value, name, content_of)
        else:
            store(value, name, content_of)
    if initial is None:  # the generated code calls __post_init__ only if the class has one
        return
    _, started = lookup(type(value), "__post_init__")
    if isinstance(started, types.FunctionType):
        invoke(started, "__post_init__", value, *initial)


FUNCTIONS["fill"] = fill
FUNCTIONS["construct"] = construct
FUNCTIONS["make"] = make
