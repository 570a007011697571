"""Skeletons of functions in which a name is None on some paths, enumerated: traced against plain Python.

A name starts as None or as a number or array; branches and loops of 0, 1 and 2 trips, two levels of them, bind it to
None or to a value, ask for it, use it, return it, hand it to functions, keep it in an object; afterwards it is used in
each way that Python lets one use what may be None.

    python tests/optionals.py [--every 10] [--first 0]     compares all of them (or every tenth)
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator

from skeletons import Block, indented, run

STARTS = ["None", "x * 0.5", "np.array([x, 2.0])"]
"""What the name holds before: scalars and arrays are never mixed in one program."""
SCALARS = ["acc", "acc + 0.5 * n"]
ARRAYS = ["np.array([acc, x])", "np.array([acc, x]) * n"]


def binds(v: str, w: str) -> list[Block]:
    """Statements that bind `best`."""
    return [
        [f"best = {v}"],
        ["best = None"],
        ["if acc > 20.0:", f"    best = {v}"],
        ["if acc > 4.0:", "    best = None", "else:", f"    best = {w}"],
        ["if best is None:", f"    best = {v}"],
        ["if best is None or np.sum(best) < acc:", f"    best = {w}"],
        ["if best is not None and np.sum(best) > 3.0:", "    acc = acc + np.sum(best)", "else:", f"    best = {v}"],
        [f"best = {v} if x > 1.5 else None"],
        ["if best is None:", f"    best = {v}", "elif x > 2.5:", "    best = None"],
        ["def pick(y):", "    if y > 1.5:", f"        return {v}", "best = pick(x)"],
        ["def kept(b):", "    return b", f"best = kept(best) if n > 1 else {w}"],
        ["best, other = (None, 1.0) if acc > 4.0 else (acc, 2.0)", "acc = acc + other"],
        ["if not (best is not None):", f"    best = {w}", "acc = acc + np.sum(best)"],
    ]


JUMPS: list[Block] = [
    [], ["if acc > 20.0:", "    break"], ["if x > 1.5:", "    continue"], ["if best is not None:", "    break"],
]  # fmt: skip
USES: list[Block] = [
    ["acc = acc + np.sum(best)"],
    ["acc = acc + (1.0 if best is None else np.sum(best))"],
    ["if best is None:", "    return acc", "acc = acc * 2.0 + np.sum(best * 2.0)"],
    ["if best is not None:", "    acc = acc + np.sum(best * best)"],
    ["return best"],
    ["acc = acc + 1.0 + best"],
    ["if best is None:", "    raise ValueError(n)", "acc = np.sum(best)"],
    ["assert best is not None, n", "acc = np.sum(-best)"],
    ["def total(b):", "    return 3.0 if b is None else np.sum(b)", "acc = acc + total(best)"],
    ["match best:", "    case None:", "        acc = acc - 1.0", "    case _:", "        acc = acc + np.sum(best)"],
]
TRUTHS: list[Block] = [
    ["acc = acc + (best or 7.0)"],
    ["if best:", "    acc = acc * best", "else:", "    acc = acc - 1.0"],
    ["if not best or best > acc:", "    acc = 5.0 * acc"],
    ["if best == None:", "    acc = 2.0 * acc", "if best != 2.0:", "    acc = acc + 1.0"],
    ["acc = acc + (best is None) + 2.0 * (not best)"],
]
LOOPS = ["for i in range({trips}):", "for i in range(n):", "k{level} < n", "acc < 30.0 and k{level} < 3"]


def loop(head: str, trips: int, level: int, body: Block) -> Block:
    head = head.replace("{trips}", str(trips)).replace("{level}", str(level))
    line = "acc = acc * 3.0 + {k}"
    if head.startswith("for"):
        return [head, *indented([line, *body])]
    return [f"k{level} = 0", f"while {head}:", *indented([f"k{level} += 1", line, *body])]


def loops(body: Block, level: int, heads: list[str] = LOOPS) -> Iterator[Block]:
    for head in heads:
        for trips in (0, 1, 2) if "{trips}" in head else (2,):
            yield loop(head, trips, level, body)


def in_places(block: Block) -> Block:
    """The same with an attribute, a place in a list or in a dict instead of a name."""
    return [line.replace("best", "{best}") for line in block]


def skeletons() -> Iterator[Block]:
    """The bodies of all functions, with {k} for the numbers; `return acc` comes last."""
    for start, (v, w) in itertools.product(STARTS, (SCALARS, ARRAYS)):
        if start != "None" and (v is ARRAYS[0]) != start.startswith("np."):
            continue
        uses = USES if v is ARRAYS[0] else USES + TRUTHS
        forms = [b for b in binds(v, w) if v is not ARRAYS[0] or "other" not in b[0]]
        head = [f"best = {start}"]
        for form, use in itertools.product(forms, uses):
            yield [*head, *form, *use]
            for condition in ("x > 1.5", "n > 1"):
                yield [*head, f"if {condition}:", *indented(form), *use]
        for one, two, use in itertools.product(forms, forms, uses):
            yield [*head, "if x > 1.5:", *indented(one), "else:", *indented(two), *use]
        for form, jump, use in itertools.product(forms, JUMPS, uses):
            for block in loops([*form, *jump], 1):
                yield [*head, *block, *use]
        for one, two in itertools.product(forms, forms):
            for block in loops([*one, *two], 1, LOOPS[1:3]):
                yield [*head, *block, *USES[1]]
            for block in loops(["if acc > 9.0:", *indented(one), "else:", *indented(two)], 1, LOOPS[1:3]):
                yield [*head, *block, *USES[2]]
        for form, inside, use in itertools.product(forms, uses[:4], uses[:4]):
            for block in loops([*form, *inside], 1, LOOPS[1:3]):
                yield [*head, *block, *use]
        for form, jump in itertools.product(forms, JUMPS[1:]):
            for inner in loops([*form, *jump], 2, LOOPS[1:3]):
                for block in loops([*inner, *USES[1]], 1, LOOPS[1:3]):
                    yield [*head, *block, *USES[3]]
        for place, first in (("s.best", "s = SimpleNamespace(best={})"), ("s[1]", "s = [1.0, {}]"),
                             ("s['b']", "s = {{'a': 1.0, 'b': {}}}")):  # fmt: skip
            for form, use in itertools.product(forms[:9], uses[:4]):
                for block in ([*form], *loops(form, 1, LOOPS[1:3])):
                    yield [first.format(start), *(line.replace("best", place) for line in (*block, *use))]


if __name__ == "__main__":
    sys.exit(run(skeletons, __doc__))
