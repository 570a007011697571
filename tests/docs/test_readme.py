"""The README's example is real output. `python tests/docs/test_readme.py` writes the blocks anew."""

import contextlib
import io
import re
import tempfile
from pathlib import Path

import pytest

from pullback.testing import check_grad

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"(<!-- example: (\w+) -->\n```(?:python)?\n)(.*?)(```)", re.DOTALL)


def blocks():
    return {name: text for _, name, text, _ in BLOCK.findall(README.read_text())}


def outputs(directory):
    """What the example prints, and its stages."""
    file = Path(directory) / "example.py"  # a file, because pullback reads the source
    file.write_text(blocks()["code"])
    scope = {"__name__": "example"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(file.read_text(), str(file), "exec"), scope)
    energy = scope["energy"]
    stages = {name: str(getattr(energy, name)).strip() + "\n" for name in ("ir", "adjoint_ir", "source")}
    return {"printed": printed.getvalue(), **stages}, scope


@pytest.mark.parametrize("name", ["printed", "ir", "adjoint_ir", "source"])
def test_the_readme_shows_what_comes_out(name, tmp_path):
    found, _ = outputs(tmp_path)
    assert blocks()[name] == found[name]


def test_the_example_is_right(tmp_path):
    _, scope = outputs(tmp_path)
    check_grad(scope["energy"].__wrapped__, scope["x"], 2.0)


def rewrite(directory):
    found, _ = outputs(directory)
    text = BLOCK.sub(lambda m: m[1] + found.get(m[2], m[3]) + m[4], README.read_text())
    README.write_text(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        rewrite(folder)
