"""Random programs whose names are rows and views of an array that is written; `source(seed)` is one.

`python tests/fuzz/fuzz_rows.py 3000` compares so many by value with plain Python, uncompiled: right or refused.
"""

from __future__ import annotations

import collections
import itertools
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import fuzz
import numpy as np

import pullback as pb

HEADER = """\
import numpy as np


def nudge(u):
    u[0] += 0.3


def step(u, v):
    return 0.5 * u + 0.2 * v


class Box:
    pass


"""

# Trip counts, none among them, and values that take other branches.
CASES = ((3, 0.4), (0, 0.4), (1, -0.6), (2, 1.3))

BINDS = (
    "{t} = S[{k}]",
    "{t} = S[{k}]",
    "{t} = S[{i}]",
    "{t} = S[{i} + 1]",
    "{t} = S[{k}][::-1]",
    "{t} = S[1:][{i}]",
    "{t} = S.T[:, {k}]",
    "{t} = {x}",
    "{t} = {x}[::-1]",
    "{t} = box.a",
    "{t} = l[{j}]",
)
STEPS = (
    "{t} = 0.5 * {x} + 0.3 * {y}",
    "{x} = 0.9 * {x} + 0.1",
    "{x} = step({x}, S[{i}])",
    "{x}, {y} = {y}, {x}",
    "{x}, {y} = {y}, 0.7 * {x}",
    "{x}, {y}, {z} = {y}, {z}, 0.4 * {x} + {z}",
    "{t} = {x} if {c} else {y}",
    "l[{j}] = {x}",
    "l[{j}] = 0.8 * {x}",
    "box.a = {x}",
    "box.a = {x} * 1.1",
    "s += np.sum({x} * w)",
    "s += np.sum({x} * S[{i}])",
    "s += box.a[0] * 0.7",
)
WRITES = (
    "S[{k}] = {x}",
    "S[{i} + 1] = {x}",
    "S[{i} + 1] = {x}",
    "S[{i} + 1] = 0.6 * {x} + 0.1",
    "S[{i}, 0] += 0.5",
    "S[{k}] *= 0.8",
    "S[:] = S[::-1].copy()",
    "S[{i} + 1:] += 0.1 * {x}",
    "R[{i}] += 0.2",
)
THROUGH = ("{x}[0] += 0.25", "{x} *= 0.9", "nudge({x})", "l[{j}][1] += 0.5", "box.a[0] -= 0.1")
OTHERS = ("S = 1.1 * S", "S = S.copy()", "R = S", "R = S[1:]", "{t} = {x}.copy()")
LOOPS = (
    "for {v} in range(n):",
    "for {v} in range(n):",
    "for {v} in range(2):",
    "for {v}, {w} in enumerate(S[:2]):",
)


class Writer:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.numbers = itertools.count()
        kinds = [(BINDS, 5), (STEPS, 6), (WRITES, 4)]
        kinds += [(THROUGH, 1)] if self.random.random() < 0.4 else []
        kinds += [(OTHERS, 1)] if self.random.random() < 0.4 else []
        self.forms = [form for forms, weight in kinds for form in self.random.choices(forms, k=weight)]

    def fill(self, form: str, bound: set[str], index: str) -> str:
        rng, names = self.random, sorted(bound)
        words = {name: rng.choice(names) for name in "xyz"}
        condition = f"{rng.choice(names)}[{rng.randrange(2)}] > {rng.choice(('0.4', '0.8', '-0.1'))}"
        number = next(self.numbers)
        return form.format(
            **words, t=rng.choice("abcd"), c=condition, k=rng.randrange(5), j=rng.randrange(2),
            i=index, v=f"i{number}", w=f"r{number}",
        )  # fmt: skip

    def block(self, depth: int, least: int, most: int, bound: set[str], index: str) -> set[str]:
        """Statements at a depth; the names bound after them."""
        inner = set(bound)
        for _ in range(self.random.randint(least, most)):
            self.statement(depth, inner, index)
        return inner

    def statement(self, depth: int, bound: set[str], index: str) -> None:
        rng, pad = self.random, "    " * depth
        kind = rng.random()
        if kind < 0.75 or depth > 3:
            line = self.fill(rng.choice(self.forms), bound, index)
            self.lines.append(pad + line)
            target = line.partition(" = ")[0]
            if target in "abcd":
                bound.add(target)
        elif kind < 0.79 and index != "0":
            self.lines.append(pad + self.fill("if {c}: " + rng.choice(("break", "continue")), bound, index))
        elif kind < 0.92:
            self.loop(depth, bound)
        else:
            self.lines.append(pad + self.fill("if {c}:", bound, index))
            one = self.block(depth + 1, 1, 2, bound, index)
            if rng.random() < 0.5:
                self.lines.append(f"{pad}else:")
                bound |= one & self.block(depth + 1, 1, 2, bound, index)

    def loop(self, depth: int, bound: set[str]) -> None:
        pad = "    " * depth
        if self.random.random() < 0.8:
            line = self.fill(self.random.choice(LOOPS), bound, "")
            index = line.split()[1].rstrip(",")
            self.lines.append(pad + line)
        else:
            index = f"k{next(self.numbers)}"
            self.lines += [f"{pad}{index} = -1", f"{pad}while {index} < n - 1:", f"{pad}    {index} += 1"]
        inner = self.block(depth + 1, 2, 4, bound, index)
        bound |= inner if self.random.random() < 0.3 else set()


def source(seed: int) -> str:
    writer = Writer(seed)
    rng = writer.random
    writer.lines += ["def f(x0, w, n):", "    S = np.zeros((6, 2))", "    S[0] = x0", "    S[2] = w"]
    writer.lines += ["    R = S[1:]", "    s = 0.0", "    box = Box()"]
    starts = ("S[0]", "S[2]", "S[1]", "w * 1.0", "a", "S[0][::-1]")
    writer.lines += [f"    {t} = {rng.choice(starts[:4] if t == 'a' else starts)}" for t in "abc"]
    writer.lines += [
        f"    box.a = {rng.choice('abc')}",
        f"    l = [{rng.choice('abc')}, {rng.choice('abc')} * 2.0]",
    ]
    bound = writer.block(1, 0, 2, set("abc"), "0")
    writer.loop(1, bound)
    bound = writer.block(1, 0, 2, bound, "0")
    shown = [name for name in (*sorted(bound), "box.a", "l[0]", "R") if rng.random() < 0.3]
    return HEADER + "\n".join([*writer.lines, f"    return {', '.join([*shown, 'S', 's'])}", ""])


def wrong(
    function: Callable[..., tuple[np.ndarray, ...]], traced: Callable[..., tuple[np.ndarray, ...]]
) -> str | None:
    """Where the values differ from plain Python's; a case that plain Python cannot run ends the comparison."""
    for n, start in CASES:
        x0, w = np.array([start, 0.7]), np.array([1.0, -0.3])
        try:
            expected = function(x0.copy(), w.copy(), n)
        except (UnboundLocalError, IndexError):
            return None
        for k, (one, two) in enumerate(zip(expected, traced(x0.copy(), w.copy(), n))):
            if not np.allclose(one, two, equal_nan=True):
                return f"result {k} at n = {n}: {two}, in Python {one}"
    return None


def outcome(seed: int, folder: Path) -> tuple[str, str]:
    """'right', 'refused' or 'failed', and why."""
    function = fuzz.load(source(seed), folder)
    try:
        with pb.options(jit=False, cache=False), np.errstate(all="ignore"):
            problem = wrong(function, pb.jit(function))
    except pb.PullbackError as error:
        return "refused", str(error)
    except Exception as error:
        return "failed", f"program {seed}: {error!r}\n{source(seed)}"
    return ("right", "") if problem is None else ("failed", f"program {seed}: {problem}\n{source(seed)}")


def main(first: int, count: int) -> None:
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            kind, why = outcome(seed, Path(folder))
            counts[kind if kind == "right" else f"{kind}: {why.splitlines()[0]}"] += 1
            if kind == "failed":
                print(why, flush=True)
    for what, number in counts.most_common(25):
        print(number, what)


if __name__ == "__main__":
    main(int(sys.argv[2]) if len(sys.argv) > 2 else 0, int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
