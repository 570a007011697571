"""Writes docs/benchmarks.md and its picture from what `run.py` measured, and from notes.toml."""

from __future__ import annotations

import importlib
import statistics
import tomllib
from pathlib import Path
from typing import Any

import report
from peers import SINGLE
from report import LIMIT, OURS, Rows, libraries

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
SLOW = 1.2
"""A kernel this far above the limit, or behind a peer, gets a sentence that says why."""

INTRODUCTION = """\
# Benchmarks

Made by `python benchmarks/run.py --docs`; written by hand are only the reasons (`benchmarks/notes.toml`).

Each kernel is one plain NumPy function (`benchmarks/problems/`), which is all that pullback is given; the other
libraries get it as their users would write it (`benchmarks/peers/`). Losses are sums with random weights. Every
implementation runs in a process of its own, on one thread, in double precision, with its data where it wants it;
all take turns in every round, and the median of the rounds counts, in time of the processor, because other
programs ran on the machine too: ratios are more reliable than times. glibc's malloc keeps freed memory for all of
them. Before anything was timed all gradients agreed to 1e-8.

**limit** is the best adjoint we could write by hand in numba (`benchmarks/peers/limit/`): fused loops, vector
mathematics, gathers where they are faster than scatters, BLAS into arrays allocated before. Its forward sweep
does the user's arithmetic in the user's order, its reverse sweep may do anything; matrices are not tiled and
no algorithm is replaced.
"""

MERGED = """\
Some libraries and kernels were measured in an earlier run than others, on the same machine.
"""


def write(results: dict[str, Any]) -> None:
    """Both files, for what is in the JSON."""
    notes = tomllib.loads((HERE / "notes.toml").read_text())
    (DOCS / "benchmarks.md").write_text(page(results, notes))
    draw(results["kernels"], DOCS / "benchmarks.svg")


def page(results: dict[str, Any], notes: dict[str, str]) -> str:
    """The text, with the notes on the kernels that need one."""
    rows: Rows = results["kernels"]
    parts = [
        INTRODUCTION, machine(results["machine"]), MERGED if results.get("merged") else "",
        "## In short\n", short(rows),
        "![Time of a gradient relative to the limit](benchmarks.svg)\n",
        "## Time of a gradient\n", report.table(rows) + "\n", overhead(results.get("overhead")),
        notes.get("remarks", ""),
        "## Where it is not reached, and why\n", reasons(rows, notes),
        "## Single precision\n", single(rows),
        "## The first gradient\n", cold(rows), "## Memory\n", memory(rows), "## What is missing\n", missing(rows),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part)


def machine(found: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return (
        f"{found['processor']}, {found['cores']} cores, {found['system']}, Python {found['python']}; {versions}.\n"
    )


def short(rows: Rows) -> str:
    """Geometric means, and how often each is behind."""
    ours = [r for row in rows.values() if (r := report.ratio(row, OURS, LIMIT)) is not None]
    lines = [
        f"- The limit: pullback takes {statistics.geometric_mean(ours):.2f} times as long (geometric mean of "
        f"{len(ours)}); {sum(r <= SLOW for r in ours)} kernels are within {SLOW}, {sum(r > 2 for r in ours)} "
        f"above 2, the worst is at {max(ours):.1f}."
    ]
    for name in libraries(rows):
        theirs = [r for row in rows.values() if (r := report.ratio(row, name, OURS)) is not None]
        lines.append(
            f"- {name}: takes {statistics.geometric_mean(theirs):.1f} times as long as pullback (of {len(theirs)}); "
            f"faster on {sum(r < 1 for r in theirs)}."
        )
    return "\n".join(lines) + "\n"


def overhead(found: dict[str, float] | None) -> str:
    if not found:
        return ""
    call, bare = found["call"], found["bare"]
    taken = f"A call at n = 10 (chain tanh, three gradients) takes {report.duration(call)}"
    through = f"calling the generated function as numba compiled it takes {report.duration(bare)}"
    if call < bare:
        return (
            f"{taken}; {through}: pullback enters the machine code by a function of its own, the limit through numba's "
            "dispatcher, which is most of its time at n = 10.\n"
        )
    return f"{taken}; {through}: {report.duration(call - bare)} are the call's own.\n"


def reasons(rows: Rows, notes: dict[str, str]) -> str:
    """For each kernel above the limit or behind a peer what was found, and its note; once for its sizes."""
    found: dict[str, list[str]] = {}
    for title, row in rows.items():
        facts = []
        ratio = report.ratio(row, OURS, LIMIT)
        if ratio is not None and ratio > SLOW:
            facts.append(f"{ratio:.2f} of the limit")
        behind = [n for n in libraries(rows) if (report.ratio(row, n, OURS) or 1.0) < 1.0]
        facts += [f"{n} takes {report.ratio(row, n, OURS):.2f} of our time" for n in behind]
        if facts:
            reason = notes.get(title) or note(title, notes) or "not profiled."
            found.setdefault(reason, []).append(f"**{title}** ({'; '.join(facts)})")
    lines = [f"- {', '.join(kernels)}: {reason}" for reason, kernels in found.items()]
    return "\n".join(lines) + "\n" if lines else "It is reached everywhere.\n"


def note(title: str, notes: dict[str, str]) -> str | None:
    """The note of a kernel at all of its sizes: of the longest name that the title begins with."""
    fitting = [name for name in notes if title.startswith(name + " ")]
    return notes[max(fitting, key=len)] if fitting else None


def single(rows: Rows) -> str:
    """How much faster a gradient is with data of half the size."""
    lines = [
        "The same functions with arrays of float32: half the bytes where a gradient waits for memory, twice as many",
        "numbers in a vector where it computes.\n",
        f"| gradient | float32 | {OURS} / float32 |",
        "| :-- | --: | --: |",
    ]
    for title, row in rows.items():
        ratio = report.ratio(row, OURS, SINGLE)
        if ratio is not None:
            lines.append(f"| {title} | {report.duration(report.seconds(row, SINGLE))} | {ratio:.2f} |")
    mean = report.mean(rows, OURS, SINGLE)
    return "Not measured.\n" if mean is None else "\n".join([*lines, f"| geometric mean | | {mean:.2f} |"]) + "\n"


def cold(rows: Rows) -> str:
    """Seconds to the first gradient, and to that of the next process."""
    rows = {title: row for title, row in rows.items() if any("cold" in found for found in row.values())}
    if not rows:
        return "Not measured.\n"
    names = list({name: None for row in rows.values() for name, found in row.items() if "cold" in found})
    lines = [
        "Seconds of the processor from data to the first gradient in a new process (tracing, differentiation and",
        "compilation), then in the next process, which finds what the first left on disk. Not counted are",
        "start, imports, and what a library does once in every process (for numba its first compilation).\n",
        "| gradient | " + " | ".join(names) + " |",
        "| :-- |" + " --: |" * len(names),
    ]
    for title, row in rows.items():
        cells = [pair(row.get(name, {})) for name in names]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    medians = [pair({k: middle(rows, n, k) for k in ("cold", "cached")}) for n in names]
    return "\n".join([*lines, "| median | " + " | ".join(medians) + " |"]) + "\n"


def pair(found: dict[str, Any]) -> str:
    if found.get("cold") is None:
        return ""
    cached = found.get("cached")
    return f"{found['cold']:.2f}" + ("" if cached is None else f", {cached:.2f}")


def middle(rows: Rows, name: str, key: str) -> float | None:
    values = [row[name][key] for row in rows.values() if key in row.get(name, {})]
    return statistics.median(values) if values else None


def memory(rows: Rows, least: float = 1e6) -> str:
    """Of the kernels whose limit needs more than a megabyte."""
    rows = {t: row for t, row in rows.items() if row.get(LIMIT, {}).get("memory", 0) >= least}
    if not rows:
        return "Not measured.\n"
    names = [n for n in (OURS, LIMIT, *libraries(rows)) if any("memory" in row.get(n, {}) for row in rows.values())]
    lines = [
        "By how many megabytes one gradient raises the process's resident memory at its peak, its results included,",
        "for kernels where that is more than one for the limit.\n",
        "| gradient | " + " | ".join(names) + f" | {OURS} / {LIMIT} |",
        "| :-- |" + " --: |" * (len(names) + 1),
    ]
    for title, row in rows.items():
        cells = [report.text(megabytes(row.get(n, {})), ".1f") for n in names]
        ours, limit = megabytes(row.get(OURS, {})), megabytes(row[LIMIT])
        ratio = ours / limit if ours is not None and limit else None
        lines.append(f"| {title} | " + " | ".join([*cells, report.text(ratio, ".2f")]) + " |")
    return "\n".join(lines) + "\n"


def megabytes(found: dict[str, Any]) -> float | None:
    return found["memory"] / 1e6 if "memory" in found else None


def missing(rows: Rows) -> str:
    """Which library has no number for which kernel, by reason."""
    why: dict[tuple[str, str], list[str]] = {}
    for title, row in rows.items():
        for name, found in row.items():
            if name != SINGLE and "missing" in found and "median" not in found:
                why.setdefault((name, found["missing"]), []).append(title)
    lines = [f"- {name}, {reason}: {', '.join(titles)}." for (name, reason), titles in why.items()]
    return "\n".join(lines) + "\n" if lines else "Nothing.\n"


def draw(rows: Rows, path: Path) -> None:
    """Bars of our time and of the fastest peer's over the limit's, points for the other peers; log scale."""
    matplotlib = importlib.import_module("matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "pullback", "font.size": 8})
    pyplot = importlib.import_module("matplotlib.pyplot")
    rows = {title: row for title, row in rows.items() if report.ratio(row, OURS, LIMIT) is not None}
    titles, others = list(rows), libraries(rows)
    figure, axes = pyplot.subplots(figsize=(8, 1 + 0.24 * len(titles)), layout="constrained")
    where = range(len(titles))
    fastest = [min([r for n in others if (r := report.ratio(row, n, LIMIT))], default=0.0) for row in rows.values()]
    axes.barh([w - 0.2 for w in where], [report.ratio(r, OURS, LIMIT) - 0.1 for r in rows.values()], 0.4, 0.1,
              color="#1f4e79", label="pullback")  # fmt: skip
    axes.barh([w + 0.2 for w in where], [max(0.0, f - 0.1) for f in fastest], 0.4, 0.1, color="#c9c9c9",
              label="fastest other library")  # fmt: skip
    for name, marker in zip(others, "oxs^vD+*"):
        points = [(r, w) for w, row in zip(where, rows.values()) if (r := report.ratio(row, name, LIMIT))]
        axes.plot(*zip(*points), marker, markersize=3.5, linestyle="none", label=name)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(xscale="log", yticks=list(where), yticklabels=titles, xlabel="time of a gradient / limit")
    axes.set_xlim(0.1, None)
    axes.xaxis.set_minor_formatter("")
    axes.invert_yaxis()
    axes.grid(axis="x", linewidth=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.05), ncols=5, fontsize=7)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
