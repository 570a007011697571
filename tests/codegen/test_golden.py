"""What is made of twenty kernels, as text: the program, its adjoint, and the generated code, in golden/.

`pytest -n 0 --update-golden tests/codegen/test_golden.py` writes them anew; `git diff` shows what a change does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernels import KERNELS

import pullback as pb
from pullback.tracer.outside import small_sizes

FOLDER = Path(__file__).parent / "golden"
CHOSEN = (
    "jacobi_1d", "jacobi_2d", "seidel_2d", "fdtd_2d", "cholesky", "trisolv", "gemver", "bicg", "mvt", "gemm",
    "covariance", "newton", "rk4", "time_warping", "hmm_forward", "lennard_jones", "cubic_spline", "overwritten",
    "logistic_like", "early_return",
)  # fmt: skip
STAGES = {"ir": "ir", "adjoint": "adjoint_ir", "py": "source"}
"""Endings of the files, and what is in them."""


def stages(name):
    """The text of each stage, for arguments whose sizes are symbols."""
    function, make, sizes, _ = KERNELS[name]
    args = make(np.random.default_rng(0), sizes[-1])
    floats = tuple(k for k, arg in enumerate(args) if np.asarray(arg).dtype.kind == "f")
    with pb.options(jit=False, cache=False):
        lowered = pb.grad(function, argnums=floats).lower(*args)
        return {ending: str(getattr(lowered, stage)).rstrip("\n") + "\n" for ending, stage in STAGES.items()}


def test_there_are_twenty_and_no_other_file():
    wanted = {f"{name}.{ending}" for name in CHOSEN for ending in STAGES}
    assert len(set(CHOSEN)) == 20 and {path.name for path in FOLDER.glob("*.*")} == wanted


@pytest.mark.parametrize("name", CHOSEN)
def test_golden(name, request, monkeypatch):
    monkeypatch.setattr(small_sizes, "SMALL", 1)  # sizes like 3 are traced as any other
    found = stages(name)
    for ending, text in found.items():
        path = FOLDER / f"{name}.{ending}"
        if request.config.getoption("--update-golden"):
            path.write_text(text)
        assert path.read_text() == text, "if that is right: pytest -n 0 --update-golden tests/codegen/test_golden.py"


@pytest.mark.parametrize("name", CHOSEN)
def test_it_is_read_back(name):
    for ending in ("ir", "adjoint"):
        program = pb.parse((FOLDER / f"{name}.{ending}").read_text())
        assert pb.parse(str(program)) == program
