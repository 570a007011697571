"""explain_sympy prints SymPy's derivative, ours, and whether they are equal."""

import re

import numpy as np
import pytest
import sympy

import pullback as pb
from pullback.inspection.explain_sympy import explained
from pullback.inspection.sympy_compare import difference, largest_difference, readable
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.errors import UnsupportedFunction
from pullback.ir.ops.math import sin


def spring(x, k):
    return 0.5 * k * x**2


def entries(text):
    """Per derivative: SymPy's and ours."""
    found = {}
    for part in text.split("\n\n"):
        lines = part.splitlines()
        if re.fullmatch(r"d\w+/d\S.*", lines[0]):
            joined = re.sub(r"\s+", " ", " ".join(lines[1:]))
            found[lines[0]] = re.fullmatch(r" by SymPy (.*) by pullback (.*) (?:NOT EQUAL|equal) .*", joined).groups()
    return found


def test_numbers_need_no_arguments():
    text, wrong = explained(spring)
    assert not wrong and text.startswith("spring(x, k) = k*x**2/2\n")
    found = entries(text)
    assert found["dspring/dx"] == ("k*x", "k*x") and found["dspring/dk"] == ("x**2/2", "x**2/2")
    assert text.count("equal        the difference is 0") == 2


def test_the_derivation_has_the_expression_of_each_line():
    text, _ = explained(lambda x, w: np.sin(w * x))
    assert re.search(r"t_bar: f64 = .*|x_bar: f64 = .*  # w\*cos\(w\*x\)", text)
    assert re.search(r"= w \* x +# w\*x\n", text)
    program = pb.parse("def " + text.partition("\n\ndef ")[2])
    np.testing.assert_allclose(pb.evaluate(program, 0.3, 2.0), (2 * np.cos(0.6), 0.3 * np.cos(0.6)))
    assert max(map(len, text.splitlines())) < 100


def test_arrays_and_containers_element_by_element():
    text, wrong = explained(lambda W, x: np.sum(np.tanh(W @ x)), ("f64[n, m]", "f64[m]"), {"n": 1, "m": 2})
    assert not wrong and list(entries(text)) == ["df/dW[0, 0]", "df/dW[0, 1]", "df/dx[0]", "df/dx[1]"]
    assert entries(text)["df/dx[0]"][1] == "W[0, 0]*(1 - tanh(W[0, 0]*x[0] + W[0, 1]*x[1])**2)"
    text, _ = explained(lambda x: np.sum(x**3), (np.ones(3),))  # the sizes are those of the array
    assert list(entries(text)) == ["df/dx[0]", "df/dx[1]", "df/dx[2]"]


def test_results_with_axes_are_weighted_by_cotangents():
    def f(x):
        y = x * x
        return y  # noqa: RET504  (named, so that its cotangent is y_bar)

    text, wrong = explained(f, ("f64[n]",))
    assert not wrong and "weighted by the cotangents y_bar" in text
    assert entries(text)["df/dx[0]"] == ("2*x[0]*y_bar[0]", "2*x[0]*y_bar[0]")


def test_loops_and_branches():
    def horner(x):
        s = 0.0
        for k in range(3):
            s = s * x + np.sqrt(x + k)
        return s

    def branch(x):
        return x * x if x > 1.0 else 2.0 * x - 1.0

    assert not explained(horner)[1]
    text, wrong = explained(branch)
    assert not wrong and entries(text)["dbranch/dx"][1] == "Piecewise((2*x, x > 1), (2, True))"

    def newton(x):
        while x > 1.0:
            x = np.sqrt(x)
        return x

    with pytest.raises(UnsupportedFunction, match="depends on a symbol"):
        pb.explain_sympy(newton)


def test_a_wrong_derivative_is_found(capsys):
    """With the rule of sin wrong, both the text and an error say so."""
    right = sin.partials
    object.__setattr__(sin, "partials", (lambda x, y: y,))
    try:
        with pytest.raises(AssertionError, match="derivative by x is not equal"):
            pb.explain_sympy(lambda x: np.sin(x))
    finally:
        object.__setattr__(sin, "partials", right)
    assert "NOT EQUAL    the difference is -sin(x) + cos(x)" in capsys.readouterr().out
    assert not explained(lambda x: np.sin(x))[1]


def test_what_does_not_simplify_is_compared_by_numbers():
    x = sympy.Symbol("x", real=True)
    assert difference(x * (x + 1), x**2 + x, 400) == 0
    assert difference(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, sympy.Integer(1), 400) == 0
    assert difference(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, sympy.Integer(1), 0) != 0
    assert largest_difference(sympy.sin(x) ** 2 + sympy.cos(x) ** 2, sympy.Integer(1), 3) < 1e-20
    assert largest_difference(sympy.sin(x), x, 3) > 1e-3


def test_numbers_are_readable():
    x = sympy.Symbol("x")
    assert str(readable(0.1 * x + 2.5)) == "x/10 + 5/2"
    assert "1.414" in str(readable(sympy.Float(2**0.5) * x))
    assert str(readable(np.array([1.0, 0.5 * x]))) == "[1 x/2]"


def test_programs_too(capsys):
    program = pb.parse("def f(x: f64) -> f64:\n    y: f64 = exp(x)\n    return y")
    pb.explain_sympy(program)
    assert "df/dx\n  by SymPy     exp(x)\n" in capsys.readouterr().out
    assert adjoint(program, [0]).results
