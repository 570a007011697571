"""Kernels become calls into memory for their results, and operations that mean others become these.

From here on nobody asks for derivatives: what an operation has for its derivative alone is not read any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...ir import walk
from ...ir.build import Builder, dim_atom, literal
from ...ir.errors import IRError
from ...ir.ops.array import empty, full_slice
from ...ir.ops.index import getitem
from ...ir.passes import optimise
from ...ir.primitive import Ref
from ...ir.program import Index, Let, Lit, Node, Operand, Program, Var
from ..primitives import set_call


def lower_calls(program: Program) -> Program:
    """Lowering of kernels: calls into memory for their results. Operands that only derivatives need are dropped.

    >>> from ...ir.text import parse
    >>> print(lower_calls(parse('''
    ... def f(a: f64[n, n], b: f64[n, k]) -> f64[n, k]:
    ...     n: i64 = dim(a, 0)
    ...     k: i64 = dim(b, 1)
    ...     m: i64 = n + 1
    ...     lu: f64[m, n] = lu(a, rows=m)
    ...     s: f64[n, n] = a * 2.0
    ...     x: f64[n, k] = lu_solve(lu, s, b, transposed=0)
    ...     return x''')))
    def f(a: f64[n, n], b: f64[n, k]) -> f64[n, k]:
        n: i64 = dim(a, 0)
        k: i64 = dim(b, 1)
        m: i64 = n + 1
        lu_1: f64[m, n] = empty((m, n), f64)
        lu: f64[m, n] = lu_1.at[:, :].set_call(lu, (a,))
        x_1: f64[n, k] = empty((n, k), f64)
        x: f64[n, k] = x_1.at[:, :].set_call(lu_solve, (lu, b, 0))
        return x
    """
    if not any(isinstance(n, Let) and _is_lowered(n) for n in walk.walk(program.body)):
        return program
    builder = Builder()
    builder.names = walk.names_of(program)

    def region(nodes: walk.Nodes) -> walk.Nodes:
        return tuple(new for node in nodes for new in _written(walk.rebuilt(node, region), builder))

    return optimise(builder.names.written(program, body=region(program.body)))


def _is_lowered(let: Let) -> bool:
    return let.op.reads is not None or let.op.means is not None


def _written(node: Node, builder: Builder) -> Iterator[Node]:
    if not (isinstance(node, Let) and _is_lowered(node)):
        yield node
    elif node.op.means is not None:
        yield from _meaning(node, builder)
    else:
        yield from _call(node, builder)


def _meaning(let: Let, builder: Builder) -> list[Node]:
    assert let.op.means is not None
    builder.span = let.span
    with builder.open() as nodes:
        result = let.op.means(*(_reference(o, k in let.op.static, builder) for k, o in enumerate(let.args)))
    last = nodes[-1]
    if not (isinstance(last, Let) and last.var == result.atom):
        raise IRError(f"{let.op.name}: what it means must be one more operation")
    builder.names.discard(last.var.name)
    return [*nodes[:-1], replace(last, var=let.var)]


def _reference(operand: Operand, static: bool, builder: Builder) -> Any:
    return Ref(builder, operand) if isinstance(operand, (Var, Lit)) and not static else operand


def _call(let: Let, builder: Builder) -> Iterator[Node]:
    args = tuple(let.args[k] for k in let.op.reads or ())
    given = tuple(literal(a, "i64") if isinstance(a, int) else a for a in args)
    type = let.var.type if let.var.type.rank else let.var.type.with_dims((1,))
    room = builder.again(let.var, type)
    whole = Index(tuple(map(full_slice, type.dims)))
    yield Let(room, empty, (tuple(map(dim_atom, type.dims)), type.dtype), let.span)
    done = let.var if let.var.type.rank else builder.again(room)
    yield Let(done, set_call, (room, whole, let.op.name, given), let.span)
    if not let.var.type.rank:
        yield Let(let.var, getitem, (done, Index((literal(0, "i64"),))), let.span)
