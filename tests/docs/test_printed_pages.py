"""The pages of docs/ whose blocks of text are what the code before them prints.

A block may end with an error: the text after it shows that. `python tests/docs/test_printed_pages.py` writes what is
printed now into the pages.
"""

import contextlib
import io
import linecache
import re
from pathlib import Path

import pytest

from pullback import PullbackError

DOCS = Path(__file__).parents[2] / "docs"
HOW = [f"how/{path.name}" for path in sorted((DOCS / "how").glob("*.md"))]
PAGES = (
    "inspect.md", "sympy.md", "index.md", "supported.md", "errors.md", "coming-from.md", "derivatives.md", "sparse.md",
    "rules.md",
    *HOW,
)  # fmt: skip
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)


def outputs(page):
    """The page with what its blocks print now, and their variables."""
    path = DOCS / page
    scope = {"__name__": "page"}
    printed = []
    unseen: list[Exception] = []  # errors that no block of text has shown yet

    def run(match):
        kind, text = match.groups()
        if kind == "text":
            unseen.clear()
            return f"```text\n{printed[-1]}```\n"
        if unseen:
            raise unseen[0]
        file = f"{path}, block {len(printed)}"  # with a source, because functions are traced by it
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            try:
                exec(compile(text, file, "exec"), scope)
            except (PullbackError, OverflowError) as error:
                unseen.append(error)
                print(f"{type(error).__name__}: {error}")
        printed.append(out.getvalue().replace(file, "example.py"))
        return match[0]

    text = BLOCK.sub(run, path.read_text())
    if unseen:
        raise unseen[0]
    return text, scope


@pytest.mark.parametrize("page", PAGES)
def test_the_page_shows_what_its_code_prints(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a page may write files
    text, scope = outputs(page)
    assert text == (DOCS / page).read_text()
    assert text.count("```text\n") >= (6 if page in ("inspect.md", "sympy.md") else 1)
    if page == "sympy.md":
        assert scope["checked"] == 3 and text.count("the difference is 0") >= 8 and text.count("True\n```") == 3


if __name__ == "__main__":
    for name in PAGES:
        (DOCS / name).write_text(outputs(name)[0])
