"""The pages of docs/ that are guides: their Python runs, and prints what its comments say."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("derivatives.md", "memory.md", "njit.md", "export.md", "scipy.md", "adapters.md", "processes.md")


def installed(block):
    """Is every library there that the block imports?"""
    libraries = re.findall(r"^import (\w+)", block, re.MULTILINE)
    return all(importlib.util.find_spec(name) or name == "springs" for name in libraries)


@pytest.mark.parametrize("page", GUIDES)
def test_guide(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    source = "\n".join(filter(installed, blocks))
    path = tmp_path / "guide.py"  # in a file, because functions are traced by their source
    path.write_text(source)
    said = re.findall(r"^ *print\(.*\)  # (.*)$", source, re.MULTILINE)
    assert said, "a guide shows what it prints"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, str(path), "exec"), {"__name__": "guide"})
    if page == "derivatives.md":  # whose texts are printed by the block above
        for text in re.findall(r"^```text\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL):
            assert text in printed.getvalue(), f"{page} does not print\n{text}"
    rest = printed.getvalue()
    for text in said:
        wanted = text.partition(" = ")[2] or text
        wanted = wanted.removesuffix("...")
        assert wanted in rest, f"{page} does not print {wanted!r}: {rest}"
        rest = rest.partition(wanted)[2]
