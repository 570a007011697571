"""Gradients against finite differences: every program of tests/programs, once and twice; every primitive."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from irprograms import arguments, load
from random_nests import SIZE, N, random_nest
from random_programs import random_arguments, random_program
from samples import cases, inputs

from pullback.ir import Program, parse
from pullback.ir.adjoint import save
from pullback.ir.adjoint.reread import Rereader
from pullback.ir.adjoint.reverse_mode import adjoint, saved_report, split_adjoint
from pullback.ir.errors import TypeMismatch, UnsupportedFunction, UnsupportedSyntax
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.primitive import REGISTRY, Kind
from pullback.ir.program import For, Let, While
from pullback.ir.verify import verify
from pullback.ir.walk import regions

PROGRAMS = load()


def random(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def floats(program: Program) -> list[int]:
    return [k for k, p in enumerate(program.params) if p.type.is_float]


def directional(program, args, wrt, directions, step=1e-5):
    """Central differences of all results, with one Richardson step."""

    def at(t):
        moved = list(args)
        for k in wrt:
            moved[k] = args[k] + t * directions[k].astype(np.asarray(args[k]).dtype)
        return evaluate(program, *moved)

    def difference(h):
        return [(a - b) / (2 * h) if np.asarray(a).dtype.kind == "f" else None for a, b in zip(at(h), at(-h))]

    return [
        None if coarse is None else (4 * fine - coarse) / 3
        for fine, coarse in zip(difference(step), difference(2 * step))
    ]


def check(program: Program, args, rng, wrt=None, tolerance=2e-7, step=1e-4):
    """<seeds, J u> = <J' seeds, u>, for the joint and the split adjoint."""
    wrt = floats(program) if wrt is None else wrt
    joint = verify(adjoint(program, wrt, value=True))
    values = evaluate(program, *args)
    seeds = [rng.normal(size=np.shape(v)).astype(v.dtype) for v in values if np.asarray(v).dtype.kind == "f"]
    directions = {k: rng.normal(size=np.shape(args[k])) for k in wrt}
    got = evaluate(joint, *args, *seeds)
    for value, again in zip(values, got):
        np.testing.assert_array_equal(value, again)
    bars = got[len(values) :]
    for k, bar in zip(wrt, bars):
        assert np.shape(bar) == np.shape(args[k]) and bar.dtype == np.asarray(args[k]).dtype
    expected = [d for d in directional(program, args, wrt, directions, step) if d is not None]
    left = sum(np.vdot(s, d) for s, d in zip(seeds, expected))
    right = sum(np.vdot(bar, directions[k]) for k, bar in zip(wrt, bars))
    scale = 1 + sum(np.vdot(np.abs(s), np.abs(d)) for s, d in zip(seeds, expected))
    assert abs(left - right) <= tolerance * scale, (left, right)
    forward, backward = (verify(part) for part in split_adjoint(program, wrt))
    count = len(values)
    residuals = evaluate(forward, *args)[count:]
    assert len(backward.params) == len(residuals) + len(seeds)
    assert backward.params[: len(residuals)] == forward.results[count:]
    for bar, again in zip(bars, evaluate(backward, *residuals, *seeds)):
        np.testing.assert_array_equal(bar, again)
    for bar, again in zip(got, evaluate(optimise(joint), *args, *seeds)):
        np.testing.assert_allclose(bar, again, rtol=1e-12, atol=1e-12)
    return joint, seeds


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradient(name):
    program, settings = PROGRAMS[name]
    rng = random(name)
    single = "f32" in str(program)
    step = 1e-6 if name.startswith("while") else 1e-4  # the number of trips must not change
    tolerance = 3e-3 if single else 1e-5 if name.startswith("while") else 2e-7
    check(program, arguments(program, settings, rng), rng, tolerance=tolerance, step=step)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", [n for n in PROGRAMS if "f32" not in str(PROGRAMS[n][0])])
def test_gradient_of_gradient(name):
    program, settings = PROGRAMS[name]
    rng = random(name)
    args = arguments(program, settings, rng)
    first = adjoint(program, floats(program))
    values = evaluate(program, *args)
    seeds = [rng.normal(size=np.shape(v)) for v in values if np.asarray(v).dtype.kind == "f"]
    loop = name.startswith("while")
    check(first, [*args, *seeds], rng, tolerance=1e-5 if loop else 1e-6, step=1e-6 if loop else 1e-4)


def same_as_double(program, args, rng):
    double = parse(str(program).replace("f32", "f64"))
    (value,) = evaluate(program, *args)
    seed = rng.normal(size=np.shape(value)).astype(np.float32)
    wrt = floats(program)
    bars = zip(
        evaluate(verify(adjoint(program, wrt)), *args, seed), evaluate(adjoint(double, wrt), *args, seed)
    )
    for bar, exact in bars:
        assert bar.dtype == np.float32
        np.testing.assert_allclose(bar, exact, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("op, program, ranges", cases())
def test_primitive(op, program, ranges):
    rng = random(str(program))
    if not floats(program) or not program.results[0].type.is_float or op.name == "empty":
        pytest.skip("nothing to differentiate")
    if op.kind in (Kind.KERNEL, Kind.UPDATE) and not op.differentiable:
        pytest.skip("a factor: who uses it states the derivative by its matrix")
    single = any(v.type.dtype == "f32" for v in (*program.params, *program.results))
    args = inputs(program, op, rng, ranges)
    if single and op.name not in ("to_f32", "to_f64"):
        same_as_double(program, args, rng)
        return
    check(program, args, rng, tolerance=2e-3 if single else 2e-7, step=1e-2 if single else 1e-4)
    if op.differentiable and not single:
        first = adjoint(program, floats(program))
        seeds = [rng.normal(size=np.shape(v)) for v in evaluate(program, *args)]
        check(first, [*args, *seeds], rng, tolerance=1e-6)


# -- random programs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_random_program(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    args = [
        rng.normal(size=np.shape(a)) if np.asarray(a).dtype == float else a for a in random_arguments(rng)
    ]
    check(program, args, rng, step=1e-5, tolerance=1e-5)


@pytest.mark.parametrize("seed", range(60))
def test_reading_again_is_as_good_as_saving(seed, monkeypatch):
    program = random_nest(seed)
    rng = np.random.default_rng(seed)
    args = [
        rng.uniform(0.2, 1, SIZE),
        rng.uniform(0.2, 1, SIZE),
        N,
        rng.normal(size=SIZE),
        rng.normal(size=SIZE),
    ]
    bars = evaluate(verify(adjoint(program, [0, 1])), *args)
    monkeypatch.setattr(Rereader, "again", lambda self, name: None)
    for bar, saved in zip(bars, evaluate(verify(adjoint(program, [0, 1])), *args)):
        np.testing.assert_array_equal(bar, saved)


# -- what is refused ------------------------------------------------------------------------------------


def test_integers_are_not_differentiated():
    program = parse("def f(x: f64, k: i64) -> f64:\n    return x")
    with pytest.raises(TypeMismatch, match="k: it is i64"):
        adjoint(program, [1])


def test_a_gradient_needs_a_scalar():
    program = parse("def f(x: f64[3]) -> f64[3]:\n    return x")
    with pytest.raises(TypeMismatch, match="one result, a float scalar; f gives f64\\[3\\]"):
        adjoint(program, [0], seeds=False)


def test_a_missing_derivative_is_refused():
    op = REGISTRY["polygamma"]
    program = parse("def f(x: f64) -> f64:\n    y: f64 = polygamma(1, x)\n    return y")
    original = op.vjp
    object.__setattr__(op, "vjp", lambda y_bar, y, n, x: (None, NotImplemented))
    try:
        with pytest.raises(UnsupportedFunction, match="polygamma by x"):
            adjoint(program, [0])
    finally:
        object.__setattr__(op, "vjp", original)


def test_loop_in_the_test_of_a_while_is_refused():
    program = parse(LOOP_IN_TEST)
    with pytest.raises(UnsupportedSyntax, match="test of a `while`"):
        adjoint(program, [0])


LOOP_IN_TEST = """
def f(x: f64) -> f64:
    while True:
        y: f64 = phi(x, y1)
        for i in range(3):
            s: f64 = phi(y, s1)
            t: f64 = s * s
            s1: f64 = sin(t)
        s2: f64 = last(s)
        c: bool = s2 > 0.1
        if not c: break
        y1: f64 = s2 * 0.5
    z: f64 = last(y)
    return z"""


# -- conventions ----------------------------------------------------------------------------------------


def gradient(text, *args):
    return evaluate(verify(adjoint(parse(text), [0], seeds=False)), *args)[0]


def test_gradient_of_a_scalar_needs_no_seed():
    text = "def f(x: f64) -> f64:\n    y: f64 = sin(x)\n    return y"
    assert gradient(text, 0.5) == np.cos(0.5)


GUARDED = """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    c: bool[n] = x > 0.0
    a: f64[n] = log(x)
    b: f64[n] = a * a
    y: f64[n] = where(c, b, 0.0)
    z: f64 = sum(y, axis=(0,))
    return z"""


def test_an_arm_of_where_that_is_not_taken_gives_no_nan():
    x = np.array([0.0, 2.0, -1.0])
    bar = gradient(GUARDED, x)
    np.testing.assert_allclose(bar, [0.0, np.log(2.0), 0.0])
    hessian = adjoint(adjoint(parse(GUARDED), [0], seeds=False), [0])
    (row,) = evaluate(verify(hessian), x, np.ones(3))
    np.testing.assert_allclose(row, [0.0, 2 / 4 * (1 - np.log(2.0)), 0.0])


def test_plain_code_keeps_the_arithmetic_of_floats():
    text = "def f(x: f64) -> f64:\n    a: f64 = log(x)\n    y: f64 = a * 0.0\n    return y"
    assert np.isnan(gradient(text, 0.0))


AT_ZERO = """
def f(x: f64) -> f64:
    a: f64 = x * x
    b: f64 = a - 1.0
    c: f64 = b * b
    d: bool = x > 0.0
    y: f64 = where(d, c, 0.0)
    return y"""


def test_second_derivative_where_the_cotangent_happens_to_be_zero():
    hessian = adjoint(adjoint(parse(AT_ZERO), [0], seeds=False), [0], seeds=False)
    assert evaluate(hessian, 1.0)[0] == 8.0
    assert evaluate(hessian, -1.0)[0] == 0.0


@pytest.mark.parametrize(
    "op, x, w, second",
    [("logaddexp(x, w)", 0.7, 0.7, 0.25), ("logaddexp(x, w)", 0.0, 0.0, 0.25), ("x ** w", 2.0, 0.0, 0.0)],
)
def test_second_derivative_at_ties(op, x, w, second):
    program = parse(f"def f(x: f64, w: f64) -> f64:\n    y: f64 = {op}\n    return y")
    first = adjoint(program, [0], seeds=False)
    xx, xw = evaluate(verify(adjoint(first, [0, 1], seeds=False)), x, w)
    np.testing.assert_allclose([xx, xw], [second, -0.25 if "log" in op else 1 / x], atol=1e-15)


def test_inactive_parameters_cost_nothing():
    program, _ = PROGRAMS["straight/logistic"]
    text = str(optimise(adjoint(program, [1], seeds=False)))
    assert "X_bar" not in text and "y_bar" not in text and "w_bar" in text


# -- what is saved ---------------------------------------------------------------------------------------


ELEMENTS = ["stores", "nested", "triangle", "lu", "in_place_sweeps", "swap_arrays", "sparse_product"]


@pytest.mark.parametrize(
    "name", [*(f"loops/{n}" for n in ELEMENTS), "branches/if_with_state", "while/everything"]
)
def test_no_whole_array_is_made_in_a_loop(name):
    """Parts go into accumulators, which are made before the loops."""
    program, _ = PROGRAMS[name]
    for depth in range(2):
        program = adjoint(program, floats(program))
        made = [n for n in in_loops(program.body) if isinstance(n, Let) and n.var.type.dims]
        assert {n.op.name for n in made} <= {"at_set", "at_add"}, depth


def in_loops(nodes, inside=False):
    for node in nodes:
        if inside:
            yield node
        for region in regions(node):
            yield from in_loops(region, inside or isinstance(node, (For, While)))


CHOLESKY = """
def f(A0: f64[n, n]) -> f64[n, n]:
    n: i64 = dim(A0, 0)
    for i in range(n):
        A: f64[n, n] = phi(A0, A6)
        for j in range(i):
            A1: f64[n, n] = phi(A, A4)
            for k in range(j):
                A2: f64[n, n] = phi(A1, A3)
                a: f64 = A2[i, k]
                b: f64 = A2[j, k]
                c: f64 = a * b
                d: f64 = A2[i, j]
                e: f64 = d - c
                A3: f64[n, n] = A2.at[i, j].set(e)
            A7: f64[n, n] = last(A2)
            f: f64 = A7[i, j]
            g: f64 = A7[j, j]
            h: f64 = f / g
            A4: f64[n, n] = A7.at[i, j].set(h)
        A8: f64[n, n] = last(A1)
        r: f64[i] = A8[i, :i]
        s: f64 = r @ r
        t: f64 = A8[i, i]
        u: f64 = t - s
        v: f64 = sqrt(u)
        A6: f64[n, n] = A8.at[i, i].set(v)
    L: f64[n, n] = last(A)
    return L"""


def saved(program):
    return [(s.variable, str(s.array.type)) for s in saved_report(program, floats(program))]


def test_what_is_still_there_is_not_saved():
    cholesky = verify(parse(CHOLESKY))
    assert saved(cholesky) == []
    rng = random("cholesky")
    x = rng.normal(size=(5, 5))
    check(cholesky, [x @ x.T + 5 * np.eye(5)], rng)
    for name in ("loops/lu", "loops/triangle"):
        assert saved(PROGRAMS[name][0]) == [], name


def test_one_number_per_step():
    assert saved(PROGRAMS["loops/recurrence"][0]) == [("s", "f64[n]")]
    assert saved(PROGRAMS["branches/both_arms"][0]) == [("s", "f64[n]")]
    assert saved(PROGRAMS["loops/array_state"][0]) == [("h", "f64[t_1, n]")]


def test_counters_are_not_saved():
    assert saved(PROGRAMS["while/search"][0]) == []
    assert saved(PROGRAMS["while/decay"][0]) == [("y", "f64[trips]")]


def test_count_of_a_while_with_a_large_bound(monkeypatch):
    program, settings = PROGRAMS["while/bounded"]
    rng = random("bound")
    args = arguments(program, settings, rng)
    few = evaluate(adjoint(program, [0, 1]), *args, 1.0)
    monkeypatch.setattr(save, "FLAT_BOUND", 1)
    counted = adjoint(program, [0, 1])
    assert " <= 1\n" in str(counted)
    for bar, same in zip(few, evaluate(counted, *args, 1.0)):
        np.testing.assert_array_equal(bar, same)


def test_the_cotangent_of_new_axes_is_reshaped():
    """No array of zeros to add it to: new axes show every element once."""
    program = parse("""
def f(x: f64[n, m]) -> f64[n, 1, m]:
    n: i64 = dim(x, 0)
    m: i64 = dim(x, 1)
    y: f64[n, 1, m] = x[:, None, :]
    return y""")
    bars = adjoint(program, [0])
    assert [n.op.name for n in optimise(bars).body if isinstance(n, Let)] == ["dim", "dim", "reshape"]
    seed = np.arange(6.0).reshape(3, 1, 2)
    np.testing.assert_array_equal(evaluate(verify(bars), np.ones((3, 2)), seed)[0], seed[:, 0])
    part = parse(str(program).replace("x[:, None, :]", "x[1:n, None, :]").replace("f64[n, 1, m]", "f64[p, 1, m]")
                 .replace("    y:", "    p: i64 = n - 1\n    y:"))  # fmt: skip
    assert "at_add" in [n.op.name for n in adjoint(verify(part), [0]).body if isinstance(n, Let)]
