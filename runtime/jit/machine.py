"""The numba side of `compile`: imported when the first function is compiled, because numba takes its time.

numba's own disk cache trusts its files, and one that was cut short can crash the process. Here each
compiled signature is one file of `cache`, checked before anything in it is looked at.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy.ma  # noqa: F401  (numba asks for it at the first array: not to be imported in the middle of a fork)
from llvmlite.binding import ffi
from numba.core import caching, compiler, compiler_lock, serialize
from numba.core.runtime import rtsys

from .. import cache, locks, timings
from ..intrinsics import lapack, special

# Other people's functions compile as well, and in a child the compiler would be in the middle of something for ever.
for _lock in (compiler_lock.global_compiler_lock, getattr(ffi.lib, "_lock", None)):
    if _lock is not None and hasattr(_lock, "_lock"):
        locks.held_in_forks(_lock._lock)


class VerifiedCache(caching._Cache):
    """numba's interface to a cache of one function, on top of our files.

    The source, the versions and the processor are in `stem`; the argument types and the processor's
    features, as numba sees them, are in the rest of the name and again in the file.
    """

    def __init__(self, folder: Path, stem: str, counts: Counter[str]):
        self._folder, self._stem, self._counts = folder, stem, counts

    @property
    def cache_path(self) -> str:
        return str(self._folder)

    def _path(self, sig: Any, codegen: Any) -> tuple[Path, str]:
        key = repr((sig, codegen.magic_tuple()))
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        return self._folder / f"{self._stem}-{digest}{cache.MACHINE}", key

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with timings.stage("load"):
            return self._load(sig, target_context)

    def _load(self, sig: Any, target_context: Any) -> Any:
        path, key = self._path(sig, target_context.codegen())
        data = cache.read(path)
        if data is None:
            return None
        try:
            kept, symbols, payload = pickle.loads(data)
            if kept != key:
                return None
            _prepare(target_context, symbols)
            result = compiler.CompileResult._rebuild(target_context, *payload)
        except Exception:
            # The checksum says these are bytes that we wrote. If they do not load (a module that has
            # gone, another build of numba with the same version), compiling anew is always right.
            return None
        self._counts["loaded"] += 1
        return result

    def save_overload(self, sig: Any, data: Any) -> None:
        self._counts["compiled"] += 1
        if data.lifted or data.library.has_dynamic_globals:
            return  # an address of this process is in the code
        path, key = self._path(sig, data.codegen)
        cache.write(path, serialize.dumps((key, _outside(data.library), data._reduce())))

    def enable(self) -> None:
        pass

    def disable(self) -> None:
        pass

    def flush(self) -> None:
        for path in self._folder.glob(f"{self._stem}-*{cache.MACHINE}"):
            path.unlink(missing_ok=True)


def _outside(library: Any) -> list[str]:
    """The symbols that the code leaves to others."""
    declared = (*library._final_module.functions, *library._final_module.global_variables)
    return sorted({s.name for s in declared if s.is_declaration and not s.name.startswith("llvm.")})


def _prepare(target_context: Any, symbols: list[str]) -> None:
    """Make numba ready to run code from disk.

    numba makes itself ready to compile, which costs most of the first call (it imports scipy.linalg, for one).
    Where all symbols that the code needs are there its run time is enough.
    """
    rtsys.initialize(target_context)
    lapack.ready(symbols)
    special.ready(symbols)
    if any(llvmlite.binding.address_of_symbol(symbol) is None for symbol in symbols):
        target_context.refresh()


class CountingCache(caching.NullCache):
    """No disk cache: only counts."""

    def __init__(self, counts: Counter[str]):
        self._counts = counts

    def save_overload(self, sig: Any, cres: Any) -> None:
        self._counts["compiled"] += 1


LLVM_OPTIONS = {"hoist-runtime-checks": ("false", "true"), "runtime-memory-check-threshold": ("32", "8")}
"""Options of LLVM while our functions compile, and what they are else."""


def _set_options(which: int) -> None:
    for name, values in LLVM_OPTIONS.items():
        llvmlite.binding.set_option("pullback", f"-{name}={values[which]}")


class _Compiling:
    """While our functions compile: LLVM's options for them, and the clock.

    LLVM guards a vectorised loop by a check that its arrays do not overlap, and moves the check out of the
    loop around it. Where that one runs backwards, as the reverse sweep over time does, the moved check fails
    and the slow loop runs: five times slower. In its place the check costs next to nothing. And LLVM gives up
    vectorising if more than 8 pairs of lines would have to be compared, where a dozen cost less than a row: pairs of
    particles, whose positions and bars are six arrays, took half as long again. LLVM's options are those of the
    process; numba's lock, which is held here, keeps other people's functions from seeing them.
    """

    depth = 0

    def __init__(self, compiler: Any, name: str):
        self._own, self._name = compiler.compile, name

    def __call__(self, args: Any, return_type: Any) -> Any:
        with timings.stage("compile", self._name), compiler_lock.global_compiler_lock:
            if _Compiling.depth == 0:
                _set_options(0)
            _Compiling.depth += 1
            try:
                return self._own(args, return_type)
            finally:
                _Compiling.depth -= 1
                if _Compiling.depth == 0:
                    _set_options(1)


def _ours(dispatcher: Any, function: Callable[..., Any], overlaps: bool = False) -> None:
    if hasattr(dispatcher, "_compiler"):  # not if NUMBA_DISABLE_JIT is set
        dispatcher._compiler.compile = _Compiling(dispatcher._compiler, function.__name__)
        if not overlaps:
            dispatcher._compiler._customize_flags = _without_aliases


def njit(
    function: Callable[..., Any], folder: Path | None, stem: str, counts: Counter[str], overlaps: bool = False
) -> Callable[..., Any]:
    """The function compiled by numba for each tuple of argument types it is called with.

    overlaps    may what it writes to be a part of another array that it is given?
    """
    dispatcher: Any = numba.njit(error_model="numpy", nogil=True, boundscheck=False)(function)
    _ours(dispatcher, function, overlaps)
    if hasattr(dispatcher, "_cache"):  # not if NUMBA_DISABLE_JIT is set
        dispatcher._cache = VerifiedCache(folder, stem, counts) if folder else CountingCache(counts)
    return dispatcher


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does one part of a loop, compiled to be called by compiled code only."""
    wrappers: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    dispatcher: Any = numba.njit(error_model="numpy", nogil=True, boundscheck=False, **wrappers)(function)
    _ours(dispatcher, function)
    return dispatcher


def _without_aliases(flags: Any) -> Any:
    """What a function writes to overlaps nothing else that it is given: arguments are only read, results are new."""
    flags.noalias = True
    return flags
