"""Random numbers: what a traced function draws is what plain Python draws, once per call, from the same generators."""

import random

import numpy as np
import pytest

import pullback as pb

RNG = np.random.default_rng(1)
OLD = np.random.RandomState(2)


@pytest.fixture(autouse=True)
def _no_cache():
    with pb.options(cache=False), np.errstate(all="ignore"):
        yield


def legacy(x):
    return np.sum(x * np.random.standard_normal(x.shape)) + np.random.rand()


def scaled(x):
    return np.sum(np.random.normal(x[0], np.exp(x[1]), size=3) * np.random.uniform(0.0, x[2], 3))


def broadcast(x):
    return np.sum(np.random.normal(x, x**2))


def of_generator(x):
    noise = RNG.normal(size=len(x))
    noise += x
    return noise @ noise * RNG.integers(1, 5)


def of_state(x):
    return x[OLD.permutation(len(x))] @ np.arange(len(x)) + OLD.choice(x)


def of_random(x):
    return x[0] * random.random() + random.gauss(x[1], 0.5) + random.uniform(x[0], x[2])


def in_loop(x):
    s = 0.0
    for k in range(len(x)):
        s += x[k] ** 2 * RNG.random()
    return s


def seeded(x):
    rng = np.random.default_rng(5)
    return np.sum(x * rng.standard_normal(len(x))) + rng.integers(9)


def through_helper(x):
    return in_loop(x) + legacy(x[1:])


def seed_all():
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    RNG.bit_generator.state = np.random.default_rng(1).bit_generator.state
    OLD.seed(2)


FUNCTIONS = [legacy, scaled, broadcast, of_generator, of_state, of_random, in_loop, seeded, through_helper]


@pytest.mark.compiled
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("jit", [False, True], ids=["python", "compiled"])
def test_draws_are_those_of_plain_python(function, jit):
    if jit and function not in (legacy, of_generator):
        pytest.skip("two of them are compiled: the others differ in what is traced only")
    x = np.array([0.3, 0.7, 1.1, 0.2])
    seed_all()
    want = [function(x) for _ in range(4)]
    with pb.options(jit=jit):
        seed_all()
        np.testing.assert_allclose([pb.jit(function)(x) for _ in range(1)], want[:1])
        f, g = pb.jit(function), pb.value_and_grad(function)
        seed_all()
        np.testing.assert_allclose([f(x) for _ in range(4)], want)
        seed_all()
        found = [g(x) for _ in range(4)]
        np.testing.assert_allclose([v for v, _ in found], want)
        d, h = np.array([1.0, -0.5, 0.25, 2.0]), 1e-6
        for k in range(4):
            slopes = []
            for step in (h, -h):
                seed_all()
                slopes.append([function(x + step * d) for _ in range(4)][k])
            assert abs(found[k][1] @ d - (slopes[0] - slopes[1]) / (2 * h)) < 1e-6
    seed_all()
    y, pull = pb.vjp(function, x)
    np.testing.assert_allclose(y, want[0])
    assert np.array_equal(pull(1.0)[0], pull(1.0)[0])


def test_another_size_draws_as_many_numbers():
    f = pb.jit(legacy)
    for n in (3, 5, 3, 2):
        x = np.ones(n)
        seed_all()
        want = legacy(x)
        seed_all()
        with pb.options(jit=False):
            assert abs(f(x) - want) < 1e-12


def shuffled(x):
    y = x.copy()
    np.random.shuffle(y)
    return y


def seeds_itself(x):
    np.random.seed(0)
    return x * np.random.rand()


def in_branch(x):
    return x[0] * np.random.rand() if x[0] > 0 else x[1]


def traced_shape(x):
    return np.random.gamma(x[0])


@pytest.mark.parametrize(
    ("function", "words"),
    [(shuffled, "permutation"), (seeds_itself, "default_rng"), (in_branch, "before"), (traced_shape, "standard")],
)
def test_refused_with_advice(function, words):
    with pytest.raises(pb.PullbackError, match=words):
        pb.jit(function)(np.ones(3))


def test_compiled_callers_are_told():
    f = pb.jit(lambda x: x * np.random.rand())
    with pytest.raises(pb.PullbackError, match="pass them as"):
        f.cfunc("f64")
