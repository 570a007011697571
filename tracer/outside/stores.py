"""What a call does to things that live on after it, as data, and as Python text: `Stores`.

Where to store is found at the beginning of a call, by the paths that tracing took; what to store is results of the
program, or objects that were there before. A call that fails stores nothing.
"""

from __future__ import annotations

import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...ir.build import number
from ...ir.errors import PullbackError, UnsupportedSyntax
from ...ir.program import Atom, Lit, Span, Var
from ..session import Session
from ..snapshot import MaybeUnbound, attributes, has_own, is_record, set_own
from ..values.staged_list import StagedList
from ..values.symbol import FUNCTIONS, Array, Scalar, Symbol, as_value
from .captures import is_fixed
from .effects import DELETED, MISSING, Choice
from .paths import Guard, Path, named
from .shadows import Appended, Shadow

if TYPE_CHECKING:
    from .captures import Hidden

Text = Callable[[int], str]


@dataclass(frozen=True)
class Out:
    """Result k of the program."""

    k: int
    weak: bool
    type: Any


@dataclass(frozen=True, eq=False)
class There:
    """What was found at a path at the beginning of the call, or argument `leaf`."""

    path: Path | None
    leaf: int = -1


@dataclass(frozen=True, eq=False)
class Fixed:
    """The same object at each call."""

    value: Any


@dataclass(frozen=True, eq=False)
class Made:
    """A new container or object with these parts."""

    kind: type
    keys: tuple[Any, ...]
    parts: tuple[Any, ...]
    factory: Any = None


@dataclass(frozen=True, eq=False)
class Pick:
    """One of two values, by result k."""

    k: int
    then: Any
    orelse: Any


@dataclass(frozen=True, eq=False)
class Store:
    """One write: `do` to what is found at `path`, under the condition in result `flag`.

    do   "attr", "item" (bind), "del attr", "del item", "append", "add", "discard", "clear"
    """

    path: Path
    do: str
    name: Any
    value: Any
    flag: int | None
    shown: str
    span: Span | None


@dataclass
class Stores:
    """The writes of a traced function. Its own results are the first `own` of the program."""

    own: int
    count: int
    all: list[Store] = field(default_factory=list)

    @property
    def span(self) -> Span | None:
        return self.all[0].span

    @property
    def shown(self) -> str:
        return ", ".join(dict.fromkeys(s.shown for s in self.all))

    def before(self, scope: dict[str, Any], leaf: str) -> tuple[list[str], list[str]]:
        """Names, and the expressions to bind to them at the beginning of a call."""
        found = list(dict.fromkeys(self._paths()))
        return [f"h{k}" for k in range(len(found))], [path.expression(scope, leaf) for path in found]

    def after(self, scope: dict[str, Any], result: Text, leaf: Text, finished: Callable[..., str]) -> list[str]:
        """The statements that store; `result(k)` and `leaf(k)` are the texts of results and arguments."""
        return _Writer(self, scope, result, leaf, finished).lines()

    def _paths(self) -> Iterator[Path]:
        for store in self.all:
            yield store.path
            yield from _paths_in(store.value)


def _paths_in(value: Any) -> Iterator[Path]:
    if isinstance(value, There) and value.path is not None:
        yield value.path
    elif isinstance(value, Made):
        for part in value.parts:
            yield from _paths_in(part)
    elif isinstance(value, Pick):
        yield from _paths_in(value.then)
        yield from _paths_in(value.orelse)


class _Writer:
    def __init__(self, stores: Stores, scope: dict[str, Any], result: Text, leaf: Text, finished: Any):
        self.stores, self.scope, self.result, self.leaf, self.finished = stores, scope, result, leaf, finished
        self.names = {path: f"h{k}" for k, path in enumerate(dict.fromkeys(stores._paths()))}
        self.made: dict[int, str] = {}
        self.written: list[str] = []

    def lines(self) -> list[str]:
        scope = self.scope
        scope |= {"own_attribute": own_attribute, "drop_attribute": drop_attribute}
        values = [None if s.value is None else self.value(s.value) for s in self.stores.all]
        for store, value in zip(self.stores.all, values):
            text = self.statement(store, value)
            self.written.append(text if store.flag is None else f"if {self.result(store.flag)}: {text}")
        return self.written

    def statement(self, store: Store, value: str | None) -> str:
        holder = self.names[store.path]
        name = repr(store.name) if type(store.name) in (str, int) else named(self.scope, store.name)
        return {
            "attr": f"own_attribute({holder}, {name}, {value})",
            "item": f"{holder}[{name}] = {value}",
            "del attr": f"drop_attribute({holder}, {name})",
            "del item": f"del {holder}[{name}]",
            "append": f"{holder}.append({value})",
            "add": f"{holder}.add({name})",
            "discard": f"{holder}.discard({name})",
            "clear": f"{holder}.clear()",
        }[store.do]

    def value(self, value: Any) -> str:
        if isinstance(value, Out):
            return self.finished(self.result(value.k), value.type, value.weak, self.scope)
        if isinstance(value, There):
            return self.leaf(value.leaf) if value.path is None else self.names[value.path]
        if isinstance(value, Fixed):
            return named(self.scope, value.value)
        if isinstance(value, Pick):
            return f"({self.value(value.then)} if {self.result(value.k)} else {self.value(value.orelse)})"
        if id(value) not in self.made:
            text = self.container(value)
            self.made[id(value)] = name = f"m{len(self.made)}"
            self.written.append(f"{name} = {text}")
        return self.made[id(value)]

    def container(self, made: Made) -> str:
        parts = [self.value(part) for part in made.parts]
        if made.kind is tuple:
            return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
        if made.kind is list:
            return f"[{', '.join(parts)}]"
        keys = [named(self.scope, key) for key in made.keys]
        pairs = ", ".join(f"({key}, {part})" for key, part in zip(keys, parts))
        kind = named(self.scope, made.kind)
        if made.kind is defaultdict:
            return f"{kind}({named(self.scope, made.factory)}, [{pairs}])"
        if issubclass(made.kind, dict):
            return f"{kind}([{pairs}])"
        if made.kind is deque:
            return f"{kind}([{', '.join(parts)}], {made.factory})"
        if made.kind is set:
            return f"{kind}([{', '.join(keys)}])"
        if issubclass(made.kind, tuple):
            return f"{kind}({', '.join(parts)})"
        self.scope["new_object"] = new_object
        return f"new_object({kind}, [{pairs}])"


def own_attribute(holder: Any, name: str, value: Any) -> None:
    """Bind an attribute: setters of the user's have run in the traced code already."""
    if isinstance(holder, type) or not is_record(holder):
        setattr(holder, name, value)
    else:
        set_own(holder, name, value)


def drop_attribute(holder: Any, name: str) -> None:
    """Delete an attribute; there is none if it was bound in the call only."""
    if isinstance(holder, type) or not is_record(holder):
        delattr(holder, name)
    elif has_own(holder, name):
        object.__delattr__(holder, name)


def new_object(kind: type, content: Sequence[tuple[str, Any]]) -> Any:
    made: Any = object.__new__(kind)
    for name, value in content:
        set_own(made, name, value)
    return made


def collected(
    session: Session, params: Sequence[Var], positions: Sequence[int | None], own: dict[int, Any], results: list[Atom]
) -> Stores | None:
    """What a trace has written to things that live on. The values become further results of the program.

    positions  the parameter of each leaf of the arguments; the other parameters are the hidden inputs
    own        what the function's own results are values of
    """
    leaves = {p: k for k, p in enumerate(positions) if p is not None}
    given: dict[str, tuple[Path | None, int]] = {}
    for k, var in enumerate(params):
        found = None if k in leaves else session.hidden.inputs[k - len(leaves)]
        if found is None or (found.path is not None and found.origin != "drawn"):
            given[var.name] = (None, leaves[k]) if found is None else (found.path, -1)
    collector = Collector(session.hidden, given, results)
    for k, value in own.items():
        collector.shares(value, k)
    return collector.collect()


class Collector:
    """Makes `Stores` of what a trace has left behind; `results` is extended by what they need."""

    def __init__(self, hidden: Hidden, params: dict[str, tuple[Path | None, int]], results: list[Atom]):
        self.hidden, self.params, self.results = hidden, params, results
        self.session = hidden.session
        self.own = len(results)
        self.arrays: dict[Any, Out] = {}
        self.made: dict[int, Any] = {}
        self.kept: list[Any] = []  # so that ids stay those of one object
        self.stores: list[Store] = []

    def shares(self, value: Any, k: int) -> None:
        """Result k is this array: if it is stored as well, the same object is."""
        if isinstance(value, Array):
            self.arrays[value.cell, value.maps] = Out(k, False, self.results[k].type)

    def collect(self) -> Stores | None:
        for shadow in self.hidden.shadows.all.values():
            if shadow.changed:
                self._container(shadow)
                self._keep_apart(shadow.real, shadow.path)
        for appended in self.hidden.shadows.appended.values():
            if appended._pending_:
                self._keep_apart(appended._real_, appended._path_)
            for value in appended._pending_:
                self._store(appended._path_, "append", None, value, appended._shown_, self.session.span)
        effects, lives_on = self.hidden.effects, self.hidden.is_container
        for key, value in vars(effects.frame).items():
            place = effects.places[key]
            if value is effects.entries.get((id(place.holder), place.name), MISSING) and lives_on(value):
                continue  # `self.log += [x]` binds the list that it was bound to
            self._store(place.path, place.how, place.name, value, place.shown, place.span)
            if place.how == "attr":
                self._keep_apart(place.holder, place.path)
        return Stores(self.own, len(self.results), self.stores) if self.stores else None

    def _store(self, path: Path, do: str, name: Any, value: Any, shown: str, span: Span | None) -> None:
        flag = None
        if isinstance(value, MaybeUnbound):
            if isinstance(value.bound, Lit):
                if not number(value.bound):
                    return
            else:
                flag = self._result(value.bound)
            value = value.value
        if value is DELETED:
            self.stores.append(Store(path, f"del {do}", name, None, flag, shown, span))
            return
        self.stores.append(Store(path, do, name, self.encode(value, shown, span), flag, shown, span))

    def _container(self, shadow: Shadow) -> None:
        now, entry, path, shown = shadow.now, shadow.entry, shadow.path, shadow.shown

        def store(do: str, name: Any = None, value: Any = None) -> None:
            encoded = None if do in ("clear", "add", "discard", "del item") else self.encode(value, shown, shadow.span)
            self.stores.append(Store(path, do, name, encoded, None, shown, shadow.span))

        if isinstance(now, set):
            for value in sorted(now ^ entry, key=repr):
                assert not isinstance(value, Symbol), "its hash is refused"
                store("add" if value in now else "discard", value)
            return
        if isinstance(now, dict):
            kept = [key for key in entry if key in now]
            if list(now)[: len(kept)] == kept:
                for key in entry:
                    if key not in now:
                        store("del item", key)
                for key, value in now.items():
                    if key not in entry or entry[key] is not value:
                        store("item", key, value)
                return
            place = {key: There(path.item(key)) for key in entry}
            store("clear")
            for key, value in now.items():
                old = key in entry and entry[key] is value
                self._keep(path, "item", key, place[key] if old else self.encode(value, shown, shadow.span), shadow)
            return
        if len(now) >= len(entry) and (len(now) == len(entry) or all(a is b for a, b in zip(now, entry))):
            for k, value in enumerate(now):
                if k >= len(entry):
                    store("append", None, value)
                elif entry[k] is not value:
                    store("item", k, value)
            return
        places = {id(value): There(path.item(k)) for k, value in enumerate(entry)}
        store("clear")
        for value in now:
            encoded = places.get(id(value)) or self.encode(value, shown, shadow.span)
            self._keep(path, "append", None, encoded, shadow)

    def _keep(self, path: Path, do: str, name: Any, encoded: Any, shadow: Shadow) -> None:
        self.stores.append(Store(path, do, name, encoded, None, shadow.shown, shadow.span))

    def _keep_apart(self, real: Any, path: Path) -> None:
        """What is written to must be none of the others of its type that were met: they would change with it."""
        hidden = self.hidden
        met = list(hidden.paths.values())
        met += [(one.real, one.shown, one.path) for one in hidden.shadows.all.values()]
        met += [(one.real, one.shown, one.path) for one in hidden.shadows.appended.values()]
        for value, shown, place in met:
            if value is not real and type(value) is type(real):
                hidden.guards.append(Guard("distinct", path, place, shown))

    def _result(self, atom: Atom) -> int:
        if atom not in self.results[self.own :]:
            self.results.append(atom)
            return len(self.results) - 1
        return self.own + self.results[self.own :].index(atom)

    def encode(self, value: Any, shown: str, span: Span | None) -> Any:
        """The value as something to store."""
        if isinstance(value, Choice):
            if isinstance(value.cond, Lit):
                return self.encode(value.then if number(value.cond) else value.orelse, shown, span)
            then, orelse = (self.encode(v, shown, span) for v in (value.then, value.orelse))
            return Pick(self._result(value.cond), then, orelse)
        if isinstance(value, Symbol):
            return self._symbol(value)
        if type(value) is Appended:
            return There(value._path_)
        shadow = self.hidden.shadows.of(value)
        if shadow is not None:
            return There(shadow.path)
        if is_record(value) and id(value) in self.hidden.paths:
            return There(self.hidden.paths[id(value)][2])
        if isinstance(value, np.ndarray):
            return self._out(as_value(self.session, value, shown)[0], False)
        if value is None or is_fixed(value):
            if isinstance(value, types.FunctionType) and FUNCTIONS["holds traced"](value):
                raise self._not_stored(value, shown, span)
            return Fixed(value)
        if id(value) not in self.made:
            self.kept.append(value)
            self.made[id(value)] = None
            self.made[id(value)] = self._made(value, shown, span)
        if self.made[id(value)] is None:
            raise UnsupportedSyntax(f"{shown} is set to a {type(value).__name__} that contains itself", span)
        return self.made[id(value)]

    def _symbol(self, value: Symbol) -> Any:
        atom = value.read() if isinstance(value, Scalar) or not value.maps else None
        if isinstance(atom, Var) and atom.name in self.params:
            return There(*self.params[atom.name])
        if isinstance(value, Array):
            key = value.cell, value.maps
            if key not in self.arrays:
                self.arrays[key] = self._out(value.read(), False, fresh=True)
            return self.arrays[key]
        return self._out(value.read(), value.weak)

    def _out(self, atom: Atom, weak: bool, fresh: bool = False) -> Out:
        if fresh:
            self.results.append(atom)
            return Out(len(self.results) - 1, weak, atom.type)
        return Out(self._result(atom), weak, atom.type)

    def _made(self, value: Any, shown: str, span: Span | None) -> Made:
        kind = type(value)

        def all_of(values: Any) -> tuple[Any, ...]:
            return tuple(self.encode(v, shown, span) for v in values)

        if isinstance(value, StagedList) and value.rows is None:
            return Made(list, (), all_of(value))
        if kind in (tuple, list):
            return Made(kind, (), all_of(value))
        if kind is deque:
            return Made(kind, (), all_of(value), value.maxlen)
        if kind in (dict, OrderedDict, defaultdict):
            return Made(kind, tuple(value), all_of(value.values()), getattr(value, "default_factory", None))
        if kind is set:
            if not any(isinstance(v, Symbol) for v in value):
                return Made(kind, tuple(value), ())
        elif isinstance(value, tuple) and hasattr(kind, "_fields"):
            return Made(kind, (), all_of(value))
        elif is_record(value) and not isinstance(value, (dict, list, set, tuple)):
            content = attributes(value)
            return Made(kind, tuple(content), all_of(content.values()))
        raise self._not_stored(value, shown, span)

    def _not_stored(self, value: Any, shown: str, span: Span | None) -> PullbackError:
        return UnsupportedSyntax(
            f"{shown} is set to a {type(value).__name__} that the call makes: it would be the same one at each call. "
            "Store numbers, arrays, strings, or containers of them",
            span,
        )
