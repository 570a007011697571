"""Small arrays as scalars: through loops, branches and loops that are written out."""

import numpy as np
import pytest
import test_storage

from pullback.codegen import generate
from pullback.codegen.memory.scalar_replacement import scalar_replacement, unroll
from pullback.ir import walk
from pullback.ir.evaluate import evaluate
from pullback.ir.program import For, Let, Lit
from pullback.ir.text import parse
from pullback.ir.types import I64, Type
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source


class Writer(test_storage.Writer):
    """Random updates of arrays of four elements."""

    def fresh(self, _):
        if self.rng.random() < 0.5:
            self.arrays.append(self.b.emit("copy", self.some(self.arrays), hint="v"))
        else:
            self.arrays.append(self.b.emit("zeros", (Lit("4", I64),), "f64", hint="z"))


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(200))
def test_random_updates(seed, monkeypatch):
    monkeypatch.setattr(test_storage, "ARRAY", Type("f64", (4,)))
    program = Writer(np.random.default_rng(seed)).program(8)
    verify(scalar_replacement(verify(unroll(program))))
    function = compile_source(generate(program), "f", jit=False)
    for args in (test_storage.arguments(0), test_storage.arguments(2, False), test_storage.arguments(3)):
        before = [np.array(a) for a in args]
        for a, b in zip(function(*args), evaluate(program, *args), strict=True):
            np.testing.assert_array_equal(a, b)
        for arg, old in zip(args, before):
            np.testing.assert_array_equal(arg, old)


def lowered(text):
    return verify(scalar_replacement(verify(unroll(verify(parse(text))))))


def test_short_loops_are_written_out():
    program = lowered("""
def f(x: f64[3], w: f64) -> f64:
    y: f64[3] = empty((3,), f64)
    for i in range(3):
        p: f64[3] = phi(y, q)
        t: f64 = x[i]
        u: f64 = t * w
        q: f64[3] = p.at[i].set(u)
    e: f64[3] = last(p)
    for j in reversed(range(3)):
        s: f64 = phi(0.0, s1)
        v: f64 = e[j]
        s1: f64 = s + v
    r: f64 = last(s)
    return r
""")
    assert not any(isinstance(n, For) for n in walk.walk(program.body))
    assert not any(isinstance(n, Let) and n.var.type.rank for n in walk.walk(program.body))
    (found,) = evaluate(program, np.array([1.0, 2.0, 4.0]), 2.0)
    assert found == 14.0


def test_state_of_an_equation_stays_in_registers():
    program = lowered("""
def f(y0: f64[2], h: f64, n: i64) -> f64[2]:
    for i in range(n):
        y: f64[2] = phi(y0, y2)
        a: f64 = y[0]
        b: f64 = y[1]
        t: f64 = h * b
        u: f64 = h * a
        y1: f64[2] = y.at[0].add(t)
        m: f64 = -u
        y2: f64[2] = y1.at[1].add(m)
    r: f64[2] = last(y)
    return r
""")
    (loop,) = (n for n in program.body if isinstance(n, For))
    assert len(loop.phis) == 2 and not any(p.var.type.rank for p in loop.phis)
    np.testing.assert_allclose(evaluate(program, np.array([1.0, 0.0]), 0.5, 2)[0], [0.75, -1.0])


def test_computed_subscripts_stay_in_memory():
    program = lowered("""
def f(y: f64[3], k: i64) -> f64[3]:
    y1: f64[3] = y.at[k].set(1.0)
    y2: f64[3] = y1.at[0].set(2.0)
    return y2
""")
    assert sum(n.op.name == "at_set" for n in walk.walk(program.body) if isinstance(n, Let)) == 2
