"""A sample of the enumerated skeletons of control flow (tests/tracer/skeletons.py); the time of long chains."""

from __future__ import annotations

import itertools

import pytest
from skeletons import INPUTS, compare, load, skeletons, text

import pullback as pb
from pullback.ir.walk import walk
from pullback.testing import check_grad

COUNT, EVERY = 6, 431


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.fuzz
@pytest.mark.parametrize("part", range(COUNT))
def test_skeletons(part, tmp_path):
    bodies = dict(itertools.islice(enumerate(skeletons()), 31 * part, None, COUNT * EVERY // 6))
    wrong, refused = [], 0
    for (k, body), function in zip(bodies.items(), load(bodies, tmp_path)):
        found = compare(function, INPUTS[part % 3 :: 3])
        refused += bool(found) and all("('refused'" in line for line in found)
        if found and not all("('refused'" in line for line in found):
            wrong.append("\n".join([f"-- {k}", text("f", body), *found]))
    assert not wrong, "\n".join(wrong[:5])
    assert refused <= len(bodies) // 20


def test_gradients_of_skeletons(tmp_path):
    bodies = dict(itertools.islice(enumerate(skeletons()), 7, None, 2003))
    for function in load(bodies, tmp_path):
        for n in (0, 2):
            try:
                function(1.25, n)
            except Exception:
                continue
            check_grad(lambda x, function=function, n=n: function(x, n), 1.25)


FORMS = {
    "returns": ("if n == {k}:", "return x * {k}.0", "return x"),
    "assigns": ("if n == {k}:", "acc += x * {k}.0", "acc += x"),
    "raises": ("if n == {k}:", "acc = x * {k}.0", "raise ValueError(n)"),
    "nested": ("if x > {k}.0:", "if n > {k}: return x * {k}.0", "return x"),
}


@pytest.mark.fuzz
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["elif", "if"])
def test_many_arms_take_linear_time(form, kind, tmp_path):
    """Counted in nodes of the program: 200 arms have twice as many as 100, and nothing recurses too deep."""
    sizes = []
    head, arm, last = FORMS[form]
    for count in (100, 200):
        lines = []
        for k in range(count):
            word = "el" if k and kind == "elif" else ""
            lines += [(word + head).format(k=k + 3), "    " + arm.format(k=k + 3)]
        lines += ["else:", f"    {last}"] if kind == "elif" else [last.replace("raise", "if n < 0: raise")]
        (function,) = load({count: lines}, tmp_path)
        sizes.append(sum(1 for _ in walk(pb.trace(function, 1.5, 7).body)))
    assert not compare(function, [(1.5, 5), (1.5, count + 2), (1.5, -1), (150.5, 1), (150.5, 160)])
    assert 20 < sizes[1] < 2.2 * sizes[0]
