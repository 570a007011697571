"""Every construct of the table: value and gradient against plain Python and its differences; one in ten compiled."""

from __future__ import annotations

import construct
import construct_classes  # noqa: F401
import construct_functions  # noqa: F401
import numpy as np
import pytest

import pullback as pb

NAMES = [f"{k}-{c.name}" for k, c in enumerate(construct.TABLE)]


def check(case):
    value, gradient = construct.run(case, pb.value_and_grad)
    np.testing.assert_allclose(value, case.function(*case.args), rtol=1e-12)
    for ours, theirs in zip(gradient, construct.differences(case), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("case", construct.TABLE, ids=NAMES)
def test_construct(case):
    with pb.options(jit=False, cache=False):
        check(case)


@pytest.mark.parametrize("case", construct.TABLE[::10], ids=NAMES[::10])
def test_compiled(case):
    check(case)
