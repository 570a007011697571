"""Sparsity patterns of programs: every number that is not zero is in them, and for plain programs no more."""

import numpy as np
import pytest
from irprograms import arguments, load
from random_programs import random_arguments, random_program
from samples import cases, inputs

import pullback as pb
from pullback.ir import parse
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.errors import PullbackError
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.sparsity.flow import dependences
from pullback.ir.tangent import tangent
from pullback.runtime.sparse.sets import Sets

LOADED = load()


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


def floats(program):
    return [k for k, p in enumerate(program.params) if p.type.is_float]


def pattern(program, args):
    """The pattern by all floats, as a matrix of truth values; None for a result that has no known size."""
    wrt = floats(program)
    count = sum(np.size(args[k]) for k in wrt)
    sets = Sets(count)
    flow = dependences(program, args, wrt, sets)
    rows = []
    for value, result in zip(flow.results, program.results):
        if result.type.is_float:
            handles = getattr(value, "sets", None)
            shape = (
                evaluated_shape(program, args, len(rows)) if handles is None or value.whole else handles.shape
            )
            handles = np.broadcast_to(0 if handles is None else handles, shape)
            offsets, numbers = sets.contents(handles)
            block = np.zeros((offsets.size - 1, count), bool)
            for r in range(len(block)):
                block[r, numbers[offsets[r] : offsets[r + 1]]] = True
            rows.append(block)
    return np.concatenate(rows) if rows else np.zeros((0, count), bool)


def evaluated_shape(program, args, k):
    values = [v for v, r in zip(evaluate(program, *args), program.results) if r.type.is_float]
    return np.shape(values[k])


def jacobian(program, args):
    wrt = floats(program)
    pushed = tangent(program, wrt, value=False)
    columns = []
    for k in wrt:
        for place in range(np.size(args[k])):
            dots = [np.zeros(np.shape(args[j]), program.params[j].type.numpy) for j in wrt]
            dots[wrt.index(k)].reshape(-1)[place] = 1.0
            columns.append(
                np.concatenate([np.ravel(d) for d in evaluate(pushed, *args, *dots)] or [np.zeros(0)])
            )
    return np.stack(columns, 1)


def contains(program, args, others):
    found = pattern(program, args)
    for given in [args, *others]:
        try:
            numbers = jacobian(program, given)
        except (IndexError, ZeroDivisionError):
            continue
        wrong = (numbers != 0) & ~np.isnan(numbers) & ~found  # 0 times inf is nan, where nothing depends
        assert not np.any(wrong), f"{program}\n{found.astype(int)}\n{numbers}"
    return found


@pytest.mark.parametrize("op, program, ranges", cases())
def test_the_pattern_of_every_operation(op, program, ranges):
    rng = np.random.default_rng(1)
    args = inputs(program, op, rng, ranges)
    if not op.differentiable or not floats(program) or not any(r.type.is_float for r in program.results):
        return
    others = []
    for _ in range(3):
        other = inputs(program, op, rng, ranges)
        others.append([o if p.type.is_float else a for p, a, o in zip(program.params, args, other)])
    try:
        contains(program, args, others)
    except (PullbackError, AssertionError) as error:  # no forward mode by every float of it
        assert "forward derivative" in str(error) or "neither partials nor a jvp" in str(error), str(error)


@pytest.mark.parametrize("name", LOADED)
def test_the_pattern_of_programs_and_of_their_gradients(name):
    program, settings = LOADED[name]
    rng = np.random.default_rng(2)
    if not floats(program):
        return
    args = arguments(program, settings, rng)
    others = [arguments(program, settings, rng) for _ in range(3)]
    contains(program, args, others)
    if len(program.results) == 1 and program.results[0].type.is_float and not program.results[0].type.dims:
        contains(optimise(adjoint(program, floats(program), seeds=False)), args, others)


def random_case(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    args = random_arguments(rng)
    others = []
    for _ in range(4):
        other = random_arguments(rng)
        others.append([*other[:4], *args[4:]])
    contains(program, args, others)


@pytest.mark.parametrize("start", range(0, 60, 10))
def test_the_pattern_of_random_programs(start):
    for seed in range(start, start + 10):
        random_case(seed)


EXACT = {
    "x[k]": ("def f(x: f64[5], k: i64) -> f64:\n    y: f64 = x[k]\n    return y", [2], "00100"),
    "a branch": (
        """
def f(x: f64[5], k: i64) -> f64:
    a: f64 = x[0]
    c: bool = a > 0.0
    if c:
        t: f64 = x[1]
    else:
        u: f64 = x[2]
    y: f64 = phi(t, u)
    return y""", [0], "01100",
    ),
    "a number of trips": (
        """
def f(x: f64[5], k: i64) -> f64:
    a: f64 = x[0]
    n: i64 = i64(a)
    for i in range(n):
        s: f64 = phi(1.0, s1)
        b: f64 = x[3]
        s1: f64 = s * b
    y: f64 = last(s)
    return y""", [0], "00010",
    ),
    "a place that floats choose": (
        """
def f(x: f64[5], k: i64) -> f64:
    a: f64 = x[0]
    n: i64 = i64(a)
    b: f64[3] = x[1:4]
    y: f64 = b[n]
    return y""", [0], "01110",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXACT)
def test_no_more_than_may_be(name):
    text, integers, expected = EXACT[name]
    found = pattern(parse(text), [np.ones(5), *integers])
    assert "".join(map(str, found[0].astype(int))) == expected


if __name__ == "__main__":
    with pb.options(jit=False):
        for seed in range(60, 3000):
            random_case(seed)
