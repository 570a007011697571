"""What a level of the pipeline promises beyond the rules of the IR: see `Level` in pipeline.py."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import IRError
from .program import For, If, Let, Node, Program, Var, While
from .verify import marked
from .walk import bound, free, walk


def verify_loops(program: Program) -> None:
    """No elementwise operation has an array for a result. Raises IRError.

    >>> from .text import parse
    >>> verify_loops(parse('''
    ... def f(x: f64[3]) -> f64[3]:
    ...     y: f64[3] = sin(x)
    ...     return y'''))
    Traceback (most recent call last):
    pullback.ir.errors.IRError: sin of a whole array, where there are to be loops over scalars
      def f(x: f64[3]) -> f64[3]:
          y: f64[3] = sin(x)
          ^^^^^^^^^^^^^^^^^^
          return y
    """
    for node in walk(program.body):
        if isinstance(node, Let) and node.op.elementwise and node.var.type.dims:
            why = f"{node.op.name} of a whole array, where there are to be loops over scalars"
            raise IRError(f"{why}\n{marked(program, node)}")


def verify_stored(program: Program) -> None:
    """Nobody reads an array that was written to under its old name. Raises IRError.

    >>> from .text import parse
    >>> verify_stored(parse('''
    ... def f(x: f64[3]) -> (f64[3], f64):
    ...     y: f64[3] = copy(x)
    ...     y_1: f64[3] = y.at[0].set(1.0)
    ...     t: f64 = y[0]
    ...     return y_1, t'''))
    Traceback (most recent call last):
    pullback.ir.errors.IRError: y is read after it was written to
      def f(x: f64[3]) -> (f64[3], f64):
          y: f64[3] = copy(x)
          y_1: f64[3] = y.at[0].set(1.0)
          t: f64 = y[0]
          ^^^^^^^^^^^^^
          return y_1, t
    """
    gone = _written(program, program.body)
    for result in program.results:
        if isinstance(result, Var) and result.name in gone:
            _fail(program, result.name, program)


def _written(program: Program, nodes: Iterable[Node]) -> set[str]:
    """The names that these nodes of one region write to."""
    gone: set[str] = set()
    for node in nodes:
        for name in free((node,)) & gone:
            _fail(program, name, node)
        match node:
            case Let(_, op, (Var(name, _), *_)) if op.writes:
                gone.add(name)
            case For(body=body, phis=phis) | While(body=body, phis=phis):
                inside = _written(program, body)
                if isinstance(node, While):
                    inside |= _written(program, node.test)
                own = {p.var.name for p in phis} | {v.name for v in bound(body)}
                carried = {p.second.name for p in phis if isinstance(p.second, Var)}
                for name in (inside - own) | (inside & carried):
                    _fail(program, name, node)  # the next iteration would read it
            case If(then=then, orelse=orelse, phis=phis):
                for arm, k in ((then, 1), (orelse, 2)):
                    inside = _written(program, arm)
                    joined = {v.name for p in phis if isinstance(v := (p.first, p.second)[k - 1], Var)}
                    for name in inside & joined:
                        _fail(program, name, node)
                    gone |= inside - {v.name for v in bound(arm)}
    return gone


def _fail(program: Program, name: str, node: object) -> None:
    raise IRError(f"{name} is read after it was written to\n{marked(program, node)}")
