"""CONTRIBUTING.md and what stands beside it: the examples run, and what they name is there."""

import doctest
import importlib.util
import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import tiers

import pullback

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]}
EXAMPLES = {
    name: found[1]
    for name, part in SECTIONS.items()
    for found in re.finditer(r"<!-- run -->\n```python\n(.*?)```", part, re.DOTALL)
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def versions():
    spec = importlib.util.spec_from_file_location("versions", ROOT / ".ci" / "versions.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run_and_print_what_they_say(name, tmp_path):
    path = tmp_path / "example.py"  # in a file, because functions are traced by their source
    path.write_text(EXAMPLES[name])
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", EXAMPLES[name], re.MULTILINE)


def test_each_way_to_add_something_is_told():
    assert {"A NumPy function", "A primitive", "A pass"} <= EXAMPLES.keys()
    assert {"A dtype", "A backend", "Versions", "A release"} <= SECTIONS.keys()


def test_the_files_that_it_names_are_there():
    named = re.findall(r"`((?:tests|tracer|ir|codegen|runtime|api|docs|benchmarks|\.ci)/[\w./]*)[` ]", TEXT)
    assert len(named) > 10 and [name for name in named if not (ROOT / name).exists()] == []


def test_every_tier_is_told():
    assert set(re.findall(r"`(\w+)`", SECTIONS["The daily loop"])) >= tiers.TIERS.keys()


def test_the_lowest_versions_are_those_of_the_project(versions):
    assert doctest.testmod(versions).failed == 0
    tox = ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    assert tox["testenv:lowest"]["deps"].split() == versions.lowest((ROOT / "pyproject.toml").read_text())


def test_numba_has_an_upper_bound_that_can_be_raised(versions):
    text = (ROOT / "pyproject.toml").read_text()
    raised = tomllib.loads(versions.raised(text, "numba", "0.99.1"))["project"]["dependencies"]
    changed = [new for old, new in zip(PROJECT["project"]["dependencies"], raised, strict=True) if old != new]
    assert len(changed) == 1 and changed[0].startswith("numba") and changed[0].endswith(",<0.100")


def test_the_workflow_runs_what_ci_runs():
    """Actions by the hash of a commit, and no right that a job does not need."""
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "bash .ci/run" in workflow and "permissions: {}" in workflow
    used = re.findall(r"uses: (\S+)", workflow)
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action) for action in used)


def test_the_citation_has_the_version():
    assert f"\nversion: {pullback.__version__}\n" in (ROOT / "CITATION.cff").read_text()
