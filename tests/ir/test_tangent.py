"""Forward mode against reverse mode and finite differences, over every primitive, sample program and composition."""

from __future__ import annotations

import numpy as np
import pytest
from irprograms import arguments, load
from random_nests import SIZE, N, random_nest
from random_programs import random_arguments, random_program
from samples import cases, inputs
from test_adjoint import directional, floats, random

from pullback.ir import parse
from pullback.ir.adjoint.reverse_mode import adjoint
from pullback.ir.errors import TypeMismatch
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import optimise
from pullback.ir.primitive import REGISTRY
from pullback.ir.tangent import tangent
from pullback.ir.verify import verify

PROGRAMS = load()
DOUBLE = [n for n in PROGRAMS if "f32" not in str(PROGRAMS[n][0])]


def products(program, args, rng, tolerance=1e-10):
    """<v, J u> = <J' v, u>, exactly: both modes use the same partials. Returns the directions and J u."""
    wrt = floats(program)
    forward = verify(tangent(program, wrt))
    values = evaluate(program, *args)
    directions = [rng.normal(size=np.shape(args[k])).astype(np.asarray(args[k]).dtype) for k in wrt]
    got = evaluate(forward, *args, *directions)
    for value, again in zip(values, got):
        np.testing.assert_array_equal(value, again)
    dots = got[len(values) :]
    of_floats = [v for v in values if np.asarray(v).dtype.kind == "f"]
    for value, dot in zip(of_floats, dots, strict=True):
        assert np.shape(dot) == np.shape(value) and np.asarray(dot).dtype == np.asarray(value).dtype
    for dot, again in zip(dots, evaluate(optimise(forward), *args, *directions)[len(values) :]):
        np.testing.assert_allclose(dot, again, rtol=1e-12, atol=1e-12)
    seeds = [rng.normal(size=np.shape(v)).astype(v.dtype) for v in of_floats]
    bars = evaluate(adjoint(program, wrt), *args, *seeds)
    left = sum(np.vdot(s, d) for s, d in zip(seeds, dots))
    right = sum(np.vdot(b, u) for b, u in zip(bars, directions))
    scale = 1 + sum(np.vdot(np.abs(b), np.abs(u)) for b, u in zip(bars, directions))
    assert abs(left - right) <= tolerance * scale, (left, right)
    return directions, dots


def columns(program, args, rng):
    """Many directions at once give what each gives alone."""
    wrt = floats(program)
    at_once = verify(tangent(program, wrt, value=False, batch=True))
    alone = tangent(program, wrt, value=False)
    directions = [rng.normal(size=(*np.shape(args[k]), 3)).astype(np.asarray(args[k]).dtype) for k in wrt]
    dots = evaluate(at_once, *args, *directions)
    for k in range(3):
        for dot, one in zip(dots, evaluate(alone, *args, *(d[..., k] for d in directions)), strict=True):
            np.testing.assert_allclose(dot[..., k], one, rtol=1e-5 if dot.dtype == np.float32 else 1e-12, atol=1e-9)
    for dot, again in zip(dots, evaluate(optimise(at_once), *args, *directions), strict=True):
        np.testing.assert_allclose(dot, again, rtol=1e-12, atol=1e-12)


def against_differences(program, args, directions, dots, step=1e-4, tolerance=2e-7):
    steps = dict(zip(floats(program), directions))
    expected = [d for d in directional(program, args, list(steps), steps, step) if d is not None]
    for dot, difference in zip(dots, expected, strict=True):
        size = 1 + np.abs(dot).max(initial=0)
        np.testing.assert_allclose(dot, difference, rtol=tolerance * 10, atol=tolerance * size)


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    program, settings = PROGRAMS[name]
    rng = random(name)
    single = "f32" in str(program)
    args = arguments(program, settings, rng)
    directions, dots = products(program, args, rng, 1e-4 if single else 1e-10)
    columns(program, args, rng)
    if not single:
        loop = name.startswith("while")
        against_differences(program, args, directions, dots, 1e-6 if loop else 1e-4, 1e-5 if loop else 2e-7)


@pytest.mark.fuzz
@pytest.mark.parametrize("name", DOUBLE)
@pytest.mark.parametrize("inner", [tangent, adjoint])
def test_tangent_of_a_derivative(name, inner):
    program, settings = PROGRAMS[name]
    rng = random(name)
    args = arguments(program, settings, rng)
    first = inner(program, floats(program))
    more = [rng.normal(size=np.shape(np.asarray(v))) for v in extra(program, first, args)]
    directions, dots = products(first, [*args, *more], rng)
    columns(first, [*args, *more], rng)
    loop = name.startswith("while")
    against_differences(first, [*args, *more], directions, dots, 1e-6 if loop else 1e-4, 1e-4 if loop else 2e-6)


@pytest.mark.parametrize("name", DOUBLE)
def test_adjoint_of_a_tangent(name):
    """The Hessian's product from both sides: they are the same numbers."""
    program, settings = PROGRAMS[name]
    rng = random(name)
    args = arguments(program, settings, rng)
    wrt = floats(program)
    directions = [rng.normal(size=np.shape(args[k])) for k in wrt]
    seeds = [rng.normal(size=np.shape(v)) for v in evaluate(program, *args) if np.asarray(v).dtype.kind == "f"]
    pushed = tangent(program, wrt, value=False)
    reverse = evaluate(verify(adjoint(pushed, wrt)), *args, *directions, *seeds)
    forward = evaluate(verify(tangent(adjoint(program, wrt), wrt, value=False)), *args, *seeds, *directions)
    for a, b in zip(reverse, forward, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def extra(program, derived, args):
    """The values whose forms the further parameters of a derivative have: arguments, or results."""
    count = len(derived.params) - len(program.params)
    given = [args[k] for k in floats(program)]
    if len(given) == count and derived.params[-1].name.endswith("_dot"):
        return given
    return [v for v in evaluate(program, *args) if np.asarray(v).dtype.kind == "f"]


@pytest.mark.parametrize("op, program, ranges", cases())
def test_primitive(op, program, ranges):
    rng = random(str(program))
    if not floats(program) or not program.results[0].type.is_float or op.name == "empty":
        pytest.skip("nothing to differentiate")
    single = any(v.type.dtype == "f32" for v in (*program.params, *program.results))
    args = inputs(program, op, rng, ranges)
    directions, dots = products(program, args, rng, 1e-4 if single else 1e-10)
    columns(program, args, rng)
    if not single and op.differentiable:
        against_differences(program, args, directions, dots)
        directions, dots = products(tangent(program, floats(program)), [*args, *directions], rng)


@pytest.mark.parametrize("op", [op for op in REGISTRY.values() if op.differentiable], ids=repr)
def test_every_differentiable_primitive_has_a_forward_rule(op):
    """Partials, linearity in all that it is differentiable in, or a jvp."""
    text = [k for k in range(op.text.count("{")) if k not in op.static and k not in op.sizes]
    indices = {"getitem": {1}, "at_set": {1}, "at_add": {1}, "where": {0}}.get(op.name, set())
    assert op.partials is not None or op.jvp is not None or set(op.linear) == set(text) - indices


@pytest.mark.parametrize("seed", range(60))
def test_random_program(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    args = [
        rng.normal(size=np.shape(a)) if np.asarray(a).dtype == float else a for a in random_arguments(rng)
    ]
    products(program, args, rng, 1e-8)
    columns(program, args, rng)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(60))
def test_random_nest(seed):
    rng = np.random.default_rng(seed)
    given = [rng.uniform(0.2, 1, SIZE), rng.uniform(0.2, 1, SIZE), N]
    products(random_nest(seed), given, rng, 1e-8)
    columns(random_nest(seed), given, rng)


def test_integers_are_not_differentiated():
    with pytest.raises(TypeMismatch, match="k: it is i64"):
        tangent(parse("def f(x: f64, k: i64) -> f64:\n    return x"), [1])


def test_what_does_not_depend_on_the_parameters_costs_nothing():
    program = parse("def f(x: f64, w: f64) -> f64:\n    a: f64 = sin(w)\n    y: f64 = x * a\n    return y")
    text = str(optimise(tangent(program, [0], value=False)))
    assert "cos" not in text and "w_dot" not in text and "a_dot" not in text


def test_a_tangent_of_zero_stays_zero_where_a_partial_is_infinite():
    program = tangent(parse("def f(x: f64[2]) -> f64[2]:\n    y: f64[2] = sqrt(x)\n    return y"), [0], value=False)
    (dot,) = evaluate(program, np.array([0.0, 4.0]), np.array([0.0, 1.0]))
    np.testing.assert_array_equal(dot, [0.0, 0.25])
