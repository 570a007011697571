"""Lower `break`, `continue` and `return` to nested ifs and flags: one scheme, linear in the source.

What follows an if of which one arm always jumps goes into the other arm, so that early returns become plain
branches. Behind any other statement that may jump, what follows stands under `if not <flag>`, once; a flag that is
known while tracing leaves no trace in the program. The `else` of a loop is what follows the loop, under `if not
<broken>`. A loop's `break` is a flag, on the loop node as `flag` and in a while's test. `raise` needs nothing: it
ends the path on which it stands while tracing (see `regions`).
"""

from __future__ import annotations

import ast
import copy

RETURNED = "_returned_"
DEPTH = 16
"""How many early returns may stand in one another's `else` before a flag is cheaper to read, trace and compile."""

Kinds = frozenset[str]


def lower_jumps(body: list[ast.stmt]) -> list[ast.stmt]:
    """The body without break and continue; after a return no other statement of the path is executed."""
    lowering = _Lowering()
    if "return" in lowering.jumps_of(body) and not lowering.ends(body):
        body = [*body, ast.copy_location(ast.Return(ast.Constant(None)), body[-1])]
    result = lowering.block(body, None, False)
    if lowering.uses_returned:
        result = [ast.copy_location(_assign(RETURNED, False), body[0]), *result]
    for statement in result:
        ast.fix_missing_locations(statement)
    return result


def is_flag(name: str) -> bool:
    """Is it a name under which lowering keeps whether a jump was made?"""
    return name == RETURNED or name.startswith(("_broken", "_continued"))


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
        self.outer = outer


class _Lowering:
    def __init__(self) -> None:
        self.uses_returned = False
        self.count = 0
        self._jumps: dict[ast.stmt, Kinds] = {}
        self._ends: dict[ast.stmt, bool] = {}

    # -- what a statement may do -----------------------------------------------------------------------

    def jumps(self, node: ast.stmt) -> Kinds:
        """The jumps in a statement that leave the block it stands in."""
        if node not in self._jumps:
            self._jumps[node] = self._jumps_of_node(node)
        return self._jumps[node]

    def _jumps_of_node(self, node: ast.stmt) -> Kinds:
        match node:
            case ast.Return():
                return frozenset({"return"})
            case ast.Break():
                return frozenset({"break"})
            case ast.Continue():
                return frozenset({"continue"})
            case ast.For() | ast.While():
                return (self.jumps_of(node.body) & {"return"}) | self.jumps_of(node.orelse)
        found: Kinds = frozenset()
        for block in blocks_of(node):
            found |= self.jumps_of(block)
        return found

    def jumps_of(self, body: list[ast.stmt]) -> Kinds:
        found: Kinds = frozenset()
        for statement in body:
            found |= self.jumps(statement)
        return found

    def ends(self, body: list[ast.stmt]) -> bool:
        """Does every path through the block leave it by a jump or a raise?"""
        return any(map(self._never_falls_through, body))

    def _never_falls_through(self, node: ast.stmt) -> bool:
        if node not in self._ends:
            self._ends[node] = self._ends_of_node(node)
        return self._ends[node]

    def _ends_of_node(self, node: ast.stmt) -> bool:
        match node:
            case ast.Return() | ast.Break() | ast.Continue() | ast.Raise():
                return True
            case ast.If():
                arms, orelse = chain_of(node)
                return self.ends(orelse) and all(self.ends(arm.body) for arm in arms)
            case ast.While(test=ast.Constant(value=value)) if value:
                return "break" not in self.jumps_of(node.body)
            case ast.With():
                return False  # it may swallow what is raised in it
            case ast.Try():
                body = self.ends(node.body) or self.ends(node.orelse)
                return self.ends(node.finalbody) or (body and all(self.ends(h.body) for h in node.handlers))
        return False

    def _leaves(self, body: list[ast.stmt]) -> bool:
        """Does every path leave the block, and at least one by a jump?"""
        return self.ends(body) and bool(self.jumps_of(body))

    # -- lowering --------------------------------------------------------------------------------------

    def block(self, body: list[ast.stmt], loop: _Loop | None, flagged: bool) -> list[ast.stmt]:
        """The block; `flagged`: something that follows it asks a flag whether the function has returned."""
        jumping = [k for k, statement in enumerate(body) if self.jumps(statement)]
        if len(jumping) > DEPTH:
            cut = jumping[DEPTH - 1] + 1
            first = self.block(body[:cut], loop, True)
            return [*first, *self._unless(self.jumps_of(body[:cut]), body[cut:], loop, flagged, body[cut])]
        result: list[ast.stmt] = []
        for k, statement in enumerate(body):
            rest = body[k + 1 :]
            match statement:
                case ast.Break() | ast.Continue():
                    assert loop is not None
                    return [*result, self._jump(statement, loop)]
                case ast.Return():
                    return [*result, *self._return(statement, loop, flagged)]
                case ast.Raise():
                    return [*result, statement]
                case ast.If() if self.jumps(statement):
                    return [*result, *self._branch(statement, rest, loop, flagged)]
                case ast.For() | ast.While():
                    result += self._loop(statement, loop)
                    if self.jumps(statement) or statement.orelse:
                        return [*result, *self._after_loop(statement, result[-1], rest, loop, flagged)]
                case _ if blocks_of(statement):
                    kinds = self.jumps(statement)
                    last = not rest and not flagged
                    result.append(self._mapped(statement, loop, bool(kinds) and not last))
                    if kinds:
                        return [*result, *self._unless(kinds, rest, loop, flagged, statement)]
                case _:
                    result.append(statement)
        return result

    def _mapped(self, node: ast.stmt, loop: _Loop | None, flagged: bool) -> ast.stmt:
        """The statement with its blocks lowered."""
        new = copy.copy(node)
        flagged = flagged or isinstance(node, ast.Try) and bool(node.orelse) and bool(self.jumps_of(node.body))
        for name in ("body", "orelse", "finalbody"):
            if getattr(node, name, None):
                setattr(new, name, self.block(getattr(node, name), loop, flagged))
        if isinstance(node, ast.Try) and isinstance(new, ast.Try):
            new.handlers = []
            for handler in node.handlers:
                lowered = copy.copy(handler)
                lowered.body = self.block(handler.body, loop, flagged)
                new.handlers.append(lowered)
            if node.orelse and self.jumps_of(node.body):
                new.orelse = self._unless(self.jumps_of(node.body), node.orelse, loop, flagged, node)
        return new

    @staticmethod
    def _jump(node: ast.Break | ast.Continue, loop: _Loop) -> ast.stmt:
        if isinstance(node, ast.Break):
            loop.uses_break = True
            return ast.copy_location(_assign(loop.broken, True), node)
        return ast.copy_location(_assign(loop.continued, True), node)

    def _return(self, node: ast.Return, loop: _Loop | None, flagged: bool) -> list[ast.stmt]:
        flags = [RETURNED] if loop is not None or flagged else []
        self.uses_returned = self.uses_returned or bool(flags)
        while loop is not None:
            loop.uses_break = True
            flags.append(loop.broken)
            loop = loop.outer
        return [node, *(ast.copy_location(_assign(flag, True), node) for flag in flags)]

    def _branch(
        self, node: ast.If, rest: list[ast.stmt], loop: _Loop | None, flagged: bool
    ) -> list[ast.stmt]:
        then_leaves, else_leaves = self._leaves(node.body), self._leaves(node.orelse)
        new = copy.copy(node)
        if then_leaves or else_leaves or not rest:
            new.body = self.block([*node.body, *(() if then_leaves else rest)], loop, flagged)
            new.orelse = self.block([*node.orelse, *(() if else_leaves else rest)], loop, flagged)
            return [new]
        new.body, new.orelse = self.block(node.body, loop, True), self.block(node.orelse, loop, True)
        return [new, *self._unless(self.jumps(node), rest, loop, flagged, node)]

    def _unless(
        self, kinds: Kinds, rest: list[ast.stmt], loop: _Loop | None, flagged: bool, node: ast.stmt
    ) -> list[ast.stmt]:
        """What follows a statement that may have jumped."""
        if not rest:
            return []
        flags = []
        if "return" in kinds and loop is None:
            self.uses_returned = True
            flags = [RETURNED]
        elif loop is not None and kinds & {"return", "break"}:
            loop.uses_break = True  # a return in a loop breaks it, too
            flags = [loop.broken]
        if loop is not None and "continue" in kinds:
            loop.uses_continue_flag = True
            flags.append(loop.continued)
        return [ast.copy_location(ast.If(_not_any(flags), self.block(rest, loop, flagged), []), node)]

    def _loop(self, node: ast.For | ast.While, outer: _Loop | None) -> list[ast.stmt]:
        self.count += 1
        loop = _Loop(self.count, outer)
        new = copy.copy(node)
        new.body = self.block(node.body, loop, False)
        new.orelse = []
        before: list[ast.stmt] = []
        if loop.uses_continue_flag:
            new.body = [ast.copy_location(_assign(loop.continued, False), node), *new.body]
        if loop.uses_break:
            before.append(ast.copy_location(_assign(loop.broken, False), node))
            if isinstance(new, ast.While):
                flag: ast.expr = _not_any([loop.broken])
                constant = isinstance(new.test, ast.Constant) and new.test.value
                new.test = flag if constant else ast.BoolOp(ast.And(), [flag, new.test])
            else:
                new.flag = loop.broken  # type: ignore[attr-defined]
        new.broken = loop.broken if loop.uses_break else None  # type: ignore[union-attr]
        return [*before, new]

    def _after_loop(
        self, node: ast.For | ast.While, lowered: ast.stmt, rest: list[ast.stmt], loop: _Loop | None, flagged: bool
    ) -> list[ast.stmt]:
        after = list(node.orelse)
        broken: str | None = lowered.broken  # type: ignore[attr-defined]
        if after and broken is not None:
            after = [ast.copy_location(ast.If(_not_any([broken]), after, []), node)]
        returns = self.jumps_of(node.body) & {"return"}
        if returns:
            return self._unless(returns, [*after, *rest], loop, flagged, node)
        return self.block([*after, *rest], loop, flagged)


def blocks_of(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of statements in a compound statement, none of a function or class that it defines."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    if isinstance(node, ast.If):
        arms, orelse = chain_of(node)
        return [*(arm.body for arm in arms), *([orelse] if orelse else [])]
    blocks = [getattr(node, name, None) for name in ("body", "orelse", "finalbody")]
    blocks += [handler.body for handler in getattr(node, "handlers", ())]
    return [block for block in blocks if isinstance(block, list) and block]


def chain_of(node: ast.If) -> tuple[list[ast.If], list[ast.stmt]]:
    """The arms of an if with its elifs, and the else of the last one."""
    arms = [node]
    while len(arms[-1].orelse) == 1 and isinstance(arms[-1].orelse[0], ast.If):
        arms.append(arms[-1].orelse[0])
    return arms, arms[-1].orelse


def surely_raises(body: list[ast.stmt]) -> ast.Raise | None:
    """The raise (one of them) that every path through a lowered block ends with, if it does."""
    last = body[-1] if body else None
    if isinstance(last, ast.Raise):
        return last
    if not isinstance(last, ast.If):
        return None
    arms, orelse = chain_of(last)
    ends = [surely_raises(block) for block in (*(arm.body for arm in arms), orelse)]
    return ends[-1] if all(ends) else None
