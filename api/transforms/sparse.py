"""Sparse Jacobians and Hessians: the program's own pattern, a few sweeps for groups of columns or rows, SciPy's arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls.effects import refuse_effects
from ..calls.fast_call import MISS, Repeated
from ..calls.forms import Specialisation
from ..calls.guards import SCALARS
from ..calls.pickling import reduced
from ..calls.plain_run import own_error
from ..calls.tree import Tree, flatten
from ..ir.adjoint.reverse_mode import adjoint, split_adjoint
from ..ir.errors import PullbackError, ShapeMismatch, TypeMismatch, UnsupportedFunction
from ..ir.once import once
from ..ir.program import Program, Var
from ..ir.tangent import tangent
from ..ir.vmap import mapped
from ..ir.walk import free
from ..runtime import options, timings
from ..runtime.lazy import lazy
from ..sparse.colouring import Colouring, colouring
from ..sparse.detect import detected
from ..sparse.pattern import Pattern
from ..sparse.plan import Plan, checked_format
from ..tracer.session import current
from .argnums import positions
from .base import Lowered, Transform
from .gradient import Gradient

PLANS = 8
"""Sizes and integers of one form for which the pattern is kept."""
ROUGH = {np.dtype(np.float64): 1e-8, np.dtype(np.float32): 1e-3}


class SparseJacobian(Transform):
    """The Jacobian as sparse arrays, by the pattern that `sparsity` says."""

    _kind = "jacobian"

    def __init__(
        self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False, sparsity: Any = "detect",
        format: str = "csr", value: bool = False, mode: str | None = None,
    ):  # fmt: skip
        super().__init__(function, argnums, has_aux)
        self._sparsity = sparsity if isinstance(sparsity, str) and sparsity == "detect" else Pattern.of(sparsity)
        self._format, self._value, self._mode = checked_format(format), value, mode
        if mode is not None:
            self._kind = "jacfwd" if mode == "forward" else "jacrev"
        self._forms: dict[Specialisation, Compressed] = {}
        self._used: Plan | None = None
        self._ready: Callable[[tuple[Any, ...]], Any] | None = None

    def __reduce__(self) -> str | tuple[Any, ...]:
        rest = self._sparsity, self._format, self._value, self._mode
        return reduced(self, self._given, self._has_aux, *rest)

    @once
    def _method(self) -> Transform:
        if self._given is not None:
            return self
        rest = self._sparsity, self._format, self._value, self._mode
        return type(self)(self.__wrapped__, 1, self._has_aux, *rest)

    # -- what was found --------------------------------------------------------------------------------

    @property
    def pattern(self) -> Pattern:
        """The pattern of the last call."""
        return self._last_plan().pattern

    @property
    def colouring(self) -> Colouring:
        """Which columns and rows the last call took together."""
        return self._last_plan().colouring

    @property
    def plan(self) -> str:
        """What the last call did, in words."""
        return "nothing was called yet" if self._used is None else str(self._used.colouring)

    def _last_plan(self) -> Plan:
        if self._used is None:
            raise AttributeError("nothing was called yet: call the function first")
        return self._used

    # -- calls -----------------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._ready is not None and not kwargs:
            found = self._ready(args)
            if found is not MISS:
                return found
        return self._first(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        failed = None
        try:
            form, params, leaves, tree = self._traceable.find(args, kwargs)
            with form.lock:
                made = self._forms.get(form)
                if made is None:
                    made = self._forms[form] = self._compressed(form, tree, leaves)
            self._last, self._last_wrt = form, made.wrt
            plan = made.plan(params)
            self._used = plan
            try:
                return self._result(made, plan, params, args, kwargs)
            except PullbackError:
                raise
            except Exception as error:
                failed = error
        except PullbackError as error:  # says all; our frames would only hide it
            raise error.with_traceback(None) from None
        raise own_error(self._traceable.function, args, kwargs, failed)

    def _compressed(self, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> Compressed:
        refuse_effects(form, "a sparse derivative")
        return Compressed(self, form, tree)

    def _result(
        self, made: Compressed, plan: Plan, params: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with timings.stage("run"):
            own, numbers = made.run(plan, params)
        result = made.finished(own, plan.matrices(numbers))
        if not kwargs and not made.trees and made.simple:
            self._ready = made.ready(plan)
        return result

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        session = current()
        assert session is not None
        raise session.error(
            TypeMismatch,
            f"{self!r} gives arrays of SciPy's, which a traced function cannot have: call it from Python, or leave "
            "sparsity away",
        )

    @property
    def _numba_type_(self) -> Any:
        raise TypeMismatch(f"{self!r} gives arrays of SciPy's, which compiled code cannot have: leave sparsity away")

    def cfunc(self, signature: str) -> Any:
        raise TypeMismatch(f"{self!r} gives arrays of SciPy's, which a C function cannot give: leave sparsity away")

    # -- programs --------------------------------------------------------------------------------------

    def _floats(self, form: Specialisation, tree: Tree) -> list[list[int | None]]:
        """For each chosen argument its leaves: the parameter of a float, None for what is none."""
        counts = [child.count for child in tree.children[0].children]
        found: list[list[int | None]] = []
        for position in positions(self._argnums, len(counts), self._traceable.span):
            start = sum(counts[:position])
            params = [form.traced.leaves[k] for k in range(start, start + counts[position])]
            types = form.traced.program.params
            found.append([p if p is not None and types[p].type.is_float else None for p in params])
        if not any(p is not None for leaves in found for p in leaves):
            raise TypeMismatch(f"{self._kind} differentiates by floats, and the argument has none", self._traceable.span)
        return found

    def _inner(self, form: Specialisation, wrt: tuple[int, ...]) -> tuple[str, Callable[[Program], Program], int]:
        """A name, what makes the program whose Jacobian is asked for, and how many of its results count."""
        leaves = self._value_results(form)
        rest = tuple(range(len(leaves), len(form.results)))

        def make(p: Program) -> Program:
            aux = [form.results[k].k for k in rest if hasattr(form.results[k], "k")]
            return replace(p, results=tuple(p.results[k] for k in (*leaves, *aux)))

        return "jacobian", make, len(leaves)

    def _value_results(self, form: Specialisation) -> list[int]:
        """The results of the program that are the leaves of the value; all must be floats."""
        tree = self._value_tree(form)
        found = []
        for entry, path in zip(form.results, tree.paths("the value")):
            k = getattr(entry, "k", None)
            if k is None or not form.traced.program.results[k].type.is_float:
                raise TypeMismatch(
                    f"{self._kind} differentiates floats; {path} is none. Return it as aux, with has_aux=True",
                    self._traceable.span,
                )
            found.append(k)
        return found

    def _value_tree(self, form: Specialisation) -> Tree:
        if not self._has_aux:
            return form.out
        if form.out.kind is not tuple or len(form.out.children) != 2:
            raise TypeMismatch(
                f"with has_aux=True the function must return (value, aux), not {form.out}", self._traceable.span
            )
        return form.out.children[0]

    def _stages(self, form: Specialisation, wrt: tuple[int, ...]) -> Lowered:
        name, make, count = self._inner(form, wrt)
        return Lowered(form.program, form.derived(f"sparse {name} {wrt} forward", _ahead(make, wrt, count)))

    def _wrt(self, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> tuple[int, ...]:
        return tuple(p for params in self._floats(form, tree) for p in params if p is not None)

    def _coloured(self, pattern: Pattern) -> tuple[Pattern, Colouring]:
        return pattern, pattern.colouring if self._mode is None else colouring(pattern, self._mode)


class SparseHessian(SparseJacobian):
    """The Hessian as sparse arrays: the Jacobian of the gradient's program, half of it from the other half."""

    _kind = "hessian"

    def _inner(self, form: Specialisation, wrt: tuple[int, ...]) -> tuple[str, Callable[[Program], Program], int]:
        gradient = Gradient(self.__wrapped__, self._given, self._has_aux)
        gradient._kind = "hessian"
        gradient._check_result(form)
        value_at = form.results[0].k

        def make(p: Program) -> Program:
            own = replace(p, results=(p.results[value_at],))
            made = adjoint(own, wrt, seeds=False, value=True)
            aux = tuple(r for k, r in enumerate(p.results) if k != value_at)
            return replace(made, results=(*made.results[1:], *aux))

        return "hessian", make, len(wrt)

    def _value_tree(self, form: Specialisation) -> Tree:
        raise NotImplementedError

    def _coloured(self, pattern: Pattern) -> tuple[Pattern, Colouring]:
        whole = pattern.symmetrised()
        found = whole.symmetric_colouring
        return whole, found if found.forward < whole.shape[1] else colouring(whole, "forward")


def _ahead(make: Callable[[Program], Program], wrt: Sequence[int], count: int) -> Callable[[Program], Program]:
    """The program of the value, aux, and the tangents along many directions."""

    def made(p: Program) -> Program:
        inner = make(p)
        own = replace(inner, results=inner.results[:count])
        pushed = tangent(own, list(wrt), value=False, batch=_batched(inner, wrt))
        return replace(pushed, results=(*inner.results, *pushed.results))

    return made


def _batched(program: Program, wrt: Sequence[int]) -> bool:
    return True


class Compressed:
    """One form of a function: its compiled programs, and the plans for the sizes it was called with."""

    def __init__(self, transform: SparseJacobian, form: Specialisation, tree: Tree):
        self.transform, self.form, self.tree = transform, form, tree
        self.floats = transform._floats(form, tree)
        self.wrt = tuple(p for params in self.floats for p in params if p is not None)
        self.name, self.make, self.count = transform._inner(form, self.wrt)
        self.hessian = isinstance(transform, SparseHessian)
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
            pattern, colours, tuple(map(np.shape, params)), kept, sizes, columns, dtypes, results, transform._format
        )
        if given:
            self._tried(plan, params, dtypes)
        return plan

    def _sizes(self, params: Sequence[Any], pattern: Pattern, columns: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The shapes of the value's leaves, by running the program once; they must be those of the pattern."""
        if self.hessian:
            sizes = columns
        else:
            run = self.form.compiled(f"sparse value {self.wrt} {self.transform._has_aux}", self.make, outside=True)
            sizes = [np.shape(v) for v in run(*params)[: self.count]]
        found = tuple(sum(int(np.prod(s, dtype=np.int64)) for s in part) for part in (sizes, columns))
        if found != pattern.shape:
            raise ShapeMismatch(
                f"the pattern is of a {pattern.shape[0]} x {pattern.shape[1]} matrix, and this {self.name} has "
                f"{found[0]} x {found[1]}: give the pattern of these sizes, or sparsity=\"detect\""
            )
        return sizes

    def _tried(self, plan: Plan, params: Sequence[Any], dtypes: Sequence[Any]) -> None:
        """A pattern that somebody gave must hold: the product with one direction is compared with what it gives."""
        rng = np.random.default_rng(0)
        v = rng.uniform(0.5, 1.5, plan.pattern.shape[1])
        whole = lazy("scipy.sparse").vstack([lazy("scipy.sparse").hstack(row) for row in plan.matrices(self.run(plan, params)[1])])
        seeds = []
        start = 0
        for k, dtype in zip(self.wrt, dtypes):
            shape = np.shape(params[k])
            size = int(np.prod(shape, dtype=np.int64))
            seeds.append(np.ascontiguousarray(v[start : start + size].reshape(*shape, 1), dtype))
            start += size
        pushed = np.concatenate([np.reshape(d, -1) for d in self.forward(*params, *seeds)[-self.count :]])
        found, scale = whole @ v, abs(whole) @ v + np.abs(pushed)
        rough = max(ROUGH[np.dtype(d)] for d in dtypes)
        if np.any(np.abs(found - pushed) > rough * scale):
            row = int(np.argmax(np.abs(found - pushed) - rough * scale))
            raise UnsupportedFunction(
                f"the pattern that was given misses entries of the {self.name}: row {row} times a vector is not what "
                "the function's derivative gives. Use sparsity=\"detect\""
            )

    # -- running ---------------------------------------------------------------------------------------

    @property
    def forward(self) -> Callable[..., Any]:
        kind = f"sparse {self.name} {self.wrt} {self.transform._has_aux} forward"
        return self.form.compiled(kind, _ahead(self.make, self.wrt, self.count), outside=True)

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

        first = self.form.compiled(f"{name} value", half(0), outside=True)
        return first, self.form.compiled(f"{name} rows", half(1), outside=True)

    def run(self, plan: Plan, params: Sequence[Any]) -> tuple[Sequence[Any], np.ndarray]:
        """The results of the program itself, and the products."""
        ahead: Sequence[Any] = ()
        back: Sequence[Any] = ()
        own: Sequence[Any] = ()
        if plan.colouring.forward:
            values = self.forward(*params, *plan.forward_seeds)
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
        forward, seeds, shapes = Repeated(self.forward), tuple(plan.forward_seeds), plan.shapes
        arrays = [(k, shape) for k, shape in enumerate(shapes) if shape]
        given = list(plan.given.items())
        matrix, transform, current_options, where = block.matrix, self.transform, options.current, len(self.tree.children[0].children)

        def call(args: tuple[Any, ...]) -> Any:
            if current_options() is not settings or len(args) != where:
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
            for position, params in zip(positions(transform._argnums, len(self.tree.children[0].children)), self.floats):
                leaves = [None if p is None else next(parts) for p in params]
                columns.append(self.tree.children[0].children[position].unflatten(leaves))
            rows.append(columns[0] if isinstance(transform._argnums, int) else tuple(columns))
        if self.hessian:
            return self._hessian(own, rows)
        found = transform._value_tree(self.form).unflatten(rows)
        if not (transform._value or transform._has_aux):
            return found
        numbers = iter(own)
        leaves = [self._own(entry, next(numbers)) if hasattr(entry, "k") else entry for entry in self.form.results]
        whole = self.form.out.unflatten(leaves)
        if transform._value:
            return whole, found
        return found, whole[1]

    def _hessian(self, own: Sequence[Any], rows: list[Any]) -> Any:
        """A block for each pair of arguments, in their structure."""
        transform = self.transform
        blocks = iter(rows)
        found = []
        for position, params in zip(positions(transform._argnums, len(self.tree.children[0].children)), self.floats):
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
