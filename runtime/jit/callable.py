"""The numba side of a function object that compiled code can call: its type, and what the glue around it needs.

Imported when numba asks for the type of such an object.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import llvmlite.ir as ll
import numba
import numpy as np
from numba import typeof, types
from numba.core import imputils
from numba.extending import NativeValue, intrinsic, models, register_jitable, register_model, unbox

from ...ir.errors import BoundsError, ShapeMismatch, TypeMismatch

Specialise = Callable[[tuple[Any, ...], dict[str, Any]], Any]
"""From the types of the arguments, by position and by name, to numba's dispatcher that takes them."""


class FunctionObject(types.Callable, types.Dummy):
    """The type of one object. Objects are of different types, so that compiled code knows which one it calls."""

    def __init__(self, name: str, identity: str, specialise: Specialise | None = None):
        self.identity = identity  # never given twice, in no process: numba keeps types on disk
        self.specialise = specialise
        self.known: dict[Any, Any] = {}
        super().__init__(f"{name}({identity})")

    @property
    def key(self) -> Any:
        return self.identity

    def __reduce__(self) -> Any:
        return FunctionObject, (self.name.partition("(")[0], self.identity)

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        """numba compiles a call: with these types of arguments."""
        assert self.specialise is not None
        given = tuple(map(plain, args))
        names = {name: plain(kind) for name, kind in dict(kws).items()}
        key = given, tuple(names.items())
        if key not in self.known:
            self.known[key] = self.specialise(given, names)
        dispatcher = self.known[key]
        template, signature, args, kws = dispatcher.get_call_template(given, names)
        found = template(context).apply(args, kws)
        self.known[found.args, tuple(signature.parameters)] = dispatcher
        return found.replace(pysig=signature)

    def get_call_signatures(self) -> Any:
        return [], True

    def get_impl_key(self, sig: Any) -> Any:
        return self.known[sig.args, tuple(sig.pysig.parameters)].get_overload(sig.args)


def plain(kind: Any) -> Any:
    """The type without a literal's value, except of strings and None: those decide structure."""
    if isinstance(kind, types.Omitted):
        return typeof(kind.value)
    return kind if isinstance(kind, types.StringLiteral) else types.unliteral(kind)


@unbox(FunctionObject)
def _unbox(kind: Any, obj: Any, c: Any) -> Any:
    return NativeValue(c.context.get_dummy_value())


register_model(FunctionObject)(models.OpaqueModel)

# -- what glue calls -----------------------------------------------------------------------------------


@intrinsic
def writeable(context: Any, array: Any) -> Any:
    """The same array, of a type that may be written to: generated code never writes to its parameters."""
    kind = array.copy(readonly=False)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return imputils.impl_ret_borrowed(context, builder, kind, args[0])

    return kind(array), generate


@intrinsic
def uncached(context: Any) -> Any:
    """Nothing, but numba does not keep the machine code of a function with it on disk.

    numba tells whether what it kept is still right by the user's file alone, and not by what we compiled.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = context.add_dynamic_addr(builder, id(FunctionObject), info="pullback")
        kind = ll.FunctionType(ll.VoidType(), [address.type])
        builder.asm(kind, "", "r", [address], side_effect=True)  # the compiler may not drop it
        return context.get_dummy_value()

    return types.none(), generate


@register_jitable
def extent(array: np.ndarray) -> tuple[int, int]:
    """The addresses between which the elements of an array lie."""
    low = high = array.ctypes.data
    for size, stride in zip(array.shape, array.strides):
        if size == 0:
            return low, low
        if stride > 0:
            high += (size - 1) * stride
        else:
            low += (size - 1) * stride
    return low, high + array.itemsize


@register_jitable
def apart(a: np.ndarray, b: np.ndarray) -> bool:
    """Do two arrays surely share no memory?"""
    first, second = extent(a), extent(b)
    return first[1] <= second[0] or second[1] <= first[0]


ERRORS = (
    IndexError, ValueError, TypeError, ZeroDivisionError, AssertionError, BoundsError, ShapeMismatch, TypeMismatch,
    RuntimeError,
)  # fmt: skip
"""What a call of Python may raise in compiled code, which needs to know the classes; others are RuntimeErrors."""


def code_of(error: Exception) -> tuple[int, str]:
    """The number of an error's class, and what it says."""
    for k, kind in enumerate(ERRORS):
        if type(error) is kind:
            return k + 1, str(error)
    return len(ERRORS), f"{type(error).__name__}: {error}"


def _raising() -> Any:
    names = {f"error{k}": kind for k, kind in enumerate(ERRORS)}
    lines = [f"    if code == {k + 1}:\n        raise error{k}(message)" for k in range(len(ERRORS))]
    exec("def raise_error(code, message):\n" + "\n".join(lines), names)
    return numba.njit(names["raise_error"])


raise_error = _raising()
"""Raises from compiled code. An error that left an `objmode` block itself would crash a `try` around the call."""


class PythonCall:
    """A function of this process: numba would pickle an `objmode` block, and call a copy of what is in it."""

    def __init__(self, function: Callable[..., Any]):
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("a call of Python from compiled code belongs to its process")


def compile_fallback(name: str, params: str, python: Callable[..., Any], result: Any) -> Any:
    """A compiled function that calls `python`, which gives a result, the number of an error or 0, and its message."""
    source = (
        f"def {name}({params}):\n    with objmode(value=result, code=integer, message=text):\n"
        f"        value, code, message = python({params})\n"
        "    if code:\n        raise_error(code, message)\n    return value"
    )
    scope = {"python": PythonCall(python), "result": result, "raise_error": raise_error}
    kinds = {"objmode": numba.objmode, "integer": types.int64, "text": types.unicode_type}
    return compile_glue(source, name, {**scope, **kinds}, nogil=False)


def compile_glue(source: str, name: str, scope: dict[str, Any], *, nogil: bool = True) -> Any:
    """numba's dispatcher for a function of this source."""
    known = {"np": np, "writeable": writeable, "uncached": uncached, "apart": apart, **scope}
    exec(compile(source, f"<{name}>", "exec"), known)
    return numba.njit(error_model="numpy", nogil=nogil)(known[name])
