"""The vector-Jacobian product: the value of a function, and what pulls cotangents of it back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar, overload

import numpy as np

from ..calls.effects import effects_of
from ..calls.fast_call import MISS, Call, Repeated, call_function, finish_function, put_together, results_of
from ..calls.forms import Specialisation, Traceable
from ..calls.frames import without_our_frames
from ..calls.pickling import reduced
from ..calls.plain_run import own_error
from ..calls.same import Same
from ..calls.tree import Tree, flatten
from ..ir.adjoint.reverse_mode import adjoint, split_adjoint
from ..ir.errors import PullbackError, ShapeMismatch, TypeMismatch
from ..ir.program import Atom
from ..ir.walk import inline
from ..runtime import collector, options, progress, timings
from ..runtime.compile import by_numba
from ..tracer.calls import call_given
from ..tracer.nested import capture
from ..tracer.numpy.arguments import same_size
from ..tracer.outside.paths import named
from ..tracer.session import Session, current
from ..tracer.values.convert import cast
from ..tracer.values.foreign import refusal, title
from ..tracer.values.symbol import FUNCTIONS, as_value
from .base import Jit, Lowered, Transform
from .gradient import finisher, like

P = ParamSpec("P")
R = TypeVar("R")


@overload
def vjp(
    function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> tuple[R, Callable[[R], tuple[Any, ...]]]: ...
@overload
def vjp(function: Callable[P, R]) -> Seeded[P, R]: ...
def vjp(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """The value of a function and `pull`, which takes a cotangent of it to cotangents of the arguments.

    `pull(seed)` may be called again and again; seed has the structure, shapes and dtypes of the value
    (None, or anything, for what is no float). It returns a tuple with the structure of the arguments, None
    for what is no float.

    >>> y, pull = vjp(lambda x: x * x, np.array([1.0, 2.0]))
    >>> y, pull(np.array([1.0, 10.0]))
    (array([1., 4.]), (array([ 2., 40.]),))

    Without arguments, `vjp(f)` is a function of `(*args, seed=s)` that returns (value, cotangents) at once.
    """
    if not args and not kwargs:
        return Seeded(function)
    if current() is not None:
        return _nested_vjp(function, args, kwargs)
    traceable = function._traceable if isinstance(function, Jit) else traceable_of(function)
    failed = None
    try:
        found = traceable.hot_vjp(args, kwargs)
    except Exception as error:
        failed = error
    if failed is not None:
        raise own_error(traceable.function, args, kwargs, failed)
    try:
        sweeps, values = _first(traceable, args, kwargs) if found is MISS else found
    except Exception as error:
        raise without_our_frames(error) from error.__cause__
    return sweeps.value(values), sweeps.pull(values)


def _first(traceable: Traceable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = f"vjp of {getattr(traceable.function, '__name__', 'function')}"
    with collector.rarely(), timings.recording() as times, progress.shown(name, times):
        result = _run(traceable, args, kwargs)
    if options.current().timings and times.seconds.keys() - {"run"}:
        print(f"<pullback.{name}>: {times}")
    return result


def _run(traceable: Traceable, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Sweeps, tuple[Any, ...]]:
    """The long way: find the form, or make it, and run its forward sweep."""
    try:
        form, params, _, tree = traceable.find(args, kwargs)
        settings = options.current()
        with form.lock:
            sweeps = form.entries.get(("vjp", settings))
            if sweeps is None:
                sweeps = form.entries["vjp", settings] = Sweeps(form, tree)
    except PullbackError as error:  # says all; our frames would only hide it
        raise error.with_traceback(None) from None
    failed = None
    try:
        with timings.stage("run"):
            run, effects = sweeps.forward, sweeps.effects
            values = run(*params) if effects is None else effects.run(run, params, flatten((args, kwargs))[0])
    except Exception as error:
        failed = error
    if failed is not None:
        raise own_error(traceable.function, args, kwargs, failed)
    with form.lock:
        if sweeps.hot is None and (sweeps.again or not by_numba(sweeps.forward)):
            scope: dict[str, Any] = {}
            results = -1, f"({named(scope, sweeps)}, values)", scope
            sweeps.hot = call_function(form.traced, tree, sweeps.forward, params, results, settings, sweeps.effects)
        sweeps.again = True
    if sweeps.hot is not None:
        traceable.hot_vjp = sweeps.hot
    return sweeps, values


class Sweeps:
    """The forward and the backward program of one form, compiled."""

    def __init__(self, form: Specialisation, tree: Tree):
        wrt = differentiable(form)
        self.form = form
        self.wrt = wrt
        self.hot: Call | None = None
        self.again = False
        self.effects = effects_of(form.traced)
        self.use(*form.pair(wrt, functools.partial(
            split_adjoint, count=own_count(form), checkpoint=options.current().checkpoint
        )))
        self._finish = finish_function(results_of(form.traced, form.out))
        self._count = len(form.traced.program.results)
        # Where the value is one float of this form, its seed needs no look at containers.
        only = form.traced.program.results[0].type if self._count == 1 and form.out.is_leaf else None
        self._only = only.numpy if only is not None and only.is_float else None
        scope: dict[str, Any] = {}
        bars = {param: k for k, param in enumerate(wrt)}
        texts = []
        for param in form.traced.leaves:
            finish = None if param not in bars else finisher(form, param)
            text = "None" if param not in bars else f"r{bars[param]}"
            texts.append(text if finish is None else f"{named(scope, finish)}({text})")
        positional = tree.children[0]
        expression = put_together(positional, texts[: positional.count], scope)
        self._bars = finish_function((len(wrt), expression, scope))

    def value(self, values: tuple[Any, ...]) -> Any:
        """The user's result, of what the forward program gave."""
        return self._finish(values[: self._count])

    def use(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """From now on these functions are the two sweeps."""
        self.forward, self.backward = forward, Repeated(backward)

    def pull(self, values: tuple[Any, ...]) -> Callable[[Any], tuple[Any, ...]]:
        residuals = values[self._count :]
        shapes = [v.shape if type(v) is np.ndarray else () for v in values[: self._count]]

        def pull(seed: Any) -> tuple[Any, ...]:
            fits = type(seed) is np.ndarray and seed.ndim and seed.dtype is self._only and seed.flags.carray
            seeds = [seed] if fits and seed.shape == shapes[0] else _checked_seeds(self.form, seed, shapes)
            return self._bars(self.backward(*residuals, *seeds))

        return pull


class Seeded(Transform[P, R]):
    """vjp as one function: of the arguments and a seed, to the value and the cotangents of the arguments."""

    _kind = "vjp"

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function)
        signature = self._traceable.signature
        if signature is not None and "seed" in signature.parameters:
            raise TypeError(
                f"{getattr(function, '__name__', 'the function')} has a parameter named seed, as vjp(f) calls "
                "the cotangent of the value: use y, pull = pb.vjp(f, *args), or rename it"
            )

    def __call__(self, *args: Any, seed: Any, **kwargs: Any) -> tuple[R, tuple[Any, ...]]:
        y, pull = vjp(self.__wrapped__, *args, **kwargs)
        return y, pull(seed)

    def __pullback_call__(self, *args: Any, seed: Any, **kwargs: Any) -> Any:
        return self(*args, seed=seed, **kwargs)

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self)

    def _wrt(self, form: Specialisation, tree: Tree, leaves: Sequence[Any]) -> tuple[int, ...]:
        return differentiable(form)

    def _stages(self, form: Specialisation, wrt: tuple[int, ...]) -> Lowered:
        own = own_count(form)
        return Lowered(form.program, form.derived(f"vjp {wrt}", lambda p: adjoint(
            p.returning(own), wrt, value=True, checkpoint=options.current().checkpoint)))


def own_count(form: Specialisation) -> int:
    """How many results are the function's own: behind them is what it stores."""
    stores = form.traced.stores
    return len(form.traced.program.results) if stores is None else stores.own


def differentiable(form: Specialisation) -> tuple[int, ...]:
    """The parameters that vjp differentiates by: the floats among the arguments."""
    given = {p for p in form.traced.leaves if p is not None}
    wrt = tuple(k for k, p in enumerate(form.traced.program.params) if p.type.is_float and k in given)
    if not wrt:
        raise TypeMismatch("vjp: there is no float among the arguments to differentiate by")
    return wrt


@functools.lru_cache(maxsize=256)
def _known_traceable(function: Same) -> Traceable:
    return Traceable(function.it)


def traceable_of(function: Callable[..., Any]) -> Traceable:
    """The traced forms of a function, the same ones at each call."""
    return _known_traceable(Same(function))


def _checked_seeds(form: Specialisation, seed: Any, shapes: list[tuple[int, ...]]) -> list[Any]:
    """The seeds of the float results, in order; refuses other structures, shapes and dtypes."""
    try:
        flat = form.out.take(seed, "the seed")
    except ValueError as error:
        raise TypeMismatch(str(error)) from None
    seeds = []
    for path, result, value in zip(form.out.paths("the seed"), form.results, flat):
        if not hasattr(result, "k"):
            continue
        type_ = form.traced.program.results[result.k].type
        if not type_.is_float:
            continue
        why = refusal(value)
        if why is not None:
            raise TypeMismatch(f"{path} is {title(value)}: {why}")
        listed = isinstance(value, (list, tuple)) and bool(shapes[result.k])
        array = _listed(value) if listed else None if isinstance(value, (list, tuple)) else np.asarray(value)
        if array is None or array.dtype.kind not in "biufc":
            raise TypeMismatch(f"{path} must be {_wanted(type_, shapes[result.k])}, not {_met(value)}")
        if array.shape != shapes[result.k]:
            raise ShapeMismatch(f"{path} has shape {array.shape}, but the value has shape {shapes[result.k]}")
        plain = isinstance(value, (float, int)) or (listed and array.dtype.kind in "iuf")
        if array.dtype != type_.numpy and not plain:
            raise TypeMismatch(f"{path} has dtype {array.dtype}, but the value has dtype {type_.numpy}")
        seeds.append(np.array(array, type_.numpy, order="C") if array.ndim else type_.numpy.type(value))
    return seeds


def _listed(value: Any) -> np.ndarray | None:
    """The array that a list of numbers, or of lists of them, stands for."""
    try:
        return np.array(value)
    except (ValueError, TypeError):  # rows of different lengths; no numbers
        return None


def _met(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _wanted(type_: Any, shape: tuple[int, ...]) -> str:
    return f"an array of shape {shape}" if shape else "a number"


def _nested_vjp(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """vjp inside of a traced function: the value, and a pull that writes the adjoint into the outer program."""
    session = current()
    assert session is not None
    leaves, tree = flatten((args, kwargs))
    out: list[Tree] = []

    def run(symbols: list[Any]) -> list[Any]:
        new_args, new_kwargs = tree.unflatten(symbols, construct=False)
        flat, form = flatten(call_given(function, new_args, new_kwargs))
        out.append(form)
        return flat

    part = capture(session, run, leaves, getattr(function, "__name__", "f"))
    form, program = out[0], part.program
    wrt = [p for p in part.positions if p is not None]
    if not wrt:
        raise session.error(TypeMismatch, "vjp: there is no float among the arguments to differentiate by")
    atoms = inline(session.builder, program, part.values)
    y = form.unflatten(part.returned(session, atoms))
    part.store(atoms)

    def pull(seed: Any) -> tuple[Any, ...]:
        part.require_scope(session)
        try:
            flat = form.take(seed, "the seed")
        except ValueError as error:
            raise session.error(TypeMismatch, str(error)) from None
        seeds = [
            as_seed(session, value, atoms[k])
            for value, k in zip(flat, part.results)
            if k is not None and atoms[k].type.is_float
        ]
        pulled = adjoint(part.own, wrt, checkpoint=options.current().checkpoint)
        bars = dict(zip(wrt, inline(session.builder, pulled, [*part.values, *seeds])))
        found = [None if p is None else like(session, bars[p], leaf) for p, leaf in zip(part.positions, leaves)]
        return tree.unflatten(found)[0]

    return y, pull


def as_seed(session: Session, value: Any, of: Atom, what: str = "the seed", whose: str = "the value") -> Atom:
    """What a user gives as a cotangent or a tangent `what` of a value, as a value of that type."""
    both = f"{what} and {whose}"
    listed = isinstance(value, (list, tuple)) and bool(of.type.dims)
    if isinstance(value, (dict, str, type(None))) or (isinstance(value, (list, tuple)) and not listed):
        wanted = f"an array of shape {session.shown(of.type.dims)}" if of.type.dims else "a number"
        raise session.error(TypeMismatch, f"{what} must be {wanted}, not {_met(value)}")
    atom, weak = as_value(session, FUNCTIONS[np.array](value) if listed else value, what)
    weak = weak or (listed and atom.type.dtype not in ("bool", of.type.dtype))
    shapes = atom.type.dims, of.type.dims
    if len(shapes[0]) != len(shapes[1]):
        raise session.mismatch(shapes, both)
    if atom.type.dtype != of.type.dtype:
        if not weak:
            raise session.error(TypeMismatch, f"{what} is {atom.type}, but {whose} is {of.type}")
        atom = cast(session, atom, of.type.dtype)
    for axis, dim in enumerate(of.type.dims):
        atom = same_size(session, atom, axis, dim, shapes, both)
    return atom
