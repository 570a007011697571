"""Loops that run upwards, and additions that leave them: the same sums, up to rounding."""

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import emit, free_order, hoist, storage
from pullback.codegen.primitives import radd
from pullback.ir import walk
from pullback.ir.build import Builder
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import dead_code
from pullback.ir.program import Exit, For, Index, Let, Lit, Phi
from pullback.ir.text import parse
from pullback.ir.types import F64, I64, Type
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source

N = 6
MATRIX, VECTOR = Type("f64", ("n", "n")), Type("f64", ("n",))


class Writer:
    """Random nests of loops, most of them backwards, that read, write and add elements."""

    def __init__(self, rng):
        self.rng = rng
        self.b = Builder()
        types = {"X": MATRIX, "Y": MATRIX, "u": VECTOR, "v": VECTOR, "a": F64}
        self.params = tuple(self.b.var(name, type) for name, type in types.items())
        self.arrays = list(self.params[:4])  # the present version of each
        self.scalars: list = [self.params[4]]
        self.indices: list = []

    def program(self):
        self.b.emit("dim", self.params[0], 0, hint="n")
        for _ in range(2):
            self.nest(int(self.rng.integers(1, 4)))
        return verify(dead_code(self.b.program("f", self.params, (*self.arrays, self.scalars[-1]))))

    def place(self):
        """An index in range: loops run over 1 <= i < n - 1 or over part of it."""
        if not self.indices or self.rng.random() < 0.1:
            return Lit(str(self.rng.integers(N)), I64)
        # The innermost index most often.
        i = self.indices[-1 - min(int(self.rng.exponential(0.7)), len(self.indices) - 1)]
        offset = int(self.rng.choice([0, 0, 0, 1, -1]))
        return self.b.integer(self.b.affine(i) + offset)

    def index(self, array):
        return Index(tuple(self.place() for _ in array.type.dims))

    def nest(self, depth):
        phis = [self.b.var(f"{a.name[0]}_bar", a.type) for a in self.arrays]
        total = self.b.var("s_bar", F64)
        firsts = list(self.arrays)
        sums = self.rng.random() < 0.5
        last = self.scalars[-1]
        scalars, indices = list(self.scalars), list(self.indices)
        index = self.b.var("i", I64)
        start, stop = Lit("1", I64), self.b.integer(self.b.affine("n") - 1)
        if self.indices and self.rng.random() < 0.5:
            outer = self.indices[-1]
            start, stop = [(start, outer), (self.b.integer(self.b.affine(outer) + 1), stop)][
                self.rng.integers(2)
            ]
        with self.b.open() as body:
            self.arrays, self.indices = list(phis), [*indices, index]
            if depth == 1:
                for _ in range(self.rng.integers(1, 6)):
                    self.step()
            else:
                self.nest(depth - 1)
                if self.rng.random() < 0.3:
                    self.step()
            after = self.b.emit("add", total, self.scalars[-1]) if sums else total
            seconds = list(self.arrays)
        self.scalars, self.indices = scalars, indices
        joined = [Phi(p, f, s) for p, f, s in zip(phis, firsts, seconds)]
        ends = [Exit(self.b.var(p.name, p.type), p) for p in phis]
        if sums:
            joined.append(Phi(total, last, after))
            ends.append(Exit(self.b.var("s", F64), total))
            self.scalars.append(ends[-1].var)
        reverse = bool(self.rng.random() < 0.7)
        self.b.add(For(index, start, stop, reverse, tuple(joined), tuple(body), tuple(ends)))
        self.arrays = [e.var for e in ends[:4]]

    def step(self):
        k = int(self.rng.integers(4))
        array = self.arrays[k]
        kind = self.rng.integers(6)
        value = self.scalars[-1 - min(int(self.rng.exponential(1)), len(self.scalars) - 1)]
        if kind < 2:
            self.scalars.append(self.b.emit("getitem", array, self.index(array)))
        elif kind == 2:
            self.scalars.append(self.b.emit("mul", value, Lit("0.5", F64)))
        elif kind == 3:
            self.arrays[k] = self.b.emit("at_set", array, self.index(array), value)
        else:
            self.arrays[k] = self.b.emit("at_add", array, self.index(array), value)


@pytest.mark.parametrize("seed", range(300))
def test_random_nests(seed):
    rng = np.random.default_rng(seed)
    program = Writer(rng).program()
    ordered = verify(free_order(program))
    function = compile_source(emit(verify(storage(verify(hoist(ordered))))), "f", jit=False)
    args = [rng.normal(size=(N, N)), rng.normal(size=(N, N)), rng.normal(size=N), rng.normal(size=N), 0.7]
    for a, b in zip(function(*args), evaluate(program, *args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def loops(text, own=None):
    """The loops of the program after the pass: (index, reverse) in order, and how many sums are free."""
    program = verify(free_order(verify(parse(text)), own))
    found = [n for n in walk.walk(program.body) if isinstance(n, For)]
    sums = sum(isinstance(n, Let) and n.op is radd for n in walk.walk(program.body))
    return [(n.index.name, n.reverse) for n in found], sums


def test_independent_rows_run_upwards():
    found, _ = loops("""
def f(A: f64[n, m]) -> f64[n, m]:
    n: i64 = dim(A, 0)
    m: i64 = dim(A, 1)
    for i in reversed(range(n)):
        p: f64[n, m] = phi(A, p_end)
        for j in reversed(range(m)):
            q: f64[n, m] = phi(p, q1)
            t: f64 = q[i, j]
            t2: f64 = t * 0.5
            q1: f64[n, m] = q.at[i, j].set(t2)
        p_end: f64[n, m] = last(q)
    r: f64[n, m] = last(p)
    return r
""")
    assert found == [("i", False), ("j", False)]


def test_recurrence_keeps_its_order():
    found, sums = loops("""
def f(x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    for i in reversed(range(1, n)):
        p: f64[n] = phi(x, p1)
        t: f64 = p[i]
        j: i64 = i - 1
        p1: f64[n] = p.at[j].add(t)
    r: f64[n] = last(p)
    return r
""")
    assert found == [("i", True)] and sums == 0


def test_stencil_adjoint_gets_a_loop_per_neighbour():
    found, _ = loops("""
def f(y_bar: f64[n], x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    m: i64 = n - 1
    for i in reversed(range(1, m)):
        x_bar: f64[n] = phi(x, x_bar_3)
        t: f64 = y_bar[i]
        j: i64 = i - 1
        x_bar_1: f64[n] = x_bar.at[j].add(t)
        x_bar_2: f64[n] = x_bar_1.at[i].add(t)
        k: i64 = i + 1
        x_bar_3: f64[n] = x_bar_2.at[k].add(t)
    r: f64[n] = last(x_bar)
    return r
""")
    assert len(found) == 3 and not any(reverse for _, reverse in found)


def test_addition_to_one_element_is_a_sum():
    found, sums = loops("""
def f(x: f64[n], y_bar: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    for i in range(n):
        p: f64[n] = phi(x, p_end)
        for j in reversed(range(i)):
            q: f64[n] = phi(p, q1)
            t: f64 = y_bar[j]
            q1: f64[n] = q.at[i].add(t)
        p_end: f64[n] = last(q)
    r: f64[n] = last(p)
    return r
""")
    assert found == [("i", False), ("j", False)] and sums == 1


def test_sums_that_are_asked_to_keep_their_order():
    text = """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in {}:
        s: f64 = phi(0.0, s1)
        t: f64 = x[i]
        s1: f64 = s {} t
    r: f64 = last(s)
    return r
"""
    for sign in "+-":
        up, down = (text.format(way, sign) for way in ("range(n)", "reversed(range(n))"))
        assert loops(up) == ([("i", False)], 1) == loops(down)
        assert loops(up, own={"s"}) == ([("i", False)], 0)
        assert loops(down, own={"s"}) == ([("i", True)], 0)


def plain_sum(x):
    s = 0.0
    for i in range(len(x)):
        s += x[i]
    return s


def compensated_sum(x):
    """Kahan's: what a sum loses is added again; nothing of it is left if additions are reordered."""
    s = c = 0.0
    for i in range(len(x)):
        y = x[i] - c
        t = s + y
        c = (t - s) - y
        s = t
    return s


def dot_in_place(x):
    y = np.zeros(1)
    for i in range(len(x)):
        y[0] -= x[i] * x[i]
    return y[0]


def test_the_option_keeps_the_order_of_sums():
    x = np.random.default_rng(0).normal(size=10_001)
    x[::7] *= 1e8
    for function in (plain_sum, dot_in_place):
        free = pb.jit(function)(x)
        with pb.options(reassociate=False):
            kept = pb.jit(function)(x)
        assert kept == function(x)
        assert free == pytest.approx(kept, rel=1e-9)
        assert free != kept  # else nothing was vectorised
    assert pb.jit(compensated_sum)(x) == compensated_sum(x)


def test_what_the_loop_makes_itself_is_read_inside():
    found, _ = loops("""
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(0.0, s1)
        t: f64 = x[i]
        a: f64[3] = empty((3,), f64)
        b: f64[3] = a.at[1].set(t)
        c: f64 = b[1]
        s1: f64 = s + c
    r: f64 = last(s)
    return r
""")
    assert found == [("i", False)]


def test_a_row_of_a_save_array_is_read_before_the_loop():
    program = verify(
        free_order(
            verify(
                parse("""
def f(x: f64[n], steps: i64) -> f64:
    n: i64 = dim(x, 0)
    t: i64 = maximum(steps, 0)
    saved: f64[t] = zeros((t,), f64)
    for k in reversed(range(steps)):
        s: f64 = phi(0.0, s_end)
        for i in range(n):
            p: f64 = phi(s, p_1)
            a: f64 = saved[k]
            b: f64 = x[i]
            c: f64 = a * b
            p_1: f64 = p + c
        s_end: f64 = last(p)
    r: f64 = last(s)
    return r
""")
            )
        )
    )
    inner = [n for n in walk.walk(program.body) if isinstance(n, For)][-1]
    assert "saved" not in walk.free(inner.body)
