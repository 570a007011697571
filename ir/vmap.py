"""One program for many examples: an outer loop around it, over the leading axes of some of its parameters.

Nothing of the program changes: a branch is taken by each example for itself, and a loop runs as often as that example
needs. What is the same for all examples is computed once, before the loop.
"""

from __future__ import annotations

from collections.abc import Sequence

from .build import Builder, literal
from .errors import UnsupportedFunction
from .ops.array import dim, empty, full_slice
from .ops.index import at_set, getitem
from .primitive import Ref, Trait
from .program import Atom, Call, Check, Exit, For, Index, Let, Lit, Node, Phi, Program, Var, dim_names
from .types import I64
from .walk import defined, free, names_of, walk


def mapped(p: Program, over: Sequence[int]) -> Program:
    """The program for a stack of values of each parameter `over`; every result is a stack too.

    The stacks have one more axis, the first, of one length. Raises UnsupportedFunction if the size of a result depends
    on the example.

    >>> from .text import parse
    >>> print(mapped(parse('''
    ... def f(x: f64[n], w: f64) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     a: f64 = sin(w)
    ...     b: f64 = sum(x, axis=(0,))
    ...     y: f64 = a * b
    ...     return y'''), [0]))
    def f_vmap(x_stack: f64[size, n], w: f64) -> f64[size]:
        size: i64 = dim(x_stack, 0)
        n: i64 = dim(x_stack, 1)
        a: f64 = sin(w)
        y_stack: f64[size] = empty((size,), f64)
        for k in range(size):
            y_stack_1: f64[size] = phi(y_stack, y_stack_2)
            x: f64[n] = x_stack[k, :]
            b: f64 = sum(x, axis=(0,))
            y: f64 = a * b
            y_stack_2: f64[size] = y_stack_1.at[k].set(y)
        y_stack_3: f64[size] = last(y_stack_1)
        return y_stack_3
    """
    builder = Builder()
    builder.names = names_of(p)
    size = Var(builder.fresh("size"), I64)
    stacks: dict[str, Var] = {}
    for name, type in ((p.params[k].name, p.params[k].type) for k in over):
        stacks[name] = builder.var(f"{name}_stack", type.with_dims((size.name, *type.dims)))
    builder.add(Let(size, dim, (next(iter(stacks.values())), 0)))
    own = _shared(p, stacks, builder)
    index = builder.var("k", I64)
    known = {d for node in builder.region for d in (v.name for v in defined(node))}
    known |= {v.name for v in p.params if v.name not in stacks}
    results = []
    for result in p.results:
        if not known.issuperset(dim_names(result)):
            span = next((node.span for node in reversed(p.body) if node.span is not None), None)
            raise UnsupportedFunction(f"vmap: the size of a result depends on the example, {result.type}", span)
        dims = (size.name, *(builder.canonical_dim(d) for d in result.type.dims))
        name = result.name if isinstance(result, Var) else "result"
        results.append(builder.var(f"{name}_stack", result.type.with_dims(dims)))
        builder.add(Let(results[-1], empty, (Ref(builder, results[-1]).shape, result.type.dtype)))
    heads = [builder.again(v) for v in results]
    with builder.open() as body:
        for k in over:
            stack = stacks[p.params[k].name]
            builder.add(Let(p.params[k], getitem, (stack, _row(index, p.params[k]))))
        body += own
        ends: list[Var] = []
        for head, result in zip(heads, p.results):
            end = builder.again(head)
            ends.append(end)
            builder.add(Let(end, at_set, (head, _row(index, result), result)))
    phis = tuple(Phi(h, f, s) for h, f, s in zip(heads, results, ends))
    exits = tuple(Exit(builder.again(v), h) for v, h in zip(results, heads))
    builder.add(For(index, literal(0, "i64"), size, False, phis, tuple(body), exits))
    params = tuple(stacks.get(v.name, v) for v in p.params)
    outs = tuple(e.var for e in exits)
    return Program(f"{p.name}_vmap", params, tuple(builder.region), outs, p.origins, p.cotangents, p.computed)


def _row(index: Var, of: Atom) -> Index:
    return Index((index, *map(full_slice, of.type.dims)))


def _may_fail(node: Node) -> bool:
    """Nothing that may fail runs where there is no example."""
    if isinstance(node, Let) and node.op.has(Trait.RAISES):
        return True
    if isinstance(node, Let) and Trait.DIVIDES in node.op.traits:
        divisor = node.args[1]
        return not isinstance(divisor, Lit) or float(divisor.text) == 0.0
    return isinstance(node, Check) or (
        isinstance(node, Call) and any(map(_may_fail, walk(node.function.program.body)))
    )


def _shared(p: Program, stacks: dict[str, Var], builder: Builder) -> list[Node]:
    """Write the operations that are the same for all examples; gives the other nodes."""
    own: list[Node] = []
    single = set(stacks)
    for node in p.body:
        match node:
            case Let(var, op, (Var(name), int(axis))) if op is dim and name in stacks:
                builder.add(Let(var, dim, (stacks[name], axis + 1), node.span))
                continue
        if single.isdisjoint(free((node,))) and not any(map(_may_fail, walk((node,)))):
            builder.add(node)
            continue
        own.append(node)
        single |= {v.name for v in defined(node)}
    return own
