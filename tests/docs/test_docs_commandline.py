"""The examples of docs/commandline.md and docs/explain.md are what comes out.

`python tests/docs/test_docs_commandline.py` writes the outputs anew.
"""

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pullback.command.cli import main

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = DOCS / "commandline.md"
FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n\$ pullback ([^\n]*)\n(.*?)```", re.DOTALL)
EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```(?:python)?\n(.*?)```", re.DOTALL)


@contextlib.contextmanager
def folder_of_the_examples(directory):
    """In a folder with the page's files; imports of them are forgotten afterwards."""
    before, path = os.getcwd(), list(sys.path)
    for name, text in FILE.findall(COMMANDS.read_text()):
        (Path(directory) / name).write_text(text)
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path
        sys.modules.pop("model", None)


def output_of(command):
    """What a command line prints, both streams."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        sys.modules.pop("model", None)
        main(shlex.split(command))
    return re.sub(r'File ".*?([^/"]+)"', r'File "\1"', printed.getvalue())


def without_sizes(text):
    """How many steps, kB and lines there are changes with every pass."""
    return re.sub(r"\d+ (steps|kB|lines)", r"N \1", text)


@pytest.mark.parametrize("command, expected", CONSOLE.findall(COMMANDS.read_text()))
def test_commands_print_what_the_page_says(command, expected, tmp_path):
    with folder_of_the_examples(tmp_path):
        assert without_sizes(output_of(command)) == without_sizes(expected)


def test_the_pages_code_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = dict(EXAMPLE.findall((DOCS / "explain.md").read_text()))
    file = tmp_path / "example.py"  # a file, because pullback reads the source
    file.write_text(blocks["code"] + blocks["graph"])
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(file.read_text(), str(file), "exec"), {"__name__": "example"})
    assert without_sizes(printed.getvalue()) == without_sizes(blocks["printed"])
    assert "misfit" in (tmp_path / "misfit.html").read_text()
    for name in ("misfit.svg", "gradient.svg"):
        assert ElementTree.fromstring((tmp_path / name).read_text()).tag.endswith("svg")


def test_pictures_of_the_pages_are_there_and_small():
    for page in (COMMANDS, DOCS / "explain.md"):
        for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text()):
            assert 10_000 < (DOCS / name).stat().st_size < 200_000


def rewrite():
    with tempfile.TemporaryDirectory() as folder, folder_of_the_examples(folder):
        text = CONSOLE.sub(
            lambda m: f"```console\n$ pullback {m[1]}\n{output_of(m[1])}```", COMMANDS.read_text()
        )
    COMMANDS.write_text(text)


if __name__ == "__main__":
    rewrite()
