"""What a call stores in things that live on is stored once, as plain Python stores it."""

import contextlib
import itertools

import numpy as np
import pytest
from effects import CALLS, difference, look, module, programs

import pullback as pb

EVERY = 61
SAMPLE = list(itertools.islice(programs(), 7, None, EVERY))


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.parametrize("transform", ["jit", "grad", "value_and_grad", "vjp"])
def test_programs_that_store(transform, tmp_path):
    kinds = {"right": 0, "refused": 0}
    for name, source in SAMPLE[["jit", "grad", "value_and_grad", "vjp"].index(transform) :: 4]:
        found = difference(name, source, transform, tmp_path)
        if found is not None and found.startswith("of no use"):
            continue
        assert found is None or found.startswith("refused"), f"{name} [{transform}]: {found}\n{source}"
        kinds["right" if found is None else "refused"] += 1
    assert kinds["right"] >= 2 * kinds["refused"]


@pytest.mark.compiled
def test_compiled_and_by_the_fast_entry(tmp_path):
    text = dict(programs())
    for k, name in enumerate(("count by an int in top", "append = a float in an arm", "attribute = an array in top")):
        for transform in ("grad", "vjp")[k % 2 :]:
            assert difference(name, text[name], transform, tmp_path, jit=True) is None


class Problem:
    def __init__(self):
        self.nfev, self.last, self.history, self.best, self.best_x = 0, None, [], np.inf, None

    def fun(self, x):
        self.nfev += 1
        self.last = x
        value = np.sum(x**2)
        self.history.append(value)
        if value < self.best:
            self.best = value
            self.best_x = x.copy()
        return value


def test_a_counter_is_no_reason_to_trace_again():
    problem = Problem()
    g = pb.grad(problem.fun)
    for k in range(6):
        x = np.arange(1.0, 4.0) + k
        assert np.array_equal(g(x), 2 * x)
        assert problem.nfev == k + 1 and problem.last is x and len(problem.history) == k + 1
    assert g._traceable.traces == 2  # the best value is a float at first, and NumPy's afterwards


def test_vjp_stores_in_its_forward_call():
    problem = Problem()
    for _ in range(3):
        _, pull = pb.vjp(problem.fun, np.ones(2))
        before = look(problem)
        pull(1.0)
        pull(2.0)
        assert look(problem) == before
    assert problem.nfev == 3


def test_a_call_that_fails_stores_what_python_stores_before():
    problem, plain = Problem(), Problem()

    def checked(x, problem):
        value = problem.fun(x)
        if value > 10.0:
            raise ValueError("too large")
        problem.nfev += 10
        return value

    g = pb.grad(checked)
    for x in (np.ones(2), np.full(2, 9.0), np.ones(2), np.full(2, 8.0)):
        for call, its in ((g, problem), (checked, plain)):
            with contextlib.suppress(ValueError):
                call(x, its)
        assert look(problem) == look(plain)


@pytest.mark.parametrize("place", ["top", "an arm", "an else", "both arms", "a loop with an arm", "a while"])
def test_an_argument_is_stored_itself(place, tmp_path):
    text = dict(programs())[f"attribute = an argument in {place}"]
    world, plain = (module("stored_" + place.replace(" ", "_"), text, tmp_path).World() for _ in range(2))
    f = pb.jit(world.loss)
    for x, t in CALLS:
        f(x, t)
        plain.loss(x, t)
        assert (world.a is x) == (plain.a is x)


def test_types_are_python_s():
    class Kinds:
        def loss(self, x, t):
            y = np.sum(x)
            self.a, self.b, self.c, self.d = 1, y, y > 0.0, True
            if y > t:
                self.e, self.f, self.g = 2, y, "s"
            else:
                self.e, self.g = 2.5, None
                self.h = False
            for v in x:
                self.i = v
                self.j = True
            return y

    kinds, plain = Kinds(), Kinds()
    plain.f = kinds.f = plain.h = kinds.h = 0
    f = pb.grad(kinds.loss)
    for t in (0.0, 9.0, 0.0, 9.0):
        f(np.ones(3), t)
        plain.loss(np.ones(3), t)
        assert {n: (type(v), v) for n, v in vars(kinds).items()} == {n: (type(v), v) for n, v in vars(plain).items()}


def test_what_is_stored_and_returned_is_one_object():
    kept = {}

    def f(x):
        y = x * 2.0
        kept["y"], kept["x"] = y, x
        return y

    x = np.ones(3)
    for _ in range(3):
        assert pb.jit(f)(x) is kept["y"] and kept["x"] is x


def test_two_names_of_one_object():
    class Pair:
        def loss(self, x):
            self.a.n += 1
            self.b.n += 1
            return np.sum(x) * self.b.n

    pair, one, two = Pair(), Problem(), Problem()
    one.n = two.n = 0
    pair.a = pair.b = one
    g = pb.grad(pair.loss)
    assert g(np.ones(2))[0] == 2.0 and one.n == 2
    pair.b = two
    assert g(np.ones(2))[0] == 1.0 and (one.n, two.n) == (3, 1)
    pair.b = one
    assert g(np.ones(2))[0] == 5.0 and (one.n, two.n) == (5, 1)
    fresh = pb.grad(pair.loss)
    pair.b = two
    assert fresh(np.ones(2))[0] == 2.0 and (one.n, two.n) == (6, 2)
    pair.b = one
    assert fresh(np.ones(2))[0] == 8.0 and one.n == 8


def test_nothing_is_stored_by_looking():
    problem = Problem()
    g = pb.grad(problem.fun)
    g.lower(np.ones(3))
    pb.trace(problem.fun, "f64[n]")
    assert look(problem) == look(Problem())


def test_calls_cover_both_arms():
    assert any(np.sum(x * x) > t for x, t in CALLS) and any(np.sum(x * x) <= t for x, t in CALLS)
