"""Updates in place never destroy what is still needed: generated code against the interpreter."""

import numpy as np
import pytest

from pullback.codegen import bufferize, emit
from pullback.ir import walk
from pullback.ir.build import Builder
from pullback.ir.evaluate import evaluate
from pullback.ir.primitive import REGISTRY
from pullback.ir.program import Exit, For, If, Index, Let, Lit, Phi, Var, While
from pullback.ir.text import parse
from pullback.ir.types import BOOL, F64, I64, Type
from pullback.ir.verify import verify
from pullback.runtime.compile import compile_source

HEAD = "def f(x: f64[n], y: f64[n], a: f64, c: bool, k: i64) -> {}:\n    n: i64 = dim(x, 0)\n"


def arguments(k=3, c=True):
    return np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 6.0, 7.0, 8.0]), 9.0, c, k


def copies(program, inside_loops=False):
    """How many copies there are, all or those that a loop repeats."""

    def count(nodes, inside):
        total = 0
        for node in nodes:
            if isinstance(node, Let) and node.op.name == "copy":
                total += inside or not inside_loops
            for region in walk.regions(node):
                total += count(region, inside or isinstance(node, (For, While)))
        return total

    return count(program.body, False)


def check(program, *argument_lists):
    """The generated code gives the interpreter's results, in new memory, and leaves its arguments alone."""
    stored = verify(bufferize(verify(program)))
    function = compile_source(emit(stored), "f", jit=False)
    for args in argument_lists or (arguments(0), arguments(1), arguments(2, False), arguments(3)):
        wanted = evaluate(program, *args)
        before = [np.array(a) for a in args]
        found = function(*args)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
        for arg, old in zip(args, before):
            np.testing.assert_array_equal(arg, old)
        arrays = [r for r in found if isinstance(r, np.ndarray)]
        owned = arrays + [a for a in args if isinstance(a, np.ndarray)]
        for i, r in enumerate(arrays):
            assert not any(np.shares_memory(r, o) for o in owned[i + 1 :])
    return stored


def body(results, text):
    lines = "\n".join("    " + line for line in text.strip().splitlines())
    return parse(HEAD.format(results) + lines)


# name: (copies, copies inside loops, types of the results, text)
PROGRAMS = {
    "parameter updated": (1, 0, "f64[n]", """
z: f64[n] = x.at[0].set(a)
return z"""),
    "parameter returned": (1, 0, "f64[n]", "return x"),
    "one result twice": (2, 0, "(f64[n], f64[n])", """
z: f64[n] = x.at[0].set(a)
return z, z"""),
    "both versions used": (2, 0, "(f64[n], f64[n])", """
z: f64[n] = x.at[0].set(a)
w: f64[n] = z.at[1].set(a)
return z, w"""),
    "two updates of one array": (2, 0, "(f64[n], f64[n])", """
z: f64[n] = zeros((n,), f64)
u: f64[n] = z.at[0].set(1.0)
v: f64[n] = z.at[1].set(2.0)
w: f64[n] = copy(v)
return u, w"""),
    "a chain": (0, 0, "f64[n]", """
z: f64[n] = zeros((n,), f64)
u: f64[n] = z.at[0].set(1.0)
v: f64[n] = u.at[1].add(2.0)
b: f64 = v[1]
w: f64[n] = v.at[2].set(b)
return w"""),
    "old element read after the update": (1, 0, "(f64[n], f64)", """
z: f64[n] = zeros((n,), f64)
u: f64[n] = z.at[0].set(1.0)
b: f64 = z[0]
return u, b"""),
    "updated in a loop": (1, 0, "f64[n]", """
for i in range(n):
    p: f64[n] = phi(x, q)
    q: f64[n] = p.at[i].set(a)
r: f64[n] = last(p)
return r"""),
    "entry value used after the loop": (1, 0, "(f64[n], f64)", """
z: f64[n] = zeros((n,), f64)
for i in range(n):
    p: f64[n] = phi(z, q)
    q: f64[n] = p.at[i].set(a)
r: f64[n] = last(p)
b: f64 = z[0]
return r, b"""),
    "entry value read in the loop": (1, 0, "f64[n]", """
z: f64[n] = zeros((n,), f64)
z1: f64[n] = z.at[1].set(a)
for i in range(n):
    p: f64[n] = phi(z1, q)
    b: f64 = z1[1]
    q: f64[n] = p.at[i].add(b)
r: f64[n] = last(p)
return r"""),
    "old version read after the update in a loop": (2, 1, "(f64[n], f64)", """
for i in range(n):
    p: f64[n] = phi(x, q)
    s: f64 = phi(0.0, s1)
    q: f64[n] = p.at[i].set(a)
    b: f64 = p[i]
    s1: f64 = s + b
r: f64[n] = last(p)
t: f64 = last(s)
return r, t"""),
    "swap": (2, 0, "(f64[n], f64[n])", """
for i in range(k):
    u: f64[n] = phi(x, v)
    v: f64[n] = phi(y, w)
    w: f64[n] = u.at[0].add(a)
r: f64[n] = last(u)
t: f64[n] = last(v)
return r, t"""),
    "swap of one array with itself": (2, 0, "(f64[n], f64[n])", """
z: f64[n] = zeros((n,), f64)
for i in range(k):
    u: f64[n] = phi(z, v)
    v: f64[n] = phi(z, w)
    w: f64[n] = u.at[0].add(a)
r: f64[n] = last(u)
t: f64[n] = last(v)
return r, t"""),
    "rotation of three": (3, 0, "(f64[n], f64[n])", """
z: f64[n] = zeros((n,), f64)
for i in range(k):
    u: f64[n] = phi(x, v)
    v: f64[n] = phi(y, w)
    w: f64[n] = phi(z, u1)
    b: f64 = v[0]
    u1: f64[n] = u.at[1].set(b)
r: f64[n] = last(u)
t: f64[n] = last(w)
return r, t"""),
    "previous value kept": (3, 1, "(f64[n], f64[n])", """
for i in range(k):
    p: f64[n] = phi(x, q)
    old: f64[n] = phi(y, p)
    q: f64[n] = p.at[0].add(a)
r: f64[n] = last(p)
t: f64[n] = last(old)
return r, t"""),
    "updated in one arm": (2, 0, "f64[n]", """
if c:
    u: f64[n] = x.at[0].set(a)
else:
    pass
v: f64[n] = phi(u, x)
w: f64[n] = v.at[1].set(a)
return w"""),
    "alias through an if": (2, 0, "(f64[n], f64)", """
z: f64[n] = zeros((n,), f64)
if c:
    u: f64[n] = copy(x)
else:
    pass
v: f64[n] = phi(u, z)
w: f64[n] = v.at[1].set(a)
b: f64 = z[1]
return w, b"""),
    "two phis of an if for one array": (2, 0, "(f64[n], f64[n])", """
z: f64[n] = zeros((n,), f64)
if c:
    u: f64[n] = z.at[0].set(a)
else:
    pass
v: f64[n] = phi(u, z)
w: f64[n] = phi(u, z)
v1: f64[n] = v.at[1].set(a)
return v1, w"""),
    "nested loops": (1, 0, "f64[n]", """
for i in range(k):
    p: f64[n] = phi(x, p_end)
    for j in range(n):
        q: f64[n] = phi(p, q1)
        q1: f64[n] = q.at[j].add(a)
    p_end: f64[n] = last(q)
r: f64[n] = last(p)
return r"""),
    "inner loop starts anew from one array": (2, 1, "f64[n]", """
z: f64[n] = zeros((n,), f64)
for i in range(k):
    s: f64[n] = phi(z, s1)
    for j in range(n):
        q: f64[n] = phi(y, q1)
        q1: f64[n] = q.at[j].add(a)
    q2: f64[n] = last(q)
    b: f64 = q2[0]
    s1: f64[n] = s.at[0].add(b)
r: f64[n] = last(s)
return r"""),
    "while": (1, 0, "f64[n]", """
while True:
    p: f64[n] = phi(x, q)
    i: i64 = phi(0, i1)
    b: f64 = p[0]
    t: bool = b < 40.0
    if not t: break
    i1: i64 = i + 1
    q: f64[n] = p.at[0].add(a)
r: f64[n] = last(p)
return r"""),
    "updated in the test of a while": (2, 1, "f64[n]", """
while True:
    p: f64[n] = phi(x, q)
    q: f64[n] = p.at[0].add(a)
    b: f64 = q[0]
    t: bool = b < 40.0
    if not t: break
    pass
r: f64[n] = last(p)
return r"""),
    "view of an array that is updated": (2, 0, "(f64[n], f64)", """
z: f64[n] = copy(x)
v: f64[n] = reshape(z, (n,))
u: f64[n] = z.at[0].set(a)
b: f64 = v[0]
return u, b"""),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name):
    most, in_loops, results, text = PROGRAMS[name]
    stored = check(body(results, text))
    assert copies(stored) <= most
    assert copies(stored, inside_loops=True) <= in_loops


# -- random programs of updates, loops and branches ----------------------------------------------------

ARRAY = Type("f64", ("n",))


class Writer:
    """Writes random updates; every array in scope may be updated, read and joined."""

    def __init__(self, rng):
        self.rng = rng
        self.b = Builder()
        self.params = tuple(
            self.b.var(name, type)
            for name, type in {"x": ARRAY, "y": ARRAY, "a": F64, "c": BOOL, "k": I64}.items()
        )
        self.x, self.y, self.a, self.c, self.k = self.params
        self.arrays = [self.x, self.y]
        self.scalars = [self.a]

    def some(self, values):
        # Mostly the newest: chains of updates are what programs have.
        return values[-1 - min(int(self.rng.exponential(1.2)), len(values) - 1)]

    def program(self, steps):
        self.b.emit("dim", self.x, 0, hint="n")
        self.steps(steps, 2)
        results = tuple(self.some(self.arrays) for _ in range(2)) + (self.some(self.scalars),)
        return verify(self.b.program("f", self.params, results))

    def steps(self, count, depth):
        kinds = [self.update] * 4 + [self.read] * 3 + [self.fresh]
        kinds += ([self.loop] * 2 + [self.branch, self.repeat]) if depth else []
        for _ in range(count):
            kinds[self.rng.integers(len(kinds))](depth - 1)

    def position(self):
        return Index((Lit(str(self.rng.integers(4)), I64),))

    def update(self, _):
        op = REGISTRY[("at_set", "at_add")[self.rng.integers(2)]]
        args = self.some(self.arrays), self.position(), self.some(self.scalars)
        self.arrays.append(self.b.emit(op, *args, hint="u"))

    def read(self, _):
        self.scalars.append(self.b.emit("getitem", self.some(self.arrays), self.position(), hint="s"))

    def fresh(self, _):
        if self.rng.random() < 0.5:
            self.arrays.append(self.b.emit("copy", self.some(self.arrays), hint="v"))
        else:
            self.arrays.append(self.b.emit("zeros", (Var("n", I64),), "f64", hint="z"))

    def scoped(self, write):
        arrays, scalars = list(self.arrays), list(self.scalars)
        with self.b.open() as nodes:
            found = write()
        self.arrays, self.scalars = arrays, scalars
        return tuple(nodes), found

    def carried(self, depth, write):
        """Array phis with random entry values, and their next values from inside `write`."""
        firsts = [self.some(self.arrays) for _ in range(self.rng.integers(1, 4))]
        heads = [self.b.var("p", ARRAY) for _ in firsts]

        def inside():
            self.arrays += heads
            extra = write()
            seconds = [self.some(self.arrays) for _ in heads]
            if self.rng.random() < 0.3:
                seconds = list(self.rng.permutation(np.array(heads, dtype=object)))
            return seconds, extra

        nodes, (seconds, extra) = self.scoped(inside)
        phis = tuple(Phi(h, f, s) for h, f, s in zip(heads, firsts, seconds))
        exits = tuple(Exit(self.b.var("e", ARRAY), h) for h in heads)
        return nodes, phis, exits, extra

    def loop(self, depth):
        index = self.b.var("i", I64)
        body, phis, exits, _ = self.carried(depth, lambda: self.steps(self.rng.integers(1, 5), depth))
        stop = self.k if self.rng.random() < 0.7 else Lit("3", I64)
        self.b.add(For(index, Lit("0", I64), stop, bool(self.rng.integers(2)), phis, body, exits))
        self.arrays += [e.var for e in exits]

    def repeat(self, depth):
        counter, after = self.b.var("j", I64), self.b.var("j", I64)

        def write():
            self.steps(self.rng.integers(0, 2), 0)
            cond = self.b.emit("lt", counter, self.k)
            split = len(self.b.region)
            self.b.add(Let(after, REGISTRY["add"], (counter, Lit("1", I64))))
            if self.rng.random() < 0.5:
                self.steps(self.rng.integers(1, 4), depth)
            return cond, split

        nodes, phis, exits, (cond, split) = self.carried(depth, write)
        phis += (Phi(counter, Lit("0", I64), after),)
        self.b.add(While(phis, nodes[:split], cond, nodes[split:], exits))
        self.arrays += [e.var for e in exits]

    def branch(self, depth):
        count = self.rng.integers(1, 3)

        def write():
            self.steps(self.rng.integers(0, 4), depth)
            return [self.some(self.arrays) for _ in range(count)]

        then, firsts = self.scoped(write)
        orelse, seconds = self.scoped(write)
        phis = tuple(Phi(self.b.var("b", ARRAY), f, s) for f, s in zip(firsts, seconds))
        self.b.add(If(self.c, then, orelse, phis))
        self.arrays += [p.var for p in phis]


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(300))
def test_random_updates(seed):
    program = Writer(np.random.default_rng(seed)).program(8)
    check(program, arguments(0), arguments(1, False), arguments(2), arguments(3, False))


def test_unprepared_program_is_refused():
    """Without storage an update that would destroy a live array is an error, never wrong code."""
    program = body("(f64[n], f64[n])", "z: f64[n] = x.at[0].set(a)\nreturn z, x")
    with pytest.raises(Exception, match="storage has not been run"):
        emit(program)


def test_programs_keep_their_meaning():
    for _, _, results, text in PROGRAMS.values():
        program = body(results, text)
        for args in (arguments(0), arguments(2)):
            for a, b in zip(evaluate(bufferize(program), *args), evaluate(program, *args)):
                np.testing.assert_array_equal(a, b)
