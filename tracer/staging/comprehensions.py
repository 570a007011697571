"""Staging of comprehensions and generator expressions: bodies that are run for each value."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from .bound import CONTROL
from .source import arguments_of

LOOP, BODY = "_loop_", "_body_"


def load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def control_call(method: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(load(CONTROL), method, ast.Load()), list(args), [])


class Comprehensions(ast.NodeTransformer):
    """The part of the rewriter for what binds names of its own; `scopes` are those of the functions around."""

    scopes: tuple[tuple[frozenset[str], str | None], ...]
    condition: Callable[[ast.expr], ast.expr]

    def _comprehension(self, node: Any, *parts: str) -> ast.expr:
        outer = self.scopes
        for generator in node.generators:
            generator.iter = control_call("iterate", self.visit(generator.iter))
            bound = {n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)}
            self.scopes = (*self.scopes, (frozenset(bound), None))
            generator.ifs = [control_call("truth", self.condition(i)) for i in generator.ifs]
        for part in parts:
            setattr(node, part, self.visit(getattr(node, part)))
        self.scopes = outer
        return node

    def _streamed(self, node: ast.ListComp | ast.GeneratorExp, method: str) -> ast.expr:
        """`[e for t in s if c]` runs a body for each value of s: `comprehension(s, lambda loop, body: ...)`."""
        outer = self.scopes
        first = self.visit(node.generators[0].iter)
        make: list[ast.Lambda] = []
        for k, generator in enumerate(node.generators):
            source = first if k == 0 else self.visit(generator.iter)
            bound = {n.id for n in ast.walk(generator.target) if isinstance(n, ast.Name)}
            self.scopes = (*self.scopes, (frozenset(bound), None))
            make.append(self._each(generator, source))
        inner: ast.expr = ast.Call(load(BODY), [self.visit(node.elt)], [])
        for generator, each in reversed(list(zip(node.generators, make))):
            for test in reversed(generator.ifs):
                inner = control_call("when", test, ast.Lambda(arguments_of([]), inner))
            comprehension = each.body
            assert isinstance(comprehension, ast.ListComp)
            comprehension.elt = inner
            if generator is not node.generators[0]:
                inner = ast.Call(load(LOOP), [each.source, each], [])  # type: ignore[attr-defined]
        self.scopes = outer
        return ast.copy_location(control_call(method, first, ast.Lambda(arguments_of([LOOP, BODY]), make[0])), node)

    def _each(self, generator: ast.comprehension, source: ast.expr) -> ast.Lambda:
        """What is done with a value: its names are bound by a comprehension of one item, as Python binds them."""
        generator.ifs = [self.condition(test) for test in generator.ifs]
        item = ast.comprehension(generator.target, ast.Tuple([load("_item_")], ast.Load()), [], 0)
        each = ast.Lambda(arguments_of(["_item_"]), ast.ListComp(ast.Constant(None), [item]))
        each.source = source  # type: ignore[attr-defined]
        return each

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        if _keeps_names(node):
            return control_call("list_", self._comprehension(node, "elt"))
        return self._streamed(node, "comprehension")

    def visit_List(self, node: ast.List) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and any(isinstance(e, ast.Starred) for e in node.elts):
            parts: list[ast.expr] = []
            for e in node.elts:
                value = e.value if isinstance(e, ast.Starred) else e
                starred = ast.Constant(isinstance(e, ast.Starred))
                parts.append(ast.Tuple([starred, self.visit(value)], ast.Load()))
            return control_call("display", *parts)
        new = self.generic_visit(node)
        return control_call("list_", new) if isinstance(node.ctx, ast.Load) else new  # type: ignore[arg-type,return-value]

    def visit_SetComp(self, node: ast.SetComp) -> ast.expr:
        return self._comprehension(node, "elt")

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        if _keeps_names(node):
            return ast.copy_location(self._comprehension(ast.ListComp(node.elt, node.generators), "elt"), node)
        return self._streamed(node, "generator")

    def visit_DictComp(self, node: ast.DictComp) -> ast.expr:
        return self._comprehension(node, "key", "value")


def _keeps_names(node: ast.ListComp | ast.GeneratorExp) -> bool:
    """Does a function made in it see its names later? They hold the last value then."""
    parts = [node.elt, *(test for generator in node.generators for test in generator.ifs)]
    return any(isinstance(inner, ast.Lambda) for part in parts for inner in ast.walk(part))
