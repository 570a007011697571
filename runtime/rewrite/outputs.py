"""Results that NumPy allocates: the compiled function fills arrays instead of making them.

For numba to hand an array it made to Python takes longer than a gradient of a few numbers; NumPy's own `empty` takes a
tenth of a microsecond. So before a generated function is made machine code, the allocations of its results leave it:
they become parameters, and a few lines of Python allocate them. Allocations whose sizes are not known on entry stay.
A result that is a copy is allocated in the same way, and the function copies into it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

COPIES = "pullback.copies"
"""What the function calls the module `copies`."""

OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv)


@dataclass(frozen=True)
class Outputs:
    """How a function and its allocations are told apart.

    name      the function's
    arrays    the results that NumPy allocates, as the function calls them
    head      lines of Python that allocate them
    results   all results, as `wrapper` sees them
    params    the function's own
    copies    those of the arrays that the function copies into
    """

    name: str
    arrays: tuple[str, ...]
    head: tuple[str, ...]
    results: tuple[str, ...]
    params: tuple[str, ...]
    copies: frozenset[str] = frozenset()

    @property
    def NAME(self) -> str:  # noqa: N802  (as the modules that swap have it)
        return f"pullback.outputs {' '.join(self.arrays)}"

    def swapped(self, tree: ast.Module) -> ast.Module:
        """The source's tree with the arrays as further parameters, on the same lines."""
        function = _function(tree, self.name)
        function.args.args += [ast.arg(name) for name in self.arrays]
        function.body = [self._filled(s) for s in function.body if not (_assigned(s) in self.arrays and _allocation(s))]
        last = function.body[-1]
        assert isinstance(last, ast.Return) and isinstance(last.value, ast.Tuple)
        last.value.elts = [e for e in last.value.elts if not (isinstance(e, ast.Name) and e.id in self.arrays)]
        if not last.value.elts:
            last.value = None
        return ast.fix_missing_locations(tree)

    def _filled(self, statement: ast.stmt) -> ast.stmt:
        if _assigned(statement) not in self.copies:
            return statement
        match statement:
            case ast.Assign([target], ast.Call(ast.Attribute(source, "copy"))):
                into = ast.Attribute(ast.Name(COPIES, ast.Load()), "into", ast.Load())
                there = ast.Name(target.id, ast.Load())  # type: ignore[attr-defined]
                return ast.copy_location(ast.Expr(ast.Call(into, [there, source], [])), statement)
        raise AssertionError(ast.unparse(statement))

    def wrapper(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        """What is called in the place of the function: allocates, runs the function, gives all results."""
        lines = [*self.lines("kernel", self.results), f"return ({', '.join(self.results)},)"]
        call = self._define(lines, kernel=kernel)
        call.kernel, call.outputs = kernel, self  # type: ignore[attr-defined]
        return call

    def lines(self, kernel: str, results: Sequence[str]) -> list[str]:
        """Lines that allocate, call the kernel, and bind all results."""
        given = [to for to, r in zip(results, self.results) if r not in self.arrays]
        targets = "".join(f"{r}, " for r in given) + ("= " if given else "")
        lines = [*self.head, f"{targets}{kernel}({', '.join((*self.params, *self.arrays))})"]
        return lines + [f"{to} = {r}" for to, r in zip(results, self.results) if r in self.arrays and to != r]

    def renamed(self, params: Sequence[str]) -> Outputs:
        """For a function with other names, that has these parameters."""
        names = {"np": "np", "max": "max", **dict(zip(self.params, params))}

        def new(text: str) -> str:
            return re.sub(r"(?<![.\w])[^\W\d]\w*", lambda m: names.get(m[0], f"{m[0]}_of"), text)

        head, arrays, results = (tuple(map(new, t)) for t in (self.head, self.arrays, self.results))
        return Outputs(self.name, arrays, head, results, tuple(params), frozenset(map(new, self.copies)))

    def allocated(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arrays, for these arguments."""
        return self._define([*self.head, f"return ({', '.join(self.arrays)},)"])(*args)

    def _define(self, lines: list[str], **names: Any) -> Callable[..., Any]:
        scope = {"np": np, **names}
        exec(f"def {self.name}({', '.join(self.params)}):\n    " + "\n    ".join(lines), scope)
        return scope[self.name]


def outputs(source: str, name: str) -> Outputs | None:
    """How the results of a generated function can be allocated outside; None if none of them can.

    >>> found = outputs('''
    ... def f(x, y):
    ...     n = x.shape[0]
    ...     m = n + 1
    ...     s = y * 2.0
    ...     a = np.empty((n, m))
    ...     a[0, 0] = s
    ...     return (a, s)
    ... ''', "f")
    >>> found.arrays, found.head, found.results
    (('a',), ('n = x.shape[0]', 'm = n + 1', 'a = np.empty((n, m))'), ('a', '_1'))
    """
    tree = ast.parse(source)
    function = _function(tree, name)
    last = function.body[-1]
    if not isinstance(last, ast.Return) or not isinstance(last.value, ast.Tuple):
        return None
    params = tuple(a.arg for a in function.args.args)
    stores = Counter(n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    fixed = {p for p in params if not stores[p]}
    returned = [e.id if isinstance(e, ast.Name) else "" for e in last.value.elts]
    sizes: dict[str, ast.Assign] = {}
    made: dict[str, ast.Assign] = {}
    copies: set[str] = set()
    raised = False
    for statement in function.body:
        target = _assigned(statement)
        if target is not None and stores[target] == 1 and isinstance(statement, ast.Assign):
            if _is_size(statement.value, {*fixed, *sizes}):
                sizes[target] = statement
            elif returned.count(target) == 1 and _allocation(statement):
                # Behind a check only what is a size already: another one may be negative where the check fails.
                names = set(_names(statement.value)) - {"np"}
                known = {n for n in sizes if not raised or _is_shape(sizes[n].value)}
                computed = any(isinstance(n, ast.BinOp) for n in ast.walk(statement))
                if names <= known | fixed and not (raised and computed):
                    made[target] = statement
            elif returned.count(target) == 1 and _copied(statement) in {*fixed, *made}:
                made[target] = statement
                copies.add(target)
        raised = raised or any(isinstance(n, ast.Raise) for n in ast.walk(statement))
    if not made:
        return None
    needed = {n for s in made.values() for n in _names(s.value)}
    head = []
    for size in reversed(sizes):
        if size in needed:
            needed |= set(_names(sizes[size].value))
            head.append(_plain(sizes[size]))
    head = [*reversed(head), *map(_plain, made.values())]
    results = tuple(r if r in made else f"_{k}" for k, r in enumerate(returned))
    return Outputs(name, tuple(made), tuple(head), results, params, frozenset(copies))


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    return next(s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == name)


def _assigned(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign([ast.Name(name)]):
            return name
    return None


def _allocation(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(_, ast.Call(ast.Attribute(ast.Name("np"), "empty" | "zeros"), [shape, *dtype])):
            sizes = shape.elts if isinstance(shape, ast.Tuple) else [shape]
            known = all(isinstance(d, ast.Attribute) for d in dtype)
            return known and all(_is_size(s, None) for s in sizes)
    return False


def _copied(statement: ast.stmt) -> str | None:
    match statement:
        case ast.Assign(_, ast.Call(ast.Attribute(ast.Name(name), "copy"), [], [])):
            return name
    return None


def _is_size(value: ast.expr, known: set[str] | None) -> bool:
    """Is it integer arithmetic of sizes and known names (None: of any)?"""
    match value:
        case ast.Name(name):
            return known is None or name in known
        case ast.Constant(number):
            return type(number) is int
        case ast.BinOp(left, operator, right):
            return isinstance(operator, OPERATORS) and _is_size(left, known) and _is_size(right, known)
        case ast.Call(ast.Attribute(ast.Name("np"), "maximum"), [left, right]):
            return _is_size(left, known) and _is_size(right, known)
    return _is_shape(value, known)


def _is_shape(value: ast.expr, known: set[str] | None = None) -> bool:
    match value:
        case ast.Subscript(ast.Attribute(ast.Name(array), "shape"), ast.Constant()):
            return known is None or array in known
    return False


def _names(value: ast.expr) -> Iterator[str]:
    return (n.id for n in ast.walk(value) if isinstance(n, ast.Name))


def _plain(statement: ast.Assign) -> str:
    """As Python runs it fast: `max` of integers is Python's."""
    copied = _copied(statement)
    if copied is not None:
        return f"{_assigned(statement)} = np.empty_like({copied})"
    return ast.unparse(statement).replace("np.maximum(", "max(")
