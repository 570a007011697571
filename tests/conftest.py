"""Every pass verifies what it made while tests run."""

import os

import numpy as np
import pytest

os.environ.setdefault("PULLBACK_CHECK", "1")


@pytest.fixture
def rng(request):
    """Random numbers, the same ones for a test whenever it runs."""
    return np.random.default_rng(sum(map(ord, request.node.name)))
