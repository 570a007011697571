"""glibc's vector library libmvec: which functions it has here, and whether they can be relied on.

A variant of a function computes two, four or eight results at once. It is used only if, in this process and
on this processor, it gave what the scalar function gives (`reliable`): the same nan, infinities and signed
zeros, and numbers at most TOLERANCE floats apart.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import config
from numba.core.registry import cpu_target

from .. import locks

LIBRARY = "libmvec.so.1"
TOLERANCE = 4
BINARY = ("pow", "atan2", "hypot")
DTYPES = {"double": np.float64, "float": np.float32}

_lock = locks.make()


@dataclass(frozen=True)
class Isa:
    """A vector extension that the library has variants for."""

    letter: str  # as in their names: _ZGVdN4v_exp
    feature: str  # LLVM's name of it
    bits: int


ISAS = (Isa("b", "sse4.1", 128), Isa("d", "avx2", 256), Isa("e", "avx512f", 512))


# -- the library ---------------------------------------------------------------------------------------


def library() -> str | None:
    """What identifies the vector library, for keys of machine code; None where there is none.

    Afterwards its symbols are known to compiled code, also to what is loaded from disk.
    """
    with _lock:
        return None if config.DISABLE_JIT else _load(LIBRARY)  # type: ignore[attr-defined]


@functools.cache
def _load(name: str) -> str | None:
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return None
    try:
        version = os.confstr("CS_GNU_LIBC_VERSION")
        llvm.load_library_permanently(name)
    except (RuntimeError, ValueError, OSError):
        return None
    return f"{name} of {version}, {_build(name)}"


def _build(name: str) -> str:
    """Size and time of the file that was loaded: a distribution builds one version more than once."""
    try:
        with open("/proc/self/maps") as maps:
            path = next(line.split(maxsplit=5)[5].strip() for line in maps if name in line)
        status = os.stat(path)
    except (OSError, StopIteration, IndexError):
        return "unknown build"
    return f"{status.st_size} {status.st_mtime_ns}"


def variants(name: str, kind: str) -> tuple[tuple[str, int], ...]:
    """The vector variants of a function of libm that can be relied on, as symbols and lanes."""
    with _lock:
        return _variants(name, kind) if library() else ()


@functools.cache
def _variants(name: str, kind: str) -> tuple[tuple[str, int], ...]:
    # What numba compiles for: the processor's extensions, unless its settings say otherwise. LLVM chooses
    # among the widths; one that is not native would be called the wrong way.
    features = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    found = [_variant(name, kind, isa) for isa in ISAS if f"+{isa.feature}" in features]
    return reliable(name, kind, [v for v in found if llvm.address_of_symbol(v[0])])


def _variant(name: str, kind: str, isa: Isa) -> tuple[str, int]:
    lanes = isa.bits // (64 if kind == "double" else 32)
    return f"_ZGV{isa.letter}N{lanes}{'v' * arity(name)}_{symbol(name, kind)}", lanes


def symbol(name: str, kind: str) -> str:
    """libm's name of a function for this type of LLVM: expf is exp of floats."""
    return name if kind == "double" else name + "f"


def arity(name: str) -> int:
    return 2 if name in BINARY else 1


# -- the self-test -------------------------------------------------------------------------------------


def reliable(name: str, kind: str, found: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Those that give what the scalar function gives, at special values and at some others."""
    operands = samples(name, DTYPES[kind])
    calls = [(symbol(name, kind), 1), *found]
    texts = [_sweep(function, kind, lanes, arity(name)) for function, lanes in calls]
    _, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=0)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly("\n".join(texts)), machine)
    engine.finalize_object()

    def run(function: str) -> np.ndarray:
        result = np.zeros_like(operands[0])
        pointers = [row.ctypes.data for row in (*operands, result)]
        signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64)
        signature(engine.get_function_address(f"sweep_{function}"))(*pointers, result.size)
        return result

    expected = run(symbol(name, kind))
    return tuple(v for v in found if np.all(distance(run(v[0]), expected) <= TOLERANCE))


def _sweep(function: str, kind: str, lanes: int, operands: int) -> str:
    """LLVM text of a loop over arrays that calls a function, some elements at a time."""
    what = kind if lanes == 1 else f"<{lanes} x {kind}>"
    align = 8 if kind == "double" else 4
    each = range(operands)
    lines = [f"declare {what} @{function}({', '.join([what] * operands)})"]
    lines += [f"define void @sweep_{function}({''.join(f'ptr %x{k}, ' for k in each)}ptr %y, i64 %n) {{"]
    lines += ["entry:", "  br label %loop", "loop:", "  %i = phi i64 [0, %entry], [%next, %loop]"]
    for k in each:
        lines += [f"  %p{k} = getelementptr {kind}, ptr %x{k}, i64 %i"]
        lines += [f"  %v{k} = load {what}, ptr %p{k}, align {align}"]
    lines += [f"  %r = call {what} @{function}({', '.join(f'{what} %v{k}' for k in each)})"]
    lines += [f"  %q = getelementptr {kind}, ptr %y, i64 %i", f"  store {what} %r, ptr %q, align {align}"]
    lines += [f"  %next = add i64 %i, {lanes}", "  %more = icmp slt i64 %next, %n"]
    lines += ["  br i1 %more, label %loop, label %end", "end:", "  ret void", "}"]
    return "\n".join(lines)


def samples(name: str, dtype: Any) -> np.ndarray:
    """Operands to compare at, one row for each: special values, the middle, every order of magnitude."""
    info = np.finfo(dtype)
    least, tiny, huge = float(info.smallest_subnormal), float(info.tiny), float(info.max)
    edge = np.log(huge)  # where exp overflows
    special = [np.nan, np.inf, 0.0, 1.0, 0.5, 2.0, 3.0, least, tiny, huge, edge, 1.001 * edge]
    rng = np.random.default_rng(0)
    far = rng.choice([-1.0, 1.0], 64) * np.exp(rng.uniform(np.log(tiny), edge, 64))
    middle = [rng.uniform(-size, size, 64) for size in (1.0, 5.0, 30.0, edge)]
    random = np.concatenate([*middle, far])
    special += [-v for v in special]
    if arity(name) == 1:
        columns = np.array([[*special, *random]])
    else:
        pairs = np.array([(a, b) for a in special for b in special]).T
        columns = np.hstack([pairs, [random, rng.permutation(random)]])
    whole = columns.shape[1] // 16 * 16  # 16 lanes are the most there are
    return np.ascontiguousarray(columns[:, :whole].astype(dtype))


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many floats lie between two. nan is at 0 from nan; infinities and zeros only from themselves.

    >>> distance(np.array([1.0, np.nan, 0.0]), np.array([1.0 + 2e-16, np.nan, 0.0]))
    array([1., 0., 0.])
    >>> distance(np.array([0.0, 1.0, np.inf, 2.0]), np.array([-0.0, np.nan, 1e308, -2.0]))
    array([inf, inf, inf, inf])
    """
    integer = np.int64 if a.dtype == np.float64 else np.int32
    # The bits of floats of one sign are in the order of the floats.
    apart = np.abs((a.view(integer) - b.view(integer)).astype(np.float64))
    bad = (np.signbit(a) != np.signbit(b)) | (np.isinf(a) != np.isinf(b)) | np.isnan(a) | np.isnan(b)
    return np.where(np.isnan(a) & np.isnan(b), 0.0, np.where(bad, np.inf, apart))
