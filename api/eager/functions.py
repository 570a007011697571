"""The operations on tensors, each defined once in NumPy: values and derivatives come from the definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tracer.calls import SPECIAL
from . import kinds
from .kernels import Function
from .record import NUMBERS, TO, apply, operand
from .tensor import Tensor

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""The public functions by name; __init__.py and the methods of tensors take them from here."""


def public(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names or (function.__name__,):
            FUNCTIONS[name] = function
        return function

    return register


# -- elementwise -----------------------------------------------------------------------------------------


def _elementwise(
    name: str, definition: Callable[..., Any], promote: str, *aliases: str, grad_name: str | None = None
) -> None:
    function = Function(name, definition, promote, grad_name)
    arity = definition.nin if isinstance(definition, np.ufunc) else definition.__code__.co_argcount

    if arity == 1:

        def run(input: Any) -> Tensor:
            return apply(function, input)
    elif arity == 2:

        def run(input: Any, other: Any) -> Tensor:  # type: ignore[misc]
            return apply(function, input, other)
    else:

        def run(input: Any, other: Any, third: Any) -> Tensor:  # type: ignore[misc]
            return apply(function, input, other, third)

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"{name}, element by element."
    for alias in (name, *aliases):
        FUNCTIONS[alias] = run


_FLOAT: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("exp", np.exp, ()), ("exp2", np.exp2, ()), ("expm1", np.expm1, ()), ("log", np.log, ()), ("log2", np.log2, ()),
    ("log10", np.log10, ()), ("log1p", np.log1p, ()), ("sqrt", np.sqrt, ()), ("sin", np.sin, ()), ("cos", np.cos, ()),
    ("tan", np.tan, ()), ("asin", np.arcsin, ("arcsin",)), ("acos", np.arccos, ("arccos",)),
    ("atan", np.arctan, ("arctan",)), ("sinh", np.sinh, ()), ("cosh", np.cosh, ()), ("tanh", np.tanh, ()),
    ("asinh", np.arcsinh, ("arcsinh",)), ("acosh", np.arccosh, ("arccosh",)), ("atanh", np.arctanh, ("arctanh",)),
    ("div", np.true_divide, ("true_divide", "divide")), ("atan2", np.arctan2, ("arctan2",)),
    ("hypot", np.hypot, ()), ("logaddexp", np.logaddexp, ()), ("copysign", np.copysign, ()),
    ("rad2deg", np.rad2deg, ("degrees",)), ("deg2rad", np.deg2rad, ("radians",)), ("sinc", lambda x: np.sinc(x), ()),
    ("reciprocal", np.reciprocal, ()),
)  # fmt: skip
for _name, _ufunc, _aliases in _FLOAT:
    _elementwise(_name, _ufunc, "float", *_aliases)
_COMMON: tuple[tuple[str, Any, tuple[str, ...]], ...] = (
    ("add", np.add, ()), ("sub", np.subtract, ("subtract",)), ("mul", np.multiply, ("multiply",)),
    ("neg", np.negative, ("negative",)), ("maximum", np.maximum, ()), ("minimum", np.minimum, ()),
    ("fmax", np.fmax, ()), ("fmin", np.fmin, ()), ("floor_divide", np.floor_divide, ()),
    ("remainder", np.remainder, ()), ("abs", np.absolute, ("absolute",)), ("sign", np.sign, ("sgn",)),
    ("floor", np.floor, ()), ("ceil", np.ceil, ()), ("trunc", np.trunc, ("fix",)), ("square", np.square, ()),
    ("eq", np.equal, ()), ("ne", np.not_equal, ("not_equal",)), ("lt", np.less, ("less",)),
    ("le", np.less_equal, ("less_equal",)), ("gt", np.greater, ("greater",)),
    ("ge", np.greater_equal, ("greater_equal",)),
    ("bitwise_and", np.bitwise_and, ()), ("bitwise_or", np.bitwise_or, ()), ("bitwise_xor", np.bitwise_xor, ()),
    ("isnan", np.isnan, ()), ("isinf", np.isinf, ()), ("isfinite", np.isfinite, ()),
    ("bitwise_not", np.invert, ()),
)  # fmt: skip
for _name, _ufunc, _aliases in _COMMON:
    _elementwise(_name, _ufunc, "common", *_aliases)
_elementwise("logical_not", lambda x: x == 0, "common")
_elementwise("logical_and", lambda a, b: (a != 0) & (b != 0), "common")
_elementwise("logical_or", lambda a, b: (a != 0) | (b != 0), "common")
_elementwise("logical_xor", lambda a, b: (a != 0) ^ (b != 0), "common")
_elementwise("sigmoid", lambda x: SPECIAL["expit"](x), "float", "expit")
_elementwise("erf", lambda x: SPECIAL["erf"](x), "float")
_elementwise("erfc", lambda x: SPECIAL["erfc"](x), "float")
_elementwise("lgamma", lambda x: SPECIAL["gammaln"](x), "float")
_elementwise("rsqrt", lambda x: 1.0 / np.sqrt(x), "float")
_elementwise("frac", lambda x: x - np.trunc(x), "common")
_elementwise("relu", lambda x: np.where(x > 0, x, 0), "common")
_elementwise("lerp", lambda a, b, w: a + w * (b - a), "float")

_POW = Function("pow", np.power, "common")
# At exponent 0 the derivative is 0, also where x is 0: so has torch.
_POW_NUMBER = Function("pow", lambda x, k: x**k if k else np.ones_like(x), "common")
_ROUND = Function("round", lambda x, decimals: np.round(x, decimals))


@public("pow", "power")
def pow_(input: Any, exponent: Any) -> Tensor:
    """input ** exponent. A Python number as exponent is part of the structure, as its rule depends on it."""
    if type(exponent) in NUMBERS and isinstance(input, Tensor):
        category = input.dtype.category
        if isinstance(exponent, float) and category < 2:
            input = to(input, kinds.get_default_dtype())
        elif category < 2 and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        number = float(exponent) if input.dtype.category == 2 else int(exponent)
        return apply(_POW_NUMBER, input, static=(number,))
    return apply(_POW, input, exponent)


@public("round")
def round_(input: Any, decimals: int = 0) -> Tensor:
    return apply(_ROUND, input, static=(int(decimals),))


_WHERE = Function("where", lambda c, a, b, d: np.where(c, _cast(a, d), _cast(b, d)))


def _cast(x: Any, d: Any) -> Any:
    return x if np.dtype(getattr(x, "dtype", float)) == d.numpy else x.astype(d.numpy)


@public()
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    if input is None:
        return tuple(Tensor(part) for part in np.nonzero(condition._array))
    a, b = operand(input), operand(other)
    d = kinds.result_dtype([x._kind if isinstance(x, Tensor) else type(x) for x in (a, b)])
    parts = [x if isinstance(x, Tensor) else Tensor(np.asarray(x, d.numpy)) for x in (a, b)]
    return apply(_WHERE, condition, *parts, static=(d,))


_CLAMP = {
    (True, True): Function("clamp", lambda x, low, high: np.minimum(np.maximum(x, low), high), "common"),
    (True, False): Function("clamp", lambda x, low: np.where(x >= low, x, low), "common"),
    (False, True): Function("clamp", lambda x, high: np.where(x <= high, x, high), "common"),
}


@public("clamp", "clip")
def clamp(input: Any, min: Any = None, max: Any = None) -> Tensor:
    """Bounds may be numbers or tensors; at a bound the derivative is 1, as in torch."""
    if min is None and max is None:
        raise ValueError("clamp: at least one of min or max must not be None")
    return apply(_CLAMP_BOTH if min is not None and max is not None else _CLAMP[min is not None, max is not None],
                 input, *(b for b in (min, max) if b is not None))  # fmt: skip


def _clamp_both(x: Any, low: Any, high: Any) -> Any:
    return np.where((x >= low) & (x <= high), x, np.where(x < low, np.minimum(low, high), high))


_CLAMP_BOTH = Function("clamp", _clamp_both, "common")

# -- conversion ------------------------------------------------------------------------------------------


@public()
def clone(input: Tensor) -> Tensor:
    return apply(_CLONE, input)


_CLONE = Function("clone", lambda x: np.copy(x))


def to(input: Tensor, *args: Any, dtype: Any = None, copy: bool = False, **_: Any) -> Tensor:
    """The tensor in this dtype (or that of another tensor); itself if it has it."""
    for arg in args:
        if isinstance(arg, Tensor):
            dtype = arg.dtype
        elif not isinstance(arg, (str, bool)):
            dtype = arg
    wanted = input.dtype if dtype is None else kinds.as_dtype(dtype)
    if wanted is input.dtype:
        return clone(input) if copy else input
    return apply(TO, input, static=(wanted,))


# -- products --------------------------------------------------------------------------------------------


def _matmul(name: str, ranks: tuple[int, int] | None, grad_name: str, *aliases: str) -> None:
    function = Function(name, lambda a, b: np.matmul(a, b), None, grad_name)

    def run(input: Tensor, other: Tensor) -> Tensor:
        if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
            input, other = operand(input), operand(other)
        if input._kind.dtype is not other._kind.dtype:
            raise RuntimeError(
                f"expected both operands of {name} to have the same dtype, but got {input.dtype} and {other.dtype}: "
                "convert one of them, e.g. with .to(other.dtype)"
            )
        if ranks is not None and (input.ndim, other.ndim) != ranks:
            raise RuntimeError(f"{name}: expected tensors of {ranks[0]} and {ranks[1]} dimensions, "
                               f"got {input.ndim} and {other.ndim}")  # fmt: skip
        return apply(function, input, other)

    run.__name__ = name
    for alias in (name, *aliases):
        FUNCTIONS[alias] = run


_matmul("matmul", None, "MmBackward")
_matmul("mm", (2, 2), "MmBackward")
_matmul("mv", (2, 1), "MvBackward")
_matmul("bmm", (3, 3), "BmmBackward")
_matmul("dot", (1, 1), "DotBackward", "vdot", "inner")
_OUTER = Function("outer", lambda a, b: a[:, None] * b[None, :], "common", "MulBackward")
_EINSUM = Function("einsum", lambda *args: np.einsum(args[-1], *args[:-1]), "common")


@public("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    return apply(_OUTER, input, vec2)


@public()
def einsum(equation: str, *operands: Tensor) -> Tensor:
    return apply(_EINSUM, *operands, static=(equation,))


@public()
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    product = FUNCTIONS["mm"](mat1, mat2)
    scaled = input if beta == 1 else FUNCTIONS["mul"](input, beta)
    return FUNCTIONS["add"](scaled, product if alpha == 1 else FUNCTIONS["mul"](product, alpha))
