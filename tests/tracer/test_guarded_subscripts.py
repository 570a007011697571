"""A subscript that a condition guards is no error where the condition does not hold: at size 0, and beyond the end."""

from __future__ import annotations

import itertools
import linecache

import numpy as np
import pytest

import pullback as pb

CONDITIONS = (
    "{k} < len(y)",
    "y.shape[0] > {k}",
    "len(y) - {k} > 0",
    "not {k} >= y.size",
    "0 <= {k} < len(y)",
    "t < 5.0 and {k} < len(y)",
    "len(y) and {k} <= len(y) - 1",
)
PLACES = (
    "1",
    "3",
    "k",
    "int(t)",
    "a[0]",
)
FORMS = {
    "if": "if {c}:\n    s = s + y[{k}]",
    "else": "if not ({c}):\n    s = s + 1.0\nelse:\n    s = s + y[{k}]",
    "expression": "s = s + (y[{k}] if {c} else 0.5)",
    "in a branch": "if {c}:\n    if t > 0.0:\n        s = s + y[{k}] * t",
    "behind a branch": "if t > 0.0:\n    if {c}:\n        s = s + y[{k}] * t",
    "while": "while {c} and s < 9.0:\n    s = s + 5.0 * y[{k}]",
    "and": "if {c} and y[{k}] > 0.1:\n    s = s + y[{k}]",
    "loop": "for j in range(2):\n    if {c}:\n        s = s + y[{k}] * j",
    "return": "if {c}:\n    return s + y[{k}]",
    "write": "z = y * 2.0\nif {c}:\n    z[{k}] = t\ns = s + np.sum(z)",
    "row": "Y = np.stack([y, y], 1)\nif {c}:\n    s = s + np.sum(Y[{k}])",
    "slice": "if {c}:\n    s = s + np.sum(y[{k}:] * y[{k}])",
    "early": "if not ({c}):\n    return s\ns = s + y[{k}]",
}
CALLS = [
    (np.array([]), 1, 0.5, np.array([0])),
    (np.array([0.7]), 0, 1.5, np.array([0])),
    (np.array([0.7, 0.2, 0.4]), 3, 2.5, np.array([2])),
    (np.array([0.7, 0.2, 0.4, 0.9]), 2, 3.5, np.array([7])),
    (np.array([0.7, 0.2, 0.4, 0.9]), 9, 0.5, np.array([3])),
]
PROGRAMS = list(itertools.product(FORMS, CONDITIONS, PLACES))


def program(form: str, condition: str, place: str):
    text = FORMS[form].format(c=condition.format(k=place), k=place)
    source = "def f(y, k, t, a):\n    s = np.sum(y)\n" + "".join(f"    {line}\n" for line in text.splitlines())
    source += "    return s * 1.0\n"
    file = f"<guarded {form} {condition} {place}>"
    linecache.cache[file] = len(source), None, source.splitlines(keepends=True), file
    names = {"np": np}
    exec(compile(source, file, "exec"), names)
    return names["f"], source


def check(form: str, condition: str, place: str) -> None:
    f, source = program(form, condition, place)
    traced = pb.jit(f)
    for y, k, t, a in CALLS:
        found, expected = traced(y, k, t, a), f(y, k, t, a)
        assert np.isclose(found, expected), f"{source}\n{y, k, t, a}: {found} for {expected}"
    pb.grad(f)(*CALLS[0])
    steps = [np.eye(4)[i] * 1e-6 for i in range(4)]
    y, *rest = CALLS[3]
    slopes = [(f(y + h, *rest) - f(y - h, *rest)) / 2e-6 for h in steps]
    assert np.allclose(pb.grad(f)(y, *rest), slopes, atol=1e-6), source


@pytest.mark.parametrize("form", FORMS)
def test_no_false_bounds_error(form):
    with pb.options(jit=False, cache=False):
        for _, condition, place in [p for p in PROGRAMS if p[0] == form][list(FORMS).index(form) % 5 :: 5]:
            check(form, condition, place)


def test_loops_that_do_not_run():
    def f(y, n):
        i, s = 0, 0.0
        while i < n:
            s = s + y[i]
            i += 1
        for j in range(n):
            s = s + y[j] * y[n - 1 - j]
        for row in range(2, len(y) - 2):
            s = s + y[row - 2] * y[row + 2]
        while i < y.shape[0] and y[i] > 0.5:
            s = s + y[i]
            i += 1
        return s * 1.0

    with pb.options(jit=False, cache=False):
        traced = pb.jit(f)
        for size, n in ((0, 0), (3, 0), (1, 1), (5, 2), (0, 0)):
            y = np.linspace(1.0, 0.3, size)
            assert np.isclose(traced(y, n), f(y, n)) and pb.grad(f)(y, n).shape == (size,)


if __name__ == "__main__":
    with pb.options(jit=False, cache=False):
        for one in PROGRAMS:
            try:
                check(*one)
            except Exception as error:
                print(one, type(error).__name__, str(error)[:300])
