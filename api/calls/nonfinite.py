"""`options(check_nan=True)`: programs are run by the interpreter, which finds where the first NaN or inf was made.

Every value that is not finite is traced to its origin: the operation that made it of finite operands, or the
argument that brought it. Only what reaches a result counts: the arm of a `where` that is not taken may be infinite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

from ..ir.build import Builder
from ..ir.errors import NotFinite
from ..ir.evaluate import evaluate, operand_value
from ..ir.primitive import Kind, Primitive, Ref
from ..ir.program import Atom, For, If, Let, Node, Phi, Program, Span, Var, While, atoms
from ..ir.text import operation
from ..ir.text.notation import PLACEHOLDER
from ..ir.walk import walk

Env = dict[str, Any]


def checked_run(
    program: Program, outputs: int, primal: Program | None = None, takes: str = "argument"
) -> Callable[..., tuple[Any, ...]]:
    """A function that computes the program, and raises NotFinite if one of its first `outputs` results is NaN or inf.

    primal  run before, with the same arguments: what it makes is found there, by its own operation
    takes   what the program's parameters are, in messages
    """

    def run(*args: Any) -> tuple[Any, ...]:
        if primal is not None:
            _Watch(primal, takes).run(args, len(primal.results))
        results = _Watch(program, takes, primal).run(args, outputs)
        return tuple(r.item() if isinstance(r, np.generic) else r for r in results)

    return run


@dataclass(frozen=True)
class _Origin:
    """Where a value that is not finite comes from."""

    order: int
    message: str
    span: Span | None


class _Watch:
    """One run of a program."""

    def __init__(self, program: Program, takes: str, primal: Program | None = None):
        self.program = program
        self.takes = takes
        self.primal = primal
        self.args: tuple[Any, ...] = ()
        self.origin: dict[str, _Origin] = {}
        self.order = count()

    def run(self, args: tuple[Any, ...], outputs: int) -> tuple[Any, ...]:
        program, self.args = self.program, args
        for param, arg in zip(program.params, args):
            if param.type.is_float and (place := first_place(arg)) is not None:
                what = f"{self.takes} {param.name} is {_said(arg, place)} already, before anything is computed"
                self.origin[param.name] = _Origin(next(self.order), what, None)
        results = evaluate(program, *args, watch=self.watch)
        found = [
            self.origin[atom.name]
            for atom, value in zip(program.results[:outputs], results)
            if isinstance(atom, Var) and atom.name in self.origin and first_place(value) is not None
        ]
        if found:
            first = min(found, key=lambda origin: origin.order)
            raise NotFinite(first.message, first.span)
        return results

    def watch(self, node: Node, part: str, values: Env, env: Env) -> None:
        match node:
            case Let(var):
                if var.type.is_float:
                    self.computed(node, values[var.name], env)
            case For() | While() | If():
                sources = {p.var.name: p for p in node.phis}
                if part == "exit":
                    sources = {e.var.name: sources[e.phi.name] for e in node.exits}  # type: ignore[union-attr]
                for name, value in values.items():
                    self.passed(name, value, sources.get(name), env)

    def passed(self, name: str, value: Any, phi: Phi | None, env: Env) -> None:
        """A phi or an exit takes over the origin of the value that it stands for."""
        self.origin.pop(name, None)
        if phi is None or not phi.var.type.is_float or first_place(value) is None:
            return
        for atom in (phi.second, phi.first):
            if isinstance(atom, Var) and atom.name in self.origin and env.get(atom.name) is value:
                self.origin[name] = self.origin[atom.name]

    def computed(self, let: Let, value: Any, env: Env) -> None:
        name = let.var.name
        place = first_place(value)
        if place is None or let.op.name == "empty":
            self.origin.pop(name, None)
            return
        bad = [a for a in _in_order(let) if a.name in env and first_place(env[a.name]) is not None]
        known = [self.origin[a.name] for a in bad if a.name in self.origin and _reaches(let, a, place, env)]
        if known:
            self.origin[name] = known[0]
        elif bad:
            self.origin.pop(name, None)  # memory that was not written yet
        elif name not in self.origin or self.origin[name].span != let.span:
            self.origin[name] = _Origin(next(self.order), self.message(let, value, place, env), let.span)

    def message(self, let: Let, value: Any, place: tuple[int, ...], env: Env) -> str:
        span = let.span
        line = "" if span is None or not span.line else f" at line {span.line}"
        done = _written(let, place, env)
        said = _said(value, place)
        if span is None or span.sweep in ("", "count"):
            return f"first {said.split(' ')[0]}{self.subject(let, '')}{line}: {done} is {said}"
        what = "a value computed again"
        if span.sweep != "again":
            point = "" if self.primal is None else _point(self.primal, self.args, span)
            what = f"derivative of {span.sweep}{point}"
        return f"first {said.split(' ')[0]}{self.subject(let, '_bar')}{line}: {what}: {done} is {said}"

    def subject(self, let: Let, ending: str) -> str:
        """The user's name of what an operation computes, or of what that goes into: ` in x_bar`."""
        name = self.named(let.var.name, ending)
        stem = re.sub(r"_\d+$", "", name)
        text = let.span.text if let.span is not None else ""
        params = {p.name for p in self.program.params}
        own = re.search(rf"\b{re.escape(stem.removesuffix('_bar'))}\b", text) or stem.removesuffix("_bar") in params
        return f" in {stem if own else name}" if name else ""

    def named(self, name: str, ending: str) -> str:
        """The first value that this one goes into, itself or through others, whose name is no temporary's."""
        after = {name}
        for node in walk(self.program.body):
            for var in _bound(node):
                if var.name == name or _uses(node, after):
                    after.add(var.name)
                    if not _temporary(var.name) and ending in var.name:
                        return var.name
        return ""


def first_place(value: Any) -> tuple[int, ...] | None:
    """Where the first NaN or inf is; None if all is finite, or no float."""
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return None
    finite = np.isfinite(array)
    return None if finite.all() else tuple(int(k) for k in np.argwhere(~finite)[0])


def _said(value: Any, place: tuple[int, ...]) -> str:
    number = np.asarray(value)[place]
    text = "NaN" if number != number else "inf" if number > 0 else "-inf"
    return text + (f" at [{', '.join(map(str, place))}]" if place else "")


def _temporary(name: str) -> bool:
    stem = name.removesuffix("_bar")
    return stem == "t" or (stem.startswith("t_") and stem[2:].isdigit())


def _bound(node: Node) -> Iterable[Var]:
    if isinstance(node, Let):
        return (node.var,)
    phis = getattr(node, "phis", ())
    return (*(p.var for p in phis), *(e.var for e in getattr(node, "exits", ())))


def _uses(node: Node, names: set[str]) -> bool:
    """Does a line read one of these? Loops and ifs count as lines of their own, by their phis."""
    if isinstance(node, Let):
        return any(isinstance(a, Var) and a.name in names for a in atoms(node.args))
    phis = getattr(node, "phis", ())
    values: list[Atom] = [a for p in phis for a in (p.first, p.second)]
    values += [e.phi for e in getattr(node, "exits", ())]
    return any(isinstance(a, Var) and a.name in names for a in values)


def _in_order(let: Let) -> list[Var]:
    """The float operands; what is stored before what it is stored in."""
    args = let.args
    if let.op.kind is Kind.WRITE:
        args = (args[2], args[0])
    return [a for a in atoms(args) if isinstance(a, Var) and a.type.is_float]


def _reaches(let: Let, operand: Var, place: tuple[int, ...], env: Env) -> bool:
    """Is this operand of an elementwise operation not finite there, and chosen if there is a choice?"""
    if not let.op.elementwise:
        return True
    if let.op.name == "where":
        cond = _element(let, let.args[0], place, env)
        if operand != (let.args[1] if cond else let.args[2]):
            return False
    return not np.isfinite(_element(let, operand, place, env))


def _element(let: Let, operand: Any, place: tuple[int, ...], env: Env) -> Any:
    """The number that an elementwise operation takes at a place."""
    value = np.asarray(operand_value(operand, env))
    shape = np.shape(env[let.var.name])
    return np.broadcast_to(value, shape)[place]


def _point(primal: Program, args: tuple[Any, ...], span: Span) -> str:
    """Where the derivative of an operation is not finite: ` at 0.0`. It is the one that was done last."""
    found: list[str] = []

    def watch(node: Node, part: str, values: Env, env: Env) -> None:
        if isinstance(node, Let) and node.op.name == span.sweep and node.span == span and node.op.partials:
            operands = [np.asarray(operand_value(a, env)) for a in node.args]
            for bad in (first_place(p) for p in evaluate(_partials(node, operands), *operands)):
                if bad is not None:
                    shape = np.shape(env[node.var.name])
                    point = [np.broadcast_to(o, shape)[bad if shape else ()] for o in operands]
                    found.append(f" at {', '.join(map(_number, point))}")

    evaluate(primal, *args, watch=watch)
    return found[-1] if found else ""


def _partials(let: Let, operands: list[np.ndarray]) -> Program:
    """The partial derivatives of an elementwise operation, for operands of these shapes."""
    builder = Builder()
    types = [a.type.with_dims(np.shape(o)) for a, o in zip(let.args, operands)]  # type: ignore[union-attr]
    params = tuple(builder.var("abcd"[k], type) for k, type in enumerate(types))
    refs = tuple(Ref(builder, p) for p in params)
    y = builder.apply(let.op, *refs)
    parts = [p(*refs, y) for p in let.op.partials or () if callable(p)]
    return builder.program("partials", params, tuple(p.atom for p in parts if isinstance(p, Ref)))


def _written(let: Let, place: tuple[int, ...], env: Env) -> str:
    """The operation with its numbers, `log(0.0)`; with names where it is not elementwise."""
    if not let.op.elementwise:
        return operation(let)
    return _filled(let.op, [_number(_element(let, a, place, env)) for a in let.args])


def _filled(op: Primitive, texts: list[str]) -> str:
    tight = not op.text.endswith(")")
    shown = [f"({t})" if tight and t.startswith("-") else t for t in texts]
    return PLACEHOLDER.sub(lambda m: shown[int(m[1])], op.text)


def _number(value: Any) -> str:
    text = str(value)
    return f"{float(value):.6g}" if len(text) > 9 and np.asarray(value).dtype.kind == "f" else text
