"""A user's `x[i] = x[i] - v` is an addition to an element, like those that the adjoint makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ...ir.ops import arith
from ...ir.ops.index import at_add, at_set, getitem
from ...ir.program import Atom, Let, Node, Program, Var
from ...ir.walk import Nodes, rebuilt, used_here, walk


def read_modify_write(program: Program) -> Program:
    """Updates of one element by a sum or difference become additions to it; the numbers stay the same.

    >>> from ...ir.text import parse
    >>> print(read_modify_write(parse('''
    ... def f(x: f64[n], i: i64, v: f64) -> f64[n]:
    ...     n: i64 = dim(x, 0)
    ...     a: f64 = x[i]
    ...     b: f64 = a - v
    ...     y: f64[n] = x.at[i].set(b)
    ...     return y''')))
    def f(x: f64[n], i: i64, v: f64) -> f64[n]:
        n: i64 = dim(x, 0)
        b: f64 = -v
        y: f64[n] = x.at[i].add(b)
        return y
    """
    uses = Counter(r.name for r in program.results if isinstance(r, Var))
    for node in walk(program.body):
        uses.update(used_here(node))
    return replace(program, body=_region(program.body, uses))


def _region(nodes: Nodes, uses: Counter[str]) -> Nodes:
    nodes = tuple(rebuilt(node, lambda body: _region(body, uses)) for node in nodes)
    lets = {node.var.name: node for node in nodes if isinstance(node, Let)}
    new: dict[int, Let | None] = {}
    for node in nodes:
        if isinstance(node, Let) and node.op is at_set and not node.stored.type.rank:
            found = _addition(node, lets, uses)
            if found is not None:
                read, step, value = found
                new[id(read)] = None
                new[id(step)] = None
                if step.op is arith.sub:
                    new[id(step)] = replace(step, op=arith.neg, args=(value,))
                    value = step.var
                new[id(node)] = replace(node, op=at_add, args=(*node.args[:2], value))
    written: list[Node] = []
    for node in nodes:
        now = new.get(id(node), node)
        if now is not None:
            written.append(now)
    return tuple(written)


def _addition(write: Let, lets: dict[str, Let], uses: Counter[str]) -> tuple[Let, Let, Atom] | None:
    """The read, the sum and what is added, if the write changes its element by that."""
    step = _only(write.args[2], lets, uses)
    if step is None or step.op not in (arith.add, arith.sub):
        return None
    for k in (0, 1) if step.op is arith.add else (0,):
        read = _only(step.args[k], lets, uses)
        if read is not None and read.op is getitem and read.args == write.args[:2]:
            return read, step, step.args[1 - k]  # type: ignore[return-value]
    return None


def _only(value: object, lets: dict[str, Let], uses: Counter[str]) -> Let | None:
    """The line that computes a value which nothing else uses."""
    return lets.get(value.name) if isinstance(value, Var) and uses[value.name] == 1 else None
