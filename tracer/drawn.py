"""Random numbers that depend on no traced value: drawn anew at each call, as hidden inputs.

While a function is traced its draws are made too, for their types; what the generators were before is put back
afterwards, so that the first call draws what plain Python would draw. Sizes of draws are known while tracing. A scale
and a place that are traced are applied to standard draws, which is how NumPy makes such numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.errors import UnsupportedFunction
from .lists.sequences import Sequence
from .outside.paths import Path
from .session import NeedUnrolled, Session
from .values.symbol import FUNCTIONS, Array, Symbol, has_symbol

_MAKERS = ("default_rng", "RandomState", "Generator", "Random", "PCG64", "MT19937", "SeedSequence")
_STANDARD: dict[str, tuple[str, tuple[str, str], Callable[[Any, Any, Any], Any]]] = {
    "normal": ("standard_normal", ("loc", "scale"), lambda loc, scale, z: loc + scale * z),
    "uniform": ("random", ("low", "high"), lambda low, high, u: low + (high - low) * u),
    "exponential": ("standard_exponential", ("scale", ""), lambda scale, _, e: scale * e),
    "gauss": ("gauss", ("mu", "sigma"), lambda mu, sigma, z: mu + sigma * z),
    "normalvariate": ("normalvariate", ("mu", "sigma"), lambda mu, sigma, z: mu + sigma * z),
}
"""Distributions of a place and a scale: the standard draw, their parameters, and how they come together."""
_DEFAULTS = {"loc": 0.0, "scale": 1.0, "low": 0.0, "high": 1.0, "mu": 0.0, "sigma": 1.0}


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of a call: what is called, and its arguments."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self) -> Any:
        return self.function(*self.args, **self.kwargs)


def generator_of(function: Any) -> Any:
    """The generator that a function of numpy.random or random draws from; None if it is no such function."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, (np.random.Generator, np.random.RandomState, random.Random)):
        return owner
    if getattr(function, "__name__", "") == "rvs" and type(owner).__module__.startswith("scipy.stats"):
        return getattr(owner, "random_state", None)
    return None


def is_maker(function: Any) -> bool:
    """Does it make a generator?"""
    module = getattr(function, "__module__", None) or ""
    return module.startswith(("numpy.random", "random")) and getattr(function, "__name__", "") in _MAKERS


def made(session: Session, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A generator that the traced function makes: with a seed it draws the same numbers at each call."""
    args, kwargs = _known(session, args), {k: _known(session, v) for k, v in kwargs.items()}
    generator = function(*args, **kwargs)
    seeds = [*args, *kwargs.values()]
    if any(s is not None for s in seeds) or id(generator) in session.seeded:
        session.seeded[id(generator)] = generator
    for seed in seeds:
        if id(seed) in session.seeded:  # a generator of a bit generator that has a seed
            session.seeded[id(generator)] = generator
    session.opaque.append(getattr(function, "__name__", "a generator"))
    return generator


def draw(session: Session, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a draw gives in the traced program."""
    name = getattr(function, "__name__", "a draw")
    if name in ("seed", "set_state", "setstate", "shuffle", "bit_generator", "spawn"):
        advice = {"shuffle": "index with a permutation: x[rng.permutation(len(x))]"}.get(
            name, "seed the generator before the call, or make one in the function: rng = np.random.default_rng(0)"
        )
        raise session.error(UnsupportedFunction, f"{name}() of a generator in a traced function: {advice}")
    if session.captures:
        raise session.error(
            UnsupportedFunction, "random numbers are drawn in a function that is differentiated or mapped inside of "
            "another one. Draw them before, and pass them as an argument",
        )  # fmt: skip
    if session.builder.depth:
        raise NeedUnrolled(
            "the random numbers of each iteration",
            "random numbers are drawn in a traced loop or branch. Draw all of them before it: "
            "z = np.random.standard_normal(n)",
            session.span,
        )
    if name in ("choice", "permutation") and args and isinstance(args[0], Array):
        x, *rest = args
        return x[draw(session, function, (x.type.rank and FUNCTIONS[len](x), *rest), kwargs)]
    if name in _STANDARD and (has_symbol(args) or has_symbol(kwargs)):
        return _shifted(session, function, name, args, kwargs)
    args, kwargs = _known(session, args), {k: _known(session, v) for k, v in kwargs.items()}
    generator = kwargs.get("random_state") or generator_of(function)
    fixed = id(generator) in session.seeded or isinstance(generator, (int, np.integer))
    if not fixed and id(generator) not in session.drawn_from:
        session.drawn_from[id(generator)] = generator, _state(generator)
    value = function(*args, **kwargs)
    if isinstance(value, bool) or not isinstance(value, (np.ndarray, int, float, np.number, np.bool_)):
        raise session.error(
            UnsupportedFunction, f"{name}() gives a {type(value).__name__}: only numbers can be drawn at each call"
        )
    if fixed:
        return value
    session.opaque.append(name)
    return session.hidden.drawn(name, value, Path("draw", Draw(function, args, kwargs)))


def restore(session: Session) -> None:
    """Put the generators back to where they were before the trace."""
    for generator, state in session.drawn_from.values():
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state
        elif isinstance(generator, np.random.RandomState):
            generator.set_state(state)
        else:
            generator.setstate(state)


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def _known(session: Session, value: Any) -> Any:
    """An argument of a draw, which must be known while tracing: sizes become static."""
    if isinstance(value, Symbol):
        if value.type.dtype == "i64" and not value.type.rank:
            return value.__index__()
        raise session.error(
            UnsupportedFunction,
            "a random number whose distribution has traced parameters: draw a standard one and apply them, as in "
            "mean + scale * np.random.standard_normal(n)",
        )
    if isinstance(value, Sequence):
        return [_known(session, v) for v in value]
    if isinstance(value, (tuple, list)):
        return type(value)(_known(session, v) for v in value)
    return value


def _shifted(session: Session, function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A draw with a traced place or scale, from a standard one."""
    standard, parameters, combine = _STANDARD[name]
    names = [n for n in parameters if n]
    given = {**dict(zip((*names, "size"), args)), **kwargs}
    size = given.pop("size", None)
    first, second = (given.get(n, _DEFAULTS[n]) for n in (*names, *names)[:2])
    owner = generator_of(function)
    if isinstance(owner, random.Random):
        if name == "uniform":
            return combine(first, second, draw(session, owner.random, (), {}))
        return combine(first, second, draw(session, function, (0.0, 1.0), {}))
    if isinstance(owner, np.random.RandomState) and standard == "random":
        standard = "random_sample"
    if size is None:
        shapes = [p.type.dims for p in (first, second) if isinstance(p, Symbol)] + [
            np.shape(p) for p in (first, second) if not isinstance(p, Symbol)
        ]
        if any(shapes):
            parts = FUNCTIONS[np.broadcast_arrays](first, second)
            size = FUNCTIONS["shape"](parts[0])
    return combine(first, second, draw(session, getattr(owner, standard), (), {"size": size}))


