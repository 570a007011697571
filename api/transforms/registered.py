"""`register`: functions that are called as they are, with rules for their derivatives; `primitive`: rules by SymPy."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np

from ..calls.tree import Tree, flatten
from ..ir.errors import ShapeMismatch, TypeMismatch, UnsupportedFunction
from ..ir.ops.external import external
from ..runtime.external import key_of
from ..runtime.lazy import lazy
from ..tracer.calls import call_given
from ..tracer.session import Session
from ..tracer.values.symbol import Array, Symbol, as_value, wrap
from .rules import CustomJVP, WithRule, custom_jvp

P = ParamSpec("P")
R = TypeVar("R")
Shape = tuple[Any, ...]


class Registered(WithRule[P, R]):
    """A function that a program calls as it is, through Python."""

    _kind = "registered"
    _opaque = True

    def __init__(self, function: Callable[P, R], vjp: Any, jvp: Any, shape: Any):
        super().__init__(function)
        self._shape = shape
        if vjp is not None:
            self.defvjp(self._keep, functools.partial(_pulled, vjp))
        if jvp is not None:
            self.defjvp(functools.partial(_pushed, self, jvp))

    def __reduce__(self) -> str:
        raise TypeMismatch(f"{self!r} cannot be pickled: pickle a function that calls it, by its name")

    def _name(self) -> str:
        return getattr(self.__wrapped__, "__name__", type(self.__wrapped__).__name__)

    def _keep(self, *args: Any) -> tuple[Any, Any]:
        y = self.__pullback_call__(*args)
        return y, (args, y)

    def _value(self, session: Session, args: tuple[Any, ...]) -> Any:
        if getattr(getattr(self.__wrapped__, "args", (self.__wrapped__,))[0], "_pullback_staged_", False):
            raise session.error(
                UnsupportedFunction, f"{self._name()} is made inside of the traced function, and cannot be called as "
                "it is. Define it outside, and pass it what it uses",
            )  # fmt: skip
        leaves, tree = flatten(args)
        given = {k: as_value(session, leaf) for k, leaf in enumerate(leaves) if _is_value(leaf)}
        fixed = {k: leaf for k, leaf in enumerate(leaves) if k not in given}
        kinds = tuple(_Kind(atom.type.rank, weak, isinstance(leaves[k], Array)) for k, (atom, weak) in given.items())
        session.opaque.append(self._name())
        shapes, several = self._shapes(args, [leaves[k] for k in given])
        which = id(self), tree, tuple(given), kinds, tuple((k, _same(leaf)) for k, leaf in fixed.items()), several
        key = key_of(self._name(), which, lambda: _Caller(self, tree, tuple(given), kinds, fixed, several))
        counts = [functools.reduce(lambda a, b: a * b, shape, 1) for shape in shapes]
        size = as_value(session, sum(counts))[0]
        found = wrap(session, session.builder.emit(external, key, size, tuple(atom for atom, _ in given.values())))
        floats = {atom.type.dtype for atom, weak in given.values() if atom.type.is_float and not weak}
        single = floats == {"f32"}
        parts: list[Any] = []
        start: Any = 0
        for shape, count in zip(shapes, counts):
            part: Any = found[start] if shape == () else found[start : start + count].reshape(shape)
            parts.append(part.astype(np.float32) if single else part)
            start = start + count
        return tuple(parts) if several else parts[0]

    def _shapes(self, args: tuple[Any, ...], values: list[Any]) -> tuple[list[Shape], bool]:
        """The shapes of the results, and whether there are several."""
        if self._shape is None:
            both = functools.reduce(lambda a, b: a + b, [v * 1.0 for v in values], 0.0)
            return [getattr(both, "shape", ())], False
        return _listed(call_given(self._shape, args, {}) if callable(self._shape) else self._shape)


def _listed(shape: Any) -> tuple[list[Shape], bool]:
    """What `shape` says: the shape of the result, or a list of shapes of several."""
    if isinstance(shape, list) or (isinstance(shape, tuple) and any(isinstance(s, tuple) for s in shape)):
        return [s if isinstance(s, tuple) else (s,) for s in shape], True
    return [tuple(shape) if isinstance(shape, tuple) else (shape,)], False


def _is_value(leaf: Any) -> bool:
    return isinstance(leaf, (Symbol, float, np.ndarray, np.generic)) and not isinstance(leaf, (bool, np.bool_))


def _same(leaf: Any) -> Any:
    """What two static arguments have in common that are the same to the function."""
    return (type(leaf), leaf) if isinstance(leaf, (int, str, bytes, bool, type(None))) else id(leaf)


class _Kind(tuple[int, bool, bool]):
    """Of an argument: its rank, is it a number of Python's, is it an array (of rank 0, too)?"""

    def __new__(cls, rank: int, weak: bool, array: bool) -> _Kind:
        return super().__new__(cls, (rank, weak, array))


class _Caller:
    """The function on the arrays and numbers that a program has."""

    def __init__(
        self, function: Registered[..., Any], tree: Tree, places: tuple[int, ...], kinds: tuple[_Kind, ...],
        fixed: dict[int, Any], several: bool,
    ):  # fmt: skip
        self.function, self.tree, self.places, self.kinds = function, tree, places, kinds
        self.fixed, self.several = fixed, several

    def __call__(self, *values: Any) -> Sequence[Any]:
        leaves = dict(self.fixed)
        for k, value, (rank, weak, array) in zip(self.places, values, self.kinds):
            if rank or array:
                leaves[k] = np.asarray(value)
            else:
                leaves[k] = np.asarray(value).item() if weak else np.asarray(value)[()]
        args = self.tree.unflatten([leaves[k] for k in sorted(leaves)])
        result = self.function.__wrapped__(*args)
        name = self.function._name()
        results = result if self.several else (result,)
        if self.several and not isinstance(result, (tuple, list)):
            raise ShapeMismatch(f"{name} returns one array, and the shape that pb.register was given is of several")
        shape = self.function._shape
        if shape is None:
            wanted = [np.broadcast_shapes(*(np.shape(leaves[k]) for k in self.places))]
        else:
            wanted, _ = _listed(shape(*args) if callable(shape) else shape)
        if len(results) != len(wanted):
            raise ShapeMismatch(f"{name} returns {len(results)} arrays, and pb.register was given {len(wanted)} shapes")
        for found, shape in zip(results, wanted):
            if np.shape(found) != tuple(map(int, shape)) or np.asarray(found).dtype.kind not in "fiub":
                raise ShapeMismatch(
                    f"{name} returns an array of {np.asarray(found).dtype} of shape {np.shape(found)}, where it should "
                    f"return floats of shape {tuple(map(int, shape))}: give pb.register the shape of the result, shape="
                )
        return results


def _pulled(vjp: Any, kept: Any, g: Any) -> Any:
    args, y = kept
    given = call_given(vjp, (g, y, *args), {})
    return given if isinstance(given, (tuple, list)) else (given,)


def _pushed(function: Registered[..., Any], jvp: Any, primals: Any, tangents: Any) -> Any:
    y = function.__pullback_call__(*primals)
    return y, call_given(jvp, (tangents, y, *primals), {})


def register(
    function: Callable[P, R], vjp: Callable[..., object] | None = None, jvp: Callable[..., object] | None = None,
    shape: object = None,
) -> Registered[P, R]:  # fmt: skip
    """A function that is called as it is, through Python: a C extension, a routine or an object of SciPy's.

    vjp     `vjp(g, y, *args)`, with the cotangent g of the value y: a tuple with a cotangent for each argument, None
            for zero and for what is no float; of one argument the cotangent itself
    jvp     `jvp(tangents, y, *args)`: the tangent of the value. One of the two gives the other; without both only
            derivatives are refused
    shape   the shape of the result: a tuple, or a function of the arguments that gives one; a list of shapes if the
            function returns several arrays. Without it, that of the arguments broadcast

    The results are float64, or float32 if all arguments are. The function must depend on its arguments alone, and gets
    copies of arrays. In compiled code each call costs some microseconds, and takes the GIL. A result of another shape
    raises ShapeMismatch where the program runs.

    >>> import math
    >>> gamma = register(np.vectorize(math.gamma, otypes=[float]), vjp=lambda g, y, x: g * y * np.log(x))
    >>> from .public import jit
    >>> jit(lambda x: gamma(x) + 1.0)(np.array([3.0, 5.0]))
    array([ 3., 25.])
    """
    if not callable(function):
        raise TypeMismatch(f"register takes a function, not {type(function).__name__}")
    return Registered(function, vjp, jvp, shape)


def primitive(form: object) -> Callable[[Callable[P, R]], CustomJVP[P, R]]:
    """A function of numbers, for each element of arrays, whose derivatives follow from a form of SymPy.

    form   an expression of SymPy, or its text, in the names of the function's parameters

    >>> @primitive("log(1 + exp(x))")
    ... def softplus(x):
    ...     return np.logaddexp(0.0, x)
    >>> from .public import grad
    >>> grad(softplus)(0.0)
    0.5
    """

    def made(function: Callable[P, R]) -> CustomJVP[P, R]:
        result: CustomJVP[P, R] = custom_jvp(function)
        names = list(result._signature.parameters) if result._signature else []
        partials = lazy("inspection.sympy_bridge").partials_of(form, names)
        result.defjvps(*(functools.partial(_times, partial) for partial in partials))
        return result

    return made


def _times(partial: Any, t: Any, y: Any, *primals: Any) -> Any:
    return t * call_given(partial, primals, {})


