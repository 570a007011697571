"""Every pass verifies what it made while tests run, and memory that nobody has filled is nan."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tiers
import uninitialised
from numba.core import event

# Modules that tests share are imported by their names, whichever room they lie in.
sys.path[:0] = sorted({str(path.parent) for path in Path(__file__).parent.rglob("*.py")})
os.environ.setdefault("PULLBACK_CHECK", "1")


def pytest_addoption(parser):
    parser.addoption("--fuzz", type=int, default=300, help="how many random programs test_fuzz.py tries")
    parser.addoption("--compiled", action="store_true", help="compile every tenth of all of them")
    parser.addoption("--update-pairs", action="store_true", help="write anew what passes make of their pairs")
    parser.addoption("--update-golden", action="store_true", help="write anew what is generated for kernels")


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


# -- tiers -------------------------------------------------------------------------------------------------


def pytest_configure(config):
    for name, meaning in tiers.TIERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        tiers.assign(item)


class Compiles(event.Listener):
    """Stops numba where a test of the tier `unit` compiles."""

    unit = seen = False
    why = "a test of the tier `unit` compiles: give it @pytest.mark.compiled"

    def on_start(self, _):
        if self.unit:
            self.seen = True
            raise AssertionError(self.why)

    def on_end(self, _):
        pass


COMPILES = Compiles()
event.register("numba:compile", COMPILES)


@pytest.fixture(autouse=True)
def units_compile_nothing(request):
    COMPILES.unit, COMPILES.seen = "unit" in tiers.of(request.node), False
    yield
    COMPILES.unit = False
    assert not COMPILES.seen, COMPILES.why


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if tiers.of(item) & set(tiers.NEEDING):
        tiers.required(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    tiers.required(report)
    return report
