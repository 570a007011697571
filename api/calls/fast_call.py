"""A whole call as one generated function: does it fit the form, run the machine code, give the results their form.

A gradient of small arrays takes about a microsecond in all, so nothing here is general: the containers are taken
apart by name, the tests are written out, the machine code is entered directly. Whatever does not fit goes the
long way (`Traceable.find`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from ..ir.types import DTYPES, OF_PYTHON, Type
from ..runtime import locks, options
from ..runtime.compile import by_numba, entry, entry_point
from ..runtime.entry.record import Condition, Container, Front, Look, Param
from ..tracer.outside.paths import BY_VALUE, UNREADABLE, Path, cell_of, named
from ..tracer.trace import Input, Traced
from .guards import (
    SCALARS,
    canonical,
    guard_text,
    is_drawn,
    overlap_tests,
    parameters,
    read_hidden,
    static_tests,
    tests,
)  # fmt: skip
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
    traced: Traced, tree: Tree, function: Callable[..., Any], params: Sequence[Any], results: Results,
    settings: options.Options, effects: Writer | None = None,
) -> Call:  # fmt: skip
    """`call(args, kwargs)`: the user's result, or MISS if the call does not fit.

    `function` is what `compile_source` gave, and was called with `params` before.
    """
    fast = _by_entry(traced, tree, function, params, results, settings, effects)
    if fast is not None:
        return fast
    run = entry_point(function, tuple(params))
    count, expression, names = results
    scope: dict[str, Any] = {**names, "run": run}
    lines = _beginning(traced, tree, scope, settings)
    lines += tests(traced, scope, "MISS")
    lines += effects.before(scope, "MISS") if effects else []
    given = parameters(traced)
    split = getattr(run, "outputs", None)
    if split is None or count < 0:
        lines.append(f"    {targets(count)}run({', '.join(given)})")
    else:  # its Python part is written out here
        scope |= {"run": run.kernel, "np": np}  # type: ignore[attr-defined]
        written = split.renamed(given).lines("run", [f"r{k}" for k in range(count)])
        lines += [f"    {line}" for line in written]
    lines += _stored(effects, traced, scope, count)
    return _defined(lines, expression, scope)


class Writer(Protocol):
    """Lines of a call that find what is written to outside, and that write it (api/calls/effects.py)."""

    def before(self, scope: dict[str, Any], miss: str) -> list[str]: ...

    def after(self, scope: dict[str, Any], result: Callable[[int], str], leaf: Callable[[int], str]) -> list[str]: ...


def _stored(effects: Writer | None, traced: Traced, scope: dict[str, Any], count: int) -> list[str]:
    if effects is None:
        return []
    leaves = [f"s{k}" if p is None else f"a{p}" for k, p in enumerate(traced.leaves)]
    result = "values[{}]".format if count < 0 else "r{}".format
    return [f"    {line}" for line in effects.after(scope, result, leaves.__getitem__)]


def _by_entry(
    traced: Traced, tree: Tree, function: Callable[..., Any], params: Sequence[Any], results: Results,
    settings: options.Options, effects: Writer | None,
) -> Call | None:  # fmt: skip
    """The call by machine code that tests and converts (`runtime.entry`); None if that cannot do it.

    Where the entry can also take the arguments apart, look outside and put the result together, it is all of the call.
    """
    if not by_numba(function) or any(map(is_drawn, traced.hidden)):  # an entry may look, and then not fit
        return None
    if any(given.zero_dim for given in traced.inputs):  # an entry would hand over the arrays
        return None
    count, expression, names = results
    given = parameters(traced)
    front = None if effects else _front(traced, tree, settings)
    kinds = tuple(map(_kind, traced.inputs))
    guards = guard_text(traced)
    shape = (tuple(params), kinds, MISS, guards)
    made = entry(function, *shape, expression, names, front) if count >= 0 and not effects else None
    if made is not None and front is not None:
        return made
    whole = made is not None
    made = made or entry(function, *shape)
    if made is None:
        return None
    scope: dict[str, Any] = {**names, "run": made}
    lines = _beginning(traced, tree, scope, settings)
    lines += [*static_tests(traced, scope, "MISS"), *read_hidden(traced, scope, "MISS")]
    lines += effects.before(scope, "MISS") if effects else []
    lines += [f"    values = run({', '.join(given)})", "    if values is MISS: return MISS"]
    lines += overlap_tests(traced, scope)  # now that these are arrays; the caller's are as they were
    if whole:
        return _defined(lines, "values", scope)
    if count >= 0:
        lines.append(f"    {targets(count)}values")
    lines += _stored(effects, traced, scope, count)
    return _defined(lines, expression, scope)


def _front(traced: Traced, tree: Tree, settings: options.Options) -> Front | None:
    """What an entry must know to be the whole call; None if Python has to do something of it."""
    if traced.written:
        return None
    leaves = [by_identity(traced.static[k]) if p is None else p for k, p in enumerate(traced.leaves)]
    args, kwargs = (_container(child, leaves) for child in tree.children)
    if args is None or kwargs is None:
        return None
    conditions = []
    for guard in traced.hidden_guards:
        if guard.kind == "absent":
            scope = guard.path.holder.__globals__
            conditions.append(Condition(Look(scope, (("item", guard.expected),)), "absent", None))
            continue
        look = _look(guard.path if guard.kind != "method" else guard.path.attr("__func__"))
        if look is None or guard.kind in ("keys", "items", "same", "distinct"):
            return None
        kind, expected = guard.kind, guard.expected
        if kind == "equal":
            kind, expected = by_identity(expected)
        conditions.append(Condition(look, "is" if kind == "method" else kind, expected))
    hidden = []
    for found in traced.hidden:
        look = Look(found.value) if found.path is None else _look(found.path)
        if look is None:
            return None
        try:
            value = found.value if found.path is None else found.path(())
        except UNREADABLE:
            return None
        if canonical(value) is not value:  # it must be made as compiled code takes it at each call
            return None
        hidden.append(look)
    outside = tuple(conditions), tuple(hidden)
    return Front(settings, vars(options), options.variable, options.current, args, kwargs, *outside)


def _container(tree: Tree, leaves: list[Any]) -> Any:
    """A container whose leaves are the next of `leaves`, as `Front` has it; None if only Python can take it apart."""
    if tree.kind is None:
        return leaves.pop(0)
    if tree.kind is type(None):
        return "is", None
    children = tuple(_container(child, leaves) for child in tree.children)
    keys = tuple(tree.keys) if tree.kind is dict else ()
    if tree.kind not in (tuple, list, dict) or None in children or any(type(key) not in (str, int) for key in keys):
        return None
    return Container(tree.kind, children, keys)


def by_identity(expected: Any) -> tuple[str, Any]:
    """How a value is compared with what is expected: as `differs` has it."""
    by_value = isinstance(expected, BY_VALUE) and not (expected is None or isinstance(expected, bool))
    return ("equal" if by_value else "is"), expected


def _look(path: Path) -> Look | None:
    steps = path.steps
    if path.kind == "leaf":
        return None
    if path.kind == "object":
        return Look(path.holder, steps)
    if path.kind == "closure":
        return Look(cell_of(path.holder, steps[0][1]), (("cell", ""), *steps[1:]))
    if path.kind == "global":
        return Look(path.holder.__globals__, steps)
    return Look(path.holder, (("attr", "__defaults__"), *steps))


def _kind(given: Input) -> Param:
    if given.type.rank or given.zero_dim:
        return Param(given.type.dtype, given.type.rank, False, tuple(given.type.dims))
    return Param(given.type.dtype, None, given.weak)


class Repeated:
    """A compiled program that is called with arguments of one kind: by an entry from the third time on."""

    def __init__(self, function: Callable[..., Any]):
        self._function = function
        self._entry: Any = None
        self._calls = 0
        self._lock = locks.make()

    def __call__(self, *args: Any) -> tuple[Any, ...]:
        if self._entry is not None:
            found = self._entry(*args)
            if found is not MISS:
                return found
        found = self._function(*args)
        if self._calls < 2:
            with self._lock:
                self._calls += 1
                params = [param_of(a) for a in args] if self._calls == 2 else [None]
                if None not in params:
                    self._entry = entry(self._function, args, tuple(params), MISS)
        return found


def param_of(value: Any) -> Param | None:
    """A parameter of the type of this value, as generated code takes it."""
    if type(value) is np.ndarray:
        found = next((name for name, row in DTYPES.items() if row.numpy is value.dtype), None)
        return Param(found, value.ndim, False, (None,) * value.ndim) if found else None
    weak = OF_PYTHON.get(type(value))
    found = weak or next((name for name, kind in SCALARS.items() if kind is type(value)), None)
    return Param(found, None, weak is not None) if found else None


def _beginning(traced: Traced, tree: Tree, scope: dict[str, Any], settings: options.Options) -> list[str]:
    """Lines that look at the options and bind the leaves of the arguments."""
    scope |= {"MISS": MISS, "unreadable": UNREADABLE}
    scope |= {"options": options, "local": options.local, "settings": settings, "current": options.current}
    leaves = [f"a{p}" if p is not None else f"s{k}" for k, p in enumerate(traced.leaves)]
    positional, keywords = tree.children
    return [
        "def call(args, kwargs):",
        "    if (options.everywhere if local() is None else current()) is not settings: return MISS",
        *take_apart(positional, "args", leaves[: positional.count], scope),
        *take_apart(keywords, "kwargs", leaves[positional.count :], scope),
    ]


def _defined(lines: list[str], expression: str, scope: dict[str, Any]) -> Call:
    exec("\n".join([*lines, f"    return {expression}"]), scope)
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
    for _, result, placed in traced.out_leaves:
        if placed:
            type_ = traced.program.results[result.k].type
            texts.append(finished(f"r{result.k}", type_, result.weak, scope))
        else:
            texts.append(named(scope, result))
    return len(traced.program.results), put_together(out, texts, scope), scope
