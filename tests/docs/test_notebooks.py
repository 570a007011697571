"""The notebooks in examples/ run from top to bottom and print what they show.

`python tests/docs/test_notebooks.py` runs them and writes the outputs anew. A cell with the tag "varies" shows numbers
that depend on the machine (a picture in characters): its output is as long as it was. The autograd notebook
shows errors and random numbers: test_eager.py goes through it.
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = ("fit_a_model", "how_reverse_mode_works", "kalman_filter", "ode", "stencil_inverse_problem")


def load(name):
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text())


def outputs(notebook, directory):
    """What each code cell prints."""
    scope = {"__name__": "notebook"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] != "code":
            continue
        file = Path(directory) / f"cell_{number}.py"  # a file, because pullback reads the source
        file.write_text("".join(cell["source"]) + "\n")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(file.read_text(), str(file), "exec"), scope)
        yield cell, printed.getvalue()


def shown(cell):
    return "".join("".join(output["text"]) for output in cell["outputs"])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_prints_what_it_shows(name, tmp_path):
    cells = list(outputs(load(name), tmp_path))
    assert any(text for _, text in cells)
    for cell, text in cells:
        if "varies" in cell["metadata"].get("tags", ()):
            text = text and shown(cell)[: len(text)]
        assert text == shown(cell), f"{name}: python tests/docs/test_notebooks.py writes the outputs anew"


def test_every_notebook_is_tested():
    found = {path.stem for path in EXAMPLES.glob("*.ipynb")}
    assert found == {*NOTEBOOKS, "torch_autograd_notebook"}


def rewrite(name):
    notebook = load(name)
    with tempfile.TemporaryDirectory() as folder:
        for count, (cell, text) in enumerate(outputs(notebook, folder), start=1):
            stream = {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
            cell["execution_count"], cell["outputs"] = count, [stream] if text else []
    path = EXAMPLES / f"{name}.ipynb"
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    for name in sys.argv[1:] or NOTEBOOKS:
        rewrite(name)
