"""Every generated line knows which names of the program and which of the user's lines it comes from."""

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import emit, generate, generate_lines
from pullback.codegen.emit.python import emit_lines
from pullback.ir.program import Let
from pullback.ir.text import parse
from pullback.ir.walk import walk


def logistic(r, x, n):
    z = x
    for _ in range(n):
        if z > 0.5:
            z = r * z * (1.0 - z)
        else:
            z = np.sin(z) + 0.1
    return z


def loss(w, X, y):
    z = X @ w
    d = z - y
    while d[0] > 2.0:
        d = d / 2.0
    return np.sum(d**2)


def test_inlined_temporaries_belong_to_the_line_that_has_them():
    program = parse("""
def f(x: f64, n: i64) -> f64:
    for i in range(n):
        s: f64 = phi(x, s1)
        t: f64 = sin(s)
        t_1: f64 = t * 2.0
        s1: f64 = s * t_1
    s_end: f64 = last(s)
    return s_end""")
    found = {line.text.strip(): {p.name for p in line.parts} for line in emit_lines(program)}
    assert found["x = x * (np.sin(x) * 2.0)"] == {"t", "t_1", "s1"}
    assert found["for i in range(n):"] == {"i"}
    assert found["def f(x, n):"] == {"x", "n"}


def test_a_waiting_temporary_that_is_written_first_keeps_its_own_parts():
    program = parse("""
def f(x: f64, y: f64) -> (f64, f64):
    t: f64 = sin(x)
    for i in range(3):
        a: f64 = phi(x, a1)
        a1: f64 = a * y
    b: f64 = last(a)
    c: f64 = t * b
    return b, c""")
    found = {line.text.strip(): {p.name for p in line.parts} for line in emit_lines(program)}
    assert found["t = np.sin(x)"] == {"t"}
    assert found["for i in range(3):"] == {"i"}


@pytest.mark.parametrize(
    "f, args",
    [(logistic, (3.1, 0.3, 5)), (loss, (np.ones(3), np.ones((4, 3)), np.zeros(4)))],
    ids=["logistic", "loss"],
)
def test_no_line_of_the_user_is_lost(f, args):
    derived = pb.value_and_grad(f).lower(*args).derived
    lines = generate_lines(derived)
    assert "\n".join(line.text for line in lines) + "\n" == generate(derived)
    spans = {node.span.line for node in walk(derived.body) if isinstance(node, Let) and node.span}
    assert spans <= {part.span.line for line in lines for part in line.parts if part.span}
    own = [line for line in lines if " = " in line.text and not line.text.strip().startswith("#")]
    assert all(line.parts for line in own)


def test_a_comment_shows_the_span_it_has():
    derived = pb.value_and_grad(logistic).lower(3.1, 0.3, 5).derived
    comments = [line for line in generate_lines(derived) if line.text.strip().startswith("#")]
    headings = [line.text.strip() for line in comments if not line.parts]
    assert set(headings) <= {"# forward sweep", "# reverse sweep"} and len(headings) < len(comments)
    for line in comments:
        if not line.parts:
            continue
        assert line.text.strip() == f"# {line.parts[0].span.text.strip()}"
    assert emit(parse("def f(x: f64) -> f64:\n    return x")) == "def f(x):\n    return (x,)\n"
