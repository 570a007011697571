"""Array operations as loops: fused, moved, overwritten and computed again, with the interpreter's results."""

import numpy as np
import pytest

from pullback.codegen import bufferize, emit, hoist_allocations, scalarise
from pullback.ir import walk
from pullback.ir.build import Builder, dim_atom
from pullback.ir.evaluate import evaluate
from pullback.ir.passes import dead_code, simplify
from pullback.ir.program import Exit, For, If, Index, Let, Lit, Phi, Slice, Var
from pullback.ir.text import parse
from pullback.ir.types import BOOL, F64, I64, Type
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source

N, M = 4, 3


def arguments(rng):
    return [
        rng.normal(size=(N, M)), rng.normal(size=(N, M)), rng.normal(size=N), rng.normal(size=M),
        rng.normal(), rng.integers(0, M, size=N), bool(rng.integers(2)), int(rng.integers(0, 4)),
    ]  # fmt: skip


class Writer:
    """Random programs of array operations: views, reductions, products, updates, loops and branches."""

    def __init__(self, rng):
        self.rng = rng
        self.b = Builder()
        nm = ("n", "m")
        types = {
            "X": Type("f64", nm), "Y": Type("f64", nm), "u": Type("f64", ("n",)), "v": Type("f64", ("m",)),
            "a": F64, "idx": Type("i64", ("n",)), "c": BOOL, "k": I64,
        }  # fmt: skip
        self.params = tuple(self.b.var(name, type) for name, type in types.items())
        self.X, self.Y, self.u, self.v, self.a, self.idx, self.c, self.k = self.params
        self.pool = [self.X, self.Y, self.u, self.v, self.a]

    def program(self, steps):
        self.b.emit("dim", self.X, 0, hint="n")
        self.b.emit("dim", self.X, 1, hint="m")
        self.steps(steps, 2)
        results = tuple(self.some(lambda a: True) for _ in range(3))
        return verify(self.b.program("f", self.params, results))

    def steps(self, count, depth):
        kinds = [
            self.unary, self.binary, self.binary, self.binary, self.view, self.view, self.reduction,
            self.product, self.store, self.store, self.gather, self.join, self.create, self.scan,
        ]  # fmt: skip
        kinds += [self.loop, self.branch] if depth else []
        for _ in range(count):
            kind = kinds[self.rng.integers(len(kinds))]
            made = kind(depth - 1) if kind in (self.loop, self.branch) else kind()
            if isinstance(made, Var):
                self.pool.append(made)

    def some(self, fits):
        values = [a for a in self.pool if fits(a)]
        return values[-1 - min(int(self.rng.exponential(3)), len(values) - 1)] if values else None

    def array(self, rank=None):
        return self.some(lambda a: a.type.rank > 0 if rank is None else a.type.rank == rank)

    def chance(self, p):
        return self.rng.random() < p

    def unary(self):
        op = ("neg", "abs", "tanh", "sign", "arctan")[self.rng.integers(5)]
        return self.b.emit(op, self.some(lambda a: True), hint="y")

    def binary(self):
        x = self.array()
        dims = x.type.dims
        like = self.some(lambda a: a.type.dims in (dims, dims[1:], ()))
        if len(dims) == 2 and self.chance(0.3):
            column = self.some(lambda a: a.type.dims == dims[:1])
            if column is not None:
                full = Slice(Lit("0", I64), dim_atom(dims[0]), 1, dims[0])
                like = self.b.emit("getitem", column, Index((full, None)))
        op = ("add", "sub", "mul", "maximum", "where")[self.rng.integers(5)]
        pair = (x, like) if self.chance(0.5) else (like, x)
        if op == "where":
            mask = self.b.emit("gt", *pair)
            return self.b.emit("where", mask, *pair, hint="y")
        return self.b.emit(op, *pair, hint="y")

    def part(self, dim):
        """A slice of an axis, and the size that is left."""
        kind = self.rng.integers(5)
        zero, size = Lit("0", I64), dim_atom(dim)
        if kind < 2 or dim == 1 or isinstance(dim, int):
            return Slice(zero, size, 1, dim)
        form = self.b.affine(dim)
        if not set(form.names) <= {"n", "m"}:
            return Slice(zero, size, 1, dim)
        if form.value({"n": N, "m": M}) < 3:
            return Slice(zero, size, 1, dim)
        less = self.b.integer(form - 1)
        if kind == 2:
            return Slice(Lit("1", I64), size, 1, less.name)
        if kind == 3:
            return Slice(zero, less, 1, less.name)
        return Slice(less, None, -1, dim)

    def index(self, dims):
        items = [self.part(d) for d in dims]
        if self.chance(0.25):
            items[self.rng.integers(len(dims))] = Lit("1", I64)
        return Index(tuple(items))

    def view(self):
        x = self.array()
        kind = self.rng.integers(4)
        if kind == 0 and x.type.rank == 2:
            return self.b.emit("transpose", x, (1, 0), hint="w")
        if kind == 1 and x.type.rank == 1:
            shape = (dim_atom("n"), *map(dim_atom, x.type.dims))
            return self.b.emit("broadcast_to", x, shape, hint="w")
        if kind == 2 and x.type.rank == 2:
            total = self.b.emit("mul", *map(dim_atom, x.type.dims))
            return self.b.emit("reshape", x, (total,), hint="w")
        if any(self.b.affine(d).terms and len(self.b.affine(d).terms) > 1 for d in x.type.dims):
            return None
        return self.b.emit("getitem", x, self.index(x.type.dims), hint="w")

    def reduction(self):
        x = self.array()
        axes = ((0,), (x.type.rank - 1,), tuple(range(x.type.rank)))[self.rng.integers(3)]
        return self.b.emit(("sum", "sum", "max", "min")[self.rng.integers(4)], x, axes, hint="s")

    def scan(self):
        x = self.array()
        return self.b.emit("cumsum", x, int(self.rng.integers(x.type.rank)), hint="s")

    def product(self):
        x = self.array(2)
        rows, columns = x.type.dims
        kind = self.rng.integers(3)
        if kind == 0:
            other = self.some(lambda a: a.type.dims[:1] == (columns,))
            return other and self.b.emit("matmul", x, other, hint="p")
        if kind == 1:
            other = self.some(lambda a: a.type.dims == (rows,))
            return other and self.b.emit("matmul", other, x, hint="p")
        return self.b.emit("matmul", self.b.emit("transpose", x, (1, 0)), x, hint="p")

    def store(self):
        x = self.some(lambda a: a.type.rank > 0 and all(len(self.b.affine(d).terms) < 2 for d in a.type.dims))
        op = ("at_set", "at_add")[self.rng.integers(2)]
        if self.chance(0.15) and x.type.dims[0] == "n":
            rest = [Slice(Lit("0", I64), dim_atom(d), 1, d) for d in x.type.dims[1:]]
            index = Index((self.idx, *rest))
            dims = x.type.dims
        else:
            index = self.index(x.type.dims)
            dims = tuple(i.size for i in index.items if isinstance(i, Slice))
        value = self.some(lambda a: a.type.dims in (dims, ()))
        return self.b.emit(op, x, index, value, hint="x")

    def gather(self):
        x = self.some(lambda a: a.type.dims[:1] in (("n",), ("m",)))
        rest = [Slice(Lit("0", I64), dim_atom(d), 1, d) for d in x.type.dims[1:]]
        return self.b.emit("getitem", x, Index((self.idx, *rest)), hint="g")

    def join(self):
        x = self.some(lambda a: a.type.rank > 0 and len(self.b.affine(a.type.dims[0]).terms) < 2)
        y = self.some(lambda a: a.type.rank == x.type.rank and a.type.dims[1:] == x.type.dims[1:])
        size = self.b.integer(self.b.affine(x.type.dims[0]) + self.b.affine(y.type.dims[0]))
        return self.b.emit("concatenate", (x, y), 0, size, hint="j")

    def create(self):
        like = self.array()
        return self.b.emit("zeros", tuple(map(dim_atom, like.type.dims)), "f64", hint="z")

    def scoped(self, write):
        pool = list(self.pool)
        with self.b.open() as nodes:
            found = write()
        self.pool = pool
        return tuple(nodes), found

    def loop(self, depth):
        firsts = [self.some(lambda a: all(d in ("n", "m") for d in a.type.dims)) for _ in range(2)]
        heads = [self.b.var("p", f.type) for f in firsts]
        index = self.b.var("i", I64)

        def write():
            self.pool += heads
            self.steps(self.rng.integers(1, 5), depth)
            return [self.some(lambda a, h=h: a.type == h.type) for h in heads]

        body, seconds = self.scoped(write)
        phis = tuple(Phi(h, f, s) for h, f, s in zip(heads, firsts, seconds))
        exits = tuple(Exit(self.b.var("e", h.type), h) for h in heads)
        self.b.add(For(index, Lit("0", I64), self.k, False, phis, body, exits))
        self.pool += [e.var for e in exits]

    def branch(self, depth):
        like = self.array()

        def write():
            self.steps(self.rng.integers(0, 4), depth)
            return self.some(lambda a: a.type == like.type)

        then, first = self.scoped(write)
        orelse, second = self.scoped(write)
        phi = Phi(self.b.var("b", like.type), first, second)
        self.b.add(If(self.c, then, orelse, (phi,)))
        self.pool.append(phi.var)


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(300))
def test_random_programs(seed):
    rng = np.random.default_rng(seed)
    program = Writer(rng).program(int(rng.integers(4, 14)))
    scalar = verify(dead_code(simplify(verify(scalarise(program)))))
    function = compile_source(emit(verify(bufferize(verify(hoist_allocations(scalar))))), "f", jit=False)
    for _ in range(2):
        args = arguments(rng)
        before = [np.array(a) for a in args]
        wanted = evaluate(program, *args)
        found = function(*args)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        for arg, old in zip(args, before):
            np.testing.assert_array_equal(arg, old)


def loops(program):
    """Sizes of the loops, outermost first, nested in lists."""

    def count(nodes):
        found = []
        for node in nodes:
            inner = [loop for region in walk.regions(node) for loop in count(region)]
            found += [inner] if isinstance(node, For) else inner
        return found

    return count(program.body)


def allocated(program):
    """The types of the arrays that are made."""
    made = ("empty", "zeros", "copy", "matmul")
    return [
        str(node.var.type)
        for node in walk.walk(program.body)
        if isinstance(node, Let) and node.op.name in made and node.var.type.rank
    ]


def lowered(text):
    return bufferize(dead_code(simplify(scalarise(verify(parse(text))))))


def test_value_and_gradient_in_one_loop():
    program = lowered("""
def f(x: f64[n], w: f64, b: f64) -> (f64, f64[n], f64, f64):
    n: i64 = dim(x, 0)
    t: f64[n] = x * w
    t1: f64[n] = t + b
    y: f64[n] = tanh(t1)
    q: f64[n] = y * y
    loss: f64 = sum(q, axis=(0,))
    y_bar: f64[n] = 2.0 * y
    r: f64[n] = 1.0 - q
    t1_bar: f64[n] = y_bar * r
    b_bar: f64 = sum(t1_bar, axis=(0,))
    x_bar: f64[n] = t1_bar * w
    t_6: f64[n] = t1_bar * x
    w_bar: f64 = sum(t_6, axis=(0,))
    return loss, x_bar, w_bar, b_bar
""")
    assert loops(program) == [[]]
    assert allocated(program) == ["f64[n]"]


def test_logistic_regression_has_no_temporary_matrix():
    program = lowered("""
def f(X: f64[n, d], w: f64[d], y: f64[n]) -> (f64, f64[d]):
    n: i64 = dim(X, 0)
    d: i64 = dim(X, 1)
    z: f64[n] = X @ w
    l: f64[n] = logaddexp(0.0, z)
    zy: f64[n] = z * y
    e: f64[n] = l - zy
    loss: f64 = sum(e, axis=(0,))
    p: f64[n] = expit(z)
    z_bar: f64[n] = p - y
    w_bar: f64[d] = z_bar @ X
    return loss, w_bar
""")
    assert loops(program) == [[[], []]]
    assert allocated(program) == ["f64[d]"]


def test_views_are_not_copied():
    program = lowered("""
def f(A: f64[n, m], B: f64[m, n]) -> f64:
    n: i64 = dim(A, 0)
    m: i64 = dim(A, 1)
    T: f64[n, m] = transpose(B, (1, 0))
    C: f64[n, m] = A + T
    k: i64 = n - 1
    D: f64[k, m] = C[1:n, :]
    s: f64 = sum(D, axis=(0, 1))
    return s
""")
    assert allocated(program) in ([], ["f64[n, m]"])


def test_update_of_a_dead_array_is_in_place():
    program = lowered("""
def f(x: f64[n], k: i64) -> f64[n]:
    n: i64 = dim(x, 0)
    for i in range(k):
        p: f64[n] = phi(x, q)
        t: f64[n] = p * 0.5
        q: f64[n] = t + 1.0
    r: f64[n] = last(p)
    return r
""")
    assert allocated(program) == ["f64[n]"]  # the copy of the parameter, before the loop


def test_cheap_arrays_are_made_again():
    """What the second loop needs of the first is x - mu: it is not kept."""
    program = lowered("""
def f(x: f64[n], w: f64) -> f64[n]:
    n: i64 = dim(x, 0)
    s: f64 = sum(x, axis=(0,))
    mu: f64 = s / w
    d: f64[n] = x - mu
    q: f64[n] = d * d
    v: f64 = sum(q, axis=(0,))
    y: f64[n] = d / v
    return y
""")
    assert allocated(program) == ["f64[n]"]
    assert loops(program) == [[], [], []]
