"""What a newcomer meets: the README's commands, the wheel, the command line, how long an import takes."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

import pullback
from pullback.__main__ import main

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEMO = "python -m pip install '.[demo]' && python -m pullback demo"
TEST = "python -m pip install '.[test]' && python -m pytest"


def test_the_readme_has_exactly_two_commands_to_set_up_and_go():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert [line.strip() for line in lines if "pip install" in line and line.startswith("    ")] == [
        DEMO,
        TEST,
    ]


def test_ci_runs_the_readmes_test_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "&& python -m pytest" in script.read_text() and "README.md" in script.read_text()


def test_extras_are_named_and_the_licence_is_there():
    assert {"test", "demo", "bench", "docs"} <= set(PROJECT["project"]["optional-dependencies"])
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert f"## {pullback.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def folders():
    """Folder of each package, by the mapping in pyproject.toml."""
    mapping = PROJECT["tool"]["setuptools"]["package-dir"]
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        parts, rest = package.split("."), []
        while ".".join(parts) not in mapping:
            rest.insert(0, parts.pop())
        yield package, ROOT.joinpath(mapping[".".join(parts)], *rest)


def test_every_package_is_listed():
    listed = {folder for _, folder in folders()}
    assert all((folder / "__init__.py").is_file() for folder in listed)
    rooms = ("api", "tracer", "ir", "codegen", "runtime")
    found = {path.parent for room in rooms for path in (ROOT / room).rglob("__init__.py")}
    assert found == listed
    # No module without a package around it, and nothing at the root that would shadow the install.
    assert {p.parent for room in rooms for p in (ROOT / room).rglob("*.py")} == listed
    assert not (ROOT / "pullback").exists() and not (ROOT / "__init__.py").exists()


def test_the_wheel_has_all_modules_and_types(tmp_path):
    pytest.importorskip("setuptools")
    if not (find_spec("wheel") or find_spec("setuptools.command.bdist_wheel")):
        pytest.skip("this setuptools cannot make wheels by itself")
    for _, folder in folders():
        target = tmp_path / "source" / folder.relative_to(ROOT)
        target.mkdir(parents=True, exist_ok=True)
        for file in (path for path in folder.iterdir() if path.is_file()):
            (target / file.name).write_bytes(file.read_bytes())
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / "source" / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=tmp_path / "source", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("pullback-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package, folder in folders():
        for file in folder.glob("*.py"):
            assert f"{package.replace('.', '/')}/{file.name}" in names
    assert "pullback/py.typed" in names
    assert {f"pullback/explain/page.{kind}" for kind in ("html", "css", "js")} <= names
    assert any(name.endswith("LICENSE") for name in names)


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, **options
    )


def test_importing_loads_neither_numba_nor_sympy():
    code = (
        "import sys, pullback; print([m for m in ('numba', 'sympy', 'sklearn', 'jax') if m in sys.modules])"
    )
    assert run("-c", code).stdout.strip() == "[]"


def test_the_command_line():
    assert run("-m", "pullback", "--version").stdout == f"pullback {pullback.__version__}\n"
    for arguments in (["--help"], []):
        done = run("-m", "pullback", *arguments)
        assert done.returncode == 0 and "demo" in done.stdout
    done = run("-m", "pullback", "dmeo")
    assert done.returncode == 2 and "invalid choice: 'dmeo'" in done.stderr


def test_the_demo_says_what_it_needs(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)  # import sklearn now fails
    monkeypatch.delitem(sys.modules, "sklearn.datasets", raising=False)
    monkeypatch.delitem(sys.modules, "pullback.command.demo", raising=False)
    assert main(["demo"]) == 1
    error = capsys.readouterr().err
    assert "scikit-learn" in error and "python -m pip install '.[demo]'" in error


def test_the_version_can_be_read_without_importing():
    tree = ast.parse((ROOT / "api" / "__init__.py").read_text())
    values = {t.id: n.value for n in tree.body if isinstance(n, ast.Assign) for t in n.targets}
    assert ast.literal_eval(values["__version__"]) == pullback.__version__
