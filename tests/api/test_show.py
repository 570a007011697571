"""pb.show prints every stage and every pass; what it prints is read back by pb.parse and run by pb.evaluate."""

import numpy as np
import pytest
from lecture import cases

import pullback as pb
from pullback.calls.tree import flatten
from pullback.inspection.show import STAGES, shown
from pullback.ir.errors import IRError
from pullback.ir.verify import verify
from pullback.testing import check_grad

CASES = cases()


def same(found, expected):
    found, expected = flatten(found)[0], flatten(expected)[0]
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        np.testing.assert_allclose(a, b, 1e-9, 1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize("name", CASES)
def test_every_stage_is_read_back_and_runs(name, capsys):
    f, args = CASES[name]
    exact = pb.grad(f, argnums=tuple(range(len(args))))(*args)
    for stage in STAGES[:-1]:
        pb.show(f, *args, stage=stage)
        text = capsys.readouterr().out
        program = verify(pb.parse(text))
        assert shown(program) == str(program)
        result = pb.evaluate(text, *args)
        same(result, f(*args) if stage == "trace" else exact)
    pb.show(f, *args, stage="source")
    scope = {}
    exec(capsys.readouterr().out, scope)
    function = next(v for k, v in scope.items() if k.endswith("_grad"))
    same(function(*flatten(args)[0]), exact)


@pytest.mark.parametrize("name", CASES)
def test_the_tangent_is_read_back_and_runs(name):
    f, args = CASES[name]
    program = verify(pb.parse(shown(f, args, stage="tangent")))
    leaves = flatten(args)[0]
    moves = [np.ones(np.shape(leaf))[()] for leaf in leaves if np.asarray(leaf).dtype.kind == "f"]
    *value, dot = pb.evaluate(program, *leaves, *moves)
    with pb.options(jit=False):
        _, pull = pb.vjp(f, *args)
        bars = [bar for bar in flatten(pull(1.0))[0] if bar is not None]
    assert dot == pytest.approx(sum(np.sum(bar) for bar in bars), rel=1e-9)
    assert "tangent" in shown(f, args, stage="tangent", passes=True)


def test_a_derivative_shows_its_own_code():
    """Not that of its adjoint, which is a stage of its own."""
    hessian, x = pb.hessian(lambda x: np.sum(x**3)), np.ones(3)
    assert shown(hessian, (x,), stage="source") == hessian.lower(x).source
    text = shown(hessian, (x,), stage="all")
    assert [line for line in text.splitlines() if line[:2] == "# "] == ["# trace", "# scalar", "# source"]
    assert "_bar" in shown(hessian, (x,), stage="adjoint")
    assert [p.name for p in pb.parse(shown(pb.grad(lambda x, y: x * y), (1.0, 2.0), stage="tangent")).params] == [
        "x", "y", "x_dot",
    ]  # fmt: skip


def test_an_edited_program_runs():
    text = shown(CASES["springs"][0], ("f64[n]", "f64"))
    x = np.array([0.0, 1.0, 3.0])
    assert pb.evaluate(text, x, 2.0) == 5.0
    assert pb.evaluate(text.replace("stretch ** 2.0", "stretch ** 4.0"), x, 2.0) == 17.0
    with pytest.raises(IRError, match="line 5"):
        pb.parse(text.replace("phi(0.0, s_2)", "psi(0.0, s_2)"))


@pytest.mark.compiled
def test_a_program_of_ones_own_has_stages_too(capsys):
    program = pb.parse("def f(x: f64, w: f64) -> f64:\n    a: f64 = x * w\n    y: f64 = sin(a)\n    return y")
    pb.show(program, stage="optimised")
    adjoint = pb.parse(capsys.readouterr().out)
    check_grad(lambda x, w: np.sin(x * w), 0.3, 2.0)
    same(pb.evaluate(adjoint, 0.3, 2.0), pb.grad(lambda x, w: np.sin(x * w), argnums=(0, 1))(0.3, 2.0))


def test_several_results_and_seeds():
    """A function with an array result has a seed parameter; two results come as a tuple."""
    text = shown(lambda x: (np.sin(x), x * x), (np.ones(2),), stage="adjoint")
    program = pb.parse(text)
    assert [p.name for p in program.params][1:] == [p.name for p in program.params if p.name.endswith("_bar")]
    x = np.array([0.5, 2.0])
    same(pb.evaluate(program, x, np.ones(2), np.zeros(2)), np.cos(x))
    assert isinstance(pb.evaluate(shown(lambda x: (x + 1, x * x), (2.0,)), 2.0), tuple)


def test_a_transform_shows_what_it_computes(capsys):
    layer, args = CASES["layer"]
    gradient = pb.grad(layer, argnums=1)
    pb.show(gradient, *args, stage="optimised")
    assert capsys.readouterr().out.strip() == gradient.lower(*args).adjoint_ir
    pb.show(gradient, *args, stage="source")
    assert capsys.readouterr().out.strip() == gradient.lower(*args).source.strip()


def test_all_stages_at_once():
    text = shown(CASES["layer"][0], CASES["layer"][1], stage="all")
    assert [line[2:] for line in text.splitlines() if line[2:] in STAGES] == list(STAGES)
    names = [line for line in shown(lambda n: n + 1, (2,), stage="all").splitlines() if line[:2] == "# "]
    assert names == ["# trace", "# scalar", "# source"]  # no float to differentiate by


def test_each_pass_is_a_diff():
    f, args = CASES["layer"]
    optimised = shown(f, args, stage="optimised", passes=True)
    assert "# dead_code: 7 lines gone, 0 new" in optimised and "\n-    t_2: f64[m] = z * y\n" in optimised
    scalar = shown(f, args, stage="scalar", passes=True)
    assert "# scalarise:" in scalar and "\n+    for i in range(n):\n" in scalar
    assert "# no effect: " in scalar
    adjoint = shown(f, args, stage="adjoint", passes=True)
    assert adjoint.startswith("# adjoint: ") and "\n+    W_bar: f64[n, m] = " in adjoint
    assert "# emit: " in shown(f, args, stage="source", passes=True)


def test_the_diffs_lead_from_one_stage_to_the_next():
    """What the diffs of a stage take away was there, and what they bring is there or taken away later."""
    f, args = CASES["springs"]
    before, after = (set(shown(f, args, stage=s).splitlines()) for s in ("adjoint", "optimised"))
    strip = lambda lines: {line.partition("  # ")[0].rstrip() for line in lines}
    diff = [line for line in shown(f, args, stage="optimised", passes=True).splitlines() if line.startswith(("+", "-"))]
    gone, come = ({line[1:] for line in diff if line[0] == sign} for sign in "-+")
    assert strip(before) - strip(after) <= gone | {""} and strip(after) - strip(before) <= come | {""}
    assert gone <= strip(before) | come


def test_refusals():
    with pytest.raises(ValueError, match="no stage 'tape': there are trace, adjoint, optimised, scalar, source"):
        pb.show(lambda x: x, 1.0, stage="tape")
    with pytest.raises(ValueError, match="no float to differentiate by"):
        pb.show(lambda n: n + 1, 2, stage="adjoint")
    with pytest.raises(TypeError, match="pb.evaluate runs it"):
        pb.show(pb.trace(lambda x: x, 1.0), 1.0)
    with pytest.raises(ValueError, match=r"x has shape \(2,\), its type is f64"):
        pb.evaluate("def f(x: f64) -> f64: return x", np.ones(2))
