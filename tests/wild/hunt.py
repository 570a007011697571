"""Differentiate the functions of a checkout that no test here has seen, and compare with finite differences.

    python tests/wild/hunt.py CHECKOUT [--under FOLDER] [--limit N] [--compiled-every K] [--out results.json]

Every module below CHECKOUT is imported as it is, in a fork of its own that is ended when one function takes more
than 60 seconds (POSIX). Public functions, and methods of classes that can be made without arguments or with guessed
ones, are tried with guessed arguments (`guess.py`). Nothing of the checkout is stored. Run it only on code that you
would run anyway.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import os
import select
import signal
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from guess import KINDS, arguments, run_plain
from judge import judge

HANG = 60.0  # seconds of the processor for one function
IMPORT = 60.0  # and for a module
ASLEEP = 5  # times as long by the clock, on a machine that others use too
SKIPPED = ("test", "setup", "conf.py", "docs", "example", "benchmark", "plot", "_version", "cli", "gui")


def modules(root: Path, under: str) -> list[Path]:
    found = sorted((root / under).rglob("*.py"))
    return [
        p for p in found
        if p.name != "__main__.py" and not any(s in part.lower() for part in p.relative_to(root).parts for s in SKIPPED)
    ]  # fmt: skip


def load(root: Path, path: Path) -> Any:
    """The module of a file: by its dotted name where it is in a package, else by its place."""
    top = path.parent
    while (top / "__init__.py").exists() and top != root:
        top = top.parent
    sys.path[:0] = [str(top), str(path.parent)] if top == path.parent else [str(top)]
    dotted = path.relative_to(top).with_suffix("")
    parts = [p for p in dotted.parts if p != "__init__"]
    if len(parts) > 1:
        return importlib.import_module(".".join(parts))
    name = f"wild_{path.stem}_{zlib.crc32(str(path).encode())}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def functions(module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions written in the module, and methods of its classes' instances."""
    for name, value in list(vars(module).items()):
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        function = getattr(value, "py_func", value)
        if inspect.isfunction(function):
            yield name, value
        elif inspect.isclass(value) and not inspect.isabstract(value):
            try:
                instance = run_plain(value, ())
            except (Exception, SystemExit):
                instance = _instance(value)
            if instance is None:
                continue
            for method, _ in inspect.getmembers(value, inspect.isfunction):
                if not method.startswith("_") or method == "__call__":
                    with contextlib.suppress(Exception):
                        yield f"{name}.{method}", getattr(instance, method)


def _instance(cls: type) -> Any:
    try:
        needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty and p.kind < 2]
    except (TypeError, ValueError):
        return None
    rng = np.random.default_rng(0)
    for kind in ("number", "integer", "vector", "matrix"):
        try:
            return run_plain(cls, tuple(KINDS[kind](rng) for _ in needed))
        except (Exception, SystemExit):
            continue
    return None


def work(root: Path, path: Path, skip: int, compiled_every: int, out: IO[str]) -> None:
    """In a process of its own: one line of JSON before and after each function of a module."""
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = load(root, path)
        except BaseException as error:  # noqa: BLE001
            _say(out, {"event": "no import", "text": f"{type(error).__name__}: {error}"[:200]})
            return
    _say(out, {"event": "imported"})
    for k, (name, function) in enumerate(functions(module)):
        if k < skip:
            continue
        _say(out, {"event": "begin", "k": k, "name": name})
        seed = zlib.crc32(name.encode())
        args = arguments(function, seed)
        if args is None:
            _say(out, {"event": "no arguments", "k": k})
            continue
        _say(out, {"event": "judging", "k": k, "name": name})
        verdict = judge(name, function, args, jit=compiled_every > 0 and seed % compiled_every == 0)
        _say(out, {"event": "verdict", "k": k, **verdict.data()})
    _say(out, {"event": "end"})


def _say(out: IO[str], event: dict[str, Any]) -> None:
    out.write(json.dumps(event) + "\n")
    out.flush()


class Hunt:
    """Runs the processes, one module at a time, and keeps what they say."""

    def __init__(self, root: Path, compiled_every: int, hang: float = HANG):
        self.root, self.compiled_every, self.hang = root, compiled_every, hang
        self.counts: Counter[str] = Counter()
        self.results: list[dict[str, Any]] = []

    def module(self, path: Path, limit: int) -> None:
        skip = 0
        while skip >= 0 and self.judged() < limit:
            skip = self._once(path, skip, limit)

    def judged(self) -> int:
        return sum(self.counts[k] for k in ("right", "refused", "missing", "internal", "wrong", "rough", "hang"))

    def _once(self, path: Path, skip: int, limit: int) -> int:
        """Run the functions from number `skip` on; the next number if the process had to be ended, else -1."""
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            with open(os.devnull, "r+b") as nowhere, os.fdopen(write, "w") as out:
                for stream in (0, 1, 2):
                    os.dup2(nowhere.fileno(), stream)
                work(self.root, path, skip, self.compiled_every, out)
            os._exit(0)  # threads of theirs do not hold us
        os.close(write)
        last: dict[str, Any] = {"event": "start"}
        rest, allowed = b"", IMPORT
        began = time.monotonic(), 0.0
        try:
            while True:
                ready, _, _ = select.select([read], [], [], 0.2)
                text = os.read(read, 1 << 16) if ready else None
                if text == b"":
                    os.waitpid(child, 0)
                    break
                *whole, rest = (rest + (text or b"")).split(b"\n")
                for line in whole:
                    if not line.startswith(b"{"):  # theirs
                        continue
                    last = json.loads(line)
                    self._heard(path, last)
                    allowed = self.hang if last["event"] == "judging" else IMPORT + HANG
                    began = time.monotonic(), _used(child)
                if self.judged() >= limit or _too_long(child, began, allowed):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    if self.judged() >= limit:
                        return -1
                    if last["event"] == "judging":
                        self._ended(path, last, "hang", "")
                    return last["k"] + 1 if "k" in last else -1
        finally:
            os.close(read)
        if last["event"] in ("end", "no import", "start", "imported"):
            return -1
        if last["event"] == "judging":  # the process died under pullback
            self._ended(path, last, "internal", "the process died")
        return last["k"] + 1

    def _ended(self, path: Path, last: dict[str, Any], kind: str, text: str) -> None:
        self._heard(path, {**last, "event": "verdict", "kind": kind, "function": last["name"], "text": text})

    def _heard(self, path: Path, event: dict[str, Any]) -> None:
        if event["event"] != "verdict":
            if event["event"] in ("no import", "no arguments"):
                self.counts[event["event"]] += 1
            return
        self.counts[event["kind"]] += 1
        where = f"{path.relative_to(self.root)}:{event['function']}"
        self.results.append({**event, "where": where})
        if event["kind"] != "right":
            first = event["text"].split("\n")[0][:160]
            print(f"{event['kind']:9s} {where}({event.get('arguments', '')}): {first}", flush=True)


def table(name: str, counts: Counter[str]) -> str:
    """The counts of a checkout as a table, and how many are right of those that are smooth and need nothing missing.

    Not judged are functions for which no arguments were found (their plain run fails, gives nothing that is finite
    floats, or does not depend on a float), and modules that cannot be imported.
    """
    judged = ("right", "refused", "wrong", "internal", "hang", "missing", "rough")
    asked = sum(counts[k] for k in judged[:5])
    share = f"{100.0 * counts['right'] / asked:.0f} %" if asked else "-"
    head = ("checkout", "judged", *judged, "right of the first five", "no arguments", "no import")
    row = (name, sum(counts[k] for k in judged), *(counts[k] for k in judged), share, *(counts[k] for k in head[-2:]))
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (head, ["--"] * len(head), row))


def _used(pid: int) -> float:
    """Seconds that a process has had the processor, 0.0 where the system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        return sum(map(int, text.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return 0.0


def _too_long(pid: int, began: tuple[float, float], allowed: float) -> bool:
    passed = time.monotonic() - began[0]
    told = Path("/proc/self/stat").exists()
    return passed > allowed and (not told or passed > ASLEEP * allowed or _used(pid) - began[1] > allowed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--under", default="", help="only modules below this folder of the checkout")
    parser.add_argument("--limit", type=int, default=10_000, help="stop after so many functions")
    parser.add_argument("--compiled-every", type=int, default=10, help="compile about one in K (0: none)")
    parser.add_argument("--out", type=Path, help="write all verdicts here, as JSON")
    parser.add_argument("--only", default="", help="only files whose path has this")
    parser.add_argument("--hang", type=float, default=HANG, help="the seconds after which one function is ended")
    options = parser.parse_args()
    root = options.checkout.resolve()
    os.environ.update(MPLBACKEND="Agg", OMP_NUM_THREADS="1", PULLBACK_CHECK="1")
    hunt = Hunt(root, options.compiled_every, options.hang)
    for path in modules(root, options.under):
        if options.only in str(path):
            hunt.module(path, options.limit)
        if options.out:
            options.out.write_text(json.dumps({"counts": hunt.counts, "results": hunt.results}, indent=1))
    print(table(root.name, hunt.counts))


if __name__ == "__main__":
    main()
