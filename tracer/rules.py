"""A call of a function that has a derivative rule of its own: a node of the program, with the rule as programs.

Function and rule are traced at the call, each in a region of its own that is thrown away: what is left are programs of
the arguments, and of what they use from outside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..ir.build import dim_atom
from ..ir.calls import call, results_of, size_heads
from ..ir.errors import TypeMismatch, UnsupportedFunction
from ..ir.passes import dead_code, optimise
from ..ir.program import Atom, Call, Function, Lit, Node, Program, Rule, Var
from ..ir.types import I64, Dim
from ..ir.walk import bound, defined, inline, rebuilt, substitute, substitution, walk
from .control.branches import region
from .naming import identifier
from .nested import Captured, capture, is_number, mentioned
from .numpy.arguments import same_size
from .session import Session
from .values.symbol import Array, Cell, as_value, wrap

DEEPEST = 3
"""Rules that call functions with rules are traced so deep: a derivative of order n needs n of them."""
DEEP = (
    "the rule of {} is needed for a derivative of an order above {}, in rules that call functions with rules of their "
    "own. Write the rules without such calls"
)
Run = Callable[[list[Any]], tuple[list[Any], Any]]
"""Of symbols for the leaves of arguments: the leaves of what the user's function returns, and the form."""

RULED = "a function that has a derivative rule of its own, or its rule,"
"""It is a node of the program, which others may run again."""


@dataclass
class UserRule:
    """What the user gave, on leaves. `forward` and `backward` belong together.

    forward    (arguments) -> results, residuals
    backward   (results, residuals, cotangents of the float results) -> a value for each float argument
    push       (arguments, tangents of the float arguments) -> results, tangents of the float results
    """

    forward: Callable[[list[Any]], tuple[list[Any], list[Any]]] | None = None
    backward: Callable[[list[Any], list[Any]], list[Any]] | None = None
    push: Callable[[list[Any], list[Any]], tuple[list[Any], list[Any]]] | None = None
    again: bool = False
    """No rule: the function is done again by the reverse sweep."""


@dataclass
class Known:
    """A function that was traced, or is being traced while its rule calls it."""

    function: Function
    outside: list[Var]
    captured: Captured
    form: Any
    shown: list[tuple[int, Cell | int]]
    """Results that show memory of a leaf (by its number), or of another array."""
    sharing: list[tuple[int, int]]


def call_with_rule(
    session: Session, name: str, key: Any, run: Run, leaves: list[Any], hints: list[str], rule: UserRule
) -> tuple[list[Any], Any]:
    """What a call of `run` gives, whose derivatives are `rule`."""
    builder = session.builder
    values = [as_value(session, leaf) if is_number(leaf) else None for leaf in leaves]
    given = [value[0] for value in values if value is not None and value[0].type.is_float]
    whole_key = key, tuple(_kind(builder, leaf, value) for leaf, value in zip(leaves, values))
    known = session.rules.get(whole_key)
    if known is None:
        known = _Tracing(session, name, whole_key, leaves, values, hints).known(run, rule)
    atoms = call(builder, known.function, [*given, *known.outside])
    results = known.captured.returned(session, atoms)
    for k, base in known.shown:
        cell = base if isinstance(base, Cell) else getattr(leaves[base], "cell", None)
        if cell is not None and isinstance(results[k], Array):
            results[k].cell.show([cell])
    for k, other in known.sharing:
        if not isinstance(results[k], Array):
            continue
        results[k].cell.show([results[other].cell])
        results[other].cell.freeze(results[k].cell.frozen)
    return results, known.form


def _kind(builder: Any, leaf: Any, value: tuple[Atom, bool] | None) -> Any:
    if value is None:
        return type(leaf), id(leaf)
    atom, weak = value
    if atom.type.is_float:
        return atom.type.dtype, tuple(map(builder.canonical_dim, atom.type.dims)), weak
    return atom, weak


class _Tracing:
    """One function and its rule on the way to programs."""

    def __init__(
        self, session: Session, name: str, key: Any, leaves: list[Any], values: Sequence[tuple[Atom, bool] | None],
        hints: list[str],
    ):  # fmt: skip
        self.session, self.name, self.key = session, name, key
        self.builder = session.builder
        self.params: list[Var] = []
        self.leaves: list[Any] = []
        self.floats: list[tuple[int, bool]] = []
        for k, (leaf, value) in enumerate(zip(leaves, values)):
            if value is None or not value[0].type.is_float:
                self.leaves.append(leaf)
                continue
            atom, weak = value
            param = self.builder.var(identifier(hints[k]), atom.type)
            self.params.append(param)
            self.floats.append((k, weak))
            self.leaves.append(self.symbol(param, weak, leaf))

    def symbol(self, atom: Atom, weak: bool, like: Any = None) -> Any:
        found = wrap(self.session, atom, weak=weak)
        if isinstance(like, Array) and not isinstance(found, Array):  # of rank 0
            return Array(self.session, Cell(self.session, atom))
        return found

    # -- the programs ----------------------------------------------------------------------------------

    def known(self, run: Run, rule: UserRule) -> Known:
        session = self.session
        with region(session):
            shown: list[tuple[int, Cell | int]] = []
            sharing: list[tuple[int, int]] = []
            self.why = "is done again for its derivative" if rule.again else "has a derivative rule of its own"
            primal = functools.partial(self.primal, run, shown, sharing)
            captured = capture(session, primal, self.leaves, self.name, pure=RULED)
            body, results = self.inlined(captured)
            slots = self.local_sizes(results, body)
            program = self.program(self.name, body, [*results, *self.sizes(results, slots)])
            (settled,) = self.settled(program)
            outside = self.outside_of(settled)
            deep = len(session.rules) >= DEEPEST
            missing = DEEP.format(self.name, DEEPEST) if deep and not rule.again and rule != UserRule() else ""
            rules = Rule(missing=missing, again=rule.again)
            function = Function(self.name, self.closed(settled, outside), len(self.params), len(results), rules)
            known = Known(function, outside, captured, self.form, shown, sharing)
            session.rules[self.key] = known
            try:
                made = self.rules(UserRule() if deep else rule, captured, results, slots)
            finally:
                del session.rules[self.key]
            self.close(known, program, made)
        return known

    def primal(self, run: Run, shown: list[Any], sharing: list[Any], symbols: list[Any]) -> list[Any]:
        """Run the function; note which results show memory of what was there before."""
        session = self.session
        own = {id(s.cell): k for k, s in enumerate(symbols) if isinstance(s, Array)}
        before = {k: s.cell.value for k, s in enumerate(symbols) if isinstance(s, Array)}
        older = {id(cell()) for cell in session.cells if cell() is not None}
        returned, self.form = run(symbols)
        for k, value in before.items():
            if symbols[k].cell.value is not value:
                raise session.error(
                    UnsupportedFunction, f"{self.name}, which {self.why}, writes to its argument "
                    f"{symbols[k].cell.name!r}. Work on a copy, and return it",
                )  # fmt: skip
        seen: dict[int, int] = {}
        for k, value in enumerate(returned):
            if not isinstance(value, Array):
                continue
            if id(value.cell) in own:
                shown.append((k, own[id(value.cell)]))
            elif id(value.cell) in older:
                shown.append((k, value.cell))
            elif id(value.cell) in seen:
                sharing.append((k, seen[id(value.cell)]))
            seen.setdefault(id(value.cell), k)
        return returned

    def inlined(self, captured: Captured) -> tuple[list[Node], list[Atom]]:
        """A captured program in terms of the values out here."""
        with self.builder.open() as body:
            results = inline(self.builder, captured.program, captured.values)
        return body, list(results)

    def rules(
        self, rule: UserRule, primal: Captured, results: list[Atom], slots: list[tuple[int, int]]
    ) -> dict[str, Program]:
        made: dict[str, Program] = {}
        if rule.forward is not None and rule.backward is not None:
            made["forward"], made["backward"] = self.halves(rule.forward, rule.backward, primal, results, slots)
        if rule.push is not None:
            made["push"] = self.push(rule.push, primal, results, slots)
        return made

    def halves(
        self, forward: Any, backward: Any, primal: Captured, results: list[Atom], slots: list[tuple[int, int]]
    ) -> tuple[Program, Program]:
        session, builder = self.session, self.builder
        count: list[int] = []

        def run(symbols: list[Any]) -> list[Any]:
            outs, kept = forward(symbols)
            count.append(len(outs))
            return [*outs, *kept]

        name = f"{self.name}_fwd"
        captured = capture(session, run, self.leaves, name, pure=RULED)
        body, atoms = self.inlined(captured)
        outs, sizes = self.matched(captured, atoms, primal, results, slots, body, "the forward half")
        rest = atoms[len(results) :]
        own = {p.name for p in self.params} | {a.name for a in outs if isinstance(a, Var)}
        kept = [a for a in dict.fromkeys(rest) if isinstance(a, Var) and a.name not in own and self.is_local(a, body)]
        local = self.local_sizes(kept, body)
        first = self.program(name, body, [*outs, *sizes, *kept, *self.sizes(kept, local)])
        # What the backward half gets: the names that a call of the forward half gives.
        ends = results_of(builder, first, first.params)
        builder.add(Call(ends, Function(name, first), first.params))
        stands = {a.name: v for a, v in zip((*outs, *kept), (*ends[: len(outs)], *ends[len(outs) + len(sizes) :]))
                  if isinstance(a, Var)}  # fmt: skip
        read = iter(rest)
        residuals = []
        for value, weak in captured.read[count[0] :]:
            if not isinstance(value, (Var, Lit)):
                residuals.append(value)
                continue
            atom = next(read)
            residuals.append(wrap(session, stands.get(getattr(atom, "name", ""), atom), weak=weak))
        bars, seeds = self.beside(primal, ends, "bar")
        pulled = capture(
            session, lambda symbols: backward(residuals, symbols), seeds, f"{self.name}_bwd", pure=RULED
        )
        second, cotangents = self.inlined(pulled)
        whole = self.program(f"{self.name}_bwd", second, cotangents)
        return first, replace(whole, params=(*whole.params, *ends, *bars))

    def beside(self, primal: Captured, ends: Sequence[Atom], what: str) -> tuple[list[Var], list[Any]]:
        """For each float result a cotangent, or a tangent: its variable, and its symbol."""
        found: list[Var] = []
        symbols: list[Any] = []
        for (_, weak), k in zip(primal.read, primal.results):
            if k is not None and ends[k].type.is_float:
                name = getattr(ends[k], "name", "y")
                found.append(self.builder.var(f"{name}_{what}", ends[k].type))
                symbols.append(wrap(self.session, found[-1], weak=weak))
        return found, symbols

    def push(self, push: Any, primal: Captured, results: list[Atom], slots: list[tuple[int, int]]) -> Program:
        session, name = self.session, f"{self.name}_jvp"
        dots = [self.builder.var(f"{p.name}_dot", p.type) for p in self.params]
        moved = [self.symbol(d, weak, self.leaves[k]) for d, (k, weak) in zip(dots, self.floats)]
        count = len(self.leaves)

        def run(symbols: list[Any]) -> list[Any]:
            outs, tangents = push(symbols[:count], symbols[count:])
            return [*outs, *tangents]

        captured = capture(session, run, [*self.leaves, *moved], name, pure=RULED)
        body, atoms = self.inlined(captured)
        outs, sizes = self.matched(captured, atoms, primal, results, slots, body, "the pushforward")
        program = self.program(name, body, [*outs, *sizes, *atoms[len(results) :]])
        return replace(program, params=(*program.params, *dots))

    def matched(
        self, captured: Captured, atoms: list[Atom], primal: Captured, results: list[Atom],
        slots: list[tuple[int, int]], body: list[Node], what: str,
    ) -> tuple[list[Atom], list[Atom]]:  # fmt: skip
        """The results that a half of the rule gives: those of the function, or it is refused."""
        session = self.session
        shown = f"{what} of the rule of {self.name}"
        outs = list(atoms[: len(results)])
        if captured.results[: len(primal.results)] != primal.results:
            raise session.error(TypeMismatch, f"{shown} must return what {self.name} returns, in its structure")
        with self.builder.reopen(body):
            for k, (out, result) in enumerate(zip(outs, results)):
                if (out.type.dtype, out.type.rank) != (result.type.dtype, result.type.rank):
                    met = f"{shown} returns {out.type} where {self.name} returns {result.type}"
                    raise session.error(TypeMismatch, met)
                shapes = out.type.dims, result.type.dims
                for axis, size in enumerate(result.type.dims):
                    slot = self.slot_of(results, slots, size)
                    if slot is not None:
                        size = outs[slot[0]].type.dims[slot[1]]
                    if slot != (k, axis):
                        outs[k] = same_size(session, outs[k], axis, size, shapes, f"{shown} and {self.name} itself")
        return outs, self.sizes(outs, slots)

    # -- sizes -----------------------------------------------------------------------------------------

    def is_local(self, atom: Var, body: list[Node]) -> bool:
        """Is it computed in this body?"""
        return any(atom in defined(node) for node in body)

    def local_sizes(self, values: Sequence[Atom], body: list[Node]) -> list[tuple[int, int]]:
        """Where sizes stand that the body computes: value and axis, each at its first place."""
        own = {v.name for node in body for v in defined(node)}
        found: dict[Dim, tuple[int, int]] = {}
        for k, value in enumerate(values):
            for axis, size in enumerate(value.type.dims):
                if size in own:
                    found.setdefault(size, (k, axis))
        return list(found.values())

    def sizes(self, values: Sequence[Atom], slots: list[tuple[int, int]]) -> list[Atom]:
        return [dim_atom(values[k].type.dims[axis]) for k, axis in slots]

    def slot_of(self, values: Sequence[Atom], slots: list[tuple[int, int]], size: Dim) -> tuple[int, int] | None:
        return next(((k, axis) for k, axis in slots if values[k].type.dims[axis] == size), None)

    # -- parameters ------------------------------------------------------------------------------------

    def program(self, name: str, body: Sequence[Node], results: Sequence[Atom]) -> Program:
        """A program of the arguments alone, until it is closed."""
        return dead_code(Program(name, tuple(self.params), tuple(body), tuple(results)))

    def outside_of(self, *programs: Program) -> list[Var]:
        """What programs use besides their parameters: values and sizes of the function around."""
        found: dict[str, Var] = {}
        for program in programs:
            own = {v.name for v in (*program.params, *bound(program.body))}
            for name, type in mentioned(program.body, list(program.params), list(program.results)).items():
                if name not in own:
                    found.setdefault(name, Var(name, type))
        given = {size for program in programs for p in program.params for size in p.type.dims}
        return [v for v in sorted(found.values(), key=lambda v: v.name) if v.name not in given]

    def settled(self, *programs: Program) -> list[Program]:
        """The programs with one name for sizes that are known to be equal by now."""
        builder = self.builder
        found: dict[str, Atom] = {}
        for program in programs:
            own = {v.name for v in bound(program.body)}
            for name, type in mentioned(program.body, list(program.params), list(program.results)).items():
                size = builder.canonical_dim(name) if type == I64 and name not in own else name
                if size != name:
                    found[name] = dim_atom(size)
        atom, var, _ = substitution(found)

        def named(p: Program) -> Program:
            params, results = tuple(map(var, p.params)), tuple(map(atom, p.results))
            return replace(p, params=params, body=substitute(p.body, found), results=results)

        return list(map(named, programs))

    def closed(self, program: Program, outside: list[Var]) -> Program:
        """The program with what it uses from outside as parameters behind the arguments."""
        count = len(self.params)
        params = (*program.params[:count], *outside, *program.params[count:])
        return replace(program, params=params, body=(*size_heads(params), *program.body))

    def close(self, known: Known, program: Program, made: dict[str, Program]) -> None:
        """Give all programs the same parameters: the arguments, and what any of them uses from outside."""
        function = known.function
        program, *halves = self.settled(program, *made.values())
        made = dict(zip(made, halves))
        before, outside = known.outside, self.outside_of(program, *halves)
        known.outside = outside

        def again(node: Node) -> Node:
            """A call of the function by its own rule takes what any of its programs uses from outside."""
            if isinstance(node, Call) and node.function is function:
                return replace(node, args=(*node.args[: len(self.params)], *outside))
            if isinstance(node, Call) and outside != before and calls(node.function, function, set()):
                raise self.session.error(
                    UnsupportedFunction, f"{self.name} and {node.function.name} have derivative rules that call each "
                    "other. Write what the rules have in common as a function without a rule",
                )  # fmt: skip
            return rebuilt(node, lambda body: tuple(map(again, body)))

        def closed(program: Program) -> Program:
            return self.closed(replace(program, body=tuple(map(again, program.body))), outside)

        rule = function.rule
        assert rule is not None
        function.program = closed(program)
        for which, program in made.items():
            setattr(rule, which, closed(program))
        function.program = optimise(function.program)
        for which in made:
            setattr(rule, which, optimise(getattr(rule, which)))


def calls(function: Function, other: Function, seen: set[int]) -> bool:
    """Does a function, or its rule, call the other one?"""
    seen.add(id(function))
    rule = function.rule or Rule()
    programs = [p for p in (function.program, rule.forward, rule.backward, rule.push) if p is not None]
    called = [node.function for p in programs for node in walk(p.body) if isinstance(node, Call)]
    return any(f is other or (id(f) not in seen and calls(f, other, seen)) for f in called)
