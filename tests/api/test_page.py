"""Programs as pages to project: headings, the user's lines beside the program's, widths; and all of it parses."""

import re

import numpy as np
import pytest
from lecture import cases

import pullback as pb
from pullback.calls.tree import flatten
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.build import literal, number
from pullback.ir.evaluate import evaluate
from pullback.ir.program import Check, Let, Program, Span, Var
from pullback.ir.text import parse, show
from pullback.ir.types import BOOL, F64

CASES = cases()
LOWERED = {name: pb.grad(f).lower(*args) for name, (f, args) in CASES.items()}


def comments(text):
    return [line.strip() for line in text.splitlines() if line.strip().startswith("# ") and "sweep" in line]


@pytest.mark.compiled
@pytest.mark.parametrize("name", CASES)
def test_pages_fit_and_are_read_back(name):
    f, args = CASES[name]
    lowered = LOWERED[name]
    for text, program in ((lowered.ir, lowered.program), (lowered.adjoint_ir, lowered.derived)):
        assert max(map(len, text.splitlines())) < 100
        assert parse(text) == program
        assert show(parse(text)) == show(program)
    assert max(map(len, lowered.source.splitlines())) < 100
    leaves = flatten(args)[0]
    assert evaluate(parse(lowered.ir), *leaves)[0] == pytest.approx(f(*args), rel=1e-12)
    found = evaluate(parse(lowered.adjoint_ir), *leaves)
    for bar, exact in zip(found, flatten(pb.grad(f)(*args))[0]):
        np.testing.assert_allclose(bar, exact, 1e-9, 1e-12)


@pytest.mark.parametrize("name", CASES)
def test_every_line_of_the_function_stands_beside_its_operations(name):
    """Or above them, or shortened; each in the program, and those that are differentiated in the adjoint."""
    lowered = LOWERED[name]
    spans = {n.span.text.strip() for n in lowered.program.body if isinstance(n, Let) and n.span}
    for text in spans:
        assert f"# {text}"[:60] in lowered.ir
    reverse = lowered.adjoint_ir.partition("# reverse sweep")[2]
    assert reverse.count("#") >= 2


def test_headings_say_where_the_sweeps_begin():
    assert comments(LOWERED["layer"].ir) == []
    assert comments(LOWERED["layer"].adjoint_ir) == ["# forward sweep", "# reverse sweep"]
    forward, reverse = LOWERED["layer"].adjoint_ir.split("# reverse sweep")
    assert "_bar" not in forward and "z: f64[m] = t + b" in forward
    assert "W_bar: f64[n, m]" in reverse and " z: " not in reverse
    assert comments(LOWERED["springs"].adjoint_ir) == ["# reverse sweep"]  # only sizes before it
    newton = LOWERED["newton"].adjoint_ir
    positions = [newton.index(f"# {h}") for h in ("how often the loop runs", "forward sweep", "reverse sweep")]
    assert positions == sorted(positions) and newton.count("while True") == 2


def test_generated_code_has_headings_where_sweeps_share_loops_too():
    assert comments(LOWERED["newton"].source) == ["# forward sweep", "# reverse sweep"]
    found = comments(LOWERED["cholesky"].source)
    assert found[0].startswith("# forward") and found[-1] == "# reverse sweep"
    assert comments(LOWERED["logistic"].source)[0] == "# forward and reverse sweep"
    assert comments(pb.jit(CASES["layer"][0]).lower(*CASES["layer"][1]).source) == []


def test_programs_written_by_hand_have_headings_too():
    text = "def f(x: f64) -> f64:\n    a: f64 = exp(x)\n    b: f64 = a * a\n    y: f64 = b * a\n    return y"
    shown = show(adjoint(parse(text), [0]), spans=True)
    assert comments(shown) == ["# forward sweep", "# reverse sweep"] and shown.count("#") == 2
    assert "y_bar" not in shown.split("# reverse sweep")[0].partition("\n")[2]


def test_a_second_derivative_has_one_forward_sweep():
    program = LOWERED["layer"].derived
    inner = Program(program.name, program.params, program.body, program.results)
    twice = adjoint(inner, [0])
    assert comments(show(twice, spans=True)) == ["# forward sweep", "# reverse sweep"]
    assert re.search(r"forward sweep.*W_bar: .*reverse sweep", show(twice, spans=True), re.DOTALL)


def test_a_gradient_inside_of_a_function_is_no_sweep_of_its_own():
    inner = pb.grad(lambda x: np.sum(np.sin(x)))
    assert comments(pb.grad(lambda x: np.sum(inner(x) ** 2)).lower(np.ones(3)).ir) == []


def line(text, k=2):
    sin = parse("def f(x: f64) -> f64:\n    t: f64 = sin(x)\n    return t").body[0].op
    return Let(Var(f"t{k}", F64), sin, (Var("x", F64),), Span("f.py", k, text))


def test_what_does_not_fit_beside_its_line_stands_above_it():
    long = "y = " + " + ".join(f"np.sin(x[{k}])" for k in range(4))
    longer = "y = " + " + ".join(f"np.sin(x[{k}])" for k in range(9))
    program = Program("f", (Var("x", F64),), (line("y = 1"), line(long, 3), line(longer, 4)), (Var("x", F64),))
    shown = show(program, spans=True)
    assert shown.splitlines()[1:6] == [
        "    t2: f64 = sin(x)  # y = 1",
        f"    t3: f64 = sin(x)  # {long}",
        f"    # {longer[:90]}...",
        "    t4: f64 = sin(x)",
        "    return x",
    ]
    assert parse(shown) == program


def test_long_messages_are_folded():
    message = "ValueError: " + "sizes do not go together, as far as anybody can tell, " * 3 + "- see above"
    check = Check(Var("c", BOOL), message)
    program = Program("f", (Var("c", BOOL),), (check,), ())
    shown = show(program, spans=True)
    assert max(map(len, shown.splitlines())) < 100 and parse(shown) == program
    assert show(program).count("\n") == 2  # one line each, for programs


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, 16777216.0, 1e10, 3.4028235e38, 1e-45])
def test_single_precision_is_printed_short(value):
    lit = literal(value, "f32")
    assert number(lit) == np.float32(value) and len(lit.text) <= 13
    program = parse(f"def f(x: f32) -> f32:\n    y: f32 = x * {lit.text}\n    return y")
    assert evaluate(program, 0.5)[0] == np.float32(0.5) * np.float32(value)
