"""Lists of which only a run knows how long they are: as results, and turned round by zip(*rows)."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import pullback as pb
from pullback.testing import check_grad

X = np.array([0.9, 0.4, 1.3, 0.2, 0.7])
Pair = namedtuple("Pair", "value row")


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


def doubled(x):
    found, value = [], x[0]
    while value < 5.0:
        found.append(value)
        value = value * 1.7
    return found


def in_a_dict(x):
    rows, ones = [], []
    for v in x:
        if v > 0.5:
            rows.append((v * v, v * x))
            ones.append(1)
    return {"rows": rows, "ones": ones, "sum": x.sum()}


RETURNED = {
    "numbers": doubled,
    "in a dict": in_a_dict,
    "none": lambda x: ([v for v in x if v > 9.0], x * 2.0),
    "comprehension": lambda x: [2.0 * v for v in x if v > 0.5],
    "tuples with text": lambda x: [("a", 2.0 * v, None) for v in x if v > 0.5],
    "lists": lambda x: [[v, [v * v, x]] for v in x if v > 0.5],
    "named tuples": lambda x: [Pair(v, x * v) for v in x if v > 0.5],
    "tolist": lambda x: x[x > 0.5].tolist(),
    "floats": lambda x: [float(v) for v in x if v > 0.5],
    "columns": lambda x: tuple(zip(*[(v, v * x) for v in x if v > 0.5])),
    "lists of columns": lambda x: list(map(list, zip(*[(v, 2.0 * v) for v in x if v > 0.5]))),
}


@pytest.mark.parametrize("name", RETURNED)
def test_a_list_is_returned(name):
    f = RETURNED[name]
    check_grad(f, X, directions=2)
    assert _kinds(pb.jit(f)(X)) == _kinds(f(X))


def _kinds(value):
    if isinstance(value, dict):
        return {k: _kinds(v) for k, v in value.items()}
    return (type(value), [_kinds(v) for v in value]) if isinstance(value, (tuple, list)) else type(value)


def test_other_lengths_are_no_other_trace():
    f = pb.jit(RETURNED["comprehension"])
    for x in (X, X + 1.0, -X, X[:2]):
        assert f(x) == RETURNED["comprehension"](x)
    assert f._traceable.traces == 1


def test_transforms_of_lists():
    f = RETURNED["comprehension"]
    y, pull = pb.vjp(f, X)
    assert pull([1.0, 10.0, 100.0])[0].tolist() == [2.0, 0.0, 20.0, 0.0, 200.0]
    assert [row.tolist() for row in pb.jacobian(f)(X)] == [(2.0 * row).tolist() for row in np.eye(5)[[0, 2, 4]]]
    assert pb.jvp(f, (X,), (np.arange(5.0),)) == (y, [0.0, 4.0, 8.0])
    with pytest.raises(ValueError, match=r"the seed\[:\] has shape"):
        pull([1.0])
    with pytest.raises(TypeError, match="the seed should be a list"):
        pull(1.0)

    def twice(x):
        y, pull = pb.vjp(lambda x: [v * v for v in x if v > 0.5], x)
        return sum(y) + pull([2.0 * v for v in y])[0].sum()

    check_grad(twice, X, directions=2)


@pytest.mark.compiled
def test_a_list_comes_from_compiled_code():
    with pb.options(jit=True):
        f = pb.jit(in_a_dict)
        for x in (X, X + 1.0, X * 0.1, X):
            (rows, ones, _), (own, own_ones, _) = f(x).values(), in_a_dict(x).values()
            assert np.allclose([r[0] for r in rows], [r[0] for r in own]) and ones == own_ones
        check_grad(in_a_dict, X, directions=2)


def near(places, values, at):
    inside = list(filter(lambda p: -1.0 <= (p[0] - at) / 0.5 <= 1.0, zip(places, values)))
    if len(inside) > 0:
        places, values = zip(*inside)
        return np.sum(np.array(places) * np.array(values)) * len(places)
    return 0.0


TURNED = {
    "unpacked": lambda x: near(x, 2.0 * x, 0.5),
    "arrays": lambda x: np.array(list(zip(*[(v, v * v) for v in x if v > 0.5]))),
    "sums": lambda x: [sum(column) for column in zip(*[(v, v * v, 1) for v in x if v > 0.5])],
    "first": lambda x: next(zip(*[(v * v, 1) for v in x if v > 0.5]))[1],
    "nested": lambda x: np.array([p[0] for p in list(zip(*[((v, v * v), 1) for v in x if v > 0.5]))[0]]),
}


@pytest.mark.parametrize("name", TURNED)
def test_rows_are_turned_round(name):
    check_grad(TURNED[name], X, directions=2)


def test_no_rows_are_refused():
    with pytest.raises(pb.PullbackError, match="zip.*of no rows"):
        pb.vjp(lambda x: [sum(c) for c in zip(*[(v, 1.0) for v in x if v > 9.0])], X)
