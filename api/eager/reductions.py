"""Sums, means, extrema and the like, with torch's `dim=` and `keepdim=` (NumPy's `axis=` and `keepdims=` too)."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np

from . import kinds
from .functions import FUNCTIONS, public, to
from .kernels import Function
from .record import apply
from .tensor import Tensor

Extremum = namedtuple("Extremum", ("values", "indices"))


def axes(dim: Any, axis: Any) -> Any:
    chosen = axis if dim is None else dim
    return tuple(chosen) if isinstance(chosen, (list, tuple)) else chosen


def _reduction(name: str, definition: Callable[..., Any], promote: str, integers_stay: bool = False) -> None:
    function = Function(name, definition, promote)

    def run(
        input: Tensor, dim: Any = None, keepdim: bool = False, *,
        axis: Any = None, keepdims: bool = False, dtype: Any = None,
    ) -> Tensor:  # fmt: skip
        if dtype is not None:
            input = to(input, dtype)
        if promote == "float" and input.dtype.category < 2:
            raise RuntimeError(
                f"{name}(): could not infer output dtype. Input dtype must be a floating point dtype, got "
                f"{input.dtype}: convert it with .float()"
            )
        if integers_stay and input.dtype.category == 0:
            input = to(input, kinds.int64)
        return apply(function, input, static=(axes(dim, axis), bool(keepdim or keepdims)))

    run.__name__ = name
    FUNCTIONS[name] = run


_reduction("sum", lambda x, d, k: np.sum(x, axis=d, keepdims=k), "common", True)
_reduction("prod", lambda x, d, k: np.prod(x, axis=d, keepdims=k), "common", True)
_reduction("mean", lambda x, d, k: np.mean(x, axis=d, keepdims=k), "float")
_reduction("amax", lambda x, d, k: np.max(x, axis=d, keepdims=k), "common")
_reduction("amin", lambda x, d, k: np.min(x, axis=d, keepdims=k), "common")
_reduction("all", lambda x, d, k: np.all(x, axis=d, keepdims=k), "common")
_reduction("any", lambda x, d, k: np.any(x, axis=d, keepdims=k), "common")


def _logsumexp(x: Any, d: Any, k: bool) -> Any:
    top = _constant_max(x, d)
    total = np.log(np.sum(np.exp(x - top), axis=d, keepdims=True)) + top
    return total if k else np.squeeze(total, axis=d)


def _constant_max(x: Any, d: Any) -> Any:
    """The maximum, or 0 where it is infinite, so that differences are numbers."""
    top = np.max(x, axis=d, keepdims=True)
    return np.where(np.isfinite(top), top, 0.0)


_reduction("logsumexp", _logsumexp, "float")


def _spread(name: str, root: bool) -> None:
    def definition(x: Any, d: Any, correction: int, k: bool) -> Any:
        centred = x - np.mean(x, axis=d, keepdims=True)
        squares = np.sum(centred * centred, axis=d, keepdims=k)
        count = 1
        for axis in range(x.ndim) if d is None else d if isinstance(d, tuple) else (d,):
            count = count * x.shape[axis]
        variance = squares / (count - correction)
        return _root(variance) if root else variance

    function = Function(name, definition, "float")

    def run(
        input: Tensor,
        dim: Any = None,
        unbiased: bool = True,
        keepdim: bool = False,
        *,
        correction: int | None = None,
    ) -> Tensor:
        static = (axes(dim, None), int(unbiased) if correction is None else correction, bool(keepdim))
        return apply(function, input, static=static)

    run.__name__ = name
    FUNCTIONS[name] = run


_spread("var", False)
_spread("std", True)


def _norm(x: Any, p: Any, d: Any, k: bool) -> Any:
    if p == 2:
        return _root(np.sum(x * x, axis=d, keepdims=k))
    if p == 1:
        return np.sum(np.abs(x), axis=d, keepdims=k)
    if p == np.inf:
        return np.max(np.abs(x), axis=d, keepdims=k)
    return np.sum(np.abs(x) ** float(p), axis=d, keepdims=k) ** (1.0 / float(p))


def _root(x: Any) -> Any:
    """sqrt, with the derivative 0 at 0: the subgradient that torch takes for norms."""
    return np.where(x > 0, np.sqrt(np.where(x > 0, x, 1.0)), 0.0)


_NORM = Function("norm", _norm, "float", "LinalgVectorNormBackward")


@public("norm")
def norm(input: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The vector norm of order p, over all elements or along `dim`."""
    number = 2 if p in ("fro", None) else float(p)
    return apply(_NORM, input, static=(number, axes(dim, None), bool(keepdim)))


# -- extrema -----------------------------------------------------------------------------------------------


def _place_of(name: str, definition: Callable[..., Any]) -> None:
    function = Function(name, definition)

    def run(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return apply(function, input, static=(dim, bool(keepdim)))

    run.__name__ = name
    FUNCTIONS[name] = run


_place_of("argmax", lambda x, d, k: np.argmax(x, axis=d, keepdims=k))
_place_of("argmin", lambda x, d, k: np.argmin(x, axis=d, keepdims=k))
_TAKE = Function("gather", lambda x, i, d: np.take_along_axis(x, i, d))


def _extremum(name: str, whole: str, place: str, pair: str) -> None:
    def run(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
        """Of all elements; along a dim values and indices; or of two tensors, element by element."""
        if dim is None:
            return FUNCTIONS[whole](input)
        if isinstance(dim, Tensor):
            return FUNCTIONS[pair](input, dim)
        if not input.ndim:
            return Extremum(clone_of(input), FUNCTIONS[place](input))
        indices = FUNCTIONS[place](input, dim, True)
        values = apply(_TAKE, input, indices, static=(int(dim),))
        if keepdim:
            return Extremum(values, indices)
        return Extremum(FUNCTIONS["squeeze"](values, dim), FUNCTIONS["squeeze"](indices, dim))

    run.__name__ = name
    FUNCTIONS[name] = run


def clone_of(x: Tensor) -> Tensor:
    return FUNCTIONS["clone"](x)


_extremum("max", "amax", "argmax", "maximum")
_extremum("min", "amin", "argmin", "minimum")


@public("gather")
def gather(input: Tensor, dim: int, index: Tensor) -> Tensor:
    return apply(_TAKE, input, index, static=(int(dim),))


_ORDER = Function("argsort", lambda x, d: np.argsort(x, axis=d))


@public("argsort")
def argsort(input: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    order = np.argsort(-input._array if descending else input._array, axis=dim, kind="stable")
    return Tensor(np.ascontiguousarray(order))


@public("sort")
def sort(input: Tensor, dim: int = -1, descending: bool = False) -> Any:
    indices = argsort(input, dim, descending)
    return Extremum(gather(input, dim, indices), indices)


@public("topk")
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True) -> Any:
    order = argsort(input, dim, largest)._array
    indices = Tensor(np.ascontiguousarray(np.take(order, range(k), axis=dim)))
    return Extremum(gather(input, dim, indices), indices)


# -- scans -------------------------------------------------------------------------------------------------


def _scan(name: str, definition: Callable[..., Any]) -> None:
    function = Function(name, definition, "common")

    def run(input: Tensor, dim: int | None = None, *, axis: int | None = None) -> Tensor:
        if input.dtype.category == 0:
            input = to(input, kinds.int64)
        return apply(function, input, static=(axes(dim, axis),))

    run.__name__ = name
    FUNCTIONS[name] = run


_scan("cumsum", lambda x, d: np.cumsum(x, axis=d))
_scan("cumprod", lambda x, d: np.cumprod(x, axis=d))

_SOFTMAX = Function("softmax", lambda x, d: _softmax(x, d), "float")
_LOG_SOFTMAX = Function("log_softmax", lambda x, d: x - _logsumexp(x, d, True), "float")


def _softmax(x: Any, d: Any) -> Any:
    e = np.exp(x - np.max(x, axis=d, keepdims=True))
    return e / np.sum(e, axis=d, keepdims=True)


@public("softmax")
def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    return apply(_SOFTMAX, input if dtype is None else to(input, dtype), static=(_dim(input, dim),))


@public("log_softmax")
def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    return apply(_LOG_SOFTMAX, input if dtype is None else to(input, dtype), static=(_dim(input, dim),))


def _dim(input: Tensor, dim: int | None) -> int:
    """Without `dim`, torch takes 0 for 0, 1 and 3 axes, and 1 for others."""
    return int(dim) if dim is not None else 0 if input.ndim in (0, 1, 3) else 1
