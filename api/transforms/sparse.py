"""Sparse Jacobians and Hessians: a pattern, a few sweeps for groups of columns or rows, and arrays of scipy.sparse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ..calls.effects import refuse_effects
from ..calls.fast_call import MISS
from ..calls.forms import Specialisation
from ..calls.pickling import reduced
from ..calls.plain_run import own_error
from ..calls.tree import Tree
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.errors import PullbackError, TypeMismatch
from ..ir.once import once
from ..ir.program import Program
from ..runtime import timings
from ..sparse.colouring import Colouring, colouring
from ..sparse.pattern import Pattern
from ..sparse.plan import Plan, checked_format
from ..tracer.session import current
from .argnums import positions
from .base import Lowered, Transform
from .compressed import FEW, Compressed, Compressible, ahead
from .gradient import Gradient


class SparseJacobian(Compressible):
    """The Jacobian as sparse arrays, by the pattern that `sparsity` says."""

    _kind = "jacobian"

    def __init__(
        self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False, sparsity: Any = "detect",
        format: str = "csr", value: bool = False, mode: str | None = None,
    ):  # fmt: skip
        super().__init__(function, argnums, has_aux)
        self._sparsity = (
            sparsity if isinstance(sparsity, str) and sparsity == "detect" else Pattern.of(sparsity)
        )
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
        self,
        made: Compressed,
        plan: Plan,
        params: Sequence[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
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
        raise TypeMismatch(
            f"{self!r} gives arrays of SciPy's, which compiled code cannot have: leave sparsity away"
        )

    def cfunc(self, signature: str) -> Any:
        raise TypeMismatch(
            f"{self!r} gives arrays of SciPy's, which a C function cannot give: leave sparsity away"
        )

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
            raise TypeMismatch(
                f"{self._kind} differentiates by floats, and the argument has none", self._traceable.span
            )
        return found

    def _inner(
        self, form: Specialisation, wrt: tuple[int, ...]
    ) -> tuple[str, Callable[[Program], Program], int]:
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
                f"with has_aux=True the function must return (value, aux), not {form.out}",
                self._traceable.span,
            )
        return form.out.children[0]

    def _stages(self, form: Specialisation, wrt: tuple[int, ...]) -> Lowered:
        name, make, count = self._inner(form, wrt)
        shown = ahead(make, wrt, count, False, FEW + 1)
        return Lowered(form.program, form.derived(f"sparse {name} {wrt} shown", shown))

    def _wrt(self, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> tuple[int, ...]:
        return tuple(p for params in self._floats(form, tree) for p in params if p is not None)

    def _coloured(self, pattern: Pattern) -> tuple[Pattern, Colouring]:
        return pattern, pattern.colouring if self._mode is None else colouring(pattern, self._mode)


class SparseHessian(SparseJacobian):
    """The Hessian as sparse arrays: the Jacobian of the gradient's program, half of it from the other half."""

    _kind = "hessian"
    _symmetric = True

    def _inner(
        self, form: Specialisation, wrt: tuple[int, ...]
    ) -> tuple[str, Callable[[Program], Program], int]:
        gradient: Gradient[..., Any] = Gradient(self.__wrapped__, self._given, self._has_aux)
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
