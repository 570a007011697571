"""Programs that store in what lives on after the call: every target x value x place, as source text.

`python tests/tracer/effects.py` runs all of them with every transform against plain Python; the tests run a sample.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import types
from collections import deque
from pathlib import Path

import numpy as np

import pullback as pb

HEAD = """
import numpy as np
from collections import OrderedDict, defaultdict, deque
from dataclasses import dataclass

count = 0
total = 0.0
kept = None
names = ["a", "b"]


class Child:
    def __init__(self):
        self.a = 0.0


class Slots:
    __slots__ = ("a", "n")

    def __init__(self):
        self.a, self.n = None, 0


@dataclass
class Data:
    a: object = None
    n: int = 0


class Guarded:
    def __init__(self):
        self.a = None

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)


class World:
    shared = 0

    def __init__(self):
        self.n, self.s, self.a, self._p = 0, 0.0, None, None
        self.child, self.slots, self.data, self.guarded = Child(), Slots(), Data(), Guarded()
        self.items, self.log, self.table, self.seen = [1.0, 2.0], [], {"k": 1.0}, {"x"}
        self.queue, self.counts, self.children = deque(maxlen=3), defaultdict(int), [Child(), Child()]
        self.pair = (Child(), [0.0])

    @property
    def p(self):
        return self._p

    @p.setter
    def p(self, value):
        self._p = value

    def put(self, value):
        self.a = value

    def loss(self, x, t):
        y = np.sum(x * x)
        r = y
"""

TARGETS = {
    "attribute": "self.a = {v}",
    "a tuple of targets": "self.a, self.n = {v}, 3",
    "a chain of targets": "self.a = self.child.a = {v}",
    "setattr": "setattr(self, 'a', {v})",
    "an attribute of an attribute": "self.child.a = {v}",
    "an object in a list": "self.children[1].a = {v}",
    "an object in a tuple": "self.pair[0].a = {v}",
    "a list in a tuple": "self.pair[1][0] = {v}",
    "slots": "self.slots.a = {v}",
    "dataclass": "self.data.a = {v}",
    "__setattr__": "self.guarded.a = {v}",
    "property": "self.p = {v}",
    "a method": "self.put({v})",
    "class attribute": "World.shared = {v}",
    "type(self)": "type(self).shared = {v}",
    "global": "kept = {v}",
    "item of a list": "self.items[0] = {v}",
    "item of a dict": "self.table['k'] = {v}",
    "a new key": "self.table['new'] = {v}",
    "update": "self.table.update(k={v})",
    "setdefault": "self.table.setdefault('d', {v})",
    "append": "self.log.append({v})",
    "extend": "self.log.extend([{v}, 1.0])",
    "+= of a list": "self.log += [{v}]",
    "append to a deque": "self.queue.append({v})",
    "insert": "self.items.insert(0, {v})",
    "delete and set": "del self.table['k']; self.table['k'] = {v}",
    "slice": "self.items[:] = [{v}]",
}
"""Statements that store a value of any kind."""
NUMBERS = {
    "count": "self.n += {v}",
    "a sum": "self.s += {v}",
    "global count": "count += {v}",
    "global sum": "total = total + {v}",
    "class count": "World.shared += {v}",
    "count in slots": "self.slots.n += {v}",
    "count in a dataclass": "self.data.n += {v}",
    "a dict of counts": "self.counts['f'] += {v}",
    "an item of a list, updated": "self.items[1] += {v}",
    "an attribute read by a property": "self._p = self.n + {v}; self.s = self.p * 2.0",
}
"""Statements that store a number."""
FIXED = {
    "pop": "self.items.pop() if len(self.items) > 1 else None",
    "add to a set": "self.seen.add('y')",
    "discard": "self.seen.discard('x')",
    "clear": "self.items.clear()",
    "delete an attribute": "self.m = 1; del self.m",
    "a swap": "self.child, self.children[0] = self.children[0], self.child",
    "another object": "self.a = self.child",
    "the same list": "self.a = self.items",
}
"""Statements that need no value."""
VALUES = {
    "an int": "1", "a float": "y", "an array": "x * 2.0", "an argument": "x", "a string": "'s'", "None": "None",
    "a bool": "True", "a truth value": "y > 1.0", "a tuple": "(y, 1)", "a list": "[y, x * 1.0]", "a dict": "{'a': y}",
    "an integer": "x.shape[0]", "an object": "self.child",
}  # fmt: skip
NUMERIC = ("an int", "a float", "an integer")
PLACES = {
    "top": "{s}",
    "an arm": "if y > t:\n    {s}",
    "an else": "if y > t:\n    r = r * 2.0\nelse:\n    {s}",
    "both arms": "if y > t:\n    {s}\nelse:\n    r = r + 1.0\n    {s}",
    "an arm of an arm": "if y > t:\n    if t > -1.0:\n        {s}",
    "before and in an arm": "{s}\nif y > t:\n    {s}",
    "a loop of three": "for i in range(3):\n    {s}",
    "a loop over an array": "for v in x:\n    {s}",
    "a while": "k = 0\nwhile k < 2 and r > -1.0:\n    {s}\n    k = k + 1",
    "a loop with an arm": "for v in x:\n    if v > t:\n        {s}",
    "a nested function": "def inner():\n    {g}{s}\ninner()",
    "a lambda's helper": "(lambda q: q)(y)\n{s}",
    "an early return": "if y > t:\n    {s}\n    return r * 2.0\n{s}",
}
TRANSFORMS = {
    "jit": lambda f: pb.jit(f),
    "grad": lambda f: pb.grad(f),
    "value_and_grad": lambda f: pb.value_and_grad(f),
    "vjp": lambda f: lambda *a: pb.vjp(f, *a)[1](1.0),
    "jvp": lambda f: lambda x, t: pb.jvp(f, (x, t), (np.ones_like(x), 0.0)),
    "linearize": lambda f: lambda x, t: pb.linearize(f, x, t),
    "jacfwd": lambda f: pb.jacfwd(f),
    "jacrev": lambda f: pb.jacrev(f),
    "value_and_jacobian": lambda f: pb.value_and_jacobian(f),
    "hessian": lambda f: pb.hessian(f),
    "hessian_diag": lambda f: pb.hessian_diag(f),
    "vhp": lambda f: lambda x, t: pb.vhp(f)(x, np.ones_like(x), t),
    "hvp": lambda f: lambda x, t: pb.hvp(f)(x, np.ones_like(x), t),
    "grad in jit": lambda f: pb.jit(lambda x, t: pb.grad(f)(x, t)),
    "vjp in jit": lambda f: pb.jit(lambda x, t: pb.vjp(lambda z: f(z, t), x)[1](1.0)[0]),
    "grad of grad": lambda f: pb.grad(lambda x, t: np.sum(pb.grad(f)(x, t) ** 2)),
    "jvp of a sum of grad": lambda f: lambda x, t: pb.jvp(lambda z: pb.value_and_grad(f)(z, t)[0], (x,), (x,)),
}
CALLS = [(np.array([1.0, 2.0, -1.0]), 7.0), (np.array([0.5, 2.0]), 0.0), (np.array([3.0, 1.0, 1.0]), 20.0),
         (np.array([0.1, 0.2, 0.3]), -2.0)]  # fmt: skip


def programs():
    """(name, source) of every program."""
    both = itertools.product(TARGETS.items(), VALUES.items())
    statements = [(f"{t} = {v}", text.format(v=value)) for (t, text), (v, value) in both]
    both = itertools.product(NUMBERS.items(), ((v, VALUES[v]) for v in NUMERIC))
    statements += [(f"{t} by {v}", text.format(v=value)) for (t, text), (v, value) in both]
    statements += list(FIXED.items())
    for (name, statement), (place, around) in itertools.product(statements, PLACES.items()):
        declared = [n for n in ("count", "total", "kept") if f"{n} = " in statement or f"{n} += " in statement]
        declared = f"global {declared[0]}; " if declared else ""
        text = around.format(s=statement, g=declared)
        if declared and place != "a nested function":
            text = f"{declared}\n{text}"
        body = "\n".join(" " * 8 + line for line in text.splitlines())
        yield f"{name} in {place}", f"{HEAD}{body}\n        return r\n"


def module(name: str, source: str, folder: Path) -> types.ModuleType:
    file = folder / f"{name}.py"
    if not file.exists():
        file.write_text(source)
    made = types.ModuleType(name)
    sys.modules[name] = made  # for dataclasses
    exec(compile(source, str(file), "exec"), vars(made))
    return made


def look(value, seen=None):
    """What can be seen of a value: its parts, their types, and which of them are one object."""
    seen = {} if seen is None else seen
    if isinstance(value, (bool, int, float, np.generic)):
        return "number", round(float(value), 9)  # where paths meet, numbers in containers have one type
    if value is None or isinstance(value, str):
        return type(value).__name__, value
    if isinstance(value, np.ndarray):
        return "array", str(value.dtype), value.shape, np.round(value, 9).tolist()
    if id(value) in seen:
        return "seen", seen[id(value)]
    seen[id(value)] = len(seen)
    if isinstance(value, dict):
        return type(value).__name__, [(look(k, seen), look(v, seen)) for k, v in value.items()]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    if isinstance(value, (list, tuple, deque)):
        return type(value).__name__, [look(v, seen) for v in value]
    if isinstance(value, type):
        return "class", value.__name__
    names = sorted(getattr(type(value), "__slots__", ()) or vars(value))
    return type(value).__name__, [(n, look(getattr(value, n), seen)) for n in names if hasattr(value, n)]


def state(made, world, arguments):
    names = ("count", "total", "kept", "names")
    return look([arguments, world, made.World.shared, [vars(made)[n] for n in names]])


def outcome(call, *arguments):
    try:
        return call(*arguments), None
    except pb.PullbackError as error:
        return None, error


def difference(name: str, source: str, transform: str, folder: Path, jit: bool = False) -> str | None:
    """What is wrong after which call; "refused: ..." if the program is refused."""
    stem = "p" + str(abs(hash(source)) % 10**12)
    mine, plain = module(stem, source, folder), module(stem, source, folder)
    world, reference = mine.World(), plain.World()
    function = TRANSFORMS[transform](world.loss)
    with pb.options(jit=jit, cache=False):
        for k, (x, t) in enumerate(CALLS):
            a, b = x.copy(), x.copy()
            value, error = outcome(function, a, t)
            if error is not None:
                return f"refused: {type(error).__name__} {str(error).partition(chr(10))[0]}"
            try:
                expected = reference.loss(b, t)
            except Exception as problem:
                return f"of no use: {problem!r}"
            now, then = state(mine, world, a), state(plain, reference, b)
            if now != then:
                return f"call {k + 1}:\n  is     {now}\n  should {then}"
            if transform == "jit" and not np.isclose(value, expected):
                return f"call {k + 1}: value {value} for {expected}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--transforms", default=",".join(TRANSFORMS))
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--show", default="")
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    counts: dict[str, int] = {}
    refusals: dict[str, int] = {}
    for k, (name, source) in enumerate(programs()):
        if (k - arguments.start) % arguments.every or arguments.show not in name:
            continue
        for transform in arguments.transforms.split(","):
            try:
                found = difference(name, source, transform, arguments.folder, arguments.compiled)
            except Exception as error:
                found = f"internal: {type(error).__name__}: {error}"
            kind = "right" if found is None else found.partition(":")[0] if ":" in found else found
            kind = kind if kind in ("right", "refused", "of no use", "internal") else "wrong"
            counts[kind] = counts.get(kind, 0) + 1
            if kind == "refused":
                key = f"{name.rpartition(' in ')[2]}: {found[:120]}"
                refusals[key] = refusals.get(key, 0) + 1
            elif kind != "right":
                print(f"{name} [{transform}]: {found}", flush=True)
    for text, number in sorted(refusals.items(), key=lambda item: -item[1])[:60]:
        print(number, text)
    print(counts)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
