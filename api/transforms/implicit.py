"""Implicit derivatives: solutions of equations, whatever has solved them, by the implicit function theorem."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls.tree import Tree, flatten
from ..ir.errors import ShapeMismatch, TypeMismatch
from ..tracer.calls import call_given, own
from ..tracer.session import Session
from ..tracer.values.symbol import Symbol
from .jacobian import jacobian
from .jvp import jvp
from .registered import Registered
from .rules import WithRule
from .vjp import vjp

Residual = Callable[..., Any]
LinearSolve = Callable[[Callable[[Any], Any], Any], Any]


class Implicit(WithRule[..., Any]):
    """What a solver finds, as a function of (x0, *params); its derivatives are those of a zero of the residual."""

    _kind = "root"
    _opaque = True

    def __init__(self, residual: Residual, solver: Callable[..., Any], solve: Any, name: str):
        self._residual, self._solve = residual, solve
        found = functools.partial(_found, solver)
        found.__name__ = name  # type: ignore[attr-defined]
        super().__init__(found)
        self._signature = None
        self._solver: Registered[..., Any] = Registered(found, None, None, _shapes_like)
        self.defvjp(self._keep, self._pull)
        self.defjvp(self._pushed)

    def _value(self, session: Session, args: tuple[Any, ...]) -> Any:
        tree = flatten(args[0])[1]
        found = self._solver._value(session, args)
        return found if tree.is_leaf else tree.unflatten(list(found))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        found = super().__call__(*args, **kwargs)
        tree = flatten(args[0])[1] if args else None
        if tree is None or tree.is_leaf or not isinstance(found, list):
            return found[()] if isinstance(found, np.ndarray) else found
        return tree.unflatten([leaf[()] for leaf in found])

    def _keep(self, x0: Any, *params: Any) -> tuple[Any, Any]:
        x = self.__pullback_call__(x0, *params)
        return x, (x, params)

    def _pull(self, kept: Any, g: Any) -> Any:
        """-(dr/dp)' w, where (dr/dx)' w = g."""
        x, params = kept
        if not _has_floats(params):
            return (None, *(None for _ in params))
        vector = _Vector(x)
        flat = self._flat(vector, params)
        at = vector.of(x)
        if self._solve == "dense" or vector.single:
            w = np.linalg.solve(np.transpose(jacobian(flat)(at)), vector.of(g))
        else:
            _, pull = vjp(flat, at)
            w = self._solved(lambda v: pull(v)[0], vector.of(g))
        _, pull_params = vjp(lambda *p: vector.of(call_given(self._residual, (x, *p), {})), *params)
        return (None, *pull_params(-w))

    def _pushed(self, primals: Any, tangents: Any) -> Any:
        """-(dr/dx)^-1 (dr/dp) p_dot."""
        x0, *params = primals
        x = self.__pullback_call__(x0, *params)
        if not _has_floats(params):
            return x, None
        vector = _Vector(x)
        flat = self._flat(vector, params)
        at = vector.of(x)
        moved = lambda *p: vector.of(call_given(self._residual, (x, *p), {}))
        _, moving = jvp(moved, tuple(params), tuple(tangents[1:]))
        if self._solve == "dense" or vector.single:
            x_dot = np.linalg.solve(jacobian(flat)(at), -moving)
        else:
            x_dot = self._solved(lambda v: jvp(flat, (at,), (v,))[1], -moving)
        return x, vector.back(x_dot)

    def _flat(self, vector: _Vector, params: Any) -> Callable[[Any], Any]:
        """The residual as a function of the vector of x."""
        return lambda v: vector.of(call_given(self._residual, (vector.back(v), *params), {}))

    def _solved(self, product: Callable[[Any], Any], b: Any) -> Any:
        if self._solve == "gmres":
            return own(gmres)(product, b)
        return call_given(self._solve, (product, b), {})


class _Vector:
    """The floats of a container as one vector, and back; on traced values."""

    def __init__(self, like: Any):
        leaves, self.tree = flatten(like)
        self.shapes = [getattr(leaf, "shape", ()) for leaf in leaves]

    @property
    def single(self) -> bool:
        """Is it one number?"""
        return self.shapes == [()]

    def of(self, value: Any) -> Any:
        try:
            leaves = self.tree.take(value, "what the residual returns")
        except ValueError as error:
            raise TypeMismatch(f"{error}: a residual has the form of x") from None
        for leaf, shape in zip(leaves, self.shapes):
            if not isinstance(leaf, (Symbol, np.ndarray, np.generic, float, int)):
                raise TypeMismatch(f"the residual returns a {type(leaf).__name__}: a residual has the form of x")
            if len(getattr(leaf, "shape", ())) != len(shape):
                raise ShapeMismatch("a residual has the shape of x: as many equations as unknowns, in their form")
        parts = [np.reshape(leaf, (-1,)) if shape else np.stack([leaf]) for leaf, shape in zip(leaves, self.shapes)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def back(self, vector: Any) -> Any:
        leaves: list[Any] = []
        start: Any = 0
        for shape in self.shapes:
            count = functools.reduce(lambda a, b: a * b, shape, 1)
            leaves.append(vector[start : start + count].reshape(shape) if shape else vector[start])
            start = start + count
        return self.tree.unflatten(leaves)


def _has_floats(params: Any) -> bool:
    return any(getattr(getattr(leaf, "type", None), "is_float", isinstance(leaf, float)) for leaf in flatten(params)[0])


def _shapes_like(x0: Any, *params: Any) -> Any:
    leaves, tree = flatten(x0)
    shapes = [tuple(getattr(leaf, "shape", ())) for leaf in leaves]
    return shapes[0] if tree.is_leaf else shapes


def _found(solver: Callable[..., Any], x0: Any, *params: Any) -> Any:
    """What the solver returns; of SciPy's results the solution. A container as the list of its leaves."""
    result = solver(x0, *params)
    if hasattr(result, "success") and hasattr(result, "x"):
        if not result.success:
            raise RuntimeError(f"the solver has not converged: {getattr(result, 'message', '')}")
        result = result.x
    leaves, tree = flatten(x0)
    if tree.is_leaf:
        found = np.asarray(result, np.result_type(np.float64, np.asarray(x0)))
        return found.reshape(np.shape(x0)) if found.size == np.size(x0) == 1 else found
    return [np.asarray(leaf) for leaf in _taken(tree, result)]


def _taken(tree: Tree, result: Any) -> list[Any]:
    try:
        return tree.take(result, "what the solver returns")
    except ValueError as error:
        raise TypeMismatch(f"{error}: a solver returns x in the form of x0") from None


def gmres(product: Callable[[Any], Any], b: Any) -> Any:
    """x with product(x) == b, of the smallest residual in a Krylov space that grows until this is next to nothing."""
    n = b.size
    norm = np.sqrt(np.sum(b * b))
    basis = np.zeros((n + 1, n))
    upper = np.zeros((n + 1, n))
    turns = np.zeros((n, 2))
    right = np.zeros(n + 1)
    count = 0
    if norm > 0.0:
        basis[0] = b / norm
        right[0] = norm
        while count < n and abs(right[count]) > 1e-14 * norm:
            v = product(basis[count])
            size = np.sqrt(np.sum(v * v))
            for _ in range(2):
                for i in range(count + 1):
                    h = np.sum(basis[i] * v)
                    upper[i, count] += h
                    v = v - h * basis[i]
            rest = np.sqrt(np.sum(v * v))
            if rest > 1e-15 * size:
                basis[count + 1] = v / rest
            for i in range(count):
                a, c = upper[i, count], upper[i + 1, count]
                upper[i, count] = turns[i, 0] * a + turns[i, 1] * c
                upper[i + 1, count] = turns[i, 0] * c - turns[i, 1] * a
            length = np.sqrt(upper[count, count] ** 2 + rest * rest)
            turns[count, 0] = upper[count, count] / length
            turns[count, 1] = rest / length
            upper[count, count] = length
            right[count + 1] = -turns[count, 1] * right[count]
            right[count] = turns[count, 0] * right[count]
            count += 1
    x = np.zeros(n)
    y = np.zeros(n)
    for j in range(count):
        i = count - 1 - j
        total = right[i]
        for k in range(i + 1, count):
            total -= upper[i, k] * y[k]
        y[i] = total / upper[i, i]
        x = x + y[i] * basis[i]
    return x


def root(residual: Residual, solver: Callable[..., object], solve: str | LinearSolve = "dense") -> Implicit:
    """`f(x0, *params)`: what `solver(x0, *params)` finds, x with residual(x, *params) == 0, with its derivatives.

    residual   in plain NumPy: as many equations as unknowns, in the form of x (an array, a number, a container)
    solver     anything: a routine of SciPy's, a loop, compiled code. It runs as it is, through Python, and is not
               differentiated; x0 has no derivative. Of SciPy's results `x` is taken, if they say `success`
    solve      how the linear systems are solved: "dense" makes the Jacobian of the residual, "gmres" and a function
               `solve(product, b)` use its products with vectors alone

    The derivative by the params is that of the implicit function theorem, forward and in reverse, to every order. It is
    right as far as x is a zero of the residual. A singular Jacobian raises LinAlgError.

    >>> import scipy.optimize
    >>> f = root(lambda x, a: x**3 - a, lambda x0, a: scipy.optimize.newton(lambda x: x**3 - a, x0))
    >>> from .public import grad
    >>> round(grad(f, 1)(1.0, 8.0), 9)
    0.083333333
    """
    return Implicit(residual, solver, _checked(solve), getattr(residual, "__name__", "root"))


def fixed_point(
    function: Residual, solver: Callable[..., object] | None = None, solve: str | LinearSolve = "dense"
) -> Implicit:
    """`f(x0, *params)`: x with function(x, *params) == x, as `solver(x0, *params)` finds it, with its derivatives.

    Without a solver the function is applied again and again, until nothing changes. The rest is as for `root`.

    >>> f = fixed_point(lambda x, a: np.cos(a * x))
    >>> from .public import grad
    >>> x = f(0.5, 1.0)
    >>> round(grad(f, 1)(0.5, 1.0), 9), round(float(-x * np.sin(x) / (1.0 + np.sin(x))), 9)
    (-0.297474342, -0.297474342)
    """

    def residual(x: Any, *params: Any) -> Any:
        leaves, tree = flatten(x)
        found = tree.take(call_given(function, (x, *params), {}), "what the function returns")
        return tree.unflatten([a - b for a, b in zip(found, leaves)])

    name = getattr(function, "__name__", "fixed_point")
    return Implicit(residual, solver or functools.partial(iterated, function), _checked(solve), name)


def iterated(function: Callable[..., Any], x: Any, *params: Any) -> Any:
    """The function applied until at most the last digits change. Raises RuntimeError if that never comes."""
    before = np.inf
    for _ in range(100_000):
        leaves, tree = flatten(x)
        x = function(x, *params)
        new = tree.take(x, "what the function returns")
        change = max((float(np.max(np.abs(np.subtract(a, b)), initial=0.0)) for a, b in zip(new, leaves)), default=0.0)
        size = max((float(np.max(np.abs(a), initial=0.0)) for a in new), default=0.0)
        if change <= 4e-16 * size or (change <= 1e-13 * size and change >= before):
            return x
        before = change
    raise RuntimeError("the fixed point iteration has not converged")


def _checked(solve: Any) -> Any:
    if solve in ("dense", "gmres") or callable(solve):
        return solve
    raise TypeMismatch(f'solve must be "dense", "gmres" or a function of (product, b), not {solve!r}')
