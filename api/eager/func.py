"""torch.func: derivatives of functions of tensors, which nest. Arguments and results are tensors or tuples of them."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .gradients import grad as gradients
from .missing import missing
from .tape import enable_grad
from .tensor import Tensor

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]


class _Depth(threading.local):
    """How many derivatives are being taken around this one: they need what this one records."""

    count = 0


DEPTH = _Depth()


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def inputs_of(values: Sequence[Any]) -> tuple[tuple[Tensor, ...], bool]:
    """Tensors to differentiate by: leaves, or copies with a history; and does anything depend on that?"""
    outer = DEPTH.count > 1 or any(v._requires for v in values)
    made = []
    for v in values:
        if not v.dtype.is_floating_point:
            raise TypeError(f"only tensors of floating point dtype can be differentiated by, not {v.dtype}")
        made.append(v.clone() if v._requires else Tensor(np.array(v._array), requires_grad=True))
    return tuple(made), outer


def settled(value: Any, outer: bool) -> Any:
    """A result: without history, if nothing around wants it."""
    if isinstance(value, (tuple, list)):
        return type(value)(settled(v, outer) for v in value)
    return value if outer or not isinstance(value, Tensor) else value.detach()


def pulled(outputs: Any, inputs: Sequence[Tensor], seeds: Any = None) -> tuple[Tensor, ...]:
    """Recorded gradients; zeros for what an output does not depend on."""
    outputs = _tuple(outputs)
    seeds = [None] * len(outputs) if seeds is None else _tuple(seeds)
    pairs = [(y, s) for y, s in zip(outputs, seeds) if isinstance(y, Tensor) and y._requires]
    if not pairs:
        return tuple(_zeros(x) for x in inputs)
    ys, given = zip(*pairs)
    found = gradients(ys, inputs, given, create_graph=True, allow_unused=True)
    return tuple(_zeros(x) if g is None else g for g, x in zip(found, inputs))


def _zeros(x: Tensor) -> Tensor:
    return Tensor(np.zeros(x._kind.shape, x._kind.dtype.numpy))


def _nested(function: Callable[..., Any]) -> Callable[..., Any]:
    """A derivative: recording, and counted."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        DEPTH.count += 1
        try:
            with enable_grad():
                return function(*args, **kwargs)
        finally:
            DEPTH.count -= 1

    return run


def _with(args: tuple[Any, ...], argnums: int | Sequence[int], inputs: Sequence[Tensor]) -> list[Any]:
    """The arguments with these in place of those that are differentiated by."""
    given = list(args)
    for k, x in zip((argnums,) if isinstance(argnums, int) else argnums, inputs):
        given[k] = x
    return given


def _chosen(args: tuple[Any, ...], argnums: int | Sequence[int]) -> list[Tensor]:
    return [args[k] for k in ((argnums,) if isinstance(argnums, int) else argnums)]


def grad_and_value(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """(gradient, value) of a function that returns one number; (gradient, (value, aux)) with has_aux."""

    @_nested
    def run(*args: Any, **kwargs: Any) -> Any:
        inputs, outer = inputs_of(_chosen(args, argnums))
        result = func(*_with(args, argnums, inputs), **kwargs)
        value = result[0] if has_aux else result
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise RuntimeError("grad takes a function that returns a tensor of one number; jacrev takes others")
        found = pulled(value, inputs)
        return settled((found[0] if isinstance(argnums, int) else found, result), outer)

    return run


def grad(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of a function that returns one number; (gradient, aux) with has_aux."""
    both = grad_and_value(func, argnums, has_aux)

    def run(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


def jacrev(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The Jacobian, row by row: the shape of the result and behind it that of the argument."""

    @_nested
    def run(*args: Any, **kwargs: Any) -> Any:
        inputs, outer = inputs_of(_chosen(args, argnums))
        result = func(*_with(args, argnums, inputs), **kwargs)
        value, aux = result if has_aux else (result, None)
        rows = [jacobian_of(y, inputs) for y in _tuple(value)]
        blocks = tuple(row[0] if isinstance(argnums, int) else row for row in rows)
        found = blocks if isinstance(value, (tuple, list)) else blocks[0]
        return settled((found, aux) if has_aux else found, outer)

    return run


def jacobian_of(y: Tensor, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The blocks of one output."""
    units = np.eye(y.numel(), dtype=y._kind.dtype.numpy).reshape(-1, *y._kind.shape)
    rows = [pulled(y, inputs, Tensor(np.array(unit))) for unit in units]
    found: list[Any] = []
    for k, x in enumerate(inputs):
        shape = (*y._kind.shape, *x._kind.shape)
        if not rows:
            found.append(Tensor(np.zeros(shape, x._kind.dtype.numpy)))
            continue
        found.append(np.stack([row[k] for row in rows]).reshape(shape))
    return tuple(found)


def jacfwd(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Callable[..., Any]:
    """As jacrev: tensors have reverse mode alone. `pullback.jacfwd` of a NumPy function has both."""
    return jacrev(func, argnums, has_aux)


def hessian(func: Callable[..., Any], argnums: Any = 0) -> Callable[..., Any]:
    """The Hessian of a function that returns one number."""
    return jacrev(jacrev(func, argnums), argnums)


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(value, pull), and (value, pull, aux) with has_aux: pull(cotangents) gives a tuple, one for each argument."""
    inputs, outer = inputs_of(primals)
    with enable_grad():
        result = func(*inputs)
    value, aux = result if has_aux else (result, None)

    @_nested
    def pull(*cotangents: Any) -> tuple[Tensor, ...]:
        seeds = cotangents[0] if isinstance(value, Tensor) or len(cotangents) == 1 else cotangents
        around = outer or DEPTH.count > 1 or any(s._requires for s in _tuple(seeds))
        return settled(pulled(value, inputs, seeds), around)

    given = settled(value, outer or DEPTH.count > 0), pull
    return (*given, settled(aux, outer)) if has_aux else given


@_nested
def jvp(func: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """(value, tangent), and (value, tangent, aux) with has_aux: the pullback is linear, and is pulled back itself."""
    inputs, outer = inputs_of(primals)
    outer = outer or any(t._requires for t in tangents)
    result = func(*inputs)
    value, aux = result if has_aux else (result, None)
    ys = _tuple(value)
    dots = []
    for y in ys:
        seed = Tensor(np.zeros(y._kind.shape, y._kind.dtype.numpy), requires_grad=True)
        bars = pulled(y, inputs, seed)
        total = sum(((bar * t).sum() for bar, t in zip(bars, tangents)), Tensor(np.zeros((), y._kind.dtype.numpy)))
        dots.append(pulled(total, [seed])[0])
    dot = tuple(dots) if isinstance(value, (tuple, list)) else dots[0]
    found = (value, dot, aux) if has_aux else (value, dot)
    return settled(found, outer)


def vmap(func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0) -> Callable[..., Any]:
    """The function over many examples, one by one: `pullback.vmap` of a NumPy function is a compiled loop."""

    def run(*args: Any, **kwargs: Any) -> Any:
        dims = (in_dims,) * len(args) if in_dims is None or isinstance(in_dims, int) else in_dims
        sizes = {a._kind.shape[d] for a, d in zip(args, dims) if d is not None}
        if len(sizes) != 1:
            raise ValueError(f"vmap maps over one axis of one size, not over sizes {sorted(sizes)}: see in_dims")
        found = []
        for k in range(sizes.pop()):
            rows = [a if d is None else np.moveaxis(a, d, 0)[k] for a, d in zip(args, dims)]
            found.append(func(*rows, **kwargs))
        if isinstance(found[0], (tuple, list)):
            places = (out_dims,) * len(found[0]) if isinstance(out_dims, int) else out_dims
            return tuple(np.stack(list(part), axis=d) for part, d in zip(zip(*found), places))
        return np.stack(found, axis=out_dims)

    return run


def __getattr__(name: str) -> Any:
    raise missing("torch.func", name)
