"""What the command line names: a function of a file, and the types of its arguments with samples of them."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..calls.typetext import dims_of, named
from ..ir.types import DTYPES, INTEGERS
from ..transforms.base import Transform

TYPE = re.compile(rf"({'|'.join(DTYPES)})(?:\[([^\[\]]*)\])?")
NAME = re.compile(r"[A-Za-z_]\w*")
FIRST_SIZE = 5
"""The first size without a number is 5, the next 6, ...: all different, so that a mistaken shape shows."""


class UsageError(Exception):
    """Something on the command line is wrong; the message says what and what to write instead."""


# -- functions -----------------------------------------------------------------------------------------------


def load(target: str) -> Callable[..., Any]:
    """The function of "FILE.py:FUNCTION" or "package.module:FUNCTION"; FUNCTION may have dots."""
    place, colon, name = target.rpartition(":")
    if not colon or not place or not name:
        raise UsageError(f"{target!r} names no function: write FILE.py:FUNCTION")
    module = _module(place)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{place} has no {part!r}{_instead(part, found, module.__name__)}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{name} of {place} is no function: it is of type {type(found).__name__}")
    return found


def _instead(name: str, scope: Any, module: str) -> str:
    """The functions that could have been meant."""
    own = [
        key
        for key, value in vars(scope).items()
        if callable(value) and not isinstance(value, type) and getattr(value, "__module__", module) == module
    ]
    return f": it has {', '.join(sorted(own)[:12])}" if own else ""


def _module(place: str) -> Any:
    path = Path(place)
    try:
        if path.suffix != ".py":
            if not all(part.isidentifier() for part in place.split(".")):
                raise UsageError(f"{place!r} is neither a .py file nor a module")
            sys.path.insert(0, "")
            return importlib.import_module(place)
        if not path.is_file():
            raise UsageError(f"there is no file {place!r}")
        sys.path.insert(0, str(path.parent.resolve()))
        spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        spec.loader.exec_module(module)
    except UsageError:
        raise
    except SyntaxError as error:
        raise UsageError(
            f"{place} cannot be read: {error.msg} ({error.filename}, line {error.lineno})"
        ) from None
    except (Exception, SystemExit) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        own = [f for f in frames if f.filename.endswith(path.name)]
        where = f" in line {own[-1].lineno}: {own[-1].line}" if own else ""
        raise UsageError(f"running {place} raised {type(error).__name__}: {error}{where}") from None
    return module


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """The user's own function of a `grad`, `jit`, ... of it."""
    return function.user_function if isinstance(function, Transform) else function


# -- arguments -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Typed:
    """An argument given by its type: sizes are numbers or names."""

    dtype: str
    dims: tuple[int | str | None, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.dims))}]" if self.dims else self.dtype


def parsed(text: str) -> list[Any]:
    """The arguments that a text such as `f64[n, 3], f64, i64[5], 2.5, "relu"` gives: types, or Python values.

    >>> [str(argument) for argument in parsed("f64[n, 3], f64, 2.5, [1, 2]")]
    ['f64[n, 3]', 'f64', '2.5', '[1, 2]']
    """
    found = [_argument(part) for part in _split(text)]
    dims = iter(named([a.dims for a in found if isinstance(a, Typed)]))
    return [Typed(a.dtype, next(dims)) if isinstance(a, Typed) else a for a in found]


def _split(text: str) -> list[str]:
    """Parts between commas that are in no bracket and no string."""
    parts, start, depth, quote = [], 0, 0, ""
    for k, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:k].strip())
            start = k + 1
    last = text[start:].strip()
    return [*parts, last] if last or parts else []


def _argument(text: str) -> Any:
    match = TYPE.fullmatch(text)
    if match is None:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError):
            raise UsageError(
                f"{text!r} is no argument: write a type, such as f64, f32[n, 3], i64[5] or bool, or a Python value"
            ) from None
    try:
        dims = dims_of(match[2], text)
    except TypeError as error:
        raise UsageError(str(error)) from None
    return Typed(match[1], dims)


def sizes(text: Sequence[str]) -> dict[str, int]:
    """Sizes of "n=8" or "n=8,m=3"."""
    found: dict[str, int] = {}
    for part in ",".join(text).split(",") if text else ():
        name, equals, number = part.partition("=")
        if not equals or not NAME.fullmatch(name.strip()) or not number.strip().isdigit():
            raise UsageError(f"{part!r} is no size: write it as n=8")
        found[name.strip()] = int(number)
    return found


def samples(
    arguments: Sequence[Any], given: Mapping[str, int], between: tuple[float, float] | None, seed: int
) -> list[Any]:
    """Values for the arguments, the same ones for the same seed.

    Floats are normal, or evenly spread `between` two numbers. Integers are 3, and in arrays 0, 1, 2, ... below every
    size that occurs, so that they may be subscripts.

    >>> samples([Typed("i64", ("n",)), Typed("i64", ()), 7.5], {"n": 4}, None, 0)
    [array([3, 2, 2, 1]), 3, 7.5]
    """
    typed = [a for a in arguments if isinstance(a, Typed)]
    dims = named([a.dims for a in typed])
    names = list(dict.fromkeys(d for each in dims for d in each if isinstance(d, str)))
    unknown = given.keys() - set(names)
    if unknown:
        raise UsageError(f"there is no size {', '.join(sorted(unknown))} in --args")
    free = [name for name in names if name not in given]
    numbers = {**given, **{name: FIRST_SIZE + k for k, name in enumerate(free)}}
    shapes = [tuple(numbers[d] if isinstance(d, str) else d for d in each) for each in dims]
    below = min((size for shape in shapes for size in shape if size), default=3)
    rng = np.random.default_rng(seed)
    values = iter([_sample(a.dtype, shape, below, between, rng) for a, shape in zip(typed, shapes)])
    return [next(values) if isinstance(a, Typed) else a for a in arguments]


def _sample(
    dtype: str,
    shape: tuple[int, ...],
    below: int,
    between: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Any:
    if dtype in INTEGERS:
        below = min(below, int(np.iinfo(DTYPES[dtype].numpy).max))
        return np.asarray(rng.integers(below, size=shape)).astype(DTYPES[dtype].numpy) if shape else 3
    if dtype == "bool":
        return rng.random(shape) < 0.5 if shape else True
    value = rng.normal(size=shape) if between is None else rng.uniform(*between, size=shape)
    if dtype == "f64" and not shape:
        return float(value)
    return np.asarray(value).astype(DTYPES[dtype].numpy)[()]


def counted(function: Callable[..., Any], arguments: Sequence[Any] | None) -> Sequence[Any]:
    """The arguments, if there are as many as the function takes."""
    try:
        signature = inspect.signature(plain(function))
    except (TypeError, ValueError):
        return arguments or []
    name = getattr(plain(function), "__name__", "the function")
    takes = f"{name}{signature}"
    if arguments is None:
        needed = [
            p.name for p in signature.parameters.values()
            if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]  # fmt: skip
        if needed:
            example = ", ".join("f64" for _ in needed)
            raise UsageError(f'{takes}: say what the arguments are, for instance --args "{example}"')
        return []
    try:
        signature.bind(*arguments)
    except TypeError:
        raise UsageError(f"{takes} does not take the {len(arguments)} arguments of --args") from None
    return arguments
