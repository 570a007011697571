"""One form of a function whose Jacobian is sparse: programs with seeds for groups of columns or rows, and plans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls.fast_call import MISS, Repeated
from ..calls.forms import Specialisation
from ..calls.guards import SCALARS
from ..calls.tree import Tree
from ..ir.adjoint.reverse_mode import split_adjoint
from ..ir.build import literal
from ..ir.errors import ShapeMismatch, UnsupportedFunction
from ..ir.program import Let, Program, Var
from ..ir.tangent import tangent
from ..ir.vmap import mapped
from ..ir.walk import free, substitute, substitution
from ..runtime import options, timings
from ..runtime.lazy import lazy
from ..sparse.colouring import Colouring
from ..sparse.detect import detected
from ..sparse.pattern import Pattern
from ..sparse.plan import Plan
from .argnums import positions
from .base import Transform

PLANS = 8
"""Sizes and integers of one form for which the pattern is kept."""
FEW = 8
"""Numbers of directions for each of which there is a program of its own."""
ROUGH = {np.dtype(np.float64): 1e-8, np.dtype(np.float32): 1e-3}
"""How far a product may be off."""


class Compressible(Transform):
    """What a transform with a sparse result says of its function."""

    _symmetric = False
    _sparsity: Any
    _format: str
    _value: bool
    _used: Plan | None

    def _floats(self, form: Specialisation, tree: Tree) -> list[list[int | None]]:
        """For each chosen argument its leaves: the parameter of a float, None for what is none."""
        raise NotImplementedError

    def _inner(
        self, form: Specialisation, wrt: tuple[int, ...]
    ) -> tuple[str, Callable[[Program], Program], int]:
        """A name, what makes the program whose Jacobian is asked for, and how many of its results count."""
        raise NotImplementedError

    def _value_tree(self, form: Specialisation) -> Tree:
        """The form of the value, without aux."""
        raise NotImplementedError

    def _coloured(self, pattern: Pattern) -> tuple[Pattern, Colouring]:
        raise NotImplementedError


def ahead(
    make: Callable[[Program], Program], wrt: Sequence[int], count: int, values: bool, directions: int
) -> Callable[[Program], Program]:
    """The program of the tangents along so many directions, behind the value and aux if `values`."""

    def made(p: Program) -> Program:
        inner = make(p)
        own = replace(inner, results=inner.results[:count])
        pushed = tangent(own, list(wrt), value=False, batch=True)
        pushed = replace(pushed, results=(*(inner.results if values else ()), *pushed.results))
        return fixed(pushed, directions) if directions <= FEW else pushed

    return made


def fixed(program: Program, directions: int) -> Program:
    """With the last size of the last parameter as a number: short loops are written out when they are compiled."""
    size = program.params[-1].type.dims[-1]
    assert isinstance(size, str)
    body = tuple(node for node in program.body if not (isinstance(node, Let) and node.var.name == size))
    atom, var, _ = substitution({size: literal(directions, "i64")})
    params = tuple(map(var, program.params))
    settled = substitute(body, {size: literal(directions, "i64")})
    return replace(program, params=params, body=tuple(settled), results=tuple(map(atom, program.results)))


class Compressed:
    """One form of a function: its compiled programs, and the plans for the sizes it was called with."""

    def __init__(self, transform: Compressible, form: Specialisation, tree: Tree):
        self.transform, self.form, self.tree = transform, form, tree
        self.floats = transform._floats(form, tree)
        positional = tree.children[0].children
        self.arguments = [positional[k] for k in positions(transform._argnums, len(positional))]
        self.wrt = tuple(p for params in self.floats for p in params if p is not None)
        self.name, self.make, self.count = transform._inner(form, self.wrt)
        self.values = transform._value or transform._has_aux
        self.hessian = transform._symmetric
        self.inner = form.derived(f"sparse {self.name} {self.wrt} {transform._has_aux}", self.make)
        used = free(self.inner.body) | {r.name for r in self.inner.results if isinstance(r, Var)}
        params = enumerate(form.traced.program.params)
        self.integers = [k for k, p in params if not p.type.is_float and p.name in used]
        self.plans: list[Plan] = []
        self.trees = any(child.kind is not None for child in tree.children[0].children)
        scalar = len(self.wrt) == 1 and self.count == 1
        self.simple = scalar and not transform._value and not transform._has_aux and self._plain_value()

    def _plain_value(self) -> bool:
        return self.hessian or self.form.out.is_leaf

    # -- plans -----------------------------------------------------------------------------------------

    def plan(self, params: Sequence[Any]) -> Plan:
        """The plan for parameters of these sizes and integers."""
        for plan in self.plans:
            if plan.fits(params):
                return plan
        with self.form.lock:
            made = self._planned(params)
            self.plans = [made, *self.plans][:PLANS]
        return made

    def _planned(self, params: Sequence[Any]) -> Plan:
        transform = self.transform
        columns = [np.shape(params[k]) for k in self.wrt]
        if isinstance(transform._sparsity, Pattern):
            pattern, given = transform._sparsity, True
        else:
            with timings.stage("detect"):
                pattern, given = detected(self.inner, params, self.wrt, self.count), False
        own = self.form.traced.program.params
        dtypes = [own[k].type.numpy for k in self.wrt]
        results = [r.type.numpy for r in self.inner.results[: self.count]]
        sizes = self._sizes(params, pattern, columns)
        with timings.stage("colour"):
            pattern, colours = transform._coloured(pattern)
        kept = {k: np.array(params[k]) for k in self.integers}
        plan = Plan(
            pattern,
            colours,
            tuple(map(np.shape, params)),
            kept,
            sizes,
            columns,
            dtypes,
            results,
            transform._format,
        )
        if given:
            self._tried(plan, params, dtypes)
        return plan

    def _sizes(
        self, params: Sequence[Any], pattern: Pattern, columns: list[tuple[int, ...]]
    ) -> list[tuple[int, ...]]:
        """The shapes of the value's leaves, by running the program once; they must be those of the pattern."""
        if self.hessian:
            sizes = columns
        else:
            run = self.form.compiled(
                f"backward sparse value {self.wrt} {self.transform._has_aux}", self.make, outside=True
            )
            sizes = [np.shape(v) for v in run(*params)[: self.count]]
        found = tuple(sum(int(np.prod(s, dtype=np.int64)) for s in part) for part in (sizes, columns))
        if found != pattern.shape:
            raise ShapeMismatch(
                f"the pattern is of a {pattern.shape[0]} x {pattern.shape[1]} matrix, and this {self.name} has "
                f'{found[0]} x {found[1]}: give the pattern of these sizes, or sparsity="detect"'
            )
        return sizes

    def _tried(self, plan: Plan, params: Sequence[Any], dtypes: Sequence[Any]) -> None:
        """A pattern that somebody gave must hold: the product with one direction is compared with what it gives."""
        rng = np.random.default_rng(0)
        v = rng.uniform(0.5, 1.5, plan.pattern.shape[1])
        whole = lazy("scipy.sparse").vstack(
            [lazy("scipy.sparse").hstack(row) for row in plan.matrices(self.run(plan, params)[1])]
        )
        seeds = []
        start = 0
        for k, dtype in zip(self.wrt, dtypes):
            shape = np.shape(params[k])
            size = int(np.prod(shape, dtype=np.int64))
            seeds.append(np.ascontiguousarray(v[start : start + size].reshape(*shape, 1), dtype))
            start += size
        pushed = np.concatenate([np.reshape(d, -1) for d in self.forward(1)(*params, *seeds)[-self.count :]])
        found, scale = whole @ v, abs(whole) @ v + np.abs(pushed)
        rough = max(ROUGH[np.dtype(d)] for d in dtypes)
        if np.any(np.abs(found - pushed) > rough * scale):
            row = int(np.argmax(np.abs(found - pushed) - rough * scale))
            raise UnsupportedFunction(
                f"the pattern that was given misses entries of the {self.name}: row {row} times a vector is not what "
                'the function\'s derivative gives. Use sparsity="detect"'
            )

    # -- running ---------------------------------------------------------------------------------------

    def forward(self, directions: int) -> Callable[..., Any]:
        """The compiled program of so many directions."""
        fixed = min(directions, FEW + 1)
        kind = f"backward sparse {self.name} {self.wrt} {self.transform._has_aux} forward {self.values} {fixed}"
        return self.form.compiled(kind, ahead(self.make, self.wrt, self.count, self.values, fixed), outside=True)

    def _pair(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        halves: list[Program] = []
        name = f"sparse {self.name} {self.wrt} {self.transform._has_aux}"

        def half(k: int) -> Callable[[Program], Program]:
            def made(p: Program) -> Program:
                if not halves:
                    ahead, back = split_adjoint(self.make(p), self.wrt, self.count)
                    seeds = range(len(back.params) - self.count, len(back.params))
                    halves.extend([ahead, mapped(back, list(seeds))])
                return halves[k]

            return made

        first = self.form.compiled(f"forward {name} value", half(0), outside=True)
        return first, self.form.compiled(f"backward {name} rows", half(1), outside=True)

    def run(self, plan: Plan, params: Sequence[Any]) -> tuple[Sequence[Any], np.ndarray]:
        """The results of the program itself, and the products."""
        ahead: Sequence[Any] = ()
        back: Sequence[Any] = ()
        own: Sequence[Any] = ()
        if plan.colouring.forward:
            values = self.forward(plan.colouring.forward)(*params, *plan.forward_seeds)
            own, ahead = values[: len(values) - self.count], values[len(values) - self.count :]
        if plan.colouring.reverse:
            first, second = self._pair()
            values = first(*params)
            width = len(self.inner.results)
            own = values[:width]
            back = second(*values[width:], *plan.reverse_seeds)
        return own, plan.numbers(ahead, back)

    def ready(self, plan: Plan) -> Callable[[tuple[Any, ...]], Any] | None:
        """A call of plain arguments by this plan: MISS where it does not fit."""
        if plan.colouring.reverse:
            return None
        settings, match, block = options.current(), self.form.match, plan.blocks[0][0]
        forward, seeds, shapes = Repeated(self.forward(plan.colouring.forward)), tuple(plan.forward_seeds), plan.shapes
        arrays = [(k, shape) for k, shape in enumerate(shapes) if shape]
        given = list(plan.given.items())
        matrix, transform, current = block.matrix, self.transform, options.current
        count = len(self.tree.children[0].children)

        def call(args: tuple[Any, ...]) -> Any:
            if current() is not settings or len(args) != count:
                return MISS
            params = match(args)
            if params is None:
                return MISS
            for k, shape in arrays:
                if params[k].shape != shape:
                    return MISS
            for k, value in given:
                if not np.array_equal(params[k], value):
                    return MISS
            transform._used = plan
            return matrix(forward(*params, *seeds)[-1].reshape(-1))

        return call

    # -- results ---------------------------------------------------------------------------------------

    def finished(self, own: Sequence[Any], matrices: list[list[Any]]) -> Any:
        """The user's result, of the program's own results and the blocks."""
        transform = self.transform
        rows = []
        for row in matrices:
            parts = iter(row)
            columns = []
            for position, params in zip(
                positions(transform._argnums, len(self.tree.children[0].children)), self.floats
            ):
                leaves = [None if p is None else next(parts) for p in params]
                columns.append(self.tree.children[0].children[position].unflatten(leaves))
            rows.append(columns[0] if isinstance(transform._argnums, int) else tuple(columns))
        if self.hessian:
            return self._hessian(own, rows)
        found = transform._value_tree(self.form).unflatten(rows)
        if not (transform._value or transform._has_aux):
            return found
        numbers = iter(own)
        leaves = [
            self._own(entry, next(numbers)) if hasattr(entry, "k") else entry for entry in self.form.results
        ]
        whole = self.form.out.unflatten(leaves)
        if transform._value:
            return whole, found
        return found, whole[1]

    def _hessian(self, own: Sequence[Any], rows: list[Any]) -> Any:
        """A block for each pair of arguments, in their structure."""
        transform = self.transform
        blocks = iter(rows)
        found = []
        for position, params in zip(
            positions(transform._argnums, len(self.tree.children[0].children)), self.floats
        ):
            leaves = [None if p is None else next(blocks) for p in params]
            found.append(self.tree.children[0].children[position].unflatten(leaves))
        matrix = found[0] if isinstance(transform._argnums, int) else tuple(found)
        if not transform._has_aux:
            return matrix
        numbers = iter(own[self.count :])
        leaves = [self._own(e, next(numbers)) if hasattr(e, "k") else e for e in self.form.results[1:]]
        return matrix, self.form.out.children[1].unflatten(leaves)

    def _own(self, entry: Any, value: Any) -> Any:
        """A result as the function gives it: a scalar that was no Python number gets its NumPy type."""
        type_ = self.form.traced.program.results[entry.k].type
        if type_.dims or (entry.weak and type_.dtype != "bool"):
            return value
        return SCALARS[type_.dtype](value)
