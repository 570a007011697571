"""`match` as if and elif: the patterns become tests, in which what they capture is bound."""

from __future__ import annotations

import ast
import copy
from typing import Any

SUBJECT = "_subject{}_"


def expand_matches(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements with each match, however deep, as a chain of ifs; nested functions are left as they are."""
    return _Expand().block(body)


class _Expand(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0

    def block(self, body: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in body:
            new: Any = self.visit(statement)
            result += new if isinstance(new, list) else [new]
        return result

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.stmt:
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        return node

    def visit_Match(self, node: ast.Match) -> list[ast.stmt]:
        self.count += 1
        name = SUBJECT.format(self.count)
        subject = ast.Assign([ast.Name(name, ast.Store())], node.subject)
        chain: list[ast.stmt] = []
        for case in reversed(node.cases):
            tests = [*_tests(case.pattern, ast.Name(name, ast.Load())), *([case.guard] if case.guard else [])]
            chain = [ast.copy_location(ast.If(_all(tests), self.block(case.body), chain), case.pattern)]
        result = [ast.copy_location(subject, node), *chain]
        for statement in result:
            ast.fix_missing_locations(statement)
        return result


def _asks(question: str, *args: ast.expr) -> ast.Call:
    """A call of `Control`: staging knows it by its mark."""
    call = ast.Call(ast.Constant(None), list(args), [])
    call.question = question  # type: ignore[attr-defined]
    return call


def _tests(pattern: ast.pattern, value: ast.expr) -> list[ast.expr]:
    """What must be true of the value, in order; nothing for a pattern that fits all."""
    value = copy.deepcopy(value)
    match pattern:
        case ast.MatchValue(wanted):
            return [ast.Compare(value, [ast.Eq()], [wanted])]
        case ast.MatchSingleton(wanted):
            return [_asks("is_constant", value, ast.Constant(wanted))]
        case ast.MatchAs(inner, name):
            tests = [] if inner is None else _tests(inner, value)
            return tests if name is None else [*tests, _captured(name, value)]
        case ast.MatchOr(patterns):
            found = [_all(_tests(one, value)) for one in patterns]
            return [ast.BoolOp(ast.Or(), found)]
        case ast.MatchSequence(patterns):
            return _sequence(patterns, value)
        case ast.MatchMapping(keys, patterns, rest):
            tests = [_asks("has_keys", value, *keys)]
            for key, inner in zip(keys, patterns):
                tests += _tests(inner, ast.Subscript(value, key, ast.Load()))
            return tests if rest is None else [*tests, _captured(rest, _asks("without_keys", value, *keys))]
        case ast.MatchClass(kind, patterns, names, named):
            tests = [_asks("is_instance", value, kind)]
            for k, inner in enumerate(patterns):
                tests += _tests(inner, _asks("positional", value, kind, ast.Constant(k)))
            for name, inner in zip(names, named):
                tests.append(_asks("has_attribute", value, ast.Constant(name)))
                tests += _tests(inner, ast.Attribute(value, name, ast.Load()))
            return tests
    raise AssertionError(pattern)


def _all(tests: list[ast.expr]) -> ast.expr:
    return ast.Constant(True) if not tests else tests[0] if len(tests) == 1 else ast.BoolOp(ast.And(), tests)


def _captured(name: str, value: ast.expr) -> ast.expr:
    return _asks("captured", ast.NamedExpr(ast.Name(name, ast.Store()), value))


def _sequence(patterns: list[ast.pattern], value: ast.expr) -> list[ast.expr]:
    star = next((k for k, one in enumerate(patterns) if isinstance(one, ast.MatchStar)), None)
    least = len(patterns) - (star is not None)
    tests: list[ast.expr] = [_asks("is_sequence", value, ast.Constant(least), ast.Constant(star is not None))]
    for k, inner in enumerate(patterns):
        if isinstance(inner, ast.MatchStar):
            last = k - least
            if inner.name is not None:
                stop = ast.Constant(last) if last else ast.Constant(None)
                tests.append(_captured(inner.name, _asks("listed", value, ast.Constant(k), stop)))
            continue
        at = k if star is None or k < star else k - len(patterns)
        tests += _tests(inner, ast.Subscript(value, ast.Constant(at), ast.Load()))
    return tests
