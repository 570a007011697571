"""Shorten what one iteration of a reverse loop hands to the next.

The carried cotangent of a scalar recurrence goes through every operation of the body, one after the other, and the
next iteration waits for it. The body is linear in it, so its factor can be computed beside it, from values that do
not wait (preaccumulation of the local derivative); of four iterations the next four then wait for one product
(`unroll_recurrence`). Only the adjoint's own loops are touched: a user's arithmetic keeps its order.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...ir import walk
from ...ir.names import Names
from ...ir.program import For, If, Node, Program, While
from ..loops.strip_mine_recurrence import strip_mine_recurrence
from .unroll_recurrence import unroll_recurrence


def preaccumulate(program: Program) -> Program:
    """Preaccumulation: local derivatives of four iterations are multiplied up beside a loop that hands a product on.

    Expensive functions that wait for nothing that a loop carries, cotangent or not, are computed ahead of it
    (`strip_mine_recurrence`).
    """
    names = walk.names_of(program)
    body = _region(program.body, names)
    return names.written(program, body=body)


def _region(nodes: Iterable[Node], names: Names) -> tuple[Node, ...]:
    def steps(loop: For) -> list[Node]:
        return unroll_recurrence(loop, names)

    result: list[Node] = []
    for node in nodes:
        match node:
            case For():
                inner = _region(node.body, names)
                loop = For(
                    node.index, node.start, node.stop, node.reverse, node.phis, inner, node.exits, node.span
                )
                result += strip_mine_recurrence(loop, names, steps) or steps(loop)
            case While():
                test, body = _region(node.test, names), _region(node.body, names)
                result.append(While(node.phis, test, node.cond, body, node.exits, node.span))
            case If():
                arms = _region(node.then, names), _region(node.orelse, names)
                result.append(If(node.cond, *arms, node.phis, node.span))
            case _:
                result.append(node)
    return tuple(result)
