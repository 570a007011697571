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
from .types import NUMPY_DTYPES, Type

# Operations whose operands have no short notation, as parameters, type and operation.
TEXTS = {
    "empty": [("", "f64[3]", "empty((3,), f64)")],
    "getitem": [
        ("x: f64[4], i: i64", "f64", "x[i]"),
        ("x: f64[4, 3], i: i64", "f64[3]", "x[i, :]"),
        ("x: f64[5, 3]", "f64[2, 3]", "x[1:4:2, :]"),
        ("x: f64[5]", "f64[5]", "x[4::-1]"),
        ("x: f64[5]", "f64[2]", "x[3:0:-2]"),
        ("x: f64[5]", "f64[5, 1]", "x[:, None]"),
        ("x: f64[4], k: i64[3]", "f64[3]", "x[k]"),
        ("x: f64[4, 3], k: i64[2, 1], j: i64[3]", "f64[2, 3]", "x[k, j]"),
        ("x: f64[4, 3, 2], k: i64[5], i: i64", "f64[5, 3]", "x[k, :, i]"),
        ("x: f64[3, 4], k: i64[5], i: i64", "f64[2, 5]", "x[1:3, k]"),
    ],
    "at_set": [
        ("x: f64[4], i: i64, v: f64", "f64[4]", "x.at[i].set(v)"),
        ("x: f64[5], v: f64[2]", "f64[5]", "x.at[1:3].set(v)"),
        ("x: f64[5], v: f64", "f64[5]", "x.at[4:1:-1].set(v)"),
        ("x: f64[4, 3], i: i64, v: f64[3]", "f64[4, 3]", "x.at[i, :].set(v)"),
        ("x: f64[4], k: i64[6], v: f64[6]", "f64[4]", "x.at[k].set(v)"),
        ("x: f64[4], k: i64[6], v: f64", "f64[4]", "x.at[k].set(v)"),
    ],
    "at_add": [
        ("x: f64[4], i: i64, v: f64", "f64[4]", "x.at[i].add(v)"),
        ("x: f64[5], v: f64[2]", "f64[5]", "x.at[1:4:2].add(v)"),
        ("x: f64[4, 3], v: f64", "f64[4, 3]", "x.at[:, 1:3].add(v)"),
        ("x: f64[4], k: i64[6], v: f64[6]", "f64[4]", "x.at[k].add(v)"),
    ],
    "set_matmul": [
        ("x: f64[4, 2], a: f64[4, 3], b: f64[3, 2]", "f64[4, 2]", "x.at[:, :].set_matmul(1.0, a, b)"),
        ("x: f64[3, 6, 4], i: i64, a: f64[3, 2], b: f64[2, 2], c: f64", "f64[3, 6, 4]",
         "x.at[i, 1:6:2, 1:3].set_matmul(c, a, b)"),
    ],
    "add_matmul": [
        ("x: f64[4, 2], a: f64[4, 3], b: f64[3, 2], c: f64", "f64[4, 2]", "x.at[:, :].add_matmul(c, a, b)"),
        ("x: f64[5, 4], a: f64[3, 2], b: f64[2, 2]", "f64[5, 4]", "x.at[2:5, 1:3].add_matmul(-1.0, a, b)"),
    ],
}


def programs(op: Primitive) -> Iterator[Program]:
    """A program `f(operands) = op(operands)` for each sample of an operation."""
    for sample in op.samples:
        yield sample_program(op, sample)[0]
    for params, type, operation in TEXTS.get(op.name, ()):
        yield parse(f"def f({params}) -> {type}:\n    y: {type} = {operation}\n    return y")


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
                return number if k in op.static else literal(number, "i64")
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
    return rng.uniform(*domain, size=dims).astype(NUMPY_DTYPES[type.dtype])
