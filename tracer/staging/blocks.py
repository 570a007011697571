"""Staging of what raises and of what is run under a guard: raise, try and with."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable

from .comprehensions import Comprehensions, control_call, load
from .jumps import surely_raises


class Blocks(Comprehensions):
    """The part of the rewriter for statements that raise, catch, or enter something."""

    block: Callable[[list[ast.stmt]], list[ast.stmt]]
    thunk: Callable[..., ast.FunctionDef]
    delayed: Callable[[ast.expr], ast.Lambda]
    frame: str
    _live: Callable[[ast.stmt], ast.expr]

    def visit_Raise(self, node: ast.Raise) -> ast.stmt:
        if node.exc is None:
            return ast.Expr(control_call("raise_again"))
        kind, source = self.raised(node)
        return ast.Expr(control_call("raise_", self.delayed(node.exc), kind, source))

    def raised(self, node: ast.Raise) -> tuple[ast.expr, ast.expr]:
        """The class that is raised, delayed, and the text of the arguments."""
        made = node.exc if isinstance(node.exc, ast.Call) else None
        kind = made.func if made else node.exc or ast.Name("RuntimeError", ast.Load())
        source = ast.Constant(", ".join(map(ast.unparse, made.args)) if made else "")
        return self.delayed(copy.deepcopy(kind)), source

    def path(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """A block that is a path of its own. Where it surely raises, what cannot be traced before that is of no matter:
        text of traced numbers, say, for the message."""
        end = surely_raises(body)
        if end is None or body[0] is end:
            return self.block(body)
        kind, source = self.raised(end)
        handler = ast.ExceptHandler(
            ast.Name("Exception", ast.Load()), "_error_",
            [ast.Expr(control_call("surely_raises", load("_error_"), kind, source, ast.Constant(end.lineno)))],
        )  # fmt: skip
        return [ast.copy_location(ast.Try(self.block(body), [handler], [], []), body[0])]

    def visit_Try(self, node: ast.Try) -> list[ast.stmt]:
        body, orelse = self.thunk("try", self.block(node.body)), self.thunk("else", self.block(node.orelse))
        final = self.thunk("finally", self.block(node.finalbody))
        blocks: list[ast.FunctionDef] = []
        handlers: list[ast.expr] = []
        for handler in node.handlers:
            first: list[ast.stmt] = []
            if handler.name:
                target = self.visit(ast.copy_location(ast.Name(handler.name, ast.Store()), handler))
                first = [ast.Assign([target], load("_error_"))]
            blocks.append(self.thunk("except", [*first, *self.block(handler.body)], ["_error_"]))
            kinds = ast.Constant(None) if handler.type is None else self.delayed(handler.type)
            handlers.append(ast.Tuple([kinds, load(blocks[-1].name)], ast.Load()))
        call = control_call(
            "try_", load(body.name), ast.Tuple(handlers, ast.Load()), load(orelse.name), load(final.name),
            load(self.frame), self._live(node), ast.Constant(node.lineno),
        )  # fmt: skip
        return [body, orelse, final, *blocks, ast.Expr(call)]

    def visit_With(self, node: ast.With) -> list[ast.stmt]:
        item, *others = node.items
        manager = self.visit(item.context_expr)
        first: list[ast.stmt] = []
        if item.optional_vars is not None:
            first = [ast.Assign([self.visit(item.optional_vars)], load("_entered_"))]
        inner: list[ast.stmt] = [ast.copy_location(ast.With(others, node.body), node)] if others else node.body
        body = self.thunk("with", [*first, *self.block(inner)], ["_entered_"])
        return [body, ast.Expr(control_call("with_", manager, load(body.name), ast.Constant(node.lineno)))]
