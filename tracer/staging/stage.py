"""Staging: rewrite a function's source so that control flow and calls go through `Control`.

Local variables become attributes of a `Frame`, so that a loop body, made a function, can be traced more
than once from a snapshot of all variables. What the rewritten code calls is in `tracer.control`; which
statements are refused is in `tracer.fence`.
"""

from __future__ import annotations

import ast
import types
from typing import Any

from ...ir.errors import TracedValueError
from ..depth import OURS, deeper
from ..values.text import REPORTERS
from .blocks import Blocks
from .bound import CONTROL, StagedSource, renamed
from .comprehensions import control_call as _call
from .comprehensions import load as _load
from .fence import check_syntax
from .jumps import chain_of, lower_jumps, own_nodes
from .live_names import Liveness, stored_names
from .matching import expand_matches
from .rotate import rotate_tests
from .source import TYPE_PARAMS, arguments_of, function_node, has_assert, is_source_of, mangle, span_of

RESULT = "_result_"


_STAGED: dict[tuple[types.CodeType, str], StagedSource | None] = {}


def staged_source(function: types.FunctionType) -> StagedSource | None:
    """The staged form of a function's code, None if its source cannot be had.

    Raises TracedValueError if the file does not say any more what was imported.
    """
    code = function.__code__
    key = code, code.co_filename  # codes of two files may be equal
    if key not in _STAGED:
        node = function_node(function)
        if isinstance(node, ast.FunctionDef) and not is_source_of(node, code) and not has_assert(node):
            raise TracedValueError(
                f"the source of {function.__name__!r} has changed since it was imported (or what runs was not made "
                "from it): what would be traced is not what runs. Import it again",
                span_of(code.co_filename, code.co_firstlineno),
            )
        with deeper(OURS):
            _STAGED[key] = None if node is None else _stage(node, function)
    return _STAGED[key]


def _stage(node: ast.FunctionDef | ast.Lambda, function: types.FunctionType) -> StagedSource:
    file = function.__code__.co_filename
    if isinstance(node, ast.Lambda):
        body: list[ast.stmt] = [ast.copy_location(ast.Return(node.body), node.body)]
        node = ast.copy_location(
            ast.FunctionDef("_lambda_", node.args, body, [], None, None, **TYPE_PARAMS), node
        )
        ast.fix_missing_locations(node)
    check_syntax(node, file)
    mangle(node, function.__code__)
    rewriter = Rewriter(file, ())
    staged = rewriter.function(node)
    staged.name = "_staged_"  # its own name stays that of the user's global: recursion is a call of that
    free = [*function.__code__.co_freevars, CONTROL]
    factory = ast.FunctionDef(
        "_factory_", arguments_of(free), [staged, ast.Return(ast.Name(staged.name, ast.Load()))], [], None, None,
        **TYPE_PARAMS,
    )  # fmt: skip
    module = ast.Module([factory], [])
    ast.fix_missing_locations(module)
    for inner in ast.walk(module):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == CONTROL:
            # Python names the line on which the name of a method ends.
            inner.end_lineno, inner.end_col_offset = inner.lineno, inner.col_offset + 1
    compiled = compile(module, file, "exec")
    outer = next(c for c in compiled.co_consts if isinstance(c, types.CodeType))
    code = next(c for c in outer.co_consts if isinstance(c, types.CodeType) and c.co_name == staged.name)
    own = function.__code__
    return StagedSource(renamed(code, own.co_name, own.co_qualname, rewriter.thunks), file, node.lineno)


def _strings(names: Any) -> ast.Tuple:
    return ast.Tuple([ast.Constant(n) for n in sorted(names)], ast.Load())


YIELD = "_yield_"
"""In the code of a generator: what runs the consumer's body."""


class Rewriter(Blocks):
    """Rewrites one function. `scopes` are the local names of the enclosing functions, innermost last,
    each with the name of the variable that holds its frame; names bound by lambdas and comprehensions
    have no frame."""

    def __init__(self, file: str, scopes: tuple[tuple[frozenset[str], str | None], ...]):
        self.file = file
        self.scopes = scopes
        self.liveness: Liveness | None = None
        self.frame = f"_frame{len(scopes)}_"
        self.count = 0
        self.thunks: list[str] = []
        self.first = ""
        self.generates = False
        self.outer: set[str] = set()  # variables of scopes outside of the staged code that this function binds

    # -- functions -----------------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef) -> ast.FunctionDef:
        params = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        params += [a.arg for a in (node.args.vararg, node.args.kwarg) if a is not None]
        self.first = params[0] if params else ""
        declarations = [n for n in own_nodes(node.body) if isinstance(n, (ast.Nonlocal, ast.Global))]
        declared = {name for n in declarations for name in n.names}
        framed = {name for names, frame in self.scopes if frame for name in names}
        self.outer = {n for d in declarations for n in d.names if isinstance(d, ast.Global) or n not in framed}
        body = [s for s in node.body if not _is_docstring(s)]
        body = lower_jumps(rotate_tests(expand_matches(body)))
        self.liveness = Liveness(body)
        local = (set(params) | stored_names(body)) - declared
        self.scopes = (*self.scopes, (frozenset(local), self.frame))
        start = ast.Assign(
            [ast.Name(self.frame, ast.Store())],
            ast.Call(
                ast.Attribute(_load(CONTROL), "frame", ast.Load()),
                [ast.Constant(node.name)],
                [ast.keyword(p, _load(p)) for p in params],
            ),
        )
        self.generates = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in own_nodes(node.body))
        statements = self.path(body)
        end = ast.Return(_call("result", _load(self.frame)))
        if self.generates:
            generate = self.thunk("generate", statements, [YIELD])
            statements = [generate]
            end = ast.Return(_call("generated", _load(generate.name)))
        args = ast.arguments(
            [ast.arg(a.arg) for a in node.args.posonlyargs], [ast.arg(a.arg) for a in node.args.args],
            ast.arg(node.args.vararg.arg) if node.args.vararg else None,
            [ast.arg(a.arg) for a in node.args.kwonlyargs], node.args.kw_defaults,
            ast.arg(node.args.kwarg.arg) if node.args.kwarg else None, node.args.defaults,
        )  # fmt: skip
        if len(self.scopes) == 1:
            # Defaults are taken from the original function; these are only placeholders.
            args.defaults = [ast.Constant(None) for _ in args.defaults]
            args.kw_defaults = [None if d is None else ast.Constant(None) for d in args.kw_defaults]
        return ast.copy_location(
            ast.FunctionDef(node.name, args, [start, *statements, end], [], None, None, **TYPE_PARAMS), node
        )

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            line = getattr(statement, "lineno", None)
            if line is not None and not isinstance(statement, (ast.Pass, ast.Nonlocal, ast.Global)):
                result.append(ast.copy_location(ast.Expr(_call("at", ast.Constant(line))), statement))
            new = self.visit(statement)
            for one in new if isinstance(new, list) else [new]:
                if one is not None:
                    result.append(ast.copy_location(one, statement))
        return result or [ast.Pass()]

    def thunk(self, prefix: str, body: list[ast.stmt], args: list[str] | None = None) -> ast.FunctionDef:
        self.count += 1
        name = f"_{prefix}{len(self.scopes)}_{self.count}_"
        self.thunks.append(name)
        return ast.FunctionDef(name, arguments_of(args or []), body, [], None, None, **TYPE_PARAMS)

    def delayed(self, node: ast.expr) -> ast.Lambda:
        return ast.Lambda(arguments_of([]), self.visit(node))

    # -- names ---------------------------------------------------------------------------------------

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.outer and not self._is_shadowed(node.id):
            if isinstance(node.ctx, ast.Load):
                value = ast.Lambda(arguments_of([]), _load(node.id))
                return ast.copy_location(_call("declared", ast.Constant(node.id), value), node)
            return ast.copy_location(ast.Attribute(_call("outer"), node.id, node.ctx), node)
        for names, frame in reversed(self.scopes):
            if node.id in names:
                if frame is None:
                    return node
                return ast.copy_location(ast.Attribute(_load(frame), node.id, node.ctx), node)
        if isinstance(node.ctx, ast.Load):
            return ast.copy_location(_call("free", ast.Constant(node.id), node), node)
        return node

    def _is_shadowed(self, name: str) -> bool:
        """Does a lambda or a comprehension around this place bind the name?"""
        own = next((k for k in range(len(self.scopes) - 1, -1, -1) if self.scopes[k][1] == self.frame), 0)
        return any(name in names for names, _ in self.scopes[own + 1 :])

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        params = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        params += [a.arg for a in (node.args.vararg, node.args.kwarg) if a is not None]
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [None if d is None else self.visit(d) for d in node.args.kw_defaults]
        outer = self.scopes
        self.scopes = (*outer, (frozenset(params), None))
        node.body = self.visit(node.body)
        self.scopes = outer
        return ast.copy_location(_call("staged", node), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> list[ast.stmt]:
        node.args.defaults = [self.visit(d) for d in node.args.defaults]
        node.args.kw_defaults = [None if d is None else self.visit(d) for d in node.args.kw_defaults]
        rewriter = Rewriter(self.file, self.scopes)
        rewriter.thunks = self.thunks
        inner = rewriter.function(node)
        decorated: ast.expr = _call("staged", _load(node.name))
        for decorator in reversed(node.decorator_list):
            decorated = _call("call", self.visit(decorator), decorated)
        inner.decorator_list = []
        target = self.visit_Name(ast.Name(node.name, ast.Store()))
        return [inner, ast.Assign([target], decorated)]

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        if node.target.id in self.outer:
            bound = _call("walrus", _call("outer"), ast.Constant(node.target.id), self.visit(node.value))
            return ast.copy_location(bound, node)
        for names, frame in reversed(self.scopes):
            if frame is not None and node.target.id in names:
                value = self.visit(node.value)
                return ast.copy_location(
                    _call("walrus", _load(frame), ast.Constant(node.target.id), value), node
                )
        return self.generic_visit(node)  # type: ignore[return-value]

    # -- expressions ---------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> ast.expr:
        question = getattr(node, "question", None)  # of a match
        if question is not None:
            return ast.copy_location(_call(question, *map(self.visit, node.args)), node)
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args and self.first:
            node.args = [ast.copy_location(_load(name), node) for name in ("__class__", self.first)]
        # A walrus among the arguments keeps what it binds: then their text is not only shown.
        reporter = _name_of(node.func) in REPORTERS and not any(isinstance(n, ast.NamedExpr) for n in ast.walk(node))
        function = self.visit(node.func)
        args = [self.visit(a) for a in node.args]
        keywords = [ast.keyword(k.arg, self.visit(k.value)) for k in node.keywords]
        called = _load("_called_") if reporter else function
        call = ast.Call(ast.Attribute(_load(CONTROL), "call", ast.Load()), [called, *args], keywords)
        if reporter:
            call = _call("reported", function, ast.Lambda(arguments_of(["_called_"]), call))
        return ast.copy_location(call, node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        value = self.visit(node.value)
        if isinstance(node.ctx, ast.Load):
            return ast.copy_location(_call("attribute", value, ast.Constant(node.attr)), node)
        return ast.copy_location(ast.Attribute(_call("place", value), node.attr, node.ctx), node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        value, key = self.visit(node.value), self.visit(node.slice)
        if isinstance(node.ctx, ast.Load):
            return ast.copy_location(_call("item", value, _slices(key)), node)
        return ast.copy_location(ast.Subscript(_call("place", value), key, node.ctx), node)

    def condition(self, node: ast.expr) -> ast.expr:
        """An expression of which only the truth counts: the operands of `and` and `or` need not be of one type."""
        if not isinstance(node, ast.BoolOp):
            return self.visit(node)
        method = "and_" if isinstance(node.op, ast.And) else "or_"
        values = [_call("asked", self.condition(value)) for value in node.values]
        result: ast.expr = values[0]
        for value in values[1:]:
            result = _call(method, result, ast.Lambda(arguments_of([]), value))
        return ast.copy_location(result, node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        return ast.copy_location(
            _call("if_expression", self.condition(node.test), self.delayed(node.body), self.delayed(node.orelse)),
            node,
        )

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        method = "and_" if isinstance(node.op, ast.And) else "or_"
        result = self.visit(node.values[0])
        for value in node.values[1:]:
            result = _call(method, result, self.delayed(value))
        return ast.copy_location(result, node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return ast.copy_location(_call("not_", self.condition(node.operand)), node)
        operand = self.visit(node.operand)
        if isinstance(operand, ast.Constant):
            return ast.copy_location(ast.UnaryOp(node.op, operand), node)
        return ast.copy_location(_call("unary", ast.Constant(type(node.op).__name__), operand), node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        op = ast.Constant(type(node.op).__name__)
        return ast.copy_location(_call("binary", op, self.visit(node.left), self.visit(node.right)), node)

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        value = self.visit(node.value)
        return ast.copy_location(
            ast.Starred(_call("unpack", value) if isinstance(node.ctx, ast.Load) else value, node.ctx), node
        )

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        names = [type(op).__name__ for op in node.ops]
        rest = [self.delayed(c) for c in node.comparators]
        return ast.copy_location(
            _call(
                "compare",
                self.visit(node.left),
                ast.Tuple([ast.Constant(n) for n in names], ast.Load()),
                *rest,
            ),
            node,
        )

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.expr:
        return self.generic_visit(node)  # type: ignore[return-value]

    # -- statements ----------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        bound = [a.asname or a.name.partition(".")[0] for a in node.names]
        return [node, *(ast.Assign([self.visit_Name(ast.Name(b, ast.Store()))], _load(b)) for b in bound)]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> list[ast.stmt]:
        module = "." * node.level + (node.module or "")
        result: list[ast.stmt] = [node]
        for alias in node.names:
            target = self.visit_Name(ast.Name(alias.asname or alias.name, ast.Store()))
            result.append(ast.Assign([target], _call("imported", ast.Constant(module), ast.Constant(alias.name))))
        return result

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        if isinstance(node.value, ast.Yield):
            value = self.visit(node.value.value) if node.value.value else ast.Constant(None)
            return ast.Expr(ast.Call(_load(YIELD), [value], []))
        if isinstance(node.value, ast.YieldFrom):
            return ast.Expr(_call("yield_from", self.visit(node.value.value), _load(YIELD), _load(self.frame)))
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        return None  # `function` has looked at it

    def visit_Global(self, node: ast.Global) -> None:
        return None

    def visit_Return(self, node: ast.Return) -> ast.stmt:
        if self.generates:
            return ast.Pass() if node.value is None else ast.Expr(self.visit(node.value))
        value = self.visit(node.value) if node.value else ast.Constant(None)
        return ast.Assign([ast.Attribute(_load(self.frame), RESULT, ast.Store())], value)

    def visit_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        value = self.visit(node.value)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = _call("named", ast.Constant(node.targets[0].id), value)
        elif any(isinstance(t, (ast.Tuple, ast.List)) for t in node.targets):
            value = _call("unpack", value)
        return [ast.Assign([self.visit(t) for t in node.targets], value)]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is None:
            return [ast.Pass()]
        return self.visit_Assign(ast.copy_location(ast.Assign([node.target], node.value), node))

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        name = ast.Constant(type(node.op).__name__)
        value = self.visit(node.value)
        target = node.target
        if isinstance(target, ast.Name):
            load = self.visit(ast.copy_location(ast.Name(target.id, ast.Load()), target))
            return ast.Assign(
                [self.visit(target)], _call("augmented", name, load, value, ast.Constant(target.id))
            )
        if isinstance(target, ast.Attribute):
            return ast.Expr(
                _call("augmented_attribute", name, self.visit(target.value), ast.Constant(target.attr), value)
            )
        assert isinstance(target, ast.Subscript)
        return ast.Expr(
            _call("augmented_item", name, self.visit(target.value), _slices(self.visit(target.slice)), value)
        )

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        source = ast.Constant(ast.unparse(node.msg) if node.msg else "")
        message = self.delayed(node.msg) if node.msg else ast.Lambda(arguments_of([]), ast.Constant(""))
        return ast.Expr(_call("assert_", self.condition(node.test), message, source))

    def visit_Delete(self, node: ast.Delete) -> ast.stmt:
        return ast.Delete([self.visit(t) for t in node.targets])

    def visit_If(self, node: ast.If) -> list[ast.stmt]:
        chain, last = chain_of(node)  # elif by elif, so that a long chain is not a deep nest
        tests: list[ast.expr] = []
        arms: list[ast.FunctionDef] = []
        for arm in chain:
            test = self.condition(arm.test)
            tests.append(test if arm is node else ast.Lambda(arguments_of([]), test))
            arms.append(self.thunk("then", self.path(arm.body)))
        orelse = self.thunk("else", self.path(last))
        elifs = ast.Tuple(
            [
                ast.Tuple([test, _load(arm.name), self._live(at), ast.Constant(at.lineno)], ast.Load())
                for test, at, arm in zip(tests[1:], chain[1:], arms[1:])
            ],
            ast.Load(),
        )
        call = _call(
            "if_",
            tests[0],
            _load(arms[0].name),
            elifs,
            _load(orelse.name),
            _load(self.frame),
            self._live(node),
            ast.Constant(node.lineno),
        )
        return [*arms, orelse, ast.Expr(call)]

    def _live(self, node: ast.stmt) -> ast.expr:
        assert self.liveness is not None
        return _strings(self.liveness.after.get(node, frozenset()) | {RESULT})

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        assert self.liveness is not None
        targets = [
            n.id for n in ast.walk(node.target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        ]
        stored = stored_names(node.body) | set(targets)  # now: visiting changes the names in tuples
        iterable = self.visit(node.iter)
        bind = ast.Assign([self.visit(node.target)], _load("_item_"))
        body = self.thunk("body", [bind, *self.block(node.body)], ["_item_"])
        flag = getattr(node, "flag", None)
        call = _call(
            "for_", iterable, _load(body.name), _load(self.frame), _strings(self.liveness.head[node] | {RESULT}),
            _strings(self.liveness.after[node] | {RESULT}), _strings(stored),
            ast.Constant(targets[0] if isinstance(node.target, ast.Name) else "i"), ast.Constant(flag),
            ast.Constant(node.lineno),
        )  # fmt: skip
        return [body, ast.Expr(call)]

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        assert self.liveness is not None
        stored = stored_names(node.body)
        test = ast.Lambda(arguments_of([]), self.condition(node.test))
        body = self.thunk("body", self.block(node.body))
        call = _call(
            "while_", test, _load(body.name), _load(self.frame), _strings(self.liveness.head[node] | {RESULT}),
            _strings(self.liveness.after[node] | {RESULT}), _strings(stored), ast.Constant(node.lineno),
        )  # fmt: skip
        return [body, ast.Expr(call)]


def _slices(key: ast.expr) -> ast.expr:
    """A subscript as an argument: `a:b` is `slice(a, b, None)` there."""
    if isinstance(key, ast.Slice):
        parts = [p or ast.Constant(None) for p in (key.lower, key.upper, key.step)]
        return _call("slice", *parts)
    if isinstance(key, ast.Tuple):
        return ast.Tuple([_slices(e) for e in key.elts], ast.Load())
    return key


def _name_of(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
