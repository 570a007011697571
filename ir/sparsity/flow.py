"""The interpreter that propagates sets of inputs through a program, instead of numbers.

Sizes, loop indices and integers are numbers; every float has the set of the inputs on which it depends. Where a
condition depends on floats, both arms are taken; where a number of trips does, the loop is repeated until nothing
changes. So the result holds for all floats. Nothing is probed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..adjoint.activity import differentiated
from ..adjoint.reverse_mode import adjoint
from ..adjoint.rules import push_of
from ..build import number
from ..evaluate import function
from ..ops.arith import and_, or_
from ..ops.array import dim
from ..program import Atom, Call, Check, For, If, Let, Lit, Node, Phi, Program, Var, While, atoms, map_operand
from ..types import BOOL, Dim
from ..walk import free
from . import bytecode
from .rules import Rules, Unsized
from .values import UNKNOWN, Depends, SetsOf, Value, everything, handles, is_known, joined, same

STEPS = 300_000
"""Operations that are looked at one by one: some seconds. Loops after that are taken as a whole."""
ROUNDS = 24
"""Rounds of a loop with an unknown number of trips after which it is taken as a whole."""
STILL = 8
"""Rounds in which integers alone change, after which they count as unknown."""


def dependences(program: Program, args: Sequence[Any], wrt: Sequence[int], sets: SetsOf) -> Flow:
    """Run the program on sets: those of the parameters `wrt` are their elements, numbered one after the other.

    args   a value for each parameter: of integers and truth values it counts, of floats only the shape does
    """
    flow = Flow(sets)
    start = 0
    for k, (param, arg) in enumerate(zip(program.params, args)):
        shape = np.shape(arg)
        for name, size in zip(param.type.dims, shape):
            if isinstance(name, str):
                flow.env.setdefault(name, np.int64(size))
        if k in wrt:
            flow.env[param.name] = Depends(sets.single(start, shape))
            start += int(np.prod(shape, dtype=np.int64))
        else:
            flow.env[param.name] = UNKNOWN if param.type.is_float else np.asarray(arg, param.type.numpy)[()]
    with np.errstate(all="ignore"):
        flow.run(program.body)
    flow.results = [flow.result(r) for r in program.results]
    return flow


class Flow:
    """What is known of each value so far.

    results   for each result its sets; None where they are of no known size, as `shapes` says
    notes     the loops that were taken as a whole, by their lines
    """

    def __init__(self, sets: SetsOf):
        self.sets = sets
        self.env: dict[str, Value] = {}
        self.rules = Rules(sets, self.read, self.size)
        self.steps = 0
        self.notes: list[str] = []
        self.results: list[Value] = []

    def result(self, atom: Atom) -> Value:
        value = self.read(atom)
        if isinstance(value, Depends) and value.whole:
            try:
                return Depends(np.broadcast_to(value.sets, self.rules.shape(atom)))
            except Unsized:
                return value
        return value

    def read(self, atom: Atom) -> Value:
        return number(atom) if isinstance(atom, Lit) else self.env[atom.name]

    def size(self, dim: Dim) -> int:
        if isinstance(dim, int):
            return dim
        value = self.env.get(dim, UNKNOWN)
        if not is_known(value):
            raise Unsized(dim)
        return int(value)

    # -- nodes -----------------------------------------------------------------------------------------

    def run(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            self.steps += 1
            match node:
                case Let(var):
                    self.env[var.name] = self.let(node)
                case For():
                    self.loop(node)
                case While():
                    self.repeat(node)
                case If():
                    self.branch(node)
                case Call():
                    self.call(node)
                case Check():
                    pass  # what fails has no derivative

    def let(self, let: Let) -> Value:
        if let.op is dim:
            return self.dim(let)
        used = [self.read(a) for operand in let.args for a in atoms(operand)]
        if all(map(is_known, used)):
            found = self.number(let)
            if found is not None:
                return found
        if (
            let.op in (and_, or_)
            and let.var.type == BOOL
            and any(is_known(v) and v == (let.op is or_) for v in used)
        ):
            return np.bool_(let.op is or_)
        return self.rules.result(let)

    def call(self, node: Call) -> None:
        """A call of another program; of one with a rule, its derivative is what its pushforward says."""
        function, given = node.function, [self.read(arg) for arg in node.args]
        moving = [v for v in given if isinstance(v, Depends)]
        if any(v.whole for v in moving) or not all(self.is_sized(arg) for arg in node.args):
            total = everything(self.sets, moving)
            for var in node.vars:
                self.env[var.name] = Depends(total, whole=True) if var.type.is_float else UNKNOWN
            return
        program, own = function.program, len(node.vars)
        shapes = [self.rules.shape(arg) for arg in node.args]
        if function.rule is not None and moving:
            program = push_of(function, adjoint)
            count = function.count
            dots = [Depends(handles(v, shape)) for v, shape in zip(given[:count], shapes)]
            given = [UNKNOWN if isinstance(v, Depends) else v for v in given] + dots
            shapes += shapes[:count]
        inner = Flow(self.sets)
        inner.steps = self.steps
        for param, value, shape in zip(program.params, given, shapes):
            inner.env[param.name] = value
            for name, size in zip(param.type.dims, shape):
                if isinstance(name, str):
                    inner.env.setdefault(name, np.int64(size))
        inner.run(program.body)
        self.steps = inner.steps
        self.notes += [note for note in inner.notes if note not in self.notes]
        found = [inner.result(r) for r in program.results]
        ends = (
            dict(zip((v.name for v in differentiated(node)), found[own:]))
            if function.rule is not None
            else {}
        )
        for var, value in zip(node.vars, found):
            self.env[var.name] = ends.get(var.name, value)

    def is_sized(self, atom: Atom) -> bool:
        try:
            self.rules.shape(atom)
        except Unsized:
            return False
        return True

    def dim(self, let: Let) -> Value:
        array, axis = let.args
        assert isinstance(array, (Var, Lit)) and isinstance(axis, int)
        size = array.type.dims[axis]
        if size == let.var.name:
            return self.env[size]  # of a parameter
        try:
            return np.int64(self.size(size))
        except Unsized:
            return UNKNOWN

    def number(self, let: Let) -> Value:
        """The result of an operation on what is known; None where it has none, in an arm that is never taken."""
        try:
            given = [map_operand(a, self.read, self.size) for a in let.args]
            found = np.asarray(function(let.op)(*given)).astype(let.var.type.numpy, copy=False)
            return found[()] if found.shape == self.rules.shape(let.var) else None
        except (Unsized, ArithmeticError, LookupError, ValueError, TypeError):
            return None

    # -- branches and loops ----------------------------------------------------------------------------

    def branch(self, node: If) -> None:
        cond = self.read(node.cond)
        arms = [(node.then, 0), (node.orelse, 1)]
        if is_known(cond):
            arms = [arms[0 if cond else 1]]
        found = []
        for nodes, side in arms:
            if isinstance(node.cond, Var):
                self.env[node.cond.name] = np.bool_(not side)  # which is known in there
            self.run(nodes)
            found.append([self.read(phi.second if side else phi.first) for phi in node.phis])
        if isinstance(node.cond, Var):
            self.env[node.cond.name] = cond
        for phi, *values in zip(node.phis, *found):
            self.env[phi.var.name] = values[0] if len(values) == 1 else joined(self.sets, *values)

    def loop(self, node: For) -> None:
        start, stop = self.read(node.start), self.read(node.stop)
        state = [self.read(phi.first) for phi in node.phis]
        if not (is_known(start) and is_known(stop)):
            self.env[node.index.name] = UNKNOWN
            self.until_same(node, state)
            return
        trips = range(int(start), int(stop))
        if trips and self.by_machine(node, state):
            return
        for i in reversed(trips) if node.reverse else trips:
            if self.steps > STEPS:
                self.whole(node, state)
                return
            self.env[node.index.name] = np.int64(i)
            self.bind(node.phis, state)
            self.run(node.body)
            state = [self.read(phi.second) for phi in node.phis]
        self.leave(node, state)

    def by_machine(self, node: For | While, state: Sequence[Value]) -> bool:
        found = bytecode.run(node, state, self.env, self.sets)
        if found is None:
            return False
        self.leave(node, found)
        return True

    def bind(self, phis: Sequence[Phi], state: Sequence[Value]) -> None:
        for phi, value in zip(phis, state):
            self.env[phi.var.name] = value

    def leave(self, node: For | While, state: Sequence[Value]) -> None:
        by_name = {phi.var.name: value for phi, value in zip(node.phis, state)}
        for exit in node.exits:
            self.env[exit.var.name] = by_name[exit.phi.name]

    def until_same(self, node: For, state: list[Value]) -> None:
        """A loop of unknown trips: its values are those on entry, or those after any iteration."""
        for _ in range(ROUNDS):
            self.bind(node.phis, state)
            self.run(node.body)
            after = [joined(self.sets, v, self.read(phi.second)) for v, phi in zip(state, node.phis)]
            if all(map(same, state, after)):
                self.leave(node, state)
                return
            state = after
        self.whole(node, state)

    def repeat(self, node: While) -> None:
        """Iterations one by one, as long as integers say that they go on; all ends that are possible, joined."""
        state = [self.read(phi.first) for phi in node.phis]
        if self.by_machine(node, state):
            return
        ends: list[Value] | None = None
        still = widened = 0
        while self.steps <= STEPS and widened < ROUNDS:
            self.bind(node.phis, state)
            self.run(node.test)
            cond = self.read(node.cond)
            if not is_known(cond) or not cond:
                ends = state if ends is None else [joined(self.sets, a, b) for a, b in zip(ends, state)]
            if is_known(cond) and not cond:
                self.leave(node, ends or state)
                return
            self.run(node.body)
            after = [self.read(phi.second) for phi in node.phis]
            changed = [k for k, (a, b) in enumerate(zip(state, after)) if not same(a, b)]
            still = still + 1 if all(is_known(state[k]) and is_known(after[k]) for k in changed) else 0
            if not is_known(cond):
                if not changed:
                    self.leave(node, ends or state)
                    return
                if still >= STILL or widened:
                    widened += 1
                    after = [joined(self.sets, a, b) for a, b in zip(state, after)]
                    if all(map(same, state, after)):
                        self.leave(node, [joined(self.sets, a, b) for a, b in zip(ends or state, state)])
                        return
            state = after
        self.whole(node, state if ends is None else [joined(self.sets, a, b) for a, b in zip(ends, state)])

    def whole(self, node: For | While, state: Sequence[Value]) -> None:
        """Every float that the loop changes depends on all that goes in."""
        inside = [self.env[name] for name in sorted(free((node,))) if name in self.env]
        total = everything(self.sets, [*state, *inside])
        found: list[Value] = []
        for phi, value in zip(node.phis, state):
            if not phi.var.type.is_float:
                found.append(UNKNOWN)
                continue
            shape = value.sets.shape if isinstance(value, Depends) and not value.whole else None
            if shape is None and is_known(value):
                shape = np.shape(value)
            fixed = shape is not None and not any(
                isinstance(d, str) and d in _changed(node) for d in phi.var.type.dims
            )
            found.append(Depends(np.broadcast_to(total, shape) if fixed else total, whole=not fixed))  # type: ignore[arg-type]
        self.leave(node, found)
        line = f"line {node.span.line}, {node.span.text.strip()}" if node.span else "a loop"
        if self.steps > STEPS and line not in self.notes:
            self.notes.append(line)


def _changed(node: For | While) -> set[str]:
    """What a loop binds at its head."""
    return {phi.var.name for phi in node.phis}
