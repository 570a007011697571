"""What loops touch, found by running them: the iterations of every loop, and the elements that each access meets.

The dependence analysis proves things for all numbers. Here they are counted for some. Only the integers of a nest are
run, as Python text: nothing that decides where it reads and writes is computed from floats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from loop_nests import SIZE, VALUES

from pullback.ir import Program
from pullback.ir.evaluate import evaluate, operand_value
from pullback.ir.program import Atom, For, If, Let, Lit, Node, Phi

EVENTS = 3000
"""Nests are not run further than so many accesses."""
HELPERS = {"maximum": max, "minimum": min, "defaultdict": defaultdict, "reversed": reversed, "range": range}

Run = dict[str, dict[tuple[int, ...], set[int]]]
"""Per access, by the name of its line: per element, which iterations touch it, by the loop's index."""


class Stopped(Exception):
    """The run goes on too long, or leaves its arrays."""


class Touched:
    """What the loops of a nest touch at some sizes: per loop, by its index's name, each time that it runs."""

    def __init__(self, program: Program, sizes: tuple[tuple[int, int, int], ...] = VALUES):
        self.runs: dict[str, list[Run]] = defaultdict(list)
        text = "\n".join(["def nest(n, m, k, s, new, hit):", *_text(program.body, (), 1)])
        scope = dict(HELPERS)
        exec(text, scope)
        self.complete = 0  # at how many of the sizes it ran to its end
        for values in sizes:
            self._run(scope["nest"], values)

    def _run(self, nest, values: tuple[int, int, int]) -> None:
        found: dict[str, list[Run]] = defaultdict(list)
        events = 0

        def new(loop: str) -> Run:
            found[loop].append(defaultdict(lambda: defaultdict(set)))
            return found[loop][-1]

        def hit(element: tuple[int, ...]) -> None:
            nonlocal events
            events += 1
            if events > EVENTS or not all(0 <= place < SIZE for place in element):
                raise Stopped

        try:
            nest(*values, SIZE, new, hit)
        except Stopped:
            return
        self.complete += 1
        for loop, runs in found.items():
            self.runs[loop] += runs

    def pairs(self, loop: str, a: str, b: str) -> Iterator[tuple[int, int]]:
        """Two iterations of one run of the loop, perhaps the same, that touch one element through these accesses."""
        for run in self.runs[loop]:
            if a in run and b in run:
                first, second = run[a], run[b]
                for element in first.keys() & second.keys():
                    yield from ((p, q) for p in first[element] for q in second[element])


def _text(nodes: tuple[Node, ...], path: tuple[str, ...], depth: int) -> Iterator[str]:
    pad = "    " * depth
    yield pad + "pass"
    for node in nodes:
        match node:
            case Let(var, op, args) if op.name in ("getitem", "at_set", "at_add"):
                element = "".join(f"{_atom(item)}, " for item in args[1].items)  # type: ignore[union-attr, arg-type]
                yield f"{pad}hit(element := ({element}))"
                yield from (f"{pad}run_{loop}['{var.name}'][element].add({loop})" for loop in path)
            case Let(var, op, args) if op.name != "dim" and var.type.dtype in ("i64", "bool"):
                yield f"{pad}{var.name} = {op.text.format(*map(_atom, args))}"  # type: ignore[arg-type]
            case For(index, start, stop, reverse, phis, body):
                numbers = [p for p in phis if p.var.type.dtype == "i64"]
                trips = f"range({_atom(start)}, {_atom(stop)})"
                yield f"{pad}run_{index.name} = new('{index.name}')"
                yield from _assigned(numbers, "first", pad)
                yield f"{pad}for {index.name} in {f'reversed({trips})' if reverse else trips}:"
                yield from _text(body, (*path, index.name), depth + 1)
                yield from _assigned(numbers, "second", pad + "    ")
            case If(cond, then, orelse):
                yield f"{pad}if {_atom(cond)}:"
                yield from _text(then, path, depth + 1)
                yield f"{pad}else:"
                yield from _text(orelse, path, depth + 1)


def _assigned(phis: list[Phi], which: str, pad: str) -> Iterator[str]:
    if phis:
        names = ", ".join(p.var.name for p in phis)
        yield f"{pad}{names} = {', '.join(_atom(getattr(p, which)) for p in phis)}"


def _atom(atom: Atom) -> str:
    return f"({atom.text})" if isinstance(atom, Lit) else atom.name


# -- in the order of time ------------------------------------------------------------------------------


class Event(NamedTuple):
    """One access: when it happens, when the version of the array was made that it reads, and where it is."""

    time: int
    born: int
    element: tuple[int, ...]
    runs: dict[str, int]  # per loop around it, by the index's name: which run of the loop


def arguments(values: tuple[int, int, int], seed: int = 0) -> list[object]:
    rng, (n, m, k) = np.random.default_rng(seed), values
    return [*(rng.normal(size=shape) for shape in ((SIZE,), (SIZE,), (SIZE, SIZE), (n,))), m, k]


def timeline(program: Program, values: tuple[int, int, int]) -> dict[str, list[Event]]:
    """All accesses to elements, by the names of their lines; the program must keep to its arrays."""
    found: dict[str, list[Event]] = defaultdict(list)
    born: dict[str, int] = defaultdict(int)
    runs: dict[str, int] = {}
    started: dict[str, int] = defaultdict(int)
    time = 0

    def watch(node: Node, part: str, bound: dict, env: dict) -> None:
        nonlocal time
        time += 1
        if isinstance(node, For):
            name = node.index.name
            if part == "exit":
                runs.pop(name, None)
            elif name not in runs:
                started[name] += 1
                runs[name] = started[name]
        born.update(dict.fromkeys(bound, time))
        if isinstance(node, Let) and node.op.name in ("getitem", "at_set", "at_add"):
            element = tuple(map(int, operand_value(node.args[1], env).items))
            found[node.var.name].append(Event(time, born[node.args[0].name], element, dict(runs)))

    evaluate(program, *arguments(values), watch=watch)
    return found
