"""The command line: what it prints, its exit codes, and that no error shows a traceback."""

import re
import subprocess
import sys

import numpy as np
import pytest

import pullback as pb
from pullback.command import arguments
from pullback.command.arguments import UsageError
from pullback.command.cli import COMMANDS, main

MODEL = """
import numpy as np
import pullback as pb

LIMIT = 3.0

def loss(w, X, y):
    z = X @ w - y
    return np.mean(z ** 2)

@pb.grad
def cubed(x):
    return x ** 3

def roots(x):
    return np.sum(np.sqrt(x)), np.log(x)

def steps(x):
    return np.sum(np.floor(x) * x * x)

def search(x):
    return np.histogram2d(x, x)[0][0, 0] * 2.0

def chatty(x):
    return print(x)

def halved(x, n):
    while n > 0:
        x = x * 0.5
        n = n - 1
    return x

def early(x):
    return x[7] if False else np.sum(x) / len(NAMES)

def unpicked(x):
    return np.linalg.eigvals(x)
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "model", raising=False)
    (tmp_path / "model.py").write_text(MODEL)
    yield tmp_path
    sys.modules.pop("model", None)


def run(capsys, *words):
    """Exit code, output and errors of a command line."""
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err and "\x1b" not in out + err
    return code, out, err


LOSS = ("model.py:loss", "--args", "f64[p], f64[n, p], f64[n]")


def test_show_prints_the_stages(model, capsys):
    code, out, _ = run(capsys, "show", *LOSS)
    assert code == 0 and out.count("\ndef loss") == 5
    code, out, _ = run(capsys, "show", *LOSS, "--stage", "trace")
    assert code == 0 and out.startswith("def loss(") and "X @ w" in out and "_bar" not in out
    code, out, _ = run(capsys, "show", *LOSS, "--stage", "source", "--argnums", "1")
    assert code == 0 and "X_bar" in out and "import numpy as np" in out
    code, out, _ = run(capsys, "show", "model.py:cubed", "--args", "f64", "--stage", "optimised")
    assert code == 0 and out.startswith("def cubed_grad(x: f64)")
    for kind in ("jvp", "hvp", "jacobian", "hessian", "value_and_grad"):
        code, out, _ = run(capsys, "show", *LOSS, "--stage", "trace", "--what", kind)
        assert code == 0 and out.startswith("def ") and pb.parse(out)
    code, out, _ = run(capsys, "show", *LOSS, "--stage", "tangent")
    assert code == 0 and "_dot: f64" in out
    code, out, _ = run(capsys, "show", *LOSS, "--passes")
    assert code == 0 and "simplify" in out and re.search("^[-+] ", out, re.M)


def test_explain_writes_a_page(model, capsys):
    code, out, _ = run(capsys, "explain", *LOSS, "-o", "page.html", "--size", "n=4")
    page = (model / "page.html").read_text()
    assert code == 0 and out.startswith("page.html: ") and "steps" in out
    assert "<b>X</b>: f64[4, 5]" in page
    code, out, _ = run(capsys, "explain", "model.py:halved", "--args", "f64, 4")
    assert code == 0 and (model / "halved.html").is_file()
    code, _, err = run(capsys, "explain", *LOSS, "-o", "missing/page.html")
    assert code == 2 and "cannot be written" in err


def test_check_agrees(model, capsys):
    code, out, _ = run(capsys, "check", *LOSS, "--uncompiled")
    assert code == 0
    assert re.fullmatch(r"finite differences  agree,.*\nSymPy +agrees,.*\n", out)
    code, out, _ = run(capsys, "check", "model.py:cubed", "--args", "f64", "--only", "sympy", "--uncompiled")
    assert code == 0 and out.startswith("SymPy") and "finite" not in out
    code, out, _ = run(
        capsys, "check", "model.py:roots", "--args", "f64[3]", "--between", "1", "2", "--uncompiled"
    )
    assert code == 0


def test_check_differs(model, capsys, monkeypatch):
    def fails(*args, **kwargs):
        raise AssertionError("check_grad: the gradient is not what finite differences give\n  more")

    monkeypatch.setattr("pullback.testing.check_grad", fails)
    code, out, _ = run(capsys, "check", *LOSS, "--only", "differences")
    assert code == 1 and "differ" in out and "    check_grad: the gradient is not" in out


def test_refusals_show_the_users_line(model, capsys):
    code, _, err = run(capsys, "show", "model.py:unpicked", "--args", "f64")
    assert code == 1 and err.startswith("error: ") and "model.py" in err and "eigvals" in err
    code, _, err = run(capsys, "explain", "model.py:loss", "--args", "f64[3], f64[4, 5], f64[4]")
    assert code == 1 and "do not go together" in err and "z = X @ w - y" in err


def test_an_error_of_the_users_own_code_has_its_line(model, capsys):
    code, _, err = run(capsys, "check", "model.py:early", "--args", "f64[3]", "--only", "differences")
    assert code == 1 and "NameError: name 'NAMES' is not defined" in err
    assert 'model.py", line' in err and "len(NAMES)" in err


@pytest.mark.parametrize(
    "words, message",
    [
        (("show", "model.py"), "write FILE.py:FUNCTION"),
        (("show", "other.py:f", "--args", "f64"), "no file 'other.py'"),
        (("show", "model.py:los", "--args", "f64"), "it has chatty"),
        (("show", "model.py:LIMIT", "--args", "f64"), "no function: it is of type float"),
        (("show", "model.py:loss"), '--args "f64, f64, f64"'),
        (("show", "model.py:loss", "--args", "f64"), "does not take the 1 arguments"),
        (("show", "model.py:cubed", "--args", "f65"), "'f65' is no argument"),
        (("show", "model.py:cubed", "--args", "f64[n+1]"), "'n+1' in 'f64[n+1]' is no size"),
        (("check", "model.py:cubed", "--args", "f64[n]", "--size", "m=3"), "no size m"),
        (("check", "model.py:cubed", "--args", "f64[n]", "--size", "n:3"), "write it as n=8"),
        (("explain", "model.py:cubed", "--args", "f64", "--steps", "2"), "at least 8"),
    ],
)
def test_a_wrong_command_line_is_explained(model, capsys, words, message):
    code, out, err = run(capsys, *words)
    assert code == 2 and message in err and out == ""


@pytest.mark.parametrize(
    "text, message",
    [
        ("x = 1 / 0\n", "ZeroDivisionError: division by zero in line 1: x = 1 / 0"),
        ("def f(:\n", "cannot be read"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_file_that_cannot_be_run(model, capsys, text, message):
    (model / "broken.py").write_text(text)
    code, _, err = run(capsys, "show", "broken.py:f", "--args", "f64")
    sys.modules.pop("broken", None)
    assert code == 2 and message in err


def test_help_has_examples_that_parse(model, capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0 and all(command.name in out for command in COMMANDS)
    for command in COMMANDS:
        code, out, _ = run(capsys, command.name, "--help")
        assert code == 0 and "examples:" in out
    assert run(capsys)[0] == 0


def test_colours_only_on_a_terminal(model, capsys, monkeypatch):
    words = ("show", *LOSS, "--stage", "trace")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(words) == 0
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "")
    assert main(words) == 0
    assert "\x1b[34mdef\x1b[0m" in capsys.readouterr().out


@pytest.mark.process
def test_a_closed_pipe_is_no_error(model):
    command = (
        f"{sys.executable} -m pullback show model.py:loss --args 'f64[p], f64[n, p], f64[n]' | head -n 1"
    )
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("# ") and done.stderr == ""


# -- the grammar of --args -----------------------------------------------------------------------------------


def test_arguments_are_types_or_values():
    found = arguments.parsed("f64[n,3],f32 , i64[5], bool, 2.5, 'a, b', [1, (2, 3)], None, -1")
    assert [str(a) for a in found[:4]] == ["f64[n, 3]", "f32", "i64[5]", "bool"]
    assert found[4:] == [2.5, "a, b", [1, (2, 3)], None, -1]
    assert arguments.parsed("") == []
    with pytest.raises(UsageError, match="no size"):
        arguments.parsed("f64[]")


def test_samples_have_the_types_and_are_the_same_again():
    types = arguments.parsed("f64[n, 3], f64, i64[m], i64, bool[2], f32[n], f32, 'relu'")
    given = {"n": 4}
    first = arguments.samples(types, given, None, 1)
    again = arguments.samples(types, given, None, 1)
    assert [np.shape(v) for v in first] == [(4, 3), (), (5,), (), (2,), (4,), (), ()]
    assert [type(first[k]) for k in (1, 3, 7)] == [float, int, str]
    assert [first[k].dtype.name for k in (0, 2, 4, 5, 6)] == [
        "float64",
        "int64",
        "bool",
        "float32",
        "float32",
    ]
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not np.array_equal(first[0], arguments.samples(types, given, None, 2)[0])
    assert first[2].min() >= 0 and first[2].max() < 2, "subscripts of every array"
    spread = arguments.samples(arguments.parsed("f64[100]"), {}, (2.0, 3.0), 0)[0]
    assert spread.min() >= 2.0 and spread.max() <= 3.0


def test_functions_of_modules_and_classes(model):
    assert arguments.load("numpy:sin") is np.sin
    assert arguments.load("numpy:linalg.norm") is np.linalg.norm
    with pytest.raises(UsageError, match="neither a .py file nor a module"):
        arguments.load("a b:f")
    with pytest.raises(UsageError, match="ModuleNotFoundError"):
        arguments.load("no_such_module_here:f")
