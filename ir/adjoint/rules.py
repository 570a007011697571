"""Derivative rules of called functions, made ready for the adjoint and the tangent; what is missing is transposed.

A rule that is known in one direction gives the other one: the pullback is linear in the cotangents, the pushforward in
the tangents, and the transpose of a linear program is its adjoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..build import Builder
from ..calls import has_calls, inline_calls, results_of, size_heads
from ..errors import UnsupportedFunction
from ..names import Names
from ..ops.array import zeros
from ..primitive import Ref
from ..program import Atom, Call, Function, Node, Program, Var
from ..walk import Nodes, inline, names_of, rebuilt
from .activity import activity, floats
from .linear import NotLinear, require_linear

Split = Callable[..., tuple[Program, Program]]
Adjoint = Callable[..., Program]
NO_RULE = (
    "{} is called as it is, and has no derivative rule: give pb.register one, vjp= or jvp=, or pb.stop_gradient its "
    "arguments"
)


def with_halves(
    p: Program, wrt: Sequence[str], results: Sequence[str], split: Split, names: Names | None = None
) -> Program:
    """The program where each call with a rule that is to be used calls the forward half of it; `names` are taken."""
    p = inline_calls(p, plain=True)
    if not has_calls(p):
        return p
    active = activity(p, wrt, results).active
    builder = Builder()
    builder.names = names_of(p) if names is None else names

    def nodes(body: Iterable[Node]) -> Nodes:
        return tuple(map(node, body))

    def node(n: Node) -> Node:
        if not isinstance(n, Call):
            return rebuilt(n, nodes)
        if active.isdisjoint(v.name for v in n.vars) or (n.function.rule is not None and n.function.rule.again):
            return n
        try:
            forward, backward = halves(n.function, split)
        except UnsupportedFunction as error:
            raise UnsupportedFunction(error.bare_message, error.span or n.span) from None
        function = Function(forward.name, forward, n.function.count, n.function.own, pull=backward)
        return replace(n, vars=results_of(builder, forward, n.args, n.vars), function=function)

    return replace(p, body=nodes(p.body))


def halves(function: Function, split: Split) -> tuple[Program, Program]:
    """The forward and the backward half of a function's rule."""
    rule = function.rule
    assert rule is not None
    if rule.forward is None or rule.backward is None:
        rule.forward, rule.backward = _transposed_push(function, split)
    return rule.forward, rule.backward


def push_of(function: Function, adjoint: Adjoint) -> Program:
    """The pushforward of a function's rule."""
    rule = function.rule
    assert rule is not None
    if rule.push is None:
        rule.push = _transposed_pull(function, adjoint)
    return rule.push


def _transposed_push(function: Function, split: Split) -> tuple[Program, Program]:
    assert function.rule is not None
    if function.rule.push is None:
        raise UnsupportedFunction(function.rule.missing or NO_RULE.format(function.name))
    push, own, count = function.rule.push, len(function.program.results), function.count
    given, dots = push.params[: len(push.params) - count], push.params[len(push.params) - count :]
    _require_linear(function, push, dots, push.results[own:], "tangents")
    ends = len(push.results) - own
    both = replace(push, results=(*push.results[own:], *push.results[:own]))
    forward, backward = split(both, range(len(given), len(push.params)), ends)
    builder = _builder(given)  # the directions do not matter to the forward half: they are zero there
    results = inline(builder, forward, [*given, *(_zero(builder, v) for v in dots)])
    first = _finished(builder, f"{function.name}_fwd", given, results[ends:])
    builder = _builder(given)
    kept = results_of(builder, first, given)
    seeds = [builder.var(f"{v.name}_bar", v.type) for v in floats(kept[: function.own])]
    bars = inline(builder, backward, [*kept[own:], *seeds])
    return first, _finished(builder, f"{function.name}_bwd", (*given, *kept, *seeds), bars)


def _transposed_pull(function: Function, adjoint: Adjoint) -> Program:
    assert function.rule is not None
    forward, backward = function.rule.forward, function.rule.backward
    if forward is None or backward is None:
        raise UnsupportedFunction(function.rule.missing or NO_RULE.format(function.name))
    own, count, given = len(function.program.results), function.count, forward.params
    first = len(given) + len(forward.results)
    seeds = backward.params[first:]
    _require_linear(function, backward, seeds, backward.results, "cotangents")
    pull = adjoint(backward, range(first, len(backward.params)))
    builder = _builder(given)
    dots = [builder.var(f"{v.name}_dot", v.type) for v in given[:count]]
    results = inline(builder, forward, given)
    bars = [_zero(builder, v) for v in floats(results[: function.own])]
    moved = inline(builder, pull, [*given, *results, *bars, *dots])
    return _finished(builder, f"{function.name}_jvp", (*given, *dots), (*results[:own], *moved))


def _require_linear(
    function: Function, program: Program, params: Sequence[Var], results: Sequence[Atom], what: str
) -> None:
    whole = inline_calls(replace(program, results=tuple(results)))
    try:
        require_linear(whole, params, whole.results)
    except NotLinear as why:
        raise UnsupportedFunction(
            f"the derivative rule of {function.name} is not linear in the {what}, as far as pullback can see ({why}), "
            "so that it cannot be transposed for the other direction. State that direction as well: a custom_vjp takes "
            "defjvp, too", why.span,
        ) from None  # fmt: skip


def _builder(params: Iterable[Var]) -> Builder:
    """A builder for a program of these parameters."""
    builder = Builder()
    for param in params:
        builder.names.add(param.name)
        builder.names |= {d for d in param.type.dims if isinstance(d, str)}
    return builder


def _finished(builder: Builder, name: str, params: Sequence[Var], results: Sequence[Atom]) -> Program:
    return Program(name, tuple(params), (*size_heads(params), *builder.region), tuple(results))


def _zero(builder: Builder, like: Atom) -> Atom:
    if not like.type.dims:
        return builder.ref(0, like.type.dtype).atom
    return builder.emit(zeros, Ref(builder, like).shape, like.type.dtype)
