"""Random Python programs as a NumPy user might write them: number k is a function of its seed alone.

A program is one function of floats, arrays and integers, with helpers and constants next to it. Whatever
it does is valid at every size it is called with: subscripts stay in range, names are bound, values are
bounded (sums of tanh and sin), so that the plain function and its finite differences mean something.
"""

from __future__ import annotations

from fuzz_idioms import Idioms
from fuzz_scope import HEADER, Array, Dim, Index, Program


def program(seed: int) -> Program:
    return Generator(seed).program()


class Generator(Idioms):
    # -- the whole -----------------------------------------------------------------------------------

    def program(self) -> Program:
        params: list[tuple[str, str, tuple[Dim, ...]]] = []
        n, m = Dim("n"), Dim("m")
        for name in ("x", "y", "z")[: self.random.randint(1, 3)]:
            dims = (self.pick((n, n, n, m)),) if name != "x" else (n,)
            params.append((name, "array", dims))
        for name in ("A", "B")[: self.pick((0, 1, 1, 2))]:
            params.append((name, "array", self.pick(((n, m), (n, n), (n, m), (m, n), (Dim(None, 3), n)))))
        for name in ("s", "t")[: self.random.randint(0, 2)]:
            params.append((name, "float", ()))
        if self.chance(0.4):
            params.append(("steps", "int", ()))
        self.random.shuffle(params)
        self.lines.append(f"def f({', '.join(p[0] for p in params)}):")
        for name, kind, dims in params:
            if kind == "array":
                self.scope.arrays[name] = Array(name, dims, self.group())
            elif kind == "float":
                self.scope.floats.append(name)
            else:
                self.scope.indices[name] = Index(name, 2, Dim(None, 4))
                self.scope.fixed.add(name)
        found = set()
        for name, _, dims in params:
            for axis, dim in enumerate(dims):
                if dim.base and dim.base not in found:
                    found.add(dim.base)
                    text = f"len({name})" if axis == 0 and self.chance(0.5) else f"{name}.shape[{axis}]"
                    self.emit(f"{dim.base} = {text}")
        self.sizes = found
        if not self.scope.floats or self.chance(0.5):
            self.new_float()
        self.block(self.budget)
        self.finish()
        return Program(self.seed, HEADER + "\n".join(self.lines) + "\n", "f", params)

    def finish(self) -> None:
        terms = []
        for name in self.scope.floats:
            terms.append(name if self.chance(0.7) else f"{name} * {self.number()}")
        for array in self.scope.arrays.values():
            form = self.pick(
                ("np.sum({0} * {0})", "np.sum(np.sin({0}))", "{0}.sum()", "np.sum({0})", "np.mean({0} ** 3)")
            )
            terms.append(form.format(array.name))
        if self.returns_arrays:
            arrays = [a.name for a in self.scope.arrays.values()]
            self.emit(
                f"return {', '.join([terms[0] + ' + 0.0'] + self.random.sample(arrays, min(2, len(arrays))))}"
            )
            return
        self.emit(f"return {' + '.join(terms)}")

    def block(self, budget: int) -> None:
        while budget > 0:
            budget -= self.statement(budget)

    # -- compound statements ----

    def body(self, budget: int, *, loop: bool, jumps: bool = True, extra: bool = True) -> None:
        """The statements of a region, perhaps with one that leaves it."""
        self.depth += 1
        self.loops += loop
        if loop:
            self.jumps.append(jumps)
        before = len(self.lines)
        at = self.random.randint(0, 1)
        for k in range(2):
            if loop and jumps and k == at and self.chance(0.22):
                self.emit(f"if {self.condition(1)}:")
                if self.chance(0.3) and budget > 1 and self.assignable():
                    self.emit(f"    {self.pick(self.assignable())} += {self.bounded(self.value(1))}")
                leaving = self.pick(("break", "continue", "break"))
                self.emit(f"    {leaving}")
            part = max(1, budget // 2) if k == 0 else budget - max(1, budget // 2)
            self.block(part)
        if len(self.lines) == before:
            self.emit("pass")
        if loop:
            self.jumps.pop()
        self.loops -= loop
        self.depth -= 1

    def share(self, budget: int) -> int:
        return self.random.randint(1, max(1, min(budget - 1, 5)))

    def for_loop(self, budget: int) -> int:
        inside = self.share(budget)
        if self.loops >= 2:
            inside = min(inside, 2)
        if self.loops > 2:
            return 0
        dims = sorted({d for a in self.scope.arrays.values() for d in a.dims if d.base}, key=str)
        dim = self.pick(dims) if dims else Dim(sorted(self.sizes)[0])
        outer = self.enter()
        i = self.fresh("i")
        runs = False  # certainly at least once?
        jumps = True
        form = self.random.randint(0, 17)
        vectors = [a for a in outer.arrays.values() if len(a.dims) == 1]
        index: Index | None = None
        head = f"range({dim})"
        lows = [j for j in outer.indices.values() if j.high is not None and j.high.base and j.low >= 0]
        if form <= 4 or (form in (12, 13, 14) and not vectors):
            a, b = self.random.randint(0, 2), self.random.randint(0, 1)
            stop = f"{dim + -b}"
            head = f"range({stop})" if a == 0 else f"range({a}, {stop})"
            index = Index(i, a, dim + (-b - 1))
            runs = (dim + -b).smallest > a
        elif form <= 6:
            a, b = self.random.randint(0, 2), self.random.randint(0, 1)
            head = f"range({dim + (-b - 1)}, {a - 1}, -1)"
            index = Index(i, a, dim + (-b - 1))
            runs = (dim + -b).smallest > a
        elif form == 7:
            head = self.pick(
                (
                    f"range(0, {dim}, 2)",
                    f"range({dim + -1}, -1, -2)",
                    f"range(1, {dim}, 3)",
                    f"range({dim + -1}, 0, -3)",
                )
            )
            index = Index(i, 0, dim + -1)
        elif form in (8, 9, 10) and lows:
            j = self.pick(lows)
            kind = self.random.randint(0, 4)
            if kind == 0:
                head, index = f"range({j.name})", Index(i, 0, j.high + -1)
            elif kind == 1:
                head, index = f"range({j.name} + 1)", Index(i, 0, j.high)
            elif kind == 2:
                head, index = (
                    f"range({j.name} + 1, {Dim(j.high.base)})",
                    Index(i, j.low + 1, Dim(j.high.base, -1)),
                )
            elif kind == 3:
                head, index = f"range({j.name}, -1, -1)", Index(i, 0, j.high)
            else:
                head, index = f"range({j.name} - 1, -1, -1)", Index(i, 0, j.high + -1)
        elif form == 11:
            head, index = f"reversed(range({dim}))", Index(i, 0, dim + -1)
            runs = True
        elif form in (12, 13, 14) and vectors:
            x = self.pick(vectors)
            v = self.fresh("e")
            kind = self.random.randint(0, 3)
            if kind == 0:
                head, i = x.name, v
            elif kind == 1:
                head = f"enumerate({x.name})"
                index = Index(i, 0, x.dims[0] + -1)
                i = f"{i}, {v}"
            elif kind == 2:
                other, u = self.pick(vectors), self.fresh("e")
                head, i = f"zip({x.name}, {other.name}[1:])", f"{v}, {u}"
                self.scope.floats.append(u)
                self.scope.fixed.add(u)
            else:
                head, i = f"reversed({x.name})" if self.chance(0.5) else f"{x.name}[1:-1]", v
            self.scope.floats.append(v)
            self.scope.fixed.add(v)
        elif form == 15:
            matrices = [a for a in outer.arrays.values() if len(a.dims) == 2]
            if matrices:
                x = self.pick(matrices)
                row = self.fresh("r")
                self.scope.arrays[row] = Array(row, x.dims[1:], x.group, x.writable)
                self.scope.fixed.add(row)
                head, i = (x.name, row) if self.chance(0.6) else (f"enumerate({x.name})", f"{i}, {row}")
                if i != row:
                    index = Index(i.split(",")[0], 0, x.dims[0] + -1)
            else:
                index = Index(i, 0, dim + -1)
        elif form == 16:
            v = self.fresh("e")
            head, i = self.pick(("(0.5, 1.5, -0.7)", "[0.2, 0.9]")), v
            self.scope.floats.append(v)
            self.scope.fixed.add(v)
            jumps = False
        else:
            steps = "steps" if "steps" in outer.indices else "3"
            head, index = f"range({steps})", Index(i, 0, Dim(None, 3))
            runs = True
        if index is not None:
            self.scope.indices[index.name] = index
            self.scope.fixed.add(index.name)
        self.emit(f"for {i} in {head}:")
        start = len(self.lines)
        self.body(inside, loop=True, jumps=jumps)
        left = any(line.strip() in ("break", "continue") for line in self.lines[start:])
        inner = self.scope
        inner.floats = [f for f in inner.floats if f not in inner.fixed]
        self.leave(outer, inner, keep=runs and not left and self.chance(0.3))
        for name in list(self.scope.arrays):
            if name in inner.fixed:
                del self.scope.arrays[name]
        if index is not None and runs and not left and index.name == i and self.chance(0.2):
            self.scope.indices[i] = index  # the last value, after the loop
        if left and self.chance(0.3) and self.assignable():
            self.emit("else:")
            self.emit(f"    {self.pick(self.assignable())} += {self.bounded(self.value(1))}")
        return inside + 1

    def while_loop(self, budget: int) -> int:
        if self.loops > 2:
            return 0
        inside = min(self.share(budget), 4)
        k = self.fresh("k")
        bound = self.pick([str(Dim(b)) for b in sorted(self.sizes)] + ["6", "4"])
        down = self.chance(0.25)
        self.emit(f"{k} = {bound + ' - 1' if down else '0'}")
        inside_test = f"{k} >= 0" if down else f"{k} < {bound}"
        high = Dim(bound, -1) if bound in ("n", "m") else Dim(None, int(bound) - 1)
        plain = self.chance(0.4)
        outer = self.enter()
        step = f"{k} {'-' if down else '+'}= {self.pick(('1', '1', '2'))}"
        early = self.chance(0.5)
        if plain:
            test = inside_test
        else:
            test = self.pick(
                (f"{inside_test} and {self.comparison()}", f"{self.comparison()} and {inside_test}")
            )
        infinite = self.chance(0.15)
        self.emit("while True:" if infinite else f"while {test}:")
        self.depth += 1
        if infinite:
            self.emit(f"if not ({test}):")
            self.emit("    break")
        if early:
            # The counter is moved on first; what follows sees 1..bound (or one less).
            self.emit(step)
        self.depth -= 1
        if not early:
            self.scope.indices[k] = Index(k, 0, high)
            self.scope.fixed.add(k)
        self.body(inside, loop=True, jumps=early)
        if not early:
            self.depth += 1
            self.emit(step)
            self.depth -= 1
        self.leave(outer, self.scope)
        if not down:
            self.scope.indices[k] = Index(k, 0, None)
        return inside + 2

    def branch(self, budget: int) -> int:
        inside = self.share(budget)
        outer = self.enter()
        base = outer.copy()
        arms = []
        self.emit(f"if {self.condition(2)}:")
        self.body(inside, loop=False)
        arms.append(self.scope)
        spent = inside
        if self.chance(0.25):
            self.scope = base.copy()
            self.emit(f"elif {self.condition(1)}:")
            self.body(1, loop=False)
            arms.append(self.scope)
            spent += 1
        complete = self.chance(0.5)
        if complete:
            self.scope = base.copy()
            self.emit("else:")
            part = self.share(budget)
            self.body(part, loop=False)
            arms.append(self.scope)
            spent += part
        else:
            arms.append(base.copy())
        self.leave(outer, *arms, keep=complete)
        return spent

    def partly_bound(self, budget: int) -> int | None:
        """A name that one arm binds, used under the same condition."""
        name, c = self.fresh("q"), self.fresh("c")
        names = self.assignable()
        if not names:
            return None
        self.emit(f"{c} = {self.condition(1)}")
        self.emit(f"if {c}:")
        self.emit(f"    {name} = {self.value(2)}")
        self.emit(f"if {c}:")
        self.emit(f"    {self.pick(names)} += {self.bounded(name)}")
        return 2

    def leave_early(self, budget: int) -> int | None:
        if self.returns_arrays or not all(self.jumps):
            return None
        self.emit(f"if {self.pick((self.comparison(2), self.condition(1)))}:")
        self.emit(f"    return {self.value(2)} + 0.0")
        return 1
