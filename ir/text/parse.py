"""The reader of the printed form, see text.py. Operations are found by the shape of their templates."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

from .. import ops as _ops  # noqa: F401  (fills the registry)
from ..errors import IRError
from ..primitive import REGISTRY, Primitive
from ..program import (
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
    Rule,
    Slice,
    Var,
    While,
)
from ..sizes import Sizes
from ..types import DTYPES, I64, Dim, Type
from .notation import WORDS, Template, context_dtype, full, literal_type, placeholder, slice_sizes, template


def parse(text: str, cotangents: Iterable[str] = ()) -> Program:
    """The program that a text stands for. Comments and blank lines do not matter.

    Which names are cotangents (see Program) the text does not say; without a word nothing is one.

    >>> p = parse('''
    ... def f(x: f64, w: f64) -> f64:
    ...     y: f64 = x * w     # a comment
    ...     return y''')
    >>> p.body[0].op, p.results[0].name
    (mul, 'y')
    """
    try:
        module = ast.parse(text)
    except SyntaxError as error:
        raise IRError(f"not the text of a program: {error}") from error
    main, *others = module.body or [ast.Pass()]
    definitions = [node for node in (main, *others) if isinstance(node, ast.FunctionDef)]
    if len(definitions) != len(module.body) or not definitions:
        raise IRError("the text of a program is one `def`, with those that it calls behind it")
    functions = {node.name: Function(node.name, _UNREAD) for node in definitions[1:]}
    readers = {node.name: _Reader(text, functions) for node in definitions}
    for node in definitions[1:]:
        functions[node.name].program = readers[node.name].program(node)
    for node in definitions[1:]:
        if node.decorator_list:
            readers[node.name].rule(node)
    program = _Reader(text, functions).program(definitions[0])
    return replace(program, cotangents=frozenset(cotangents))


_UNREAD = Program("", (), (), ())


class _Reader:
    def __init__(self, text: str, functions: dict[str, Function]):
        self.functions = functions
        self.lines = [line.encode() for line in re.split(r"\r\n|\r|\n", text)]
        self.vars: dict[str, Var] = {}
        self.sizes = Sizes()

    def refused(self, node: ast.AST, why: str) -> IRError:
        number = getattr(node, "lineno", 1)
        return IRError(f"line {number}: {why}\n    {self.lines[number - 1].decode().strip()}")

    def program(self, node: ast.FunctionDef) -> Program:
        params = []
        for arg in node.args.args:
            params.append(self.bind(arg, arg.arg, arg.annotation))
            self.sizes.bind(params[-1])
        *statements, last = node.body
        if not isinstance(last, ast.Return):
            raise self.refused(last, "a program ends with `return`")
        body = self.body(statements)
        values = _items(last.value) if last.value is not None else []
        types = [self.type(t) for t in _items(node.returns)] if node.returns is not None else []
        if len(types) != len(values):
            raise self.refused(last, f"{len(types)} types are declared for {len(values)} results")
        results = tuple(self.atom(value, type.dtype) for value, type in zip(values, types))
        for value, result, type in zip(values, results, types):
            if result.type != type:
                raise self.refused(value, f"the result is a {result.type}, declared is {type}")
        return Program(node.name, tuple(params), body, results)

    def rule(self, node: ast.FunctionDef) -> None:
        """`@rule(count, own, vjp=(f_fwd, f_bwd), jvp=f_jvp)` or `@rule(count, own, again=True)` above a definition."""
        function, programs = self.functions[node.name], {}
        match node.decorator_list:
            case [
                ast.Call(
                    func=ast.Name(id="rule"),
                    args=[ast.Constant(int(count)), ast.Constant(int(own))],
                    keywords=keywords,
                )
            ]:
                function.count, function.own = count, own
            case _:
                raise self.refused(node, "above a definition stands its rule, and nothing else")
        again = [k for k in keywords if k.arg == "again"]
        for keyword in (k for k in keywords if k.arg != "again"):
            names = [getattr(item, "id", "") for item in _items(keyword.value)]
            if keyword.arg not in ("vjp", "jvp") or not self.functions.keys() >= set(names):
                raise self.refused(node, "the parts of a rule are definitions of the text")
            programs[keyword.arg] = [self.functions[name].program for name in names]
        forward, backward = programs.get("vjp", (None, None))
        (push,) = programs.get("jvp", (None,))
        function.rule = Rule(forward, backward, push, again=bool(again))

    # -- statements ----------------------------------------------------------------------------------

    def body(self, statements: list[ast.stmt]) -> tuple[Node, ...]:
        """The nodes of a region, without the phis at its head."""
        nodes: list[Node] = []
        rest = list(statements)
        while rest:
            statement = rest.pop(0)
            match statement:
                case ast.Pass():
                    pass
                case ast.AnnAssign(value=ast.Call(func=ast.Name(id=name))) if name in self.functions:
                    nodes.append(self.call(statement, name, rest))
                case ast.AnnAssign(value=ast.expr()):
                    nodes.append(self.let(statement))
                case ast.Assert(test=test, msg=ast.Constant(value=str(message))):
                    nodes.append(Check(self.atom(test, "bool"), message))
                case ast.For():
                    nodes.append(self.loop(statement, rest))
                case ast.While():
                    nodes.append(self.repeat(statement, rest))
                case ast.If():
                    nodes.append(self.branch(statement, rest))
                case _:
                    raise self.refused(statement, "this is not a statement of a program")
        return tuple(nodes)

    def call(self, node: ast.AnnAssign, name: str, rest: list[ast.stmt]) -> Call:
        """The line of a call; behind it, where there are several results, a line for each."""
        assert isinstance(node.value, ast.Call)
        program = self.functions[name].program
        types = [p.type for p in program.params] or [Type("f64")] * len(node.value.args)
        args = tuple(self.atom(a, t.dtype) for a, t in zip(node.value.args, types))
        found: dict[int, Var] = {}
        if not isinstance(node.annotation, ast.Tuple):
            found[0] = self.bind(node.target, getattr(node.target, "id", ""), node.annotation)
        else:
            for _ in node.annotation.elts:
                match rest.pop(0) if rest else None:
                    case ast.AnnAssign(
                        target=target, annotation=annotation,
                        value=ast.Subscript(value=ast.Name(id=whole), slice=ast.Constant(value=int(k))),
                    ) if whole == getattr(node.target, "id", ""):  # fmt: skip
                        found[k] = self.bind(target, getattr(target, "id", ""), annotation)
                    case _:
                        raise self.refused(node, "behind a call of several results stands a line for each")
        for var in found.values():
            self.sizes.bind(var)
        return Call(tuple(found[k] for k in sorted(found)), self.functions[name], args)

    def loop(self, node: ast.For, rest: list[ast.stmt]) -> For:
        call, reverse = node.iter, False
        match call:
            case ast.Call(func=ast.Name(id="reversed"), args=[inner]):
                call, reverse = inner, True
        match call:
            case ast.Call(func=ast.Name(id="range"), args=[stop], keywords=[]):
                start: Atom = Lit("0", I64)
            case ast.Call(func=ast.Name(id="range"), args=[first, stop], keywords=[]):
                start = self.atom(first, "i64")
            case _:
                raise self.refused(node, "a loop is over range(b), range(a, b) or reversed(range(...))")
        end = self.atom(stop, "i64")
        with self.sizes.region():
            index = self.bind(node.target, getattr(node.target, "id", ""), ast.Name("i64"))
            self.sizes.bind(index)
            lines, statements = self.heads(node.body)
            body = self.body(statements)
            phis = self.phis(lines)
        return For(index, start, end, reverse, phis, body, self.exits(rest))

    def repeat(self, node: ast.While, rest: list[ast.stmt]) -> While:
        if not (isinstance(node.test, ast.Constant) and node.test.value is True):
            raise self.refused(node, "the loop is `while True:` with `if not c: break` in it")
        with self.sizes.region():
            lines, statements = self.heads(node.body)
            breaks = [k for k, statement in enumerate(statements) if _break_condition(statement)]
            if len(breaks) != 1:
                raise self.refused(node, "the loop needs `if not c: break`, once")
            (k,) = breaks
            test = self.body(statements[:k])
            leave = self.atom(_break_condition(statements[k]) or node.test, "bool")
            body = self.body(statements[k + 1 :])
            phis = self.phis(lines)
        return While(phis, test, leave, body, self.exits(rest))

    def branch(self, node: ast.If, rest: list[ast.stmt]) -> If:
        cond = self.atom(node.test, "bool")
        with self.sizes.region():
            then = self.body(node.body)
        with self.sizes.region():
            orelse = self.body(node.orelse)
        lines = []
        while rest and _callee(rest[0]) == "phi":
            lines.append(rest.pop(0))
            self.declare(lines[-1])
        return If(cond, then, orelse, self.phis(lines))

    def heads(self, statements: list[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """The phi lines that open a loop body, their names bound, and the rest."""
        count = 0
        while count < len(statements) and _callee(statements[count]) == "phi":
            self.declare(statements[count])
            count += 1
        return statements[:count], statements[count:]

    def declare(self, line: ast.stmt) -> None:
        assert isinstance(line, ast.AnnAssign)
        self.sizes.bind(self.bind(line.target, getattr(line.target, "id", ""), line.annotation))

    def phis(self, lines: list[ast.stmt]) -> tuple[Phi, ...]:
        """The phis of lines that are declared: called when what an iteration computes has its names."""
        phis = []
        for line in lines:
            assert isinstance(line, ast.AnnAssign) and isinstance(line.value, ast.Call)
            if len(line.value.args) != 2 or line.value.keywords:
                raise self.refused(line, "phi takes two values")
            var = self.vars[line.target.id]  # type: ignore[union-attr]
            first, second = (self.atom(a, var.type.dtype) for a in line.value.args)
            phis.append(Phi(var, first, second))
        return tuple(phis)

    def exits(self, rest: list[ast.stmt]) -> tuple[Exit, ...]:
        exits = []
        while rest and _callee(rest[0]) == "last":
            line = rest.pop(0)
            match line:
                case ast.AnnAssign(target=target, value=ast.Call(args=[ast.Name(id=name)])):
                    if name not in self.vars:
                        raise self.refused(line, f"{name} is not a phi of the loop before it")
                    var = self.bind(target, getattr(target, "id", ""), line.annotation)
                    exits.append(Exit(var, self.vars[name]))
                    self.sizes.bind(var)
                case _:
                    raise self.refused(line, "last takes a phi of the loop before it")
        return tuple(exits)

    def bind(self, node: ast.AST, name: str, annotation: ast.expr | None) -> Var:
        if not name or name in WORDS or annotation is None:
            raise self.refused(node, "this binds no typed name")
        self.vars[name] = Var(name, self.type(annotation))
        return self.vars[name]

    def type(self, node: ast.expr) -> Type:
        match node:
            case ast.Name(id=dtype) if dtype in DTYPES:
                return Type(dtype)
            case ast.Subscript(value=ast.Name(id=dtype), slice=dims) if dtype in DTYPES:
                return Type(dtype, tuple(map(self.dim, _items(dims))))
        raise self.refused(node, f"{ast.unparse(node)} is not a type")

    def dim(self, node: ast.expr) -> Dim:
        match node:
            case ast.Name(id=name):
                return name
            case ast.Constant(value=int(value)):
                return value
        raise self.refused(node, f"{ast.unparse(node)} is not a size")

    # -- operations ----------------------------------------------------------------------------------

    def let(self, node: ast.AnnAssign) -> Let:
        assert node.value is not None
        found: dict[int, ast.expr] = {}
        for candidate in templates().get(_head(node.value), ()):
            found = {}
            if _matches(candidate.tree, node.value, found):
                break
        else:
            raise self.refused(node, "no operation prints like this")
        result = self.type(node.annotation)
        args = self.operands(candidate, found, result)
        let = Let(self.bind(node.target, getattr(node.target, "id", ""), node.annotation), candidate.op, args)
        self.sizes.let(let)
        return let

    def operands(self, shape: Template, found: dict[int, ast.expr], result: Type) -> tuple[Any, ...]:
        op = shape.op
        values = [k for k in found if k not in op.static and k not in shape.index]
        spelled = [node for k in sorted(values) for node in _leaves(found[k])]
        names = tuple(self.vars[n.id] for n in spelled if isinstance(n, ast.Name) and n.id in self.vars)
        dtype = context_dtype(names, result)
        args: list[Any] = [None] * len(found)
        for k in sorted(found):
            if k in op.static:
                args[k] = self.static(found[k])
            elif k in values:
                args[k] = self.operand(found[k], dtype)
        for k in shape.index:
            args[k] = self.index(found[k], args, k, result)
        return tuple(args)

    def operand(self, node: ast.expr, dtype: str) -> Any:
        if isinstance(node, ast.Tuple):
            return tuple(self.operand(item, dtype) for item in node.elts)
        return self.atom(node, dtype)

    def atom(self, node: ast.expr, dtype: str) -> Atom:
        match node:
            case ast.Name(id=name) if name not in WORDS:
                if name not in self.vars:
                    raise self.refused(node, f"{name} has no value here")
                return self.vars[name]
            case ast.Call(func=ast.Name(id=own), args=[inner]) if own in DTYPES:
                return Lit(self.literal(inner), Type(own))
        text = self.literal(node)
        return Lit(text, literal_type(text, dtype))

    def literal(self, node: ast.expr) -> str:
        number = node
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = node.operand
        is_word = isinstance(number, ast.Name) and number.id in WORDS
        if not is_word and not (isinstance(number, ast.Constant) and isinstance(number.value, (int, float))):
            raise self.refused(
                node, f"{ast.unparse(node)} is neither a name nor a number: one operation per line"
            )
        end = number.end_col_offset
        text = self.lines[number.lineno - 1][number.col_offset : end].decode()
        return text if number is node else f"-{text}"

    def static(self, node: ast.expr) -> Any:
        match node:
            case ast.Tuple(elts=items):
                return tuple(map(self.static, items))
            case ast.Name(id=word):
                return word
            case ast.Constant(value=value):
                return value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
                return -value
        raise self.refused(node, f"{ast.unparse(node)} is not a plain value")

    def index(self, node: ast.expr, args: list[Any], k: int, result: Type) -> Index:
        whole = args[k - 1].type if k and isinstance(args[k - 1], (Var, Lit)) else Type("f64")
        axes = list(whole.dims)
        items: list[Any] = []
        for item in _items(node):
            if isinstance(item, ast.Constant) and item.value is None:
                items.append(None)
                continue
            axis = axes.pop(0) if axes else None
            items.append(self.slice(item, axis) if isinstance(item, ast.Slice) else self.atom(item, "i64"))
        inferred = slice_sizes(Index(tuple(items)), tuple(args), k, result, self.sizes)
        for position, item in enumerate(items):
            if isinstance(item, Slice) and item.size == "":
                size = inferred[position]
                if size is None:
                    raise self.refused(node, "the size of this slice is not known: write start:stop:size(k)")
                items[position] = Slice(item.start, item.stop, item.step, size)
        return Index(tuple(items))

    def slice(self, node: ast.Slice, axis: Dim | None) -> Slice:
        """A slice; its size is "" if it is to be inferred."""
        if node.lower is None and node.upper is None and node.step is None and axis is not None:
            return full(axis)
        step, size = 1, ""
        match node.step:
            case ast.Call(func=ast.Name(id="size"), args=[dim], keywords=keywords):
                size = self.dim(dim)  # type: ignore[assignment]
                step = self.static(keywords[0].value) if keywords else 1
            case ast.expr():
                step = self.static(node.step)
        if not isinstance(step, int) or step == 0:
            raise self.refused(node, "the step of a slice is a number, not 0")
        if node.lower is None and step < 0:
            raise self.refused(node, "a slice that runs backwards needs its start")
        start = Lit("0", I64) if node.lower is None else self.atom(node.lower, "i64")
        match node.upper:
            case ast.Constant(value=None):
                return Slice(start, None, step, size)
            case None if step < 0:
                return Slice(start, None, step, size)
            case None:
                raise self.refused(node, "a slice needs its stop, or is `:`")
        return Slice(start, self.atom(node.upper, "i64"), step, size)


# -- the table of templates ----------------------------------------------------------------------------


def templates() -> dict[str, tuple[Template, ...]]:
    """All templates by their heads. Two that one text could match are refused."""
    return _templates(tuple(REGISTRY.values()))


@cache
def _templates(declared: tuple[Primitive, ...]) -> dict[str, tuple[Template, ...]]:
    table: dict[str, tuple[Template, ...]] = {}
    for op in declared:
        new = template(op)
        key = _head(new.tree)
        if key in ("phi()", "last()"):
            raise IRError(f"operation {op.name} prints as {key}, which is taken")
        for other in table.get(key, ()):
            if _overlap(new.tree, other.tree):
                raise IRError(f"{op.name} and {other.op.name} print alike: {op.text}, {other.op.text}")
        table[key] = (*table.get(key, ()), new)
    return table


def _head(node: ast.AST) -> str:
    """What tells most operations apart: the outermost operator or function."""
    match node:
        case ast.Call(func=ast.Name(id=name)):
            return f"{name}()"
        case ast.Call(func=ast.Attribute(attr=name)):
            return f".{name}()"
        case ast.BinOp(op=operator) | ast.UnaryOp(op=operator):
            return type(operator).__name__
        case ast.Compare(ops=[operator]):
            return type(operator).__name__
    return type(node).__name__


def _fields(tree: ast.AST) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in ast.iter_fields(tree) if name not in ("ctx", "kind")]


def _matches(shape: Any, node: Any, found: dict[int, ast.expr]) -> bool:
    """Is `node` of the shape of a template? Collects its operands."""
    k = placeholder(shape)
    if k is not None:
        found[k] = node
        return isinstance(node, ast.expr)
    if isinstance(shape, list):
        same = isinstance(node, list) and len(shape) == len(node)
        return same and all(_matches(s, n, found) for s, n in zip(shape, node))
    if not isinstance(shape, ast.AST):
        return shape == node
    return type(shape) is type(node) and all(
        _matches(value, getattr(node, name, None), found) for name, value in _fields(shape)
    )


def _overlap(a: Any, b: Any) -> bool:
    """Is there a text that both templates match?"""
    if placeholder(a) is not None or placeholder(b) is not None:
        return True
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_overlap, a, b))
    if not isinstance(a, ast.AST):
        return a == b
    return type(a) is type(b) and all(_overlap(value, getattr(b, name, None)) for name, value in _fields(a))


def _items(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _leaves(node: ast.expr) -> list[ast.expr]:
    """The values of an operand that may be a tuple."""
    return [leaf for item in node.elts for leaf in _leaves(item)] if isinstance(node, ast.Tuple) else [node]


def _break_condition(statement: ast.stmt) -> ast.expr | None:
    """c of `if not c: break`."""
    match statement:
        case ast.If(test=ast.UnaryOp(op=ast.Not(), operand=cond), body=[ast.Break()], orelse=[]):
            return cond
    return None


def _callee(statement: ast.stmt) -> str:
    match statement:
        case ast.AnnAssign(value=ast.Call(func=ast.Name(id=name))):
            return name
    return ""
