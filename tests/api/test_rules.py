"""Functions with derivative rules of their own, held against the same functions without a rule."""

import numpy as np
import pytest

import pullback as pb
from pullback.ir.errors import PullbackError
from pullback.ir.text import parse, show
from pullback.ir.verify import verify


def plain(x, w):
    return np.sin(x) * w


@pb.custom_vjp
def reverse(x, w):
    return np.sin(x) * w


def reverse_fwd(x, w):
    return reverse(x, w), (x, w)


def reverse_bwd(kept, g):
    x, w = kept
    return np.cos(x) * w * g, np.sum(g * np.sin(x))


reverse.defvjp(reverse_fwd, reverse_bwd)


@pb.custom_jvp
def forward(x, w):
    return np.sin(x) * w


@forward.defjvp
def forward_jvp(primals, tangents):
    (x, w), (x_dot, w_dot) = primals, tangents
    return forward(x, w), np.cos(x) * w * x_dot + np.sin(x) * w_dot


@pb.custom_jvp
def single(x, w):
    return np.sin(x) * w


single.defjvps(lambda t, y, x, w: t * np.cos(x) * w, lambda t, y, x, w: t * np.sin(x))

RULED = {"vjp": reverse, "jvp": forward, "jvps": single}


def straight(f, x, w):
    return f(x, w)


def looped(f, x, w):
    for _ in range(3):
        x = f(x, w)
    return x


def inner_size(f, x, w):
    return f(x[1:], w) + f(x[:-1], 0.5)


def of_elements(f, x, w):
    y = np.zeros(x.size)
    for i in range(x.size):
        y[i] = f(x[i], w) + i
    return y


def branching(f, x, w):
    if np.sum(x) > 0.3:
        y = f(x, w)
    else:
        y = x * w
    return y


def until(f, x, w):
    while np.sum(x * x) > 0.05:
        x = 0.5 * f(x, w)
    return x


def helper(f, x, w):
    def again(v):
        return f(v, w * w)

    return again(again(x))


def twice_used(f, x, w):
    y = f(x, w)
    return y * y + y * f(y, 2.0)


def written(f, x, w):
    y = f(x, w).copy()
    y[0] = 3.0
    y[1:] += f(x, w)[1:]
    return y


def dynamic_size(f, x, w):
    return f(x[x > 0.2], w)


CALLERS = [straight, looped, inner_size, of_elements, branching, until, helper, twice_used, written, dynamic_size]
POINT = np.array([0.3, -0.7, 1.1]), 0.8


def total(caller, f):
    def loss(x, w):
        return np.sum(caller(f, x, w) ** 2)

    return loss


@pytest.fixture(autouse=True)
def uncompiled():
    with pb.options(jit=False):
        yield


@pytest.mark.parametrize("kind", RULED)
@pytest.mark.parametrize("caller", CALLERS, ids=lambda c: c.__name__)
def test_a_rule_gives_what_the_function_gives(caller, kind):
    """Value, reverse and forward mode, and their compositions."""
    x, w = POINT
    loss, known = total(caller, RULED[kind]), total(caller, plain)
    assert loss(x, w) == pytest.approx(known(x, w))
    direction = (np.array([1.0, 0.5, -2.0]), 0.7)
    for got, wanted in (
        (pb.value_and_grad(loss, (0, 1))(x, w), pb.value_and_grad(known, (0, 1))(x, w)),
        (pb.jvp(loss, POINT, direction), pb.jvp(known, POINT, direction)),
        (pb.hvp(loss)(x, direction[0], w), pb.hvp(known)(x, direction[0], w)),
    ):
        flat = lambda found: np.concatenate([np.ravel(part) for part in _leaves(found)])
        np.testing.assert_allclose(flat(got), flat(wanted), rtol=1e-12)


def _leaves(found):
    return [leaf for part in found for leaf in _leaves(part)] if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("kind", RULED)
@pytest.mark.parametrize("caller", [straight, looped, of_elements, branching], ids=lambda c: c.__name__)
def test_a_rule_in_jacobians(caller, kind):
    x, w = POINT
    f = RULED[kind]
    ruled, known = (lambda x: caller(f, x, w)), (lambda x: caller(plain, x, w))
    for transform in (pb.jacfwd, pb.jacrev, pb.jacobian):
        np.testing.assert_allclose(transform(ruled)(x), pb.jacfwd(known)(x), rtol=1e-12, atol=1e-14)
    scalar, other = (lambda x: np.sum(ruled(x) ** 2)), (lambda x: np.sum(known(x) ** 2))
    np.testing.assert_allclose(pb.hessian(scalar)(x), pb.hessian(other)(x), rtol=1e-12, atol=1e-14)
    xs = np.stack([x, 2.0 * x, -x])
    np.testing.assert_allclose(pb.vmap(pb.grad(scalar))(xs), pb.vmap(pb.grad(other))(xs), rtol=1e-12)
    np.testing.assert_allclose(
        pb.grad(lambda x: np.sum(pb.grad(scalar)(x) ** 2))(x), pb.grad(lambda x: np.sum(pb.grad(other)(x) ** 2))(x)
    )


@pytest.mark.parametrize("kind", RULED)
@pytest.mark.parametrize("size", [0, 1, 5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_rule_for_sizes_and_dtypes(kind, size, dtype):
    x = np.linspace(-1.0, 1.0, size).astype(dtype)
    got = pb.grad(lambda x: np.sum(RULED[kind](x, 0.5)))(x)
    assert got.dtype == dtype and got.shape == x.shape
    np.testing.assert_allclose(got, np.cos(x) * 0.5, rtol=1e-6)


@pytest.mark.parametrize("kind", RULED)
def test_the_rule_stands_in_the_text(kind):
    """Printed as further definitions, which are read back and verified."""
    for caller in (looped, dynamic_size, branching):
        program = pb.trace(caller, RULED[kind], *POINT)
        text = show(program)
        assert "@rule(2, 1, " in text
        assert parse(text) == program and parse(show(parse(text))) == program
        verify(parse(text))
        np.testing.assert_allclose(pb.evaluate(program, *POINT), caller(plain, *POINT))


def test_two_rules_are_two_programs():
    texts = {kind: show(pb.trace(straight, f, 0.5, 1.0)) for kind, f in RULED.items()}
    programs = {kind: parse(text) for kind, text in texts.items()}
    assert programs["vjp"] != programs["jvp"] != programs["jvps"]


def test_what_the_rule_says_counts():
    @pb.custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    assert pb.grad(lambda x: 5.0 * clipped(x))(2.0) == 1.0
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(clipped(x) * np.array([5.0, 0.5])))(x), [1.0, 0.5])
    assert clipped(3.0) == 3.0
    with pytest.raises(PullbackError, match="not linear"):
        pb.jvp(clipped, (1.0,), (1.0,))


def test_straight_through():
    @pb.custom_jvp
    def rounded(x):
        return np.round(x)

    rounded.defjvps(lambda t, y, x: t)
    x = np.array([0.2, 1.7])
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(rounded(x) ** 2))(x), 2.0 * np.round(x))
    np.testing.assert_array_equal(pb.jacfwd(rounded)(x), np.eye(2))


def test_containers_integers_and_texts():
    @pb.custom_vjp
    def model(p, n, name="power"):
        return {"y": p["a"] * p["b"][0] ** n, "n": n}

    def fwd(p, n, name):
        return model(p, n, name), (p, n)

    def bwd(kept, g):
        p, n = kept
        assert g["n"] is None
        b = p["b"][0]
        return {"a": g["y"] * b**n, "b": (n * p["a"] * g["y"] * b ** (n - 1.0), None)}, None, None

    model.defvjp(fwd, bwd)
    p = {"a": 1.5, "b": (2.0, 7.0)}
    got = pb.grad(lambda p, n: model(p, n)["y"])(p, 3)
    assert got == {"a": 8.0, "b": (18.0, 0.0)}
    assert pb.grad(lambda p, n: model(name="power", n=n, p=p)["y"])(p, 3) == got
    assert pb.grad(lambda p: 2.0 * model(p, model(p, 2)["n"])["y"])(p) == {"a": 8.0, "b": (12.0, 0.0)}


def test_arguments_that_are_never_differentiated_by():
    def apply(f, x, k):
        return f(x) * k

    def fwd(f, x, k):
        return apply(f, x, k), x

    ruled = pb.custom_vjp(apply, nondiff_argnums=(0, 2))
    ruled.defvjp(fwd, lambda f, k, x, g: (g * k * pb.grad(f)(x),))
    pushed = pb.custom_jvp(nondiff_argnums=(0, 2))(apply)

    @pushed.defjvp
    def push(f, k, primals, tangents):
        return apply(f, primals[0], k), k * pb.grad(f)(primals[0]) * tangents[0]

    def check(f):
        assert pb.grad(lambda x: f(np.sin, x, 2))(0.3) == pytest.approx(2.0 * np.cos(0.3))
        assert pb.jvp(lambda x: f(lambda v: v**3, x, 2), (0.3,), (1.0,))[1] == pytest.approx(6.0 * 0.09)
        with pytest.raises(PullbackError, match="without being an argument"):
            pb.grad(lambda x, k: f(np.sin, x, k), 1)(0.3, 2.0)

    check(ruled)
    check(pushed)


def test_what_a_rule_does_not_know_of_is_refused():
    """An outer value that the function uses would get a silent zero."""

    def loss(w):
        @pb.custom_vjp
        def scaled(x):
            return x * w

        scaled.defvjp(lambda x: (scaled(x), None), lambda _, g: (g * w,))
        return scaled(2.0) + w

    with pytest.raises(PullbackError, match="uses w, .*stop_gradient"):
        pb.grad(loss)(3.0)
    with pytest.raises(PullbackError, match="uses .*stop_gradient"):
        pb.jvp(loss, (3.0,), (1.0,))

    def stopped(w):
        fixed = pb.stop_gradient(w)

        @pb.custom_vjp
        def scaled(x):
            return x * fixed

        scaled.defvjp(lambda x: (scaled(x), None), lambda _, g: (g * fixed,))
        return scaled(2.0) + w

    assert pb.grad(stopped)(3.0) == 1.0


def test_arrays_from_outside():
    scale = np.array([1.0, 2.0, 3.0])

    @pb.custom_vjp
    def scaled(x):
        return x * scale

    scaled.defvjp(lambda x: (scaled(x), None), lambda _, g: (g * scale,))
    loss = pb.grad(lambda x: np.sum(scaled(x)))
    np.testing.assert_array_equal(loss(np.ones(3)), [1.0, 2.0, 3.0])
    scale[0] = 7.0
    np.testing.assert_array_equal(loss(np.ones(3)), [7.0, 2.0, 3.0])


def test_methods():
    class Model:
        def __init__(self, k):
            self.k = k

        @pb.custom_vjp
        def f(self, x):
            return self.k * x**2

        def loss(self, x):
            return np.sum(self.f(x))

    Model.f.defvjp(lambda self, x: (self.f(x), x), lambda x, g: (None, 2.0 * 3.0 * x * g))
    np.testing.assert_array_equal(pb.grad(Model(3.0).loss)(np.array([1.0, 2.0])), [6.0, 12.0])


def test_another_rule_is_another_program():
    @pb.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, None), lambda _, g: (2.0 * g,))
    gradient = pb.grad(lambda x: f(x) + x)
    assert gradient(1.0) == 3.0
    f.defvjp(lambda x: (x, None), lambda _, g: (5.0 * g,))
    assert gradient(1.0) == 6.0


def test_a_result_that_shows_the_argument():
    @pb.custom_jvp
    def same(x):
        return x

    same.defjvps(lambda t, y, x: t)

    def loss(x):
        y = same(x)
        y[0] = 5.0
        return np.sum(x) + np.sum(y)

    with pytest.raises(PullbackError, match="copy"):
        pb.grad(loss)(np.ones(3))


# -- stop_gradient -----------------------------------------------------------------------------------------


def test_stop_gradient():
    stopped = pb.stop_gradient
    assert pb.grad(lambda x: x * stopped(x))(3.0) == 3.0
    assert pb.grad(lambda x: x * stopped({"a": (x, 2)})["a"][0])(3.0) == 3.0
    assert pb.jvp(lambda x: x * stopped(x), (3.0,), (1.0,)) == (9.0, 3.0)
    assert pb.grad(pb.grad(lambda x: x**2 * stopped(x)))(3.0) == 6.0
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(pb.hessian(lambda x: np.sum(x**2 * stopped(x)))(x), np.diag(2.0 * x))
    kept = stopped(x)
    kept[0] = 9.0
    assert x[0] == 1.0 and stopped(2) == 2 and stopped("text") == "text"
    assert "stop_gradient(x)" in show(pb.trace(lambda x: stopped(x) * 2.0, 1.0))


def test_stop_gradient_in_a_loop():
    def loss(x):
        s = 1.0
        for _ in range(3):
            s = s * pb.stop_gradient(x) + x
        return s

    assert pb.grad(loss)(2.0) == 1.0 + 2.0 + 4.0


# -- wrong rules -------------------------------------------------------------------------------------------


def _of(fwd, bwd):
    @pb.custom_vjp
    def f(x, w):
        return x * w

    f.defvjp(fwd, bwd)
    return f


GOOD_FWD, GOOD_BWD = (lambda x, w: (x * w, (x, w))), (lambda kept, g: (g * kept[1], np.sum(g * kept[0])))

WRONG = {
    "one cotangent": (GOOD_FWD, lambda kept, g: (g,), "for each of the 2 arguments"),
    "no tuple": (GOOD_FWD, lambda kept, g: g, "for each of the 2 arguments"),
    "shape": (GOOD_FWD, lambda kept, g: (g[:-1], None), "shape|size"),
    "rank": (GOOD_FWD, lambda kept, g: (np.sum(g), None), "shape"),
    "scalar": (GOOD_FWD, lambda kept, g: (g, g), "shape"),
    "no residuals": (lambda x, w: x * w, GOOD_BWD, "value, residuals"),
    "another value": (lambda x, w: ((x, w), None), GOOD_BWD, "returns"),
    "another shape": (lambda x, w: (np.sum(x), None), GOOD_BWD, "returns"),
    "a text": (GOOD_FWD, lambda kept, g: ("g", None), "must be|str"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_rules_are_refused(case):
    fwd, bwd, match = WRONG[case]
    f = _of(fwd, bwd)
    with pytest.raises(PullbackError, match=match):
        pb.grad(lambda x: np.sum(f(x, 2.0)))(np.ones(3))


def test_no_rule():
    @pb.custom_vjp
    def f(x):
        return x

    assert f(1.0) == 1.0
    with pytest.raises(PullbackError, match=r"without a rule: call f.defvjp"):
        pb.grad(lambda x: f(x))(1.0)
    with pytest.raises(PullbackError, match="nondiff_argnums"):
        pb.custom_vjp(lambda x: x, nondiff_argnums=2)


def test_effects_of_rules_are_refused():
    log = []

    @pb.custom_vjp
    def f(x):
        return x

    def bwd(_, g):
        log.append(g)
        return (g,)

    f.defvjp(lambda x: (x, None), bwd)
    with pytest.raises(PullbackError):
        pb.grad(lambda x: f(x))(1.0)

    @pb.custom_vjp
    def writes(x):
        x[0] = 1.0
        return x * 2.0

    writes.defvjp(lambda x: (x, None), lambda _, g: (g,))
    with pytest.raises(PullbackError, match="writes to its argument"):
        pb.grad(lambda x: np.sum(writes(x)))(np.ones(2))


def test_keyword_only_arguments():
    @pb.custom_vjp
    def f(x, *, k):
        return x * k

    f.defvjp(lambda x: (x, None), lambda _, g: (g,))
    with pytest.raises(PullbackError, match="by keyword only"):
        pb.grad(lambda x: f(x, k=2.0))(1.0)
