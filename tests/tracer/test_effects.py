"""What a call stores in things that live on is stored once, as plain Python stores it."""

import contextlib
import itertools

import numpy as np
import pytest
from effects import CALLS, TRANSFORMS, difference, look, module, programs

import pullback as pb

EVERY = 61
SAMPLE = list(itertools.islice(programs(), 7, None, EVERY))


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False, cache=False):
        yield


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_programs_that_store(transform, tmp_path):
    kinds = {"right": 0, "refused": 0}
    for name, source in SAMPLE[list(TRANSFORMS).index(transform) :: len(TRANSFORMS)]:
        found = difference(name, source, transform, tmp_path)
        if found is not None and found.startswith("of no use"):
            continue
        assert found is None or found.startswith("refused"), f"{name} [{transform}]: {found}\n{source}"
        kinds["right" if found is None else "refused"] += 1
    assert kinds["right"] > 0


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


# -- in functions that transforms take, inside of traced functions -----------------------------------------------------


def a_local_of_the_function_around(x, transform):
    n, seen, held = 0.0, [], {"a": 1.0}

    def f(z):
        nonlocal n
        n = n + np.sum(z)
        seen.append(z * 2.0)
        held["a"], held["b"] = np.sum(z * z), (z, z[0])
        return np.sum(z**3)

    d = transform(f, x)
    e = transform(f, d)
    return d * n + e * held["a"] + seen[0] * seen[1] + held["b"][0] * held["b"][1], len(seen)


def under_a_condition(x, transform):
    best, where = 0.0, None

    def f(z):
        nonlocal best, where
        y = np.sum(z**3)
        if y > best:
            best, where = y, z * 1.0
        return y

    d = transform(f, x)
    if x[0] > 0.0:
        d = transform(f, 2.0 * x)
    return (d * best if where is None else d * best + where), 0


class Model:
    def __init__(self):
        self.calls, self.total, self.last = 0, 0.0, np.zeros(2)

    def f(self, z):
        self.calls += 1
        self.total += z[1]
        self.last = z[:2] * 1.0
        return np.sum(z * z) * self.total


class Box:
    def __init__(self, v):
        self.v, self.same, self.items = v, v, [v, np.sum(v)]


def in_a_loop(x, transform):
    model, d = Model(), x
    for k in range(x.shape[0]):
        d = transform(model.f, d * 0.5 + k)
    return d * model.total + model.last[0], model.calls


def an_object_made_inside(x, transform):
    kept = {}

    def f(z):
        kept["box"] = Box(z * z)
        return np.sum(kept["box"].v)

    d = transform(f, x)
    box = kept["box"]
    assert box.same is box.v and box.items[0] is box.v
    return d * box.items[1] + box.v, len(box.items)


NESTED = {
    "grad": lambda f, x: pb.grad(f)(x),
    "value_and_grad": lambda f, x: pb.value_and_grad(f)(x)[1],
    "vjp": lambda f, x: pb.vjp(f, x)[1](1.0)[0],
    "jvp": lambda f, x: pb.jvp(f, (x,), (x,))[1] * x,
    "jacobian": lambda f, x: pb.jacobian(f)(x),
    "jacrev": lambda f, x: pb.jacrev(f)(x),
    "hvp": lambda f, x: pb.hvp(f)(x, x),
    "hessian": lambda f, x: pb.hessian(f)(x)[0],
    "linearize": lambda f, x: pb.linearize(lambda z: f(z) * z[0], x)[0] * x,
}


@pytest.mark.parametrize("transform", NESTED)
@pytest.mark.parametrize(
    "program", [a_local_of_the_function_around, under_a_condition, in_a_loop, an_object_made_inside]
)
def test_changes_of_what_belongs_to_the_function_around(program, transform):
    """Traced, the changes that the inner function makes are those that it makes when Python calls it."""
    apply = NESTED[transform]
    x = np.array([0.7, -0.2, 1.1])
    (found, count), (expected, times) = pb.jit(lambda x: program(x, apply))(x), program(x, apply)
    assert np.allclose(found, expected) and count == times
    total = lambda x: np.sum(program(x, apply)[0])  # noqa: E731
    value, d, h = pb.jit(total), np.array([0.3, 1.0, -0.5]), 1e-5
    assert np.isclose(pb.grad(total)(x) @ d, (value(x + h * d) - value(x - h * d)) / (2 * h), rtol=1e-6)


def test_stored_arrays_share_memory_as_in_python_or_are_refused():
    def written_afterwards(x):
        kept = []

        def f(z):
            y = z * 2.0
            kept.append(y)
            kept.append(y[1:])
            return np.sum(y)

        d = pb.grad(f)(x)
        kept[0][1] = 7.0
        return d * kept[1][0]

    def returned_and_written(x):
        kept = []

        def f(z):
            y = z * 2.0
            kept.append(y)
            return y

        y, _ = pb.vjp(f, x)
        y[0] = 7.0
        return y * kept[0]

    def argument_written_afterwards(x):
        z, kept = x * 1.0, []

        def f(z):
            kept.append(z[:2])
            return np.sum(z * z)

        d = pb.grad(f)(z)
        z[0] = 5.0
        return d[:2] * kept[0]

    for function in (written_afterwards, returned_and_written, argument_written_afterwards):
        with pytest.raises(pb.PullbackError, match="copy"):
            pb.jit(function)(np.ones(3))


def test_linearize_stores_once():
    problem = Problem()
    y, push = pb.linearize(problem.fun, np.arange(3.0))
    assert problem.nfev == 1 and problem.history == [y] == [5.0]
    assert push(np.ones(3)) == 6.0 and push(np.arange(3.0)) == 10.0
    assert problem.nfev == 1 and problem.history == [y]


@pytest.mark.compiled
def test_forward_transforms_store_when_compiled():
    problem = Problem()
    x = np.arange(3.0)
    with pb.options(jit=True):
        pb.jvp(problem.fun, (x,), (x,))
        assert problem.nfev == 1 and problem.last is x
        H = pb.hessian(problem.fun)
        for _ in range(3):
            assert np.array_equal(H(x), 2.0 * np.eye(3))
        assert problem.nfev == 4 and len(problem.history) == 4
