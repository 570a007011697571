"""Traces on disk: a second process does not trace what is still what the first one looked at.

A kept trace has the program, and for everything that tracing looked at (the function and every helper by its code
and source, classes, guarded values, the builtins it relied on) how it is reached and what it was. It is taken
only if all of that is found again and equal. A trace that met anything else (a call whose answer could be another
one, an object that cannot be compared) is not kept: tracing again is always right.
"""

from __future__ import annotations

import operator
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..ir.program import Program
from ..runtime import cache, options
from ..tracer.outside.captures import Found
from ..tracer.outside.fingerprint import Unknown, encode, matches
from ..tracer.outside.paths import UNREADABLE, Guard, Path, items_of
from ..tracer.trace import Input, Slot, Traced
from .tree import Tree

MAX_VARIANTS = 8
Data = tuple[Any, ...]


@dataclass
class Kept:
    """One trace as data; paths and guards are tuples that `_Reader` makes objects of."""

    function: Any
    static: dict[int, Any]
    guards: list[tuple[str, Data, Any, str]]
    hidden: list[tuple[str, str, Data | None, Any]]
    inputs: list[Input]
    leaves: list[int | None]
    sizes: tuple[str, dict[str, tuple[int, int]], frozenset[Slot], frozenset[int], frozenset[int]]
    out: Tree
    out_leaves: list[tuple[str, Any, bool]]
    head: Program
    program: bytes
    digest: str


def key(function: Any, leaves: Sequence[Any], tree: Tree) -> str | None:
    """Under which name traces of this function for leaves of these types lie; None if they are not kept."""
    if not options.current().cache:
        return None
    try:
        types_ = [repr(_described(leaf)) for leaf in leaves]
        classes = [repr(encode(kind)) for kind in _classes(tree)]
        return cache.key("trace", repr(encode(function)), _where(function), repr(tree), *types_, *classes, *_schedule())
    except Unknown:
        return None


def _schedule() -> list[str]:
    """Gradients inside of a function go by the schedule of checkpoints."""
    schedule = options.current().checkpoint
    return [] if schedule is None else [f"checkpoint={schedule!r}"]


def _classes(tree: Tree) -> list[type]:
    """The user's classes among the containers: what they define may be called without a trace of it."""
    own = [] if tree.kind in (None, tuple, list, dict, OrderedDict, type(None)) else [tree.kind]
    return own + [kind for child in tree.children for kind in _classes(child)]


def _where(function: Any) -> str:
    return f"{getattr(function, '__module__', '')} {getattr(function, '__qualname__', '')}"


def _described(leaf: Any) -> Any:
    if type(leaf) is np.ndarray:
        return leaf.dtype.str, leaf.ndim
    if isinstance(leaf, (str, bytes, bool, type(None))):
        return type(leaf).__name__, leaf
    if isinstance(leaf, (int, float, np.generic)):
        return type(leaf).__name__
    return encode(leaf) if callable(leaf) and not _is_object(leaf) else encode(type(leaf))


def _is_object(leaf: Any) -> bool:
    return isinstance(type(leaf), type) and not isinstance(leaf, (types.FunctionType, type, np.ufunc)) and (
        not hasattr(type(leaf), "__pullback_call__") and not hasattr(leaf, "py_func")
    )  # fmt: skip


# -- writing -------------------------------------------------------------------------------------------


def keep(name: str, function: Any, traced: Traced, out: Tree, program: Program, digest: str) -> bool:
    """Write a trace; False if it must not be kept."""
    if traced.opaque:
        return False
    try:
        kept = _Writer(function, traced).kept(out, program, digest)
        data = pickle.dumps([kept, *_read(name)][:MAX_VARIANTS])
    except (Unknown, pickle.PicklingError, AttributeError, TypeError):
        return False
    return cache.write(cache.directory() / (name + cache.TRACE), data)


class _Writer:
    def __init__(self, function: Any, traced: Traced):
        self.function, self.traced = function, traced
        self.known: dict[int, Path] = {}
        self._know(function, Path("object", None))
        for k, leaf in traced.static.items():
            self._know(leaf, Path("leaf", k))
        for guard in traced.hidden_guards:
            self._know_expected(guard)

    def _know(self, value: Any, path: Path) -> None:
        """Functions that can be reached, and how."""
        if isinstance(value, types.FunctionType):
            self.known.setdefault(id(value), path)
        elif hasattr(value, "_traceable"):
            self._know(value.__wrapped__, path.attr("__wrapped__"))
        elif hasattr(value, "py_func"):
            self._know(value.py_func, path.attr("py_func"))

    def _know_expected(self, guard: Guard) -> None:
        if guard.kind == "is":
            self._know(guard.expected, guard.path)
        elif guard.kind == "method":
            self._know(guard.expected, guard.path.attr("__func__"))
        elif guard.kind == "items" and isinstance(guard.expected[0], tuple):  # no set
            is_dict = issubclass(guard.expected[0][0], dict)
            for name, value in guard.expected[1] if is_dict else enumerate(guard.expected[1]):
                self._know(value, guard.path.item(name))

    def path(self, path: Path, depth: int = 0) -> Data:
        """A path as data: its holder is an argument, a module, a class, or a function that is reached itself."""
        steps = tuple((how, name if how == "attr" else ("key", encode(name), name)) for how, name in path.steps)
        holder = path.holder
        if path.kind == "leaf":
            return "leaf", holder, steps
        if holder is None:
            return "object", ("root",), steps
        if isinstance(holder, types.FunctionType):
            known = self.known.get(id(holder))
            if known is None or depth > 20:
                raise Unknown(f"{holder.__name__} is reached in no way that is known")
            return path.kind, ("function", self.path(known, depth + 1)), steps
        if path.kind == "object" and holder is self.function:
            return "object", ("root",), steps
        if isinstance(holder, (types.ModuleType, type)):
            return path.kind, encode(holder), steps
        raise Unknown(f"a {type(holder).__name__} is reached in no way that is known")

    def kept(self, out: Tree, program: Program, digest: str) -> Kept:
        traced = self.traced
        for _, entry, placed in traced.out_leaves:
            if not placed and not isinstance(entry, (str, bytes, bool, type(None))):
                raise Unknown("a result is an object")
        if any(k >= len(traced.inputs) - len(traced.hidden) for k in traced.ordered):
            raise Unknown("the order in memory of a global")
        hidden: list[tuple[str, str, Data | None, Any]] = []
        for found in traced.hidden:
            if found.path is None:
                hidden.append((found.name, found.origin, None, found.value))
            else:
                sample = found.value[(slice(0, 0),) * found.value.ndim] if isinstance(found.value, np.ndarray) else 0
                hidden.append((found.name, found.origin, self.path(found.path), sample))
        head = replace(traced.program, body=())
        static = {k: _described(v) if not isinstance(v, (int, np.integer)) else ("pinned", encode(v), v)
                  for k, v in traced.static.items()}  # fmt: skip
        return Kept(
            encode(self.function), static,
            [(g.kind, self.path(g.path), encode(g.expected), g.name) for g in traced.hidden_guards],
            hidden, traced.inputs, traced.leaves,
            (traced.guards, traced.size_slots, traced.guarded, traced.written, traced.ordered),
            out, traced.out_leaves, head, pickle.dumps(program), digest,
        )  # fmt: skip


# -- reading -------------------------------------------------------------------------------------------


def _read(name: str) -> list[Kept]:
    data = cache.read(cache.directory() / (name + cache.TRACE))
    if data is None:
        return []
    try:
        kept = pickle.loads(data)
    except Exception:  # bytes that we wrote, but what they mention has gone: the trace is made anew
        return []
    return [k for k in kept if isinstance(k, Kept)]


def recalled(name: str, function: Any, leaves: Sequence[Any]) -> list[tuple[Traced, Kept]]:
    """The kept traces of which everything that was looked at is still the same."""
    found = []
    for kept in _read(name):
        try:
            found.append((_Reader(function, leaves, kept).traced(), kept))
        except (Unknown, *UNREADABLE):
            continue
    return found


class _Reader:
    def __init__(self, function: Any, leaves: Sequence[Any], kept: Kept):
        self.function, self.leaves, self.kept = function, leaves, kept

    def path(self, data: Data) -> Path:
        kind, holder, steps = data
        real = tuple((how, name if how == "attr" else name[2]) for how, name in steps)
        if kind == "leaf":
            return Path("leaf", holder, real)
        if holder[0] == "root":
            return Path(kind, self.function, real)
        if holder[0] == "function":
            value = self.path(holder[1])(self.leaves)
            if not isinstance(value, types.FunctionType):
                raise Unknown("no function any more")
        elif holder[0] == "module":
            value = sys.modules[holder[1]]
        else:
            value = sys.modules[holder[1]]
            for part in holder[2].split("."):
                value = getattr(value, part)
            self._same(value, holder)
        return Path(kind, value, real)

    def _same(self, value: Any, data: Any) -> Any:
        if not matches(value, data):
            raise Unknown("another value")
        return value

    def guard(self, kind: str, place: Data, data: Any, name: str) -> Guard:
        path = self.path(place)
        if kind == "absent":
            if data[2] in path.holder.__globals__:
                raise Unknown("a builtin is hidden")
            return Guard(kind, path, data[2], name)
        value = path(self.leaves)
        now: Any = MEASURES[kind](value) if kind in MEASURES else value
        return Guard(kind, path, self._same(now, data), name)

    def traced(self) -> Traced:
        kept = self.kept
        self._same(self.function, kept.function)
        static: dict[int, Any] = {}
        for k, described in kept.static.items():
            leaf = self.leaves[k]
            if described[0] == "pinned":
                self._same(leaf, described[1])
            elif repr(_described(leaf)) != repr(described):
                raise Unknown("another static argument")
            static[k] = leaf
        guards = [self.guard(*guard) for guard in kept.guards]
        hidden = []
        for name, origin, place, value in kept.hidden:
            path = None if place is None else self.path(place)
            hidden.append(Found(name, origin, path, value))
        text, slots, guarded, written, ordered = kept.sizes
        return Traced(
            kept.head, kept.inputs, kept.leaves, static, hidden, text, slots, guards, kept.out, kept.out_leaves,
            guarded=guarded, written=written, ordered=ordered,
        )  # fmt: skip


MEASURES: dict[str, Any] = {
    "length": len, "type": type, "keys": tuple, "items": items_of, "method": operator.attrgetter("__func__"),
}  # fmt: skip
"""What guards of a kind compare of the value at their path."""
