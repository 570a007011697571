"""Random programs that only rebind, swap, view and write arrays in loops and branches; `source(seed)` is one."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

HEADER = """\
import numpy as np


def bump(u, v):
    u[0] += v[1] * 0.2


def pick(u, v):
    if u[0] > v[0]:
        return u
    return v


"""

# Trip counts, none among them, and arrays whose values take other branches.
CASES = (
    (3, [0.5, 0.2, 0.9], [0.3, 0.7, 0.1]),
    (0, [0.5, 0.2, 0.9], [0.3, 0.7, 0.1]),
    (1, [-0.5, 1.2, 0.9], [0.9, 0.7, -0.1]),
    (2, [0.1, 1.2, 0.4, 0.3], [1.3, 0.2, 0.5, 0.6]),
)

STATEMENTS = (
    "{t} = {x}",
    "{t} = {x}",
    "{t} = {x} * 0.5 + {y}",
    "{t} = {x}[::-1]",
    "{t} = {x}[::-1][:]",
    "{t} = {x} if {c} else {y}",
    "{t} = pick({x}, {y})",
    "{x}, {y} = {y}, {x}",
    "{x}, {y}, {z} = {y}, {z}, {x}",
    "{x}[{i}] = 0.5 * {y}[{j}] + 0.3",
    "{x}[{i}] += 0.5 * {y}[{j}]",
    "{x}[1:] += 0.3 * {y}[:-1]",
    "{x}[1:][::-1][0] += 0.2",
    "{x} *= 0.9",
    "bump({x}, {y})",
    "l[0] = {x}",
    "{t} = l[{k}]",
    "l[0], l[1] = l[1], l[0]",
    "l[{k}][{i}] += 0.25",
)
LOOPS = ("for {v} in range(n):", "for {v} in range(1, n):", "for {v} in {x}:", "for {v} in range(len({x})):")


class Writer:
    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.loops = 0

    def fill(self, form: str, bound: set[str]) -> str:
        rng, names = self.random, sorted(bound)
        words = {name: rng.choice(names) for name in "xyz"}
        condition = f"{rng.choice(names)}[{rng.randrange(3)}] > {rng.choice(('0.4', '0.8', '-0.1'))}"
        return form.format(
            **words, t=rng.choice("abcde"), c=condition, i=rng.randrange(3), j=rng.randrange(3),
            k=rng.randrange(2), v=f"i{self.loops}",
        )  # fmt: skip

    def block(self, depth: int, most: int, bound: set[str], in_loop: bool) -> set[str]:
        """Statements at a depth; the names bound after them."""
        inner = set(bound)
        for _ in range(self.random.randint(1, most)):
            self.statement(depth, inner, in_loop)
        return inner

    def statement(self, depth: int, bound: set[str], in_loop: bool) -> None:
        rng, pad = self.random, "    " * depth
        kind = rng.random()
        if kind < 0.72 or depth > 3:
            line = self.fill(rng.choice(STATEMENTS), bound)
            self.lines.append(pad + line)
            target = line.partition(" = ")[0]
            if target in "abcde":
                bound.add(target)
        elif kind < 0.75 and in_loop:
            self.lines.append(pad + self.fill("if {c}: " + rng.choice(("break", "continue")), bound))
        elif kind < 0.86:
            self.loops += 1
            self.lines.append(pad + self.fill(rng.choice(LOOPS), bound))
            inner = self.block(depth + 1, 4, bound, True)
            bound |= inner if rng.random() < 0.5 else set()
        elif kind < 0.9:
            self.loops += 1
            k = f"k{self.loops}"
            self.lines += [f"{pad}{k} = 0", f"{pad}while {k} < n:", f"{pad}    {k} += 1"]
            inner = self.block(depth + 1, 3, bound, True)
            bound |= inner if rng.random() < 0.5 else set()
        else:
            self.lines.append(pad + self.fill("if {c}:", bound))
            one = self.block(depth + 1, 2, bound, in_loop)
            if rng.random() < 0.5:
                self.lines.append(f"{pad}else:")
                bound |= one & self.block(depth + 1, 2, bound, in_loop)


def source(seed: int) -> str:
    writer = Writer(seed)
    writer.lines += ["def f(a, b, n):", "    c = a * 0.3", "    l = [a, b * 1.0]"]
    bound = writer.block(1, 7, set("abc"), False)
    return HEADER + "\n".join([*writer.lines, f"    return {', '.join(sorted(bound))}, l[0], l[1]", ""])


def wrong(
    function: Callable[..., tuple[np.ndarray, ...]], traced: Callable[..., tuple[np.ndarray, ...]]
) -> str | None:
    """Where the values differ from plain Python's; a case that plain Python cannot run ends the comparison."""
    for n, *arrays in CASES:
        a, b = map(np.array, arrays)
        try:
            expected = function(a.copy(), b.copy(), n)
        except UnboundLocalError:
            return None
        for k, (one, two) in enumerate(zip(expected, traced(a.copy(), b.copy(), n))):
            if not np.allclose(one, two, equal_nan=True):
                return f"result {k} at n = {n}: {two}, in Python {one}"
    return None
