"""Random simple statements."""

from __future__ import annotations

from dataclasses import replace

from fuzz_arrays import Arrays
from fuzz_scope import Array, Dim, Index, Scope


class Statements(Arrays):
    # -- names ---------------------------------------------------------------------------------------

    def new_float(self) -> str:
        name = self.fresh("s")
        start = self.pick(("0.0", "0", "1.0", self.value(1), self.value(2)))
        self.emit(f"{name} = {start}")
        self.scope.floats.append(name)
        return name

    def assignable(self) -> list[str]:
        return [f for f in self.scope.floats if f not in self.scope.fixed]

    def writable(self, rank: int | None = None) -> list[Array]:
        return [a for a in self.scope.arrays.values() if a.writable and rank in (None, len(a.dims))]

    def alone(self, array: Array) -> bool:
        """Is it the only name of its memory?"""
        return sum(a.group == array.group for a in self.scope.arrays.values()) == 1

    def rebind(self, array: Array, group: int | None = None) -> None:
        self.scope.arrays[array.name] = replace(
            array, group=self.group() if group is None else group, writable=True
        )

    def new_array(self) -> None:
        base = Dim(self.pick(sorted(self.sizes)), self.pick((0, 0, 0, 1, -1)))
        dims = self.pick(
            ((base,), (base,), (base,), (Dim(None, 3),), (base, Dim(None, 3)), (Dim(None, 2), base))
        )
        shape = str(dims[0]) if len(dims) == 1 else f"({dims[0]}, {dims[1]})"
        name = self.fresh("w")
        like = list(self.scope.arrays.values())
        source = self.pick(like) if like else None
        form = self.random.randint(0, 7)
        if form == 0 and source:
            self.emit(f"{name} = np.zeros_like({source.name})")
            dims = source.dims
        elif form == 1 and source:
            self.emit(f"{name} = {source.name}.copy()")
            dims = source.dims
        elif form == 2:
            self.emit(f"{name} = np.full({shape}, {self.value(1)})")
        elif form == 3:
            dims = (Dim(None, 3),)
            self.emit(f"{name} = np.array([{self.value(1)}, {self.value(1)}, {self.atom()}])")
        elif form == 4 and len(dims) == 1 and not self.loops:
            self.emit(f"{name} = np.empty({shape})")
            index = self.fresh("i")
            self.emit(f"for {index} in range({dims[0]}):")
            outer = self.enter()
            self.scope.indices[index] = Index(index, 0, dims[0] + -1)
            self.depth += 1
            self.emit(f"{name}[{index}] = {self.bounded(self.value(2))}")
            self.depth -= 1
            self.leave(outer)
        elif form in (5, 6) and len(dims) == 1:
            self.emit(f"{name} = {self.vector(dims[0], 2)}{'' if self.chance(0.3) else ' * 1.0'}")
            self.scope.arrays[name] = Array(name, dims, self.group(), False)  # perhaps a view
            if self.lines[-1].endswith("* 1.0"):
                self.scope.arrays[name] = replace(self.scope.arrays[name], writable=True)
            return
        elif form == 7 and len(dims) == 2:
            self.emit(f"{name} = {self.matrix(dims)}")  # type: ignore[arg-type]
        else:
            self.emit(f"{name} = np.{self.pick(('zeros', 'ones'))}({shape})")
        self.scope.arrays[name] = Array(name, dims, self.group())

    # -- regions -------------------------------------------------------------------------------------

    def enter(self) -> Scope:
        outer = self.scope
        self.scope = outer.copy()
        self.protected.append({a.group for a in outer.arrays.values()})
        return outer

    def leave(self, outer: Scope, *arms: Scope, keep: bool = False) -> None:
        """Back from a region: names that were bound before are kept, with what happened to their memory."""
        self.protected.pop()
        inner = list(arms) or [self.scope]
        result = outer.copy()
        for name, array in outer.arrays.items():
            ends = [s.arrays[name] for s in inner if name in s.arrays]
            if any(end.group != array.group for end in ends):
                shared = not self.alone_in(outer, array) or not all(
                    self.alone_in(s, e) for s, e in zip(inner, ends)
                )
                group = array.group if shared else self.group()
                result.arrays[name] = replace(array, group=group, writable=array.writable and not shared)
                if shared:
                    bad = {array.group, *(end.group for end in ends)}
                    for other in list(result.arrays.values()):
                        if other.group in bad:
                            result.arrays[other.name] = replace(other, writable=False)
        if keep:
            first, *rest = inner
            result.floats += [
                f for f in first.floats if f not in result.floats and all(f in s.floats for s in rest)
            ]
            for name, array in first.arrays.items():
                others = [s.arrays.get(name) for s in rest]
                if name not in result.arrays and all(o is not None and o.dims == array.dims for o in others):
                    result.arrays[name] = replace(array, writable=False)
        self.scope = result

    def alone_in(self, scope: Scope, array: Array) -> bool:
        return sum(a.group == array.group for a in scope.arrays.values()) == 1

    # -- statements ----------------------------------------------------------------------------------

    def statement(self, budget: int) -> int:
        simple = [
            (5, self.set_float), (5, self.add_to_float), (6, self.write_element), (5, self.write_slice), (3, self.write_array),
            (3, self.make_array), (3, self.make_view), (2, self.swap), (2, self.call_helper), (1, self.make_pair),
            (1, self.make_bool), (1, self.make_list), (1, self.add_to_index), (1, self.masked), (1, self.swap_elements),
            (1, self.local_function), (1, self.rebind_array), (1, self.accumulate_rows),
        ]  # fmt: skip
        compound = [
            (7, self.for_loop),
            (3, self.while_loop),
            (6, self.branch),
            (1, self.partly_bound),
            (1, self.leave_early),
        ]
        simple += self.idioms()
        compound += self.compound_idioms()
        table = simple + (compound if budget > 1 and self.depth < 5 else [])
        weights = [w for w, _ in table]
        while True:
            chosen = self.random.choices([s for _, s in table], weights)[0]
            before = len(self.lines)
            cost = chosen(budget)
            if len(self.lines) > before:
                return cost or 1

    def idioms(self) -> list:
        raise NotImplementedError

    def compound_idioms(self) -> list:
        raise NotImplementedError

    def set_float(self, budget: int) -> int | None:
        names = self.assignable()
        if not names or self.chance(0.3):
            if self.loops and self.chance(0.5):
                return None
            self.new_float()
            return None
        name = self.pick(names)
        value = self.value(2)
        self.emit(f"{name} = {self.bounded(value) if self.loops or self.chance(0.5) else value}")
        return None

    def add_to_float(self, budget: int) -> int | None:
        names = self.assignable()
        if names:
            value = self.bounded(self.value(2)) if self.loops else self.value(2)
            name = self.pick(names)
            form = self.pick(
                (
                    f"{name} += {value}",
                    f"{name} += {value}",
                    f"{name} -= {value}",
                    f"{name} *= 1.0 + 0.2 * np.sin({value})",
                )
            )
            self.emit(form)
        return None

    def write_element(self, budget: int) -> int | None:
        arrays = self.writable()
        if arrays:
            self.emit(self.update(self.element(self.pick(arrays)), self.bounded(self.value(2))))
        return None

    def update(self, target: str, value: str) -> str:
        return self.pick(
            (f"{target} = {value}", f"{target} = {value}", f"{target} += {value}", f"{target} -= {value}",
             f"{target} *= 1.0 + 0.3 * ({value})", f"{target} /= 1.5 + 0.3 * ({value})")
        )  # fmt: skip

    def write_slice(self, budget: int) -> int | None:
        arrays = self.writable()
        if not arrays:
            return None
        array = self.pick(arrays)
        x = array.name
        if len(array.dims) == 1:
            part, partner = self.twin_slices(array.dims[0])
            same = [a.name for a in self.scope.arrays.values() if a.dims == array.dims]
            other = self.pick(same)
            value = self.pick((f"{other}[{partner}]", f"{other}[{partner}] * {self.atom()}", f"np.sin({other}[{partner}])",
                               self.value(2), f"{x}[{partner}] + {self.atom()}"))  # fmt: skip
            self.emit(
                self.update(f"{x}[{part}]", self.bounded(value))
                if self.chance(0.8)
                else f"{x}[{part}] = {value}"
            )
            return None
        rows, columns = array.dims
        if self.chance(0.5):
            self.emit(self.update(f"{x}[{self.subscript(rows)}]", self.bounded(self.vector(columns))))
        elif self.chance(0.5):
            self.emit(self.update(f"{x}[:, {self.subscript(columns)}]", self.bounded(self.vector(rows))))
        else:
            part, partner = self.twin_slices(columns)
            i, j = self.subscript(rows), self.subscript(rows)
            self.emit(self.update(f"{x}[{i}, {part}]", self.bounded(f"{x}[{j}, {partner}] * {self.atom()}")))
        return None

    def write_array(self, budget: int) -> int | None:
        arrays = self.writable()
        if not arrays:
            return None
        array = self.pick(arrays)
        value = self.vector(array.dims[0], 2) if len(array.dims) == 1 else self.matrix(array.dims)  # type: ignore[arg-type]
        value = self.bounded(value)
        if self.chance(0.4):
            self.emit(f"{array.name}[{':' if self.chance(0.7) else '...'}] = {value}")
        else:
            self.emit(f"{array.name} {self.pick(('+=', '-='))} {value}")
        return None

    def make_array(self, budget: int) -> int | None:
        self.new_array()
        return None

    def make_view(self, budget: int) -> int | None:
        arrays = list(self.scope.arrays.values())
        if not arrays:
            return None
        array = self.pick(arrays)
        name, x = self.fresh("v"), array.name
        if len(array.dims) == 1:
            (dim,) = array.dims
            options = [(x, dim), (f"{x}[::-1]", dim)]
            if dim.smallest > 3:
                options += [
                    (f"{x}[1:]", dim + -1),
                    (f"{x}[:-1]", dim + -1),
                    (f"{x}[1:-1]", dim + -2),
                    (f"{x}[:3]", Dim(None, 3)),
                ]
            text, size = self.pick(options)
            dims: tuple[Dim, ...] = (size,)
        else:
            rows, columns = array.dims
            text, dims = self.pick((
                (f"{x}[{self.subscript(rows)}]", (columns,)), (f"{x}[:, {self.subscript(columns)}]", (rows,)),
                (f"{x}.T", (columns, rows)), (f"{x}[{self.subscript(rows)}, :]", (columns,)),
                (f"{x}.T[{self.subscript(columns)}]", (rows,)), (f"{x}[::-1]", (rows, columns)),
                *(((f"{x}[1:]", (rows + -1, columns)),) if rows.smallest > 2 else ()),
                *(((f"{x}[::-1, 1:]", (rows, columns + -1)),) if columns.smallest > 2 else ()),
            ))  # fmt: skip
        self.emit(f"{name} = {text}")
        self.scope.arrays[name] = Array(name, dims, array.group, array.writable)
        if array.writable and self.chance(0.7):
            view = self.scope.arrays[name]
            if self.chance(0.6):
                self.emit(self.update(self.element(view), self.bounded(self.value(2))))
            else:
                self.emit(f"{x} *= 0.9" if self.chance(0.5) else f"{name} += {self.bounded(self.value(1))}")
        return 2

    def swap(self, budget: int) -> int | None:
        pairs = []
        arrays = [
            a
            for a in self.scope.arrays.values()
            if self.alone(a) and a.writable and a.name not in self.scope.fixed
        ]
        for a in arrays:
            pairs += [(a.name, b.name) for b in arrays if a.name < b.name and a.dims == b.dims]
        names = self.assignable()
        if len(names) > 1:
            pairs.append(tuple(self.random.sample(names, 2)))
        if not pairs:
            return None
        a, b = self.pick(pairs)
        if a in self.scope.arrays:
            one, two = self.scope.arrays[a], self.scope.arrays[b]
            self.scope.arrays[a], self.scope.arrays[b] = (
                replace(one, group=two.group),
                replace(two, group=one.group),
            )
            self.emit(f"{a}, {b} = {b}, {a}")
        else:
            self.emit(
                self.pick(
                    (
                        f"{a}, {b} = {b}, {a}",
                        f"{a}, {b} = {b}, {self.bounded(f'{a} + {b}')}",
                        f"{a}, {b} = pair({b}, {a})",
                    )
                )
            )
        return None

    def swap_elements(self, budget: int) -> int | None:
        arrays = self.writable()
        if not arrays:
            return None
        array = self.pick(arrays)
        a, b = self.element(array), self.element(array)
        if len(array.dims) == 2 and self.chance(0.6):
            i, j = self.subscript(array.dims[0]), self.subscript(array.dims[0])
            x = array.name
            if self.chance(0.5):
                self.emit(f"{x}[{i}], {x}[{j}] = {x}[{j}].copy(), {x}[{i}].copy()")
            else:
                self.emit(
                    f"{x}[[0, 2]] = {x}[[2, 0]]"
                    if array.dims[0].smallest > 2
                    else f"{x}[[0, 1]] = {x}[[1, 0]]"
                )
        else:
            self.emit(f"{a}, {b} = {b}, {a}")
        return None

    def call_helper(self, budget: int) -> int | None:
        names = self.assignable()
        vectors = self.writable(1)
        if vectors and self.chance(0.6):
            x = self.pick(vectors)
            part = "" if self.chance(0.7) else f"[{self.twin_slices(x.dims[0])[0]}]"
            if x.dims[0].smallest >= 2 and not part and self.chance(0.5):
                self.emit(f"shift({x.name}, {self.bounded(self.value(1))})")
            elif names and not part:
                self.emit(
                    f"{self.pick(names)} {self.pick(('=', '+='))} damp({x.name}, {self.bounded(self.value(1))})"
                )
            elif not part:
                self.emit(f"damp({x.name}, {self.bounded(self.value(1))})")
        elif len(names) > 1:
            a, b = self.random.sample(names, 2)
            self.emit(
                f"{a}, {b} = pair({self.bounded(self.value(1))}{', b=' + self.atom() if self.chance(0.4) else ''})"
            )
        return None

    def make_pair(self, budget: int) -> int | None:
        if self.scope.pairs and self.chance(0.6):
            p = self.pick(self.scope.pairs)
            self.emit(f"{p} = ({p}[1], {self.bounded(f'{p}[0] + {self.value(1)}')})")
        elif self.scope.pairs and len(self.assignable()) > 1 and self.chance(0.5):
            a, b = self.random.sample(self.assignable(), 2)
            self.emit(f"{a}, {b} = {self.pick(self.scope.pairs)}")
        elif not self.loops:
            name = self.fresh("p")
            self.emit(f"{name} = ({self.value(1)}, {self.value(1)})")
            self.scope.pairs.append(name)
        return None

    def make_bool(self, budget: int) -> int | None:
        if self.scope.bools and self.chance(0.5):
            self.emit(f"{self.pick(self.scope.bools)} = {self.condition(1)}")
        else:
            name = self.fresh("c")
            self.emit(f"{name} = {self.condition(1)}")
            self.scope.bools.append(name)
        return None

    def make_list(self, budget: int) -> int | None:
        if self.scope.lists and self.chance(0.7):
            name = self.pick(self.scope.lists)
            length, dims = self.scope.lists[name]
            k = self.random.randrange(length)
            if self.chance(0.5):
                self.emit(self.update(self.list_element(), self.bounded(self.value(2))))
            elif self.chance(0.5):
                self.emit(f"{name}[{k}] = {self.bounded(self.vector(dims[0], 2))}")
            else:
                item = self.fresh("b")
                self.emit(f"for {item} in {name}:")
                self.emit(f"    {item}[{self.random.randint(-1, 1)}] += {self.bounded(self.value(1))}")
        elif not self.loops:
            name = self.fresh("l")
            dim = Dim(self.pick(sorted(self.sizes)))
            items = [
                self.pick((f"np.zeros({dim})", f"{self.bounded(self.vector(dim))}"))
                for _ in range(self.random.randint(2, 3))
            ]
            self.emit(f"{name} = [{', '.join(items)}]")
            self.scope.lists[name] = (len(items), (dim,))
            target = self.new_float()
            self.emit(f"{target} = {target} + np.sum({name}[0]) * 0.5")
        return None

    def add_to_index(self, budget: int) -> int | None:
        counters = [i for i in self.scope.indices.values() if i.high is None]
        if counters and self.chance(0.6):
            self.emit(f"{self.pick(counters).name} += {self.pick(('1', '2'))}")
        elif counters and self.chance(0.5):
            self.emit(f"{self.pick(counters).name} = {self.random.randint(0, 3)}")
        elif self.chance(0.4) and any(len(a.dims) == 1 for a in self.scope.arrays.values()):
            name = self.fresh("k")
            x = self.pick(a for a in self.scope.arrays.values() if len(a.dims) == 1)
            self.emit(f"{name} = {self.pick(('np.argmax', 'np.argmin'))}({x.name})")
            self.scope.indices[name] = Index(name, 0, x.dims[0] + -1)
        elif not self.loops:
            name = self.fresh("k")
            self.emit(f"{name} = {self.random.randint(0, 2)}")
            self.scope.indices[name] = Index(name, 0, None)
        return None

    def masked(self, budget: int) -> int | None:
        arrays = self.writable()
        if not arrays:
            return None
        array = self.pick(arrays)
        x = array.name
        if len(array.dims) == 1 and self.chance(0.4):
            most = array.dims[0].smallest
            idx = [self.random.randint(-min(2, most), min(3, most - 1)) for _ in range(3)]
            form = self.pick((f"{x}[{idx}] += {self.vector(Dim(None, 3))}", f"np.add.at({x}, {idx}, {self.bounded(self.value(1))})",
                              f"{x}[np.array({idx})] = {self.bounded(self.vector(Dim(None, 3)))}"))  # fmt: skip
        else:
            form = self.pick((f"{x}[{x} > {self.number()}] = {self.bounded(self.value(1))}", f"{x}[{x} < 0.1] *= 0.5",
                              f"{x}[np.abs({x}) > 0.37] += {self.bounded(self.value(1))}"))  # fmt: skip
        self.emit(form)
        return None

    def local_function(self, budget: int) -> int | None:
        if self.loops:
            return None
        name = self.fresh("g")
        form = self.random.randint(0, 3)
        arrays = self.writable()
        if form == 0:
            self.emit(f"{name} = lambda a: np.sin(a) * {self.value(1)}")
            self.scope.functions[name] = 1
        elif form == 1 and arrays:
            array = self.pick(arrays)
            self.emit(f"def {name}(a, b):")
            self.emit(f"    {self.update(self.element(array), 'np.tanh(a + b)')}")
            self.emit(f"    return a * {self.element(array)}")
            # Called once here: who calls it where the array's name means another one is not followed.
            self.new_float()
            self.emit(f"{self.scope.floats[-1]} = {name}({self.atom()}, {self.atom()})")
        elif form == 2 and self.assignable():
            outer = self.pick(self.assignable())
            self.emit(f"def {name}(a):")
            self.emit(f"    nonlocal {outer}")
            self.emit(f"    {outer} = np.sin({outer} + a)")
            self.emit(f"    return a * {outer}")
            self.scope.functions[name] = 1
        else:
            self.emit(f"def {name}(a, b=0.5):")
            self.emit(f"    if a > {self.value(1)}:")
            self.emit(f"        return a * b + {self.value(1)}")
            self.emit("    return np.tanh(b - a)")
            self.scope.functions[name] = self.random.randint(1, 2)
        return 2

    def rebind_array(self, budget: int) -> int | None:
        arrays = [
            a
            for a in self.scope.arrays.values()
            if a.name not in self.scope.fixed and (self.alone(a) or not self.protected)
        ]
        if not arrays:
            return None
        array = self.pick(arrays)
        value = self.vector(array.dims[0], 2) if len(array.dims) == 1 else self.matrix(array.dims)  # type: ignore[arg-type]
        if not self.protected and self.chance(0.3):
            others = [a for a in self.scope.arrays.values() if a.dims == array.dims and a is not array]
            if others:
                other = self.pick(others)
                self.emit(f"{array.name} = {other.name}")
                self.rebind(array, other.group)
                return None
        self.emit(f"{array.name} = {self.bounded(value)}")
        self.rebind(array)
        return None

    def accumulate_rows(self, budget: int) -> int | None:
        matrices = [a for a in self.scope.arrays.values() if len(a.dims) == 2]
        if not matrices or self.loops:
            return None
        array = self.pick(matrices)
        name, row = self.fresh("a"), self.fresh("r")
        self.emit(f"{name} = {self.pick(('0.0', '0'))}")
        if self.chance(0.5):
            self.emit(f"for {row} in {array.name}:")
            self.emit(
                f"    {name} {self.pick(('+=', '= ' + name + ' +'))} {self.pick((row, f'np.sin({row})', f'{row} * {self.atom()}'))}"
            )
        else:
            self.emit(f"for {row} in range({array.dims[0]}):")
            self.emit(f"    {name} = {name} * 0.5 + {array.name}[{row}]")
        self.scope.arrays[name] = Array(name, array.dims[1:], self.group())
        return 3
