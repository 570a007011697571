"""What the benchmarks say: tables, machine and versions."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from peers import PEERS, SINGLE, Peer
from processes import INTERPRETERS

OURS, LIMIT = "pullback", "limit"

Rows = dict[str, dict[str, dict[str, Any]]]
"""By kernel and size, by implementation: what was measured."""


def seconds(row: dict[str, dict[str, Any]], name: str) -> float | None:
    return row.get(name, {}).get("median")


def ratio(row: dict[str, dict[str, Any]], name: str, base: str) -> float | None:
    """The time of one relative to another's; None where one of them has none."""
    a, b = seconds(row, name), seconds(row, base)
    return None if a is None or b is None else a / b


def names(rows: Rows) -> list[str]:
    """The implementations that have times, in the order of `PEERS`."""
    return [name for name in PEERS if any(seconds(row, name) is not None for row in rows.values())]


def libraries(rows: Rows) -> list[str]:
    """The other libraries that have times."""
    return [name for name in names(rows) if name not in (OURS, LIMIT, SINGLE)]


def mean(rows: Rows, name: str, base: str) -> float | None:
    """The geometric mean of the ratios, over the kernels that both have."""
    ratios = [r for row in rows.values() if (r := ratio(row, name, base)) is not None]
    return statistics.geometric_mean(ratios) if ratios else None


def table(rows: Rows) -> str:
    """Markdown: our time, our time over the limit, and every other one's time over ours.

    >>> print(table({"f 10": {"pullback": {"median": 2e-6}, "limit": {"median": 1e-6}, "JAX": {"median": 8e-6}}}))
    | gradient | pullback | pullback / limit | JAX / pullback |
    | :-- | --: | --: | --: |
    | f 10 | 2.00 µs | 2.00 | 4.0 |
    | geometric mean | | 2.00 | 4.0 |
    """
    others = libraries(rows)
    lines = ["| " + " | ".join(["gradient", OURS, f"{OURS} / {LIMIT}", *(f"{n} / {OURS}" for n in others)]) + " |"]
    lines.append("| :-- |" + " --: |" * (2 + len(others)))
    for title, row in rows.items():
        cells = [text(ratio(row, OURS, LIMIT), ".2f"), *(times(ratio(row, n, OURS)) for n in others)]
        lines.append("| " + " | ".join([title, duration(seconds(row, OURS)), *cells]) + " |")
    means = [text(mean(rows, OURS, LIMIT), ".2f"), *(text(mean(rows, n, OURS), ".1f") for n in others)]
    return "\n".join([*lines, "| geometric mean | | " + " | ".join(means) + " |"])


def line(title: str, row: dict[str, dict[str, Any]], took: float) -> str:
    """One kernel, for somebody who waits."""
    base = seconds(row, OURS)
    cells = []
    for name, found in row.items():
        if "median" not in found:
            cells.append(f"{name}: {found['missing'][:40]}")
        elif name == OURS or base is None:
            cells.append(f"{name} {duration(found['median'])}")
        else:
            cells.append(f"{name} {found['median'] / base:.2f}")
    return f"{title:28} " + "  ".join(cells) + f"  [{took:.1f} s]"


def times(value: float | None) -> str:
    return text(value, ".0f" if value is not None and value >= 100 else ".1f")


def text(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def duration(value: float | None) -> str:
    """Seconds with three digits and a unit.

    >>> duration(0.00123), duration(4.5e-6), duration(2.0), duration(None)
    ('1.23 ms', '4.50 µs', '2.00 s', '')
    """
    if value is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size or unit == "µs":
            number = value / size
            return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
    raise AssertionError


def machine(peers: list[Peer]) -> dict[str, Any]:
    """Processor, cores and versions."""
    versions = {}
    for package in ("numpy", "numba", "llvmlite", *(package for p in peers for package in p.packages[:1])):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    for peer in peers:
        if peer.name in INTERPRETERS:
            ask = f"import importlib.metadata as m; print(m.version({peer.packages[0]!r}))"
            command = [INTERPRETERS[peer.name], "-c", ask]
            versions[peer.packages[0]] = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.libc_ver()[0]} {platform.libc_ver()[1]}".strip(),
        "python": platform.python_version(),
        "versions": versions,
    }


def processor() -> str:
    try:
        for text in Path("/proc/cpuinfo").read_text().splitlines():
            if text.startswith("model name"):
                return text.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
