"""Functions with derivative rules of their own: `custom_vjp`, `custom_jvp`, and `stop_gradient`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, overload

import numpy as np

from ..calls.tree import Tree, flatten, map_leaves
from ..ir.build import dim_atom, literal
from ..ir.errors import PullbackError, TypeMismatch
from ..ir.ops.arith import stop
from ..ir.ops.array import zeros
from ..ir.program import Atom
from ..tracer.calls import call_given
from ..tracer.outside.paths import Path
from ..tracer.rules import UserRule, call_with_rule
from ..tracer.session import Session, current
from ..tracer.trace import function_span
from ..tracer.values.convert import cast
from ..tracer.values.symbol import Scalar, Symbol, as_value, wrap
from .base import Jit
from .vjp import as_seed

P = ParamSpec("P")
R = TypeVar("R")


class WithRule(Generic[P, R]):
    """A function with a derivative rule: called as the function is, and a node of the program while tracing."""

    _kind = "function with a rule"

    def __init__(self, function: Callable[P, R], nondiff_argnums: int | Sequence[int] = ()):
        functools.update_wrapper(self, function, updated=())
        self.__wrapped__ = function
        self._signature = _signature(function)
        self._fixed = _fixed(self._signature, nondiff_argnums, function)
        self._forward: Callable[..., Any] | None = None
        self._backward: Callable[..., Any] | None = None
        self._push: Callable[..., Any] | None = None

    @functools.cached_property
    def _whole(self) -> Jit[P, R]:
        """What compiled code calls: the function, compiled."""
        return Jit(self)

    @property
    def _numba_type_(self) -> Any:
        return self._whole._numba_type_

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """The rule for reverse mode: `fwd(*args)` gives (value, residuals), `bwd(residuals, cotangent)` a tuple with a
        cotangent for each argument, None for zero and for what is no float. Arguments of `nondiff_argnums` stand in
        their places for `fwd`, and in front for `bwd`.
        """
        self._forward, self._backward = fwd, bwd

    def defjvp(self, jvp: Callable[..., Any]) -> Callable[..., Any]:
        """The rule for forward mode: `jvp(primals, tangents)` gives (value, tangent). Tangents are None for what is no
        float; arguments of `nondiff_argnums` stand in front. Returns `jvp`, so that it may be a decorator.
        """
        self._push = jvp
        return jvp

    def __repr__(self) -> str:
        return f"<pullback.{self._kind} {self._name()}>"

    def __reduce__(self) -> str:
        return str(vars(self)["__qualname__"])  # found where a decorator has put it, as functions are

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current() is not None:  # called by code that is not staged, such as map
            return self.__pullback_call__(*args, **kwargs)
        return self.__wrapped__(*args, **kwargs)

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a traced function."""
        session = current()
        assert session is not None
        for name in ("_forward", "_backward", "_push"):  # another rule is another program
            session.hidden.found(name.strip("_"), "rule", getattr(self, name), Path("object", self).attr(name))
        return _Call(self, session, args, kwargs).result()

    _opaque = False
    """May it be called without a rule?"""

    def _value(self, session: Session, args: tuple[Any, ...]) -> Any:
        """The value of the function, in the structure that it returns."""
        return call_given(self.__wrapped__, args, {})

    def _names(self, count: int) -> list[str]:
        """The names of the arguments by position."""
        if self._signature is None:
            return ["x"] * count
        parameters = list(self._signature.parameters.values())
        names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
        rest = [p.name for p in parameters if p.kind is p.VAR_POSITIONAL]
        return [*names, *(rest * count)][:count]

    def _name(self) -> str:
        return getattr(self.__wrapped__, "__name__", "function")


class Checkpoint(WithRule[P, R]):
    _kind = "checkpoint"

    def __pullback_call__(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside of a traced function."""
        session = current()
        assert session is not None
        leaves, tree = flatten((args, kwargs))

        def run(symbols: list[Any]) -> tuple[list[Any], Tree]:
            new_args, new_kwargs = tree.unflatten(symbols, construct=False)
            return flatten(call_given(self.__wrapped__, new_args, new_kwargs))

        positional, keywords = tree.children
        named = zip(self._names(len(args)), positional.children)
        hints = [path for name, part in named for path in part.paths(name)]
        hints += [path for name, part in zip(keywords.keys, keywords.children) for path in part.paths(str(name))]
        hints += ["x"] * (len(leaves) - len(hints))
        flat, form = call_with_rule(session, self._name(), (self, tree), run, leaves, hints, UserRule(again=True))
        return form.unflatten(flat)


class CustomVJP(WithRule[P, R]):
    _kind = "custom_vjp"


class CustomJVP(WithRule[P, R]):
    _kind = "custom_jvp"

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """The rule for forward mode by a function for each argument: `jvp(tangent, value, *primals)` gives what this
        argument adds to the tangent of the value; None stands for nothing.
        """
        function = self.__wrapped__

        def push(*given: Any) -> Any:
            *fixed, primals, tangents = given
            args = list(primals)
            for k, value in zip(self._fixed, fixed):
                args.insert(k, value)
            value = call_given(function, tuple(args), {})
            parts = [
                call_given(jvp, (tangent, value, *primals), {})
                for jvp, tangent in zip(jvps, tangents)
                if jvp is not None and tangent is not None
            ]
            return value, functools.reduce(_sum, parts) if parts else None

        self._push = push


def _sum(a: Any, b: Any) -> Any:
    return map_leaves(lambda x, y: y if x is None else x if y is None else x + y, a, b)


class _Call:
    """One call of a function with a rule, while tracing."""

    def __init__(self, function: WithRule[..., Any], session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]):
        self.function, self.session = function, session
        self.args = self.bound(args, kwargs)
        self.fixed = {k for k in function._fixed if k < len(self.args)}
        moving = tuple(a for k, a in enumerate(self.args) if k not in self.fixed)
        self.leaves, self.tree = flatten(moving)
        self.out: Tree | None = None

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments by position, as a rule has them; defaults are filled in."""
        signature = self.function._signature
        if signature is not None:
            found = signature.bind(*args, **kwargs)
            if not self.function._opaque:  # what is called as it is has its defaults itself
                found.apply_defaults()
            args, kwargs = found.args, found.kwargs
        if kwargs:
            raise self.error(
                f"{self.name} has a derivative rule, and takes {', '.join(kwargs)} by keyword only: rules know "
                "arguments by their positions. Give it a position"
            )
        return args

    @property
    def name(self) -> str:
        return self.function._name()

    def error(self, message: str, kind: type[PullbackError] = TypeMismatch) -> PullbackError:
        return self.session.error(kind, message)

    def result(self) -> Any:
        function = self.function
        rule = UserRule()
        if function._forward is not None:
            rule.forward, rule.backward = self.forward, self.backward
        if function._push is not None:
            rule.push = self.push
        if rule == UserRule() and not function._opaque:
            raise self.error(
                f"{self.name} is a {function._kind} without a rule: call {self.name}.defvjp(fwd, bwd) or "
                f"{self.name}.defjvp(jvp) before it is used"
            )
        fixed = tuple(id(self.args[k]) for k in sorted(self.fixed))
        key = function, self.tree, fixed
        flat, form = call_with_rule(self.session, self.name, key, self.primal, self.leaves, self.hints(), rule)
        return form.unflatten(flat)

    def hints(self) -> list[str]:
        """How the leaves may be called: after the parameters."""
        names = [name for k, name in enumerate(self.function._names(len(self.args))) if k not in self.fixed]
        found: list[str] = []
        for name, part in zip(names, self.tree.children):
            found += part.paths(name)
        return found

    def with_fixed(self, symbols: list[Any]) -> tuple[Any, ...]:
        """All arguments, with these leaves of those that are differentiated by."""
        moving = iter(self.tree.unflatten(symbols, construct=False))
        return tuple(a if k in self.fixed else next(moving) for k, a in enumerate(self.args))

    @property
    def fixed_args(self) -> tuple[Any, ...]:
        return tuple(self.args[k] for k in sorted(self.fixed))

    # -- what the user gave, on leaves -------------------------------------------------------------------

    def primal(self, symbols: list[Any]) -> tuple[list[Any], Tree]:
        flat, self.out = flatten(self.function._value(self.session, self.with_fixed(symbols)))
        self.moving = [_float_of(self.session, leaf)[0] is not None for leaf in flat]
        return flat, self.out

    def forward(self, symbols: list[Any]) -> tuple[list[Any], list[Any]]:
        given = call_given(self.function._forward, self.with_fixed(symbols), {})
        if not isinstance(given, tuple) or len(given) != 2:
            raise self.error(f"the forward half of the rule of {self.name} must return (value, residuals)")
        kept, self.kept = flatten(given[1])
        return self.value(given[0], "the forward half"), kept

    def value(self, value: Any, what: str) -> list[Any]:
        flat, form = flatten(value)
        if form != self.out:
            raise self.error(f"{what} of the rule of {self.name} returns {form}, but {self.name} returns {self.out}")
        return flat

    def backward(self, residuals: list[Any], bars: list[Any]) -> list[Any]:
        args = (*self.fixed_args, self.kept.unflatten(residuals, construct=False), self.like_value(bars))
        given = call_given(self.function._backward, args, {})
        what = f"what the backward half of the rule of {self.name} returns"
        count = len(self.args) - len(self.fixed)
        if not isinstance(given, (tuple, list)) or len(given) != count:
            met = f"{len(given)} values" if isinstance(given, (tuple, list)) else type(given).__name__
            raise self.error(
                f"{what} must be a tuple with a cotangent for each of the {count} arguments that are differentiated by "
                f"(None for zero), not {met}"
            )
        return self.for_floats(tuple(given), self.tree, self.leaves, what, "the argument")

    def like_value(self, floats: list[Any]) -> Any:
        """Cotangents in the structure of the value: None for what is no float."""
        assert self.out is not None
        given = iter(floats)
        return self.out.unflatten([next(given) if k else None for k in self.moving])

    def for_floats(self, given: Any, tree: Tree, leaves: list[Any], what: str, whose: str) -> list[Any]:
        """The values for the floats among the leaves; None stands for zero, also for a whole container."""
        session = self.session
        try:
            flat = tree.take(given, what, spread=True)
        except ValueError as wrong:
            raise self.error(str(wrong)) from None
        found: list[Any] = []
        for value, leaf, path in zip(flat, leaves, tree.paths(what)):
            of, weak = _float_of(session, leaf)
            if of is None:
                if value is not None:
                    raise self.error(f"{path} must be None: what it belongs to is no float")
            elif value is None:
                found.append(wrap(session, _zero(session, of)))
            else:
                found.append(wrap(session, as_seed(session, _widened(session, value, weak), of, path, whose)))
        return found

    def push(self, symbols: list[Any], dots: list[Any]) -> tuple[list[Any], list[Any]]:
        rest = iter(dots)
        all_dots = [next(rest) if _float_of(self.session, leaf)[0] is not None else None for leaf in self.leaves]
        primals = self.tree.unflatten(symbols, construct=False)
        tangents = self.tree.unflatten(all_dots, construct=False)
        what = f"the pushforward of the rule of {self.name}"
        given = call_given(self.function._push, (*self.fixed_args, tuple(primals), tuple(tangents)), {})
        if not isinstance(given, tuple) or len(given) != 2:
            raise self.error(f"{what} must return (value, tangent)")
        flat = self.value(given[0], "the pushforward")
        tangent = given[1]
        assert self.out is not None
        return flat, self.for_floats(tangent, self.out, flat, f"the tangent that {what} returns", "the value")


def _float_of(session: Session, leaf: Any) -> tuple[Atom | None, bool]:
    """The value of a leaf that is a float, and whether it is a number of Python's, which goes with every dtype."""
    if not isinstance(leaf, Symbol) and not isinstance(leaf, float) and getattr(leaf, "dtype", None) is None:
        return None, False
    atom, weak = as_value(session, leaf)
    return (atom, weak) if atom.type.is_float else (None, False)


def _widened(session: Session, value: Any, weak: bool) -> Any:
    """The cotangent of a number of Python's may be single: it is one of single arrays."""
    if not weak or not isinstance(value, Scalar) or value.type.dtype != "f32":
        return value
    return wrap(session, cast(session, value.read(), "f64"))


def _zero(session: Session, of: Atom) -> Atom:
    if not of.type.dims:
        return literal(0, of.type.dtype)
    return session.builder.emit(zeros, tuple(map(dim_atom, of.type.dims)), of.type.dtype)


def _signature(function: Any) -> inspect.Signature | None:
    """The parameters of a function; None if it does not tell, as some that are written in C."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _fixed(signature: inspect.Signature | None, numbers: int | Sequence[int], function: Any) -> tuple[int, ...]:
    count = 0 if signature is None else len(signature.parameters)
    found = []
    for k in (numbers,) if isinstance(numbers, int) else tuple(numbers):
        if isinstance(k, bool) or not isinstance(k, int) or not -count <= k < count:
            raise TypeMismatch(f"nondiff_argnums: {k!r} is not the position of an argument", function_span(function))
        found.append(k % count)
    return tuple(found)


def stop_gradient(x: R) -> R:
    """The same value, for derivatives a constant. Arrays are copied; containers come back with the same of each part.

    >>> from .public import grad
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    3.0
    """
    session = current()
    return map_leaves(functools.partial(_stopped, session), x)


def _stopped(session: Session | None, leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        return leaf.copy()
    if session is None or not isinstance(leaf, Symbol):
        return leaf
    atom, weak = as_value(session, leaf)
    return wrap(session, session.builder.emit(stop, atom) if atom.type.is_float else atom, weak=weak)


@overload
def checkpoint(function: Callable[P, R]) -> Checkpoint[P, R]: ...
@overload
def checkpoint(function: None = None) -> Callable[[Callable[P, R]], Checkpoint[P, R]]: ...
def checkpoint(function: Callable[..., Any] | None = None) -> Any:
    """The same function; gradients do not keep what it computes, but compute it again from its arguments.

    Values and derivatives are those of the function. What it reads from outside (closures, globals) is differentiated
    as its arguments are. The function may not write to its arguments. For long loops, see `checkpoint=` of `grad`.

    >>> @checkpoint
    ... def layer(x, w):
    ...     return np.tanh(x @ w)
    >>> from .public import grad
    >>> grad(lambda w: layer(layer(np.ones(2), w), w).sum())(np.zeros((2, 2)))
    array([[0., 0.],
           [0., 0.]])
    """
    return checkpoint if function is None else Checkpoint(function)


@overload
def custom_vjp(function: Callable[P, R], nondiff_argnums: int | Sequence[int] = ()) -> CustomVJP[P, R]: ...
@overload
def custom_vjp(
    function: None = None, nondiff_argnums: int | Sequence[int] = ()
) -> Callable[[Callable[P, R]], CustomVJP[P, R]]: ...
def custom_vjp(function: Callable[..., Any] | None = None, nondiff_argnums: int | Sequence[int] = ()) -> Any:
    """A function whose derivative is a rule of one's own, stated for reverse mode: `f.defvjp(fwd, bwd)`.

    nondiff_argnums   positions of arguments that are never differentiated by: functions, flags, sizes

    Forward mode follows, as bwd is linear in the cotangent; so do Jacobians, Hessians (bwd is differentiated) and
    everything else. Called outside of pullback's transforms it is the function. The form is JAX's.

    >>> @custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (np.clip(g, -1.0, 1.0),))
    >>> from .public import grad
    >>> grad(lambda x: 5.0 * clipped(x))(2.0)
    1.0
    """
    return CustomVJP(function, nondiff_argnums) if function else lambda f: CustomVJP(f, nondiff_argnums)


@overload
def custom_jvp(function: Callable[P, R], nondiff_argnums: int | Sequence[int] = ()) -> CustomJVP[P, R]: ...
@overload
def custom_jvp(
    function: None = None, nondiff_argnums: int | Sequence[int] = ()
) -> Callable[[Callable[P, R]], CustomJVP[P, R]]: ...
def custom_jvp(function: Callable[..., Any] | None = None, nondiff_argnums: int | Sequence[int] = ()) -> Any:
    """A function whose derivative is a rule of one's own, stated for forward mode: `f.defjvp(jvp)` or `f.defjvps(...)`.

    nondiff_argnums   positions of arguments that are never differentiated by

    Reverse mode follows, as the rule is linear in the tangents. The form is JAX's.

    >>> @custom_jvp
    ... def log1pexp(x):
    ...     return np.log1p(np.exp(x))
    >>> log1pexp.defjvps(lambda t, y, x: t * (1.0 - 1.0 / (1.0 + np.exp(x))))
    >>> from .public import grad
    >>> grad(log1pexp)(100.0)
    1.0
    """
    return CustomJVP(function, nondiff_argnums) if function else lambda f: CustomJVP(f, nondiff_argnums)
