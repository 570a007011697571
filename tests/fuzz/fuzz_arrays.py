"""Random expressions of whole arrays: joined, turned, reduced, multiplied, gathered."""

from __future__ import annotations

from collections.abc import Callable

from fuzz_expressions import Expressions
from fuzz_scope import Array, Dim

Form = Callable[[], str]


class Arrays(Expressions):
    def number_arrays(self, below: Dim) -> list[str]:
        """Arrays of integers that are subscripts in range for an axis."""
        return [
            name
            for name, (_, bound) in self.scope.numbers.items()
            if bound == below or (bound.base is None and bound.offset <= below.smallest)
        ]

    def matrices(self) -> list[Array]:
        return [a for a in self.scope.arrays.values() if len(a.dims) == 2]

    def more_vectors(self, dim: Dim, depth: int) -> list[Form]:
        v = lambda d=dim: self.vector(d, depth - 1)
        short = lambda k: self.vector(Dim(None, k), 0)
        forms: list[Form] = [
            lambda: f"np.roll({v()}, {self.pick((1, -1, 2))})", lambda: f"np.flip({v()})", lambda: f"({v()})[::-1]",
            lambda: f"np.clip({v()}, -0.61, {self.atom()})", lambda: f"np.minimum({v()}, {v()})", lambda: f"np.abs({v()})",
            lambda: f"np.cumsum({v()})[::-1] * 0.2", lambda: f"np.cumprod(np.cos({v()}))", lambda: f"np.diff({v(dim + 1)})",
            lambda: f"np.where(np.arange({dim}) % 2 == {self.random.randint(0, 1)}, {v()}, {v()})",
            lambda: f"np.arange({dim}) * {self.atom()} * 0.3", lambda: f"np.linspace(-1.0, 1.0, {dim}) * {self.atom()}",
            lambda: f"({v()})[np.arange({dim})[::-1]]", lambda: f"np.hypot({v()}, {self.atom()} + 2.0)",
            lambda: f"np.full_like({v()}, {self.atom()})", lambda: f"{v()} - np.max({v()})", lambda: f"np.fmax({v()}, {v()})",
            lambda: f"np.where({v()} > {v()}, {self.atom()}, {v()})", lambda: f"({v()})[::-1][::-1]",
        ]  # fmt: skip
        if dim.smallest > 2:
            forms += [
                lambda: f"np.concatenate([{v(dim + -1)}, {short(1)}])", lambda: f"np.append({v(dim + -1)}, {self.atom()})",
                lambda: f"np.concatenate(({short(2)}, {v(dim + -2)}))", lambda: f"np.hstack([{short(1)}, {v(dim + -1)}])",
                lambda: f"np.concatenate([[{self.atom()}], {v(dim + -1)}])",
                lambda: f"np.concatenate([({v(dim + -1)})[::-1], np.array([{self.atom()}])])",
            ]  # fmt: skip
        for array in self.scope.arrays.values():
            x = array.name
            if len(array.dims) == 1:
                for name in self.number_arrays(array.dims[0]):
                    if self.scope.numbers[name][0] == dim:
                        forms += [lambda x=x, name=name: f"{x}[{name}]"] * 3
                continue
            rows, columns = array.dims
            if columns == dim:
                forms += [
                    lambda x=x: f"np.{self.pick(('max', 'min', 'mean', 'sum', 'std', 'var'))}({x}, axis=0)",
                    lambda x=x: f"np.prod(np.cos({x}), axis=0)", lambda x=x: f"np.linalg.norm({x}, axis=0)",
                    lambda x=x, rows=rows: f"({self.vector(rows, 0)}) @ {x} * 0.3",
                    lambda x=x, rows=rows: f"np.einsum('ij,i->j', {x}, {self.vector(rows, 0)})",
                    lambda x=x, rows=rows: f"{x}[{self.subscript(rows)}, ::-1]",
                    lambda x=x, rows=rows: f"{x}[::-2][{self.random.randint(0, min(1, rows.smallest // 2 - 1))}]",
                ]  # fmt: skip
            if rows == dim:
                forms += [
                    lambda x=x: f"{x}.{self.pick(('max', 'min', 'mean', 'sum'))}(axis={self.pick((1, -1))})",
                    lambda x=x, columns=columns: f"np.dot({x}, {self.vector(columns, 0)}) * 0.3",
                    lambda x=x, columns=columns: f"({x} * {self.vector(columns, 0)}).sum(axis=1)",
                    lambda x=x, columns=columns: f"{x}[::-1, {self.subscript(columns)}]",
                ]
            if rows == columns == dim:
                forms += [
                    lambda x=x: f"np.diag({x})", lambda x=x: f"{x}[np.arange({dim}), np.arange({dim})[::-1]]",
                ]  # fmt: skip
            if rows.base and columns.base and dim.base == rows.base and dim.offset < 3:
                forms.append(lambda x=x: f"{x}.{self.pick(('ravel()', 'reshape(-1)', 'flatten()'))}[:{dim}]")
        return forms

    def more_matrices(self, dims: tuple[Dim, Dim], m: Form) -> list[Form]:
        rows, columns = dims
        forms: list[Form] = [
            lambda: f"np.where({m()} > {self.number()}, {m()}, {self.atom()})", lambda: f"np.maximum({m()}, {self.vector(columns)})",
            lambda: f"({m()})[::-1]", lambda: f"np.flip({m()}, axis={self.random.randint(0, 1)})",
            lambda: f"{m()} - ({m()}).mean(axis=0)", lambda: f"{m()} - np.max({m()}, axis=1)[:, None]",
            lambda: f"{m()} / (2.0 + np.sum({m()} ** 2, axis=1, keepdims=True))", lambda: f"np.cumsum({m()}, axis={self.random.randint(0, 1)}) * 0.3",
            lambda: f"({self.vector(rows)})[:, None] * ({self.vector(columns)})[None, :]", lambda: f"np.tril({m()})",
            lambda: f"np.exp(-(({self.vector(rows)})[:, None] - ({self.vector(columns)})) ** 2)", lambda: f"({m()}).T.copy().T",
            lambda: f"np.concatenate([({m()})[1:], ({m()})[:1]])", lambda: f"np.roll({m()}, 1, axis=1)", lambda: f"({m()})[:, ::-1]",
            lambda: f"np.concatenate([({m()})[:, 1:], ({m()})[:, :1]], axis=1)", lambda: f"np.minimum({m()}, {m()})[::-1, ::-1]",
        ]  # fmt: skip
        if rows.base is None and rows.offset in (2, 3):
            parts = lambda: ", ".join(self.vector(columns) for _ in range(rows.offset))
            forms += [
                lambda: f"np.stack([{parts()}])",
                lambda: f"np.array([{parts()}])",
                lambda: f"np.vstack(({parts()}))",
            ]
        if columns.base is None and columns.offset in (2, 3):
            forms.append(
                lambda: f"np.stack([{', '.join(self.vector(rows) for _ in range(columns.offset))}], axis=1)"
            )
        for left in self.matrices():
            for a, inner in ((left.name, left.dims[1]), (f"{left.name}.T", left.dims[0])):
                if (left.dims[0] if a == left.name else left.dims[1]) != rows:
                    continue
                for right in self.matrices():
                    if right.dims == (inner, columns):
                        forms.append(lambda a=a, right=right: f"{a} @ {right.name} * 0.3")
                    if right.dims == (columns, inner):
                        forms.append(lambda a=a, right=right: f"np.dot({a}, {right.name}.T) * 0.3")
        if rows == columns:
            forms += [
                lambda: f"np.eye({rows}) * {self.atom()}",
                lambda: f"np.diag({self.vector(rows)})",
            ]
        return forms

    def more_reductions(self, array: Array) -> list[str]:
        """Texts of numbers made of an array."""
        x = array.name
        found = [
            f"np.std({x})", f"np.var({x})", f"np.prod(np.cos({x}))", f"np.max(np.abs({x}))", f"np.linalg.norm({x})",
            f"np.sum({x} > {self.number()}) * {self.number()}", f"np.{self.pick(('any', 'all'))}({x} > 0.4) * 0.3",
            f"np.log(np.sum(np.exp(np.tanh({x}))))",
        ]  # fmt: skip
        indices = [i for i in self.scope.indices.values() if i.low >= 0]
        if len(array.dims) == 1:
            (dim,) = array.dims
            found += [
                f"np.sum(np.diff({x}) ** 2) * 0.3",
                f"{x}[np.argmax({x})]",
                f"np.einsum('i,i->', {x}, {x})",
            ]
            found += [f"np.sum({x}[np.nonzero({x} > 0.1)[0]])", f"sum(v * 0.5 for v in {x})"]
            for i in (index.name for index in indices):
                found += [
                    f"np.sum({x}[{i}:])", f"np.sum({x}[:{i}] ** 2)", f"np.dot({x}[:{i}], {x}[:{i}][::-1])",
                    f"np.sum({x}[{i}::-1])", f"np.sum({x}[::-1][{i}:])", f"np.max(np.append({x}[{i}:], 0.2))",
                    f"np.sum({x}[{i}::2])", f"np.sum({x}[{i} % {dim.smallest}:-1:3])",
                ]  # fmt: skip
            if len(indices) > 1:
                i, j = (index.name for index in self.random.sample(indices, 2))
                found += [
                    f"np.sum({x}[{i}:{j}])", f"np.sum({x}[{i}:{j}] * 0.5 + {x}[{i}:{j}] ** 2)",
                    f"np.sum({x}[{i}:{j}:-1])", f"np.sum({x}[{j}:{i}:2])",
                ]  # fmt: skip
        else:
            rows, columns = array.dims
            found += [
                f"np.sum({x}.max(axis={self.random.randint(0, 1)}))", f"np.trace({x} @ {x}.T) * 0.1", f"np.sum({x}[1:, :-1])",
                f"np.sum({x}[[0, -1]][:, [1, 0]])", f"np.sum(np.diag({x}))", f"np.sum({x}.ravel()[::3])",
                f"np.dot({x}[{self.subscript(rows)}], {x}[{self.subscript(rows)}])",
                f"np.sum({x}[::-1, ::2] * 0.5)", f"np.einsum('ij,ij->', {x}, {x}) * 0.2",
            ]  # fmt: skip
            for i in (index.name for index in indices):
                found += [f"np.sum({x}[:{i}, {i}:])", f"np.sum({x}[{i}:].sum(axis=0) ** 2) * 0.1"]
        return found
