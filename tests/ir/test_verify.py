"""What breaks a rule of the IR is found, and the bad line is marked."""

import numpy as np
import pytest
from random_programs import random_arguments, random_program

from pullback.ir.errors import IRError
from pullback.ir.evaluate import evaluate
from pullback.ir.ops import arith, array, index, linalg, math, reduce
from pullback.ir.program import Check, Exit, For, If, Index, Let, Lit, Phi, Program, Slice, Var
from pullback.ir.text import parse
from pullback.ir.types import BOOL, F32, F64, I64, Type
from pullback.ir.verify import verify

X, W, N = Var("x", Type("f64", ("n",))), Var("w", F64), Var("n", I64)
HEAD = Let(N, array.dim, (X, 0))
ZERO, ONE = Lit("0", I64), Lit("1", I64)
TRUE = Lit("True", BOOL)


def program(*body, results=(), params=(X, W)):
    return Program("f", params, (HEAD, *body), results)


def let(name, type, op, *args):
    return Let(Var(name, type), op, args)


def loop(*body, phis=(), exits=(), name="i"):
    return For(Var(name, I64), ZERO, N, False, tuple(phis), body, tuple(exits))


Y = Var("y", F64)
SIN = let("y", F64, math.sin, W)
PHI = Phi(Var("s", F64), W, Y)

BAD = {
    "y is bound twice": program(SIN, SIN),
    "z is not bound here": program(let("y", F64, math.sin, Var("z", F64))),
    "y is bound, but not in scope": program(loop(SIN), results=(Y,)),
    "i is bound, but not in scope": program(loop(), results=(Var("i", I64),)),
    "s is bound, but not in scope": program(loop(SIN, phis=[PHI]), results=(PHI.var,)),
    "w is f64, used as f32": program(let("y", F32, math.sin, Var("w", F32))),
    "sin gives f64, declared is f32": program(let("y", F32, math.sin, W)),
    "sin: operands must be floats: i64": program(let("y", F64, math.sin, N)),
    "add: operands differ in dtype: f64, i64": program(let("y", F64, arith.add, W, N)),
    "add does not take 1 operands": program(let("y", F64, arith.add, W)),
    "matmul: no matrix product of f64.n. and f64": program(let("y", F64, linalg.matmul, X, W)),
    "copy gives f64.n., declared is f64.4, n.": program(let("y", Type("f64", (4, "n")), array.copy, X)),
    "zeros gives f64.3., declared is f64.4.": program(
        let("y", Type("f64", (4,)), array.zeros, (Lit("3", I64),), "f64")
    ),
    "the size m is no i64 in scope": program(let("y", Type("f64", ("m",)), array.copy, X)),
    "the size w is no i64 in scope": program(let("y", Type("f64", ("w",)), array.copy, X)),
    "the size -1 is negative": program(let("y", Type("f64", (-1,)), array.copy, X)),
    "the size n of parameter x is bound by no `dim` line": Program("f", (X,), (), ()),
    "f16 is not a dtype": Program("f", (Var("x", Type("f16")),), (), ()),
    "x_2 is not bound here": program(let("y", F64, arith.add, W, Var("x_2", F64))),
    "dim: f64.n. has no axis 1": program(let("m", I64, array.dim, X, 1)),
    "sum does not take such operands": program(let("y", F64, reduce.sum_, X, 0)),
    "'lambda' cannot be a name": program(let("lambda", F64, math.sin, W)),
    "'nan' cannot be a name": program(let("nan", F64, math.sin, W)),
    "is not a literal of type f64": program(let("y", F64, math.sin, Lit("spam", F64))),
    "a literal is a scalar": program(let("y", F64, math.sin, Lit("1.0", Type("f64", (2,))))),
    "is not a value": program(let("y", F64, math.sin, 1.0)),
    "takes a plain Python value": program(let("y", I64, array.dim, X, W)),
    "a check takes a bool, not a f64": program(Check(W, "ValueError: no")),
    "a check's message starts with": program(Check(TRUE, "no")),
    "an if takes a bool, not a i64": program(If(N, (), (), ())),
    "a range takes a i64, not a f64": program(For(Var("i", I64), ZERO, W, False, (), (), ())),
    "a loop index is an i64": program(For(Var("i", F64), ZERO, N, False, (), (), ())),
    "the second value of the phi is i64, it needs f64": program(
        loop(phis=[Phi(Var("s", F64), W, N)]),
    ),
    "the first value of the phi is f64.n., it needs f64": program(
        If(TRUE, (), (), (Phi(Var("s", F64), X, W),)),
    ),
    "x_1 is not bound here": program(If(TRUE, (), (), (Phi(Var("s", F64), Var("x_1", F64), W),))),
    "t is bound, but not in scope": program(
        If(TRUE, (let("t", F64, math.sin, W),), (), (Phi(Var("s", F64), W, Var("t", F64)),))
    ),
    "s is f64, its exit is declared i64": program(loop(SIN, phis=[PHI], exits=[Exit(N, PHI.var)])),
    "y is not a phi of this loop": program(loop(SIN, phis=[PHI], exits=[Exit(Var("e", F64), Y)])),
    "a subscript is an i64, not a f64": program(let("y", F64, index.getitem, X, Index((W,)))),
    "a subscript needs one item per axis": program(let("y", F64, index.getitem, X, Index((ZERO, ZERO)))),
    "a slice needs a step": program(
        let("y", Type("f64", (1,)), index.getitem, X, Index((Slice(ZERO, ONE, 0, 1),)))
    ),
    "a slice of 2 places, step 1, says it has 3 elements": program(
        let("y", Type("f64", (3,)), index.getitem, X, Index((Slice(ZERO, Lit("2", I64), 1, 3),)))
    ),
    "cannot store i64 in f64": program(let("y", X.type, index.at_set, X, Index((ZERO,)), N)),
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_bad_programs_are_refused(why):
    with pytest.raises(IRError, match=why) as info:
        verify(BAD[why])
    assert "def f(" in str(info.value) and "^^^^" in str(info.value)


def test_the_bad_line_is_marked():
    with pytest.raises(IRError) as info:
        verify(program(SIN, loop(let("z", I64, math.sin, W))))
    assert str(info.value).splitlines()[1:] == [
        "  def f(x: f64[n], w: f64) -> ():",
        "      n: i64 = dim(x, 0)",
        "      y: f64 = sin(w)",
        "      for i in range(n):",
        "          z: i64 = sin(w)",
        "          ^^^^^^^^^^^^^^^",
        "      return ()",
    ]


SIZES = {
    "equal affine forms": """
def f(x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    a: i64 = n - 1
    b: i64 = n - 2
    c: i64 = b + 1
    y: f64[a] = x[1:n]
    z: f64[c] = x[:c]
    w: f64[a] = y + z
    return x""",
    "a size that a phi carries": """
def f(x: f64[n]) -> f64[m]:
    n: i64 = dim(x, 0)
    for i in range(3):
        k: i64 = phi(n, k1)
        y: f64[k] = phi(x, y1)
        k1: i64 = k - 1
        y1: f64[k1] = y[1:k]
    m: i64 = last(k)
    y_end: f64[m] = last(y)
    return y_end""",
    "a size that an if decides": """
def f(x: f64[n], c: bool) -> f64[k]:
    n: i64 = dim(x, 0)
    if c:
        m: i64 = n - 1
        y: f64[m] = x[1:n]
    k: i64 = phi(m, n)
    z: f64[k] = phi(y, x)
    return z""",
    "sizes that a check makes equal": """
def f(x: f64[n], y: f64[m]) -> f64[n]:
    n: i64 = dim(x, 0)
    m: i64 = dim(y, 0)
    c: bool = n == m
    assert c, "guard: n == m"
    z: f64[n] = x + y
    return z""",
    "the size of an index array that a check makes equal": """
def f(x: f64[n], k: i64[m], v: f64[r]) -> f64[n]:
    n: i64 = dim(x, 0)
    m: i64 = dim(k, 0)
    r: i64 = dim(v, 0)
    c: bool = m == r
    assert c, "guard: m == r"
    y: f64[n] = x.at[k].add(v)
    return y""",
    "the size of an array is that of its type": """
def f(x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    y: f64[n] = sin(x)
    k: i64 = dim(y, 0)
    z: f64[k] = zeros((k,), f64)
    w: f64[n] = z + x
    return w""",
    "a parameter is a size": """
def f(k: i64, x: f64[k]) -> f64[k]:
    y: f64[k] = sin(x)
    return y""",
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_are_equal_are_accepted(name):
    text = parse(SIZES[name])
    assert verify(text) is text


@pytest.mark.parametrize(
    "name, line, wrong",
    [
        ("equal affine forms", "c: i64 = b + 1", "c: i64 = b + 2"),
        ("a size that a phi carries", "k1: i64 = k - 1", "k1: i64 = k - 2"),
        ("a size that an if decides", "k: i64 = phi(m, n)", "k: i64 = phi(n, n)"),
        ("sizes that a check makes equal", "c: bool = n == m", "c: bool = n <= m"),
        ("the size of an index array that a check makes equal", "c: bool = m == r", "c: bool = m <= r"),
        ("the size of an array is that of its type", "k: i64 = dim(y, 0)", "k: i64 = n + 1"),
    ],
)
def test_sizes_that_differ_are_refused(name, line, wrong):
    assert line in SIZES[name]
    with pytest.raises(IRError):
        verify(parse(SIZES[name].replace(line, wrong)))


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_pass_and_run(seed):
    rng = np.random.default_rng(seed)
    evaluate(verify(random_program(rng)), *random_arguments(rng))
