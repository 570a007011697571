"""Writing the text of an entry: instructions of LLVM, calls of Python's functions, arithmetic of sizes."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from . import abi


class Outside(Exception):  # noqa: N818  (control flow)
    """Something that entries cannot do."""


def object_at(obj: Any) -> str:
    """The address of an object, which somebody must keep."""
    return f"inttoptr (i64 {id(obj)} to ptr)"


COMPARE: dict[type[ast.cmpop], str] = {
    ast.GtE: "sge", ast.Gt: "sgt", ast.LtE: "sle", ast.Lt: "slt", ast.Eq: "eq", ast.NotEq: "ne",
}  # fmt: skip


class Writer:
    """Writes instructions one by one; where something fails, what was made so far is dropped."""

    def __init__(self, facts: abi.Facts):
        self.facts = facts
        self.lines: list[str] = []
        self.stack: list[str] = []  # what the function's frame holds
        self.frame = 0
        self.count = 0
        self.overflows: list[str] = []
        self.values: dict[str, str] = {}  # sizes and integers by name
        self.made: list[str] = []  # objects to drop where it goes wrong
        self.kept: list[str] = []  # of them, those to drop at the end in any case
        self.kept_objects: list[Any] = []  # what the text mentions by address

    # -- words -----------------------------------------------------------------------------------------

    def new(self, expression: str) -> str:
        self.count += 1
        self.lines.append(f"  %v{self.count} = {expression}")
        return f"%v{self.count}"

    def label(self) -> str:
        self.count += 1
        return f"b{self.count}"

    def block(self, label: str) -> None:
        self.lines.append(f"{label}:")

    def at(self, pointer: str, offset: int) -> str:
        return self.new(f"getelementptr i8, ptr {pointer}, i64 {offset}") if offset else pointer

    def load(self, kind: str, pointer: str, offset: int = 0) -> str:
        return self.new(f"load {kind}, ptr {self.at(pointer, offset)}")

    def room(self, kind: str, words: int) -> str:
        self.count += 1
        self.frame += words
        self.stack.append(f"  %v{self.count} = alloca {kind}, align 8")
        return f"%v{self.count}"

    def call(self, kind: str, name: str, *args: str) -> str:
        """Call a function of Python or NumPy; "" as kind for no result."""
        text = f"call {kind or 'void'} inttoptr (i64 {self.facts.functions[name]} to ptr)({', '.join(args)})"
        if kind:
            return self.new(text)
        self.lines.append(f"  {text}")
        return ""

    def require(self, condition: str) -> None:
        """Go on if it is true; where not, give up what was made."""
        on = self.label()
        self.lines.append(f"  br i1 {condition}, label %{on}, label %{self.drop()}")
        self.block(on)

    def drop(self) -> str:
        return f"drop{len(self.made)}"

    def same(self, pointer: str, obj: Any) -> str:
        return self.new(f"icmp eq ptr {pointer}, {object_at(obj)}")

    def both(self, conditions: Sequence[str]) -> None:
        found = conditions[0]
        for other in conditions[1:]:
            found = self.new(f"and i1 {found}, {other}")
        self.require(found)

    # -- arithmetic of sizes ---------------------------------------------------------------------------

    def integer(self, e: ast.expr) -> str:
        """The value of integer arithmetic, as Python computes it."""
        match e:
            case ast.Constant(number) if type(number) is int and -(2**63) <= number < 2**63:
                return str(number)
            case ast.Name(name) if name in self.values:
                return self.values[name]
            case ast.Subscript(ast.Attribute(ast.Name(array), "shape"), ast.Constant(int(axis))):
                if f"{array}_{axis}" in self.values:
                    return self.values[f"{array}_{axis}"]
            case ast.Attribute(ast.Name(array), "size") if f"{array}_size" in self.values:
                return self.values[f"{array}_size"]
            case ast.UnaryOp(ast.USub(), value):
                return self.checked("ssub", "0", self.integer(value))
            case ast.BinOp(left, operator, right):
                a, b = self.integer(left), self.integer(right)
                for kind, operation in ((ast.Add, "sadd"), (ast.Sub, "ssub"), (ast.Mult, "smul")):
                    if isinstance(operator, kind):
                        return self.checked(operation, a, b)
                if isinstance(operator, (ast.FloorDiv, ast.Mod)):
                    return self.divided(a, b, isinstance(operator, ast.Mod))
            case ast.Call(ast.Name("min" | "max" as name), [first, *rest], []):
                found = self.integer(first)
                for other in rest:
                    found = self.new(f"call i64 @llvm.s{name}.i64(i64 {found}, i64 {self.integer(other)})")
                return found
        raise Outside(ast.dump(e))

    def checked(self, operation: str, a: str, b: str) -> str:
        both = self.new(f"call {{i64, i1}} @llvm.{operation}.with.overflow.i64(i64 {a}, i64 {b})")
        self.overflows.append(self.new(f"extractvalue {{i64, i1}} {both}, 1"))
        return self.new(f"extractvalue {{i64, i1}} {both}, 0")

    def divided(self, a: str, b: str, rest: bool) -> str:
        """a // b or a % b, rounded down; by what may be 0 or less, nothing is right."""
        positive = self.new(f"icmp sgt i64 {b}, 0")
        self.overflows.append(self.new(f"xor i1 {positive}, true"))
        b = self.new(f"select i1 {positive}, i64 {b}, i64 1")
        quotient, remainder = self.new(f"sdiv i64 {a}, {b}"), self.new(f"srem i64 {a}, {b}")
        below = self.new(f"icmp slt i64 {remainder}, 0")
        if rest:
            return self.new(f"select i1 {below}, i64 {self.new(f'add i64 {remainder}, {b}')}, i64 {remainder}")
        return self.new(f"select i1 {below}, i64 {self.new(f'sub i64 {quotient}, 1')}, i64 {quotient}")

    def exact(self) -> None:
        """Go on if no arithmetic so far left 64 bits."""
        if self.overflows:
            self.require(self.new(f"xor i1 {self.any(self.overflows)}, true"))
            self.overflows = []

    def any(self, conditions: Sequence[str]) -> str:
        found = conditions[0]
        for other in conditions[1:]:
            found = self.new(f"or i1 {found}, {other}")
        return found

    def truth(self, e: ast.expr) -> list[str]:
        """Conditions that are all true if the guard is."""
        match e:
            case ast.BoolOp(ast.And(), values):
                return [c for value in values for c in self.truth(value)]
            case ast.Compare(left, operators, rest):
                sides = [self.integer(side) for side in (left, *rest)]
                names = [COMPARE.get(type(o)) for o in operators]
                if None not in names:
                    return [
                        self.new(f"icmp {name} i64 {a}, {b}") for name, a, b in zip(names, sides, sides[1:])
                    ]
            case ast.Constant(True):
                return []
        raise Outside(ast.dump(e))

    def there(self, pointer: str) -> str:
        return self.new(f"icmp ne ptr {pointer}, null")

    def object(self, made: str) -> None:
        """Something was made, or could not be."""
        self.require(self.there(made))
        self.made.append(made)
