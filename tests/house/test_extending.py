"""An operation is added by its declaration, and a kernel by one more row: shown with operations made here."""

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.emit import spelling
from pullback.ir import primitive
from pullback.ir.errors import IRError
from pullback.ir.evaluate import evaluate
from pullback.ir.ops.array import expand, transpose
from pullback.ir.ops.declare import unary
from pullback.ir.ops.linalg import matmul
from pullback.ir.primitive import Kind, Primitive
from pullback.ir.text import parse, show
from pullback.testing import check_grad

JIT = pytest.mark.parametrize("jit", [False, pytest.param(True, marks=pytest.mark.compiled)])
PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture
def declarations():
    """What is declared in a test is gone after it."""
    tables = (primitive.REGISTRY, primitive._BY_TEXT, primitive.BY_FUNCTION, spelling.TEMPLATES)
    before = [dict(table) for table in tables]
    with pb.options(cache=False):
        yield
    for table, old in zip(tables, before):
        table.clear()
        table.update(old)


def _solved(a, b):
    if a.rank != 2 or a.dims[0] != a.dims[1] or b.dims[:1] != a.dims[1:]:
        raise IRError(f"no solution of {a} and {b}")
    return b


def _solve_vjp(y_bar, y, a, b):
    b_bar = solve(transpose(a, (1, 0)), y_bar)
    if y.type.rank == 1:
        return -(expand(b_bar, (1,)) * expand(y, (0,))), b_bar
    return -matmul(b_bar, transpose(y, (1, 0))), b_bar


def solve(a, b):
    return primitive.REGISTRY["solve_here"](a, b)


def declare_solve():
    Primitive(
        "solve_here", "solve_here({0}, {1})", _solved, np.linalg.solve, kind=Kind.KERNEL, vjp=_solve_vjp,
        linear=(1,), cost=100, samples=("f64[3, 3], f64[3]",),
    )  # fmt: skip
    spelling.TEMPLATES["solve_here"] = "np.linalg.solve({0}, {1})"


def angles(x):
    total = 0.0
    for k in range(len(x)):
        total += np.deg2rad(x[k] * x[k]) ** 2
    return total + np.sum(np.deg2rad(x))


def energy(a, b):
    y = np.linalg.solve(a, b)
    total = 0.0
    for k in range(len(b)):
        a = a + 0.1 * np.sum(y) * np.eye(len(b))
        y = np.linalg.solve(a.T, y) + b
        total += y[k] * y[k]
    return total


@JIT
def test_an_operation_on_numbers_is_its_declaration(declarations, monkeypatch, jit):
    monkeypatch.delitem(pb.tracer.values.symbol.FUNCTIONS, np.deg2rad)  # as if it were not known
    with pytest.raises(pb.PullbackError, match="deg2rad cannot be traced"):
        pb.grad(angles)(np.arange(3.0))
    unary("deg2rad", np.deg2rad, lambda x, y: np.pi / 180.0, sympy="{0} * pi / 180")
    x = np.array([0.3, -1.2, 40.0])
    with pb.options(jit=jit):
        value, bar = pb.value_and_grad(angles)(x)
        check_grad(angles, x)
    assert value == pytest.approx(angles(x), rel=1e-12)
    assert bar == pytest.approx(4 * x**3 * (np.pi / 180) ** 2 + np.pi / 180, rel=1e-12)
    lowered = pb.grad(angles).lower(x)
    assert "deg2rad(" in lowered.ir and "np.deg2rad(" in pb.jit(angles).lower(x).source
    program = pb.trace(angles, x)
    assert parse(show(program)) == program
    assert evaluate(program, x)[0] == pytest.approx(angles(x))


@JIT
def test_a_kernel_is_its_declaration_and_a_row(declarations, monkeypatch, jit):
    monkeypatch.delitem(pb.tracer.values.symbol.FUNCTIONS, np.linalg.solve)  # as if it were not known
    declare_solve()
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 4)) + 4 * np.eye(4), rng.normal(size=4)
    with pb.options(jit=jit):
        value, (a_bar, b_bar) = pb.value_and_grad(energy, argnums=(0, 1))(a, b)
        check_grad(energy, a, b)
    assert value == pytest.approx(energy(a, b), rel=1e-12)
    step = 1e-6 * rng.normal(size=a.shape)
    change = (energy(a + step, b) - energy(a - step, b)) / 2
    assert np.sum(a_bar * step) == pytest.approx(change, rel=1e-5)
    assert "np.linalg.solve(" in pb.grad(energy).lower(a, b).source
    with pytest.raises(pb.PullbackError, match="no solution"):
        pb.jit(energy)(a, rng.normal(size=5))


@pytest.mark.compiled
def test_the_page_that_tells_how(declarations, tmp_path):
    """Its examples run, and print what their comments say."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    source = "\n".join(blocks)
    path = tmp_path / "extending.py"  # in a file, because functions are traced by their source
    path.write_text(source)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(path), "exec"), {"__name__": "extending"})
    assert printed.getvalue().splitlines() == re.findall(r"^ *print\(.*\)  # (.*)$", source, re.MULTILINE)
