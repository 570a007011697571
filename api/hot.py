"""A whole call as one generated function: does it fit the form, run the machine code, give the results their form.

A gradient of small arrays takes about a microsecond in all, so nothing here is general: the containers are taken
apart by name, the tests are written out, the machine code is entered directly. Whatever does not fit goes the
long way (`Traceable.find`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .ir.types import Type
from .runtime import options
from .specialise import SCALARS, tests
from .tracer.paths import UNREADABLE, named
from .tracer.trace import Traced
from .tree import Tree

MISS: Any = object()
"""What a generated call returns when it is for another form."""

Results = tuple[int, str, dict[str, Any]]
"""How many results the program has, the user's result as an expression over r0, r1, ..., and its scope.

With -1 for the number the expression is over `values`, the tuple of them."""


Call = Callable[[tuple[Any, ...], dict[str, Any]], Any]


def no_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Stands where nothing was called yet."""
    return MISS


def call_function(
    traced: Traced, tree: Tree, run: Callable[..., tuple[Any, ...]], results: Results, settings: options.Options
) -> Call:
    """`call(args, kwargs)`: the user's result, or MISS if the call does not fit."""
    count, expression, names = results
    scope: dict[str, Any] = {**names, "MISS": MISS, "run": run, "unreadable": UNREADABLE}
    scope |= {"options": options, "local": options.local, "settings": settings, "current": options.current}
    lines = [
        "def call(args, kwargs):",
        "    if (options.everywhere if local() is None else current()) is not settings: return MISS",
    ]
    leaves = [f"a{p}" if p is not None else f"s{k}" for k, p in enumerate(traced.leaves)]
    positional, keywords = tree.children
    lines += take_apart(positional, "args", leaves[: positional.count], scope)
    lines += take_apart(keywords, "kwargs", leaves[positional.count :], scope)
    lines += tests(traced, scope, "MISS")
    given = [f"a{k}" for k in range(len(traced.inputs))]
    split = getattr(run, "outputs", None)
    if split is None or count < 0:
        lines.append(f"    {targets(count)}run({', '.join(given)})")
    else:  # its Python part is written out here
        scope |= {"run": run.kernel, "np": np}  # type: ignore[attr-defined]
        written = split.renamed(given).lines("run", [f"r{k}" for k in range(count)])
        lines += [f"    {line}" for line in written]
    lines.append(f"    return {expression}")
    exec("\n".join(lines), scope)
    return scope["call"]


def finish_function(results: Results) -> Callable[[Sequence[Any]], Any]:
    """The user's result from the program's."""
    count, expression, names = results
    scope = dict(names)
    exec(f"def finish(values):\n    {targets(count)}values\n    return {expression}", scope)
    return scope["finish"]


def targets(count: int) -> str:
    if count < 0:
        return "values = "
    return "".join(f"r{k}, " for k in range(count)) + "= " if count else ""


def take_apart(tree: Tree, value: str, leaves: Sequence[str], scope: dict[str, Any]) -> list[str]:
    """Lines that bind the leaves of the container `value`, and return MISS where it is another container."""
    kind = tree.kind
    if kind is None:
        return []
    if kind is type(None):
        return [f"    if {value} is not None: return MISS"]
    count = len(tree.children)
    names: list[str] = []
    inner: list[str] = []
    start = 0
    for k, child in enumerate(tree.children):
        names.append(leaves[start] if child.kind is None else f"{value}_{k}")
        inner += take_apart(child, names[-1], leaves[start : start + child.count], scope)
        start += child.count
    lines = []
    if value not in ("args", "kwargs"):
        lines.append(f"    if type({value}) is not {named(scope, kind)}: return MISS")
    if (kind is tuple or kind is list or issubclass(kind, dict)) and not count:
        lines.append(f"    if {value}: return MISS")
    elif kind is tuple or kind is list:
        lines.append(f"    if len({value}) != {count}: return MISS")
        lines.append(f"    {', '.join(names)}{',' * (count == 1)} = {value}")
    elif issubclass(kind, dict):
        lines.append(f"    if tuple({value}) != {named(scope, tree.keys)}: return MISS")
        lines += [f"    {n} = {value}[{_key(key, scope)}]" for n, key in zip(names, tree.keys)]
    else:  # a named tuple or a dataclass
        lines += [f"    {n} = {value}.{key}" for n, key in zip(names, tree.keys)]
    return lines + inner


def put_together(tree: Tree, leaves: Sequence[str], scope: dict[str, Any]) -> str:
    """The container with these leaves, as an expression."""
    kind = tree.kind
    if kind is None:
        return leaves[0]
    if kind is type(None):
        return "None"
    if kind in (tuple, list, dict):
        items = []
        start = 0
        for child in tree.children:
            items.append(put_together(child, leaves[start : start + child.count], scope))
            start += child.count
        if kind is list:
            return f"[{', '.join(items)}]"
        if kind is dict:
            return "{" + ", ".join(f"{_key(k, scope)}: {v}" for k, v in zip(tree.keys, items)) + "}"
        return f"({', '.join(items)}{',' * (len(items) == 1)})"
    return f"{named(scope, tree)}.unflatten([{', '.join(leaves)}])"


def _key(key: Any, scope: dict[str, Any]) -> str:
    return repr(key) if type(key) in (str, int) else named(scope, key)


def finished(text: str, type_: Type, weak: bool, scope: dict[str, Any]) -> str:
    """A result as Python has it: a scalar that was no Python number gets its NumPy type back."""
    if type_.rank or (weak and type_.dtype != "bool"):
        return text
    return f"{named(scope, SCALARS[type_.dtype])}({text})"


def results_of(traced: Traced, out: Tree) -> Results:
    """The function's own result, from the flat results of its program."""
    scope: dict[str, Any] = {}
    texts = []
    for _, entry, placed in traced.out_leaves:
        if placed:
            type_ = traced.program.results[entry.k].type
            texts.append(finished(f"r{entry.k}", type_, entry.weak, scope))
        else:
            texts.append(named(scope, entry))
    return len(traced.program.results), put_together(out, texts, scope), scope
