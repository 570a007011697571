"""SciPy's optimisers and solvers, with derivatives by pullback: `pb.scipy.minimize(f, x0)`.

Thin: each function calls SciPy's function of the same name and passes its keywords on. What is added: derivatives, and
arguments that may be tuples, lists, dicts, dataclasses, numbers and arrays of any shape. SciPy is imported at the first
call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .calls.ravel import Ravel
from .calls.tree import flatten
from .ir.errors import PullbackError, TypeMismatch, UnsupportedFunction
from .runtime.lazy import lazy
from .tracer.calls import call_given
from .tracer.session import current
from .transforms.base import Jit, Transform
from .transforms.gradient import Gradient, ValueAndGradient
from .transforms.hessian import hvp
from .transforms.higher import DenseJacobian
from .transforms.implicit import Implicit

__all__ = ["least_squares", "minimize", "root", "solve_ivp"]

NO_GRADIENT = ("nelder-mead", "powell", "cobyla", "cobyqa")
PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov", "trust-constr")
"""Methods that take products with the Hessian."""
WITHOUT_HESSIAN = ("newton-cg", "trust-constr")
"""Those among them that do without."""
HESSIANS = ("dogleg", "trust-exact")
IMPLICIT = ("radau", "bdf", "lsoda")
WITH_JACOBIAN = ("hybr", "lm")


def minimize(
    fun: Callable[..., Any], x0: Any, args: Sequence[Any] = (), method: Any = None, **options: Any
) -> Any:
    """scipy.optimize.minimize with the gradient, and the Hessian where the method takes one.

    fun      a function (x, *args) -> float, or a `value_and_grad` of one
    x0       where to start: an array of any shape, a number, or a container of them; floats are optimised
    method, **options   as SciPy has them; bounds may be a container like x0 of (low, high) pairs or None, or SciPy's
             own; `callback(x)` gets x in its form

    The result is SciPy's, with `x` and `jac` in the form of x0 and the vectors as `x_vector` and `jac_vector`. In a
    function that is differentiated it has `x` and `fun`, with derivatives by `args`: those of the point where the
    gradient is zero. Bounds and constraints are refused there.
    Newton-CG, trust-ncg, trust-krylov and trust-constr get products with the Hessian, dogleg and trust-exact the
    Hessian.

    >>> result = minimize(lambda p: (p["a"] - 1.0) ** 2 + np.sum(p["b"] ** 2), {"a": 0.0, "b": np.ones(2)})
    >>> round(result.x["a"], 6)
    1.0
    """
    if current() is not None:
        solver = lambda start, *p: minimize(fun, start, p, method, **options)
        derivative = Gradient[..., Any](_function(fun), 0)
        return _implicit("minimize", fun, derivative.__pullback_call__, solver, x0, args, options)
    optimize = lazy("scipy.optimize")
    form = Ravel(x0)
    name = method.lower() if isinstance(method, str) else ""
    args = tuple(args)
    both = fun if isinstance(fun, ValueAndGradient) else ValueAndGradient(_function(fun), 0)
    if both._has_aux or both._argnums != 0:
        raise TypeMismatch("minimize takes value_and_grad with argnums=0 and without has_aux")

    def value_and_slope(vector: np.ndarray) -> tuple[float, np.ndarray]:
        value, bars = both(form.unravel(vector), *args)
        return float(value), form.ravel(bars)

    compiled = Jit[..., Any](_function(fun))

    def value_only(vector: np.ndarray) -> float:
        return float(compiled(form.unravel(vector), *args))

    slope = None if name in NO_GRADIENT else True
    function: Callable[..., Any] = value_and_slope if slope else value_only
    if name in (*PRODUCTS, *HESSIANS) and not {"hess", "hessp"} & set(options):
        options.update(_curvature(_function(fun), form, args, name))
    if "callback" in options and options["callback"] is not None:
        options["callback"] = _callback(options["callback"], form)
    if "bounds" in options:
        options["bounds"] = _bounds(options["bounds"], form)
    result = optimize.minimize(function, form.vector, jac=slope, method=method, **options)
    return _structured(result, form, "x", "jac")


NOT_IMPLICIT = ("bounds", "constraints", "loss", "f_scale")


def _implicit(
    name: str, fun: Any, residual: Callable[..., Any], solver: Callable[..., Any], x0: Any, args: Sequence[Any],
    options: dict[str, Any],
) -> Any:  # fmt: skip
    """The call inside of a traced function: what is found, with derivatives by the arguments."""
    session = current()
    assert session is not None
    function = _function(fun)
    given = [option for option in NOT_IMPLICIT if options.get(option) is not None]
    if given:
        raise session.error(
            UnsupportedFunction, f"pb.scipy.{name} with {', '.join(given)} cannot be differentiated: where it ends "
            "need not be a zero of a derivative. Write what holds at the solution as equations, and give pb.root these",
        )  # fmt: skip
    if getattr(function, "_pullback_staged_", False):
        raise session.error(
            UnsupportedFunction, f"the function that pb.scipy.{name} is called with is made inside of the traced "
            "function, and cannot be called by SciPy. Define it outside, and pass what it uses as args",
        )  # fmt: skip
    found = Implicit(residual, solver, "dense", getattr(function, "__name__", name))
    x = found.__pullback_call__(x0, *args)
    value = call_given(function, (x, *args), {})
    return lazy("scipy.optimize").OptimizeResult(x=x, fun=value, success=True)


def _half_of_squares(fun: Callable[..., Any], x: Any, *args: Any) -> Any:
    leaves, _ = flatten(call_given(fun, (x, *args), {}))
    return 0.5 * sum(np.sum(leaf * leaf) for leaf in leaves)


def _function(fun: Any) -> Callable[..., Any]:
    """The user's own function."""
    if isinstance(fun, Transform) and not isinstance(fun, Jit) and not isinstance(fun, ValueAndGradient):
        raise TypeMismatch(f"{fun!r} is no function of one float: pass the function itself")
    return fun._traceable.function if isinstance(fun, Transform) else fun


def _curvature(fun: Callable[..., Any], form: Ravel, args: tuple[Any, ...], name: str) -> dict[str, Any]:
    """The Hessian, or products with it, as the method takes them."""
    product = hvp(fun)

    def hessp(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
        return form.ravel(product(form.unravel(vector), form.unravel(direction), *args))

    if name in PRODUCTS:
        try:
            hessp(form.vector, np.zeros(form.size))
        except PullbackError:  # no second derivative: SciPy's own way is right too
            if name in WITHOUT_HESSIAN:
                return {}
            raise
        return {"hessp": hessp}
    gradient = DenseJacobian(Gradient[..., Any](fun, 0), 0, form)
    return {"hess": lambda vector: gradient(form.unravel(vector), *args)}


def _callback(callback: Callable[..., Any], form: Ravel) -> Callable[..., Any]:
    def called(vector: np.ndarray, *rest: Any) -> Any:
        return callback(form.unravel(vector), *rest)

    return called


def _bounds(bounds: Any, form: Ravel) -> Any:
    """Bounds like x0: a pair for each number or for each array of it."""
    if isinstance(bounds, dict) and isinstance(form.tree.kind, type) and issubclass(form.tree.kind, dict):
        pairs: list[Any] = []
        for key, child in zip(form.tree.keys, form.tree.children):
            if not child.is_leaf:
                raise TypeMismatch("bounds of nested containers: give SciPy's own, in the order of the floats in x0")
            leaf = form.leaves[form.tree.keys.index(key)]
            pairs += [bounds.get(key) or (None, None)] * (np.size(leaf) if _in_slots(form, key) else 0)
        return pairs
    return bounds


def _in_slots(form: Ravel, key: Any) -> bool:
    return form.tree.keys.index(key) in {k for k, _ in form.slots}


def _structured(result: Any, form: Ravel, *names: str) -> Any:
    """SciPy's result with these vectors in the form of x0."""
    for name in names:
        vector = result.get(name)
        if isinstance(vector, np.ndarray) and vector.shape == (form.size,):
            result[f"{name}_vector"] = vector
            result[name] = form.unravel(vector)
    return result


def least_squares(fun: Callable[..., Any], x0: Any, args: Sequence[Any] = (), **options: Any) -> Any:
    """scipy.optimize.least_squares with the Jacobian, by the cheaper of forward and reverse mode.

    fun      a function (x, *args) -> residuals, an array of any shape or a container of arrays
    x0       an array of any shape, a number, or a container of them

    The result is SciPy's, with `x` in the form of x0 and the vector as `x_vector`; `jac` is a matrix of its columns. In
    a function that is differentiated it has `x` and `fun`, with derivatives by `args`, as that of `minimize` has.
    """
    if current() is not None:
        solver = lambda start, *p: least_squares(fun, start, p, **options)
        derivative = Gradient[..., Any](functools.partial(_half_of_squares, _function(fun)), 0)
        return _implicit("least_squares", fun, derivative.__pullback_call__, solver, x0, args, options)
    optimize = lazy("scipy.optimize")
    form = Ravel(x0)
    residuals, jacobian = _vector_function(_function(fun), form, tuple(args))
    result = optimize.least_squares(residuals, form.vector, jac=options.pop("jac", jacobian), **options)
    return _structured(result, form, "x")


def root(
    fun: Callable[..., Any], x0: Any, args: Sequence[Any] = (), method: str = "hybr", **options: Any
) -> Any:
    """scipy.optimize.root with the Jacobian, for the methods that take one (hybr, lm).

    fun      a function (x, *args) -> as many floats as x has, in any form

    In a function that is differentiated the result has `x` and `fun`, with derivatives by `args`, see `pb.root`.
    """
    if not isinstance(method, str):
        raise TypeMismatch(f"root takes the method by its name, such as 'hybr', not {method!r}")
    if current() is not None:
        solver = lambda start, *p: root(fun, start, p, method, **options)
        residual = lambda x, *p: call_given(_function(fun), (x, *p), {})
        return _implicit("root", fun, residual, solver, x0, args, options)
    optimize = lazy("scipy.optimize")
    form = Ravel(x0)
    values, jacobian = _vector_function(_function(fun), form, tuple(args))
    if method.lower() in WITH_JACOBIAN:
        options.setdefault("jac", jacobian)
    result = optimize.root(values, form.vector, method=method, **options)
    return _structured(result, form, "x")


def _vector_function(fun: Callable[..., Any], form: Ravel, args: tuple[Any, ...]) -> tuple[Any, Any]:
    compiled, jacobian = Jit[..., Any](fun), DenseJacobian(fun)

    def values(vector: np.ndarray) -> np.ndarray:
        return Ravel(compiled(form.unravel(vector), *args), "the result").vector

    return values, lambda vector: jacobian(form.unravel(vector), *args)


def solve_ivp(
    fun: Callable[..., Any], t_span: Any, y0: Any, method: Any = "RK45", args: Sequence[Any] = (), **options: Any
) -> Any:
    """scipy.integrate.solve_ivp with the Jacobian, for the methods that take one (Radau, BDF, LSODA).

    fun      a function (t, y, *args) -> the derivative of y, in the form of y
    y0       an array of any shape, a number, or a container of them

    The result is SciPy's. `y` has one column for each time; `y_at(k)` is the state at time k in the form of y0.
    """
    integrate = lazy("scipy.integrate")
    form = Ravel(y0, "y0")
    fun, args = _function(fun), tuple(args)
    like = None if form.tree.is_leaf else form  # an array's derivative may be a list, as SciPy has it
    compiled, jacobian = Jit[..., Any](fun), DenseJacobian(fun, 1, like)

    def speed(t: float, vector: np.ndarray) -> np.ndarray:
        found = compiled(float(t), form.unravel(vector), *args)
        return (like or Ravel(found, "the derivative")).ravel(found)

    if isinstance(method, str) and method.lower() in IMPLICIT:
        options.setdefault("jac", lambda t, vector: jacobian(float(t), form.unravel(vector), *args))
    result = integrate.solve_ivp(speed, t_span, form.vector, method=method, **options)
    result["y_at"] = lambda k: form.unravel(result.y[:, k])
    return result
