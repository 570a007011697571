"""Random programs of every kind of node, for what must hold of all programs."""

from __future__ import annotations

import numpy as np

from pullback.ir.build import Builder, literal
from pullback.ir.program import Atom, Check, Exit, For, If, Index, Lit, Phi, Program, Slice, Var, While
from pullback.ir.types import BOOL, F64, I64, Type

SIZE = 4
ARRAY = Type("f64", ("n",))
LITERALS = ("1.0", "-1.0", "0.0", "-0.0", "2.0", "0.5")
N = Var("n", I64)


def random_program(rng: np.random.Generator, steps: int = 12) -> Program:
    """A program on (x: f64[n], y: f64[n], a: f64, b: f64, c: bool, k: i64) with k in 0..3 and n = 4."""
    return _Writer(rng).program(steps)


def random_arguments(rng: np.random.Generator) -> list:
    """Arguments of a random program, signed zeros among them."""
    special = rng.choice([0.0, -0.0, 1.0, -1.5], size=SIZE)
    return [rng.normal(size=SIZE), special, rng.normal(), -0.0, rng.random() < 0.5, rng.integers(0, SIZE)]


def same_values(a: tuple, b: tuple) -> bool:
    """Equal numbers, signs of zeros included; any nan is like any other."""
    return len(a) == len(b) and all(map(_same, a, b))


def _same(a, b) -> bool:
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.dtype.kind != "f":
        return a.dtype == b.dtype and np.array_equal(a, b)
    same_signs = np.shape(a) == np.shape(b) and np.all(np.isnan(a) | (np.signbit(a) == np.signbit(b)))
    return bool(same_signs) and np.array_equal(a, b, equal_nan=True)


class _Writer:
    def __init__(self, rng: np.random.Generator):
        self.rng = rng
        self.b = Builder()
        names = {"x": ARRAY, "y": ARRAY, "a": F64, "b": F64, "c": BOOL, "k": I64}
        self.params = tuple(self.b.var(name, type) for name, type in names.items())
        self.scope: list[Atom] = list(self.params)

    def program(self, steps: int) -> Program:
        self.b.emit("dim", self.params[0], 0, hint="n")
        self.steps(steps, depth=2)
        results = (self.some(F64), self.some(ARRAY), self.some(F64), self.some(BOOL))
        return self.b.program("f", self.params, results)

    def steps(self, count: int, depth: int) -> None:
        kinds = [self.scalar] * 4 + [self.array] * 3 + [self.element, self.store, self.part, self.compare]
        kinds += [self.integer, self.check]
        if depth:
            kinds += [self.loop, self.branch, self.repeat]
        for _ in range(count):
            kind = kinds[self.rng.integers(len(kinds))]
            if kind in (self.loop, self.branch, self.repeat):
                kind(depth - 1)  # type: ignore[call-arg]
            else:
                self.scope.append(kind())  # type: ignore[arg-type]

    def some(self, type: Type, literals: bool = True) -> Atom:
        found = [v for v in self.scope if isinstance(v, Var) and v.type == type]
        if literals and type == F64 and (not found or self.rng.random() < 0.3):
            return Lit(LITERALS[self.rng.integers(len(LITERALS))], F64)
        if literals and type == BOOL and self.rng.random() < 0.2:
            return literal(self.rng.random() < 0.5, "bool")
        return found[self.rng.integers(len(found))]

    def one_of(self, *names: str) -> str:
        return names[self.rng.integers(len(names))]

    def scalar(self) -> Atom:
        name = self.one_of("add", "sub", "mul", "div", "maximum", "neg", "sin", "power", "where", "to_f64")
        if name == "where":
            return self.b.emit(name, self.some(BOOL), self.some(F64), self.some(F64), type=F64)
        if name == "power":
            return self.b.emit(name, self.some(F64), Lit(self.one_of("0.0", "1.0", "2.0"), F64))
        arity = 1 if name in ("neg", "sin", "to_f64") else 2
        return self.b.emit(name, *(self.some(F64) for _ in range(arity)))

    def array(self) -> Atom:
        name = self.one_of(
            "add",
            "mul",
            "sub",
            "neg",
            "cos",
            "copy",
            "reshape",
            "transpose",
            "broadcast_to",
            "zeros",
            "where",
        )
        x = self.some(ARRAY)
        match name:
            case "neg" | "cos" | "copy":
                return self.b.emit(name, x)
            case "reshape":
                return self.b.emit(name, x, (N,))
            case "broadcast_to":
                return self.b.emit(name, self.some(F64), (N,))
            case "transpose":
                return self.b.emit(name, x, (0,))
            case "zeros":
                return self.b.emit(name, (N,), "f64")
            case "where":
                return self.b.emit(name, self.some(BOOL), x, self.some(ARRAY))
        return self.b.emit(name, *((x, self.some(F64)) if self.rng.random() < 0.5 else (self.some(ARRAY), x)))

    def place(self) -> Index:
        if self.rng.random() < 0.3:
            return Index((Slice(Lit("0", I64), N, 1, "n"),))
        return Index((self.some(I64, literals=False),))

    def element(self) -> Atom:
        return self.b.emit("getitem", self.some(ARRAY), self.place())

    def store(self) -> Atom:
        place = self.place()
        whole = isinstance(place.items[0], Slice) and self.rng.random() < 0.5
        return self.b.emit(
            self.one_of("at_set", "at_add"), self.some(ARRAY), place, self.some(ARRAY if whole else F64)
        )

    def part(self) -> Atom:
        """An array with its tail doubled: slices of computed sizes."""
        x = self.some(ARRAY)
        k = self.some(I64, literals=False)
        size = self.b.emit("sub", N, k)
        dim = int(size.text) if isinstance(size, Lit) else size.name
        tail = Index((Slice(k, N, 1, dim),))
        return self.b.emit("at_add", x, tail, self.b.emit("getitem", x, tail))

    def compare(self) -> Atom:
        return self.b.emit(self.one_of("lt", "le", "eq", "ne"), self.some(F64), self.some(F64))

    def integer(self) -> Atom:
        return self.b.emit("where", self.some(BOOL), self.some(I64, literals=False), Lit("0", I64), type=I64)

    def check(self) -> Atom:
        c = self.some(BOOL)
        cond = self.b.emit("or", c, self.b.emit("invert", c))
        self.b.add(Check(cond, "AssertionError: never"))
        return cond

    # -- regions -----------------------------------------------------------------------------------

    def heads(self) -> list[tuple[Var, Atom]]:
        types = [F64, ARRAY, BOOL][: self.rng.integers(1, 4)]
        return [(self.b.var("p", t), self.some(t)) for t in types]

    def region(self, depth: int, heads=()) -> tuple:
        """Nodes of a region, and a value for each type of the heads."""
        outer = list(self.scope)
        self.scope += [v for v, _ in heads]
        with self.b.open() as nodes:
            self.steps(int(self.rng.integers(0, 5)), depth)
            values = [self.some(v.type) for v, _ in heads]
        self.scope = outer
        return tuple(nodes), values

    def leave(self, phis: tuple[Phi, ...]) -> tuple[Exit, ...]:
        exits = tuple(Exit(self.b.var("e", p.var.type), p.var) for p in phis)
        self.scope += [e.var for e in exits]
        return exits

    def loop(self, depth: int) -> None:
        index, heads = self.b.var("i", I64), self.heads()
        start = Lit(self.one_of("0", "0", "1", "3"), I64)
        stop = N if self.rng.random() < 0.7 else Lit(self.one_of("0", "1", "2", "4"), I64)
        reverse = bool(self.rng.random() < 0.3)
        self.scope.append(index)
        nodes, seconds = self.region(depth, heads)
        self.scope.remove(index)
        phis = tuple(Phi(v, first, second) for (v, first), second in zip(heads, seconds))
        exits = self.leave(phis)
        self.b.add(For(index, start, stop, reverse, phis, nodes, exits))

    def repeat(self, depth: int) -> None:
        count, heads = self.b.var("count", I64), self.heads()
        with self.b.open() as test:
            cond = self.b.emit("lt", count, self.some(I64, literals=False), type=BOOL)
        body, seconds = self.region(depth, heads)
        with self.b.open() as tail:
            next_count = self.b.emit("add", count, 1, hint="count")
        phis = (Phi(count, Lit("0", I64), next_count),)
        phis += tuple(Phi(v, first, second) for (v, first), second in zip(heads, seconds))
        exits = self.leave(phis[1:])
        self.b.add(While(phis, tuple(test), cond, body + tuple(tail), exits))

    def branch(self, depth: int) -> None:
        cond, heads = self.some(BOOL), self.heads()
        outer = list(self.scope)
        with self.b.open() as then:
            self.steps(int(self.rng.integers(0, 4)), depth)
            firsts = [self.some(v.type) for v, _ in heads]
        self.scope = list(outer)
        with self.b.open() as orelse:
            self.steps(int(self.rng.integers(0, 4)), depth)
            seconds = [self.some(v.type) for v, _ in heads]
        self.scope = outer
        phis = tuple(Phi(v, first, second) for (v, _), first, second in zip(heads, firsts, seconds))
        self.b.add(If(cond, tuple(then), tuple(orelse), phis))
        self.scope += [v for v, _ in heads]
