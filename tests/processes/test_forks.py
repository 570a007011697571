"""A fork while other threads make programs: the child has nothing half done, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from pullback.runtime import locks, timings

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")

SLOW = "import time\ntime.sleep(0.5)\nFACTOR = 3.0\n"
IMPORTS = """
import os, signal, threading
import numpy as np
import pullback as pb

def f(x):
    import {module}
    return np.sum(x * {module}.FACTOR)

pb.options(jit=False, cache=False)
ready = threading.Event()
thread = threading.Thread(target=lambda: (ready.set(), pb.grad(f)(np.ones(2))))
thread.start()
ready.wait()
signal.alarm(60)
import time
time.sleep(0.1)
child = os.fork()
if child == 0:
    signal.alarm(20)
    os._exit(int(pb.grad(f)(np.ones(2))[0]))
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def forked(in_child=lambda: None):
    """Fork, and wait for the child: its exit code, 0 if all is well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            in_child()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def started():
    """Run a function in a thread; the test goes on when the function has called what it is given."""
    threads = []

    def start(work):
        ready = threading.Event()
        threads.append(threading.Thread(target=work, args=(ready.set,)))
        threads[-1].start()
        assert ready.wait(10)

    yield start
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_a_fork_while_another_thread_imports(tmp_path):
    (tmp_path / "slow_module.py").write_text(SLOW)
    script = textwrap.dedent(IMPORTS.format(module="slow_module"))
    (tmp_path / "script.py").write_text(script)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], env={**os.environ, "PYTHONPATH": path},
                          capture_output=True, text=True, timeout=100, check=False)  # fmt: skip
    assert done.stdout.strip() == "3", done.stdout + done.stderr


@pytest.mark.parametrize("stage", ("recall", "trace", "optimise", "import", "load", "compile"))
def test_a_fork_waits_for_stages(started, stage):
    ended = []

    def work(ready):
        with timings.stage(stage):
            ready()
            time.sleep(0.2)
            ended.append(stage)

    started(work)
    assert forked() == 0
    assert ended


def test_a_fork_does_not_wait_for_a_run(started):
    go_on = threading.Event()

    def work(ready):
        with timings.stage("run"):
            ready()
            go_on.wait(20)

    started(work)
    assert forked() == 0
    go_on.set()


def test_who_makes_a_program_may_fork():
    with timings.stage("trace"), timings.stage("import"):
        assert forked(lambda: timings.stage("compile").__enter__()) == 0
        assert locks._makers[threading.get_ident()] == 2
    assert not locks._makers


def test_a_maker_in_a_lock_of_another_library(started):
    """Whoever compiles holds numba's lock, and asks for parts of programs meanwhile: the fork must not stop it."""
    theirs = threading.RLock()
    locks.held_in_forks(theirs)
    try:
        def work(ready):
            with theirs:
                ready()
                time.sleep(0.1)
                with timings.stage("compile"):
                    time.sleep(0.1)

        started(work)
        assert forked(lambda: theirs.acquire(timeout=5) or os._exit(2)) == 0
        assert theirs.acquire(timeout=5)
        theirs.release()
    finally:
        locks._foreign.remove(theirs)


def test_two_makers_that_fork(started):
    codes = []

    def work(ready):
        with timings.stage("trace"):
            ready()
            time.sleep(0.1)
            codes.append(forked())

    started(work)
    started(work)
    with timings.stage("trace"):
        codes.append(forked())
    started(lambda ready: ready())
    deadline = time.monotonic() + 20
    while len(codes) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert codes == [0, 0, 0]


def test_the_child_knows_only_its_own_thread(started):
    with locks.making():
        pass

    def work(ready):
        ready()
        with locks.making():
            time.sleep(0.05)

    started(work)
    assert forked(lambda: os._exit(0 if not locks._makers and not locks._forking else 3)) == 0
