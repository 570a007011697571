"""Where the time of a first call goes: as data, and printed if asked for."""

import numpy as np

import pullback as pb
from pullback.runtime import timings

x = np.ones(3)


def test_the_first_call_is_recorded_and_repeated_ones_are_not(capsys):
    g = pb.grad(lambda v: np.sum(v * v))
    assert g.timings.seconds == {} and g.timings.total == 0.0
    with pb.options(jit=False, cache=False):
        g(x)
        first = g.timings
        assert list(first.seconds) == ["trace", "optimise", "differentiate", "generate", "import", "run"]
        assert all(s >= 0.0 for s in first.seconds.values()) and sum(first.seconds.values()) <= first.total
        g(x)
        g(x + 1.0)
        assert g.timings is first
        g(x.astype("f4"))
        assert g.timings is not first and "trace" in g.timings.seconds
    assert capsys.readouterr().out == ""


def test_printed(capsys):
    def loss(v):
        return np.sum(v * v)

    with pb.options(jit=False, cache=False, timings=True):
        g = pb.value_and_grad(loss)
        g(x)
        out = capsys.readouterr().out
        assert out.startswith("<pullback.value_and_grad of loss>: first call: ") and "\n  trace " in out
        g(x)
        assert capsys.readouterr().out == ""
        pb.vjp(loss, x)
        assert "<pullback.vjp of loss>: first call" in capsys.readouterr().out


def test_stages_count_for_themselves_alone(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(timings.time, "perf_counter", lambda: float(next(clock)))
    with timings.stage("outside of a recording"):
        pass
    with timings.recording() as times:  # 0
        with timings.stage("outer"):  # 1
            with timings.stage("inner", "a"):  # 2 to 3
                pass
            with timings.stage("inner", "b"):  # 4 to 5
                pass
        with timings.stage("outer"):  # 7 to 8, after the end of the first at 6
            pass
    assert times.seconds == {"inner": 2.0, "outer": 5.0 - 2.0 + 1.0} and times.total == 9.0
    assert "a 1.000, b 1.000" in str(times)
