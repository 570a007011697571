"""Renaming, substituting and inlining, and what names a region uses."""

import numpy as np
import pytest
from random_programs import random_arguments, random_program, same_values

from pullback.ir.build import Builder, literal
from pullback.ir.errors import IRError
from pullback.ir.evaluate import evaluate
from pullback.ir.program import Program, Var
from pullback.ir.text import parse, show
from pullback.ir.types import F64, Type
from pullback.ir.verify import verify
from pullback.ir.walk import bound, free, inline, rename, substitute, walk

LOOP = """\
def f(x: f64[n], w: f64) -> f64[k]:
    n: i64 = dim(x, 0)
    k: i64 = n - 1
    y0: f64[k] = x[1:n]
    for i in range(k):
        y: f64[k] = phi(y0, y1)
        a: f64 = y[i]
        b: f64 = a * w
        y1: f64[k] = y.at[i].set(b)
    y_end: f64[k] = last(y)
    return y_end"""


def test_names_used_and_bound():
    body = parse(LOOP).body
    assert free(body) == {"x", "w"}
    assert free(body[3:]) == {"k", "y0", "w"}
    assert {v.name for v in bound(body)} == {"n", "k", "y0", "i", "y", "a", "b", "y1", "y_end"}
    assert sum(1 for _ in walk(body)) == 7


def test_sizes_are_uses():
    body = parse(
        "def f(x: f64[n]) -> ():\n    n: i64 = dim(x, 0)\n    y: f64[n] = sin(x)\n    return ()"
    ).body
    assert free(body[1:]) == {"x", "n"}


def test_rename_reaches_sizes_phis_and_exits():
    program = parse(LOOP)
    names = {"k": "size", "y": "part", "y_end": "result"}
    body = rename(program.body, names)
    result = Var("result", Type("f64", ("size",)))
    renamed = verify(Program("f", program.params, body, (result,)))
    expected = LOOP.replace("y_end", "result").replace("k]", "size]").replace("k:", "size:")
    expected = expected.replace("range(k)", "range(size)").replace("y:", "part:").replace("y[i]", "part[i]")
    expected = expected.replace("y.at", "part.at").replace("last(y)", "last(part)")
    assert show(renamed) == expected


def test_substitute_makes_sizes_numbers():
    body = parse(LOOP).body
    new = substitute(body[2:], {"k": literal(3, "i64"), "n": literal(4, "i64"), "w": literal(2.0, "f64")})
    x = Var("x", Type("f64", (4,)))
    new = substitute(new, {"x": x})
    program = verify(Program("f", (x,), new, (Var("y_end", Type("f64", (3,))),)))
    np.testing.assert_array_equal(evaluate(program, np.arange(4.0))[0], [2.0, 4.0, 6.0])
    assert "k" not in show(program)


def test_inline_takes_the_sizes_of_its_arguments():
    builder = Builder()
    x = builder.var("x", Type("f64", ("m", 5)))
    builder.emit("dim", x, 0, hint="m")
    column = builder.emit("sum", x, (1,), hint="column")
    twice = [inline(builder, parse(LOOP), (column, literal(w, "f64")))[0] for w in (2.0, 3.0)]
    total = builder.emit("add", *twice)
    program = verify(builder.program("g", (x,), (total,)))
    assert show(program).count("dim(") == 1 and show(program).count(" - 1") == 1, show(program)
    assert {n for n in ("i", "i_1", "y", "y_2") if f" {n}" in show(program)} >= {"i", "i_1", "y"}
    np.testing.assert_array_equal(evaluate(program, np.ones((3, 5)))[0], [25.0, 25.0])


def test_inline_refuses_what_does_not_fit():
    builder = Builder()
    with pytest.raises(IRError, match="takes 2 values"):
        inline(builder, parse(LOOP), (literal(1.0, "f64"),))
    with pytest.raises(IRError, match="parameter x is f64.n., not f64"):
        inline(builder, parse(LOOP), (literal(1.0, "f64"), literal(1.0, "f64")))


@pytest.mark.parametrize("seed", range(40))
def test_an_inlined_program_computes_the_same(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    builder = Builder()
    params = tuple(builder.var(p.name, p.type) for p in program.params)
    builder.emit("dim", params[0], 0, hint="n")
    extra = builder.var("extra", F64)
    inline(builder, program, params)
    results = inline(builder, program, params)
    twice = verify(builder.program("g", (*params, extra), results))
    args = random_arguments(rng)
    assert same_values(evaluate(twice, *args, 0.0), evaluate(program, *args))
