"""Loops that are done again by the reverse sweep give the gradient of those that save."""

import functools
import math

import numpy as np
import pytest
from random_programs import random_arguments, random_program

from pullback.ir.adjoint import checkpoint
from pullback.ir.adjoint.reverse_mode import adjoint, saved_report, split_adjoint
from pullback.ir.evaluate import evaluate
from pullback.ir.ops.math import sin
from pullback.ir.passes import optimise
from pullback.ir.program import Let
from pullback.ir.text import parse
from pullback.ir.verify import verify

SCHEDULES = ["sqrt", "binomial", 1, 2, 3, 4]
PROGRAMS = {
    "for": """
def f(r: f64, x: f64, n: i64) -> f64:
    for k in range(n):
        z: f64 = phi(x, z1)
        a: f64 = r * z
        b: f64 = 1.0 - z
        z1: f64 = a * b
    y: f64 = last(z)
    return y""",
    "backwards": """
def f(r: f64, x: f64, n: i64) -> f64:
    for k in reversed(range(1, n)):
        z: f64 = phi(x, z1)
        t: f64 = f64(k)
        a: f64 = r * z
        b: f64 = a * t
        z1: f64 = sin(b)
    y: f64 = last(z)
    return y""",
    "two states": """
def f(r: f64, x: f64, n: i64) -> (f64, f64):
    for k in range(n):
        a: f64 = phi(x, b)
        b: f64 = phi(r, c)
        s: f64 = a * b
        c: f64 = sin(s)
    y: f64 = last(a)
    z: f64 = last(b)
    return y, z""",
    "in place": """
def f(r: f64, x: f64, n: i64) -> (f64[4], f64):
    u: f64[4] = broadcast_to(x, (4,))
    for k in range(n):
        v: f64[4] = phi(u, w)
        s: f64 = phi(r, t)
        j: i64 = k % 4
        a: f64 = v[j]
        b: f64 = a * s
        t: f64 = sin(b)
        w: f64[4] = v.at[j].set(t)
    y: f64[4] = last(v)
    z: f64 = last(s)
    return y, z""",
    "while": """
def f(r: f64, x: f64, n: i64) -> f64:
    while True:
        k: i64 = phi(0, k1)
        z: f64 = phi(x, z1)
        c: bool = k < n
        d: bool = z < 3.0
        go: bool = c & d
        if not go: break
        a: f64 = r * z
        b: f64 = sin(a)
        z1: f64 = a + b
        k1: i64 = k + 1
    y: f64 = last(z)
    return y""",
    "nest": """
def f(r: f64, x: f64, n: i64) -> f64:
    for k in range(n):
        z: f64 = phi(x, z2)
        for j in range(k):
            w: f64 = phi(z, w1)
            a: f64 = r * w
            w1: f64 = sin(a)
        z1: f64 = last(w)
        b: f64 = z1 * z
        z2: f64 = cos(b)
    y: f64 = last(z)
    return y""",
}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_same_bits(name, schedule):
    program = parse(PROGRAMS[name])
    plain = adjoint(program, [0, 1])
    again = verify(adjoint(program, [0, 1], checkpoint=schedule))
    simplified = verify(optimise(again))
    halves = [verify(half) for half in split_adjoint(program, [0, 1], checkpoint=schedule)]
    assert saved_report(program, [0, 1]) != saved_report(program, [0, 1], checkpoint=schedule)
    rng = np.random.default_rng(0)
    for n in range(9):
        args = 1.7, 0.3, n
        values = evaluate(program, *args)
        seeds = [rng.normal(size=np.shape(v))[()] for v in values]
        wanted = evaluate(plain, *args, *seeds)
        kept = evaluate(halves[0], *args)
        assert all(map(np.array_equal, kept, values))
        for found in (
            evaluate(again, *args, *seeds),
            evaluate(simplified, *args, *seeds),
            evaluate(halves[1], *kept[len(values) :], *seeds),
        ):
            assert all(map(np.array_equal, found, wanted)), n


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_random_programs(schedule, monkeypatch):
    monkeypatch.setattr(checkpoint.Cut, "wasted", lambda self, nodes: set())
    cut = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        program, args = random_program(rng), random_arguments(rng)
        wrt = [k for k, v in enumerate(program.params) if v.type.is_float]
        plain, again = adjoint(program, wrt), adjoint(program, wrt, checkpoint=schedule)
        if plain == again:
            continue
        cut += 1
        verify(again)
        seeds = [rng.normal(size=np.shape(v))[()] for v in evaluate(program, *args) if np.asarray(v).dtype.kind == "f"]
        for a, b in zip(evaluate(plain, *args, *seeds), evaluate(again, *args, *seeds), strict=True):
            np.testing.assert_array_equal(a, b)
    assert cut


SINE = """
def f(r: f64, x: f64, n: i64) -> f64:
    for k in range(n):
        z: f64 = phi(x, z1)
        a: f64 = r * z
        z1: f64 = sin(a)
    y: f64 = last(z)
    return y"""


def steps(trips, schedule):
    """How often the body of a loop runs in both sweeps, without the runs that are for its derivative."""
    count = 0

    def watch(node, *_):
        nonlocal count
        count += isinstance(node, Let) and node.op is sin

    evaluate(adjoint(parse(SINE), [0, 1], checkpoint=schedule), 1.1, 0.7, trips, 1.0, watch=watch)
    return count


@functools.cache
def fewest(length, slots):
    """The fewest steps that reverse so many with so many slots, the one of the first state among them."""
    if length == 1:
        return 0
    if slots == 1:
        return length * (length - 1) // 2
    return min(m + fewest(length - m, slots - 1) + fewest(m, slots) for m in range(1, length))


def formula(length, slots):
    """Griewank and Walther's."""
    times = next(r for r in range(length + 1) if math.comb(slots + r, slots) >= length)
    return times * length - math.comb(slots + times, slots + 1)


def test_binomial_schedules_are_the_shortest():
    """The last step runs as well: the value is of use, which the theory leaves out."""
    for length in range(1, 16):
        for slots in (1, 2, 4):
            assert steps(length, slots) == fewest(length, slots) + 1 == formula(length, slots) + 1


def test_of_225_steps_with_15_slots():
    assert formula(225, 15) == 522
    assert steps(225, 15) == 522 + 1


def test_schedules_of_another_package():
    """Revolve's, of the package checkpoint-schedules (pip install checkpoint-schedules)."""
    schedules = pytest.importorskip("checkpoint_schedules", reason="checkpoint-schedules is not installed")
    for length, slots in ((8, 2), (20, 3), (50, 5)):
        count = 0
        schedule = schedules.Revolve(length, slots)
        for action in schedule:
            if isinstance(action, schedules.Forward):
                count += min(action.n1, length) - action.n0
            if isinstance(action, schedules.EndReverse):
                break
        # It runs each step once more to save what its derivative needs, and keeps the first state in a slot too.
        assert steps(length, slots) == count - length + 1


def test_the_roots_segments():
    assert steps(100, "sqrt") <= 200


def test_binomial_runs_a_trip_at_most_three_times_again():
    for length in (1, 2, 10, 100):
        slots = max(1, math.floor((6 * length) ** (1 / 3) + 1e-9))
        assert steps(length, "binomial") == steps(length, min(slots, max(length, 1))) <= 4 * length
