"""New tensors: `ones`, `zeros`, `rand`, `eye`, ... with torch's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import kinds
from .memory import expose
from .methods import random
from .shaping import _ints
from .tensor import Tensor, tensor


def _sized(make: Callable[[tuple[int, ...]], np.ndarray], name: str) -> Callable[..., Tensor]:
    def create(
        *size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, **named: Any
    ) -> Tensor:
        shape = _ints(size if size else (named.pop("size"),) if "size" in named else ())
        if named.keys() - {"generator"}:
            raise TypeError(f"{name}() got an unexpected argument {next(iter(named))!r}")
        return _new(make(shape), dtype, requires_grad)

    create.__name__ = name
    create.__doc__ = f"A tensor of this size: {name}(2, 3) or {name}((2, 3))."
    return create


def _new(array: np.ndarray, dtype: Any, requires_grad: bool) -> Tensor:
    wanted = kinds.get_default_dtype() if dtype is None else kinds.as_dtype(dtype)
    return Tensor(np.array(array, wanted.numpy), requires_grad)


ones = _sized(np.ones, "ones")
zeros = _sized(np.zeros, "zeros")
empty = _sized(np.zeros, "empty")
rand = _sized(lambda shape: random().random(shape), "rand")
randn = _sized(lambda shape: random().standard_normal(shape), "randn")


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return _new(np.eye(n, m), dtype, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    if dtype is None and isinstance(fill_value, (bool, int)):
        dtype = type(fill_value)
    return _new(np.full(_ints((size,)), fill_value), dtype, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    if end is None:
        start, end = 0, start
    if dtype is None and all(isinstance(v, int) for v in (start, end, step)):
        dtype = kinds.int64
    return _new(np.arange(start, end, step), dtype, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    return _new(np.linspace(start, end, steps), dtype, requires_grad)


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None) -> Tensor:
    return _new(np.logspace(start, end, steps, base=base), dtype, False)


def randint(low: int, high: Any = None, size: Any = None, *, dtype: Any = kinds.int64) -> Tensor:
    if size is None:
        low, high, size = 0, low, high
    return _new(random().integers(low, high, _ints((size,))), dtype, False)


def randperm(n: int) -> Tensor:
    return _new(random().permutation(n), kinds.int64, False)


def normal(mean: Any, std: Any, size: Any = None) -> Tensor:
    sizes: Any = None if size is None else _ints((size,))
    given: Any = [v._array if isinstance(v, Tensor) else v for v in (mean, std)]
    return _new(random().normal(*given, size=sizes), None, False)  # type: ignore[call-overload]


def _like(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def create(input: Tensor, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        return make(tuple(input.shape), dtype=dtype or input.dtype, requires_grad=requires_grad)

    create.__name__ = f"{make.__name__}_like"
    return create


ones_like, zeros_like, empty_like = _like(ones), _like(zeros), _like(empty)
rand_like, randn_like = _like(rand), _like(randn)


def full_like(input: Tensor, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    return full(tuple(input.shape), fill_value, dtype=dtype or input.dtype, requires_grad=requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor in the memory of the array."""
    kinds.as_dtype(array.dtype)
    result = Tensor(array)
    expose(result)
    return result


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    if isinstance(data, Tensor) and (dtype is None or kinds.as_dtype(dtype) is data.dtype):
        return data
    if isinstance(data, np.ndarray) and (dtype is None or kinds.as_dtype(dtype).numpy == data.dtype):
        return from_numpy(data)
    return tensor(data, dtype)
