"""The printed form: what it looks like, and that it is read back as it was."""

import sys
import textwrap

import numpy as np
import pytest
from random_programs import random_program

from pullback.ir.errors import IRError
from pullback.ir.ops import arith, array, index
from pullback.ir.primitive import Primitive, nondifferentiable
from pullback.ir.program import Index, Let, Lit, Program, Slice, Span, Var
from pullback.ir.text import parse, show
from pullback.ir.types import BOOL, F32, F64, I64, Type

TEXTS = {
    "loop": """
        def f(x: f64[n], w: f64) -> f64:
            n: i64 = dim(x, 0)
            for i in range(n):
                s: f64 = phi(1.0, s1)
                a: f64 = x[i]
                b: f64 = s * w
                c: f64 = sin(b)
                s1: f64 = c + a
            s_end: f64 = last(s)
            return s_end""",
    "backwards from 1": """
        def f(n: i64) -> ():
            for i in reversed(range(1, n)):
                pass
            return ()""",
    "if": """
        def f(x: f64, w: f64) -> f64:
            c: bool = x > 0.0
            if c:
                t: f64 = x * w
            else:
                u: f64 = exp(x)
            y: f64 = phi(t, u)
            return y""",
    "two ifs": """
        def f(c: bool) -> (f64, f64):
            if c:
                pass
            x: f64 = phi(1.0, 2.0)
            if c:
                pass
            y: f64 = phi(-1.0, nan)
            return x, y""",
    "while": """
        def f(x: f64) -> f64:
            while True:
                y: f64 = phi(x, y1)
                c: bool = y > 1.0
                if not c: break
                y1: f64 = sqrt(y)
            y_end: f64 = last(y)
            return y_end""",
    "if in the test of a while": """
        def f(x: f64, d: bool) -> f64:
            while True:
                y: f64 = phi(x, y1)
                if d:
                    a: bool = y > 1.0
                c: bool = phi(a, False)
                if not c: break
                y1: f64 = sqrt(y)
            y_end: f64 = last(y)
            return y_end""",
    "sizes that loops change": """
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
    "checks": """
        def f(n: i64) -> i64:
            c: bool = n >= 4
            assert c, "guard: n >= 4"
            assert True, "ValueError: a \\"quoted\\" word, a \\\\ and\\na line"
            return n""",
    "negative literals": """
        def f(x: f64) -> f64:
            a: f64 = (-1.0) * x
            b: f64 = x ** (-2.0)
            c: f64 = maximum(-inf, b)
            d: f64 = -(-1.0)
            e: f64 = -d
            f_1: f64 = (-inf) + e
            g: f64 = x - 1e-05
            return -0.0""",
    "slices": """
        def f(x: f64[n, 3], m: i64) -> f64:
            n: i64 = dim(x, 0)
            k: i64 = n - 1
            a: f64[n] = x[:, 0]
            b: f64[k] = a[1:n]
            c: f64[n] = a[k::-1]
            d: f64[m] = a[:n:2]
            e: f64[n, 3] = x.at[1:n, :].set(0.0)
            f_1: f64[n, 3] = e.at[k:0:-1, 2].add(1.0)
            g: f64[n, 3] = f_1.at[:m, 1:3].set(-1.0)
            h: f64[n, 3] = g.at[1:m:size(k, step=2), 0].set(0.0)
            i: f64[1, n] = a[None, :]
            return 0.0""",
    "index arrays": """
        def f(x: f64[n, m], k: i64[3]) -> f64[3, m]:
            n: i64 = dim(x, 0)
            m: i64 = dim(x, 1)
            y: f64[3, m] = x[k, :]
            z: f64[3, 1, m] = x[k, None, :]
            return y""",
    "shapes": """
        def f(n: i64) -> f64[n, 2]:
            a: f64[n] = zeros((n,), f64)
            b: f64[5] = concatenate((a, a), axis=0, size=5)
            c: f64[n, 2] = broadcast_to(1.0, (n, 2))
            d: f64 = sum(c, axis=(0, 1))
            e: f64 = reshape(a, ())
            return c""",
    "types of literals": """
        def f(x: f32, n: i64, c: bool) -> (f32, f32, bool, i64):
            a: f32 = x * 2.0
            b: f32 = where(c, x, 0.0)
            d: f64 = f64(x)
            e: f32 = f32(0.1)
            g: bool = c | True
            h: f64 = 1.0 + 2.0
            i: i64 = n * (-3)
            return b, 0.5, True, -1""",
    "no parameters": """
        def f() -> f64:
            return 1.0""",
}


@pytest.mark.parametrize("name", TEXTS)
def test_examples_print_as_they_were_written(name):
    text = textwrap.dedent(TEXTS[name]).strip()
    program = parse(text)
    assert show(program) == str(program) == text
    assert parse(show(program)) == program


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_are_read_back(seed):
    program = random_program(np.random.default_rng(seed))
    assert parse(show(program)) == program


def test_comments_and_blank_lines_do_not_matter():
    program = parse(
        "def f(x: f64) -> f64:\n    # forward\n\n    y: f64 = sin(x)  # y = np.sin(x)\n    return y"
    )
    assert show(program) == "def f(x: f64) -> f64:\n    y: f64 = sin(x)\n    return y"


def test_spans_are_comments_in_one_column():
    x, t, y = (Var(name, F64) for name in ("x", "t", "y"))
    first = Span("f.py", 2, "    y = np.sin(x) * x")
    second = Span("f.py", 3, "    return y")
    sin = parse("def f(x: f64) -> f64:\n    t: f64 = sin(x)\n    return t").body[0].op
    body = (Let(t, sin, (x,), first), Let(y, arith.mul, (t, x), first))
    program = Program("f", (x,), (*body, Let(Var("z", F64), arith.neg, (y,), second)), (y,))
    shown = show(program, spans=True)
    assert shown == textwrap.dedent("""\
        def f(x: f64) -> f64:
            t: f64 = sin(x)  # y = np.sin(x) * x
            y: f64 = t * x
            z: f64 = -y      # return y
            return y""")
    assert parse(shown) == program


def test_hidden_inputs_are_marked():
    program = Program("f", (Var("x", F64), Var("W", Type("f64", (3,)))), (), (Var("x", F64),), ("", "global"))
    assert show(program) == textwrap.dedent("""\
        def f(
            x: f64,
            W: f64[3],  # global
        ) -> f64:
            return x""")
    assert parse(show(program)) == program


def test_long_signatures_are_broken():
    params = tuple(Var(f"parameter_{k}", Type("f64", (3, 4))) for k in range(6))
    program = Program("f", params, (), params[:1])
    assert max(map(len, show(program).splitlines())) < 100
    assert parse(show(program)) == program


X, V = Var("x", Type("f64", ("n",))), Var("v", Type("f64", ("m",)))
ZERO, ONE, N = Lit("0", I64), Lit("1", I64), Var("n", I64)

ODD = {
    "a literal of another dtype than its place": Let(
        Var("y", F64), arith.mul, (Lit("1.0", F32), Lit("2.0", F64))
    ),
    "an integer literal as a float": Let(Var("y", F64), arith.neg, (Lit("1", F64),)),
    "a float where nothing gives its type": Let(Var("y", BOOL), arith.lt, (Lit("1.0", F32), Lit("nan", F32))),
    "a size that the slice does not give": Let(
        Var("y", X.type), index.at_set, (X, Index((Slice(ONE, N, 2, "k"),)), Lit("0.0", F64))
    ),
    "a size that is not the value's": Let(
        Var("y", X.type), index.at_set, (X, Index((Slice(ZERO, N, 1, "k"),)), V)
    ),
    "a slice of the whole that is not the whole": Let(
        Var("y", Type("f64", ("k",))), index.getitem, (X, Index((Slice(ZERO, N, 1, "k"),)))
    ),
    "forwards without a stop": Let(
        Var("y", Type("f64", (2,))), index.getitem, (X, Index((Slice(ONE, None, 1, 2),)))
    ),
    "a static word that is a keyword": Let(
        Var("y", Type("f64", (2,))), array.zeros, ((Lit("2", I64),), "None")
    ),
    "static values of all kinds": Let(
        Var("y", F64), array.transpose, (X, (1, -2, 0.5, True, None, "a b", ()))
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_operations_are_read_back_too(name):
    let = ODD[name]
    names = (X, V, Var("k", I64), N)
    program = Program("f", names, (let,), (let.var,))
    again = parse(show(program))
    assert again == program
    assert repr(again) == repr(program)  # 1 == True, but not here


@pytest.mark.parametrize(
    "line, why",
    [
        ("y: f64 = sin(cos(x))", "one operation per line"),
        ("y: f64 = x + x * x", "one operation per line"),
        ("y: f64 = spam(x)", "no operation prints like this"),
        ("y: f64 = sin(x, x)", "no operation prints like this"),
        ("y: f64 = sin(z)", "z has no value here"),
        ("y = sin(x)", "not a statement"),
        ("y: f65 = sin(x)", "not a type"),
        ("nan: f64 = sin(x)", "binds no typed name"),
        ("while x: pass", "the loop is `while True:`"),
        ("for i in x: pass", "a loop is over range"),
        ("y: f64 = x[1:]", "a slice needs its stop"),
        ("y: f64 = x[:n:2]", "the size of this slice is not known"),
        ("y: f64 = last(z)", "no operation prints like this"),
    ],
)
def test_what_is_not_the_text_of_a_program_is_refused(line, why):
    with pytest.raises(IRError, match=why) as info:
        parse(f"def f(x: f64, n: i64) -> f64:\n    {line}\n    return x")
    assert "line " in str(info.value)


def test_python_that_does_not_parse_is_refused():
    with pytest.raises(IRError, match="not the text of a program"):
        parse("def f(x: f64 -> f64:")


def test_templates_that_print_alike_are_refused(monkeypatch):
    reader = sys.modules["pullback.ir.text.parse"]  # the package has the function of the same name
    twin = object.__new__(Primitive)
    for name, value in {"name": "twin", "text": "{1} + {0}", "static": (), "vjp": nondifferentiable}.items():
        object.__setattr__(twin, name, value)
    monkeypatch.setitem(reader.REGISTRY, "twin", twin)
    with pytest.raises(IRError, match="print alike"):
        reader.templates()
