"""Generated code computes what the interpreter computes, run as Python and compiled by numba."""

import doctest

import numpy as np
import pytest
from irprograms import arguments, load
from random_programs import random_arguments, random_program
from samples import cases, inputs

from pullback.codegen import generate, scalarise, storage
from pullback.ir.evaluate import evaluate
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source

PROGRAMS = load()


def run(program, *args, jit=False):
    function = compile_source(generate(program), program.name, jit=jit)
    return function(*args)


def assert_same(found, wanted, rtol=1e-12, atol=1e-13):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype or np.ndim(b) == 0
        rough = np.asarray(b).dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5 if rough else rtol, atol=1e-6 if rough else atol)


@pytest.mark.parametrize("op, program, ranges", cases())
def test_every_primitive(op, program, ranges, rng):
    if op.name == "empty":
        pytest.skip("has no value")
    args = [np.asarray(a)[()] for a in inputs(program, op, rng, ranges)]
    before = [np.array(a) for a in args]
    verify(storage(verify(scalarise(program))))
    found = run(program, *args)
    assert_same(found, evaluate(program, *args))
    for arg, copy in zip(args, before):
        np.testing.assert_array_equal(arg, copy)
        assert not any(np.shares_memory(np.asarray(arg), np.asarray(r)) for r in found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name, rng):
    program, settings = PROGRAMS[name]
    args = arguments(program, settings, rng)
    verify(storage(verify(scalarise(program))))
    assert_same(run(program, *args), evaluate(program, *args))


@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    verify(storage(verify(scalarise(program))))
    for _ in range(2):
        args = random_arguments(rng)
        try:
            wanted = evaluate(program, *args)
        except Exception as error:
            with pytest.raises(type(error)):
                run(program, *args)
            continue
        assert_same(run(program, *args), wanted)


def test_doctests():
    for module in ("emit", "hoist", "storage", "scalarise", "spell", "names", "access", "liveness"):
        found = __import__(f"pullback.codegen.{module}", fromlist=["x"])
        assert doctest.testmod(found).failed == 0
