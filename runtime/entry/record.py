"""What an entry (`runtime.entry`) is for, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Param:
    """What a parameter must be: an array of this rank, or a number (rank None), of Python's own if `weak`.

    dims   a number, a name (2 at least, and the same wherever it stands), or None (anything)
    """

    dtype: str
    rank: int | None = None
    weak: bool = False
    dims: tuple[int | str | None, ...] = ()


@dataclass(frozen=True)
class Kernel:
    """Compiled code by numba's convention.

    returns   LLVM's type of the numbers it gives, and their dtypes and types one by one
    takes     LLVM's types of its arguments
    """

    address: int
    returns: str
    numbers: tuple[tuple[str, str], ...]
    takes: tuple[str, ...]
    codes: tuple[int, ...]


@dataclass(frozen=True)
class Look:
    """A value outside: an object, and ("attr", name), ("item", key) or ("cell", "") from there on."""

    base: Any
    steps: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Condition:
    """What must hold of a value outside.

    kind   "is": this object; "equal": of the type and value of `expected`; "type"; "length"; "absent": it is not there
    """

    look: Look
    kind: str
    expected: Any


@dataclass(frozen=True)
class Container:
    """A tuple, a list or a dict with these keys in order, and what is in it: as `Front` has it."""

    kind: type
    children: tuple[Any, ...]
    keys: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Front:
    """For an entry that is called with (args, kwargs), and finds out all by itself.

    settings     the options that must be in force; they are `module["everywhere"]` if `local` has the value None, and
                 else what `current()` gives
    args, kwargs of containers, and in them the number of a parameter, or what is expected: ("is" or "equal", value)
    conditions   on values outside
    hidden       where the parameters after those of the arguments are
    """

    settings: Any
    module: dict[str, Any]
    local: Any
    current: Callable[[], Any]
    args: Container
    kwargs: Container
    conditions: tuple[Condition, ...]
    hidden: tuple[Look, ...]


@dataclass(frozen=True)
class Form:
    """What an entry is for; parameters are a0, a1, ..., the program's results r0, r1, ...

    guards    an expression over sizes a0_1 (of axis 1) and integers a2; "" if there is none
    head      lines that allocate arrays, over a0.shape[1] and integers
    arrays    names of the arrays, in the order in which the kernel takes them
    results   the program's: the name of an array, or "" for the next number that the kernel gives; None if all are
    form      the user's result over r0, r1, ... and the types in `scope`; "" for a tuple of all
    work      operations that the kernel does at most, like `head`; None if nothing is known
    """

    params: tuple[Param, ...]
    guards: str
    head: tuple[str, ...]
    arrays: tuple[str, ...]
    results: tuple[str, ...] | None
    form: str = ""
    scope: dict[str, Any] = field(default_factory=dict)
    work: str | None = None
    front: Front | None = None
