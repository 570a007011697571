"""Types as texts: "f64", "f64[n, 3]", "f32[:]". A size is a number, a name, or `:` for one that has no name yet."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Sequence

from ..ir.types import DTYPES
from ..tracer.trace import Abstract

TYPE = re.compile(rf"\s*({'|'.join(DTYPES)})\s*(?:\[(.*)\])?\s*", re.DOTALL)
_RESERVED = frozenset((*keyword.kwlist, *dir(builtins), "np", "math", "support", "numba"))
_FRESH = ("n", "m", "p", "q", "r", "l", "h", "d")


def dims_of(text: str | None, whole: str) -> tuple[int | str | None, ...]:
    """The sizes between the brackets of a type's text; None stands for `:`.

    Sizes become names of the generated code: nothing but numbers and free names is one. Raises TypeError.
    """
    if text is None:
        return ()
    dims: list[int | str | None] = []
    for part in (p.strip() for p in text.split(",")):
        if part == ":":
            dims.append(None)
        elif part.isascii() and part.isdigit():
            dims.append(int(part))
        elif part.isascii() and part.isidentifier() and part not in _RESERVED:
            dims.append(part)
        else:
            why = f"{part!r} in {whole!r} is no size: write a number, a name such as n, or : for any size"
            raise TypeError(f"{why} ({part} means something in Python)" if part in _RESERVED else why)
    return tuple(dims)


def named(all_dims: Sequence[tuple[int | str | None, ...]]) -> list[tuple[int | str, ...]]:
    """The sizes of several types, with a name of its own for each `:`."""
    taken = {d for dims in all_dims for d in dims if isinstance(d, str)}
    return [tuple(_name(taken) if d is None else d for d in dims) for dims in all_dims]


def _name(taken: set[str]) -> str:
    fresh = next((n for n in _FRESH if n not in taken), None)
    k = 1
    while fresh is None:
        fresh, k = (f"n{k}" if f"n{k}" not in taken else None), k + 1
    taken.add(fresh)
    return fresh


def abstracts(texts: Iterable[str]) -> list[Abstract]:
    """Inputs of these types. Raises TypeError for what is no type."""
    found = []
    for text in texts:
        match = TYPE.fullmatch(text)
        if match is None:
            raise TypeError(f"expected arrays, numbers, or types such as 'f64[n, 3]' or 'i64', not {text!r}")
        found.append((match[1], dims_of(match[2], text.strip())))
    sizes = named([dims for _, dims in found])
    return [Abstract(dtype, dims) for (dtype, _), dims in zip(found, sizes)]
