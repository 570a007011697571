"""Generated code computes what the interpreter computes, run as Python and compiled by numba."""

import contextlib
import doctest
import re

import numpy as np
import pytest
from irprograms import arguments, load
from random_programs import random_arguments, random_program
from samples import cases, inputs
from test_scalarise import Writer as ArrayWriter
from test_scalarise import arguments as array_arguments

from pullback.codegen import bufferize, generate, scalarise
from pullback.ir.build import Builder
from pullback.ir.errors import IRError
from pullback.ir.evaluate import evaluate
from pullback.ir.ops.arith import CONVERT
from pullback.ir.primitive import REGISTRY
from pullback.ir.program import Index, Lit
from pullback.ir.text import parse
from pullback.ir.types import I64, Type
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
    verify(bufferize(verify(scalarise(program))))
    found = run(program, *args)
    assert_same(found, evaluate(program, *args))
    for arg, copy in zip(args, before):
        np.testing.assert_array_equal(arg, copy)
        assert not any(np.shares_memory(np.asarray(arg), np.asarray(r)) for r in found)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name, rng):
    program, settings = PROGRAMS[name]
    args = arguments(program, settings, rng)
    verify(bufferize(verify(scalarise(program))))
    assert_same(run(program, *args), evaluate(program, *args))


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(150))
def test_random_programs(seed):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    verify(bufferize(verify(scalarise(program))))
    for _ in range(2):
        args = random_arguments(rng)
        try:
            wanted = evaluate(program, *args)
        except Exception as error:
            with pytest.raises(type(error)):
                run(program, *args)
            continue
        assert_same(run(program, *args), wanted)


def scalar_program():
    """One program that applies every elementwise operation to scalars of every dtype it takes."""
    builder = Builder()
    dtypes = {"a": "f64", "b": "f64", "r": "f32", "s": "f32", "k": "i64", "l": "i64", "c": "bool"}
    params = tuple(builder.var(name, Type(dtype)) for name, dtype in dtypes.items())
    by_dtype = {d: [p for p in params if p.type.dtype == d] for d in ("f64", "f32", "i64", "bool")}
    values = []
    for op in REGISTRY.values():
        if not op.elementwise or op.static or op.name in ("shift_left", "shift_right", "int_power"):
            continue
        for found in by_dtype.values():
            if found[0].type.dtype == "bool" and op.name in ("sub", "neg", "sign", "copysign", "abs"):
                continue  # NumPy has no such thing
            if found[0].type.is_float and op.name in ("and", "or", "xor", "invert"):
                continue
            if found[0].type.is_float and re.fullmatch(r"to_[iu]\d+", op.name) and op.name != "to_i64":
                continue  # of nan and inf that is the processor's matter
            arity = len(set(re.findall(r"\{\d\}", op.text)))
            args = (params[-1], found[0], found[-1]) if op.name == "where" else (found * 2)[:arity]
            with contextlib.suppress(IRError):
                result = builder.emit(op, *args)
                values.append(builder.emit(CONVERT["f64"], result))
    size = Lit(str(len(values)), I64)
    array = builder.emit("empty", (size,), "f64")
    for k, value in enumerate(values):
        array = builder.emit("at_set", array, Index((Lit(str(k), I64),)), value)
    return verify(builder.program("scalars", params, (array,)))


@pytest.mark.compiled
def test_compiled_scalar_operations():
    program = scalar_program()
    for args in (
        (0.7, 0.4, np.float32(0.3), np.float32(0.6), 3, 2, True),
        (-1.5, 0.0, np.float32(-0.0), np.float32(2.0), -3, 2, False),
        (np.nan, np.inf, np.float32(np.inf), np.float32(-2.5), 7, -2, True),
    ):
        (wanted,) = evaluate(program, *args)
        for jit in (False, True):
            (found,) = run(program, *args, jit=jit)
            # SciPy's own functions of float32 are right to 1e-5, compiled code calls those of float64.
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


COMPILED = ("loops/growing", "loops/lu", "straight/gather", "straight/reductions", "while/everything")


@pytest.mark.compiled
@pytest.mark.parametrize("name", COMPILED)
def test_compiled_programs(name, rng):
    program, settings = PROGRAMS[name]
    args = arguments(program, settings, rng)
    assert_same(run(program, *args, jit=True), evaluate(program, *args), rtol=1e-10)


@pytest.mark.compiled
@pytest.mark.parametrize("k", range(3))
def test_compiled_random_programs(k):
    """Programs of array operations, compiled: matrix products, views, reductions, updates."""
    rng = np.random.default_rng(1000 + k)
    program = ArrayWriter(rng).program(25)
    for _ in range(2):
        args = array_arguments(rng)
        assert_same(run(program, *args, jit=True), evaluate(program, *args), rtol=1e-8, atol=1e-8)


@pytest.mark.compiled
def test_compiled_matrix_products():
    program = verify(
        parse("""
def f(A: f64[n, k], B: f64[k, m], C: f64[r, n, k], i: i64) -> (f64[n, m], f64[k, k], f64[n, m]):
    n: i64 = dim(A, 0)
    k: i64 = dim(A, 1)
    m: i64 = dim(B, 1)
    r: i64 = dim(C, 0)
    AB: f64[n, m] = A @ B
    At: f64[k, n] = transpose(A, (1, 0))
    AA: f64[k, k] = At @ A
    row: f64[n, k] = C[i, :, :]
    CB: f64[n, m] = row @ B
    S: f64[n, m] = AB + CB
    return AB, AA, S
""")
    )
    rng = np.random.default_rng(0)
    args = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=(2, 4, 3)), 1
    for jit in (False, True):
        assert_same(run(program, *args, jit=jit), evaluate(program, *args))
    source = generate(program)
    assert "support.matmul(C[i], B" in source and "support.add_matmul" not in source  # AB is a result


@pytest.mark.compiled
def test_factors_that_are_parts_of_arrays_are_not_copied():
    program = verify(
        parse("""
def f(A: f64[12, 20], T: f64[5, 14, 10], i: i64) -> (f64[6, 10], f64[10, 9], f64[10, 10]):
    rows: f64[6, 14] = A[0:12:2, 2:16]
    t: f64[14, 10] = T[i, :, :]
    product: f64[6, 10] = rows @ t
    turned: f64[10, 14] = transpose(t, (1, 0))
    columns: f64[12, 9] = A[:, 11:20]
    below: f64[10, 12] = turned[:, 2:14]
    second: f64[10, 9] = below @ columns
    middle: f64[5, 10] = T[:, 3, :]
    across: f64[10, 5] = transpose(middle, (1, 0))
    third: f64[10, 10] = across @ middle
    return product, second, third
""")
    )
    source = generate(program)
    assert "for " not in source and "copy" not in source
    rng = np.random.default_rng(0)
    args = rng.normal(size=(12, 20)), rng.normal(size=(5, 14, 10)), 3
    for jit in (False, True):
        assert_same(run(program, *args, jit=jit), evaluate(program, *args))


@pytest.mark.compiled
def test_part_of_an_array_becomes_a_product():
    program = verify(
        parse("""
def f(x: f64[3, 6, 4], y: f64[n, n], a: f64[3, 5], b: f64[5, 2], c: f64) -> (f64[3, 6, 4], f64[n, n]):
    n: i64 = dim(y, 0)
    x1: f64[3, 6, 4] = x.at[1, 1:6:2, 1:3].set_matmul(c, a, b)
    x2: f64[3, 6, 4] = x1.at[2, 0:3, 2:4].add_matmul(-1.0, a, b)
    yt: f64[n, n] = transpose(y, (1, 0))
    y1: f64[n, n] = y.at[:, :].add_matmul(0.5, y, yt)
    return x2, y1
""")
    )
    rng = np.random.default_rng(0)
    args = rng.normal(size=(3, 6, 4)), rng.normal(size=(5, 5)), rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
    for c in (1.5, 0.0, np.inf):
        for jit in (False, True):
            assert_same(run(program, *args, c, jit=jit), evaluate(program, *args, c))


@pytest.mark.compiled
def test_product_is_added_in_place():
    program = verify(
        parse("""
def f(A: f64[n, n], k: i64) -> f64[n, n]:
    n: i64 = dim(A, 0)
    Z: f64[n, n] = zeros((n, n), f64)
    for i in range(k):
        P: f64[n, n] = phi(Z, Q)
        T: f64[n, n] = A @ A
        Q: f64[n, n] = P + T
    R: f64[n, n] = last(P)
    return R
""")
    )
    source = generate(program)
    assert "support.add_matmul(A, A, " in source and "np.empty" not in source
    args = np.random.default_rng(0).normal(size=(3, 3)), 4
    for jit in (False, True):
        assert_same(run(program, *args, jit=jit), evaluate(program, *args))


def test_doctests():
    for module in (
        "emit.python",
        "memory.hoist_allocations",
        "loops.reorder",
        "memory.scalar_replacement",
        "memory.bufferize",
        "lower.scalarise",
        "emit.spelling",
        "emit.out_of_ssa",
        "index_maps",
        "analysis.liveness",
    ):
        found = __import__(f"pullback.codegen.{module}", fromlist=["x"])
        assert doctest.testmod(found).failed == 0
