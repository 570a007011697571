"""Simplification: rewrites of single operations, and of loops and ifs whose outcome is known.

Every rewrite gives the same floating-point numbers, signed zeros, infinities and nans included, so that
`x * 0.0` and `x + 0.0` stay as they are (`-0.0 + 0.0` is `0.0`), while `x + (-0.0)` is x.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..build import dim_atom, literal, number
from ..ops import arith, array, index, masked, reduce
from ..primitive import Primitive, Trait
from ..program import Atom, Call, Check, Exit, For, If, Index, Let, Lit, Phi, Program, Var, While
from ..sizes import Sizes
from ..types import BOOL, I64, Dim, Type
from ..walk import Nodes, defined, map_node, substitution

Rewritten = Atom | tuple[Any, ...] | None
"""A value that is there already, or (operation, *operands), or None: nothing to do."""


@dataclass(frozen=True, slots=True)
class Made:
    """An operand of the table that an operation computed."""

    op: Primitive
    args: tuple[Any, ...]


def simplify(program: Program) -> Program:
    """Algebraic simplification and constant folding; loops and ifs whose outcome is known are decided.

    >>> from ..text import parse
    >>> print(simplify(parse('''
    ... def f(x: f64, c: bool) -> f64:
    ...     one: f64 = 0.5 + 0.5
    ...     a: f64 = x * one
    ...     b: f64 = -a
    ...     if c:
    ...         t: f64 = -b
    ...     else:
    ...         pass
    ...     y: f64 = phi(t, x)
    ...     return y''')))
    def f(x: f64, c: bool) -> f64:
        b: f64 = -x
        if c:
            pass
        return x
    """
    while True:
        simpler = _Simplifier().program(program)
        if simpler == program:
            return program
        program = simpler


def rewrite(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """What `x: type = op(args)` can be instead: the tables below, in turn.

    `views` are the operands again, those that an operation computed as `Made`.
    """
    for rules in (_product, _sum, _selection, _shape, _part, _whole_number):
        found = rules(op, args, type, views)
        if found is not None:
            return found
    return None


def _product(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """Products and powers: x * 1, x / 1, x ** 1; and signs, which are exact."""
    match op, *views:
        case (arith.mul, _, Lit("1.0" | "1")) | (arith.div | arith.power, _, Lit("1.0")):
            return args[0]
        case arith.mul | masked.strong_mul, Lit("1.0" | "1"), _:
            return args[1]
        case ((arith.mul | arith.div), _, Lit("-1.0" | "-1")):
            return arith.neg, args[0]
        case arith.mul, Lit("-1.0" | "-1"), _:
            return arith.neg, args[1]
        case arith.power, _, Lit("0.0" | "-0.0") if not type.dims:
            return literal(1.0, type.dtype)
        case arith.neg, Made(arith.neg, (x,)):
            return x
        case ((arith.mul | arith.div), Made(arith.neg, (a,)), Made(arith.neg, (b,))):
            return op, a, b
        case ((arith.mul | arith.div), Made(arith.neg, (a,)), Lit()):
            return op, a, _negative(args[1])
        case ((arith.mul | arith.div), Lit(), Made(arith.neg, (b,))):
            return op, _negative(args[0]), b
    return None


def _sum(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """Sums with a zero that is exact: -0.0 is neutral for +, 0.0 for -."""
    match op, *views:
        case (arith.add, _, Lit("-0.0" | "0")) | (arith.sub, _, Lit("0.0" | "0")):
            return args[0]
        case arith.add, Lit("-0.0" | "0"), _:
            return args[1]
        case arith.add, _, Made(arith.neg, (b,)):
            return arith.sub, args[0], b
        case arith.add, Made(arith.neg, (a,)), _:
            return arith.sub, args[1], a
        case arith.sub, _, Made(arith.neg, (b,)):
            return arith.add, args[0], b
    return None


def _selection(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """Selection and conversion."""
    match op, *views:
        case arith.where, Lit(condition), _, _:
            return args[1] if condition == "True" else args[2]
        case arith.where, _, _, _ if args[1] == args[2]:
            return args[1]
        case arith.where, _, Lit("True"), Lit("False"):
            return args[0]
        case arith.where, Made(arith.invert, (c,)), _, _ if c.type.dtype == "bool":
            return op, c, args[2], args[1]
        case arith.where, Made(arith.and_, (_, Lit("False"))), _, _ if args[2].type.dims == type.dims:
            return args[2]
        case arith.invert, Made(arith.invert, (c,)):
            return c
        case (_, _) if op.has(Trait.CONVERTS) and args[0].type.dtype == type.dtype:
            return args[0]
    return None


def _shape(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """Shapes."""
    match op, *views:
        case reduce.sum_, _, ():
            return args[0]
        case ((array.broadcast_to | array.reshape), _, _) if args[0].type.dims == type.dims:
            return args[0]
        case array.reshape, Made(array.reshape, (x, _)), _:
            return op, x, args[1]
        case array.transpose, _, tuple(axes) if axes == tuple(sorted(axes)):
            return args[0]
        case array.transpose, Made(array.transpose, (x, inner)), tuple(axes):
            return op, x, tuple(inner[a] for a in axes)
        case array.copy, Made(made) if _is_fresh(made):
            return args[0]
        case array.concatenate, (only,), _, _:
            return only
    return None


def _part(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """Reading what was just made or written."""
    match op, *views:
        case index.getitem, Made(array.zeros, (_, dtype)), _ if not type.dims:
            return literal(0, dtype)
        case index.getitem, Made(array.zeros, (_, dtype)), _:
            return array.zeros, tuple(map(dim_atom, type.dims)), dtype
        case index.getitem, Made(array.broadcast_to, (x, _)), _ if not type.dims and not x.type.dims:
            return x
        case index.getitem, Made(array.iota, _), Index((Var() | Lit() as item,)):
            return item
        case index.getitem, Made(index.at_set, (_, where, x)), Index() if where == args[1] and _is_part(
            where
        ):
            return x
        case index.getitem, _, Index(items) if _is_whole(items, args[0].type.dims):
            return args[0]
        case index.at_set, _, Index(items), _ if (
            _is_whole(items, type.dims) and args[2].type.dims == type.dims
        ):
            return args[2]
        # What the adjoint of `x[i] -= v` writes: take a cotangent out, put it back. Only there 0.0 + v is v: see found.
        case index.at_add, Made(index.at_set, (x, where, Lit("0.0"))), Index(), _ if where == args[1] and _is_part(
            where
        ):
            return index.at_set, x, where, args[2]
        case index.at_set, _, Index(), Made(index.getitem, (x, where)) if (
            x == args[0] and where == args[1] and _is_part(where)
        ):
            return x
    return None


def _whole_number(op: Primitive, args: tuple[Any, ...], type: Type, views: tuple[Any, ...]) -> Rewritten:
    """Integers and truth values."""
    match op, *views:
        case arith.floordiv, _, Lit("1"):
            return args[0]
        case arith.mod, _, Lit("1") if not type.dims:
            return literal(0, "i64")
        case (arith.and_, Lit("True"), _) | (arith.or_, Lit("False"), _):
            return args[1]
        case (arith.and_, _, Lit("True")) | (arith.or_, _, Lit("False")):
            return args[0]
        case (arith.and_, Lit("False"), _) | (arith.or_, Lit("True"), _):
            return args[0]
        case (arith.and_, _, Lit("False")) | (arith.or_, _, Lit("True")):
            return args[1]
        case (arith.eq | arith.le | arith.ge), _, _ if args[0] == args[1] and args[0].type == I64:
            return literal(True, "bool")
        case arith.invert, Made(arith.eq, (a, b)):
            return arith.ne, a, b
        case arith.invert, Made(arith.ne, (a, b)):
            return arith.eq, a, b
    return None


def _negative(lit: Lit) -> Lit:
    return literal(-number(lit), lit.type.dtype)


def _is_fresh(op: Primitive) -> bool:
    """Is the result new memory? Free operations are views, and reading a part may be one."""
    return op.cost > 0 and op is not index.getitem


def _is_whole(items: tuple[Any, ...], dims: tuple[Dim, ...]) -> bool:
    """Is a subscript `:` on every axis?"""
    return len(items) == len(dims) and all(item == array.full_slice(d) for item, d in zip(items, dims))


def _is_part(where: Index) -> bool:
    """Does a subscript name each place once? With index arrays, the last of equal places wins."""
    return not any(isinstance(i, Var) and i.type.dims for i in where.items)


def fold(op: Primitive, args: tuple[Any, ...], dtype: str) -> Lit | None:
    """The value of an operation on literals, as NumPy computes it.

    >>> fold(arith.div, (literal(1.0, "f64"), literal(3.0, "f64")), "f64").text
    '0.3333333333333333'
    """
    if not op.elementwise or not all(isinstance(a, Lit) for a in args) or isinstance(op.numpy, str):
        return None
    values = [number(a) for a in args]
    if dtype == "i64":
        # What NumPy only warns of has no number here: the program keeps the operation and its checks.
        divides = op in (arith.floordiv, arith.mod) and not values[1]
        if divides or op is arith.int_power or not all(-(2**62) < v < 2**62 for v in values):
            return None
    with np.errstate(all="ignore"):
        return literal(op.numpy(*values), dtype)


class _Simplifier:
    """One pass over the program. Operands are simple before what uses them is looked at."""

    def __init__(self) -> None:
        self.values: dict[str, Atom] = {}  # names that turned out to be other values
        self.atom, self.var, self.dim = substitution(self.values)
        self.lets: dict[str, Let] = {}
        self.sizes = Sizes()
        self.cotangents: frozenset[str] = frozenset()

    def program(self, program: Program) -> Program:
        for param in program.params:
            self.sizes.bind(param)
        self.cotangents = program.cotangents
        body = self.nodes(program.body)
        return replace(program, body=body, results=tuple(map(self.atom, program.results)))

    def nodes(self, nodes: Iterable[Any]) -> Nodes:
        return tuple(new for node in nodes for new in self.node(node))

    def inner(self, nodes: Nodes) -> Nodes:
        with self.sizes.region():
            return self.nodes(nodes)

    def node(self, node: Any) -> Nodes:
        match node:
            case Let():
                return self.let(node)
            case Check(cond, message, span):
                cond = self.atom(cond)
                return () if cond == Lit("True", BOOL) else (Check(cond, message, span),)
            case Call():
                call = map_node(node, self.atom, self.var, self.dim)
                for var in defined(call):
                    self.sizes.bind(var)
                return (call,)
            case For():
                return self.loop(node)
            case While():
                return self.repeat(node)
            case If():
                return self.branch(node)
        raise AssertionError(node)

    def let(self, let: Let) -> Nodes:
        new = map_node(let, self.atom, self.var, self.dim)
        assert isinstance(new, Let)
        while isinstance(found := self.found(new), tuple):
            new = replace(new, op=found[0], args=found[1:])
        if found is not None and self.same_type(found, new.var):
            self.values[new.var.name] = found
            return ()
        self.lets[new.var.name] = new
        self.sizes.let(new)
        return (new,)

    def found(self, let: Let) -> Rewritten:
        type = let.var.type
        if not type.dims and (lit := fold(let.op, let.args, type.dtype)):
            return lit
        found = self.size(let) or rewrite(let.op, let.args, type, tuple(map(self.view, let.args)))
        users = let.op is index.at_add and let.var.name not in self.cotangents
        return None if users else found  # the sign of a zero may change

    def same_type(self, a: Atom, b: Atom) -> bool:
        """Equal dtypes and sizes: an operand that was broadcast is not the result."""
        same_kind = (a.type.dtype, a.type.rank) == (b.type.dtype, b.type.rank)
        return same_kind and all(map(self.sizes.equal, a.type.dims, b.type.dims))

    def view(self, operand: Any) -> Any:
        let = self.lets.get(operand.name) if isinstance(operand, Var) else None
        return operand if let is None else Made(let.op, let.args)

    def size(self, let: Let) -> Atom | None:
        """An i64 that is a number or has a name already: `(n + 1) - 1` is n."""
        if let.var.type != I64 or (known := self.sizes.computed(let)) is None:
            return None
        return None if isinstance(known, int) and abs(known) >= 2**63 else dim_atom(known)

    # -- loops and ifs -------------------------------------------------------------------------------

    def loop(self, node: For) -> Nodes:
        start, stop = self.atom(node.start), self.atom(node.stop)
        if isinstance(start, Lit) and isinstance(stop, Lit):
            trips = int(stop.text) - int(start.text)
            if trips <= 0:
                self.leave(node, {p.var.name: p.first for p in node.phis})
                return ()
            if trips == 1:
                self.values[node.index.name] = start
                self.enter(node.phis)
                body = self.nodes(node.body)
                self.leave(node, {p.var.name: p.second for p in node.phis})
                return body
        phis = self.heads(node.phis)
        with self.sizes.region():
            self.sizes.bind(node.index)
            for phi in phis:
                self.sizes.bind(self.var(phi.var))
            body = self.nodes(node.body)
        exits = self.exits(node)
        return (For(node.index, start, stop, node.reverse, self.phis(phis), body, exits, node.span),)

    def repeat(self, node: While) -> Nodes:
        if node.cond == Lit("False", BOOL):
            self.enter(node.phis)
            test = self.nodes(node.test)
            self.leave(node, {p.var.name: p.first for p in node.phis})
            return test
        phis = self.heads(node.phis)
        with self.sizes.region():
            for phi in phis:
                self.sizes.bind(self.var(phi.var))
            test, cond, body = self.nodes(node.test), self.atom(node.cond), self.nodes(node.body)
        return (While(self.phis(phis), test, cond, body, self.exits(node), node.span),)

    def branch(self, node: If) -> Nodes:
        cond = self.atom(node.cond)
        if isinstance(cond, Lit):
            taken = cond.text == "True"
            nodes = self.nodes(node.then if taken else node.orelse)
            for phi in node.phis:
                self.values[phi.var.name] = self.atom(phi.first if taken else phi.second)
            return nodes
        then, orelse = self.inner(node.then), self.inner(node.orelse)
        for phi in node.phis:
            if (value := self.atom(phi.first)) == self.atom(phi.second):
                self.values[phi.var.name] = value
        phis = self.phis(tuple(p for p in node.phis if p.var.name not in self.values))
        for phi in phis:
            self.sizes.bind(phi.var)
        return (If(cond, then, orelse, phis, node.span),)

    def heads(self, phis: tuple[Phi, ...]) -> tuple[Phi, ...]:
        """The phis of a loop without those that never change."""
        for phi in phis:
            first = self.atom(phi.first)
            if self.atom(phi.second) in (phi.var, self.var(phi.var), first):
                self.values[phi.var.name] = first
        return tuple(p for p in phis if p.var.name not in self.values)

    def phis(self, phis: tuple[Phi, ...]) -> tuple[Phi, ...]:
        return tuple(Phi(self.var(p.var), self.atom(p.first), self.atom(p.second)) for p in phis)

    def enter(self, phis: tuple[Phi, ...]) -> None:
        """The phis are their values on entry."""
        self.values.update({p.var.name: self.atom(p.first) for p in phis})

    def leave(self, node: For | While, values: dict[str, Atom]) -> None:
        """The exits are these values of the phis."""
        self.values.update({e.var.name: self.atom(values[e.phi.name]) for e in node.exits})

    def exits(self, node: For | While) -> tuple[Exit, ...]:
        kept = []
        for exit in node.exits:
            phi = self.atom(exit.phi)
            if exit.phi.name in self.values:
                self.values[exit.var.name] = phi
            else:
                kept.append(Exit(exit.var, phi))  # type: ignore[arg-type]
        kept = [replace(e, var=self.var(e.var)) for e in kept]
        for exit in kept:
            self.sizes.bind(exit.var)
        return tuple(kept)
