"""Transforms in other processes: pickled, forked, spawned, by joblib and concurrent.futures; one compile for all."""

import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest

import pullback as pb

x = np.linspace(0.1, 1.0, 5)


def plain(v):
    return np.sum(v * v)


def twice(v, w):
    return np.sum(v * v) * w


@pb.grad
def decorated(v):
    return np.sum(v**3)


@pb.value_and_grad
def with_value(v):
    return np.sum(v**3)


@pb.jit
def compiled(v):
    return v * 2.0


def replaced(v):
    return np.sum(v * 3.0)


first_of_two = pb.grad(replaced)
replaced = pb.jit(replaced)


class Model:
    def __init__(self, w):
        self.w = w

    @pb.value_and_grad
    def square(v):
        return np.sum(v * v)

    def loss(self, v):
        return np.sum(v) * self.w


@pytest.fixture
def uncompiled():
    with pb.options(jit=False):
        yield


def there_and_back(value, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(value, protocol))


def test_decorated_functions_are_found_by_name(uncompiled):
    for own in (decorated, with_value, compiled, replaced, Model.square):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert there_and_back(own, protocol) is own
        assert copy.deepcopy(own) is own


def test_transforms_of_importable_functions(uncompiled):
    for transform, args in (
        (pb.grad(plain), (x,)),
        (pb.value_and_grad(twice, argnums=(1, 0)), (x, 2.0)),
        (pb.value_and_grad(lambda_free_aux, has_aux=True), (x,)),
        (pb.grad(pb.grad(cube)), (2.0,)),
        (pb.jit(plain), (x,)),
        (first_of_two, (x,)),
        (pb.grad(pb.jit(plain)), (x,)),
        (pb.grad(Model(3.0).loss), (x,)),
        (pb.grad(compiled_sum), (x,)),
    ):
        transform(*args)  # what it has traced stays behind
        again = there_and_back(transform)
        assert again is not transform and type(again) is type(transform) and repr(again) == repr(transform)
        assert repr(again(*args)) == repr(transform(*args))


def lambda_free_aux(v):
    return np.sum(v * v), {"n": len(v)}


def cube(v):
    return v**3


@pb.jit
def compiled_sum(v):
    return np.sum(v)


@pytest.mark.peer
def test_lambdas_travel_with_cloudpickle_only(uncompiled):
    cloudpickle = pytest.importorskip("cloudpickle")
    scale = 3.0
    g = pb.value_and_grad(lambda v: np.sum(v) * scale)
    g(x)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(g)
    value, bar = pickle.loads(cloudpickle.dumps(g))(x)
    assert value == g(x)[0] and np.array_equal(bar, np.full(5, 3.0))


@pytest.mark.peer
def test_a_decorated_function_of_main_travels_by_value_with_cloudpickle(uncompiled, monkeypatch):
    cloudpickle = pytest.importorskip("cloudpickle")
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec("def f(v):\n    return (v * v).sum()\n", main.__dict__)
    g = main.f = pb.grad(main.f)
    assert there_and_back(g) is g
    content = cloudpickle.dumps(g)
    del main.f
    assert type(pickle.loads(content)) is type(g) and pickle.loads(content) is not g


# -- other processes -------------------------------------------------------------------------------------

MODULE = """
    import numpy as np
    import pullback as pb
    from pullback.runtime.compile import counts

    @pb.value_and_grad
    def loss(x, w):
        total = 0.0
        for i in range(len(x)):
            total += np.sin(x[i]) * w
        return total

    def work(transform, k):
        value, bar = transform(np.full(5, 1.0), float(k))
        return round(value / np.sin(1.0)), round(bar[0] / np.cos(1.0)), counts["compiled"]
"""


def run(folder, script, expected=0):
    (folder / "losses.py").write_text(textwrap.dedent(MODULE))
    path = folder / "script.py"
    path.write_text(textwrap.dedent(script))
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, str(path)], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == expected, done.stderr
    return json.loads(done.stdout.splitlines()[-1]) if expected == 0 else done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A cache in which the gradient is already."""
    path = tmp_path_factory.mktemp("processes")
    script = "import json, losses; print(json.dumps(losses.work(losses.loss, 2)))"
    assert run(path, script) == [10, 2, 1]
    assert run(path, script) == [10, 2, 0]
    return path


EXPECTED = [[5 * k, k, 0] for k in range(4)]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_multiprocessing(folder, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"there is no {method} on this platform")
    script = f"""
        import functools, json, multiprocessing as mp
        import pullback as pb
        from losses import loss, work

        if __name__ == "__main__":
            loss_here = pb.value_and_grad(loss.__wrapped__)
            work(loss_here, 1)
            with mp.get_context("{method}").Pool(2) as pool:
                print(json.dumps(pool.map(functools.partial(work, loss), range(4))))
    """
    assert run(folder, script) == EXPECTED


def test_concurrent_futures_and_main(folder):
    script = """
        import json, multiprocessing as mp
        from concurrent.futures import ProcessPoolExecutor
        import numpy as np
        import pullback as pb
        from losses import work

        @pb.value_and_grad
        def loss(x, w):
            return np.sum(np.sin(x)) * w

        if __name__ == "__main__":
            loss(np.ones(5), 1.0)
            with ProcessPoolExecutor(2, mp_context=mp.get_context("spawn")) as pool:
                futures = [pool.submit(work, loss, k) for k in range(4)]
                print(json.dumps([f.result(60) for f in futures]))
    """
    assert run(folder, script) == EXPECTED


@pytest.mark.peer
def test_joblib(folder):
    pytest.importorskip("joblib")
    script = """
        import json
        import joblib
        import numpy as np
        import pullback as pb
        from losses import loss, work

        @pb.value_and_grad
        def of_main(x, w):
            return np.sum(np.sin(x)) * w

        if __name__ == "__main__":
            of_main(np.ones(5), 1.0)
            calls = [joblib.delayed(work)(f, k) for f in (loss, of_main) for k in range(4)]
            print(json.dumps(joblib.Parallel(n_jobs=2)(calls)))
    """
    found = run(folder, script)
    assert found[:4] == EXPECTED
    # joblib may send a function of __main__ without its file: its text then has no lines of the user's.
    assert [result[:2] for result in found[4:]] == [result[:2] for result in EXPECTED]
    assert max(compiled for *_, compiled in found[4:]) <= 1


def test_processes_that_start_at_once_share_a_cache(tmp_path):
    (tmp_path / "losses.py").write_text(textwrap.dedent(MODULE))
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path)}
    script = "import json, losses; print(json.dumps(losses.work(losses.loss, 2)))"
    both = [
        subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and json.loads(out)[:2] == [10, 2]
    assert run(tmp_path, script) == [10, 2, 0]


def test_a_fork_while_another_thread_compiles(folder):
    script = """
        import json, os, signal, threading
        import numpy as np
        import pullback as pb
        from losses import loss, work

        if __name__ == "__main__":
            work(loss, 1)
            pb.options(cache=False)
            ready, other = threading.Event(), pb.grad(lambda x: np.sum(np.exp(x) * x))
            thread = threading.Thread(target=lambda: (ready.set(), other(np.ones(3))))
            thread.start()
            ready.wait()
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                pb.grad(lambda x: np.sum(x * x))(np.ones(3))
                other(np.ones(3))
                os._exit(work(loss, 3)[1])
            thread.join()
            print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
    """
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork on this platform")
    assert run(folder, script) == 3
