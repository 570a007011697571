"""Functions that change what decided how they are traced: right at each call, and said once."""

from __future__ import annotations

import collections
import gc
import warnings
import weakref

import numpy as np
import pytest

import pullback as pb

X = np.array([0.5, -1.0, 2.0])


class State:
    def __init__(self):
        self.history, self.log, self.text, self.ready, self.n = [1.0], {}, "", False, 0
        self.last, self.phase = None, "warm"
        self.queue = collections.deque([0.0], maxlen=2)


def last_of_a_list(o, v):
    o.history.append(v)
    return v + 0.1 * o.history[-2]


def length_of_a_list(o, v):
    o.history.append(v)
    return v * len(o.history)


def new_keys(o, v):
    o.log[f"loss {len(o.log)}"] = v
    return v


def text(o, v):
    o.text += "."
    return v


def counter(o, v):
    o.n += 1
    return v * o.n


def separate(o, v):
    v = v if o.last is None else v + 0.1 * o.last
    o.last = v
    o.history.append(v)
    return v


def set_once(o, v):
    if not o.ready:
        o.ready, o.phase = True, "run"
    return v * len(o.phase)


def toggled(o, v):
    o.ready = not o.ready
    return v if o.ready else 2.0 * v


def queue(o, v):
    o.queue.append(v)
    return v + sum(o.queue)


def called(use, times=7):
    """The warnings of some calls, whose values and effects are as in Python."""
    ours, plain = State(), State()
    loss = pb.jit(lambda x: use(ours, np.sum(x * x)))
    with pb.options(jit=False, cache=False), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(times):
            assert np.isclose(loss(X + k), use(plain, np.sum((X + k) ** 2)))
            assert vars(ours) == vars(plain)
    said = [w for w in caught if w.category is RuntimeWarning]
    assert all(w.filename == __file__ for w in said)
    return [str(w.message) for w in said], loss


@pytest.mark.parametrize("use, what, advice", (
    (last_of_a_list, "history", "self.last = v"), (length_of_a_list, "history", "self.n += 1"),
    (new_keys, "log", "fixes its length"), (text, "ours.text", "text, flags and None decide"),
))  # fmt: skip
def test_said_once(use, what, advice):
    said, loss = called(use)
    assert loss._traceable.traces == 7
    assert len(said) == 1 and f"is traced again at each call, because it changes {what}" in said[0]
    assert advice in said[0]
    assert len(next(iter(loss._traceable.forms.values())).all) <= 4  # what no call fits any more is dropped


@pytest.mark.parametrize("use", (counter, separate, set_once, toggled, queue))
def test_not_said(use):
    said, loss = called(use)
    assert said == [] and loss._traceable.traces <= 3


def test_advice_that_is_followed():
    """The same as `last_of_a_list` without a trace for each call."""
    assert called(separate)[1]._traceable.traces == 2


def test_traces_go_with_their_function():
    """What was made for a function that nobody has any more is freed."""
    def made():
        w = np.ones(3)
        return pb.grad(lambda x: np.sum(x * w))

    with pb.options(jit=False, cache=False):
        gradient = made()
        gradient(X)
        gone = weakref.ref(gradient)
        del gradient
        gc.collect()
        assert gone() is None
