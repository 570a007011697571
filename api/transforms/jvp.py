"""Forward mode: the derivative of a function along a direction of its arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..calls.pickling import reduced
from ..calls.same import Same
from ..calls.tree import Tree, flatten
from ..ir.build import dim_atom
from ..ir.errors import TypeMismatch
from ..ir.program import Atom
from ..ir.tangent import tangent
from ..ir.walk import inline
from ..tracer.session import Session, current
from ..tracer.values.symbol import wrap
from .argnums import positions
from .composed import Composed, Part
from .vjp import as_seed


def jvp(
    function: Callable[..., object], primals: Sequence[object], tangents: Sequence[object], has_aux: bool = False
) -> Any:
    """The value of a function and its derivative along a direction: the Jacobian-vector product.

    primals    the arguments, a tuple or a list
    tangents   a direction of the same structure, shapes and dtypes; None stands for what does not move, and must
               stand for what is no float
    has_aux    the function returns (value, aux); the result is (value, tangent, aux)

    The tangent has the structure of the value, with None for what is no float. It costs about as much as the value
    again: nothing is kept, whatever the length of a loop. Raises TypeMismatch or ShapeMismatch where the tangents do
    not fit. The name and the arguments are those of `jax.jvp`.

    >>> import numpy as np
    >>> jvp(lambda x, w: w * np.sin(x), (np.array([0.0, 1.0]), 2.0), (np.array([1.0, 0.0]), None))
    (array([0.        , 1.68294197]), array([2., 0.]))
    """
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise TypeMismatch(f"jvp takes the {what} as a tuple, one for each argument, not {type(given).__name__}")
    return _push(_known(function, has_aux), tuple(primals), tuple(tangents))


def _push(pushforward: Pushforward, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    call = pushforward if current() is None else pushforward.__pullback_call__
    return call(primals, tangents)


def linearize(function: Callable[..., object], *primals: object) -> tuple[Any, Callable[..., Any]]:
    """The value of a function, and the linear function from tangents of its arguments to the tangent of its value.

    The value is computed again with every tangent: that costs less than what it would keep. The name and the arguments
    are those of `jax.linearize`.

    >>> y, push = linearize(lambda x: x ** 3, 2.0)
    >>> y, push(1.0), push(10.0)
    (8.0, 12.0, 120.0)
    """
    none = flatten(primals)[1].unflatten([None] * len(flatten(primals)[0]))

    def push(*tangents: Any) -> Any:
        return _push(_known(function, False, again=True), primals, tangents)[1]

    return jvp(function, primals, none)[0], push


class Pushforward(Composed):
    """jvp as a function of (primals, tangents); `again` if the function has been called with these primals."""

    _kind = "jvp"

    def __init__(self, function: Callable[..., Any], argnums: Any = None, has_aux: bool = False, again: bool = False):
        super().__init__(function, argnums, has_aux)
        self._again = again

    def __reduce__(self) -> str | tuple[Any, ...]:
        return reduced(self, self._given, self._has_aux, self._again)

    def _called_like(self) -> inspect.Signature:
        return inspect.signature(lambda primals, tangents: None)

    def plainly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._function(*args[0])

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        primals, tangents = args
        part = Part(self._function, primals, {}, self._has_aux)
        if self._again:
            part.captured.require_unread(part.session)
        return pushed(part, directions(part, part.tree.children[0], tangents), store=not self._again)


class Along(Composed):
    """jvp as a function of the arguments and, behind them, a tangent of what argnums names."""

    _kind = "jvp"

    def traced(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        *primals, v = args
        part = Part(self._function, tuple(primals), kwargs, self._has_aux)
        chosen = positions(self._argnums, len(primals), self._span)
        given = dict(zip(chosen, (v,) if isinstance(self._argnums, int) else v))
        return pushed(part, directions(part, part.tree.children[0], tuple(map(given.get, range(len(primals))))))


def directions(part: Part, form: Tree, tangents: Any) -> dict[int, Atom]:
    """The tangents of the parameters that move, by the parameter."""
    try:
        flat = form.take(tangents, "the tangents")
    except ValueError as error:
        if tangents is None:
            return {}
        raise part.error(str(error)) from None
    found: dict[int, Atom] = {}
    for k, (value, path) in enumerate(zip(flat, form.paths("the tangents"))):
        param = part.captured.positions[k]
        if value is None:
            continue
        if param is None:
            raise part.error(f"{path} must be None: what it belongs to is no float, and does not move")
        found[param] = as_seed(part.session, value, part.captured.values[param], path, "the argument")
    return found


def pushed(part: Part, dots: dict[int, Atom], store: bool = True) -> Any:
    """(value, tangent), or (value, tangent, aux), of a call and the tangents of its parameters.

    store   what the function changes outside of itself is changed
    """
    program, session = part.program, part.session
    own, count = part.captured.own, len(program.results)
    if dots:
        derived = tangent(program, list(dots), of=range(len(own.results)))
        atoms = inline(session.builder, derived, [*part.captured.values, *dots.values()])
    else:
        atoms = inline(session.builder, program, part.captured.values)
    ends = iter(atoms[count:])
    moved = {k: next(ends) for k, r in enumerate(own.results) if r.type.is_float} if dots else {}
    value, aux = part.returned(atoms[:count])
    if store:
        part.captured.store(atoms[:count])
    weak = {k: of[1] for k, of in zip(part.captured.results, part.captured.read)}
    leaves: list[Any] = []
    for k in part.floats:
        if k is None:
            leaves.append(None)
        else:
            leaves.append(wrap(session, moved.get(k) or zeros_like(session, atoms[k]), weak=weak[k]))
    tangent_of_value = part.form.unflatten(leaves)
    return (value, tangent_of_value) if part.aux is None else (value, tangent_of_value, aux)


def zeros_like(session: Session, atom: Atom) -> Atom:
    shape = tuple(map(dim_atom, atom.type.dims))
    return session.builder.emit("zeros", shape, atom.type.dtype)


@functools.lru_cache(maxsize=256)
def _cached(function: Same, has_aux: bool, again: bool) -> Pushforward:
    return Pushforward(function.it, None, has_aux, again)


def _known(function: Callable[..., Any], has_aux: bool, again: bool = False) -> Pushforward:
    """The transform of a function, the same one at each call."""
    return _cached(Same(function), has_aux, again)
