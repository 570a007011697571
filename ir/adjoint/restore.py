"""How the reverse sweep gets values of loop bodies and arms: loaded from save arrays, or computed again.

The reverse sweep was written in the forward sweep's names. Each local one is restored at the head of the
region that reverses the one it was bound in, under a name of its own, and the names are replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..build import Builder
from ..ops.arith import add, mul, sub
from ..ops.array import full_slice
from ..ops.index import getitem
from ..program import Atom, For, If, Index, Let, Node, Phi, Var, While
from ..walk import copy_nodes, substitute, substitution, used_here
from .forward_sweep import Forward
from .recipes import Choice, Counter, Following
from .reverse_sweep import Reverse
from .save import load
from .scopes import Region


def restored(nodes: Sequence[Node], reverse: Reverse, forward: Forward, builder: Builder) -> tuple[Node, ...]:
    """The nodes of the reverse sweep, with what restores local values at the head of each region.

    `builder` knows the forward sweep's outermost integers, and nothing of the reverse sweep.
    """
    scopes = reverse.scopes
    values, heads, following = _restoring(reverse, forward, builder)
    forward_of = {id(node): original for node, original in reverse.reversed}

    def weave(nodes: Iterable[Node]) -> tuple[Node, ...]:
        woven: list[Node] = []
        for node in nodes:
            match node:
                case For(index, start, stop, back, phis, body, exits, span) if id(node) in forward_of:
                    original = forward_of[id(node)]
                    (region,) = scopes.body[id(original)]
                    for f in following.pop(id(original), ()):
                        seen = values[f.var.name]
                        assert isinstance(seen, Var)
                        phis = (*phis, Phi(seen, f.exit, f.phi.var))
                    inner = (*_ordered(heads.pop(region, {})), *weave(body))
                    woven.append(For(index, start, stop, back, phis, inner, exits, span))
                case If(cond, then, orelse, phis, span) if id(node) in forward_of:
                    regions = scopes.body[id(forward_of[id(node)])]
                    arms = [
                        (*_ordered(heads.pop(region, {})), *weave(arm))
                        for region, arm in zip(regions, (then, orelse))
                    ]
                    woven.append(If(cond, arms[0], arms[1], phis, span))
                case _:  # also what is done again in the reverse sweep
                    woven.append(node)
        return tuple(woven)

    woven = (*_ordered(heads.pop(scopes.top, {})), *weave(nodes))
    assert not any(heads.values()) and not following, "a value is needed in a region that is not reversed"
    return substitute(woven, values)


Heads = dict[Region, dict[str, list[Node]]]


def _restoring(
    reverse: Reverse, forward: Forward, builder: Builder
) -> tuple[dict[str, Atom], Heads, dict[int, list[Following]]]:
    """What local values are in the reverse sweep, what computes them at the heads of regions, and phis of loops."""
    scopes, plan = reverse.scopes, forward.plan
    values: dict[str, Atom] = dict(reverse.at_hand)
    heads: Heads = {}
    for name, other in plan.known.items():
        values[name] = left = forward.exported.get(other) or scopes.var[other]
        own = scopes.var[name]
        if own.type.dims != left.type.dims:
            # In the arm that it left it has its own sizes, not those of the phi.
            values[name] = smaller = builder.var(name, own.type, name)
            part = Index(tuple(map(full_slice, own.type.dims)))
            cut = Let(smaller, getitem, (left, part), scopes.span(name))
            heads.setdefault(scopes.region[name], {})[name] = [cut]
    for name, save in plan.loaded.items():
        builder.span = scopes.span(name)
        assert save.array is not None
        with builder.open() as written:
            array = forward.exported.get(save.array.name, save.array)
            values[name] = load(builder, save, array, name)
        heads.setdefault(scopes.region[name], {})[name] = written
    following: dict[int, list[Following]] = {}
    for name, recipe in plan.again.items():
        head = heads.setdefault(scopes.region[name], {})
        match recipe:
            case Let(var, op, args, span):
                again = builder.var(name, var.type, name)
                values[name] = again
                head[name] = [Let(again, op, args, span)]
            case Counter():
                with builder.open() as head[name]:
                    values[name] = _counted(recipe, reverse, builder)
            case Choice(node):
                env: dict[str, Atom] = {}
                with builder.open() as head[name]:
                    copy_nodes(builder, (node,), env)
                values[name] = env[name]
            case Following(var):
                values[name] = builder.var(name, var.type, name)
                following.setdefault(id(recipe.loop), []).append(recipe)
    values = {name: _final(value, values) for name, value in values.items()}
    _, typed, _ = substitution(dict(values))
    values = {name: typed(v) if isinstance(v, Var) else v for name, v in values.items()}
    return values, heads, following


def _counted(counter: Counter, reverse: Reverse, b: Builder) -> Atom:
    loop = counter.loop
    ordinal: Atom = reverse.trips[id(loop)][0] if isinstance(loop, While) else loop.index
    if isinstance(loop, For):
        ordinal = b.emit(sub, ordinal, loop.start)
    grown = b.emit(mul, ordinal, counter.step)
    return b.emit(add, counter.phi.first, grown, hint=counter.phi.var.name)


def _final(value: Atom, values: dict[str, Atom]) -> Atom:
    """What a name stands for that stands for another name."""
    while isinstance(value, Var) and value.name in values and values[value.name] != value:
        value = values[value.name]
    return value


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
