"""The vector-Jacobian product: the value of a function, and what pulls cotangents of it back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .call import Specialisation, Traceable, for_user, results_to_user
from .gradient import finisher
from .ir.errors import PullbackError, ShapeMismatch, TypeMismatch
from .ir.passes.adjoint import adjoint, split_adjoint
from .ir.walk import inline
from .tracer.calls import call as staged_call
from .tracer.nested import capture
from .tracer.session import current
from .tracer.symbol import Symbol, wrap
from .transform import Jit
from .tree import flatten


def vjp(
    function: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of a function and `pull`, which takes a cotangent of it to cotangents of the arguments.

    `pull(seed)` may be called again and again; seed has the structure, shapes and dtypes of the value
    (None, or anything, for what is no float). It returns a tuple with the structure of the arguments, None
    for what is no float.

    >>> y, pull = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> y, pull(np.array([1.0, 10.0]))
    (array([1., 4.]), (array([ 2., 40.]),))
    """
    if current() is not None:
        return _nested_vjp(function, args, kwargs)
    traceable = function._traceable if isinstance(function, Jit) else traceable_of(function)
    try:
        form, params, leaves, tree = traceable.find(args, kwargs)
    except PullbackError as error:  # says all; our frames would only hide it
        raise error.with_traceback(None) from None
    wrt = tuple(
        k for k, p in enumerate(form.program.params) if p.type.is_float and k in set(form.traced.leaves)
    )
    if not wrt:
        raise TypeMismatch("vjp: there is no float among the arguments to differentiate by")
    forward, backward = form.pair(wrt, split_adjoint)
    try:
        values = forward(*params)
    except Exception as error:
        raise for_user(error) from None
    count = len(form.program.results)
    y = results_to_user(form, values[:count])
    residuals = values[count:]
    shapes = [np.shape(v) for v in values[:count]]

    def pull(seed: Any) -> tuple[Any, ...]:
        seeds = _checked_seeds(form, seed, shapes)
        bars = dict(zip(wrt, backward(*residuals, *seeds)))
        flat = []
        for param in form.traced.leaves:
            bar = bars.get(param) if param is not None else None
            finish = None if bar is None else finisher(form, param)  # type: ignore[arg-type]
            flat.append(finish(bar) if finish else bar)
        return tree.unflatten(flat)[0]

    return y, pull


@functools.lru_cache(maxsize=256)
def _known_traceable(function: Callable[..., Any]) -> Traceable:
    return Traceable(function)


def traceable_of(function: Callable[..., Any]) -> Traceable:
    try:
        return _known_traceable(function)
    except TypeError:  # not hashable
        return Traceable(function)


def _checked_seeds(form: Specialisation, seed: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    """The seeds of the float results, in order; refuses other structures, shapes and dtypes."""
    try:
        flat = form.out.take(seed, "the seed")
    except ValueError as error:
        raise TypeMismatch(str(error)) from None
    seeds = []
    for path, entry, value in zip(form.out.paths("the seed"), form.results, flat):
        if not hasattr(entry, "k"):
            continue
        type_ = form.program.results[entry.k].type
        if not type_.is_float:
            continue
        if value is None or isinstance(value, (str, list, tuple, dict)):
            raise TypeMismatch(
                f"{path} must be {_wanted(type_, shapes[entry.k])}, not {type(value).__name__}"
            )
        array = np.asarray(value)
        if array.shape != shapes[entry.k]:
            raise ShapeMismatch(f"{path} has shape {array.shape}, but the value has shape {shapes[entry.k]}")
        if array.dtype != type_.numpy and not isinstance(value, (float, int)):
            raise TypeMismatch(f"{path} has dtype {array.dtype}, but the value has dtype {type_.numpy}")
        seeds.append(np.array(array, type_.numpy, order="C") if array.ndim else type_.numpy.type(value))
    return seeds


def _wanted(type_: Any, shape: tuple[int, ...]) -> str:
    return f"an array of shape {shape}" if shape else "a number"


def _nested_vjp(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """vjp inside of a traced function: the value, and a pull that writes the adjoint into the outer program."""
    session = current()
    assert session is not None
    leaves, tree = flatten((args, kwargs))
    out: list[Any] = []

    def run(symbols: list[Any]) -> list[Any]:
        new_args, new_kwargs = tree.unflatten(symbols)
        flat, form = flatten(staged_call(function, new_args, new_kwargs))
        out[:] = [flat, form]
        return flat

    program, values, positions = capture(session, run, leaves, getattr(function, "__name__", "f"))
    atoms = inline(session.builder, program, values)
    y = out[1].unflatten([wrap(session, a) for a in atoms])
    wrt = [p for p in positions if p is not None and program.params[p].type.is_float]

    def pull(seed: Any) -> tuple[Any, ...]:
        seeds = []
        for value, result in zip(out[1].take(seed, "the seed"), program.results):
            if result.type.is_float:
                atom = session.builder.ref(value).atom if not isinstance(value, Symbol) else value.read()
                seeds.append(atom)
        bars = dict(zip(wrt, inline(session.builder, adjoint(program, wrt), [*values, *seeds])))
        flat = [None if p is None or p not in bars else wrap(session, bars[p]) for p in positions]
        return tree.unflatten(flat)[0]

    return y, pull
