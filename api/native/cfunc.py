"""Transforms as C functions, for scipy.LowLevelCallable and for C itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import carray, types
from numba import cfunc as numba_cfunc
from numba.core import sigutils

from ..calls.typetext import abstracts
from ..ir.errors import TypeMismatch
from ..ir.types import DTYPES
from ..transforms.base import Transform
from ..transforms.layout import Result
from ..transforms.vjp import Seeded
from .njit import NUMBA, Glue


class CFunction:
    """A function with a C interface. It must be kept as long as its address is in use."""

    def __init__(self, compiled: Any, declaration: str, kept: Any):
        self.address: int = compiled.address
        self.ctypes: Any = compiled.ctypes
        self.declaration = declaration
        self._kept = compiled, kept

    def __repr__(self) -> str:
        return f"<C function {self.declaration}>"


def cfunc(transform: Transform, signature: str) -> CFunction:
    """The C function of a transform; see `Transform.cfunc`."""
    if isinstance(transform, Seeded):
        raise TypeMismatch("vjp has no C function: make one of grad, of a function that takes the seed as an argument")
    if "(" in signature:
        return _numbers(transform, signature)
    return _arrays(transform, signature)


def _numbers(transform: Transform, signature: str) -> CFunction:
    """A function of numbers, or of a count and a pointer to that many, as SciPy calls it."""
    args, answer = sigutils.normalize_signature(signature)
    if answer not in (types.float64, types.float32):
        raise TypeMismatch(f"{signature!r} must return float64 or float32")
    given, texts = _scipy_arguments(transform, args) or (list(args), [f"a{k}" for k in range(len(args))])
    for kind in given:
        if not isinstance(kind, (types.Number, types.Boolean, types.Array)):
            raise TypeMismatch(f"{signature!r}: {kind} is no number. For arrays, say 'f64[n], f64'")
    glue = Glue(transform, given, {})
    if glue.layout.tree.kind is not None or glue.layout.leaves[0].type.rank:
        raise TypeMismatch(
            f"a C function of signature {signature!r} returns one number, and {transform!r} returns {glue.layout.tree}"
            f"{' of arrays' if glue.layout.tree.kind is None else ''}: say the types of arrays, 'f64[n], f64'"
        )
    params = ", ".join(f"a{k}" for k in range(len(args)))
    lines = [
        f"def {_name(transform)}({params}):", "    try:", f"        return function({', '.join(texts)})",
        "    except Exception:", "        return nan",
    ]  # fmt: skip
    return _compiled(transform, glue, lines, answer(*args), f"{answer} {_name(transform)}({', '.join(map(str, args))})")


def _scipy_arguments(transform: Transform, args: Sequence[Any]) -> tuple[list[Any], list[str]] | None:
    """(int, double *) and (int, double *, void *): the numbers are one array, or the parameters in order."""
    pointers = len(args) in (2, 3) and isinstance(args[0], types.Integer) and args[1] == types.CPointer(types.float64)
    if not pointers:
        if args and args[-1] == types.voidptr:  # user data, of which the function knows nothing
            return list(args[:-1]), [f"a{k}" for k in range(len(args) - 1)]
        return None
    signature = transform._traceable.signature
    count = len(signature.parameters) if signature else 1
    if count == 1:
        return [types.Array(types.float64, 1, "C")], ["carray(a1, (a0,))"]
    return [types.float64] * count, [f"a1[{k}]" for k in range(count)]


def _arrays(transform: Transform, signature: str) -> CFunction:
    """A function of sizes, arguments, and pointers to results; it returns 0, or 1 if it failed."""
    given = abstracts(re.findall(r"[^\s,\[\]]+(?:\s*\[[^\]]*\])?", signature))
    kinds = [types.Array(NUMBA[a.dtype], len(a.dims), "C") if a.dims else NUMBA[a.dtype] for a in given]
    glue = Glue(transform, kinds, {})
    names = transform._traceable.names(glue.tree)
    sizes = list(dict.fromkeys(d for a in given for d in a.dims if isinstance(d, str)))
    params, declared, calls, known = [f"{s}_" for s in sizes], [f"int64_t {s}" for s in sizes], [], {}
    c_types: list[Any] = [types.int64] * len(sizes)
    for a, name, kind in zip(given, names, kinds):
        params.append(name)
        for axis, dim in enumerate(a.dims):
            known[f"{name}_shape_{axis}"] = dim if isinstance(dim, int) else f"{dim}_"
        calls.append(f"carray({name}, {_shape(a.dims)})" if a.dims else name)
        c_types.append(types.CPointer(NUMBA[a.dtype]) if a.dims else kind)
        declared.append(f"const {DTYPES[a.dtype].c} *{name}" if a.dims else f"{DTYPES[a.dtype].c} {name}")
    lines = [f"        r = function({', '.join(calls)})"]
    for k, (leaf, path) in enumerate(zip(glue.layout.leaves, glue.layout.tree.paths("r"))):
        if not isinstance(leaf, Result):
            continue
        dims = [known.get(d, d) if isinstance(d, str) else d for d in leaf.type.dims]
        if any(isinstance(d, str) and d not in known.values() for d in dims):
            raise TypeMismatch(f"a result has type {leaf.type}, whose size C cannot know beforehand: return it padded")
        out = f"out{k}_"
        params.append(out)
        declared.append(f"{DTYPES[leaf.type.dtype].c} *result{k or ''}")
        c_types.append(types.CPointer(NUMBA[leaf.type.dtype]))
        if dims:
            shape = ", ".join(map(str, dims))
            lines.append(f"        carray({out}, ({shape},))[:] = {path}")
        else:
            lines.append(f"        {out}[0] = {path}")
    lines = [
        f"def {_name(transform)}({', '.join(params)}):", "    try:", *lines, "        return 0",
        "    except Exception:", "        return 1",
    ]  # fmt: skip
    declaration = f"int {_name(transform)}({', '.join(declared)})"
    return _compiled(transform, glue, lines, types.intc(*c_types), declaration)


def _shape(dims: Sequence[Any]) -> str:
    return f"({', '.join(f'{d}_' if isinstance(d, str) else str(d) for d in dims)},)"


def _name(transform: Transform) -> str:
    return re.sub(r"\W", "_", f"{getattr(transform, '__name__', 'function')}_{transform._kind}")


def _compiled(transform: Transform, glue: Glue, lines: list[str], signature: Any, declaration: str) -> CFunction:
    scope: dict[str, Any] = {"function": glue.dispatcher(), "carray": carray, "nan": np.nan}
    exec("\n".join(lines), scope)
    compiled = numba_cfunc(signature, error_model="numpy")(scope[_name(transform)])
    return CFunction(compiled, declaration, scope)
