"""Shorthands for declaring elementwise primitives, and the result types they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import IRError
from ..primitive import Kind, Primitive, Ref
from ..program import Lit
from ..types import Dim, Type


def broadcast_dims(*shapes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """NumPy's broadcasting of sizes; two sizes are equal if they have one name.

    >>> broadcast_dims(("n", 1), ("m",), ())
    ('n', 'm')
    """
    rank = max(map(len, shapes))
    result: list[Dim] = [1] * rank
    for shape in shapes:
        for axis, dim in enumerate(shape, rank - len(shape)):
            if dim == 1 or dim == result[axis]:
                continue
            if result[axis] != 1:
                raise IRError(f"shapes {' and '.join(map(str, shapes))} do not go together")
            result[axis] = dim
    return tuple(result)


def same_dtype(*types: Type) -> Type:
    if len({t.dtype for t in types}) != 1:
        raise IRError(f"operands differ in dtype: {', '.join(map(str, types))}")
    return Type(types[0].dtype, broadcast_dims(*(t.dims for t in types)))


def float_dtype(*types: Type) -> Type:
    if not all(t.is_float for t in types):
        raise IRError(f"operands must be floats: {', '.join(map(str, types))}")
    return same_dtype(*types)


def to_bool(*types: Type) -> Type:
    return same_dtype(*types).with_dtype("bool")


def constant(x: Ref, value: float) -> Ref:
    """A number of the dtype of x, where no operand beside it gives it one."""
    return Ref(x.builder, Lit(repr(value), Type(x.type.dtype)))


def elementwise(
    name: str,
    text: str,
    numpy: Callable[..., Any] | str,
    partials: tuple[Callable[..., Any] | None, ...],
    *,
    result: Callable[..., Type] = float_dtype,
    samples: tuple[str, ...] = (),
    **options: Any,
) -> Primitive:
    """An operation on the numbers of each place; `options` are those of `Primitive`."""
    arity = len(partials)
    if not samples:
        samples = (", ".join(["f64"] * arity), ", ".join(["f64[4, 3]"] * arity))
        if arity == 2:
            samples += ("f64[4, 3], f64[3]", "f64, f64[2]", "f32[4, 1], f32[4, 3]")
    return Primitive(
        name, text, result, numpy, kind=Kind.ELEMENTWISE, partials=partials, samples=samples, **options
    )


def unary(
    name: str,
    numpy: Callable[..., Any] | str,
    partial: Callable[..., Any] | None,
    *,
    cost: int = 10,
    sympy: str | None = None,
    **options: Any,
) -> Primitive:
    """A function of one float: `partial(x, y)` is dy/dx."""
    return elementwise(
        name, f"{name}({{0}})", numpy, (partial,), cost=cost, sympy=sympy or f"{name}({{0}})", **options
    )
