"""Public functions keep the types of a user's functions: a script that type checkers read, with its mistakes marked."""

import importlib.util
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import pullback as pb

SCRIPT = Path(__file__).with_name("typed_user.py")
ROOT = Path(pb.__file__).parent

MAY_BE_ANY = {
    "debug": "the results of the last sweep that ran",
    "evaluate": "the values of a program",
    **dict.fromkeys(("jacfwd", "jacrev", "jacobian", "value_and_jacobian"), "blocks in the structure of the value"),
    **dict.fromkeys(("hessian", "hessian_diag", "hvp", "vhp"), "blocks in the structure of the argument"),
    **dict.fromkeys(("jvp", "linearize"), "a tangent, or None, per leaf of the value"),
    "vmap": "arrays in the structure of the value",
    "grad": "the gradient by an argument of another number",
    "value_and_grad": "the gradient by an argument of another number",
    "vjp": "a cotangent, or None, per argument",
}
"""Where a public function cannot say what it returns."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package in one folder, as a checker finds it after `pip install .`."""
    package = tmp_path_factory.mktemp("site") / "pullback"
    checkout = Path(__file__).parents[2]
    shutil.copytree(checkout / "api", package)
    for room in ("tracer", "ir", "codegen", "runtime"):
        shutil.copytree(checkout / room, package / room)
    return package.parent


@pytest.mark.process
def test_mypy_finds_the_mistakes_and_nothing_else(installed, tmp_path):
    """--strict warns of an `ignore` that hides nothing: each marked mistake is one, and nothing else is."""
    pytest.importorskip("mypy")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"),
         "--follow-imports", "silent", str(SCRIPT)],
        capture_output=True, text=True, cwd=tmp_path, env={"MYPYPATH": str(installed), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.process
def test_pyright_agrees(installed, tmp_path):
    if importlib.util.find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"include": ["{SCRIPT}"], "extraPaths": ["{installed}"], "typeCheckingMode": "standard"}}'
    )
    done = subprocess.run([sys.executable, "-m", "pyright", "-p", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", [n for n in pb.__all__ if callable(getattr(pb, n))])
def test_public_functions_take_nothing_of_unknown_type(name):
    """`object` is what takes anything; Any would turn the checks of a user's program off."""
    function = getattr(pb, name)
    for form in typing.get_overloads(function) or [function]:
        for parameter, annotation in getattr(form, "__annotations__", {}).items():
            if parameter != "return":
                assert "Any" not in str(annotation), f"{name}({parameter}: {annotation})"
            elif "Any" in str(annotation):
                assert name in MAY_BE_ANY, f"{name} -> {annotation}"
