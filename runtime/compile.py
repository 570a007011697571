"""From the text of a generated function to something to call, compiled by numba or as it is.

The text becomes a real file, so that a debugger, `inspect` and tracebacks show its lines; what is run comes
from the text itself, never from the file. For numba, functions like exp are swapped for those of `vectormath`, and
allocations for those of `pages`, and subscripts become unsigned.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import linecache
import re
import sys
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..ir.types import DTYPES, OF_PYTHON
from . import cache, locks, options, timings
from .lazy import lazy
from .rewrite import pieces, subscripts
from .rewrite.outputs import outputs

counts: Counter[str] = Counter()
"""What this process did: "compiled" and "loaded" signatures, "sources" executed."""

ON_ALL_CORES = re.compile(r"\bsupport\.(on_all_cores|in_two_turns)\(")
"""What calls functions of parts of loops; a source with this defines these functions above its own."""

KEPT = 128
"""Functions that stay although nobody has them: `pb.grad(f)(x)` makes a transform for each call."""

_functions: weakref.WeakValueDictionary[tuple[Any, ...], Callable[..., Any]] = weakref.WeakValueDictionary()
_recent: OrderedDict[tuple[Any, ...], Callable[..., Any]] = OrderedDict()
_lock = locks.make()


def compile_source(
    source: str,
    name: str,
    *,
    jit: bool = True,
    cache_dir: Path | None = None,
    outside: bool = False,
) -> Callable[..., Any]:
    """The function `name` that this source defines.

    With `jit`, numba's dispatcher itself: it compiles, or loads from disk, at the first call with new
    argument types. Without, the Python function, where 1.0/0.0 is inf as it is in compiled code. With `outside`,
    NumPy allocates the results where it can (`outputs`): faster to call from Python, and no dispatcher.

    >>> f = compile_source("def f(x):\\n    return (2.0 * x,)\\n", "f", jit=False)
    >>> f(3.0)
    (6.0,)
    """
    settings = options.current()
    folder = cache.directory(cache_dir)
    vector = jit and settings.vector_math
    outside = outside and jit
    key = (source, name, jit, folder, settings.cache, vector, outside)
    with _lock:
        function = _functions.get(key)
        if function is None:
            with timings.stage("import"):
                function = _compile(source, name, jit, folder, settings.cache, vector, outside)
                function.written = source, name  # type: ignore[attr-defined]
            _functions[key] = function
        _recent[key] = function
        _recent.move_to_end(key)
        if len(_recent) > KEPT:
            _recent.popitem(last=False)
    return function


def entry_point(function: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """Machine code for arguments of exactly the types of `args`, entered without numba's look at their types.

    `function` is what `compile_source` gave, and was called with such arguments before. Whoever calls the result
    must have checked the types.
    """
    split = getattr(function, "outputs", None)
    if split is not None:
        kernel = function.kernel  # type: ignore[attr-defined]
        return split.wrapper(entry_point(kernel, args + split.allocated(args)))
    overloads = getattr(function, "overloads", None)
    if not overloads:
        return function
    found = overloads.get(tuple(map(function.typeof_pyval, args)))  # type: ignore[attr-defined]
    return function if found is None else found.entry_point


def by_numba(function: Callable[..., Any]) -> bool:
    """Is what `compile_source` gave machine code?"""
    return hasattr(function, "outputs") or hasattr(function, "overloads")


def entry(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """`runtime.entry.build.entry`, which is imported only where numba is; None if there can be no entry."""
    if not by_numba(function):
        return None
    with locks.making():
        return lazy("runtime.entry.build").entry(function, *args, **options)


def _compile(
    source: str, name: str, jit: bool, folder: Path, kept: bool, vector: bool, outside: bool, *, overlaps: bool = False
) -> Callable[..., Any]:
    cut = pieces.cut(source, name) if outside and not ON_ALL_CORES.search(source) else None
    if cut is not None:
        return _in_pieces(cut, name, folder, kept, vector)
    vectormath = lazy("runtime.jit.vectormath") if vector else None
    library = vectormath.library(source) if vectormath else None
    pages = lazy("runtime.jit.huge_pages") if jit else None
    split = outputs(source, name) if outside else None
    swaps: list[Any] = [split] if split else []
    if split and split.copies:
        swaps.append(lazy("runtime.jit.copies"))
    swaps += [vectormath] if library else []
    swaps += [pages] if pages and pages.useful(source) else []
    swaps += [subscripts] if jit and subscripts.useful(source) else []
    names = [module.NAME for module in swaps]
    names += ["overlaps"] if overlaps else []
    digest = hashlib.sha256(f"{cache.fingerprint()}\n{library} {names}\n{source}".encode()).hexdigest()[:32]
    stem = f"{name}_{digest}"
    module = _module(source, stem, folder, kept, swaps)
    function = getattr(module, name)
    if not jit:
        return _owned(_plain(function), module)
    machine = lazy("runtime.jit.machine")
    if ON_ALL_CORES.search(source):
        lazy("runtime.intrinsics.threads").ready()
    if pieces.BOXED in source:
        module.boxed = lazy("runtime.jit.boxes").boxed  # type: ignore[attr-defined]
    for other in re.findall(r"^def (\w+)", source, re.MULTILINE):
        if other != name:
            setattr(module, other, machine.part(getattr(module, other)))
    compiled = machine.njit(function, folder if kept else None, stem, counts, overlaps)
    if compiled is function:  # numba is switched off
        return _compile(source, name, False, folder, kept, vector, False)
    return _owned(split.wrapper(compiled) if split else compiled, module)


def _in_pieces(cut: pieces.Cut, name: str, folder: Path, kept: bool, vector: bool) -> Callable[..., Any]:
    """A function that runs as Python, and calls its loops, which are compiled."""
    digest = hashlib.sha256(f"{cache.fingerprint()}\n{cut.main}".encode()).hexdigest()[:32]
    module = _module(cut.main, f"{name}_{digest}", folder, kept, [])
    module.unboxed = pieces.unboxed  # type: ignore[attr-defined]
    for piece, text in cut.pieces.items():
        overlaps = piece not in cut.apart
        setattr(module, piece, _compile(text, piece, True, folder, kept, vector, False, overlaps=overlaps))
    lines = cut.main.count("\n")
    timings.note(f"{name}: {lines} lines, one after the other, run as Python; {len(cut.pieces)} loops are compiled")
    return _owned(_plain(getattr(module, name)), module)


def _module(source: str, stem: str, folder: Path, kept: bool, swaps: list[Any]) -> ModuleType:
    path = folder / (stem + cache.SOURCE)
    if not (kept and _on_disk(path, source)):
        # Nowhere to write: the lines for tracebacks and debuggers come from memory.
        path = Path(f"<{stem}>")
        linecache.cache[str(path)] = (len(source), None, source.splitlines(keepends=True), str(path))
    module = ModuleType(f"pullback_generated_{stem}")
    module.__file__ = str(path)
    tree = ast.parse(source)
    for swap in swaps:
        module.__dict__[swap.NAME] = swap
        tree = swap.swapped(tree)
    exec(compile(tree, str(path), "exec"), module.__dict__)
    for name in re.findall(r"\bsupport\.(\w+)", source):
        getattr(module.support, name)  # one that is made when it is asked for: numba looks into the dict alone
    sys.modules[module.__name__] = module  # inspect and numba look functions' modules up by name
    counts["sources"] += 1
    return module


def _owned(function: Callable[..., Any], module: ModuleType) -> Callable[..., Any]:
    """The function; when nobody has it any more, its module and its lines go with it."""
    weakref.finalize(function, _forget, module.__name__, weakref.ref(module), module.__file__ or "").atexit = False
    return function


def _forget(name: str, module: weakref.ref[ModuleType], path: str) -> None:
    if sys.modules.get(name) is module():  # no other one has taken its place
        sys.modules.pop(name, None)
        linecache.cache.pop(path, None)


def _on_disk(path: Path, source: str) -> bool:
    """Is the file there with this text, after writing it if not?"""
    content = source.encode()
    try:
        if path.read_bytes() == content:
            return True
    except (OSError, ValueError):
        pass
    linecache.cache.pop(str(path), None)
    return cache.replace_file(path, content)


_SCALARS = {python: DTYPES[name].numpy.type for python, name in OF_PYTHON.items()}


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run as Python, with the arithmetic of compiled code: 1.0/0.0 is inf, int64 wraps, nothing warns.

    Scalars go in as NumPy's and come out as Python's, as they do from numba.
    """

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        with np.errstate(all="ignore"):
            results = function(*(_SCALARS[type(a)](a) if type(a) in _SCALARS else a for a in args))
        return tuple(r.item() if isinstance(r, np.generic) else r for r in results)

    return call
