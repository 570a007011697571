"""The pages of docs/ whose blocks of text are what the code before them prints.

`python tests/test_printed_pages.py` writes what is printed now into the pages.
"""

import contextlib
import io
import linecache
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("inspect.md", "sympy.md")
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def outputs(page):
    """The page with what its blocks print now, and their variables."""
    path = DOCS / page
    scope = {}
    printed = []

    def run(match):
        kind, text = match.groups()
        if kind == "text":
            return f"```text\n{printed[-1]}```\n"
        file = f"{path}, block {len(printed)}"  # with a source, because functions are traced by it
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(text, file, "exec"), scope)
        printed.append(out.getvalue())
        return match[0]

    return BLOCK.sub(run, path.read_text()), scope


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_what_its_code_prints(page):
    text, scope = outputs(page)
    assert text == (DOCS / page).read_text()
    assert text.count("```text\n") >= 6
    if page == "sympy.md":
        assert scope["checked"] == 3 and text.count("the difference is 0") >= 8 and text.count("True\n```") == 3


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(outputs(name)[0])
