"""What a first call that takes long says: the line in a terminal, and the notes of its timings."""

from __future__ import annotations

import io
import sys
import time

import numpy as np
import pytest

import pullback as pb
from pullback.runtime import progress, timings


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closed(io.StringIO):
    def isatty(self):
        raise ValueError("closed")


def wait(stage):
    with timings.recording() as times, progress.shown("grad of f", times), timings.stage(stage):
        time.sleep(0.1)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(progress, "AFTER", 0.01)


def test_a_terminal_shows_a_long_compilation(soon, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    wait("compile")
    shown = sys.stderr.getvalue()
    assert shown.startswith("\rpullback: compiling grad of f") and "progress=False" in shown
    assert shown.endswith(" \r")  # and takes it back


@pytest.mark.parametrize("stream", [io.StringIO, Closed, lambda: None])
def test_nothing_else_shows_it(stream, soon, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    wait("compile")
    assert not stream() or sys.stderr.getvalue() == ""


def test_not_if_it_is_off_or_fast_or_runs(soon, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pb.options(progress=False):
        wait("compile")
    wait("run")
    monkeypatch.setattr(progress, "AFTER", 10.0)
    wait("compile")
    assert sys.stderr.getvalue() == ""


def test_a_notebook_shows_it(monkeypatch):
    stream = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", stream)
    assert progress.watched()


def test_a_transform_shows_it(monkeypatch):
    """From the first call of grad and of vjp, not from the second."""
    monkeypatch.setattr(progress, "AFTER", 0.0)
    with pb.options(jit=False, cache=False):
        for make in (lambda: pb.grad(lambda x: np.sum(np.sin(x) * x)), lambda: lambda x: pb.vjp(np.sin, x)):
            monkeypatch.setattr(sys, "stderr", Terminal())
            function = make()
            function(np.ones(3))
            first = sys.stderr.getvalue()
            function(np.ones(3))
            assert sys.stderr.getvalue() == first


def test_timings_say_what_was_written_out():
    def f(params, x):
        for p in params:
            x = np.sin(x * p["w"]) + p["b"]
        return np.sum(x)

    params = [{"w": 0.5 + 0.01 * k, "b": np.ones(k % 3 + 1).sum()} for k in range(25)]
    gradient = pb.grad(f)
    with pb.options(jit=False, cache=False):
        gradient(params, np.ones(3))
    assert [n for n in gradient.timings.notes if n.startswith("written out 25 times: line")]
    assert "for p in params:" in str(gradient.timings)
    short = pb.grad(f)
    with pb.options(jit=False, cache=False):
        short(params[:5], np.ones(3))
    assert short.timings.notes == []
