"""The hunt on a small checkout made here: each verdict can come out."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HUNT = Path(__file__).with_name("hunt.py")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="alarms and pipes of POSIX end functions that hang")

CODE = '''
"""Nothing but examples."""
import time
import numpy as np
from .other import shift


def smooth(x, k):
    return np.sum(np.sin(k * shift(x)))


def inverse(matrix):
    return np.linalg.inv(matrix) @ np.linalg.eigvals(matrix).real


def asks(x):
    return np.sum(x ** 2) if type(x).__module__ == "numpy" and hasattr(x, "ctypes") and x.ctypes.data else 0.0


def lost(x):
    return time.sleep(200.0) or 1.0


def only_text(name):
    return f"{name}!"


def steps(x):
    return np.floor(40.0 * x) + x


class Spring:
    def __init__(self, k):
        self.k = k

    def energy(self, x):
        return 0.5 * self.k * np.sum(x ** 2)
'''

SLOW = """
import time

seen = []


def often(x):
    seen.append(0)
    len(seen) > 3 and time.sleep(99)
    return x


def fine(x):
    return x * x
"""


def hunted(folder, *more):
    out = folder / "out.json"
    command = [sys.executable, HUNT, folder, "--compiled-every", "0", "--out", out, *more]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(out.read_text())


def test_every_function_gets_a_verdict(tmp_path):
    package = tmp_path / "bag"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("def shift(x):\n    return x + 1.0\n")
    (package / "code.py").write_text(CODE)
    (package / "broken.py").write_text("import there_is_no_such_module\n")
    found = hunted(tmp_path)
    kinds = {r["where"].split(":")[1]: r["kind"] for r in found["results"]}
    assert kinds["smooth"] == kinds["Spring.energy"] == kinds["shift"] == "right"
    assert kinds["inverse"] in ("missing", "right")
    assert kinds["asks"] in ("refused", "right")  # never an internal error
    assert "lost" not in kinds and "only_text" not in kinds  # no arguments were found for them
    assert found["counts"]["no import"] == 1 and found["counts"]["no arguments"] >= 2


def test_a_function_that_hangs_is_ended(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    found = hunted(tmp_path, "--hang", "0.4")
    kinds = {r["where"].split(":")[1]: r["kind"] for r in found["results"]}
    assert kinds["often"] in ("hang", "refused", "rough") and kinds["fine"] == "right"
