"""Differences, integrals, convolutions, polynomials, covariance."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.build import dim_atom, literal
from ...ir.errors import TypeMismatch, UnsupportedFunction
from ...ir.program import Atom, Index, Var
from ..values.convert import common
from ..values.symbol import as_value, implements, require_session, wrap
from .arguments import (
    axis_argument,
    dims_of,
    emit_reshape,
    integer_argument,
    names,
    operand,
    require_elements,
    size_symbol,
)
from .join import along, joined
from .linalg import dot, pair
from .loops import filled, for_loop
from .reduce import flat, mean

# -- differences ---------------------------------------------------------------------------------------


@implements(np.diff)
def diff(a: Any, n: Any = 1, axis: Any = -1, prepend: Any = None, append: Any = None) -> Any:
    x = operand(a, "np.diff")
    order = integer_argument(n, "np.diff")
    if order < 0:
        raise ValueError(f"order must be non-negative but got {order}")
    place = axis_argument(axis, x.type.rank, "np.diff")
    no_value = getattr(np, "_NoValue", None)
    ends = [None if v is no_value or v is None else _end(v, x, place) for v in (prepend, append)]
    if any(e is not None for e in ends):
        x = joined([p for p in (ends[0], x, ends[1]) if p is not None], place, "np.diff")
    for _ in range(order):
        later, earlier = x[along(place, slice(1, None))], x[along(place, slice(None, -1))]
        x = operand(later != earlier if x.type.dtype == "bool" else later - earlier, "np.diff")
    return x


def _end(value: Any, x: Any, axis: int) -> Any:
    end = operand(value, "np.diff")
    if end.type.rank:
        return end
    return np.broadcast_to(end, tuple(1 if k == axis else s for k, s in enumerate(x.shape)))


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    x = operand(ary, "np.ediff1d")
    if x.type.dtype == "bool":
        raise x.session.error(TypeMismatch, "NumPy has no differences of booleans here. Write np.diff(x)")
    x = diff(flat(x))
    dtype = x.type.numpy
    parts = [
        None if v is None else np.atleast_1d(operand(v, "np.ediff1d", dtype)) for v in (to_begin, to_end)
    ]
    found = [p for p in (parts[0], x, parts[1]) if p is not None]
    return joined(found, 0, "np.ediff1d") if len(found) > 1 else x


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    x = operand(f, "np.gradient")
    if x.type.dtype == "bool":
        raise x.session.error(TypeMismatch, "NumPy has no differences of booleans. Write np.gradient(x.astype(float))")
    x = operand(x, "np.gradient", at_least="float")
    rank = x.type.rank
    chosen = range(rank) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [axis_argument(k, rank, "np.gradient") for k in chosen]
    spacings = list(varargs) or [1.0]
    spacings = spacings * len(axes) if len(spacings) == 1 else spacings
    if len(spacings) != len(axes):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ValueError("'edge_order' greater than 2 not supported")
    results = [_slope(x, h, k, edge_order) for h, k in zip(spacings, axes)]
    return results[0] if len(axes) == 1 else tuple(results)


def _slope(x: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    h = operand(spacing, "np.gradient", x.type.numpy)
    if h.type.rank > 1:
        raise ValueError("distances must be either scalars or 1d")

    def at(start: Any, stop: Any) -> Any:
        return x[along(axis, slice(start, stop))]

    n = size_symbol(x.session, dim_atom(dims_of(x)[axis]))
    if not x.session.ensure(x.session.builder.affine(dims_of(x)[axis]) - 1 - edge_order):
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, "
            "at least (edge_order + 1) elements are required."
        )
    if h.type.rank:
        if not x.session.equal_dims(dims_of(x)[axis], h.type.dims[0], (x.type.dims, h.type.dims), "np.gradient"):
            raise ValueError("when 1d, distances must match the length of the corresponding dimension")
        steps = diff(h)[tuple(slice(None) if k == axis else None for k in range(x.type.rank))]
        return joined(_uneven(at, lambda a, b: steps[along(axis, slice(a, b))], n, edge_order), axis, "np.gradient")
    inner = (at(2, None) - at(None, -2)) / (2.0 * h)
    if edge_order == 1:
        first, last = (at(1, 2) - at(0, 1)) / h, (at(n - 1, n) - at(n - 2, n - 1)) / h
    else:
        first = (-1.5 * at(0, 1) + 2.0 * at(1, 2) - 0.5 * at(2, 3)) / h
        last = (0.5 * at(n - 3, n - 2) - 2.0 * at(n - 2, n - 1) + 1.5 * at(n - 1, n)) / h
    return joined([first, inner, last], axis, "np.gradient")


def _uneven(at: Any, step: Any, n: Any, edge_order: int) -> list[Any]:
    """Slopes between uneven coordinates: of the parabola through three neighbours; at the ends of it, or of a line."""
    one, two = step(None, -1), step(1, None)
    both = one + two
    inner = (two - one) / (one * two) * at(1, -1) - two / (one * both) * at(None, -2) + one / (two * both) * at(2, None)
    if edge_order == 1:
        return [(at(1, 2) - at(0, 1)) / step(0, 1), inner, (at(n - 1, n) - at(n - 2, n - 1)) / step(n - 2, n - 1)]
    one, two = step(0, 1), step(1, 2)
    first = -(2.0 * one + two) / (one * (one + two)) * at(0, 1)
    first = first + (one + two) / (one * two) * at(1, 2) - one / (two * (one + two)) * at(2, 3)
    one, two = step(n - 3, n - 2), step(n - 2, n - 1)
    last = two / (one * (one + two)) * at(n - 3, n - 2) - (two + one) / (one * two) * at(n - 2, n - 1)
    return [first, inner, last + (2.0 * two + one) / (two * (one + two)) * at(n - 1, n)]


@implements(*names(np, "trapezoid", "trapz"))
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Any:
    v = operand(y, "np.trapezoid")
    place = axis_argument(axis, v.type.rank, "np.trapezoid")
    middle = (v[along(place, slice(1, None))] + v[along(place, slice(None, -1))]) / 2.0
    if x is None:
        return np.sum(middle * dx, axis=place)
    points = operand(x, "np.trapezoid")
    if points.type.rank == 1:
        step = diff(points)
        step = step[tuple(slice(None) if k == place else None for k in range(v.type.rank))]
    else:
        step = diff(points, axis=axis)
    return np.sum(step * middle, axis=place)


# -- convolution ---------------------------------------------------------------------------------------


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    return _convolved(a, v, mode, "np.convolve", turned=True)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    return _convolved(a, v, mode, "np.correlate", turned=False)


_MODES: dict[str | int, str] = {0: "valid", 1: "same", 2: "full"}
"""How much of a convolution is asked for: by number, as NumPy has it too."""


def _convolved(a: Any, v: Any, mode: str, what: str, turned: bool) -> Any:
    """Each result is the sum of products of a window of a, padded with zeros, and the kernel."""
    mode = _MODES.get(mode, mode) if isinstance(mode, (str, int)) else ""
    if mode not in _MODES.values():
        raise require_session().error(TypeMismatch, f"{what}: mode must be 'full', 'same' or 'valid'")
    x, kernel = pair(np.atleast_1d(operand(a, what)), np.atleast_1d(operand(v, what)), what)
    if x.type.rank != 1 or kernel.type.rank != 1:
        raise ValueError("object too deep for desired array")
    session = x.session
    builder = session.builder
    (n,), (m,) = (dims_of(v) for v in (x, kernel))
    for size, name in ((n, "a" if turned else "first array argument"), (m, "v" if turned else "second array argument")):
        require_elements(session, (size,), f"{name} cannot be empty")
    longer = builder.holds(builder.affine(n) - builder.affine(m))
    if longer is None and mode == "full":  # the same, whichever is longer
        longer = True
    if longer is None:
        raise session.error(
            UnsupportedFunction, f"{what} of arrays of which the longer is only known when it runs"
        )
    if not longer:
        if not turned:
            return _convolved(v, a, mode, what, turned)[::-1]
        x, kernel, n, m = kernel, x, m, n
    size, width = (size_symbol(session, dim_atom(d)) for d in (n, m))
    before, after = {
        "full": (width - 1, width - 1), "valid": (0, 0), "same": (width // 2, (width - 1) // 2),
    }[mode]  # fmt: skip
    padded: Any = np.pad(x, (before, after)) if mode != "valid" else x
    windows = size + before + after - width + 1
    return _sliding(padded, kernel, as_value(session, windows)[0], turned)


def _sliding(x: Any, kernel: Any, windows: Atom, turned: bool) -> Any:
    """y[i] = sum over k of x[i + k] * kernel[k], or of kernel[-1 - k] if the kernel is turned around."""
    session = x.session
    builder = session.builder
    signal, weights = x.read(), kernel.read()
    width = dim_atom(weights.type.dims[0])

    def window(i: Var) -> Atom:
        def body(k: Var, carried: list[Var]) -> list[Atom]:
            place = builder.emit("sub", builder.emit("sub", width, k), 1) if turned else k
            element = builder.emit("getitem", signal, Index((builder.emit("add", i, k),)))
            weight = builder.emit("getitem", weights, Index((place,)))
            return [builder.emit("add", carried[0], builder.emit("mul", element, weight))]

        return for_loop(session, width, [("total", literal(0, signal.type.dtype))], body)[0]

    return filled(session, windows, signal.type.dtype, window)


# -- polynomials ---------------------------------------------------------------------------------------


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Horner's scheme, as a loop over the coefficients; a list of them is written out."""
    if isinstance(p, (list, tuple)):
        values = [operand(v, "np.polyval") for v in (*p, x)]
        atoms, _ = common(values[0].session, values, "np.polyval")
        *factors, at = (wrap(values[0].session, a) for a in atoms)
        result: Any = np.zeros_like(at)
        for k, coefficient in enumerate(factors):
            result = result * at + coefficient if k else result + coefficient
        return result
    coefficients, point = pair(p, x, "np.polyval")
    session = coefficients.session
    builder = session.builder
    (dim,) = dims_of(coefficients)
    atom = coefficients.read()

    def horner(at: Atom) -> Atom:
        def body(k: Var, carried: list[Var]) -> list[Atom]:
            element = builder.emit("getitem", atom, Index((k,)))
            return [builder.emit("add", builder.emit("mul", carried[0], at), element)]

        return for_loop(session, dim_atom(dim), [("value", literal(0, atom.type.dtype))], body)[0]

    if not point.type.rank:
        return wrap(session, horner(point.read()))
    points = flat(point).read()
    values = filled(
        session,
        dim_atom(points.type.dims[0]),
        atom.type.dtype,
        lambda i: horner(builder.emit("getitem", points, Index((i,)))),
    )
    return emit_reshape(values, dims_of(point))


# -- covariance ----------------------------------------------------------------------------------------


@implements(np.cov)
def cov(
    m: Any, y: Any = None, rowvar: Any = True, bias: Any = False, ddof: Any = None, fweights: Any = None,
    aweights: Any = None, *, dtype: Any = None,
) -> Any:  # fmt: skip
    if fweights is not None or aweights is not None:
        return NotImplemented
    x = _observations(m, y, rowvar, dtype)
    session = x.session
    number = size_symbol(session, dim_atom(dims_of(x)[1]))
    ddof = (0 if bias else 1) if ddof is None else ddof
    deviation = operand(x - mean(x, axis=1, keepdims=True), "np.cov")
    return np.squeeze(dot(deviation, deviation.T) / np.maximum(number - ddof, 0)).copy()


def _observations(m: Any, y: Any, rowvar: Any, dtype: Any) -> Any:
    dtype = float if dtype is None else dtype
    x: Any = np.atleast_2d(operand(m, "np.cov", dtype))
    x = x.T if not rowvar and dims_of(x)[0] != 1 else x
    if y is None:
        return operand(x, "np.cov")
    other: Any = np.atleast_2d(operand(y, "np.cov", dtype))
    other = other.T if not rowvar and dims_of(other)[0] != 1 else other
    return np.concatenate([x, other], axis=0)


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: Any = True, **options: Any) -> Any:
    c = operand(cov(x, y, rowvar, **options), "np.corrcoef")
    if not c.type.rank:
        return c / c
    deviation = operand(np.sqrt(np.diagonal(c)), "np.corrcoef")
    return np.clip(c / deviation[:, None] / deviation[None, :], -1.0, 1.0)
