"""Random loop nests that read and write elements of two arrays: what a dependence test must get right."""

from __future__ import annotations

import random

from pullback.ir import Program, parse
from pullback.ir.verify import verify

N = 4
SIZE = 3 * N
"""All subscripts are below this."""


def random_nest(seed: int) -> Program:
    """A program on (A: f64[m], B: f64[m], n: i64) with n = N and m = SIZE; it gives both arrays."""
    return verify(parse(_Writer(random.Random(seed)).program()))


class _Writer:
    def __init__(self, rng: random.Random):
        self.rng = rng
        self.count = 0
        self.lines = ["def f(A0: f64[m], B0: f64[m], n: i64) -> (f64[m], f64[m]):", "    m: i64 = dim(A0, 0)"]

    def program(self) -> str:
        state = {"A": "A0", "B": "B0"}
        self.loop(1, [], state)
        if self.rng.random() < 0.3:
            self.loop(1, [], state)
        return "\n".join([*self.lines, f"    return {state['A']}, {state['B']}"])

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def put(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def let(self, depth: int, type: str, operation: str, stem: str) -> str:
        name = self.name(stem)
        self.put(depth, f"{name}: {type} = {operation}")
        return name

    def subscript(self, depth: int, indices: list[str]) -> str:
        rng = self.rng
        if not indices or rng.random() < 0.1:
            return str(rng.randint(0, 3))
        i, j = rng.choice(indices), rng.choice(indices)
        match rng.randint(0, 6):
            case 0:
                return self.let(depth, "i64", f"{i} + {rng.randint(1, 3)}", "e")
            case 1:
                return self.let(depth, "i64", f"{i} + n", "e")
            case 2:
                back = self.let(depth, "i64", f"n - {i}", "e")
                return self.let(depth, "i64", f"{back} + {rng.randint(0, 2)}", "e")
            case 3:
                return self.let(depth, "i64", f"{i} + {j}", "e")
            case 4:
                return self.let(depth, "i64", f"{i} * 2", "e")
            case 5:
                return self.let(depth, "i64", f"maximum({i}, {j})", "e")
        return i

    def body(self, depth: int, indices: list[str], state: dict[str, str]) -> None:
        rng = self.rng
        older = dict(state)
        values: list[str] = []
        for _ in range(rng.randint(2, 5)):
            chance, cell = rng.random(), rng.choice("AB")
            if chance < 0.5 or not values:
                version = (state if rng.random() < 0.8 else older)[cell]
                values.append(self.let(depth, "f64", f"{version}[{self.subscript(depth, indices)}]", "v"))
            elif chance < 0.8:
                product = self.let(depth, "f64", f"{rng.choice(values)} * {rng.choice(values)}", "p")
                values.append(self.let(depth, "f64", f"sin({product})", "v"))
                place = self.subscript(depth, indices)
                how = rng.choice(["set", "set", "add"])
                write = f"{state[cell]}.at[{place}].{how}({values[-1]})"
                state[cell] = self.let(depth, "f64[m]", write, cell)
            elif chance < 0.9 and len(indices) < 3:
                self.loop(depth, indices, state)
            else:
                self.branch(depth, indices, state, cell, rng.choice(values))
        if len(indices) < 2 and rng.random() < 0.6:
            self.loop(depth, indices, state)

    def branch(self, depth: int, indices: list[str], state: dict[str, str], cell: str, value: str) -> None:
        condition = self.let(depth, "bool", f"{value} > 0.4", "c")
        self.put(depth, f"if {condition}:")
        read = self.let(depth + 1, "f64", f"{state[cell]}[{self.subscript(depth + 1, indices)}]", "v")
        product = self.let(depth + 1, "f64", f"{read} * {value}", "p")
        place = self.subscript(depth + 1, indices)
        written = self.let(depth + 1, "f64[m]", f"{state[cell]}.at[{place}].set({product})", cell)
        self.put(depth, "else:")
        self.put(depth + 1, "pass")
        state[cell] = self.let(depth, "f64[m]", f"phi({written}, {state[cell]})", cell)

    def loop(self, depth: int, indices: list[str], state: dict[str, str]) -> None:
        rng = self.rng
        low = rng.choice(["0", *indices])
        if low != "0" and rng.random() < 0.5:
            low = self.let(depth, "i64", f"{low} + 1", "e")
        trips = f"range({low}, {rng.choice(['n', 'n', *indices])})"
        index = self.name("i")
        self.put(
            depth, f"for {index} in reversed({trips}):" if rng.random() < 0.3 else f"for {index} in {trips}:"
        )
        carried = {cell: self.name(cell) for cell in "AB" if rng.random() < 0.85}
        inner = {**state, **carried}
        head = len(self.lines)
        self.body(depth + 1, [*indices, index], inner)
        swapped = len(carried) == 2 and rng.random() < 0.08
        pad = "    " * (depth + 1)
        self.lines[head:head] = [
            f"{pad}{phi}: f64[m] = phi({state[cell]}, {inner['BA'['AB'.index(cell)] if swapped else cell]})"
            for cell, phi in carried.items()
        ]
        for cell, phi in carried.items():
            state[cell] = self.let(depth, "f64[m]", f"last({phi})", cell)
