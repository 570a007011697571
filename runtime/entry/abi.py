"""Where CPython and NumPy keep what an entry reads of their objects, and the functions of theirs that it calls.

An entry is machine code that looks at objects without asking Python. Nothing of their layout is taken on trust: `facts`
reads real objects by the offsets, compares with what Python says of them, and where anything differs there are no
entries: calls go through Python then.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import platform
import struct
import sys
import sysconfig
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...ir.types import DTYPES

SIZE, TYPE, NUMBER = 16, 8, 16
"""Offsets in objects: the length of a tuple, the type, the value of a float and of NumPy's scalars."""

DATA, NDIM, DIMS, STRIDES, DESCR, FLAGS = 16, 24, 32, 40, 56, 64
"""Offsets in an array."""

CARRAY = 0x0501
"""Flags of an array that is C-contiguous, aligned and writeable."""

_PYTHON = (
    "Py_IncRef", "Py_DecRef", "PyErr_Clear", "PyErr_Occurred", "PyErr_ExceptionMatches", "PyFloat_FromDouble",
    "PyLong_FromLongLong", "PyLong_AsLongLong", "PyBool_FromLong", "PyTuple_New", "PyTuple_SetItem",
    "PyEval_SaveThread", "PyEval_RestoreThread", "PyDict_Size", "PyDict_GetItem", "PyDict_Next", "PyContextVar_Get",
    "PyObject_CallObject", "PyObject_GetAttr", "PyObject_GetItem", "PyObject_Size", "PyObject_RichCompareBool",
    "PyCell_Get", "PyFunction_GetCode", "PyList_Size", "PyList_GetItem", "PyList_New", "PyList_SetItem", "PyDict_New",
    "PyDict_SetItem",
)  # fmt: skip

_NUMPY = {"PyArray_Scalar": 60, "PyArray_NewFromDescr": 94, "PyArray_Zeros": 183}
"""Places in NumPy's table of functions: the same in all its versions."""


@dataclass(frozen=True)
class Facts:
    """What holds in this process.

    functions   addresses of the functions that entries call
    items       offset of a tuple's items
    """

    functions: dict[str, int]
    items: int


@functools.cache
def facts() -> Facts | None:
    """None if entries cannot be made for this Python, NumPy or platform."""
    try:
        return _facts()
    except Exception:  # whatever is unlike what we know
        return None


def _facts() -> Facts | None:
    debug = hasattr(sys, "gettotalrefcount") or sysconfig.get_config_var("Py_GIL_DISABLED")
    if platform.python_implementation() != "CPython" or debug or struct.calcsize("P") != 8:
        return None
    functions = {n: _address(getattr(ctypes.pythonapi, n)) for n in _PYTHON}
    core = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    table = _table(importlib.import_module(f"{core}._multiarray_umath")._ARRAY_API)
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[0])()
    if version >> 24 not in (1, 2):
        return None
    functions |= {n: table[k] for n, k in _NUMPY.items()}
    found = Facts(functions, tuple.__basicsize__)
    right = _objects_are_as_known(found) and _numbers_are_as_known() and _arrays_are_as_known()
    return found if right and _functions_do_as_known(functions) else None


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _table(capsule: Any) -> Any:
    """NumPy's table of functions."""
    kind = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    get = kind(_address(ctypes.pythonapi.PyCapsule_GetPointer))
    return ctypes.cast(get(capsule, None), ctypes.POINTER(ctypes.c_size_t))


def _word(obj: Any, offset: int) -> int:
    return ctypes.c_int64.from_address(id(obj) + offset).value


def _objects_are_as_known(found: Facts) -> bool:
    pair = (object(), object())
    items = [_word(pair, found.items + 8 * k) for k in range(2)]
    return (
        object.__basicsize__ == SIZE
        and all(_word(o, TYPE) == id(type(o)) for o in (pair, 1.5, 7, np.float64(1.5), DTYPES))
        and _word(pair, SIZE) == 2
        and items == [id(o) for o in pair]
    )


def _numbers_are_as_known() -> bool:
    kinds: dict[type, Any] = {
        float: ctypes.c_double, np.float64: ctypes.c_double, np.float32: ctypes.c_float, np.int64: ctypes.c_int64,
        np.bool_: ctypes.c_int8,
    }  # fmt: skip
    for kind, c_type in kinds.items():
        for number in (0, 1) if kind is np.bool_ else (-3, 5):
            value = kind(number)
            if kind.__basicsize__ < NUMBER + ctypes.sizeof(c_type):
                return False
            if c_type.from_address(id(value) + NUMBER).value != number:
                return False
    return True


def _arrays_are_as_known() -> bool:
    if np.ndarray.__basicsize__ < FLAGS + 4:
        return False
    base = np.zeros((4, 6, 2))
    frozen = np.zeros(3)
    frozen.flags.writeable = False
    crooked = np.zeros(17, np.int8)[1:].view(np.float64)
    samples: list[Any] = [base, base[1:, ::2], base.T, frozen, crooked, np.zeros(()), np.zeros((0, 3), np.float32)]
    for array in [*samples, np.zeros(3, np.bool_), np.arange(3)]:
        if _word(array, DATA) != array.ctypes.data or _word(array, DESCR) != id(array.dtype):
            return False
        if ctypes.c_int32.from_address(id(array) + NDIM).value != array.ndim:
            return False
        flags = ctypes.c_int32.from_address(id(array) + FLAGS).value
        numbers = ctypes.c_int64 * array.ndim
        for at, expected in ((DIMS, array.shape), (STRIDES, array.strides)):
            if array.ndim and tuple(numbers.from_address(_word(array, at))) != expected:
                return False
        if (flags & CARRAY == CARRAY) != array.flags.carray:
            return False
    return True


def _functions_do_as_known(functions: dict[str, int]) -> bool:
    """Do NumPy's functions make what they are for, and keep count of references?"""
    obj, pointer, number = ctypes.py_object, ctypes.c_void_p, ctypes.c_int
    new = ctypes.PYFUNCTYPE(obj, pointer, obj, number, pointer, pointer, pointer, number, pointer)(
        functions["PyArray_NewFromDescr"]
    )
    zeros = ctypes.PYFUNCTYPE(obj, number, pointer, obj, number)(functions["PyArray_Zeros"])
    scalar = ctypes.PYFUNCTYPE(obj, pointer, obj, pointer)(functions["PyArray_Scalar"])
    dims = (ctypes.c_int64 * 2)(3, 2)
    at = ctypes.addressof(dims)
    dtype: Any
    for dtype in (row.numpy for row in DTYPES.values()):
        before = sys.getrefcount(dtype)
        for _ in range(2):  # they keep the reference to the dtype that they are given
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(dtype))
        made = new(id(np.ndarray), dtype, 2, at, None, None, 0, None)
        nulls = zeros(2, at, dtype, 0)
        value = scalar(at, dtype, None)
        kinds = type(made) is np.ndarray is type(nulls) and type(value) is dtype.type
        shapes = made.shape == nulls.shape == (3, 2) and made.dtype is nulls.dtype is dtype
        if not (kinds and shapes and made.flags.carray and made.flags.owndata and not nulls.any()):
            return False
        del made, nulls
        if sys.getrefcount(dtype) != before:
            return False
    del value
    var: ContextVar[Any] = ContextVar("pullback_self_test", default=None)
    got = pointer()
    get = ctypes.PYFUNCTYPE(number, obj, pointer, pointer)(functions["PyContextVar_Get"])
    if get(var, None, ctypes.addressof(got)) != 0 or got.value != id(None):
        return False
    ctypes.pythonapi.Py_DecRef(ctypes.py_object(None))
    return True
