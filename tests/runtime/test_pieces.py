"""Long functions in pieces: each generated function cut at every place, and written-out programs compiled so."""

from __future__ import annotations

import cProfile
import gc
import linecache
import random

import numpy as np
import pytest
from kernels import KERNELS

import pullback as pb
from pullback.runtime import collector, support, timings
from pullback.runtime.compile import compile_source
from pullback.runtime.rewrite import pieces


def run_in_python(cut: pieces.Cut, name: str):
    """The function, with all pieces as plain Python."""
    scope = {"np": np, "support": support, "boxed": np.asarray, "unboxed": pieces.unboxed}
    for piece, text in cut.pieces.items():
        module = dict(scope)
        exec(text, module)
        scope[piece] = module[piece]
    exec(cut.main, scope)
    return scope[name]


@pytest.fixture
def everything_is_long(monkeypatch):
    for limit in ("LOOPS", "ALL", "SHORT"):
        monkeypatch.setattr(pieces, limit, 0)
    monkeypatch.setattr(pieces, "SHARE", np.inf)


def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


SOURCES = {
    "a scalar and an array": """
import numpy as np
def f(x, n):
    s = 0.0
    y = np.empty(n)
    for i in range(n):
        y[i] = x[i] * 2.0
        s = s + y[i]
    t = s / 3.0
    for i in range(n):
        y[i] += t
    return (y, s)
""",
    "a loop that may not run binds a name before": """
import numpy as np
def f(x, n):
    k = 0
    last = x[0]
    for i in range(n - 3):
        k = k + 1
        last = x[i]
    for i in range(k):
        last = last * 2.0
    return (np.array([last]), k)
""",
    "arrays that are swapped": """
import numpy as np
def f(x, n):
    u = x.copy()
    v = np.zeros(n)
    for t in range(3):
        for i in range(n):
            v[i] = u[i] + 1.0
        u, v = v, u
    for i in range(n):
        u[i] += v[i]
    return (u, v)
""",
    "a view and its base": """
import numpy as np
def f(x, n):
    a = np.zeros((n, n))
    b = a.T
    for i in range(n):
        for j in range(n):
            a[i, j] = x[i]
    for i in range(n):
        a[i, 0] = b[0, i] + b[i, 0]
    return (a,)
""",
    "branches with loops, and errors": """
import numpy as np
def f(x, n):
    y = np.zeros(n)
    if n > 2:
        for i in range(n):
            if x[i] > 1000.0:
                raise ValueError('large')
            y[i] = x[i]
    else:
        for i in range(n):
            y[i] = 1.0
    while y[0] < 10.0:
        y[0] += 1.0
    return (y,)
""",
}


@pytest.mark.parametrize("longest", [2, 4, 60])
@pytest.mark.parametrize("name", SOURCES)
def test_pieces_compute_what_the_function_does(name, longest, everything_is_long, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE", longest)
    source = SOURCES[name]
    scope = {}
    exec(source, scope)
    cut = pieces.cut(source, "f")
    assert cut is not None and cut.pieces
    for n in (1, 2, 4):
        x = np.arange(4.0) + 0.5
        assert same(run_in_python(cut, "f")(x, n), scope["f"](x, n))
    with_error = np.full(4, 2000.0)
    if "raise" in source:
        with pytest.raises(ValueError, match="large"):
            run_in_python(cut, "f")(with_error, 4)


def test_views_of_one_array_are_no_arrays_of_their_own(everything_is_long):
    cut = pieces.cut(SOURCES["a view and its base"], "f")
    assert len(cut.pieces) - len(cut.apart) == 1
    assert cut.apart < set(cut.pieces)


@pytest.mark.fuzz
@pytest.mark.parametrize("longest", [3, 60])
@pytest.mark.parametrize("name", [n for n in KERNELS if KERNELS[n][3].get("finite") is not False])
def test_generated_functions(name, longest, everything_is_long, monkeypatch):
    """Every kernel's gradient, cut everywhere, gives the same bits as it does in one piece."""
    monkeypatch.setattr(pieces, "PIECE", longest)
    function, make, sizes, _ = KERNELS[name]
    args = make(np.random.default_rng(1), sizes[0])
    floats = [
        k
        for k, a in enumerate(args)
        if isinstance(a, (float, np.ndarray)) and np.asarray(a).dtype.kind == "f"
    ]
    gradient = pb.value_and_grad(function, argnums=floats)
    with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
        gradient(*args)
        cut = pieces.cut(gradient.source, gradient.__name__ + "_value_and_grad")
        form, params, _, _ = gradient._traceable.find(args, {})
        whole = compile_source(gradient.source, gradient.__name__ + "_value_and_grad", jit=False)
        assert same(run_in_python(cut, whole.__name__)(*params), whole(*params))


def layers(params, x, y):
    for w, b in params:
        x = np.tanh(x @ w + b)
    return np.mean((x - y) ** 2)


def network(count, dtype=np.float64):
    rng = np.random.default_rng(0)
    each = [(rng.normal(size=(5, 5)) / 2, rng.normal(size=5)) for _ in range(count)]
    params = [(w.astype(dtype), b.astype(dtype)) for w, b in each]
    return params, rng.normal(size=(4, 5)).astype(dtype), np.zeros((4, 5), dtype)


@pytest.mark.compiled
def test_layers_of_one_form_share_their_loops(tmp_path):
    """As many functions are compiled for 60 layers as for 30; values and dtypes are those of the code in one piece."""
    found = []
    for count, dtype in ((30, np.float64), (60, np.float32)):
        args = network(count, dtype)
        gradient = pb.value_and_grad(layers)
        with pb.options(cache_dir=tmp_path):
            value, bars = gradient(*args)
            again, _ = gradient(*args)
        with pb.options(jit=False, cache=False):
            expected, expected_bars = pb.value_and_grad(layers)(*args)
        assert value == again and type(value) is type(expected)
        np.testing.assert_allclose(value, expected, rtol=1e-5)
        for (w, b), (w_bar, b_bar) in zip(bars, expected_bars):
            assert w.dtype == b.dtype == dtype
            np.testing.assert_allclose(w, w_bar, rtol=2e-3, atol=1e-6)
            np.testing.assert_allclose(b, b_bar, rtol=2e-3, atol=1e-6)
        (note,) = [n for n in gradient.timings.notes if "run as Python" in n]
        assert note in str(gradient.timings)
        found.append(len([d for d in gradient.timings.details if d[0] == "compile"]))
    assert found[0] == found[1] <= 10


def test_short_functions_stay_whole():
    gradient = pb.grad(layers)
    with pb.options(jit=False, cache=False):
        gradient(*network(4))
    assert pieces.cut(gradient.source, "layers_grad") is None
    assert timings.Timings().notes == []


def calls(operations):
    """How many calls of functions it takes to generate the gradient of so many lines."""
    draw = random.Random(1)
    lines = [f"t{k} = np.sin(t{k - 1}) * t{draw.randrange(k)}" for k in range(1, operations)]
    space = {"np": np}
    text = "\n    ".join(["def long(t0):", *lines, f"return t{operations - 1}"])
    file = f"<long {operations}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    exec(compile(text, file, "exec"), space)
    profile = cProfile.Profile()
    with pb.options(jit=False, cache=False):
        profile.runcall(pb.grad(space["long"]), 0.3)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.mark.fuzz
def test_what_a_program_costs_grows_with_its_length():
    calls(50)  # imports
    assert calls(600) < 3.5 * calls(200)


def test_garbage_is_looked_for_as_before_afterwards():
    before = gc.get_threshold()
    with collector.rarely():
        with collector.rarely():
            assert gc.get_threshold()[0] == collector.RARELY
        assert gc.get_threshold()[0] == collector.RARELY
    assert gc.get_threshold() == before
    with collector.rarely():
        gc.set_threshold(500, 5, 5)  # somebody else's wish stays
    assert gc.get_threshold() == (500, 5, 5)
    gc.set_threshold(*before)
