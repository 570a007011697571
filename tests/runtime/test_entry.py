"""Entries: calls by machine code that tests and converts give what calls through Python give, or the same error."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import pullback as pb
from pullback.calls.fast_call import MISS
from pullback.ir.types import DTYPES
from pullback.runtime.compile import compile_source, entry
from pullback.runtime.entry import abi
from pullback.runtime.entry import build as entries
from pullback.runtime.entry.record import Param

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(abi.facts() is None, reason="this Python has no entries"),
]
x = np.array([0.125, 0.375, 0.5, 0.75, 1.0])  # sums are exact in any order
BUILTIN = type(len)


def made(transform, *args, **kwargs):
    """The transform after enough calls that its entry is made."""
    for _ in range(3):
        transform(*args, **kwargs)
    return transform


def in_python(transform, *args, **kwargs):
    """The same, with calls that go through Python."""
    entries.enabled = False
    try:
        return made(transform, *args, **kwargs)
    finally:
        entries.enabled = True


def outcome(function, args, kwargs=None):
    """What a call gives, as text that tells types, numbers and errors apart."""
    try:
        return shown(function(*args, **(kwargs or {})))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def shown(value):
    if isinstance(value, (tuple, list)):
        return type(value), [shown(v) for v in value]
    if isinstance(value, dict):
        return [(k, shown(v)) for k, v in value.items()]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes(), value.flags.carray, value.flags.owndata
    return type(value), repr(value)


def hot(transform, args):
    """The short way; an error there is met by the ordinary way, if it is missed."""
    try:
        return transform._hot(args, {})
    except Exception:
        return MISS


def scale(a, b):
    return np.sum(a[1:] * a[:-1]) * b


def with_text(a, how, b):
    return np.sum(a * a) * b if how == "square" else np.sum(a)


FACTOR, BIAS = 2.0, np.arange(5.0)


def helper(a):
    return a * FACTOR + BIAS


def outside(a):
    return np.sum(helper(a))


def halves(a, w):
    return np.sum(a) * w, {"twice": a * 2.0, "big": a > 0.5, "n": len(a), "w": w}


def of_all_kinds(a, f, i, m, z, s, k, t, b):
    return np.sum(a) * f + np.sum(i) * s + np.sum(m) * z + k * t + b


odd = {
    "subclass": x.view(np.recarray), "strided": np.arange(10.0)[::2], "other order": np.ones((5, 4)).T,
    "other dtype": x.astype("f4"), "big endian": x.astype(">f8"), "integers": np.arange(5), "rank 2": x[None],
    "rank 0": np.array(2.0), "empty": x[:0], "one": x[:1], "two": x[:2].copy(), "longer": np.ones(9),
    "list": [1.0, 2.0], "None": None, "float": 2.0, "int": 2, "huge": 2**70, "negative": -(2**63), "bool": True,
    "text": "square", "nan": np.nan,
    "f8": np.float64(2.0), "f4": np.float32(2.0), "i8": np.int64(2), "i4": np.int32(2), "b1": np.bool_(True),
    "same": x, "masked": np.ma.masked_array(x), "object": object(), "complex": 1j,
}  # fmt: skip
odd["read-only"] = x.copy()
odd["read-only"].flags.writeable = False
odd["crooked"] = np.zeros(41, np.int8)[1:].view(np.float64)
CALLS = {
    "scale": (scale, 0, (x, 2.0)),
    "NumPy's number": (scale, (0, 1), (x, np.float64(2.0))),
    "float32": (scale, 0, (x.astype("f4"), np.float32(2.0))),
    "an integer": (scale, 0, (x, 3)),
    "a text": (with_text, 0, (x, "square", 2.0)),
    "outside": (outside, 0, (x,)),
}


@pytest.fixture(scope="module")
def both():
    """The transforms of CALLS, by entries and by Python."""
    made_once = {}

    def get(name, kind=pb.value_and_grad):
        if name not in made_once:
            function, argnums, args = CALLS[name]
            pair = made(kind(function, argnums), *args), in_python(kind(function, argnums), *args)
            assert type(pair[0]._hot) is BUILTIN and type(pair[1]._hot) is not BUILTIN
            made_once[name] = pair
        return made_once[name]

    return get


@pytest.mark.parametrize("name", CALLS)
def test_what_fits(both, name):
    fast, slow = both(name)
    args = CALLS[name][2]
    assert outcome(fast, args) == outcome(slow, args)
    assert fast._hot(args, {}) is not MISS


@pytest.mark.parametrize("name", ["scale", "an integer", "a text", "outside"])
@pytest.mark.parametrize("other", odd)
def test_what_does_not_fit_does_neither(both, name, other):
    fast, slow = both(name)
    args = CALLS[name][2]
    for k in range(len(args)):
        changed = (*args[:k], odd[other], *args[k + 1 :])
        a, b = (hot(t, changed) for t in (fast, slow))
        assert (a is MISS) == (b is MISS), k
        assert a is MISS or shown(a) == shown(b)
    for t in (fast, slow):
        assert t._hot(args, {"b": 1.0}) is MISS and t._hot(args[:-1], {}) is MISS and t._hot((*args, x), {}) is MISS


@pytest.mark.parametrize("other", ["read-only", "strided", "two", "list", "complex", "int", "huge", "None"])
def test_then_the_ordinary_way_answers(other):
    fast, slow = made(pb.grad(scale), x, 2.0), in_python(pb.grad(scale), x, 2.0)
    with pb.options(jit=False):  # another form need not be compiled
        for args in ((odd[other], 2.0), (x, odd[other])):
            assert outcome(fast, args) == outcome(slow, args)
    assert outcome(fast, (x, 2.0)) == outcome(slow, (x, 2.0))


def test_options_are_looked_at():
    with pb.options(bounds_check=True):
        g = made(pb.grad(scale), x, 2.0)
        assert g._hot((x, 2.0), {}) is not MISS
        with pb.options(bounds_check=False):
            assert g._hot((x, 2.0), {}) is MISS
    g = made(pb.grad(scale), x, 2.0)
    assert g._hot((x, 2.0), {}) is not MISS
    pb.options(reassociate=False)
    try:
        assert g._hot((x, 2.0), {}) is MISS
    finally:
        pb.options(reassociate=True)


def test_what_is_outside_is_looked_at(monkeypatch):
    g = made(pb.grad(outside), x)
    for name, value in (("FACTOR", 3.0), ("BIAS", np.ones(5))):
        monkeypatch.setitem(globals(), name, value)
        assert shown(g._hot((x,), {})) == shown(np.full(5, globals()["FACTOR"]))
    held = sys.getrefcount(BIAS)
    for _ in range(100):
        g(x)
    after = sys.getrefcount(BIAS)
    assert after == held
    for name, value in (("FACTOR", 3), ("BIAS", x[:2]), ("helper", lambda a: a)):
        with monkeypatch.context() as changed:
            changed.setitem(globals(), name, value)
            assert g._hot((x,), {}) is MISS
    with monkeypatch.context() as changed:
        changed.delitem(globals(), "FACTOR")
        assert g._hot((x,), {}) is MISS
    code = helper.__code__
    helper.__code__ = (lambda a: a).__code__
    assert g._hot((x,), {}) is MISS
    helper.__code__ = code
    assert g._hot((x,), {}) is not MISS


class Table(dict):
    """A dict whose numbers Python computes when they are read at entry."""

    reads = fails_at = 0

    def __getitem__(self, key):
        Table.reads += 1
        w = dict.__getitem__(self, key)
        if w < 0.0:
            raise KeyError("no bias")
        if w > 100.0:
            raise KeyboardInterrupt
        if Table.reads == Table.fails_at:
            raise RuntimeError("no scale")
        return w


class Model:
    def __init__(self):
        self.w, self.name = 2.0, "plain"
        self.table = Table(bias=2.0)

    def loss(self, a):
        return np.sum(a) * self.w + self.table["bias"] if self.name == "plain" else np.sum(a)


def test_attributes_and_tables():
    model = Model()
    g = made(pb.grad(model.loss), x)
    model.w = 3.0
    assert np.array_equal(g._hot((x,), {}), np.full(5, 3.0))
    model.table["bias"] = -1.0
    assert g._hot((x,), {}) is MISS
    model.table["bias"] = 101.0
    with pytest.raises(KeyboardInterrupt):
        g._hot((x,), {})
    model.table["bias"], model.name = 3.0, "".join(["pla", "in"])
    assert g._hot((x,), {}) is not MISS
    model.name = "other"
    assert g._hot((x,), {}) is MISS


def test_results_of_all_kinds():
    for kind in (pb.grad, pb.value_and_grad):
        fast, slow = (how(kind(halves, has_aux=True), x, 2.0) for how in (made, in_python))
        assert outcome(fast, (x, 2.0)) == outcome(slow, (x, 2.0))
    f = made(pb.jit(lambda a, b: (np.sum(a), (len(a) + 1, a[0] > 0.5), None, b * 2)), x, 3)
    assert type(f._hot) is BUILTIN
    assert shown(f(x, 3)) == shown(in_python(pb.jit(f.__wrapped__), x, 3)(x, 3))


KINDS = """import numpy as np

def f(a, b, c, d, e, g, h, i, j):
    n = a.shape[0]
    y = np.zeros((n, 3), np.bool_)
    y[1, 2] = d[0]
    return (a[1], b[2], c[2] + g, d[4], y, e[()], h, i, j, c[0] == 0)
"""


def test_parameters_of_all_kinds():
    args = (
        x, x[:3].astype("f4"), np.arange(3), x > 0.5, np.array(2.0), np.int64(3), np.float32(2.0), 2.5, np.bool_(True),
    )  # fmt: skip
    kinds = tuple(
        Param({"d": "f64", "f": "f32", "l": "i64", "q": "i64", "?": "bool"}[np.asarray(a).dtype.char],
              a.ndim if isinstance(a, np.ndarray) else None, type(a) is float, (None,) * np.ndim(a))
        for a in args
    )  # fmt: skip
    kernel = compile_source(KINDS, "f", outside=True)
    expected = kernel(*args)
    call = entry(kernel, args, kinds, MISS)
    assert shown(call(*args)) == shown(expected) and call(*args[1:]) is MISS
    for k, other in enumerate(args):
        for j, wrong in enumerate(args):
            if j != k and (type(wrong), getattr(wrong, "dtype", 0)) != (type(other), getattr(other, "dtype", 0)):
                assert call(*args[:k], wrong, *args[k + 1 :]) is MISS


SIZES = """import numpy as np

def f(x, k):
    n = x.shape[0]
    m = np.maximum(n - 3, 0) * k // 2
    y = np.zeros((m, 2), np.float32)
    z = np.empty(k)
    for i in range(k):
        z[i] = x[0]
    return (z, y)
"""


def test_sizes_of_results():
    kernel = compile_source(SIZES, "f", outside=True)
    kernel(x, 3)
    call = entry(kernel, (x, 3), (Param("f64", 1, False, ("n",)), Param("i64", None, True)), MISS)
    for n in (2, 3, 4, 9):
        for k in (0, 1, 5, 30):
            a = np.full(n, 2.5)
            assert shown(call(a, k)) == shown(kernel(a, k))
    before = sys.getrefcount(DTYPES["f64"].numpy), sys.getrefcount(DTYPES["f32"].numpy)
    for k in (-1, -(2**63), 2**63 - 1, 2**60, 2**70):
        for _ in range(50):
            assert call(x, k) is MISS
    assert (sys.getrefcount(DTYPES["f64"].numpy), sys.getrefcount(DTYPES["f32"].numpy)) == before


def test_vjp():
    def f(a, p):
        return np.tanh(a * p["w"]), (np.sum(a), a)

    args = x, {"w": 3.0}
    for _ in range(3):
        value, pull = pb.vjp(f, *args)
        for seed in ((x, (1.0, x)), (x[::-1], (np.float64(2.0), x)), (2.0 * x, (1, x))):
            pulled = pull(seed)
    entries.enabled = False
    try:
        slow_value, slow_pull = pb.vjp(lambda a, p: f(a, p), *args)
        assert shown(value) == shown(slow_value) and shown(pulled) == shown(slow_pull(seed))
    finally:
        entries.enabled = True
    value[0][:] = 0.0  # what was given away is not what is kept
    assert shown(pull(seed)) == shown(pulled)


def random_form(rng, names):
    def term():
        form = f"{rng.randint(-3, 3)}*{rng.choice(names)}"
        if rng.random() < 0.3:
            form = f"({rng.choice(names)} + {rng.randint(-2, 5)}) // {rng.randint(1, 4)}"
        elif rng.random() < 0.3:
            form = f"({rng.choice(names)}) % ({rng.randint(1, 4)})"
        elif rng.random() < 0.3:
            form = f"{rng.choice(['min', 'max'])}({rng.choice(names)}, {rng.randint(-3, 9)})"
        elif rng.random() < 0.2:
            form = f"({rng.choice(names)}) * ({rng.choice(names)})"
        return form

    return f"{' + '.join(term() for _ in range(rng.randint(1, 3)))} - {rng.randint(-4, 9)} >= 0"


def test_random_guards():
    kernel = compile_source("def f(x, y, k):\n    return (k,)\n", "f")
    names = ["a0_0", "a1_0", "a1_1", "a2"]
    params = Param("f64", 1, False, (None,)), Param("f64", 2, False, (None, None)), Param("i64", None, True)
    kernel(x, np.ones((2, 3)), 1)
    for seed in range(25):
        rng = random.Random(seed)
        guards = " and ".join(random_form(rng, names) for _ in range(rng.randint(1, 3)))
        call = entry(kernel, (x, np.ones((2, 3)), 1), params, MISS, guards, "r0")
        for _ in range(40):
            a, b = np.ones(rng.randint(0, 6)), np.ones((rng.randint(0, 6), rng.randint(0, 6)))
            k = rng.choice([rng.randint(-9, 9), rng.randint(-(2**63), 2**63 - 1)])
            sizes = dict(zip(names, (*a.shape, *b.shape, k)))
            fits = eval(guards, {"__builtins__": {"min": min, "max": max}}, sizes)
            missed = call(a, b, k) is MISS
            assert missed or fits, guards
            assert not missed or not fits or abs(k) > 2**59, guards


def test_other_arithmetic_is_left_to_python():
    kernel = compile_source("def f(k):\n    return (k,)\n", "f")
    kernel(1)
    for guards in ("a0 ** 2 >= 0", "abs(a0) >= 0", "a0 >= 0 or a0 < 2", "a0 << 2 >= 0", "b >= 0", "a0 > 0.5"):
        assert entry(kernel, (1,), (Param("i64", None, True),), MISS, guards) is None


def pick(a, i):
    s = 0.0
    for k in range(len(a)):
        s += a[i[k]] * a[k]
    assert s < 100.0, "s is large"
    return s


def test_errors_of_the_users_function():
    i = np.array([4, 3, 2, 1, 0])
    fast, slow = (how(pb.grad(pick), x, i) for how in (made, in_python))
    for args in ((x, i + 1), (x * 1e3, i), (x, i), (x, i - 1)):
        for _ in range(3):
            assert outcome(fast, args) == outcome(slow, args)
    with pytest.raises(AssertionError, match="s is large"):
        fast(x * 1e3, i)
    assert fast._hot((x, i), {}) is not MISS


def test_writing_to_arguments_that_overlap():
    def f(a, b):
        a[0] = 2.0
        return np.sum(a * b)

    fast, slow = (how(pb.grad(f), x, x.copy()) for how in (made, in_python))
    for args in ((x, x), (x, x.copy()), (x, 2.0 * x)):
        assert outcome(fast, args) == outcome(slow, args)
    assert x[0] == 0.125


def test_containers():
    def f(p, q, *, r):
        return np.sum(p["w"] * p["b"][0]) * q[0] * r

    p, q, r = {"w": x, "b": [x, None], 3: ()}, (2.0,), {"r": 2.0}
    fast, slow = (how(pb.value_and_grad(f, (0, 1)), p, q, **r) for how in (made, in_python))
    assert type(fast._hot) is BUILTIN
    for args in (
        (p, q), (p, [2.0]), ({"b": [x, None], "w": x, 3: ()}, q), ({**p, "c": x}, q), ({"w": x}, q), (p, (2.0, 1.0)),
        ({**p, "b": (x, None)}, q), ({**p, "b": [x]}, q), ({**p, "b": [x, x]}, q), ({**p, "b": [x, 0]}, q),
        ({"".join("w"): x, "b": [x, None], 3: ()}, q), ({"w": x, "b": [x, None], 4: ()}, q), (None, q), (p, None),
        (p, 2.0), (x, q), (namedtuple("P", "w b")(x, [x, None]), q), (OrderedDict(p), q), (p,), (p, q, q),
    ):  # fmt: skip
        for keywords in (r, {}, {"s": 2.0}, {"r": 2}):
            a, b = (t._hot(args, keywords) for t in (fast, slow))
            assert (a is MISS) == (b is MISS), (args, keywords)
            assert a is MISS or shown(a) == shown(b)
    assert fast._hot((p, q), r) is not MISS


def test_results_in_containers():
    def f(p):
        a, b = p["ab"]
        return np.sum(a) * b, ({"t": (a * b, {"b": b}, [a + 1.0]), "a": a * 3.0}, [np.sum(a)], p["ab"][1])

    p = {"ab": (x, 2.0), "c": [{"d": x}]}
    fast, slow = (how(pb.value_and_grad(f, has_aux=True), p) for how in (made, in_python))
    assert type(fast._hot) is BUILTIN
    assert shown(fast(p)) == shown(slow(p))
    counted = [x, p, p["ab"], p["c"], None, DTYPES["f64"].numpy, "ab", MISS]
    gc.collect()
    before = [sys.getrefcount(o) for o in counted]
    for _ in range(1000):
        fast._hot((p,), {})
        fast._hot(({"ab": (x, 2.0), "c": [{"d": 1.0}]},), {})
        fast._hot(({"ab": (x, 2.0), "c": [{"e": x}]},), {})
    after = [sys.getrefcount(o) for o in counted]
    assert all(abs(a - b) < 50 for a, b in zip(before, after))
    value, (first, second) = fast._hot((p,), {})[1], fast._hot((p,), {})[0]
    made_here = [first, second, value["ab"], value["c"], second[0]["t"], second[0]["t"][2]]
    gc.collect()
    assert all(sys.getrefcount(o) <= 4 for o in made_here)


def test_nothing_leaks():
    def f(a, b, c):
        return np.sum(a * a) * b

    g = made(pb.value_and_grad(f, (0, 1)), x, 2.0, x[:2])
    counted = [x, DTYPES["f64"].numpy, MISS, np.float64, np.ndarray, DTYPES["f32"].numpy]
    call, args, kwargs = g._hot, (x, 2.0, x[:2]), {}
    wrong = [((x, 2, x), kwargs), ((x.astype("f4"), 2.0, x), kwargs), ((x,), kwargs), ((x, 2.0, None), kwargs)]

    def run(count):
        for _ in range(count):
            call(args, kwargs)
            for other in wrong:
                call(*other)

    run(100)
    gc.collect()
    before = [sys.getrefcount(o) for o in counted]
    run(200_000)
    assert [sys.getrefcount(o) for o in counted] == before
    tracemalloc.start()
    try:
        run(100)
        start = tracemalloc.get_traced_memory()[0]
        run(1000)
        assert tracemalloc.get_traced_memory()[0] - start < 2000
    finally:
        tracemalloc.stop()


FAILS = """import numpy as np

def f(x):
    y = np.empty(1000)
    if x[0] > 0.0:
        raise ValueError("x")
    return (y,)
"""


def test_errors_of_kernels_leak_nothing():
    kernel = compile_source(FAILS, "f", outside=True)
    kernel(-x)
    call = entry(kernel, (x,), (Param("f64", 1, False, ("n",)),), MISS)
    tracemalloc.start()
    try:
        for _ in range(50):
            assert call(x) is MISS
        start = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            assert call(x) is MISS
        assert tracemalloc.get_traced_memory()[0] - start < 2000
    finally:
        tracemalloc.stop()


def test_the_code_goes_with_its_function():
    kernel = compile_source("def f(k):\n    return (k,)\n", "f")
    kernel(1)
    call = entry(kernel, (1,), (Param("i64", None, True),), MISS)
    owner = call.__self__
    assert call(5) == (5,)
    held = sys.getrefcount(owner)
    del call
    gc.collect()
    assert sys.getrefcount(owner) == held - 1


def slow_sum(a, n):
    s = 0.0
    for _ in range(n):
        for i in range(len(a)):
            s = np.sin(s + a[i])
    return s


def longest_wait(f, trips):
    """The share of a call in another thread that this thread had to wait at a stretch."""
    start = last = time.perf_counter()
    thread = threading.Thread(target=f, args=(x, trips))
    thread.start()
    waited = 0.0
    while thread.is_alive():
        now = time.perf_counter()
        waited, last = max(waited, now - last), now
    return waited / (time.perf_counter() - start)


def test_long_calls_let_other_threads_run(monkeypatch):
    f = made(pb.jit(slow_sum), x, 2)
    assert type(f._hot) is BUILTIN
    start = time.perf_counter()
    f(x, 10_000)
    trips = int(0.5 / (time.perf_counter() - start)) * 10_000
    assert min(longest_wait(f, max(trips, 10_000)) for _ in range(3)) < 0.5
    monkeypatch.setattr(entries, "operations", lambda *_: "0")  # so they would wait
    g = made(pb.jit(lambda a, n: slow_sum(a, n)), x, 2)
    assert type(g._hot) is BUILTIN and longest_wait(g, max(trips, 10_000)) > 0.5


def test_threads():
    g = pb.value_and_grad(scale, (0, 1))
    expected = shown(g(x, 2.0))
    wrong = []

    def work():
        for _ in range(2000):
            if shown(g(x, 2.0)) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and type(g._hot) is BUILTIN


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_after_a_fork():
    g = made(pb.grad(scale), x, 2.0)
    expected = shown(g(x, 2.0))
    child = os.fork()
    if not child:
        os._exit(0 if shown(g(x, 2.0)) == expected and g._hot((x, 2.0), {}) is not MISS else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_form_called_once_makes_none():
    g = pb.grad(lambda a: np.sum(a * 3.5))
    g(x)
    assert type(g._hot) is not BUILTIN
    g(x)
    assert type(g._hot) is BUILTIN


def test_python_alone_makes_none():
    with pb.options(jit=False):
        assert type(made(pb.grad(scale), x, 2.0)._hot) is not BUILTIN


def test_what_is_unknown_makes_none(monkeypatch):
    monkeypatch.setattr(abi, "FLAGS", 60)
    assert not abi._arrays_are_as_known()
    monkeypatch.setattr(abi, "NUMBER", 8)
    assert not abi._numbers_are_as_known()
    monkeypatch.setattr(abi, "facts", lambda: None)
    assert type(made(pb.grad(scale), x, 2.0)._hot) is not BUILTIN


def test_what_a_table_raises_comes_out_once():
    model = Model()
    gradient = pb.grad(model.loss)
    for _ in range(3):
        gradient(x)
    Table.fails_at = Table.reads + 1
    with pytest.raises(RuntimeError, match="no scale"):
        gradient(x)
    assert Table.reads == Table.fails_at + 1  # and once more where plain Python raises the error itself


def test_entries_in_cycles_are_collected(tmp_path):
    """The collector may clear what an entry needs before the entry itself."""
    script = tmp_path / "cycles.py"
    script.write_text(
        "import gc, sys\nimport numpy as np\nimport pullback as pb\n"
        "source = '''\nimport numpy as np\nimport pullback as pb\nK = 2.0\n\n"
        "def f(x):\n    return np.sum(x * x) * K\n\ng = pb.grad(f)\n'''\n"
        "for k in range(10):\n    file = f'{sys.argv[1]}/m{k}.py'\n    open(file, 'w').write(source)\n"
        "    names = {'__name__': f'm{k}'}\n    exec(compile(source, file, 'exec'), names)\n"
        "    for _ in range(3):\n        names['g'](np.arange(3.0))\n"
        "del names\ngc.collect()\nprint('done')\n"
    )
    environment = {**os.environ, "PYTHONMALLOC": "malloc", "MALLOC_PERTURB_": "255"}
    done = subprocess.run([sys.executable, script, tmp_path], env=environment, capture_output=True, text=True)
    assert done.stdout == "done\n" and done.returncode == 0, done.stderr


def test_every_integer_of_64_bits_is_an_int64():
    f = pb.jit(lambda n, x: n * x)
    for kind in (np.int64, np.longlong, np.int32, np.uint8):
        assert np.array_equal(f(np.arange(3, dtype=kind), 2.0), [0.0, 2.0, 4.0])
