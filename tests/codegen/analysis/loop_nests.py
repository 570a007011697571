"""Loop nests drawn at random, as text of the IR, whose bounds and subscripts are computed in all the ways that occur.

Bounds: numbers, sizes, indices, minima and maxima, quotients and remainders, multiples, what a loop carries; windows
of a few elements, two of them per iteration; ranges that are empty; upwards and downwards. Subscripts: the same.
Arrays are read, written and added to, in branches too; loops carry sums; vectors are handed from loop to loop.
"""

from __future__ import annotations

import random
import re

from pullback.ir import Program, parse
from pullback.ir.verify import verify

SIZE = 64
"""The arrays have so many elements along each axis."""
MIDDLE = 24
"""Is added to each subscript, so that it is hardly ever negative."""
VALUES = ((2, 1, 0), (3, 2, 1), (4, 3, -1), (5, 1, 2), (3, 5, 4), (6, 0, 1))
"""The sizes n, m, k that a nest is run with; n is the size of an array, and so at least 2."""
MOVING = ("{0} // 2", "{0} % 3", "maximum({0}, {1})", "minimum({0}, {1})", "{0} * 2", "n - {0}")
"""Where windows begin."""
ARRAYS = {"A": 1, "B": 1, "C": 2}
"""Each with its rank."""
HEAD = """\
def f(A0: f64[s], B0: f64[s], C0: f64[s, s], D: f64[n], m: i64, k: i64) -> (f64[s], f64[s], f64[s, s], f64):
    s: i64 = dim(A0, 0)
    n: i64 = dim(D, 0)
    v0: f64 = D[0]"""


def loop_nest(seed: int) -> Program:
    return verify(parse(_Writer(random.Random(seed)).program()))


def turned_nest(seed: int) -> Program:
    """An inner loop down the columns of a matrix, with lines and loops before and behind it."""
    return verify(parse(_Turned(random.Random(seed)).program()))


def near_nest(seed: int) -> Program:
    """A loop that adds to elements side by side, as the adjoint of a stencil does."""
    return verify(parse(_Near(random.Random(seed)).program()))


def product_nest(seed: int) -> Program:
    """Three loops that sum products of elements of matrices, or something that looks like it."""
    return verify(parse(_Product(random.Random(seed)).program()))


def handed_nest(seed: int) -> Program:
    """Loops of one range that hand on a vector, and touch other arrays on the way."""
    return verify(parse(_Handed(random.Random(seed)).program()))


class _Writer:
    def __init__(self, rng: random.Random):
        self.rng = rng
        self.count = 0
        self.lines = HEAD.splitlines()
        self.older: dict[str, list[str]] = {cell: [] for cell in ARRAYS}  # versions before the present ones, in scope
        self.shared = rng.random() < 0.5  # do subscripts keep to the indices and what is computed of one?

    def program(self) -> str:
        state = {cell: f"{cell}0" for cell in ARRAYS}
        pool, values = ["n", "m", "k"], ["v0"]
        self.nests(pool, values, state)
        return "\n".join([*self.lines, f"    return {', '.join(state.values())}, {values[-1]}"])

    def nests(self, pool: list[str], values: list[str], state: dict[str, str]) -> None:
        for _ in range(self.rng.choice((1, 1, 2))):
            self.loop(1, pool, values, state, self.rng.randint(1, 3))

    def put(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def let(self, depth: int, type: str, operation: str, stem: str) -> str:
        name = self.name(stem)
        self.put(depth, f"{name}: {type} = {operation}")
        return name

    # -- integers --------------------------------------------------------------------------------------

    def known(self, pool: list[str]) -> str:
        """An integer in scope, the newest most often."""
        if self.rng.random() < 0.1:
            return str(self.rng.randint(-2, 4))
        return pool[-1 - min(int(self.rng.expovariate(0.6)), len(pool) - 1)]

    def number(self, depth: int, pool: list[str]) -> str:
        """An integer computed here."""
        rng, a, b = self.rng, self.known(pool), self.known(pool)
        c = rng.randint(1, 3)
        operation = rng.choice((
            None, None, None, f"{a} + {c}", f"{a} - {c}", f"{a} + {b}", f"{a} - {b}", f"{a} * {c}", f"-{a}",
            f"maximum({a}, {b})", f"minimum({a}, {b})", f"{a} // 2", f"{a} % 3", f"n - {a}",
        ))  # fmt: skip
        if operation is None or a.startswith("-") or b.startswith("-"):
            return a
        found = self.let(depth, "i64", operation, "e")
        if rng.random() < 0.7:
            pool.append(found)
        return found

    def subscript(self, depth: int, pool: list[str]) -> str:
        inner = [name for name in pool if name.startswith("i")] or pool
        place = self.known(inner) if self.shared and self.rng.random() < 0.7 else self.number(depth, pool)
        return self.let(depth, "i64", f"{MIDDLE + self.rng.choice((0, 0, 0, 0, 1, -1, 2, 3, -3))} + {place}", "p")

    def element(self, depth: int, pool: list[str], cell: str) -> str:
        return ", ".join(self.subscript(depth, pool) for _ in range(ARRAYS[cell]))

    # -- lines -----------------------------------------------------------------------------------------

    def read(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], cell: str) -> None:
        version = state[cell]
        if self.older[cell] and self.rng.random() < 0.08:
            version = self.rng.choice(self.older[cell])
        values.append(self.let(depth, "f64", f"{version}[{self.element(depth, pool, cell)}]", "v"))

    def write(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], cell: str) -> None:
        value = self.rng.choice(values[-3:])
        if self.rng.random() < 0.3:
            other = self.rng.choice(values[-3:])
            operation = self.rng.choice((f"{value} * 0.5", f"sin({value})", f"{value} * {other}"))
            value = self.let(depth, "f64", operation, "v")
        place, how = self.element(depth, pool, cell), self.rng.choice(("set", "add", "add"))
        type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
        self.older[cell].append(state[cell])
        state[cell] = self.let(depth, type, f"{state[cell]}.at[{place}].{how}({value})", cell)

    def step(self, depth: int, pool: list[str], values: list[str], state: dict[str, str]) -> None:
        rng, cell = self.rng, self.rng.choice("AAABC")
        if rng.random() < 0.45:
            self.read(depth, pool, values, state, cell)
        elif rng.random() < 0.9:
            self.write(depth, pool, values, state, cell)
        else:
            self.branch(depth, pool, values, state, cell)

    def branch(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], cell: str) -> None:
        condition = self.let(depth, "bool", f"{self.known(pool)} {self.rng.choice(('<', '>='))} {pool[-1]}", "c")
        arms = []
        for word in (f"if {condition}:", "else:"):
            self.put(depth, word)
            arm, older = dict(state), {name: list(versions) for name, versions in self.older.items()}
            length = len(self.lines)
            if word != "else:" or self.rng.random() < 0.5:
                self.write(depth + 1, list(pool), list(values), arm, cell)
            if len(self.lines) == length:
                self.put(depth + 1, "pass")
            self.older = older
            arms.append(arm[cell])
        type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
        state[cell] = self.let(depth, type, f"phi({', '.join(arms)})", cell)

    # -- loops -----------------------------------------------------------------------------------------

    def ends(self, depth: int, pool: list[str]) -> tuple[str, str]:
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return "0", rng.choice(("n", "n", "m", self.known(pool)))
        low = self.number(depth, pool)
        if kind < 0.7:  # a window
            if rng.random() < 0.4:
                low = self.let(depth, "i64", rng.choice(MOVING).format(pool[-1], self.known(pool)), "e")
            if low.lstrip("-").isdigit():
                return low, str(int(low) + rng.randint(1, 3))
            return low, self.let(depth, "i64", f"{low} + {rng.randint(1, 3)}", "e")
        return low, self.number(depth, pool)

    def loop(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], levels: int) -> None:
        rng, pool = self.rng, list(pool)
        low, high = self.ends(depth, pool)
        trips = f"range({low}, {high})"
        index = self.name("i")
        self.put(depth, f"for {index} in {f'reversed({trips})' if rng.random() < 0.45 else trips}:")
        head = len(self.lines)
        inner = {cell: self.name(cell) for cell in ARRAYS}
        began, before = dict(inner), list(values)
        older = {name: [*versions, state[name]] for name, versions in self.older.items()}
        self.older = {name: list(versions) for name, versions in older.items()}
        pool.append(index)
        total, carried = self.name("t"), self.name("q")
        sums, counts = rng.random() < 0.2, rng.random() < 0.12
        if counts:
            pool.append(carried)
        self.body(depth + 1, pool, values, inner, levels)
        phis = []
        for cell, first in began.items():
            if inner[cell] == first:  # not written: the body reads what is there before
                self.lines[head:] = [re.sub(rf"\b{first}\b", state[cell], line) for line in self.lines[head:]]
            else:
                type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
                phis.append(f"{first}: {type} = phi({state[cell]}, {inner[cell]})")
        if sums:
            after = self.let(depth + 1, "f64", f"{total} + {values[-1]}", "t")
            phis.append(f"{total}: f64 = phi(0.0, {after})")
        if counts:
            after = self.number(depth + 1, [*pool, carried])
            if after.lstrip("-").isdigit():
                after = self.let(depth + 1, "i64", f"{carried} + 1", "e")
            phis.append(f"{carried}: i64 = phi({rng.choice(('0', 'k'))}, {after})")
        if len(self.lines) == head and not phis:
            self.put(depth + 1, "pass")
        self.lines[head:head] = ["    " * (depth + 1) + phi for phi in phis]
        for cell, first in began.items():
            if inner[cell] != first:
                type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
                state[cell] = self.let(depth, type, f"last({first})", cell)
        values[:], self.older = before, older
        if sums:
            values.append(self.let(depth, "f64", f"last({total})", "v"))

    def body(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], levels: int) -> None:
        rng = self.rng
        if levels == 1:
            for _ in range(rng.randint(1, 5)):
                self.step(depth, pool, values, state)
            return
        for _ in range(rng.choice((1, 1, 2))):
            for _ in range(rng.randint(0, 2)):
                self.step(depth, pool, values, state)
            self.loop(depth, pool, values, state, levels - 1)
        if rng.random() < 0.3:
            self.step(depth, pool, values, state)


class _Turned(_Writer):
    def nests(self, pool: list[str], values: list[str], state: dict[str, str]) -> None:
        self.loop(1, pool, values, state, 2)

    def ends(self, depth: int, pool: list[str]) -> tuple[str, str]:
        """An inner loop that does not depend on the outer one, most often."""
        if self.rng.random() < 0.8:
            return self.rng.choice(("0", "1", "k")), self.rng.choice(("n", "m"))
        return super().ends(depth, pool)

    def body(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], levels: int) -> None:
        if levels == 2:
            for _ in range(self.rng.randint(1, 2)):
                for _ in range(self.rng.choice((0, 0, 1))):
                    self.step(depth, list(pool), values, state)
                self.loop(depth, pool, values, state, 1)
            return
        inner, outer = pool[-1], next(name for name in pool if name.startswith("i"))
        for _ in range(self.rng.randint(1, 3)):
            cell = self.rng.choice("CCA")
            forms = [name if self.rng.random() < 0.8 else self.number(depth, pool) for name in (inner, outer)]
            sums = [f"{MIDDLE + self.rng.choice((0, 0, 0, 1))} + {form}" for form in forms]
            places = [self.let(depth, "i64", each, "p") for each in sums]
            place = ", ".join(places[: ARRAYS[cell]] if self.rng.random() < 0.5 else places[-ARRAYS[cell] :])
            if self.rng.random() < 0.4:
                values.append(self.let(depth, "f64", f"{state[cell]}[{place}]", "v"))
            else:
                type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
                how = self.rng.choice(("set", "add", "add"))
                state[cell] = self.let(depth, type, f"{state[cell]}.at[{place}].{how}({values[-1]})", cell)


class _Handed(_Writer):
    """The loops in a row write and read a vector `h`; each reads and writes elements of the other arrays too."""

    def nests(self, pool: list[str], values: list[str], state: dict[str, str]) -> None:
        self.loop(1, pool, values, state, 2)

    def body(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], levels: int) -> None:
        rng = self.rng
        vector = self.let(depth, "f64[n]", f"{rng.choice(('empty', 'zeros'))}((n,), f64)", "h")
        reverse = rng.random() < 0.4
        for turn in range(rng.choice((2, 2, 3))):
            index, first = self.name("i"), self.name("h")
            self.put(depth, f"for {index} in {'reversed(range(n))' if reverse else 'range(n)'}:")
            head, began = len(self.lines), {cell: self.name(cell) for cell in ARRAYS}
            inner, known, local = dict(began), [*pool, index], list(values)
            older = {cell: list(versions) for cell, versions in self.older.items()}
            here, phis = vector, []
            if turn:
                local.append(self.let(depth + 1, "f64", f"{vector}[{index}]", "v"))
            for _ in range(rng.randint(0, 2)):
                cell = rng.choice("AAB")
                (self.read if rng.random() < 0.5 else self.write)(depth + 1, known, local, inner, cell)
            if not turn:
                here = self.let(depth + 1, "f64[n]", f"{first}.at[{index}].set({local[-1]})", "h")
                phis.append(f"{first}: f64[n] = phi({vector}, {here})")
            elif inner == began:
                self.write(depth + 1, known, local, inner, "B")
            for cell, name in began.items():
                if inner[cell] == name:
                    self.lines[head:] = [re.sub(rf"\b{name}\b", state[cell], line) for line in self.lines[head:]]
                else:
                    type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
                    phis.append(f"{name}: {type} = phi({state[cell]}, {inner[cell]})")
            self.lines[head:head] = ["    " * (depth + 1) + phi for phi in phis]
            for cell, name in began.items():
                if inner[cell] != name:
                    type = "f64[s]" if ARRAYS[cell] == 1 else "f64[s, s]"
                    state[cell] = self.let(depth, type, f"last({name})", cell)
            self.older = older
            if not turn:
                vector = self.let(depth, "f64[n]", f"last({first})", "h")


class _Near(_Writer):
    def nests(self, pool: list[str], values: list[str], state: dict[str, str]) -> None:
        self.loop(1, pool, values, state, self.rng.choice((1, 1, 2)))

    def ends(self, depth: int, pool: list[str]) -> tuple[str, str]:
        return self.rng.choice(("0", "0", "1", "m")), "n"

    def body(self, depth: int, pool: list[str], values: list[str], state: dict[str, str], levels: int) -> None:
        index = next(name for name in pool if name.startswith("i"))
        for _ in range(self.rng.randint(1, 3)):
            values.append(self.let(depth, "f64", f"B0[{self.subscript(depth, [*pool, index])}]", "v"))
            near = index if self.rng.random() < 0.9 else self.number(depth, list(pool))
            place = self.let(depth, "i64", f"{MIDDLE + self.rng.choice((0, 1, 1, 2, -1))} + {near}", "p")
            state["A"] = self.let(depth, "f64[s]", f"{state['A']}.at[{place}].add({values[-1]})", "A")
        if levels == 2:
            self.loop(depth, pool, values, state, 1)


class _Product(_Writer):
    """`for i: for j: for k: C[i, j] += E[i, k] * F[k, j]` with anything about it changed."""

    def program(self) -> str:
        rng = self.rng
        head = HEAD.replace("D: f64[n]", "E: f64[s, s], F: f64[s, s], D: f64[n]")
        self.lines = head.splitlines()
        indices = [self.name("i") for _ in range(3)]
        order = rng.sample(indices, 3)
        version, names = "C0", []
        pool = ["n", "m"]
        for depth, index in enumerate(order, 1):
            low, high = self.range(depth, pool)
            trips = f"range({low}, {high})"
            pool.append(index)
            self.put(depth, f"for {index} in {f'reversed({trips})' if rng.random() < 0.2 else trips}:")
            names.append((self.name("C"), version))
            version = names[-1][0]
            self.put(depth + 1, f"{version}: f64[s, s] = phi({names[-1][1]}, NEXT{depth})")
            if rng.random() < 0.15:
                version = self.other(depth + 1, pool, version)
        i, j, k = indices
        factors = []
        for name, places in (("E", [i, k]), ("F", [k, j])):
            name = version if rng.random() < 0.1 else name
            if rng.random() < 0.4:
                places.reverse()
            factors.append(self.let(4, "f64", f"{name}[{self.place(4, pool, places)}]", "v"))
        value = self.let(4, "f64", f"{factors[0]} * {factors[1]}", "v")
        if rng.random() < 0.2:
            value = self.let(4, "f64", f"{value} * v0", "v")
        places = [i, j] if rng.random() < 0.9 else [i, k]
        next_ = self.let(4, "f64[s, s]", f"{version}.at[{self.place(4, pool, places)}].add({value})", "C")
        for depth in (3, 2, 1):
            first = names[depth - 1][0]
            self.lines = [line.replace(f"NEXT{depth}", next_) for line in self.lines]
            next_ = self.let(depth, "f64[s, s]", f"last({first})", "C")
            if depth > 1 and rng.random() < 0.15:
                next_ = self.other(depth, pool[: depth + 1], next_)
        return "\n".join([*self.lines, f"    return A0, B0, {next_}, v0"])

    def range(self, depth: int, pool: list[str]) -> tuple[str, str]:
        rng, inner = self.rng, pool[2:]
        low, high = rng.choice(("0", "0", "1")), rng.choice(("n", "n", "m"))
        if inner and rng.random() < 0.5:
            kind = rng.choice(("{} + 1", "{} * 2", "{} // 2", "{} % 3", "minimum({}, m)", "maximum({}, 1)", "{} + 0"))
            end = self.let(depth, "i64", kind.format(rng.choice(inner)), "e")
            low, high = rng.choice(((low, end), (end, high)))
        return low, high

    def place(self, depth: int, pool: list[str], names: list[str]) -> str:
        rng, found = self.rng, []
        for name in names:
            if rng.random() < 0.06:
                name = self.number(depth, list(pool))
            plus = 0 if rng.random() < 0.8 else rng.choice((1, 2))
            found.append(self.let(depth, "i64", f"{MIDDLE + plus} + {name}", "p"))
        return ", ".join(found)

    def other(self, depth: int, pool: list[str], version: str) -> str:
        """Something else that happens to the array."""
        inner = pool[2:]
        first = self.place(depth, pool, [inner[0], self.rng.choice(inner)])
        second = first if self.rng.random() < 0.5 else self.place(depth, pool, [self.rng.choice(inner), inner[0]])
        read = self.let(depth, "f64", f"{version}[{first}]", "v")
        value = self.let(depth, "f64", f"{read} * 0.5", "v")
        return self.let(depth, "f64[s, s]", f"{version}.at[{second}].{self.rng.choice(('set', 'add'))}({value})", "C")
