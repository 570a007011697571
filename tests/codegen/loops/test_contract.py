"""Loops that become one, so that what they hand on is a scalar: the same numbers, or the loops as they were."""

import doctest
import importlib
import random

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import PIPELINE, fuse_and_contract
from pullback.ir.evaluate import evaluate
from pullback.ir.program import For
from pullback.ir.text import parse
from pullback.ir.verify import verify
from pullback.ir.walk import walk

N = 3
SIZE = 3 * N


def loops(program):
    return sum(isinstance(node, For) for node in walk(program.body))


def vectors(program):
    return sum(str(line).count("empty(") + str(line).count("zeros(") for line in str(program).splitlines())


def with_a_vector(seed):
    """Text of loops over one range that write and read a vector, and elements of a matrix on the way."""
    rng = random.Random(seed)
    lines = [
        "def f(A0: f64[m, m], n: i64) -> f64[m, m]:", "    m: i64 = dim(A0, 0)",
        "    for i in range(n):", "        A1: f64[m, m] = phi(A0, NEXT)",
        f"        t0: f64[n] = {rng.choice(['empty', 'zeros'])}((n,), f64)",
    ]  # fmt: skip
    t, matrix, names = "t0", "A1", iter(range(10, 1000))

    def put(line, depth=3):
        lines.append("    " * depth + line)

    def subscript(j):
        kind, name = rng.randint(0, 5), f"e{next(names)}"
        if kind < 2:
            return ["i", j][kind]
        if kind == 2:
            return str(rng.randint(0, 2))
        put(f"{name}: i64 = {rng.choice(['i', j])} + {rng.randint(1, 3)}" if kind == 3 else f"{name}: i64 = i + {j}")
        if kind == 5:
            again = f"e{next(names)}"
            put(f"{again}: i64 = {name} + 1")
            return again
        return name

    def element(j):
        if rng.random() < 0.4:
            return f"{subscript(j)}, {subscript(j)}"
        behind, at = f"e{next(names)}", f"e{next(names)}"
        put(f"{behind}: i64 = i + {j}")
        put(f"{at}: i64 = {behind} + 1")
        return rng.choice([f"i, {at}", f"{at}, i"])

    for k in range(rng.randint(2, 4)):
        j = f"j{k}"
        lines.append(f"        for {j} in {'reversed(range(n))' if seed % 2 else 'range(n)'}:")
        writes_t, writes_a = k == 0 or rng.random() < 0.4, k > 0 or rng.random() < 0.3
        here_t, here_a = (f"t{next(names)}" if writes_t else t), (f"B{next(names)}" if writes_a else matrix)
        ends = (f"t{next(names)}", f"B{next(names)}")
        if writes_t:
            put(f"{here_t}: f64[n] = phi({t}, {ends[0]})")
        if writes_a:
            put(f"{here_a}: f64[m, m] = phi({matrix}, {ends[1]})")
        value = f"v{next(names)}"
        put(f"{value}: f64 = {here_a}[{element(j)}]")
        if k > 0:
            read, total = f"v{next(names)}", f"v{next(names)}"
            put(f"{read}: f64 = {here_t}[{j}]")
            put(f"{total}: f64 = {value} + {read}")
            value = total
        if writes_t:
            op = "set" if k == 0 and "empty" in lines[4] else rng.choice(["set", "add"])
            put(f"{ends[0]}: f64[n] = {here_t}.at[{j}].{op}({value})")
        if writes_a:
            at = element(j)
            put(f"{ends[1]}: f64[m, m] = {here_a}.at[{at}].{rng.choice(['set', 'add'])}({value})")
        if writes_t:
            t = f"t{next(names)}"
            put(f"{t}: f64[n] = last({here_t})", 2)
        if writes_a:
            matrix = f"B{next(names)}"
            put(f"{matrix}: f64[m, m] = last({here_a})", 2)
    lines += ["    end: f64[m, m] = last(A1)", "    return end"]
    return "\n".join(lines).replace("NEXT", matrix)


def test_random_loops():
    fewer = 0
    for seed in range(150):
        program = verify(parse(with_a_vector(seed)))
        found = verify(fuse_and_contract(program))
        A = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
        for n in (0, 1, N):
            (wanted,), (value,) = evaluate(program, A, n), evaluate(found, A, n)
            np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-12)
        fewer += loops(found) < loops(program)
    assert 30 < fewer < 120


def rows_and_columns(C, v):
    C = C.copy()
    n = C.shape[0]
    for i in range(n):
        C[i + 1 :, i] = C[i, i + 1 :] * v[i]
        C[i, i + 1 :] = C[i + 1 :, i]
    return np.sum(np.sin(C))


def rows_from_others(C, v):
    """Each row of the rest reads what the loop before has written elsewhere in the same trip."""
    C = C.copy()
    for i in range(C.shape[0] - 1):
        C[i + 1, 1:] = C[i, 1:] * v[i]
        C[i, :-1] = C[i + 1, 1:]
    return np.sum(np.sin(C))


@pytest.mark.parametrize("function", [rows_and_columns, rows_from_others])
def test_gradients(function):
    rng = np.random.default_rng(1)
    for n in (2, 3, 7):
        C, v = rng.normal(size=(n, n)), rng.normal(size=n)
        with pb.options(jit=False, cache=False):
            pb.testing.check_grad(function, C, v)


def test_one_loop_for_row_and_column():
    gradient = pb.grad(rows_and_columns, (0, 1))
    with pb.options(jit=False, cache=False):
        gradient(np.ones((7, 7)), np.ones(7))
    program = parse(str(gradient.adjoint_ir))
    program = PIPELINE.before("fuse_and_contract").run(program)
    found = verify(fuse_and_contract(program))
    assert loops(found) < loops(program) and vectors(found) < vectors(program)


def test_expensive_loops_stay_apart():
    text = """
def f(x: f64[n], A: f64[n, n], k: i64) -> f64[n, n]:
    n: i64 = dim(x, 0)
    t: f64[n] = empty((n,), f64)
    for i in range(n):
        t1: f64[n] = phi(t, t2)
        a: f64 = x[i]
        b: f64 = exp(a)
        t2: f64[n] = t1.at[i].set(b)
    t3: f64[n] = last(t1)
    for j in range(n):
        A1: f64[n, n] = phi(A, A2)
        c: f64 = t3[j]
        A2: f64[n, n] = A1.at[j, k].set(c)
    A3: f64[n, n] = last(A1)
    return A3
"""
    program = verify(parse(text))
    assert fuse_and_contract(program) == program
    assert loops(verify(fuse_and_contract(parse(text.replace("exp(a)", "a * 2.0"))))) == 1


def test_doctest():
    module = importlib.import_module("pullback.codegen.loops.fuse_and_contract")
    assert doctest.testmod(module) == (0, 2)
