"""The tiers of tests: each test is in one, by its folder or by a mark of its own, and `pytest -m TIER` runs one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TIERS = {
    "unit": "nothing is compiled, no process is started: the loop of daily work, under a minute",
    "compiled": "numba compiles",
    "process": "starts processes or threads",
    "fuzz": "random and enumerated programs",
    "docs": "what the pages, notebooks and docstrings say is true",
    "peer": "needs a library that pullback does not depend on",
    "browser": "needs Chromium and its driver",
    "dask": "needs Dask, and starts a cluster",
}
FOLDERS = {
    "ir": "unit",
    "tracer": "unit",
    "codegen": "unit",
    "runtime": "unit",
    "api": "unit",
    "eager": "unit",
    "house": "unit",
    "processes": "process",
    "docs": "docs",
    "fuzz": "fuzz",
    "wild": "fuzz",
}
"""What tests are that have no mark of their own."""
NEEDING = ("peer", "browser", "dask")
"""Tiers whose tests skip where their library is missing, and fail under PULLBACK_REQUIRE_PEERS=1."""


def of(item: pytest.Item) -> set[str]:
    return {mark.name for mark in item.iter_markers()} & TIERS.keys()


def assign(item: pytest.Item) -> None:
    """Mark a test by its folder, unless it has a mark."""
    place = FOLDERS.get(item.path.relative_to(HERE).parts[0])
    if place is not None and not of(item):
        item.add_marker(place)


def required(report: Any) -> None:
    """Make a skip a failure, where every library is said to be there."""
    if report.skipped and os.environ.get("PULLBACK_REQUIRE_PEERS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped where no library may be missing: {report.longrepr}"
