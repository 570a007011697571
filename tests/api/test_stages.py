"""What is shown, explained, stepped through, exported and run is one text, under all options."""

import re

import numpy as np
import pytest

import pullback as pb
from pullback.calls import forms
from pullback.explain.stages import stages_of
from pullback.inspection import debug as debugging
from pullback.ir.pipeline import Context, Level, Pass, Pipeline
from pullback.ir.program import Program
from pullback.ir.text import parse
from pullback.stages import Compilation

SETTINGS = (
    {},
    {"parallel": True},
    {"parallel": 2},
    {"reassociate": False},
    {"bounds_check": False},
    {"parallel": 2, "reassociate": False, "bounds_check": False},
)


def loss(x, w):
    """Sums, a recurrence with an expensive function, a subscript that only a run can check."""
    t, s, u = 0.0, 0.0, 0.0
    for k in range(len(x)):
        s += x[k] * w
        t = np.cos(x[k]) * t + s
    for k in range(len(x)):
        u += np.sqrt(x[k])
    at = x.argmax()
    return t + u + np.sum(np.tanh(x * w)) + x[at - 1] ** 2


@pytest.fixture
def run_sources(monkeypatch):
    """The texts that are handed to the compiler."""
    found = []
    compile_source = forms.compile_source

    def watched(source, *args, **options):
        found.append(source)
        return compile_source(source, *args, **options)

    monkeypatch.setattr(forms, "compile_source", watched)
    monkeypatch.setattr(debugging, "compile_source", watched)
    return found


def body(source, name):
    """The lines of all functions, without imports, under one name."""
    own = re.findall(r"^def (\w+)", source, re.MULTILINE)[-1]
    return re.sub(rf"\b{own}(?=\b|_part)", name, source[source.index("def ") :]).rstrip()


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_shown_is_what_runs(settings, run_sources, capsys, tmp_path):
    x = np.linspace(0.1, 1.0, 9)
    with pb.options(jit=False, cache=False, **settings):
        gradient = pb.value_and_grad(loss)
        gradient(x, 0.5)
        (source,) = run_sources
        assert gradient.source == gradient.lower(x, 0.5).source == source
        pb.show(gradient, x, 0.5, stage="source")
        assert capsys.readouterr().out.rstrip() == source.rstrip()
        explained = [line.text for line in stages_of(loss, (x, 0.5), 0, None).generated]
        assert body("\n".join(explained), "f") == body(source, "f")

        run_sources.clear()
        _, pull = pb.vjp(loss, x, 0.5)
        pull(1.0)
        swept = list(run_sources)
        run_sources.clear()
        pb.debug(loss, x, 0.5)
        assert run_sources == swept and len(swept) == 2

    with pb.options(jit=False, cache=False, **settings | {"parallel": False}):  # files run on one core
        run_sources.clear()
        pb.value_and_grad(loss)(x, 0.5)
        path = tmp_path / "out.py"
        pb.export(loss, x, 0.5, path=path, what="value_and_grad")
        assert helperless(body(run_sources[0], "f")) in renamed(path.read_text())


def helperless(source):
    return re.sub(r"\bsupport\.", "", source)


def renamed(text):
    return re.sub(r"\b_?\w+_value_and_grad_\d+\b", "f", text)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_printed_loops_are_what_is_written(settings, capsys):
    x = np.linspace(0.1, 1.0, 9)
    with pb.options(jit=False, cache=False, **settings):
        gradient = pb.value_and_grad(loss)
        gradient(x, 0.5)
        final = Compilation(gradient._lowered().derived).lowered()
        pb.show(gradient, x, 0.5, stage="scalar")
        assert parse(capsys.readouterr().out) == parse(str(final))


def test_options_change_the_text():
    x = np.linspace(0.1, 1.0, 9)
    found = set()
    for settings in SETTINGS:
        with pb.options(jit=False, cache=False, **settings):
            found.add(str(pb.value_and_grad(loss).lower(x, 0.5).source))
    assert len(found) == len(SETTINGS)


# -- pipelines ---------------------------------------------------------------------------------------------


def test_a_level_that_a_pass_does_not_keep_is_an_error(monkeypatch):
    monkeypatch.setenv("PULLBACK_CHECK", "1")
    program = parse("def f(x: f64[3]) -> f64[3]:\n    y: f64[3] = sin(x)\n    return y")

    def same(program: Program) -> Program:
        """Nothing."""
        return program

    Pipeline((Pass.of(same, Level.ARRAYS),)).run(program)
    with pytest.raises(pb.PullbackError, match="sin of a whole array"):
        Pipeline((Pass.of(same, Level.ARRAYS, Level.LOOPS),)).run(program)


def test_passes_get_the_context_and_are_seen():
    program = parse("def f(x: f64) -> f64:\n    return x")
    given = []

    def step(program: Program, context: Context) -> Program:
        given.append(context)
        return program

    seen = []
    context = Context(reassociate=False)
    pipeline = Pipeline((Pass("one", step, Level.ARRAYS, Level.ARRAYS), Pass("two", step, Level.ARRAYS, Level.ARRAYS)))
    assert pipeline.run(program, context, seen=lambda name, before, after: seen.append(name)) is program
    assert given == [context, context] and seen == ["one", "two"]
    assert pipeline.before("two").names == ("one",)
