"""The gradient of a scalar function: called from Python, and inside of a traced function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calls.effects import effects_of
from ..calls.fast_call import Results, finished, put_together
from ..calls.forms import Specialisation
from ..calls.guards import SCALARS
from ..calls.pickling import reduced
from ..calls.tree import Tree, flatten
from ..ir.adjoint.checkpoint import Schedule
from ..ir.adjoint.reverse_mode import adjoint
from ..ir.errors import PullbackError, TypeMismatch
from ..ir.once import once
from ..ir.program import Atom, Program
from ..ir.types import Type
from ..ir.walk import inline
from ..runtime import options
from ..tracer.calls import call_given
from ..tracer.nested import capture
from ..tracer.outside.paths import named
from ..tracer.session import Session, current
from ..tracer.values.symbol import Array, Cell, Scalar, Symbol, as_value
from .argnums import checked_schedule, positions
from .base import Direct, Entry, Lowered, P, R, Text, Transform
from .saved import kept, report


class Gradient(Direct[P, R]):
    """grad and value_and_grad: the gradient of a scalar function."""

    _kind = "grad"
    _value = False
    _skipped = 0
    """Arguments in front of those that the user counts: the instance of a bound method."""
    _otherwise = "use y, pull = pb.vjp(f, *args) and give pull a seed of that shape"
    """What to do for an array."""

    def __init__(
        self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False, checkpoint: Schedule = None
    ):
        super().__init__(function, argnums, has_aux)
        self._checkpoint = checked_schedule(checkpoint, self._traceable.span)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._given, self._has_aux, self._checkpoint)

    @property
    def _schedule(self) -> Schedule:
        """How loops save memory: as this gradient was made, or as the options say."""
        return options.current().checkpoint if self._checkpoint is None else self._checkpoint

    def _named(self, wrt: tuple[int, ...]) -> str:
        """Under which name a form has the programs of this gradient."""
        return f"{self._kind} {wrt}" + ("" if self._checkpoint is None else f" {self._checkpoint!r}")

    @once
    def _method(self) -> Transform:
        if self._given is not None:
            return self
        method = type(self)(self.__wrapped__, 1, self._has_aux, self._checkpoint)
        method._traceable, method._skipped = self._traceable, 1
        return method

    def _positions(self, count: int) -> tuple[int, ...]:
        """argnums as positions of arguments."""
        return positions(self._argnums, count, self._traceable.span)

    def _leaf_range(self, tree: Tree, position: int) -> range:
        counts = [child.count for child in tree.children[0].children]
        start = sum(counts[:position])
        return range(start, start + counts[position])

    def _wrt(self, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> tuple[int, ...]:
        """Parameters of the program that are differentiated."""
        wrt: list[int] = []
        for position in self._positions(len(tree.children[0].children)):
            floats = []
            for k in self._leaf_range(tree, position):
                param = form.traced.leaves[k]
                if param is not None and form.traced.program.params[param].type.is_float:
                    floats.append(param)
            if not floats:
                raise TypeMismatch(self._not_float(tree, position, leaves))
            wrt += floats
        return tuple(wrt)

    def _check_arguments(self, leaves: Sequence[Any], tree: Tree) -> None:
        """Before tracing: is there a float to differentiate by?"""
        for position in self._positions(len(tree.children[0].children)):
            if not any(_is_float(leaves[k]) for k in self._leaf_range(tree, position)):
                raise TypeMismatch(self._not_float(tree, position, leaves))

    def _not_float(self, tree: Tree, position: int, leaves: Sequence[Any]) -> str:
        found = [leaves[k] for k in self._leaf_range(tree, position)]
        if not found:
            return f"argument {position - self._skipped} is empty: there is nothing to differentiate"
        leaf = found[0]
        kind = f"array of {leaf.dtype}" if isinstance(leaf, np.ndarray) else type(leaf).__name__
        how = "x.astype(float)" if isinstance(leaf, np.ndarray) else "float(x)"
        if isinstance(leaf, str) or not isinstance(leaf, (np.ndarray, np.generic, int, float)):
            how = "a float or an array of floats, or choose another argument with argnums"
        argument = f"argument {position - self._skipped}"
        return f"{self._kind} differentiates by floats, but {argument} is of type {kind}: pass {how}"

    def _check_result(self, form: Specialisation) -> None:
        """The differentiated result must be one float scalar."""
        try:
            self._check_scalar(form)
        except TypeMismatch as error:
            raise TypeMismatch(error.bare_message, self._traceable.span) from None

    def _check_scalar(self, form: Specialisation) -> None:
        results = form.traced.program.results
        self._check_value(form.out, [results[r.k].type if hasattr(r, "k") else None for r in form.results])

    def _check_value(self, tree: Tree, types: Sequence[Type | None]) -> None:
        """types   of the leaves of what the function returns; None for what is no array or number"""
        if self._has_aux:
            if tree.kind is not tuple or len(tree.children) != 2:
                raise TypeMismatch(f"with has_aux=True the function must return (value, aux), not {tree}")
            types = types[: tree.children[0].count]
        if not types:
            raise TypeMismatch(
                f"{self._name()} returns None: {self._kind} needs a float. Is a return missing?"
            )
        (type_, *others) = types
        if others or type_ is None:
            two = tree.kind in (tuple, list) and len(tree.children) == 2 and not self._has_aux
            hint = " If the second value is auxiliary, say has_aux=True." if two else ""
            raise TypeMismatch(
                f"{self._name()} returns {tree}; {self._kind} needs one float.{hint} For several outputs use pb.vjp"
            )
        if type_.dims:
            raise TypeMismatch(
                f"{self._name()} returns an array of type {type_}; {self._kind} needs a scalar. "
                f"Sum it, or {self._otherwise}"
            )
        if not type_.is_float:
            raise TypeMismatch(f"{self._name()} returns {type_}; {self._kind} needs a float")

    def _name(self) -> str:
        return getattr(self._traceable.function, "__name__", "the function")

    def _make(self, form: Specialisation, wrt: tuple[int, ...]) -> Callable[[Program], Program]:
        """Program -> value (if asked for), cotangents, auxiliary results."""
        value_at = form.results[0].k

        def make(p: Program) -> Program:
            own = replace(p, results=(p.results[value_at],))
            gradient = adjoint(own, wrt, seeds=False, value=True, checkpoint=self._schedule)
            aux = tuple(r for k, r in enumerate(p.results) if k != value_at)
            results = gradient.results if self._value else gradient.results[1:]
            name = f"{p.name}_value_and_grad" if self._value else f"{p.name}_grad"
            return replace(gradient, name=name, results=(*results, *aux))

        return make

    def _stages(self, form: Specialisation, wrt: tuple[int, ...]) -> Lowered:
        self._check_result(form)
        return Lowered(form.program, form.derived(self._named(wrt), self._make(form, wrt)))

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The long way: find the form, or make it."""
        try:
            form, params, leaves, tree = self._traceable.find(args, kwargs, self._check_arguments)
            settings = options.current()
            entry = form.entries.get(self._entry_key(settings))
            if entry is None:
                with form.lock:
                    entry = form.entries.get(self._entry_key(settings)) or self._prepare(form, tree, leaves, settings)
            self._last, self._last_wrt = form, entry.wrt
            return entry.call(self, params, args, kwargs)
        except PullbackError as error:  # says all; our frames would only hide it
            raise error.with_traceback(None) from None

    def _entry_key(self, settings: Any) -> Any:
        argnums = self._argnums if isinstance(self._argnums, int) else tuple(self._argnums)
        return self._kind, argnums, self._has_aux, self._checkpoint, settings

    def _prepare(self, form: Specialisation, tree: Tree, leaves: Sequence[Any], settings: Any) -> Entry:
        wrt = self._wrt(form, tree, leaves)
        self._check_result(form)
        results = self._results(form, tree, wrt)
        value_at, first = form.results[0].k, len(wrt) + int(self._value)
        effects = effects_of(form.traced, lambda k: first + k - (k > value_at))
        entry = Entry(form, wrt, settings, self._named(wrt), self._make(form, wrt), results, effects)
        form.entries[self._entry_key(settings)] = entry
        return entry

    def _results(self, form: Specialisation, tree: Tree, wrt: tuple[int, ...]) -> Results:
        """The user's result as text over the program's: value (if asked for), cotangents, auxiliary results."""
        scope: dict[str, Any] = {}
        first = int(self._value)
        bars = {param: k for k, param in enumerate(wrt, first)}
        grads = []
        for position in self._positions(len(tree.children[0].children)):
            leaves = []
            for k in self._leaf_range(tree, position):
                param = form.traced.leaves[k]
                finish = None if param not in bars else finisher(form, param)
                text = "None" if param not in bars else f"r{bars[param]}"
                leaves.append(text if finish is None else f"{named(scope, finish)}({text})")
            grads.append(put_together(tree.children[0].children[position], leaves, scope))
        gradient = grads[0] if isinstance(self._argnums, int) else f"({', '.join(grads)},)"
        count = first + len(wrt)
        results = iter(range(count, count + len(form.traced.program.results)))
        texts = []
        for k, entry in enumerate(form.results):
            type_ = form.traced.program.results[entry.k].type if hasattr(entry, "k") else None
            if type_ is None:
                texts.append(named(scope, entry))
            elif k == 0:
                texts.append(finished("r0", type_, False, scope) if not entry.weak else "float(r0)")
            else:
                texts.append(finished(f"r{next(results)}", type_, entry.weak, scope))
        count += len(form.traced.program.results) - 1
        value = texts[0]
        if self._has_aux:
            aux = put_together(form.out.children[1], texts[1:], scope)
            expression = f"(({value}, {aux}), {gradient})" if self._value else f"({gradient}, {aux})"
        else:
            expression = f"({value}, {gradient})" if self._value else gradient
        return count, expression, scope

    def saved_report(self, *args: Any, **kwargs: Any) -> Text:
        """What the gradient keeps from the forward sweep of this call: values, lines and bytes."""
        form, params, leaves, tree = self._traceable.find(args, kwargs, self._check_arguments)
        self._check_result(form)
        return Text(report(self._name(), kept(form, self._wrt(form, tree, leaves), params, self._schedule)))

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        """Inside of a traced function: the gradient's program becomes part of the outer one."""
        session = current()
        assert session is not None
        leaves, tree = flatten((args, kwargs))
        out: list[Any] = []

        def run(symbols: list[Any]) -> list[Any]:
            new_args, new_kwargs = tree.unflatten(symbols, construct=False)
            flat, form = flatten(call_given(self._traceable.function, new_args, new_kwargs))
            out.append(form)
            return flat

        positional = tree.children[0].children
        chosen = self._positions(len(positional))
        part = capture(session, run, leaves, self._name())
        form, program = out[0], part.program
        try:
            self._check_value(form, [None if r is None else program.results[r].type for r in part.results])
        except TypeMismatch as error:
            raise session.error(TypeMismatch, error.bare_message) from None
        wrt: list[int] = []
        bars: list[int | None] = []
        for position in chosen:
            found = [part.positions[k] for k in self._leaf_range(tree, position)]
            if all(param is None for param in found):
                raise session.error(
                    TypeMismatch, f"{self._kind} differentiates by floats; argument {position - self._skipped} is none"
                )
            for param in found:
                bars.append(None if param is None else 1 + len(wrt))
                wrt += [] if param is None else [param]
        own = replace(program, results=program.results[:1])
        gradient = adjoint(own, wrt, seeds=False, value=True, checkpoint=self._schedule)
        full = replace(gradient, results=(*gradient.results, *program.results[1:]))
        atoms = inline(session.builder, full, part.values)
        given = [leaf for p in chosen for leaf in (leaves[k] for k in self._leaf_range(tree, p))]
        cotangents = iter([None if b is None else like(session, atoms[b], leaf) for b, leaf in zip(bars, given)])
        grads = [
            positional[p].unflatten([next(cotangents) for _ in range(positional[p].count)]) for p in chosen
        ]
        gradient_value = grads[0] if isinstance(self._argnums, int) else tuple(grads)
        primal = [atoms[0], *atoms[1 + len(wrt) :]]
        value = form.unflatten(part.returned(session, primal))
        part.store(primal)
        if self._value:
            return value, gradient_value
        return (gradient_value, value[1]) if self._has_aux else gradient_value


def like(session: Session, atom: Atom, leaf: Any) -> Symbol:
    """The cotangent of an argument as a symbol: an array of one, of a number of Python's one."""
    if isinstance(leaf, (Array, np.ndarray)):
        return Array(session, Cell(session, atom))
    return Scalar(session, atom, as_value(session, leaf)[1])


class ValueAndGradient(Gradient[P, R]):
    _kind = "value_and_grad"
    _value = True


def _is_float(leaf: Any) -> bool:
    """A float, or something whose own error comes from tracing (an array of objects, ...)."""
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind not in "biu"
    return isinstance(leaf, (float, complex))


def finisher(form: Specialisation, param: int) -> Any:
    """How a cotangent becomes the kind of value the argument was; None if it is that already."""
    given = form.traced.inputs[param]
    if given.type.rank:
        return None
    if given.zero_dim:
        return lambda value: np.asarray(value, given.type.numpy)
    return float if given.weak else SCALARS[given.type.dtype]
