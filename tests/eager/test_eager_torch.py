"""pullback.eager against PyTorch: installed, or as its values were recorded (see eager_programs.py)."""

import json

import numpy as np
import pytest
from eager_programs import DATA, programs, run

import pullback
import pullback.eager as eager
from pullback.eager import compiled

RECORDED = json.loads(DATA.read_text())
PROGRAMS = programs()
try:
    import torch
except ImportError:
    torch = None


def compare(found, expected):
    assert found["dtype"] == expected["dtype"]
    tolerance = 1e-9 if "64" in found["dtype"] else 1e-5
    np.testing.assert_allclose(found["out"], expected["out"], tolerance, tolerance)
    assert found["grads"].keys() == expected["grads"].keys()
    for name, value in expected["grads"].items():
        np.testing.assert_allclose(found["grads"][name], value, tolerance, tolerance, err_msg=name)


def test_about_150_programs_are_compared():
    assert len(PROGRAMS) >= 150 and RECORDED.keys() - {"made by"} == PROGRAMS.keys()


@pytest.mark.compiled
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_recorded_from_pytorch(name):
    compare(run(eager, PROGRAMS[name]), RECORDED[name])


@pytest.mark.peer
@pytest.mark.skipif(torch is None, reason="PyTorch is not installed: python -m pip install '.[bench]'")
@pytest.mark.parametrize("name", PROGRAMS)
def test_as_pytorch_computes_now(name):
    compare(run(eager, PROGRAMS[name]), run(torch, PROGRAMS[name]))


@pytest.mark.fuzz
@pytest.mark.parametrize("name", PROGRAMS)
def test_generated_code_agrees(name, monkeypatch):
    """What the third backward compiles, here run as Python, gives the same gradients."""
    monkeypatch.setattr(compiled, "COMPILE_AT", 1)
    with pullback.options(jit=False, cache=False):
        compiled._exact.clear()
        compiled._structures.clear()
        compare(run(eager, PROGRAMS[name]), RECORDED[name])
        broken = [s.broken for s in compiled._structures.values() if s.broken]
        compiled._exact.clear()
        compiled._structures.clear()
    assert not broken
