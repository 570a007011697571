"""Shorten what one iteration of a reverse loop hands to the next.

The carried cotangent of a scalar recurrence goes through every operation of the body, one after the other,
and the next iteration waits for it. The body is linear in it, so its factor can be computed beside it, from
values that do not wait: one product is left on the way round (preaccumulation of the local derivative), and of
four steps one (strides.py). Only the adjoint's own loops are touched: a user's arithmetic keeps its order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..ir import walk
from ..ir.build import Builder
from ..ir.names import Names
from ..ir.program import Atom, For, If, Let, Lit, Node, Phi, Program, Var, While
from .ahead import ahead
from .strides import strided

SHORT = 1  # a recurrence of this many operations is left alone


def shorten_chains(program: Program) -> Program:
    """Rewrite the loops that carry a cotangent.

    >>> from ..ir.text import parse
    >>> print(shorten_chains(parse('''
    ... def f(a: f64[7], b: f64) -> f64:
    ...     for i in reversed(range(7)):
    ...         x_bar: f64 = phi(1.0, x_bar_1)
    ...         t: f64 = a[i]
    ...         u: f64 = x_bar * t
    ...         x_bar_1: f64 = u * b
    ...     x_bar_2: f64 = last(x_bar)
    ...     return x_bar_2''', {"x_bar"})))
    def f(a: f64[7], b: f64) -> f64:
        for i in reversed(range(7)):
            x_bar: f64 = phi(1.0, x_bar_3)
            t: f64 = a[i]
            t_1: f64 = t * b
            x_bar_3: f64 = x_bar * t_1
        x_bar_2: f64 = last(x_bar)
        return x_bar_2
    """
    names = walk.names_of(program)
    body = _region(program.body, names)
    return names.written(program, body=body)


def _region(nodes: Iterable[Node], names: Names) -> tuple[Node, ...]:
    result: list[Node] = []
    for node in nodes:
        match node:
            case For():
                inner = _region(node.body, names)
                loop = For(
                    node.index, node.start, node.stop, node.reverse, node.phis, inner, node.exits, node.span
                )
                result += _rewritten(loop, names)
            case While():
                test, body = _region(node.test, names), _region(node.body, names)
                result.append(While(node.phis, test, node.cond, body, node.exits, node.span))
            case If():
                arms = _region(node.then, names), _region(node.orelse, names)
                result.append(If(node.cond, *arms, node.phis, node.span))
            case _:
                result.append(node)
    return tuple(result)


def _rewritten(loop: For, names: Names) -> list[Node]:
    def steps(loop: For) -> list[Node]:
        return strided(loop, names)

    loop = _shortened(loop, names)
    return ahead(loop, names, steps) or steps(loop)


def _shortened(loop: For, names: Names) -> For:
    scalars = [p for p in loop.phis if p.var.type.is_float and not p.var.type.dims and names.is_cotangent(p.var)]
    for carried in scalars:
        factors = _Factors(loop, carried, names)
        new = factors.rewritten()
        if new is not None:
            return new
    return loop


@dataclass
class _Factors:
    """Values of the body as factor * carried; fails (None) where the body is not linear in the carried value."""

    loop: For
    carried: Phi
    names: Names
    factor: dict[str, Atom | None] = field(default_factory=dict)  # None: the factor is 1
    depth: dict[str, int] = field(default_factory=dict)

    def rewritten(self) -> For | None:
        loop, carried = self.loop, self.carried
        if not all(isinstance(node, Let) for node in loop.body) or not isinstance(carried.second, Var):
            return None
        accumulators = self._accumulators()
        if accumulators is None:
            return None
        b = self.builder = Builder()
        b.names = self.names
        self.factor[carried.var.name] = None
        self.depth[carried.var.name] = 0
        with b.open() as body:
            for let in loop.body:
                assert isinstance(let, Let)
                b.span = let.span
                if not self._let(let, accumulators):
                    return None
            if self.depth.get(carried.second.name, 0) <= SHORT:
                return None
            phis = tuple(Phi(p.var, p.first, self._second(p.second)) for p in loop.phis)
        return For(loop.index, loop.start, loop.stop, loop.reverse, phis, tuple(body), loop.exits, loop.span)

    def _accumulators(self) -> dict[str, str] | None:
        """Sums that the loop carries: the name of the new sum -> the old one. Each is used only for that."""
        uses: dict[str, int] = {}
        for node in self.loop.body:
            for name in walk.used_here(node):
                uses[name] = uses.get(name, 0) + 1
        found = {}
        for phi in self.loop.phis:
            if phi is self.carried:
                continue
            second = phi.second
            if isinstance(second, Var) and self.carried.var.name in (second.name,):
                return None
            if isinstance(second, Var) and uses.get(phi.var.name, 0) == 1 and not uses.get(second.name, 0):
                found[second.name] = phi.var.name
        return found

    def _let(self, let: Let, accumulators: dict[str, str]) -> bool:
        linear = [a for a in let.args if isinstance(a, Var) and a.name in self.factor]
        if not linear:
            if self.carried.var.name in set(walk.used_here(let)) or any(
                n in self.factor for n in walk.used_here(let)
            ):
                return False  # inside a subscript or a size
            self.builder.add(let)
            return True
        op, args = let.op.name, let.args
        if op == "at_add" and len(linear) == 1 and linear[0] == args[2]:
            self.builder.add(Let(let.var, let.op, (args[0], args[1], self._value(linear[0])), let.span))
            return True
        if let.var.type.dims or any(isinstance(a, Var) and a.type.dims for a in args):
            return False
        old = accumulators.get(let.var.name)
        if op in ("add", "sub") and old is not None and len(linear) == 1:
            values = [self._value(a) if a in linear else a for a in args]
            names = [a.name for a in args if isinstance(a, Var) and a not in linear]
            if names == [old]:
                self.builder.add(Let(let.var, let.op, tuple(values), let.span))
                return True
            return False
        return self._factor(let, linear)

    def _factor(self, let: Let, linear: list[Var]) -> bool:
        """The factor of what the operation makes."""
        b, op, args = self.builder, let.op.name, let.args
        known = [self.factor[a.name] if a in linear else a for a in args]
        new: Atom | None
        if op == "neg":
            new = b.emit("neg", self._one(let)) if known[0] is None else b.emit("neg", known[0])
        elif op == "mul" and len(linear) == 1:
            other = args[1] if linear[0] == args[0] else args[0]
            mine = self.factor[linear[0].name]
            new = other if mine is None else b.emit("mul", mine, other)  # type: ignore[assignment]
        elif op == "div" and linear == [args[0]]:
            new = b.emit("div", self._one(let) if known[0] is None else known[0], args[1])
        elif op in ("add", "sub") and len(linear) == 2:
            new = b.emit(op, *(self._one(let) if k is None else k for k in known))
        else:
            return False
        self.factor[let.var.name] = new
        self.depth[let.var.name] = 1 + max(self.depth[a.name] for a in linear)
        return True

    def _one(self, let: Let) -> Lit:
        return Lit("1.0", let.var.type)

    def _second(self, value: Atom) -> Atom:
        return self._value(value) if isinstance(value, Var) and value.name in self.factor else value

    def _value(self, var: Var) -> Atom:
        """The value itself, where somebody needs it."""
        factor = self.factor[var.name]
        if factor is None:
            return self.carried.var
        return self.builder.emit("mul", self.carried.var, factor, hint=var.name, of=var.name)
