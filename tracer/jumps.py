"""Lower `break`, `continue`, `return` and `raise` inside of loops and ifs to nested ifs and flags.

What follows an if whose one arm leaves goes into the other arm, so that early returns become plain
branches. Only where that cannot be done (a return in a loop, arms that leave on some paths) a flag says
what happened; a loop's `break` is always a flag, on the loop node as `flag` and in a while's test.
"""

from __future__ import annotations

import ast
import copy

RETURNED = "_returned_"


def lower_jumps(body: list[ast.stmt]) -> list[ast.stmt]:
    """The body without break and continue, with return only as the last thing of a path."""
    lowering = _Lowering()
    if any(isinstance(n, ast.Return) for n in own_nodes(body)) and not definite(body):
        end = body[-1]
        body = [*body, ast.copy_location(ast.Return(ast.Constant(None)), end)]
    result = lowering.block(body, None)
    if lowering.uses_returned:
        first = ast.copy_location(_assign(RETURNED, False), body[0])
        result = [first, *result]
    for statement in result:
        ast.fix_missing_locations(statement)
    return result


def definite(body: list[ast.stmt]) -> bool:
    """Does every path through the block leave it by return, break, continue or raise?"""
    for statement in body:
        match statement:
            case ast.Return() | ast.Break() | ast.Continue() | ast.Raise():
                return True
            case ast.If() if statement.orelse and definite(statement.body) and definite(statement.orelse):
                return True
    return False


def own_nodes(body: list[ast.stmt]) -> list[ast.AST]:
    """All nodes of a body, those of nested functions left out."""
    found: list[ast.AST] = []
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            todo.extend(ast.iter_child_nodes(node))
    return found


def _jumps(node: ast.stmt) -> bool:
    """Does the statement contain a jump out of the block it stands in?"""

    def inside(n: ast.AST, in_loop: bool) -> bool:
        if isinstance(n, (ast.FunctionDef, ast.Lambda)):
            return False
        if isinstance(n, ast.Return):
            return True
        if isinstance(n, (ast.Break, ast.Continue)):
            return not in_loop
        deeper = in_loop or isinstance(n, (ast.For, ast.While))
        return any(inside(c, deeper) for c in ast.iter_child_nodes(n))

    return inside(node, False)


def _assign(name: str, value: bool) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))


def _not_any(flags: list[str]) -> ast.expr:
    tests: list[ast.expr] = [ast.UnaryOp(ast.Not(), ast.Name(f, ast.Load())) for f in flags]
    return tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)


class _Loop:
    def __init__(self, number: int, outer: _Loop | None):
        self.broken = f"_broken{number}_"
        self.continued = f"_continued{number}_"
        self.uses_break = False
        self.uses_continue_flag = False
        self.returns = False
        self.outer = outer


class _Lowering:
    def __init__(self) -> None:
        self.uses_returned = False
        self.count = 0

    def block(self, body: list[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for k, statement in enumerate(body):
            rest = body[k + 1 :]
            match statement:
                case ast.Break() | ast.Continue():
                    assert loop is not None
                    return [*result, *self._jump(statement, loop)]
                case ast.Return():
                    return [*result, *self._return(statement, loop)]
                case ast.Raise():
                    return [*result, statement]
                case ast.If() if _jumps(statement) or self._raises(statement):
                    return [*result, *self._branch(statement, rest, loop)]
                case ast.If():
                    new = copy.copy(statement)
                    new.body = self.block(statement.body, loop)
                    new.orelse = self.block(statement.orelse, loop)
                    result.append(new)
                case ast.For() | ast.While():
                    lowered, returns = self._loop(statement, loop)
                    result += lowered
                    if returns:
                        return [*result, *self._unless([RETURNED], rest, loop, statement)]
                case _:
                    result.append(statement)
        return result

    @staticmethod
    def _raises(node: ast.If) -> bool:
        """An if that ends in raise and is more than the plain `if c: raise E`, which stays as it is."""
        return any(isinstance(n, ast.Raise) for n in own_nodes([node])) and not is_plain_raise(node)

    def _jump(self, node: ast.Break | ast.Continue, loop: _Loop) -> list[ast.stmt]:
        if isinstance(node, ast.Break):
            loop.uses_break = True
            return [ast.copy_location(_assign(loop.broken, True), node)]
        return [ast.copy_location(_assign(loop.continued, True), node)]

    def _return(self, node: ast.Return, loop: _Loop | None) -> list[ast.stmt]:
        if loop is None:
            return [node]
        self.uses_returned = True
        flags: list[ast.stmt] = [ast.copy_location(_assign(RETURNED, True), node)]
        outer: _Loop | None = loop
        while outer is not None:
            outer.uses_break = outer.returns = True
            flags.append(ast.copy_location(_assign(outer.broken, True), node))
            outer = outer.outer
        return [node, *flags]

    def _branch(self, node: ast.If, rest: list[ast.stmt], loop: _Loop | None) -> list[ast.stmt]:
        new = copy.copy(node)
        then_leaves, else_leaves = definite(node.body), bool(node.orelse) and definite(node.orelse)
        if then_leaves or else_leaves:
            new.body = self.block(node.body + ([] if then_leaves else rest), loop)
            new.orelse = self.block(node.orelse + ([] if else_leaves else rest), loop)
            return [new]
        new.body, new.orelse = self.block(node.body, loop), self.block(node.orelse, loop)
        flags = []
        if loop is not None:
            loop.uses_continue_flag = True
            flags = [loop.broken, loop.continued]
            loop.uses_break = True
        elif any(isinstance(n, ast.Return) for n in own_nodes([node])):
            # Arms that return on some paths only, outside of loops: give each arm its own copy of the rest.
            new.body = self.block(copy.deepcopy(node.body) + copy.deepcopy(rest), loop)
            new.orelse = self.block(copy.deepcopy(node.orelse) + rest, loop)
            return [new]
        return [new, *self._unless(flags, rest, loop, node)]

    def _unless(
        self, flags: list[str], rest: list[ast.stmt], loop: _Loop | None, node: ast.stmt
    ) -> list[ast.stmt]:
        if not rest:
            return []
        return [ast.copy_location(ast.If(_not_any(flags), self.block(rest, loop), []), node)]

    def _loop(self, node: ast.For | ast.While, outer: _Loop | None) -> tuple[list[ast.stmt], bool]:
        self.count += 1
        loop = _Loop(self.count, outer)
        new = copy.copy(node)
        new.body = self.block(node.body, loop)
        new.orelse = []
        before: list[ast.stmt] = []
        if loop.uses_continue_flag:
            new.body = [ast.copy_location(_assign(loop.continued, False), node), *new.body]
        if loop.uses_break:
            before.append(ast.copy_location(_assign(loop.broken, False), node))
            if isinstance(new, ast.While):
                flag: ast.expr = _not_any([loop.broken])
                constant = (
                    isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value
                )
                new.test = flag if constant else ast.BoolOp(ast.And(), [flag, new.test])
            else:
                new.flag = loop.broken  # type: ignore[attr-defined]
        after: list[ast.stmt] = []
        if node.orelse:
            after = self.block(node.orelse, outer)
            if loop.uses_break:
                after = [ast.copy_location(ast.If(_not_any([loop.broken]), after, []), node)]
        return [*before, new, *after], loop.returns


def is_plain_raise(node: ast.If) -> bool:
    """`if c: raise E(...)` without else: a check."""
    return len(node.body) == 1 and isinstance(node.body[0], ast.Raise) and not node.orelse
