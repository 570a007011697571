"""Reverse mode: from a program to the program of its gradient, or of its vector-Jacobian product.

The steps, one file each: what is active (activity.py), the reverse sweep (reverse.py), what it needs from
the forward sweep (save.py, cut.py), the forward sweep with the saving (forward.py), and how the reverse
sweep gets the values (restore.py). This file joins them.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..affine import Affine, Facts
from ..build import Builder
from ..calls import inline_calls
from ..errors import TypeMismatch
from ..names import Names
from ..ops.arith import eq
from ..ops.array import dim
from ..primitive import Ref
from ..program import Atom, Check, Let, Node, Program, Span, Var, atoms
from ..sizes import facts_of
from ..types import I64
from ..walk import bound, free, in_sweep, map_type, rename, substitution, walk
from .activity import activity
from .checkpoint import Cut, Schedule, checkpointed
from .forward_sweep import Forward
from .recompute import Around, calls_again
from .restore import restored
from .reverse_sweep import Bars, Reverse, pruned
from .rules import with_halves
from .save import Planner
from .scopes import Scopes, scopes_of


def adjoint(
    p: Program,
    wrt: Sequence[int],
    *,
    seeds: bool = True,
    value: bool = False,
    masked: bool = False,
    checkpoint: Schedule = None,
) -> Program:
    """The program that pulls cotangents of the results back to the parameters `wrt`.

    Its parameters are those of p and one seed per float result; its results are p's own, if `value`, and
    the cotangents. Without `seeds` p has one float result, a scalar, and the cotangents are its gradient.
    `masked`: the seeds may have come through a `where`, so that where they are 0 products with them are.
    `checkpoint`: how loops are done again instead of saving what they compute, see checkpoint.py.

    >>> from ..text import parse
    >>> print(adjoint(parse('''
    ... def f(x: f64[n], w: f64) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     for i in range(n):
    ...         s: f64 = phi(1.0, s1)
    ...         a: f64 = x[i]
    ...         b: f64 = s * w
    ...         c: f64 = sin(b)
    ...         s1: f64 = c + a
    ...     s_end: f64 = last(s)
    ...     return s_end'''), [0, 1]))
    def f_pullback(x: f64[n], w: f64, s_end_bar: f64) -> (f64[n], f64):
        n: i64 = dim(x, 0)
        s_saved: f64[n] = empty((n,), f64)
        for i in range(n):
            s: f64 = phi(1.0, s1)
            s_saved_2: f64[n] = phi(s_saved, s_saved_3)
            s_saved_3: f64[n] = s_saved_2.at[i].set(s)
            a: f64 = x[i]
            b: f64 = s * w
            c: f64 = sin(b)
            s1: f64 = c + a
        s_end: f64 = last(s)
        s_saved_1: f64[n] = last(s_saved_2)
        x_bar: f64[n] = zeros((n,), f64)
        for i_1 in reversed(range(n)):
            x_bar_2: f64[n] = phi(x_bar, x_bar_3)
            w_bar_1: f64 = phi(0.0, w_bar_3)
            s_bar: f64 = phi(s_end_bar, s_bar_1)
            s_1: f64 = s_saved_1[i_1]
            b_1: f64 = s_1 * w
            t: f64 = cos(b_1)
            b_bar: f64 = s_bar * t
            s_bar_1: f64 = b_bar * w
            w_bar_2: f64 = b_bar * s_1
            w_bar_3: f64 = w_bar_1 + w_bar_2
            x_bar_3: f64[n] = x_bar_2.at[i_1].add(s_bar)
        x_bar_1: f64[n] = last(x_bar_2)
        w_bar: f64 = last(w_bar_1)
        return x_bar_1, w_bar
    """
    sweeps = differentiate(p, wrt, seeds=seeds, masked=masked, checkpoint=checkpoint)
    results = (*(p.results if value else ()), *sweeps.cotangents)
    body = (*sweeps.forward, *sweeps.reverse)
    origins = p.origins and (*p.origins, *("" for _ in sweeps.seeds))
    params = (*p.params, *sweeps.seeds)
    whole = Program(f"{p.name}_pullback", params, body, results, origins, sweeps.named, computed_sizes(p, params))
    return inline_calls(whole, plain=True)


def split_adjoint(
    p: Program, wrt: Sequence[int], count: int | None = None, *, checkpoint: Schedule = None
) -> tuple[Program, Program]:
    """The adjoint as two programs: what runs forward, and what consumes what it leaves and the seeds.

    The forward program returns p's results and then the residuals, which are the first parameters of the
    backward program; the seeds follow. With `count` only the first results are differentiated.
    """
    sweeps = differentiate(p if count is None else p.returning(count), wrt, split=True, checkpoint=checkpoint)
    own = {v.name for v in bound(sweeps.reverse)}
    used = (free(sweeps.reverse) | {a.name for a in sweeps.cotangents if isinstance(a, Var)}) - own
    made = [v for v in (*p.params, *bound(sweeps.forward)) if v.name in used]
    # Sizes come with the arrays that have them; other integers are residuals of their own.
    arrays = (*(v for v in made if v.type.dims), *sweeps.seeds)
    sizes: dict[str, tuple[Var, int]] = {}
    for array in arrays:
        for axis, d in enumerate(array.type.dims):
            if isinstance(d, str) and d not in own:
                sizes.setdefault(d, (array, axis))
    integers = _integers(sweeps.forward, [v.name for v in made], sizes)
    used |= {a.name for let in integers for a in atoms(let.args) if isinstance(a, Var)}
    again = {let.var.name for let in integers} | set(sizes)
    everything = (*p.params, *bound(sweeps.forward))
    residuals = tuple(v for v in everything if v.name in used and v.name not in again)
    results = (*p.results, *residuals)
    forward = Program(f"{p.name}_forward", p.params, sweeps.forward, results, p.origins, sweeps.named, p.computed)
    heads = _heads(sizes, integers, {v.name for v in residuals}, sweeps)
    body = (*heads, *sweeps.reverse)
    params = (*residuals, *sweeps.seeds)
    computed = computed_sizes(p, params)
    backward = Program(f"{p.name}_backward", params, body, sweeps.cotangents, (), sweeps.named, computed)
    return inline_calls(forward, plain=True), inline_calls(backward, plain=True)


def computed_sizes(p: Program, params: Iterable[Var]) -> frozenset[str]:
    """The sizes of these parameters of an adjoint that are not sizes of what p is given."""
    own, given = ({d for v in vs for d in v.type.dims if isinstance(d, str)} for vs in (params, p.params))
    return p.computed | own - given


def _integers(forward: Sequence[Node], used: list[str], sizes: Container[str]) -> list[Let]:
    """Index arithmetic of the forward sweep that the backward program does again."""
    defined = {
        n.var.name: n for n in forward if isinstance(n, Let) and n.var.type == I64 and n.op.elementwise
    }
    found: set[str] = set()
    front = list(used)
    while front:
        name = front.pop()
        if name in defined and name not in found and name not in sizes:
            found.add(name)
            front += [a.name for a in atoms(defined[name].args) if isinstance(a, Var)]
    return [let for name, let in defined.items() if name in found]


def _heads(
    sizes: dict[str, tuple[Var, int]], integers: list[Let], residuals: set[str], sweeps: Sweeps
) -> tuple[Node, ...]:
    """The lines that bind the sizes of the backward program, and what is known of them."""
    builder = Builder()
    builder.names = Names((*(v.name for v in bound((*sweeps.forward, *sweeps.reverse))), *sizes, *residuals))
    for d, (array, axis) in sizes.items():
        builder.add(Let(Var(d, I64), dim, (array, axis)))
    for let in integers:
        builder.add(let)
        builder.know(let)
    known = residuals | set(sizes)
    here = known | {let.var.name for let in integers}
    for values, check in equalities(sweeps.forward):
        if here.issuperset(v.name for v in values if isinstance(v, Var)):
            builder.check(builder.emit(eq, *values), check.message)
    first: dict[Affine, str] = {}
    for d in sizes:
        form = sweeps.sizes.get(d, Affine.name(d))
        other = first.setdefault(form, d)
        if other != d:
            same: Atom = Var(other, I64)
        elif form != Affine.name(d) and known.issuperset(form.names):
            same = builder.integer(form)
        else:
            continue
        holds = builder.emit(eq, Var(d, I64), same)
        builder.check(holds, "ValueError: the residuals and the cotangents are not of one call")
    return tuple(builder.region)


def equalities(nodes: Sequence[Node]) -> Iterator[tuple[list[Atom], Check]]:
    """Integers that are checked to be equal outside of loops and arms: those may not run."""
    comparisons = {n.var.name: n for n in nodes if isinstance(n, Let) and n.op is eq}
    for node in nodes:
        if isinstance(node, Check) and isinstance(node.cond, Var) and node.cond.name in comparisons:
            values = list(atoms(comparisons[node.cond.name].args))
            if all(value.type == I64 for value in values):
                yield values, node


@dataclass(frozen=True)
class Saved:
    """A value of a loop that the forward sweep leaves in an array."""

    variable: str
    span: Span | None
    array: Var

    @property
    def bytes(self) -> str:
        """How much memory it takes, as a formula of the adjoint's sizes."""
        return " * ".join(map(str, (self.array.type.numpy.itemsize, *self.array.type.dims)))


def saved_report(p: Program, wrt: Sequence[int], *, checkpoint: Schedule = None) -> tuple[Saved, ...]:
    """What the adjoint saves: which variable, of which line, in which array.

    >>> from ..text import parse
    >>> for saved in saved_report(parse('''
    ... def f(r: f64, x: f64, n: i64) -> f64:
    ...     for k in range(n):
    ...         z: f64 = phi(x, z1)
    ...         a: f64 = r * z
    ...         b: f64 = 1.0 - z
    ...         z1: f64 = a * b
    ...     y: f64 = last(z)
    ...     return y'''), [0, 1]):
    ...     print(saved.variable, saved.array.type, saved.bytes)
    z f64[t] 8 * t
    """
    return differentiate(p, wrt, checkpoint=checkpoint).saved


@dataclass(frozen=True)
class Sweeps:
    """Both sweeps, and what goes in and comes out at the end."""

    forward: tuple[Node, ...]
    reverse: tuple[Node, ...]
    seeds: tuple[Var, ...]
    cotangents: tuple[Atom, ...]
    saved: tuple[Saved, ...]
    sizes: dict[str, Affine]
    """Sizes that are known to be functions of others."""
    named: frozenset[str]
    """The names of all cotangents, see Program."""
    again: tuple[Saved, ...] = ()
    """What parts that are done again in the reverse sweep save, each while it lasts."""


def differentiate(
    p: Program,
    wrt: Sequence[int],
    *,
    seeds: bool = True,
    split: bool = False,
    masked: bool = False,
    checkpoint: Schedule = None,
) -> Sweeps:
    params, floats = _ends(p, wrt, seeds)
    p = with_halves(p, [v.name for v in params], [r.name for r in floats if isinstance(r, Var)], split_adjoint)
    both = _both(p, wrt, seeds, split, masked)
    left: set[int] = set()
    while checkpoint is not None:
        cut = checkpointed(p, both.planner, checkpoint, left)
        if not cut.parts:
            break
        again = _both(cut.program, wrt, seeds, split, masked, cut)
        wasted = cut.wasted(again.nodes)
        if not wasted:
            return again.finished()
        left |= wasted
    return both.finished()


@dataclass
class _Both:
    """Both sweeps on the way: the reverse sweep is written, in the forward sweep's names, and what is saved decided."""

    p: Program
    reverse: Reverse
    nodes: tuple[Node, ...]
    facts: Facts
    planner: Planner
    seeds: list[Var]
    cotangents: tuple[Atom, ...]
    parts: Around
    cut: Cut

    def finished(self) -> Sweeps:
        p, reverse, plan = self.p, self.reverse, self.planner.plan
        scopes, builder = reverse.scopes, reverse.builder
        forward_builder = Builder()
        forward_builder.facts = self.facts.copy()
        forward_builder.names = builder.names
        forward = Forward(scopes, forward_builder, plan, plan.threads(), reverse.trips, reverse.extra_exits)
        forward.nodes(p.body)
        nodes = restored(self.nodes, reverse, forward, _builder(p, scopes, builder.names))
        kept = {*(v.name for v in p.params), *(s.name for s in self.seeds), *(v.name for v in bound(p.body))}
        kept |= {d for s in self.seeds for d in s.type.dims if isinstance(d, str)}
        written = (*forward_builder.region, *nodes)
        names = _tidy(written, kept, reverse.hints)
        count = len(forward_builder.region)
        bare = not any(getattr(node, "span", None) for node in walk(p.body))
        written = rename(written, names)
        written = (*in_sweep(written[:count], "", bare), *in_sweep(written[count:], "again", bare))
        _, renamed, _ = substitution({old: Var(new, I64) for old, new in names.items()})
        cotangents = tuple(
            Var(names.get(a.name, a.name), renamed(a).type) if isinstance(a, Var) else a for a in self.cotangents
        )
        integers = (*builder.integers, *builder.aliases)
        sizes = {names.get(n, n): _renamed(builder.affine(n), names) for n in integers}
        arrays = {v.name: v for v in bound(written[:count])}
        kept_in = {s.var.name: s.array.name for s in plan.saves if s.array is not None}
        saved = tuple(Saved(n, scopes.span(n), arrays[names.get(a, a)]) for n, a in kept_in.items())
        used = free(written[count:])
        for value, slots in (pair for part in self.cut.parts for pair in part.slots):
            if (array := arrays.get(names.get(slots.name, slots.name))) is not None and array.name in used:
                saved += (Saved(value.name, scopes.span(value.name), array),)
        later = {v.name: v for v in bound(written[count:])}
        again = []
        for save, part in self.parts.saved:
            if save.array is not None and (array := later.get(names.get(save.array.name, ""))) is not None:
                again.append(Saved(save.var.name, part.scopes.span(save.var.name), array))
        marked = builder.names.cotangents
        named = frozenset({names[n] for n in marked if n in names} | marked & kept)
        ends = tuple(self.seeds), cotangents, saved, sizes, named, tuple(again)
        return Sweeps(written[:count], written[count:], *ends)


def _both(
    p: Program, wrt: Sequence[int], seeds: bool, split: bool, masked: bool, cut: Cut | None = None
) -> _Both:
    """How the program is reversed, and what that needs to be saved."""
    p = cut.program if cut is not None else p
    params, floats = _ends(p, wrt, seeds)
    scopes = scopes_of(p)
    scopes.split = split
    results = [r.name for r in floats if isinstance(r, Var)]
    flow = activity(p, [v.name for v in params], results, masked)
    builder = _builder(p, scopes, Names(scopes.var, p.cotangents))
    reread = cut.reread if cut is not None else {}
    parts = Around(lambda names: _builder(p, scopes, names), facts_of(p, builder.affine), reread, split_adjoint)
    special: dict[int, Any] = {**calls_again(parts, p.body), **(cut.reversals(parts) if cut is not None else {})}
    reverse = Reverse(scopes, flow, builder, special=special)
    bars: Bars = {}
    seed_vars = []
    for result in floats:
        bar: Ref = builder.ref(1, result.type.dtype)
        if seeds:
            seed_vars.append(_seed(builder, p, result))
            bar = Ref(builder, seed_vars[-1])
        reverse.add(bars, result, bar)
    reverse.nodes(p.body, bars)
    builder.span = None
    cotangents = tuple(reverse.total_or_zero(bars, v).atom for v in params)
    nodes = pruned(builder.region, {a.name for a in cotangents if isinstance(a, Var)})
    facts = facts_of(p, builder.affine)
    planner = Planner(scopes, reverse, builder, facts)
    planner.run(nodes)
    return _Both(p, reverse, nodes, facts, planner, seed_vars, cotangents, parts, cut or Cut(p))


def _ends(p: Program, wrt: Sequence[int], seeds: bool) -> tuple[list[Var], list[Atom]]:
    """What is differentiated by, and what is differentiated: floats."""
    params = [p.params[k] for k in wrt]
    for param in params:
        if not param.type.is_float:
            raise TypeMismatch(f"cannot differentiate by {param.name}: it is {param.type}, not a float")
    floats = [r for r in p.results if r.type.is_float]
    if not seeds and (len(p.results) != 1 or len(floats) != 1 or floats[0].type.dims):
        types = ", ".join(str(r.type) for r in p.results)
        raise TypeMismatch(f"a gradient needs one result, a float scalar; {p.name} gives {types}")
    return params, floats


def _renamed(form: Affine, names: dict[str, str]) -> Affine:
    return Affine.of(form.constant, {names.get(n, n): c for n, c in form.terms})


def _builder(p: Program, scopes: Scopes, names: Names) -> Builder:
    """A builder that knows the index arithmetic of a program."""
    builder = Builder()
    builder.names = names
    for node in walk(p.body):
        if isinstance(node, Let):
            builder.know(node, in_scope=scopes.region[node.var.name] is scopes.top)
    for values, _ in equalities(p.body):
        equate(builder, values)
    return builder


def equate(builder: Builder, values: list[Atom]) -> None:
    """Learn that two integers are equal: one is a name that stands for nothing else."""
    for this, other in (values, values[::-1]):
        if isinstance(this, Var) and this.type == I64 == other.type:
            form = builder.affine(other)
            if builder.affine(this) == Affine.name(this.name) and this.name not in form.names:
                builder.unify(this.name, form)
                return


def _seed(builder: Builder, p: Program, result: Atom) -> Var:
    """The parameter for a result's cotangent. Sizes that p computes are checked: a seed brings its own."""
    name = result.name if isinstance(result, Var) else "result"
    given = {n.var.name for n in p.body if isinstance(n, Let) and n.op is dim}
    given |= {v.name for v in p.params if v.type == I64}
    own = {d: builder.fresh(d) for d in result.type.dims if isinstance(d, str) and d not in given}
    type = map_type(result.type, lambda d: own.get(d, d) if isinstance(d, str) else d)
    seed = builder.var(f"{name}_bar", type)
    builder.names.cotangents.add(seed.name)
    for d, fresh in own.items():
        builder.add(Let(Var(fresh, I64), dim, (seed, type.dims.index(fresh))))
        same = builder.emit(eq, Var(fresh, I64), Var(d, I64))
        builder.check(same, f"ValueError: the cotangent of {name} must have the shape of {name}")
        builder.unify(fresh, builder.affine(d))
    return seed


def _tidy(nodes: Sequence[Node], kept: set[str], hints: dict[str, str]) -> dict[str, str]:
    """Names in the order of the program: x_bar, x_bar_1, ..., t, t_1, ..."""
    builder = Builder()
    builder.names = Names(kept)
    names = {}
    for var in bound(nodes):
        if var.name not in kept:
            stem = hints.get(var.name) or re.sub(r"_\d+$", "", var.name)
            names[var.name] = builder.fresh(stem)
    return names
