"""SciPy's special functions in compiled code: the compiled functions that `scipy.special.cython_special` hands out.

A call costs what SciPy's own loop pays for one number, and nothing is compiled for it. Code names them by symbols, so
that it can be kept on disk; who loads such code enters the symbols first (`ready`).
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import re
from collections.abc import Callable, Sequence

import llvmlite.binding
import llvmlite.ir as ll
from numba import types
from numba.core import cgutils
from numba.extending import lower_builtin, type_callable

PREFIX = "pullback_special_"
"""Of the names that machine code has for them: the name in scipy.special and the number of arguments follow."""


def address(name, arity):
    """Where SciPy's function of so many doubles lies; None if there is none."""
    table = importlib.import_module("scipy.special.cython_special").__pyx_capi__
    pointer, text = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetName
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    text.restype, text.argtypes = ctypes.c_char_p, [ctypes.py_object]
    for key, capsule in table.items():
        kind = text(capsule)
        wanted = "double (" + "double, " * arity + "int __pyx_skip_dispatch)"
        if re.fullmatch(rf"(__pyx_fuse_[\d_]+)?{name}", key) and kind.decode() == wanted:
            return pointer(capsule, kind)
    return None


def ready(symbols: Sequence[str]) -> None:
    """Bind those of the names that are functions of scipy.special."""
    for symbol in symbols:
        if symbol.startswith(PREFIX) and llvmlite.binding.address_of_symbol(symbol) is None:
            arity, _, name = symbol.removeprefix(PREFIX).partition("_")
            llvmlite.binding.add_symbol(symbol, address(name, int(arity)))


@functools.cache
def function(name: str) -> Callable[..., float]:
    """scipy.special's function of numbers, which compiled code may call."""
    ufunc = getattr(importlib.import_module("scipy.special"), name)
    arity = ufunc.nin

    def call(*args):
        return ufunc(*args)

    call.__name__ = name

    def of_floats(*args):
        return args[0] if len(set(args)) == 1 and isinstance(args[0], types.Float) else None

    typers = [lambda a: of_floats(a), lambda a, b: of_floats(a, b), lambda a, b, c: of_floats(a, b, c),
              lambda a, b, c, d: of_floats(a, b, c, d)]  # fmt: skip
    type_callable(call)(lambda context: typers[arity - 1])

    @lower_builtin(call, *[types.Float] * arity)
    def generate(context, builder, sig, args):
        double, whole = ll.DoubleType(), ll.IntType(32)
        kind = ll.FunctionType(double, [double] * arity + [whole])
        symbol = f"{PREFIX}{arity}_{name}"
        ready([symbol])
        outside = cgutils.get_or_insert_function(builder.module, kind, symbol)
        narrow = args[0].type != double
        wide = [builder.fpext(a, double) for a in args] if narrow else list(args)
        result = builder.call(outside, [*wide, ll.Constant(whole, 0)])
        return builder.fptrunc(result, args[0].type) if narrow else result

    return call
