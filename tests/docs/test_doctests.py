"""The examples in docstrings are true."""

import doctest
import importlib

import pytest
from test_house import FILES, module_of, name_of

SKIPPED = {"api/__main__.py", "api/command/demo.py"}
"""Programs, not modules to import."""


@pytest.mark.parametrize("path", [p for p in FILES if name_of(p) not in SKIPPED], ids=name_of)
def test_examples_in_docstrings(path):
    module = importlib.import_module(".".join(["pullback", *module_of(path)]))
    failed, _ = doctest.testmod(module)
    assert failed == 0
