"""Random statements as numerical programs have them: work arrays of integers, iterations to a tolerance, elimination."""

from __future__ import annotations

from fuzz_scope import Array, Dim, Index
from fuzz_statements import Statements


class Idioms(Statements):
    def idioms(self) -> list:
        return [
            (2, self.number_array), (1, self.write_number_array), (1, self.scatter), (1, self.write_out), (1, self.fill),
            (1, self.local_index), (1, self.flat_view), (1, self.write_part_of_view), (1, self.eliminate), (1, self.grow),
            (1, self.other_size), (1, self.gathered_list), (1, self.write_rows),
        ]  # fmt: skip

    def compound_idioms(self) -> list:
        return [(1, self.search), (1, self.iterate), (1, self.fill_table)]

    def target(self) -> str | None:
        names = self.assignable()
        return self.pick(names) if names else None

    # -- integers ------------------------------------------------------------------------------------

    def number_array(self, budget: int) -> None:
        if self.loops:
            return
        size, bound = (Dim(self.pick(sorted(self.sizes))) for _ in range(2))
        if self.chance(0.3):
            bound = size
        name = self.fresh("k")
        forms = [
            f"np.arange({size}) % {bound}",
            f"(3 * np.arange({size}) + 1) % {bound}",
            f"np.zeros({size}, dtype=int)",
        ]
        if bound == size:
            forms += [f"np.arange({size})[::-1]", f"np.arange({size})", f"np.roll(np.arange({size}), 1)"]
        vectors = [a.name for a in self.scope.arrays.values() if a.dims == (size,)]
        if vectors:
            forms.append(f"np.where({self.pick(vectors)} > 0.2, 1, {bound} - 1)")
            forms.append(f"({self.pick(vectors)} > 0.1).astype(int)")
        self.emit(f"{name} = {self.pick(forms)}")
        self.scope.numbers[name] = (size, bound)

    def write_number_array(self, budget: int) -> None:
        if not self.scope.numbers:
            return
        name, (size, bound) = self.pick(self.scope.numbers.items())
        i = self.subscript(size)
        self.emit(
            self.pick(
                (f"{name}[{i}] = {self.subscript(bound)} % {bound}", f"{name}[{i}] = ({name}[{self.subscript(size)}] + 1) % {bound}",
                 f"{name}[:] = ({name} + 1) % {bound}", f"{name}[{i}], {name}[-1] = {name}[-1], {name}[{i}]",
                 f"{name}[1:] = {name}[:-1]", f"{name}[::2] = 0")
            )
        )  # fmt: skip

    def scatter(self, budget: int) -> None:
        places = [
            (a, name)
            for a in self.writable(1)
            for name, (_, bound) in self.scope.numbers.items()
            if bound == a.dims[0]
        ]
        if not places:
            return
        array, name = self.pick(places)
        value = self.bounded(self.vector(self.scope.numbers[name][0]))
        x = array.name
        self.emit(
            self.pick((f"{x}[{name}] = {value}", f"{x}[{name}] += {value}", f"np.add.at({x}, {name}, {value})",
                       f"{x}[{name}] *= 0.7", f"{x}[{name}] = {self.bounded(self.atom())}"))
        )  # fmt: skip

    def local_index(self, budget: int) -> None:
        dim = Dim(self.pick(sorted(self.sizes)))
        name = self.fresh("j")
        forms = [f"{dim} - 1", f"{dim} // 2", f"int({dim} / 2.5)", f"min({dim} - 1, 3)"]
        for index in self.scope.indices.values():
            if index.low >= 0:
                i = index.name
                forms += [f"{i} % {dim}", f"({dim} + {i}) // 2 % {dim}", f"min({i}, {dim} - 1)", f"divmod({i}, {dim})[1]",
                          f"max({i} - 1, 0) % {dim}", f"({i} ** 2 + 1) % {dim}", f"-{i} % {dim}"]  # fmt: skip
        if not self.loops and self.chance(0.3):
            vectors = [a.name for a in self.scope.arrays.values() if a.dims == (dim,)]
            if vectors:
                forms = [f"int(np.sum({self.pick(vectors)} > 0.3)) % {dim}"]
        self.emit(f"{name} = {self.pick(forms)}")
        self.scope.indices[name] = Index(name, 0, dim + -1)
        if self.target() and self.chance(0.4):
            self.emit(
                f"{self.target()} += {self.pick((f'{name} / 7', f'0.1 * ({name} % 3)', f'({name} > 1) * 0.3'))}"
            )

    # -- arrays --------------------------------------------------------------------------------------

    def write_out(self, budget: int) -> None:
        arrays = self.writable(1)
        if not arrays:
            return
        array = self.pick(arrays)
        x, (dim,) = array.name, array.dims
        self.emit(
            self.pick((f"np.sin({self.vector(dim, 0)}, out={x})", f"np.multiply({x}, np.cos({self.vector(dim, 0)}), out={x})",
                       f"np.add({x}[::-1], {self.atom()}, out={x})", f"np.tanh({x}, {x})"))
        )  # fmt: skip

    def fill(self, budget: int) -> None:
        arrays = self.writable()
        if arrays:
            array = self.pick(arrays)
            part = array.name if self.chance(0.4) else f"{array.name}[{self.subscript(array.dims[0])}:]"
            self.emit(f"{part}.fill({self.bounded(self.value(1))})")

    def flat_view(self, budget: int) -> None:
        """A write through another shape of a new array."""
        dim, name, view = Dim(self.pick(sorted(self.sizes))), self.fresh("w"), self.fresh("v")
        if self.loops:
            return
        self.emit(f"{name} = {self.bounded(self.matrix((dim, Dim(None, 3))))}")
        self.scope.arrays[name] = Array(name, (dim, Dim(None, 3)), self.group())
        self.emit(
            f"{view} = {name}.{self.pick(('ravel()', 'reshape(-1)', 'reshape(3, -1)[1]', 'reshape(3, -1).T'))}"
        )
        i = self.pick(("0", "1", "-1"))
        self.emit(self.update(f"{view}[{i}]", self.bounded(self.value(1))))

    def write_part_of_view(self, budget: int) -> None:
        """Views of views, written through, perhaps in a loop."""
        arrays = self.writable(2)
        if not arrays:
            return
        array = self.pick(arrays)
        x, (rows, columns) = array.name, array.dims
        v = self.fresh("v")
        text, dim = self.pick(((f"{x}[{self.subscript(rows)}]", columns), (f"{x}.T[{self.subscript(columns)}]", rows),
                               (f"{x}[::-1].T[{self.subscript(columns)}]", rows), (f"{x}[:, ::-1][{self.subscript(rows)}]", columns)))  # fmt: skip
        self.emit(f"{v} = {text}")
        part, partner = self.twin_slices(dim)
        value = self.bounded(f"{v}[{partner}]" if self.chance(0.5) else self.value(1))
        self.emit(self.update(f"{v}[{part}]", value))
        if self.chance(0.4):
            u = self.fresh("v")
            self.emit(f"{u} = {v}[::-1]")
            self.emit(self.update(f"{u}[{self.pick(('0', '-1', '1:', ':2'))}]", self.bounded(self.value(1))))
            self.emit(f"{x}[{self.pick(('0', '-1'))}] += {self.bounded(self.atom())}")

    def eliminate(self, budget: int) -> None:
        arrays = self.writable(2)
        if not arrays:
            return
        array = self.pick(arrays)
        x, (rows, columns) = array.name, array.dims
        i, j = self.subscript(rows), self.subscript(rows)
        forms = [
            f"{x}[{i}] -= 0.3 * np.sin({x}[{j}])", f"{x}[1:, 1:] -= 0.2 * np.outer({x}[1:, 0], np.tanh({x}[0, 1:]))",
            f"{x} += 0.3 * np.cos({self.vector(rows)})[:, None]", f"{x}[{i}, 1:] = {x}[{j}, :-1] * 0.5",
            f"{x}[:, 0], {x}[:, -1] = {x}[:, -1].copy(), {x}[:, 0].copy()", f"{x}[1:-1] = 0.5 * ({x}[:-2] + {x}[2:])",
            f"{x}[::-1] += np.sin({x})", f"{x}[:] = np.where({x} > {self.number()}, {x} * 0.5, {x})",
        ]  # fmt: skip
        if rows == columns:
            forms += [f"{x} += 0.2 * np.sin({x}.T)", f"np.fill_diagonal({x}, {self.bounded(self.atom())})",
                      f"{x}[np.arange({rows}), np.arange({rows})] += {self.bounded(self.atom())}"]  # fmt: skip
        self.emit(self.pick(forms))

    def write_rows(self, budget: int) -> None:
        """Rows of a traced range."""
        arrays, indices = self.writable(2), [i for i in self.scope.indices.values() if i.low >= 0]
        if arrays and indices:
            x, i = self.pick(arrays).name, self.pick(indices).name
            self.emit(
                self.pick((f"{x}[{i}:] *= np.cos({self.atom()})", f"{x}[:{i}, 0] += {self.bounded(self.atom())}",
                           f"{x}[:{i}] = {x}[:{i}][::-1].copy()", f"{x}[{i}::-1, {i}:] *= 0.8"))
            )  # fmt: skip

    def grow(self, budget: int) -> None:
        """An array that a loop makes longer."""
        target, vectors = self.target(), [a for a in self.scope.arrays.values() if len(a.dims) == 1]
        if self.loops or not target or not vectors:
            return
        x, w, i = self.pick(vectors), self.fresh("w"), self.fresh("i")
        piece = self.pick(
            (
                f"[{x.name}[{i}]]",
                f"{x.name}[{i}:{i} + 1]",
                f"{x.name}[:{i}]",
                f"np.array([{self.atom()}, {x.name}[{i}]])",
            )
        )
        self.emit(f"{w} = {self.pick(('np.zeros(2)', f'{x.name}[:1]', f'{x.name} * 2.0'))}")
        self.emit(f"for {i} in range({self.pick((str(x.dims[0]), '3'))}):")
        indent = ""
        if self.chance(0.4):
            self.emit(f"    if {x.name}[{i}] > {self.number()}:")
            indent = "    "
        self.emit(
            f"    {indent}{w} = np.concatenate([{self.pick((f'{w}, {piece}', f'{piece}, {w}', f'{w} * 0.9, {piece}'))}])"
        )
        self.emit(
            f"{target} += {self.pick((f'np.sum(np.sin({w}))', f'{w}[::-1][1]', f'np.max({w}) - np.mean({w})'))}"
        )

    def other_size(self, budget: int) -> None:
        """A name with another size in one arm, or a part whose size only the data knows."""
        target, vectors = self.target(), [a for a in self.scope.arrays.values() if len(a.dims) == 1]
        if not target or not vectors:
            return
        x, w = self.pick(vectors), self.fresh("w")
        if self.chance(0.5):
            self.emit(f"{w} = {x.name}")
            self.emit(f"if {self.condition(1)}:")
            self.emit(
                f"    {w} = {self.pick((f'{x.name}[1:] * 2.0', f'np.append({x.name}, {self.atom()})', f'{x.name}[::2]'))}"
            )
        else:
            self.emit(f"{w} = {x.name}[{self.pick((f'{x.name} > 0.1', f'np.abs({x.name}) < 0.8'))}]")
        self.emit(
            f"{target} += {self.pick((f'np.sum(np.sin({w}))', f'np.dot({w}, {w}) * 0.2', f'np.sum({w}[1:] * {w}[:-1])'))}"
        )

    def gathered_list(self, budget: int) -> None:
        target = self.target()
        if self.loops or not target:
            return
        name = self.fresh("l")
        dim = Dim(self.pick(sorted(self.sizes)))
        if self.chance(0.5):
            q = self.fresh("e")
            self.emit(f"{name} = [{q} * {self.value(1)} for {q} in (0.5, -1.2, {self.atom()})]")
            self.emit(
                f"{target} += {self.pick((f'sum({name})', f'np.sum(np.array({name}) ** 2)', f'max({name})'))}"
            )
            return
        self.emit(f"{name} = []")
        q = self.fresh("q")
        self.emit(f"for {q} in range(3):")
        self.emit(f"    {name}.append({self.bounded(self.vector(dim))} * ({q} + 1))")
        form = self.pick(
            (
                f"np.sum(np.stack({name}) ** 2)",
                f"np.sum({name}[1] * {name}[-1])",
                f"np.sum(np.array({name})[:, 0])",
            )
        )
        self.emit(f"{target} += {form}")

    # -- loops ---------------------------------------------------------------------------------------

    def search(self, budget: int) -> int | None:
        """A loop that ends where something is found, within another or not."""
        vectors, target = [a for a in self.scope.arrays.values() if len(a.dims) == 1], self.target()
        if not vectors or not target or self.loops > 2:
            return None
        x, k = self.pick(vectors), self.fresh("k")
        limit = self.pick((self.number(), self.atom()))
        test = self.pick((f"{x.name}[{k}] > {limit}", f"{x.name}[{k}] * {x.name}[-1] < {limit}"))
        if self.chance(0.5):
            self.emit(f"{k} = 0")
            self.emit(f"while {k} < {x.dims[0]} - 1:")
            self.emit(f"    if {test}:")
            self.emit("        break")
            if self.chance(0.5):
                self.emit(f"    {target} += {self.bounded(f'{x.name}[{k}]')}")
            self.emit(f"    {k} += 1")
        else:
            self.emit(f"for {k} in range({x.dims[0]}):")
            self.emit(f"    if {test}:")
            self.emit("        break")
            self.emit(f"    {target} += {self.bounded(f'{x.name}[{k}] + {target}')}")
        if self.chance(0.3):
            self.emit("else:")
            self.emit(f"    {target} *= {self.bounded(self.atom())}")
        self.scope.indices[k] = Index(k, 0, x.dims[0] + -1)
        self.emit(f"{target} += {self.bounded(f'{x.name}[{k}]')}")
        return 3

    def iterate(self, budget: int) -> int | None:
        """Newton's method or a contraction, to a tolerance or a number of steps."""
        if self.loops > 2:
            return None
        r, old, k, a = self.fresh("r"), self.fresh("r"), self.fresh("k"), self.bounded(self.value(1))
        start = self.pick(("1.0", self.bounded(self.atom())))
        step = self.pick(
            (
                f"0.5 * ({r} + ({a} + 2.0) / {r})",
                f"np.cos(0.4 * {r} + {a})",
                f"{r} - 0.3 * np.tanh({r} - {a})",
            )
        )
        if "/" in step:
            start = "1.0"
        self.emit(f"{r} = {start}")
        form = self.random.randint(0, 2)
        if form == 0:
            self.emit(f"for {k} in range(40):")
            self.emit(f"    {old} = {r}")
            self.emit(f"    {r} = {step}")
            self.emit(f"    if abs({r} - {old}) < 1e-13:")
            self.emit("        break")
        elif form == 1:
            self.emit(f"{old} = {r} + 1.0")
            self.emit(f"while abs({r} - {old}) > 1e-13:")
            self.emit(f"    {old}, {r} = {r}, {step}")
        else:
            self.emit(f"{k} = 0")
            self.emit("while True:")
            self.emit(f"    {old} = {step}")
            self.emit(f"    {k} += 1")
            self.emit(f"    if abs({old} - {r}) < 1e-13 or {k} > 60:")
            self.emit(f"        {r} = {old}")
            self.emit("        break")
            self.emit(f"    {r} = {old}")
        self.scope.floats.append(r)
        return 3

    def fill_table(self, budget: int) -> int | None:
        """Dynamic programming over a table."""
        vectors, target = [a for a in self.scope.arrays.values() if len(a.dims) == 1], self.target()
        if self.loops or not vectors or not target:
            return None
        x, y = self.pick(vectors), self.pick(vectors)
        d, i, j = self.fresh("w"), self.fresh("i"), self.fresh("j")
        self.emit(f"{d} = {self.pick(('np.zeros', 'np.ones'))}(({x.dims[0]} + 1, {y.dims[0]} + 1))")
        self.emit(f"for {i} in range({x.dims[0]}):")
        self.emit(f"    for {j} in range({y.dims[0]}):")
        cost = self.pick(
            (f"({x.name}[{i}] - {y.name}[{j}]) ** 2", f"np.sin({x.name}[{i}] * {y.name}[-{j} - 1])")
        )
        around = f"{d}[{i}, {j} + 1], {d}[{i} + 1, {j}], {d}[{i}, {j}]"
        self.emit(
            "        " + self.pick((
                f"{d}[{i} + 1, {j} + 1] = {cost} + min({around})", f"{d}[{i} + 1, {j} + 1] = {cost} + 0.3 * np.max(np.array([{around}]))",
                f"{d}[{i} + 1, {j} + 1] = {cost} + 0.2 * ({around.replace(', ' + d, ' + ' + d)})",
                f"{d}[{i} + 1, {j} + 1] = {d}[{i}, {j}] + {cost} if {x.name}[{i}] > {y.name}[{j}] else max({d}[{i}, {j} + 1], {d}[{i} + 1, {j}])",
            ))
        )  # fmt: skip
        self.emit(f"{target} += {self.pick((f'{d}[-1, -1]', f'np.sum({d}[-1])', f'np.mean({d})'))} * 0.1")
        return 3
