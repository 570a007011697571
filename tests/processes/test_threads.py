"""Eight threads that call, compile and switch options at once: right results, and each form compiled once."""

import threading

import numpy as np
import pytest

import pullback as pb
from pullback.runtime import compile as compiling
from pullback.runtime.options import current

THREADS = 8


def together(work, count=THREADS):
    """Run work(k) in threads that start at once; what they returned, or the first error."""
    barrier = threading.Barrier(count)
    results, errors = [None] * count, []

    def run(k):
        try:
            barrier.wait(30)
            results[k] = work(k)
        except BaseException as error:  # noqa: BLE001  (raised below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not any(thread.is_alive() for thread in threads), "a deadlock"
    if errors:
        raise errors[0]
    return results


@pytest.fixture(autouse=True)
def own_cache(tmp_path):
    with pb.options(cache_dir=tmp_path):
        yield tmp_path


def helper(v):
    return np.where(v > 0.5, v * v, np.sin(v))


def test_one_form_is_traced_and_compiled_once(own_cache):
    g = pb.value_and_grad(lambda v, k: np.sum(helper(v)) * k)
    x = np.linspace(0.0, 1.0, 9)
    before = compiling.counts["compiled"]

    def work(k):
        with pb.options(cache_dir=own_cache):
            return g(x, float(k))

    results = together(work)
    assert g._traceable.traces == 1 and compiling.counts["compiled"] == before + 1
    bar = np.where(x > 0.5, 2.0 * x, np.cos(x))
    for k, (value, found) in enumerate(results):
        np.testing.assert_allclose(found, bar * k)
        np.testing.assert_allclose(value, np.sum(helper(x)) * k)


def test_calls_of_many_forms_while_options_are_switched(own_cache):
    """Each thread calls all forms of one function, in its own order, compiled and not, and with vjp."""

    def f(v, how):
        return np.sum(v * v * v) if how == "cube" else np.sum(v * len(how))

    g, h = pb.grad(f), pb.jit(f)
    arrays = [np.arange(1.0, 4.0), np.arange(1.0, 3.0, dtype="f4"), np.ones((1, 2)), np.ones((2, 3))]
    cases = [(v, how) for v in arrays for how in ("cube", "a", "ab")]

    def work(k):
        wrong = 0
        for turn in range(6):
            for v, how in cases[k:] + cases[:k]:
                with pb.options(jit=k == 0 and turn == 0, bounds_check=(k + turn) % 3 > 0, cache_dir=own_cache):
                    expected = 3.0 * v * v if how == "cube" else np.full(v.shape, float(len(how)))
                    wrong += not np.allclose(g(v, how), expected) or g(v, how).dtype != v.dtype
                    if turn == 1:
                        wrong += not np.isclose(h(v, how), f(v, how))
                        value, pull = pb.vjp(f, v, how)
                        wrong += not np.allclose(pull(type(value)(2.0))[0], 2.0 * expected)
        return wrong

    assert together(work) == [0] * THREADS
    assert g._traceable.traces + g._traceable.recalled == len(cases)
    assert h._traceable.traces + h._traceable.recalled == len(cases)


def test_different_functions_at_once(own_cache):
    """Tracing has no state that two threads share."""

    def made(k):
        def f(v):
            total = 0.0
            for i in range(len(v)):
                total += helper(v[i : i + 1])[0] * k if i > 0 else 0.0
            while total > 100.0:
                total = total / 2.0
            return total

        return f

    x = np.linspace(0.0, 1.0, 7)
    bar = np.where(x > 0.5, 2.0 * x, np.cos(x))
    bar[0] = 0.0

    def work(k):
        with pb.options(jit=False, cache=False):
            return [pb.grad(made(float(k + j)))(x) for j in range(6)]

    for k, found in enumerate(together(work)):
        for j, each in enumerate(found):
            np.testing.assert_allclose(each, bar * (k + j))


def test_an_option_of_one_thread_is_not_seen_by_another():
    """Or a subscript out of range would not be refused, because another thread left out the checks."""
    stop = threading.Event()

    def work(k):
        if k == 0:
            while not stop.is_set():
                with pb.options(bounds_check=False):
                    pass
            return 0
        seen = sum(not current().bounds_check for _ in range(300_000))
        stop.set()
        return seen

    assert together(work, 2) == [0, 0]
