"""Forward mode: from a program to the program of its Jacobian-vector product.

Every value that depends on a differentiated parameter and influences a result gets its tangent `x_dot` beside it, in
the same order, loop and arm. Nothing is saved and nothing runs twice. The rules come from the declarations of the
operations: partials serve both modes, an operation that is linear in its operands is its own tangent, the few others
state a `jvp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .adjoint.activity import Activity, activity, differentiated, operands
from .adjoint.reverse_mode import adjoint, equate
from .adjoint.rules import push_of
from .build import Builder, atom_dim, literal
from .calls import inline_calls, require_own, results_of
from .errors import TypeMismatch, UnsupportedFunction
from .ops.arith import CONVERT, eq
from .ops.array import broadcast_to, dim, empty, expand, full_slice, zeros
from .ops.index import at_set, getitem
from .ops.masked import strong_mul
from .primitive import Ref, Trait
from .program import (
    Atom,
    Call,
    Check,
    Exit,
    For,
    Function,
    If,
    Index,
    Let,
    Lit,
    Node,
    Phi,
    Program,
    Slice,
    Var,
    While,
    atoms,
)
from .types import I64, Type
from .walk import names_of


def tangent(
    p: Program, wrt: Sequence[int], *, value: bool = True, batch: bool = False, of: Sequence[int] | None = None
) -> Program:
    """The program that pushes tangents of the parameters `wrt` forward to the results.

    Its parameters are those of p and a tangent for each of `wrt`; its results are p's own, if `value`, and a tangent
    for each float result of p, or of those at the places `of`. With `batch` there are many directions at once: every
    tangent has one more axis for them, its last, so that they are the innermost loop of what is generated.

    >>> from .text import parse
    >>> print(tangent(parse('''
    ... def f(x: f64[n], w: f64) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     for i in range(n):
    ...         s: f64 = phi(1.0, s1)
    ...         a: f64 = x[i]
    ...         b: f64 = s * w
    ...         c: f64 = sin(b)
    ...         s1: f64 = c + a
    ...     s_end: f64 = last(s)
    ...     return s_end'''), [0]))
    def f_jvp(x: f64[n], w: f64, x_dot: f64[n]) -> (f64, f64):
        n: i64 = dim(x, 0)
        for i in range(n):
            s: f64 = phi(1.0, s1)
            s_dot: f64 = phi(0.0, s1_dot)
            a: f64 = x[i]
            a_dot: f64 = x_dot[i]
            b: f64 = s * w
            b_dot: f64 = s_dot * w
            c: f64 = sin(b)
            t: f64 = cos(b)
            c_dot: f64 = b_dot * t
            s1: f64 = c + a
            s1_dot: f64 = c_dot + a_dot
        s_end: f64 = last(s)
        s_end_dot: f64 = last(s_dot)
        return s_end, s_end_dot
    """
    params = [p.params[k] for k in wrt]
    for param in params:
        if not param.type.is_float:
            raise TypeMismatch(f"cannot differentiate by {param.name}: it is {param.type}, not a float")
    p = inline_calls(p, plain=True, again=True)
    moving = p.results if of is None else [p.results[k] for k in of]
    floats = [r for r in moving if r.type.is_float]
    flow = activity(p, [v.name for v in params], [r.name for r in floats if isinstance(r, Var)])
    builder = Builder()
    builder.names = names_of(p)
    push = _Push(flow, builder)
    given = []
    for param in params:
        if batch and push.batch is None:
            push.batch = Var(builder.fresh("k"), I64)
        dot = push.fresh_dot(param)
        given.append(dot)
        if param.name in flow.active:
            push.dots[param.name] = Ref(builder, dot)
    if isinstance(push.batch, Var):
        size = Let(push.batch, dim, (given[0], given[0].type.rank - 1))
        builder.add(size)
        builder.know(size)
    push.nodes(p.body)
    builder.span = None
    dots = [push.dot_or_zero(r).atom for r in floats]
    results = (*(p.results if value else ()), *dots)
    origins = p.origins and (*p.origins, *("" for _ in given))
    whole = Program(
        f"{p.name}_jvp", (*p.params, *given), tuple(builder.region), results, origins, p.cotangents, p.computed
    )
    return inline_calls(whole, plain=True)


@dataclass
class _Push:
    """Writes the program again into `builder`, with the tangents beside the values."""

    flow: Activity
    builder: Builder
    dots: dict[str, Ref] = field(default_factory=dict)
    """The tangents of the active values written so far."""
    comparisons: dict[str, Let] = field(default_factory=dict)
    """The values `a == b` of integers: a check may say that they hold."""
    batch: Atom | None = None
    """How many directions there are, where each tangent has one more axis for them, its last."""

    # -- tangents --------------------------------------------------------------------------------------

    def dot(self, atom: Any) -> Ref | None:
        """The tangent of a value, None where it is zero."""
        return self.dots.get(atom.name) if isinstance(atom, Var) else None

    def widened(self, type: Type) -> Type:
        """The type of the tangent of a value of this type."""
        return type if self.batch is None else type.with_dims((*type.dims, atom_dim(self.batch)))

    def sizes(self, type: Type) -> tuple[Atom, ...]:
        """The shape of the tangent, as an operand."""
        return Ref(self.builder, Var("", self.widened(type))).shape

    def lifted(self, ref: Any) -> Any:
        """A value of the program as it goes together with tangents: with an axis of size 1 where they have theirs."""
        if self.batch is None or not isinstance(ref, Ref):
            return ref
        return expand(ref, (ref.type.rank,))

    def zero(self, type: Type) -> Ref:
        type = self.widened(type)
        if not type.dims:
            return self.builder.ref(0, type.dtype)
        return Ref(self.builder, self.builder.emit(zeros, Ref(self.builder, Var("", type)).shape, type.dtype))

    def dot_or_zero(self, atom: Atom) -> Ref:
        found = self.dot(atom)
        return self.zero(atom.type) if found is None else found

    def fresh_dot(self, var: Var) -> Var:
        return self.builder.var(f"{var.name}_dot", self.widened(var.type))

    # -- nodes -----------------------------------------------------------------------------------------

    def nodes(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.builder.span = getattr(node, "span", None)
            match node:
                case Let():
                    self.let(node)
                case Call():
                    self.call(node)
                case For() | While():
                    self.loop(node)
                case If():
                    self.branch(node)
                case Check():
                    self.check(node)

    def region(self, nodes: Sequence[Node]) -> list[Node]:
        with self.builder.open() as written:
            self.nodes(nodes)
        return written

    def check(self, check: Check) -> None:
        self.builder.add(check)
        compared = self.comparisons.get(check.cond.name) if isinstance(check.cond, Var) else None
        if compared is not None and not self.builder.depth:  # what holds in a loop or an arm need not hold behind it
            equate(self.builder, list(atoms(compared.args)))

    def let(self, let: Let) -> None:
        builder = self.builder
        builder.add(let)
        builder.know(let)
        if let.op is eq and all(a.type == I64 for a in atoms(let.args)):
            self.comparisons[let.var.name] = let
        if let.var.name not in self.flow.active:
            return
        wanted = {u.name for u in operands(let) if u.name in self.dots}
        if not wanted:
            return
        count = len(builder.region)
        try:
            dot = self.fitted(self.push(let, wanted), let.var)
        except UnsupportedFunction as error:
            raise UnsupportedFunction(error.bare_message, error.span or let.span) from None
        self.dots[let.var.name] = self.called(dot, let.var, count)

    def call(self, node: Call) -> None:
        """A call with a rule: of its pushforward, which gives the values as well."""
        function, results = node.function, differentiated(node)
        if self.flow.active.isdisjoint(v.name for v in results) or all(self.dot(arg) is None for arg in node.args):
            self.builder.add(node)
            return
        require_own(node, self.dots)
        try:
            program = push_of(function, adjoint)
        except UnsupportedFunction as error:
            raise UnsupportedFunction(error.bare_message, error.span or node.span) from None
        dots = [self.dot_or_zero(arg).atom for arg in node.args[: function.count]]
        if self.batch is not None:
            self.builder.add(node)
            ends = self.each_direction(node, program, dots)
        else:
            names = results_of(self.builder, program, [*node.args, *dots], node.vars)
            self.builder.add(Call(names, Function(program.name, program), (*node.args, *dots), node.span))
            ends = list(names[len(node.vars) :])
        for v, end in zip(results, ends):
            if v.name in self.flow.active:
                self.dots[v.name] = Ref(self.builder, end)

    def each_direction(self, node: Call, program: Program, dots: Sequence[Atom]) -> list[Var]:
        """The pushforward for one direction after the other, in a loop."""
        b = self.builder
        assert self.batch is not None
        results = differentiated(node)
        first = [b.emit(empty, self.sizes(v.type), v.type.dtype, hint=f"{v.name}_dot") for v in results]
        index = b.var("j", I64)
        heads = [self.fresh_dot(v) for v in results]
        with b.open() as body:
            parts = [b.emit(getitem, dot, _direction(dot, index)) for dot in dots]
            moved = results_of(b, program, [*node.args, *parts])
            b.add(Call(moved, Function(program.name, program), (*node.args, *parts), node.span))
            seconds = [
                b.emit(at_set, head, _direction(head, index), end, type=head.type)
                for head, end in zip(heads, moved[len(node.vars) :])
            ]
        phis = tuple(Phi(h, f, s) for h, f, s in zip(heads, first, seconds))
        exits = tuple(Exit(self.fresh_dot(v), h) for v, h in zip(results, heads))
        b.add(For(index, literal(0, "i64"), self.batch, False, phis, tuple(body), exits, node.span))
        return [exit.var for exit in exits]

    def called(self, dot: Ref, var: Var, count: int) -> Ref:
        """The tangent under its own name, if it was written just now, behind the first `count` nodes."""
        region = self.builder.region
        last = region[-1]
        if len(region) == count or not isinstance(last, Let) or last.var != dot.atom:
            return dot
        self.builder.names.discard(last.var.name)
        named = Var(self.builder.fresh(f"{var.name}_dot"), last.var.type)
        region[-1] = replace(last, var=named)
        return Ref(self.builder, named)

    def push(self, let: Let, wanted: set[str]) -> Ref:
        """The tangent of an operation's result, as its rule gives it."""
        op = let.op
        refs = [o if k in op.static or k in op.sizes else self.reference(o) for k, o in enumerate(let.args)]
        y = Ref(self.builder, let.var)
        if op.jvp is not None:
            return op.jvp(tuple(map(self.dot, let.args)), y, *refs)
        if op.partials is not None:
            total: Ref | None = None
            for operand, partial in zip(let.args, op.partials):
                dot = self.dot(operand)
                if partial is NotImplemented and dot is not None:
                    raise op.no_derivative(operand)
                if partial is not None and dot is not None:
                    term = self.times(dot, partial(*refs, y), refs, let.var.type, op.has(Trait.TAME))
                    total = term if total is None else total + term
            assert total is not None
            return total
        if {u.name for k in op.linear for u in self.floats(let.args[k])} >= wanted:
            args = [self.directions(r) if k in op.linear else r for k, r in enumerate(refs)]
            return op(*(args if self.batch is None or op.batched is None else op.batched(self.batch, *args)))
        raise AssertionError(f"{op.name} has neither partials nor a jvp, and is not linear in what is active")

    def times(self, dot: Ref, partial: Ref | float, refs: Sequence[Any], type: Type, tame: bool) -> Ref:
        """The product with a partial derivative. A tangent of 0 stays 0 where a partial is inf or nan: the partial of
        a product is an operand, which is neither where the value is finite, and some are always finite."""
        if dot.type.dtype != type.dtype:
            dot = CONVERT[type.dtype](dot)
        if isinstance(partial, (int, float)):
            if partial in (1.0, -1.0):
                return dot if partial == 1.0 else -dot
            return dot * partial
        given = any(isinstance(r, Ref) and r.atom == partial.atom for r in refs)
        if tame or given or isinstance(partial.atom, Lit):
            return dot * self.lifted(partial)
        return strong_mul(dot, self.lifted(partial))

    def fitted(self, dot: Ref, var: Var) -> Ref:
        """The tangent in the shape of the value, where that was made by broadcasting."""
        wanted = self.widened(var.type)
        if dot.type.rank == wanted.rank and all(map(self.builder.same_dim, dot.type.dims, wanted.dims)):
            return dot
        return Ref(self.builder, self.builder.emit(broadcast_to, dot, self.sizes(var.type), type=wanted))

    def reference(self, operand: Any) -> Any:
        if isinstance(operand, (Var, Lit)):
            return Ref(self.builder, operand)
        return tuple(map(self.reference, operand)) if isinstance(operand, tuple) else operand

    def floats(self, operand: Any) -> list[Var]:
        match operand:
            case Var(_, type) if type.is_float:
                return [operand]
            case Index() | Slice():
                return []
            case tuple():
                return [u for part in operand for u in self.floats(part)]
        return []

    def directions(self, operand: Any) -> Any:
        """A linear operand, replaced by its tangent. A number without one stays one: it goes with every shape."""
        if isinstance(operand, tuple):
            return tuple(map(self.directions, operand))
        if not operand.type.dims and self.dot(operand.atom) is None:
            return self.builder.ref(0, operand.type.dtype)
        return self.dot_or_zero(operand.atom)

    # -- regions ---------------------------------------------------------------------------------------

    def loop(self, node: For | While) -> None:
        active = [phi for phi in node.phis if phi.var.name in self.flow.active]
        first = [self.dot_or_zero(phi.first).atom for phi in active]
        heads = [self.fresh_dot(phi.var) for phi in active]
        for phi, head in zip(active, heads):
            self.dots[phi.var.name] = Ref(self.builder, head)
        test = self.region(node.test) if isinstance(node, While) else []
        with self.builder.open() as body:
            self.nodes(node.body)
            second = [self.dot_or_zero(phi.second).atom for phi in active]
        dots = {phi.var.name: Phi(h, f, s) for phi, h, f, s in zip(active, heads, first, second)}
        phis: list[Phi] = []
        for phi in node.phis:
            phis += [phi, *([dots[phi.var.name]] if phi.var.name in dots else [])]
        exits: list[Exit] = []
        for exit in node.exits:
            exits.append(exit)
            if exit.phi.name in dots:
                end = self.fresh_dot(exit.var)
                exits.append(Exit(end, dots[exit.phi.name].var))
                self.dots[exit.var.name] = Ref(self.builder, end)
        loop = replace(node, phis=tuple(phis), body=tuple(body), exits=tuple(exits))
        self.builder.add(replace(loop, test=tuple(test)) if isinstance(loop, While) else loop)

    def branch(self, node: If) -> None:
        active = [phi for phi in node.phis if phi.var.name in self.flow.active]
        arms: list[tuple[Node, ...]] = []
        ends: list[list[Atom]] = []
        for nodes, side in ((node.then, _first), (node.orelse, _second)):
            with self.builder.open() as written:
                self.nodes(nodes)
                ends.append([self.dot_or_zero(side(phi)).atom for phi in active])
            arms.append(tuple(written))
        dots = {}
        for phi, then, orelse in zip(active, *ends):
            dots[phi.var.name] = Phi(self.fresh_dot(phi.var), then, orelse)
        phis: list[Phi] = []
        for phi in node.phis:
            phis += [phi, *([dots[phi.var.name]] if phi.var.name in dots else [])]
        for name, phi in dots.items():
            self.dots[name] = Ref(self.builder, phi.var)
        self.builder.add(replace(node, then=arms[0], orelse=arms[1], phis=tuple(phis)))


def _direction(dot: Atom, index: Var) -> Index:
    """One direction of a tangent that has an axis for them, its last."""
    return Index((*map(full_slice, dot.type.dims[:-1]), index))


def _first(phi: Phi) -> Atom:
    return phi.first


def _second(phi: Phi) -> Atom:
    return phi.second
