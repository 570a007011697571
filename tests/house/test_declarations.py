"""Operations and dtypes are described in their declarations: no table of their names stands anywhere else."""

import ast
from pathlib import Path

import pytest
from test_house import FILES, name_of

from pullback.codegen.emit.spelling import TEMPLATES, template
from pullback.ir.primitive import REGISTRY, Kind
from pullback.ir.types import DTYPES

OTHER_WORDS = {
    "api/eager/": "names of PyTorch's functions and methods",
    "api/export/check.py": "Python's min and max",
    "api/export/helpers.py": "names of functions of runtime/support.py",
    "codegen/emit/spelling.py": "the generator's own table: one row per operation that it spells in a way of its own",
    "ir/ops/": "the declarations",
    "runtime/": "names in the text of generated Python, and of functions of libm",
    "tracer/values/arithmetic.py": "names of Python's operators",
    "tracer/numpy/pynumbers.py": "names of Python's operators",
    "tracer/numpy/stats.py": "names of functions of scipy.special",
}
"""Where words that happen to be names of operations stand together, and what they name there."""


BY_DTYPE = {
    "ir/types.py": "the rows",
    "ir/ops/arith.py": "which conversions are exact",
    "runtime/entry/text.py": "functions of CPython that make a number",
}
"""Where three dtypes or more stand together."""


def tables(path: Path, words: set[str], least: int = 2) -> list[str]:
    """Tuples, lists, sets and keys of dicts with so many of these words or more."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items) | ast.Dict(keys=items):
                named = [i.value for i in items if isinstance(i, ast.Constant) and i.value in words]
                if len(named) >= least:
                    found.append(f"{name_of(path)}:{node.lineno}: {', '.join(named)}")
    return found


def is_exempt(path: Path) -> bool:
    return any(name_of(path).startswith(place) for place in OTHER_WORDS)


@pytest.mark.parametrize("path", [p for p in FILES if not is_exempt(p)], ids=name_of)
def test_no_table_of_operations_away_from_the_declarations(path):
    assert tables(path, set(REGISTRY)) == [], "ask for the kind or a trait of the operation"


@pytest.mark.parametrize("place", OTHER_WORDS)
def test_each_exemption_is_needed(place):
    files = [p for p in FILES if name_of(p).startswith(place)]
    assert any(tables(p, set(REGISTRY)) for p in files), f"{place} has no such table: {OTHER_WORDS[place]}"


def test_a_table_is_found(tmp_path, monkeypatch):
    """The rule itself: by pairs, whatever holds them."""
    monkeypatch.setattr("test_declarations.name_of", lambda path: path.name)
    for k, text in enumerate(('X = ("add", "sub")', 'f(["zeros", 1, "empty"])', '{"max": 1, "min": 2}')):
        path = tmp_path / f"table{k}.py"
        path.write_text(text)
        assert len(tables(path, set(REGISTRY))) == 1
    path.write_text('X = ("add", 1)\nY = "sub"')
    assert tables(path, set(REGISTRY)) == []


# -- declarations and the generator's table --------------------------------------------------------------


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if op.kind is Kind.ELEMENTWISE], ids=repr)
def test_the_generator_spells_each_operation_on_numbers(op):
    spelled = template(op)
    assert spelled is not None, "its function is no ufunc of NumPy: it needs a row in TEMPLATES"


def test_the_generator_spells_nothing_that_is_not_declared():
    assert not TEMPLATES.keys() - REGISTRY.keys()


@pytest.mark.parametrize("op", REGISTRY.values(), ids=repr)
def test_what_a_declaration_says_of_other_operations(op):
    assert op.step is None or op.step in REGISTRY
    assert (op.step is not None) == (op.kind in (Kind.REDUCE, Kind.SCAN)), "the step of a reduction or a scan"
    assert op.accumulates in (None, "total", "largest", "smallest")
    if op.kind in (Kind.READ, Kind.WRITE, Kind.UPDATE):
        assert len(op.text.split("{1}")) == 2, "the subscript is the second operand"


@pytest.mark.parametrize("row", DTYPES.values(), ids=lambda row: row.name)
def test_a_dtype_is_one_row(row):
    assert row.numpy.name[0] == row.name[0] and (row.name == "bool" or row.name[1:] == str(8 * row.numpy.itemsize))
    assert f"to_{row.name}" in REGISTRY, "each dtype has its conversion"
    assert row.floats is None or DTYPES[row.floats].is_float


def test_a_table_of_dtypes_is_a_column_of_their_rows():
    assert [name_of(p) for p in FILES if tables(p, set(DTYPES), least=3)] == sorted(BY_DTYPE)
