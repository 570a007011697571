"""Which local names a function may still read: only those are carried through loops and joined after ifs."""

from __future__ import annotations

import ast

Names = frozenset[str]


def stored_names(nodes: list[ast.stmt]) -> set[str]:
    """Local names that the statements bind, nested functions and comprehensions left out."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
            return
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            found.add(node.id)
        if isinstance(node, ast.NamedExpr):
            found.add(node.target.id)
        if isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        if isinstance(node, ast.comprehension):
            for part in (node.iter, *node.ifs):
                visit(part)
            return
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((a.asname or a.name).split(".")[0] for a in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    for node in nodes:
        visit(node)
    return found


def read_names(node: ast.AST) -> set[str]:
    """Names that an expression or statement reads, those in nested functions included."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def escaping_names(body: list[ast.stmt]) -> set[str]:
    """Names that nested functions and lambdas read: they may do so at any time, so they are always live."""
    found: set[str] = set()
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                found |= read_names(node)
    return found


class Liveness:
    """For each loop and if of a function body: the names live after it, and at a loop's head."""

    def __init__(self, body: list[ast.stmt]):
        self.after: dict[ast.stmt, Names] = {}
        self.head: dict[ast.stmt, Names] = {}
        self.always = frozenset(escaping_names(body))
        self._block(body, self.always, self.always, self.always)

    def _block(self, body: list[ast.stmt], out: Names, on_break: Names, on_continue: Names) -> Names:
        for statement in reversed(body):
            out = self._statement(statement, out, on_break, on_continue) | self.always
        return out

    def _statement(self, node: ast.stmt, out: Names, on_break: Names, on_continue: Names) -> Names:
        match node:
            case ast.If():
                self.after[node] = self.after.get(node, frozenset()) | out
                then = self._block(node.body, out, on_break, on_continue)
                orelse = self._block(node.orelse, out, on_break, on_continue)
                return then | orelse | read_names(node.test)
            case ast.For() | ast.While():
                return self._loop(node, out, on_break, on_continue)
            case ast.Try():
                return self._try(node, out, on_break, on_continue)
            case ast.With():
                body = self._block(node.body, out, on_break, on_continue)
                items = [i.optional_vars for i in node.items if i.optional_vars is not None]
                killed = stored_names([ast.Expr(target) for target in items])
                return (body - killed).union(*(read_names(item) for item in node.items))
            case ast.Return() | ast.Raise():
                return frozenset(read_names(node))
            case ast.Break():
                return on_break
            case ast.Continue():
                return on_continue
            case ast.Assign() | ast.AnnAssign() | ast.FunctionDef() | ast.Import() | ast.ImportFrom():
                return (out - self._killed(node)) | read_names(node)
            case ast.AugAssign():
                reads = read_names(node.value) | read_names(node.target)
                if isinstance(node.target, ast.Name):
                    reads.add(node.target.id)
                return out | reads
        return out | read_names(node)

    def _try(self, node: ast.Try, out: Names, on_break: Names, on_continue: Names) -> Names:
        """What the handlers read is live all through the body, as each of its statements may be the one that raises."""
        out = self._block(node.finalbody, out, on_break, on_continue)
        self.after[node] = self.after.get(node, frozenset()) | out
        handled: Names = frozenset()
        for handler in node.handlers:
            handled |= self._block(handler.body, out, on_break, on_continue) - {handler.name}
            handled |= read_names(handler.type) if handler.type is not None else set()
        orelse = self._block(node.orelse, out, on_break, on_continue)
        always, self.always = self.always, self.always | handled | out
        body = self._block(node.body, orelse | self.always, on_break, on_continue)
        self.always = always
        return body | handled

    def _killed(self, node: ast.stmt) -> set[str]:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            return set()
        return stored_names([node]) - {n.target.id for n in ast.walk(node) if isinstance(n, ast.NamedExpr)}

    def _loop(self, node: ast.For | ast.While, out: Names, on_break: Names, on_continue: Names) -> Names:
        self.after[node] = self.after.get(node, frozenset()) | out
        tail = self._block(node.orelse, out, on_break, on_continue)
        if isinstance(node, ast.For):
            target = stored_names([ast.Expr(node.target)])
            target |= {
                n.id
                for n in ast.walk(node.target)
                if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
            reads = read_names(node.target) | ({node.flag} if getattr(node, "flag", None) else set())  # type: ignore[attr-defined]
        else:
            target, reads = set(), read_names(node.test)
        head = tail | reads
        while True:
            body = self._block(node.body, head, out, head)
            new = head | (body - target)
            if new == head:
                break
            head = new
        self.head[node] = self.head.get(node, frozenset()) | head
        return head | (read_names(node.iter) if isinstance(node, ast.For) else set())
