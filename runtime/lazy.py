"""Modules that are imported when they are needed, because they load numba, SymPy or SciPy, which take their time.

They are named here, each with its reason, so that no import hides in a text somewhere.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

LAZY = {
    "runtime.entry.build": "numba: calls as machine code",
    "runtime.jit.machine": "numba: the compiler",
    "runtime.jit.vectormath": "numba: exp and the like for vectors",
    "runtime.jit.huge_pages": "numba: allocation of large arrays",
    "runtime.jit.copies": "numba: copies into arrays that are there",
    "runtime.jit.boxes": "numba: what pieces of long functions give back",
    "runtime.intrinsics.threads": "numba: loops on all cores",
    "native.njit": "numba: transforms inside of compiled functions; it is above the transforms that ask for it",
    "native.cfunc": "numba: transforms as C functions; it is above the transforms that ask for it",
    "inspection.sympy_bridge": "SymPy",
    "inspection.sympy_compare": "SymPy",
    "command.demo": "scikit-learn",
    "": "the package itself, for its version",
    "scipy.optimize": "SciPy",
    "scipy.integrate": "SciPy",
    "scipy.sparse": "SciPy",
    "numba.np.arrayobj": "numba: machine code from disk does not need it",
    "numba.core.typing.npydecl": "numba: machine code from disk does not need it",
}
"""The names, below pullback or of libraries, and why they wait."""
_PACKAGE = __name__.partition(".")[0]
_LIBRARIES = ("scipy.", "numba.")


def lazy(name: str) -> ModuleType:
    """The module of this name, imported now; it must be one of LAZY."""
    if name not in LAZY:
        raise ValueError(f"{name} is not among the modules that are imported when they are needed")
    return import_module(name if name.startswith(_LIBRARIES) else f"{_PACKAGE}.{name}".rstrip("."))
