"""Programs of recorded operations: to print, and to run what was recorded often as compiled code.

A `Structure` is what several runs of one loop have in common: operations, how they are connected, dtypes and
ranks; numbers and sizes are inputs. Its programs are traced like a user's function: the definitions of the
operations are called on symbols again, and their adjoints written behind one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls.forms import Traceable
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.errors import PullbackError
from ..ir.passes import optimise
from ..ir.program import Atom, Program, Span, Var
from ..ir.walk import free, inline, map_type
from ..stages import Compilation
from ..tracer.nested import capture
from ..tracer.session import tracing
from ..tracer.values.convert import renamed
from ..tracer.values.symbol import as_value, require_session, wrap
from .kernels import Entry, Plan
from .kinds import Kind
from .tape import Node, Value, freed

COMPILE_AT = 3
"""A structure is compiled at its third backward; until then it is interpreted."""

LARGEST = 100
"""Structures of more operations stay interpreted: to compile them takes many seconds and gains little."""


class Layout:
    """Recorded operations by number, and what they are computed from.

    rows     per operation its plan and where its operands come from: k >= 0 operation k, else leaf -1 - k
    leaves   the arrays and numbers that no recorded operation made, and `nodes` their nodes (None: constant)
    between  results of operations that derivatives read: number -> array
    """

    def __init__(self, order: Sequence[Node], printing: bool = False):
        self.order = order
        self.leaves: list[Any] = []
        self.nodes: list[Node | None] = []
        self.values: list[Any] = []
        self.between: dict[int, Any] = {}
        self.place: dict[Any, int] = {}
        rows = []
        place = self.place
        for number, node in enumerate(order):
            saved = node.saved
            if saved is None:
                if not printing:
                    raise freed(node)
                saved = node.plan.entry.kinds  # type: ignore[union-attr]
            row: list[Any] = [node.plan]
            for parent, value in zip(node.parents, saved):
                if parent is not None and parent.plan is not None:
                    at = place[parent]
                    if type(value) is Value:
                        self.between[at] = value.array
                else:
                    key = (
                        parent if parent is not None else value if type(value) is Value else (node, len(row))
                    )
                    found = place.get(key)
                    at = self._leaf(key, parent, value) if found is None else found
                row.append(at)
            place[node] = number
            rows.append(tuple(row))
        self.rows = tuple(rows)

    def _leaf(self, key: Any, parent: Node | None, value: Any) -> int:
        self.values.append(value)
        self.leaves.append(value.array if type(value) is Value else value)
        self.nodes.append(parent)
        at = self.place[key] = -len(self.leaves)
        return at


class Structure:
    """Connected operations; `form` gives the program for inputs of these sizes."""

    def __init__(self, rows: tuple[tuple[Any, ...], ...], roots: tuple[int, ...], targets: tuple[int, ...]):
        self.rows = rows
        self.roots = roots
        self.targets = targets
        self.runs = 0
        self.broken = "too many operations" if len(rows) > LARGEST else None
        if not all(isinstance(row[0].entry, Entry) for row in rows):
            self.broken = "derivatives of derivatives are interpreted"
        self.traceable = Traceable(_Backward(self, [None] * len(rows), {}))


class _Replay:
    """The recorded operations as a function of the leaves."""

    __name__ = "graph"

    def __init__(
        self, rows: Any, roots: tuple[int, ...], spans: Sequence[Span | None], names: dict[int, str]
    ):
        self.rows = rows
        self.roots = roots
        self.spans = spans
        self.names = names

    def __call__(self, *leaves: Any) -> Any:
        results = self.forward(leaves)
        values = tuple(results[k] if k >= 0 else leaves[-1 - k] for k in self.roots)
        return values[0] if len(values) == 1 else values

    def forward(self, leaves: Sequence[Any]) -> list[Any]:
        session = require_session()
        results: list[Any] = []
        for number, (plan, *places) in enumerate(self.rows):
            with session.at(self.spans[number]):
                operands = [results[k] if k >= 0 else leaves[-1 - k] for k in places]
                result = plan.entry.applied(*operands)
                atom = as_value(session, result)[0]
                if number in self.names:
                    session.builder.name_last(atom, self.names[number])
                results.append(wrap(session, atom))
        return results

    @property
    def __pullback_call__(self) -> Callable[..., Any]:
        return self.__call__


class _Backward(_Replay):
    """The cotangents of `targets`: a function of the leaves, the results that are read, and the seeds."""

    __name__ = "backward"

    def __init__(self, structure: Structure, spans: Sequence[Span | None], names: dict[int, str]):
        super().__init__(structure.rows, structure.roots, spans, names)
        self.targets = structure.targets
        self.between = needed_results(structure.rows)
        self.leaves = 1 + max((-1 - k for row in self.rows for k in row[1:] if k < 0), default=-1)

    def __call__(self, *inputs: Any) -> Any:
        session = require_session()
        leaves = inputs[: self.leaves]
        given = inputs[self.leaves : self.leaves + len(self.between)]
        results = self.forward(leaves)  # for the sizes: what is not read otherwise is dropped
        for number, value in zip(self.between, given):
            results[number] = _same_sizes(value, results[number])
        bars: dict[int, Any] = {}
        masked: set[int] = set()  # their cotangents came through a `where`
        for root, seed in zip(self.roots, inputs[self.leaves + len(self.between) :]):
            _add(bars, root, _same_sizes(seed, results[root]))
        for number in reversed(range(len(self.rows))):
            bar = bars.get(number)
            if bar is None:
                continue
            plan, *places = self.rows[number]
            if number in masked:
                plan = plan.masked
            masked.update(places[k] for k in plan.masks)
            operands = [results[k] if k >= 0 else leaves[-1 - k] for k in places]
            with session.at(self.spans[number]):
                for k, part in zip(plan.wrt, _pulled(plan, operands, bar)):
                    _add(bars, places[k], part)
        return tuple(bars[k] for k in self.targets)


def _add(bars: dict[int, Any], place: int, part: Any) -> None:
    bars[place] = bars[place] + part if place in bars else part


def _same_sizes(value: Any, like: Any) -> Any:
    """The value, whose sizes are those of `like`."""
    session = require_session()
    atom = value.read()
    dims = like.type.dims
    for axis, dim in enumerate(dims):
        if not session.equal_dims(dim, atom.type.dims[axis], (dims, atom.type.dims), "a recorded value"):
            atom = renamed(session, atom, axis, dim, "a recorded value")
    return _canonical(atom)


def _canonical(atom: Atom) -> Any:
    """The value as a symbol, its sizes under the names that are in use."""
    session = require_session()
    if isinstance(atom, Var) and atom.type.dims:
        atom = Var(atom.name, map_type(atom.type, session.builder.canonical_dim))
    return wrap(session, atom)


def _pulled(plan: Plan, operands: list[Any], bar: Any) -> list[Any]:
    session = require_session()

    def run(symbols: list[Any]) -> list[Any]:
        return [plan.entry.applied(*symbols)]

    operands = [_canonical(as_value(session, x)[0]) for x in operands]
    part = capture(session, run, operands, plan.entry.function.name, pure="an operation")
    seed = _canonical(as_value(session, bar)[0]).read()
    wrt = [param for k in plan.wrt if (param := part.positions[k]) is not None]
    cotangents = adjoint(part.program, wrt, masked=plan.after_mask)
    bars = inline(session.builder, cotangents, [*part.values, seed])
    return [wrap(session, atom) for atom in bars]


def needed_results(rows: Any) -> list[int]:
    """Operations whose results derivatives read, in order."""
    found = {k for plan, *places in rows for k, needed in zip(places, plan.needs) if needed and k >= 0}
    return sorted(found)


def pruned(program: Program) -> tuple[Program, tuple[int, ...]]:
    """The program without the parameters that it does not use, and the places of those that stay."""
    used = free(program.body) | {r.name for r in program.results if isinstance(r, Var)}
    kept = tuple(k for k, v in enumerate(program.params) if v.name in used)
    params = tuple(program.params[k] for k in kept)
    return replace(program, params=params, origins=()), kept


class Prepared:
    """Compiled code for one layout, exactly: what it takes of the inputs, and what it gives."""

    __slots__ = ("structure", "function", "kept", "between")

    def __init__(self, structure: Structure, layout: Layout):
        self.structure = structure
        self.function: Callable[..., Any] | None = None
        self.kept: tuple[int, ...] = ()
        self.between = needed_results(layout.rows)

    def run(self, layout: Layout, seeds: list[Any]) -> Any:
        """The cotangents by compiled code, None if there is none yet."""
        function = self.function
        structure = self.structure
        structure.runs += 1
        if function is None and (structure.runs < COMPILE_AT or structure.broken):
            return None
        inputs = [*layout.leaves, *[layout.between[k] for k in self.between], *seeds]
        if function is None:
            try:
                with tracing(None):  # type: ignore[arg-type]
                    form = structure.traceable.find(tuple(map(_plain, inputs)), {})[0]
                function, self.kept = _compiled(form)
            except PullbackError as error:  # rather slow than not at all: it can always be interpreted
                structure.broken = str(error)
                return None
            self.function = function
        return function(*[_plain(inputs[k]) for k in self.kept])


def _compiled(form: Any) -> tuple[Callable[..., Any], tuple[int, ...]]:
    found = form.entries.get("eager")
    if found is None:
        program, kept = pruned(form.program)
        function = Compilation(program).function()
        found = form.entries["eager"] = function, kept
    return found


def _plain(value: Any) -> Any:
    """As compiled code takes it."""
    if type(value) is not np.ndarray:
        return value
    if not value.ndim:
        return value[()]
    return value if value.flags.carray else np.array(value, order="C")


_exact: dict[Any, Prepared] = {}
_structures: dict[Any, Structure] = {}


def prepare(layout: Layout, roots: tuple[int, ...], targets: tuple[int, ...]) -> Prepared:
    key = (layout.rows, roots, targets)
    prepared = _exact.get(key)
    if prepared is None:
        if len(_exact) > 4096:
            _exact.clear()
            _structures.clear()
        general = tuple((p.entry.key, p.wrt, *places) for p, *places in layout.rows)
        structure = _structures.setdefault((general, roots, targets), Structure(layout.rows, roots, targets))
        prepared = _exact[key] = Prepared(structure, layout)
    return prepared


# -- to print ------------------------------------------------------------------------------------------


def forward_program(layout: Layout, roots: tuple[int, ...], names: dict[int, str]) -> Program:
    """What was recorded, as a function of the leaves."""
    replay = _Replay(layout.rows, roots, _spans(layout), names)
    return _traced(replay, _examples(layout), _leaf_names(layout, names))


def backward_program(
    layout: Layout, roots: tuple[int, ...], targets: tuple[int, ...], names: dict[int, str]
) -> Program:
    """What backward runs: of the leaves and saved results that it reads, and the seeds."""
    structure = Structure(layout.rows, roots, targets)
    replay = _Backward(structure, _spans(layout), names)
    examples = _examples(layout)
    given = _leaf_names(layout, names)
    for k in replay.between:
        examples.append(layout.order[k].kind.example()[()])
        given.append(names.get(k, "t"))
    for k in roots:
        examples.append(layout.order[k].kind.example()[()])
        given.append(f"{names.get(k, 'result')}_bar")
    return pruned(_traced(replay, examples, given))[0]


def _spans(layout: Layout) -> list[Span | None]:
    """The user's lines, where there is a text of them."""
    spans = [node.span for node in layout.order]
    return [span if span is not None and span.text else None for span in spans]


def _examples(layout: Layout) -> list[Any]:
    arrays = (v.example() if isinstance(v, Kind) else v for v in layout.leaves)
    return [v[()] if isinstance(v, np.ndarray) else v for v in arrays]


def _leaf_names(layout: Layout, names: dict[int, str]) -> list[str]:
    return [names.get(-1 - k, "c" if node is None else "x") for k, node in enumerate(layout.nodes)]


def _traced(replay: _Replay, examples: list[Any], names: list[str]) -> Program:
    traceable = Traceable(replay)
    traceable.names = lambda tree: names  # type: ignore[method-assign]
    with tracing(None):  # type: ignore[arg-type]
        return optimise(traceable.find(tuple(examples), {})[0].program)
