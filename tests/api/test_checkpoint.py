"""`checkpoint=` on plain Python loops: the same gradients, less memory."""

import pickle

import numpy as np
import pytest

import pullback as pb

SCHEDULES = ["sqrt", "binomial", 1, 3]


def logistic(r, x, n):
    for _ in range(n):
        x = r * x * (1 - x)
    return x


def field(u, c, n):
    s = 0.0
    for _ in range(n):
        u = u + c * np.sin(u) * np.roll(u, 1)
        s = s + np.sum(u * u) * 1e-3
    return s + u.sum()


def in_place(u, c, n):
    u = u.copy()
    for _ in range(n):
        for i in range(1, len(u) - 1):
            u[i] = u[i] + c * np.sin(u[i - 1]) * u[i + 1]
    return u.sum()


def breaks(x, c, n):
    s = 0.0
    for _ in range(n):
        x = np.sin(x) * 1.3
        s += x * x * c
        if s > 3.0:
            break
    return s * x


def until(x, c, n):
    error = 1.0
    while abs(error) > 0.1**n:
        y = np.cos(x) * c
        error = y - x
        x = y
    return x * x


def recorded(x, c, n):
    ys = np.zeros(n)
    for k in range(n):
        x = np.sin(x) * c + 0.1 * x * x
        ys[k] = x
    return np.sum(ys * ys)


def recurrence(x, c, n):
    y = np.zeros(n + 1)
    y[0] = x
    for k in range(n):
        y[k + 1] = np.sin(y[k]) * np.exp(-c * y[k]) + y[k]
    return y[n]


def step(x, c, k):
    for _ in range(k):
        x = np.sin(x) * c
    return x


def calls(x, c, n):
    for k in range(n):
        x = x + step(x, c, k)
    return x


def branches(x, c, n):
    for k in range(n):
        if x > 1.0:
            x = np.log(x) * c
        elif k % 2:
            x = x * np.exp(c * x) + 1.0
    return x


U = np.linspace(0.1, 1.0, 6)
CASES = [
    *((logistic, 3.7, 0.3), (field, U, 0.1), (in_place, U, 0.1), (breaks, 0.7, 1.1), (until, 0.1, 0.9)),
    *((recorded, 0.3, 1.1), (recurrence, 0.3, 0.5), (calls, 0.3, 0.9), (branches, 0.3, 0.7)),
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("function, x, c", CASES, ids=lambda v: getattr(v, "__name__", ""))
def test_gradients(function, x, c, schedule):
    """Not to the last bit: generated code multiplies derivatives of several steps at once, where it finds them."""
    plain, again = pb.grad(function, (0, 1)), pb.grad(function, (0, 1), checkpoint=schedule)
    with pb.options(jit=False):
        for n in range(9):
            wanted = plain(x, c, n)
            for a, b in zip(again(x, c, n), wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
        with pb.options(checkpoint=schedule):
            _, pull = pb.vjp(function, x, c, 8)
        for a, b in zip(pull(1.0), wanted):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.compiled
@pytest.mark.parametrize("schedule", ["sqrt", "binomial"])
def test_compiled(schedule):
    wanted = pb.grad(field)(U, 0.1, 50)
    np.testing.assert_allclose(pb.grad(field, checkpoint=schedule)(U, 0.1, 50), wanted, rtol=1e-12)


def test_less_is_kept():
    with pb.options(jit=False):
        plain, again = pb.grad(field), pb.grad(field, checkpoint="sqrt")
        assert "keeps 3 arrays" in plain.saved_report(U, 0.1, 100)
        assert "480 B  u" in "\n".join(line.strip() for line in again.saved_report(U, 0.1, 100).splitlines())
        assert "keeps 4 arrays for the reverse sweep, 2.1 kB" in again.saved_report(U, 0.1, 100)  # three again
        assert "192 B" in pb.grad(field, checkpoint=3).saved_report(U, 0.1, 100)


def test_second_derivatives():
    with pb.options(jit=False):
        wanted = pb.hessian(field)(U, 0.1, 5)
        with pb.options(checkpoint="sqrt"):
            np.testing.assert_allclose(pb.hessian(field)(U, 0.1, 5), wanted, rtol=1e-12)
        inner = pb.grad(logistic, checkpoint="sqrt")
        found = pb.grad(lambda r: inner(r, 0.3, 6), checkpoint="sqrt")(3.7)
        assert found == pytest.approx(pb.grad(lambda r: pb.grad(logistic)(r, 0.3, 6))(3.7), rel=1e-12)


def test_the_option_is_part_of_what_was_traced():
    def slope(x):
        return pb.grad(field)(x, 0.1, 30)

    compiled = pb.jit(slope)
    with pb.options(jit=False):
        for schedule in (None, "sqrt", None):
            with pb.options(checkpoint=schedule):
                compiled(U)
                assert ("segment" in compiled.ir) == (schedule is not None)


def test_pickle():
    again = pickle.loads(pickle.dumps(pb.grad(logistic, checkpoint="sqrt")))
    assert again._checkpoint == "sqrt"


@pytest.mark.parametrize("wrong", ["sqr", 0, -1, 2.0, True, ()])
def test_refused(wrong):
    with pytest.raises(TypeError, match="must be None, \"sqrt\", \"binomial\" or a number of slots"):
        pb.grad(logistic, checkpoint=wrong)
    with pytest.raises(TypeError, match="must be None, \"sqrt\", \"binomial\" or a number of slots"):
        pb.options(checkpoint=wrong)


# -- functions that are done again ------------------------------------------------------------------------


def layer(x, w):
    return np.tanh(x @ w) * np.cos(x).sum()


def chain(f, x, ws):
    for w in ws:
        x = f(x, w)
    return np.sum(x * x)


def repeated(f, x, w, n):
    for _ in range(n):
        x = f(x, w)
    return np.sum(x * x)


def parts(x):
    return {"sine": np.sin(x), "rest": (x.sum(), 3, x[x > 0])}


def of_parts(f, x):
    found = f(x)
    return found["sine"].sum() * found["rest"][0] + (found["rest"][2] ** 2).sum()


def inner_loop(a, s):
    for _ in range(3):
        s = np.sin(s * a) + a
    return s


def elements(f, x, n):
    s = 0.0
    for k in range(n):
        s = s + f(x[k], s)
    return s


@pb.custom_vjp
def doubled(x):
    return x * 2.0


doubled.defvjp(lambda x: (x * 2.0, None), lambda _, g: (g * 2.0,))


def with_rule(x, w):
    return np.sin(doubled(x)) * w


RNG = np.random.default_rng(0)
X, WS = RNG.normal(size=(5, 4)), [RNG.normal(size=(4, 4)) * 0.3 for _ in range(3)]
FUNCTIONS = {
    "chain": (chain, layer, (X, WS)),
    "loop": (repeated, layer, (X, WS[0], 4)),
    "sizes": (of_parts, parts, (U - 0.5,)),
    "elements": (elements, inner_loop, (U, 5)),
    "rule": (repeated, with_rule, (U, 0.7, 3)),
}


def pulled(function, args):
    y, pull = pb.vjp(function, *args)
    return y, pull(1.0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_that_is_done_again(name):
    around, function, args = FUNCTIONS[name]
    again = pb.checkpoint(function)
    assert around(again, *args) == around(function, *args)
    with pb.options(jit=False):
        outer = [lambda *args, f=f: around(f, *args) for f in (function, again)]
        for transform in (
            lambda f: pb.grad(f)(*args),
            lambda f: pulled(f, args),
            lambda f: pb.jvp(lambda x: f(x, *args[1:]), (args[0],), (np.ones_like(args[0]),)),
            lambda f: pb.grad(lambda x: pb.grad(f)(x, *args[1:]).sum())(args[0]),
            lambda f: pb.grad(f, checkpoint="sqrt")(*args),
        ):
            found, wanted = map(_flat, map(transform, outer))
            for a, b in zip(found, wanted, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def _flat(value):
    if isinstance(value, (tuple, list)):
        return [leaf for part in value for leaf in _flat(part)]
    return [] if value is None else [value]


def test_nothing_of_it_is_kept():
    with pb.options(jit=False):
        plain = pb.grad(lambda x, n: repeated(layer, x, WS[0], n))
        again = pb.grad(lambda x, n: repeated(pb.checkpoint(layer), x, WS[0], n))
        assert "keeps 3 arrays" in plain.saved_report(X, 4)
        assert "keeps 1 array" in again.saved_report(X, 4)


def test_what_it_reads_from_outside_is_differentiated():
    def outer(q):
        @pb.checkpoint
        def inner(t):
            return np.sin(t) * q

        return inner(q * 2.0).sum()

    with pb.options(jit=False):
        wanted = pb.grad(lambda q: (np.sin(q * 2.0) * q).sum())(U)
        np.testing.assert_allclose(pb.grad(outer)(U), wanted, rtol=1e-14)


@pytest.mark.compiled
def test_a_function_that_is_done_again_compiled():
    wanted = pb.grad(lambda x: chain(layer, x, WS))(X)
    again = pb.grad(lambda x: chain(pb.checkpoint(layer), x, WS))
    np.testing.assert_allclose(again(X), wanted, rtol=1e-12)
    assert again.source.count("matmul") > pb.grad(lambda x: chain(layer, x, WS)).lower(X).source.count("matmul")


def test_printed_and_read_again():
    program = pb.trace(lambda x: chain(pb.checkpoint(layer), x, WS), X)
    assert "again=True" in str(program)
    assert pb.parse(str(program)) == program
