"""Is a program linear in some of its parameters? Then its adjoint by them is its transpose.

Every value is a zero, something that does not depend on them, or linear in them; what is neither is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from functools import cache

import numpy as np

from ..build import Builder
from ..evaluate import function
from ..ops.array import zeros
from ..primitive import Primitive, Ref
from ..program import Atom, Call, Check, For, If, Let, Lit, Node, Phi, Program, Span, Var, While, atoms
from ..types import Type


class Degree(IntEnum):
    ZERO = 0
    CONSTANT = 1
    LINEAR = 2
    OTHER = 3


class NotLinear(Exception):
    def __init__(self, what: str, span: Span | None):
        super().__init__(what)
        self.span = span


def require_linear(program: Program, params: Iterable[Var], results: Iterable[Atom]) -> None:
    """Raise NotLinear, with the line, unless the results are linear in these parameters.

    The program has no calls.

    >>> from ..text import parse
    >>> p = parse('''
    ... def f(x: f64, v: f64) -> f64:
    ...     a: f64 = sin(x)
    ...     b: f64 = a * v
    ...     c: f64 = b + 1.0
    ...     return c''')
    >>> require_linear(p, p.params[1:], (p.body[1].var,))
    >>> try:
    ...     require_linear(p, p.params[1:], p.results)
    ... except NotLinear as why:
    ...     print(why)
    add
    """
    degrees = _Degrees({v.name: Degree.LINEAR for v in params})
    degrees.nodes(program.body)
    for result in results:
        if degrees.of(result) is Degree.CONSTANT:
            raise NotLinear("a value that does not depend on it", degrees.spans.get(getattr(result, "name", "")))
        if degrees.of(result) is Degree.OTHER:
            raise NotLinear(*degrees.why[result.name])  # type: ignore[union-attr]


class _Degrees:
    def __init__(self, known: dict[str, Degree]):
        self.known = known
        self.why: dict[str, tuple[str, Span | None]] = {}
        self.spans: dict[str, Span | None] = {}

    def of(self, atom: object) -> Degree:
        if isinstance(atom, Lit):
            zero = atom.type.is_float and float(atom.text) == 0.0
            return Degree.ZERO if zero else Degree.CONSTANT
        return self.known.get(atom.name, Degree.CONSTANT) if isinstance(atom, Var) else Degree.CONSTANT

    def bind(self, var: Var, degree: Degree, what: str, span: Span | None, sources: Sequence[Atom] = ()) -> None:
        self.spans[var.name] = span
        self.known[var.name] = degree
        if degree is Degree.OTHER:
            before = next((a.name for a in sources if isinstance(a, Var) and a.name in self.why), None)
            self.why[var.name] = self.why[before] if before else (what, span)

    def nodes(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            match node:
                case Let(var, op, args, span):
                    self.bind(var, self.result(node), op.name, span, [a for arg in args for a in atoms(arg)])
                case For(phis=phis, exits=exits) | While(phis=phis, exits=exits):
                    self.loop(node, phis)
                    for exit in exits:
                        self.bind(exit.var, self.of(exit.phi), "last", node.span, [exit.phi])
                case If(cond, then, orelse, phis, span):
                    self.nodes(then)
                    self.nodes(orelse)
                    for phi in phis:
                        self.joined(phi, span, self.of(cond))
                case Call(vars, called, args, span):
                    depends = any(self.of(a) > Degree.CONSTANT for a in args)
                    for var in vars:
                        self.bind(var, Degree.OTHER if depends else Degree.CONSTANT, called.name, span, args)
                case Check():
                    pass

    def loop(self, node: For | While, phis: Sequence[Phi]) -> None:
        for phi in phis:
            self.bind(phi.var, self.of(phi.first), "phi", node.span, [phi.first])
        for _ in range(4):  # degrees only grow, and there are four
            before = [self.of(phi.var) for phi in phis]
            if isinstance(node, While):
                self.nodes(node.test)
            self.nodes(node.body)
            for phi in phis:
                self.joined(phi, node.span, self.of(node.cond) if isinstance(node, While) else Degree.CONSTANT)
            if before == [self.of(phi.var) for phi in phis]:
                break

    def joined(self, phi: Phi, span: Span | None, steering: Degree) -> None:
        degree = max(self.of(phi.first), self.of(phi.second), self.of(phi.var))
        both = {self.of(phi.first), self.of(phi.second)}
        if both == {Degree.LINEAR, Degree.CONSTANT} or steering > Degree.CONSTANT:
            degree = Degree.OTHER
        self.bind(phi.var, degree, "phi", span, [phi.first, phi.second])

    def result(self, let: Let) -> Degree:
        op = let.op
        if op is zeros:
            return Degree.ZERO
        operands = {k: atoms(arg) for k, arg in enumerate(let.args) if k not in op.static}
        found = {k: max(map(self.of, values)) for k, values in operands.items() if values}
        highest = max(found.values(), default=Degree.CONSTANT)
        linear = [k for k in found if k in op.linear]
        if highest is Degree.ZERO and linear == list(found) and let.var.type.is_float:
            return Degree.ZERO
        if highest <= Degree.CONSTANT:
            return self.of_zeros(let, found, linear)
        moved = frozenset(k for k, d in found.items() if d is Degree.LINEAR)
        if highest is Degree.OTHER or not let.var.type.is_float:
            return Degree.OTHER
        if moved <= set(op.linear):
            fixed = [k for k in linear if k not in moved]
            mixed = any(_mixed(self, let.args[k]) for k in moved)
            return Degree.OTHER if mixed or any(found[k] is Degree.CONSTANT for k in fixed) else Degree.LINEAR
        types = tuple(a.type if isinstance(a, (Var, Lit)) else None for a in let.args)
        return Degree.LINEAR if all(types) and _linear_in(op, moved, types) else Degree.OTHER

    def of_zeros(self, let: Let, found: dict[int, Degree], linear: list[int]) -> Degree:
        """Parts and copies of zeros are zeros, whatever the subscript."""
        still = linear and all(found.get(k) is Degree.ZERO for k in linear) and not let.op.elementwise
        return Degree.ZERO if still and let.var.type.is_float else Degree.CONSTANT


def _mixed(degrees: _Degrees, operand: object) -> bool:
    """A tuple with parts that are linear and parts that are constant."""
    return {Degree.LINEAR, Degree.CONSTANT} <= {degrees.of(a) for a in atoms(operand) if a.type.is_float}


@cache
def _linear_in(op: Primitive, moved: frozenset[int], types: tuple[Type, ...]) -> bool:
    """Is the derivative by these operands independent of them, and the operation, on numbers, additive in them?"""
    builder = Builder()
    names = [builder.fresh("x") for _ in types]
    refs = [Ref(builder, Var(name, type)) for name, type in zip(names, types)]
    try:
        y = Ref(builder, Var(builder.fresh("y"), builder.result_type(op, tuple(r.atom for r in refs))))
        if op.partials is not None:
            bars = [p(*refs, y) if p is not None else None for p in op.partials]
        else:
            assert op.vjp is not None
            bars = op.vjp(Ref(builder, Var(builder.fresh("y_bar"), y.type)), y, *refs)
    except Exception:  # not of a form that this looks at
        return False
    depending = {names[k] for k in moved} | {y.atom.name}  # type: ignore[union-attr]
    for node in builder.region:
        if isinstance(node, Let) and any(isinstance(a, Var) and a.name in depending for a in node.values):
            depending.add(node.var.name)
    for k in moved:
        bar = bars[k]
        if bar is None or callable(bar) or (isinstance(bar, Ref) and getattr(bar.atom, "name", None) in depending):
            return False
    return not op.elementwise or all(_additive(op, moved, types, x) for x in (0.7, 1.6, -2.3))


def _additive(op: Primitive, moved: frozenset[int], types: tuple[Type, ...], x: float) -> bool:
    others = [np.array(1.3).astype(t.numpy)[()] for t in types]
    apply = lambda v: function(op)(*(v if k in moved else o for k, o in enumerate(others)))
    return bool(np.isclose(apply(x + 1.9), apply(x) + apply(1.9)))
