"""Loops on all cores: the same results in whatever order the parts run, and no loop that may not."""

import os
import random
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from kernels import KERNELS
from test_order import N, Writer

import pullback as pb
from pullback.codegen import Context, bufferize, generate, hoist_allocations, parallel_loops, reorder
from pullback.codegen.parallel.outline import outlined_lines
from pullback.ir.evaluate import evaluate
from pullback.ir.text import parse
from pullback.ir.verify import verify
from pullback.runtime import support
from pullback.runtime.compile import compile_source
from pullback.runtime.intrinsics import threads


@pytest.fixture
def any_order(monkeypatch):
    """Uncompiled, the parts run in random order."""
    rng = random.Random(1)

    def run(function, count, args):
        order = list(range(count))
        rng.shuffle(order)
        for part in order:
            function(part, count, *args)

    def turns(function, count, args):
        for first in (0, 1):
            every = range(first, count, 2)
            run(lambda k, _, *rest, every=every: function(every[k], count, *rest), len(every), args)

    monkeypatch.setattr(support, "on_all_cores", run)
    monkeypatch.setattr(support, "in_two_turns", turns)


def sides(function, args):
    """Value and gradient without and with parallel loops, as flat lists of arrays, and the source."""
    wrt = tuple(k for k, a in enumerate(args) if isinstance(a, float) or getattr(a, "dtype", None) == np.float64)
    plain = pb.value_and_grad(function, argnums=wrt)(*args)
    with pb.options(parallel=2):
        gradient = pb.value_and_grad(function, argnums=wrt)
        parallel = gradient(*args)
        source = gradient.source
    return [[value, *bars] for value, bars in (plain, parallel)], source


def agree(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.max(np.abs(b), initial=1e-300))


def helpers(source):
    """The loops that run on all cores: per function of a part, its text."""
    return re.findall(r"^def \w+_part(?:_\d+)?\(part, .*?(?=\n\n\n)", source, re.MULTILINE | re.DOTALL)


# -- the same results -----------------------------------------------------------------------------------

SOME = ("jacobi_2d", "fdtd_2d", "cholesky", "trisolv", "gemver", "correlation", "lennard_jones", "swapped", "gemm")


@pytest.mark.parametrize("name", SOME)
def test_kernels(name, any_order):
    function, make, sizes, _ = KERNELS[name]
    with pb.options(jit=False, cache=False):
        (plain, parallel), source = sides(function, make(np.random.default_rng(0), sizes[-1]))
    assert helpers(source)
    agree(parallel, plain)


@pytest.mark.parametrize("seed", range(150))
def test_random_nests(seed, any_order):
    rng = np.random.default_rng(seed)
    program = Writer(rng).program()
    ordered = reorder(program)
    plans = parallel_loops(ordered)
    final = bufferize(hoist_allocations(ordered))
    lines = outlined_lines(final, parallel_loops(final, plans), limit=2)
    function = compile_source("\n".join(line.text for line in lines) + "\n", "f", jit=False)
    args = [rng.normal(size=(N, N)), rng.normal(size=(N, N)), rng.normal(size=N), rng.normal(size=N), 0.7]
    for a, b in zip(function(*args), evaluate(program, *args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


def chain(x, w, b):
    return np.sum(np.tanh(x * w + b) ** 2)


def rows(X, y, w):
    z = X @ w - y
    return np.mean(z * z / (1.0 + z * z))


def extremes(x):
    return np.max(x) * np.min(x * x) + np.sum(x)


def pairs(x):
    energy = 0.0
    for i in range(x.shape[0]):
        for j in range(i + 1, x.shape[0]):
            r2 = (x[i, 0] - x[j, 0]) ** 2 + (x[i, 1] - x[j, 1]) ** 2 + 0.1
            energy += 1.0 / r2
    return energy


def stencil(x):
    y = x.copy()
    y[2:-1] = x[:-3] * x[2:-1] + np.sin(x[1:-2]) - x[3:] ** 2
    return np.sum(y * y)


def convolution(x, w):
    y = np.zeros(x.shape[0] - w.shape[0] + 1)
    for i in range(y.shape[0]):
        for k in range(w.shape[0]):
            y[i] += w[k] * x[i + k]
    return np.sum(y * y)


def scattered(x, at):
    y = np.zeros(7)
    for i in range(x.shape[0]):
        y[at[i]] += x[i] ** 3
    return np.sum(y**2)


def conditional(x):
    total, low = 0.0, 0.0
    for i in range(x.shape[0]):
        if x[i] > 0.0:
            total += np.log(x[i])
        else:
            low -= x[i] ** 3
    return total * low


COMPILED = {
    chain: lambda rng, n: (rng.normal(size=n), rng.normal(size=n), rng.normal(size=n)),
    rows: lambda rng, n: (rng.normal(size=(n, 5)), rng.normal(size=n), rng.normal(size=5)),
    extremes: lambda rng, n: (rng.normal(size=n),),
    pairs: lambda rng, n: (rng.normal(size=(n, 2)),),
    conditional: lambda rng, n: (rng.normal(size=n),),
    stencil: lambda rng, n: (rng.normal(size=n),),
    convolution: lambda rng, n: (rng.normal(size=n), rng.normal(size=9)),
    scattered: lambda rng, n: (rng.normal(size=n), rng.integers(0, 7, n)),
}


@pytest.mark.compiled
@pytest.mark.parametrize("function", COMPILED, ids=lambda f: f.__name__)
def test_compiled(function):
    for n in (40, 1000) if function is not pairs else (40, 300):
        (plain, parallel), source = sides(function, COMPILED[function](np.random.default_rng(n), n))
        assert helpers(source)
        agree(parallel, plain)


@pytest.mark.parametrize("function", COMPILED, ids=lambda f: f.__name__)
def test_in_any_order(function, any_order):
    with pb.options(jit=False, cache=False):
        (plain, parallel), _ = sides(function, COMPILED[function](np.random.default_rng(1), 30))
    agree(parallel, plain)


@pytest.mark.compiled
def test_float32():
    rng = np.random.default_rng(0)
    args = [rng.normal(size=500).astype(np.float32) for _ in range(3)]
    plain = pb.grad(chain, argnums=(0, 1, 2))(*args)
    with pb.options(parallel=2):
        parallel = pb.grad(chain, argnums=(0, 1, 2))(*args)
    for a, b in zip(parallel, plain, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code], env={**ENVIRONMENT, **environment}, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
def test_results_do_not_depend_on_the_number_of_cores(tmp_path):
    code = (
        "import numpy as np, pullback as pb, test_parallel as t\n"
        f"pb.options(parallel=1000, cache_dir={str(tmp_path)!r})\n"
        "value, bars = pb.value_and_grad(t.rows, argnums=(0, 2))(*t.COMPILED[t.rows](np.random.default_rng(0), 3000))\n"
        "print(value.hex(), [b.tobytes().hex()[-4000:] for b in bars])\n"
    )
    assert run(code, NUMBA_NUM_THREADS="1") == run(code, NUMBA_NUM_THREADS="2")


# -- loops that stay as they are --------------------------------------------------------------------------

STAY = {
    "carried": """
def f(x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    y: f64[n] = copy(x)
    for i in range(1, n):
        y_1: f64[n] = phi(y, y_2)
        k: i64 = i - 1
        a: f64 = y_1[k]
        b: f64 = y_1[i]
        c: f64 = a + b
        y_2: f64[n] = y_1.at[i].set(c)
    y_end: f64[n] = last(y_1)
    return y_end""",
    "one element": """
def f(x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    y: f64[n] = copy(x)
    for i in range(n):
        y_1: f64[n] = phi(y, y_2)
        a: f64 = x[i]
        y_2: f64[n] = y_1.at[0].set(a)
    y_end: f64[n] = last(y_1)
    return y_end""",
    "read while added to": """
def f(x: f64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    y: f64[n] = copy(x)
    for i in range(1, n):
        y_1: f64[n] = phi(y, y_2)
        a: f64 = y_1[i]
        k: i64 = i - 1
        y_2: f64[n] = y_1.at[k].add(a)
    y_end: f64[n] = last(y_1)
    return y_end""",
    "places in data": """
def f(x: f64[n], at: i64[n]) -> f64[n]:
    n: i64 = dim(x, 0)
    y: f64[n] = copy(x)
    for i in range(n):
        y_1: f64[n] = phi(y, y_2)
        k: i64 = at[i]
        a: f64 = x[i]
        y_2: f64[n] = y_1.at[k].set(a)
    y_end: f64[n] = last(y_1)
    return y_end""",
    "a sum that is read": """
def f(x: f64[n]) -> (f64, f64):
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(0.0, s_1)
        t: f64 = phi(0.0, t_1)
        a: f64 = x[i]
        s_1: f64 = s + a
        t_1: f64 = t + s_1
    s_end: f64 = last(s)
    t_end: f64 = last(t)
    return s_end, t_end""",
    "doubled": """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(1.0, s_2)
        a: f64 = x[i]
        s_1: f64 = s + a
        s_2: f64 = s_1 + s
    s_end: f64 = last(s)
    return s_end""",
    "subtracted from": """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(1.0, s_1)
        a: f64 = x[i]
        s_1: f64 = a - s
    s_end: f64 = last(s)
    return s_end""",
    "sum and largest": """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(1.0, s_2)
        a: f64 = x[i]
        s_1: f64 = s + a
        s_2: f64 = maximum(s_1, 0.0)
    s_end: f64 = last(s)
    return s_end""",
    "kept in one arm": """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(1.0, s_2)
        a: f64 = x[i]
        c: bool = a > 0.0
        if c:
            s_1: f64 = s + a
        else:
            b: f64 = a + a
        s_2: f64 = phi(s_1, b)
    s_end: f64 = last(s)
    return s_end""",
    "checked": """
def f(x: f64[n]) -> f64:
    n: i64 = dim(x, 0)
    for i in range(n):
        s: f64 = phi(0.0, s_1)
        a: f64 = x[i]
        c: bool = a > 0.0
        assert c, "ValueError: not positive"
        s_1: f64 = s + a
    s_end: f64 = last(s)
    return s_end""",
    "places change": """
def f(x: f64[n], k: i64) -> (f64[n], f64[n]):
    n: i64 = dim(x, 0)
    u: f64[n] = copy(x)
    v: f64[n] = copy(x)
    for i in range(k):
        u_1: f64[n] = phi(u, v_2)
        v_1: f64[n] = phi(v, u_1)
        a: f64 = u_1[0]
        v_2: f64[n] = v_1.at[1].set(a)
    u_end: f64[n] = last(u_1)
    v_end: f64[n] = last(v_1)
    return u_end, v_end""",
}


@pytest.mark.parametrize("why", STAY)
def test_stays(why):
    program = verify(parse(STAY[why]))
    assert not parallel_loops(program)
    assert generate(program, Context(parallel=2)) == generate(program)


def test_the_outermost_that_may():
    """The loop over time carries the array, those over space do not."""
    _, source = sides_of_jacobi()
    assert not re.search(r"_part\w*\(part, parts.*\n.*, T\)", source)
    main = source[source.rindex("\ndef ") :]
    assert re.search(r"for t in range\(.*\n(.*\n){1,6}?        parts = support\.parts\(", main)


def sides_of_jacobi():
    function, make, sizes, _ = KERNELS["jacobi_1d"]
    with pb.options(jit=False, cache=False):
        return sides(function, make(np.random.default_rng(0), sizes[-1]))


def test_copies_or_turns():
    """Adding to elements that neighbours add to takes turns; adding anywhere takes copies."""
    text = """
def f(x: f64[n], at: i64[n], y: f64[n], z: f64[n]) -> (f64[n], f64[n]):
    n: i64 = dim(x, 0)
    last_one: i64 = n - 3
    for i in range(last_one):
        y_1: f64[n] = phi(y, y_3)
        z_1: f64[n] = phi(z, z_2)
        a: f64 = x[i]
        y_2: f64[n] = y_1.at[i].add(a)
        i_3: i64 = i + 3
        y_3: f64[n] = y_2.at[i_3].add(a)
        for k in range(2):
            z_3: f64[n] = phi(z_1, z_4)
            {place}
            z_4: f64[n] = z_3.at[j].add(a)
        z_2: f64[n] = last(z_3)
    y_end: f64[n] = last(y_1)
    z_end: f64[n] = last(z_1)
    return y_end, z_end"""
    for place in ("j: i64 = at[i]", "j: i64 = i + k"):
        plan = parallel_loops(parse(text.format(place=place)))["i"]
        assert plan.reach == 3
        assert [p.var.name for p in plan.added] == ["z_1"]


def test_off_by_default_and_part_of_the_key():
    x = np.linspace(0.0, 1.0, 50)
    with pb.options(jit=False, cache=False):
        gradient = pb.grad(lambda x: np.sum(np.sin(x)))
        gradient(x)
        assert "all_cores" not in gradient.source
        with pb.options(parallel=True):
            gradient(x)
            assert "support.parts(2000000, " in gradient.source
        gradient(x)
        assert "all_cores" not in gradient.source


def test_short_loops_run_as_they_are():
    assert threads.parts(2_000_000, 1_999_999, 1000, 0) == 0
    assert threads.parts(2_000_000, 2_000_000, 1000, 0) == 16
    assert threads.parts(2_000_000, 2_000_000, 3, 0) == 3
    assert threads.parts(2_000_000, 2_000_000, 1, 0) == 0
    assert threads.parts(2_000_000, 10**12, 10**9, 0) == threads.MOST_PARTS
    assert threads.parts(2_000_000, 2_000_000, 1000, 1000) == 7  # copies cost at most a share of the work
    assert threads.parts(2_000_000, 2_000_000, 1000, 10_000) == 0


@pytest.mark.parametrize("trips", [0, 1, 5, 16, 17, 1000])
def test_shares_are_a_partition(trips):
    for count in (2, 3, 16):
        shares = [threads.share(part, count, 7, 7 + trips) for part in range(count)]
        assert [i for first, k in shares for i in range(first, first + k)] == list(range(7, 7 + trips))


# -- threads, processes -----------------------------------------------------------------------------------


@pytest.mark.compiled
def test_many_threads_at_once():
    """One job has the workers, the others run on their own threads."""
    args = COMPILED[rows](np.random.default_rng(0), 2000)
    with pb.options(parallel=100):
        expected = pb.grad(rows, argnums=(0, 2))(*args)
        wrong = []

        def work():
            with pb.options(parallel=100):
                gradient = pb.grad(rows, argnums=(0, 2))
                for _ in range(200):
                    found = gradient(*args)
                    if not all(np.array_equal(a, b) for a, b in zip(found, expected)):
                        wrong.append(found)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=100)
        assert not any(thread.is_alive() for thread in threads)
    assert not wrong


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="fork")
def test_a_forked_process_has_no_workers_and_goes_on():
    code = """
import os, numpy as np, pullback as pb, test_parallel as t
args = t.COMPILED[t.rows](np.random.default_rng(0), 2000)
with pb.options(parallel=100):
    gradient = pb.grad(t.rows, argnums=(0, 2))
    expected = gradient(*args)
    child = os.fork()
    same = all(np.array_equal(a, b) for _ in range(20) for a, b in zip(gradient(*args), expected))
    if not child:
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert same
print("fine")
"""
    assert run(code) == "fine\n"


@pytest.mark.compiled
@pytest.mark.parametrize("how", ["on_all_cores", "in_two_turns"])
def test_each_part_once(how):
    source = f"""
import numpy as np

from pullback.runtime import support


def f_part(part, parts, out):
    out[part] += parts


def f(n):
    out = np.zeros(n, np.int64)
    support.{how}(f_part, n, (out,))
    return (out,)
"""
    function = compile_source(source, "f")
    for n in [*range(40), 255, 256]:
        assert np.array_equal(function(n)[0], np.full(n, n))


@pytest.mark.compiled
def test_no_memory_for_a_part_is_an_error():
    source = """
import numpy as np

from pullback.runtime import support


def f_part(part, parts, n, out):
    out[part] = np.empty(n)[0]


def f(n):
    out = np.empty(4)
    support.on_all_cores(f_part, 4, (n, out))
    return (out,)
"""
    function = compile_source(source, "f")
    assert function(10)[0].shape == (4,)
    with pytest.raises(MemoryError):
        function(2**60)
