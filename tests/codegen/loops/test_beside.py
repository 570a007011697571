"""Additions to neighbours in one loop: carried along, put back into their array, stored where nothing was before."""

import numpy as np
import pytest

import pullback as pb
from pullback.codegen.cotangents.merge import merge_cotangents
from pullback.codegen.loops.carry_neighbours import LAGS, lines_of
from pullback.codegen.memory.elide_zero_fill import elide_zero_fill
from pullback.ir import walk
from pullback.ir.affine import Affine
from pullback.ir.evaluate import evaluate
from pullback.ir.ops.array import zeros
from pullback.ir.program import Let
from pullback.ir.text import parse
from pullback.ir.verify import verify


def random_stencil(rng, rank, written):
    """Source of a function that sweeps stencils of slices over two arrays, and the number it is called with."""
    lines = ["def f(A, B, w):", "    for t in range(2):"]
    for source, target in (("A", "B"), ("B", "A")):
        terms = []
        for k in range(rng.integers(1, 6)):
            offsets = rng.integers(0, 3, rank)
            part = ", ".join(f"{o}:{source}.shape[{a}] - {2 - o}" for a, o in enumerate(offsets))
            factor = ("w[0]", f"w[{k % 3}]", "0.5", "np.sin(w[1])")[rng.integers(4)]
            terms.append(f"{factor} * {source}[{part}]")
        inner = ", ".join(["1:-1"] * rank)
        sign = "=" if written else "+="
        lines.append(f"        {target}[{inner}] {sign} {' + '.join(terms)}")
        if rng.random() < 0.3:
            lines.append(f"        {target}[{inner}] *= {source}[{inner}]")
    lines.append("    return np.sum(A * A) + np.sum(B[1:] * B[:-1])")
    return "\n".join(lines)


@pytest.fixture
def compiled(tmp_path):
    """A function of this source, in a file of its own."""

    def make(source, name):
        file = tmp_path / f"{name}.py"
        file.write_text("import numpy as np\n\n\n" + source + "\n")
        scope = {}
        exec(compile(file.read_text(), str(file), "exec"), scope)
        return scope["f"]

    return make


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(40))
def test_random_stencils(seed, compiled):
    rng = np.random.default_rng(seed)
    rank, written = int(rng.integers(1, 3)), bool(rng.integers(2))
    f = compiled(random_stencil(rng, rank, written), f"stencil{seed}")
    with pb.options(jit=False):
        gradient = pb.grad(f, (0, 1, 2))
        for n in (3, 4, 5, 8):
            args = [rng.uniform(0.5, 1.0, (n,) * rank), rng.uniform(0.5, 1.0, (n,) * rank), rng.uniform(0.2, 0.4, 3)]
            pb.testing.check_grad(f, *args)
            by_text = evaluate(parse(str(gradient.lower(*args).adjoint_ir)), *args)
            for a, b in zip(gradient(*args), by_text, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-12)


def differences(x, c):
    return np.sum(c * (x[1:] - x[:-1]) ** 2)


@pytest.mark.compiled
def test_shifted_slices_are_one_sweep_without_memory():
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=1000), rng.normal(size=999)
    gradient = pb.grad(differences)
    d = 2.0 * c * np.diff(x)
    np.testing.assert_allclose(gradient(x, c), np.append(0.0, d) - np.append(d, 0.0), rtol=1e-12, atol=1e-12)
    assert gradient.source.count("np.empty") == 1 and "np.zeros" not in gradient.source
    with pb.options(reassociate=False):
        np.testing.assert_allclose(pb.grad(differences)(x, c), gradient(x, c), rtol=1e-12, atol=1e-12)


@pytest.mark.compiled
def test_the_option_keeps_what_users_add_in_their_order():
    def smear(a):
        y = np.zeros(len(a) + 2)
        for i in range(len(a)):
            y[i] += a[i] * 0.1
            y[i + 1] += a[i] * 0.7
            y[i + 2] += a[i] * 0.2
        return y

    a = np.random.default_rng(1).normal(size=1001) * 10.0 ** np.arange(-5, 6)[np.arange(1001) % 11]
    with pb.options(reassociate=False):
        assert np.array_equal(pb.jit(smear)(a), smear(a))
    np.testing.assert_allclose(pb.jit(smear)(a), smear(a), rtol=1e-9)


@pytest.mark.compiled
def test_zeros_of_users_keep_their_sign():
    def smear(a):
        y = np.full(len(a) + 1, -0.0)
        for i in range(len(a)):
            y[i] += a[i]
            y[i + 1] += 2.0 * a[i]
        return y

    a = np.full(5, -0.0)
    assert np.array_equal(np.signbit(pb.jit(smear)(a)), np.signbit(smear(a)))

    def filled(a):
        y = np.zeros(len(a))
        for i in range(len(a)):
            y[i] += a[i]
        return y

    assert not np.signbit(pb.jit(filled)(a)).any()


def test_values_are_carried_a_few_iterations_only():
    let = lambda name: parse(f"def f(y: f64) -> f64:\n    {name}: f64 = y * 2.0\n    return {name}").body[0]
    i = Affine.name("i")
    adds = [(let("a"), (i,)), (let("b"), (i + LAGS,)), (let("c"), (i + LAGS + 1,)), (let("d"), (i + 1,))]
    found = [[(let.var.name, lag) for let, lag in line.lets] for line in lines_of(adds, "i")]
    assert found == [[("a", 0), ("d", 1), ("b", LAGS)], [("c", 0)]]


FIRST = """
def f(y: f64[m], n: i64) -> f64[n]:
    m: i64 = dim(y, 0)
    x: f64[n] = zeros((n,), f64)
    for i in range({bounds}):
        x_1: f64[n] = phi(x, x_bar)
        t: f64 = y[i]
        k: i64 = i {shift}
        x_bar: f64[n] = x_1.at[{place}].add(t)
    x_3: f64[n] = last(x_1)
    return x_3
"""


@pytest.mark.parametrize(
    "bounds, shift, place, gone",
    [
        ("m", "+ 2", "k", True),  # m is at least 2: the loop runs, and what it writes is there
        ("1, m", "+ 0", "k", True),
        ("n", "+ 0", "k", False),  # n may be 0, or larger than m
        ("m", "* 2", "k", False),  # every second element
        ("m", "+ 0", "3", False),  # one element again and again
        ("2, m", "+ 0", "k", False),  # may not run, and 2 be larger than n
    ],
)
def test_first_additions_are_stores_where_that_is_proven(bounds, shift, place, gone):
    cotangents = ("x", "x_1", "x_bar", "x_3", "t")  # of a user's own additions the sign of a zero would change
    program = verify(parse(FIRST.format(bounds=bounds, shift=shift, place=place), cotangents=frozenset(cotangents)))
    after = verify(elide_zero_fill(program))
    assert gone != any(isinstance(n, Let) and n.op is zeros for n in walk.walk(after.body))
    y = np.arange(1.0, 6.0)
    for n in (11, 12, 20) if bounds != "n" else (0, 3, 5):
        for a, b in zip(evaluate(after, y, n), evaluate(program, y, n), strict=True):
            np.testing.assert_array_equal(a, b)


APART = """
def f(x: f64[n], b: f64[n]) -> (f64[n], f64[m]):
    n: i64 = dim(x, 0)
    m: i64 = n - 2
    k: i64 = n - 1
    a: f64[m] = b[2:n]
    y: f64[n] = x.at[{added}].add({what})
    t: f64[m] = y[1:k]
    z: f64[n] = y.at[{zeroed}].set({to})
    s: f64[m] = a + t
    return z, s
"""


@pytest.mark.parametrize(
    "change, joined",
    [
        ({}, True),
        ({"zeroed": "2:n"}, False),  # another part than the one that is read
        ({"to": "1.0"}, False),
        ({"what": "1.0"}, False),  # not added beside it
    ],
)
def test_rejoined_only_if_nothing_is_left(change, joined):
    form = {"added": "2:n", "what": "a", "zeroed": "1:k", "to": "0.0"} | change
    program = verify(parse(APART.format(**form)))
    after = verify(merge_cotangents(program))
    assert (after != program) == joined
    for n in (3, 4, 7):
        x, b = np.arange(n) * 0.3, np.arange(n) + 0.7
        for p, q in zip(evaluate(after, x, b), evaluate(program, x, b), strict=True):
            np.testing.assert_array_equal(p, q)
