"""Every pass verifies what it made while tests run, and memory that nobody has filled is nan."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import uninitialised

# Modules that tests share are imported by their names, whichever room they lie in.
sys.path[:0] = sorted({str(path.parent) for path in Path(__file__).parent.rglob("*.py")})
os.environ.setdefault("PULLBACK_CHECK", "1")


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=300, help="how many random programs test_fuzz.py tries")
    parser.addoption("--compiled", action="store_true", help="compile every tenth of all of them")


@pytest.fixture(autouse=True, scope="session")
def nothing_reads_unset_memory():
    """What uncompiled generated code allocates and does not fill is nan in every test."""
    with pytest.MonkeyPatch.context() as patch:
        uninitialised.install(patch.setattr)
        yield


@pytest.fixture
def rng(request):
    """Random numbers, the same ones for a test whenever it runs."""
    return np.random.default_rng(sum(map(ord, request.node.name)))
