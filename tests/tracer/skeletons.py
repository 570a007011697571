"""All small skeletons of control flow, enumerated: what traced programs do against what plain Python does.

A skeleton is a function of `x` and `n` two blocks deep and up to three statements long, of loops with and without
`else`, branches, jumps, raises, asserts, nested functions and try. Each statement that runs multiplies `acc` and adds
a number of its own, so that the value tells which ones ran, and in which order. Conditions are known while tracing or
not, loops have 0, 1 or 2 trips.

    python tests/tracer/skeletons.py [--every 10] [--first 0]     compares all of them (or every tenth)
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import pullback as pb
from pullback.calls.forms import Traceable
from pullback.calls.plain_run import own_error
from pullback.ir.evaluate import evaluate

HEAD = """
from types import SimpleNamespace

import numpy as np


class Own(Exception):
    pass


YES, NO = True, False
"""
LINE = "acc = acc * 3.0 + {k}"
CONDITIONS = ["acc > 20.0", "x > 1.5", "n > 1", "YES", "NO"]
JUMPS = ["break", "continue", "return acc + {k}", "raise Own({k})"]
Block = list[str]


def indented(block: Block) -> Block:
    return ["    " + line for line in block]


def leaves(in_loop: bool, conditions: list[str]) -> list[Block]:
    """Statements without a block of their own, and ifs around one jump."""
    jumps = JUMPS if in_loop else JUMPS[2:]
    found: list[Block] = [[LINE], *([jump] for jump in jumps)]
    for condition in conditions:
        found.append([f"assert {condition}, {{k}}"])
        for jump in jumps:
            found.append([f"if {condition}:", f"    {jump}"])
            found.append([f"if {condition}:", f"    {LINE}", "else:", f"    {jump}"])
            found.append(
                [f"if {condition}:", f"    {jump}", f"elif {conditions[0]}:", f"    {LINE}", "else:", f"    {jump}"]
            )
        found.append([f"if {condition}:", "    bound = acc * 0.5", f"    {LINE}", "else:", "    bound = acc"])
    return found


LOOPS = [
    "for i in range({trips}):", "for i in range(n):", "for i in [1.0, 2.0][:{trips}]:", "k{level} < {trips}",
    "k{level} < n", "acc < 30.0 and k{level} < 4",
]  # fmt: skip


def loop(head: str, trips: int, level: int, body: Block, orelse: Block) -> Block:
    """A loop; those with a counter of their own are whiles."""
    head = head.replace("{trips}", str(trips)).replace("{level}", str(level))
    before = []
    if not head.startswith("for"):
        before, body, head = [f"k{level} = 0"], [f"k{level} += 1", *body], f"while {head}:"
    return [*before, head, *indented(body), *(["else:", *indented(orelse)] if orelse else [])]


def loops(body: Block, orelses: list[Block], level: int, heads: list[str] = LOOPS) -> Iterator[Block]:
    for head in heads:
        for trips in (0, 1, 2) if "{trips}" in head else (2,):
            for orelse in orelses:
                yield loop(head, trips, level, body, orelse)


ELSES: list[Block] = [[], [LINE], ["return acc + {k}"], ["if x > 1.5:", "    return acc + {k}"], ["raise Own({k})"]]


def skeletons() -> Iterator[Block]:
    """The bodies of all functions, with {k} for the numbers; `return acc` comes last."""
    inside, outside = leaves(True, CONDITIONS), leaves(False, CONDITIONS)
    few = leaves(True, ["x > 1.5", "NO"])
    # a loop with two statements, its else, and what follows
    for first in inside:
        for second in ([LINE], ["if acc > 20.0:", "    break"], ["if x > 1.5:", "    continue"]):
            yield from ([*block, LINE] for block in loops([*first, *second], ELSES, 1))
    # two loops in one another
    for first in few:
        for inner in loops([*first, LINE], [[], ["break"], ["if x > 1.5:", "    continue"]], 2, LOOPS[1:2] + LOOPS[4:]):
            yield from ([*block, LINE] for block in loops([LINE, *inner, LINE], [[], [LINE]], 1, LOOPS[:2] + LOOPS[4:]))
    # branches of two statements, and what follows
    for condition, first, second in itertools.product(CONDITIONS, outside, outside):
        yield [f"if {condition}:", *indented([LINE, *first]), "else:", *indented(second), LINE]
    # a branch in a branch, an elif, and a name that one arm binds
    for condition, first, second in itertools.product(CONDITIONS, outside, leaves(False, ["n > 1", "x > 1.5"])):
        yield [
            f"if {condition}:", *indented(first), "elif x > 2.5:", *indented(second), "else:", "    bound = acc", LINE,
            "if acc > 20.0:", "    acc = acc + bound",
        ]  # fmt: skip
    # three statements in a row
    for three in itertools.product(leaves(False, ["x > 1.5", "n > 1"]), repeat=3):
        yield [line for statement in three for line in statement]
    # try, whose exception is known while tracing or is not caught; jumps out of its blocks
    raising = [["{}[0]"], ["raise Own({k})"], [LINE], ["raise KeyError('{k}')"]]
    for first, wrong, handler in itertools.product(outside, raising, leaves(False, ["x > 1.5", "NO"])):
        for orelse in ([], ["else:", f"    {LINE}"]):
            attempt = [*first, "try:", *indented([LINE, *wrong]), "except LookupError:", *indented(handler), *orelse]
            yield [*attempt, "finally:", f"    {LINE}", LINE]
    for first, wrong in itertools.product(inside, raising):
        attempt = ["try:", *indented([*wrong, *first]), "except (Own, KeyError) as e:", "    acc += len(e.args)"]
        yield from ([*block, LINE] for block in loops([*attempt, LINE], ELSES[:4], 1, LOOPS[:3] + LOOPS[5:]))
    # nested functions
    for first, second in itertools.product(leaves(False, ["acc > 20.0", "n > 1"]), outside):
        yield ["def inner(acc):", *indented([*first, LINE, "return acc"]), "acc = inner(acc) + 1.0", *second]
    # a loop in a branch, a branch with a loop before it, and the target of a loop after it
    for condition, first in itertools.product(CONDITIONS, few):
        for block in loops([*first, LINE], ELSES[:4], 1):
            yield [f"if {condition}:", *indented(block), "else:", f"    {LINE}", LINE]
    for first in few:
        for block in loops([*first, LINE], [[], [LINE]], 1, LOOPS[:3]):
            yield [*block, "acc = acc + i"]


def text(name: str, body: Block) -> str:
    lines = [f"def {name}(x, n):", "    acc = x", *indented(body), "    return acc"]
    numbers = itertools.count(1)
    return "\n".join(line.replace("{k}", str(float(next(numbers)))) if "{k}" in line else line for line in lines)


def load(bodies: dict[int, Block], folder: str) -> list:
    """The functions, in one file."""
    name = f"skeletons_{min(bodies)}"
    path = Path(folder) / f"{name}.py"
    path.write_text(HEAD + "".join(f"\n\n{text(f's{k}', body)}\n" for k, body in bodies.items()))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return [getattr(module, f"s{k}") for k in bodies]


INPUTS = [(x, n) for n in (2, 0, 1) for x in (1.0, 2.0, 3.0)]


def number(value) -> float | None:
    return None if value is None else float(np.sum(value))


def outcome(function, *args) -> tuple:
    try:
        return ("value", number(function(*args)))
    except Exception as error:
        return (type(error).__name__, str(error))


def compare(function, inputs=INPUTS, traceable=None) -> list[str]:
    """What is wrong with the traced form of a function: one line for each input."""
    wrong = []
    traceable = traceable or Traceable(function)
    for args in inputs:
        expected = outcome(function, *args)
        try:
            form, params, _, _ = traceable.find(args, {})
            try:
                results = evaluate(form.program, *params)
                found = ("value", number(results[0] if results else None))
            except Exception as error:
                raised = own_error(function, args, {}, error)
                found = type(raised).__name__, str(raised)
                if isinstance(raised, pb.PullbackError):
                    found = "refused", found[1]
                if raised is error:  # plain Python does not raise
                    found = "false " + found[0], found[1]
        except pb.PullbackError as error:
            found = ("refused", f"{type(error).__name__}: {error.bare_message}")
        except Exception as error:
            found = type(error).__name__, str(error)
        if found != expected:
            wrong.append(f"{args}: {found} for {expected}")
    return wrong


def run(skeletons: Callable[[], Iterator[Block]], description: str | None) -> int:
    """Compare all that are asked for on the command line."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", type=int, default=20)
    options = parser.parse_args()
    chosen = list(itertools.islice(enumerate(skeletons()), options.first, None, options.every))
    start, wrong, refused, shown = time.perf_counter(), 0, Counter(), 0
    with tempfile.TemporaryDirectory() as folder, pb.options(jit=False, cache=False):
        for at in range(0, len(chosen), 500):
            bodies = dict(chosen[at : at + 500])
            for (k, body), function in zip(bodies.items(), load(bodies, folder)):
                found = compare(function)
                if not found:
                    continue
                if all("('refused'" in line for line in found):
                    refused[found[0].partition(": (")[2][:100]] += 1
                    continue
                wrong += 1
                if shown < options.show:
                    shown += 1
                    print(f"-- {k}", text("f", body), *found[:3], sep="\n", flush=True)
    seconds = time.perf_counter() - start
    print(f"{len(chosen)} skeletons in {seconds:.0f} s: {wrong} wrong, {sum(refused.values())} refused")
    for reason, count in refused.most_common(10):
        print(f"  {count} {reason}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run(skeletons, __doc__))
