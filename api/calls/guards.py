"""One traced and compiled form of a function, and the generated check of whether a call fits it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..ir.errors import TypeMismatch
from ..ir.program import Span
from ..ir.types import DTYPES
from ..tracer.outside.captures import Found
from ..tracer.outside.paths import UNREADABLE, differs, named
from ..tracer.trace import Input, Traced
from ..tracer.values.foreign import refusal

SCALARS = {name: row.numpy.type for name, row in DTYPES.items()}
_BUILT = {row.numpy.char: row.numpy for row in DTYPES.values()} | {
    c: np.dtype(np.dtype(c).name) for c in "lqLQ"
}
"""NumPy's own dtype objects by their letter: 64 bits have two."""
_OWN = frozenset(id(row.numpy) for row in DTYPES.values())


def matcher(traced: Traced) -> Callable[[Sequence[Any]], tuple[Any, ...] | None]:
    """A function of the leaves: the parameters of the compiled program, or None if the call does not fit.

    Generated, because it stands in the way of every call: it tests types, sizes, guards and what decided
    structure, and reads the hidden inputs.
    """
    scope: dict[str, Any] = {"unreadable": UNREADABLE}
    targets = [f"a{p}" if p is not None else f"s{k}" for k, p in enumerate(traced.leaves)]
    unpack = f"{', '.join(targets)}{',' * (len(targets) == 1)} = leaves" if targets else "if leaves: return None"
    lines = ["def match(leaves):", f"    {unpack}", *tests(traced, scope, "None")]
    names = [f"a{k}" for k in range(len(traced.inputs))]
    lines.append(f"    return ({', '.join(names)}{',' * (len(names) == 1)})")
    exec("\n".join(lines), scope)
    return scope["match"]


def guards_fail(traced: Traced, leaves: Sequence[Any]) -> bool:
    """Is it the guards on sizes and integers, and nothing else, that keeps a call from fitting?"""
    scope: dict[str, Any] = {"unreadable": UNREADABLE}
    targets = [f"a{p}" if p is not None else f"s{k}" for k, p in enumerate(traced.leaves)]
    unpack = f"{', '.join(targets)}{',' * (len(targets) == 1)} = leaves" if targets else "if leaves: return False"
    lines = ["def match(leaves):", f"    {unpack}", *_before_guards(traced, scope, "False")]
    exec("\n".join([*lines, f"    return not ({guard_text(traced) or True})"]), scope)
    return bool(scope["match"](leaves))


def tests(traced: Traced, scope: dict[str, Any], miss: str) -> list[str]:
    """Lines of a function that returns `miss` if a call does not fit, and else has the parameters as a0, a1, ...

    On entry leaf k is bound to a{its parameter}, or to s{k} if it is static.
    """
    lines = _before_guards(traced, scope, miss)
    guards = guard_text(traced)
    if guards:
        lines.append(f"    if not ({guards}): return {miss}")
    lines += draws(traced, scope)  # at last: a call that does not fit draws nothing
    return lines + overlap_tests(traced, scope)


def _before_guards(traced: Traced, scope: dict[str, Any], miss: str) -> list[str]:
    names = parameters(traced)
    count = len(traced.inputs) - len(traced.hidden)
    lines = static_tests(traced, scope, miss)
    for k, given in enumerate(traced.inputs[:count]):
        lines += _tests(names[k], k, given, scope, miss)
    lines += read_hidden(traced, scope, miss)
    for k, given in enumerate(traced.inputs[count:], count):
        if not is_drawn(traced.hidden[k - count]):
            lines += _tests(names[k], k, given, scope, miss)
    return lines


def parameters(traced: Traced) -> list[str]:
    return [f"a{k}" for k in range(len(traced.inputs))]


def static_tests(traced: Traced, scope: dict[str, Any], miss: str) -> list[str]:
    """Lines that test the leaves that have no parameter."""
    return [f"    if {differs(f's{k}', expected, scope)}: return {miss}" for k, expected in traced.static.items()]


def guard_text(traced: Traced) -> str:
    """The guards over a0, ... and sizes a0_0, ...; "" if there are none."""
    names = parameters(traced)
    slots = traced.size_slots
    held = {size: names[k] if axis < 0 else f"{names[k]}_{axis}" for size, (k, axis) in slots.items()}
    return re.sub(r"\b[^\W\d]\w*", lambda m: held.get(m[0], m[0]), traced.guards)


def read_hidden(traced: Traced, scope: dict[str, Any], miss: str) -> list[str]:
    """Lines that test what was looked at outside, and bind the hidden inputs."""
    scope["ndarray"], scope["canonical"], scope["own"] = np.ndarray, canonical, _OWN
    names = parameters(traced)
    count = len(traced.inputs) - len(traced.hidden)
    outside = [f"        if {guard.differs(scope, 's{}')}: return {miss}" for guard in traced.hidden_guards]
    for name, found, given in zip(names[count:], traced.hidden, traced.inputs[count:]):
        if is_drawn(found):
            continue
        value = named(scope, found.value) if found.path is None else found.path.expression(scope, "s{}")
        outside.append(f"        {name} = {value}")
        if given.type.rank or isinstance(found.value, np.ndarray):
            odd = f"not {name}.flags.carray or id({name}.dtype) not in own"
            outside.append(f"        if type({name}) is not ndarray or {odd}: {name} = canonical({name})")
    return ["    try:", *outside, f"    except unreadable: return {miss}"] if outside else []


def is_drawn(found: Found) -> bool:
    """Is the hidden input a random number that each call draws?"""
    return found.path is not None and found.path.kind == "draw"


def draws(traced: Traced, scope: dict[str, Any]) -> list[str]:
    """Lines that draw random numbers, in the order of the program. What they give is always of one type and size."""
    scope["canonical"] = canonical
    count = len(traced.inputs) - len(traced.hidden)
    return [
        f"    {name} = canonical({found.path.expression(scope, 's{}')})"  # type: ignore[union-attr]
        for name, found in zip(parameters(traced)[count:], traced.hidden)
        if is_drawn(found)
    ]


def overlap_tests(traced: Traced, scope: dict[str, Any]) -> list[str]:
    """Arguments that the function writes to may not share memory with others: NumPy would change both."""
    names = parameters(traced)
    arrays = [k for k, given in enumerate(traced.inputs) if given.type.rank]
    pairs = {tuple(sorted((k, other))) for k in traced.written for other in arrays if other != k}
    scope["overlap"] = refuse_overlap
    return [
        f"    overlap({names[a]}, {names[b]}, {traced.inputs[a].name!r}, {traced.inputs[b].name!r})"
        for a, b in sorted(pairs)
    ]


def refuse_overlaps(traced: Traced, leaves: Sequence[Any]) -> None:
    arrays = {p: leaf for p, leaf in zip(traced.leaves, leaves) if p is not None and isinstance(leaf, np.ndarray)}
    for k in traced.written & arrays.keys():
        for other in arrays.keys() - {k}:
            refuse_overlap(arrays[k], arrays[other], traced.inputs[k].name, traced.inputs[other].name)


def refuse_orders(traced: Traced, leaves: Sequence[Any], span: Span | None) -> None:
    """Refuse arrays in another order than C where NumPy's views and copies, of which one is written, depend on it."""
    given = [leaves[traced.leaves.index(k)] if k in traced.leaves else None for k in range(len(traced.inputs))]
    given[len(given) - len(traced.hidden) :] = [found.value for found in traced.hidden]
    for k in sorted(traced.ordered):
        array = given[k]
        if isinstance(array, np.ndarray) and not array.flags.c_contiguous:
            raise TypeMismatch(
                f"{traced.inputs[k].name} is not in C order: what its strides are, or whether a reshape of it, or of "
                "what NumPy gives its order, is a view or a copy and shows what is written, depends on that. Pass "
                f"np.ascontiguousarray({traced.inputs[k].name})",
                span,
            )


def refuse_overlap(a: np.ndarray, b: np.ndarray, first: str, second: str) -> None:
    if np.may_share_memory(a, b) and np.shares_memory(a, b):
        raise TypeMismatch(
            f"arguments {first} and {second} share memory, and the function writes to one of them: pass a copy"
        )


def _tests(name: str, k: int, given: Input, scope: dict[str, Any], miss: str) -> list[str]:
    """Lines that leave the matcher if a value is not of the parameter's type."""
    dtype = given.type.dtype
    if given.weak:
        scope["float_"], scope["int_"] = float, int
        return [f"    if type({name}) is not {'float_' if dtype == 'f64' else 'int_'}: return {miss}"]
    if given.type.rank == 0 and not given.zero_dim:
        scope[f"t{k}"] = SCALARS[dtype]
        return [f"    if type({name}) is not t{k}: return {miss}"]
    scope[f"d{k}"] = DTYPES[dtype].numpy
    lines = [
        f"    if type({name}) is not ndarray or {name}.dtype is not d{k} or {name}.ndim != {given.type.rank} "
        f"or not {name}.flags.carray: return {miss}"
    ]
    dims = given.type.dims
    sizes = [f"{name}_{axis}" for axis in range(len(dims))]
    if dims:
        lines.append(f"    {', '.join(sizes)}{',' * (len(sizes) == 1)} = {name}.shape")
    seen: dict[str, str] = {}
    for size, dim in zip(sizes, dims):
        if isinstance(dim, int):
            lines.append(f"    if {size} != {dim}: return {miss}")
        elif dim in seen:
            lines.append(f"    if {size} != {seen[dim]}: return {miss}")
        else:
            seen[dim] = size
            lines.append(f"    if {size} < 2: return {miss}")
    if given.zero_dim:
        lines.append(f"    {name} = {name}[()]")  # in the program it is a number
    return lines


def canonical(leaf: Any) -> Any:
    """A leaf as compiled code takes it: native, C-contiguous, aligned.

    Strided and foreign arrays are copied; a read-only one is looked at through a writeable view, because
    generated code never writes to its parameters.
    """
    if type(leaf) is not np.ndarray and refusal(leaf) is not None:
        return leaf  # no form fits it, and tracing says why
    if not isinstance(leaf, np.ndarray):
        if isinstance(leaf, np.integer) and type(leaf) is not _BUILT[leaf.dtype.char].type:
            return _BUILT[leaf.dtype.char].type(leaf)
        return leaf
    dtype = leaf.dtype
    if dtype.kind in "fbiu" and not dtype.isnative:
        leaf = leaf.astype(dtype.newbyteorder("="))
    if type(leaf) is not np.ndarray:
        leaf = np.asarray(leaf)
    if leaf.dtype.kind in "fbiu" and id(leaf.dtype) not in _OWN:
        leaf = leaf.view(_BUILT.get(leaf.dtype.char, leaf.dtype))
    if not leaf.flags.c_contiguous or not leaf.flags.aligned:
        return np.array(leaf, order="C")
    return leaf if leaf.flags.writeable else _writeable_view(leaf)


class _Memory:
    """An array's memory under NumPy's array interface, said to be writeable."""

    def __init__(self, array: np.ndarray):
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface


def _writeable_view(array: np.ndarray) -> np.ndarray:
    if array.size == 0:
        return array.copy()
    return np.asarray(_Memory(array))
