"""Objects of the user's classes: their properties and special methods are the user's code, staged like functions.

Reading and storing attributes is here; operators are in tracer/objects/operators.py, constructors in
tracer/objects/construct.py.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from ...ir.errors import UnsupportedSyntax
from ...ir.types import DTYPES
from ..outside.paths import Path
from ..raising import PathEnds
from ..snapshot import LIBRARIES, is_record
from ..values.optional import MaybeNone
from ..values.symbol import FUNCTIONS, Array, Scalar, require_session, type_name

PLAIN: frozenset[type] = frozenset((
    bool, int, float, complex, str, bytes, type(None), list, tuple, dict, set, frozenset, range, slice, type(Ellipsis),
    np.ndarray, *(row.numpy.type for row in DTYPES.values()), Array, Scalar, MaybeNone, np.ufunc, types.FunctionType,
    types.BuiltinFunctionType, types.MethodType, types.ModuleType, type,
))  # fmt: skip
"""Types that are surely not the user's: asked first, because staged code asks of every value."""
_MISSING = object()


def root(module: str | None) -> str:
    return (module or "").partition(".")[0]


def of_user(module: str | None) -> bool:
    """Is a module neither a library whose functions have rules, nor the standard library?"""
    first = root(module)
    return first not in LIBRARIES and first not in sys.stdlib_module_names


def is_generated(function: Any) -> bool:
    """A method without source, as `dataclass` and `namedtuple` write them."""
    return isinstance(function, types.FunctionType) and function.__code__.co_filename.startswith("<string")


def lookup(kind: type, name: str) -> tuple[type | None, Any]:
    """The class among the bases that has the attribute, and the attribute as it stands there."""
    for each in kind.__mro__:
        if name in each.__dict__:
            return each, each.__dict__[name]
    return None, _MISSING


def special(value: Any, name: str) -> Any:
    """The special method that the value's class has from the user, None if it has none or Python's own."""
    kind = type(value)
    if kind in PLAIN:
        return None
    owner, member = lookup(kind, name)
    if owner is None or member is None or not of_user(owner.__module__):
        return None
    if isinstance(member, types.FunctionType) and not of_user(member.__module__) and not is_generated(member):
        return None
    if isinstance(member, (types.BuiltinFunctionType, types.WrapperDescriptorType)):
        return None
    return member


def invoke(member: Any, name: str, value: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a special method that `special` found."""
    require_session().hidden.attribute(type(value), name)  # guards it
    if is_generated(member):
        implementation = FUNCTIONS["generated"](member)
        return (implementation or member)(value, *args, **kwargs)
    if isinstance(member, types.FunctionType):
        return FUNCTIONS["call"](member, (value, *args), kwargs)
    return FUNCTIONS["call"](member.__get__(value, type(value)), args, kwargs)


# -- attributes ----------------------------------------------------------------------------------------------------


def attribute(holder: Any, name: str) -> Any:
    """`holder.name`, with properties, descriptors and `__getattr__` of the user's staged."""
    kind = type(holder)
    hidden = require_session().hidden
    if kind is Scalar or kind is Array:
        if name == "__class__":
            return FUNCTIONS[type](holder)
        if kind is Scalar and not has(holder, name):
            raise AttributeError(f"{type_name(holder)!r} object has no attribute {name!r}")
    if kind in PLAIN or hidden.effects.is_written(holder, name):
        return hidden.attribute(holder, name)
    if kind is super:
        return _of_super(holder, name)
    asked = special(holder, "__getattribute__")
    if asked is not None:
        return invoke(asked, "__getattribute__", holder, name)
    owner, member = lookup(kind, name)
    if owner is not None and of_user(owner.__module__):
        found = _described(holder, name, owner, member)
        if found is not _MISSING:
            return found
    elif owner is None and name not in getattr(holder, "__dict__", ()):
        asked = special(holder, "__getattr__")
        if asked is not None:
            return invoke(asked, "__getattr__", holder, name)
    return hidden.attribute(holder, name)


def _described(holder: Any, name: str, owner: type, member: Any) -> Any:
    """What a property or another descriptor of the user's gives; missing if the attribute is an ordinary one."""
    session = require_session()
    hidden = session.hidden
    if isinstance(member, property):
        if member.fget is None or not callable(member.fget):
            return _MISSING
        hidden.attribute(owner, name)
        return FUNCTIONS["call"](member.fget, (holder,), {})
    if isinstance(member, functools.cached_property):
        content = holder.__dict__
        if name not in content:
            hidden.attribute(owner, name)
            if id(holder) in hidden.paths and not hidden.is_changed(holder):
                getattr(holder, name)  # Python keeps it in the object, once and for all
                hidden.renew(holder)
                return _MISSING
            content[name] = FUNCTIONS["call"](member.func, (holder,), {})
        return _MISSING
    get = special(member, "__get__")
    if get is None or isinstance(member, types.FunctionType):
        return _MISSING
    if special(member, "__set__") is None and name in getattr(holder, "__dict__", ()):
        return _MISSING
    place = Path("object", owner).attr("__dict__").item(name)
    hidden.found(name, owner.__name__, member, place)
    return invoke(get, "__get__", member, holder, type(holder))


def _of_super(holder: Any, name: str) -> Any:
    """`super().name`: the attribute of the next class, for the same object."""
    value = holder.__self__
    kind = holder.__self_class__
    if kind is None or holder.__thisclass__ is None:
        return getattr(holder, name)
    after = kind.__mro__[kind.__mro__.index(holder.__thisclass__) + 1 :]
    for each in after:
        if name not in each.__dict__:
            continue
        if not of_user(each.__module__):
            break
        member = each.__dict__[name]
        if isinstance(member, property) and member.fget is not None:
            require_session().hidden.attribute(each, name)
            return FUNCTIONS["call"](member.fget, (value,), {})
        if isinstance(member, types.FunctionType):
            require_session().hidden.attribute(each, name)
        elif not isinstance(member, (classmethod, staticmethod)) and not hasattr(type(member), "__get__"):
            return require_session().hidden.attribute(each, name)
        break
    return getattr(holder, name)


def raised(run: Callable[[], Any]) -> Any:
    """Run staged code whose exceptions are answers: they are raised as Python's own."""
    try:
        return run()
    except PathEnds as end:
        raise end.final() from None


def has(holder: Any, name: str) -> bool:
    """hasattr: of what a symbol stands for; of the user's objects as a read that may fail."""
    if isinstance(holder, (Array, Scalar)):
        return lookup(FUNCTIONS[type](holder), name)[0] is not None
    if type(holder) in PLAIN or not is_record(holder):
        return hasattr(holder, name)
    try:
        raised(lambda: attribute(holder, name))
    except AttributeError:
        return False
    return True


def _store_of_array(holder: Any, name: str, value: Any) -> None:
    """`x.shape = s`: the same array under another shape. Inside of a branch or loop other names might not see it."""
    session = require_session()
    if not has(holder, name) or isinstance(holder, Scalar):
        raise AttributeError(f"attribute {name!r} of {type_name(holder)!r} objects is not writable")
    if name == "shape" and len(session.builder.open_regions) == 1:
        view = FUNCTIONS[np.reshape](holder, value)
        if view.cell is holder.cell:
            holder.maps = view.maps
            return
    instead = "y = x.reshape(...)" if name == "shape" else "x[...] = value, or x.astype(...)"
    raise session.error(
        UnsupportedSyntax, f"setting .{name} of an array cannot be traced here. Write {instead} instead"
    )


def store(holder: Any, name: str, value: Any) -> None:
    """`holder.name = value`, with setters of the user's staged."""
    if isinstance(holder, (Array, Scalar)):
        _store_of_array(holder, name, value)
        return
    setter = special(holder, "__setattr__")
    if setter is not None:
        invoke(setter, "__setattr__", holder, name, value)
        return
    owner, member = lookup(type(holder), name)
    if owner is not None and of_user(owner.__module__):
        if isinstance(member, property) and member.fset is not None:
            require_session().hidden.attribute(owner, name)
            FUNCTIONS["call"](member.fset, (holder, value), {})
            return
        put = None if isinstance(member, types.FunctionType) else special(member, "__set__")
        if put is not None:
            place = Path("object", owner).attr("__dict__").item(name)
            require_session().hidden.found(name, owner.__name__, member, place)
            invoke(put, "__set__", member, holder, value)
            return
        if hasattr(type(member), "__set__") and not isinstance(member, types.MemberDescriptorType):
            setattr(holder, name, value)  # a property without a setter: Python says so
            return
    require_session().hidden.bind(holder, name, value)


class Place:
    """Stands for an object or a container on the left of an assignment: what lives on after the call is stored by its
    caller, and objects of the user's store by their own methods."""

    __slots__ = ("_holder",)

    def __init__(self, holder: Any):
        object.__setattr__(self, "_holder", holder)

    def __setattr__(self, name: str, value: Any) -> None:
        store(object.__getattribute__(self, "_holder"), name, value)

    def __delattr__(self, name: str) -> None:
        holder = object.__getattribute__(self, "_holder")
        remove = special(holder, "__delattr__")
        if remove is None:
            require_session().hidden.delete(holder, name)
        else:
            invoke(remove, "__delattr__", holder, name)

    def __setitem__(self, key: Any, value: Any) -> None:
        holder = object.__getattribute__(self, "_holder")
        setter = special(holder, "__setitem__")
        if isinstance(holder, (Array, Scalar)):
            holder[key] = value
        elif setter is None:
            require_session().hidden.store_item(holder, key, value)
        else:
            invoke(setter, "__setitem__", holder, key, value)

    def __delitem__(self, key: Any) -> None:
        holder = object.__getattribute__(self, "_holder")
        remove = special(holder, "__delitem__")
        if remove is None:
            require_session().hidden.delete_item(holder, key)
        else:
            invoke(remove, "__delitem__", holder, key)


def place(holder: Any) -> Any:
    """What stands on the left of `.name =` and `[key] =`."""
    return holder if type(holder) is np.ndarray else Place(holder)
