"""Vector math: what loops of exp, sin, pow, ... give when the vectoriser calls the platform's library."""

import math
import re
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import pullback as pb
from pullback.runtime.compile import compile_source, counts
from pullback.runtime.intrinsics import libmvec
from pullback.runtime.jit import vectormath

pytestmark = pytest.mark.compiled

ONE = {
    **{f"np.{name}": getattr(np, name) for name in (
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos",
        "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh",
    )},
    "support.cbrt": np.cbrt, "math.erf": np.vectorize(math.erf), "math.erfc": np.vectorize(math.erfc),
    "support.expit": lambda x: 1.0 / (1.0 + np.exp(-x.astype(np.longdouble))),
}  # fmt: skip
ONE |= {f"half {c}": (lambda x, c=c: np.power(x, x.dtype.type(c))) for c in ("0.5", "1.5", "2.5", "-0.5")}
TWO = {
    "np.arctan2": np.arctan2, "np.hypot": np.hypot, "support.logaddexp": np.logaddexp, "**": np.power
}  # fmt: skip
CALLS = [f"x[i] ** {name[5:]}" if name.startswith("half") else f"{name}(x[i])" for name in ONE]
CALLS += [f"{n}(x[i], w[i])" for n in TWO if n != "**"] + ["x[i] ** w[i]"]
SOURCE = "\n".join(
    ["import math", "import numpy as np", "from pullback.runtime import support", "def f(x, w, y):"]
    + [f"    for i in range(x.shape[0]):\n        y[{k}, i] = {call}" for k, call in enumerate(CALLS)]
    + ["    return (y,)"]
)
SMALL = """
import numpy as np

def f(x):
    y = np.empty(x.shape[0])
    for i in range(x.shape[0]):
        y[i] = np.exp(x[i])
    return (y,)
"""
X = np.linspace(-3.0, 3.0, 1003)


@pytest.fixture(autouse=True)
def compiled_here():
    """Machine code that was loaded shows no assembly."""
    with pb.options(cache=False):
        yield


there = pytest.mark.skipif(libmvec.library() is None, reason="no vector library here")


def assembly(function):
    return "\n".join(function.inspect_asm().values())


def expected(x, w):
    with np.errstate(all="ignore"), warnings.catch_warnings():
        return np.array([f(x) for f in ONE.values()] + [f(x, w) for f in TWO.values()], x.dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_every_function_at_special_values_and_at_others(dtype):
    """Many points, so that the vector loop runs, and a few left over for the scalar one."""
    pairs = libmvec.samples("pow", dtype)
    rng = np.random.default_rng(1)
    near = rng.uniform(-5.0, 5.0, (2, 2000)).astype(dtype)
    x, w = np.ascontiguousarray(np.hstack([pairs, near, np.abs(near), pairs[:, :3]]))
    y = np.zeros((len(CALLS), x.size), dtype)
    compile_source(SOURCE, "f")(x, w, y)
    off = libmvec.distance(y, expected(x, w))
    # logaddexp near 0 is a difference, here as in NumPy: there the error counts in units of its operands.
    log = CALLS.index("support.logaddexp(x[i], w[i])")
    near_zero = np.abs(y[log]) < np.maximum(np.abs(x), np.abs(w))
    off[log] = np.where(near_zero & (off[log] < np.inf), 0.0, off[log])
    for k, call in enumerate(CALLS):
        worst = np.argmax(off[k])
        assert off[k, worst] <= 6, f"{call} at {x[worst]}, {w[worst]}: {y[k, worst]}, off by {off[k, worst]}"


@there
def test_every_loop_is_vectorised():
    """The functions that the machine code calls are those that passed the self-test."""
    function = compile_source(SOURCE, "f")
    function(X, X, np.zeros((len(CALLS), X.size)))
    called = set(re.findall(r"_ZGV\w\w\d+v+_(\w+)", assembly(function)))
    names = set(vectormath.FUNCTIONS.values()) - {"expit", "logaddexp"} | {"pow"}
    assert {n for n in names if libmvec.variants(n, "double")} <= called


@there
def test_the_self_test_refuses_what_gives_something_else():
    good = libmvec.variants("exp", "double")
    assert good == libmvec.reliable("exp", "double", list(good))
    wrong = [(symbol.replace("_exp", "_expm1"), lanes) for symbol, lanes in good]
    assert wrong and libmvec.reliable("exp", "double", wrong) == ()


def test_gradients_agree_with_and_without():
    def loss(x, w):
        return np.sum(np.tanh(x * w) ** 2 + np.logaddexp(0.0, x) * np.exp(-x * x) + np.abs(x) ** w)

    gradient = pb.value_and_grad(loss, argnums=(0, 1))
    x, w = X[X != 0.0], np.linspace(0.5, 2.5, X.size)[X != 0.0]
    on = gradient(x, w)
    with pb.options(vector_math=False):
        off = gradient(x, w)
    with pb.options(jit=False):
        plain = gradient(x, w)
    for other in (off, plain):
        np.testing.assert_allclose(on[0], other[0], rtol=1e-14)
        np.testing.assert_allclose(on[1], other[1], rtol=1e-13, atol=1e-14)


# -- without -----------------------------------------------------------------------------------------


def test_the_option_keeps_it_out(tmp_path):
    with pb.options(cache=True):
        on = compile_source(SMALL, "f", cache_dir=tmp_path)
        with pb.options(vector_math=False):
            off = compile_source(SMALL, "f", cache_dir=tmp_path)
        on(X), off(X)
    assert on is not off
    assert libmvec.distance(on(X)[0], off(X)[0]).max() <= 4
    assert "_ZGV" not in assembly(off)
    assert ("_ZGV" in assembly(on)) == bool(libmvec.variants("exp", "double"))
    # Machine code of both is kept, each under a key of its own.
    expected_files = 1 if libmvec.library() is None else 2
    assert len(list(tmp_path.glob("*.machine"))) == expected_files


def test_a_missing_library_leaves_the_functions_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setattr(libmvec, "LIBRARY", "libnothing-of-this-name.so.1")
    assert libmvec.library() is None and libmvec.variants("exp", "double") == ()
    function = compile_source(SMALL, "f", cache_dir=tmp_path)
    assert libmvec.distance(function(X)[0], np.exp(X)).max() <= 1
    assert "_ZGV" not in assembly(function)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_other_systems_have_none(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    libmvec._load.cache_clear()
    assert libmvec.library() is None
    monkeypatch.undo()
    libmvec._load.cache_clear()


def test_a_source_without_such_functions_has_one_key():
    """What the option cannot change is not compiled twice."""
    assert vectormath.library("def f(x, w):\n    return np.floor(x) ** w\n") == libmvec.library()
    assert vectormath.library("def f(x):\n    return np.floor(x)\n") is None


@there
def test_the_key_names_the_library(monkeypatch):
    name = libmvec.library()
    assert name.startswith("libmvec.so.1 of glibc ") and "unknown" not in name
    before = compile_source(SMALL, "f", cache_dir=None).__module__
    monkeypatch.setattr(libmvec, "library", lambda: name + " rebuilt")
    compile_source.__globals__["_functions"].clear()
    assert compile_source(SMALL, "f", cache_dir=None).__module__ != before


# -- elsewhere ---------------------------------------------------------------------------------------

PROGRAM = f"""
import sys
import numpy as np
from pullback.runtime.compile import compile_source, counts
y = compile_source({SMALL!r}, "f")(np.linspace(-3.0, 3.0, 1003))[0]
print(counts["compiled"], counts["loaded"], y.tobytes().hex())
"""


def test_another_process_loads_it_from_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("PULLBACK_CACHE_DIR", str(tmp_path))
    compiled = counts["compiled"]
    with pb.options(cache=True, cache_dir=tmp_path):
        here = compile_source(SMALL, "f")(X)[0]
    assert counts["compiled"] == compiled + 1
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1", here.tobytes().hex()]


def test_in_threads(tmp_path):
    results = []

    def work():
        results.append(compile_source(SMALL, "f", cache_dir=tmp_path)(X)[0])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(np.array_equal(r, results[0]) for r in results)
