"""Values that tracing looked at, as data that another process can compare with its own.

`encode` gives plain data for a value, or raises `Unknown` where equal data would not mean that a trace is still
right; `matches` compares. Functions and classes are compared by their code and their source, never by name alone.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import linecache
import sys
import types
from typing import Any

import numpy as np

from ..snapshot import LIBRARIES

PURE = LIBRARIES | {"operator", "itertools", "typing", "collections", "dataclasses", "enum", "string", "abc"}
"""Modules whose functions depend on their arguments alone, as far as traced code is concerned."""
NOT_PURE = frozenset((
    "open", "input", "globals", "locals", "vars", "eval", "exec", "compile", "__import__", "id", "hash", "getattr",
    "dir", "print", "datetime64", "show_config",
))  # fmt: skip
_HARMLESS = frozenset((
    "__init__", "__post_init__", "__call__", "__repr__", "__str__", "__hash__", "__module__", "__doc__", "__dict__",
    "__weakref__", "__annotations__", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__slots__",
    "__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__",
    "__abstractmethods__", "_abc_impl", "__parameters__", "__orig_bases__", "__class_getitem__", "__replace__",
    "__getstate__", "__setstate__", "__reduce__", "__qualname__", "__init_subclass__", "__type_params__",
))  # fmt: skip
_VALUES = (bool, int, float, str, bytes, complex, range, type(None), type(Ellipsis), np.generic)

_TRANSFORMS = ("Gradient", "ValueAndGradient", "Jit")
"""Transforms that their function and arguments determine."""


class Unknown(Exception):  # noqa: N818  (control flow, never seen by a user)
    """A value that cannot be compared across processes."""


def _root(name: str | None) -> str:
    return (name or "").partition(".")[0]


def code_text(code: types.CodeType) -> str:
    """What the code does, where it stands, and its source lines: generated programs quote them."""
    constants = [code_text(c) if isinstance(c, types.CodeType) else _constant(c) for c in code.co_consts]
    last = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
    source = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 : last]
    return repr((
        code.co_filename, code.co_firstlineno, code.co_flags, code.co_code, constants, code.co_names, code.co_varnames,
        code.co_freevars, code.co_cellvars, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, source,
    ))  # fmt: skip


def _constant(value: Any) -> str:
    if isinstance(value, (frozenset, set)):  # their order is another one in each process
        return repr(sorted(map(_constant, value)))
    if isinstance(value, tuple):
        return repr([_constant(v) for v in value])
    return f"{type(value).__name__} {value!r}"


def code_digest(code: types.CodeType) -> str:
    return _code_digest(code, code.co_filename)  # equal code may stand in two files


@functools.lru_cache(maxsize=1024)
def _code_digest(code: types.CodeType, filename: str) -> str:
    linecache.checkcache(filename)
    return hashlib.sha256(code_text(code).encode("utf-8", "surrogatepass")).hexdigest()


def class_digest(kind: type) -> str:
    """Everything that the classes of the user's say, in the order in which attributes are looked up."""
    parts = []
    for each in kind.__mro__:
        parts.append(f"{each.__module__}.{each.__qualname__}")
        if _root(each.__module__) in PURE:
            continue
        if type(each) is not type:
            raise Unknown(f"{each.__qualname__} has a metaclass")
        for name, value in sorted(vars(each).items()):
            special = name.startswith("__") and name.endswith("__")
            made = isinstance(value, types.FunctionType) and value.__code__.co_filename == "<string>"
            if special and name not in _HARMLESS and not made:
                raise Unknown(f"{each.__qualname__} defines {name}")
            parts.append(f"{name} {_member(value)}")
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _member(value: Any) -> str:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        return " ".join(_member(f) for f in (value.fget, value.fset) if f is not None)
    if isinstance(value, types.FunctionType):
        return code_digest(value.__code__)
    if isinstance(value, _VALUES):
        return _constant(value)
    return type(value).__qualname__  # its value is read, and then guarded, where it is used


def is_pure(function: Any) -> bool:
    """Does what a call of this library function or class gives depend on its arguments alone?"""
    if isinstance(function, type):
        return _root(function.__module__) in PURE or _is_plain_class(function)
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, types.ModuleType):
        return isinstance(function, types.BuiltinMethodType) and isinstance(owner, _CONTENT)
    module = getattr(function, "__module__", None) or type(function).__module__
    return _root(module) in PURE and getattr(function, "__name__", "") not in NOT_PURE


_CONTENT = (list, dict, str, tuple, set, frozenset, np.ndarray, np.generic, np.ufunc, int, float)


def _is_plain_class(kind: type) -> bool:
    """A class that only takes its arguments: a named tuple, or a dataclass without code of its own."""
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return kind.__new__ is not tuple.__new__ and kind.__init__ is object.__init__
    if not dataclasses.is_dataclass(kind) or hasattr(kind, "__post_init__"):
        return False
    defaults = [f.default for f in dataclasses.fields(kind) if f.default is not dataclasses.MISSING]
    made = all(f.default_factory in (dataclasses.MISSING, list, dict, tuple) for f in dataclasses.fields(kind))
    written = getattr(kind.__init__, "__code__", None)
    own = written is None or written.co_filename != "<string>"
    return made and not own and all(isinstance(d, _VALUES) for d in defaults)


def encode(value: Any) -> Any:
    """Data that stands for a value."""
    if isinstance(value, _VALUES) and not isinstance(value, enum.Enum):
        return "value", type(value).__name__, value
    if isinstance(value, enum.Enum):
        return "enum", _named(type(value)), value.name, encode(value.value)
    if isinstance(value, tuple) and type(value) is tuple:
        return "tuple", tuple(encode(v) for v in value)
    if isinstance(value, frozenset):
        return "set", tuple(sorted((encode(v) for v in value), key=repr))
    if isinstance(value, types.CodeType):
        return "code", code_digest(value)
    if isinstance(value, types.FunctionType):
        if _root(value.__module__) in PURE:
            return _named(value)
        return "function", code_digest(value.__code__)
    if isinstance(value, types.ModuleType):
        return "module", value.__name__
    if isinstance(value, enum.EnumMeta):
        members: dict[str, Any] = dict(value.__members__)
        return (*_named(value), tuple((name, encode(member.value)) for name, member in members.items()))
    if isinstance(value, type):
        named = _named(value)
        return named if _root(value.__module__) in PURE else (*named, class_digest(value))
    if isinstance(value, np.ufunc):
        ufunc: Any = value
        if getattr(np, ufunc.__name__, None) is value:
            return "named", "numpy", ufunc.__name__
        return _named(value, "scipy.special")
    if isinstance(value, types.BuiltinFunctionType) and _root(value.__module__) in PURE:
        return _named(value)
    if isinstance(value, np.dtype):
        return "value", "dtype", value.str
    if type(value).__name__ in _TRANSFORMS and hasattr(value, "_traceable"):
        made = repr((value._argnums, value._has_aux))
        return "transform", type(value).__name__, made, encode(value.__wrapped__)
    inner: Any = getattr(value, "py_func", None)
    if inner is not None and _root(type(value).__module__) == "numba":
        return "njit", encode(inner)
    raise Unknown(f"a {type(value).__name__} is among what was looked at")


def _named(value: Any, where: str | None = None) -> tuple[str, str, str]:
    module: str = where or value.__module__
    name: str = value.__qualname__ if hasattr(value, "__qualname__") else value.__name__
    try:
        found = functools.reduce(getattr, name.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        found = None
    if found is not value:
        raise Unknown(f"{name} is not found in {module}")
    return "named", module, name


def matches(value: Any, data: Any) -> bool:
    """Does the data stand for this value?"""
    try:
        found = encode(value)
    except Unknown:
        return False
    return repr(found) == repr(data)  # by text: 1, True and 1.0 are equal, and nan is not
