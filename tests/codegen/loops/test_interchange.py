"""Loops that change places to run along rows: the same numbers, and only where no iteration minds."""

import numpy as np
import pytest
from test_order import N, Writer

import pullback as pb
from pullback.codegen import bufferize, emit, hoist_allocations, interchange, reorder
from pullback.codegen.loops.interchange import _Interchange
from pullback.ir import walk
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import dead_code
from pullback.ir.program import Exit, For, Lit, Phi
from pullback.ir.text import parse
from pullback.ir.types import I64
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source


class Pairs(Writer):
    """Loops with some lines and one or two inner loops, at times in a loop around them."""

    def program(self):
        self.b.emit("dim", self.params[0], 0, hint="n")
        for _ in range(2):
            if self.rng.random() < 0.3:
                self.loop(lambda: self.loop(self.pair))
            else:
                self.loop(self.pair)
        return verify(dead_code(self.b.program("f", self.params, (*self.arrays, self.scalars[-1]))))

    def pair(self):
        for _ in range(self.rng.integers(1, 3)):
            self.lines(0, 2)
            self.loop(lambda: self.lines(1, 4))
        self.lines(0, 2)

    def lines(self, least, most):
        for _ in range(self.rng.integers(least, most)):
            self.step()

    def loop(self, body):
        phis = [self.b.var(f"{a.name[0]}_bar", a.type) for a in self.arrays]
        firsts, scalars, indices = list(self.arrays), list(self.scalars), list(self.indices)
        index = self.b.var("i", I64)
        start, stop = Lit("1", I64), self.b.integer(self.b.affine("n") - 1)
        if indices and self.rng.random() < 0.2:
            stop = indices[-1]
        with self.b.open() as nodes:
            self.arrays, self.indices = list(phis), [*indices, index]
            body()
            seconds = list(self.arrays)
        self.scalars, self.indices = scalars, indices
        joined = [Phi(p, f, s) for p, f, s in zip(phis, firsts, seconds)]
        changed = [p for p in joined if p.second != p.var]
        nodes = walk.substitute(nodes, {p.var.name: p.first for p in joined if p not in changed})
        ends = {p.var: Exit(self.b.var(p.var.name, p.var.type), p.var) for p in changed}
        reverse = bool(self.rng.random() < 0.5)
        self.b.add(For(index, start, stop, reverse, tuple(changed), nodes, tuple(ends.values())))
        self.arrays = [ends[p.var].var if p in changed else p.first for p in joined]


changed = 0


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(400))
def test_random_pairs(seed, monkeypatch):
    """All that may change places do."""
    monkeypatch.setattr(_Interchange, "cost", lambda self, inner, index: 8 * (index == inner.index.name))
    rng = np.random.default_rng(seed)
    program = Pairs(rng).program()
    turned = verify(interchange(program))
    global changed
    changed += turned != program
    args = [rng.normal(size=(N, N)), rng.normal(size=(N, N)), rng.normal(size=N), rng.normal(size=N), 0.7]
    expected = evaluate(program, *args)
    for step in (turned, verify(reorder(turned))):
        function = compile_source(emit(verify(bufferize(verify(hoist_allocations(step))))), "f", jit=False)
        for a, b in zip(function(*args), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.fuzz
def test_many_random_pairs_change():
    assert changed >= 40


def sums_of_columns(A, x):
    y = np.zeros(A.shape[1])
    for j in range(A.shape[1]):
        for k in range(A.shape[0]):
            y[j] += A[k, j] * x[k]
    return y


def one_sum(A, x):
    y = np.zeros(1)
    for j in range(A.shape[1]):
        for k in range(A.shape[0]):
            y[0] += A[k, j] * x[k]
    return y


def running(A, x):
    """Each column needs the one before it."""
    for j in range(1, A.shape[1]):
        for k in range(A.shape[0]):
            A[k, j] += A[k, j - 1] * x[k] + A[0, j - 1]
    return A


def triangle(A, x):
    for j in range(A.shape[1]):
        for k in range(j, A.shape[0]):
            A[k, j] *= x[k]
    return A


def steered(A, x):
    """What is added decides what the next trip does."""
    y = np.zeros(A.shape[1])
    for j in range(A.shape[1]):
        for k in range(A.shape[0]):
            if y[j] < 1.0:
                y[j] += A[k, j] * x[k]
    return y


def solve_many(L, B):
    for i in range(len(B)):
        for k in range(B.shape[1]):
            for j in range(i):
                B[i, k] -= L[i, j] * B[j, k]
            B[i, k] /= L[i, i]
    return B


def inner_loops(source):
    """The indices of all pairs of loops of which one stands in the other."""
    found, around = set(), []
    for line in source.splitlines():
        words, depth = line.split(), len(line) - len(line.lstrip())
        if words[:1] == ["for"]:
            around = [(d, index) for d, index in around if d < depth]
            found |= {(around[-1][1], words[1])} if around else set()
            around.append((depth, words[1]))
    return found


@pytest.mark.compiled
@pytest.mark.parametrize(
    "function, pair",
    [(sums_of_columns, ("k", "j")), (triangle, ("j", "k")), (running, ("j", "k")), (solve_many, ("j", "k"))],
)
def test_loops_run_along_rows_where_they_may(function, pair):
    rng = np.random.default_rng(0)
    A, x = rng.normal(size=(30, 20)), rng.normal(size=30)
    args = (rng.normal(size=(30, 30)) + 9 * np.eye(30), A) if function is solve_many else (A, x)
    expected = function(*(a.copy() for a in args))
    run = pb.jit(function)
    assert pair in inner_loops(run.lower(*args).source)
    np.testing.assert_allclose(run(*args), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize("function", [sums_of_columns, one_sum, running, triangle, steered, solve_many])
def test_the_order_of_the_users_sums_stays_if_asked_for(function):
    rng = np.random.default_rng(1)
    A, x = rng.normal(size=(40, 40)) + 9 * np.eye(40), rng.normal(size=40)
    args = (A, rng.normal(size=(40, 30))) if function is solve_many else (A, x)
    with pb.options(reassociate=False):
        found = pb.jit(function)(*args)
    np.testing.assert_array_equal(found, function(*(a.copy() for a in args)))


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_gradients_of_solves_of_every_small_size(n):
    rng = np.random.default_rng(n)
    L, B = rng.normal(size=(n, n)) + 3 * np.eye(n), rng.normal(size=(n, n + 1))

    def loss(L, B):
        B = solve_many(L, B)
        return np.sum(B * B)

    with pb.options(jit=False):
        found = pb.grad(loss, (0, 1))(L, B)
    X = np.linalg.solve(np.tril(L), B)
    B_bar = np.linalg.solve(np.tril(L).T, 2 * X)
    np.testing.assert_allclose(found[1], B_bar, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found[0], np.tril(-B_bar @ X.T), rtol=1e-9, atol=1e-9)


FORKED = """
def f(A: f64[n, m], x: f64[n], y: f64[m]) -> f64[m]:
    n: i64 = dim(A, 0)
    m: i64 = dim(A, 1)
    for j in range(m):
        y1: f64[m] = phi(y, {})
        for k in range(n):
            y2: f64[m] = phi(y1, y4)
            a: f64 = A[k, j]
            b: f64 = x[k]
            p: f64 = a * b
            y4: f64[m] = y2.at[j].add(p)
        y3: f64[m] = last(y2)
        y5: f64[m] = {}.at[j].set(7.0)
    z: f64[m] = last(y1)
    return z
"""


@pytest.mark.parametrize(
    "after, base, stays",
    [("y5", "y3", False), ("y3", "y3", True), ("y5", "y1", True), ("y3", "y1", True)],
)
def test_versions_of_an_array_that_part_ways(after, base, stays):
    """A loop that goes on from an older version, or drops the newest one, is not cut."""
    program = verify(parse(FORKED.format(after, base)))
    turned = verify(interchange(program))
    assert (turned == program) == stays
    rng = np.random.default_rng(0)
    args = rng.normal(size=(5, 4)), rng.normal(size=5), rng.normal(size=4)
    np.testing.assert_allclose(evaluate(turned, *args)[0], evaluate(program, *args)[0], rtol=1e-12)
