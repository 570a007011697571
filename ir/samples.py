"""Small programs of one operation each, made from the samples that primitives declare: for checks of their rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import numpy as np

from . import ops as _ops  # noqa: F401  (fills the registry)
from .build import Builder, literal
from .primitive import Primitive
from .program import Let, Program, Var
from .text import parse
from .types import Type


def programs(op: Primitive) -> Iterator[Program]:
    """A program `f(operands) = op(operands)` for each sample of an operation."""
    for sample in op.samples:
        yield sample_program(op, sample)[0]
    for params, type, operation, *before in op.programs:
        lines = [*before, f"y: {type} = {operation}", "return y"]
        yield parse("\n    ".join([f"def f({params}) -> {type}:", *lines]))


def sample_program(op: Primitive, sample: str) -> tuple[Program, tuple[tuple[int, int], ...]]:
    """The program of one sample, and per parameter the range of its integers."""
    builder = Builder()
    params: list[Var] = []
    ranges: list[tuple[int, int]] = []

    def value(node: ast.expr, k: int):
        match node:
            case ast.Tuple(elts=items):
                return tuple(value(item, k) for item in items)
            case ast.Constant(value=number):
                return number if k in op.static else literal(number, "f64" if isinstance(number, float) else "i64")
            case ast.UnaryOp():
                return ast.literal_eval(node)
            case ast.Name(id=dtype) if k in op.static:
                return dtype
            case ast.Name() | ast.Subscript():
                name, dims, integers = _typed(node)
                params.append(builder.var("abcdefgh"[len(params)], Type(name, dims)))
                ranges.append(integers)
                return params[-1]
        raise ValueError(f"sample {sample!r} of {op.name}: {ast.unparse(node)}")

    items = ast.parse(f"({sample},)", mode="eval").body
    assert isinstance(items, ast.Tuple)
    operands = tuple(value(item, k) for k, item in enumerate(items.elts))
    var = builder.var("y", builder.result_type(op, operands))
    program = Program("f", tuple(params), (Let(var, op, operands),), (var,))
    return program, tuple(ranges)


def _typed(node: ast.expr) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    """dtype, sizes and range of `f64[4, 3]` or `i64[0:4]` (a scalar from 0 to 3)."""
    if isinstance(node, ast.Name):
        return node.id, (), (-3, 4)
    assert isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
    if isinstance(node.slice, ast.Slice):
        low, high = (ast.literal_eval(end) for end in (node.slice.lower, node.slice.upper))  # type: ignore[arg-type]
        return node.value.id, (), (low, high)
    dims = ast.literal_eval(node.slice)
    return node.value.id, dims if isinstance(dims, tuple) else (dims,), (-3, 4)


def inputs(program: Program, op: Primitive, rng: np.random.Generator, ranges=None) -> list:
    """Random arguments in the domain of an operation; integers are subscripts where no range is given."""
    ranges = ranges or ((0, 2),) * len(program.params)
    return [_value(p.type, op.domain, r, rng) for p, r in zip(program.params, ranges)]


def _value(type: Type, domain: tuple[float, float], integers: tuple[int, int], rng: np.random.Generator):
    dims = tuple(5 if isinstance(d, str) else d for d in type.dims)
    match type.dtype:
        case "bool":
            return rng.random(dims) < 0.5
        case "i64":
            return rng.integers(*integers, size=dims)
    return rng.uniform(*domain, size=dims).astype(type.numpy)
