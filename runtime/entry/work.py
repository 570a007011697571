"""How many operations a generated function does at most, as arithmetic of the sizes of its parameters.

Is it worth while to let other threads run meanwhile? That is all this is asked for: a rough number will do, but it must
not be far too small. So what is not a loop with a bound known on entry, or a scalar operation, has no number.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

PLAIN = {"min", "max", "abs", "float", "int", "bool", "len"}
LONG = {
    "add_all", "add_matmul", "in_two_turns", "largest", "matmul", "on_all_cores", "own_zeros", "parts", "share",
    "smallest", "total",
}  # fmt: skip
"""Functions of `support` that are no single operation."""
ONE = {ast.BinOp, ast.UnaryOp, ast.Compare, ast.Subscript, ast.IfExp}
ARRAYS = {ast.Slice, ast.Starred, ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.NamedExpr}
LENGTH = 2000
"""Characters that are worth computing at each call."""


class _Unknown(Exception):  # noqa: N818  (control flow)
    pass


def operations(source: str, name: str, params: Sequence[str]) -> str | None:
    """An expression over params[k].shape[axis] and integer parameters; None if nothing is known.

    >>> source = '''
    ... def f(x, y):
    ...     n = x.shape[0]
    ...     s = 0.0
    ...     for i in range(n):
    ...         for j in range(i + 1, n):
    ...             s += x[i] * y[j]
    ...     return (s,)
    ... '''
    >>> operations(source, "f", ["a0", "a1"])
    '5 + max(0, a0.shape[0]) * (1 + max(0, a0.shape[0] - (0 + 1)) * (4))'
    >>> operations(source.replace("range(n)", "range(int(s))"), "f", ["a0", "a1"]) is None
    True
    """
    tree = ast.parse(source)
    function = next(s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == name)
    try:
        text = _Counter(function, params).cost(function.body)
    except _Unknown:
        return None
    return text if len(text) <= LENGTH else None


class _Counter:
    def __init__(self, function: ast.FunctionDef, params: Sequence[str]):
        names = [a.arg for a in function.args.args]
        self.params = dict(zip(names, params))
        self.stores: Counter[str] = Counter()
        self.loops: Counter[str] = Counter()
        for node in ast.walk(function):
            if type(node) is ast.Name and type(node.ctx) is ast.Store:
                self.stores[node.id] += 1
            elif type(node) is ast.For and type(node.target) is ast.Name:
                self.loops[node.target.id] += 1
            elif type(node) in (ast.While, ast.With, ast.Try):
                raise _Unknown
        if self.params.keys() & self.stores.keys():
            raise _Unknown
        self.sizes = {name: f"{param}.size" for name, param in self.params.items()}  # of arrays
        self.least: dict[str, str | None] = dict(self.params)  # bounds of names
        self.most: dict[str, str | None] = dict(self.params)

    def cost(self, body: Iterable[ast.stmt]) -> str:
        """The operations of some statements."""
        own = 0
        more = []
        for statement in body:
            match statement:
                case ast.For(ast.Name(name), ast.Call(ast.Name("range"), args, []), inner, []):
                    if self.loops[name] != self.stores[name]:
                        raise _Unknown
                    trips = self.enter(name, args)
                    own += 1
                    more.append(f"max(0, {trips}) * ({self.cost(inner)})")
                case ast.If(test, then, other):
                    own += self.operations(test)
                    more += [self.cost(then)] + ([self.cost(other)] if other else [])
                case ast.Expr(ast.Call(ast.Attribute(ast.Name("support")))):  # fills memory
                    raise _Unknown
                case ast.Assign() | ast.AugAssign() | ast.Expr() | ast.Return() | ast.Raise() | ast.Pass():
                    if isinstance(statement, ast.Raise):
                        continue
                    own += self.operations(statement, more)
                    match statement:
                        case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(ast.Name(source), "copy"))):
                            self.sizes[name] = self.sizes[source]
                        case ast.Assign([ast.Name(name)], ast.Call(ast.Attribute(ast.Name("np"), "empty" | "zeros"))):
                            self.sizes[name] = more[-1]
                        case ast.Assign([ast.Name(name)], value) if self.stores[name] == 1:
                            self.least[name], self.most[name] = self.bound(value, False), self.bound(value, True)
                case _:
                    raise _Unknown
        return " + ".join([str(own), *more])

    def operations(self, node: ast.AST, more: list[str] | None = None) -> int:
        """The operations of a statement without other statements in it."""
        count = 1
        for part in ast.walk(node):
            kind = type(part)
            if kind in ONE:
                count += 1
            elif kind in ARRAYS:
                raise _Unknown
            elif isinstance(part, ast.Call):
                match part:
                    case ast.Call(ast.Attribute(ast.Name(name), "copy"), [], []) if more is not None:
                        if name not in self.sizes or self.stores[name] > 1:
                            raise _Unknown
                        more.append(self.sizes[name])
                    case ast.Call(ast.Attribute(ast.Name("np"), "empty" | "zeros"), [shape, *_]) if more is not None:
                        sizes = shape.elts if isinstance(shape, ast.Tuple) else [shape]
                        more.append("*".join(f"max(0, {self.known(s, True)})" for s in sizes) or "1")
                    case _:
                        count += self.call(part.func)
        return count

    def call(self, function: ast.expr) -> int:
        match function:
            case ast.Name(name) if name in PLAIN:
                return 1
            case ast.Attribute(ast.Name("np"), name):
                found = getattr(np, name, None)
                if isinstance(found, type):
                    return 1
                if isinstance(found, np.ufunc):
                    return 10
            case ast.Attribute(ast.Name("support"), name) if name not in LONG:
                return 10
            case ast.Attribute(ast.Name("math"), _):
                return 10
        raise _Unknown

    def enter(self, name: str, args: Sequence[ast.expr]) -> str:
        """The trips of a loop at most; from here on its index has bounds."""
        zero, one = ast.Constant(0), ast.Constant(1)
        start, stop, step = [(zero, args[0], one), (*args, one), tuple(args)][len(args) - 1]
        match step:
            case ast.Constant(number) if type(number) is int and number > 0:
                low, high = self.known(start, False), self.known(stop, True)
            case ast.UnaryOp(ast.USub(), ast.Constant()):
                low, high = self.known(stop, False), self.known(start, True)
            case _:
                raise _Unknown
        self.least[name], self.most[name] = low, high
        return high if low == "0" else f"{high} - {low}"

    def known(self, e: ast.expr, most: bool) -> str:
        found = self.bound(e, most)
        if found is None:
            raise _Unknown
        return found

    def bound(self, e: ast.expr, most: bool) -> str | None:
        """A number that the value is at most, or at least."""
        match e:
            case ast.Constant(number) if type(number) is int:
                return str(number)
            case ast.UnaryOp(ast.USub(), ast.Constant(number)) if type(number) is int:
                return f"(-{number})"
            case ast.Name(name):
                return (self.most if most else self.least).get(name)
            case ast.Subscript(ast.Attribute(ast.Name(array), "shape"), ast.Constant(int(axis))):
                if array not in self.params:
                    return None
                return f"{self.params[array]}.shape[{axis}]"
            case ast.BinOp(left, ast.Add(), right):
                return _joined("+", self.bound(left, most), self.bound(right, most))
            case ast.BinOp(left, ast.Sub(), right):
                return _joined("-", self.bound(left, most), self.bound(right, not most))
            case ast.BinOp(left, ast.Mult(), right):
                sides = [self.exact(left), self.exact(right)]
                return _joined("*", *sides)
            case ast.BinOp(left, ast.FloorDiv(), ast.Constant(number)) if type(number) is int and number > 0:
                return _joined("//", self.bound(left, most), str(number))
            case ast.Call(ast.Name("max") | ast.Attribute(ast.Name("np"), "maximum"), [left, right]):
                a, b = self.bound(left, most), self.bound(right, most)
                return f"max({a}, {b})" if a and b else None if most else a or b
            case ast.Call(ast.Name("min") | ast.Attribute(ast.Name("np"), "minimum"), [left, right]):
                a, b = self.bound(left, most), self.bound(right, most)
                return f"min({a}, {b})" if a and b else a or b if most else None
        return None

    def exact(self, e: ast.expr) -> str | None:
        low, high = self.bound(e, False), self.bound(e, True)
        return low if low == high else None


def _joined(operator: str, a: str | None, b: str | None) -> str | None:
    return None if a is None or b is None else f"({a} {operator} {b})"
