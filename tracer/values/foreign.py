"""Objects with a behaviour of their own that is not ndarray's: refused by name, with what to pass instead.

A masked array, a matrix, a Series or a quantity could be read as its raw data, and the result would silently be another
one: a mask dropped, `*` elementwise, labels not aligned, units lost.
"""

from __future__ import annotations

import collections.abc
import enum
import numbers
import types
from typing import Any, TypeGuard

import numpy as np

_ADVICE: dict[tuple[str, str], str] = {
    ("numpy", "matrix"): "its * is the matrix product. Pass np.asarray({})",
    ("numpy", "MaskedArray"): "its mask would be dropped. Pass {}.compressed(), or {}.filled(...) and the mask",
    ("numpy", "recarray"): "pass its columns: {}['name']",
    ("pandas", "DataFrame"): "its labels would be dropped. Pass {}.to_numpy(), or columns",
    ("pandas", ""): "its labels would be dropped. Pass {}.to_numpy()",
    ("xarray", "Dataset"): "its coordinates would be dropped. Pass {}['name'].to_numpy()",
    ("xarray", ""): "its coordinates would be dropped. Pass {}.to_numpy()",
    ("polars", ""): "pass {}.to_numpy()",
    ("scipy", ""): "sparse arrays cannot be traced. Pass {}.toarray(), or its data and indices as arrays",
    ("astropy", ""): "its unit would be dropped. Pass {}.to_value(unit)",
    ("pint", ""): "its unit would be dropped. Pass {}.to(unit).magnitude",
    ("unyt", ""): "its unit would be dropped. Pass {}.to_value(unit)",
    ("torch", ""): "pass {}.detach().numpy(), or use pullback.adapters.torch",
    ("jax", ""): "pass np.asarray({}), or use pullback.adapters.jax",
    ("jaxlib", ""): "pass np.asarray({}), or use pullback.adapters.jax",
    ("tensorflow", ""): "pass {}.numpy()",
    ("cupy", ""): "it lies on a GPU. Pass {}.get()",
    ("dask", ""): "pass {}.compute(), or use pullback.adapters.dask",
}
"""What to pass instead, by the package and the class ("": any class of it that behaves like an array)."""
_ARRAY_BEHAVIOUR = ("__array_ufunc__", "__array_function__", "__array_namespace__", "__dlpack__")
_PACKAGES = frozenset(package for package, _ in _ADVICE) - {"numpy"}
_OWN = (np.ndarray, int, float, bool, str, list, tuple, dict)
_PLAIN_SUBCLASSES = (np.memmap,)
"""Subclasses of ndarray whose operations are ndarray's."""
_HARMLESS = frozenset((
    "__module__", "__doc__", "__dict__", "__weakref__", "__array_finalize__", "__firstlineno__",
    "__static_attributes__",
))  # fmt: skip


def refusal(value: Any, name: str = "x") -> str | None:
    """Why a value cannot be taken as an array, a number or a container of them; None if it can."""
    kind = type(value)
    if kind in _OWN or isinstance(value, (type, np.generic)):
        return None
    if isinstance(value, np.ndarray):
        return None if _is_plain_subclass(kind) else _named(kind, name) or f"pass np.asarray({name})"
    if isinstance(value, enum.Enum):
        return None
    if isinstance(value, numbers.Number) and not isinstance(value, complex):
        return f"pass float({name})"
    known = any(base.__module__.partition(".")[0] in _PACKAGES for base in kind.__mro__)
    if known and any(hasattr(kind, behaviour) for behaviour in ("__array__", "toarray", *_ARRAY_BEHAVIOUR)):
        return _named(kind, name)
    if any(getattr(kind, behaviour, None) is not None for behaviour in _ARRAY_BEHAVIOUR):
        return f"it behaves like an array in ways of its own. Pass np.asarray({name})"
    if isinstance(value, memoryview) or (kind.__module__ == "array" and kind.__name__ == "array"):
        return f"pass np.asarray({name})"
    unstaged = kind.__module__ == "collections" or isinstance(value, types.MappingProxyType)
    if unstaged and _holds_numbers(value):
        return f"what is in it would be read once only. Pass {'dict' if _is_mapping(value) else 'list'}({name})"
    return None


def is_iterator(value: Any) -> bool:
    """Is it one of Python's own iterators? Those of users are staged."""
    return type(value).__module__ in ("builtins", "itertools") and hasattr(type(value), "__next__")


def described(value: Any, why: str | None) -> str:
    """What a refused value is, and what to pass instead."""
    if why is not None:
        return f"{title(value)}: {why}"
    return (
        f"an iterator ({type(value).__name__}), which a call moves on: the next call would get something else. Take "
        "the next value before the call and pass it, or pass list(...) of it"
    )


def title(value: Any) -> str:
    """The class of a value as a user knows it."""
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    module = {"numpy": "np", "pandas": "pd"}.get(module, module if module in _PACKAGES else "")
    middle = "ma." if kind.__name__ == "MaskedArray" else ""
    shown = f"{module}.{middle}{kind.__name__}".lstrip(".")
    return f"{'an' if shown[0] in 'aeio' else 'a'} {shown}"


def _is_plain_subclass(kind: type) -> bool:
    if kind in _PLAIN_SUBCLASSES:
        return True
    own = [base for base in kind.__mro__ if base not in (np.ndarray, object)]
    return all(set(vars(base)) <= _HARMLESS for base in own)


def _named(kind: type, name: str) -> str | None:
    for base in kind.__mro__:
        package = base.__module__.partition(".")[0]
        advice = _ADVICE.get((package, base.__name__)) or (_ADVICE.get((package, "")) if package != "numpy" else None)
        if advice is not None:
            return advice.format(*(name,) * advice.count("{}"))
    return None


def _is_mapping(value: Any) -> TypeGuard[collections.abc.Mapping[Any, Any]]:
    return isinstance(value, collections.abc.Mapping)


def _holds_numbers(value: Any) -> bool:
    """Are there numbers or arrays in a container that is no list, tuple or dict?"""
    if isinstance(value, (list, tuple, dict, collections.deque)) or not isinstance(value, collections.abc.Collection):
        return False
    try:
        items = list(value.values()) if _is_mapping(value) else list(value)
    except Exception:  # a container that cannot be looked at is not one of numbers
        return False
    held = (int, float, np.ndarray, np.generic, list, tuple, dict)
    return any(isinstance(v, held) and not isinstance(v, bool) for v in items)
