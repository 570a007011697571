"""A program without loops as a Python function that calls NumPy, one operation per line, for immediate use.

This is the interpreter of eager tensors: the same declarations (`numpy=`) as `ir.evaluate`, without a walk
over the program at each call. Programs with loops or branches go to `ir.evaluate` itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..ir.build import number
from ..ir.evaluate import evaluate, failure, function
from ..ir.primitive import Kind, Trait
from ..ir.program import Atom, Check, Index, Let, Lit, Program, Slice, Var
from ..ir.types import Dim


def straight(program: Program) -> bool:
    return all(isinstance(node, (Let, Check)) for node in program.body)


def lower(program: Program) -> Callable[..., tuple[Any, ...]]:
    """The program as a function of NumPy values; its results share no memory with its arguments."""
    if not straight(program):
        return lambda *args: evaluate(
            program, *(a if isinstance(a, np.ndarray) else _stand_in(a) for a in args)
        )
    return _Lowering(program).function()


def _stand_in(value: Any) -> Any:
    return value.example() if hasattr(value, "example") else value


class _Lowering:
    def __init__(self, program: Program):
        self.program = program
        self.scope: dict[str, Any] = {"np": np, "failure": failure}
        self.lines: list[str] = []
        self.borrowed = {v.name for v in program.params}
        self.values: dict[Any, str] = {}

    def function(self) -> Callable[..., tuple[Any, ...]]:
        program = self.program
        for node in program.body:
            if isinstance(node, Check):
                name = self.constant(node.message)
                self.lines.append(f"if not {self.operand(node.cond)}: raise failure({name})")
            elif isinstance(node, Let):
                self.let(node)
        results = ", ".join(map(self.result, program.results))
        self.lines.append(f"return ({results},)")
        # Tensors do not warn of division by zero and the like.
        quiet = all(n.op.has(Trait.QUIET) for n in program.body if isinstance(n, Let))
        params = ", ".join(f"v_{v.name}" for v in program.params)
        body = (
            self.lines if quiet else ["with errstate(all='ignore'):", *("    " + line for line in self.lines)]
        )
        self.scope["errstate"] = np.errstate
        exec(f"def run({params}):\n" + "\n".join("    " + line for line in body), self.scope)
        return self.scope["run"]

    def result(self, atom: Atom) -> str:
        text = self.operand(atom)
        if isinstance(atom, Lit) or atom.name not in self.borrowed:
            if isinstance(atom, Var):
                self.borrowed.add(atom.name)  # returned once; a second time it is a copy
            return text
        return f"np.array({text})"

    def let(self, node: Let) -> None:
        name, op, args = f"v_{node.var.name}", node.op, node.args
        shares = op.kind in (Kind.VIEW, Kind.READ)
        if shares and isinstance(args[0], Var) and args[0].name in self.borrowed:
            self.borrowed.add(node.var.name)
        texts = [self.static(a) if k in op.static else self.operand(a) for k, a in enumerate(args)]
        match op.name:
            case "dim":
                line = f"{name} = {texts[0]}.shape[{texts[1]}]"
            case "getitem" if node.value(0).type.rank:
                line = f"{name} = {texts[0]}[{texts[1]}]"
            case "at_set" if node.value(0).type.rank:
                line = f"{name} = np.array({texts[0]}); {name}[{texts[1]}] = {texts[2]}"
            case "at_add" if node.value(0).type.rank:
                add = f"np.add.at({name}, np.s_[{texts[1]}], {texts[2]})"
                if not any(isinstance(i, Var) and i.type.dims for i in node.subscript.items):
                    add = f"{name}[{texts[1]}] += {texts[2]}"
                line = f"{name} = np.array({texts[0]}); {add}"
            case _:
                call = f"{self.constant(function(op))}({', '.join(texts)})"
                if isinstance(op.numpy, str):
                    call = f"np.asarray({call}, {self.constant(node.var.type.numpy)})"
                line = f"{name} = {call}"
        self.lines.append(line)

    def operand(self, operand: Any) -> str:
        match operand:
            case Var(name, _):
                return f"v_{name}"
            case Lit():
                return self.constant(number(operand)) if operand.type.is_float else operand.text
            case Index(items):
                return ", ".join(map(self.item, items)) or "()"
            case tuple():
                return "(" + "".join(f"{self.operand(o)}, " for o in operand) + ")"
        return self.static(operand)

    def item(self, item: Any) -> str:
        if item is None:
            return "None"
        if not isinstance(item, Slice):
            return self.operand(item)
        start, size = self.operand(item.start), self.size(item.size)
        if item.step > 0:
            return f"{start}:{start} + {item.step} * {size}:{item.step}"
        stop = f"{start} + {item.step} * {size}"
        return f"slice({start}, ({stop}) if ({stop}) >= 0 else None, {item.step})"

    def size(self, dim: Dim) -> str:
        return f"v_{dim}" if isinstance(dim, str) else str(dim)

    def static(self, value: Any) -> str:
        return repr(value) if isinstance(value, (int, str, tuple)) else self.constant(value)

    def constant(self, value: Any) -> str:
        key = (type(value), repr(value)) if isinstance(value, (np.generic, str)) else id(value)
        if key not in self.values:
            self.values[key] = f"c{len(self.values)}"
            self.scope[self.values[key]] = value
        return self.values[key]
