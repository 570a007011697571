"""An entry: one builtin function for one form of a call, from Python's objects to machine code and back.

What Python needs for four arrays and three results (tests of types and sizes, `np.empty`, numba's own wrapper) takes
several times as long as a gradient of ten numbers. `entry` makes a function of the interpreter's own kind
(METH_FASTCALL) that does all of it in machine code; its text is `entry_text`'s. Where something is needed that it
cannot do, `entry` gives None, and the call stays in Python.

Compiling it takes three to ten milliseconds, nearly all of it LLVM's at its lowest level, which makes the call 10
nanoseconds slower than a higher one. A form that is called once, and the first gradient of a process, do not wait for
it: entries are made at the second call. Each has an engine of its own, which goes with the function.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from numba.core import callconv, compiler_lock, types
from numba.np.numpy_support import from_dtype

from ...ir.types import DTYPES
from . import abi
from .record import Form, Front, Kernel, Param
from .text import LLVM, entry_text
from .work import operations

MOST = 300
"""Words that a kernel takes: with more of them the text would take long to compile, and the calls are no short ones."""

enabled = True
"""Whether entries are made; tests compare with Python."""


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    )  # fmt: skip


FASTCALL = 0x80


@dataclass(eq=False)
class _Owner:
    """What the function's code lives in and mentions: `self` of the builtin function, freed with it."""

    engine: Any
    method: Any
    kept: Any


def entry(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    params: tuple[Param, ...],
    miss: Any,
    guards: str = "",
    form: str = "",
    scope: dict[str, Any] | None = None,
    front: Front | None = None,
) -> Any:
    """The builtin function for calls of a form; it gives `miss` for other calls. None if there can be none.

    function   from `compile_source`, and called before with arguments of the types of `args`
    others     as `Form` has them
    """
    facts = abi.facts() if enabled else None
    if facts is None:
        return None
    try:
        return _entry(function, args, params, miss, guards, form, scope or {}, front, facts)
    except Exception:  # Outside, or a numba or LLVM that is not as we know it: calls go through Python
        return None


def _entry(
    function: Callable[..., Any], args: tuple[Any, ...], params: tuple[Param, ...], miss: Any, guards: str, form: str,
    scope: dict[str, Any], front: Front | None, facts: abi.Facts,
) -> Any:  # fmt: skip
    found = _kernel(function, args)
    if found is None:
        return None
    kernel, owner = found
    split = getattr(function, "outputs", None)
    names = [f"a{k}" for k in range(len(params))]
    if split is not None:
        split = split.renamed(names)
    source, name = function.written  # type: ignore[attr-defined]
    head, arrays, results = (split.head, split.arrays, split.results) if split else ((), (), None)
    work = operations(source, name, names)
    described = Form(params, guards, head, arrays, results, form, scope, work, front)
    if len(kernel.takes) > MOST:
        return None
    text, mentioned = entry_text(described, kernel, miss, facts)
    return _builtin(text, name, (owner, miss, described, mentioned))


def _kernel(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Kernel, Any] | None:
    """The machine code for arguments of these types, and what keeps it."""
    split = getattr(function, "outputs", None)
    if split is not None:
        args += split.allocated(args)
        function = function.kernel  # type: ignore[attr-defined]
    overloads = getattr(function, "overloads", None)
    if not overloads:
        return None
    compiled = overloads.get(tuple(map(function.typeof_pyval, args)))  # type: ignore[attr-defined]
    if compiled is None:
        return None
    described = compiled.fndesc
    result = described.restype
    kinds: dict[Any, str] = {from_dtype(row.numpy): name for name, row in DTYPES.items()}
    given = [] if result is types.none else getattr(result, "types", None)  # of a tuple
    if given is None or any(kind not in kinds for kind in given):
        return None  # arrays that numba made, and owns
    for kind in described.argtypes:
        array = isinstance(kind, types.Array) and kind.layout == "C" and kind.aligned and kind.dtype in kinds
        if not array and kind not in kinds:
            return None
    convention = compiled.target_context.call_conv
    native = convention.get_function_type(result, described.argtypes)
    address = compiled.library.get_pointer_to_function(described.llvm_func_name)
    if not address or type(convention) is not callconv.CPUCallConv or str(native.return_type) != "i32":
        return None
    returns, takes = native.args[0].pointee, [_llvm(kind) for kind in native.args]
    elements = list(returns.elements) if given and hasattr(returns, "elements") else []
    numbers = tuple((kinds[k], str(e)) for k, e in zip(given, elements))
    right = all(text == LLVM[d] or (d == "bool" and text == "i1") for d, text in numbers)
    if len(elements) != len(given) or not right or takes[:2] != ["ptr", "ptr"]:
        return None
    codes = (callconv.RETCODE_OK, callconv.RETCODE_NONE) if not given else (callconv.RETCODE_OK,)
    values = tuple(int(code.constant) for code in codes)
    return Kernel(address, _llvm(returns), numbers, tuple(takes[2:]), values), compiled


def _llvm(kind: Any) -> str:
    return "ptr" if getattr(kind, "is_pointer", False) else str(kind)


_methods: list[Any] = []
"""Never freed: a builtin reads its method when it dies, and the garbage collector may clear its owner before that."""


def _builtin(text: str, name: str, kept: Any) -> Any:
    """A builtin function of LLVM's text of `entry`."""
    with compiler_lock.global_compiler_lock:  # so that no fork happens in the middle
        module = llvm.parse_assembly(text)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(opt=0)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        address = engine.get_function_address("entry")
    method = _Method(name.encode(), address, FASTCALL, None)
    _methods.append(method)
    owner = _Owner(engine, method, kept)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    return make(("PyCFunction_NewEx", ctypes.pythonapi))(ctypes.addressof(method), owner, None)
