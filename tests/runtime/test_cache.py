"""The disk cache: entries, machine code, damage of every kind, several processes."""

import inspect
import json
import linecache
import os
import pickle
import stat
import subprocess
import sys
import time
import traceback
from pathlib import Path

import llvmlite.binding
import numpy as np
import pytest

from pullback.runtime import cache
from pullback.runtime.compile import compile_source, counts
from pullback.runtime.options import options

SOURCE = '''
def f(x, w):
    """Twice."""
    s = 0.0
    for i in range(x.shape[0]):
        s += x[i] * w
    return (s, 1.0 / w)
'''

# A process that looks a payload up (making it if it is not there), compiles it, runs it and reports.
WORKER = """
import json, sys
import numpy as np
from pullback.runtime import cache
from pullback.runtime.compile import compile_source, counts
cache.fingerprint = lambda: "fixed"  # these tests also pass while somebody edits the package
source = sys.argv[1]
key = cache.key("program text", "options")
payload = cache.lookup(key)
made = payload is None
if made:
    payload = {"source": source}
    cache.store(key, payload)
f = compile_source(payload["source"], "f")
result = f(np.arange(4.0), 2.0)
print(json.dumps({"made": made, "result": result, **counts}))
"""


def start(folder, source=SOURCE):
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(folder)}
    command = [sys.executable, "-c", WORKER, source]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert err == ""
    report = json.loads(out)
    assert report["result"] == [12.0, 0.5]
    return report


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A directory that one process has filled."""
    folder = tmp_path_factory.mktemp("filled")
    report = finish(start(folder))
    assert report["made"] and report["compiled"] == 1 and "loaded" not in report
    return folder


def copied(folder, to):
    for path in folder.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return sorted(p for p in to.iterdir() if p.is_file())


@pytest.mark.process
def test_a_second_process_neither_makes_nor_compiles(filled):
    report = finish(start(filled))
    assert not report["made"]
    assert report["loaded"] == 1 and "compiled" not in report


@pytest.mark.process
def test_the_directory_holds_one_file_of_each_kind(filled):
    assert sorted(p.suffix for p in filled.iterdir()) == [".entry", ".machine", ".py"]


NESTED = b"[" * 99  # well kept, but neither JSON nor a pickle
DAMAGE = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "one bit": lambda data: data[:-10] + bytes([data[-10] ^ 1]) + data[-9:],
    "longer": lambda data: data + b"x",
    "foreign": lambda data: b"\x00\xff\xfe not ours \n" * 100,
    "foreign with a good checksum": lambda data: (
        cache.MAGIC + cache._digest(NESTED).encode() + b"\n" + NESTED
    ),
}


@pytest.mark.process
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_ignored_and_rewritten(filled, tmp_path, damage):
    files = copied(filled, tmp_path)
    for path in files:
        path.write_bytes(DAMAGE[damage](path.read_bytes()))
    report = finish(start(tmp_path))
    assert report["made"] and report["compiled"] == 1
    for path in files:
        data = (filled / path.name).read_bytes()
        assert path.read_bytes() == data or (path.suffix == cache.MACHINE and cache.read(path))


USER = """
import json, sys
import numpy as np
import pullback as pb
from pullback.codegen import generate
from pullback.ir.adjoint.reverse_mode import adjoint, split_adjoint
from pullback.runtime import cache
from pullback.runtime.compile import counts

def loss(x, w):
    s = 0.0
    for i in range(len(x)):
        s += np.sin(w * x[i]) ** 2
    return s

done = []
cache.fingerprint = lambda: "fixed"
for function in (adjoint, split_adjoint, generate):
    def watched(*args, of=function, **kwargs):
        done.append(of.__name__)
        return of(*args, **kwargs)
    for name, module in list(sys.modules.items()):
        if name.startswith("pullback.") and vars(module).get(function.__name__) is function:
            setattr(module, function.__name__, watched)
x = np.linspace(0.0, 1.0, 9)
bars = pb.grad(loss, argnums=(0, 1))(x, 2.0)
y, pull = pb.vjp(loss, x, 2.0)
pull(1.0)
print(json.dumps({"done": done, "w_bar": bars[1], "y": y, **counts}))
"""


@pytest.mark.process
def test_with_grad_and_vjp_a_second_process_neither_differentiates_nor_compiles(tmp_path):
    (tmp_path / "user.py").write_text(USER)
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(tmp_path / "cache")}
    reports = []
    for _ in range(2):
        out = subprocess.run(
            [sys.executable, tmp_path / "user.py"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        reports.append(json.loads(out.stdout))
    first, second = reports
    assert first["done"] and first["compiled"] == 3
    assert second["done"] == [] and "compiled" not in second and second["loaded"] == 3
    assert first["w_bar"] == second["w_bar"] and first["y"] == second["y"]


@pytest.mark.process
def test_entries_of_other_keys_and_folders_in_the_way(filled, tmp_path):
    files = copied(filled, tmp_path)
    for path in files:
        path.unlink()
        path.mkdir()  # cannot be read or replaced
    report = finish(start(tmp_path))
    assert report["made"] and report["compiled"] == 1
    with options(cache_dir=tmp_path / "other"):
        cache.store("a", {"n": 1})
        (tmp_path / "other" / "a.entry").rename(tmp_path / "other" / "b.entry")
        assert cache.lookup("b") is None


@pytest.mark.process
def test_a_pickle_that_does_not_load_is_ignored(filled, tmp_path):
    for path in copied(filled, tmp_path):
        if path.suffix == cache.MACHINE:
            cache.write(path, pickle.dumps(("another key", ())))
    assert finish(start(tmp_path))["compiled"] == 1


@pytest.mark.process
def test_processes_may_write_at_once(tmp_path):
    processes = [start(tmp_path) for _ in range(4)]
    for process in processes:
        finish(process)
    assert not list(tmp_path.glob(".tmp-*"))
    assert finish(start(tmp_path))["loaded"] == 1


@pytest.mark.process
def test_a_reader_never_sees_a_part(tmp_path):
    writer = (
        "import sys; from pathlib import Path; from pullback.runtime import cache\n"
        "for k in range(300): cache.write(Path(sys.argv[1]), bytes([k % 256]) * 50_000)"
    )
    path = tmp_path / "x.entry"
    cache.write(path, b"first")
    process = subprocess.Popen([sys.executable, "-c", writer, str(path)])
    reads = 0
    while process.poll() is None:
        assert cache.read(path) is not None
        reads += 1
    assert process.returncode == 0 and reads


@pytest.mark.process
@pytest.mark.parametrize("home", ["file", "missing"])
def test_an_unwritable_home_falls_back_to_a_private_temporary_directory(tmp_path, home):
    blocked = tmp_path / "home"
    if home == "file":
        blocked.write_text("not a directory")
    else:
        blocked = Path("/proc/nothing/here")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "HOME": str(blocked), "TMPDIR": str(temporary)}
    environment.pop("XDG_CACHE_HOME", None)
    environment.pop("PULLBACK_CACHE_DIR", None)
    code = "from pullback.runtime.cache import *; store('k', {}); print(directory(), lookup('k'))"
    run = lambda: subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    folder, found = run()
    assert found == "{}" and Path(folder).parent == temporary
    assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
    assert run()[0] == folder  # the next process finds it again
    Path(folder).chmod(0o777)  # open to others: what lies there may be theirs
    assert run()[0] != folder


def test_a_chosen_directory_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    with options(cache_dir=tmp_path / "file" / "below"):
        cache.store("k", {"a": 1})
        assert cache.lookup("k") is None
        f = compile_source(SOURCE, "f", jit=False)
        assert f(np.arange(4.0), 2.0) == (12.0, 0.5)
        assert "s += x[i] * w" in inspect.getsource(f)


@pytest.mark.compiled
def test_without_cache_nothing_is_written(tmp_path):
    with options(cache_dir=tmp_path, cache=False):
        cache.store("k", {"a": 1})
        assert cache.lookup("k") is None
        before = counts["compiled"]
        assert compile_source(SOURCE, "f")(np.arange(4.0), 2.0) == (12.0, 0.5)
        assert counts["compiled"] == before + 1
    assert not list(tmp_path.iterdir())


def test_keys_depend_on_every_part():
    assert len({cache.key(), cache.key(""), cache.key("ab"), cache.key("a", "b"), cache.key("", "ab")}) == 5
    assert cache.key("\ud800")  # user names may hold anything


def test_payloads_come_back_as_they_were(tmp_path):
    payload = {"source": "def f():\n  pass  # é \u2028", "numbers": [1, 2.5, None, True], "nested": {"a": {}}}
    with options(cache_dir=tmp_path):
        cache.store("k", payload)
        assert cache.lookup("k") == payload
        assert cache.clear() == 1 and cache.lookup("k") is None


def test_clear_leaves_the_files_of_others(filled, tmp_path):
    copied(filled, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "script.py").write_text("mine")
    assert cache.clear(tmp_path) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["notes.txt", "script.py"]


def test_old_files_go_beyond_the_limit(tmp_path):
    for k in range(4):
        path = tmp_path / f"{k}.entry"
        path.write_bytes(b"x" * 1000)
        os.utime(path, (k, k))
    (tmp_path / "mine.txt").write_bytes(b"x" * 5000)
    left = tmp_path / ".tmp-dead"
    left.write_bytes(b"")
    os.utime(left, (0, 0))
    (tmp_path / ".tmp-busy").write_bytes(b"")
    cache._tidy(tmp_path, 2500)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".tmp-busy", "2.entry", "3.entry", "mine.txt"]


@pytest.mark.compiled
def test_compiled_and_plain_agree_and_are_kept(tmp_path):
    with options(cache_dir=tmp_path):
        x = np.arange(3.0)
        compiled, plain = compile_source(SOURCE, "f"), compile_source(SOURCE, "f", jit=False)
        assert compiled(x, 0.0) == plain(x, 0.0) == (0.0, np.inf)
        assert [type(v) for v in compiled(x, 2.0)] == [type(v) for v in plain(x, 2.0)] == [float, float]
        assert compile_source(SOURCE, "f") is compiled
        assert compile_source(SOURCE, "f", jit=False) is not compiled
        assert compiled.__doc__ == "Twice." == plain.__doc__


def test_tracebacks_and_inspect_show_the_generated_line(tmp_path):
    source = (
        "def f(x):\n    if len(x) < 2:\n        raise IndexError('too short')  # here\n    return (x[1],)\n"
    )
    with options(cache_dir=tmp_path):
        f = compile_source(source, "f", jit=False)
    try:
        f(np.zeros(1))
    except IndexError:
        text = traceback.format_exc()
    assert "raise IndexError('too short')  # here" in text
    path = Path(inspect.getfile(inspect.unwrap(f)))
    assert path.parent == tmp_path and path.read_text() == source
    assert inspect.getsource(inspect.unwrap(f)) == source


def test_a_changed_file_is_not_what_runs(tmp_path):
    source = "def f(x):\n    return (x + 1.0,)\n"
    path = tmp_path / "f.py"
    with options(cache_dir=tmp_path):
        f = compile_source(source, "f", jit=False)
        path = Path(inspect.getfile(inspect.unwrap(f)))
        path.write_text("raise SystemExit")
        linecache.clearcache()
        compile_source.__globals__["_functions"].clear()
        assert compile_source(source, "f", jit=False)(1.0) == (2.0,)
        assert path.read_text() == source


@pytest.mark.process
def test_importing_the_runtime_loads_neither_numba_nor_sympy():
    code = (
        "import sys, pullback; from pullback.runtime import cache, compile, options; cache.key()\n"
        "f = compile.compile_source('def f(x):\\n  return (x,)', 'f', jit=False)\n"
        "print([m for m in ('numba', 'sympy', 'scipy', 'llvmlite') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_changed_package_changes_the_keys(tmp_path, monkeypatch):
    before = cache.fingerprint()
    module = tmp_path / "extra.py"
    module.write_text("")
    runtime = sys.modules["pullback.runtime"]
    monkeypatch.setattr(runtime, "__path__", [*runtime.__path__, str(tmp_path)])
    runtime.__spec__.submodule_search_locations = runtime.__path__
    cache.fingerprint.cache_clear()
    try:
        during = cache.fingerprint()
        time.sleep(0.01)
        module.write_text("x = 1")
        cache.fingerprint.cache_clear()
        assert len({before, during, cache.fingerprint()}) == 3
    finally:
        monkeypatch.undo()
        runtime.__spec__.submodule_search_locations = runtime.__path__
        cache.fingerprint.cache_clear()


@pytest.mark.compiled
def test_llvm_has_its_own_options_again_after_our_compilations(tmp_path, monkeypatch):
    """LLVM's options are those of the process: the user's own functions must not be compiled with ours."""
    given, own = [], llvmlite.binding.set_option
    monkeypatch.setattr(llvmlite.binding, "set_option", lambda name, option: given.append(option) or own(name, option))
    function = compile_source("def f(x):\n    return (x + 1.5,)\n", "f", cache_dir=tmp_path)
    assert given == [] and function(1.0) == (2.5,)
    during = ["-hoist-runtime-checks=false", "-runtime-memory-check-threshold=32"]
    assert given == [*during, "-hoist-runtime-checks=true", "-runtime-memory-check-threshold=8"]
