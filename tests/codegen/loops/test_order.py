"""Loops that run upwards, and additions that leave them: the same sums, up to rounding."""

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import bufferize, emit, hoist_allocations, reorder
from pullback.codegen.primitives import radd
from pullback.ir import walk
from pullback.ir.build import Builder
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import dead_code
from pullback.ir.program import Exit, For, If, Index, Let, Lit, Phi
from pullback.ir.text import parse
from pullback.ir.types import F64, I64, Type
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source

N = 6
VECTOR = Type("f64", ("n",))


class Writer:
    """Random nests of loops, most of them backwards, that read, write and add elements."""

    def __init__(self, rng, columns="n"):
        self.rng = rng
        self.b = Builder()
        MATRIX = Type("f64", ("n", columns))
        types = {"X": MATRIX, "Y": MATRIX, "u": VECTOR, "v": VECTOR, "a": F64}
        self.params = tuple(self.b.var(name, type) for name, type in types.items())
        self.arrays = list(self.params[:4])  # the present version of each
        self.scalars: list = [self.params[4]]
        self.indices: list = []

    def program(self):
        for axis, name in enumerate(dict.fromkeys(self.params[0].type.dims)):
            self.b.emit("dim", self.params[0], axis, hint=name)
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


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(300))
def test_random_nests(seed):
    rng = np.random.default_rng(seed)
    program = Writer(rng, columns="nm"[seed % 2]).program()
    ordered = verify(reorder(program))
    function = compile_source(emit(verify(bufferize(verify(hoist_allocations(ordered))))), "f", jit=False)
    args = [rng.normal(size=(N, N)), rng.normal(size=(N, N)), rng.normal(size=N), rng.normal(size=N), 0.7]
    for a, b in zip(function(*args), evaluate(program, *args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def loops(text, reassociate=True):
    """The loops of the program after the pass: (index, reverse) in order, and how many sums are free."""
    program = verify(reorder(verify(parse(text)), reassociate))
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


STENCIL = """
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
"""


def test_stencil_adjoint_carries_what_the_neighbours_add():
    found, _ = loops(STENCIL)
    assert found == [("i", False)]
    program = verify(reorder(verify(parse(STENCIL))))
    assert [n.op.name for n in walk.walk(program.body) if isinstance(n, Let)].count("at_add") == 3  # one in the loop
    for n in range(2, 9):
        x, y_bar = np.arange(n) * 1.0, np.arange(n) + 0.5
        for a, b in zip(evaluate(program, y_bar, x), evaluate(parse(STENCIL), y_bar, x), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-15)


def test_stencil_adjoint_gets_a_loop_per_neighbour_if_nothing_may_be_carried():
    program = verify(reorder(verify(parse(STENCIL)), carry=False))
    found = [n for n in walk.walk(program.body) if isinstance(n, For)]
    assert len(found) == 3 and not any(n.reverse for n in found)


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
        assert loops(up, reassociate=False) == ([("i", False)], 0)
        assert loops(down, reassociate=False) == ([("i", True)], 0)


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


@pytest.mark.compiled
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


BEFORE_OR_BEHIND = """
def f(x: f64[n], y: f64[m], c: bool) -> f64[n]:
    n: i64 = dim(x, 0)
    m: i64 = dim(y, 0)
    for i in range(n):
        p: f64[n] = phi(x, p_end)
        {}
        for j in range({}, m):
            q: f64[n] = phi(p, q1)
            t: f64 = y[i]
            u: f64 = y[j]
            v: f64 = t * u
            q1: f64[n] = q.at[i].add(v)
        p_end: f64[n] = last(q)
        {}
        {}
    r: f64[n] = last(p)
    return r
"""


@pytest.mark.parametrize(
    "lines, lifted",
    [
        (("", "", ""), False),  # i < m is known inside of the loop only, which may have no iteration
        (("", "", "s: f64 = y[i]"), True),
        (("s: f64 = y[i]", 'assert c, "ValueError: no"', ""), True),
        (("", 'assert c, "ValueError: no"', "s: f64 = y[i]"), False),
        (("", "", "k: i64 = i - 1\n        l: i64 = k + 1\n        s: f64 = y[l]"), True),
        (("", "", "s: f64 = x[i]"), False),  # of the other size
        (("", "", "if c:\n            s: f64 = y[i]\n        else:\n            s2: f64 = y[0]"), False),
    ],
)
def test_an_element_is_there_if_the_lines_around_the_loop_reach_it(lines, lifted):
    def outermost(start):
        text = BEFORE_OR_BEHIND.format(lines[0], start, *lines[1:])
        return next(n for n in verify(reorder(verify(parse(text)))).body if isinstance(n, For))

    def has(nodes):
        return any(isinstance(n, Let) and n.var.name == "t" for n in nodes)

    loop = outermost(2)  # m may be 2, and then there is no iteration
    assert has(loop.body) == lifted
    assert has(outermost(1).body)


def test_a_sum_in_an_element_that_may_not_be_there_is_made_only_if_the_loop_has_an_iteration():
    program = parse("""
def f(x: f64[n], y: f64[m]) -> f64[m]:
    n: i64 = dim(x, 0)
    m: i64 = dim(y, 0)
    for i in range(n):
        p: f64[m] = phi(y, p_end)
        for j in range(i, 3):
            q: f64[m] = phi(p, q1)
            t: f64 = x[j]
            q1: f64[m] = q.at[i].add(t)
        p_end: f64[m] = last(q)
    r: f64[m] = last(p)
    return r
""")
    ordered = verify(reorder(verify(program)))
    (outer,) = (n for n in ordered.body if isinstance(n, For))
    (test,) = (n for n in outer.body if isinstance(n, If))
    assert sum(isinstance(n, Let) and n.op is radd for n in walk.walk(test.then)) == 1
    function = compile_source(emit(verify(bufferize(ordered))), "f", jit=False)
    x, y = np.arange(5.0), np.zeros(3)  # the last two rounds of i would write past the end
    np.testing.assert_array_equal(function(x, y)[0], [3.0, 3.0, 2.0])


def factor(A, c):
    """Cholesky's factor, in place."""
    for i in range(len(A)):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = np.sqrt(A[i, i])
    return np.sum(c * A)


def test_rows_that_are_added_to_share_a_loop_behind_what_is_the_same_in_all_of_it():
    A = np.eye(7)
    source = pb.grad(factor).lower(A, A).source
    assert "np.empty(np.maximum" not in source  # nothing is kept for a loop of its own
    assert source.count("  for k in range(j):") == 2  # one forward, one in the reverse sweep
    assert "A_bar[i, j]" not in source[source.rindex("  for k in range(j):") :]
    with pb.options(reassociate=False):
        assert "radd" not in pb.grad(factor).lower(A, A).source


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", range(10))
def test_a_factorisation_at_every_small_size(n, dtype):
    rng = np.random.default_rng(n)
    A, c = rng.normal(size=(n, n)), rng.normal(size=(n, n)).astype(dtype)
    A = (A @ A.T + n * np.eye(n)).astype(dtype)
    with pb.options(jit=n > 7):
        found = pb.grad(factor)(A, c)
    assert found.dtype == dtype
    wide = A.astype(np.float64), c.astype(np.float64)
    (expected,) = evaluate(parse(str(pb.grad(factor).lower(*wide).adjoint_ir)), *wide)
    tolerance = 1e-10 if dtype == np.float64 else 2e-4
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_a_row_of_a_save_array_is_read_before_the_loop():
    program = verify(
        reorder(
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
