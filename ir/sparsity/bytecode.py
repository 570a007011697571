"""Loops over numbers as code for a small machine of integers and sets: one by one, millions of iterations are too slow.

Integers and truth values are numbers, or not known; floats are sets; arrays are places in one memory, and are written
in place. A loop in which an array is read after it was written over, or that works on whole arrays, is left to the
interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..adjoint.activity import operands
from ..ops import arith
from ..ops.array import dim
from ..ops.index import at_add, at_set, getitem
from ..primitive import Kind, Primitive
from ..program import Atom, Check, For, If, Let, Lit, Node, Phi, Var, While
from ..types import BOOL, I64, Type
from ..walk import free
from .values import UNKNOWN, Depends, SetsOf, Value

INTEGER: dict[Primitive, str] = {
    arith.add: "ADD", arith.sub: "SUB", arith.mul: "MUL", arith.floordiv: "FLOORDIV", arith.mod: "MOD",
    arith.minimum: "MINIMUM", arith.maximum: "MAXIMUM", arith.lt: "LT", arith.le: "LE", arith.gt: "GT",
    arith.ge: "GE", arith.eq: "EQ", arith.ne: "NE", arith.and_: "AND", arith.or_: "OR", arith.xor: "XOR",
    arith.neg: "NEG",
}  # fmt: skip
"""The operations on i64 and truth values that the machine knows; what others give is not known."""


class Unfit(Exception):  # noqa: N818
    """The loop is none for the machine."""


def run(node: For | While, state: Sequence[Value], env: Mapping[str, Value], sets: SetsOf) -> list[Value] | None:
    """What the phis of a loop are at its end; None if the machine cannot tell."""
    try:
        code = _Code(node, state, env, sets)
    except Unfit:
        return None
    return code.run()


class _Code:
    def __init__(self, node: For | While, state: Sequence[Value], env: Mapping[str, Value], sets: SetsOf):
        self.sets, self.env, self.codes = sets, env, sets.codes
        self.lines: list[list[int]] = []
        self.values: list[int] = [0, self.codes["UNSURE"]]
        self.names: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.numbers: dict[int, int] = {}
        self.memory: list[np.ndarray] = []
        self.used = 0
        self.dead: set[str] = set()
        self.inside: list[set[str]] = []
        """The arrays that each open loop may write: those that are bound in it."""
        self.node = node
        for name in sorted(free((node,))):
            self.given(name, env.get(name, UNKNOWN))
        for phi, value in zip(node.phis, state):
            self.given(phi.var.name, value, phi.var.type)
            if self.names[phi.var.name] < 0:
                raise Unfit
        self.loop(node, [])

    # -- values and memory -----------------------------------------------------------------------------

    def given(self, name: str, value: Value, type: Type | None = None) -> None:
        """A value from outside; of arrays a copy."""
        if isinstance(value, Depends):
            if value.whole:
                raise Unfit
            array, is_float = np.asarray(value.sets), True
        elif value is UNKNOWN:
            if type is None or type.dims:
                self.names[name] = -1  # of what type and size is seen where it is used
                return
            array, is_float = np.asarray(0 if type.is_float else self.codes["UNSURE"]), type.is_float
        else:
            array = np.asarray(value)
            is_float = array.dtype.kind == "f"
            array = np.zeros(array.shape, np.int64) if is_float else array
        if not is_float and array.dtype not in (np.dtype(np.int64), np.dtype(np.bool_)):
            self.names[name] = -1
            return
        if array.shape:
            self.names[name] = self.fresh(self.used)
            self.shapes[name] = array.shape
            self.memory.append(array.astype(np.int64).reshape(-1))
            self.used += array.size
        else:
            self.names[name] = self.fresh(int(array))

    def fresh(self, value: int = 0) -> int:
        self.values.append(value)
        return len(self.values) - 1

    def number(self, value: int) -> int:
        if value not in self.numbers:
            self.numbers[value] = self.fresh(value)
        return self.numbers[value]

    def place(self, atom: Atom) -> int:
        """Where the value of a number is."""
        if isinstance(atom, Lit):
            if atom.type.is_float:
                return 0
            return self.number(int(atom.text == "True") if atom.type == BOOL else int(atom.text))
        if atom.type.dims:
            raise Unfit
        found = self.names[atom.name]
        return (0 if atom.type.is_float else 1) if found < 0 else found

    def array(self, atom: Any, consumed: bool = False) -> int:
        """Where an array begins; `consumed` if it is written, or gets another name that may be."""
        if not isinstance(atom, Var) or atom.name in self.dead or self.names[atom.name] < 0:
            raise Unfit
        if not atom.type.is_float and atom.type.with_dims(()) not in (I64, BOOL):
            raise Unfit
        if consumed:
            if self.inside and atom.name not in self.inside[-1]:
                raise Unfit
            self.dead.add(atom.name)
        return self.names[atom.name]

    def bind(self, var: Var, place: int) -> None:
        self.names[var.name] = place
        self.dead.discard(var.name)
        for names in self.inside[-1:]:
            names.add(var.name)

    def line(self, what: str, d: int, a: int = 0, b: int = 0, c: int = 0) -> int:
        self.lines.append([self.codes[what], d, a, b, c])
        return len(self.lines) - 1

    # -- nodes -----------------------------------------------------------------------------------------

    def nodes(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            match node:
                case Let():
                    self.let(node)
                case For() | While():
                    if any(phi.var.type.dims for phi in node.phis if self.names.get(_name(phi.first), -1) < 0):
                        raise Unfit
                    firsts = [self.first(phi) for phi in node.phis]
                    self.loop(node, firsts)
                case If():
                    self.branch(node)
                case Check():
                    pass
                case _:
                    raise Unfit

    def first(self, phi: Phi) -> int:
        if not phi.var.type.dims:
            return self.place(phi.first)
        found = self.array(phi.first, consumed=True)
        self.shapes[phi.var.name] = self.shapes[phi.first.name]  # type: ignore[union-attr]
        return found

    def loop(self, node: For | While, firsts: list[int]) -> None:
        outermost = not self.lines and not firsts
        if not outermost:
            for phi, first in zip(node.phis, firsts):
                place = self.fresh()
                self.line("MOVE", place, first)
                self.bind(phi.var, place)
        self.inside.append({phi.var.name for phi in node.phis})
        test = self.fresh()
        if isinstance(node, For):
            one = self.number(1)
            index = self.fresh()
            self.names[node.index.name] = index
            start, stop = self.place(node.start), self.place(node.stop)
            if node.reverse:
                self.line("SUB", index, stop, one)
            else:
                self.line("MOVE", index, start)
            head = self.line("GE" if node.reverse else "LT", test, index, start if node.reverse else stop)
            leave = self.line("UNLESS", -1, test)
        else:
            head = len(self.lines)
            self.nodes(node.test)
            leave = self.line("UNLESS", -1, self.place(node.cond))
        self.nodes(node.body)
        ends = []
        for phi in node.phis:
            end = self.array(phi.second, consumed=True) if phi.var.type.dims else self.place(phi.second)
            if phi.var.type.dims and self.shapes[phi.second.name] != self.shapes[phi.var.name]:  # type: ignore[union-attr]
                raise Unfit
            ends.append(self.fresh())
            self.line("MOVE", ends[-1], end)
        for phi, end in zip(node.phis, ends):
            self.line("MOVE", self.names[phi.var.name], end)
        if isinstance(node, For):
            self.line("SUB" if node.reverse else "ADD", index, index, one)
        self.line("GOTO", head)
        self.lines[leave][1] = len(self.lines)
        self.inside.pop()
        for exit in node.exits:
            if exit.var.type.dims:
                self.shapes[exit.var.name] = self.shapes[exit.phi.name]
            if not outermost:
                self.bind(exit.var, self.names[exit.phi.name])

    def branch(self, node: If) -> None:
        cond = self.place(node.cond)
        start = self.line("BRANCH", -1, cond)
        before = set(self.dead)
        sides: list[list[int]] = []
        dead: list[set[str]] = []
        skip = 0
        for nodes, taken in ((node.then, 1), (node.orelse, 0)):
            self.dead = set(before)
            self.nodes(nodes)
            sides.append([self.end(phi, phi.first if taken else phi.second, node.cond, taken) for phi in node.phis])
            dead.append(self.dead)
            if taken:
                skip = self.line("END_THEN", -1, cond)
                self.lines[start][1] = len(self.lines)
        self.lines[skip][1] = len(self.lines)
        self.dead = dead[0] | dead[1]
        for phi, first, second in zip(node.phis, *sides):
            what = "CHOOSE_ARRAY" if phi.var.type.dims else "CHOOSE_SET" if phi.var.type.is_float else "CHOOSE"
            place = self.fresh()
            self.line(what, place, cond, first, second)
            self.bind(phi.var, place)
        self.line("END_IF", 0, cond)

    def end(self, phi: Phi, atom: Atom, cond: Atom, taken: int) -> int:
        if phi.var.type.dims:
            found = self.array(atom, consumed=True)
            shape = self.shapes[atom.name]  # type: ignore[union-attr]
            if self.shapes.setdefault(phi.var.name, shape) != shape:
                raise Unfit
            return found
        return self.number(taken) if atom == cond else self.place(atom)

    # -- operations ------------------------------------------------------------------------------------

    def let(self, let: Let) -> None:
        op, var = let.op, let.var
        if op is dim:
            size = let.array.type.dims[let.args[1]]  # type: ignore[index]
            self.bind(var, self.size(size))
        elif op in (at_set, at_add):
            self.write(let)
        elif var.type.dims:
            raise Unfit
        elif op is getitem:
            self.read(let)
        elif op is arith.where and (var.type.is_float or var.type in (I64, BOOL)):
            place = self.fresh()
            self.line("CHOOSE_SET" if var.type.is_float else "CHOOSE", place, *map(self.place, let.values))
            self.bind(var, place)
        elif var.type.is_float:
            self.bind(var, self.joined(let))
        else:
            self.bind(var, self.integer(let))

    def size(self, size: Any) -> int:
        if isinstance(size, int):
            return self.number(size)
        found = self.names.get(size, -1)
        if found < 0:
            raise Unfit
        return found

    def joined(self, let: Let) -> int:
        if let.op.kind is not Kind.ELEMENTWISE:
            raise Unfit
        total = 0
        for value in dict.fromkeys(operands(let)):
            here = self.place(value)
            if here and total:
                place = self.fresh()
                self.line("JOIN", place, total, here)
                here = place
            total = here or total
        return total

    def integer(self, let: Let) -> int:
        types = {a.type for a in let.values}
        if not types <= {I64, BOOL} or let.var.type not in (I64, BOOL) or len(types) > 1:
            return 1
        if let.op in (arith.CONVERT["i64"], arith.CONVERT["bool"]) and types == {let.var.type}:
            return self.place(let.value(0))
        what = INTEGER.get(let.op)
        if let.op is arith.invert and types == {BOOL}:
            what = "NOT"
        if what is None or (types == {BOOL} and what in ("ADD", "SUB", "MUL", "FLOORDIV", "MOD", "NEG")):
            return 1
        if types == {I64} and what in ("AND", "OR"):  # of bits: no operand decides
            return 1
        place = self.fresh()
        self.line(what, place, *map(self.place, let.values))
        return place

    def element(self, let: Let) -> tuple[int, int, int]:
        """Where the array of a subscript begins, which of its elements is meant, and how many it has."""
        array = let.array
        shape = self.shapes.get(array.name)
        items = let.subscript.items
        if shape is None or not all(isinstance(item, (Var, Lit)) and not item.type.dims for item in items):
            raise Unfit
        total: int | None = None
        for size, item in zip(shape, items):
            place = self.place(item)  # type: ignore[arg-type]
            if total is not None:
                scaled, summed = self.fresh(), self.fresh()
                self.line("MUL", scaled, total, self.number(size))
                self.line("ADD", summed, scaled, place)
                place = summed
            total = place
        assert total is not None
        return self.names[array.name], total, int(np.prod(shape, dtype=np.int64))

    def read(self, let: Let) -> None:
        array = let.array
        if self.names.get(array.name, -1) < 0 and array.type.dims:
            self.bind(let.var, 0 if let.var.type.is_float else 1)
            return
        self.array(array)
        place = self.fresh()
        self.line("GET_SET" if let.var.type.is_float else "GET", place, *self.element(let))
        self.bind(let.var, place)

    def write(self, let: Let) -> None:
        if let.stored.type.dims:
            raise Unfit
        base, element, count = self.element(let)
        stored = self.place(let.stored)
        base = self.array(let.array, consumed=True)
        names = ("PUT_SET", "JOIN_AT") if let.var.type.is_float else ("PUT", "ADD_AT")
        self.line(names[let.op is at_add], stored, base, element, count)
        self.shapes[let.var.name] = self.shapes[let.array.name]
        self.bind(let.var, base)

    # -- running ---------------------------------------------------------------------------------------

    def run(self) -> list[Value] | None:
        memory = np.concatenate([*self.memory, np.zeros(1, np.int64)])
        values = np.array(self.values, np.int64)
        if not self.sets.run(np.array(self.lines, np.int64), values, memory):
            return None
        unsure = self.codes["UNSURE"]
        found: list[Value] = []
        for phi in self.node.phis:
            name, type = phi.var.name, phi.var.type
            start = int(values[self.names[name]])
            if type.dims:
                shape = self.shapes[name]
                numbers = memory[start : start + int(np.prod(shape, dtype=np.int64))].reshape(shape).copy()
            else:
                numbers = np.asarray(start, np.int64)
            if type.is_float:
                found.append(Depends(numbers))
            else:
                found.append(UNKNOWN if np.any(numbers == unsure) else numbers.astype(type.numpy)[()])
        return found


def _name(atom: Atom) -> str:
    return atom.name if isinstance(atom, Var) else ""
