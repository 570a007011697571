"""Programs as SymPy expressions, and NumPy functions called with symbols."""

import math

import numpy as np
import pytest
import scipy.special
import sympy

from pullback.inspection.sympy_bridge import elementwise, expression, symbol_array, symbols, to_sympy, wrap
from pullback.ir.errors import UnsupportedFunction
from pullback.ir.evaluate import evaluate, function
from pullback.ir.primitive import REGISTRY
from pullback.ir.text import parse

WITH_FORM = [
    op for op in REGISTRY.values() if op.elementwise and op.sympy and op.samples and "bool" not in op.samples[0]
]


@pytest.mark.parametrize("op", WITH_FORM, ids=str)
def test_the_sympy_form_of_an_operation_is_its_numpy_function(op):
    rng = np.random.default_rng(0)
    kinds = op.samples[0].split(", ")
    for _ in range(5):
        values = []
        for k, kind in enumerate(kinds):
            if k in op.static:
                values.append(int(kind))
            elif kind.startswith("i64"):
                values.append(np.int64(rng.integers(-5, 6)))
            else:
                values.append(np.float64(rng.uniform(*op.domain)))
        exact = elementwise(op)(*values)[()]
        expected = function(op)(*values)
        if exact in (sympy.true, sympy.false):
            assert bool(exact) == bool(expected)
        else:
            assert math.isclose(float(sympy.N(exact, 30)), expected, rel_tol=1e-12, abs_tol=1e-15)


PROGRAM = parse("""
def f(x: f64[n, 3], w: f64[3], b: f64, k: i64) -> f64:
    n: i64 = dim(x, 0)
    z: f64[n] = x @ w
    z_1: f64[n] = z + b
    c: bool = b > 0.0
    if c:
        u: f64 = b * 2.0
    else:
        v: f64 = exp(b)
    r: f64 = phi(u, v)
    for i in range(n):
        s: f64 = phi(0.0, s1)
        t: f64 = z_1[i]
        t_1: f64 = t * r
        s1: f64 = s + t_1
    s_end: f64 = last(s)
    top: f64 = max(z_1, axis=(0,))
    e: f64[n] = empty((n,), f64)
    e_1: f64[n] = e.at[0].set(b)
    e_2: f64 = e_1[0]
    m: f64 = f64(k)
    y: f64 = s_end + top
    y_1: f64 = y * m
    y_2: f64 = y_1 - e_2
    return y_2
""")


@pytest.mark.parametrize("b", [0.7, -0.4])
def test_a_program_with_a_loop_a_branch_and_a_write(b):
    rng = np.random.default_rng(1)
    args = rng.normal(size=(2, 3)), rng.normal(size=3), b, 3
    exact = to_sympy(PROGRAM, sizes={"n": 2})
    places = {}
    for symbol, arg in zip(symbols(PROGRAM, {"n": 2}), args):
        places.update(zip(np.ravel(np.asarray(symbol, object)), np.ravel(arg)))
    assert math.isclose(float(exact.subs(places)), evaluate(PROGRAM, *args)[0], rel_tol=1e-13)


def test_arguments_may_be_numbers_or_expressions():
    x = sympy.Symbol("x")
    program = parse("def f(x: f64, n: i64) -> f64:\n    m: f64 = f64(n)\n    y: f64 = x ** m\n    return y")
    assert to_sympy(program, x, 2) == x**2
    assert to_sympy(program, 3.0, 2) == 9
    with pytest.raises(TypeError, match="takes 2 arguments, got 1"):
        to_sympy(program, x)


def test_several_results_come_as_a_tuple():
    program = parse("def f(x: f64[2]) -> (f64[2], f64):\n    y: f64 = sum(x, axis=(0,))\n    return x, y")
    array, total = to_sympy(program)
    assert list(array) == list(symbol_array("x", (2,))) and total == sum(array)


def one_line(params, line, result="f64"):
    return f"def f({params}) -> {result}:\n    y: {result} = {line}\n    return y"


@pytest.mark.parametrize(
    "text, message",
    [
        ("def f(x: f64[n]) -> f64[n]:\n    return x", "needs the size n of x: f64.n.; say sizes={'n': 3}"),
        (one_line("x: f64[3]", "argmax(x, axis=0)", "i64"), "argmax has no SymPy form"),
        (one_line("x: f64", "i64(x)", "i64"), "to_i64 has no SymPy form"),
        ("def f(c: bool) -> bool:\n    return c", "give a value for the bool parameter c"),
        (one_line("x: f64[3], i: i64", "x[i]"), "subscript of getitem depends on a symbol"),
        (
            "def f(n: i64) -> i64:\n    for i in range(n):\n        s: i64 = phi(0, i)\n"
            "    y: i64 = last(s)\n    return y",
            "a loop's range depends on a symbol: n",
        ),
    ],
)  # fmt: skip
def test_what_has_no_expression_is_refused(text, message):
    with pytest.raises((UnsupportedFunction, TypeError), match=message):
        to_sympy(parse(text))


def test_numbers_are_exact_where_they_are_whole():
    assert expression(2.0) == 2 and expression(True) is sympy.true and expression(math.inf) == sympy.oo


NUMPY_FUNCTIONS = {
    "elementwise": lambda x, w: np.sin(x) * w + np.exp(-x) / 2,
    "reductions": lambda x, w: np.mean(x) + x.sum() * np.max(x) - np.min(w * x) + np.prod(x),
    "matrix": lambda x, w: np.outer(x, x) @ x + np.dot(x, x) * w,
    "where": lambda x, w: np.where(x > w, x, scipy.special.expit(x)),
    "max of pairs": lambda x, w: np.maximum(x, w) - np.minimum(x, 0.5) + np.logaddexp(x, 0.0),
    "shapes": lambda x, w: np.concatenate([x[::-1], np.stack([x, x]).reshape(-1)]) * w,
    "variance": lambda x, w: np.var(x) * w,
    "loop": lambda x, w: sum(v * w**k for k, v in enumerate(x)),
    "einsum": lambda x, w: np.einsum("i,j->ij", x, x) * w,
}


@pytest.mark.parametrize("name", NUMPY_FUNCTIONS)
def test_numpy_functions_of_symbols(name):
    f = NUMPY_FUNCTIONS[name]
    x, w = symbol_array("x", (3,)), symbol_array("w", ())
    places = dict(zip([*x, w], [0.3, 1.2, -0.8, 0.9]))
    exact = np.asarray(f(wrap(x), wrap(w)), object)
    found = np.array([float(sympy.N(e.subs(places))) for e in exact.ravel()]).reshape(exact.shape)
    np.testing.assert_allclose(found, f(np.array([0.3, 1.2, -0.8]), 0.9), rtol=1e-13)


def test_writing_to_an_array_of_symbols():
    x = wrap(symbol_array("x", (3,)))
    before = x.copy()
    x[1] += 2 * x[0]
    x[2] = x[0] * x[1]
    assert x[1][()] == before[1][()] + 2 * before[0][()]
    assert x[2][()] == before[0][()] * x[1][()]
