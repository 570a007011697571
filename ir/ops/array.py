"""Making, shaping and joining arrays."""

from __future__ import annotations

import numpy as np

from ..errors import IRError
from ..primitive import Kind, Primitive, Ref, Trait, nondifferentiable
from ..program import Index, Lit, Slice, Var
from ..types import I64, Dim, Type


def dims_of(shape) -> tuple[Dim, ...]:
    """Sizes as a type names them, from a tuple of i64 atoms."""
    return tuple(int(s.text) if isinstance(s, Lit) else s.name for s in shape)


def _created(shape, dtype: str) -> Type:
    return Type(dtype, dims_of(shape))


zeros = Primitive(
    "zeros", "zeros({0}, {1})", _created, lambda s, d: np.zeros(s, Type(d).numpy),
    vjp=nondifferentiable, sizes=(0,), static=(1,), cost=0, samples=("(3, 2), f64", "(4,), i64"),
    kind=Kind.ALLOCATE, traits=Trait.QUIET | Trait.CONTIGUOUS,
)  # fmt: skip


def _unwritten(type: Type) -> float:
    if type.is_integer:
        return -(2**40) if type.dtype == "i64" else np.iinfo(type.numpy).max // 3
    return np.nan if type.is_float else True


# The content is unspecified: every element must be written before it is read. Evaluates to nan so that
# a program that breaks this is found.
empty = Primitive(
    "empty", "empty({0}, {1})", _created,
    lambda s, d: np.full(s, _unwritten(Type(d)), Type(d).numpy),
    vjp=nondifferentiable, sizes=(0,), static=(1,), cost=0,
    programs=(("", "f64[3]", "empty((3,), f64)"),), kind=Kind.ALLOCATE, traits=Trait.QUIET | Trait.CONTIGUOUS,
)  # fmt: skip
iota = Primitive(
    "iota", "iota({0})", lambda n: Type("i64", dims_of((n,))), lambda n: np.arange(n),
    vjp=nondifferentiable, sizes=(0,), cost=0, samples=("5",),
    kind=Kind.COUNT, traits=Trait.QUIET,
)  # fmt: skip


def _size_of(x: Type, axis: int) -> Type:
    if not 0 <= axis < x.rank:
        raise IRError(f"{x} has no axis {axis}")
    return I64


dim = Primitive(
    "dim", "dim({0}, {1})", _size_of, lambda x, axis: np.int64(x.shape[axis]),
    vjp=nondifferentiable, static=(1,), cost=0, samples=("f64[3, 2], 1",),
    kind=Kind.SIZE, traits=Trait.QUIET | Trait.PLACES,
)  # fmt: skip
copy = Primitive(
    "copy", "copy({0})", lambda x: x, lambda x: np.array(x), linear=(0,),
    vjp=lambda y_bar, y, x: (y_bar,), samples=("f64[4]",),
    kind=Kind.COPY, traits=Trait.QUIET | Trait.CONTIGUOUS,
)  # fmt: skip


def _again_jvp(x_dots, y, x, bar):
    x_dot, bar_dot = x_dots
    # What it waits for does not move it.
    return x_dot if x_dot is not None else zeros((*x.shape, *bar_dot.shape[bar.type.rank :]), x.type.dtype)


again = Primitive(
    "again", "again({0}, {1})", lambda x, bar: x, lambda x, bar: x, linear=(0,), cost=0,
    vjp=lambda y_bar, y, x, bar: (y_bar, None), jvp=_again_jvp, samples=("f64[4], f64", "f64[2, 3], f64[4]"),
    kind=Kind.VIEW, traits=Trait.QUIET | Trait.CONTIGUOUS,
)  # fmt: skip
"""The same array, once there is a cotangent: for what is to be computed another time, and not before it is needed."""


def size_product(dims: tuple[Dim, ...]) -> tuple[int, tuple[str, ...]]:
    """The number of elements as (constant, sorted names): equal for equal monomials."""
    constant = int(np.prod([d for d in dims if isinstance(d, int)], dtype=np.int64))
    return constant, tuple(sorted(d for d in dims if isinstance(d, str)))


def _broadcast_vjp(y_bar, y, x, shape):
    if x.type.rank == 0:
        return sum_over(y_bar, tuple(range(y.type.rank))), None
    lead = y.type.rank - x.type.rank
    stretched = tuple(
        lead + k for k, d in enumerate(x.type.dims) if d == 1 and y.type.dims[lead + k] != 1
    )
    summed = sum_over(y_bar, tuple(range(lead)) + stretched)
    return stretched_back(summed, tuple(axis - lead for axis in stretched)), None


def _shaped(size, x, shape):
    return x, (*shape, size)


broadcast_to = Primitive(
    "broadcast_to", "broadcast_to({0}, {1})", lambda x, shape: x.with_dims(dims_of(shape)),
    lambda x, s: np.broadcast_to(x, s), linear=(0,), vjp=_broadcast_vjp, batched=_shaped, sizes=(1,), cost=0,
    samples=("f64, (3, 2)", "f64[3], (4, 3)", "f64[4, 1], (4, 3)", "f64[2, 1], (3, 2, 4)"),
    kind=Kind.VIEW, traits=Trait.QUIET | Trait.CONTIGUOUS,
)  # fmt: skip
reshape: Primitive = Primitive(
    "reshape", "reshape({0}, {1})", lambda x, shape: x.with_dims(dims_of(shape)),
    lambda x, s: np.reshape(x, s), linear=(0,),
    vjp=lambda y_bar, y, x, s: (reshape(y_bar, x.shape), None), batched=_shaped, sizes=(1,), cost=0,
    samples=("f64[4, 3], (2, 6)", "f64[6], (3, 2)", "f64[1], ()"),
    kind=Kind.VIEW, traits=Trait.QUIET | Trait.CONTIGUOUS,
)  # fmt: skip


def _transposed(x: Type, axes: tuple[int, ...]) -> Type:
    if sorted(axes) != list(range(x.rank)):
        raise IRError(f"axes {axes} are not a permutation of the {x.rank} axes of {x}")
    return x.with_dims(tuple(x.dims[a] for a in axes))


def _transpose_vjp(y_bar, y, x, axes):
    inverse = tuple(axes.index(k) for k in range(len(axes)))
    return transpose(y_bar, inverse), None


transpose = Primitive(
    "transpose", "transpose({0}, {1})", _transposed, lambda x, axes: np.transpose(x, axes),
    linear=(0,), vjp=_transpose_vjp, batched=lambda size, x, axes: (x, (*axes, len(axes))), static=(1,), cost=0,
    samples=("f64[4, 3], (1, 0)", "f64[2, 3, 4], (2, 0, 1)"),
    kind=Kind.VIEW, traits=Trait.QUIET,
)  # fmt: skip


def _joined(parts: tuple[Type, ...], axis: int, size) -> Type:
    first = parts[0]
    return first.with_dims(first.dims[:axis] + dims_of((size,)) + first.dims[axis + 1 :])


def _concatenate_vjp(y_bar, y, parts, axis, size):
    bars = []
    start = None
    for part in parts:
        extent = part.shape[axis]
        offset = start.atom if isinstance(start, Ref) else Lit("0", I64)
        here = Ref(y_bar.builder, extent)
        start = here if start is None else start + here
        items = [full_slice(d) for d in part.type.dims]
        items[axis] = Slice(offset, start.atom, 1, part.type.dims[axis])
        bars.append(y_bar._apply("getitem", y_bar, Index(tuple(items))))
    return tuple(bars), None, None


concatenate = Primitive(
    "concatenate", "concatenate({0}, axis={1}, size={2})", _joined,
    lambda parts, axis, size: np.concatenate(parts, axis), linear=(0,), vjp=_concatenate_vjp,
    static=(1,), sizes=(2,), cost=100, samples=("(f64[2], f64[3]), 0, 5", "(f64[2, 3], f64[2, 1], f64[2, 2]), 1, 6"),
    kind=Kind.KERNEL, traits=Trait.QUIET,
)  # fmt: skip


def full_slice(dim: Dim) -> Slice:
    size = Lit(str(dim), I64) if isinstance(dim, int) else Var(dim, I64)
    return Slice(Lit("0", I64), size, 1, dim)


def expand(x: Ref, axes: tuple[int, ...]) -> Ref:
    """x with new axes of size 1 at these positions of the result."""
    if not axes or x.type.rank == 0:
        return x
    dims = iter(x.type.dims)
    rank = x.type.rank + len(axes)
    items = tuple(None if k in axes else full_slice(next(dims)) for k in range(rank))
    return x._apply("getitem", x, Index(items))


def lifted(x: Ref, dot: Ref, of: Ref) -> Ref:
    """x as it goes together with the tangent `dot` of `of`: with an axis of size 1 where that has one more, its last."""
    return expand(x, (x.type.rank,)) if dot.type.rank > of.type.rank else x


def sum_over(x: Ref, axes: tuple[int, ...]) -> Ref:
    return x._apply("sum", x, tuple(sorted(axes))) if axes else x


def unbroadcast(x_bar: Ref, type: Type) -> Ref:
    """Sum a cotangent down to the shape of the operand that was broadcast."""
    if x_bar.type.dims == type.dims:
        return x_bar
    lead = x_bar.type.rank - type.rank
    ones = tuple(k for k, d in enumerate(type.dims) if d == 1 and x_bar.type.dims[lead + k] != 1)
    summed = sum_over(x_bar, tuple(range(lead)) + tuple(lead + k for k in ones))
    return stretched_back(summed, ones)


def stretched_back(x: Ref, axes: tuple[int, ...]) -> Ref:
    """x with these axes of size 1 again, also where nothing else is left: `expand` leaves scalars alone."""
    if axes and x.type.rank == 0:
        return reshape(x, (Lit("1", I64),) * len(axes))
    return expand(x, axes)


