"""A second process neither traces nor differentiates nor compiles: it finds everything on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = '''
import json, sys
import numpy as np
import pullback as pb
from pullback.calls import forms as call
from pullback.transforms import gradient, vjp as vector_jacobian
from pullback.runtime.compile import counts

differentiated = []
for module, name in ((gradient, "adjoint"), (vector_jacobian, "split_adjoint")):
    def counted(*args, _own=getattr(module, name), **kwargs):
        differentiated.append(_own.__name__)
        return _own(*args, **kwargs)
    setattr(module, name, counted)

def count_traces(*args, _own=call.trace, **kwargs):
    traced.append(1)
    return _own(*args, **kwargs)

traced = []
call.trace = count_traces

def f(x, w):
    total = 0.0
    for i in range(len(x)):
        if x[i] > 0.0:
            total += np.sin(x[i]) * w
    return total

x = np.linspace(-1.0, 1.0, 7)
g = pb.value_and_grad(f, argnums=1)
value, bar = g(x, 2.0)
y, pull = pb.vjp(lambda x: x * x, x)
print(json.dumps({"value": value, "bar": bar, "pulled": pull(np.ones(7))[0].tolist(),
                  "traced": len(traced), "stages": list(g.timings.seconds),
                  "differentiated": len(differentiated), "compiled": counts["compiled"], "loaded": counts["loaded"]}))
'''


def run(folder: Path) -> dict:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PULLBACK_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("second")
    first = run(path)
    assert first["stages"] == [
        "recall", "trace", "optimise", "differentiate", "generate", "import", "load", "compile", "run",
    ]  # fmt: skip
    assert first["traced"] == 2 and first["differentiated"] == 2 and first["compiled"] == 3 and first["loaded"] == 0
    (path / "first.json").write_text(json.dumps(first))
    return path


def same_numbers(a: dict, b: dict) -> bool:
    return all(a[k] == b[k] for k in ("value", "bar", "pulled"))


def test_second_process(folder):
    second = run(folder)
    assert second["stages"] == ["recall", "import", "load", "run"]
    assert second["traced"] == 0 and second["differentiated"] == 0 and second["compiled"] == 0 and second["loaded"] == 3
    assert same_numbers(second, json.loads((folder / "first.json").read_text()))


def test_corrupt_files_are_made_again(folder):
    for path in (folder / "cache").iterdir():
        if path.is_file():
            data = path.read_bytes()
            path.write_bytes(data[: len(data) // 2] + b"\0garbage")
    again = run(folder)
    assert same_numbers(again, json.loads((folder / "first.json").read_text()))
    assert run(folder)["compiled"] == 0
