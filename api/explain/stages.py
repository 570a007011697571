"""A function at every stage, for one call: what the page shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..calls.forms import Specialisation
from ..calls.tree import flatten
from ..codegen import Written
from ..ir.adjoint.reverse_mode import Saved, computed_sizes, differentiate
from ..ir.calls import inline_calls
from ..ir.errors import ShapeMismatch, TypeMismatch
from ..ir.evaluate import evaluate
from ..ir.passes import optimise
from ..ir.program import Node, Program, Span
from ..ir.tangent import tangent
from ..ir.walk import bound, walk
from ..runtime import options
from ..stages import Compilation
from ..transforms.base import Transform
from ..transforms.gradient import Gradient, ValueAndGradient
from ..transforms.vjp import _checked_seeds


@dataclass(frozen=True)
class Stages:
    """The programs of one call. `reverse` says of each node of the adjoint, by id, which sweep it is of."""

    name: str
    span: Span | None
    program: Program
    adjoint: Program
    generated: list[Written]
    saved: tuple[Saved, ...]
    reverse: dict[int, bool]
    args: tuple[Any, ...]
    wrt: tuple[str, ...]
    seeds: tuple[str, ...]
    tangent: bool = False
    """Is `adjoint` the program in forward mode?"""


def stages_of(
    function: Callable[..., Any], args: tuple[Any, ...], argnums: int | Sequence[int] | None, seed: Any,
    forward: bool = False,
) -> Stages:  # fmt: skip
    """Trace, differentiate and generate. Raises what `value_and_grad` and `vjp` raise."""
    has_aux = False
    if isinstance(function, Transform):
        if isinstance(function, Gradient):
            argnums = function._argnums if argnums is None else argnums
            has_aux = function._has_aux
        function = function.user_function
    numbers = _float_arguments(args) if argnums is None else argnums
    transform = ValueAndGradient[..., Any](function, numbers, has_aux)
    form, params, leaves, tree = transform._traceable.find(args, {}, transform._check_arguments)
    wrt = transform._wrt(form, tree, leaves)
    program = form.program
    scalar = _one_float(form, has_aux)
    if has_aux and not scalar:
        transform._check_result(form)
    if not any(r.type.is_float for r in program.results):
        raise TypeMismatch(
            f"{transform._name()} returns {form.out}, without a float: there is nothing to differentiate",
            transform._traceable.span,
        )
    if forward:
        return _pushed(transform, form, params, wrt, seed)
    seeded = not scalar or seed is not None
    value_at = form.results[0].k if scalar else 0
    values = (program.results[value_at],) if scalar else program.results
    aux = tuple(r for k, r in enumerate(program.results) if k != value_at) if scalar else ()
    own = replace(program, results=values)
    sweeps = differentiate(own, wrt, seeds=seeded, checkpoint=options.current().checkpoint)
    origins = program.origins and (*program.origins, *("" for _ in sweeps.seeds))
    name = f"{program.name}_pullback" if seeded else f"{program.name}_value_and_grad"
    results = (*values, *sweeps.cotangents, *aux)
    body = (*sweeps.forward, *sweeps.reverse)
    given = (*program.params, *sweeps.seeds)
    computed = computed_sizes(program, given)
    adjoint = optimise(inline_calls(Program(name, given, body, results, origins, sweeps.named, computed)))
    return Stages(
        getattr(function, "__name__", program.name),
        transform._traceable.span,
        inline_calls(program),
        adjoint,
        Compilation(adjoint).lines(),
        sweeps.saved,
        _sweep_of(adjoint, {v.name for v in bound(sweeps.reverse)}),
        (*params, *(_seeds(form, params, seed) if seeded else ())),
        tuple(program.params[k].name for k in wrt),
        tuple(v.name for v in sweeps.seeds),
    )


def _pushed(
    transform: ValueAndGradient[..., Any], form: Specialisation, params: Sequence[Any], wrt: tuple[int, ...], seed: Any
) -> Stages:
    """The stages of forward mode; `seed` is the direction of what is differentiated by, ones where there is none."""
    program = form.program
    pushed = optimise(tangent(program, wrt))
    given = [np.asarray(params[k]) for k in wrt]
    moves = [np.ones_like(v) for v in given] if seed is None else [np.asarray(v) for v in flatten(seed)[0]]
    if [v.shape for v in moves] != [v.shape for v in given]:
        raise ShapeMismatch(
            f"explain: the direction has the shapes {', '.join(str(v.shape) for v in moves)}; the arguments that are "
            f"differentiated by have {', '.join(str(v.shape) for v in given)}", transform._traceable.span,
        )  # fmt: skip
    return Stages(
        transform._name(), transform._traceable.span, program, pushed, Compilation(pushed).lines(), (),
        {id(node): False for node in walk(pushed.body)},
        (*params, *(v.astype(g.dtype)[()] for v, g in zip(moves, given))),
        tuple(program.params[k].name for k in wrt), tuple(v.name for v in pushed.params[len(program.params) :]), True,
    )  # fmt: skip


def _float_arguments(args: tuple[Any, ...]) -> tuple[int, ...]:
    """Positions of arguments that have floats, and of those that only tracing can tell."""
    found = tuple(k for k, arg in enumerate(args) if _may_be_float(arg))
    if not found:
        raise TypeMismatch("explain: there is no float among the arguments to differentiate by")
    return found


def _may_be_float(arg: Any) -> bool:
    if isinstance(arg, (np.ndarray, np.generic)):
        return arg.dtype.kind == "f"
    if isinstance(arg, dict):
        return any(map(_may_be_float, arg.values()))
    if isinstance(arg, (list, tuple)):
        return any(map(_may_be_float, arg))
    return isinstance(arg, float) or hasattr(arg, "__dataclass_fields__")


def _one_float(form: Specialisation, has_aux: bool) -> bool:
    results = form.results[: form.out.children[0].count] if has_aux and form.out.children else form.results
    if len(results) != 1 or not hasattr(results[0], "k"):
        return False
    type_ = form.program.results[results[0].k].type
    return type_.is_float and not type_.dims


def _seeds(form: Specialisation, params: Sequence[Any], seed: Any) -> list[Any]:
    """The cotangents of the results: the user's, or ones."""
    program = form.program
    try:
        values = evaluate(program, *params)
    except Exception as error:  # the user's own (an index, an assert), without our frames
        raise error.with_traceback(None) from None
    if seed is not None:
        return _checked_seeds(form, seed, [np.shape(v) for v in values])
    return [np.ones_like(v) for v, r in zip(values, program.results) if r.type.is_float]


def _sweep_of(adjoint: Program, names: set[str]) -> dict[int, bool]:
    """Which sweep each node is of. A node that both need counts as forward."""
    found: dict[int, bool] = {}

    def mark(node: Node, reverse: bool) -> None:
        for inner in walk((node,)):
            found[id(inner)] = reverse

    behind = False
    for node in adjoint.body:
        own = list(bound((node,)))
        behind = behind or any(v.name in names for v in own)
        mark(node, behind)
    return found
