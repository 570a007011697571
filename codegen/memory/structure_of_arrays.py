"""Rows of a few numbers, as one array per column: the coordinates of particles.

A loop over `j` that reads `x[j, 0]`, `x[j, 1]` and `x[j, 2]` takes every third number from memory, and is not
vectorised. Where all subscripts of an array end in a number, and pairs of rows are gone through (loops in loops), each
column becomes an array of its own: arguments are taken apart at the beginning, results put together at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...ir import walk
from ...ir.primitive import REGISTRY, Kind
from ...ir.program import Atom, Exit, For, If, Index, Let, Lit, Node, Phi, Program, Var, atoms
from ...ir.types import I64, Type
from ..analysis.versions import Versions
from .scalar_replacement import Registers, is_small

COLUMNS = 4
"""Arrays with longer rows stay as they are."""
DEPTH = 2
"""Loops around an access, for the columns to be worth their copies."""


def structure_of_arrays(program: Program) -> Program:
    """Structure of arrays: rows of a few numbers that are read in pairs become an array for each column.

    >>> from ...ir.text import parse
    >>> print(structure_of_arrays(parse('''
    ... def f(x: f64[n, 2]) -> f64:
    ...     n: i64 = dim(x, 0)
    ...     for i in range(n):
    ...         s: f64 = phi(0.0, s_2)
    ...         for j in range(n):
    ...             t: f64 = phi(s, t_1)
    ...             a: f64 = x[i, 0]
    ...             b: f64 = x[j, 1]
    ...             c: f64 = a * b
    ...             t_1: f64 = t + c
    ...         s_2: f64 = last(t)
    ...     y: f64 = last(s)
    ...     return y''')))
    def f(x: f64[n, 2]) -> f64:
        n: i64 = dim(x, 0)
        x0: f64[n] = empty((n,), f64)
        x1: f64[n] = empty((n,), f64)
        for i_1 in range(n):
            x0_1: f64[n] = phi(x0, x0_2)
            x1_1: f64[n] = phi(x1, x1_2)
            x_i: f64 = x[i_1, 0]
            x0_2: f64[n] = x0_1.at[i_1].set(x_i)
            x_i_1: f64 = x[i_1, 1]
            x1_2: f64[n] = x1_1.at[i_1].set(x_i_1)
        x0_3: f64[n] = last(x0_1)
        x1_3: f64[n] = last(x1_1)
        for i in range(n):
            s: f64 = phi(0.0, s_2)
            for j in range(n):
                t: f64 = phi(s, t_1)
                a: f64 = x0_3[i]
                b: f64 = x1_3[j]
                c: f64 = a * b
                t_1: f64 = t + c
            s_2: f64 = last(t)
        y: f64 = last(s)
        return y
    """
    kept = _separable(program)
    return _Planes(program, kept).program() if kept else program


def has_short_rows(type: Type) -> bool:
    last = type.dims[-1] if type.rank in (2, 3) else None
    return isinstance(last, int) and 2 <= last <= COLUMNS and not is_small(type)


def _separable(program: Program) -> set[str]:
    """Names of arrays with short rows of which only elements at known columns are read and written, often enough."""
    rows = {v.name for v in (*program.params, *walk.bound(program.body)) if has_short_rows(v.type)}
    refused = {r.name for r in program.results if isinstance(r, Var) and r.type.rank != 2} & rows
    refused |= {p.name for p in program.params if p.type.rank != 2} & rows
    often: set[str] = set()

    versions = Versions(program, copies=True)
    refused |= {name for group in versions.groups() if group - rows for name in group}
    for node, depth in _with_depth(program.body, 0):
        if isinstance(node, Let):
            used = {a.name for a in atoms(node.args) if isinstance(a, Var)} & rows
            name, op, args = node.var.name, node.op.name, node.args
            if node.op.accesses and _column(args[1]) is not None and (op == "getitem" or not args[2].type.rank):  # type: ignore[union-attr]
                if depth >= DEPTH:
                    often |= used
                used -= {args[0].name}  # type: ignore[union-attr]
            elif op == "dim" or op == "copy":
                used = set()
            elif name in rows and node.op.kind is not Kind.ALLOCATE:
                refused.add(name)
            refused |= used
    bad = {versions.array(name) for name in refused}
    good = {versions.array(name) for name in often} - bad
    return {name for name in rows if versions.array(name) in good}


def _with_depth(nodes: Iterable[Node], depth: int) -> Iterator[tuple[Node, int]]:
    """All nodes, with the number of loops around each."""
    for node in nodes:
        yield node, depth
        for region in walk.regions(node):
            yield from _with_depth(region, depth + (not isinstance(node, If)))


def _column(index: object) -> int | None:
    if not isinstance(index, Index) or not index.items:
        return None
    if not all(isinstance(i, (Var, Lit)) and not i.type.rank for i in index.items):
        return None
    last = index.items[-1]
    return int(last.text) if isinstance(last, Lit) else None


class _Planes(Registers):
    """Each array that is kept consists of its columns."""

    def program(self) -> Program:
        old = self.source
        head = [n for n in old.body if isinstance(n, Let) and n.op.name == "dim"]
        with self.builder.open() as body:
            self.region(head)
            for param in old.params:
                if self.is_kept(param):
                    self.take_apart(param)
            self.region(n for n in old.body if n not in head)
            results = tuple(self.whole(r) if self.is_kept(r) else r for r in old.results)
        return self.builder.names.written(old, body=tuple(body), results=results)

    def fresh(self, var: Var) -> tuple[Var, ...]:
        *rows, columns = var.type.dims
        type = var.type.with_dims(tuple(rows))
        return tuple(self.builder.var(f"{var.name}{k}", type, var.name) for k in range(int(columns)))

    def parts(self, atom: Atom) -> tuple[Atom, ...]:
        assert isinstance(atom, Var)
        return self.elements[atom.name]

    def take_apart(self, param: Var) -> None:
        columns = self.empty(param)

        def step(index: Var) -> Iterator[tuple[Var, Index, Var]]:
            for k, column in enumerate(columns):
                read = self.builder.var(f"{param.name}_i", param.type.with_dims(()))
                place = Index((index, Lit(str(k), I64)))
                yield column, Index((index,)), self.read(read, param, place)

        self.elements[param.name] = self.sweep(param, columns, step)

    def whole(self, atom: Atom) -> Var:
        """The array itself again."""
        assert isinstance(atom, Var)
        shape = tuple(Lit(str(d), I64) if isinstance(d, int) else Var(d, I64) for d in atom.type.dims)
        array = self.builder.again(atom)
        self.builder.add(Let(array, REGISTRY["empty"], (shape, atom.type.dtype)))

        def step(index: Var) -> Iterator[tuple[Var, Index, Var]]:
            for k, column in enumerate(self.parts(atom)):
                assert isinstance(column, Var)
                read = self.builder.var(f"{column.name}_i", atom.type.with_dims(()), column.name)
                yield array, Index((index, Lit(str(k), I64))), self.read(read, column, Index((index,)))

        (result,) = self.sweep(atom, (array,), step)
        return result

    def read(self, var: Var, array: Var, index: Index) -> Var:
        self.builder.add(Let(var, REGISTRY["getitem"], (array, index)))
        return var

    def empty(self, array: Var) -> tuple[Var, ...]:
        columns = self.fresh(array)
        for column in columns:
            shape = tuple(Lit(str(d), I64) if isinstance(d, int) else Var(d, I64) for d in column.type.dims)
            self.builder.add(Let(column, REGISTRY["empty"], (shape, column.type.dtype)))
        return columns

    def sweep(self, array: Var, targets: tuple[Var, ...], step) -> tuple[Var, ...]:
        """A loop over the rows that writes what `step(index)` gives: (target, where, value)."""
        rows = array.type.dims[0]
        stop = Lit(str(rows), I64) if isinstance(rows, int) else Var(rows, I64)
        index = self.builder.var("i", I64)
        carried = {t.name: self.builder.again(t) for t in targets}
        here = dict(carried)
        with self.builder.open() as body:
            for target, where, value in step(index):
                after = self.builder.again(target)
                self.builder.add(Let(after, REGISTRY["at_set"], (here[target.name], where, value)))
                here[target.name] = after
        ends = tuple(self.builder.again(t) for t in targets)
        phis = tuple(Phi(carried[t.name], t, here[t.name]) for t in targets)
        exits = tuple(Exit(end, carried[t.name]) for end, t in zip(ends, targets))
        self.builder.add(For(index, Lit("0", I64), stop, False, phis, tuple(body), exits))
        return ends

    def let(self, let: Let) -> None:
        name, op, args = let.var.name, let.op.name, let.args
        add = lambda var, *operands: self.builder.add(Let(var, let.op, operands, let.span))
        if op == "getitem" and self.is_kept(args[0]):  # type: ignore[arg-type]
            column, rest = self.place(args)
            add(let.var, self.parts(args[0])[column], rest)  # type: ignore[arg-type]
        elif name not in self.kept:
            self.builder.add(let)
        elif let.op.kind is Kind.ALLOCATE:
            self.elements[name] = self.fresh(let.var)
            for var in self.fresh_of(name):
                add(var, args[0][:-1], *args[1:])  # type: ignore[index]
        elif op == "copy":
            olds = self.parts(args[0])  # type: ignore[arg-type]
            self.elements[name] = self.fresh(let.var)
            for var, old in zip(self.fresh_of(name), olds):
                add(var, old)
        else:
            column, rest = self.place(args)
            columns = list(self.parts(args[0]))  # type: ignore[arg-type]
            after = self.builder.var(f"{name}{column}", columns[column].type, name)
            add(after, columns[column], rest, args[2])
            columns[column] = after
            self.elements[name] = tuple(columns)

    def fresh_of(self, name: str) -> tuple[Var, ...]:
        return self.elements[name]  # type: ignore[return-value]

    def place(self, args: tuple[object, ...]) -> tuple[int, Index]:
        index = args[1]
        column = _column(index)
        assert isinstance(index, Index) and column is not None
        return column, Index(index.items[:-1])
