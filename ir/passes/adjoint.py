"""Reverse mode: from a program to the program of its gradient, or of its vector-Jacobian product.

The steps, one file each: what is active (activity.py), the reverse sweep (reverse.py), what it needs from
the forward sweep (save.py, cut.py), the forward sweep with the saving (forward.py). This file joins them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..build import Builder, literal
from ..errors import TypeMismatch
from ..ops.array import dim, zeros
from ..primitive import Ref
from ..program import Atom, Check, For, If, Let, Node, Program, Var
from ..types import I64
from ..walk import bound, free, map_type, rename, substitute, substitution, used_here, walk
from .activity import activity
from .forward import Forward
from .reverse import Bars, Reverse, pruned
from .save import Plan, Planner, load
from .scopes import Region, Scopes, scopes_of


def adjoint(p: Program, wrt: Sequence[int], *, seeds: bool = True, value: bool = False) -> Program:
    """The program that pulls cotangents of the results back to the parameters `wrt`.

    Its parameters are those of p and one seed per float result; its results are p's own, if `value`, and
    the cotangents. Without `seeds` p has one float result, a scalar, and the cotangents are its gradient.

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
    """
    sweeps = differentiate(p, wrt, seeds=seeds)
    results = (*(p.results if value else ()), *sweeps.cotangents)
    body = (*sweeps.forward, *sweeps.reverse)
    origins = p.origins and (*p.origins, *("" for _ in sweeps.seeds))
    return Program(f"{p.name}_pullback", (*p.params, *sweeps.seeds), body, results, origins)


def split_adjoint(p: Program, wrt: Sequence[int]) -> tuple[Program, Program]:
    """The adjoint as two programs: what runs forward, and what consumes what it leaves and the seeds.

    The forward program returns p's results and then the residuals, which are the first parameters of the
    backward program; the seeds follow.
    """
    sweeps = differentiate(p, wrt)
    seeds = {s.name for s in sweeps.seeds}
    made = {v.name: v for v in (*p.params, *bound(sweeps.forward))}
    used = free(sweeps.reverse) | {a.name for a in sweeps.cotangents if isinstance(a, Var)}
    used -= {v.name for v in bound(sweeps.reverse)}
    residuals = [v for name, v in made.items() if name in used and name not in seeds]
    # Sizes come with the arrays that have them; other integers are residuals of their own.
    arrays = [v for v in (*residuals, *sweeps.seeds) if v.type.dims]
    sizes = {d: (v, axis) for v in reversed(arrays) for axis, d in reversed([*enumerate(v.type.dims)])}
    known = {v.name for v in bound(sweeps.reverse)}
    heads = tuple(
        Let(Var(d, I64), dim, (v, axis))
        for d, (v, axis) in reversed(sizes.items())
        if isinstance(d, str) and d not in known
    )
    residuals = [v for v in residuals if v.name not in sizes]
    forward = Program(f"{p.name}_forward", p.params, sweeps.forward, (*p.results, *residuals), p.origins)
    params = (*residuals, *sweeps.seeds)
    backward = Program(f"{p.name}_backward", params, (*heads, *sweeps.reverse), sweeps.cotangents)
    return forward, backward


@dataclass(frozen=True)
class Sweeps:
    """Both sweeps, and what goes in and comes out at the end."""

    forward: tuple[Node, ...]
    reverse: tuple[Node, ...]
    seeds: tuple[Var, ...]
    cotangents: tuple[Atom, ...]
    plan: Plan


def differentiate(p: Program, wrt: Sequence[int], *, seeds: bool = True) -> Sweeps:
    params = [p.params[k] for k in wrt]
    for param in params:
        if not param.type.is_float:
            raise TypeMismatch(f"cannot differentiate by {param.name}: it is {param.type}, not a float")
    floats = [r for r in p.results if r.type.is_float]
    if not seeds and (len(p.results) != 1 or len(floats) != 1 or floats[0].type.dims):
        types = ", ".join(str(r.type) for r in p.results)
        raise TypeMismatch(f"a gradient needs one result, a float scalar; {p.name} gives {types}")
    scopes = scopes_of(p)
    flow = activity(p, [v.name for v in params], [r.name for r in floats if isinstance(r, Var)])
    builder = _builder(p, scopes, set(scopes.var))
    reverse = Reverse(scopes, flow, builder)
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
    plan = Planner(scopes, reverse, builder).run(nodes)
    forward_builder = Builder()
    forward_builder.names = builder.names
    bases = {id(s.base): s.base for s in plan.saves if s.base is not None}
    threads = (*bases.values(), *plan.saves)
    forward = Forward(scopes, forward_builder, plan, threads, reverse.trips, reverse.extra_exits)
    forward.nodes(p.body)
    nodes = _restored(p, nodes, reverse, plan, forward)
    kept = {*(v.name for v in p.params), *(s.name for s in seed_vars), *(v.name for v in bound(p.body))}
    written = (*forward_builder.region, *nodes)
    names = _tidy(written, kept, reverse.hints)
    split = len(forward_builder.region)
    written = rename(written, names)
    _, renamed, _ = substitution({old: Var(new, I64) for old, new in names.items()})
    cotangents = tuple(
        Var(names.get(a.name, a.name), renamed(a).type) if isinstance(a, Var) else a for a in cotangents
    )
    return Sweeps(written[:split], written[split:], tuple(seed_vars), cotangents, plan)


def _builder(p: Program, scopes: Scopes, names: set[str]) -> Builder:
    """A builder that knows the index arithmetic of a program."""
    builder = Builder()
    builder.names = names
    for node in walk(p.body):
        if isinstance(node, Let):
            builder.know(node, in_scope=not scopes.is_local(node.var.name))
    return builder


def _seed(builder: Builder, p: Program, result: Atom) -> Var:
    """The parameter for a result's cotangent. Sizes that p computes are checked: a seed brings its own."""
    name = result.name if isinstance(result, Var) else "result"
    given = {n.var.name for n in p.body if isinstance(n, Let) and n.op is dim}
    given |= {v.name for v in p.params if v.type == I64}
    own = {d: builder.fresh(d) for d in result.type.dims if isinstance(d, str) and d not in given}
    type = map_type(result.type, lambda d: own.get(d, d) if isinstance(d, str) else d)
    seed = builder.var(f"{name}_bar", type)
    for d, fresh in own.items():
        builder.add(Let(Var(fresh, I64), dim, (seed, type.dims.index(fresh))))
        same = builder.emit("eq", Var(fresh, I64), Var(d, I64))
        builder.check(same, f"ValueError: the cotangent of {name} must have the shape of {name}")
        builder.unify(fresh, builder.affine(d))
    return seed


def _restored(
    p: Program, nodes: Sequence[Node], reverse: Reverse, plan: Plan, forward: Forward
) -> tuple[Node, ...]:
    """The reverse sweep with local values of the forward sweep loaded or computed again."""
    scopes = reverse.scopes
    builder = _builder(p, scopes, reverse.builder.names)
    values: dict[str, Atom] = dict(reverse.index)
    heads: dict[Region, dict[str, list[Node]]] = {}
    for name, other in plan.known.items():
        values[name] = forward.exported.get(other) or scopes.var[other]
    for name, save in plan.loaded.items():
        definition = scopes.owner.get(name) or scopes.definition[name]
        builder.span = getattr(definition, "span", None)
        assert save.array is not None
        with builder.open() as written:
            array = forward.exported.get(save.array.name, save.array)
            values[name] = load(builder, save, array, name)
        heads.setdefault(scopes.region[name], {})[name] = written
    for name in plan.again:
        let = scopes.definition[name]
        assert isinstance(let, Let)
        values[name] = builder.var(name, let.var.type)
        written = [Let(values[name], let.op, let.args, let.span)]
        heads.setdefault(scopes.region[name], {})[name] = written
    _, typed, _ = substitution(dict(values))
    values = {name: typed(v) if isinstance(v, Var) else v for name, v in values.items()}
    forward_of = {id(node): original for node, original in reverse.reversed}

    def weave(nodes: Iterable[Node]) -> tuple[Node, ...]:
        woven: list[Node] = []
        for node in nodes:
            match node:
                case For(index, start, stop, back, phis, body, exits, span):
                    (region,) = scopes.body[id(forward_of[id(node)])]
                    inner = (*_ordered(heads.pop(region, {})), *weave(body))
                    woven.append(For(index, start, stop, back, phis, inner, exits, span))
                case If(cond, then, orelse, phis, span):
                    regions = scopes.body[id(forward_of[id(node)])]
                    arms = [
                        (*_ordered(heads.pop(region, {})), *weave(arm))
                        for region, arm in zip(regions, (then, orelse))
                    ]
                    woven.append(If(cond, arms[0], arms[1], phis, span))
                case _:
                    woven.append(node)
        return tuple(woven)

    woven = weave(nodes)
    assert not heads, "a value is needed in a region that is not reversed"
    return substitute(woven, values)


def _ordered(written: dict[str, list[Node]]) -> list[Node]:
    """What restores values, each behind what it uses."""
    result: list[Node] = []
    done: set[str] = set()

    def need(name: str) -> None:
        if name in written and name not in done:
            done.add(name)
            for node in written[name]:
                for used in used_here(node):
                    need(used)
            result.extend(written[name])

    for name in written:
        need(name)
    return result


def _tidy(nodes: Sequence[Node], kept: set[str], hints: dict[str, str]) -> dict[str, str]:
    """Names in the order of the program: x_bar, x_bar_1, ..., t, t_1, ..."""
    builder = Builder()
    builder.names = set(kept)
    names = {}
    for var in bound(nodes):
        if var.name not in kept:
            stem = hints.get(var.name) or re.sub(r"_\d+$", "", var.name)
            names[var.name] = builder.fresh(stem)
    return names


