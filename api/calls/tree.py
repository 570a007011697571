"""Containers of arguments and results: taken apart into leaves, put together again in the same form.

Tuples, lists, dicts (in their order), named tuples, dataclasses and None are containers, nested as one
likes; everything else is a leaf. A `Tree` is what is left without the leaves: hashable, so that it can be a
key, and able to say where each leaf was ("argument 0['w'][1]").
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..tracer.lists.elements import arrays_of, columns
from ..tracer.values.staged_list import StagedList
from ..tracer.values.symbol import FUNCTIONS, is_symbol


class Elements(list):
    """The kind of a list of which only a run knows how long it is: an array for each part of its elements."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A container without its leaves.

    kind is the container's class, None for a leaf; keys are those of a dict, the fields of a class, or template and
    kind (list, tuple) of `Elements`.
    """

    kind: type | None
    keys: tuple[Hashable, ...] = ()
    children: tuple[Tree, ...] = ()
    count: int = 1

    def unflatten(self, leaves: Sequence[Any], *, construct: bool = False) -> Any:
        """The container with these leaves.

        A dataclass is filled in without running its `__init__` and `__post_init__`, whose checks are for
        parameters and need not hold for gradients; `construct=True` calls the class.

        >>> leaves, tree = flatten({"w": [1.0, 2.0], "b": (3.0, None)})
        >>> tree.unflatten([leaf * 10 for leaf in leaves])
        {'w': [10.0, 20.0], 'b': (30.0, None)}
        """
        if len(leaves) != self.count:
            raise ValueError(f"{self} has {self.count} leaves, not {len(leaves)}")
        return self._build(iter(leaves), construct)

    def _build(self, leaves: Iterator[Any], construct: bool) -> Any:
        kind = self.kind
        if kind is None:
            return next(leaves)
        if kind is Elements:
            return _listed(self.keys, [next(leaves) for _ in self.children])
        children = [child._build(leaves, construct) for child in self.children]
        if kind is tuple:
            return tuple(children)
        if kind is list:
            return children
        if kind is type(None):
            return None
        if issubclass(kind, dict):
            return kind(zip(self.keys, children))
        if issubclass(kind, tuple):
            return kind._make(children)  # type: ignore[attr-defined]
        return _dataclass(kind, dict(zip(self.keys, children)), construct)  # type: ignore[arg-type]

    def take(self, obj: Any, root: str = "the value", *, spread: bool = False) -> list[Any]:
        """What stands in `obj` where this form has its leaves: None or a container counts as found.

        With `spread`, None in place of a container stands for None at each of its leaves.

        >>> flatten({"w": 1.0, "n": 2})[1].take({"w": 3.0, "n": None})
        [3.0, None]
        """
        if self.kind is None:
            return [obj]
        if spread and obj is None:
            return [None] * self.count
        if self.kind is Elements and isinstance(obj, (list, tuple)):
            arrays = obj.shown() if isinstance(obj, StagedList) and obj.rows is not None else None
            return arrays_of(self.keys[0], list(obj)) if arrays is None else arrays
        obj = list(obj) if isinstance(obj, StagedList) else obj
        parts = _parts(obj) if type(obj) is self.kind else None
        if parts and isinstance(obj, dict) and set(parts[0]) == set(self.keys):
            parts = self.keys, [obj[key] for key in self.keys]  # the order of a dict does not matter
        if parts is None or parts[0] != self.keys or len(parts[1]) != len(self.children):
            raise ValueError(mismatch(self, flatten(obj)[1], root))
        places = enumerate(zip(self.children, parts[1]))
        return [leaf for k, (child, part) in places for leaf in child.take(part, root + self._step(k), spread=spread)]

    def paths(self, root: str = "") -> list[str]:
        """Where each leaf is.

        >>> flatten(({"w": [1.0, 2.0]}, 3.0))[1].paths("x")
        ["x[0]['w'][0]", "x[0]['w'][1]", 'x[1]']
        """
        if self.kind is None:
            return [root]
        return [p for k, child in enumerate(self.children) for p in child.paths(root + self._step(k))]

    def _step(self, k: int) -> str:
        if not self.keys:
            return f"[{k}]"
        if self.kind is Elements:
            return "[:]"
        return f"[{self.keys[k]!r}]" if issubclass(self.kind, dict) else f".{self.keys[k]}"  # type: ignore[arg-type]

    def __str__(self) -> str:
        """
        >>> print(flatten(({"w": [1.0, 2.0]}, 3.0, None))[1])
        ({'w': [*, *]}, *, None)
        """
        inner = list(map(str, self.children))
        kind = self.kind
        if kind is Elements:
            return "[*, ...]"
        if kind is None:
            return "*"
        if kind is type(None):
            return "None"
        if kind is tuple:
            return f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
        if kind is list:
            return f"[{', '.join(inner)}]"
        if issubclass(kind, dict):
            pairs = ", ".join(f"{key!r}: {value}" for key, value in zip(self.keys, inner))
            return f"{{{pairs}}}" if kind is dict else f"{kind.__name__}({{{pairs}}})"
        fields = ", ".join(f"{key}={value}" for key, value in zip(self.keys, inner))
        return f"{kind.__name__}({fields})"

    @property
    def is_leaf(self) -> bool:
        return self.kind is None


LEAF = Tree(None)
_NONE = Tree(type(None), count=0)


def flatten(obj: Any) -> tuple[list[Any], Tree]:
    """The leaves from left to right, and the form.

    >>> leaves, tree = flatten([1.0, {"a": 2.0}])
    >>> leaves, str(tree)
    ([1.0, 2.0], "[*, {'a': *}]")
    """
    leaves: list[Any] = []
    try:
        tree = _flatten(obj, leaves)
    except RecursionError:
        raise ValueError(f"a {type(obj).__name__} that contains itself, or is nested too deeply") from None
    return leaves, tree


_PLAIN = frozenset((np.ndarray, float, int, bool, np.float64, np.float32, np.int64, str))
_flat: dict[tuple[type, int], Tree] = {}  # tuples and lists of leaves, the most common forms


def _flatten(obj: Any, leaves: list[Any]) -> Tree:
    kind = type(obj)
    if (kind is tuple or kind is list) and _PLAIN.issuperset(map(type, obj)):
        leaves += obj
        count = len(obj)
        tree = _flat.get((kind, count))
        if tree is None:
            tree = Tree(kind, (), (LEAF,) * count, count)
            if count <= 32:
                _flat[kind, count] = tree
        return tree
    if kind in _PLAIN:
        leaves.append(obj)
        return LEAF
    if isinstance(obj, StagedList):
        given = obj.returned()
        if given is not None:
            leaves += given[1]
            return Tree(Elements, (given[0], obj.outside), (LEAF,) * len(given[1]), len(given[1]))
        obj = list(obj)
    parts = _parts(obj)
    if parts is None:
        leaves.append(obj)
        return LEAF
    keys, values = parts
    if obj is None:
        return _NONE
    before = len(leaves)
    children = tuple([_flatten(value, leaves) for value in values])
    return Tree(type(obj), keys, children, len(leaves) - before)


def _parts(obj: Any) -> tuple[tuple[Hashable, ...], Sequence[Any]] | None:
    """The keys and values of a container; None for a leaf."""
    kind = type(obj)
    if kind is tuple or kind is list:
        return (), obj
    if kind is dict or kind is OrderedDict:
        return tuple(obj), tuple(obj.values())
    if obj is None:
        return (), ()
    if isinstance(obj, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make"):
        return tuple(kind._fields), obj
    if dataclasses.is_dataclass(kind):
        names = tuple(f.name for f in dataclasses.fields(kind))
        return names, [getattr(obj, name) for name in names]
    return None  # other subclasses of tuple, list and dict too: how to make one is not known


def _listed(form: tuple[Any, ...], arrays: list[Any]) -> Sequence[Any]:
    """The list of elements that these arrays hold; one in arrays of symbols."""
    template, kind = form
    if any(map(is_symbol, arrays)):
        return FUNCTIONS["list of rows"](template, arrays)
    return kind(columns(template, iter(arrays))) if any(a is not None for a in arrays) else kind()


def _dataclass(kind: type, values: dict[str, Any], construct: bool) -> Any:
    if not construct:
        made: Any = object.__new__(kind)
        for name, value in values.items():
            object.__setattr__(made, name, value)  # frozen ones too
        return made
    fields = dataclasses.fields(kind)
    made = kind(**{f.name: values[f.name] for f in fields if f.init})
    for f in fields:
        if not f.init:
            object.__setattr__(made, f.name, values[f.name])
    return made


def map_leaves(function: Callable[..., Any], obj: Any, *others: Any) -> Any:
    """The same containers with `function` of each leaf (and of the leaves of `others` at its place).

    >>> map_leaves(lambda a, b: a + b, {"w": (1.0, 2.0)}, {"w": (10.0, 20.0)})
    {'w': (11.0, 22.0)}
    """
    leaves, tree = flatten(obj)
    columns = [leaves, *(tree.take(other) for other in others)]
    return tree.unflatten([function(*row) for row in zip(*columns)])


def mismatch(expected: Tree, found: Tree, root: str = "the value") -> str | None:
    """What is different first, in words; None if the two have one form.

    >>> mismatch(flatten({"w": (1, 2)})[1], flatten({"w": (1, 2, 3)})[1], "the seed")
    "the seed['w'] should be a tuple of 2, (*, *), but is a tuple of 3, (*, *, *)"
    """
    if expected == found:
        return None
    same = expected.kind is found.kind and len(expected.children) == len(found.children)
    if same and expected.keys == found.keys:
        for k, (a, b) in enumerate(zip(expected.children, found.children)):
            problem = mismatch(a, b, root + expected._step(k))
            if problem:
                return problem
    return f"{root} should be {_words(expected)}, but is {_words(found)}"


def _words(tree: Tree) -> str:
    if tree.kind is None:
        return "an array or a number"
    if tree.kind is type(None):
        return "None"
    if tree.kind is Elements:
        return f"a {getattr(tree.keys[1], '__name__', tree.keys[1])}, {tree}"
    size = "" if tree.keys else f" of {len(tree.children)}"
    return f"a {tree.kind.__name__}{size}, {tree}"
