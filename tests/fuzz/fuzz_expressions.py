"""Random subscripts, expressions and conditions over the variables in scope."""

from __future__ import annotations

import random
from collections.abc import Callable

from fuzz_scope import Array, Dim, Index, Scope


class Expressions:
    def __init__(self, seed: int):
        self.seed = seed
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.depth = 1
        self.loops = 0  # staged loops around the present statement
        self.jumps: list[bool] = []  # for each loop around: may it be left?
        self.scope = Scope()
        self.count = 0
        self.budget = self.random.choice((4, 7, 10, 14))
        self.protected: list[set[int]] = []  # groups that existed before each region
        self.returns_arrays = self.chance(0.12)

    # -- what subclasses add: more forms -------------------------------------------------------------

    def more_vectors(self, dim: Dim, depth: int) -> list[Callable[[], str]]:
        raise NotImplementedError

    def more_matrices(self, dims: tuple[Dim, Dim], m: Callable[[], str]) -> list[Callable[[], str]]:
        raise NotImplementedError

    def more_reductions(self, array: Array) -> list[str]:
        raise NotImplementedError

    # -- small tools ---------------------------------------------------------------------------------

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def pick(self, items):
        items = list(items)
        return items[self.random.randrange(len(items))]

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def group(self) -> int:
        self.count += 1
        return self.count

    def emit(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def number(self) -> str:
        return str(self.pick((0.3, 0.7, 1.2, -0.4, 0.5, 2.0, -1.1, 0.15)))

    # -- subscripts ----------------------------------------------------------------------------------

    def subscript(self, dim: Dim) -> str:
        """An integer in range for an axis."""
        options = [lambda: str(self.random.randint(0, min(2, dim.smallest - 1)))]
        options.append(lambda: str(-self.random.randint(1, min(2, dim.smallest))))
        for index in self.scope.indices.values():
            options += [lambda index=index: self.from_index(index, dim)] * 4
        for name, (size, bound) in self.scope.numbers.items():
            wrap = "" if bound == dim else f" % {dim}" if not dim.offset or not dim.base else f" % ({dim})"
            options.append(lambda name=name, size=size, wrap=wrap: f"{name}[{self.subscript(size)}]{wrap}")
        return self.pick(options)()

    def from_index(self, index: Index, dim: Dim) -> str:
        text, size = index.name, f"({dim})" if dim.offset and dim.base else str(dim)
        if index.high is not None and index.high.base == dim.base:
            room = dim.offset - 1 - index.high.offset
        elif index.high is not None and index.high.base is None:
            room = dim.smallest - 1 - index.high.offset
        else:
            room = None
        if room is not None and room >= -index.low:
            shift = (
                self.random.randint(max(-index.low, -2), min(room, 2))
                if max(-index.low, -2) <= min(room, 2)
                else room
            )
            if self.chance(0.12) and room >= 0 and index.low >= 0:
                return f"{dim} - 1 - {text}" if self.chance(0.7) else f"-{text} - 1"
            return text if shift == 0 else f"{text} {'+' if shift > 0 else '-'} {abs(shift)}"
        return self.pick(
            (
                f"{text} % {size}",
                f"({text} + 1) % {size}",
                f"(2 * {text} + 1) % {size}",
                f"({text} * {text}) % {size}",
            )
        )

    def cut(self, dim: Dim, target: Dim) -> str | None:
        """A slice of an axis that has the target's size."""
        if dim.base != target.base or dim.offset < target.offset:
            return None
        extra = dim.offset - target.offset
        first = self.random.randint(0, extra)
        last = extra - first
        if extra == 0:
            return ":" if self.chance(0.85) else "::-1"
        if self.chance(0.15) and last < dim.smallest:
            stop = f"{dim} - {last}" if last else f"{dim}"
            return f"{first or ''}:{stop}"
        return f"{first or ''}:{-last if last else ''}"

    # -- expressions ---------------------------------------------------------------------------------

    def atom(self) -> str:
        options = [self.number]
        if self.scope.floats:
            options += [lambda: self.pick(self.scope.floats)] * 4
        if self.scope.arrays:
            options += [self.element] * 5
        if self.scope.pairs:
            options.append(lambda: f"{self.pick(self.scope.pairs)}[{self.random.randint(-1, 1)}]")
        if self.scope.lists:
            options.append(self.list_element)
        options.append(lambda: self.pick(("SCALE", "W[1]", "W[-1]")))
        return self.pick(options)()

    def element(self, array: Array | None = None) -> str:
        array = array or self.pick(self.scope.arrays.values())
        if len(array.dims) == 2 and self.chance(0.1):
            return f"{array.name}[{self.subscript(array.dims[0])}][{self.subscript(array.dims[1])}]"
        return f"{array.name}[{', '.join(self.subscript(d) for d in array.dims)}]"

    def list_element(self) -> str:
        name = self.pick(self.scope.lists)
        length, dims = self.scope.lists[name]
        return f"{name}[{self.random.randrange(length)}][{', '.join(self.subscript(d) for d in dims)}]"

    def value(self, depth: int = 2) -> str:
        """A float."""
        if depth <= 0:
            return self.atom()
        a = lambda: self.value(depth - 1)
        options = [
            lambda: f"{a()} + {a()}", lambda: f"{a()} - ({a()})", lambda: f"({a()}) * ({a()})", lambda: f"np.sin({a()})",
            lambda: f"np.tanh({a()})", lambda: f"np.exp(np.tanh({a()}))", lambda: f"({a()}) / (1.5 + ({a()}) ** 2)",
            lambda: f"np.sqrt(1.0 + ({a()}) ** 2)", lambda: f"np.log(1.3 + ({a()}) ** 2)", lambda: f"-({a()})", self.atom,
            lambda: f"math.cos({a()})", lambda: f"max({a()}, {a()})", lambda: f"abs({a()})",
            lambda: f"({a()} if {self.condition(1)} else {a()})", lambda: f"np.maximum({a()}, {a()})",
            lambda: f"blend({a()}, {a()})", lambda: f"bigger({a()}, {a()})", lambda: f"pair({a()})[{self.random.randint(0, 1)}]",
            lambda: f"math.exp(-({a()}) ** 2)", lambda: f"(2.0 + np.sin({a()})) ** {self.pick(('0.5', '-1', '1.5', '3'))}",
            lambda: f"np.where({self.comparison(1)}, {a()}, {a()}) * 1.0", lambda: f"min({a()}, {a()})",
        ]  # fmt: skip
        for name, arity in self.scope.functions.items():
            options += [lambda name=name, arity=arity: f"{name}({', '.join(a() for _ in range(arity))})"] * 2
        if self.scope.arrays:
            options += [self.reduction] * 4
        for name, (size, _) in self.scope.numbers.items():
            options.append(lambda name=name, size=size: f"0.2 * {name}[{self.subscript(size)}] * ({a()})")
        if self.scope.indices:
            options.append(lambda: f"0.1 * {self.pick(self.scope.indices)} * ({a()})")
        return self.pick(options)()

    def reduction(self) -> str:
        array = self.pick(self.scope.arrays.values())
        x = array.name
        options = [f"0.3 * np.sum({x})", f"np.tanh({x}.sum())", f"np.mean({x} * {x})", f"{x}.mean()"]
        if len(array.dims) == 1:
            (dim,) = array.dims
            same = [a.name for a in self.scope.arrays.values() if a.dims == array.dims]
            other = self.pick(same)
            part, partner = self.twin_slices(dim)
            options += [
                f"np.dot({x}, {other}) * 0.2", f"({x}[{part}] @ {other}[{partner}])", f"np.sum({x}[{part}])",
                f"np.sum({x}[{part}] * {other}[{partner}])", f"np.sum({x}[{x} > 0.2])", f"norm2({x}[{part}])", f"norm2({x})",
                f"np.sum(np.where({x} > {self.number()}, {x}, {other} * 0.5))", f"np.max({x})", f"np.min({x} * {other})",
                f"sum([{x}[{self.subscript(dim)}], {self.atom()}])", f"np.sum({self.vector(dim, 2)})",
            ]  # fmt: skip
        else:
            rows, columns = array.dims
            options += [
                f"np.sum({x}[{self.subscript(rows)}])", f"np.sum({x}[:, {self.subscript(columns)}] ** 2)",
                f"np.sum({x}.sum(axis={self.random.randint(0, 1)}) ** 2) * 0.1", f"norm2({x}[{self.subscript(rows)}])",
                f"np.sum({x}.T[{self.subscript(columns)}])", f"np.max({x}[{self.subscript(rows)}])",
            ]  # fmt: skip
        return self.pick(self.pick((options, options, self.more_reductions(array))))

    def twin_slices(self, dim: Dim) -> tuple[str, str]:
        """Two slices of one axis that have one size; it may depend on loop indices."""
        options = [(":", ":"), (":-1", "1:"), ("1:", ":-1"), ("::2", "::2"), ("::-1", ":"), ("1::2", "1::2"),
                   ("::-2", "::2"), ("-1:", ":1")]  # fmt: skip
        if dim.smallest > 3:
            options += [(":2", "-2:"), ("1:3", "2:4"), ("-2:", ":2"), ("1:-1", ":-2"), ("1:-1", "2:")]
        for index in self.scope.indices.values():
            i = index.name
            if index.low < 0:
                continue
            if index.high is not None and index.high.base == dim.base and index.high.offset < dim.offset:
                options += [(f":{i}", f":{i}"), (f"{i}:", f"{i}:"), (f":{i}", f"1:{i} + 1"), (f"{i} + 1:", f"{i}:-1"),
                            (f"{i}:{i} + 1", ":1"), (f"{i}::-1", f":{i} + 1")]  # fmt: skip
            else:
                options += [(f":{i}", f":{i}"), (f"{i}:", f"{i}:")]
            for other in self.scope.indices.values():
                if other.low >= 0 and other is not index:
                    options.append((f"{i}:{other.name}", f"{i}:{other.name}"))
        return self.pick(options)

    def vector(self, dim: Dim, depth: int = 1) -> str:
        """An expression of shape (dim,)."""
        v = lambda: self.vector(dim, depth - 1)
        options = []
        for array in self.scope.arrays.values():
            if len(array.dims) == 1:
                part = self.cut(array.dims[0], dim)
                if part is not None:
                    options += [array.name if part == ":" else f"{array.name}[{part}]"] * 3
            else:
                part = self.cut(array.dims[1], dim)
                if part is not None:
                    options.append(f"{array.name}[{self.subscript(array.dims[0])}, {part}]")
                    options.append(f"{array.name}.sum(axis=0)[{part}]")
                    options.append(f"{array.name}[{self.subscript(array.dims[0])}][{part}]")
                part = self.cut(array.dims[0], dim)
                if part is not None:
                    options.append(f"{array.name}[{part}, {self.subscript(array.dims[1])}]")
                    vectors = [a.name for a in self.scope.arrays.values() if a.dims == array.dims[1:]]
                    if vectors and array.dims[0] == dim:
                        options.append(f"({array.name} @ {self.pick(vectors)})")
        if dim.base is None:
            sources = [a for a in self.scope.arrays.values() if len(a.dims) == 1]
            if sources and dim.offset <= 4:
                source = self.pick(sources)
                most = source.dims[0].smallest
                idx = [self.random.randint(-min(2, most), min(3, most - 1)) for _ in range(dim.offset)]
                options.append(
                    f"{source.name}[{idx}]" if self.chance(0.5) else f"{source.name}[np.array({idx})]"
                )
            options.append(f"W[:{dim}]")
        if not options:
            return f"np.full({dim}, {self.value(1)})"
        if depth <= 0:
            return self.pick(options)
        forms = [
            lambda: f"{v()} + {v()}", lambda: f"({v()}) * ({v()})", lambda: f"np.sin({v()})", lambda: f"np.tanh({v()})",
            lambda: f"{self.number()} * ({v()})", lambda: f"({v()}) - {self.value(1)}", lambda: self.pick(options),
            lambda: f"np.where({v()} > {self.number()}, {v()}, {self.value(1)})", lambda: f"np.maximum({v()}, {self.atom()})",
            lambda: f"({v()}) / (1.5 + ({v()}) ** 2)", lambda: f"np.exp(np.tanh({v()}))", lambda: f"-({v()})",
            lambda: f"blend({v()}, {v()})", lambda: f"np.cumsum({v()}) * 0.2",
        ]  # fmt: skip
        extra = self.more_vectors(dim, depth)
        return self.pick(self.pick((forms, forms, extra)))()

    def matrix(self, dims: tuple[Dim, Dim]) -> str:
        same = [a.name for a in self.scope.arrays.values() if a.dims == dims]
        turned = [
            f"{a.name}.T" for a in self.scope.arrays.values() if len(a.dims) == 2 and a.dims[::-1] == dims
        ]
        found = same + turned
        m = lambda: self.pick(found) if found else f"np.ones(({dims[0]}, {dims[1]}))"
        forms = [
            lambda: f"{m()} * {self.atom()}", lambda: f"np.sin({m()})", lambda: f"{m()} + {self.vector(dims[1])}",
            lambda: f"np.outer({self.vector(dims[0])}, {self.vector(dims[1])})", lambda: f"np.tanh({m()} * {m()})",
            lambda: f"{m()} * ({self.vector(dims[0])})[:, None]", lambda: f"{m()} - {m()}",
        ]  # fmt: skip
        return self.pick(self.pick((forms, self.more_matrices(dims, m))))()

    def comparison(self, depth: int = 1) -> str:
        a, b = self.value(depth), self.value(0)
        form = self.pick(("{0} > {1}", "{0} < {2}", "{0} >= {2}", "{0} > {2}", "{1} <= {0}"))
        return form.format(a, b, self.pick((0.137, -0.211, 0.613)))

    def condition(self, depth: int = 1) -> str:
        options = [lambda: self.comparison()] * 4
        options.append(lambda: f"-0.41 < {self.value(1)} < 0.83")
        if self.scope.bools:
            options += [lambda: self.pick(self.scope.bools)] * 2
        for index in self.scope.indices.values():
            i = index.name
            options += [
                lambda i=i: f"{i} % 2 == 0",
                lambda i=i: f"{i} > 2",
                lambda i=i: f"{i} == 1",
                lambda i=i: f"{i} != 3",
            ]
            for other in self.scope.indices.values():
                if other is not index:
                    options.append(lambda i=i, other=other: f"{i} < {other.name}")
        if depth > 0:
            c = lambda: self.condition(depth - 1)
            options += [lambda: f"not ({c()})", lambda: f"({c()}) and ({c()})", lambda: f"({c()}) or ({c()})"]
        return self.pick(options)()

    def bounded(self, value: str) -> str:
        return self.pick(
            ("np.tanh({0})", "np.sin({0})", "0.6 * np.sin({0})", "np.cos({0})", "0.8 * np.tanh({0})")
        ).format(value)
