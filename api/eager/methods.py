"""Operators and methods of tensors, their in-place forms, and NumPy's functions of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..calls.tree import flatten
from . import kinds, nn_functional, reductions, shaping
from .functions import FUNCTIONS, to
from .kernels import Function
from .record import NUMBERS, apply, operand, refuse_leaf, store, write
from .tensor import Tensor

assert nn_functional.__all__ and reductions.__name__  # imported for what they add to FUNCTIONS

OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "pow": "pow", "matmul": "matmul", "mod": "remainder",
    "floordiv": "floor_divide", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}  # fmt: skip
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
OPERAND = (Tensor, bool, int, float, np.generic, np.ndarray)
METHODS = [
    "abs", "absolute", "acos", "acosh", "add", "all", "amax", "amin", "any", "arccos", "arcsin", "arctan",
    "argmax", "argmin", "argsort", "asin", "asinh", "atan", "atan2", "atanh", "bmm", "ceil", "chunk",
    "clamp", "clip", "clone", "copysign", "cos", "cosh", "cumprod", "cumsum", "deg2rad", "diag",
    "diagonal", "diff", "div", "divide", "dot", "eq", "erf", "erfc", "exp", "exp2", "expm1", "flatten",
    "flip", "floor", "floor_divide", "fmax", "fmin", "frac", "gather", "ge", "greater", "gt", "hypot",
    "index_select", "isfinite", "isinf", "isnan", "le", "lerp", "less", "lgamma", "log", "log10", "log1p",
    "log2", "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor",
    "logsumexp", "lt", "masked_fill", "masked_select", "matmul", "max", "maximum", "mean", "min",
    "minimum", "mm", "mul", "multiply", "mv", "narrow", "ne", "neg", "negative", "norm", "outer",
    "permute", "pow", "prod", "rad2deg", "ravel", "reciprocal", "relu", "remainder", "repeat",
    "repeat_interleave", "reshape", "roll", "round", "rsqrt", "select", "sigmoid", "sign", "sin", "sinh",
    "softmax", "sort", "split", "sqrt", "square", "squeeze", "std", "sub", "subtract", "sum", "swapaxes",
    "t", "tan", "tanh", "tile", "topk", "trace", "transpose", "tril", "triu", "true_divide", "trunc",
    "unbind", "unsqueeze", "var",
]  # fmt: skip
IN_PLACE = [
    "abs", "add", "ceil", "clamp", "clip", "copysign", "cos", "div", "divide", "erf", "exp", "expm1",
    "floor", "fmod", "frac", "log", "log10", "log1p", "log2", "masked_fill", "mul", "multiply", "neg",
    "pow", "reciprocal", "relu", "remainder", "round", "rsqrt", "sigmoid", "sign", "sin", "sqrt", "square",
    "sub", "subtract", "tan", "tanh", "tril", "triu", "trunc", "lerp",
]  # fmt: skip
UFUNCS = {
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "div", np.power: "pow", np.matmul: "matmul",
    np.remainder: "remainder", np.floor_divide: "floor_divide", np.negative: "neg", np.absolute: "abs",
}  # fmt: skip
"""NumPy's functions that are ours by another name, with torch's dtypes; others are applied as they are."""


def _operator(name: str) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    function = FUNCTIONS[name]

    def forward(self: Tensor, other: Any) -> Any:
        return function(self, other) if isinstance(other, OPERAND) else NotImplemented

    def backward(self: Tensor, other: Any) -> Any:
        return function(other, self) if isinstance(other, OPERAND) else NotImplemented

    def update(self: Tensor, other: Any) -> Any:
        return _updated(function, self, other)

    return forward, backward, update


def _updated(function: Callable[..., Any], t: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    refuse_leaf(t)
    return write(t, function(t, *args, **kwargs))


def _in_place(name: str) -> Callable[..., Tensor]:
    function = FUNCTIONS[name]

    def update(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return _updated(function, self, *args, **kwargs)

    update.__name__ = name + "_"
    update.__doc__ = f"{name}, in place."
    return update


def _scaled(name: str) -> None:
    """add and sub take torch's `alpha=`, div its `rounding_mode=`."""
    plain = FUNCTIONS[name]

    @functools.wraps(plain)
    def run(input: Any, other: Any, *, alpha: Any = 1, out: Any = None) -> Tensor:
        return plain(input, other if alpha == 1 else FUNCTIONS["mul"](other, alpha))

    FUNCTIONS[name] = run


def _divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode == "floor":
        return FUNCTIONS["floor_divide"](input, other)
    quotient = _true_divide(input, other)
    if rounding_mode is None:
        return quotient
    if rounding_mode != "trunc":
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    return FUNCTIONS["trunc"](quotient)


_true_divide = FUNCTIONS["div"]
FUNCTIONS["div"] = FUNCTIONS["divide"] = _divide
_add, _sub = FUNCTIONS["add"], FUNCTIONS["sub"]

for _slot, _name in OPERATORS.items():
    _forward, _backward, _update = _operator(_name)
    setattr(Tensor, f"__{_slot}__", _forward)
    setattr(Tensor, f"__r{_slot}__", _backward)
    if _slot != "matmul":
        setattr(Tensor, f"__i{_slot}__", _update)
for _name in COMPARISONS:
    setattr(Tensor, f"__{_name}__", _operator(_name)[0])
_scaled("add")
_scaled("sub")
for _name in METHODS:
    setattr(Tensor, _name, FUNCTIONS[_name])
for _name in IN_PLACE:
    if _name in FUNCTIONS:
        setattr(Tensor, _name + "_", _in_place(_name))


# -- methods that are no functions -----------------------------------------------------------------------


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    setattr(Tensor, function.__name__, function)
    return function


def _methods(**functions: Any) -> None:
    for name, function in functions.items():
        setattr(Tensor, name, function)


def _iterate(self: Tensor) -> Iterator[Tensor]:
    if not self.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(shaping.unbind(self))


def _transposed(self: Tensor) -> Tensor:
    return shaping.permute(self, tuple(reversed(range(self.ndim))))


_methods(
    __neg__=FUNCTIONS["neg"], __abs__=FUNCTIONS["abs"], __invert__=FUNCTIONS["bitwise_not"], __pos__=lambda self: self,
    __getitem__=shaping.getitem, __setitem__=shaping.setitem, __iter__=_iterate, __round__=FUNCTIONS["round"],
    __hash__=lambda self: id(self), __contains__=lambda self, x: bool((self == x)._array.any()),
    view=shaping.view_, expand=shaping.expand, contiguous=shaping.contiguous, to=to, type=to,
    T=property(_transposed), mT=property(lambda self: shaping.transpose(self, -1, -2)),
    float=lambda self: to(self, kinds.float32), double=lambda self: to(self, kinds.float64),
    long=lambda self: to(self, kinds.int64), int=lambda self: to(self, kinds.int64),
    bool=lambda self: to(self, kinds.bool_),
    astype=lambda self, dtype: to(self, dtype), copy=FUNCTIONS["clone"], cpu=lambda self: self, is_cuda=False,
    view_as=lambda self, other: shaping.view_(self, other.shape),
    reshape_as=lambda self, other: shaping.reshape(self, other.shape),
    expand_as=lambda self, other: shaping.expand(self, other.shape),
    type_as=lambda self, other: to(self, other.dtype),
    nonzero=lambda self: Tensor(np.ascontiguousarray(np.argwhere(self._array))),
    new_tensor=lambda self, data, requires_grad=False: Tensor(np.array(data, self.dtype.numpy), requires_grad),
    new_zeros=lambda self, *size: Tensor(np.zeros(shaping._ints(size), self.dtype.numpy)),
    new_ones=lambda self, *size: Tensor(np.ones(shaping._ints(size), self.dtype.numpy)),
)  # fmt: skip


@method
def zero_(self: Tensor) -> Tensor:
    """Zeros, in place."""
    return fill_(self, 0)


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    if self._requires:
        shaping.setitem(self, Ellipsis, value)
    else:
        store(self, Ellipsis, value)
    return self


@method
def copy_(self: Tensor, source: Any) -> Tensor:
    shaping.setitem(self, Ellipsis, source)
    return self


@method
def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    refuse_leaf(self)
    store(self, Ellipsis, random().uniform(a, b, self.shape))
    return self


@method
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    refuse_leaf(self)
    store(self, Ellipsis, random().normal(mean, std, self.shape))
    return self


@method
def detach_(self: Tensor) -> Tensor:
    """Without history from here on, itself."""
    self._node, self._requires = None, False
    return self


_generator: list[np.random.Generator] = [np.random.default_rng()]


def random() -> np.random.Generator:
    return _generator[0]


def manual_seed(seed: int) -> None:
    """Seed rand, randn and the like. The numbers are NumPy's, not torch's."""
    _generator[0] = np.random.default_rng(seed)


# -- NumPy's functions ------------------------------------------------------------------------------------

_numpy_functions: dict[Any, Function] = {}


def _of_numpy(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A NumPy function of tensors: the function itself is the definition."""
    leaves, tree = flatten((args, kwargs))
    places = tuple(k for k, leaf in enumerate(leaves) if isinstance(leaf, (Tensor, np.ndarray)))
    static = tuple(None if k in places else leaf for k, leaf in enumerate(leaves))
    found = _numpy_functions.get(function)
    if found is None:

        def definition(*given: Any) -> Any:
            *operands, form, where, fixed = given
            full = list(fixed)
            for k, x in zip(where, operands):
                full[k] = x
            new_args, new_kwargs = form.unflatten(full)
            return function(*new_args, **new_kwargs)

        found = _numpy_functions[function] = Function(function.__name__, definition)
    return apply(found, *(operand(leaves[k]) for k in places), static=(tree, places, static))


def _array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method != "__call__" or kwargs.get("out") is not None:
        raise TypeError(
            f"np.{ufunc.__name__}.{method} of tensors, and out=, are not supported: use the torch function"
        )
    name = UFUNCS.get(ufunc) or {
        "arcsin": "asin",
        "arccos": "acos",
        "arctan": "atan",
        "arctan2": "atan2",
    }.get(ufunc.__name__, ufunc.__name__)
    if name in FUNCTIONS and not kwargs:
        return FUNCTIONS[name](*(x if type(x) in NUMBERS else operand(x) for x in inputs))
    return _of_numpy(ufunc, inputs, kwargs)


def _array_function(self: Tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    return _of_numpy(function, args, kwargs)


Tensor.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = _array_function  # type: ignore[attr-defined]
